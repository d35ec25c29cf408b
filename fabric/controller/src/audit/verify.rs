//! Whether the log is what was written.

use std::fmt;

use ed25519_dalek::VerifyingKey;
use leafwall_rollout::digest::Digest;
use leafwall_rollout::signed::Signed;

use super::{AuditError, Entry, Tip};
use crate::store::Store;

/// Entries that are read at once.
const PAGE: usize = 256;

/// What was done to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// An entry's text or signature is not what was written, or somebody else wrote it.
    Changed {
        /// Its number.
        sequence: u64,
    },
    /// Entries between others are not there.
    Missing {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// An entry of ours is at another's place.
    Moved {
        /// The place.
        at: u64,
        /// The entry's own number.
        sequence: u64,
    },
    /// An entry of ours that does not follow on the one before it, which is ours as well: one of them is from another log.
    Unlinked {
        /// Its number.
        sequence: u64,
    },
    /// Entries at the end are not there.
    Truncated {
        /// The last that is there.
        last: u64,
        /// The last that was written.
        written: u64,
    },
    /// There are entries behind the log's end: the end was put back.
    Beyond {
        /// The end.
        end: u64,
        /// The last entry that is there.
        last: u64,
    },
    /// The signed end of the log is not there, or not ours.
    NoEnd,
    /// The entry at the end is ours, and not the one that was written.
    OtherEnd {
        /// Its number.
        sequence: u64,
    },
    /// The log was put back as a whole: it does not hold the end that was known before.
    Older {
        /// The last entry that was known.
        known: u64,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { sequence } => write!(f, "entry {sequence} was changed, or not written by the controller"),
            Self::Missing { first, last } if first == last => write!(f, "entry {first} was removed"),
            Self::Missing { first, last } => write!(f, "entries {first} to {last} were removed"),
            Self::Moved { at, sequence } => write!(f, "entry {sequence} is at the place of entry {at}"),
            Self::Unlinked { sequence } => write!(f, "entry {sequence} does not follow on the one before it"),
            Self::Truncated { last, written } => write!(f, "the log ends with entry {last}, and {written} were written"),
            Self::Beyond { end, last } => write!(f, "the log's end was put back to entry {end}, and entries up to {last} are there"),
            Self::NoEnd => write!(f, "the log's signed end is missing or was changed"),
            Self::OtherEnd { sequence } => write!(f, "the last entry, {sequence}, is not the one that was written last"),
            Self::Older { known } => write!(f, "the log does not hold entry {known} as it was known before: it was put back as a whole"),
        }
    }
}

/// What came of a look at the whole log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Entries that are there.
    pub entries: u64,
    /// The end, if it is ours.
    pub end: Option<Tip>,
    /// What was done to it; empty where nothing was. In the order of the log.
    pub findings: Vec<Finding>,
}

/// Looks through the whole log, and finds everything that was done to it. `known` is an end that somebody noted before, outside of the store.
///
/// # Errors
/// Where the log can't be read.
pub async fn verify(store: &Store, keys: &[VerifyingKey], known: Option<Tip>) -> Result<Verified, AuditError> {
    let read = |error| AuditError::Store("read", error);
    // before the entries: one that is written meanwhile is no finding
    let tip = match store.audit_tip().await {
        Ok(tip) => tip.map(|tip| tip.verify(keys).ok()),
        Err(crate::store::StoreError::Damaged { .. }) => Some(None),
        Err(error) => return Err(read(error)),
    };
    let end = tip.flatten();
    let mut look = Look { keys, known, findings: Vec::new(), place: 0, before: Before::Start, known_seen: false, entries: 0 };
    let mut at_end = None;
    while let Some(next) = look.place.checked_add(1) {
        let page = store.audit_entries(next, PAGE).await.map_err(read)?;
        if page.is_empty() {
            break;
        }
        for (place, entry) in page {
            look.entry(place, entry.ok().as_ref());
            if end.is_some_and(|end| end.sequence == place) {
                at_end = Some(look.before);
            }
        }
    }
    let Look { mut findings, place: last, known_seen, entries, .. } = look;
    match end {
        None if tip.is_some() || last > 0 => findings.push(Finding::NoEnd),
        None => {}
        Some(end) if last < end.sequence => findings.push(Finding::Truncated { last, written: end.sequence }),
        Some(end) => {
            if matches!(at_end, Some(Before::Ours(digest)) if digest != end.digest) {
                findings.push(Finding::OtherEnd { sequence: end.sequence });
            }
            // one that was appended since its end was read has moved the end
            let now = store.audit_tip().await.map_err(read)?.and_then(|tip| tip.verify(keys).ok());
            let now = now.map_or(end.sequence, |tip| tip.sequence);
            if last > now {
                findings.push(Finding::Beyond { end: now, last });
            }
        }
    }
    if let Some(known) = known.filter(|_| !known_seen) {
        findings.push(Finding::Older { known: known.sequence });
    }
    Ok(Verified { entries, end, findings })
}

