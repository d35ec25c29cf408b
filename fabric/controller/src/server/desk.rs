//! Where certificates are given out: for tokens, and for older certificates.
//!
//! # Guarantees
//! A token is good for one key of one device, until it expires. The store says who has used it, and the audit log who has got a certificate, before that certificate
//! leaves the controller; so an answer that was lost can be given again, to the same key alone.

use std::sync::Arc;

use leafwall_api::token::Token;
use leafwall_api::v1;
use leafwall_rollout::digest::{DIGEST_LEN, Digest};
use leafwall_topology::Name;
use thiserror::Error;

use super::core::Caller;
use super::pen::Pen;
use crate::audit::{AuditError, Outcome, Role};
use crate::certificates::{Authority, CertificateError, ShownKey};
use crate::store::{Enrolled, StoreError, TokenRecord};

/// How long a token is good if nobody says, in seconds.
const VALID_FOR: u64 = 3600;
/// The longest, in seconds: a token that lies about for longer is a password.
const VALID_FOR_MAX: u64 = 7 * 24 * 3600;
/// For how long a token that is over is still listed, in milliseconds.
const LISTED_FOR: u64 = 30 * 24 * 3600 * 1000;
/// Tries where two use a token at once. One more than it takes: the second one finds it used.
const TRIES: usize = 3;

