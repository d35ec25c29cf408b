//! The fabric's own authority.

use std::path::Path;
use std::time::{Duration, SystemTime};

use leafwall_api::CONTROLLER_NAME;
use leafwall_rollout::digest::Digest;
use leafwall_topology::Name;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SubjectPublicKeyInfo,
    date_time_ymd,
};

use super::files::{self, OPEN, SECRET};
use super::{
    AUTHORITY_CERTIFICATE, AUTHORITY_KEY, CONTROLLER_KEYS, CertificateError, OWN_CERTIFICATE, OWN_KEY, Peer, PeerRole, SIGNING_KEY,
};
use crate::keys;

/// How long a certificate is good that was made by hand: longer than a switch stays in a rack, for clients don't renew theirs.
const VALID: Duration = Duration::from_secs(3652 * DAY);
/// How long one is good that an agent asked for, by itself: it asks again long before.
const ASKED_FOR: Duration = Duration::from_secs(365 * DAY);
/// How much earlier than now one is good: a device's clock may be behind ours when it first connects.
const EARLIER: Duration = Duration::from_secs(DAY);
const DAY: u64 = 24 * 60 * 60;
/// The authority's name, and the role of a controller. Not a peer's: a controller's certificate opens no controller's door.
const AUTHORITY_NAME: &str = "leafwall";
const CONTROLLER_ROLE: &str = "controller";

/// Signs certificates for the fabric.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// `ca.pem`.
    certificate: String,
    /// `controller.pub`.
    controllers: String,
}

/// A public key that its holder has shown to have the private half of.
#[derive(Debug, Clone)]
pub struct ShownKey(SubjectPublicKeyInfo);

impl ShownKey {
    /// That of a certificate request (PKCS #10, DER), whose signature shows it. Whatever else the request asks for is not looked at.
    ///
    /// # Errors
    /// Where it is none, its signature is not its key's, or the key is not one that we make.
    pub fn of_request(der: &[u8]) -> Result<Self, CertificateError> {
        let request = CertificateSigningRequestParams::from_der(&der.into()).map_err(failed("read a certificate request"))?;
        Self::of(&request.public_key.subject_public_key_info())
    }

    /// That of a certificate (DER) with which somebody has connected: TLS has seen to it.
    ///
    /// # Errors
    /// Where it is none, or the key is not one that we make.
    pub fn of_peer(der: &[u8]) -> Result<Self, CertificateError> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).map_err(|_| CertificateError::NoCertificate)?;
        Self::of(certificate.public_key().raw)
    }

    fn of(info: &[u8]) -> Result<Self, CertificateError> {
        let key = SubjectPublicKeyInfo::from_der(info).map_err(failed("read a public key"))?;
        // one kind, whose strength is known
        if key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
            return Err(CertificateError::OtherAlgorithm);
        }
        Ok(Self(key))
    }

    /// The digest of the key.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0.subject_public_key_info())
    }
}

impl Authority {
    /// A new one in a controller's directory, with the controller's own certificate and its signing key.
    ///
    /// # Errors
    /// Where there is one already, or a file can't be written.
    pub fn create(directory: &Path) -> Result<Self, CertificateError> {
        let made = CertifiedIssuer::self_signed(authority_params()?, key()?).map_err(failed("sign the authority's certificate"))?;
        let certificate = made.pem();
        files::make(directory)?;
        let present = directory.join(AUTHORITY_CERTIFICATE);
        if present.exists() {
            return Err(CertificateError::Present(present));
        }
        // the first file: of two that make an authority at once, one gets no further
        files::put(&directory.join(AUTHORITY_KEY), &made.key().serialize_pem(), SECRET)?;
        let signing = keys::load_or_create(&directory.join(SIGNING_KEY)).map_err(CertificateError::SigningKey)?;
        // 32 bytes in hexadecimal, as a digest is
        let controllers = format!("{}\n", Digest::from(signing.verifying_key().to_bytes()));
        let authority = Self { issuer: issuer(&certificate, made.key().serialize_pem().as_str())?, certificate, controllers };
        authority.write(&controller_params()?, directory)?;
        Ok(authority)
    }

    /// The one in a controller's directory.
    ///
    /// # Errors
    /// Where there is none, or its files don't belong together.
    pub fn load(directory: &Path) -> Result<Self, CertificateError> {
        let certificate = files::read(&directory.join(AUTHORITY_CERTIFICATE))?;
        let key = directory.join(AUTHORITY_KEY);
        let issuer = issuer(&certificate, &files::read_secret(&key)?)?;
        if !is_key_of(issuer.key(), &certificate) {
            return Err(CertificateError::OtherKey(key));
        }
        let controllers = files::read(&directory.join(CONTROLLER_KEYS))?;
        Ok(Self { issuer, certificate, controllers })
    }

