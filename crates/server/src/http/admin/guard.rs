//! Keeps pages of other sites away from the admin listener, on whose machine a browser may run, too.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::{
    extract::{ConnectInfo, Request},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode, header, uri::Authority};
use tetherline_protocol::ErrorCode;

use crate::http::Problem;

/// A page may ask only where it came from. Over loopback the listener must be called by an address or as
/// `localhost`: a stranger's name that was made to point there is a page's way around its origin (DNS rebinding).
/// From elsewhere any name counts, as a cluster gives it many.
pub(super) async fn check(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let is_local = peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback());
    match refused(request.headers(), is_local) {
        Some(message) => {
            Problem::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, message).into_response()
        }
        None => next.run(request).await,
    }
}

fn refused(headers: &HeaderMap, is_local: bool) -> Option<&'static str> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if is_local && !host.is_empty() && !is_own_name(host) {
        return Some(
            "The admin listener is called by an address or as `localhost` on its own machine, and not by this name.",
        );
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => None,
        (Some(origin), None) if is_of_host(origin.as_bytes(), host) => None,
        _ => Some("The admin listener answers no page of another origin."),
    }
}

fn is_own_name(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    // Nothing before it, and nothing but a port behind.
    let rest = authority.as_str().strip_prefix(name);
    if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':')) {
        return false;
    }
    let in_brackets = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let is_address = match in_brackets {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => name.parse::<IpAddr>().is_ok(),
    };
    is_address || name.eq_ignore_ascii_case("localhost")
}

/// Whoever encrypts in front of it makes `https` of it.
fn is_of_host(origin: &[u8], host: &str) -> bool {
    let name = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    name.is_some_and(|name| !host.is_empty() && name.eq_ignore_ascii_case(host.as_bytes()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn is_refused(host: &'static str, origin: Option<&'static str>, is_local: bool) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        refused(&headers, is_local).is_some()
    }

    #[test]
    fn on_its_own_machine_it_has_no_name_that_a_stranger_could_give_it() {
        for own in ["127.0.0.1:9464", "[::1]:9464", "localhost:9464", "LOCALHOST", "127.0.0.1"] {
            assert!(!is_refused(own, None, true), "{own}");
        }
        for foreign in [
            "evil.test:9464",
            "localhost.evil.test",
            "127.0.0.1.evil.test",
            "[::1].x",
            "x@127.0.0.1",
        ] {
            assert!(is_refused(foreign, None, true), "{foreign}");
        }
        assert!(!is_refused("tetherline.monitoring.svc:9464", None, false));
    }

    #[test]
    fn a_page_asks_only_where_it_came_from() {
        for is_local in [true, false] {
            let host = "127.0.0.1:9464";
            assert!(!is_refused(host, Some("http://127.0.0.1:9464"), is_local));
            assert!(!is_refused(host, Some("https://127.0.0.1:9464"), is_local));
            for foreign in
                ["null", "http://127.0.0.1:8080", "https://evil.test", "127.0.0.1:9464", ""]
            {
                assert!(is_refused(host, Some(foreign), is_local), "{foreign}");
            }
        }
    }
}
