use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use tetherline_process::note;
use tetherline_server::{Certificates, Config, SPACE_BYTES_MIN, Server, serve};
use tokio::{sync::oneshot, task::JoinHandle};

use super::listen::{Bound, ListenAddress, bind, certificates};

/// Who may open the socket of a listener where nobody shows a key: whoever the server runs as, and its group.
const SOCKET_MODE: u32 = 0o660;

/// Where the server is watched.
#[derive(Debug, Args)]
#[command(next_help_heading = "Watching")]
pub(super) struct AdminOptions {
    /// Address and port for /healthz, /readyz and /metrics, such as 127.0.0.1:9464; port 0 takes a free one, which is
    /// said on stderr. Or a Unix socket, such as unix:/run/tetherline/admin.sock. Nobody has to show a key there, so let nobody else reach it. Without it there is none.
    #[arg(long, value_name = "ADDRESS", env = "TETHERLINE_ADMIN_LISTEN")]
    admin_listen: Option<ListenAddress>,
    /// The certificate to show there, with those that vouch for it, in PEM form: then it speaks TLS. It may be that of
    /// --tls-cert. SIGHUP has it read anew.
    #[arg(
        long,
        value_name = "FILE",
        requires_all = ["admin_tls_key", "admin_listen"],
        env = "TETHERLINE_ADMIN_TLS_CERT"
    )]
    admin_tls_cert: Option<PathBuf>,
    /// The private key of --admin-tls-cert, in PEM form.
    #[arg(
        long,
        value_name = "FILE",
        requires = "admin_tls_cert",
        env = "TETHERLINE_ADMIN_TLS_KEY"
    )]
    admin_tls_key: Option<PathBuf>,
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
pub(super) struct AdminListener(Option<Bound>);

/// Serves for as long as this is there.
pub(super) struct Admin(Option<(oneshot::Sender<()>, JoinHandle<std::io::Result<()>>)>);

impl AdminOptions {
    pub(super) fn set(&self, config: &mut Config) {
        config.space_bytes_min = self.space_bytes_min;
    }

    /// Reads what is to be shown, if anything is.
    pub(super) fn certificates(&self) -> Result<Option<Certificates>> {
        let (chain, key) = (&self.admin_tls_cert, &self.admin_tls_key);
        certificates((chain, "--admin-tls-cert"), (key, "--admin-tls-key"))
    }

    pub(super) fn bind(&self, certificates: Option<&Certificates>) -> Result<AdminListener> {
        let bind = |address| bind(address, SOCKET_MODE, certificates, "--admin-listen");
        self.admin_listen.as_ref().map(bind).transpose().map(AdminListener)
    }
}

impl AdminListener {
    pub(super) fn serve(self, server: &Server) -> Admin {
        let Some(bound) = self.0 else { return Admin(None) };
        note!("admin listening on {bound}");
        let (end, ended) = oneshot::channel();
        let Bound { listener, file, .. } = bound;
        let serving = serve(listener, server.admin_router(), async { drop(ended.await) });
        let serving = async move {
            let ended = serving.await;
            drop(file);
            ended
        };
        Admin(Some((end, tokio::spawn(serving))))
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
