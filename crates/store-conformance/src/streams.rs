//! What every store promises about streams.

mod readers;
mod writers;

use tetherline_protocol::{StreamPosition, limits::STREAM_STOPS_MAX};
use tetherline_server::store::{
    AppendTextError, FinishStreamError, FinishedStream, OpenStreamError, OpenedStream,
    StoppedStream, StreamPage, StreamPhase, StreamState,
};

use super::*;

pub(crate) const ONE: Attempt = Attempt::FIRST;
pub(crate) const TWO: Attempt = ONE.next();
const THREE: Attempt = TWO.next();
pub(crate) const ALL: usize = 1 << 20;

pub(crate) fn uuid(name: &str) -> MessageId {
    name.parse().unwrap()
}

pub(crate) fn opening(json: &str) -> Arc<StreamOpening> {
    Arc::new(StreamOpening::parse(json).unwrap())
}

pub(crate) fn ending(status: StreamStatus) -> Arc<StreamEnding> {
    Arc::new(StreamEnding::plain(status))
}

pub(crate) fn place(name: &str, attempt: Attempt, offset: u64) -> StreamPosition {
    StreamPosition { message_uuid: uuid(name), attempt, offset, hash: None, is_only_checked: false }
}

fn of(name: &str) -> StopTarget {
    StopTarget::Message(uuid(name))
}

fn to(send: &str) -> StopTarget {
    StopTarget::Send(uuid(send))
}

pub(crate) async fn open(store: &impl Store, name: &str, stream: &str) -> OpenedStream {
    store.open_stream(&user(name), &uuid(stream), opening("{}")).await.unwrap()
}

