//! The cluster's part of a firewall's table: the chain `cluster` and what belongs to it, which nobody signs.
//!
//! Flow: whoever follows the cluster hands its rules to [`ClusterTable::put`], which writes the part that they come to down, then changes the kernel by what differs,
//! in one transaction of its own, and reads it back. A signed ruleset that is loaded brings the part that was written down with it, so that a revision or a reboot
//! never empties it.
//!
//! Guarantees: the signed part is never touched from here, and where there is no table of ours nothing is made (F9); counters of rules that stay go on (F12); what
//! `nft` refuses is not kept; flows that only rules allowed which are gone are cut, all others live (F13).
//!
//! Addresses in sets of DNS names are apart from that: [`answers`].

pub mod answers;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use leafwall_policy::cluster::{ClusterRules, Part, counters, table_part, transaction};
use leafwall_policy::nft::{Script, Table, TableId, parse};
use leafwall_policy::order::RuleId;
use leafwall_policy::rule::Fqdn;
use leafwall_policy::ruleset::{RulesetError, fqdn_sets};
use leafwall_policy::zone::FirewallRules;
use leafwall_topology::names::NFT_TABLE;
use thiserror::Error;
use tokio::sync::watch;

use self::answers::{AnswerTable, AnswersFile, UsedNames};
use crate::daemon::durable;
use crate::netlink::conntrack::{self, Cut};
use crate::nftables::NftablesError;
use crate::report::chain;
use crate::tool;

/// What the file is called.
const FILE: &str = "cluster.nft";
/// Loading a hundred thousand rules takes seconds.
const LIMIT: Duration = Duration::from_mins(1);

/// What goes wrong with the cluster's part.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// The file.
    #[error("can't use `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Rules that can't be one ruleset.
    #[error(transparent)]
    Rules(#[from] RulesetError),
    /// `nft`, or what it says.
    #[error(transparent)]
    Nftables(#[from] NftablesError),
    /// No signed ruleset is loaded, so there is no chain to fill. What was written down comes with the ruleset.
    #[error("this firewall has no ruleset, so no rules can be added to it")]
    NoTable,
    /// What is there after the transaction is not what was meant.
    #[error("the kernel holds something else than what was written, in {count} objects, one of them {object}")]
    Differs {
        /// How many objects.
        count: usize,
        /// The first of them.
        object: String,
    },
}

/// The last content, on disk: a table of text with nothing in it but the cluster's part.
#[derive(Debug, Clone)]
pub struct ClusterFile {
    directory: PathBuf,
}

impl ClusterFile {
    /// In the directory that keeps the agent's state.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The file of answers beside it.
    pub fn answers(&self) -> AnswersFile {
        AnswersFile::new(&self.directory)
    }

    fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    fn error(&self) -> impl FnOnce(io::Error) -> ClusterError {
        let path = self.path();
        move |source| ClusterError::File { path, source }
    }

    /// What was written down last; `None` before the first time. Text that can't be read is an error, not an empty part.
    pub fn read(&self) -> Result<Option<Part>, ClusterError> {
        let text = match std::fs::read_to_string(self.path()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error()(error)),
        };
        let script = parse(&text).map_err(|source| NftablesError::Parse { what: "the cluster's part", source })?;
        let mut tables = script.tables().cloned();
        Ok(tables.next().map(|mut table| Part::split(&mut table)))
    }

    fn write(&self, part: &Part) -> Result<(), ClusterError> {
        let text = Script { commands: vec![leafwall_policy::nft::Command::Define(part.to_table())] }.to_text();
        durable::replace(&self.directory, FILE, text.as_bytes()).map_err(self.error())
    }
}

/// The kernel's cluster part of one firewall, and its copy on disk. Whoever holds it is the only writer of other content; the agent loads the copy.
#[derive(Debug)]
pub struct ClusterTable {
    firewall: FirewallRules,
    namespace: Option<String>,
    nft: Nft,
    file: Option<ClusterFile>,
    used: watch::Sender<UsedNames>,
    /// What the kernel held when it was last looked at and was as meant.
    last: Option<Part>,
}

impl ClusterTable {
    /// For this firewall, in the network namespace of that name or this process's own. What is put is written down in `file`, where there is one.
    pub fn new(firewall: FirewallRules, namespace: Option<&str>, file: Option<ClusterFile>) -> Self {
        let signed = fqdn_sets(&firewall).into_iter().map(|(fqdn, _, _)| fqdn).collect();
        // what the cluster used last is in its part still, whether or not the cluster can be asked
        let cluster = file.as_ref().map(|file| file.answers().read().names).unwrap_or_default();
        let (used, _) = watch::channel(UsedNames { signed, cluster });
        Self { firewall, namespace: namespace.map(str::to_owned), nft: Nft::new(namespace), file, used, last: None }
    }

    /// The DNS names that rules use, as they change.
    pub fn used_names(&self) -> watch::Receiver<UsedNames> {
        self.used.subscribe()
    }

