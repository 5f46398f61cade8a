//! Where a request comes from, as far as that can be known.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What one household or one office has of the internet: an IPv4 address, or the /56 of an IPv6 one. Whoever has a /64
/// of it is one of its 256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// The one that an address belongs to.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let prefix = address.to_bits() >> 72 << 72;
                IpAddr::V6(Ipv6Addr::from_bits(prefix))
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

impl fmt::Display for Network {
    /// `192.0.2.1`, `2001:db8:1:200::/56`, or `unix` for all that come over a Unix socket without a word of whom they serve.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            address if address.is_unspecified() => formatter.write_str("unix"),
            IpAddr::V4(address) => address.fmt(formatter),
            IpAddr::V6(address) => write!(formatter, "{address}/56"),
        }
    }
}

/// Addresses that belong together: `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange(IpNet);

/// Why a text is no range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is neither an IP address nor a range of them, such as 10.0.0.0/8")]
pub struct InvalidAddressRange;

impl AddressRange {
    fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl From<IpAddr> for AddressRange {
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical().into())
    }
}

impl FromStr for AddressRange {
    type Err = InvalidAddressRange;

    fn from_str(text: &str) -> Result<Self, InvalidAddressRange> {
        let address = text.parse::<IpAddr>().map(Self::from);
        address.or_else(|_| text.parse().map(Self)).map_err(|_| InvalidAddressRange)
    }
}

/// Which header proxies say in whom they serve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    /// `X-Forwarded-For: 203.0.113.9, 192.0.2.2`, which nearly all of them write.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=203.0.113.9, for=192.0.2.2` (RFC 7239).
    Forwarded,
}

/// The proxies that are believed when they say whom they serve. By default none is, and whoever a connection comes
/// from is who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Their addresses.
    pub trusted: Vec<AddressRange>,
    /// Where they say it. The other header counts for nothing: a proxy that does not write it hands on what anybody
    /// wrote there.
    pub header: ProxyHeader,
}

impl Proxies {
    /// Whoever asks: the peer, or whom the proxies that are trusted say it was. The last word of the header is the
    /// peer's own, the one before it that of the proxy which stands there, and so on; the first that is nobody's we
    /// trust ends it, for what is before it anybody may have written.
    #[must_use]
    pub fn network_of(&self, peer: IpAddr, headers: &HeaderMap) -> Network {
        Network::of(self.address_of(peer, headers))
    }

    /// The same as the whole address.
    #[must_use]
    pub fn address_of(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut nearest = peer;
        let lines = headers.get_all(self.header.name()).iter().rev();
        let mut words = lines.flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','));
        while self.trust(nearest) {
            // What cannot be read is not passed over: what is before it anybody may have written.
            let Some(before) = words.next().and_then(|word| self.header.address(word)) else {
                break;
            };
            nearest = before;
        }
        nearest.to_canonical()
    }

    /// Whether a proxy that nobody named stands before us, which makes one network of all that it serves.
    #[must_use]
    pub fn are_unknown(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        headers.contains_key(self.header.name()) && !self.trust(peer)
    }

    /// Says so where anybody at all is believed: whoever comes then is who they say.
    pub(crate) fn warn_of_everybody(&self) {
        if self.trusted.iter().any(|range| range.0.prefix_len() == 0) {
            tracing::warn!(
                "every address is trusted as a proxy, so that anybody may say where they come from; name the proxies' own \
                 addresses with --trusted-proxy"
            );
        }
    }

    pub(crate) fn trust(&self, address: IpAddr) -> bool {
        // What a Unix socket's peer has instead of an address: over a network nobody comes from it.
        address.is_unspecified() || self.trusted.iter().any(|range| range.contains(address))
    }
}

impl ProxyHeader {
    fn name(self) -> HeaderName {
        match self {
            Self::XForwardedFor => FORWARDED_FOR,
            Self::Forwarded => header::FORWARDED,
        }
    }

    fn address(self, word: &[u8]) -> Option<IpAddr> {
        let word = str::from_utf8(word).ok()?.trim();
        match self {
            Self::XForwardedFor => address(word),
            Self::Forwarded => {
                let mut pairs = word.split(';').filter_map(|pair| pair.trim().split_once('='));
                let (_, node) = pairs.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
                address(node.trim_matches('"'))
            }
        }
    }
}

