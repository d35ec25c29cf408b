//! Who reaches whom, from the checked Model alone: an oracle for fabrics that nobody wrote a matrix for.
//!
//! It shares nothing with what builds a fabric: no plan, no renderer, nothing of what rules mean to us (`structure.rs` holds that). It knows networks, not
//! devices: a packet is in a network; there a server has it, or the outside, or a firewall takes it into another network. Written to be compared with
//! `docs/intents.md`, not to be fast.
//!
//! Where an intent leaves an address to allocation, the oracle knows the prefixes that it will come from. If a rule cuts such a prefix, or if a packet
//! would arrive and its answer would not, it says so ([`Unclear`]) in place of guessing.

mod crossing;
mod endpoints;
mod scenario;
mod walk;

use std::collections::BTreeSet;
use std::fmt;

use leafwall_intent::Model;
use leafwall_topology::{Family, Name, Prefix};

pub use endpoints::{Endpoint, Place};

/// What is tried from one endpoint to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An echo request.
    Ping,
    /// A connection to this port.
    Tcp(u16),
    /// A datagram to this port.
    Udp(u16),
}

/// What the lab tries between every pair: ping, a port that is open on every machine, and one that is closed.
pub const ALWAYS_TRIED: [Kind; 3] = [Kind::Ping, Kind::Tcp(22), Kind::Tcp(9)];

/// One thing that passes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// The source.
    pub from: Name,
    /// The destination.
    pub to: Name,
    /// In which family.
    pub family: Family,
    /// What.
    pub kind: Kind,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}, {:?} {:?}", self.from, self.to, self.family, self.kind)
    }
}

/// The Model does not say whether something passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclear(pub String);

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

type Result<T> = std::result::Result<T, Unclear>;

/// The oracle of one Model.
#[derive(Debug)]
pub struct Oracle<'a> {
    model: &'a Model,
    endpoints: Vec<Endpoint<'a>>,
}

impl<'a> Oracle<'a> {
    /// Of this Model.
    pub fn new(model: &'a Model) -> Self {
        Self { model, endpoints: endpoints::all(model) }
    }

    /// Who is asked about, sorted by name.
    pub fn endpoints(&self) -> &[Endpoint<'a>] {
        &self.endpoints
    }

    /// What is worth trying: the ends of every range of ports that a rule names, the port behind each, and what is always tried.
    pub fn kinds(&self) -> BTreeSet<Kind> {
        use leafwall_policy::rule::Protocol;
        let mut kinds: BTreeSet<Kind> = ALWAYS_TRIED.into_iter().chain([Kind::Udp(53)]).collect();
        let rules = self.model.policies.values().flat_map(|policy| policy.policy.ingress.iter().chain(&policy.policy.egress));
        for ports in rules.flat_map(|rule| &rule.ports) {
            let Some(range) = ports.ports else { continue };
            for port in [range.low(), range.high(), range.high().saturating_add(1)] {
                match ports.protocol {
                    Protocol::Tcp => kinds.insert(Kind::Tcp(port)),
                    Protocol::Udp => kinds.insert(Kind::Udp(port)),
                    _ => false,
                };
            }
        }
        kinds
    }

    /// How much of what passes goes from one network into another.
    pub fn crossing(&self, passing: &BTreeSet<Cell>) -> usize {
        let network = |name: &Name| {
            self.endpoints.iter().find(|endpoint| endpoint.name == *name).and_then(|endpoint| match endpoint.place {
                Place::Server(network) | Place::Outside(network) => Some(&network.name),
                Place::Nowhere | Place::Machine(..) => None,
            })
        };
        passing.iter().filter(|cell| network(&cell.to).is_some_and(|to| network(&cell.from) != Some(to))).count()
    }

    /// All that passes of these kinds; everything else is blocked.
    ///
    /// # Errors
    /// Where the Model does not say.
    pub fn passing(&self, kinds: &BTreeSet<Kind>) -> Result<BTreeSet<Cell>> {
        let mut passing = BTreeSet::new();
        for from in &self.endpoints {
            for to in self.endpoints.iter().filter(|to| to.node != from.node) {
                for family in Family::BOTH {
                    for &kind in kinds {
                        let cell = Cell { from: from.name.clone(), to: to.name.clone(), family, kind };
                        if self.passes(from, to, family, kind).map_err(|Unclear(why)| Unclear(format!("{cell}: {why}")))? {
                            passing.insert(cell);
                        }
                    }
                }
            }
        }
        Ok(passing)
    }
}

/// Whether an address, known as the prefixes that it is in, is in another prefix.
fn inside(address: &[Prefix], prefix: Prefix) -> Result<bool> {
    if address.iter().all(|part| prefix.contains(*part)) {
        return Ok(!address.is_empty());
    }
    if address.iter().any(|part| prefix.overlaps(*part)) {
        return Err(Unclear(format!("an address somewhere in {address:?} may or may not be in {prefix}: fix it")));
    }
    Ok(false)
}

/// Whether it is in one of several.
fn inside_any<'p>(address: &[Prefix], prefixes: impl IntoIterator<Item = &'p Prefix>) -> Result<bool> {
    for prefix in prefixes {
        if inside(address, *prefix)? {
            return Ok(true);
        }
    }
    Ok(false)
}
