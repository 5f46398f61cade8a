//! Backends that write streams: piece by piece, again when nothing answers, on after a crash, and
//! sometimes longer than anybody wants them to.

use std::sync::Arc;

use tetherline_protocol::{Attempt, StreamStatus, frame::StreamEnding, utf16};

use crate::{
    event::Event,
    store::Operation,
    streams::{Asker, Order, Reply, Request, StreamNo, Target, opening, uuid},
    world::{Publish, PublishNo, SendNo, UserNo, World},
};

pub(crate) type WriterNo = usize;

/// Of one, two and three bytes, a surrogate pair, one that joins, and what JSON escapes.
const ALPHABET: [&str; 12] = [
    "a",
    "e ",
    "ü",
    "漢",
    "👍",
    "e\u{301}",
    "👩\u{200d}🚀",
    "\u{1f1e9}\u{1f1ea}",
    "\n",
    "\"",
    "\\",
    "z.",
];
/// How many writers a run may have at work at a time.
const BUSY_MAX: usize = 6;

/// One process that writes one attempt at a stream.
pub(crate) struct Writer {
    user: UserNo,
    stream: StreamNo,
    /// The send that it answers.
    reference: Option<SendNo>,
    /// In which history.
    history: u32,
    text: String,
    attempt: Option<Attempt>,
    /// How much of the text is known to be kept, in bytes.
    written: usize,
    step: Step,
    status: StreamStatus,
    /// Names the request that it waits for, or its next step.
    serial: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Opening,
    Writing,
    Ending,
    Gone,
}

impl World {
    /// Somebody begins, crashes, or has another try.
    pub(crate) fn disturb_writers(&mut self, user: UserNo) {
        let busy = self.writers.iter().filter(|writer| writer.step != Step::Gone).count();
        if self.writers.is_empty() || (busy < BUSY_MAX && self.random.percent(40)) {
            let stream = self.streams.len();
            let history = self.store.history(user);
            self.streams.push((user, history));
            return self.start_writer(stream, None);
        }
        let writer = self.random.below(self.writers.len());
        match self.random.below(10) {
            0..4 => self.crash_writer(writer),
            4 => self.writers[writer].leave(),
            _ if busy < BUSY_MAX => self.try_another_time(writer),
            _ => {}
        }
    }

    /// The application took a send that asks for a stream.
    pub(crate) fn answer_send(&mut self, user: UserNo, send: SendNo) {
        let stream = self.streams.len();
        let history = self.store.history(user);
        self.streams.push((user, history));
        self.start_writer(stream, Some(send));
    }

    /// Another process, which knows nothing of the first. That one goes on, and is to be refused.
    fn try_another_time(&mut self, writer: WriterNo) {
        let (stream, reference) = (self.writers[writer].stream, self.writers[writer].reference);
        let (user, history) = self.streams[stream];
        if history == self.store.history(user) {
            let again = reference.filter(|_| self.random.percent(20));
            self.start_writer(stream, again);
        }
    }

    fn start_writer(&mut self, stream: StreamNo, reference: Option<SendNo>) {
        let (user, history) = self.streams[stream];
        let length = match self.random.below(300) {
            // More than one page of text, even for whoever comes late.
            0 => self.random.within(4_000, 9_000),
            1..25 => 0,
            _ => self.random.within(1, 100),
        };
        let text = self.some_text(length);
        let status = match self.random.below(6) {
            0 => StreamStatus::Failed,
            _ => StreamStatus::Complete,
        };
        let writer = self.writers.len();
        self.writers.push(Writer {
            user,
            stream,
            reference,
            history,
            text,
            attempt: None,
            written: 0,
            step: Step::Opening,
            status,
            serial: 0,
        });
        self.note(&format!("writer {writer} begins a{stream} for u{user}"));
        let delay = self.delay(0, 600);
        self.after(delay, Event::Write { writer, serial: 0 });
    }

    fn some_text(&mut self, length: u64) -> String {
        (0..length).map(|_| ALPHABET[self.random.below(ALPHABET.len())]).collect()
    }

    /// It loses what it knew, and asks how far it got.
    fn crash_writer(&mut self, writer: WriterNo) {
        let target = &mut self.writers[writer];
        if target.attempt.is_none() || target.step == Step::Gone {
            return;
        }
        target.serial += 1;
        let serial = target.serial;
        self.note(&format!("writer {writer} crashes"));
        let delay = self.delay(1, 3_000);
        self.after(delay, Event::Resume { writer, serial });
    }

    pub(crate) fn resume_writing(&mut self, writer: WriterNo, serial: u32) {
        let Writer { user, stream, attempt, .. } = self.writers[writer];
        if self.writers[writer].serial != serial {
            return;
        }
        if self.server.is_none() {
            let delay = self.delay(100, 1_000);
            return self.after(delay, Event::Resume { writer, serial });
        }
        let newest = self.store.mailbox(user).streams.get(stream);
        let kept =
            newest.filter(|newest| newest.is_unfinished() && Some(newest.attempt) == attempt);
        match kept.map(|newest| newest.text.len()) {
            Some(written) => {
                self.note(&format!("writer {writer} goes on from byte {written}"));
                let target = &mut self.writers[writer];
                target.written = written;
                target.step = Step::Writing;
                self.write(writer, serial);
            }
            None => self.writers[writer].leave(),
        }
    }

