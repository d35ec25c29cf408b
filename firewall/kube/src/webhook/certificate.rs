//! The webhook's certificate: two files that somebody else makes and renews.
//!
//! They are read again now and then, so that whoever renews them (cert-manager, a timer, a person) only has to write them: nothing is restarted or told. Files
//! that can't be used, as while one of them is written and the other is not, change nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// Why a certificate can't be used.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// A file.
    #[error("can't read `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that does not hold what it should.
    #[error("`{path}` holds no {what} in PEM")]
    Pem {
        /// Which.
        path: PathBuf,
        /// Certificate or private key.
        what: &'static str,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// The two do not go together, or are of a kind that TLS does not know.
    #[error("the certificate in `{path}` can't be used with its key: are both from the same request?")]
    Pair {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// A certificate with its key, in files.
#[derive(Debug, Clone)]
pub struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificate {
    /// The chain, own certificate first, and its private key; both PEM.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificate: certificate.into(), key: key.into() }
    }

    /// What the files hold now.
    pub(super) fn read(&self) -> Result<Pair, CertificateError> {
        Ok(Pair { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }

    /// What serves with this pair.
    pub(super) fn acceptor(&self, pair: &Pair) -> Result<TlsAcceptor, CertificateError> {
        let no = |path: &Path, what| {
            let path = path.to_owned();
            move |source| CertificateError::Pem { path, what, source }
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pair.certificate).collect();
        let chain = chain.map_err(no(&self.certificate, "certificate"))?;
        if chain.is_empty() {
            return Err(no(&self.certificate, "certificate")(pem::Error::NoItemsFound));
        }
        let key = PrivateKeyDer::from_pem_slice(&pair.key).map_err(no(&self.key, "private key"))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(|source| CertificateError::Pair { path: self.certificate.clone(), source })?;
        // the API server would take HTTP/2 as well; one request at a time is enough here, and less to read
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// The bytes of both files: what is compared to know whether they are new.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    std::fs::read(path).map_err(|source| CertificateError::File { path: path.to_owned(), source })
}