async fn open_for(store: &impl Store, name: &str, stream: &str, send: &str) -> OpenedStream {
    let opening = opening(&format!(r#"{{"ref":"{send}"}}"#));
    store.open_stream(&user(name), &uuid(stream), opening).await.unwrap()
}

pub(crate) async fn say(store: &impl Store, name: &str, stream: &str, text: &str) -> u64 {
    let attempt = store.stream(&user(name), &uuid(stream)).await.unwrap().unwrap().attempt;
    store.append_text(&user(name), &uuid(stream), attempt, None, text.into()).await.unwrap()
}

async fn finish(
    store: &impl Store,
    name: &str,
    stream: &str,
    status: StreamStatus,
) -> FinishedStream {
    store.finish_stream(&user(name), &uuid(stream), ONE, ending(status)).await.unwrap()
}

async fn state(store: &impl Store, name: &str, stream: &str) -> Option<StreamState> {
    store.stream(&user(name), &uuid(stream)).await.unwrap()
}

/// All that a reader without anything gets: names, attempts and texts.
async fn shown(store: &impl Store, name: &str) -> Vec<(String, u32, String)> {
    let page = read_streams(store, &user(name), &[], ALL).await;
    assert!(!page.has_more);
    assert!(page.pieces.iter().all(|piece| piece.start.is_some()));
    pieces(&page)
}

fn pieces(page: &StreamPage) -> Vec<(String, u32, String)> {
    let piece = |piece: &tetherline_server::store::StreamPiece| {
        let StreamPosition { message_uuid, attempt, .. } = &piece.position;
        (message_uuid.as_str().to_owned(), attempt.get(), piece.text.to_string())
    };
    page.pieces.iter().map(piece).collect()
}

fn piece(name: &str, attempt: u32, text: &str) -> (String, u32, String) {
    (name.to_owned(), attempt, text.to_owned())
}

/// Every promise of `Streams`.
pub(crate) async fn conform<B: Bench>(bench: &mut B) {
    let store = bench.open();
    writers::another_attempt_ends_the_one_before(&store).await;
    writers::text_is_placed_by_its_offset(&store).await;
    readers::a_reader_gets_what_it_has_not_got_yet(&store).await;
    writers::what_is_finished_is_a_message_and_nothing_else(&store).await;
    writers::what_is_stopped_takes_no_text(&store).await;
    writers::a_stop_waits_for_the_stream_that_answers_a_send(&store).await;
    writers::what_is_too_much_is_refused(&store).await;
    writers::late_writers_are_named(&store).await;
    an_erased_user_has_no_streams(&store).await;
    readers::readers_never_find_a_stream_twice(&store).await;
    drop(store);
    every_step_survives(bench, "pam", |bench, store| {
        drop(store);
        bench.open()
    })
    .await;
    every_step_survives(bench, "pat", B::crash).await;
}

async fn an_erased_user_has_no_streams(store: &impl Store) {
    let (mia, a1) = (user("mia"), uuid("a1"));
    open(store, "mia", "a1").await;
    say(store, "mia", "a1", "ab").await;
    open_for(store, "mia", "a2", "q2").await;
    finish(store, "mia", "a2", StreamStatus::Complete).await;
    store.stop_stream(&mia, &to("q3")).await.unwrap();
    open(store, "nik", "a1").await;
    store.erase(&mia).await.unwrap();
    assert_eq!(read_streams(store, &mia, &[], ALL).await, StreamPage::default());
    assert_eq!(state(store, "mia", "a1").await, None);
    assert_eq!(state(store, "mia", "a2").await, None);
    let more = store.append_text(&mia, &a1, ONE, None, "x".into()).await;
    assert_eq!(more, Err(AppendTextError::Unknown));
    assert_eq!(store.stop_stream(&mia, &to("q2")).await.unwrap(), StoppedStream::Remembered);
    assert!(!open_for(store, "mia", "a3", "q3").await.is_stopped);
    assert_eq!(open(store, "mia", "a1").await.attempt, ONE);
    assert_eq!(shown(store, "nik").await, [piece("a1", 1, "")], "somebody else's stay");
}

/// A story in which the store is closed and opened, or stops, between any two steps.
async fn every_step_survives<B: Bench>(
    bench: &mut B,
    name: &str,
    between: impl Fn(&mut B, B::Store) -> B::Store,
) {
    let (pam, a1, a2) = (user(name), uuid("a1"), uuid("a2"));
    let store = bench.open();
    store.open_stream(&pam, &a1, opening(r#"{"ref":"q1","version":1}"#)).await.unwrap();
    let start = read_streams(&store, &pam, &[], ALL).await.pieces[0].start.clone();

    let store = between(bench, store);
    assert_eq!(read_streams(&store, &pam, &[], ALL).await.pieces[0].start, start);
    open(&store, name, "a2").await;
    assert_eq!(say(&store, name, "a1", "ab👍").await, 4);

    let store = between(bench, store);
    assert_eq!(shown(&store, name).await, [piece("a1", 1, "ab👍"), piece("a2", 1, "")]);
    let append = async |store: &B::Store, offset, text: &str| {
        store.append_text(&pam, &a1, ONE, Some(offset), text.into()).await
    };
    assert_eq!(append(&store, 2, "👍c").await, Ok(5));
    say(&store, name, "a2", "x").await;
    assert_eq!(open(&store, name, "a2").await.attempt, TWO);

    let store = between(bench, store);
    assert_eq!(shown(&store, name).await, [piece("a1", 1, "ab👍c"), piece("a2", 2, "")]);
    assert_eq!(append(&store, 3, "x").await, Err(AppendTextError::Conflict { next_offset: 5 }));
    assert_eq!(store.stop_stream(&pam, &of("a1")).await.unwrap(), StoppedStream::Stopped);
    assert_eq!(store.stop_stream(&pam, &to("q9")).await.unwrap(), StoppedStream::Remembered);
    let finished = store.finish_stream(&pam, &a2, TWO, ending(StreamStatus::Failed)).await.unwrap();

    let store = between(bench, store);
    assert_eq!(append(&store, 5, "d").await, Err(AppendTextError::Stopped { next_offset: 5 }));
    assert!(open_for(&store, name, "a9", "q9").await.is_stopped);
    assert_eq!(state(&store, name, "a2").await.unwrap().attempt, TWO);
    let again = store.finish_stream(&pam, &a2, TWO, ending(StreamStatus::Complete)).await.unwrap();
    assert_eq!(again, FinishedStream { repeated: true, ..finished });
    let stopped = finish(&store, name, "a1", StreamStatus::Complete).await;
    assert_eq!(stopped.status, StreamStatus::Stopped);

    let store = between(bench, store);
    assert_eq!(shown(&store, name).await, [piece("a9", 1, "")]);
    assert_eq!(positions(&store, name).await, [1, 2]);
    let message = read(&store, &pam, seq(1), ROOM).await.unwrap();
    assert_eq!((message.len(), message[0].seq), (1, stopped.seq));
    assert!(message[0].text.contains(stopped.id.as_str()));
    assert_eq!(open(&store, name, "a2").await.attempt, THREE);
    store.erase(&pam).await.unwrap();

    let store = between(bench, store);
    assert_eq!(read_streams(&store, &pam, &[], ALL).await, StreamPage::default());
    assert_eq!(state(&store, name, "a2").await, None);
    assert!(!open_for(&store, name, "a9", "q9").await.is_stopped);
}
