//! Backups that come back: what they have is there, what came after is not, and the epoch says so
//! whenever the store could know.

use std::collections::BTreeSet;

use tetherline_protocol::Epoch;
use tetherline_server::store::{StreamPage, StreamPhase};

use super::{
    streams::{ALL, ONE, ending, opening, uuid},
    *,
};

/// Everything about a restored backup.
pub async fn survives_restores(bench: &mut impl Bench) {
    what_a_backup_has_is_there(bench, Restored::Announced, "roy").await;
    what_a_backup_has_is_there(bench, Restored::ByHand, "ray").await;
    standing::a_backup_that_came_back_by_hand_shows_where_a_page_stood(bench).await;
    an_announced_restore_is_another_history(bench).await;
    what_was_erased_since_is_another_history_than_any(bench).await;
}

async fn what_a_backup_has_is_there(bench: &mut impl Bench, how: Restored, name: &str) {
    let (roy, phone, a1) = (user(name), device("phone"), uuid("a1"));
    let store = bench.open();
    store.append(&roy, Some(&key("k1")), message("one")).await.unwrap();
    append(&store, name, "two").await;
    store.locate(&roy, Some(&phone)).await.unwrap();
    store.acknowledge(&roy, Some(&phone), seq(1)).await.unwrap();
    store.save_cursor(&roy, Some(&phone)).await.unwrap();
    sends::settle(&store, name, "m1", &Ok(None)).await;
    store.open_stream(&roy, &a1, opening("{}")).await.unwrap();
    store.append_text(&roy, &a1, ONE, None, "ab".into()).await.unwrap();
    let kept = read(&store, &roy, Seq::ZERO, ROOM).await.unwrap();
    let shown = read_streams(&store, &roy, &[], ALL).await;
    bench.back_up(&store).await;

    store.append(&roy, Some(&key("k2")), message("lost")).await.unwrap();
    store.acknowledge(&roy, Some(&phone), seq(3)).await.unwrap();
    sends::settle(&store, name, "m2", &Ok(None)).await;
    store.append_text(&roy, &a1, ONE, None, "lost".into()).await.unwrap();
    store.finish_stream(&roy, &a1, ONE, ending(StreamStatus::Complete)).await.unwrap();
    store.open_stream(&roy, &uuid("a2"), opening("{}")).await.unwrap();
    assert_eq!(store.head(&roy).await.unwrap().seq, seq(4));
    drop(store);

    bench.restore(how).await;
    let store = bench.open();
    assert_eq!(read(&store, &roy, Seq::ZERO, ROOM).await.unwrap(), kept);
    assert_eq!(read_streams(&store, &roy, &[], ALL).await, shown, "it goes on from there");
    let place = store.locate(&roy, Some(&phone)).await.unwrap();
    assert_eq!((place.head.seq, place.cursor, place.floor), (seq(2), seq(1), seq(1)));
    assert_eq!(sends::outcome(&store, name, "m1").await, Some(Ok(None)));
    assert_eq!(sends::outcome(&store, name, "m2").await, None);
    assert_eq!(store.stream(&roy, &uuid("a2")).await.unwrap(), None);

    let again = store.append(&roy, Some(&key("k1")), message("one")).await.unwrap();
    assert_eq!((again.repeated, again.seq), (true, seq(1)));
    let lost = store.append(&roy, Some(&key("k2")), message("lost")).await.unwrap();
    assert_eq!((lost.repeated, lost.seq), (false, seq(3)), "nobody remembers it");
    let end = store.append_text(&roy, &a1, ONE, Some(2), "c".into()).await.unwrap();
    assert_eq!(end, 3);
    let finished = store.finish_stream(&roy, &a1, ONE, ending(StreamStatus::Failed)).await.unwrap();
    assert_eq!((finished.seq, finished.status), (seq(4), StreamStatus::Failed));
    assert_eq!(read_streams(&store, &roy, &[], ALL).await, StreamPage::default());
}

async fn an_announced_restore_is_another_history(bench: &mut impl Bench) {
    let mut epochs = BTreeSet::new();
    let store = bench.open();
    append(&store, "sam", "x").await;
    append(&store, "sue", "x").await;
    store.erase(&user("sue")).await.unwrap();
    let mut of_erased = BTreeSet::new();
    bench.back_up(&store).await;
    see(&store, "sam", &mut epochs).await;
    see(&store, "sue", &mut of_erased).await;
    drop(store);
    for _ in 0..3 {
        bench.restore(Restored::Announced).await;
        let store = bench.open();
        see(&store, "sam", &mut epochs).await;
        see(&store, "sue", &mut of_erased).await;
        let somebody = store.head(&user("nobody-yet")).await.unwrap();
        bench.back_up(&store).await;
        drop(store);
        // It stays that one.
        let store = bench.open();
        assert_eq!(store.head(&user("nobody-yet")).await.unwrap(), somebody);
    }
    assert_eq!(epochs.len(), 4, "each has its own: {epochs:?}");
    assert_eq!(of_erased.len(), 4, "also of who was erased before: {of_erased:?}");
}

/// Erasures and restores never come to the same epoch by two ways.
async fn what_was_erased_since_is_another_history_than_any(bench: &mut impl Bench) {
    let (tom, a1) = (user("tom"), uuid("a1"));
    let mut epochs = BTreeSet::new();
    let store = bench.open();
    append(&store, "tom", "x").await;
    store.open_stream(&tom, &a1, opening("{}")).await.unwrap();
    bench.back_up(&store).await;
    see(&store, "tom", &mut epochs).await;
    store.erase(&tom).await.unwrap();
    see(&store, "tom", &mut epochs).await;
    append(&store, "tom", "y").await;
    drop(store);

    bench.restore(Restored::Announced).await;
    let store = bench.open();
    assert_eq!(positions(&store, "tom").await, [1], "a backup brings back what was erased since");
    let state = store.stream(&tom, &a1).await.unwrap().unwrap();
    assert_eq!(state.phase, StreamPhase::Open);
    see(&store, "tom", &mut epochs).await;
    store.erase(&tom).await.unwrap();
    see(&store, "tom", &mut epochs).await;
    assert_eq!(append(&store, "tom", "z").await.seq, seq(2));
    assert_eq!(epochs.len(), 4, "{epochs:?}");
}

async fn see(store: &impl Store, name: &str, epochs: &mut BTreeSet<String>) {
    let epoch: Epoch = store.head(&user(name)).await.unwrap().epoch;
    epochs.insert(epoch.as_str().to_owned());
}
