//! How a device without a certificate gets one.
//!
//! # Flow
//! The device makes its key, which never leaves it. It looks at what the other side shows, and believes it only if the authority's certificate is the one that the
//! token names. Then it shows the token and asks for a certificate. That is written last: where it is, the device is enrolled, and the token is of no use any more.
//!
//! # Guarantees
//! After a crash at any point, or where an answer was lost, the next start goes on with the same key, for which the same token is still good. Nothing that is there is
//! replaced.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use leafwall_api::token::Token;
use leafwall_api::v1::enrolment_client::EnrolmentClient;
use leafwall_api::v1::{EnrolRequest, Issued};
use leafwall_api::{CONTROLLER_NAME, v1};
use leafwall_topology::Name;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use thiserror::Error;
use tonic::Code;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Uri};

use super::authority;
use super::durable;
use super::identity::{AUTHORITY_CERTIFICATE, CONTROLLER_KEYS, IdentityError, OWN_CERTIFICATE, OWN_KEY, keys};
use crate::report::chain;

/// How long an attempt may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts, at first; twice as long after each, up to the most.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What a device needs to enrol.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// Which device this is.
    pub device: Name,
    /// Where the controller lets devices enrol: `https://HOST:PORT`.
    pub controllers: Vec<String>,
    /// What an operator had made for it.
    pub token: Token,
    /// Where the identity is to be.
    pub identity: PathBuf,
}

