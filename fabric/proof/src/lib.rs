//! The proof: from the rendered artefacts alone, who can reach whom, over all packets.
//!
//! [`prove`] reads frr.conf, links.json and leafwall.nft of all switches and firewall machines back and compares what they do with what the checked Model allows.
//! Isolation holds against whoever is behind a port: a tenant's server may announce and send anything, a firewall machine may have been taken over. Reachability
//! is that of honest machines. What is found wrong comes with a packet that shows it.
//!
//! Neither plan nor renderer is asked: a bug there is a failed proof.
#![cfg_attr(test, allow(missing_docs))]

pub mod announcements;
pub mod certificate;
pub mod domains;
pub mod fabric;
pub mod failures;
pub mod filters;
pub mod finding;
pub mod firewalls;
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

use leafwall_intent::model::Model;
use leafwall_plan::Table;
use leafwall_render::Artefacts;
use leafwall_render::inventory::LabInventory;
use leafwall_topology::Name;
use rayon::prelude::*;

pub use certificate::Certificate;
pub use failures::{Failure, Standing, Whole};
pub use finding::{Broken, Finding};
pub use ground::Ground;
pub use hazards::Hazard;
pub use matrix::{Cell, Matcher, Matrix};
pub use reach::Reach;
pub use read::{Device, Known, ReadError};

/// What a proof is about.
pub struct Input<'a> {
    /// The checked intents.
    pub model: &'a Model,
    /// Allocated numbers and addresses.
    pub table: &'a Table,
    /// Endpoints and the outside.
    pub inventory: &'a LabInventory,
    /// The files of each device.
    pub artefacts: &'a BTreeMap<Name, Artefacts>,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Proof {
    /// Everything that is wrong, sorted; empty if the fabric is as intended.
    pub findings: Vec<Finding>,
    /// Who reaches whom: the pairs that have anything to do with each other. All others are closed.
    pub matrix: Matrix,
    /// How many ordered pairs of endpoints on different nodes there are.
    pub pairs: usize,
    /// What each endpoint belongs to: its network, or the firewall that it is.
    pub belongs: BTreeMap<Name, String>,
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
        let pairs = self.belongs.keys().flat_map(|from| self.belongs.keys().map(move |to| (from, to))).filter(|(from, to)| from != to);
        pairs.map(|(from, to)| (from, to, self.matrix.get(&(from.clone(), to.clone())).cloned().unwrap_or_default()))
    }
}

/// Reads a fabric back and hands it over: its sets of packets, and everything that is wrong but for the matrix.
///
/// # Errors
/// Artefacts that cannot be read.
pub fn examine<T>(input: &Input<'_>, with: impl FnOnce(&Matcher<'_>, Vec<Finding>) -> T) -> Result<T, Vec<ReadError>> {
    examine_again(input, &mut Known::default(), |whole, findings| with(whole.matcher, findings))
}

fn examine_again<T>(
    input: &Input<'_>,
    known: &mut Known,
    with: impl FnOnce(&Whole<'_, '_>, Vec<Finding>) -> T,
) -> Result<T, Vec<ReadError>> {
    let ground = Ground::new(input.model, input.table, input.inventory);
    let trusted = |name: &Name| input.model.switches.contains_key(name) || ground.firewall(name).is_some();
    let devices = read::read(input.artefacts.iter().filter(|(name, _)| trusted(name)), known)?;
    let domains = domains::Domains::new(&devices, &ground);
    let mut findings = domains.check(&devices, &ground);
    findings.extend(announcements::check(&devices, &ground, &domains));
    let tunnels = tunnels::Tunnels::new(&devices, &ground, &domains);
    let by_device: Vec<Vec<Finding>> = devices
        .par_iter()
        .map(|(name, device)| {
            let mut found = understood::check(device);
            if input.model.switches.contains_key(name) {
                found.extend(switches::check(device, &devices, &ground, &domains, &tunnels));
            } else {
                found.extend(firewalls::check(device, &ground, &domains));
            }
            found
        })
        .collect();
    findings.extend(by_device.into_iter().flatten());
    let fabric = fabric::Fabric::new(&ground, &devices, &domains, input.artefacts);
    let converged = tables::converge(&fabric);
    let matcher = Matcher::new(&fabric, &converged.tables, Standing::new(&ground, None));
    Ok(with(&Whole { fabric: &fabric, converged: &converged, matcher: &matcher }, findings))
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
    examine_again(input, known, |whole, mut findings| {
        let matcher = whole.matcher;
        let matrix = matcher.matrix();
        findings.extend(matrix::check(matcher, &matrix));
        let failures = match failures {
            Failures::Single | Failures::Few if findings.is_empty() => {
                let all = failures::singles(whole.fabric.ground);
                if failures == Failures::Single || all.len() <= failures::FEW { all } else { Vec::new() }
            }
            Failures::Single | Failures::Few | Failures::None => Vec::new(),
        };
        findings.extend(failures::check(whole, &failures));
        findings.sort();
        findings.dedup();
        let pairs = matcher.pairs();
        let belongs = matcher.endpoints().keys().map(|name| (name.clone(), matcher.belongs(name))).collect();
        let hazards = hazards::check(whole.fabric.devices, whole.fabric.ground, input.artefacts);
        Proof { findings, matrix, pairs, belongs, hazards, failures }
    })
}