    /// Writes a new identity: a directory that a client or an agent can use. The key is made here and kept nowhere else.
    ///
    /// # Errors
    /// Where nobody can have that name, role and tenant do not belong together, an identity is there already, or a file can't be written.
    pub fn issue(&self, name: &str, role: PeerRole, tenant: Option<Name>, into: &Path) -> Result<(), CertificateError> {
        let Peer { name, role, tenant } = Peer::new(name, role, tenant)?;
        let mut params = params(&name, role.word(), tenant.as_ref())?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        files::make(into)?;
        self.write(&params, into)
    }

    /// A certificate (PEM) for a device's agent that made its key itself, good for a year from now: agents renew theirs.
    ///
    /// # Errors
    /// Where it can't be signed.
    pub fn certify(&self, device: &Name, key: &ShownKey) -> Result<String, CertificateError> {
        let mut params = params(device.as_str(), PeerRole::Agent.word(), None)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        valid(&mut params, ASKED_FOR);
        Ok(params.signed_by(&key.0, &self.issuer).map_err(failed("sign a certificate"))?.pem())
    }

    /// `ca.pem`.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// `controller.pub`.
    pub fn controllers(&self) -> &str {
        &self.controllers
    }

    /// SHA-256 of the authority's own certificate, by which one is known who shows it.
    ///
    /// # Errors
    /// Where it is no certificate.
    pub fn fingerprint(&self) -> Result<Digest, CertificateError> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(self.certificate.as_bytes()).map_err(|_| CertificateError::NoCertificate)?;
        Ok(Digest::of(&pem.contents))
    }

    fn write(&self, params: &CertificateParams, into: &Path) -> Result<(), CertificateError> {
        let key = key()?;
        let own = params.signed_by(&key, &self.issuer).map_err(failed("sign a certificate"))?;
        // the key first: where there is one, nothing of the directory is touched
        files::put(&into.join(OWN_KEY), &key.serialize_pem(), SECRET)?;
        files::put(&into.join(OWN_CERTIFICATE), &own.pem(), OPEN)?;
        files::put(&into.join(CONTROLLER_KEYS), &self.controllers, OPEN)?;
        files::put(&into.join(AUTHORITY_CERTIFICATE), &self.certificate, OPEN)?;
        files::settle(into)
    }
}

fn failed(action: &'static str) -> impl FnOnce(rcgen::Error) -> CertificateError {
    move |source| CertificateError::Make { action, source }
}

/// ECDSA on P-256: every TLS library has it, ring as well.
fn key() -> Result<KeyPair, CertificateError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed("make a key"))
}

fn issuer(certificate: &str, key: &str) -> Result<Issuer<'static, KeyPair>, CertificateError> {
    let key = KeyPair::from_pem(key).map_err(failed("read the authority's key"))?;
    Issuer::from_ca_cert_pem(certificate, key).map_err(failed("read the authority's certificate"))
}

fn is_key_of(key: &KeyPair, certificate: &str) -> bool {
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(certificate.as_bytes()) else { return false };
    pem.parse_x509().is_ok_and(|certificate| *certificate.public_key().subject_public_key.data == *key.public_key_raw())
}

fn authority_params() -> Result<CertificateParams, CertificateError> {
    let mut authority = CertificateParams::new([]).map_err(failed("make a certificate"))?;
    authority.distinguished_name = subject(AUTHORITY_NAME, "authority", None);
    // it signs those who connect, and no further authority
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    valid(&mut authority, VALID);
    Ok(authority)
}

fn controller_params() -> Result<CertificateParams, CertificateError> {
    let mut controller = params(CONTROLLER_NAME, CONTROLLER_ROLE, None)?;
    let name = Ia5String::try_from(CONTROLLER_NAME).map_err(failed("name the controller"))?;
    controller.subject_alt_names = vec![SanType::DnsName(name)];
    controller.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(controller)
}

fn params(name: &str, role: &str, tenant: Option<&Name>) -> Result<CertificateParams, CertificateError> {
    let mut params = CertificateParams::new([]).map_err(failed("make a certificate"))?;
    params.distinguished_name = subject(name, role, tenant);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    valid(&mut params, VALID);
    Ok(params)
}

fn subject(name: &str, role: &str, tenant: Option<&Name>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject.push(DnType::OrganizationalUnitName, role);
    if let Some(tenant) = tenant {
        subject.push(DnType::OrganizationName, tenant.as_str());
    }
    subject
}

fn valid(params: &mut CertificateParams, long: Duration) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(EARLIER);
    params.not_after = epoch + now + long;
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
