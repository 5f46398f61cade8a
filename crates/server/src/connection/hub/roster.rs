//! Who of one user is connected, for whoever looks why something did not arrive.

use std::sync::atomic::Ordering;

use tetherline_protocol::{DeviceId, MessageId, Seq, UserId};

use super::Hub;
use crate::lock::lock;

/// What is known of a connection from the beginning.
pub(crate) struct About {
    pub(crate) connection: MessageId,
    pub(crate) device: Option<DeviceId>,
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
    /// It reads on in a moment, or when its rate allows it.
    ForItsTurn,
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
}

/// One connection at this moment.
pub(crate) struct Present {
    pub(crate) connection: MessageId,
    pub(crate) device: Option<DeviceId>,
    pub(crate) since_ms: i64,
    pub(crate) stands: Stands,
}

/// How far all connections of a user are behind.
pub(crate) struct Backlog {
    pub(crate) user: UserId,
    pub(crate) connections: usize,
    pub(crate) waiting: u64,
    pub(crate) unhandled: u64,
}

impl Waits {
    const ALL: [Self; 6] = [
        Self::ForNothing,
        Self::ToBeAsked,
        Self::ForTheSocket,
        Self::ForAcknowledgement,
        Self::ForTheStore,
        Self::ForItsTurn,
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
        let live = lock(&channel.live);
        let present = live.seats.iter().filter_map(|seat| {
            let About { connection, device, since_ms } = &**seat.about.get()?;
            let waits = usize::from(seat.waits.load(Ordering::Relaxed));
            Some(Present {
                connection: connection.clone(),
                device: device.clone(),
                since_ms: *since_ms,
                stands: Stands {
                    // `NOWHERE` is no position.
                    sent: Seq::new(seat.handed_over.load(Ordering::Relaxed)),
                    waiting: seat.waiting.load(Ordering::Relaxed),
                    unhandled: seat.unhandled.load(Ordering::Relaxed),
                    waits: Waits::ALL[waits],
                },
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