/// Why a device has no certificate.
#[derive(Debug, Error)]
pub enum EnrolError {
    /// A file or directory.
    #[error("can't {action} `{path}`")]
    File {
        /// What was tried: a verb.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// What is there of an identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The key that is there is none, or could not be made or used.
    #[error("can't {action}")]
    Key {
        /// What was tried.
        action: &'static str,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
    /// No address.
    #[error("`{0}` is no address of a controller, such as https://10.0.0.1:7444")]
    Address(String),
    /// Somebody else, or nobody.
    #[error("can't see at `{controller}` whether that is the controller")]
    Look {
        /// Where.
        controller: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The other side does not show the authority that the token names.
    #[error("`{0}` is not the controller that the token names, or not where it lets devices enrol: nothing was sent there")]
    OtherAuthority(String),
    /// Another fabric's.
    #[error(
        "`{0}` is not the certificate that the token names: this directory belongs to another fabric; remove what is in it, or take another directory"
    )]
    ForeignDirectory(PathBuf),
    /// The controller refuses, or can't be asked.
    #[error("the controller says: {}", .0.message())]
    Refused(#[source] Box<tonic::Status>),
    /// What came is not what was asked for.
    #[error("the controller's answer is of no use: {0}")]
    Answer(&'static str),
}

impl From<Box<tonic::Status>> for EnrolError {
    fn from(status: Box<tonic::Status>) -> Self {
        Self::Refused(status)
    }
}

impl EnrolError {
    /// Whether another attempt may end otherwise.
    fn may_pass(&self) -> bool {
        match self {
            Self::Look { .. } => true,
            Self::Refused(status) => {
                matches!(
                    status.code(),
                    Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown
                )
            }
            _ => false,
        }
    }
}

pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> EnrolError {
    let path = path.to_owned();
    move |source| EnrolError::File { action, path, source }
}

/// Where a controller lets devices enrol, unless it is told otherwise: on the same host, at port 7444.
pub fn beside(controller: &str) -> Result<String, EnrolError> {
    let uri: Option<Uri> = controller.parse().ok();
    let host = uri.as_ref().filter(|uri| uri.scheme_str() == Some("https")).and_then(Uri::host);
    host.map(|host| format!("https://{host}:{}", authority::PORT)).ok_or_else(|| EnrolError::Address(controller.to_owned()))
}

/// Enrols, unless that was done before. While nobody answers, it is tried again.
pub async fn enrol(enrolment: &Enrolment) -> Result<(), EnrolError> {
    if enrolment.identity.join(OWN_CERTIFICATE).exists() {
        tracing::info!(identity = %enrolment.identity.display(), "enrolled already; the token is not used");
        return Ok(());
    }
    let key = own_key(&enrolment.identity)?;
    let mut pause = PAUSE;
    let mut turn = enrolment.controllers.iter().cycle();
    loop {
        let controller = turn.next().ok_or_else(|| EnrolError::Address(String::new()))?;
        match attempt(enrolment, controller, &key).await {
            Err(error) if error.may_pass() => {
                tracing::warn!(device = %enrolment.device, error = chain(&error), "not enrolled yet; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            ended => return ended,
        }
    }
}

async fn attempt(enrolment: &Enrolment, controller: &str, key: &KeyPair) -> Result<(), EnrolError> {
    let Enrolment { device, token, identity, .. } = enrolment;
    let authority = authority::look(controller, &token.authority).await?;
    let path = identity.join(AUTHORITY_CERTIFICATE);
    if path.exists() && authority::digest(&fs::read_to_string(&path).map_err(file("read", &path))?) != Some(token.authority) {
        return Err(EnrolError::ForeignDirectory(path));
    }
    let issued = ask(enrolment, controller, &authority, key).await?;
    check(&issued.certificate, device, key)?;
    let Issued { certificate, authority: same, controllers } = issued;
    if authority::digest(&same) != Some(token.authority) {
        return Err(EnrolError::Answer("its authority is not the one that the token names"));
    }
    if keys(&identity.join(CONTROLLER_KEYS), &controllers)?.is_empty() {
        return Err(EnrolError::Answer("it names no key that signs revisions"));
    }
    let put = |name: &str, text: &str| durable::replace(identity, name, text.as_bytes()).map_err(file("write", &identity.join(name)));
    put(AUTHORITY_CERTIFICATE, &same)?;
    put(CONTROLLER_KEYS, &controllers)?;
    // the last: an identity that has it is whole
    put(OWN_CERTIFICATE, &certificate)?;
    tracing::info!(%device, identity = %identity.display(), "enrolled");
    Ok(())
}

async fn ask(enrolment: &Enrolment, controller: &str, authority: &str, key: &KeyPair) -> Result<v1::Issued, EnrolError> {
    let address = || EnrolError::Address(controller.to_owned());
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority)).domain_name(CONTROLLER_NAME);
    let endpoint = Endpoint::from_shared(controller.to_owned()).and_then(|endpoint| endpoint.tls_config(tls)).map_err(|_| address())?;
    let channel = endpoint.connect_timeout(PATIENCE).timeout(PATIENCE).connect_lazy();
    // its key and signature are all that counts: who the certificate is for stands in the token's record
    let params = CertificateParams::new([]).map_err(failed("make a certificate request"))?;
    let request = params.serialize_request(key).map_err(failed("make a certificate request"))?;
    let request =
        EnrolRequest { device: enrolment.device.to_string(), secret: enrolment.token.secret.to_vec(), request: request.der().to_vec() };
    Ok(EnrolmentClient::new(channel).enrol(request).await.map_err(Box::new)?.into_inner())
}

fn failed(action: &'static str) -> impl FnOnce(rcgen::Error) -> EnrolError {
    move |source| EnrolError::Key { action, source }
}

/// Whether a certificate (PEM) is for this key and this device. That the authority signed it shows when it is used.
pub(super) fn check(certificate: &str, device: &Name, key: &KeyPair) -> Result<(), EnrolError> {
    let none = |_| EnrolError::Answer("what came is no certificate");
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate.as_bytes()).map_err(|error| none(error.to_string()))?;
    let parsed = pem.parse_x509().map_err(|error| none(error.to_string()))?;
    if parsed.public_key().raw != key.subject_public_key_info() {
        return Err(EnrolError::Answer("the certificate is for another key"));
    }
    let mut names = parsed.subject().iter_common_name().map(x509_parser::x509::AttributeTypeAndValue::as_str);
    match (names.next(), names.next()) {
        (Some(Ok(name)), None) if name == device.as_str() => Ok(()),
        _ => Err(EnrolError::Answer("the certificate is for another device")),
    }
}

/// The device's key: the one that is there, or a new one.
fn own_key(identity: &Path) -> Result<KeyPair, EnrolError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(identity).map_err(file("make", identity))?;
    if identity.join(OWN_KEY).exists() {
        return read_key(identity);
    }
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed("make a key"))?;
    durable::replace_secret(identity, OWN_KEY, key.serialize_pem().as_bytes()).map_err(file("write", &identity.join(OWN_KEY)))?;
    Ok(key)
}

/// The key that is there.
pub(super) fn read_key(identity: &Path) -> Result<KeyPair, EnrolError> {
    let path = identity.join(OWN_KEY);
    let mode = fs::metadata(&path).map_err(file("read", &path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(IdentityError::Open { path }.into());
    }
    let text = fs::read_to_string(&path).map_err(file("read", &path))?;
    KeyPair::from_pem(&text).map_err(failed("use the key in `own.key`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_enrol_beside_the_controller() {
        for (controller, at) in [
            ("https://10.0.0.1:7443", "https://10.0.0.1:7444"),
            ("https://[2001:db8::1]:7443", "https://[2001:db8::1]:7444"),
            ("https://controller.example", "https://controller.example:7444"),
        ] {
            assert_eq!(beside(controller).unwrap(), at);
        }
        for wrong in ["http://10.0.0.1:7443", "10.0.0.1:7443", "", "https://"] {
            assert!(matches!(beside(wrong), Err(EnrolError::Address(_))), "{wrong}");
        }
    }
}
