//! Cursors that are ahead of the file. Repeating is preferred to losing, so an acknowledgement costs no
//! commit: it is kept here, whoever asks for a place is told of it, and it is written with the others, at
//! most once a second. A crash takes what was not written; then those messages come again.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use tetherline_protocol::{DeviceId, Seq, UserId};

use crate::lock::lock;

/// How often they are written.
pub(super) const SAVE_EVERY: Duration = Duration::from_secs(1);
/// Cursors and floors that may be ahead of the file. One more is written at once.
pub(super) const CURSORS_AHEAD_MAX: usize = 65_536;

#[derive(Default)]
pub(super) struct Cursors {
    ahead: Mutex<Ahead>,
}

#[derive(Default)]
struct Ahead {
    users: HashMap<UserId, Positions>,
    cursors: usize,
    /// Since when the oldest of them has waited.
    since: Option<Instant>,
}

/// Where the devices of a user are, as far as they are ahead of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Positions {
    pub(super) floor: Seq,
    pub(super) devices: Vec<(DeviceId, Seq)>,
}

/// One device, as far as it is ahead of the file; otherwise zero, which is never ahead.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Position {
    pub(super) floor: Seq,
    pub(super) cursor: Seq,
}

/// What became of an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// It waits with others.
    Ahead,
    /// It is the first one that waits: somebody has to see to it that it is written.
    First,
    /// Too many wait. It has to be written at once.
    Full,
}

impl Cursors {
    /// Moves a device and its user's floor forward, never back. `seq` is not past the head.
    pub(super) fn advance(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
        seq: Seq,
        now: Instant,
    ) -> Kept {
        let mut ahead = lock(&self.ahead);
        let Ahead { users, cursors, since } = &mut *ahead;
        let known = users.get(user);
        let is_known = device.is_none_or(|device| known.is_some_and(|known| known.has(device)));
        let added = usize::from(known.is_none()) + usize::from(!is_known);
        if added > 0 && *cursors + added > CURSORS_AHEAD_MAX {
            return Kept::Full;
        }
        *cursors += added;
        users.entry(user.clone()).or_default().advance(device, seq);
        match since.replace(since.unwrap_or(now)) {
            Some(_) => Kept::Ahead,
            None => Kept::First,
        }
    }

    /// To be asked before the file is: what is written meanwhile is in the one or the other.
    pub(super) fn of(&self, user: &UserId, device: Option<&DeviceId>) -> Position {
        let ahead = lock(&self.ahead);
        ahead.users.get(user).map(|known| known.of(device)).unwrap_or_default()
    }

    pub(super) fn of_all(&self, user: &UserId) -> Option<Positions> {
        lock(&self.ahead).users.get(user).cloned()
    }

    /// When some of them are to be written, if there are any.
    pub(super) fn due_at(&self) -> Option<Instant> {
        lock(&self.ahead).since.map(|since| since + SAVE_EVERY)
    }

    /// Whose are to be written now.
    pub(super) fn due(&self, now: Instant) -> Vec<UserId> {
        let mut ahead = lock(&self.ahead);
        if ahead.since.is_none_or(|since| now.saturating_duration_since(since) < SAVE_EVERY) {
            return Vec::new();
        }
        // What comes from here on waits for the next time.
        ahead.since = Some(now);
        ahead.users.keys().cloned().collect()
    }

    /// All of them, whether it is time or not.
    pub(super) fn all(&self) -> Vec<UserId> {
        lock(&self.ahead).users.keys().cloned().collect()
    }

    /// These are in the file now; what has moved on meanwhile waits for the next time.
    pub(super) fn saved(&self, written: &[(UserId, Positions)]) {
        let mut ahead = lock(&self.ahead);
        for (user, positions) in written {
            if ahead.users.get(user) == Some(positions) {
                ahead.remove(user);
            }
        }
        if ahead.users.is_empty() {
            ahead.since = None;
        }
    }

