//! The cluster's part of the firewall's table: put there in one transaction, and read back.
//!
//! The signed part of the table is loaded by the agent's ordinary way; here only what belongs to the chain `cluster` is ever touched, and where there is no
//! table of ours nothing is made: a firewall without its signed ruleset stays closed (F9).

use std::collections::BTreeSet;
use std::time::Duration;

use leafwall_policy::cluster::{ClusterRules, Part, counters, table_part, transaction};
use leafwall_policy::nft::{Table, TableFamily, parse};
use leafwall_policy::order::RuleId;
use leafwall_policy::ruleset::RulesetError;
use leafwall_policy::zone::FirewallRules;
use leafwall_topology::names::NFT_TABLE;
use thiserror::Error;

use crate::nftables::NftablesError;
use crate::tool;

/// Loading a hundred thousand rules takes seconds.
const LIMIT: Duration = Duration::from_mins(1);

/// What went wrong with the cluster's part.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// Rules that can't be one ruleset.
    #[error(transparent)]
    Rules(#[from] RulesetError),
    /// `nft`, or what it says.
    #[error(transparent)]
    Nftables(#[from] NftablesError),
    /// The signed ruleset is not there.
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

/// Writes the cluster's part of one firewall.
#[derive(Debug)]
pub struct ClusterTable {
    firewall: FirewallRules,
    nft: Vec<String>,
    /// What the kernel held when it was last looked at and was as meant.
    last: Option<Part>,
}

impl ClusterTable {
    /// For this firewall, in the network namespace of that name or this process's own.
    pub fn new(firewall: FirewallRules, namespace: Option<&str>) -> Self {
        let inside = namespace.map(|name| ["ip", "netns", "exec", name].map(str::to_owned).to_vec());
        let nft = inside.into_iter().flatten().chain(["nft".to_owned()]).collect();
        Self { firewall, nft, last: None }
    }

    /// Makes these the cluster's rules. Which of them the kernel holds then.
    pub async fn put(&mut self, rules: &ClusterRules) -> Result<BTreeSet<RuleId>, ClusterError> {
        let wanted = table_part(&self.firewall, rules)?;
        let there = self.observe().await?;
        // what was written is the better base: it is not a text that nft made of it
        let known = self.last.take().filter(|last| differences(last, &there).is_empty());
        let script = transaction(Some(known.as_ref().unwrap_or(&there)), &wanted);
        if !script.commands.is_empty() {
            self.nft(&["-f", "-"], &script.to_text()).await?;
        }
        let there = self.observe().await?;
        let differing = differences(&wanted, &there);
        if let Some(object) = differing.first() {
            return Err(ClusterError::Differs { count: differing.len(), object: object.clone() });
        }
        self.last = Some(wanted);
        let held: BTreeSet<_> = there.counters.iter().map(|counter| counter.name.clone()).collect();
        Ok(counters(rules).into_iter().filter(|(_, counter)| held.contains(counter)).map(|(id, _)| id).collect())
    }

    async fn observe(&self) -> Result<Part, ClusterError> {
        let text = match self.nft(&["list", "table", "inet", NFT_TABLE], "").await {
            Err(NftablesError::Refused { .. }) => return Err(ClusterError::NoTable),
            answer => answer?,
        };
        let listed = parse(&text).map_err(|source| NftablesError::Parse { what: "what nft lists", source })?;
        let ours = |table: &&Table| table.id.family == TableFamily::Inet && table.id.name.as_str() == NFT_TABLE;
        let mut table = listed.tables().find(ours).cloned().ok_or(ClusterError::NoTable)?;
        Ok(Part::split(&mut table))
    }

    async fn nft(&self, arguments: &[&str], input: &str) -> Result<String, NftablesError> {
        let words: Vec<&str> = self.nft.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
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
