//! Streams whose writers and readers do what they like, in any order, over crashes and restores,
//! against a simple model.
//!
//! The seed is fixed, so that a run can be repeated; ARCHITECTURE.md says how to look further. A
//! failure prints the shortest list of steps that leads to it: it becomes a test of its own.

use std::collections::BTreeMap;

use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};
use tetherline_protocol::{StreamPosition, utf16};
use tetherline_server::store::{AppendTextError, FinishStreamError, StoppedStream, StreamPhase};

use super::{
    streams::{ALL, ONE, ending, opening, place, uuid},
    *,
};

const STREAMS: usize = 3;

fn config() -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let mut config =
        Config { failure_persistence: None, cases: cases.unwrap_or(32), ..Config::default() };
    // What the environment says goes first.
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1);
    }
    config
}

/// What somebody does about the stream of that number.
#[derive(Debug, Clone)]
enum Step {
    Open(usize),
    Append(usize, String),
    /// What comes at that share of the text once more, and then something new.
    Overlap(usize, f64, String),
    /// Any text at any offset: mostly none that fits.
    Anywhere(usize, u64, String),
    /// By an attempt that is over, or was never begun.
    Stray(usize, i64, String),
    Stop(usize),
    StopBySend(usize),
    Finish(usize, StreamStatus),
    Read(usize),
    Reopen,
    Crash,
    BackUp,
    Restore(Restored),
    Erase,
}

fn step() -> impl Strategy<Value = Step> {
    let stream = 0..STREAMS;
    // Several scripts, combining characters, and pairs of surrogates.
    let text = "[ab \u{301}ü世界👍👩\u{200d}]{0,12}";
    let status = prop::sample::select(StreamStatus::ALL.to_vec());
    prop_oneof![
        3 => stream.clone().prop_map(Step::Open),
        8 => (stream.clone(), text).prop_map(|(stream, text)| Step::Append(stream, text)),
        4 => (stream.clone(), 0.0..=1.0, text)
            .prop_map(|(stream, share, text)| Step::Overlap(stream, share, text)),
        3 => (stream.clone(), 0..20_u64, text)
            .prop_map(|(stream, offset, text)| Step::Anywhere(stream, offset, text)),
        1 => (stream.clone(), -2..=2_i64, text)
            .prop_map(|(stream, off_by, text)| Step::Stray(stream, off_by, text)),
        1 => stream.clone().prop_map(Step::Stop),
        1 => stream.clone().prop_map(Step::StopBySend),
        2 => (stream.clone(), status).prop_map(|(stream, status)| Step::Finish(stream, status)),
        3 => stream.prop_map(Step::Read),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
        1 => Just(Step::BackUp),
        1 => prop::sample::select(vec![Restored::Announced, Restored::ByHand])
            .prop_map(Step::Restore),
        1 => Just(Step::Erase),
    ]
}

/// An stream as it should be.
#[derive(Debug, Clone)]
struct Model {
    attempt: Attempt,
    text: String,
    phase: StreamPhase,
    /// When its newest attempt was opened, counted in openings.
    opened: usize,
}

/// Everything of a user as it should be.
#[derive(Debug, Clone, Default)]
struct Mailbox {
    streams: BTreeMap<usize, Model>,
    /// Sends that were stopped before they were answered.
    stopped: Vec<usize>,
    openings: usize,
    messages: u64,
}

struct Rig<B: Bench> {
    bench: B,
    store: Option<B::Store>,
    now: Mailbox,
    backup: Option<Mailbox>,
    /// What a reader who reads on from where they are has, of the newest attempt that they know.
    seen: BTreeMap<String, (Attempt, String)>,
}

fn name(stream: usize) -> String {
    format!("a{stream}")
}

fn send(stream: usize) -> String {
    format!("q{stream}")
}

impl<B: Bench> Rig<B> {
    fn new(mut bench: B) -> Self {
        let store = Some(bench.open());
        Self { bench, store, now: Mailbox::default(), backup: None, seen: BTreeMap::new() }
    }

