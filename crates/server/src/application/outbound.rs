//! HTTP requests that this program makes.

use std::net::IpAddr;

use reqwest::{ClientBuilder, Proxy, Url, redirect};

use crate::chain;

/// Why nothing can be asked over HTTP.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoHttpClient {
    /// Not an address that can be asked.
    #[error("{0} is not an http:// or https:// address")]
    Address(Box<str>),
    /// The proxy's address is none.
    #[error("{0} is not the address of a proxy: it looks like http://127.0.0.1:3128")]
    Proxy(Box<str>),
    /// Nothing says whom to trust.
    #[error(
        "https:// needs CA certificates, and this machine has none that can be used ({0}); install \
         them (Debian: the package ca-certificates), or name a file with them in SSL_CERT_FILE"
    )]
    Certificates(Box<str>),
    /// Whatever else is missing.
    #[error("no HTTP client can be made: {0}")]
    Client(Box<str>),
}

/// The client for one address, and the address itself.
///
/// It goes through `proxy` if there is one, and never through one that the environment names: what is
/// sent carries keys and people's messages, and the address may be this very machine's. For the same reason
/// it follows no redirect. Certificates are looked for only where TLS needs them.
pub fn http_client(
    url: &str,
    proxy: Option<&str>,
    set: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<(reqwest::Client, Url), NoHttpClient> {
    let address = http_address(url).ok_or_else(|| NoHttpClient::Address(url.into()))?;
    let mut builder = reqwest::Client::builder().no_proxy().redirect(redirect::Policy::none());
    let mut needs_certificates = address.scheme() == "https";
    if let Some(proxy) = proxy {
        let invalid = || NoHttpClient::Proxy(without_password(proxy));
        let through = http_address(proxy).ok_or_else(invalid)?;
        needs_certificates |= through.scheme() == "https";
        builder = builder.proxy(Proxy::all(through).map_err(|_| invalid())?);
    }
    if !needs_certificates {
        builder = builder.tls_certs_only([]);
    }
    let client = set(builder).build().map_err(|error| {
        let why = chain(&error).into();
        if needs_certificates { NoHttpClient::Certificates(why) } else { NoHttpClient::Client(why) }
    })?;
    Ok((client, address))
}

/// Whether what goes there can be read, or be changed, by whatever lies in between.
pub(crate) fn is_overheard(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    url.scheme() == "http" && !is_here
}

fn http_address(url: &str) -> Option<Url> {
    let is_one = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    Url::parse(url).ok().filter(is_one)
}

/// A proxy's address often has its password in it.
fn without_password(proxy: &str) -> Box<str> {
    match proxy.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}").into(),
        None => proxy.into(),
    }
}
