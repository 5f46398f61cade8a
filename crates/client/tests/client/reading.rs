use std::{future::Future as _, pin::pin, task::Poll};

use futures_util::FutureExt as _;
use tetherline::{Acknowledge, Status};
use tetherline_protocol::Seq;

use crate::support::{Door, Host, message, until, until_caught_up, until_gap, until_waiting};

#[tokio::test]
async fn what_waits_comes_first_and_then_what_is_new() {
    let host = Host::start();
    host.publish(1).await;
    host.publish(2).await;
    let mut client = host.builder().connect().unwrap();
    assert_eq!(until_caught_up(&mut client).await, [1, 2]);
    host.publish(3).await;
    let live = message(&mut client).await;
    assert_eq!((live.seq, live.replayed, &*live.kind), (Seq::new(3), false, "note"));
}

#[tokio::test]
async fn what_an_application_did_not_ask_for_is_not_acknowledged() {
    let host = Host::start();
    for n in 1..=50 {
        host.publish(n).await;
    }
    let mut slow = host.builder().connect().unwrap();
    until(&slow, Status::Connected).await;
    assert_eq!(message(&mut slow).await.seq, Seq::new(1));
    assert_eq!(message(&mut slow).await.seq, Seq::new(2));
    // The first was handled when the second was asked for; closing says that of the second.
    slow.close().await;
    until_waiting(&host, &(3..=50).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn an_application_that_was_slow_gets_everything_in_order() {
    let host = Host::start();
    let mut client = host.builder().connect().unwrap();
    until_caught_up(&mut client).await;
    // Nobody asks meanwhile: more than the server keeps in flight to one connection.
    for n in 1..=1_500 {
        host.publish(n).await;
    }
    for n in 1..=1_500 {
        assert_eq!(message(&mut client).await.seq, Seq::new(n));
    }
}

#[tokio::test]
async fn with_explicit_acknowledgement_only_what_was_said_counts() {
    let host = Host::start();
    for n in 1..=3 {
        host.publish(n).await;
    }
    let explicit = host.builder().acknowledge(Acknowledge::Explicitly);
    let mut client = explicit.connect().unwrap();
    let first = message(&mut client).await;
    message(&mut client).await;
    client.ack(first.receipt).await;
    client.close().await;
    until_waiting(&host, &[2, 3]).await;
}

#[tokio::test]
async fn a_late_acknowledgement_settles_only_the_message_that_it_is_about() {
    // It settled the message at the same position of the restored mailbox, which the application
    // still had in hand: the server then never delivered that one again.
    let (lost, restored) = (Host::start(), Host::start());
    for n in 1..=3 {
        lost.publish(n).await;
        restored.publish(n).await;
    }
    let mut door = Door::open(&lost).await;
    let explicit = lost.builder_at(&door.url).acknowledge(Acknowledge::Explicitly);
    let mut client = explicit.connect().unwrap();
    let old = message(&mut client).await;
    door.lead_to(&restored);
    until_gap(&mut client).await;
    let new = message(&mut client).await;
    let second = message(&mut client).await;
    assert_eq!((old.seq, new.seq, second.seq), (Seq::new(1), Seq::new(1), Seq::new(2)));
    client.ack(old.receipt).await;
    client.ack(second.receipt).await;
    client.close().await;
    until_waiting(&restored, &[1, 2, 3]).await;

    let mut again = restored.builder().acknowledge(Acknowledge::Explicitly).connect().unwrap();
    let new = message(&mut again).await;
    again.ack(new.receipt).await;
    again.close().await;
    until_waiting(&restored, &[2, 3]).await;
}

#[tokio::test]
async fn a_cancelled_next_loses_nothing() {
    let host = Host::start();
    let mut client = host.builder().connect().unwrap();
    until_caught_up(&mut client).await;
    {
        let mut next = pin!(client.next());
        let polled = std::future::poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await;
        assert!(polled.is_pending());
    }
    host.publish(1).await;
    assert_eq!(message(&mut client).await.seq, Seq::new(1));
}

#[tokio::test]
async fn a_next_that_is_cancelled_in_the_queue_forgets_no_acknowledgement() {
    let host = Host::start();
    for n in 1..=3 {
        host.publish(n).await;
    }
    let mut client = host.builder().connect().unwrap();
    let first = message(&mut client).await;
    assert_eq!(message(&mut client).await.seq, Seq::new(2));
    // The driver does not run meanwhile, so its queue fills up.
    while client.ack(first.receipt).now_or_never().is_some() {}
    assert!(client.next().now_or_never().is_none());
    assert_eq!(message(&mut client).await.seq, Seq::new(3));
    client.close().await;
    until_waiting(&host, &[]).await;
}

#[tokio::test]
async fn reading_may_start_before_and_after_what_the_device_has_seen() {
    let host = Host::start();
    for n in 1..=4 {
        host.publish(n).await;
    }
    let mut first = host.builder().connect().unwrap();
    assert_eq!(until_caught_up(&mut first).await, [1, 2, 3, 4]);
    first.close().await;
    until_waiting(&host, &[]).await;
    let mut again = host.builder().start_after(Seq::new(1).unwrap()).connect().unwrap();
    assert_eq!(until_caught_up(&mut again).await, [2, 3, 4]);
    let phone = host.builder().device("phone".parse().unwrap());
    let mut ahead = phone.start_after(Seq::new(3).unwrap()).connect().unwrap();
    assert_eq!(until_caught_up(&mut ahead).await, [4]);
}
