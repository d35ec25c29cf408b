//! What was proved, of which artefacts, under which assumptions: a file that others can check again.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use leafwall_topology::Name;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::finding::Broken;
use crate::{Input, Proof};

/// Which format a certificate has.
pub const CERTIFICATE_VERSION: u32 = 1;

const STATEMENT: &str = "Over all packets: nothing reaches what no intent allows, whatever tenants' servers announce and send and whatever a firewall machine \
that was taken over announces and sends; and while nothing has failed, all that intents allow works and is answered.";

/// What is taken for granted.
const ASSUMPTIONS: &[&str] = &[
    "switches run what their artefacts say, and are cabled as the intents say",
    "a firewall machine that was not taken over runs what its artefacts say; what crosses one that was is its tenant's own",
    "the chain `cluster` of a firewall accepts whatever reaches it: it is bounded, not looked into",
    "where tenants meet in a network that they share, whoever is in it counts as that network",
    "conntrack tells packets of known flows from others",
    "without failures: single failures of links and devices are not part of this statement yet",
];

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// [`CERTIFICATE_VERSION`]
    pub version: u32,
    /// The version of the prover.
    pub prover: &'static str,
    /// Which fabric.
    pub fabric: Name,
    /// What is proved.
    pub statement: &'static str,
    /// What is taken for granted.
    pub assumptions: &'static [&'static str],
    /// Whether it holds.
    pub holds: bool,
    /// SHA-256 of every artefact, by device and file.
    pub artefacts: BTreeMap<Name, BTreeMap<String, String>>,
    /// Pairs of endpoints between which anything is open; all others are closed.
    pub open: Vec<Open>,
    /// What is wrong.
    pub findings: Vec<Found>,
}

/// What is open between two endpoints.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Open {
    /// Who sends.
    pub from: String,
    /// To whom.
    pub to: String,
    /// What passes.
    pub services: String,
    /// By which intents.
    pub why: Vec<String>,
}

/// A finding as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Which promise is broken.
    pub broken: Broken,
    /// Which check found it.
    pub check: &'static str,
    /// What is wrong.
    pub message: String,
    /// A packet that shows it.
    pub packet: Option<String>,
    /// Its way.
    pub path: Vec<String>,
}

impl Certificate {
    /// Of a proof and what it was about.
    pub fn new(input: &Input<'_>, proof: &Proof) -> Self {
        let digest = |text: &str| {
            Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
        };
        let files = |files: &BTreeMap<&'static str, String>| files.iter().map(|(file, text)| ((*file).to_owned(), digest(text))).collect();
        Self {
            version: CERTIFICATE_VERSION,
            prover: env!("CARGO_PKG_VERSION"),
            fabric: input.model.fabric.name.clone(),
            statement: STATEMENT,
            assumptions: ASSUMPTIONS,
            holds: proof.holds(),
            artefacts: input.artefacts.iter().map(|(name, artefacts)| (name.clone(), files(&artefacts.files))).collect(),
            open: by_endpoint(proof),
            findings: proof
                .findings
                .iter()
                .map(|finding| Found {
                    broken: finding.broken,
                    check: finding.check,
                    message: finding.message.clone(),
                    packet: finding.packet.map(|packet| packet.to_string()),
                    path: finding.path.clone(),
                })
                .collect(),
        }
    }
}

/// What is open between endpoints.
pub fn by_endpoint(proof: &Proof) -> Vec<Open> {
    let open = proof.matrix.iter().filter(|(_, cell)| !cell.arrives.is_empty());
    let told = open.map(|((from, to), cell)| Open {
        from: from.to_string(),
        to: to.to_string(),
        services: cell.arrives.services(),
        why: cell.why.clone(),
    });
    told.collect()
}

/// What is open between networks, firewall machines by themselves: whatever some endpoint of the one has open to some of the other.
pub fn by_network(proof: &Proof) -> Vec<Open> {
    let mut pairs: BTreeMap<(String, String), (leafwall_policy::sets::PacketSet, Vec<String>)> = BTreeMap::new();
    let name = |endpoint: &Name| proof.belongs.get(endpoint).cloned().unwrap_or_default();
    for ((from, to), cell) in proof.matrix.iter().filter(|(_, cell)| !cell.arrives.is_empty()) {
        let (open, why) = pairs.entry((name(from), name(to))).or_default();
        *open = open.or(&cell.arrives);
        why.extend(cell.why.iter().cloned());
        why.sort();
        why.dedup();
    }
    pairs.into_iter().map(|((from, to), (open, why))| Open { from, to, services: open.services(), why }).collect()
}
