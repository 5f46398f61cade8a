//! What systemd is told, and what it gives. Without it nothing of this happens.

use std::{
    convert::Infallible,
    io,
    net::TcpListener,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::time::{MissedTickBehavior, interval};

/// How often is looked whether the process lives, to feed the watchdog: one look may take a while, and one that fails
/// is not to cost the whole patience.
const FEED_EVERY: Duration = Duration::from_secs(1);
/// So often within the time that it allows, if that is less.
const FEEDINGS_PER_TIMEOUT: u32 = 3;

/// The socket to listen on that this process was started with (`LISTEN_FDS`): whoever connects while it is
/// restarted waits in there, and is not refused.
pub fn inherited_listener() -> io::Result<Option<TcpListener>> {
    let mut given = listenfd::ListenFd::from_env();
    if given.len() > 1 {
        let message = "more than one socket was handed over; give it one `ListenStream`";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let Some(listener) = given.take_tcp_listener(0)? else { return Ok(None) };
    listener.set_nonblocking(true)?;
    Ok(Some(listener))
}

/// From here on requests are served.
pub fn say_ready() {
    say(&[NotifyState::Ready]);
}

/// The process ends in order, which takes so long at the most.
pub fn say_stopping(at_most: Duration) {
    let micros = u32::try_from(at_most.as_micros()).unwrap_or(u32::MAX);
    say(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros)]);
}

/// Feeds the watchdog, if there is one, for as long as this is polled and `lives` answers yes.
pub async fn feed_watchdog(lives: impl AsyncFn() -> bool) -> Infallible {
    let Some(patience) = watchdog_enabled() else { return std::future::pending().await };
    let mut feeding = interval(FEED_EVERY.min(patience / FEEDINGS_PER_TIMEOUT));
    feeding.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        feeding.tick().await;
        if lives().await {
            say(&[NotifyState::Watchdog]);
        }
    }
}

/// Best effort: who does not listen is not waited for.
fn say(state: &[NotifyState<'_>]) {
    static IS_SAID: AtomicBool = AtomicBool::new(false);
    match notify(state) {
        Ok(()) => IS_SAID.store(false, Ordering::Relaxed),
        // The watchdog is fed every second.
        Err(error) if !IS_SAID.swap(true, Ordering::Relaxed) => {
            tracing::warn!(%error, "systemd could not be told");
        }
        Err(_) => {}
    }
}
