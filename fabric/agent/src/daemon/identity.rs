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
        let path = directory.join("own.key");
        let mode = fs::metadata(&path).map_err(|source| IdentityError::Read { path: path.clone(), source })?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(IdentityError::Open { path });
        }
        let own = TlsIdentity::from_pem(read("own.pem")?, read("own.key")?);
        let controllers = keys(&directory.join("controller.pub"), &read("controller.pub")?)?;
        Ok(Self { authority: Certificate::from_pem(read("ca.pem")?), own, controllers })
    }

    /// How to speak to the controller.
    pub fn tls(&self) -> ClientTlsConfig {
        ClientTlsConfig::new().ca_certificate(self.authority.clone()).identity(self.own.clone()).domain_name(CONTROLLER_NAME)
    }
}

fn keys(path: &Path, text: &str) -> Result<Vec<VerifyingKey>, IdentityError> {
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
