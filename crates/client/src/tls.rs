//! Whom TLS trusts, for the socket and for the question why there is none.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::{sync::OnceCell, task::spawn_blocking};

/// Whose certificates a server may show.
#[derive(Debug, Clone)]
pub(crate) enum Trust {
    /// Those that the machine trusts.
    Machine,
    /// Those that [`crate::Builder::ca_certificates`] named.
    Only(Arc<ClientConfig>),
}

impl Trust {
    /// Those of a PEM file, and no others; none if it holds none, or something else that calls itself one.
    pub(crate) fn only(pem: &[u8]) -> Option<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.ok()?).ok()?;
        }
        (!roots.is_empty()).then(|| Self::Only(Arc::new(trusting(roots))))
    }

    pub(crate) async fn config(&self) -> Arc<ClientConfig> {
        match self {
            Self::Machine => machine().await,
            Self::Only(config) => config.clone(),
        }
    }
}

/// The machine's certificates, or those of the file in `SSL_CERT_FILE`; where there are none, as in a
/// container that holds one program, Mozilla's.
async fn machine() -> Arc<ClientConfig> {
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
    trusting(roots)
}

fn trusting(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}
