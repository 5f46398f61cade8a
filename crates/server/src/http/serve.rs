//! The HTTP server: accepting, and what holds for every connection whatever is asked on it.

mod admission;
mod front;
mod listener;
mod peer;
mod request_id;
mod transport;

use std::{
    error::Error as _, future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration,
    time::Instant,
};

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
};
use tracing::Instrument as _;

use crate::{
    rates::Meters,
    trouble::{SharedTrouble, Word},
};
use admission::Admission;
use admission::HttpConnection;
pub(crate) use admission::Requester;
pub use admission::{
    DESCRIPTORS_RESERVED, UNAUTHENTICATED_CONNECTIONS_MAX, UNAUTHENTICATED_IDLE_GRACE,
    UNAUTHENTICATED_REQUEST_GRACE, raise_descriptors,
};
use front::Front;
use listener::Accepted;
pub use listener::{Listener, TLS_HANDSHAKE_TIMEOUT};
use peer::Exchange;
pub(crate) use peer::Peer;
pub use peer::{
    ANSWER_STUCK_TIMEOUT, LINGER_BYTES_MAX, LINGER_TIMEOUT, LINGER_UNANNOUNCED_TIMEOUT,
};
use request_id::RequestIds;
pub(crate) use transport::Transport;

/// Connections that may wait to be accepted: a deploy brings everybody back at once.
pub const LISTEN_BACKLOG: u32 = 4_096;
/// How long a request may take to say what it wants, up to the end of its header.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest header of a request, its first line included, in bytes; one that is larger is refused
/// with 431.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// How long requests that are under way may take after the shutdown began.
pub const REQUESTS_GRACE: Duration = Duration::from_secs(5);
/// Out of file descriptors: wait for some to come back instead of spinning.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Binds with a backlog of [`LISTEN_BACKLOG`]. Call it inside a tokio runtime.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(LISTEN_BACKLOG)
}

/// Serves until `shutdown` is done and requests under way are answered.
///
/// Upgraded connections live on: [`crate::Server::drain`] sends them away. The application's own routes find the
/// peer's address as axum's `ConnectInfo<SocketAddr>`.
///
/// [`crate::Server::serve`] does the same within a server's rates.
pub async fn serve(
    listener: impl Into<Listener>,
    app: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_within(listener.into(), None, app, shutdown).await
}

/// The same, within the rate at which one address may connect.
pub(crate) async fn serve_within(
    listener: Listener,
    meters: Option<Arc<Meters>>,
    app: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut shutdown = pin!(shutdown);
    let ending = watch::Sender::new(());
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        // Hyper's own panics when the clock is before 1970.
        .auto_date_header(false)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    let admission = Admission::new();
    let (accept_trouble, descriptor_trouble) = (SharedTrouble::new(), SharedTrouble::new());
    let rate_trouble = SharedTrouble::new();
    loop {
        let accepting = async {
            let accepted = accept(&listener, meters.as_deref(), &rate_trouble).await?;
            // Whoever comes next waits with the system.
            admission.room().await;
            Ok::<_, io::Error>(accepted)
        };
        let (stream, peer) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepting => match accepted {
                Ok(accepted) => {
                    if let Some(Word::Works { times }) = accept_trouble.worked_now() {
                        tracing::info!(failed_again = times, "connections are accepted again");
                    }
                    accepted
                }
                // The peer left before it was accepted: no trouble of this process.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    if let Some(Word::Fails { times }) = accept_trouble.failed_now() {
                        tracing::warn!(%error, times, "cannot accept connections");
                    }
                    admission.descriptors_are_short();
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            },
        };
        let Some(admitted) = admission.admit(&stream) else {
            if let Some(Word::Fails { times }) = descriptor_trouble.failed_now() {
                tracing::warn!(
                    times,
                    "connections are refused: this process has nearly all the file descriptors that it \
                     may have; let it have more (`ulimit -n`, `LimitNOFILE`)"
                );
            }
            continue;
        };
        if let Some(Word::Works { times }) = descriptor_trouble.worked_now() {
            tracing::info!(
                refused_again = times,
                "there are file descriptors for connections again"
            );
        }
        let span = tracing::debug_span!("connection", %peer);
        let request_ids = RequestIds::of(peer.ip(), meters.as_deref());
        let front = (app.clone(), request_ids, meters.clone());
        let served = serve_one((stream, peer), admitted, http.clone(), front, ending.subscribe());
        tokio::spawn(served.instrument(span));
    }
    drop(listener);
    ending.send_replace(());
    // Every connection holds a receiver until it is done.
    if tokio::time::timeout(REQUESTS_GRACE, ending.closed()).await.is_err() {
        tracing::warn!("requests were still under way when the grace period ended");
    }
    Ok(())
}

/// The next connection that does not come too fast. Nothing of it was read: its address is its peer's own.
async fn accept(
    listener: &Listener,
    meters: Option<&Meters>,
    trouble: &SharedTrouble,
) -> io::Result<(Accepted, SocketAddr)> {
    loop {
        let (stream, peer) = listener.accept().await?;
        if meters.is_none_or(|meters| meters.accept(peer.ip(), Instant::now())) {
            return Ok((stream, peer));
        }
        // Nor is anything kept of it.
        stream.cut();
        if let Some(Word::Fails { times }) = trouble.failed_now() {
            tracing::warn!(times, "connections are refused: they come too fast from one address");
        }
    }
}

/// One connection, until it ends or becomes a WebSocket.
async fn serve_one(
    (accepted, address): (Accepted, SocketAddr),
    admitted: HttpConnection,
    http: hyper::server::conn::http1::Builder,
    (app, request_ids, meters): (Router, RequestIds, Option<Arc<Meters>>),
    mut ending: watch::Receiver<()>,
) {
    let ready = tokio::select! {
        biased;
        ready = accepted.ready() => ready,
        () = admitted.cut() => return,
        _ = ending.changed() => return,
    };
    let transport = match ready {
        Ok(transport) => transport,
        Err(error) => {
            tracing::debug!(%error, "the peer left before it was served, or speaks no TLS that is known");
            return;
        }
    };
    tracing::debug!("connected");
    let exchange = Exchange::new();
    let peer = TokioIo::new(Peer::new(transport, exchange.clone()));
    let front =
        Front { app, request_ids, meters, exchange, peer: address, admitted: admitted.clone() };
    let connection = http.serve_connection(peer, front).with_upgrades();
    let mut connection = pin!(connection);
    let served = tokio::select! {
        biased;
        served = &mut connection => served,
        () = admitted.cut() => {
            tracing::debug!("the HTTP connection makes room for another");
            return;
        }
        _ = ending.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    match served {
        Ok(()) => tracing::debug!("the HTTP connection ended"),
        Err(error) => {
            let cause = error.source().map(ToString::to_string);
            tracing::debug!(%error, cause, "the HTTP connection ended early");
        }
    }
}
