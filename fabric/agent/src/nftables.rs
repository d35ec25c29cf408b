//! nftables: our own tables, in one transaction, read back and compared.
//!
//! `nft` itself is called and its answer read (F18). Only tables called `leafwall` are ever read or written (F12, F19).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leafwall_policy::cluster::{Part, is_of_cluster, transaction};
use leafwall_policy::nft::{Command, Difference as Found, Identifier, ParseError, Script, Table, TableFamily, TableId, parse};
use leafwall_topology::names::NFT_TABLE;
use serde::Deserialize;
use thiserror::Error;

use crate::cluster::answers::AnswersFile;
use crate::netlink::generation::generation;
use crate::report::{Backend, Difference};
use crate::tool::{self, Answer, ToolError};

/// What a firewall without a ruleset gets: nothing is forwarded (F9, F22).
pub const CLOSED: &str = "table inet leafwall
delete table inet leafwall
table inet leafwall {
\tchain forward {
\t\ttype filter hook forward priority filter; policy drop;
\t}
}
";

/// Loading a ruleset of thousands of rules takes a second or two.
const LIMIT: Duration = Duration::from_mins(1);

/// What went wrong with nftables.
#[derive(Debug, Error)]
pub enum NftablesError {
    /// The tool.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// It does not take our text. Nothing was changed: a script is one transaction.
    #[error("nft refuses the ruleset: {complaint}")]
    Refused {
        /// Its words.
        complaint: String,
    },
    /// A ruleset that names a table that is not ours.
    #[error("the ruleset names `{table}`, which is not ours")]
    NotOurs {
        /// Family and name.
        table: String,
    },
    /// Text that can't be read.
    #[error("can't read {what}")]
    Parse {
        /// The ruleset, or what nft lists.
        what: &'static str,
        /// Where and why.
        #[source]
        source: ParseError,
    },
    /// A list of tables that can't be read.
    #[error("can't read nft's list of tables")]
    List(#[source] serde_json::Error),
}

/// A ruleset that was checked: it names no table but ours.
#[derive(Debug, Clone)]
pub struct Ruleset {
    text: String,
    script: Script,
    tables: Vec<TableId>,
    /// What the cluster put into it, if the machine has any of that.
    cluster: Option<Part>,
    /// What is in the sets of DNS names.
    answers: Option<AnswersFile>,
}

impl Ruleset {
    /// Reads a ruleset.
    pub fn new(text: &str) -> Result<Self, NftablesError> {
        let script = parse(text).map_err(|source| NftablesError::Parse { what: "the ruleset", source })?;
        for command in &script.commands {
            let (Command::Declare(id) | Command::Delete(id) | Command::Define(Table { id, .. }) | Command::Change(id, _)) = command;
            if id.name.as_str() != NFT_TABLE {
                return Err(NftablesError::NotOurs { table: word(id) });
            }
        }
        let tables = script.tables().map(|table| table.id.clone()).collect();
        Ok(Self { text: text.to_owned(), script, tables, cluster: None, answers: None })
    }

    /// The same with the cluster's part in the table that has a chain for it; other rulesets stay as they are.
    #[must_use]
    pub fn with_cluster(mut self, part: Part) -> Self {
        let of_firewall =
            |table: &&mut Table| table.id == part.to_table().id && table.chains.iter().any(|chain| is_of_cluster(&chain.name));
        let mut tables = self.script.commands.iter_mut().filter_map(|command| match command {
            Command::Define(table) => Some(table),
            Command::Declare(_) | Command::Delete(_) | Command::Change(..) => None,
        });
        if let Some(table) = tables.find(of_firewall) {
            part.join(table);
            self.text = self.script.to_text();
            self.cluster = Some(part);
        }
        self
    }

    /// The same with the addresses of DNS names that are written down when it is loaded.
    #[must_use]
    pub fn with_answers(mut self, file: AnswersFile) -> Self {
        self.answers = Some(file);
        self
    }

    /// What fills the sets of DNS names with the addresses that clients use: they must not find them closed because rules were loaded (F14).
    fn elements(&self) -> String {
        let Some(file) = &self.answers else { return String::new() };
        let sets: BTreeSet<&Identifier> =
            self.script.tables().flat_map(|table| &table.sets).filter(|set| set.flags.timeout).map(|set| &set.name).collect();
        if sets.is_empty() { String::new() } else { file.read().elements(|set| sets.contains(set)) }
    }

