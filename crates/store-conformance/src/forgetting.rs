//! What is forgotten, on purpose.

use tetherline_server::store::AppendError;

use super::*;

/// What is trimmed and erased is gone, for good and over restarts, and moves no position.
pub async fn forgets_as_told(bench: &mut impl Bench) {
    let store = bench.open();
    trimming_takes_the_oldest_and_moves_nothing(&store).await;
    what_is_erased_is_gone_and_positions_go_on(&store).await;
    let erased = store.head(&user("eve")).await.unwrap();
    credentials::sign_outs_are_remembered(&store).await;
    credentials::a_ticket_is_taken_once_and_in_time(bench, &store).await;
    drop(store);

    let store = bench.open();
    let place = store.locate(&user("tim"), None).await.unwrap();
    assert_eq!((place.head.seq, place.trimmed), (seq(11), seq(6)));
    assert_eq!(positions(&store, "tim").await, [7, 8, 9, 10, 11]);
    assert_eq!(store.head(&user("eve")).await.unwrap(), erased);
    assert_eq!(positions(&store, "eve").await, [4]);
    credentials::sign_outs_are_forgotten_with_their_tokens(bench, &store).await;

    // Everything is older than this, once the clock has moved on; no head follows.
    bench.pass(5).await;
    store.work_by(&limits(|limits| limits.retention_age_ms = 1));
    eventually(async || positions(&store, "tim").await.is_empty()).await;
    let place = store.locate(&user("tim"), None).await.unwrap();
    assert_eq!((place.head.seq, place.trimmed), (seq(11), seq(11)));
    drop(store);

    let store = bench.open();
    let place = store.locate(&user("tim"), None).await.unwrap();
    assert_eq!((place.head.seq, place.trimmed), (seq(11), seq(11)));
    assert_eq!(append(&store, "tim", "x").await.seq, seq(12));
}

async fn trimming_takes_the_oldest_and_moves_nothing(store: &impl Store) {
    let tim = user("tim");
    let first = store.append(&tim, Some(&key("k1")), message("once")).await.unwrap();
    for _ in 2..=5 {
        append(store, "tim", "x").await;
    }
    store.work_by(&limits(|limits| limits.retention_messages_max = 5));
    append(store, "bob", "x").await;
    assert_eq!(positions(store, "tim").await, [1, 2, 3, 4, 5], "the last number that fits");
    append(store, "tim", "x").await;
    eventually(async || positions(store, "tim").await == [2, 3, 4, 5, 6]).await;
    let place = store.locate(&tim, None).await.unwrap();
    assert_eq!((place.head.seq, place.floor, place.trimmed), (seq(6), Seq::ZERO, seq(1)));
    assert_eq!(positions(store, "bob").await, [1]);

    let again = store.append(&tim, Some(&key("k1")), message("once")).await.unwrap();
    assert_eq!((again.repeated, again.seq, again.id), (true, first.seq, first.id));
    let other = store.append(&tim, Some(&key("k1")), message("another")).await;
    assert!(matches!(other, Err(AppendError::Conflict)), "{other:?}");

    // A lower limit than before reaches mailboxes in which nothing happens, 0 none.
    store.work_by(&limits(|limits| limits.retention_messages_max = 0));
    for number in 7..=11 {
        assert_eq!(append(store, "tim", "x").await.seq, seq(number));
    }
    assert_eq!(positions(store, "tim").await.len(), 10);
    store.work_by(&limits(|limits| limits.retention_messages_max = 5));
    eventually(async || positions(store, "tim").await == [7, 8, 9, 10, 11]).await;
}

async fn what_is_erased_is_gone_and_positions_go_on(store: &impl Store) {
    let (eve, phone) = (user("eve"), device("phone"));
    store.erase(&eve).await.unwrap();
    let unknown = store.head(&eve).await.unwrap();
    store.append(&eve, Some(&key("k1")), message("once")).await.unwrap();
    append(store, "eve", "x").await;
    store.locate(&eve, Some(&phone)).await.unwrap();
    store.acknowledge(&eve, Some(&phone), seq(1)).await.unwrap();
    sends::settle(store, "eve", "m1", &Ok(None)).await;
    let before = store.head(&eve).await.unwrap();
    assert_eq!(before.epoch, unknown.epoch, "nothing was erased");

    store.erase(&eve).await.unwrap();
    assert_eq!(positions(store, "eve").await, [0_u64; 0]);
    assert_eq!(sends::outcome(store, "eve", "m1").await, None);
    let place = store.locate(&eve, Some(&phone)).await.unwrap();
    assert_ne!(place.head.epoch, before.epoch);
    let two = seq(2);
    assert_eq!((place.head.seq, place.cursor, place.floor, place.trimmed), (two, two, two, two));
    let anew = store.append(&eve, Some(&key("k1")), message("another")).await.unwrap();
    assert_eq!((anew.repeated, anew.seq), (false, seq(3)));
    // Whoever was connected before has not heard of it yet, perhaps.
    let of_before = store.read(&eve, &before.epoch, seq(0), ROOM).await.unwrap();
    assert_eq!(of_before, [], "what came after it is of another epoch");
    // What is still on its way from before the erasure changes nothing.
    store.acknowledge(&eve, Some(&phone), seq(1)).await.unwrap();
    assert_eq!(store.locate(&eve, Some(&phone)).await.unwrap().cursor, two);

    let between = store.head(&eve).await.unwrap().epoch;
    store.erase(&eve).await.unwrap();
    store.erase(&eve).await.unwrap();
    let after = store.head(&eve).await.unwrap();
    assert_eq!(after.seq, seq(3));
    assert!(![&unknown.epoch, &between].contains(&&after.epoch), "{after:?}");
    assert_eq!(append(store, "eve", "x").await.seq, seq(4));
    assert_eq!(positions(store, "tim").await.len(), 5, "somebody else's stay");
}
