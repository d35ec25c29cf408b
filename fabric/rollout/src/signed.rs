//! Statements with a signature (ed25519, RFC 8032).
//!
//! What is signed is the text itself, never a value that is printed again: two printers need not agree. The kind of statement is signed with it, so that no
//! signature of one kind is good for another.

use std::marker::PhantomData;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::Digest;

/// Something that can be signed.
pub trait Statement: Serialize + DeserializeOwned {
    /// What it is, with a version; signed together with it.
    const KIND: &'static str;
}

/// A statement's text with a signature over its kind and text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
pub struct Signed<T> {
    /// JSON, byte for byte what was signed.
    pub text: String,
    /// 64 bytes.
    pub signature: Vec<u8>,
    #[serde(skip)]
    statement: PhantomData<fn() -> T>,
}

/// Why a statement is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotBelieved {
    /// Somebody else's, or changed since.
    #[error("the signature is not one of the controller over this {kind}")]
    Signature {
        /// What it claims to be.
        kind: &'static str,
    },
    /// Signed, but not what we know.
    #[error("the signed {kind} can't be read: {complaint}")]
    Unreadable {
        /// What it claims to be.
        kind: &'static str,
        /// What the parser says.
        complaint: String,
    },
}

fn message(kind: &str, text: &str) -> Vec<u8> {
    [kind.as_bytes(), b"\n", text.as_bytes()].concat()
}

impl<T: Statement> Signed<T> {
    /// Signs.
    ///
    /// # Errors
    /// Where the value can't be printed as JSON.
    pub fn new(statement: &T, key: &SigningKey) -> Result<Self, serde_json::Error> {
        let text = serde_json::to_string(statement)?;
        let signature = key.sign(&message(T::KIND, &text)).to_bytes().to_vec();
        Ok(Self { text, signature, statement: PhantomData })
    }

    /// One that came from elsewhere, not yet believed.
    pub const fn from_parts(text: String, signature: Vec<u8>) -> Self {
        Self { text, signature, statement: PhantomData }
    }

    /// What it says, if one of these keys signed it.
    ///
    /// # Errors
    /// Where none did, or it says nothing that we know.
    pub fn verify(&self, keys: &[VerifyingKey]) -> Result<T, NotBelieved> {
        let refused = NotBelieved::Signature { kind: T::KIND };
        let Ok(signature) = Signature::from_slice(&self.signature) else { return Err(refused) };
        let message = message(T::KIND, &self.text);
        // strict: no signature is good for two texts or two keys
        if !keys.iter().any(|key| key.verify_strict(&message, &signature).is_ok()) {
            return Err(refused);
        }
        serde_json::from_str(&self.text).map_err(|error| NotBelieved::Unreadable { kind: T::KIND, complaint: error.to_string() })
    }

    /// Of its text.
    pub fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Order(u64);
    impl Statement for Order {
        const KIND: &'static str = "order-1";
    }
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Other(u64);
    impl Statement for Other {
        const KIND: &'static str = "other-1";
    }

    #[test]
    fn only_what_was_signed_with_a_known_key_is_believed() {
        let (key, stranger) = (SigningKey::from_bytes(&[7; 32]), SigningKey::from_bytes(&[8; 32]));
        let signed = Signed::new(&Order(5), &key).unwrap();
        assert_eq!(signed.verify(&[stranger.verifying_key(), key.verifying_key()]), Ok(Order(5)));
        assert!(matches!(signed.verify(&[stranger.verifying_key()]), Err(NotBelieved::Signature { .. })));
        assert!(matches!(signed.verify(&[]), Err(NotBelieved::Signature { .. })));

        let changed = Signed { text: "6".into(), ..signed.clone() };
        assert!(changed.verify(&[key.verifying_key()]).is_err());
        let short = Signed { signature: vec![0; 3], ..signed.clone() };
        assert!(short.verify(&[key.verifying_key()]).is_err());
        // a signature is no signature of another kind of statement
        let other = Signed::<Other>::from_parts(signed.text.clone(), signed.signature);
        assert!(matches!(other.verify(&[key.verifying_key()]), Err(NotBelieved::Signature { .. })));
    }
}
