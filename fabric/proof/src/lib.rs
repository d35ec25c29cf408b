//! The proof: from the rendered artefacts alone, who can reach whom, over all packets.
//!
//! [`prove`] reads frr.conf, links.json and leafwall.nft of all switches and firewall machines back and compares what they do with what the checked Model allows.
//! Isolation holds against whoever is behind a port: a tenant's server may announce and send anything, a firewall machine may have been taken over. Reachability
//! is that of honest machines. What is found wrong comes with a packet that shows it.
//!
//! Neither plan nor renderer is asked: a bug there is a failed proof.
#![cfg_attr(test, allow(missing_docs))]

mod again;
pub mod announcements;
pub mod certificate;
pub mod domains;
pub mod fabric;
pub mod failures;
pub mod filters;
pub mod finding;
pub mod firewalls;
mod forest;
pub mod ground;
pub mod hazards;
pub mod intended;
pub mod islands;
pub mod matrix;
mod meant;
mod memo;
pub mod nft;
pub mod picture;
pub mod reach;
pub mod read;
pub mod routes;
pub mod sessions;
mod sonic;
pub mod spread;
pub mod switches;
pub mod tables;
pub mod tunnels;
mod understood;
pub mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use leafwall_intent::model::Model;
use leafwall_plan::Table;
use leafwall_render::Artefacts;
use leafwall_render::inventory::{Endpoints, OutsideRouter};
use leafwall_topology::Name;
use rustc_hash::FxHashMap;

pub use again::Known;
pub use certificate::Certificate;
pub use failures::{Failure, Standing, Whole};
pub use finding::{Broken, Finding};
pub use ground::Ground;
pub use hazards::Hazard;
pub use matrix::{Cell, Matcher, Matrix, Row};
pub use reach::Reach;
pub use read::{Device, ReadError};

/// What a proof is about.
pub struct Input<'a> {
    /// The checked intents.
    pub model: &'a Arc<Model>,
    /// Allocated numbers and addresses.
    pub table: &'a Arc<Table>,
    /// Who reachability is asked of.
    pub endpoints: &'a Endpoints,
    /// Routers outside.
    pub outside: &'a [OutsideRouter],
    /// The files of each device.
    pub artefacts: &'a BTreeMap<Name, Arc<Artefacts>>,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Proof {
    /// Everything that is wrong, sorted; empty if the fabric is as intended.
    pub findings: Vec<Finding>,
    /// Who reaches whom: the pairs that have anything to do with each other. All others are closed.
    pub matrix: Matrix,
    /// What each firewall lets through.
    pub rules: BTreeMap<Name, Arc<reach::Rules>>,
    /// How many ordered pairs of endpoints on different nodes there are.
    pub pairs: usize,
    /// Known ways to fail that the artefacts walk, sorted; empty if none.
    pub hazards: Vec<Hazard>,
    /// Under which failures reachability was looked at beside the fabric where nothing has failed.
    pub failures: Vec<Failure>,
}

impl Proof {
    /// Whether nothing is wrong.
    pub fn holds(&self) -> bool {
        self.findings.is_empty() && self.hazards.is_empty()
    }

    /// All ordered pairs of endpoints but an endpoint's with itself, and what is open between them.
    pub fn cells(&self) -> impl Iterator<Item = (&Name, &Name, Cell)> {
        let names = || self.matrix.rows().map(|(name, _)| name);
        let pairs = names().flat_map(move |from| names().map(move |to| (from, to))).filter(|(from, to)| from != to);
        pairs.map(|(from, to)| (from, to, self.matrix.cell(from, to).cloned().unwrap_or_default()))
    }
}

/// Reads a fabric back and hands it over as a whole, as if everybody had to do with everybody: slow, and what proofs are tested against.
///
/// # Errors
/// Artefacts that cannot be read.
pub fn examine<T>(input: &Input<'_>, with: impl FnOnce(&Matcher<'_, '_>) -> T) -> Result<T, Vec<ReadError>> {
    again::whole(input, &mut Known::default(), |whole, _| with(whole.matcher))
}

/// Which failures a proof looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failures {
    /// None: reachability is that of a fabric where nothing has failed.
    None,
    /// All single ones, where there are not more than [`failures::FEW`]; else none.
    Few,
    /// Every switch, firewall machine and cable, each by itself. Where something is wrong without any failure, they are not looked at.
    Single,
}

/// Proves a fabric in which nothing has failed. An error where an artefact cannot be read; findings where it says the wrong thing.
///
/// # Errors
/// Artefacts that cannot be read.
pub fn prove(input: &Input<'_>) -> Result<Proof, Vec<ReadError>> {
    prove_again(input, &mut Known::default(), Failures::None)
}

/// The same as [`prove`], with what was found out of devices whose artefacts are still the same, and under failures.
///
/// # Errors
/// As [`prove`].
pub fn prove_again(input: &Input<'_>, known: &mut Known, failures: Failures) -> Result<Proof, Vec<ReadError>> {
    let again::Found { mut findings, mut hazards, matrix, rules } = again::prove(input, known)?;
    let failures = match failures {
        Failures::Single | Failures::Few if findings.is_empty() => {
            let all = failures::singles(&Ground::new(input));
            if failures == Failures::Single || all.len() <= failures::FEW { all } else { Vec::new() }
        }
        Failures::Single | Failures::Few | Failures::None => Vec::new(),
    };
    if !failures.is_empty() {
        findings.extend(again::whole(input, known, |whole, islands| failures::check(whole, islands, &failures))?);
    }
    findings.sort();
    findings.dedup();
    hazards.sort();
    hazards.dedup();
    Ok(Proof { findings, matrix, rules, pairs: pairs(input.endpoints), hazards, failures })
}

/// How many ordered pairs of endpoints on different nodes there are.
fn pairs(endpoints: &Endpoints) -> usize {
    let mut on_node: FxHashMap<&Name, usize> = FxHashMap::default();
    for endpoint in endpoints.values() {
        *on_node.entry(&endpoint.node).or_default() += 1;
    }
    on_node.values().map(|here| here * (endpoints.len() - here)).sum()
}
