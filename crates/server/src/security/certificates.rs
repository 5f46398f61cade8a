//! The certificates that a listener shows, which may change while it listens.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{self, ServerConfig, crypto::aws_lc_rs::default_provider},
};
use x509_parser::parse_x509_certificate;

use crate::clock;

/// Why certificates cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCertificates {
    /// There is none.
    #[error("there is no certificate in PEM form in it")]
    NoCertificate,
    /// What there is cannot be read.
    #[error("the certificate cannot be read: {0}")]
    Certificate(String),
    /// There is no private key.
    #[error("there is no private key in PEM form in it")]
    NoKey,
    /// The private key cannot be used.
    #[error("the private key cannot be used: {0}")]
    Key(String),
    /// The key is another certificate's.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
    /// Nobody would trust it any more.
    #[error("the certificate has expired; get another")]
    Expired,
    /// Nobody would trust it yet.
    #[error("the certificate is not valid yet; look at the clock")]
    NotYetValid,
}

impl InvalidCertificates {
    /// Whether it is about the key, and not about the certificate.
    #[must_use]
    pub fn is_about_key(&self) -> bool {
        matches!(self, Self::NoKey | Self::Key(_) | Self::Mismatch)
    }
}

/// A certificate with those that vouch for it, and its private key. Copies change together.
#[derive(Clone)]
pub struct Certificates(Arc<RwLock<Arc<ServerConfig>>>);

impl fmt::Debug for Certificates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Certificates")
    }
}

impl Certificates {
    /// Reads the server's own certificate and those behind it, and its key, both in PEM form.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, InvalidCertificates> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| InvalidCertificates::Certificate(error.to_string()))?;
        let own = chain.first().ok_or(InvalidCertificates::NoCertificate)?;
        check_time(own)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| InvalidCertificates::NoKey)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| InvalidCertificates::Key(error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => InvalidCertificates::Mismatch,
                rustls::Error::InvalidCertificate(error) => {
                    InvalidCertificates::Certificate(error.to_string())
                }
                error => InvalidCertificates::Key(error.to_string()),
            })?;
        // A WebSocket begins with HTTP/1.1.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(RwLock::new(Arc::new(config)))))
    }

    /// Shows what `others` show from now on to whoever comes.
    pub fn replace(&self, others: &Self) {
        let others = others.current();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = others;
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.current().into()
    }

    fn current(&self) -> Arc<ServerConfig> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn check_time(certificate: &CertificateDer<'_>) -> Result<(), InvalidCertificates> {
    let (_, parsed) = parse_x509_certificate(certificate)
        .map_err(|error| InvalidCertificates::Certificate(error.to_string()))?;
    let (now, validity) = (clock::now_ms() / 1_000, parsed.validity());
    if now > validity.not_after.timestamp() {
        return Err(InvalidCertificates::Expired);
    }
    if now < validity.not_before.timestamp() {
        return Err(InvalidCertificates::NotYetValid);
    }
    Ok(())
}
