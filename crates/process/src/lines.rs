//! Stderr. Written to directly, until a server begins to log: then by a thread of its own behind a
//! bounded queue, so that a terminal that was stopped, or a log reader that hangs, holds up nobody.

use std::{
    collections::VecDeque,
    io::{self, Write as _},
    sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use crate::words;

/// What waits to be written, in bytes; what comes on top is lost, and counted.
const WAITING_BYTES_MAX: usize = 1024 * 1024;
/// How long the end of a process waits for its last words.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

static QUEUE: OnceLock<Queue> = OnceLock::new();

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    lost: u64,
    is_writing: bool,
}

/// From now on nobody waits for stderr.
pub(crate) fn wait_no_more() {
    static STARTED: std::sync::Once = std::sync::Once::new();
    STARTED.call_once(|| {
        let queue = QUEUE.get_or_init(Queue::default);
        let started = thread::Builder::new().name("log".into()).spawn(|| queue.work());
        if started.is_err() {
            queue.lock().bytes = usize::MAX;
        }
    });
}

/// Best effort.
pub(crate) fn write(bytes: Vec<u8>) {
    match QUEUE.get() {
        Some(queue) => queue.push(bytes),
        None => write_out(&bytes),
    }
}

pub(crate) fn finish() {
    if let Some(queue) = QUEUE.get() {
        queue.finish();
    }
}

fn write_out(bytes: &[u8]) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(bytes).and_then(|()| stderr.flush());
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, bytes: Vec<u8>) {
        let mut state = self.lock();
        let after = state.bytes.saturating_add(bytes.len());
        if after > WAITING_BYTES_MAX {
            state.lost += 1;
            return;
        }
        state.bytes = after;
        state.waiting.push_back(bytes);
        drop(state);
        self.changed.notify_all();
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            state.is_writing = false;
            self.changed.notify_all();
            state = self
                .changed
                .wait_while(state, |state| state.waiting.is_empty() && state.lost == 0)
                .unwrap_or_else(PoisonError::into_inner);
            let next = state.next();
            state.is_writing = true;
            drop(state);
            write_out(&next);
            state = self.lock();
        }
    }

    fn finish(&self) {
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        drop(self.changed.wait_timeout_while(self.lock(), FINISH_TIMEOUT, is_busy));
    }
}

impl State {
    fn next(&mut self) -> Vec<u8> {
        if let Some(next) = self.waiting.pop_front() {
            self.bytes -= next.len();
            return next;
        }
        let lost = std::mem::take(&mut self.lost);
        let what = "lines of the log are missing here: stderr took them too slowly";
        words::line(words::Level::Warn, &format_args!("{lost} {what}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_writes_is_bounded_and_what_is_lost_is_said_behind_it() {
        let queue = Queue::default();
        let line = || vec![b'x'; 1024];
        for _ in 0..WAITING_BYTES_MAX / 1024 {
            queue.push(line());
        }
        assert_eq!(queue.lock().lost, 0);
        queue.push(line());
        queue.push(line());
        let mut state = queue.lock();
        while !state.waiting.is_empty() {
            assert_eq!(state.next(), line());
        }
        assert_eq!((state.bytes, state.lost), (0, 2));
        assert!(state.next().starts_with(b"2 lines of the log are missing here"));
    }
}
