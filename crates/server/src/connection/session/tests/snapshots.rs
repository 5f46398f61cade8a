//! Streams that are read elsewhere, which takes time.

use tetherline_protocol::{StreamPosition, limits::STREAM_INTERVAL_MS};

use super::{
    super::kept_streams::{KeptStreams, uuid},
    *,
};

const ROOM_BYTES: usize = 1_000;

/// It shows one stream, and has sent no message yet.
fn story() -> (Rig, KeptStreams) {
    let mut rig = rig(Wire::V1, 0, |_| {});
    rig.input(Input::Text(r#"{"type":"get_pending","after":0,"epoch":"e.0","have":[]}"#));
    let mut streams = KeptStreams::default();
    streams.open(1);
    let places = asks(&mut rig);
    comes(&mut rig, &streams, &places, 0);
    written(&mut rig);
    (rig, streams)
}

fn asks(rig: &mut Rig) -> Vec<StreamPosition> {
    let output = rig.output();
    let Some(Output::ReadStreams(places)) = output else { panic!("{output:?}") };
    places
}

fn comes(rig: &mut Rig, streams: &KeptStreams, places: &[StreamPosition], as_of: u64) {
    let page = streams.read(places, ROOM_BYTES);
    rig.input(Input::StreamSnapshot(Ok(StreamSnapshot { as_of: seq(as_of), page })));
}

fn written(rig: &mut Rig) -> String {
    let output = rig.output();
    let Some(Output::Write(frames)) = output else { panic!("{output:?}") };
    rig.input(Input::Written);
    let text = |frame: &Outgoing| match frame {
        Outgoing::Text(text) => text.to_string(),
        other => format!("{other:?}"),
    };
    frames.iter().map(text).collect()
}

#[test]
fn messages_wait_while_streams_are_read_and_streams_while_messages_are() {
    let (mut rig, mut streams) = story();
    streams.append(1, "a");
    rig.input(Input::Streamed);
    let places = asks(&mut rig);
    rig.input(Input::Head(seq(1), None));
    assert_eq!(rig.output(), None, "its end may be that message");
    comes(&mut rig, &streams, &places, 0);
    assert!(written(&mut rig).contains(r#""text":"a""#));
    let output = rig.output();
    let Some(Output::Read { read_no, .. }) = output else { panic!("{output:?}") };
    streams.append(1, "b");
    rig.input(Input::Streamed);
    rig.pass(Duration::from_millis(STREAM_INTERVAL_MS));
    assert_eq!(rig.output(), None);
    rig.page(read_no, 1..=1, 10);
    written(&mut rig);
    assert_eq!(asks(&mut rig).len(), 1);
}

#[test]
fn what_is_older_than_what_was_sent_is_asked_for_again() {
    let (mut rig, mut streams) = story();
    rig.input(Input::Head(seq(2), None));
    let output = rig.output();
    let Some(Output::Read { read_no, .. }) = output else { panic!("{output:?}") };
    rig.page(read_no, 1..=2, 10);
    written(&mut rig);
    streams.append(1, "late");
    rig.input(Input::Streamed);
    let places = asks(&mut rig);
    comes(&mut rig, &streams, &places, 1);
    streams.finish(1);
    let places = asks(&mut rig);
    comes(&mut rig, &streams, &places, 2);
    assert_eq!(rig.output(), None, "the second message was its end");
}

#[test]
fn text_that_comes_while_streams_are_read_is_news() {
    let (mut rig, mut streams) = story();
    streams.append(1, "a");
    rig.input(Input::Streamed);
    let places = asks(&mut rig);
    comes(&mut rig, &streams, &places, 0);
    written(&mut rig);
    rig.pass(Duration::from_millis(STREAM_INTERVAL_MS));
    streams.append(1, "b");
    rig.input(Input::Streamed);
    let places = asks(&mut rig);
    let page = streams.read(&places, ROOM_BYTES);
    streams.append(1, "c");
    rig.input(Input::Streamed);
    rig.input(Input::StreamSnapshot(Ok(StreamSnapshot { as_of: seq(0), page })));
    assert!(written(&mut rig).contains(r#""text":"b""#));
    rig.pass(Duration::from_millis(STREAM_INTERVAL_MS));
    let places = asks(&mut rig);
    comes(&mut rig, &streams, &places, 0);
    assert!(written(&mut rig).contains(r#""text":"c""#));
}

#[test]
fn steady_messages_starve_no_stream_and_a_long_text_starves_no_message() {
    let (mut rig, mut streams) = story();
    streams.append(1, &"x".repeat(20 * ROOM_BYTES));
    rig.input(Input::Streamed);
    let (mut messages, mut texts, mut head) = (0, 0, 0);
    for _ in 0..20 {
        head += 1;
        rig.input(Input::Head(seq(head), None));
        match rig.output() {
            Some(Output::Read { read_no, after, .. }) => {
                rig.page(read_no, after.get() + 1..=head, 10);
                messages += 1;
            }
            Some(Output::ReadStreams(places)) => {
                assert_eq!(places[0].message_uuid, uuid(1));
                comes(&mut rig, &streams, &places, head);
                texts += 1;
            }
            other => panic!("{other:?}"),
        }
        written(&mut rig);
    }
    assert_eq!((messages, texts), (10, 10));
}

#[test]
fn a_look_that_fails_ends_the_connection() {
    let (mut rig, _) = story();
    rig.input(Input::Streamed);
    asks(&mut rig);
    rig.input(Input::StreamSnapshot(Err(StoreError::new("no disk"))));
    assert!(matches!(rig.output(), Some(Output::Close(CloseCode::Internal, _))));
}
