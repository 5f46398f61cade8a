use std::{
    net::{Ipv6Addr, SocketAddr},
    str::FromStr,
};

use http::{HeaderMap, HeaderValue, Uri, header};

/// A page's origin, `scheme://host[:port]`, compared as a whole and never in part.
///
/// ```
/// use tetherline_server::Origin;
/// assert!("https://app.example.com".parse::<Origin>().is_ok());
/// assert!("https://app.example.com/path".parse::<Origin>().is_err());
/// assert!("null".parse::<Origin>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin(Box<str>);

/// Why a text is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no origin: write it as https://app.example.com or http://localhost:3000")]
pub struct InvalidOrigin(Box<str>);

impl Origin {
    /// What a browser sends for pages that this very listener serves. On a loopback or wildcard
    /// address that includes `localhost`, which is how people type it.
    #[must_use]
    pub fn of_listener(address: SocketAddr) -> Vec<Self> {
        Self::of(address, "http", 80)
    }

    /// The same for a listener that speaks TLS.
    #[must_use]
    pub fn of_tls_listener(address: SocketAddr) -> Vec<Self> {
        Self::of(address, "https", 443)
    }

    fn of(address: SocketAddr, scheme: &str, its_port: u16) -> Vec<Self> {
        let port = match address.port() {
            port if port == its_port => String::new(),
            port => format!(":{port}"),
        };
        let mut origins = vec![Self(format!("{scheme}://{}{port}", host(address)).into())];
        if address.ip().is_loopback() || address.ip().is_unspecified() {
            origins.extend(
                ["localhost", "127.0.0.1", "[::1]"]
                    .map(|name| Self(format!("{scheme}://{name}{port}").into())),
            );
            origins.dedup();
        }
        origins
    }

    /// The origin as a browser writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[').and_then(|address| address.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !text.is_empty() && text.bytes().all(is_fine)
}

fn port_in(text: &str) -> Option<u16> {
    let digits = text.strip_prefix(':')?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let invalid = || InvalidOrigin(text.into());
        let text = text.strip_suffix('/').unwrap_or(text);
        let uri: Uri = text.parse().map_err(|_| invalid())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(invalid());
        };
        let rest = text.get(scheme.len() + 3..).ok_or_else(invalid)?;
        let host = authority.host();
        if rest != authority.as_str() || !is_host(host) {
            return Err(invalid());
        }
        let port = match rest.strip_prefix(host).ok_or_else(invalid)? {
            "" => None,
            port => Some(port_in(port).ok_or_else(invalid)?),
        };
        // Browsers leave out the scheme's own port and write hosts in lower case.
        let port = match (scheme, port) {
            ("http", Some(80)) | ("https", Some(443)) | (_, None) => String::new(),
            (_, Some(port)) => format!(":{port}"),
        };
        Ok(Self(format!("{scheme}://{host}{port}").to_ascii_lowercase().into()))
    }
}

/// What a request says about the page that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestOrigin {
    /// No page: a native client, or a same-origin `fetch`.
    None,
    /// A page on the allowlist; the header as it came, to be echoed for CORS.
    Allowed(HeaderValue),
    /// Any other page, `null` and doubled headers included.
    Foreign,
}

impl RequestOrigin {
    pub(crate) fn of(headers: &HeaderMap, allowed: &[Origin]) -> Self {
        let mut values = headers.get_all(header::ORIGIN).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::None,
            (Some(value), None)
                if allowed.iter().any(|origin| origin.as_str().as_bytes() == value.as_bytes()) =>
            {
                Self::Allowed(value.clone())
            }
            _ => Self::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(value: &'static str) -> RequestOrigin {
        let allowed = ["https://app.example.com".parse().unwrap()];
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_static(value));
        RequestOrigin::of(&headers, &allowed)
    }

    #[test]
    fn an_origin_is_compared_as_a_whole() {
        assert!(matches!(judge("https://app.example.com"), RequestOrigin::Allowed(_)));
        for foreign in [
            "null",
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com.evil.test",
            "https://evil-app.example.com",
            "https://example.com",
            "https://app.example.com/",
            "",
        ] {
            assert_eq!(judge(foreign), RequestOrigin::Foreign, "{foreign}");
        }
        assert_eq!(RequestOrigin::of(&HeaderMap::new(), &[]), RequestOrigin::None);
    }

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        let parsed = |text: &str| text.parse::<Origin>().map(|origin| origin.0.to_string());
        assert_eq!(parsed("https://App.Example.com:443/").unwrap(), "https://app.example.com");
        assert_eq!(parsed("http://localhost:3000").unwrap(), "http://localhost:3000");
        assert_eq!(parsed("http://[::1]:8080").unwrap(), "http://[::1]:8080");
        for invalid in ["*", "example.com", "https://a/b", "https://u@a", "https://a?x"] {
            assert!(parsed(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn what_is_no_host_or_port_is_not_left_out() {
        // Found by fuzzing: a port too large for one was dropped, so that a slip of the finger
        // allowed another origin, and hosts were taken that no browser will ever send.
        for invalid in [
            "https://app.example.com:99999",
            "https://app.example.com:",
            "http://2222[:h:*h0::h0]",
            "http://[]",
            "http://:80",
            "https://a%62",
            "https://*.example.com",
        ] {
            assert!(invalid.parse::<Origin>().is_err(), "{invalid}");
        }
    }

    #[test]
    fn a_loopback_listener_is_reached_by_its_usual_names() {
        let origins = Origin::of_listener("127.0.0.1:8080".parse().unwrap());
        assert!(origins.contains(&"http://127.0.0.1:8080".parse().unwrap()));
        assert!(origins.contains(&"http://localhost:8080".parse().unwrap()));
    }
}
