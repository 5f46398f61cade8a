use tetherline_protocol::ErrorCode;

use super::*;
use crate::rates::{HOLDS_MAX, REFUSALS_MAX, Rate, Rates};

const SECOND: Duration = Duration::from_secs(1);
const PING: &str = r#"{"type":"ping","timestamp":1}"#;

fn meters(change: impl FnOnce(&mut Rates)) -> Arc<Meters> {
    let mut rates = Rates::default();
    change(&mut rates);
    Arc::new(Meters::without_addresses(&rates))
}

fn limited(meters: &Arc<Meters>) -> Rig {
    rig_with(Wire::V1, 1_000, Limits::default(), meters.clone(), Instant::now())
}

impl Rig {
    fn sends(&mut self, id: &str) {
        self.input(Input::Text(&format!(r#"{{"type":"m","id":"{id}"}}"#)));
    }

    /// Which send the application gets next, if any.
    fn handed_over(&mut self) -> Option<String> {
        match self.output() {
            Some(Output::Receive { id, .. }) => {
                self.input(Input::Settled(Ok(None)));
                Some(id.as_str().into())
            }
            other => {
                assert_eq!(other, None);
                None
            }
        }
    }

    /// What has become of sends since: id, whether it was taken, and when to come again, in ms.
    fn answers(&mut self) -> Vec<(String, bool, Option<u64>)> {
        self.said()
            .iter()
            .map(|frame| {
                let id = frame["ref"].as_str().unwrap_or_default().into();
                let is_refused = frame["type"] == "error";
                assert!(!is_refused || frame["code"] == "rate_limited");
                (id, !is_refused, frame["retry_after_ms"].as_u64())
            })
            .collect()
    }

    fn said(&mut self) -> Vec<serde_json::Value> {
        let parsed = |outgoing| match outgoing {
            Outgoing::Text(text) => serde_json::from_str(&text).ok(),
            _ => None,
        };
        self.written().into_iter().filter_map(parsed).collect()
    }
}

fn answer(id: &str, is_taken: bool, wait: Option<u64>) -> (String, bool, Option<u64>) {
    (id.into(), is_taken, wait)
}

#[test]
fn sends_that_come_too_fast_are_refused_in_order_and_taken_when_they_come_again() {
    let mut rig = limited(&meters(|rates| rates.sends_per_connection = Some(Rate::per_second(2))));
    for id in ["s1", "s2"] {
        rig.sends(id);
        assert_eq!(rig.handed_over().as_deref(), Some(id));
        assert_eq!(rig.answers(), [answer(id, true, None)]);
    }
    for id in ["s3", "s4"] {
        rig.sends(id);
        assert_eq!(rig.answers(), [answer(id, false, Some(1_000))]);
    }
    rig.now += SECOND;
    // The fourth is back before the third: it must not overtake.
    rig.sends("s4");
    assert_eq!(rig.answers(), [answer("s4", false, Some(1_000))]);
    for id in ["s3", "s4"] {
        rig.sends(id);
        assert_eq!(rig.handed_over().as_deref(), Some(id));
        assert_eq!(rig.answers(), [answer(id, true, None)]);
    }
}

#[test]
fn a_repeat_of_what_waits_is_not_refused_however_fast_it_comes() {
    // It would have been waited for after it was answered, and in vain.
    let mut rig = limited(&meters(|rates| rates.sends_per_connection = Some(Rate::per_second(1))));
    rig.sends("s1");
    assert!(matches!(rig.output(), Some(Output::Receive { .. })));
    rig.sends("s1");
    assert_eq!(rig.output(), None);
    rig.input(Input::Settled(Ok(None)));
    assert_eq!(rig.answers(), [answer("s1", true, None)]);
    rig.now += SECOND;
    rig.sends("s2");
    assert_eq!(rig.handed_over().as_deref(), Some("s2"));
}

#[test]
fn sends_are_counted_in_bytes_too() {
    let frame = r#"{"type":"m","id":"s1"}"#;
    let rate = Rate::per_second(u32::try_from(frame.len()).unwrap());
    let mut rig = limited(&meters(|rates| rates.send_bytes_per_connection = Some(rate)));
    rig.sends("s1");
    assert_eq!(rig.handed_over().as_deref(), Some("s1"));
    assert_eq!(rig.answers(), [answer("s1", true, None)]);
    rig.sends("s2");
    assert_eq!(rig.answers(), [answer("s2", false, Some(1_000))]);
}

#[test]
fn a_users_connections_share_what_is_the_users() {
    let meters = meters(|rates| {
        rates.sends_per_user = Some(Rate::per_second(1));
        rates.send_bytes_per_user = Some(Rate::per_second(1_000));
    });
    let (mut here, mut there) = (limited(&meters), limited(&meters));
    here.sends("s1");
    assert_eq!(here.handed_over().as_deref(), Some("s1"));
    there.now = here.now;
    there.sends("s2");
    assert_eq!(there.answers(), [answer("s2", false, Some(1_000))]);
    there.now += SECOND;
    there.sends("s2");
    assert_eq!(there.handed_over().as_deref(), Some("s2"));
}

#[test]
fn who_says_too_much_is_told_so_and_not_listened_to_for_a_while() {
    let rate = Rate::per_second(10).at_once(20);
    let mut rig = limited(&meters(|rates| rates.controls_per_connection = Some(rate)));
    for _ in 0..20 {
        rig.input(Input::Text(PING));
        assert_eq!(rig.said()[0]["type"], "pong");
        assert!(rig.session.wants_input());
    }
    rig.input(Input::Text(PING));
    let frames = rig.said();
    assert_eq!(frames[0]["type"], "pong", "it counts all the same");
    assert_eq!(frames[1]["code"], "rate_limited");
    assert_eq!(frames[1]["retry_after_ms"], 200);
    assert!(!rig.session.wants_input());
    assert_eq!(rig.session.poll_timeout(), Some(rig.now + Duration::from_millis(200)));
    rig.pass(Duration::from_millis(199));
    assert!(!rig.session.wants_input());
    rig.pass(Duration::from_millis(1));
    assert!(rig.session.wants_input());
}

#[test]
fn websocket_pings_and_frames_that_are_none_count_as_well() {
    let meters = meters(|rates| rates.controls_per_connection = Some(Rate::per_second(2)));
    let said: [fn() -> Input<'static>; 3] = [
        || Input::Ping(Bytes::from_static(b"x")),
        || Input::Pong(b"x"),
        || Input::Text("no frame"),
    ];
    for input in said {
        let mut rig = limited(&meters);
        rig.input(input());
        rig.input(input());
        assert!(rig.session.wants_input());
        rig.input(input());
        assert!(!rig.session.wants_input());
    }
}

#[test]
fn one_acknowledgement_of_each_message_is_free() {
    // Whoever was sent more than a hundred messages in each second, and acknowledged each, was closed with 4429; so was
    // who read again what the device had acknowledged before.
    let meters = meters(|rates| rates.controls_per_connection = Some(Rate::per_second(3)));
    let mut rig = limited(&meters);
    for _ in 0..2 {
        rig.input(Input::Text(r#"{"type":"get_pending","after":0}"#));
        let (read_no, ..) = rig.read();
        rig.page(read_no, 1..=500, 10);
        rig.written();
        for seq in 1..=500 {
            rig.input(Input::Text(&format!(r#"{{"type":"ack","seq":{seq}}}"#)));
            while let Some(output) = rig.output() {
                if matches!(output, Output::Acknowledge(_)) {
                    rig.input(Input::Acknowledged);
                }
            }
            assert!(rig.session.wants_input(), "{seq}");
        }
    }
    for seq in [500, 501] {
        rig.input(Input::Text(&format!(r#"{{"type":"ack","seq":{seq}}}"#)));
    }
    assert!(!rig.session.wants_input(), "one of them is no news, and the other was not sent");
}

#[test]
fn who_says_too_much_again_and_again_is_sent_away() {
    let mut rig =
        limited(&meters(|rates| rates.controls_per_connection = Some(Rate::per_second(1))));
    let mut held = 0;
    let code = loop {
        rig.input(Input::Text(PING));
        if rig.session.closed {
            break rig.close_code();
        }
        rig.said();
        if !rig.session.wants_input() {
            held += 1;
            rig.pass(2 * SECOND);
        }
    };
    assert_eq!((code, held), (Some(CloseCode::RateLimited), HOLDS_MAX));
}

#[test]
fn who_is_refused_again_and_again_is_not_listened_to_either() {
    let mut rig = limited(&meters(|rates| rates.sends_per_connection = Some(Rate::per_hour(1))));
    rig.sends("s0");
    rig.handed_over();
    rig.answers();
    for n in 0..REFUSALS_MAX {
        rig.sends(&format!("s{n}"));
        assert!(!rig.answers()[0].1);
        assert!(rig.session.wants_input());
    }
    rig.sends("s");
    assert_eq!(rig.said().len(), 2);
    assert!(!rig.session.wants_input());
}

#[test]
fn who_sends_outboxes_again_while_the_application_is_away_is_listened_to_all_the_time() {
    // Whatever waited behind the refused one counted as too much: seconds of an outage ended with 4429.
    const OUTBOX: usize = 1_000;
    let mut rig = limited(&meters(|_| {}));
    let mut refused = 0;
    // Two outboxes, twice a second, for two minutes.
    for _ in 0..240 {
        for n in 0..2 * OUTBOX {
            rig.sends(&format!("s{n}"));
            if n == 0 {
                assert!(matches!(rig.output(), Some(Output::Receive { .. })), "after {refused}");
                rig.input(Input::Settled(Err(Refusal::new(ErrorCode::Unavailable, "not now"))));
            }
            refused += rig.written().len();
            assert!(rig.session.wants_input() && !rig.session.closed, "after {refused}");
        }
        rig.pass(SECOND / 2);
    }
    assert_eq!(refused, 240 * 2 * OUTBOX);
}

#[test]
fn what_a_user_says_is_counted_over_all_connections_and_those_that_come_later() {
    // Whoever came back could say as much as before, as fast as they came back.
    let rate = Rate::per_second(2).at_once(20);
    let meters = meters(|rates| rates.controls_per_user = Some(rate));
    let mut first = limited(&meters);
    let (now, mut said) = (first.now, 0);
    while said < 20 {
        first.input(Input::Text(PING));
        said += 1;
        assert!(first.session.wants_input());
    }
    drop(first);
    let mut back = limited(&meters);
    back.now = now;
    back.input(Input::Text(PING));
    assert_eq!(back.said()[1]["code"], "rate_limited");
    assert!(!back.session.wants_input());
    // The one that was too much counts as well.
    assert_eq!(back.session.poll_timeout(), Some(now + SECOND));
    back.pass(3 * SECOND / 2);
    back.input(Input::Text(PING));
    assert!(back.session.wants_input());
}

#[test]
fn what_was_asked_for_comes_no_faster_than_is_allowed_and_all_of_it() {
    let rate = Rate::per_second(32 * 1024);
    let mut rig = limited(&meters(|rates| rates.replay_bytes_per_connection = Some(rate)));
    rig.input(Input::Text(r#"{"type":"get_pending","after":0}"#));
    let mut sent = 0;
    let start = rig.now;
    while sent < 1_000 {
        let Some(Output::Read { read_no, after, .. }) = rig.output() else {
            let alarm = rig.session.poll_timeout().unwrap();
            rig.now = alarm;
            rig.input(Input::Timeout);
            continue;
        };
        assert_eq!(after.get(), sent);
        rig.page(read_no, sent + 1..=sent + 10, 1_024);
        sent += 10;
        rig.written();
    }
    // A second's worth came at once.
    let took = rig.now - start;
    assert!((29 * SECOND..=31 * SECOND).contains(&took), "{took:?}");
    // What comes now was not asked for.
    rig.input(Input::Head(seq(1_001), None));
    rig.read();
}

#[test]
fn who_asks_again_and_again_gets_no_more_for_it() {
    let meters = meters(|rates| rates.replay_bytes_per_user = Some(Rate::per_second(16 * 1024)));
    let mut bytes = 0;
    let mut rigs = [limited(&meters), limited(&meters), limited(&meters)];
    let start = rigs[0].now;
    for ms in 0..1_000 {
        for rig in &mut rigs {
            rig.now = start + Duration::from_millis(ms);
            rig.input(Input::Text(r#"{"type":"get_pending","after":0}"#));
            while let Some(output) = rig.output() {
                match output {
                    Output::Read { read_no, .. } => {
                        rig.page(read_no, 1..=16, 1_024);
                        bytes += 16 * 1_024;
                    }
                    Output::Write(_) => rig.input(Input::Written),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    assert!(bytes <= 2 * 16 * 1_024, "{bytes}");
}

#[test]
fn connections_of_one_user_get_what_they_asked_for_in_turn() {
    // Whoever looked first when there was room again had it, again and again, and another one never got a message.
    let meters = meters(|rates| rates.replay_bytes_per_user = Some(Rate::per_second(4 * 1024)));
    let mut rigs = [limited(&meters), limited(&meters), limited(&meters)];
    let start = rigs[0].now;
    let mut messages = [0; 3];
    for ms in 0..30_000 {
        for (rig, messages) in rigs.iter_mut().zip(&mut messages) {
            rig.now = start + Duration::from_millis(ms);
            if ms == 0 {
                rig.input(Input::Text(r#"{"type":"get_pending","after":0}"#));
            }
            rig.input(Input::Timeout);
            while let Some(output) = rig.output() {
                match output {
                    Output::Read { read_no, after, .. } => {
                        rig.page(read_no, after.get() + 1..=after.get() + 1, 1_024);
                        *messages += 1;
                    }
                    Output::Write(_) => rig.input(Input::Written),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    let [least, most] = [messages.iter().min(), messages.iter().max()].map(Option::unwrap);
    assert!(*least >= 35 && most - least <= 2, "{messages:?}");
}
