//! Sends in their order, and what becomes of those for which there is no room.

use tetherline_protocol::ErrorCode;

use super::*;

/// The names of the sends that the next batch refuses for now.
fn refused(rig: &mut Rig) -> Vec<String> {
    let name = |outgoing: Outgoing| {
        let Outgoing::Text(text) = outgoing else { panic!("{outgoing:?}") };
        let frame: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&frame["type"], &frame["retryable"]), (&"error".into(), &true.into()));
        frame["ref"].as_str().unwrap().to_owned()
    };
    rig.written().into_iter().map(name).collect()
}

fn send(rig: &mut Rig, id: &str) {
    rig.input(Input::Text(&format!(r#"{{"type":"t","id":"{id}"}}"#)));
}

fn received(rig: &mut Rig) -> String {
    match rig.output() {
        Some(Output::Receive { id, .. }) => id.to_string(),
        other => panic!("nothing received but {other:?}"),
    }
}

/// These were sent, of which so many may wait, and the first of them, `a`, is with the application for a while.
fn busy_with_a(sends_waiting_max: usize, sent: &[&str]) -> Rig {
    let mut rig = rig(Wire::V1, 0, |limits| limits.sends_waiting_max = sends_waiting_max);
    for id in sent {
        send(&mut rig, id);
    }
    assert_eq!(received(&mut rig), "a");
    rig.pass(Duration::from_millis(1_500));
    rig
}

#[test]
fn what_has_no_room_is_refused_and_let_in_again_in_its_order() {
    // Nothing was read any more, and pings and acknowledgements waited with the sends.
    let mut rig = busy_with_a(2, &["a", "b", "c"]);
    for id in ["d", "e"] {
        assert!(rig.session.wants_input());
        send(&mut rig, id);
    }
    assert_eq!(refused(&mut rig), ["d", "e"]);
    rig.input(Input::Settled(Ok(None)));
    assert!(matches!(rig.output(), Some(Output::Receive { .. })));
    assert_eq!(rig.written().len(), 1, "a is accepted");
    // There is room again, and still nothing overtakes.
    send(&mut rig, "e");
    assert_eq!(refused(&mut rig), ["e"]);
    send(&mut rig, "d");
    rig.pass(Duration::from_millis(1_500));
    send(&mut rig, "e");
    assert_eq!(refused(&mut rig), ["e"]);
    for id in ["c", "d"] {
        rig.input(Input::Settled(Ok(None)));
        assert_eq!(received(&mut rig), id);
        rig.written();
    }
}

#[test]
fn an_earlier_refusal_takes_the_place_of_one_for_want_of_room() {
    let mut rig = busy_with_a(1, &["a", "b"]);
    send(&mut rig, "c");
    assert_eq!(refused(&mut rig), ["c"]);
    rig.input(Input::Settled(Err(Refusal::new(ErrorCode::Unavailable, "not now"))));
    assert_eq!(refused(&mut rig), ["a", "b"]);
    // It had not heard of a yet.
    send(&mut rig, "c");
    assert_eq!(refused(&mut rig), ["c"]);
    for id in ["a", "b", "c"] {
        send(&mut rig, id);
        if id != "a" {
            rig.input(Input::Settled(Ok(None)));
        }
        assert_eq!(received(&mut rig), id);
        if id != "a" {
            rig.written();
        }
    }
}

#[test]
fn a_repeat_for_which_there_is_no_room_is_not_waited_for() {
    // The first of the two was accepted, so the client never repeated it again, and everything behind it
    // was refused for ever. The simulator saw it.
    let mut rig = busy_with_a(1, &["a", "b"]);
    send(&mut rig, "b");
    send(&mut rig, "c");
    assert_eq!(refused(&mut rig), ["c"]);
    for _ in 0..2 {
        rig.input(Input::Settled(Ok(None)));
    }
    assert_eq!(received(&mut rig), "b");
    rig.written();
    send(&mut rig, "c");
    assert_eq!(received(&mut rig), "c");
}

#[test]
fn a_repeat_that_waits_leaves_the_order_of_what_had_no_room() {
    // The repeat was let in, and with it everything that came later. The simulator saw it.
    let mut rig = busy_with_a(1, &["a", "a"]);
    send(&mut rig, "b");
    assert_eq!(refused(&mut rig), ["b"]);
    rig.input(Input::Settled(Err(Refusal::new(ErrorCode::Unavailable, "not now"))));
    assert_eq!(received(&mut rig), "a");
    assert_eq!(refused(&mut rig), ["a"]);
    rig.input(Input::Settled(Ok(None)));
    rig.written();
    send(&mut rig, "c");
    assert_eq!(refused(&mut rig), ["c"], "b comes first");
}

#[test]
fn what_is_refused_behind_a_repeat_that_waits_comes_before_what_had_no_room() {
    // Only what had had no room was waited for, and it overtook what was refused just now. The simulator
    // saw it.
    let mut rig = busy_with_a(2, &["a", "b", "a"]);
    send(&mut rig, "c");
    assert_eq!(refused(&mut rig), ["c"]);
    rig.input(Input::Settled(Err(Refusal::new(ErrorCode::Unavailable, "not now"))));
    assert_eq!(received(&mut rig), "a");
    assert_eq!(refused(&mut rig), ["a", "b"]);
    rig.input(Input::Settled(Ok(None)));
    rig.written();
    send(&mut rig, "c");
    assert_eq!(refused(&mut rig), ["c"], "b comes first");
    for id in ["b", "c"] {
        send(&mut rig, id);
        assert_eq!(received(&mut rig), id);
        rig.input(Input::Settled(Ok(None)));
        rig.written();
    }
}

#[test]
fn whoever_sends_nothing_does_not_ask_whether_there_is_room() {
    // Each frame of each connection took the one lock that counts everybody's sends.
    let (connection, now) = ("c1".parse().unwrap(), Instant::now());
    let mut sends = Sends::new(connection, 1);
    sends.look(|| panic!("nobody is to be asked"), now);
    assert!(sends.wants_more());
}
