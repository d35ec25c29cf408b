//! Revisions, what was decided about them, the head, and which device stands where.

use std::collections::{BTreeMap, BTreeSet};

use leafwall_rollout::digest::Digest;
use leafwall_rollout::message::At;
use leafwall_rollout::revision::{Generation, Revision};
use leafwall_rollout::signed::Signed;
use leafwall_topology::Name;
use serde::{Deserialize, Serialize};

use super::backend::{Backend, Change, Condition, Key, Verdict};
use super::error::{Result, StoreError};
use super::{Epoch, Store, TRIES, decode, encode, number, numbered, put};

/// Acknowledgements of one transaction: two values each, of the 128 that etcd takes by default.
const ACKNOWLEDGED_AT_ONCE: usize = 50;

/// What was decided about a revision. Once committed or abandoned it stays so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// Its rollout began; devices may have it.
    Started,
    /// It stands.
    Committed,
    /// Devices go back.
    Abandoned {
        /// Why, in words for people.
        reason: String,
    },
}

impl Decision {
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Committed => "committed",
            Self::Abandoned { .. } => "abandoned",
        }
    }
}

/// What is kept of a revision beside its text, which is a chunk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    revision: Digest,
    signature: Vec<u8>,
}

const REVISIONS: &str = "revision/";
const DECISIONS: &str = "decision/";
const DEVICES: &str = "device/";

fn head_key() -> Key {
    Key::new("head")
}

fn newest_key() -> Key {
    Key::new("newest")
}

/// From a revision's digest to its number: a parent is named by its digest.
fn number_key(digest: &Digest) -> Key {
    Key::new(format!("number/{digest}"))
}

fn acknowledged_prefix(generation: Generation) -> String {
    format!("acknowledged/{:020}/", generation.0)
}

impl Store {
    /// Keeps a revision. Its number must be above all others; the same revision once more is nothing new. Signatures are not asked for here, but where history
    /// is read: the store has no keys.
    ///
    /// # Errors
    /// Where it is no revision, its number is taken, or it can't be written.
    pub async fn put_revision(&self, epoch: Epoch, signed: &Signed<Revision>) -> Result<At> {
        let revision: Revision = serde_json::from_str(&signed.text).map_err(StoreError::Unreadable)?;
        let generation = revision.generation;
        let at = At { generation, revision: self.put_chunk(epoch, signed.text.as_bytes()).await? };
        let key = numbered(REVISIONS, generation.0);
        let kept = encode(&key, &Kept { revision: at.revision, signature: signed.signature.clone() })?;
        for _ in 0..TRIES {
            let newest = self.0.get(&newest_key()).await?;
            let last = newest.as_ref().map(|value| decode::<Generation>(&newest_key(), value)).transpose()?.unwrap_or_default();
            if generation <= last {
                return match self.0.get(&key).await? {
                    Some(there) if there == kept => Ok(at),
                    _ => Err(StoreError::NotNew { generation, newest: last }),
                };
            }
            let unchanged = Condition { key: newest_key(), value: newest };
            let changes =
                vec![Change::Put(key.clone(), kept.clone()), put(number_key(&at.revision), &generation)?, put(newest_key(), &generation)?];
            if self.transact(epoch, vec![unchanged], changes).await? == Verdict::Done {
                return Ok(at);
            }
        }
        Err(busy("keep a revision"))
    }

    /// The greatest number that a revision has, committed or not; [`Generation::NONE`] where there is none.
    ///
    /// # Errors
    /// Where it can't be read.
    pub async fn newest(&self) -> Result<Generation> {
        Ok(self.read(&newest_key()).await?.unwrap_or_default())
    }

    /// A revision as it was put, its signature not yet verified.
    ///
    /// # Errors
    /// Where it is not there or can't be read.
    pub async fn revision(&self, generation: Generation) -> Result<Signed<Revision>> {
        let key = numbered(REVISIONS, generation.0);
        let kept: Kept = self.read(&key).await?.ok_or(StoreError::NoRevision(generation))?;
        let text = String::from_utf8(self.chunk(&kept.revision).await?);
        let text = text.map_err(|error| StoreError::Damaged { key: key.to_string(), complaint: error.to_string() })?;
        Ok(Signed::from_parts(text, kept.signature))
    }

    /// The number of the revision of this digest, as the store has it: the revision itself has the word.
    ///
    /// # Errors
    /// Where it can't be read.
    pub async fn generation_of(&self, revision: &Digest) -> Result<Option<Generation>> {
        self.read(&number_key(revision)).await
    }

    /// The revision that stands: the one that was committed last.
    ///
    /// # Errors
    /// Where it can't be read.
    pub async fn head(&self) -> Result<Option<At>> {
        self.read(&head_key()).await
    }

