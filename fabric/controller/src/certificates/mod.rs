//! Who somebody is: certificates of the fabric's own authority, and of nobody else's.
//!
//! # Guarantees
//! A role is read from a certificate's subject alone: CN is the name, OU the role, O the tenant of role `tenant`. What says less, more or something else is
//! refused, not interpreted ([`peer`]). A client's certificate can't be a controller's: it has no server name and no such usage.
//!
//! # Caveats
//! Nothing is revoked: whose certificate has to end is shut out by a new authority. Whoever has `ca.key` can be anybody; a controller needs it only so that
//! agents can enrol and renew their certificates, and runs without it where those are made elsewhere.

mod authority;
mod files;
mod peer;

use std::io;
use std::path::PathBuf;

use thiserror::Error;

pub use authority::{Authority, ShownKey};
pub use peer::{Peer, PeerRole, peer};

use crate::keys::KeyError;

/// The certificate that all others are signed with: `ca.pem`.
pub const AUTHORITY_CERTIFICATE: &str = "ca.pem";
/// Its key. In a controller's directory alone.
pub const AUTHORITY_KEY: &str = "ca.key";
/// One's own certificate.
pub const OWN_CERTIFICATE: &str = "own.pem";
/// One's own key.
pub const OWN_KEY: &str = "own.key";
/// The key that signs revisions and the audit log. In a controller's directory alone.
pub const SIGNING_KEY: &str = "sign.key";
/// The public half of it, in 64 hexadecimal digits, a line each where there are several controllers.
pub const CONTROLLER_KEYS: &str = "controller.pub";

/// A certificate that can't be made or is not believed.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// A file or directory could not be read, written or made.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was tried: a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Something is there that would be overwritten.
    #[error("`{}` is there already, and is not overwritten", .0.display())]
    Present(PathBuf),
    /// The signing key.
    #[error("the signing key can't be had")]
    SigningKey(#[source] KeyError),
    /// A key that others can get at.
    #[error("`{}` has mode {mode:04o}, so others can get at it: a key file has 0600", path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The authority's key is not that of its certificate.
    #[error("`{}` is not the key of the certificate beside it", .0.display())]
    OtherKey(PathBuf),
    /// The library could not make, sign or read it.
    #[error("cannot {action}")]
    Make {
        /// What was tried.
        action: &'static str,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
    /// A key of a kind that we don't make.
    #[error("the key is none of ECDSA on P-256")]
    OtherAlgorithm,
    /// No X.509 certificate.
    #[error("it is no certificate")]
    NoCertificate,
    /// A part of the subject that has to be there exactly once.
    #[error("the certificate's subject has {count} of {part} instead of one")]
    Count {
        /// Which.
        part: &'static str,
        /// How many.
        count: usize,
    },
    /// A part of the subject that says nothing we know.
    #[error("the certificate's subject has a part that is not CN, OU or O")]
    Foreign,
    /// A part of the subject in letters that are none of UTF-8.
    #[error("the certificate's {part} is no text")]
    NoText {
        /// Which.
        part: &'static str,
    },
    /// A role that there is not.
    #[error("`{0}` is no role: agent, operator, tenant or viewer")]
    Role(String),
    /// A name that nobody can have.
    #[error("`{0}` can't be somebody's name: 1 to 64 visible characters, and the device's own for an agent")]
    Name(String),
    /// A tenant that can't be one.
    #[error("`{0}` is no tenant's name")]
    Tenant(String),
    /// Role and tenant do not belong together.
    #[error("a tenant has to be named for role `tenant`, and for no other role")]
    TenantAndRole,
}
