//! What a certificate says of who is on the other side.

use std::fmt;
use std::str::FromStr;

use leafwall_topology::Name;
use x509_parser::oid_registry::{OID_X509_COMMON_NAME, OID_X509_ORGANIZATION_NAME, OID_X509_ORGANIZATIONAL_UNIT};
use x509_parser::x509::AttributeTypeAndValue;

use super::CertificateError;

/// The longest common name (RFC 5280, appendix A.1: `ub-common-name`).
const NAME_MAX: usize = 64;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerRole {
    /// A device's agent; its name is the device's.
    Agent,
    /// May do everything.
    Operator,
    /// May touch its own objects.
    Tenant,
    /// May look.
    Viewer,
}

impl PeerRole {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Agent, Self::Operator, Self::Tenant, Self::Viewer];

    /// As it stands in a certificate.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Operator => "operator",
            Self::Tenant => "tenant",
            Self::Viewer => "viewer",
        }
    }
}

impl fmt::Display for PeerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for PeerRole {
    type Err = CertificateError;

    fn from_str(text: &str) -> Result<Self, CertificateError> {
        Self::ALL.into_iter().find(|role| role.word() == text).ok_or_else(|| CertificateError::Role(shown(text)))
    }
}

/// Who is on the other side of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The name. An agent's is its device's.
    pub name: String,
    /// What it may do.
    pub role: PeerRole,
    /// Whose objects it may touch: there for role `tenant`, and for no other.
    pub tenant: Option<Name>,
}

impl Peer {
    /// Somebody who can be: names are such that they can stand in a log or on a screen, and role and tenant belong together.
    ///
    /// # Errors
    /// Where that is not so.
    pub fn new(name: &str, role: PeerRole, tenant: Option<Name>) -> Result<Self, CertificateError> {
        let length = name.chars().count();
        let visible = (1..=NAME_MAX).contains(&length) && !name.chars().any(hidden) && name.trim() == name;
        if !visible || (role == PeerRole::Agent && name.parse::<Name>().is_err()) {
            return Err(CertificateError::Name(shown(name)));
        }
        if (role == PeerRole::Tenant) != tenant.is_some() {
            return Err(CertificateError::TenantAndRole);
        }
        Ok(Self { name: name.to_owned(), role, tenant })
    }
}

/// Characters that change how others are shown: control characters, and those that turn the direction of writing (Unicode UAX #9).
fn hidden(character: char) -> bool {
    character.is_control() || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A foreign text, fit for an error.
fn shown(text: &str) -> String {
    text.chars().take(NAME_MAX).map(|character| if hidden(character) { char::REPLACEMENT_CHARACTER } else { character }).collect()
}

/// Who a certificate (DER) says one is. That the authority signed it is for TLS to check, before.
///
/// # Errors
/// Where it says anything but exactly one name, one known role, and one tenant where the role is `tenant`.
pub fn peer(der: &[u8]) -> Result<Peer, CertificateError> {
    let (rest, certificate) = x509_parser::parse_x509_certificate(der).map_err(|_| CertificateError::NoCertificate)?;
    if !rest.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    let (mut names, mut roles, mut tenants) = (Vec::new(), Vec::new(), Vec::new());
    for attribute in certificate.subject().iter_attributes() {
        let kind = attribute.attr_type();
        let (part, into) = if *kind == OID_X509_COMMON_NAME {
            ("CN", &mut names)
        } else if *kind == OID_X509_ORGANIZATIONAL_UNIT {
            ("OU", &mut roles)
        } else if *kind == OID_X509_ORGANIZATION_NAME {
            ("O", &mut tenants)
        } else {
            return Err(CertificateError::Foreign);
        };
        into.push(text(part, attribute)?);
    }
    let (name, role) = (one("CN", &names)?, one("OU", &roles)?.parse()?);
    let tenant = match tenants.as_slice() {
        [] => None,
        all => Some(one("O", all)?),
    };
    let tenant = tenant.map(|tenant| tenant.parse().map_err(|_| CertificateError::Tenant(shown(tenant)))).transpose()?;
    Peer::new(name, role, tenant)
}

fn text<'a>(part: &'static str, attribute: &'a AttributeTypeAndValue<'_>) -> Result<&'a str, CertificateError> {
    attribute.as_str().map_err(|_| CertificateError::NoText { part })
}

fn one<'a>(part: &'static str, all: &[&'a str]) -> Result<&'a str, CertificateError> {
    match all {
        [one] => Ok(one),
        _ => Err(CertificateError::Count { part, count: all.len() }),
    }
}
