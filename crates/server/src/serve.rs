use std::{future::Future, io, net::SocketAddr, pin::pin, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
};

/// Connections that may wait to be accepted: a deploy brings everybody back at once.
pub const LISTEN_BACKLOG: u32 = 4_096;
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);
const HEADER_BYTES_MAX: usize = 16 * 1024;
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// How long requests that are under way may take after the shutdown began.
const GRACE: Duration = Duration::from_secs(5);
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
/// Upgraded connections live on: [`crate::Server::drain`] sends them away.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut shutdown = pin!(shutdown);
    let ending = watch::Sender::new(());
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            },
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the peer left before it was served");
            continue;
        }
        let connection = http
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app.clone()))
            .with_upgrades();
        let mut ending = ending.subscribe();
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            let served = tokio::select! {
                served = &mut connection => served,
                _ = ending.changed() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = served {
                tracing::debug!(%error, "an HTTP connection ended early");
            }
        });
    }
    drop(listener);
    ending.send_replace(());
    // Every connection holds a receiver until it is done.
    if tokio::time::timeout(GRACE, ending.closed()).await.is_err() {
        tracing::warn!("requests were still under way when the grace period ended");
    }
    Ok(())
}
