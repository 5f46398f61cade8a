//! What happens by itself: silence, a reader that is stuck, the end of a token.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tetherline_protocol::CloseCode;

use super::{Outgoing, Session};

/// Whether the peer can be heard, and when it last was.
pub(super) enum Hearing {
    Silent {
        since: Instant,
    },
    /// It was pinged and has not answered yet.
    Pinged {
        since: Instant,
    },
    /// We do not read, so silence means nothing.
    Paused,
}

/// Whether there is something on its way to the peer.
pub(super) enum Socket {
    Free,
    /// The peer has taken nothing since then, and still has to take so many bytes.
    Writing {
        since: Instant,
        left_bytes: usize,
    },
}

impl Session {
    /// The named timers: token expiry, silence, a stuck reader, the next look at streams, the end of the
    /// patience with the application, and when somebody may go on who was too fast.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.closed {
            return None;
        }
        let hearing = match self.hearing {
            Hearing::Silent { since } => Some(since + self.idle_timeout() / 2),
            Hearing::Pinged { since } => Some(since + self.idle_timeout()),
            Hearing::Paused => None,
        };
        let stuck = match self.socket {
            Socket::Writing { since, .. } => Some(since + self.stuck_timeout()),
            Socket::Free => None,
        };
        let look = if self.may_look() { self.streams.next_at() } else { None };
        let room = self.sends.next_at();
        let allowed = self.allowance.next_at();
        [Some(self.expires_at), hearing, stuck, look, room, allowed].into_iter().flatten().min()
    }

    pub(super) fn timeout(&mut self, now: Instant) {
        if now >= self.expires_at {
            return self.close(CloseCode::TokenExpired, "the token expired");
        }
        if let Socket::Writing { since, .. } = self.socket
            && now >= since + self.stuck_timeout()
        {
            return self.close(CloseCode::Stuck, "the reader took nothing");
        }
        match self.hearing {
            Hearing::Silent { since } if now >= since + self.idle_timeout() / 2 => {
                self.hearing = Hearing::Pinged { since };
                self.frames.push_back(Outgoing::Ping(Bytes::new()));
            }
            Hearing::Pinged { since } if now >= since + self.idle_timeout() => {
                self.close(CloseCode::Silent, "nothing was heard");
            }
            _ => {}
        }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.hearing = Hearing::Silent { since: now };
    }

    fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.limits.idle_timeout_ms)
    }

    fn stuck_timeout(&self) -> Duration {
        Duration::from_millis(self.limits.stuck_timeout_ms)
    }
}
