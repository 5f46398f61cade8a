//! Streams on a connection.

use serde_json::Value;
use tetherline_protocol::limits::{STREAM_INTERVAL_MS, STREAM_PIECE_BYTES_MAX};

use super::{super::kept_streams::KeptStreams, *};

struct Story {
    rig: Rig,
    streams: KeptStreams,
}

impl Story {
    fn asks(get_pending: &str) -> Self {
        let mut rig = rig(Wire::V1, 0, |_| {});
        rig.input(Input::Text(get_pending));
        Self { rig, streams: KeptStreams::default() }
    }

    fn appends(&mut self, name: u8, text: &str) {
        self.streams.append(name, text);
        self.rig.input(Input::Streamed);
    }

    /// What is written until nothing more is, as short sentences. The socket takes it at once.
    fn shows(&mut self) -> Vec<String> {
        let mut shown = Vec::new();
        while let Some(output) = self.rig.output() {
            match output {
                Output::ReadStreams(places) => {
                    let page = self.streams.read(&places, STREAM_PIECE_BYTES_MAX);
                    self.rig.input(Input::StreamPage(page));
                }
                Output::Write(frames) => {
                    shown.extend(frames.iter().map(sentence));
                    self.rig.input(Input::Written);
                }
                other => panic!("{other:?}"),
            }
        }
        shown
    }
}

fn sentence(frame: &Outgoing) -> String {
    let Outgoing::Text(text) = frame else { return "ping".into() };
    let frame: Value = serde_json::from_str(text).unwrap();
    let kind = frame["type"].as_str().unwrap();
    match kind {
        "message_start" => format!("start {} {}", frame["message_uuid"], frame["attempt"]),
        "message_delta" => format!("{} {}", frame["offset"], frame["text"]),
        "pending_check_complete" => format!("complete, {}", frame["data"]["streams"]),
        other => other.into(),
    }
}

const INTERVAL: Duration = Duration::from_millis(STREAM_INTERVAL_MS);

