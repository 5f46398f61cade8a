//! Where a request comes from, as far as that can be known.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::HeaderMap;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// What one household or one office has of the internet: an IPv4 address, or the /56 of an IPv6 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(IpAddr);

impl Network {
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let prefix = address.to_bits() >> 72 << 72;
                IpAddr::V6(Ipv6Addr::from_bits(prefix))
            }
            address @ IpAddr::V4(_) => address,
        })
    }

    /// Whoever asks: the peer, or whom the proxies that are trusted say it was. The last word of `X-Forwarded-For` is
    /// the peer's own, the one before it that of the proxy which stands there, and so on; the first that is nobody's
    /// we trust ends it, for what is before it anybody may have written.
    pub(crate) fn of_request(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> Self {
        let is_trusted = |address: IpAddr| trusted.contains(&address.to_canonical());
        let mut nearest = peer;
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let mut words = lines.flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','));
        while is_trusted(nearest) {
            // What cannot be read is not passed over: what is before it anybody may have written.
            let Some(before) = words.next().and_then(address) else { break };
            nearest = before;
        }
        Self::of(nearest)
    }
}

/// An address as proxies write it; some add the port.
fn address(word: &[u8]) -> Option<IpAddr> {
    let word = str::from_utf8(word).ok()?.trim();
    word.parse().or_else(|_| word.parse().map(|address: SocketAddr| address.ip())).ok()
}

/// Whether a proxy that nobody named stands before us, which makes one network of all that it serves.
pub(crate) fn is_behind_a_stranger(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> bool {
    headers.contains_key(FORWARDED_FOR) && !trusted.contains(&peer.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_ipv6_network_is_a_56_and_a_mapped_address_is_what_it_maps() {
        let of = |text| Network::of(ip(text));
        // With a /64 each of the 256 that one household has was a network of its own.
        assert_eq!(of("2001:db8:1:200::1"), of("2001:db8:1:2ff:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:200::1"), of("2001:db8:1:300::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn only_a_proxy_that_is_trusted_says_who_asks_and_nobody_before_it() {
        let (proxy, inner) = (ip("192.0.2.1"), ip("192.0.2.2"));
        let asks = |peer, lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, HeaderValue::from_static(line));
            }
            Network::of_request(peer, &headers, &[proxy, inner]).0
        };
        let stranger = ip("203.0.113.9");
        assert_eq!(asks(stranger, &["198.51.100.1"]), stranger);
        assert_eq!(asks(proxy, &["198.51.100.1, 203.0.113.9"]), stranger);
        assert_eq!(asks(proxy, &["198.51.100.1", "203.0.113.9, 192.0.2.2"]), stranger);
        assert_eq!(asks(ip("::ffff:192.0.2.1"), &["203.0.113.9"]), stranger);
        assert_eq!(asks(proxy, &[]), proxy);
        assert_eq!(asks(proxy, &["unknown"]), proxy);
    }

    #[test]
    fn a_line_that_cannot_be_read_hides_nobody_and_is_not_passed_over() {
        let proxy = ip("192.0.2.1");
        let asks = |lines: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap());
            }
            Network::of_request(proxy, &headers, &[proxy]).0
        };
        assert_eq!(asks(&[b"198.51.100.1", b"\xff, 203.0.113.9"]), ip("203.0.113.9"));
        assert_eq!(asks(&[b"198.51.100.1", b"\xff"]), proxy);
        assert_eq!(asks(&[b"198.51.100.1, 203.0.113.9:1234"]), ip("203.0.113.9"));
        assert_eq!(asks(&[b"198.51.100.1, [2001:db8::1]:1234"]), ip("2001:db8::"));
    }
}
