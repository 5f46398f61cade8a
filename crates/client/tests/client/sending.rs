use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use tetherline::SendError;
use tetherline_protocol::ErrorCode;
use tetherline_server::{Application, Incoming, Rate, Refusal, SendAnswer};
use tokio::time::timeout;

use crate::support::{Host, PATIENCE, until_caught_up};

/// Takes what it gets, but is busy a number of times first, and wants no `unwanted`. It answers `counted` with
/// how many it has taken.
#[derive(Default)]
struct Desk {
    busy: AtomicUsize,
    taken: Mutex<Vec<String>>,
}

impl Application for Desk {
    fn receive(&self, incoming: Incoming) -> BoxFuture<'_, Result<Option<SendAnswer>, Refusal>> {
        async move {
            if incoming.message.kind() == "unwanted" {
                return Err(Refusal::new(ErrorCode::Rejected, "nobody wants it"));
            }
            let busy =
                self.busy.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
            if busy.is_ok() {
                let wait = Duration::from_millis(20);
                return Err(Refusal::new(ErrorCode::Unavailable, "busy").retry_after(wait));
            }
            let mut taken = self.taken.lock().unwrap();
            taken.push(incoming.message.to_object());
            let is_question = incoming.message.kind() == "counted";
            Ok(is_question.then(|| SendAnswer::of(&taken.len()).unwrap()))
        }
        .boxed()
    }
}

#[tokio::test]
async fn a_message_is_taken_and_its_sender_told_so() {
    let desk = Arc::new(Desk::default());
    let host = Host::start_with(Some(desk.clone()));
    let client = host.builder().connect().unwrap();
    let accepted = client.send(r#"{"type":"order","id":"order-1","n":1}"#).await.unwrap();
    assert_eq!(accepted.id.as_str(), "order-1");
    assert_eq!(*desk.taken.lock().unwrap(), [r#"{"n":1}"#]);
}

#[tokio::test]
async fn what_the_application_answers_comes_with_its_yes_and_again_with_a_repeat() {
    // A native client could ask nothing either.
    let host = Host::start_with(Some(Arc::new(Desk::default())));
    let client = host.builder().connect().unwrap();
    let question = r#"{"type":"counted","id":"q1"}"#;
    let first = client.send(question).await.unwrap().answer.unwrap();
    assert_eq!(first.read::<usize>().unwrap(), 1);
    assert_eq!(client.send(r#"{"type":"order"}"#).await.unwrap().answer, None);
    assert_eq!(client.send(question).await.unwrap().answer, Some(first));
}

#[tokio::test]
async fn a_message_that_is_repeated_while_it_is_under_way_is_taken_once_and_answered_twice() {
    // The first of the two heard nothing, and was sent again on every connection for a day.
    let desk = Arc::new(Desk { busy: AtomicUsize::new(1), ..Desk::default() });
    let host = Host::start_with(Some(desk.clone()));
    let client = host.builder().connect().unwrap();
    let order = r#"{"type":"order","id":"order-1"}"#;
    let both = async { tokio::join!(client.send(order), client.send(order)) };
    let (first, second) = timeout(PATIENCE, both).await.expect("both are answered");
    assert_eq!((first.is_ok(), second.is_ok()), (true, true));
    assert_eq!(*desk.taken.lock().unwrap(), ["{}"]);
}

#[tokio::test]
async fn a_busy_application_gets_everything_later_and_in_order() {
    let desk = Arc::new(Desk { busy: AtomicUsize::new(2), ..Desk::default() });
    let host = Host::start_with(Some(desk.clone()));
    let client = host.builder().connect().unwrap();
    let send = |n: u64| {
        let sender = client.sender();
        async move { sender.send(&format!(r#"{{"type":"order","n":{n}}}"#)).await }
    };
    let (one, two, three) = tokio::join!(send(1), send(2), send(3));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(*desk.taken.lock().unwrap(), [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]);
}

#[tokio::test]
async fn sends_that_come_too_fast_are_taken_later_each_once_and_in_order() {
    let desk = Arc::new(Desk::default());
    let host = Host::start_set_up(Some(desk.clone()), |config| {
        config.rates.sends_per_connection = Some(Rate::per_second(20).at_once(10));
    });
    let client = host.builder().connect().unwrap();
    let sends = (0..40).map(|n| {
        let sender = client.sender();
        async move { sender.send(&format!(r#"{{"type":"order","n":{n}}}"#)).await }
    });
    for sent in timeout(PATIENCE, join_all(sends)).await.expect("all are taken") {
        assert!(sent.is_ok(), "{sent:?}");
    }
    let expected: Vec<_> = (0..40).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    assert_eq!(*desk.taken.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_refusal_comes_back_in_the_applications_words() {
    let host = Host::start_with(Some(Arc::new(Desk::default())));
    let client = host.builder().connect().unwrap();
    let refused = client.send(r#"{"type":"unwanted"}"#).await.unwrap_err();
    let expected =
        SendError::Refused { code: "rejected".into(), message: "nobody wants it".into() };
    assert_eq!(refused, expected);
    assert!(matches!(client.send("[]").await, Err(SendError::Invalid(_))));
}

#[tokio::test]
async fn a_message_waits_for_as_long_as_its_sender_says_and_for_three_days_at_most() {
    let desk = Arc::new(Desk { busy: AtomicUsize::new(usize::MAX), ..Desk::default() });
    let host = Host::start_with(Some(desk));
    let client = host.builder().connect().unwrap();
    let order = r#"{"type":"order"}"#;
    let soon = client.send_within(order, Duration::from_millis(50)).await;
    assert_eq!(soon, Err(SendError::Expired));
    let three_days = Duration::from_hours(72);
    let longer = client.send_within(order, three_days + Duration::from_millis(1)).await;
    assert_eq!(longer, Err(SendError::TtlTooLong));
}

#[tokio::test]
async fn sending_goes_on_while_the_client_waits_for_the_next_event() {
    let host = Host::start_with(Some(Arc::new(Desk::default())));
    let mut client = host.builder().connect().unwrap();
    until_caught_up(&mut client).await;
    let sender = client.sender();
    tokio::select! {
        accepted = sender.send(r#"{"type":"order"}"#) => assert!(accepted.is_ok()),
        event = client.next() => panic!("{event:?} came, though nothing was published"),
    }
}

#[tokio::test]
async fn a_send_settles_behind_messages_that_nobody_has_asked_for() {
    let host = Host::start_with(Some(Arc::new(Desk::default())));
    for n in 1..=100 {
        host.publish(n).await;
    }
    let mut client = host.builder().connect().unwrap();
    client.send(r#"{"type":"order"}"#).await.unwrap();
    assert_eq!(until_caught_up(&mut client).await, (1..=100).collect::<Vec<_>>());
}
