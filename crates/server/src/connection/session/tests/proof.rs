//! Whether a position is one of this mailbox.

use serde_json::{Value, json};

use super::*;
use crate::store::{Head, Resumed, Standing};

const ASK: &str = r#"{"type":"get_pending","after":4,"after_id":"m4","epoch":"e.0","have":[]}"#;

fn resumed(standing: Standing, head: u64, numbers: std::ops::RangeInclusive<u64>) -> Resumed {
    let head = Head { seq: seq(head), id: None, epoch: "e.0".parse().unwrap() };
    let messages =
        numbers.map(|n| Delivery { seq: seq(n), text: format!("{{\"seq\":{n}}}").into() });
    Resumed { head, standing, messages: messages.collect() }
}

fn message(name: &str) -> Standing {
    Standing::Message(name.parse().unwrap())
}

fn ack(rig: &mut Rig, seq: u64) {
    rig.input(Input::Text(&format!(r#"{{"type":"ack","seq":{seq}}}"#)));
}

impl Rig {
    fn asked(&mut self, after: u64) -> u32 {
        match self.output() {
            Some(Output::Resume { read_no, after: asked, .. }) => {
                assert_eq!(asked.get(), after);
                read_no
            }
            other => panic!("no proof is read but {other:?}"),
        }
    }

    fn resume(&mut self, read_no: u32, resumed: Resumed) {
        self.input(Input::Resumed { read_no, resumed: Ok(resumed) });
    }

    /// The next batch, as JSON.
    fn frames(&mut self) -> Vec<Value> {
        let json = |outgoing| match outgoing {
            Outgoing::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        };
        self.written().into_iter().map(json).collect()
    }

    /// The head and `recovered` of the summary, which comes alone.
    fn summary(&mut self) -> (u64, bool) {
        let [frame] = &self.frames()[..] else { panic!("more than a summary") };
        assert_eq!(frame["type"], "pending_check_complete");
        let data = &frame["data"];
        (data["head"].as_u64().unwrap(), data["recovered"].as_bool().unwrap())
    }

    /// Streams are looked at when all messages have gone out: there are none.
    fn no_streams(&mut self) {
        assert_eq!(self.output(), Some(Output::ReadStreams(Vec::new())));
        self.input(Input::StreamPage(crate::store::StreamPage::default()));
    }
}

#[test]
fn who_stands_at_a_message_of_this_mailbox_reads_on_from_there() {
    let mut rig = rig(Wire::V1, 6, |_| {});
    rig.input(Input::Text(ASK));
    let read_no = rig.asked(4);
    rig.resume(read_no, resumed(message("m4"), 6, 5..=6));
    let checked = json!({
        "type": "position_checked", "after": 4, "after_id": "m4", "from": 4, "from_id": "m4"
    });
    assert_eq!(rig.frames(), [checked, json!({"seq": 5}), json!({"seq": 6})]);
    rig.no_streams();
    assert_eq!(rig.summary(), (6, true));
    ack(&mut rig, 6);
    assert_eq!(rig.output(), Some(Output::Acknowledge(seq(6))));
}

#[test]
fn who_stands_at_another_message_or_at_none_starts_from_the_devices_cursor() {
    // Only the epoch was compared, and a backup restored by hand keeps it.
    for standing in [message("another"), Standing::Nothing] {
        let mut rig = rig(Wire::V1, 6, |_| {});
        rig.input(Input::Text(ASK));
        let read_no = rig.asked(4);
        rig.resume(read_no, resumed(standing, 6, 5..=6));
        assert_eq!(rig.output(), Some(Output::Locate));
        let mut at_two = place(6, 0);
        (at_two.cursor, at_two.cursor_id) = (seq(2), Some("m2".parse().unwrap()));
        rig.input(Input::Located(Ok(at_two)));
        let checked = json!({
            "type": "position_checked", "after": 4, "after_id": "m4", "from": 2, "from_id": "m2"
        });
        assert_eq!(rig.frames(), [checked]);
        let (read_no, after, _) = rig.read();
        assert_eq!(after, 2);
        rig.page(read_no, 3..=6, 10);
        assert_eq!(rig.written().len(), 4);
        rig.no_streams();
        assert_eq!(rig.summary(), (6, false));
    }
}

#[test]
fn nothing_is_acknowledged_before_the_position_is_proved() {
    // An acknowledgement of a history that is no more moved the restored cursor over what had come
    // instead.
    let mut rig = rig(Wire::V1, 6, |_| {});
    ack(&mut rig, 3);
    assert_eq!(rig.output(), None, "nothing was asked for");
    rig.input(Input::Text(ASK));
    let read_no = rig.asked(4);
    ack(&mut rig, 4);
    assert_eq!(rig.output(), None, "it is being looked at");
    rig.resume(read_no, resumed(message("another"), 6, 5..=6));
    assert_eq!(rig.output(), Some(Output::Locate));
    ack(&mut rig, 4);
    assert_eq!(rig.output(), None, "it is not this mailbox's");
    rig.input(Input::Located(Ok(place(6, 0))));
    assert_eq!(rig.written().len(), 1);
    ack(&mut rig, 1);
    assert_eq!(rig.output().map(|output| matches!(output, Output::Read { .. })), Some(true));
    assert_eq!(rig.output(), Some(Output::Acknowledge(seq(1))));
}

#[test]
fn what_was_trimmed_proves_nothing_and_refutes_nothing() {
    let mut rig = rig(Wire::V1, 6, |_| {});
    rig.input(Input::Text(ASK));
    let read_no = rig.asked(4);
    rig.resume(read_no, resumed(Standing::Forgotten, 6, 6..=6));
    let frames = rig.frames();
    assert_eq!((&frames[0]["from"], frames[0].get("from_id")), (&json!(4), None));
    assert_eq!(frames[1], json!({"type": "mailbox_gap", "after": 4, "next": 6}));
    rig.no_streams();
    assert_eq!(rig.summary(), (6, false));
}

#[test]
fn where_all_was_trimmed_that_would_follow_a_gap_is_said_whatever_is_in_memory() {
    // The hub was asked for what followed, had it in memory, and whoever stood at a message of a
    // history that was replaced went on without a word.
    let mut rig = rig(Wire::V1, 6, |_| {});
    rig.input(Input::Text(ASK));
    let read_no = rig.asked(4);
    let mut nothing = resumed(Standing::Forgotten, 6, 6..=6);
    nothing.messages.clear();
    rig.resume(read_no, nothing);
    assert_eq!(rig.output(), Some(Output::Locate));
    let mut trimmed = place(6, 0);
    (trimmed.trimmed, trimmed.trimmed_id) = (seq(6), Some("m6".parse().unwrap()));
    rig.input(Input::Located(Ok(trimmed)));
    let frames = rig.frames();
    assert_eq!(frames[0]["type"], "position_checked");
    let gap = json!({"type": "mailbox_gap", "after": 4, "next": 7, "passed_id": "m6"});
    assert_eq!(frames[1..], [gap]);
    rig.no_streams();
    assert_eq!(rig.summary(), (6, false));
}

#[test]
fn who_does_not_know_the_message_is_told_it_and_who_does_not_ask_is_told_nothing() {
    let mut rig = rig(Wire::V1, 6, |_| {});
    rig.input(Input::Text(&ASK.replace("\"m4\"", "null")));
    let read_no = rig.asked(4);
    rig.resume(read_no, resumed(message("m4"), 6, 5..=6));
    let checked = json!({"type": "position_checked", "after": 4, "from": 4, "from_id": "m4"});
    assert_eq!(rig.frames()[0], checked);

    rig.input(Input::Text(r#"{"type":"get_pending","after":4,"epoch":"e.0"}"#));
    let (read_no, after, _) = rig.read();
    assert_eq!(after, 4);
    rig.page(read_no, 5..=6, 10);
    assert_eq!(rig.written().len(), 2 + 1, "two messages and the summary");
}

#[test]
fn a_question_that_was_given_up_is_not_answered() {
    let mut rig = rig(Wire::V1, 6, |_| {});
    rig.input(Input::Text(ASK));
    let first = rig.asked(4);
    rig.input(Input::Text(&ASK.replace('4', "5")));
    let second = rig.asked(5);
    rig.resume(first, resumed(message("m4"), 6, 5..=6));
    assert_eq!(rig.output(), None);
    rig.resume(second, resumed(message("m5"), 6, 6..=6));
    assert_eq!(rig.frames()[0]["after"], 5);
}

#[test]
fn who_takes_nothing_and_asks_again_and_again_has_one_page_made() {
    // Each question had its page read at once, so that all of them waited for the socket together.
    let mut rig = rig(Wire::V1, 6, |_| {});
    rig.input(Input::Text(r#"{"type":"ping"}"#));
    assert!(matches!(rig.output(), Some(Output::Write(_))), "which is not taken");
    for _ in 0..3 {
        rig.input(Input::Text(ASK));
        assert_eq!(rig.output(), None);
    }
    rig.input(Input::Written);
    let read_no = rig.asked(4);
    rig.resume(read_no, resumed(message("m4"), 6, 5..=6));
    assert_eq!(rig.frames().len(), 1 + 2);
}
