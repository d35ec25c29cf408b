//! The addresses in the sets of DNS names: put there for whoever resolves, written down, and brought along with every ruleset that is loaded.
//!
//! Flow: a change is written down first (what is still in force of everything, whole, one file that takes the place of the one before), then made in one transaction of its
//! own, then asked back. A ruleset that is loaded takes what was written down with it, each address with the time that it has left: neither a revision nor a reboot closes
//! what clients were told.
//!
//! Elements have an end in the kernel itself: where this process dies, nothing stays open for longer than answers said. An element is never prolonged in place, which older
//! kernels do not do: it goes and comes in the same transaction, and packets see it all the time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use leafwall_policy::cluster::answer_sets;
use leafwall_policy::nft::{Identifier, Value, parse};
use leafwall_policy::rule::Fqdn;
use leafwall_rollout::digest::Digest;
use leafwall_topology::Family;
use leafwall_topology::names::NFT_TABLE;
use tokio::sync::watch;

use super::{ClusterError, Nft};
use crate::daemon::durable;
use crate::nftables::NftablesError;

/// What the file is called.
const FILE: &str = "answers";
/// Its first word; the digest of everything behind the first line follows.
const FORMAT: &str = "leafwall-answers-1";
/// An element that ends so soon is not missed, and not brought along.
const SOON: Duration = Duration::from_secs(2);

/// The DNS names that rules use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsedNames {
    /// Rules of the signed ruleset.
    pub signed: BTreeSet<Fqdn>,
    /// Rules of the cluster.
    pub cluster: BTreeSet<Fqdn>,
}

impl UsedNames {
    /// All of them.
    pub fn all(&self) -> BTreeSet<Fqdn> {
        self.signed.union(&self.cluster).cloned().collect()
    }

    /// The sets that a name's addresses of one family go into.
    fn sets(&self, fqdn: &Fqdn, family: Family) -> impl Iterator<Item = Identifier> {
        let [signed, cluster] = answer_sets(fqdn, family);
        let signed = self.signed.contains(fqdn).then_some(signed);
        signed.into_iter().chain(self.cluster.contains(fqdn).then_some(cluster))
    }
}

/// What is in the sets, or is about to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// The names that the cluster's rules used last: known again before the cluster is.
    pub names: BTreeSet<Fqdn>,
    /// Until when each address is kept, in seconds since 1970.
    pub kept: BTreeMap<(Fqdn, IpAddr), u64>,
}

impl Answers {
    fn to_text(&self) -> String {
        let mut body = String::new();
        for name in &self.names {
            let _ = writeln!(body, "name {name}");
        }
        for ((name, address), until) in &self.kept {
            let _ = writeln!(body, "kept {name} {address} {until}");
        }
        format!("{FORMAT} {}\n{body}", Digest::of(body.as_bytes()))
    }

    /// `None` where a single byte is not as it was written.
    fn read(text: &str) -> Option<Self> {
        let (head, body) = text.split_once('\n')?;
        if head != format!("{FORMAT} {}", Digest::of(body.as_bytes())) {
            return None;
        }
        let mut answers = Self::default();
        for line in body.lines() {
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["name", name] => drop(answers.names.insert(Fqdn::pattern(name).ok()?)),
                ["kept", name, address, until] => {
                    answers.kept.insert((Fqdn::pattern(name).ok()?, address.parse().ok()?), until.parse().ok()?);
                }
                _ => return None,
            }
        }
        Some(answers)
    }

    /// What puts them into those sets that are there, with the time that each has left.
    pub(crate) fn elements(&self, is_there: impl Fn(&Identifier) -> bool) -> String {
        let now = now();
        let mut sets: BTreeMap<Identifier, String> = BTreeMap::new();
        for ((fqdn, address), until) in &self.kept {
            let left = until.saturating_sub(now);
            if left <= SOON.as_secs() {
                continue;
            }
            for set in answer_sets(fqdn, Family::of(*address)).into_iter().filter(&is_there) {
                let _ = write!(sets.entry(set).or_default(), "{address} timeout {left}s, ");
            }
        }
        commands("add", &sets)
    }
}

/// Adds elements to sets, or deletes them: one command a set.
fn commands(word: &str, sets: &BTreeMap<Identifier, String>) -> String {
    sets.iter().map(|(set, elements)| format!("{word} element inet {NFT_TABLE} {set} {{ {elements}}}\n")).collect::<Vec<_>>().concat()
}

