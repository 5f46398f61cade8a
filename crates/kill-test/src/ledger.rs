//! What happened, and what of it must not have. No clock and no socket: whoever sees something
//! says it here, and what cannot be true together is a problem.

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Problems that are kept with their words; the others are counted.
const PROBLEMS_MAX: usize = 20;

/// What a publisher wrote: its `n`th message, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) publisher: u16,
    pub(crate) n: u32,
}

/// What is wrong, by what it means for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something that was promised is not there.
    Lost,
    /// Something came twice, or took effect twice.
    Doubled,
    /// Anything else: order, marks, mixed up users.
    Broken,
}

/// Counts for the table.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) kills: AtomicU64,
    pub(crate) published: AtomicU64,
    pub(crate) publishes_repeated: AtomicU64,
    pub(crate) publishes_refused: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) replayed: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) streams: AtomicU64,
    pub(crate) streams_resumed: AtomicU64,
    pub(crate) kills_while_streaming: AtomicU64,
    pub(crate) pieces: AtomicU64,
    pub(crate) pages: AtomicU64,
    pub(crate) pages_closed: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) disconnections: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) doubled: AtomicU64,
    pub(crate) broken: AtomicU64,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Everything that is known of all mailboxes.
#[derive(Debug)]
pub(crate) struct Ledger {
    mailboxes: Vec<Mutex<Mailbox>>,
    problems: Mutex<Vec<String>>,
    pub(crate) counts: Counts,
}

/// What stands where, as soon as anybody has seen it.
#[derive(Debug, Default)]
struct Mailbox {
    /// By `seq` - 1.
    notes: Vec<Option<Note>>,
    /// By publisher and `n`: the position.
    seqs: Vec<Vec<Option<u64>>>,
}

impl Ledger {
    pub(crate) fn new(users: usize) -> Self {
        let mailboxes = (0..users).map(|_| Mutex::default()).collect();
        Self { mailboxes, problems: Mutex::default(), counts: Counts::default() }
    }

    /// A publish was answered 2xx with this position.
    pub(crate) fn published(&self, user: usize, note: Note, seq: u64) {
        self.place(user, note, seq, "was answered");
    }

    /// Somebody read this.
    pub(crate) fn read(&self, user: usize, note: Note, seq: u64) {
        self.place(user, note, seq, "was read");
    }

    fn place(&self, user: usize, note: Note, seq: u64, how: &str) {
        let placed = lock(&self.mailboxes[user]).place(note, seq);
        if let Err((kind, words)) = placed {
            self.problem(kind, format!("user {user}: {note} {how} at {seq}, but {words}"));
        }
    }

    /// How far a mailbox is known to reach.
    pub(crate) fn head(&self, user: usize) -> u64 {
        lock(&self.mailboxes[user]).notes.len() as u64
    }

    /// Everybody is done, and each publisher has published so many: nothing more and nothing less
    /// may stand in the mailbox.
    pub(crate) fn close(&self, user: usize, published: &[(u16, u32)]) {
        let mailbox = lock(&self.mailboxes[user]);
        let holes = mailbox.notes.iter().filter(|note| note.is_none()).count();
        if holes > 0 {
            self.problem(Kind::Lost, format!("user {user}: {holes} positions hold nothing"));
        }
        let total: usize = published.iter().map(|&(_, count)| count as usize).sum();
        if mailbox.notes.len() != total {
            let words = format!(
                "user {user}: the head is {}, but {total} messages were published",
                mailbox.notes.len()
            );
            let kind = if mailbox.notes.len() < total { Kind::Lost } else { Kind::Doubled };
            self.problem(kind, words);
        }
        for &(publisher, count) in published {
            let seqs = mailbox.seqs.get(usize::from(publisher)).map_or(&[][..], Vec::as_slice);
            let known = seqs.iter().take(count as usize).flatten().count();
            if known != count as usize {
                let words = format!("user {user}: publisher {publisher} lacks {known} of {count}");
                self.problem(Kind::Lost, words);
            }
        }
    }

    pub(crate) fn problem(&self, kind: Kind, words: String) {
        count(match kind {
            Kind::Lost => &self.counts.lost,
            Kind::Doubled => &self.counts.doubled,
            Kind::Broken => &self.counts.broken,
        });
        let mut problems = lock(&self.problems);
        if problems.len() < PROBLEMS_MAX {
            problems.push(words);
        }
    }

    pub(crate) fn problems(&self) -> Vec<String> {
        lock(&self.problems).clone()
    }
}

impl Mailbox {
    fn place(&mut self, note: Note, seq: u64) -> Result<(), (Kind, String)> {
        let Some(index) = seq.checked_sub(1) else {
            return Err((Kind::Broken, "positions begin at 1".into()));
        };
        let known = slot(&mut self.notes, index as usize);
        if let Some(other) = known.filter(|&other| other != note) {
            return Err((Kind::Broken, format!("{other} stands there")));
        }
        *known = Some(note);
        let publisher = usize::from(note.publisher);
        if self.seqs.len() <= publisher {
            self.seqs.resize_with(publisher + 1, Vec::new);
        }
        let known = slot(&mut self.seqs[publisher], note.n as usize);
        if let Some(other) = known.filter(|&other| other != seq) {
            return Err((Kind::Doubled, format!("it stands at {other} already")));
        }
        *known = Some(seq);
        Ok(())
    }
}

fn slot<T: Clone>(slots: &mut Vec<Option<T>>, index: usize) -> &mut Option<T> {
    if slots.len() <= index {
        slots.resize(index + 1, None);
    }
    &mut slots[index]
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "message {} of publisher {}", self.n, self.publisher)
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(n: u32) -> Note {
        Note { publisher: 0, n }
    }

    fn verdict(story: impl FnOnce(&Ledger)) -> (u64, u64, u64) {
        let ledger = Ledger::new(1);
        story(&ledger);
        let counts = &ledger.counts;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&counts.lost), read(&counts.doubled), read(&counts.broken))
    }

    #[test]
    fn streams_and_readers_that_agree_are_no_problem() {
        let story = |ledger: &Ledger| {
            ledger.read(0, note(0), 1);
            ledger.published(0, note(0), 1);
            ledger.published(0, note(1), 2);
            ledger.close(0, &[(0, 2)]);
        };
        assert_eq!(verdict(story), (0, 0, 0));
    }

    #[test]
    fn an_answered_message_that_nobody_has_is_lost() {
        assert_eq!(verdict(|ledger| ledger.close(0, &[(0, 1)])), (2, 0, 0));
    }

    #[test]
    fn a_hole_is_a_loss() {
        let story = |ledger: &Ledger| {
            ledger.published(0, note(0), 2);
            ledger.close(0, &[(0, 2)]);
        };
        assert_eq!(verdict(story).0, 2);
    }

    #[test]
    fn one_message_at_two_positions_is_doubled() {
        let story = |ledger: &Ledger| {
            ledger.published(0, note(0), 1);
            ledger.read(0, note(0), 2);
        };
        assert_eq!(verdict(story), (0, 1, 0));
    }

    #[test]
    fn two_messages_at_one_position_are_a_problem() {
        let story = |ledger: &Ledger| {
            ledger.published(0, note(0), 1);
            ledger.read(0, note(1), 1);
        };
        assert_eq!(verdict(story), (0, 0, 1));
    }
}
