//! What is listened on, and what a connection goes through before anything is asked on it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::{AsRawFd, RawFd},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::timeout,
};

use super::transport::Transport;
use crate::security::certificates::Certificates;

/// How long a TLS handshake may take.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Whoever comes over a Unix socket has no address. Nobody comes from this one over a network.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What is listened on: TCP, TCP with TLS, or a Unix socket.
///
/// Whoever comes over a Unix socket is believed as a trusted proxy is when it says whom it serves: who may open the
/// socket is what its file's mode says.
#[derive(Debug)]
pub struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Tls(TcpListener, Certificates),
    Unix(UnixListener),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self(Kind::Tcp(listener))
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self(Kind::Unix(listener))
    }
}

impl Listener {
    /// Speaks TLS, each new connection with the certificates of that moment.
    #[must_use]
    pub fn with_tls(listener: TcpListener, certificates: Certificates) -> Self {
        Self(Kind::Tls(listener, certificates))
    }

    pub(super) async fn accept(&self) -> io::Result<(Accepted, SocketAddr)> {
        match &self.0 {
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Accepted::Tcp(stream), peer))
            }
            Kind::Tls(listener, certificates) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Accepted::Tls(stream, certificates.clone()), peer))
            }
            Kind::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Accepted::Unix(stream), NOWHERE))
            }
        }
    }
}

/// A connection on which nothing was said yet.
pub(super) enum Accepted {
    Tcp(TcpStream),
    Tls(TcpStream, Certificates),
    Unix(UnixStream),
}

impl AsRawFd for Accepted {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) | Self::Tls(stream, _) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
        }
    }
}

impl Accepted {
    /// Keeps nothing of it.
    pub(super) fn cut(self) {
        match self {
            Self::Tcp(stream) | Self::Tls(stream, _) => drop(stream.set_zero_linger()),
            Self::Unix(stream) => drop(stream),
        }
    }

    /// What HTTP can be spoken on.
    pub(super) async fn ready(self) -> io::Result<Transport> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true).map(|()| Transport::Tcp(stream)),
            Self::Tls(stream, certificates) => {
                stream.set_nodelay(true)?;
                let stream = timeout(TLS_HANDSHAKE_TIMEOUT, certificates.acceptor().accept(stream));
                stream.await?.map(|stream| Transport::Tls(Box::new(stream)))
            }
            Self::Unix(stream) => Ok(Transport::Unix(stream)),
        }
    }
}
