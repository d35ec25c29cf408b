//! What to write into SONiC's CONFIG_DB so that it says something else: single rows in a safe order, each with what must be seen before it, and the way back.
//!
//! SONiC's daemons take every row as it comes, in any order they like, and some orders crash them (H10, H11, H12). So every [`Operation`] waits on
//! [`Condition`]s in STATE_DB, APPL_DB or ASIC_DB: what the daemons say they have done, never how long it took. After each operation the database is valid under
//! SONiC's own models.
//!
//! # Order
//!
//! | phase | what | why |
//! |---|---|---|
//! | [`Phase::Prepare`] | the switch itself, its services, management | a new way in is there before the old one goes |
//! | [`Phase::Shut`] | ports that are shut | before anything changes behind them |
//! | [`Phase::Remove`] | rows that go, and rows that have to be made anew; what stands on them first | after FRR gave up their instances (H19) |
//! | [`Phase::Update`] | rows that change in place | |
//! | [`Phase::Add`] | rows that come; what they stand on first | before FRR is told of them (H3) |
//! | [`Phase::Open`] | ports that are put into service | after all that is behind them is as it should be |
//!
//! A VRF's VNI is a row of its own in this: put in after the map of its VLAN and taken out before that goes (H10). SVIs of L3VNIs come last of all SVIs (H1).

mod condition;
mod order;
mod patch;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use leafwall_render::config_db::{Clash, ConfigDb, Hash, target};

pub use condition::{Condition, Database};
pub use patch::json_patch;

/// When an operation is done, in the order in which they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The switch itself and its management.
    Prepare,
    /// Ports that are shut.
    Shut,
    /// Rows that go.
    Remove,
    /// Rows that change.
    Update,
    /// Rows that come.
    Add,
    /// Ports that are put into service.
    Open,
}

/// One write, and what must be seen before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// When.
    pub phase: Phase,
    /// What must hold before.
    pub when: Vec<Condition>,
    /// The write.
    pub write: Write,
}

/// A write of one row, all at once (`MULTI`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The table.
    pub table: String,
    /// The key.
    pub key: String,
    /// What becomes of the row.
    pub action: Action,
}

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Fields are set (`HSET`), then others are taken out (`HDEL`): in this order, since a hash without fields is gone, and its row with it.
    Put {
        /// Fields and their values.
        set: Hash,
        /// Fields that go.
        unset: Vec<String>,
    },
    /// It is deleted (`DEL`).
    Delete,
}

impl Write {
    /// The name of the row in Redis.
    pub fn name(&self) -> String {
        format!("{}|{}", self.table, self.key)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for condition in &self.when {
            writeln!(f, "# {condition}")?;
        }
        match &self.write.action {
            Action::Delete => write!(f, "DEL {}", self.write.name()),
            Action::Put { set, unset } => {
                write!(f, "HSET {}", self.write.name())?;
                for (field, value) in set {
                    write!(f, " {field} {value}")?;
                }
                if !unset.is_empty() {
                    write!(f, "; HDEL {} {}", self.write.name(), unset.join(" "))?;
                }
                Ok(())
            }
        }
    }
}

/// From one database to another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order.
    pub operations: Vec<Operation>,
    /// What must be seen in the end: everything that came is there, everything that went is gone (H16).
    pub settled: Vec<Condition>,
}

impl Plan {
    /// From one whole database to another, whoever owns what.
    pub fn between(old: &ConfigDb, new: &ConfigDb) -> Self {
        order::plan(old, new)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The operations of these phases.
    pub fn operations_of<'a>(&'a self, phases: &'a [Phase]) -> impl Iterator<Item = &'a Operation> {
        self.operations.iter().filter(|operation| phases.contains(&operation.phase))
    }
}

/// A change of a switch with its way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What will be there, foreign rows included.
    pub target: ConfigDb,
    /// From what is there to [`Change::target`].
    pub forward: Plan,
    /// And back.
    pub inverse: Plan,
}

/// A row of somebody else's that stands on one that would have to go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// What would have to go: a port, VLAN or VRF.
    pub name: String,
    /// Whose row it is: the table.
    pub table: String,
    /// And the key.
    pub key: String,
}

/// Why a change is not made. Nothing is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Rows are wanted where somebody else's stand.
    Clashes(Vec<Clash>),
    /// Rows would go on which somebody else's stand.
    Held(Vec<Held>),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = match self {
            Self::Clashes(clashes) => clashes.iter().map(ToString::to_string).collect(),
            Self::Held(held) => {
                held.iter().map(|held| format!("`{}` can't go: {}|{} stands on it", held.name, held.table, held.key)).collect()
            }
        };
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Refusal {}

impl Change {
    /// From what is there to what is wanted, as far as it is ours.
    ///
    /// ```
    /// use leafwall_delta::config_db::Change;
    /// use leafwall_render::config_db::ConfigDb;
    ///
    /// let running = ConfigDb::parse(r#"{"VLAN": {"Vlan7": {"vlanid": "7"}}}"#).unwrap();
    /// let wanted = ConfigDb::parse(r#"{"VRF": {"Vrf10001": {}}}"#).unwrap();
    /// let change = Change::between(&running, &wanted).unwrap();
    /// let texts: Vec<String> = change.forward.operations.iter().map(ToString::to_string).collect();
    /// assert_eq!(texts, ["HSET VRF|Vrf10001 NULL NULL"]);
    /// ```
    ///
    /// # Errors
    /// [`Refusal`]: a clash with what is not ours.
    pub fn between(running: &ConfigDb, wanted: &ConfigDb) -> Result<Self, Refusal> {
        let target = target(running, wanted).map_err(Refusal::Clashes)?;
        let forward = Plan::between(running, &target);
        let held = held(&forward, &target, wanted);
        if !held.is_empty() {
            return Err(Refusal::Held(held));
        }
        let inverse = Plan::between(&target, running);
        Ok(Self { target, forward, inverse })
    }
}

/// Rows of somebody else's that stand on what goes, if only for a moment: by name in tables that we know nothing of, or as rows that would have to be made anew.
fn held(plan: &Plan, target: &ConfigDb, wanted: &ConfigDb) -> Vec<Held> {
    let deletes = plan.operations.iter().filter(|operation| operation.write.action == Action::Delete);
    let deleted: BTreeSet<(&str, &str)> = deletes.map(|operation| (operation.write.table.as_str(), operation.write.key.as_str())).collect();
    let names: BTreeSet<&str> = deleted.iter().filter(|(table, _)| rows::NAMED.contains(table)).map(|(_, key)| *key).collect();
    let mut found = Vec::new();
    let mut hold =
        |name: &str, table: &str, key: &str| found.push(Held { name: name.to_owned(), table: table.to_owned(), key: key.to_owned() });
    for &(table, key) in &deleted {
        if target.row(table, key).is_some() && wanted.row(table, key).is_none() {
            hold(key, table, key);
        }
    }
    if !names.is_empty() {
        for (table, key, row) in target.rows().filter(|(table, ..)| !rows::is_known(table)) {
            rows::words(key, row).filter(|word| names.contains(word)).for_each(|name| hold(name, table, key));
        }
    }
    found.sort();
    found.dedup();
    found
}
