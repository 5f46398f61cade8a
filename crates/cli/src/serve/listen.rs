//! Where a server listens, and with which certificates.

use std::{
    fmt, fs, io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use tetherline_process::{Inherited, inherited_listeners};
use tetherline_server::{Certificates, Listener, Origin, listen};
use tokio::net::{TcpListener, UnixListener};

use super::unix_socket::{self, SocketFile};

/// Where clients and publishers come in.
#[derive(Debug, Args)]
#[command(next_help_heading = "Listening")]
pub(super) struct ListenOptions {
    /// Address and port, such as 0.0.0.0:8080 or [::]:8080 (which is IPv4, too, where the system has it so); port 0
    /// takes a free one, which is printed. Or a Unix socket, such as unix:/run/tetherline/http.sock: whoever opens it is
    /// believed as a trusted proxy is. May be repeated, or be several with commas between. Sockets that systemd hands
    /// over are used instead.
    #[arg(
        long,
        value_name = "ADDRESS",
        value_delimiter = ',',
        default_value = "127.0.0.1:8080",
        env = "TETHERLINE_LISTEN"
    )]
    listen: Vec<ListenAddress>,
    /// Who may open Unix sockets, as the mode of their files in octal digits.
    #[arg(
        long,
        value_name = "MODE",
        default_value = "660",
        value_parser = mode,
        env = "TETHERLINE_LISTEN_MODE"
    )]
    listen_mode: u32,
    /// The certificate to show, with those that vouch for it, in PEM form: then every address and port of --listen speaks
    /// TLS. SIGHUP has it read anew.
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "TETHERLINE_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert, in PEM form.
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "TETHERLINE_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// What stands before every path, such as /realtime, where a proxy hands on what is below it as it came. Health is
    /// asked below it, too.
    #[arg(long, value_name = "PATH", value_parser = prefix, env = "TETHERLINE_PATH_PREFIX")]
    pub(super) path_prefix: Option<String>,
}

/// An address and port, or the path of a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ListenAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err("a Unix socket is named by its whole path, such as unix:/run/tetherline/http.sock".to_owned()),
            None => text.parse().map(Self::Tcp).map_err(|_| {
                "write an address and a port, such as 127.0.0.1:8080 or [::1]:8080, or unix:/PATH".to_owned()
            }),
        }
    }
}

/// What is listened on, and not served yet.
pub(super) struct Bound {
    pub(super) listener: Listener,
    pub(super) origins: Vec<Origin>,
    /// Of a Unix socket: it goes with who listens there.
    pub(super) file: Option<SocketFile>,
    /// As people write it.
    pub(super) name: String,
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

impl ListenOptions {
    /// Reads what is to be shown, if anything is.
    pub(super) fn certificates(&self) -> Result<Option<Certificates>> {
        certificates((&self.tls_cert, "--tls-cert"), (&self.tls_key, "--tls-key"))
    }