    /// Everything about a user is forgotten.
    pub(super) fn forget(&self, user: &UserId) {
        lock(&self.ahead).remove(user);
    }

    /// The store was lost: nobody knows what it will be when it is found.
    pub(super) fn forget_all(&self) {
        *lock(&self.ahead) = Ahead::default();
    }
}

impl Ahead {
    fn remove(&mut self, user: &UserId) {
        if let Some(positions) = self.users.remove(user) {
            self.cursors -= 1 + positions.devices.len();
        }
    }
}

impl Positions {
    pub(super) fn of_one(device: Option<&DeviceId>, seq: Seq) -> Self {
        let mut positions = Self::default();
        positions.advance(device, seq);
        positions
    }

    fn advance(&mut self, device: Option<&DeviceId>, seq: Seq) {
        self.floor = self.floor.max(seq);
        let Some(device) = device else { return };
        match self.devices.iter_mut().find(|(name, _)| name == device) {
            Some((_, cursor)) => *cursor = seq.max(*cursor),
            None => self.devices.push((device.clone(), seq)),
        }
    }

    fn has(&self, device: &DeviceId) -> bool {
        self.devices.iter().any(|(name, _)| name == device)
    }

    fn of(&self, device: Option<&DeviceId>) -> Position {
        let found = self.devices.iter().find(|(name, _)| Some(name) == device);
        Position { floor: self.floor, cursor: found.map_or(Seq::ZERO, |(_, cursor)| *cursor) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        name.parse().unwrap()
    }

    fn device(name: &str) -> DeviceId {
        name.parse().unwrap()
    }

    fn seq(number: u64) -> Seq {
        Seq::new(number).unwrap()
    }

    #[test]
    fn the_last_that_fits_waits_and_one_more_does_not() {
        let (cursors, now) = (Cursors::default(), Instant::now());
        let ada = user("ada");
        assert_eq!(cursors.advance(&ada, None, seq(1), now), Kept::First);
        for n in 1..CURSORS_AHEAD_MAX {
            assert_eq!(cursors.advance(&user(&format!("u{n}")), None, seq(1), now), Kept::Ahead);
        }
        assert_eq!(cursors.advance(&user("one-more"), None, seq(1), now), Kept::Full);
        assert_eq!(cursors.advance(&user("u1"), Some(&device("d")), seq(1), now), Kept::Full);
        assert_eq!(cursors.advance(&user("u1"), None, seq(2), now), Kept::Ahead);
        cursors.saved(&[(ada.clone(), cursors.of_all(&ada).unwrap())]);
        assert_eq!(cursors.advance(&user("u1"), Some(&device("d")), seq(1), now), Kept::Ahead);
        assert_eq!(cursors.advance(&user("one-more"), None, seq(1), now), Kept::Full);
    }

    #[test]
    fn they_are_written_once_a_second() {
        let (cursors, start, ada) = (Cursors::default(), Instant::now(), user("ada"));
        assert!(cursors.due(start).is_empty());
        cursors.advance(&ada, None, seq(1), start);
        let just_before = start + SAVE_EVERY.saturating_sub(Duration::from_millis(1));
        assert!(cursors.due(just_before).is_empty());
        let at = start + SAVE_EVERY;
        assert_eq!(cursors.due(at), std::slice::from_ref(&ada));
        let written = (ada.clone(), cursors.of_all(&ada).unwrap());
        cursors.advance(&ada, None, seq(2), at);
        cursors.saved(&[written]);
        assert!(cursors.due(at + SAVE_EVERY / 2).is_empty());
        assert_eq!(cursors.due(at + SAVE_EVERY), std::slice::from_ref(&ada), "it has moved on");
        cursors.saved(&[(ada.clone(), cursors.of_all(&ada).unwrap())]);
        assert!(cursors.due(at + 2 * SAVE_EVERY).is_empty());
        assert_eq!(cursors.advance(&ada, None, seq(3), at), Kept::First);
    }
}