/// The file of answers, beside the file of the cluster's part.
#[derive(Debug, Clone)]
pub struct AnswersFile {
    directory: PathBuf,
}

impl AnswersFile {
    /// In the directory that keeps the agent's state.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// What was written down. A file that is damaged or can't be read is as none: clients ask again, and nothing is opened that nobody vouches for.
    pub fn read(&self) -> Answers {
        let path = self.directory.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Answers::read(&text).unwrap_or_else(|| {
                tracing::warn!(path = %path.display(), "the file of answers is damaged; addresses of names are known again once clients ask for them");
                Answers::default()
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Answers::default(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "can't read the file of answers");
                Answers::default()
            }
        }
    }

    fn write(&self, answers: &Answers) -> Result<(), ClusterError> {
        let path = self.directory.join(FILE);
        durable::replace(&self.directory, FILE, answers.to_text().as_bytes()).map_err(|source| ClusterError::File { path, source })
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// An address of a name.
pub type Pair = (Fqdn, IpAddr);

/// The hand on the sets of DNS names of one firewall.
#[derive(Debug)]
pub struct AnswerTable {
    nft: Nft,
    file: Option<AnswersFile>,
    used: watch::Receiver<UsedNames>,
    answers: Answers,
}

impl AnswerTable {
    pub(super) fn new(nft: Nft, file: Option<AnswersFile>, used: watch::Receiver<UsedNames>, answers: Answers) -> Self {
        Self { nft, file, used, answers }
    }

    /// What was kept before this process began, and for how long each still is.
    pub fn kept(&self) -> Vec<(Fqdn, IpAddr, Duration)> {
        let now = now();
        let left = |until: &u64| Duration::from_secs(until.saturating_sub(now));
        self.answers
            .kept
            .iter()
            .map(|((fqdn, address), until)| (fqdn.clone(), *address, left(until)))
            .filter(|(_, _, left)| *left > SOON)
            .collect()
    }

    /// Puts addresses into the sets of their names, each for so long, and takes others out. Done is it once the kernel was found to have all of them.
    ///
    /// Names that no rule uses any more have no sets, and are left out.
    pub async fn put(&mut self, add: &[(Fqdn, IpAddr, Duration)], remove: &[Pair]) -> Result<(), ClusterError> {
        let used = self.used.borrow_and_update().clone();
        self.note(&used, add, remove);
        if let Some(file) = &self.file {
            file.write(&self.answers)?;
        }
        let mut made = self.change(&used, add, remove).await;
        // a name's rule may have gone between: without it the rest goes through
        let now = self.used.borrow_and_update().clone();
        if made.is_err() && now != used {
            made = self.change(&now, add, remove).await;
        }
        made
    }

    fn note(&mut self, used: &UsedNames, add: &[(Fqdn, IpAddr, Duration)], remove: &[Pair]) {
        let now = now();
        for pair in remove {
            self.answers.kept.remove(pair);
        }
        self.answers.kept.extend(add.iter().map(|(fqdn, address, lasts)| ((fqdn.clone(), *address), now + lasts.as_secs())));
        self.answers.kept.retain(|(fqdn, _), until| *until > now && (used.signed.contains(fqdn) || used.cluster.contains(fqdn)));
        self.answers.names.clone_from(&used.cluster);
    }

    async fn change(&self, used: &UsedNames, add: &[(Fqdn, IpAddr, Duration)], remove: &[Pair]) -> Result<(), ClusterError> {
        let (mut fresh, mut plain, mut gone) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (fqdn, address, lasts) in add {
            for set in used.sets(fqdn, Family::of(*address)) {
                let _ = write!(fresh.entry(set.clone()).or_insert_with(String::new), "{address} timeout {}s, ", lasts.as_secs().max(1));
                let _ = write!(plain.entry(set).or_insert_with(String::new), "{address}, ");
            }
        }
        for (fqdn, address) in remove {
            for set in used.sets(fqdn, Family::of(*address)) {
                let _ = write!(gone.entry(set).or_insert_with(String::new), "{address}, ");
            }
        }
        // one that is not there can't be deleted, and one that is there can't be prolonged
        let steps = [("add", &gone), ("delete", &gone), ("add", &fresh), ("delete", &plain), ("add", &fresh)];
        let script = steps.map(|(word, sets)| commands(word, sets)).concat();
        if script.is_empty() {
            return Ok(());
        }
        self.nft.call(&["-f", "-"], &script).await?;
        let wanted = add.iter().map(|(fqdn, address, _)| (fqdn.clone(), *address));
        let missing = self.missing(used, wanted).await?;
        match missing.first() {
            None => Ok(()),
            Some((fqdn, address)) => {
                Err(ClusterError::Differs { count: missing.len(), object: format!("address `{address}` of `{fqdn}`") })
            }
        }
    }

    /// Which of these are not in the sets of their names. `get element` would ask for less, but nft 1.0.6 crashes where it is asked for hundreds.
    async fn missing(&self, used: &UsedNames, pairs: impl IntoIterator<Item = Pair>) -> Result<Vec<Pair>, ClusterError> {
        let mut wanted: BTreeMap<Identifier, Vec<Pair>> = BTreeMap::new();
        for (fqdn, address) in pairs {
            for set in used.sets(&fqdn, Family::of(address)) {
                wanted.entry(set).or_default().push((fqdn.clone(), address));
            }
        }
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let script = wanted.keys().map(|set| format!("list set inet {NFT_TABLE} {set}\n")).collect::<Vec<_>>().concat();
        let listing = self.nft.call(&["-f", "-"], &script).await?;
        let listed = parse(&listing).map_err(|source| NftablesError::Parse { what: "what nft lists", source })?;
        let mut there: BTreeSet<(&Identifier, IpAddr)> = BTreeSet::new();
        for set in listed.tables().flat_map(|table| &table.sets) {
            there.extend(set.elements.keys().filter_map(|key| match key.as_slice() {
                [Value::Address(address)] => Some((&set.name, *address)),
                _ => None,
            }));
        }
        let lacks = |(set, pairs): (&Identifier, &Vec<Pair>)| {
            pairs.iter().filter(|(_, address)| !there.contains(&(set, *address))).cloned().collect::<Vec<_>>()
        };
        Ok(wanted.iter().flat_map(lacks).collect())
    }

    /// What was put, should still be there, and is not.
    pub async fn lost(&mut self) -> Result<Vec<Pair>, ClusterError> {
        let (used, soon) = (self.used.borrow_and_update().clone(), now() + SOON.as_secs());
        // names without answers are to be known after a restart, too
        if let Some(file) = self.file.as_ref().filter(|_| used.cluster != self.answers.names) {
            let answers = Answers { names: used.cluster.clone(), kept: self.answers.kept.clone() };
            file.write(&answers)?;
            self.answers = answers;
        }
        let alive = self.answers.kept.iter().filter(|(_, until)| **until > soon).map(|(pair, _)| pair.clone());
        self.missing(&used, alive.collect::<Vec<_>>()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Answers {
        let kept = [
            ("*.example.com", "198.51.100.1", 60),
            ("*.example.com", "2001:db8::1", 60),
            ("gone.example.net", "198.51.100.2", 60),
            ("a.example.net", "198.51.100.3", 0),
        ];
        Answers {
            names: BTreeSet::from(["*.example.com".parse().unwrap()]),
            kept: kept.into_iter().map(|(name, address, left)| ((name.parse().unwrap(), address.parse().unwrap()), now() + left)).collect(),
        }
    }

    #[test]
    fn f14_every_changed_byte_of_the_file_is_noticed() {
        let text = some().to_text();
        assert_eq!(Answers::read(&text), Some(some()));
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert_eq!(String::from_utf8(bytes).ok().and_then(|text| Answers::read(&text)), None, "{at}");
        }
        for end in 0..text.len() {
            assert_eq!(Answers::read(&text[..end]), None, "{end}");
        }
    }

    #[test]
    fn a_damaged_file_is_as_none() {
        let directory = std::env::temp_dir().join(format!("leafwall-answers-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = AnswersFile::new(&directory);
        assert_eq!(file.read(), Answers::default());
        file.write(&some()).unwrap();
        assert_eq!(file.read(), some());
        std::fs::write(directory.join(FILE), b"leafwall-answers-1 \xff\n").unwrap();
        assert_eq!(file.read(), Answers::default());
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_ruleset_takes_along_what_has_a_set_and_some_time_left() {
        let text = some().elements(|set| set.as_str().starts_with("cluster.fqdn") && set.as_str().ends_with("/.example.com"));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].starts_with("add element inet leafwall cluster.fqdn4./.example.com { 198.51.100.1 timeout "), "{text}");
    }
}