    /// The tables that it makes.
    pub fn tables(&self) -> &[TableId] {
        &self.tables
    }

    /// Asks nft whether it would take it.
    pub async fn check(&self) -> Result<(), NftablesError> {
        nft(&["-c", "-f", "-"], &self.text).await.map(|_| ())
    }

    /// Loads it, and deletes tables of ours that it does not name, in one transaction.
    ///
    /// Where nothing differs but the cluster's part, only that is changed: counters and everything signed stay as they are.
    pub async fn load(&self, present: &[Table]) -> Result<(), NftablesError> {
        let elements = self.elements();
        if let Some(change) = self.change_of_cluster(present) {
            return if change.commands.is_empty() { Ok(()) } else { filled(&change.to_text(), &elements).await };
        }
        let mut text = String::new();
        for stale in present.iter().filter(|table| !self.script.tables().any(|wanted| wanted.id == table.id)) {
            text.extend(["delete table ", &word(&stale.id), "\n"]);
        }
        text.push_str(&self.text);
        filled(&text, &elements).await
    }

    fn change_of_cluster(&self, present: &[Table]) -> Option<Script> {
        let wanted = self.cluster.as_ref()?;
        let differences = self
            .script
            .tables()
            .map(|meant| Some(meant.differences(present.iter().find(|table| table.id == meant.id)?)))
            .collect::<Option<Vec<Vec<Found>>>>()?;
        let only_cluster =
            present.len() == self.tables.len() && differences.iter().flatten().all(|difference| is_of_cluster(difference.object().1));
        let mut held = present.iter().find(|table| table.id == wanted.to_table().id).filter(|_| only_cluster)?.clone();
        Some(transaction(Some(&Part::split(&mut held)), wanted))
    }

    /// How the tables that the kernel holds differ from it.
    pub fn differences(&self, present: &[Table]) -> Vec<Difference> {
        let mut found = Vec::new();
        for wanted in self.script.tables() {
            let name = word(&wanted.id);
            match present.iter().find(|table| table.id == wanted.id) {
                None => found.push(Difference::missing(Backend::Nftables, format!("table {name}"))),
                Some(table) => found.extend(wanted.differences(table).iter().map(|difference| {
                    let (kind, object) = difference.object();
                    let whose = if is_of_cluster(object) { "the cluster's part of " } else { "" };
                    let what = format!("{kind} `{object}` of {whose}table {name}");
                    match difference {
                        Found::Missing(..) => Difference::missing(Backend::Nftables, what),
                        Found::Changed(..) => Difference::changed(Backend::Nftables, what),
                        Found::Foreign(..) => Difference::surplus(Backend::Nftables, what),
                    }
                })),
            }
        }
        let stale = present.iter().filter(|table| !self.script.tables().any(|wanted| wanted.id == table.id));
        found.extend(stale.map(|table| Difference::surplus(Backend::Nftables, format!("table {}", word(&table.id)))));
        found
    }
}

/// Our tables as the kernel holds them. `likely` are those that are expected: where exactly they are there, one call tells all.
async fn observe(likely: &[TableId]) -> Result<Vec<Table>, NftablesError> {
    if !likely.is_empty() {
        let mut commands = "list tables\n".to_owned();
        for table in likely {
            commands.extend(["list table ", &word(table), "\n"]);
        }
        // where one of them is not there nft lists none
        if let Ok(answer) = nft(&["-f", "-"], &commands).await
            && let Some(tables) = all_listed(&answer.output, likely)?
        {
            return Ok(tables);
        }
    }
    let listing: Listing = serde_json::from_str(&nft(&["-j", "list", "tables"], "").await?.output).map_err(NftablesError::List)?;
    let mut tables = Vec::new();
    for table in listing.nftables.into_iter().filter_map(|entry| entry.table).filter(|table| table.name == NFT_TABLE) {
        let listed = nft(&["list", "table", &table.family, &table.name], "").await?;
        tables.extend(listed_tables(&listed.output)?);
    }
    Ok(tables)
}

/// Our tables as they were read last, and which generation of rulesets that was (`netlink/generation`): while that is the same nobody changed them, and `nft`,
/// which takes a tenth of a second to start on a slow machine, need not be asked again. Copies remember together.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Option<Held>>>);

/// Our tables, all of one generation.
#[derive(Debug)]
struct Held {
    generation: u32,
    tables: Vec<Table>,
}

impl Memory {
    /// Our tables: those that are remembered, or as the kernel holds them.
    pub async fn tables(&self, likely: &[TableId]) -> Result<Vec<Table>, NftablesError> {
        let now = generation().ok();
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(held) if now == Some(held.generation) => return Ok(held.tables.clone()),
            _ => {}
        }
        self.read(likely).await
    }