    fn store(&self) -> &B::Store {
        self.store.as_ref().unwrap()
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Open(stream) => self.open(*stream).await,
            Step::Append(stream, text) => self.append(*stream, 0, None, text).await,
            Step::Overlap(stream, share, text) => {
                let there = self.now.streams.get(stream).map_or("", |model| &model.text);
                let index = there.floor_char_boundary((share * there.len() as f64) as usize);
                let offset = utf16::length(&there[..index]);
                let text = format!("{}{text}", &there[index..]);
                self.append(*stream, 0, Some(offset), &text).await;
            }
            Step::Anywhere(stream, offset, text) => {
                self.append(*stream, 0, Some(*offset), text).await;
            }
            Step::Stray(stream, off_by, text) => self.append(*stream, *off_by, None, text).await,
            Step::Stop(stream) => self.stop(*stream).await,
            Step::StopBySend(stream) => self.stop_by_send(*stream).await,
            Step::Finish(stream, status) => self.finish(*stream, *status).await,
            Step::Read(stream) => self.read_at_every_offset(*stream).await,
            Step::Reopen => {
                self.store = None;
                self.store = Some(self.bench.open());
            }
            Step::Crash => {
                let store = self.store.take().unwrap();
                self.store = Some(self.bench.crash(store));
            }
            Step::BackUp => {
                self.bench.back_up(self.store.as_ref().unwrap()).await;
                self.backup = Some(self.now.clone());
            }
            Step::Restore(how) => self.restore(*how).await,
            Step::Erase => {
                self.store().erase(&user("ada")).await.unwrap();
                let Mailbox { messages, openings, .. } = self.now;
                self.now = Mailbox { openings, messages, ..Mailbox::default() };
                self.seen.clear();
            }
        }
        self.check().await;
    }

    /// A reader of before has another history, and starts over.
    async fn restore(&mut self, how: Restored) {
        if let Some(backup) = self.backup.clone() {
            self.store = None;
            self.bench.restore(how).await;
            self.store = Some(self.bench.open());
            self.now = backup;
            self.seen.clear();
        }
    }

    async fn open(&mut self, stream: usize) {
        let before = self.now.streams.get(&stream);
        let attempt = before.map_or(ONE, |model| model.attempt.next());
        let json = format!(r#"{{"ref":"{}"}}"#, send(stream));
        let (ada, name) = (user("ada"), uuid(&name(stream)));
        let opened = self.store().open_stream(&ada, &name, opening(&json)).await.unwrap();
        let is_stopped = self.now.stopped.contains(&stream);
        assert_eq!((opened.attempt, opened.is_stopped), (attempt, is_stopped));
        let phase = if is_stopped { StreamPhase::Stopped } else { StreamPhase::Open };
        self.now.openings += 1;
        let model = Model { attempt, text: String::new(), phase, opened: self.now.openings };
        self.now.streams.insert(stream, model);
    }

    async fn append(&mut self, stream: usize, off_by: i64, offset: Option<u64>, text: &str) {
        let model = self.now.streams.get(&stream).cloned();
        let newest = model.as_ref().map_or(1, |model| i64::from(model.attempt.get()));
        let attempt = u32::try_from((newest + off_by).max(1)).unwrap();
        let attempt = Attempt::new(attempt).unwrap();
        let expected = match &model {
            Some(model) => model.append(attempt, offset, text),
            None => Err(AppendTextError::Unknown),
        };
        let (ada, name) = (user("ada"), uuid(&name(stream)));
        let answered = self.store().append_text(&ada, &name, attempt, offset, text.into()).await;
        assert_eq!(answered, expected.clone().map(|text| utf16::length(&text)));
        if let (Ok(text), Some(model)) = (expected, self.now.streams.get_mut(&stream)) {
            model.text = text;
        }
    }

    async fn stop(&mut self, stream: usize) {
        let target = StopTarget::Message(uuid(&name(stream)));
        let stopped = self.store().stop_stream(&user("ada"), &target).await.unwrap();
        let expected = match self.now.streams.get_mut(&stream) {
            None => StoppedStream::Unknown,
            Some(model) => model.stop(),
        };
        assert_eq!(stopped, expected);
    }

    async fn stop_by_send(&mut self, stream: usize) {
        let target = StopTarget::Send(uuid(&send(stream)));
        let stopped = self.store().stop_stream(&user("ada"), &target).await.unwrap();
        let expected = if let Some(model) = self.now.streams.get_mut(&stream) {
            model.stop()
        } else {
            self.now.stopped.push(stream);
            StoppedStream::Remembered
        };
        assert_eq!(stopped, expected);
    }

    async fn finish(&mut self, stream: usize, status: StreamStatus) {
        let attempt = self.now.streams.get(&stream).map_or(ONE, |model| model.attempt);
        let (ada, name) = (user("ada"), uuid(&name(stream)));
        let finished = self.store().finish_stream(&ada, &name, attempt, ending(status)).await;
        let Some(model) = self.now.streams.get_mut(&stream) else {
            assert!(matches!(finished, Err(FinishStreamError::Unknown)), "{finished:?}");
            return;
        };
        let finished = finished.unwrap();
        let (expected, is_new) = match model.phase {
            StreamPhase::Finished(status) => (status, false),
            StreamPhase::Stopped => (StreamStatus::Stopped, true),
            _ => (status, true),
        };
        assert_eq!((finished.status, finished.repeated), (expected, !is_new));
        model.phase = StreamPhase::Finished(expected);
        if is_new {
            let text = model.text.clone();
            self.now.messages += 1;
            assert_eq!(finished.seq.get(), self.now.messages);
            let before = seq(finished.seq.get() - 1);
            let page = read(self.store(), &ada, before, ROOM).await.unwrap();
            let message: serde_json::Value = serde_json::from_str(&page[0].text).unwrap();
            assert_eq!(message["message"]["content"], text);
        }
    }

    /// Whoever has any part of it gets the rest; whoever is nowhere in it, all.
    async fn read_at_every_offset(&self, stream: usize) {
        let Some(model) = self.now.streams.get(&stream).filter(|model| model.is_unfinished())
        else {
            return;
        };
        let name = name(stream);
        for offset in 0..=utf16::length(&model.text) + 2 {
            for room_bytes in [0, 1, 5, ALL] {
                let places = [place(&name, model.attempt, offset)];
                let page = read_streams(self.store(), &user("ada"), &places, room_bytes).await;
                let bytes: usize = page.pieces.iter().map(|piece| piece.text.len()).sum();
                assert!(bytes <= room_bytes);
                let is_this = |piece: &&tetherline_server::store::StreamPiece| {
                    piece.position.message_uuid.as_str() == name
                };
                let piece = page.pieces.iter().find(is_this).unwrap();
                let index = utf16::byte_index(&model.text, offset);
                assert_eq!(piece.start.is_none(), index.is_some(), "{offset} of {model:?}");
                let rest = &model.text[index.unwrap_or(0)..];
                assert!(rest.starts_with(&*piece.text), "{:?} of {rest:?}", piece.text);
                assert!(room_bytes < ALL || rest.len() == piece.text.len());
                let end = index.unwrap_or(0) + piece.text.len();
                assert_eq!(piece.position.offset, utf16::length(&model.text[..end]));
            }
        }
    }

    /// Everything there is, and a reader who has followed it all along.
    async fn check(&mut self) {
        let ada = user("ada");
        for stream in 0..STREAMS {
            let told = self.store().stream(&ada, &uuid(&name(stream))).await.unwrap();
            let Some(model) = self.now.streams.get(&stream) else {
                assert_eq!(told, None);
                continue;
            };
            let told = told.unwrap();
            assert_eq!((told.attempt, told.phase), (model.attempt, model.phase));
            assert_eq!(told.next_offset, utf16::length(&model.text));
            assert_eq!(&*told.text, if model.is_unfinished() { &model.text } else { "" });
        }
        assert_eq!(self.store().head(&ada).await.unwrap().seq.get(), self.now.messages);
        self.follow().await;
        let mut unfinished: Vec<(&usize, &Model)> =
            self.now.streams.iter().filter(|(_, model)| model.is_unfinished()).collect();
        unfinished.sort_by_key(|(_, model)| model.opened);
        let page = read_streams(self.store(), &ada, &[], ALL).await;
        let names: Vec<&str> =
            page.pieces.iter().map(|piece| piece.position.message_uuid.as_str()).collect();
        let expected: Vec<String> = unfinished.iter().map(|(stream, _)| name(**stream)).collect();
        assert_eq!(names, expected, "the oldest first");
        for (stream, model) in unfinished {
            assert_eq!(self.seen[&name(*stream)], (model.attempt, model.text.clone()));
        }
    }

    async fn follow(&mut self) {
        loop {
            let places: Vec<StreamPosition> = self
                .seen
                .iter()
                .map(|(name, (attempt, text))| place(name, *attempt, utf16::length(text)))
                .collect();
            let page = read_streams(self.store(), &user("ada"), &places, 7).await;
            for piece in page.pieces {
                let StreamPosition { message_uuid, attempt, offset, .. } = piece.position;
                let fresh = (attempt, String::new());
                let (known, text) =
                    self.seen.entry(message_uuid.as_str().to_owned()).or_insert(fresh.clone());
                if piece.start.is_some() {
                    assert!(text.is_empty() || *known < attempt, "what was seen never shrinks");
                    (*known, *text) = fresh;
                }
                assert_eq!(*known, attempt);
                text.push_str(&piece.text);
                assert_eq!(utf16::length(text), offset);
            }
            if !page.has_more {
                return;
            }
        }
    }
}

