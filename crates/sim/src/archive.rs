//! All that was ever committed of streams, in every history: what the store's model may lose or
//! get wrong, and nobody who looks at it may be shown.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tetherline_protocol::{Attempt, StreamStatus};

use crate::{
    streams::{Newest, Phase, StreamNo, Streams, Target},
    world::SendNo,
};

/// An attempt in a history.
pub(crate) type Name = (u32, StreamNo, Attempt);

#[derive(Default)]
pub(crate) struct Archive {
    records: BTreeMap<Name, Record>,
    /// By history: sends whose streams shall not begin.
    stops: BTreeSet<(u32, SendNo)>,
    /// The first promise that a commit broke.
    problem: Option<String>,
}

/// What an attempt came to.
struct Record {
    units: Vec<u16>,
    /// What its writer has to say.
    whole: Arc<[u16]>,
    /// It was stopped, and ends here.
    sealed_at: Option<usize>,
    is_over: bool,
}

impl Archive {
    pub(crate) fn take_problem(&mut self) -> Option<String> {
        self.problem.take()
    }

    /// Another history begins with what is left of the one before.
    pub(crate) fn begin(&mut self, history: u32, streams: &Streams) {
        for (stream, newest) in streams.all() {
            let units: Vec<u16> = newest.text.encode_utf16().collect();
            let is_stopped = matches!(newest.phase, Phase::Stopped { .. });
            let sealed_at = is_stopped.then_some(units.len());
            let (whole, is_over) = (newest.whole.clone(), !newest.is_unfinished());
            let record = Record { units, whole, sealed_at, is_over };
            self.records.insert((history, stream, newest.attempt), record);
        }
        self.stops.extend(streams.stops().map(|send| (history, send)));
    }

    /// Its writer has something else to say.
    pub(crate) fn rewritten(&mut self, name: Name, whole: Arc<[u16]>) {
        if let Some(record) = self.records.get_mut(&name) {
            record.whole = whole;
        }
    }

    pub(crate) fn opened(
        &mut self,
        name: Name,
        whole: Arc<[u16]>,
        reference: Option<SendNo>,
        is_stopped: bool,
    ) {
        let (history, stream, attempt) = name;
        for (_, older) in self.records.range_mut((history, stream, Attempt::FIRST)..name) {
            older.is_over = true;
        }
        let is_refused = reference.is_some_and(|send| self.stops.contains(&(history, send)));
        let sealed_at = (is_refused || is_stopped).then_some(0);
        let record = Record { units: Vec::new(), whole, sealed_at, is_over: false };
        if self.records.insert(name, record).is_some() {
            self.fail(format!("attempt {attempt} at a{stream} begins twice"));
        }
    }

    /// All the text that there is now.
    pub(crate) fn added(&mut self, name: Name, text: &str) {
        let (_, stream, attempt) = name;
        let Some(record) = self.records.get_mut(&name) else {
            return self.fail(format!("a{stream} is written to before attempt {attempt} began"));
        };
        let before = record.units.len();
        record.units.clear();
        record.units.extend(text.encode_utf16());
        let length = record.units.len();
        let problem = if !record.whole.starts_with(&record.units) {
            Some("has text that its writer did not write")
        } else if length < before {
            Some("lost text")
        } else if length > before && record.is_over {
            Some("goes on after its end")
        } else if record.sealed_at.is_some_and(|sealed_at| length > sealed_at) {
            Some("goes on after it was stopped")
        } else {
            None
        };
        if let Some(problem) = problem {
            self.fail(format!("attempt {attempt} at a{stream} {problem}"));
        }
    }

    /// Somebody's stop is committed.
    pub(crate) fn stopped(&mut self, history: u32, target: Target, meant: &[Name]) {
        for name in meant {
            if let Some(record) = self.records.get_mut(name).filter(|record| !record.is_over) {
                let length = record.units.len();
                record.sealed_at = Some(record.sealed_at.map_or(length, |at| at.min(length)));
            }
        }
        if let (Target::Send(send), []) = (target, meant) {
            self.stops.insert((history, send));
        }
    }

    /// Its message is in the mailbox, with this text.
    pub(crate) fn ended(&mut self, name: Name, status: StreamStatus, content: &str) {
        let (_, stream, attempt) = name;
        let Some(record) = self.records.get_mut(&name) else {
            return self.fail(format!("attempt {attempt} at a{stream} ends before it began"));
        };
        let is_whole = record.units.len() == record.whole.len();
        let problem = if std::mem::replace(&mut record.is_over, true) {
            Some("ends twice")
        } else if !content.encode_utf16().eq(record.units.iter().copied()) {
            Some("ends with another text than it had")
        } else if record.sealed_at.is_some() && status != StreamStatus::Stopped {
            Some("was stopped and ends otherwise")
        } else if status == StreamStatus::Complete && !is_whole {
            Some("is called complete and is not")
        } else {
            None
        };
        if let Some(problem) = problem {
            self.fail(format!("attempt {attempt} at a{stream} {problem}: {status:?}"));
        }
    }

    /// What an attempt came to, as far as anybody may know.
    pub(crate) fn text(&self, name: Name) -> Option<&[u16]> {
        self.records.get(&name).map(|record| &*record.units)
    }

    /// Whether the store has all that it said to have.
    pub(crate) fn keeps(&self, history: u32, stream: StreamNo, newest: &Newest) -> bool {
        let text = self.text((history, stream, newest.attempt));
        text.is_some_and(|units| newest.text.encode_utf16().eq(units.iter().copied()))
    }

    fn fail(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }
}
