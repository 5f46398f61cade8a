//! Tickets that were not used yet, for a store that belongs to one process.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
};

use tetherline_protocol::UserId;

use super::credentials::{
    KeepTicketError, TICKETS_MAX, TICKETS_PER_KEY_MAX, TICKETS_PER_USER_MAX, Ticket, TicketDigest,
};

/// They live in memory: a restart costs whoever has one another request, and a commit for each would cost everybody
/// more. Time is an argument, in ms.
#[derive(Debug, Default)]
pub struct Tickets {
    kept: HashMap<TicketDigest, Kept>,
    of_user: HashMap<UserId, usize>,
    of_key: HashMap<[u8; 32], usize>,
    ends: BTreeSet<(u64, TicketDigest)>,
}

#[derive(Debug)]
struct Kept {
    ticket: Ticket,
    at_ms: u64,
    until_ms: u64,
}

impl Tickets {
    /// Keeps it for so long.
    pub fn keep(
        &mut self,
        digest: TicketDigest,
        ticket: Ticket,
        now_ms: u64,
        kept_for_ms: u64,
    ) -> Result<(), KeepTicketError> {
        self.forget(now_ms);
        if self.kept.len() >= TICKETS_MAX {
            return Err(KeepTicketError::Crowded);
        }
        if self.of_user.get(&ticket.user).is_some_and(|count| *count >= TICKETS_PER_USER_MAX) {
            return Err(KeepTicketError::TooMany);
        }
        if let Some(key) = ticket.key {
            let of_key = self.of_key.entry(key).or_default();
            if *of_key >= TICKETS_PER_KEY_MAX {
                return Err(KeepTicketError::TooManyOfKey);
            }
            *of_key += 1;
        }
        *self.of_user.entry(ticket.user.clone()).or_default() += 1;
        let until_ms = now_ms.saturating_add(kept_for_ms);
        self.ends.insert((until_ms, digest));
        self.kept.insert(digest, Kept { ticket, at_ms: now_ms, until_ms });
        Ok(())
    }

    /// Takes it, once, if it is this user's.
    pub fn take(
        &mut self,
        digest: &TicketDigest,
        user: Option<&UserId>,
        now_ms: u64,
    ) -> Option<Ticket> {
        self.forget(now_ms);
        let kept = self.kept.get(digest)?;
        if user.is_some_and(|user| kept.ticket.user != *user) {
            return None;
        }
        let mut kept = self.remove(digest)?;
        let passed = std::time::Duration::from_millis(now_ms.saturating_sub(kept.at_ms));
        kept.ticket.expires_in = kept.ticket.expires_in.saturating_sub(passed);
        Some(kept.ticket)
    }

    fn forget(&mut self, now_ms: u64) {
        while let Some((until_ms, digest)) = self.ends.first().copied()
            && until_ms <= now_ms
        {
            self.remove(&digest);
        }
    }

    fn remove(&mut self, digest: &TicketDigest) -> Option<Kept> {
        let kept = self.kept.remove(digest)?;
        self.ends.remove(&(kept.until_ms, *digest));
        one_less(&mut self.of_user, &kept.ticket.user);
        if let Some(key) = kept.ticket.key {
            one_less(&mut self.of_key, &key);
        }
        Some(kept)
    }
}

fn one_less<Of: Hash + Eq>(counts: &mut HashMap<Of, usize>, of: &Of) {
    if let Some(count) = counts.get_mut(of) {
        *count -= 1;
        if *count == 0 {
            counts.remove(of);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ticket(name: &str) -> Ticket {
        let user = name.parse().unwrap();
        Ticket {
            user,
            session: None,
            made_ms: None,
            expires_in: Duration::from_mins(1),
            may: crate::May::EVERYTHING,
            key: None,
        }
    }

    fn digest(number: usize) -> TicketDigest {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_be_bytes());
        digest
    }

    #[test]
    fn a_ticket_is_taken_once_in_time_and_by_its_user() {
        let mut tickets = Tickets::default();
        let (ada, bob) = ("ada".parse().unwrap(), "bob".parse().unwrap());
        for number in 0..3 {
            tickets.keep(digest(number), ticket("ada"), 1_000, 30_000).unwrap();
        }
        assert_eq!(tickets.take(&digest(0), Some(&bob), 1_001), None);
        let taken = tickets.take(&digest(0), Some(&ada), 2_000).unwrap();
        assert_eq!(
            taken.expires_in,
            Duration::from_secs(59),
            "what it was made with goes on to run"
        );
        assert_eq!(tickets.take(&digest(0), Some(&ada), 2_000), None, "twice");
        assert!(tickets.take(&digest(1), None, 30_999).is_some(), "whoever that is");
        assert_eq!(tickets.take(&digest(2), Some(&ada), 31_000), None, "too late");
        assert!(tickets.kept.is_empty() && tickets.of_user.is_empty() && tickets.ends.is_empty());
    }

    #[test]
    fn one_key_leaves_room_for_others() {
        // A key that is for some users only had all the room there is, and nobody else got a ticket.
        let mut tickets = Tickets::default();
        let of =
            |number: usize, key| Ticket { key: Some([key; 32]), ..ticket(&number.to_string()) };
        for number in 0..TICKETS_PER_KEY_MAX {
            tickets.keep(digest(number), of(number, 1), 0, 30_000).unwrap();
        }
        let [more, other, own] = [0, 1, 2].map(|it| digest(TICKETS_MAX + it));
        let refused = tickets.keep(more, of(TICKETS_MAX, 1), 0, 30_000);
        assert_eq!(refused, Err(KeepTicketError::TooManyOfKey));
        tickets.keep(other, of(TICKETS_MAX, 2), 0, 30_000).unwrap();
        tickets.keep(own, ticket("ada"), 0, 30_000).unwrap();
        assert!(tickets.take(&digest(0), None, 1).is_some());
        tickets.keep(more, of(TICKETS_MAX, 1), 1, 30_000).unwrap();
        assert_eq!(tickets.take(&own, None, 30_001), None);
        assert!(tickets.of_key.is_empty() && tickets.of_user.is_empty());
    }

    #[test]
    fn so_many_are_kept_of_a_user_and_in_all_and_room_comes_back_with_time() {
        let mut tickets = Tickets::default();
        for number in 0..TICKETS_PER_USER_MAX {
            tickets.keep(digest(number), ticket("ada"), 0, 30_000).unwrap();
        }
        let more = digest(TICKETS_MAX);
        assert_eq!(tickets.keep(more, ticket("ada"), 0, 30_000), Err(KeepTicketError::TooMany));
        for number in TICKETS_PER_USER_MAX..TICKETS_MAX {
            tickets.keep(digest(number), ticket(&format!("u{number}")), 1, 30_000).unwrap();
        }
        assert_eq!(
            tickets.keep(more, ticket("bob"), 29_999, 30_000),
            Err(KeepTicketError::Crowded)
        );
        tickets.keep(more, ticket("ada"), 30_000, 30_000).unwrap();
        assert!(tickets.take(&more, None, 30_000).is_some());
    }
}
