//! An acknowledgement counts at once and is written a moment later: a crash repeats, and skips nothing.

use super::*;

pub(crate) async fn hold(bench: &mut impl Bench) {
    what_is_acknowledged_counts_at_once(bench).await;
    what_was_saved_outlives_a_crash(bench).await;
    a_crash_takes_acknowledgements_and_never_adds_any(bench).await;
    a_device_that_was_new_is_not_ahead_of_the_floor_after_a_crash(bench).await;
    who_is_erased_takes_what_was_acknowledged_along(bench).await;
}

async fn acknowledge(store: &impl Store, name: &str, phone: &str, position: u64) {
    store.acknowledge(&user(name), Some(&device(phone)), seq(position)).await.unwrap();
}

/// The cursor of a device, and the user's floor.
async fn place(store: &impl Store, name: &str, phone: &str) -> (u64, u64) {
    let place = store.locate(&user(name), Some(&device(phone))).await.unwrap();
    (place.cursor.get(), place.floor.get())
}

async fn what_is_acknowledged_counts_at_once(bench: &mut impl Bench) {
    let store = bench.open();
    for _ in 0..4 {
        append(&store, "cat", "x").await;
    }
    assert_eq!(place(&store, "cat", "phone").await, (0, 0));
    acknowledge(&store, "cat", "phone", 2).await;
    let at = store.locate(&user("cat"), Some(&device("phone"))).await.unwrap();
    assert_eq!((at.cursor, at.floor), (seq(2), seq(2)));
    let two = read(&store, &user("cat"), seq(1), ROOM).await.unwrap();
    assert!(two[0].text.contains(at.cursor_id.unwrap().as_str()), "the message there");
    assert_eq!(place(&store, "cat", "new").await, (2, 2), "a new device is at the floor");
    acknowledge(&store, "cat", "phone", 99).await;
    append(&store, "cat", "x").await;
    assert_eq!(place(&store, "cat", "phone").await, (4, 4), "never past what was the head");
    drop(store);
    let store = bench.open();
    assert_eq!(place(&store, "cat", "phone").await, (4, 4), "it is closed in order");
    assert_eq!(place(&store, "cat", "new").await, (2, 4));
}

async fn what_was_saved_outlives_a_crash(bench: &mut impl Bench) {
    let store = bench.open();
    for _ in 0..3 {
        append(&store, "cia", "x").await;
    }
    place(&store, "cia", "phone").await;
    acknowledge(&store, "cia", "phone", 2).await;
    store.save_cursor(&user("cia"), Some(&device("phone"))).await.unwrap();
    // Nothing is ahead of the file any more, or never was.
    store.save_cursor(&user("cia"), Some(&device("phone"))).await.unwrap();
    store.save_cursor(&user("nobody"), None).await.unwrap();
    let store = bench.crash(store);
    assert_eq!(place(&store, "cia", "phone").await, (2, 2));
    store.acknowledge(&user("cia"), None, seq(3)).await.unwrap();
    store.save_cursor(&user("cia"), None).await.unwrap();
    let store = bench.crash(store);
    assert_eq!(place(&store, "cia", "phone").await, (2, 3));
}

async fn a_crash_takes_acknowledgements_and_never_adds_any(bench: &mut impl Bench) {
    let mut store = bench.open();
    place(&store, "cleo", "phone").await;
    let mut saved = 0;
    for head in 1..=6 {
        append(&store, "cleo", "x").await;
        acknowledge(&store, "cleo", "phone", head).await;
        if head == 3 {
            store.save_cursor(&user("cleo"), Some(&device("phone"))).await.unwrap();
            saved = head;
        }
        store = bench.crash(store);
        let (cursor, floor) = place(&store, "cleo", "phone").await;
        assert!((saved..=head).contains(&cursor), "{cursor} of {head}, and {saved} was saved");
        assert!((cursor..=head).contains(&floor), "{floor} of {head}");
        let again = read(&store, &user("cleo"), seq(cursor), ROOM).await.unwrap();
        assert_eq!(again.len() as u64, head - cursor, "what was taken comes again, and all of it");
        saved = cursor;
    }
}

async fn a_device_that_was_new_is_not_ahead_of_the_floor_after_a_crash(bench: &mut impl Bench) {
    let store = bench.open();
    append(&store, "cora", "x").await;
    place(&store, "cora", "phone").await;
    acknowledge(&store, "cora", "phone", 1).await;
    assert_eq!(place(&store, "cora", "new").await, (1, 1));
    let store = bench.crash(store);
    assert_eq!(place(&store, "cora", "new").await, (1, 1));
}

async fn who_is_erased_takes_what_was_acknowledged_along(bench: &mut impl Bench) {
    let store = bench.open();
    for _ in 0..2 {
        append(&store, "cy", "x").await;
    }
    place(&store, "cy", "phone").await;
    acknowledge(&store, "cy", "phone", 1).await;
    store.erase(&user("cy")).await.unwrap();
    acknowledge(&store, "cy", "phone", 1).await;
    assert_eq!(place(&store, "cy", "phone").await, (2, 2));
    let store = bench.crash(store);
    assert_eq!(place(&store, "cy", "phone").await, (2, 2));
}
