//! Text that waits for other text to share a commit with: only when there is much of it, and only as
//! long as nothing else waits.

use std::{
    thread,
    time::{Duration, Instant},
};

use tetherline_protocol::limits::STREAM_COMMIT_MS_MAX;
use tokio::sync::mpsc::{self, error::TryRecvError};

use super::{commands::Command, writer::BATCH_MAX};

/// Pieces are counted over as long as this, twice.
const WINDOW: Duration = Duration::from_millis(500);
/// At so many pieces in both windows, which are a second, they wait for a millisecond; at more in
/// proportion. Below it, what comes while a commit runs is company enough: it shares the next one.
const PIECES_PER_MS: usize = 4_000;
/// How often what waits is taken from the queue meanwhile, so that it never fills.
const TAKE_EVERY: Duration = Duration::from_millis(2);

/// Takes what comes until then, or until it is full, or something else than text is in it. Whoever
/// sends something else unparks this thread.
pub(super) fn gather(
    waiting: &mut mpsc::Receiver<Command>,
    batch: &mut Vec<Command>,
    until: Instant,
) {
    let mut seen = 0;
    while batch.len() < BATCH_MAX && batch[seen..].iter().all(Command::is_text) {
        seen = batch.len();
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::park_timeout(left.min(TAKE_EVERY));
        if take(waiting, batch) == Err(TryRecvError::Disconnected) {
            return;
        }
    }
}

fn take(
    waiting: &mut mpsc::Receiver<Command>,
    batch: &mut Vec<Command>,
) -> Result<(), TryRecvError> {
    while batch.len() < BATCH_MAX {
        batch.push(waiting.try_recv()?);
    }
    Ok(())
}

/// How much text has come lately.
#[derive(Default)]
pub(super) struct Pace {
    /// When the newer window began.
    since: Option<Instant>,
    older: usize,
    newer: usize,
}

impl Pace {
    /// So many pieces came, at `now`.
    pub(super) fn note(&mut self, pieces: usize, now: Instant) {
        let windows = self.since.map_or(u32::MAX, |since| windows_between(since, now));
        match windows {
            0 => {}
            1 => (self.older, self.newer) = (self.newer, 0),
            _ => (self.older, self.newer) = (0, 0),
        }
        if windows > 0 {
            self.since = Some(now);
        }
        self.newer += pieces;
    }

    /// How long text waits at this pace, in whole ms.
    pub(super) fn linger(&self) -> Duration {
        let ms = ((self.older + self.newer) / PIECES_PER_MS) as u64;
        Duration::from_millis(ms.min(STREAM_COMMIT_MS_MAX))
    }
}

fn windows_between(since: Instant, now: Instant) -> u32 {
    let elapsed = now.saturating_duration_since(since);
    (elapsed.as_millis() / WINDOW.as_millis()).try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{commands::Reply, streams::StreamCommand},
        *,
    };
    use tetherline_protocol::Attempt;

    /// Longer than any test may take.
    const FOR_EVER: Duration = Duration::from_hours(1);

    fn text() -> Command {
        Command::Stream(StreamCommand::Append {
            user: "ada".parse().unwrap(),
            message_uuid: "a1".parse().unwrap(),
            attempt: Attempt::FIRST,
            offset: None,
            text: "x".into(),
            reply: Reply::new(None).0,
        })
    }

    fn look() -> Command {
        Command::Look { reply: Reply::new(None).0 }
    }

    #[test]
    fn text_waits_no_longer_once_something_else_comes() {
        let (commands, mut waiting) = mpsc::channel(8);
        let gathering = thread::spawn(move || {
            let mut batch = vec![text()];
            gather(&mut waiting, &mut batch, Instant::now() + FOR_EVER);
            batch.len()
        });
        commands.blocking_send(text()).unwrap();
        commands.blocking_send(look()).unwrap();
        gathering.thread().unpark();
        assert_eq!(gathering.join().unwrap(), 3);
    }

    #[test]
    fn nothing_waits_for_text_that_would_not_fit() {
        let (commands, mut waiting) = mpsc::channel(BATCH_MAX);
        let mut batch: Vec<Command> = (0..3).map(|_| text()).collect();
        for _ in 0..BATCH_MAX {
            commands.blocking_send(text()).unwrap();
        }
        gather(&mut waiting, &mut batch, Instant::now() + FOR_EVER);
        assert_eq!(batch.len(), BATCH_MAX);
        assert_eq!(waiting.len(), 3);
    }

    #[test]
    fn a_store_that_is_closed_waits_for_nothing() {
        let (commands, mut waiting) = mpsc::channel(8);
        commands.blocking_send(text()).unwrap();
        drop(commands);
        let mut batch = vec![text()];
        gather(&mut waiting, &mut batch, Instant::now() + FOR_EVER);
        assert_eq!(batch.len(), 2);
    }

    #[test]
    fn what_is_no_text_waits_for_nothing() {
        let (_commands, mut waiting) = mpsc::channel(8);
        gather(&mut waiting, &mut vec![look()], Instant::now() + FOR_EVER);
    }

    fn linger_after(pieces_by_ms: &[(usize, u64)]) -> u64 {
        let (start, mut pace) = (Instant::now(), Pace::default());
        for &(pieces, ms) in pieces_by_ms {
            pace.note(pieces, start + Duration::from_millis(ms));
        }
        u64::try_from(pace.linger().as_millis()).unwrap()
    }

    #[test]
    fn text_waits_for_nothing_as_long_as_there_is_little_of_it() {
        assert_eq!(linger_after(&[]), 0);
        assert_eq!(linger_after(&[(2_000, 0), (1_999, 500)]), 0);
        assert_eq!(linger_after(&[(2_000, 0), (2_000, 500)]), 1);
    }

    #[test]
    fn the_more_there_is_the_longer_it_waits_and_never_longer_than_the_limit() {
        assert_eq!(linger_after(&[(20_000, 0), (20_000, 999)]), 10);
        let most = usize::try_from(STREAM_COMMIT_MS_MAX).unwrap() * PIECES_PER_MS;
        assert_eq!(linger_after(&[(most - 1, 0)]), STREAM_COMMIT_MS_MAX - 1);
        assert_eq!(linger_after(&[(most, 0)]), STREAM_COMMIT_MS_MAX);
        assert_eq!(linger_after(&[(10 * most, 0)]), STREAM_COMMIT_MS_MAX);
    }

    #[test]
    fn what_came_more_than_a_second_ago_counts_no_more() {
        assert_eq!(linger_after(&[(36_000, 0), (0, 500)]), 9);
        assert_eq!(linger_after(&[(36_000, 0), (0, 500), (0, 1_000)]), 0);
        assert_eq!(linger_after(&[(36_000, 0), (0, 1_000)]), 0);
    }
}
