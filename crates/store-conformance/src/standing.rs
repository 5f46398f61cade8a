//! What stands at a position: by that a page shows that its history is the mailbox's.

use tetherline_protocol::{
    StreamPosition,
    utf16::{self, TextHash},
};
use tetherline_server::store::Standing;

use super::{
    streams::{open, place, say, uuid},
    *,
};

pub(crate) async fn hold(bench: &mut impl Bench) {
    let store = bench.open();
    every_position_names_its_message(&store).await;
    the_last_that_was_trimmed_is_still_named(&store).await;
    a_text_that_is_not_there_is_lost(&store).await;
    drop(store);

    let store = bench.open();
    let (tia, last) = (user("tia"), store.locate(&user("tia"), None).await.unwrap());
    let resumed = store.resume(&tia, last.trimmed, ROOM).await.unwrap();
    assert_eq!(Some(resumed.standing), last.trimmed_id.map(Standing::Message));
}

/// Nothing else shows it: the epoch is the same.
pub(crate) async fn a_backup_that_came_back_by_hand_shows_where_a_page_stood(
    bench: &mut impl Bench,
) {
    let (uma, attempt) = (user("uma"), Attempt::FIRST);
    let store = bench.open();
    append(&store, "uma", "kept").await;
    open(&store, "uma", "a").await;
    say(&store, "uma", "a", "ab").await;
    bench.back_up(&store).await;
    let lost = append(&store, "uma", "lost").await;
    say(&store, "uma", "a", "cd").await;
    let epoch = store.head(&uma).await.unwrap().epoch;
    drop(store);

    bench.restore(Restored::ByHand).await;
    let store = bench.open();
    let resumed = store.resume(&uma, lost.seq, ROOM).await.unwrap();
    assert_eq!((resumed.head.epoch, resumed.standing), (epoch, Standing::Nothing));
    let anew = append(&store, "uma", "anew").await;
    assert_eq!(anew.seq, lost.seq);
    let resumed = store.resume(&uma, lost.seq, ROOM).await.unwrap();
    assert_eq!(resumed.standing, Standing::Message(anew.id));

    let there = |text| StreamPosition {
        hash: Some(TextHash::of(text).get()),
        ..place("a", attempt, utf16::length(text))
    };
    say(&store, "uma", "a", "xy").await;
    let lost = async |text| read_streams(&store, &uma, &[there(text)], 100).await.lost.len();
    assert_eq!((lost("ab").await, lost("abcd").await, lost("abxy").await), (0, 1, 0));
}

async fn every_position_names_its_message(store: &impl Store) {
    let sam = user("sam");
    let empty = store.resume(&sam, seq(0), ROOM).await.unwrap();
    assert_eq!((empty.head.id, empty.standing), (None, Standing::Forgotten));
    let first = append(store, "sam", "one").await;
    let second = append(store, "sam", "two").await;

    let resumed = store.resume(&sam, seq(1), ROOM).await.unwrap();
    assert_eq!((resumed.head.seq, resumed.head.id), (seq(2), Some(second.id.clone())));
    assert_eq!(resumed.standing, Standing::Message(first.id.clone()));
    assert_eq!(resumed.messages, read(store, &sam, seq(1), ROOM).await.unwrap());
    let at_head = store.resume(&sam, seq(2), ROOM).await.unwrap();
    assert_eq!(at_head.standing, Standing::Message(second.id.clone()));
    let behind = store.resume(&sam, seq(3), ROOM).await.unwrap();
    assert_eq!((behind.standing, behind.messages.len()), (Standing::Nothing, 0));

    let phone = device("phone");
    let place = store.locate(&sam, Some(&phone)).await.unwrap();
    assert_eq!((place.cursor, place.cursor_id), (seq(0), None));
    store.acknowledge(&sam, Some(&phone), seq(1)).await.unwrap();
    let place = store.locate(&sam, Some(&phone)).await.unwrap();
    assert_eq!((place.cursor, place.cursor_id), (seq(1), Some(first.id)));
    assert_eq!(store.head(&sam).await.unwrap().id, Some(second.id));
}

async fn the_last_that_was_trimmed_is_still_named(store: &impl Store) {
    let tia = user("tia");
    let mut ids = Vec::new();
    for _ in 1..=6 {
        ids.push(append(store, "tia", "x").await.id);
    }
    store.work_by(&limits(|limits| limits.retention_messages_max = 4));
    eventually(async || positions(store, "tia").await == [3, 4, 5, 6]).await;
    store.work_by(&limits(|limits| limits.retention_messages_max = 0));
    let place = store.locate(&tia, None).await.unwrap();
    assert_eq!((place.trimmed, place.trimmed_id), (seq(2), Some(ids[1].clone())));
    let standing = async |after| store.resume(&tia, seq(after), ROOM).await.unwrap().standing;
    assert_eq!(standing(1).await, Standing::Forgotten);
    assert_eq!(standing(2).await, Standing::Message(ids[1].clone()));
    assert_eq!(standing(3).await, Standing::Message(ids[2].clone()));
}

async fn a_text_that_is_not_there_is_lost(store: &impl Store) {
    let (sue, attempt) = (user("sue"), open(store, "sue", "a").await.attempt);
    say(store, "sue", "a", "Grü👍").await;
    let hashed = |name, attempt, offset, text| StreamPosition {
        hash: Some(TextHash::of(text).get()),
        ..place(name, attempt, offset)
    };
    let read = async |places: &[StreamPosition]| read_streams(store, &sue, places, 100).await;

    let here = hashed("a", attempt, 3, "Grü");
    let page = read(std::slice::from_ref(&here)).await;
    assert_eq!((page.lost, &*page.pieces[0].text), (vec![], "👍"));
    assert_eq!(page.pieces[0].start, None, "it goes on");

    let other = hashed("a", attempt, 3, "Gru");
    let page = read(std::slice::from_ref(&other)).await;
    assert_eq!((&*page.lost, &*page.pieces[0].text), (&[other.clone()][..], "Grü👍"));
    assert!(page.pieces[0].start.is_some(), "it starts over");

    // Of several readers behind one connection each is told, and the first one reads on.
    let only_checked = |place| StreamPosition { is_only_checked: true, ..place };
    let (behind, other) = (only_checked(hashed("a", attempt, 1, "G")), only_checked(other));
    let page = read(&[behind.clone(), other.clone(), here]).await;
    assert_eq!((&*page.lost, &*page.pieces[0].text), (&[other][..], "👍"));
    let page = read(&[behind]).await;
    assert!(page.pieces[0].start.is_some(), "nobody reads yet");

    for (name, attempt, offset) in
        [("a", attempt, 9), ("a", attempt.next(), 0), ("nobodys", attempt, 0)]
    {
        let nowhere = hashed(name, attempt, offset, "");
        assert_eq!(read(std::slice::from_ref(&nowhere)).await.lost, [nowhere]);
    }
    assert_eq!(read(&[place("a", attempt, 9)]).await.lost, [], "it says nothing of its text");
    let later = open(store, "sue", "a").await.attempt;
    let superseded = hashed("a", attempt, 3, "Gru");
    let page = read(&[superseded]).await;
    assert_eq!((page.lost, page.pieces[0].position.attempt), (vec![], later));
    assert_eq!(page.pieces[0].position.message_uuid, uuid("a"));
}
