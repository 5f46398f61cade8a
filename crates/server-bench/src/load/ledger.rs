//! Who was sent what, and what of it arrived: lost, doubled, out of order, or with somebody else.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;
use memchr::memmem;

use super::clock::now_ns;
use crate::record::Counts;

/// What a mark begins with, in whatever frame it stands.
const MARK: &str = "TLB:";
/// After [`MARK`]: publisher, number, user and moment in hexadecimal, each with a colon behind it.
const MARK_BYTES: usize = MARK.len() + 4 + 1 + 8 + 1 + 8 + 1 + 16 + 1;

/// A publisher was told that this message is taken.
const ACKNOWLEDGED: u8 = 1;
const ARRIVED: u8 = 2;

/// What a message says about itself. It needs no escaping, so that it is found in whatever a server
/// wraps around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) publisher: u16,
    /// Of this publisher's messages, from 0.
    pub(super) number: u32,
    pub(super) user: u32,
    /// When it was to be sent, whether somebody was free to send it or not.
    pub(super) due_ns: u64,
}

impl Mark {
    /// A message with this mark, so many bytes long, or as long as the mark is.
    pub(super) fn payload(self, bytes: usize) -> String {
        let Self { publisher, number, user, due_ns } = self;
        let mut text = format!("{MARK}{publisher:04x}:{number:08x}:{user:08x}:{due_ns:016x}:");
        text.extend(std::iter::repeat_n('x', bytes.saturating_sub(text.len())));
        text
    }

    fn read(text: &[u8]) -> Option<Self> {
        let fields = std::str::from_utf8(text.get(MARK.len()..MARK_BYTES)?).ok()?;
        let mut fields = fields.split(':');
        Some(Self {
            publisher: u16::from_str_radix(fields.next()?, 16).ok()?,
            number: u32::from_str_radix(fields.next()?, 16).ok()?,
            user: u32::from_str_radix(fields.next()?, 16).ok()?,
            due_ns: u64::from_str_radix(fields.next()?, 16).ok()?,
        })
    }
}

/// Counts what arrives against what was taken.
#[derive(Debug)]
pub(super) struct Ledger(Mutex<Book>);

#[derive(Debug)]
struct Book {
    /// Of each publisher, what became of each of its messages.
    fates: Vec<Vec<u8>>,
    /// Of each user and publisher, the number after the highest that arrived: the messages of one
    /// publisher to one user have an order, since each was taken before the next was sent.
    next: Vec<u32>,
    users: usize,
    counts: Counts,
    acknowledged: u64,
    arrived: u64,
    last_at_ns: u64,
    /// What was due before belongs to the warm-up: counted, and not timed.
    timed_from_ns: u64,
    latency: Histogram<u64>,
}

/// What came in, and how late.
#[derive(Debug)]
pub(super) struct Arrivals {
    pub(super) arrived: u64,
    pub(super) last_at_ns: u64,
    pub(super) latency: Histogram<u64>,
}

impl Ledger {
    pub(super) fn new(users: u32, publishers: u16) -> Self {
        let (users, publishers) = (users as usize, usize::from(publishers));
        Self(Mutex::new(Book {
            fates: vec![Vec::new(); publishers],
            next: vec![0; users * publishers],
            users,
            counts: Counts::default(),
            acknowledged: 0,
            arrived: 0,
            last_at_ns: 0,
            timed_from_ns: 0,
            latency: new_histogram(),
        }))
    }

    /// Begins a measurement: what was due until now is not timed.
    pub(super) fn time_from_now(&self) {
        self.book().timed_from_ns = now_ns();
    }

    /// Its publisher was told so.
    pub(super) fn acknowledged(&self, mark: Mark) {
        let mut book = self.book();
        book.acknowledged += 1;
        *book.fate(mark) |= ACKNOWLEDGED;
    }

    /// What a connection of `user` received, whole.
    pub(super) fn received(&self, user: u32, frame: &[u8]) {
        let now = now_ns();
        for at in memmem::find_iter(frame, MARK) {
            if let Some(mark) = Mark::read(&frame[at..]) {
                self.book().arrived(user, mark, now);
            }
        }
    }

    pub(super) fn acknowledged_count(&self) -> u64 {
        self.book().acknowledged
    }

    pub(super) fn arrived(&self) -> u64 {
        self.book().arrived
    }

    pub(super) fn arrivals(&self) -> Arrivals {
        let Book { arrived, last_at_ns, latency, .. } = &*self.book();
        Arrivals { arrived: *arrived, last_at_ns: *last_at_ns, latency: latency.clone() }
    }

