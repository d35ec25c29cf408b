//! Who this agent is, and whom it believes: files that an operator or enrolment put into one directory.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ed25519_dalek::VerifyingKey;
use leafwall_api::CONTROLLER_NAME;
use leafwall_rollout::digest::Digest;
use thiserror::Error;
use tonic::transport::{Certificate, ClientTlsConfig, Identity as TlsIdentity};

/// The authority's certificate.
pub const AUTHORITY_CERTIFICATE: &str = "ca.pem";
/// The device's own, which is written last: where it is, the device is enrolled.
pub const OWN_CERTIFICATE: &str = "own.pem";
/// Its key.
pub const OWN_KEY: &str = "own.key";
/// The keys that sign.
pub const CONTROLLER_KEYS: &str = "controller.pub";

/// Certificates and keys.
#[derive(Debug, Clone)]
pub struct Identity {
    authority: Certificate,
    own: TlsIdentity,
    /// Keys that sign what devices are to be (`controller.pub`: one a line, 64 hexadecimal digits).
    pub controllers: Vec<VerifyingKey>,
}

/// Why there is no identity.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// A file.
    #[error("can't read `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A key that others on the device can read.
    #[error("`{path}` can be read by others than its owner: chmod 600 it")]
    Open {
        /// Which.
        path: PathBuf,
    },
    /// Something else than a certificate.
    #[error("`{path}` is no certificate")]
    Certificate {
        /// Which.
        path: PathBuf,
    },
    /// A line that is no key.
    #[error("`{path}`, line {line}: no ed25519 key of 64 hexadecimal digits")]
    Key {
        /// Which.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
}

impl Identity {
    /// Reads `ca.pem`, `own.pem`, `own.key` and `controller.pub`.
    pub fn read(directory: &Path) -> Result<Self, IdentityError> {
        let read = |name: &str| {
            let path = directory.join(name);
            fs::read_to_string(&path).map_err(|source| IdentityError::Read { path, source })
        };
        let path = directory.join(OWN_KEY);
        let mode = fs::metadata(&path).map_err(|source| IdentityError::Read { path: path.clone(), source })?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(IdentityError::Open { path });
        }
        let own = TlsIdentity::from_pem(read(OWN_CERTIFICATE)?, read(OWN_KEY)?);
        let controllers = keys(&directory.join(CONTROLLER_KEYS), &read(CONTROLLER_KEYS)?)?;
        Ok(Self { authority: Certificate::from_pem(read(AUTHORITY_CERTIFICATE)?), own, controllers })
    }

    /// How to speak to the controller.
    pub fn tls(&self) -> ClientTlsConfig {
        ClientTlsConfig::new().ca_certificate(self.authority.clone()).identity(self.own.clone()).domain_name(CONTROLLER_NAME)
    }
}

/// What a device's own certificate says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From when it is good, in seconds since 1970 (UTC).
    pub from: i64,
    /// Until when.
    pub until: i64,
}

impl Validity {
    /// That of the certificate in this directory.
    pub fn read(directory: &Path) -> Result<Self, IdentityError> {
        let path = directory.join(OWN_CERTIFICATE);
        let text = fs::read(&path).map_err(|source| IdentityError::Read { path: path.clone(), source })?;
        let pem = x509_parser::pem::parse_x509_pem(&text).map(|(_, pem)| pem);
        let pem = pem.map_err(|_| IdentityError::Certificate { path: path.clone() })?;
        let certificate = pem.parse_x509().map_err(|_| IdentityError::Certificate { path })?;
        let validity = certificate.validity();
        Ok(Self { from: validity.not_before.timestamp(), until: validity.not_after.timestamp() })
    }

    /// Whether it should be renewed: less than a third of its time is left, which is enough for many attempts.
    pub const fn is_due(&self, now: i64) -> bool {
        (self.until - now) * 3 < self.until - self.from
    }
}

pub(super) fn keys(path: &Path, text: &str) -> Result<Vec<VerifyingKey>, IdentityError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            // 32 bytes in hexadecimal, as a digest is
            let bytes = line.trim().parse::<Digest>().ok();
            let key = bytes.and_then(|bytes| VerifyingKey::from_bytes(bytes.bytes()).ok());
            key.ok_or_else(|| IdentityError::Key { path: path.to_owned(), line: at + 1 })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_due_in_its_last_third() {
        let validity = Validity { from: 1000, until: 1300 };
        for (now, due) in [(0, false), (1000, false), (1200, false), (1201, true), (1299, true), (9999, true)] {
            assert_eq!(validity.is_due(now), due, "{now}");
        }
    }
}
