use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Once,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::HeaderMap;
use tetherline_protocol::UserId;

use super::{
    DESCRIPTIONS_AT_ONCE, DESCRIPTIONS_PER_SECOND, Rate, RateLimit, Rates,
    occupancy::{Occupancy, Occupied},
    publishing::{Amount, Publishing},
};
use crate::{
    Config, Network, Proxies, SENDS_BYTES_MAX, SENDS_BYTES_PER_USER_MAX,
    connection::sends_room::SendsRoom, metrics::Metrics, server::Replaceable,
};

/// The rates of a server, and what has been taken of those that more than one connection share. All of them may change.
#[derive(Debug)]
pub(crate) struct Meters {
    connection: Replaceable<Arc<ConnectionRates>>,
    proxies: Replaceable<Arc<Proxies>>,
    accepts: RateLimit<Network>,
    attempts: RateLimit<Network>,
    descriptions: RateLimit<Network>,
    open: Arc<Occupancy<Network>>,
    open_per_network_max: AtomicUsize,
    connects_of_users: RateLimit<UserId>,
    connects: RateLimit<()>,
    publishing: Publishing,
    sends: RateLimit<UserId>,
    send_bytes: RateLimit<UserId>,
    controls: RateLimit<UserId>,
    replay_bytes: RateLimit<UserId>,
    /// Where sends wait that were not too fast.
    pub(crate) room: Arc<SendsRoom>,
    pub(crate) metrics: Metrics,
}

/// The rates that each connection has for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectionRates {
    pub(crate) sends: Option<Rate>,
    pub(crate) send_bytes: Option<Rate>,
    pub(crate) controls: Option<Rate>,
    pub(crate) replay_bytes: Option<Rate>,
}

impl ConnectionRates {
    fn of(rates: &Rates) -> Self {
        Self {
            sends: rates.sends_per_connection,
            send_bytes: rates.send_bytes_per_connection,
            controls: rates.controls_per_connection,
            replay_bytes: rates.replay_bytes_per_connection,
        }
    }
}

const DESCRIPTIONS: Rate = Rate::per_second(DESCRIPTIONS_PER_SECOND).at_once(DESCRIPTIONS_AT_ONCE);

/// Why somebody may not connect just now, and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooFast {
    User(Duration),
    Server(Duration),
}

impl Meters {
    pub(crate) fn of(config: &Config) -> Self {
        let (rates, proxies) = (&config.rates, config.proxies.clone());
        proxies.warn_of_everybody();
        let room = SendsRoom::new(config.sends_bytes_per_user_max, config.sends_bytes_max);
        Self { room, ..Self::new(rates, proxies, config.connections_per_address_max) }
    }

    pub(crate) fn new(rates: &Rates, proxies: Proxies, connections_per_address_max: usize) -> Self {
        Self {
            accepts: RateLimit::new(rates.accepts_per_address),
            attempts: RateLimit::new(rates.attempts_per_address),
            descriptions: RateLimit::new(Some(DESCRIPTIONS)),
            open: Occupancy::new(),
            open_per_network_max: connections_per_address_max.into(),
            connects_of_users: RateLimit::new(rates.connects_per_user),
            connects: RateLimit::new(rates.connects_per_server),
            publishing: Publishing::new(rates),
            sends: RateLimit::new(rates.sends_per_user),
            send_bytes: RateLimit::new(rates.send_bytes_per_user),
            controls: RateLimit::new(rates.controls_per_user),
            replay_bytes: RateLimit::new(rates.replay_bytes_per_user),
            room: SendsRoom::new(SENDS_BYTES_PER_USER_MAX, SENDS_BYTES_MAX),
            metrics: Metrics::default(),
            connection: Replaceable::new(Arc::new(ConnectionRates::of(rates))),
            proxies: Replaceable::new(Arc::new(proxies)),
        }
    }