/// An address as proxies write it; some add the port.
fn address(word: &str) -> Option<IpAddr> {
    let bare = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')).unwrap_or(word);
    bare.parse().or_else(|_| word.parse().map(|address: SocketAddr| address.ip())).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn trusting(ranges: &[&str], header: ProxyHeader) -> Proxies {
        let trusted = ranges.iter().map(|range| range.parse().unwrap()).collect();
        Proxies { trusted, header }
    }

    /// Who asks, with these lines of the header.
    fn asks(proxies: &Proxies, peer: &str, lines: &[&[u8]]) -> IpAddr {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(proxies.header.name(), HeaderValue::from_bytes(line).unwrap());
        }
        proxies.network_of(ip(peer), &headers).0
    }

    #[test]
    fn an_ipv6_network_is_a_56_and_a_mapped_address_is_what_it_maps() {
        let of = |text| Network::of(ip(text));
        // With a /64 each of the 256 that one household has was a network of its own.
        assert_eq!(of("2001:db8:1:200::1"), of("2001:db8:1:2ff:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:200::1"), of("2001:db8:1:300::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        let written =
            ["192.0.2.1", "2001:db8:1:2ff::1", "0.0.0.0"].map(|text| of(text).to_string());
        assert_eq!(written, ["192.0.2.1", "2001:db8:1:200::/56", "unix"]);
    }

    #[test]
    fn only_a_proxy_that_is_trusted_says_who_asks_and_nobody_before_it() {
        let proxies = trusting(&["192.0.2.1", "192.0.2.2"], ProxyHeader::XForwardedFor);
        let (proxy, stranger) = ("192.0.2.1", "203.0.113.9");
        let asks = |peer, lines: &[&[u8]]| asks(&proxies, peer, lines);
        assert_eq!(asks(stranger, &[b"198.51.100.1"]), ip(stranger));
        assert_eq!(asks(proxy, &[b"198.51.100.1, 203.0.113.9"]), ip(stranger));
        assert_eq!(asks(proxy, &[b"198.51.100.1", b"203.0.113.9, 192.0.2.2"]), ip(stranger));
        assert_eq!(asks("::ffff:192.0.2.1", &[b"203.0.113.9"]), ip(stranger));
        assert_eq!(asks(proxy, &[]), ip(proxy));
        assert_eq!(asks(proxy, &[b"unknown"]), ip(proxy));
    }

    #[test]
    fn a_line_that_cannot_be_read_hides_nobody_and_is_not_passed_over() {
        let proxies = trusting(&["192.0.2.1"], ProxyHeader::XForwardedFor);
        let proxy = "192.0.2.1";
        let asks = |lines: &[&[u8]]| asks(&proxies, proxy, lines);
        assert_eq!(asks(&[b"198.51.100.1", b"\xff, 203.0.113.9"]), ip("203.0.113.9"));
        assert_eq!(asks(&[b"198.51.100.1", b"\xff"]), ip(proxy));
        assert_eq!(asks(&[b"198.51.100.1, 203.0.113.9:1234"]), ip("203.0.113.9"));
        assert_eq!(asks(&[b"198.51.100.1, [2001:db8::1]:1234"]), ip("2001:db8::"));
        assert_eq!(asks(&[b"198.51.100.1, "]), ip(proxy));
    }

    #[test]
    fn the_header_of_rfc_7239_is_read_where_it_is_chosen_and_only_there() {
        let proxies = trusting(&["10.0.0.0/8", "2001:db8:ffff::/48"], ProxyHeader::Forwarded);
        let asks = |peer, line: &[u8]| asks(&proxies, peer, &[line]);
        let client = ip("203.0.113.9");
        assert_eq!(asks("10.1.2.3", b"for=203.0.113.9;proto=https;by=10.1.2.3"), client);
        assert_eq!(
            asks("10.1.2.3", b"for=198.51.100.1, proto=https; For=\"203.0.113.9:4711\""),
            client
        );
        assert_eq!(asks("2001:db8:ffff::1", b"for=203.0.113.9, for=10.9.9.9"), client);
        assert_eq!(asks("10.1.2.3", b"for=\"[2001:db8:cafe::17]:4711\""), ip("2001:db8:cafe::"));
        assert_eq!(asks("10.1.2.3", b"for=\"[2001:db8:cafe::17]\""), ip("2001:db8:cafe::"));
        for nobody in
            [&b"for=_hidden"[..], b"for=unknown", b"by=203.0.113.9", b"for", b"\"", b"for=\""]
        {
            assert_eq!(asks("10.1.2.3", nobody), ip("10.1.2.3"));
        }
        // What a client opens and does not close does not reach what a proxy adds.
        assert_eq!(asks("10.1.2.3", b"for=\"198.51.100.1, for=203.0.113.9"), client);
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("198.51.100.1"));
        assert_eq!(proxies.network_of(ip("10.1.2.3"), &headers).0, ip("10.1.2.3"));
    }

    #[test]
    fn a_range_is_an_address_or_a_prefix() {
        let contains =
            |range: &str, address| range.parse::<AddressRange>().unwrap().contains(ip(address));
        assert!(contains("10.0.0.0/8", "10.255.0.1"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1"));
        for wrong in ["", "10.0.0.0/33", "10.0.0", "proxy.example.com", "10.0.0.0/", "::/129"] {
            assert_eq!(wrong.parse::<AddressRange>(), Err(InvalidAddressRange), "{wrong}");
        }
    }
}