/// Looks through a log that somebody else read, from its first entry on. [`Verified::end`] is the last entry that is believed: what is cut off behind it, only an
/// end that was noted before can show (`known`).
pub fn verify_entries<'a>(entries: impl IntoIterator<Item = &'a Signed<Entry>>, keys: &[VerifyingKey], known: Option<Tip>) -> Verified {
    let mut look = Look { keys, known, findings: Vec::new(), place: 0, before: Before::Start, known_seen: false, entries: 0 };
    let mut end = None;
    for signed in entries {
        let next = look.place.saturating_add(1);
        // entries that were left out are a gap, and not every later one at another's place
        let own = signed.verify(keys).map_or(next, |entry| entry.sequence);
        look.entry(own.max(next), Some(signed));
        if let Before::Ours(digest) = look.before {
            end = Some(Tip { sequence: look.place, digest });
        }
    }
    if let Some(known) = known.filter(|_| !look.known_seen) {
        look.findings.push(Finding::Older { known: known.sequence });
    }
    Verified { entries: look.entries, end, findings: look.findings }
}

/// The entry before the next one.
#[derive(Clone, Copy)]
enum Before {
    /// None: this is the first.
    Start,
    /// One of ours.
    Ours(Digest),
    /// One that is no word of ours, or is missing: whether the next follows on it can't be said.
    Unknown,
}

struct Look<'a> {
    keys: &'a [VerifyingKey],
    known: Option<Tip>,
    findings: Vec<Finding>,
    place: u64,
    before: Before,
    known_seen: bool,
    entries: u64,
}

impl Look<'_> {
    fn entry(&mut self, place: u64, signed: Option<&Signed<Entry>>) {
        let next = self.place.saturating_add(1);
        if place > next {
            self.findings.push(Finding::Missing { first: next, last: place - 1 });
            self.before = Before::Unknown;
        }
        self.place = place;
        self.entries += 1;
        let believed = signed.and_then(|signed| Some((signed.verify(self.keys).ok()?, signed.digest())));
        let Some((entry, digest)) = believed else {
            self.findings.push(Finding::Changed { sequence: place });
            self.before = Before::Unknown;
            return;
        };
        if entry.sequence != place {
            self.findings.push(Finding::Moved { at: place, sequence: entry.sequence });
            self.before = Before::Unknown;
            return;
        }
        let follows = match self.before {
            Before::Start => entry.before.is_none(),
            Before::Ours(before) => entry.before == Some(before),
            Before::Unknown => true,
        };
        if !follows {
            self.findings.push(Finding::Unlinked { sequence: place });
        }
        self.known_seen |= self.known == Some(Tip { sequence: place, digest });
        self.before = Before::Ours(digest);
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::super::{Outcome, Role};
    use super::*;

    fn log(key: &SigningKey, length: u64) -> Vec<Signed<Entry>> {
        let mut log: Vec<Signed<Entry>> = Vec::new();
        for sequence in 1..=length {
            let before = log.last().map(Signed::digest);
            let (who, what, why) = ("ada".to_owned(), "apply".to_owned(), String::new());
            let entry = Entry { sequence, before, at: 0, who, role: Role::Operator, what, why, outcome: Outcome::Done, generation: None };
            log.push(Signed::new(&entry, key).unwrap());
        }
        log
    }

    #[test]
    fn what_was_done_to_a_list_of_entries_is_found() {
        let (key, stranger) = (SigningKey::from_bytes(&[7; 32]), SigningKey::from_bytes(&[8; 32]));
        let keys = [key.verifying_key()];
        let whole = log(&key, 5);
        let look = |entries: &[Signed<Entry>], known| verify_entries(entries, &keys, known);
        let fine = look(&whole, None);
        assert_eq!((fine.entries, fine.findings), (5, vec![]));
        let end = fine.end.unwrap();
        assert_eq!(end.sequence, 5);
        assert_eq!(look(&[], None), Verified { entries: 0, end: None, findings: vec![] });

        assert_eq!(look(&whole[1..], None).findings, [Finding::Missing { first: 1, last: 1 }]);
        let gap = [&whole[..1], &whole[3..]].concat();
        assert_eq!(look(&gap, None).findings, [Finding::Missing { first: 2, last: 3 }]);
        let twice = [&whole[..2], &whole[1..2]].concat();
        assert_eq!(look(&twice, None).findings, [Finding::Moved { at: 3, sequence: 2 }]);
        let mut changed = whole.clone();
        changed[2].text = changed[2].text.replace("ada", "eve");
        assert_eq!(look(&changed, None).findings, [Finding::Changed { sequence: 3 }]);
        assert_eq!(look(&log(&stranger, 1), None).findings, [Finding::Changed { sequence: 1 }]);
        assert_eq!(look(&whole[..4], Some(end)).findings, [Finding::Older { known: 5 }]);
        assert_eq!(look(&whole, Some(end)).findings, []);
    }
}
