//! Tokens that devices enrol with, by the digests of their secrets.

use leafwall_rollout::digest::Digest;
use leafwall_topology::Name;
use serde::{Deserialize, Serialize};

use super::backend::{Change, Condition, Key, Verdict};
use super::error::{Result, StoreError};
use super::{Epoch, Store, decode, encode, put};

const TOKENS: &str = "token/";

/// What is kept of a token. Its secret is not: whoever reads the store can't enrol with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenRecord {
    /// The one device that it is for.
    pub device: Name,
    /// Who had it made.
    pub issued_by: String,
    /// When, in milliseconds since 1970 (UTC), as all times.
    pub issued_at: u64,
    /// Until when it is good.
    pub expires_at: u64,
    /// What it was used for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub used: Option<Enrolled>,
}

/// A device that enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Enrolled {
    /// When.
    pub at: u64,
    /// The digest of its public key: an answer that was lost is given again to its holder alone.
    pub key: Digest,
    /// Its certificate.
    pub certificate: String,
}

fn key(digest: &Digest) -> Key {
    Key::new(format!("{TOKENS}{digest}"))
}

impl Store {
    /// Writes a token's record, if what is there is what the caller saw: nothing for a new one. Says whether it was.
    ///
    /// # Errors
    /// Where it can't be written.
    pub async fn put_token(&self, epoch: Epoch, digest: &Digest, seen: Option<&TokenRecord>, record: &TokenRecord) -> Result<bool> {
        let key = key(digest);
        let value = seen.map(|seen| encode(&key, seen)).transpose()?;
        let verdict = self.transact(epoch, vec![Condition { key: key.clone(), value }], vec![put(key, record)?]).await?;
        Ok(verdict == Verdict::Done)
    }

    /// A token's record.
    ///
    /// # Errors
    /// Where it can't be read.
    pub async fn token(&self, digest: &Digest) -> Result<Option<TokenRecord>> {
        self.read(&key(digest)).await
    }

    /// All of them.
    ///
    /// # Errors
    /// Where they can't be read.
    pub async fn tokens(&self) -> Result<Vec<(Digest, TokenRecord)>> {
        let all = self.all(TOKENS).await?;
        let digest = |key: &Key| {
            let digest = key.as_str().strip_prefix(TOKENS).and_then(|text| text.parse().ok());
            digest.ok_or_else(|| StoreError::Damaged { key: key.to_string(), complaint: "no digest where one must be".into() })
        };
        all.iter().map(|(key, value)| Ok((digest(key)?, decode(key, value)?))).collect()
    }

    /// Forgets a token.
    ///
    /// # Errors
    /// Where it can't be written.
    pub async fn remove_token(&self, epoch: Epoch, digest: &Digest) -> Result<()> {
        let _unconditional = self.transact(epoch, Vec::new(), vec![Change::Delete(key(digest))]).await?;
        Ok(())
    }
}
