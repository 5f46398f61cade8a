//! Whom TLS trusts, for the socket and for the question why there is none.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use tokio::{sync::OnceCell, task::spawn_blocking};

/// The machine's certificates, or those of the file in `SSL_CERT_FILE`; where there are none, as in a
/// container that holds one program, Mozilla's.
pub(crate) async fn trust() -> Arc<ClientConfig> {
    static TRUST: OnceCell<Arc<ClientConfig>> = OnceCell::const_new();
    TRUST.get_or_init(|| async { Arc::new(load().await) }).await.clone()
}

async fn load() -> ClientConfig {
    let found = spawn_blocking(rustls_native_certs::load_native_certs).await;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.map(|found| found.certs).unwrap_or_default());
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}