    /// Holds from now on.
    pub(crate) fn change(&self, config: &Config) {
        let rates = &config.rates;
        let connection = ConnectionRates::of(rates);
        // Connections begin to count anew with each one that comes.
        if *self.connection.get() != connection {
            self.connection.set(Arc::new(connection));
        }
        config.proxies.warn_of_everybody();
        self.proxies.set(Arc::new(config.proxies.clone()));
        self.open_per_network_max.store(config.connections_per_address_max, Ordering::Relaxed);
        self.accepts.change(rates.accepts_per_address);
        self.attempts.change(rates.attempts_per_address);
        self.connects_of_users.change(rates.connects_per_user);
        self.connects.change(rates.connects_per_server);
        self.publishing.change(rates);
        self.sends.change(rates.sends_per_user);
        self.send_bytes.change(rates.send_bytes_per_user);
        self.controls.change(rates.controls_per_user);
        self.replay_bytes.change(rates.replay_bytes_per_user);
    }

    /// What came too fast so far, by the rate's name in [`Rates`].
    pub(crate) fn refused(&self) -> [(&'static str, u64); 14] {
        let [publishes_per_key, publish_bytes_per_key] = self.publishing.refused_by_key();
        let [publishes_per_address, publish_bytes_per_address] =
            self.publishing.refused_by_address();
        let [publishes_per_server, publish_bytes_per_server] = self.publishing.refused_together();
        [
            ("accepts_per_address", self.accepts.refused()),
            ("attempts_per_address", self.attempts.refused()),
            ("connects_per_user", self.connects_of_users.refused()),
            ("connects_per_server", self.connects.refused()),
            ("publishes_per_key", publishes_per_key),
            ("publish_bytes_per_key", publish_bytes_per_key),
            ("publishes_per_address", publishes_per_address),
            ("publish_bytes_per_address", publish_bytes_per_address),
            ("publishes_per_server", publishes_per_server),
            ("publish_bytes_per_server", publish_bytes_per_server),
            ("sends_per_user", self.sends.refused()),
            ("send_bytes_per_user", self.send_bytes.refused()),
            ("controls_per_user", self.controls.refused()),
            ("replay_bytes_per_user", self.replay_bytes.refused()),
        ]
    }

    /// Where a request comes from. `None`: whoever serves the router does not say.
    pub(crate) fn network_of(
        &self,
        peer: Option<SocketAddr>,
        headers: &HeaderMap,
    ) -> Option<Network> {
        static WARNING: Once = Once::new();
        let peer: IpAddr = peer?.ip();
        let proxies = self.proxies();
        if proxies.are_unknown(peer, headers) {
            WARNING.call_once(|| {
                tracing::warn!(
                    %peer,
                    "a proxy that is not trusted says whom it serves; all of them share what one address may do, \
                     unless it is named with --trusted-proxy"
                );
            });
        }
        Some(proxies.network_of(peer, headers))
    }

    /// What holds for each connection.
    pub(crate) fn connection_rates(&self) -> Arc<ConnectionRates> {
        self.connection.get()
    }

    /// Whether they still hold: each connection asks whenever something happens.
    pub(crate) fn are_current(&self, rates: &Arc<ConnectionRates>) -> bool {
        self.connection.is(|current| Arc::ptr_eq(current, rates))
    }

    /// Who is believed now.
    pub(crate) fn proxies(&self) -> Arc<Proxies> {
        self.proxies.get()
    }

    /// Whether this is a proxy that is believed.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.proxies().trust(peer)
    }

    /// Whether a connection may be accepted. Those of proxies that are trusted are everybody's.
    pub(crate) fn accept(&self, peer: IpAddr, now: Instant) -> bool {
        self.trusts(peer) || self.accepts.take(&Network::of(peer), 1, now).is_ok()
    }

    /// Somebody tries to connect, or shows a key that is none; or how long to wait with that.
    pub(crate) fn attempt(&self, network: Network, now: Instant) -> Result<(), Duration> {
        self.attempts.take(&network, 1, now)
    }

    /// Somebody reads the description of the API, or how long to wait with that.
    pub(crate) fn describe(&self, network: Network, now: Instant) -> Result<(), Duration> {
        self.descriptions.take(&network, 1, now)
    }

    /// A place for one more connection from there.
    pub(crate) fn occupy(&self, network: Network) -> Option<Occupied> {
        self.open.occupy(network, self.open_per_network_max.load(Ordering::Relaxed))
    }

