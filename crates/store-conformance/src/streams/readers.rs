//! Who looks at streams.

use super::*;

pub(super) async fn a_reader_gets_what_it_has_not_got_yet(store: &impl Store) {
    let dan = user("dan");
    assert_eq!(read_streams(store, &dan, &[place("a1", ONE, 3)], ALL).await, StreamPage::default());
    let json = r#"{"ref":"q1","version":2}"#;
    store.open_stream(&dan, &uuid("zz"), opening(json)).await.unwrap();
    open(store, "dan", "aa").await;
    say(store, "dan", "zz", "a👍b").await;
    say(store, "dan", "aa", "cd").await;
    assert_eq!(
        shown(store, "dan").await,
        [piece("zz", 1, "a👍b"), piece("aa", 1, "cd")],
        "oldest first"
    );
    let page = read_streams(store, &dan, &[], ALL).await;
    assert_eq!(
        page.pieces[0].start.as_deref(),
        Some(r#"{"type":"message_start","message_uuid":"zz","attempt":1,"ref":"q1","version":2}"#)
    );
    assert_eq!(page.pieces[0].position, place("zz", ONE, 4));

    let read = async |places: &[StreamPosition], room_bytes| {
        let page = read_streams(store, &dan, places, room_bytes).await;
        let texts: Vec<(bool, u64, String)> = page
            .pieces
            .iter()
            .map(|piece| (piece.start.is_some(), piece.position.offset, piece.text.to_string()))
            .collect();
        (texts, page.has_more)
    };
    let text = |start, end, text: &str| (start, end, text.to_owned());
    let places = |first, second| [place("aa", ONE, second), place("zz", ONE, first)];
    let all = vec![text(false, 4, "👍b"), text(false, 2, "d")];
    assert_eq!(read(&places(1, 1), ALL).await, (all, false));
    let nothing = vec![text(false, 4, ""), text(false, 2, "")];
    assert_eq!(read(&places(4, 2), 0).await, (nothing, false), "also without news");
    // Six bytes and two: what does not fit is left for later, and no character is cut.
    let most = vec![text(true, 3, "a👍"), text(true, 0, "")];
    assert_eq!(read(&[], 5).await, (most, true));
    let some = vec![text(true, 1, "a"), text(true, 2, "cd")];
    assert_eq!(read(&[], 4).await, (some, true));
    assert!(!read(&[], 8).await.1, "all of it fits");
    assert!(read(&[], 7).await.1);
    // Whoever was told something else starts over: a restored backup, another attempt, no such place.
    let over = vec![text(true, 4, "a👍b"), text(true, 2, "cd")];
    assert_eq!(read(&places(5, 3), ALL).await, (over.clone(), false));
    assert_eq!(read(&places(2, 99), ALL).await, (over.clone(), false));
    assert_eq!(read(&[place("zz", TWO, 1), place("aa", TWO, 1)], ALL).await, (over.clone(), false));
    assert_eq!(read(&[place("other", ONE, 1)], ALL).await, (over, false));
    open(store, "dan", "zz").await;
    let retried = vec![text(false, 2, "d"), text(true, 0, "")];
    assert_eq!(read(&places(1, 1), ALL).await, (retried, false));
}

/// Text, and then the message: never the message, and then text.
pub(super) async fn readers_never_find_a_stream_twice(store: &impl Store) {
    let ole = user("ole");
    let write = async {
        for number in 1..=50 {
            let name = format!("a{number}");
            open(store, "ole", &name).await;
            say(store, "ole", &name, "text").await;
            finish(store, "ole", &name, StreamStatus::Complete).await;
        }
    };
    let read = async {
        let mut head = 0;
        while head < 50 {
            head = store.head(&ole).await.unwrap().seq.get();
            let unfinished = pieces(&read_streams(store, &ole, &[], ALL).await);
            let next = unfinished.first().map_or(head + 1, |(name, ..)| name[1..].parse().unwrap());
            assert!(next > head, "a{next} is a message, the {head}th");
            assert!(unfinished.len() <= 1);
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(write, read);
}
