//! What a fabric lets pass, kept so that the next revision can be held against it: which pairs a change opens and closes, and whose they are.
//!
//! Two things are compared. Between endpoints, what arrives by the proof. And for each firewall what its rules let through from one network into another, whoever is there:
//! so that a rule about addresses outside is told of too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::sync::Arc;

use leafwall_intent::model::{Firewall, NetworkType};
use leafwall_policy::sets::{Field, Header, PacketSet};
use leafwall_topology::{Family, Name};

use crate::Proof;
use crate::ground::Ground;
use crate::intended;
use crate::matrix::Matrix;

/// Intervals of addresses that are told by themselves; of more than these, their number.
const TOLD: usize = 3;

/// Whose an end of a pair is.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party {
    /// The network, or the firewall itself.
    pub network: String,
    /// The tenant; nobody's is the outside.
    pub tenant: Option<Name>,
    /// Whether other tenants know of it: networks that are shared, and the outside.
    pub is_public: bool,
}

impl Party {
    /// A network's.
    pub(crate) fn network(ground: &Ground<'_>, name: &Name) -> Self {
        let network = ground.network(name);
        Self {
            network: name.to_string(),
            tenant: network.and_then(|network| network.tenant.clone()),
            is_public: network.is_some_and(|network| network.kind != NetworkType::Private),
        }
    }

    /// A firewall's own.
    pub(crate) fn firewall(firewall: &Firewall) -> Self {
        Self { network: format!("{} itself", firewall.name), tenant: Some(firewall.tenant.clone()), is_public: false }
    }

    /// Of a machine that is in no network.
    pub(crate) fn nobody() -> Self {
        Self { network: "nobody's".to_owned(), tenant: None, is_public: false }
    }
}

/// What passes in a fabric.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    matrix: Matrix,
    rules: BTreeMap<Name, Arc<Rules>>,
}

/// What a firewall lets through, by the networks on both sides.
#[derive(Debug)]
pub struct Rules {
    tenant: Name,
    passes: BTreeMap<(Party, Party), PacketSet>,
}

impl Rules {
    /// Of a firewall; nothing where its intents are not complete.
    pub(crate) fn of(ground: &Ground<'_>, firewall: &Firewall) -> Option<Self> {
        let rules = ground.rules_of(&firewall.name)?;
        let pairs = rules.zones.iter().flat_map(|input| rules.zones.iter().map(move |output| (input, output)));
        let passes = pairs.filter(|(input, output)| input.network != output.network).map(|(input, output)| {
            // what is not in the network, or behind it, is not routed there
            let there = PacketSet::prefixes(Field::Destination, &output.prefixes);
            let ends = (Party::network(ground, &input.network), Party::network(ground, &output.network));
            (ends, intended::allowed(rules, input, output).packets.and(&there))
        });
        Some(Self { tenant: firewall.tenant.clone(), passes: passes.filter(|(_, packets)| !packets.is_empty()).collect() })
    }
}

/// Whether packets pass that did not before, or no longer do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// They do now.
    Opens,
    /// They no longer do.
    Closes,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opens => "opens",
            Self::Closes => "closes",
        })
    }
}

/// Packets between two parties that a change opens or closes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Which of the two.
    pub way: Way,
    /// Who sends.
    pub from: Party,
    /// To whom.
    pub to: Party,
    /// The firewall whose rules say so; `None` where it is told of endpoints, whatever lets them.
    pub firewall: Option<Name>,
    /// Whose that firewall is.
    pub owner: Option<Name>,
    /// Protocols and ports, and for rules from where to where, in words.
    pub what: String,
    /// One of these packets.
    pub packet: Header,
    /// The tenants that it is about: those of both ends, and of the firewall.
    pub tenants: BTreeSet<Name>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} from `{}` to `{}`", self.way, self.what, self.from.network, self.to.network)?;
        if let Some(firewall) = &self.firewall {
            write!(f, " at firewall `{firewall}`")?;
        }
        write!(f, ", such as {}", self.packet)
    }
}

impl Reach {
    /// Of a proof.
    pub fn new(proof: &Proof) -> Self {
        Self { matrix: proof.matrix.clone(), rules: proof.rules.clone() }
    }

    /// What a change from this fabric to another opens and closes, those of the same two networks together, sorted.
    pub fn changes(&self, after: &Self) -> Vec<Change> {
        let mut found = BTreeMap::new();
        self.compare(after, |key, packets| {
            let known: &mut PacketSet = found.entry(key).or_default();
            *known = known.or(packets);
        });
        let mut changes: Vec<Change> = found.into_iter().filter_map(|(key, packets)| key.told(&packets)).collect();
        changes.sort();
        changes
    }

    fn compare(&self, after: &Self, mut tell: impl FnMut(Key, &PacketSet)) {
        let nothing = PacketSet::none();
        for (way, from, to) in [(Way::Opens, after, self), (Way::Closes, self, after)] {
            for (sender, row) in from.matrix.rows() {
                let other = to.matrix.row(sender);
                if other.is_some_and(|other| Arc::ptr_eq(row, other)) {
                    continue;
                }
                for (receiver, cell) in &row.cells {
                    let known = other.and_then(|other| other.cells.get(receiver)).map_or(&nothing, |cell| &cell.arrives);
                    let beyond = cell.arrives.minus(known);
                    // who sends stands where the packets are
                    if let (false, Some(at)) = (beyond.is_empty(), from.matrix.row(receiver)) {
                        tell(Key { way, from: row.party.clone(), to: at.party.clone(), firewall: None }, &beyond);
                    }
                }
            }
            for (firewall, rules) in &from.rules {
                if to.rules.get(firewall).is_some_and(|other| Arc::ptr_eq(rules, other)) {
                    continue;
                }
                for ((one, other), packets) in &rules.passes {
                    let beyond = packets.minus(
                        to.rules.get(firewall).and_then(|rules| rules.passes.get(&(one.clone(), other.clone()))).unwrap_or(&nothing),
                    );
                    if !beyond.is_empty() {
                        let firewall = Some((firewall.clone(), rules.tenant.clone()));
                        tell(Key { way, from: one.clone(), to: other.clone(), firewall }, &beyond);
                    }
                }
            }
        }
    }
}

/// What is told together.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    way: Way,
    from: Party,
    to: Party,
    /// With its tenant.
    firewall: Option<(Name, Name)>,
}

impl Key {
    fn told(self, packets: &PacketSet) -> Option<Change> {
        let Self { way, from, to, firewall } = self;
        let packet = packets.witness()?;
        let mut what = packets.services();
        if firewall.is_some() {
            for (word, field) in [("from", Field::Source), ("to", Field::Destination)] {
                let ends: Vec<String> = Family::BOTH.into_iter().filter_map(|family| ends(packets, field, family)).collect();
                let _ = write!(what, " {word} {}", ends.join(", "));
            }
        }
        let (firewall, owner) = firewall.unzip();
        let tenants = [&from.tenant, &to.tenant, &owner].into_iter().flatten().cloned().collect();
        Some(Change { way, from, to, firewall, owner, what, packet, tenants })
    }
}

/// Addresses of a field, in words; `None` where a family has no packet at all.
fn ends(packets: &PacketSet, field: Field, family: Family) -> Option<String> {
    if packets.and(&PacketSet::family(family)).is_empty() {
        return None;
    }
    let Some(intervals) = packets.ends(field, family) else { return Some(format!("any {family:?}")) };
    let mut told: Vec<String> = intervals
        .iter()
        .take(TOLD)
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect();
    if intervals.len() > TOLD {
        told.push(format!("{} more", intervals.len() - TOLD));
    }
    Some(told.join(" "))
}
