//! Messages and their positions, cursors, and the outcomes of sends.

use std::task::Poll;

use tetherline_server::store::{AppendError, Publish};

use super::*;

/// Every promise of the traits but those about forgetting and restores. What was answered before the
/// store was closed is there after.
pub async fn keeps_every_promise(bench: &mut impl Bench) {
    let store = bench.open();
    positions_are_dense_per_user(&store).await;
    reading_takes_what_fits_and_at_least_one(&store).await;
    keys_recognise_repeats(&store).await;
    many_are_appended_as_each_alone(&store).await;
    cursors_only_move_forward(&store).await;
    sends::hold(&store).await;
    concurrent_appends_leave_no_hole(&store).await;
    events::conform(&store).await;
    let epoch = store.head(&user("ada")).await.unwrap().epoch;
    drop(store);

    let store = bench.open();
    let head = store.head(&user("ada")).await.unwrap();
    assert_eq!((head.seq, head.epoch), (seq(3), epoch));
    assert_eq!(read(&store, &user("ada"), Seq::ZERO, ROOM).await.unwrap().len(), 3);
    let repeat = store.append(&user("kim"), Some(&key("k1")), message("once")).await.unwrap();
    assert!(repeat.repeated);
    let place = store.locate(&user("dee"), Some(&device("phone"))).await.unwrap();
    assert_eq!(place.cursor, seq(2));
    sends::are_still_known(&store).await;
    assert_eq!(append(&store, "ada", "four").await.seq, seq(4));
    drop(store);

    a_crash_takes_nothing_that_was_answered(bench).await;
    cursors::hold(bench).await;
    sends::are_claimed_for_a_while(bench).await;
    devices::hold(bench).await;
    standing::hold(bench).await;
    streams::conform(bench).await;
}

async fn positions_are_dense_per_user(store: &impl Store) {
    assert_eq!(store.head(&user("ada")).await.unwrap().seq, Seq::ZERO);
    for number in 1..=3 {
        assert_eq!(append(store, "ada", "x").await.seq, seq(number));
    }
    assert_eq!(append(store, "bob", "x").await.seq, seq(1));
    assert_eq!(store.head(&user("ada")).await.unwrap().seq, seq(3));
}