    /// The hand on the sets of DNS names. There is one.
    pub fn answers(&self) -> AnswerTable {
        let file = self.file.as_ref().map(ClusterFile::answers);
        let answers = file.as_ref().map(AnswersFile::read).unwrap_or_default();
        AnswerTable::new(self.nft.clone(), file, self.used.subscribe(), answers)
    }

    /// Makes these the cluster's rules. Which of them the kernel holds then.
    ///
    /// They are written down first: should the machine die between, they come with the next load. Where nft refuses them, what was written down before is put
    /// back, and the kernel has not changed.
    pub async fn put(&mut self, rules: &ClusterRules) -> Result<BTreeSet<RuleId>, ClusterError> {
        let wanted = table_part(&self.firewall, rules)?;
        let before = match &self.file {
            Some(file) => file.read()?,
            None => None,
        };
        if let Some(file) = self.file.as_ref().filter(|_| before.as_ref() != Some(&wanted)) {
            file.write(&wanted)?;
        }
        // nobody puts an address into a set that is about to go, or before it is there
        let names: BTreeSet<Fqdn> = rules.fqdns().cloned().collect();
        let before_names = self.used.borrow().cluster.clone();
        self.use_names(before_names.intersection(&names).cloned().collect());
        let changed = self.change(&wanted).await;
        self.use_names(if changed.is_ok() { names } else { before_names });
        if let (Err(ClusterError::Nftables(NftablesError::Refused { .. })), Some(file)) = (&changed, &self.file) {
            file.write(&before.unwrap_or_default())?;
        }
        let (earlier, after) = changed?;
        let there = Part::split(&mut after.clone());
        let differing = differences(&wanted, &there);
        if let Some(object) = differing.first() {
            return Err(ClusterError::Differs { count: differing.len(), object: object.clone() });
        }
        self.last = Some(wanted);
        if let Some(earlier) = earlier {
            self.cut(earlier, after).await;
        }
        let held: BTreeSet<_> = there.counters.iter().map(|counter| counter.name.clone()).collect();
        Ok(counters(rules).into_iter().filter(|(_, counter)| held.contains(counter)).map(|(id, _)| id).collect())
    }

    fn use_names(&self, names: BTreeSet<Fqdn>) {
        self.used.send_if_modified(|used| {
            let is_new = used.cluster != names;
            used.cluster = names;
            is_new
        });
    }

    /// Changes the kernel's part to this one. The table from before, if something had to be changed, and the one that is there then.
    async fn change(&mut self, wanted: &Part) -> Result<(Option<Table>, Table), ClusterError> {
        let earlier = self.observe().await?;
        let there = Part::split(&mut earlier.clone());
        // what was written is the better base: it is not a text that nft made of it
        let known = self.last.take().filter(|last| differences(last, &there).is_empty());
        let script = transaction(Some(known.as_ref().unwrap_or(&there)), wanted);
        if script.commands.is_empty() {
            return Ok((None, earlier));
        }
        self.nft.call(&["-f", "-"], &script.to_text()).await?;
        Ok((Some(earlier), self.observe().await?))
    }

    /// Cuts the flows that the change took the rules of (F13). The rules are in force whatever becomes of this: what can't be cut is told of, and ends by itself.
    async fn cut(&self, before: Table, after: Table) {
        match conntrack::cut(self.namespace.as_deref(), before, after).await {
            Ok(Cut { known, cut }) => tracing::info!(known, cut, "flows that no rule allows any more were cut"),
            Err(error) => tracing::error!(error = %chain(&error), "flows that no rule allows any more may live on"),
        }
    }

    async fn observe(&self) -> Result<Table, ClusterError> {
        let text = match self.nft.call(&["list", "table", "inet", NFT_TABLE], "").await {
            Err(NftablesError::Refused { .. }) => return Err(ClusterError::NoTable),
            answer => answer?,
        };
        let listed = parse(&text).map_err(|source| NftablesError::Parse { what: "what nft lists", source })?;
        let ours: TableId = Part::default().to_table().id;
        listed.tables().find(|table| table.id == ours).cloned().ok_or(ClusterError::NoTable)
    }
}

/// `nft` in a network namespace.
#[derive(Debug, Clone)]
struct Nft {
    words: Vec<String>,
}

impl Nft {
    fn new(namespace: Option<&str>) -> Self {
        let inside = namespace.map(|name| ["ip", "netns", "exec", name].map(str::to_owned).to_vec());
        Self { words: inside.into_iter().flatten().chain(["nft".to_owned()]).collect() }
    }

    async fn call(&self, arguments: &[&str], input: &str) -> Result<String, NftablesError> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        let [program, rest @ ..] = words.as_slice() else { return Ok(String::new()) };
        let answer = tool::run(program, rest, input, LIMIT).await?;
        if answer.exited_well { Ok(answer.output) } else { Err(NftablesError::Refused { complaint: answer.complaint.trim().to_owned() }) }
    }
}

fn differences(wanted: &Part, there: &Part) -> Vec<String> {
    let (wanted, there) = (wanted.to_table(), there.to_table());
    let found = wanted.differences(&there);
    let told = found.iter().map(leafwall_policy::nft::Difference::object);
    told.map(|(kind, object)| format!("{kind} `{object}`")).collect()
}