/// Why somebody gets nothing.
#[derive(Debug, Error)]
pub enum DeskError {
    /// No such token.
    #[error("there is no such token, or it was revoked: ask an operator for one (`leafwall enroll DEVICE`)")]
    Unknown,
    /// Somebody else's.
    #[error("the token is not for `{asked}`: ask an operator for one that is (`leafwall enroll {asked}`)")]
    OtherDevice {
        /// Who asked.
        asked: Name,
    },
    /// Too late.
    #[error("the token of `{device}` has expired: ask an operator for a new one (`leafwall enroll {device}`)")]
    Expired {
        /// Whose it was.
        device: Name,
    },
    /// Used with another key.
    #[error(
        "the token of `{device}` was used already, with another key: if that was not this device, somebody else has its certificate now"
    )]
    Used {
        /// Whose it was.
        device: Name,
    },
    /// No device can be called so.
    #[error("that is no device's name: lower-case letters, digits and `-`, as in the intents")]
    NoDevice,
    /// The request is none.
    #[error("that is no certificate request that is signed with its own key (PKCS #10, ECDSA on P-256)")]
    Request(#[source] CertificateError),
    /// A time that nobody needs.
    #[error("a token is good for a week at most, that is {VALID_FOR_MAX} s: {0} s are too long")]
    TooLong(u64),
    /// An id that stands for no token or for more than one.
    #[error("`{0}` is no token's id: `leafwall enroll --list` shows them")]
    NoId(String),
    /// The authority's key is elsewhere.
    #[error("this controller has no `ca.key`, so it can't make certificates: `leafwall controller certificate` does, where that is")]
    NoAuthority,
    /// The authority could not sign.
    #[error("the certificate can't be made")]
    Sign(#[source] CertificateError),
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes for a token")]
    Random(#[source] getrandom::Error),
    /// The store.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// It could not be written down, and so did not happen.
    #[error("the audit log failed")]
    Audit(#[from] AuditError),
}

/// Where certificates are given out.
pub struct Desk {
    pen: Pen,
    authority: Option<Arc<Authority>>,
}

/// The first characters of its digest: enough to tell tokens apart, and of no use to who wants to enrol.
fn id(digest: &Digest) -> String {
    digest.short()
}

impl Desk {
    pub fn new(pen: Pen, authority: Option<Arc<Authority>>) -> Self {
        Self { pen, authority }
    }

    fn authority(&self) -> Result<&Authority, DeskError> {
        self.authority.as_deref().ok_or(DeskError::NoAuthority)
    }

    /// Makes a token.
    pub async fn issue(&self, caller: Caller, request: v1::TokenRequest, now: u64) -> Result<v1::IssuedToken, DeskError> {
        let authority = self.authority()?;
        let device: Name = request.device.parse().map_err(|_| DeskError::NoDevice)?;
        let seconds = if request.valid_for == 0 { VALID_FOR } else { request.valid_for };
        if seconds > VALID_FOR_MAX {
            return Err(DeskError::TooLong(seconds));
        }
        self.forget(now).await?;
        let mut secret = [0; DIGEST_LEN];
        getrandom::fill(&mut secret).map_err(DeskError::Random)?;
        let digest = Token::digest(&secret);
        let expires_at = now.saturating_add(seconds * 1000);
        let record = TokenRecord { device: device.clone(), issued_by: caller.who.clone(), issued_at: now, expires_at, used: None };
        let what = format!("issue token {} for `{device}`, good for {seconds} s", id(&digest));
        self.pen.note(caller, what, String::new(), Outcome::Done).await?;
        // 256 random bits are nobody else's
        let _new = self.pen.store.put_token(self.pen.epoch, &digest, None, &record).await?;
        let token = Token { secret, authority: authority.fingerprint().map_err(DeskError::Sign)? };
        Ok(v1::IssuedToken { id: id(&digest), token: token.to_string(), expires_at })
    }

    /// Those that are long over.
    async fn forget(&self, now: u64) -> Result<(), DeskError> {
        for (digest, record) in self.pen.store.tokens().await? {
            if record.expires_at.saturating_add(LISTED_FOR) < now {
                self.pen.store.remove_token(self.pen.epoch, &digest).await?;
            }
        }
        Ok(())
    }

    /// All tokens, the newest first.
    pub async fn tokens(&self) -> Result<Vec<v1::Token>, DeskError> {
        let mut all = self.pen.store.tokens().await?;
        all.sort_by_key(|(_, record)| std::cmp::Reverse(record.issued_at));
        let shown = all.into_iter().map(|(digest, record)| v1::Token {
            id: id(&digest),
            device: record.device.to_string(),
            issued_by: record.issued_by,
            issued_at: record.issued_at,
            expires_at: record.expires_at,
            used_at: record.used.map(|used| used.at),
        });
        Ok(shown.collect())
    }

    /// Makes a token worthless. A certificate that it was used for stays what it is.
    pub async fn revoke(&self, caller: Caller, wanted: &str) -> Result<Name, DeskError> {
        let mut found = self.pen.store.tokens().await?;
        found.retain(|(digest, _)| id(digest) == wanted);
        let [(digest, record)] = found.as_slice() else {
            return Err(DeskError::NoId(wanted.chars().take(80).collect()));
        };
        self.pen.note(caller, format!("revoke token {wanted} for `{}`", record.device), String::new(), Outcome::Done).await?;
        self.pen.store.remove_token(self.pen.epoch, digest).await?;
        Ok(record.device.clone())
    }

    /// A certificate for a token.
    pub async fn enrol(&self, from: &str, request: v1::EnrolRequest, now: u64) -> Result<v1::Issued, DeskError> {
        let device: Name = request.device.parse().map_err(|_| DeskError::NoDevice)?;
        let digest = Token::digest(&request.secret);
        for _ in 0..TRIES {
            let record = self.pen.store.token(&digest).await?.ok_or(DeskError::Unknown)?;
            if record.device != device {
                return Err(DeskError::OtherDevice { asked: device });
            }
            if record.expires_at <= now {
                return Err(DeskError::Expired { device });
            }
            // only now: nobody without a token has our parsers work
            let key = ShownKey::of_request(&request.request).map_err(DeskError::Request)?;
            let (certificate, what) = match &record.used {
                Some(used) if used.key != key.digest() => return Err(DeskError::Used { device }),
                Some(used) => (used.certificate.clone(), "again"),
                None => {
                    let certificate = self.authority()?.certify(&device, &key).map_err(DeskError::Sign)?;
                    let used = Enrolled { at: now, key: key.digest(), certificate: certificate.clone() };
                    let after = TokenRecord { used: Some(used), ..record.clone() };
                    if !self.pen.store.put_token(self.pen.epoch, &digest, Some(&record), &after).await? {
                        continue;
                    }
                    (certificate, "once")
                }
            };
            let caller = Caller { who: device.to_string(), role: Role::Agent { device: device.clone() } };
            let what = format!("enrol `{device}` with token {}, {what}, from {from}, key {}", id(&digest), key.digest().short());
            self.pen.note(caller, what, String::new(), Outcome::Done).await?;
            return self.issued(certificate);
        }
        Err(DeskError::Used { device })
    }

    /// A new certificate for the key and the device of an older one, with which its holder has connected.
    pub async fn renew(&self, caller: Caller, device: &Name, certificate: &[u8]) -> Result<v1::Issued, DeskError> {
        let key = ShownKey::of_peer(certificate).map_err(DeskError::Request)?;
        let certificate = self.authority()?.certify(device, &key).map_err(DeskError::Sign)?;
        let what = format!("renew the certificate of `{device}`, key {}", key.digest().short());
        self.pen.note(caller, what, String::new(), Outcome::Done).await?;
        self.issued(certificate)
    }

    fn issued(&self, certificate: String) -> Result<v1::Issued, DeskError> {
        let authority = self.authority()?;
        Ok(v1::Issued { certificate, authority: authority.certificate().to_owned(), controllers: authority.controllers().to_owned() })
    }

    /// Writes down what was refused.
    pub async fn refused(&self, caller: Caller, what: String, reason: String) {
        if let Err(error) = self.pen.note(caller, what, String::new(), Outcome::Refused { reason }).await {
            tracing::error!(%error, "a refusal is not in the audit log");
        }
    }
}