async fn reading_takes_what_fits_and_at_least_one(store: &impl Store) {
    for number in 1..=5 {
        append(store, "rea", &format!("{number}{}", "x".repeat(400))).await;
    }
    let read = async |after, room| -> Vec<u64> {
        let page = read(store, &user("rea"), seq(after), room).await.unwrap();
        page.iter().map(|delivery| delivery.seq.get()).collect()
    };
    assert_eq!(read(0, ROOM).await, [1, 2, 3, 4, 5]);
    assert_eq!(read(3, ROOM).await, [4, 5]);
    assert_eq!(read(5, ROOM).await, [0_u64; 0]);
    assert_eq!(read(1, Room { messages: 2, ..ROOM }).await, [2, 3]);
    assert_eq!(read(0, Room { bytes: 1, ..ROOM }).await, [1]);
    let one =
        super::read(store, &user("rea"), Seq::ZERO, Room { messages: 1, ..ROOM }).await.unwrap();
    let size = one[0].text.len();
    assert_eq!(read(0, Room { bytes: size * 2, ..ROOM }).await, [1, 2]);
    assert_eq!(read(0, Room { bytes: size * 2 - 1, ..ROOM }).await, [1]);
    let text: &str = one[0].text.as_ref();
    assert!(text.starts_with(r#"{"type":"t","id":""#) && text.contains(r#""seq":1,"#), "{text}");
}

async fn keys_recognise_repeats(store: &impl Store) {
    let kim = user("kim");
    let first = store.append(&kim, Some(&key("k1")), message("once")).await.unwrap();
    let again = store.append(&kim, Some(&key("k1")), message("once")).await.unwrap();
    assert_eq!((again.repeated, again.seq, &again.id), (true, first.seq, &first.id));
    let other = store.append(&kim, Some(&key("k1")), message("another")).await;
    assert!(matches!(other, Err(AppendError::Conflict)), "{other:?}");
    assert_eq!(store.head(&kim).await.unwrap().seq, seq(1));
    // Both at once is once, too.
    let key = key("k2");
    let (one, two) = tokio::join!(
        store.append(&kim, Some(&key), message("both")),
        store.append(&kim, Some(&key), message("both"))
    );
    assert_eq!(one.unwrap().seq, two.unwrap().seq);
}

async fn many_are_appended_as_each_alone(store: &impl Store) {
    let publish = |name: &str, named: Option<&str>, text: &str| {
        let (user, key, message) = (user(name), named.map(key), message(text));
        Publish { user, key, message }
    };
    let once = message("once");
    let shared = |name: &str| {
        let (user, message) = (user(name), once.clone());
        Publish { user, key: Some(key("k1")), message }
    };
    let many = vec![
        publish("mia", None, "one"),
        shared("mia"),
        shared("max"),
        // Within one commit a key is known already.
        shared("mia"),
        publish("mia", Some("k1"), "another"),
        publish("mia", Some("k2"), "last"),
    ];
    let appended = store.append_many(many.clone()).await;
    let places = |appended: &[Result<Appended, AppendError>]| -> Vec<Option<(u64, bool)>> {
        let place = |appended: &Appended| (appended.seq.get(), appended.repeated);
        appended.iter().map(|appended| appended.as_ref().ok().map(place)).collect()
    };
    let (first, again) = (|seq| Some((seq, false)), |seq| Some((seq, true)));
    assert_eq!(places(&appended), [first(1), first(2), first(1), again(2), None, first(3)]);
    assert!(matches!(appended[4], Err(AppendError::Conflict)), "{:?}", appended[4]);
    let repeated = store.append_many(many).await;
    assert_eq!(places(&repeated), [first(4), again(2), again(1), again(2), None, again(3)]);
    assert_eq!(positions(store, "mia").await, [1, 2, 3, 4]);
    assert_eq!(positions(store, "max").await, [1]);
    assert!(store.append_many(Vec::new()).await.is_empty());
}

async fn cursors_only_move_forward(store: &impl Store) {
    let dee = user("dee");
    for _ in 0..5 {
        append(store, "dee", "x").await;
    }
    let (phone, laptop) = (device("phone"), device("laptop"));
    assert_eq!(store.locate(&dee, Some(&phone)).await.unwrap().cursor, Seq::ZERO);
    store.acknowledge(&dee, Some(&laptop), seq(1)).await.unwrap();
    store.locate(&dee, Some(&laptop)).await.unwrap();
    store.acknowledge(&dee, Some(&laptop), seq(4)).await.unwrap();
    store.acknowledge(&dee, Some(&laptop), seq(2)).await.unwrap();
    store.acknowledge(&dee, Some(&phone), seq(2)).await.unwrap();
    let place = store.locate(&dee, Some(&laptop)).await.unwrap();
    assert_eq!((place.cursor, place.floor, place.head.seq), (seq(4), seq(4), seq(5)));
    let place = store.locate(&dee, Some(&phone)).await.unwrap();
    assert_eq!(place.cursor, seq(2));
    assert_eq!(store.locate(&dee, Some(&device("new"))).await.unwrap().cursor, seq(4));
    assert_eq!(store.locate(&dee, None).await.unwrap().cursor, seq(4));
    store.acknowledge(&dee, None, seq(99)).await.unwrap();
    assert_eq!(store.locate(&dee, None).await.unwrap().floor, seq(5), "never past the head");
    assert_eq!(store.locate(&dee, Some(&device("new"))).await.unwrap().cursor, seq(4));
}

async fn concurrent_appends_leave_no_hole(store: &impl Store) {
    let appends = (0..200).map(|_| append(store, "con", "x"));
    let mut seqs: Vec<u64> = futures_util::future::join_all(appends)
        .await
        .iter()
        .map(|appended| appended.seq.get())
        .collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=200).collect::<Vec<_>>());
}

async fn a_crash_takes_nothing_that_was_answered(bench: &mut impl Bench) {
    let (cyd, k2) = (user("cyd"), key("k2"));
    let mut store = bench.open();
    for number in 1..=5 {
        store.append(&cyd, Some(&key(&format!("k1-{number}"))), message("x")).await.unwrap();
        store = bench.crash(store);
        assert_eq!(store.head(&cyd).await.unwrap().seq, seq(number));
    }
    // What is under way is there whole or not at all, and comes once when it comes again.
    {
        let mut under_way = store.append(&cyd, Some(&k2), message("once"));
        let asked = std::future::poll_fn(|context| Poll::Ready(under_way.as_mut().poll(context)));
        let _ = asked.await;
    }
    let store = bench.crash(store);
    let again = store.append(&cyd, Some(&k2), message("once")).await.unwrap();
    assert_eq!(again.seq, seq(6));
    assert_eq!(store.head(&cyd).await.unwrap().seq, seq(6));
    // An erasure is answered like a message.
    store.erase(&cyd).await.unwrap();
    let erased = store.head(&cyd).await.unwrap();
    let store = bench.crash(store);
    assert_eq!(positions(&store, "cyd").await, [0_u64; 0]);
    assert_eq!(store.head(&cyd).await.unwrap(), erased);
}
