//! Who is at which send just now, for a store that belongs to one process.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use tokio::sync::{Notify, futures::OwnedNotified};

/// Claims on sends, each held for a while by whoever hands the send to the application. They live in
/// memory, because they end with the process. Time is an argument, in ms.
#[derive(Debug)]
pub struct Claims<Name> {
    held: HashMap<Name, Held>,
    last: u64,
}

#[derive(Debug)]
struct Held {
    number: u64,
    until_ms: u64,
    /// Its outcome is on its way to the disk: nobody else may decide another.
    is_recorded: bool,
    over: Arc<Notify>,
}

/// A send that somebody else has claimed.
pub struct Taken {
    /// For so long, unless the claim is renewed.
    pub left_ms: u64,
    /// Resolves once the claim is over before that.
    pub over: OwnedNotified,
}

impl<Name> Default for Claims<Name> {
    fn default() -> Self {
        Self { held: HashMap::new(), last: 0 }
    }
}

impl<Name: Hash + Eq> Claims<Name> {
    /// Claims a send for so long, unless somebody has it. The number is the claim's.
    pub fn claim(&mut self, name: Name, now_ms: u64, claimed_for_ms: u64) -> Result<u64, Taken> {
        if let Some(held) = self.held.get(&name)
            && (held.is_recorded || held.until_ms > now_ms)
        {
            // What is being recorded is over soon, whatever its time.
            let left_ms = held.until_ms.saturating_sub(now_ms).max(1);
            return Err(Taken { left_ms, over: held.over.clone().notified_owned() });
        }
        self.last += 1;
        let (number, until_ms) = (self.last, now_ms.saturating_add(claimed_for_ms));
        let held = Held { number, until_ms, is_recorded: false, over: Arc::default() };
        if let Some(lost) = self.held.insert(name, held) {
            lost.over.notify_waiters();
        }
        Ok(number)
    }

    /// Keeps it for so long from now on. `false`: somebody else has it, or had it.
    #[must_use]
    pub fn renew(&mut self, name: &Name, number: u64, now_ms: u64, claimed_for_ms: u64) -> bool {
        let Some(held) = self.of(name, number) else { return false };
        held.until_ms = now_ms.saturating_add(claimed_for_ms);
        true
    }

    /// From here until it is released nobody else gets it. `false`: somebody else has it, or had it.
    #[must_use]
    pub fn begin_to_record(&mut self, name: &Name, number: u64) -> bool {
        let Some(held) = self.of(name, number) else { return false };
        held.is_recorded = true;
        true
    }

    /// It is over, and whoever waits for it asks again.
    pub fn release(&mut self, name: &Name, number: u64) {
        if self.of(name, number).is_some()
            && let Some(held) = self.held.remove(name)
        {
            held.over.notify_waiters();
        }
    }

    fn of(&mut self, name: &Name, number: u64) -> Option<&mut Held> {
        self.held.get_mut(name).filter(|held| held.number == number)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_send_is_claimed_by_one_at_a_time_and_for_as_long_as_was_said() {
        let mut claims = Claims::default();
        let first = claims.claim("m1", 0, 100).ok().unwrap();
        assert_eq!(claims.claim("m1", 99, 100).err().unwrap().left_ms, 1);
        assert!(claims.claim("m2", 99, 100).is_ok(), "another send");
        assert!(claims.renew(&"m1", first, 99, 100));
        assert_eq!(claims.claim("m1", 100, 100).err().unwrap().left_ms, 99);
        // Not renewed in time, but nobody wanted it.
        assert!(claims.renew(&"m1", first, 500, 100));
        let second = claims.claim("m1", 600, 100).ok().unwrap();
        assert!(!claims.renew(&"m1", first, 600, 100));
        assert!(!claims.begin_to_record(&"m1", first));
        claims.release(&"m1", first);
        assert!(claims.claim("m1", 601, 100).is_err(), "nobody gives back what is another's");
        assert!(claims.begin_to_record(&"m1", second));
        assert!(claims.claim("m1", 10_000, 100).is_err(), "it is on its way to the disk");
        claims.release(&"m1", second);
        assert!(claims.claim("m1", 10_000, 100).is_ok());
    }

    #[test]
    fn whoever_waits_hears_when_a_claim_is_over() {
        let mut claims = Claims::default();
        let first = claims.claim("m1", 0, 100).ok().unwrap();
        let released = claims.claim("m1", 0, 100).err().unwrap().over;
        claims.release(&"m1", first);
        assert!(released.now_or_never().is_some());
        let _second = claims.claim("m1", 0, 100).ok().unwrap();
        let lost = claims.claim("m1", 0, 100).err().unwrap().over;
        assert!(claims.claim("m1", 100, 100).is_ok());
        assert!(lost.now_or_never().is_some());
    }
}