    /// What this process was handed, or else what the options name.
    pub(super) fn bind(&self, certificates: Option<&Certificates>) -> Result<Vec<Bound>> {
        let handed_over = inherited_listeners();
        let handed_over = handed_over.context("the socket that was handed over cannot be used")?;
        if handed_over.is_empty() {
            let bind = |address| bind(address, self.listen_mode, certificates, "--listen");
            return self.listen.iter().map(bind).collect();
        }
        let taken = |inherited| match inherited {
            Inherited::Tcp(listener) => tcp(TcpListener::from_std(listener)?, certificates),
            Inherited::Unix(listener) => {
                let path = listener.local_addr()?.as_pathname().map(Path::to_owned);
                // Its file is systemd's.
                Ok(unix(UnixListener::from_std(listener)?, &path.unwrap_or_default(), None))
            }
        };
        handed_over.into_iter().map(taken).collect()
    }
}

/// Reads a certificate and its key, each with the option that names it, if both are named.
pub(super) fn certificates(
    (chain, chain_option): (&Option<PathBuf>, &str),
    (key, key_option): (&Option<PathBuf>, &str),
) -> Result<Option<Certificates>> {
    let (Some(chain), Some(key)) = (chain, key) else { return Ok(None) };
    let read = |path: &Path, option: &str| {
        fs::read(path).with_context(|| format!("cannot read {option} {}", path.display()))
    };
    let (chain_pem, key_pem) = (read(chain, chain_option)?, read(key, key_option)?);
    let others_may = fs::metadata(key).map_or(0, |file| file.permissions().mode() & 0o007);
    if others_may != 0 {
        let key = key.display();
        tracing::warn!(%key, "anybody on this machine may use the private key of {key_option}: chmod 640");
    }
    let certificates = Certificates::from_pem(&chain_pem, &key_pem);
    certificates.map(Some).map_err(|error| {
        let (option, path) =
            if error.is_about_key() { (key_option, key) } else { (chain_option, chain) };
        anyhow!("{option} {}: {error}", path.display())
    })
}

/// Takes an address, or the path of a Unix socket whose file gets this mode.
pub(super) fn bind(
    address: &ListenAddress,
    mode: u32,
    certificates: Option<&Certificates>,
    option: &str,
) -> Result<Bound> {
    match address {
        ListenAddress::Tcp(address) => {
            let listener = listen(*address);
            tcp(listener.map_err(|error| cannot_listen(*address, &error, option))?, certificates)
        }
        ListenAddress::Unix(path) => {
            let (listener, file) = unix_socket::bind(path, mode)
                .map_err(|error| cannot_listen_at(path, &error, option))?;
            Ok(unix(listener, path, Some(file)))
        }
    }
}

fn tcp(listener: TcpListener, certificates: Option<&Certificates>) -> Result<Bound> {
    let address = listener.local_addr()?;
    Ok(match certificates {
        Some(certificates) => Bound {
            listener: Listener::with_tls(listener, certificates.clone()),
            origins: Origin::of_tls_listener(address),
            file: None,
            name: format!("https://{address}"),
        },
        None => Bound {
            listener: listener.into(),
            origins: Origin::of_listener(address),
            file: None,
            name: format!("http://{address}"),
        },
    })
}

fn unix(listener: UnixListener, path: &Path, file: Option<SocketFile>) -> Bound {
    Bound {
        listener: listener.into(),
        origins: Vec::new(),
        file,
        name: format!("unix:{}", path.display()),
    }
}

fn cannot_listen(address: SocketAddr, error: &io::Error, option: &str) -> anyhow::Error {
    let (ip, port) = (address.ip(), address.port());
    let (with_any_port, all) = match address {
        SocketAddr::V4(_) => (format!("{ip}:PORT"), "0.0.0.0"),
        SocketAddr::V6(_) => (format!("[{ip}]:PORT"), "[::]"),
    };
    match error.kind() {
        io::ErrorKind::AddrInUse => anyhow!(
            "port {port} is in use; end the program that uses it, or choose another with {option} {with_any_port}"
        ),
        io::ErrorKind::AddrNotAvailable => anyhow!(
            "{ip} is no address of this machine; choose one that is, or all of them, with {option} {all}:{port}"
        ),
        io::ErrorKind::PermissionDenied => anyhow!(
            "this user may not listen on port {port}; let it (CAP_NET_BIND_SERVICE), or choose one from 1024 on with \
             {option} {with_any_port}"
        ),
        _ => anyhow!("cannot listen on {address}: {error}; choose another with {option}"),
    }
}

fn cannot_listen_at(path: &Path, error: &io::Error, option: &str) -> anyhow::Error {
    let (path, another) = (path.display(), format!("choose another path with {option} unix:/PATH"));
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            anyhow!("{path} is in use; end the program that listens there, or {another}")
        }
        io::ErrorKind::NotFound => {
            anyhow!("cannot listen on {path}: its folder is not there; make it, or {another}")
        }
        io::ErrorKind::PermissionDenied => {
            anyhow!("this user may not make {path}; let it write to that folder, or {another}")
        }
        _ => anyhow!("cannot listen on {path}: {error}; {another}"),
    }
}

fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("write the mode of a file in octal digits, such as 660".to_owned()),
    }
}

fn prefix(text: &str) -> Result<String, String> {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut parts = text.strip_prefix('/').unwrap_or_default().split('/');
    if parts.all(|part| !part.is_empty() && part.bytes().all(is_fine)) {
        return Ok(text.to_owned());
    }
    Err("write a path such as /realtime: with a slash before it, and none behind".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_this_user_may_not_have_is_said_with_what_would_let_them() {
        // Whoever runs the tests may have every port.
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let said = cannot_listen("[::1]:443".parse().unwrap(), &denied, "--listen").to_string();
        assert!(said.starts_with("this user may not listen on port 443; let it"), "{said}");
        assert!(said.ends_with("--listen [::1]:PORT"), "{said}");
        let said = cannot_listen_at(Path::new("/run/x.sock"), &denied, "--listen").to_string();
        assert!(said.starts_with("this user may not make /run/x.sock; let it write"), "{said}");
    }

    #[test]
    fn an_address_is_of_ipv4_or_ipv6_or_a_whole_path() {
        for good in ["127.0.0.1:0", "[::]:8080", "unix:/run/tetherline/http.sock"] {
            assert!(good.parse::<ListenAddress>().is_ok(), "{good}");
        }
        for bad in ["", "8080", "localhost:8080", "::1:8080", "unix:", "unix:here.sock"] {
            assert!(bad.parse::<ListenAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prefix_is_a_path_and_a_mode_is_that_of_a_file() {
        for good in ["/realtime", "/a/b", "/v1.2~x"] {
            assert_eq!(prefix(good).as_deref(), Ok(good));
        }
        for bad in ["", "/", "realtime", "/a/", "//a", "/{user}", "/a b", "/a?b"] {
            assert!(prefix(bad).is_err(), "{bad}");
        }
        assert_eq!((mode("660"), mode("0600")), (Ok(0o660), Ok(0o600)));
        for bad in ["", "rw", "888", "1777"] {
            assert!(mode(bad).is_err(), "{bad}");
        }
    }
}
