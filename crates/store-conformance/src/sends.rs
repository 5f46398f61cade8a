//! What became of sends, and who is at one.

use tetherline_protocol::{ErrorCode, limits::ANSWER_BYTES_MAX};
use tetherline_server::{
    Refusal, SendAnswer,
    store::{Begun, Claim, ClaimError, Outcome},
};

use super::*;

/// Longer than a test takes.
const LONG: Duration = Duration::from_mins(10);

pub(crate) async fn hold(store: &impl Store) {
    the_outcome_that_was_recorded_is_told(store).await;
    an_answer_stays_with_its_outcome(store).await;
    a_send_is_begun_by_one_at_a_time(store).await;
}

/// What was recorded is there after the store was closed.
pub(crate) async fn are_still_known(store: &impl Store) {
    assert_eq!(outcome(store, "ina", "m1").await, Some(Ok(None)));
    assert_eq!(outcome(store, "ina", "m3").await, Some(Ok(Some(largest_answer()))));
}

/// Hands a send over and records what became of it.
pub async fn settle(store: &impl Store, name: &str, id: &str, outcome: &Outcome) {
    let claim = claim(store, name, id, LONG).await;
    store.record(&claim, outcome).await.unwrap();
}

/// What became of a send, if nobody is at it.
pub async fn outcome(store: &impl Store, name: &str, id: &str) -> Option<Outcome> {
    match begin(store, name, id, LONG).await {
        Begun::Settled(outcome) => Some(outcome),
        Begun::Yours(claim) => {
            store.release(&claim);
            None
        }
        Begun::Elsewhere { left, .. } => panic!("{id} is with somebody else for {left:?}"),
    }
}

async fn begin(store: &impl Store, name: &str, id: &str, claimed_for: Duration) -> Begun {
    store.begin(&user(name), &id.parse().unwrap(), claimed_for).await.unwrap()
}

async fn claim(store: &impl Store, name: &str, id: &str, claimed_for: Duration) -> Claim {
    match begin(store, name, id, claimed_for).await {
        Begun::Yours(claim) => claim,
        _ => panic!("nobody is at {id}, and it has no outcome"),
    }
}

async fn is_elsewhere(store: &impl Store, name: &str, id: &str) -> bool {
    matches!(begin(store, name, id, LONG).await, Begun::Elsewhere { .. })
}

async fn the_outcome_that_was_recorded_is_told(store: &impl Store) {
    assert_eq!(outcome(store, "ina", "m1").await, None);
    settle(store, "ina", "m1", &Ok(None)).await;
    let refusal = Err(Refusal::new(ErrorCode::Rejected, "No."));
    settle(store, "ina", "m2", &refusal).await;
    assert_eq!(outcome(store, "ina", "m1").await, Some(Ok(None)));
    assert_eq!(outcome(store, "ina", "m2").await, Some(refusal));
    assert_eq!(outcome(store, "bob", "m1").await, None);
}

/// Byte for byte: spaces, another writing of a number, and no room left.
fn largest_answer() -> SendAnswer {
    let json = |text: &str| format!(r#"{{ "price": 1.20, "of": "ü{text}"}}"#);
    let room = ANSWER_BYTES_MAX - json("").len();
    SendAnswer::parse(&json(&"x".repeat(room))).unwrap()
}

async fn an_answer_stays_with_its_outcome(store: &impl Store) {
    settle(store, "ina", "m3", &Ok(Some(largest_answer()))).await;
    assert_eq!(outcome(store, "ina", "m3").await, Some(Ok(Some(largest_answer()))));
    assert_eq!(outcome(store, "bob", "m3").await, None);
}

async fn a_send_is_begun_by_one_at_a_time(store: &impl Store) {
    let first = claim(store, "ivy", "m1", LONG).await;
    let Begun::Elsewhere { left, over } = begin(store, "ivy", "m1", LONG).await else {
        panic!("it is claimed")
    };
    assert!(left <= LONG && left > LONG / 2, "{left:?}");
    // Another user's send of the same name, and another one of the same user.
    store.release(&claim(store, "bob", "m1", LONG).await);
    store.release(&claim(store, "ivy", "m2", LONG).await);

    // Refused for now: whoever waits hears of it and may begin.
    store.release(&first);
    over.await;
    let lost = store.record(&first, &Ok(None)).await;
    assert!(matches!(lost, Err(ClaimError::Lost)), "{lost:?}");
    let second = claim(store, "ivy", "m1", LONG).await;
    assert!(matches!(store.renew(&first, LONG).await, Err(ClaimError::Lost)));
    store.release(&first);
    assert!(is_elsewhere(store, "ivy", "m1").await, "nobody gives back what is another's");

    let Begun::Elsewhere { over, .. } = begin(store, "ivy", "m1", LONG).await else {
        panic!("it is claimed")
    };
    store.record(&second, &Ok(None)).await.unwrap();
    over.await;
    assert_eq!(outcome(store, "ivy", "m1").await, Some(Ok(None)));
    let again = store.record(&second, &Err(Refusal::new(ErrorCode::Rejected, "No."))).await;
    assert!(matches!(again, Err(ClaimError::Lost)), "{again:?}");
    assert_eq!(outcome(store, "ivy", "m1").await, Some(Ok(None)), "the first one stays");
}

/// A claim whose holder says nothing more ends by the store's clock.
pub(crate) async fn are_claimed_for_a_while(bench: &mut impl Bench) {
    let store = bench.open();
    let short = Duration::from_millis(200);
    let silent = claim(&store, "ian", "m1", short).await;
    bench.pass(200).await;
    let other = claim(&store, "ian", "m1", LONG).await;
    let lost = store.record(&silent, &Ok(None)).await;
    assert!(matches!(lost, Err(ClaimError::Lost)), "{lost:?}");
    let refusal = Err(Refusal::new(ErrorCode::Rejected, "No."));
    store.record(&other, &refusal).await.unwrap();
    assert_eq!(outcome(&store, "ian", "m1").await, Some(refusal));

    // Renewed it goes on for as long as it is said.
    let kept = claim(&store, "ian", "m2", short).await;
    store.renew(&kept, LONG).await.unwrap();
    bench.pass(200).await;
    assert!(is_elsewhere(&store, "ian", "m2").await);
    // Late, while nobody has asked for it, it is still there.
    store.renew(&kept, Duration::ZERO).await.unwrap();
    bench.pass(1).await;
    store.record(&kept, &Ok(None)).await.unwrap();
    assert_eq!(outcome(&store, "ian", "m2").await, Some(Ok(None)));
}
