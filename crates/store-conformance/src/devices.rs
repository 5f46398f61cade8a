//! Where devices stand, and which of them are known.

use super::*;

pub(crate) async fn hold(bench: &mut impl Bench) {
    let store = bench.open();
    one_too_many_starts_at_the_floor_until_an_unused_one_is_forgotten(bench, &store).await;
    one_that_only_connects_is_in_use(bench, &store).await;
    store.work_by(&Limits::default());
}

async fn one_too_many_starts_at_the_floor_until_an_unused_one_is_forgotten<B: Bench>(
    bench: &mut B,
    store: &B::Store,
) {
    let amy = user("amy");
    store.work_by(&limits(|limits| limits.devices_max = 2));
    let locate = async |name: &str| store.locate(&amy, Some(&device(name))).await.unwrap().cursor;
    for name in ["one", "two", "three"] {
        assert_eq!(locate(name).await, Seq::ZERO);
        bench.pass(3).await;
    }
    append(store, "amy", "x").await;
    store.acknowledge(&amy, Some(&device("two")), seq(1)).await.unwrap();
    assert_eq!(locate("one").await, Seq::ZERO, "one of the two that have a place");
    assert_eq!(locate("three").await, seq(1), "no place: it starts at the floor");

    bench.pass(5).await;
    store.work_by(&limits(|limits| (limits.devices_max, limits.device_retention_ms) = (2, 0)));
    locate("three").await;
    append(store, "amy", "x").await;
    store.acknowledge(&amy, None, seq(2)).await.unwrap();
    assert_eq!(locate("three").await, seq(1), "it has the place of the least recent");
}

async fn one_that_only_connects_is_in_use<B: Bench>(bench: &mut B, store: &B::Store) {
    // It had its place taken by a newer one, because it never had anything to acknowledge.
    let ben = user("ben");
    store.work_by(&limits(|limits| (limits.devices_max, limits.device_retention_ms) = (2, 0)));
    for name in ["old", "idle", "old", "new"] {
        // Uses have to differ in ms.
        bench.pass(3).await;
        store.locate(&ben, Some(&device(name))).await.unwrap();
    }
    append(store, "ben", "x").await;
    store.acknowledge(&ben, None, seq(1)).await.unwrap();
    store.work_by(&limits(|limits| limits.devices_max = 2));
    let locate = async |name: &str| store.locate(&ben, Some(&device(name))).await.unwrap().cursor;
    assert_eq!(locate("old").await, Seq::ZERO, "it kept its place");
    assert_eq!(locate("idle").await, seq(1), "it lost it");
}
