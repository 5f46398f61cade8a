use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{Server, Shared};
use crate::{Drain, REQUESTS_GRACE};

/// What a store may take to write its last and to close, as far as that can be known.
const CLOSING_TIME: Duration = Duration::from_secs(10);
/// Over how long those who were connected come back after a drain, unless [`Config::drain_window`](crate::Config::drain_window) says
/// otherwise.
pub const DRAIN_WINDOW: Duration = Duration::from_secs(30);
/// How long a drain waits for connections to say goodbye once they were told to, and for the application to
/// settle what it has.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a drain waits, at least, for the application to hear whose connections have ended, once they have.
const LAST_EVENTS_TIMEOUT: Duration = Duration::from_secs(2);

impl Server {
    /// Refuses new connections, closes all others with 1012 as [`Config::drain`](crate::Config::drain) says, and waits for them and
    /// for what they have handed to the application: [`DRAIN_TIMEOUT`] from when the last was sent away, and a moment
    /// more until the application has heard of the last.
    /// Everything else goes on meanwhile, publishing too.
    pub async fn drain(&self) {
        self.drain_by(self.shared.current().drain).await;
    }

    /// The same without sending anybody away later than now, whatever [`Config::drain`](crate::Config::drain) says: somebody waits at
    /// a terminal.
    pub async fn drain_at_once(&self) {
        self.drain_by(Drain::AtOnce).await;
    }

    /// How long a drain takes at the most, with what is left to do after it: tell whatever supervises this
    /// process, which would kill it.
    #[must_use]
    pub fn drain_timeout(&self) -> Duration {
        let current = self.shared.current();
        let window = match current.drain {
            Drain::AtOnce => Duration::ZERO,
            Drain::OneByOne => current.drain_window,
        };
        window + DRAIN_TIMEOUT + LAST_EVENTS_TIMEOUT + REQUESTS_GRACE + CLOSING_TIME
    }

    async fn drain_by(&self, drain: Drain) {
        let Shared { hub, reception, bulletin, .. } = &*self.shared;
        hub.drain(drain, self.shared.current().drain_window).await;
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        if timeout_at(deadline, hub.emptied()).await.is_err() {
            let connections = hub.connections();
            tracing::warn!(connections, "connections were still open when the drain ended");
        }
        // Nobody hands over another who was told to go: the application had as long as they had.
        if timeout_at(deadline, reception.idle()).await.is_err() {
            tracing::warn!("sends were still with the application when the drain ended");
        }
        // Some have ended just now.
        let deadline = deadline.max(Instant::now() + LAST_EVENTS_TIMEOUT);
        if timeout_at(deadline, bulletin.idle()).await.is_err() {
            tracing::warn!(
                "the application had not heard of all ends of connections when the drain ended"
            );
        }
        // They have heard of the last end, and would hold up whoever waits for requests under way.
        hub.end_traces();
    }
}
