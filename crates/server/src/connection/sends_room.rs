//! What clients have sent and the application has not settled, in bytes: of each user, and of everybody together.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use tetherline_protocol::UserId;

use crate::lock::lock;

/// One user's sends that wait for the application or are with it, on all connections together, in bytes.
pub const SENDS_BYTES_PER_USER_MAX: usize = 4 * 1024 * 1024;
/// The same of everybody together.
pub const SENDS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What the smallest send counts as, in bytes: it is a name and a task, too.
const SEND_BYTES_MIN: usize = 1024;
/// Of so many parts of all the room the last is only for those who have none yet, for one send each.
const PARTS_OF_ROOM: usize = 4;

/// Room that all connections share.
#[derive(Debug)]
pub(crate) struct SendsRoom {
    per_user_max: usize,
    max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_user: HashMap<UserId, usize>,
}

/// Held for as long as a send is in memory, wherever it goes.
pub(crate) struct SendShare {
    room: Arc<SendsRoom>,
    user: UserId,
    bytes: usize,
}

impl SendsRoom {
    pub(crate) fn new(per_user_max: usize, max: usize) -> Arc<Self> {
        Arc::new(Self { per_user_max, max, taken: Mutex::default() })
    }

    /// Room for a send of this size, if there is some. One that is larger than all there is takes all there is.
    pub(crate) fn take(self: &Arc<Self>, user: &UserId, bytes: usize) -> Option<SendShare> {
        let bytes = self.cost(bytes);
        let mut taken = lock(&self.taken);
        if !self.fits(&taken, user, bytes) {
            return None;
        }
        taken.all += bytes;
        *taken.by_user.entry(user.clone()).or_default() += bytes;
        drop(taken);
        Some(SendShare { room: self.clone(), user: user.clone(), bytes })
    }

    /// What is taken of it, and how much there is.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (lock(&self.taken).all as u64, self.max as u64)
    }

    /// Whether a send of this size would have none.
    pub(crate) fn is_short(&self, user: &UserId, bytes: usize) -> bool {
        !self.fits(&lock(&self.taken), user, self.cost(bytes))
    }

    fn cost(&self, bytes: usize) -> usize {
        bytes.max(SEND_BYTES_MIN).min(self.per_user_max).min(self.max)
    }

    fn fits(&self, taken: &Taken, user: &UserId, bytes: usize) -> bool {
        let of_user = taken.by_user.get(user).copied().unwrap_or_default();
        let kept = if of_user == 0 { 0 } else { self.max.div_ceil(PARTS_OF_ROOM) };
        of_user + bytes <= self.per_user_max && taken.all + bytes <= self.max - kept
    }
}

impl Drop for SendShare {
    fn drop(&mut self) {
        let mut taken = lock(&self.room.taken);
        taken.all -= self.bytes;
        if let Some(of_user) = taken.by_user.get_mut(&self.user) {
            *of_user -= self.bytes;
            if *of_user == 0 {
                taken.by_user.remove(&self.user);
            }
        }
    }
}

impl fmt::Debug for SendShare {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SendShare({} bytes)", self.bytes)
    }
}

impl PartialEq for SendShare {
    fn eq(&self, other: &Self) -> bool {
        (&self.user, self.bytes) == (&other.user, other.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_of_a_user_and_of_all_fits_and_one_more_does_not() {
        let room = SendsRoom::new(4 * SEND_BYTES_MIN, 6 * SEND_BYTES_MIN);
        let [ada, bob] = ["ada", "bob"].map(|name| name.parse().unwrap());
        let half = room.take(&ada, 2 * SEND_BYTES_MIN).unwrap();
        assert!(room.take(&ada, 2 * SEND_BYTES_MIN + 1).is_none());
        assert!(room.is_short(&ada, 2 * SEND_BYTES_MIN + 1));
        let rest = room.take(&ada, 2 * SEND_BYTES_MIN).unwrap();
        assert!(room.take(&ada, 1).is_none(), "the smallest counts, too");
        assert!(room.take(&bob, 2 * SEND_BYTES_MIN + 1).is_none(), "all have less than that left");
        let bobs = room.take(&bob, 2 * SEND_BYTES_MIN).unwrap();
        drop((half, rest));
        assert!(room.take(&ada, 100 * SEND_BYTES_MIN).is_some(), "it takes all there is");
        drop(bobs);
        assert!(lock(&room.taken).by_user.is_empty());
        assert_eq!(lock(&room.taken).all, 0);
    }

    #[test]
    fn a_part_is_kept_for_whoever_has_nothing_yet() {
        // Sixteen users whose sends the application did not settle kept everybody else from sending.
        let room = SendsRoom::new(4 * SEND_BYTES_MIN, 64 * SEND_BYTES_MIN);
        let user = |n: usize| format!("u{n}").parse().unwrap();
        let sends = (0..16 * 4).map(|n| user(n / 4));
        let mut shares: Vec<_> =
            sends.filter_map(|user| room.take(&user, SEND_BYTES_MIN)).collect();
        assert_eq!(shares.len(), 52, "48 as they came, and the first of four users");
        assert!(room.is_short(&user(15), SEND_BYTES_MIN));
        shares.extend((16..28).filter_map(|n| room.take(&user(n), SEND_BYTES_MIN)));
        assert_eq!(shares.len(), 64);
        assert!(room.take(&user(28), SEND_BYTES_MIN).is_none(), "and that was all");
    }
}
