//! What is kept no longer, or never was, and what is in flight.

use super::*;

#[test]
fn a_hole_that_retention_left_is_said_out_loud() {
    let mut rig = rig(Wire::V1, 5, |_| {});
    rig.input(Input::Text(r#"{"type":"get_pending","after":0}"#));
    let (read_no, ..) = rig.read();
    rig.page(read_no, 4..=5, 10);
    let batch = rig.written();
    let Some(Outgoing::Text(summary)) = batch.last() else { panic!("{batch:?}") };
    assert!(summary.contains(r#""recovered":false"#), "{summary}");
    let gap = r#"{"type":"mailbox_gap","after":0,"next":4}"#;
    assert_eq!((batch.len(), &batch[0]), (4, &Outgoing::Text(gap.into())));
}

#[test]
fn when_everything_that_waited_was_trimmed_that_is_said_and_what_follows_comes() {
    let mut rig = rig(Wire::V1, 5, |_| {});
    rig.input(Input::Text(r#"{"type":"get_pending","after":2}"#));
    let (read_no, ..) = rig.read();
    rig.input(Input::Page { read_no, page: Ok(Vec::new()) });
    assert_eq!(rig.output(), Some(Output::Locate));
    rig.input(Input::Located(Ok(place(5, 5))));
    assert_eq!(rig.summaries(), [(5, false)]);
    rig.input(Input::Head(seq(6), None));
    assert_eq!(rig.read().1, 5);
}

#[test]
fn what_is_trimmed_before_a_slow_reader_gets_there_is_said_too() {
    let mut rig = rig(Wire::V1, 2, |_| {});
    rig.input(Input::Text(r#"{"type":"get_pending","after":2}"#));
    assert_eq!(rig.summaries(), [(2, true)]);
    rig.input(Input::Head(seq(9), None));
    let (read_no, ..) = rig.read();
    rig.input(Input::Page { read_no, page: Ok(Vec::new()) });
    assert_eq!(rig.output(), Some(Output::Locate));
    rig.input(Input::Located(Ok(place(9, 9))));
    assert_eq!(rig.summaries(), [(9, false)]);
}

#[test]
fn a_store_that_lacks_what_it_never_trimmed_is_at_fault() {
    let mut rig = rig(Wire::V1, 5, |_| {});
    rig.input(Input::Text(r#"{"type":"get_pending","after":2}"#));
    let (read_no, ..) = rig.read();
    rig.input(Input::Page { read_no, page: Ok(Vec::new()) });
    rig.input(Input::Located(Ok(place(5, 2))));
    assert_eq!(rig.close_code(), Some(CloseCode::Internal));
}

#[test]
fn a_hole_counts_for_nothing_in_what_is_in_flight() {
    let mut rig = rig(Wire::V1, 5_010, |limits| limits.in_flight_messages_max = 3);
    rig.input(Input::Text(r#"{"type":"ack","seq":0}"#));
    rig.input(Input::Text(r#"{"type":"get_pending","after":0}"#));
    let (read_no, ..) = rig.read();
    rig.page(read_no, 5_001..=5_004, 10);
    assert_eq!(rig.written_after_gap(0, 5_001), 3);
    assert_eq!(rig.output(), None);
    rig.input(Input::Text(r#"{"type":"ack","seq":5001}"#));
    assert_eq!(rig.output(), Some(Output::Acknowledge(seq(5_001))));
    let (read_no, after, room) = rig.read();
    assert_eq!((after, room.messages), (5_003, 1));
    rig.page(read_no, 5_004..=5_005, 10);
    assert_eq!(rig.written().len(), 1);
}

#[test]
fn a_hole_behind_what_is_in_flight_lets_nothing_more_through() {
    let mut rig = rig(Wire::V1, 100, |limits| limits.in_flight_messages_max = 3);
    rig.input(Input::Text(r#"{"type":"ack","seq":0}"#));
    rig.input(Input::Text(r#"{"type":"get_pending","after":0}"#));
    let (read_no, ..) = rig.read();
    rig.page(read_no, 1..=3, 10);
    assert_eq!(rig.written().len(), 3);
    rig.input(Input::Text(r#"{"type":"ack","seq":1}"#));
    assert_eq!(rig.output(), Some(Output::Acknowledge(seq(1))));
    let (read_no, after, _) = rig.read();
    assert_eq!(after, 3);
    rig.page(read_no, 50..=52, 10);
    assert_eq!(rig.written_after_gap(3, 50), 1, "2, 3 and 50");
    assert_eq!(rig.output(), None);
}

#[test]
fn a_hole_that_is_behind_the_client_makes_no_room_for_more() {
    // Found by the property tests: all holes counted until the last was passed, so that a client
    // between two of them was taken for one with nothing in flight.
    let messages = |batch: Vec<Outgoing>| {
        batch
            .iter()
            .filter(|out| matches!(out, Outgoing::Text(text) if text.starts_with('x')))
            .count()
    };
    let mut rig = rig(Wire::V1, 100, |limits| limits.in_flight_messages_max = 3);
    rig.input(Input::Text(r#"{"type":"ack","seq":0}"#));
    rig.input(Input::Text(r#"{"type":"get_pending","after":0}"#));
    let (read_no, ..) = rig.read();
    let page = [10, 11, 30].map(|n| Delivery { seq: seq(n), text: "x".into() });
    rig.input(Input::Page { read_no, page: Ok(page.into()) });
    assert_eq!(messages(rig.written()), 3);
    rig.input(Input::Text(r#"{"type":"ack","seq":10}"#));
    assert_eq!(rig.output(), Some(Output::Acknowledge(seq(10))));
    let (read_no, after, room) = rig.read();
    assert_eq!((after, room.messages), (30, 1), "11 and 30 are in flight");
    rig.page(read_no, 31..=33, 1);
    assert_eq!(messages(rig.written()), 1);
}

#[test]
fn limits_bind_only_who_acknowledges() {
    let one_at_a_time = |limits: &mut Limits| {
        (limits.in_flight_messages_max, limits.in_flight_bytes_max) = (1, 1);
    };
    let mut rig = rig(Wire::V1, 10, one_at_a_time);
    rig.input(Input::Text(r#"{"type":"get_pending","after":0}"#));
    let (read_no, ..) = rig.read();
    rig.page(read_no, 1..=10, 100);
    assert_eq!(rig.written().len(), 11, "and the summary");
    // From now on it does: 2 to 10 are on their way.
    rig.input(Input::Text(r#"{"type":"ack","seq":1}"#));
    assert_eq!(rig.output(), Some(Output::Acknowledge(seq(1))));
    rig.input(Input::Head(seq(12), None));
    assert_eq!(rig.output(), None);
    rig.input(Input::Acknowledged);
    rig.input(Input::Text(r#"{"type":"ack","seq":9}"#));
    assert_eq!(rig.output(), Some(Output::Acknowledge(seq(9))));
    assert_eq!(rig.output(), None, "10 is still on its way");
    rig.input(Input::Acknowledged);
    rig.input(Input::Text(r#"{"type":"ack","seq":10}"#));
    assert_eq!(rig.output(), Some(Output::Acknowledge(seq(10))));
    let (read_no, after, _) = rig.read();
    assert_eq!(after, 10);
    rig.page(read_no, 11..=12, 100);
    assert_eq!(rig.written().len(), 1, "one always passes");
}

#[test]
fn no_limit_is_so_small_that_nothing_passes() {
    let nothing = |limits: &mut Limits| {
        (limits.in_flight_messages_max, limits.in_flight_bytes_max) = (0, 0);
    };
    let mut rig = rig(Wire::V1, 30, nothing);
    rig.input(Input::Text(r#"{"type":"ack","seq":0}"#));
    rig.input(Input::Text(r#"{"type":"get_pending","after":0}"#));
    let (read_no, _, room) = rig.read();
    assert_eq!(room.messages, 1);
    rig.page(read_no, 1..=1, 100);
    assert_eq!(rig.written().len(), 1);
    assert_eq!(rig.output(), None);
}

#[test]
fn a_mailbox_that_counts_anew_ends_the_connection_that_knows_the_old_one() {
    let mut told = rig(Wire::V1, 5, |_| {});
    told.input(Input::Notice(Notice::Erased));
    assert_eq!(told.close_code(), Some(CloseCode::Erased));
    let mut finds_out = rig(Wire::V1, 5, |_| {});
    finds_out.input(Input::Text(r#"{"type":"get_pending"}"#));
    assert_eq!(finds_out.output(), Some(Output::Locate));
    let mut anew = place(5, 5);
    anew.head.epoch = "e.1".parse().unwrap();
    finds_out.input(Input::Located(Ok(anew)));
    assert_eq!(finds_out.close_code(), Some(CloseCode::Erased));
}

#[test]
fn live_only_messages_wait_for_the_socket_and_not_for_the_store() {
    let mut rig = rig(Wire::V1, 5, |_| {});
    rig.input(Input::Text(r#"{"type":"get_pending","after":0}"#));
    let (read_no, ..) = rig.read();
    rig.input(Input::Live);
    assert!(matches!(rig.output(), Some(Output::ReadLive(_))), "the store may take its time");
    rig.input(Input::LivePage { texts: vec!["a".into(), "b".into()], more: true });
    assert!(matches!(rig.output(), Some(Output::Write(batch)) if batch.len() == 2));
    rig.input(Input::Live);
    assert_eq!(rig.output(), None, "the socket is still busy");
    rig.page(read_no, 1..=5, 10);
    rig.input(Input::Written);
    assert_eq!(rig.written().len(), 6, "five, and the summary");
    assert!(matches!(rig.output(), Some(Output::ReadLive(_))));
    rig.input(Input::LivePage { texts: Vec::new(), more: false });
    assert_eq!(rig.output(), None);
}

#[test]
fn a_plain_client_is_told_that_what_was_older_is_gone() {
    let mut rig = rig(Wire::Plain, 3, |_| {});
    rig.input(Input::Head(seq(4), None));
    let (read_no, ..) = rig.read();
    rig.page(read_no, 4..=4, 10);
    rig.written();
    rig.input(Input::Text(r#"{"type":"get_pending"}"#));
    let (read_no, ..) = rig.read();
    rig.page(read_no, 4..=4, 10);
    assert_eq!(rig.summaries(), [(4, false)], "1 to 3 were trimmed, and 4 comes once");
}

#[test]
fn a_plain_client_for_whom_nothing_is_left_is_told_so() {
    let mut rig = rig(Wire::Plain, 3, |_| {});
    rig.input(Input::Text(r#"{"type":"get_pending"}"#));
    let (read_no, ..) = rig.read();
    rig.input(Input::Page { read_no, page: Ok(Vec::new()) });
    assert_eq!(rig.output(), Some(Output::Locate));
    rig.input(Input::Located(Ok(place(3, 3))));
    assert_eq!(rig.summaries(), [(3, false)]);
    rig.input(Input::Head(seq(4), None));
    assert_eq!(rig.read().1, 3);
}