impl Model {
    fn is_unfinished(&self) -> bool {
        !matches!(self.phase, StreamPhase::Finished(_))
    }

    fn stop(&mut self) -> StoppedStream {
        if self.phase != StreamPhase::Open {
            return StoppedStream::Already;
        }
        self.phase = StreamPhase::Stopped;
        StoppedStream::Stopped
    }

    /// What the whole text is afterwards.
    fn append(
        &self,
        attempt: Attempt,
        offset: Option<u64>,
        text: &str,
    ) -> Result<String, AppendTextError> {
        let next_offset = utf16::length(&self.text);
        match self.phase {
            _ if attempt > self.attempt => return Err(AppendTextError::Unknown),
            _ if attempt < self.attempt => {
                return Err(AppendTextError::Superseded { attempt: self.attempt });
            }
            StreamPhase::Finished(status) => return Err(AppendTextError::Finished { status }),
            StreamPhase::Stopped => return Err(AppendTextError::Stopped { next_offset }),
            _ => {}
        }
        let offset = offset.unwrap_or(next_offset);
        if offset > next_offset {
            return Err(AppendTextError::Gap { next_offset });
        }
        let conflict = AppendTextError::Conflict { next_offset };
        let index = utf16::byte_index(&self.text, offset).ok_or(conflict.clone())?;
        let (before, there) = self.text.split_at(index);
        match (there.starts_with(text), text.starts_with(there)) {
            (true, _) => Ok(self.text.clone()),
            (_, true) => Ok(format!("{before}{text}")),
            (false, false) => Err(conflict),
        }
    }
}

/// Whatever happens, a stream is what its writers were told.
pub fn holds<B: Bench>(bench: impl Fn() -> B) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let all = prop::collection::vec(step(), 1..40);
    let held = TestRunner::new(config()).run(&all, |steps| {
        runtime.block_on(async {
            let mut rig = Rig::new(bench());
            for step in &steps {
                rig.take(step).await;
            }
        });
        Ok(())
    });
    if let Err(failure) = held {
        panic!("{failure}");
    }
}
