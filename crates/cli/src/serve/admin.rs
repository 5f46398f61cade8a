use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use clap::Args;
use tetherline_process::note;
use tetherline_server::{Config, SPACE_BYTES_MIN, Server, listen, serve};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use super::cannot_listen;

/// Where the server is watched.
#[derive(Debug, Args)]
#[command(next_help_heading = "Watching")]
pub(super) struct AdminOptions {
    /// Address and port for /healthz, /readyz and /metrics, such as 127.0.0.1:9464; port 0 takes a free one, which is
    /// said on stderr. Nobody has to show a key there, so let nobody else reach it. Without it there is none.
    #[arg(long, value_name = "ADDRESS", env = "TETHERLINE_ADMIN_LISTEN")]
    admin_listen: Option<SocketAddr>,
    /// Not ready (/readyz) with less than so many bytes left on the disk of the data folder; 0 for never. Whoever is
    /// connected is served on, and messages are kept, as long as they can be.
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = SPACE_BYTES_MIN,
        env = "TETHERLINE_SPACE_BYTES_MIN"
    )]
    space_bytes_min: u64,
}

/// A port that is taken, and not served yet.
pub(super) struct AdminListener(Option<TcpListener>);

/// Serves for as long as this is there.
pub(super) struct Admin(Option<(oneshot::Sender<()>, JoinHandle<std::io::Result<()>>)>);

impl AdminOptions {
    pub(super) fn set(&self, config: &mut Config) {
        config.space_bytes_min = self.space_bytes_min;
    }

    pub(super) fn bind(&self) -> Result<AdminListener> {
        let Some(address) = self.admin_listen else { return Ok(AdminListener(None)) };
        let bound =
            listen(address).map_err(|error| cannot_listen(address, &error, "--admin-listen"));
        bound.map(Some).map(AdminListener)
    }
}

impl AdminListener {
    pub(super) fn serve(self, server: &Server) -> Result<Admin> {
        let Some(listener) = self.0 else { return Ok(Admin(None)) };
        note!("admin listening on http://{}", listener.local_addr()?);
        let (end, ended) = oneshot::channel();
        let serving = serve(listener, server.admin_router(), async { drop(ended.await) });
        Ok(Admin(Some((end, tokio::spawn(serving)))))
    }
}

impl Admin {
    /// After everything else: whether the server is ready may be asked until it is gone.
    pub(super) async fn end(self) -> Result<()> {
        let Some((end, serving)) = self.0 else { return Ok(()) };
        drop(end);
        serving.await?.context("the admin listener stopped")
    }
}