    /// The next request, or the same once more.
    pub(crate) fn write(&mut self, writer: WriterNo, serial: u32) {
        let target = &self.writers[writer];
        if target.serial != serial || target.step == Step::Gone {
            return;
        }
        let patience = self.delay(300, 2_000);
        self.after(patience, Event::Write { writer, serial });
        let Some(life) = self.server.as_ref().map(|life| life.number) else { return };
        let request = self.request(writer);
        let target = &self.writers[writer];
        let (user, history) = (target.user, Some(target.history));
        let asker = Asker::Writer(writer, serial);
        self.submit(Operation::Stream(Order { user, history, asker, request }), life);
    }

    fn request(&mut self, writer: WriterNo) -> Request {
        let Writer { stream, user, attempt, step, status, reference, .. } = self.writers[writer];
        let Some(attempt) = attempt.filter(|_| step != Step::Opening) else {
            let publish = self.placeholder_of(user);
            let whole = self.writers[writer].text.encode_utf16().collect();
            let (uuid, opening) = (uuid(stream), opening(stream, reference));
            return Request::Open { stream, writer, reference, publish, whole, uuid, opening };
        };
        if step == Step::Ending {
            let ending = Arc::new(StreamEnding::plain(status));
            return Request::End { stream, attempt, ending };
        }
        let longest = self.writers[writer].text.len() as u64 / 8 + 20;
        let size = self.random.within(1, longest) as usize;
        let target = &self.writers[writer];
        let rest = &target.text[target.written..];
        let text = rest[..rest.ceil_char_boundary(size)].to_owned();
        let offset = Some(utf16::length(&target.text[..target.written]));
        Request::Add { stream, attempt, offset, text }
    }

    pub(crate) fn writer_hears(&mut self, writer: WriterNo, serial: u32, reply: &Reply) {
        let target = &mut self.writers[writer];
        if target.serial != serial || target.step == Step::Gone {
            return;
        }
        target.serial += 1;
        let serial = target.serial;
        match *reply {
            Reply::Opened { attempt, .. } => {
                target.attempt = Some(attempt);
                target.step = Step::Writing;
                target.look_whether_done();
            }
            Reply::Added { end } | Reply::Gap { end } => {
                let written = usize::try_from(end).ok();
                let written = written.and_then(|_| utf16::byte_index(&target.text, end));
                let Some(written) = written else {
                    return self.fail(format!("writer {writer} is told of text up to {end}"));
                };
                target.written = written;
                target.look_whether_done();
            }
            Reply::Stopped => {
                target.status = StreamStatus::Stopped;
                target.step = Step::Ending;
            }
            Reply::Conflict => {
                return self.fail(format!("writer {writer} is told of a text that is not its own"));
            }
            _ => target.leave(),
        }
        if self.writers[writer].step == Step::Ending && self.fault(12) {
            self.note(&format!("writer {writer} dies before it ends its stream"));
            self.writers[writer].leave();
        }
        let pause = if self.fault(3) { self.delay(500, 30_000) } else { self.delay(0, 150) };
        self.after(pause, Event::Write { writer, serial });
    }

    /// The application hears that somebody wants no more of it, and may do something about it.
    pub(crate) fn stop_writers(&mut self, user: UserNo, target: Target) {
        for writer in 0..self.writers.len() {
            let known = &self.writers[writer];
            let is_meant = match target {
                Target::Stream(stream) => known.stream == stream,
                Target::Send(send) => known.reference == Some(send),
            };
            if known.user != user || !is_meant || known.step != Step::Writing {
                continue;
            }
            if self.random.percent(50) {
                let known = &mut self.writers[writer];
                (known.step, known.status) = (Step::Ending, StreamStatus::Stopped);
                known.serial += 1;
                let serial = known.serial;
                self.after(0, Event::Write { writer, serial });
            }
        }
    }

    /// A stream went on, and that is gone. It becomes another message, and half of them go on otherwise.
    pub(crate) fn rewrite_streams(&mut self, user: UserNo) {
        let unfinished = self.store.mailbox(user).streams.unfinished();
        let unfinished: Vec<_> = unfinished
            .map(|(stream, newest)| (stream, newest.writer, newest.text.clone()))
            .collect();
        for (stream, writer, kept) in unfinished {
            let publish = self.placeholder_of(user);
            let length = self.random.within(1, 100);
            let tail = self.random.percent(50).then(|| self.some_text(length));
            if let Some(tail) = &tail {
                self.writers[writer].text = kept + tail;
            }
            self.store.rewrite(user, stream, publish, tail.as_deref());
        }
    }

    /// What an attempt becomes: nobody is promised anything before it ends.
    fn placeholder_of(&mut self, user: UserNo) -> PublishNo {
        self.publishes.push(Publish { user, kind: 0, answered: false, lost: true });
        self.contents.push((self.users[user].clone(), Self::placeholder()));
        self.publishes.len() - 1
    }

    /// The history is another one. Whoever finds their attempt in it goes on from what is there.
    pub(crate) fn writers_look_up(&mut self, user: UserNo) {
        let history = self.store.history(user);
        for writer in 0..self.writers.len() {
            let target = &mut self.writers[writer];
            if target.user != user || target.step == Step::Gone {
                continue;
            }
            let newest = self.store.mailbox(user).streams.get(target.stream);
            let own = newest.filter(|newest| {
                newest.writer == writer
                    && Some(newest.attempt) == target.attempt
                    && newest.is_unfinished()
            });
            let Some(own) = own else {
                target.leave();
                continue;
            };
            target.history = history;
            target.written = own.text.len();
            target.step = Step::Writing;
            target.serial += 1;
            let serial = target.serial;
            self.after(100, Event::Write { writer, serial });
        }
    }
}

impl Writer {
    pub(crate) fn leave(&mut self) {
        self.step = Step::Gone;
    }

    fn look_whether_done(&mut self) {
        if self.written == self.text.len() {
            self.step = Step::Ending;
        }
    }
}