    /// Commits a revision that was started: moves the head to it, from where the caller saw it, and decides so, as one step.
    ///
    /// # Errors
    /// Where the head is elsewhere, the revision was made from another one or not started, or it can't be written.
    pub async fn move_head(&self, epoch: Epoch, expected: Option<At>, new: At) -> Result<()> {
        let generation = new.generation;
        let signed = self.revision(generation).await?;
        let revision: Revision = serde_json::from_str(&signed.text).map_err(StoreError::Unreadable)?;
        let follows = signed.digest() == new.revision && revision.generation == generation;
        if !follows || revision.parent != expected.map(|at| at.revision) {
            return Err(StoreError::NotOnHead { generation, head: expected });
        }
        let decision = numbered(DECISIONS, generation.0);
        let conditions = vec![
            Condition { key: head_key(), value: expected.map(|at| encode(&head_key(), &at)).transpose()? },
            Condition { key: decision.clone(), value: Some(encode(&decision, &Decision::Started)?) },
        ];
        let changes = vec![put(head_key(), &new)?, put(decision, &Decision::Committed)?];
        match self.transact(epoch, conditions, changes).await? {
            Verdict::Done => {
                tracing::info!(%generation, revision = %new.revision.short(), "committed");
                Ok(())
            }
            Verdict::Unmet => match self.head().await? {
                found if found != expected => Err(StoreError::HeadMoved { expected, found }),
                _ => Err(StoreError::Decided { generation, from: self.decision(generation).await?, to: Decision::Committed.word() }),
            },
        }
    }

    /// Writes that a revision's rollout begins. Said again it is nothing new.
    ///
    /// # Errors
    /// Where there is no such revision, it is decided already, or it can't be written.
    pub async fn start(&self, epoch: Epoch, generation: Generation) -> Result<()> {
        self.decide(epoch, generation, None, Decision::Started).await
    }

    /// Decides that a revision that was started is taken back. Said again, in whatever words, it is nothing new.
    ///
    /// # Errors
    /// Where it was committed or not started, or it can't be written.
    pub async fn abandon(&self, epoch: Epoch, generation: Generation, reason: &str) -> Result<()> {
        self.decide(epoch, generation, Some(Decision::Started), Decision::Abandoned { reason: reason.to_owned() }).await
    }

    async fn decide(&self, epoch: Epoch, generation: Generation, from: Option<Decision>, to: Decision) -> Result<()> {
        // one that is decided on must be there
        let kept = numbered(REVISIONS, generation.0);
        let Some(there) = self.0.get(&kept).await? else { return Err(StoreError::NoRevision(generation)) };
        let key = numbered(DECISIONS, generation.0);
        let before = from.map(|from| encode(&key, &from)).transpose()?;
        let conditions = vec![Condition { key: kept, value: Some(there) }, Condition { key: key.clone(), value: before }];
        let word = to.word();
        let change = put(key, &to)?;
        if self.transact(epoch, conditions, vec![change]).await? == Verdict::Done {
            tracing::info!(%generation, decision = ?to, "decided");
            return Ok(());
        }
        match self.decision(generation).await? {
            Some(now) if now.word() == word => Ok(()),
            from => Err(StoreError::Decided { generation, from, to: word }),
        }
    }

    /// What was decided about a revision.
    ///
    /// # Errors
    /// Where it can't be read.
    pub async fn decision(&self, generation: Generation) -> Result<Option<Decision>> {
        self.read(&numbered(DECISIONS, generation.0)).await
    }

    /// Everything that was decided about revisions after this one, in the order of their numbers. After the head, those that are [`Decision::Started`] are what a
    /// new leader finds under way.
    ///
    /// # Errors
    /// Where it can't be read.
    pub async fn decisions_after(&self, generation: Generation) -> Result<Vec<(Generation, Decision)>> {
        let mut after = numbered(DECISIONS, generation.0);
        let mut found = Vec::new();
        loop {
            let page = self.0.range(DECISIONS, Some(&after), super::PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(found) };
            after = last.clone();
            for (key, value) in &page {
                found.push((Generation(number(DECISIONS, key)?), decode(key, value)?));
            }
        }
    }

    /// Keeps what devices have confirmed: as where they stand, and for the revision's history.
    ///
    /// # Errors
    /// Where it can't be written. Some may be there then.
    pub async fn acknowledge(&self, epoch: Epoch, acknowledged: &BTreeMap<Name, At>) -> Result<()> {
        let mut changes = Vec::new();
        for (device, at) in acknowledged {
            changes.push(put(Key::new(format!("{DEVICES}{}", device.as_str())), at)?);
            changes.push(put(Key::new(acknowledged_prefix(at.generation) + device.as_str()), &at.revision)?);
        }
        for part in changes.chunks(2 * ACKNOWLEDGED_AT_ONCE) {
            let _unconditional = self.transact(epoch, Vec::new(), part.to_vec()).await?;
        }
        Ok(())
    }

    /// Where each device stands that has ever confirmed anything.
    ///
    /// # Errors
    /// Where it can't be read.
    pub async fn acknowledged(&self) -> Result<BTreeMap<Name, At>> {
        self.all(DEVICES).await?.iter().map(|(key, value)| Ok((device(DEVICES, key)?, decode(key, value)?))).collect()
    }

    /// The devices that have confirmed this revision at some time.
    ///
    /// # Errors
    /// Where it can't be read.
    pub async fn acknowledged_by(&self, generation: Generation) -> Result<BTreeSet<Name>> {
        let prefix = acknowledged_prefix(generation);
        self.all(&prefix).await?.iter().map(|(key, _)| device(&prefix, key)).collect()
    }
}

fn device(prefix: &str, key: &Key) -> Result<Name> {
    let name = key.as_str().strip_prefix(prefix).and_then(|text| text.parse().ok());
    name.ok_or_else(|| StoreError::Damaged { key: key.to_string(), complaint: "no device's name where one must be".into() })
}

fn busy(action: &'static str) -> StoreError {
    StoreError::Backend { action, source: "others write all the time".into() }
}
