use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;
use tetherline_protocol::{DeviceId, UserId};

/// A user's mailbox as a URL, for the WebSocket and for the question why there is none.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    tls: bool,
    /// `Authorization` for something in between, from the URL's user and password.
    password: Option<Box<str>>,
    /// Host, port and path, without the scheme.
    rest: Box<str>,
}

impl Endpoint {
    /// From a server's URL: `http`, `https`, `ws` or `wss`, with a path if it lives under one. One that
    /// names the user, as `{user}` or in `/ws/user/…` at its end, is the mailbox's own. Pages do the same.
    pub(crate) fn new(url: &str, user: &UserId, device: Option<&DeviceId>) -> Option<Self> {
        let segment = user.in_url().to_string();
        let parsed = reqwest::Url::parse(&url.replace("{user}", &segment)).ok()?;
        let tls = match parsed.scheme() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return None,
        };
        let host = parsed.host_str().filter(|host| !host.is_empty())?;
        let port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
        let base = parsed.path().trim_end_matches('/');
        let mailbox = format!("/ws/user/{segment}");
        let is_own = url.contains("{user}") || base.ends_with(&mailbox);
        let path = if is_own { base.to_owned() } else { format!("{base}{mailbox}") };
        let device = device.map(|device| format!("device={device}"));
        let query: Vec<&str> = parsed.query().into_iter().chain(device.as_deref()).collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let password = (!parsed.username().is_empty() || parsed.password().is_some())
            .then(|| basic(parsed.username(), parsed.password().unwrap_or_default()));
        Some(Self { tls, password, rest: format!("{host}{port}{path}{query}").into() })
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls
    }

    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    pub(crate) fn web_socket(&self) -> String {
        format!("{}://{}", if self.tls { "wss" } else { "ws" }, self.rest)
    }

    pub(crate) fn http(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.rest)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.web_socket())
    }
}

/// RFC 7617.
fn basic(user: &str, password: &str) -> Box<str> {
    let mut pair: Vec<u8> = percent_decode_str(user).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(password));
    format!("Basic {}", BASE64_STANDARD.encode(pair)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_url_leads_to_the_mailbox() {
        let (user, device) = ("ada".parse().unwrap(), "phone".parse().unwrap());
        let endpoint = Endpoint::new("https://example.org/chat/", &user, Some(&device)).unwrap();
        assert_eq!(endpoint.web_socket(), "wss://example.org/chat/ws/user/ada?device=phone");
        let endpoint = Endpoint::new("ws://127.0.0.1:8080", &user, None).unwrap();
        assert_eq!(endpoint.http(), "http://127.0.0.1:8080/ws/user/ada");
    }

    #[test]
    fn pages_and_native_clients_read_an_address_in_the_same_way() {
        // `https://example.com/realtime/` led the page to another place than the command line.
        type Row = (String, String, Option<String>);
        let table: Vec<Row> =
            serde_json::from_str(include_str!("../tests/addresses.json")).unwrap();
        let device = "d".parse().unwrap();
        for (url, user, expected) in table {
            let endpoint = Endpoint::new(&url, &user.parse().unwrap(), Some(&device));
            assert_eq!(endpoint.map(|endpoint| endpoint.web_socket()), expected, "{url}");
        }
    }

    #[test]
    fn a_user_is_one_segment_whatever_the_name() {
        // `?` began the query, and `%2F` meant another user.
        for (user, segment) in
            [("auth0|5f7c", "auth0%7C5f7c"), ("a?b#c d", "a%3Fb%23c%20d"), ("%2F", "%252F")]
        {
            let endpoint =
                Endpoint::new("ws://127.0.0.1:8080", &user.parse().unwrap(), None).unwrap();
            assert_eq!(endpoint.web_socket(), format!("ws://127.0.0.1:8080/ws/user/{segment}"));
        }
    }

    #[test]
    fn a_password_in_the_url_is_for_what_stands_in_between() {
        let user = "ada".parse().unwrap();
        let endpoint = Endpoint::new("https://gate:p%40ss@example.org", &user, None).unwrap();
        assert_eq!(endpoint.web_socket(), "wss://example.org/ws/user/ada");
        assert_eq!(endpoint.password(), Some("Basic Z2F0ZTpwQHNz"));
        assert!(!format!("{endpoint:?}").contains("Z2F0"));
    }

    #[test]
    fn what_is_no_servers_url_is_refused() {
        let user = "ada".parse().unwrap();
        for url in ["", "example.org", "ftp://example.org", "127.0.0.1:80"] {
            assert_eq!(Endpoint::new(url, &user, None), None, "{url}");
        }
    }
}
