use tetherline::{Acknowledge, Event};
use tetherline_protocol::{Seq, frame::Message};

use crate::support::{Host, ada, event, message, until_caught_up, until_gap};

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

#[tokio::test]
async fn what_was_trimmed_is_a_gap_and_what_is_left_follows() {
    let host = Host::start_as(None, |limits| limits.retention_messages_max = 2);
    for n in 1..=5 {
        host.publish(n).await;
    }
    // They go in the background: look until they are gone.
    let gaps = loop {
        let mut look = host.builder().acknowledge(Acknowledge::Never).connect().unwrap();
        let (mut gaps, mut seqs) = (Vec::new(), Vec::new());
        loop {
            match event(&mut look).await {
                Some(Event::Gap { after, next }) => gaps.push((after, next)),
                Some(Event::Message(message)) => seqs.push(message.seq.unwrap().get()),
                Some(Event::CaughtUp { .. }) => break,
                other => panic!("{other:?} came before everything was there"),
            }
        }
        if seqs == [4, 5] {
            break gaps;
        }
    };
    assert_eq!(gaps.first(), Some(&(Seq::ZERO, seq(4))), "{gaps:?}");
}

#[tokio::test]
async fn who_is_erased_while_connected_hears_of_it_and_goes_on() {
    let host = Host::start();
    host.publish(1).await;
    let mut client = host.builder().connect().unwrap();
    assert_eq!(until_caught_up(&mut client).await, [1]);
    host.server.erase(&ada()).await.unwrap();
    until_gap(&mut client).await;
    host.publish(2).await;
    let new = message(&mut client).await;
    assert_eq!((new.seq, &*new.kind), (Some(seq(2)), "note"));
}

#[tokio::test]
async fn a_live_only_message_comes_without_a_position() {
    let host = Host::start();
    let mut client = host.builder().connect().unwrap();
    until_caught_up(&mut client).await;
    let said = Message::parse(r#"{"type":"typing"}"#).unwrap();
    let id = host.server.publish_live(&ada(), &said).unwrap();
    let heard = message(&mut client).await;
    assert_eq!((heard.seq, heard.id, heard.replayed), (None, Some(id), false));
}