    /// A user opens one more connection.
    pub(crate) fn connect(&self, user: &UserId, now: Instant) -> Result<(), TooFast> {
        self.connects_of_users.take(user, 1, now).map_err(TooFast::User)?;
        self.connects.take(&(), 1, now).map_err(|wait| {
            self.connects_of_users.give_back(user, 1, now);
            TooFast::Server(wait)
        })
    }

    /// Whether [`Meters::connect`] would succeed now.
    pub(crate) fn may_connect(&self, user: &UserId, now: Instant) -> Result<(), TooFast> {
        match self.connects_of_users.wait(user, 1, now) {
            Duration::ZERO => {}
            wait => return Err(TooFast::User(wait)),
        }
        match self.connects.wait(&(), 1, now) {
            Duration::ZERO => Ok(()),
            wait => Err(TooFast::Server(wait)),
        }
    }

    /// Somebody publishes so much, or how long to wait with it.
    pub(crate) fn publish(
        &self,
        key: &str,
        network: Option<Network>,
        amount: Amount,
        now: Instant,
    ) -> Result<(), Duration> {
        self.publishing.take(key, network, amount, now)
    }

    /// A send of so many bytes, or how long to wait until some more are taken than this one.
    pub(crate) fn send(&self, user: &UserId, bytes: u64, now: Instant) -> Result<(), Duration> {
        self.sends.take(user, 1, now).map_err(|_| self.sends.worthwhile_wait(user, 1, now))?;
        self.send_bytes.take(user, bytes, now).map_err(|_| {
            self.sends.give_back(user, 1, now);
            self.send_bytes.worthwhile_wait(user, bytes, now)
        })
    }

    /// A user says something that is no send. How long not to listen, if it is too much; it counts all the same.
    pub(crate) fn control(&self, user: &UserId, now: Instant) -> Option<Duration> {
        self.controls.count(user, now)
    }

    /// Takes so many bytes that are to be read for a user, in so long.
    pub(crate) fn reserve_replay(&self, user: &UserId, bytes: u64, now: Instant) -> Duration {
        self.replay_bytes.reserve(user, bytes, now)
    }

    /// It was another number than was reserved.
    pub(crate) fn replayed(&self, user: &UserId, reserved: u64, bytes: u64, now: Instant) {
        self.replay_bytes.settle(user, reserved, bytes, now);
    }
}

#[cfg(any(test, feature = "simulation"))]
impl Meters {
    /// Where nobody comes from anywhere.
    pub(crate) fn without_addresses(rates: &Rates) -> Self {
        Self::new(rates, Proxies::default(), usize::MAX)
    }
}

#[cfg(test)]
impl Default for Meters {
    fn default() -> Self {
        Self::without_addresses(&Rates::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_devices_behind_one_address_come_back_at_once_and_none_is_refused() {
        // A proxy that nobody named, or an office: each is accepted, tries, fails, asks why, and connects.
        let meters = Meters::new(&Rates::default(), Proxies::default(), usize::MAX);
        let (now, proxy) = (Instant::now(), "192.0.2.1".parse().unwrap());
        for n in 0..10_000 {
            let user = format!("u{n}").parse().unwrap();
            for _ in 0..2 {
                assert!(meters.accept(proxy, now));
                assert_eq!(meters.attempt(Network::of(proxy), now), Ok(()));
            }
            assert_eq!(meters.connect(&user, now), Ok(()));
            assert_eq!(meters.send(&user, 64 * 1024, now), Ok(()));
            assert!(meters.reserve_replay(&user, 64 * 1024 * 1024, now).is_zero());
        }
    }

    #[test]
    fn a_send_that_one_rate_refuses_takes_nothing_of_the_other() {
        let rates = Rates {
            sends_per_user: Some(super::super::Rate::per_hour(2)),
            send_bytes_per_user: Some(super::super::Rate::per_hour(100)),
            ..Rates::default()
        };
        let meters = Meters::without_addresses(&rates);
        let (now, ada) = (Instant::now(), "ada".parse().unwrap());
        assert_eq!(meters.send(&ada, 60, now), Ok(()));
        assert!(meters.send(&ada, 60, now).is_err(), "too many bytes");
        assert_eq!(meters.send(&ada, 40, now), Ok(()));
        assert!(meters.send(&ada, 1, now).is_err(), "too many");
    }
}