#[test]
fn a_stream_is_shown_from_where_the_reader_is_before_the_backlog_counts_as_sent() {
    let mut story = Story::asks(
        r#"{"type":"get_pending","after":0,"epoch":"e.0","have":[{"message_uuid":"a1","attempt":1,"offset":3}]}"#,
    );
    story.streams.open(1);
    story.streams.append(1, "one two");
    story.streams.open(2);
    story.streams.append(2, "new");
    assert_eq!(
        story.shows(),
        [r#"3 " two""#, r#"start "a2" 1"#, r#"0 "new""#, "complete, 2"],
        "the first it knows, the second it does not"
    );
}

#[test]
fn who_does_not_say_what_it_has_sees_no_streams() {
    let mut story = Story::asks(r#"{"type":"get_pending","after":0,"epoch":"e.0"}"#);
    story.streams.open(1);
    assert_eq!(story.shows(), ["complete, 0"]);
    story.appends(1, "text");
    story.rig.pass(INTERVAL);
    assert!(story.shows().is_empty());
}

#[test]
fn the_first_text_goes_out_at_once_and_what_follows_is_gathered() {
    let mut story = Story::asks(r#"{"type":"get_pending","after":0,"epoch":"e.0","have":[]}"#);
    assert_eq!(story.shows(), ["complete, 0"]);
    story.rig.pass(INTERVAL);
    story.streams.open(1);
    story.appends(1, "");
    assert_eq!(story.shows(), [r#"start "a1" 1"#]);
    story.appends(1, "a");
    assert_eq!(story.shows(), [r#"0 "a""#], "at once, though something was written just now");
    story.appends(1, "b");
    story.appends(1, "c");
    assert!(story.shows().is_empty(), "not yet");
    story.rig.pass(Duration::from_millis(STREAM_INTERVAL_MS - 1));
    assert!(story.shows().is_empty(), "not yet");
    story.rig.pass(Duration::from_millis(1));
    assert_eq!(story.shows(), [r#"1 "bc""#]);
}

#[test]
fn a_stream_without_a_word_does_not_hurry_the_others() {
    // As long as one was thought about, each piece of another went out at once, in a frame of its own.
    let mut story = Story::asks(r#"{"type":"get_pending","after":0,"epoch":"e.0","have":[]}"#);
    story.streams.open(1);
    story.streams.append(1, "a");
    story.streams.open(2);
    story.shows();
    story.appends(1, "b");
    story.appends(1, "c");
    assert!(story.shows().is_empty(), "not yet");
    story.rig.pass(INTERVAL);
    assert_eq!(story.shows(), [r#"1 "bc""#]);
    story.appends(1, "d");
    story.appends(2, "x");
    assert_eq!(story.shows(), [r#"0 "x""#], "only the first of the second");
    story.rig.pass(INTERVAL);
    assert_eq!(story.shows(), [r#"3 "d""#]);
}

#[test]
fn a_slow_reader_gets_what_there_is_when_it_is_ready_in_pieces_that_fit() {
    let mut story = Story::asks(r#"{"type":"get_pending","after":0,"epoch":"e.0","have":[]}"#);
    story.streams.open(1);
    let Some(Output::ReadStreams(places)) = story.rig.output() else { panic!("a read") };
    story.rig.input(Input::StreamPage(story.streams.read(&places, STREAM_PIECE_BYTES_MAX)));
    let Some(Output::Write(_)) = story.rig.output() else { panic!("the start") };
    for _ in 0..STREAM_PIECE_BYTES_MAX {
        story.appends(1, "xyz");
    }
    assert_eq!(story.rig.output(), None, "nothing is read while the socket is busy");
    story.rig.input(Input::Written);
    let shown = story.shows();
    let of_text: usize = shown.iter().filter(|frame| frame.contains("xyz")).count();
    assert_eq!(of_text, 3, "{}", shown.len());
}

#[test]
fn a_question_takes_back_what_was_to_be_read_before_it() {
    // News and a question came in one go. What was read for the news passed for the answer to the
    // question, which went on from where that client was no longer.
    let mut story = Story::asks(r#"{"type":"get_pending","after":0,"epoch":"e.0","have":[]}"#);
    story.streams.open(1);
    story.streams.append(1, "one ");
    assert_eq!(story.shows(), [r#"start "a1" 1"#, r#"0 "one ""#, "complete, 1"]);
    story.rig.pass(INTERVAL);
    story.appends(1, "two");
    let question = r#"{"type":"get_pending","after":0,"epoch":"e.0","have":[]}"#;
    story.rig.input(Input::Text(question));
    assert_eq!(story.shows(), [r#"start "a1" 1"#, r#"0 "one two""#, "complete, 1"]);
}

#[test]
fn a_later_attempt_starts_over() {
    let mut story = Story::asks(r#"{"type":"get_pending","after":0,"epoch":"e.0","have":[]}"#);
    story.streams.open(1);
    story.streams.append(1, "first");
    assert_eq!(story.shows(), [r#"start "a1" 1"#, r#"0 "first""#, "complete, 1"]);
    story.rig.pass(INTERVAL);
    story.streams.open(1);
    story.appends(1, "second");
    assert_eq!(story.shows(), [r#"start "a1" 2"#, r#"0 "second""#]);
}

#[test]
fn a_reader_that_found_a_hole_asks_again_and_goes_on_from_what_it_has() {
    let mut story = Story::asks(r#"{"type":"get_pending","after":0,"epoch":"e.0","have":[]}"#);
    story.streams.open(1);
    story.streams.append(1, "one two three");
    story.shows();
    story.rig.input(Input::Text(
        r#"{"type":"get_pending","after":0,"epoch":"e.0","have":[{"message_uuid":"a1","attempt":1,"offset":4}]}"#,
    ));
    assert_eq!(story.shows(), [r#"4 "two three""#, "complete, 1"]);
}

#[test]
fn what_is_durable_is_sent_before_unfinished_streams() {
    let mut rig = rig(Wire::V1, 2, |_| {});
    rig.input(Input::Text(r#"{"type":"get_pending","after":0,"epoch":"e.0","have":[]}"#));
    let (read_no, ..) = rig.read();
    assert_eq!(rig.output(), None, "no stream is read before the messages are there");
    rig.page(read_no, 1..=2, 10);
    assert_eq!(rig.written().len(), 2);
    assert_eq!(rig.output(), Some(Output::ReadStreams(Vec::new())));
}

#[test]
fn a_stop_has_its_turn_behind_the_send_that_it_is_about() {
    let mut rig = rig(Wire::V1, 0, |_| {});
    rig.input(Input::Text(r#"{"type":"ask","id":"q1"}"#));
    rig.input(Input::Text(r#"{"type":"message_stop","id":"s1","ref":"q1"}"#));
    let Some(Output::Receive { id, .. }) = rig.output() else { panic!("the send") };
    assert_eq!(id.as_str(), "q1");
    assert_eq!(rig.output(), None, "one after the other");
    rig.input(Input::Settled(Ok(None)));
    let target = tetherline_protocol::StopTarget::Send("q1".parse().unwrap());
    let stop = ("s1".parse().unwrap(), true, Errand::Stop(target));
    let outputs: Vec<Output> = std::iter::from_fn(|| rig.output()).collect();
    let is_stop = |output: &Output| match output {
        Output::Receive { id, named, errand, .. } => {
            (id, named, errand) == (&stop.0, &stop.1, &stop.2)
        }
        _ => false,
    };
    assert!(outputs.iter().any(is_stop), "{outputs:?}");
}
