//! Who of one user is connected, for whoever looks why something did not arrive.

use std::time::Instant;

use tetherline_protocol::{DeviceId, MessageId, Seq, UserId};

use super::Hub;
use crate::{Network, clock, lock::lock};

/// What is known of a connection from the beginning.
pub(crate) struct About {
    pub(crate) connection: MessageId,
    pub(crate) device: Option<DeviceId>,
    /// Where it comes from, as limits see it, if whoever serves the router says it.
    pub(crate) network: Option<Network>,
    /// In ms since 1970.
    pub(crate) since_ms: i64,
}

/// What has to happen before a connection sends more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Waits {
    /// It has sent everything.
    ForNothing,
    /// Its client has not said from where to begin.
    ToBeAsked,
    /// Its peer has not taken what was written.
    ForTheSocket,
    /// Too much is under way that its client has not acknowledged.
    ForAcknowledgement,
    /// It is being read.
    ForTheStore,
    /// It reads on in a moment.
    ForItsTurn,
    /// More was asked for than its rate, or its user's, allows.
    ForItsRate,
}

/// Where a connection is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stands {
    /// Up to where everything that there is was handed to its socket, if that can be said.
    pub(crate) sent: Option<Seq>,
    /// Messages that it asked for and was not sent yet.
    pub(crate) waiting: u64,
    /// Messages that it was sent and has not acknowledged.
    pub(crate) unhandled: u64,
    pub(crate) waits: Waits,
    /// Since when its socket has taken nothing, if that is what it waits for.
    pub(crate) stuck_since: Option<Instant>,
    /// What its socket has not taken, in bytes of frames.
    pub(crate) unsent_bytes: usize,
    /// It said too much, and is not listened to for a while.
    pub(crate) is_held: bool,
}

/// One connection at this moment.
pub(crate) struct Present {
    pub(crate) connection: MessageId,
    pub(crate) device: Option<DeviceId>,
    pub(crate) network: Option<Network>,
    pub(crate) since_ms: i64,
    pub(crate) stands: Stands,
    /// Since when it waits for the same, in ms since 1970: its socket, since it took anything.
    pub(crate) waits_since_ms: i64,
}

/// How far all connections of a user are behind.
pub(crate) struct Backlog {
    pub(crate) user: UserId,
    pub(crate) connections: usize,
    pub(crate) waiting: u64,
    pub(crate) unhandled: u64,
}

impl Waits {
    pub(super) const ALL: [Self; 7] = [
        Self::ForNothing,
        Self::ToBeAsked,
        Self::ForTheSocket,
        Self::ForAcknowledgement,
        Self::ForTheStore,
        Self::ForItsTurn,
        Self::ForItsRate,
    ];

    /// As the API says it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ForNothing => "nothing",
            Self::ToBeAsked => "get_pending",
            Self::ForTheSocket => "socket",
            Self::ForAcknowledgement => "ack",
            Self::ForTheStore => "store",
            Self::ForItsTurn => "turn",
            Self::ForItsRate => "rate",
        }
    }
}

impl Hub {
    /// Who is furthest behind, the furthest first; nobody who has everything.
    pub(crate) fn backlogs(&self, count_max: usize) -> Vec<Backlog> {
        let mut backlogs = Vec::new();
        for user in self.users() {
            let present = self.present(&user);
            let sum = |of: fn(&Present) -> u64| present.iter().map(of).sum::<u64>();
            let (waiting, unhandled) = (sum(|it| it.stands.waiting), sum(|it| it.stands.unhandled));
            if waiting + unhandled > 0 {
                backlogs.push(Backlog { user, connections: present.len(), waiting, unhandled });
            }
        }
        backlogs.sort_by_key(|it| std::cmp::Reverse(it.waiting + it.unhandled));
        backlogs.truncate(count_max);
        backlogs
    }

    /// The user's connections, without those that are still being opened.
    pub(crate) fn present(&self, user: &UserId) -> Vec<Present> {
        let Some(channel) = self.channel(user) else { return Vec::new() };
        let (now, now_ms) = (Instant::now(), clock::now_ms());
        let live = lock(&channel.live);
        let present = live.seats.iter().filter_map(|seat| {
            let About { connection, device, network, since_ms } = &**seat.about.get()?;
            let waited = now.saturating_duration_since(self.started + seat.waits_for());
            Some(Present {
                connection: connection.clone(),
                device: device.clone(),
                network: *network,
                since_ms: *since_ms,
                stands: seat.stands(self.started),
                waits_since_ms: now_ms.saturating_sub(clock::whole_ms(waited)).max(*since_ms),
            })
        });
        present.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_what_it_was_made_from() {
        for (number, waits) in Waits::ALL.into_iter().enumerate() {
            assert_eq!(waits as usize, number);
        }
    }
}
