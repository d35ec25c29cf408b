//! The cluster's part of a firewall's table: the chain `cluster` and what belongs to it, which nobody signs.
//!
//! Flow: whoever follows the cluster computes a [`Part`] → [`ClusterTable::set`] writes it down, then changes the kernel by what differs, in one transaction of its
//! own. A signed ruleset that is loaded brings the part that was written down with it, so that a revision or a reboot never empties it.
//!
//! Guarantees: the signed part is never touched from here; counters of rules that stay go on (F12); what `nft` refuses is not kept.
//!
//! Caveats: answers in sets of DNS names are the resolver's; they go where the signed ruleset is replaced.

use std::io;
use std::path::{Path, PathBuf};

use leafwall_policy::cluster::{Part, transaction};
use leafwall_policy::nft::{Script, TableId, parse};
use thiserror::Error;

use crate::daemon::durable;
use crate::nftables::{self, NftablesError};

/// What the file is called.
const FILE: &str = "cluster.nft";

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
    /// The kernel.
    #[error(transparent)]
    Nftables(#[from] NftablesError),
    /// No signed ruleset is loaded, so there is no chain to fill. The part is kept and comes with the ruleset.
    #[error("no ruleset is loaded that the cluster's rules could stand in")]
    NoTable,
    /// The kernel does not hold what it was given.
    #[error("the kernel holds other rules of the cluster than it was given: {}", .0.join(", "))]
    ReadBack(Vec<String>),
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

/// The kernel's cluster part and its copy on disk. One at a time: who holds it is the only writer.
#[derive(Debug)]
pub struct ClusterTable {
    file: ClusterFile,
    /// What the kernel holds, as far as we know.
    last: Option<Part>,
}

impl ClusterTable {
    /// Nothing is read yet.
    pub const fn new(file: ClusterFile) -> Self {
        Self { file, last: None }
    }

    /// Makes the kernel's part this one. It is written down first: should the machine die between, it comes with the next load. Where nft refuses it, what was
    /// written down before is put back, and the kernel has not changed.
    pub async fn set(&mut self, part: &Part) -> Result<(), ClusterError> {
        let before = self.file.read()?;
        if before.as_ref() != Some(part) {
            self.file.write(part)?;
        }
        let result = self.change(part).await;
        if matches!(result, Err(ClusterError::Nftables(NftablesError::Refused { .. }))) {
            self.file.write(&before.unwrap_or_default())?;
        }
        result
    }

    async fn change(&mut self, part: &Part) -> Result<(), ClusterError> {
        if let Some(last) = self.last.take()
            && nftables::run(&transaction(Some(&last), part)).await.is_ok()
        {
            self.last = Some(part.clone());
            return Ok(());
        }
        // not what we thought: somebody else wrote, or a ruleset was loaded anew
        let held = observed().await?.ok_or(ClusterError::NoTable)?;
        nftables::run(&transaction(Some(&held), part)).await?;
        self.last = Some(part.clone());
        Ok(())
    }

    /// What the kernel holds otherwise than it was given; by reading all of it.
    pub async fn read_back(&self, part: &Part) -> Result<(), ClusterError> {
        let held = observed().await?.ok_or(ClusterError::NoTable)?;
        let differences: Vec<String> = part.to_table().differences(&held.to_table()).iter().map(ToString::to_string).collect();
        if differences.is_empty() { Ok(()) } else { Err(ClusterError::ReadBack(differences)) }
    }
}

async fn observed() -> Result<Option<Part>, NftablesError> {
    let ours: TableId = Part::default().to_table().id;
    let mut tables = nftables::observe(std::slice::from_ref(&ours)).await?;
    Ok(tables.iter_mut().find(|table| table.id == ours).map(Part::split))
}