    /// What went wrong. What nobody was told to be taken may arrive or not.
    pub(super) fn counts(&self) -> Counts {
        let book = self.book();
        let lost = |fate: &&u8| **fate == ACKNOWLEDGED;
        let lost = book.fates.iter().flatten().filter(lost).count() as u64;
        Counts { lost, ..book.counts }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn fate(&mut self, Mark { publisher, number, .. }: Mark) -> &mut u8 {
        let fates = &mut self.fates[usize::from(publisher)];
        let number = number as usize;
        if fates.len() <= number {
            fates.resize(number + 1, 0);
        }
        &mut fates[number]
    }

    fn arrived(&mut self, user: u32, mark: Mark, now: u64) {
        if usize::from(mark.publisher) >= self.fates.len() || mark.user as usize >= self.users {
            self.counts.misdelivered += 1;
            return;
        }
        if mark.user != user {
            self.counts.misdelivered += 1;
        }
        let fate = self.fate(mark);
        if *fate & ARRIVED != 0 {
            self.counts.doubled += 1;
            return;
        }
        *fate |= ARRIVED;
        let publishers = self.fates.len();
        let next = &mut self.next[mark.user as usize * publishers + usize::from(mark.publisher)];
        if mark.number < *next {
            self.counts.reordered += 1;
        }
        *next = (*next).max(mark.number + 1);
        self.arrived += 1;
        self.last_at_ns = now;
        if mark.due_ns >= self.timed_from_ns {
            self.latency.saturating_record(now.saturating_sub(mark.due_ns));
        }
    }
}

/// Of nanoseconds up to a minute, to three digits.
pub(super) fn new_histogram() -> Histogram<u64> {
    #[expect(clippy::expect_used, reason = "these bounds are ones that it takes")]
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("three digits up to a minute")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(publisher: u16, number: u32, user: u32) -> Mark {
        Mark { publisher, number, user, due_ns: 1 }
    }

    fn frame(mark: Mark) -> Vec<u8> {
        format!(r#"{{"type":"m","body":"{}"}}"#, mark.payload(256)).into_bytes()
    }

    /// Two users, two publishers: all of it taken, in the order in which it arrives.
    fn ledger(taken: &[Mark], arrived: &[Mark]) -> Counts {
        let ledger = Ledger::new(2, 2);
        for &mark in taken {
            ledger.acknowledged(mark);
        }
        for &mark in arrived {
            ledger.received(mark.user, &frame(mark));
        }
        ledger.counts()
    }

    #[test]
    fn a_mark_is_found_however_it_is_wrapped_and_as_often_as_it_is_there() {
        let (first, second) = (mark(1, 2, 0), mark(0xffff, 0xffff_fffe, 0xffff_fffd));
        assert_eq!(first.payload(256).len(), 256);
        assert_eq!(Mark::read(first.payload(0).as_bytes()), Some(first));
        assert_eq!(Mark::read(second.payload(0).as_bytes()), Some(second));
        assert_eq!(Mark::read(&first.payload(0).as_bytes()[..MARK_BYTES - 1]), None);
        let ledger = Ledger::new(1, 2);
        let both = [frame(first), frame(mark(1, 3, 0))].concat();
        ledger.received(0, &both);
        assert_eq!(ledger.arrived(), 2);
    }

    #[test]
    fn all_there_and_in_order_is_nothing_to_count() {
        let all = [mark(0, 0, 0), mark(0, 1, 1), mark(0, 2, 0), mark(1, 0, 0)];
        assert_eq!(ledger(&all, &all), Counts::default());
    }

    #[test]
    fn what_was_taken_and_did_not_arrive_is_lost() {
        let all = [mark(0, 0, 0), mark(0, 1, 0), mark(0, 2, 0)];
        let counts = ledger(&all, &[all[0], all[2]]);
        assert_eq!(counts, Counts { lost: 1, ..Counts::default() });
        // Nobody promised this one.
        assert_eq!(ledger(&all[..2], &all), Counts::default());
    }

    #[test]
    fn what_arrives_twice_is_doubled_and_makes_up_for_nothing_that_is_lost() {
        let all = [mark(0, 0, 0), mark(0, 1, 0)];
        let counts = ledger(&all, &[all[0], all[0]]);
        assert_eq!(counts, Counts { lost: 1, doubled: 1, ..Counts::default() });
    }

    #[test]
    fn what_overtakes_an_earlier_one_of_its_publisher_and_user_is_reordered() {
        let all = [mark(0, 0, 0), mark(0, 1, 0)];
        let counts = ledger(&all, &[all[1], all[0]]);
        assert_eq!(counts, Counts { reordered: 1, ..Counts::default() });
        // Between two publishers, or two users, there is no order.
        let apart = [mark(0, 5, 0), mark(1, 0, 0), mark(0, 4, 1)];
        assert_eq!(ledger(&apart, &apart).reordered, 0);
    }

    #[test]
    fn what_somebody_else_gets_is_misdelivered() {
        let ledger = Ledger::new(2, 1);
        ledger.acknowledged(mark(0, 0, 0));
        ledger.received(1, &frame(mark(0, 0, 0)));
        assert_eq!(ledger.counts().misdelivered, 1);
    }

    #[test]
    fn what_was_due_before_the_measurement_counts_and_is_not_timed() {
        let ledger = Ledger::new(1, 1);
        ledger.time_from_now();
        ledger.received(0, &frame(mark(0, 0, 0)));
        let due_ns = now_ns();
        ledger.received(0, &frame(Mark { due_ns, ..mark(0, 1, 0) }));
        let arrivals = ledger.arrivals();
        assert_eq!((arrivals.arrived, arrivals.latency.len()), (2, 1));
    }
}
