//! What systemd is told, and what it gives. Without it nothing of this happens.

use std::{
    convert::Infallible,
    io,
    net::TcpListener,
    os::unix::net::UnixListener,
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

/// The same where there is one to listen on.
pub fn inherited_listener() -> io::Result<Option<TcpListener>> {
    let message =
        "more than one socket was handed over, or one that is not TCP; give it one `ListenStream`";
    let mut inherited = inherited_listeners()?;
    match (inherited.pop(), inherited.is_empty()) {
        (None, _) => Ok(None),
        (Some(Inherited::Tcp(listener)), true) => Ok(Some(listener)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, message)),
    }
}

/// A socket that this process was started with.
#[derive(Debug)]
pub enum Inherited {
    /// `ListenStream=` with an address or a port.
    Tcp(TcpListener),
    /// `ListenStream=` with a path.
    Unix(UnixListener),
}

/// The sockets to listen on that this process was started with (`LISTEN_FDS`): whoever connects while it is
/// restarted waits in there, and is not refused.
pub fn inherited_listeners() -> io::Result<Vec<Inherited>> {
    let mut given = listenfd::ListenFd::from_env();
    let mut inherited = Vec::new();
    for number in 0..given.len() {
        if let Ok(Some(listener)) = given.take_unix_listener(number) {
            listener.set_nonblocking(true)?;
            inherited.push(Inherited::Unix(listener));
        } else if let Some(listener) = given.take_tcp_listener(number)? {
            listener.set_nonblocking(true)?;
            inherited.push(Inherited::Tcp(listener));
        }
    }
    Ok(inherited)
}

/// From here on requests are served.
pub fn say_ready() {
    say(&[NotifyState::Ready]);
}

/// Settings are being read anew, from now until [`say_ready`]: `systemctl reload` waits for that.
pub fn say_reloading() {
    // By this systemd tells an answer to its own signal from one to an earlier one.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => say(&[NotifyState::Reloading, now]),
        // Half of it would have systemd end the service.
        Err(error) => tracing::warn!(%error, "systemd is not told of a reload"),
    }
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
