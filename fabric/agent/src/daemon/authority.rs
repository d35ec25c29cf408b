//! Who is there, for a device that has nothing but the digest of an authority's certificate.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use leafwall_api::CONTROLLER_NAME;
use leafwall_rollout::digest::Digest;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tonic::transport::Uri;

use super::enrol::{EnrolError, PATIENCE};

/// The port where devices enrol, unless another one is named.
pub const PORT: u16 = 7444;

/// The digest of a certificate (PEM).
pub fn digest(pem: &str) -> Option<Digest> {
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok().map(|(_, pem)| Digest::of(&pem.contents))
}

/// The authority's certificate (PEM) that has this digest, as the other side shows it. No connection comes of it: that is made anew, with this certificate and
/// nothing else believed.
pub async fn look(controller: &str, wanted: &Digest) -> Result<String, EnrolError> {
    let address = || EnrolError::Address(controller.to_owned());
    let uri: Uri = controller.parse().map_err(|_| address())?;
    let (Some("https"), Some(host)) = (uri.scheme_str(), uri.host()) else { return Err(address()) };
    let host = host.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(PORT);
    let failed = |source| EnrolError::Look { controller: controller.to_owned(), source };

    let eye = Arc::new(Eye { wanted: *wanted, seen: Mutex::default(), provider: Arc::new(ring::default_provider()) });
    let config = ClientConfig::builder_with_provider(Arc::clone(&eye.provider)).with_safe_default_protocol_versions();
    let config =
        config.map_err(|error| failed(io::Error::other(error)))?.dangerous().with_custom_certificate_verifier(Arc::clone(&eye) as _);
    let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
    let name = ServerName::try_from(CONTROLLER_NAME).map_err(|error| failed(io::Error::other(error)))?;
    let handshake = async {
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        connector.connect(name, stream).await
    };
    let Ok(ended) = tokio::time::timeout(PATIENCE, handshake).await else {
        return Err(failed(io::ErrorKind::TimedOut.into()));
    };
    let seen = std::mem::take(&mut *eye.seen.lock().unwrap_or_else(PoisonError::into_inner));
    match (seen, ended) {
        (Seen::Nothing, Err(error)) => Err(failed(error)),
        (Seen::Nothing, Ok(_)) => Err(failed(io::Error::other("the other side showed no certificate"))),
        (Seen::Others, _) => Err(EnrolError::OtherAuthority(controller.to_owned())),
        (Seen::Wanted(der), _) => Ok(pem::encode(&pem::Pem::new("CERTIFICATE", der))),
    }
}

#[derive(Debug, Default)]
enum Seen {
    #[default]
    Nothing,
    Others,
    Wanted(Vec<u8>),
}

/// Looks at what is shown, and never lets a connection be.
#[derive(Debug)]
struct Eye {
    wanted: Digest,
    seen: Mutex<Seen>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Eye {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let wanted = others.iter().chain([own]).find(|certificate| Digest::of(certificate) == self.wanted);
        let seen = wanted.map_or(Seen::Others, |certificate| Seen::Wanted(certificate.to_vec()));
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Err(Error::General("only looked at".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only looked at".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only looked at".to_owned()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