    /// Our tables as the kernel holds them, whatever is remembered.
    pub async fn read(&self, likely: &[TableId]) -> Result<Vec<Table>, NftablesError> {
        let before = generation().ok();
        let tables = observe(likely).await?;
        // what somebody changed while it was read may be of either generation
        let same = before.filter(|before| generation().is_ok_and(|after| after == *before));
        let held = same.filter(|_| tables.iter().all(stays)).map(|generation| Held { generation, tables: tables.clone() });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = held;
        Ok(tables)
    }
}

/// Whether nothing in a table changes without a transaction.
fn stays(table: &Table) -> bool {
    table.sets.iter().all(|set| !set.flags.timeout && !set.flags.dynamic && set.timeout.is_none())
}

/// What one call listed, unless there is a table of ours that it was not asked for.
fn all_listed(output: &str, likely: &[TableId]) -> Result<Option<Vec<Table>>, NftablesError> {
    let is_name = |line: &&str| line.starts_with("table ") && !line.ends_with('{');
    let names: Vec<&str> = output.lines().take_while(is_name).filter_map(|line| line.strip_prefix("table ")).collect();
    let ours = names.iter().filter(|name| name.split_once(' ').is_some_and(|(_, name)| name == NFT_TABLE)).count();
    if ours != likely.len() {
        return Ok(None);
    }
    let rest: String = output.lines().skip_while(is_name).flat_map(|line| [line, "\n"]).collect();
    Ok(Some(listed_tables(&rest)?))
}

fn listed_tables(text: &str) -> Result<Vec<Table>, NftablesError> {
    let script = parse(text).map_err(|source| NftablesError::Parse { what: "what nft lists", source })?;
    Ok(script.tables().cloned().collect())
}

#[derive(Deserialize)]
struct Listing {
    nftables: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    table: Option<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    family: String,
    name: String,
}

/// Loads a text and elements of its sets, in one transaction. Should nft take the text without them only, then that: rules come first.
async fn filled(text: &str, elements: &str) -> Result<(), NftablesError> {
    match nft(&["-f", "-"], &[text, elements].concat()).await {
        Err(NftablesError::Refused { complaint }) if !elements.is_empty() => {
            tracing::warn!(%complaint, "loaded without the addresses of DNS names: clients must ask for them again");
            nft(&["-f", "-"], text).await.map(|_| ())
        }
        answer => answer.map(|_| ()),
    }
}

async fn nft(arguments: &[&str], input: &str) -> Result<Answer, NftablesError> {
    let answer = tool::run("nft", arguments, input, LIMIT).await?;
    if answer.exited_well { Ok(answer) } else { Err(NftablesError::Refused { complaint: answer.complaint.trim().to_owned() }) }
}

pub(crate) fn word(id: &TableId) -> String {
    let family = match id.family {
        TableFamily::Ip => "ip",
        TableFamily::Ip6 => "ip6",
        TableFamily::Inet => "inet",
        TableFamily::Netdev => "netdev",
    };
    format!("{family} {}", id.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "table inet leafwall {\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n";

    fn likely() -> Vec<TableId> {
        Ruleset::new(CLOSED).unwrap().tables().to_vec()
    }

    #[test]
    fn what_one_call_lists_counts_only_where_it_lists_all_of_ours() {
        let theirs = format!("table ip nat\ntable inet leafwall\n{TWO}");
        let tables = all_listed(&theirs, &likely()).unwrap().unwrap();
        assert_eq!(tables.len(), 1);
        assert!(Ruleset::new(CLOSED).unwrap().differences(&tables).is_empty());
        // a table of ours that nobody asked for has to go: it must be seen
        let stale = format!("table inet leafwall\ntable netdev leafwall\n{TWO}");
        assert_eq!(all_listed(&stale, &likely()).unwrap(), None);
        // one of that name in another family is not the one that was asked for, but nft would not have listed that then
        assert_eq!(all_listed("", &likely()).unwrap(), None);
    }
}
