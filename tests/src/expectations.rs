//! What a scenario expects, as a matrix of probes: the hand-written truth about a fabric.

#![allow(clippy::panic)] // a scenario that tests read is legal or the test is wrong

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use leafwall_intent::FileId;
use leafwall_intent::yaml::{Located, Yaml, documents};
use leafwall_topology::{Family, Name};

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    /// An echo request.
    Ping,
    /// A TCP connection to this port.
    Tcp(u16),
    /// A UDP packet to this port.
    Udp(u16),
}

/// The expectations of a scenario.
#[derive(Debug, Default)]
pub struct Expectations {
    /// Everything that is tried.
    pub probes: BTreeSet<Probe>,
    /// What passes: from, to, family, and what; `None` for everything.
    passes: BTreeMap<(Name, Name, Family), Vec<Option<Probe>>>,
}

/// A closed TCP port that scenarios try besides those that they name.
const CLOSED: u16 = 9;

impl Expectations {
    /// Reads the `expect` and `tryAlso` of a scenario's file.
    ///
    /// # Panics
    /// Where it is no scenario.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (documents, diagnostics) = documents(FileId(0), &text);
        assert!(!diagnostics.has_errors(), "{}", path.display());
        let spec = field(&documents[0], "spec").unwrap_or_else(|| panic!("no spec"));
        let mut read = Self { probes: BTreeSet::from([Probe::Ping, Probe::Tcp(22), Probe::Tcp(CLOSED)]), ..Self::default() };
        if let Some(also) = field(spec, "tryAlso") {
            read.probes.extend(probes(also));
        }
        for expectation in field(spec, "expect").map(list).unwrap_or_default() {
            let named =
                |key| field(expectation, key).map(list).unwrap_or_default().iter().map(|name| parsed(text_of(name))).collect::<Vec<Name>>();
            let families = field(expectation, "families").map(list);
            let families: Vec<Family> = families.map_or(Family::BOTH.to_vec(), |stated| {
                stated.iter().map(|family| if text_of(family) == "ipv4" { Family::V4 } else { Family::V6 }).collect()
            });
            let only = probes(expectation);
            read.probes.extend(&only);
            let passes: Vec<Option<Probe>> =
                if field(expectation, "any").is_some() { vec![None] } else { only.into_iter().map(Some).collect() };
            for from in named("from") {
                for to in named("to") {
                    for family in &families {
                        read.passes.entry((from.clone(), to.clone(), *family)).or_default().extend(&passes);
                    }
                }
            }
        }
        read
    }

    /// Whether a probe passes.
    pub fn pass(&self, from: &Name, to: &Name, family: Family, probe: Probe) -> bool {
        let stated = self.passes.get(&(from.clone(), to.clone(), family));
        stated.is_some_and(|stated| stated.iter().any(|passes| passes.is_none_or(|passes| passes == probe)))
    }
}

fn parsed(text: &str) -> Name {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn field<'a>(value: &'a Located, key: &str) -> Option<&'a Located> {
    let Yaml::Mapping(entries) = &value.value else { return None };
    entries.iter().find(|(name, ..)| name == key).map(|(_, _, value)| value)
}

/// The items of a list; a single value counts as a list of one.
fn list(value: &Located) -> Vec<&Located> {
    match &value.value {
        Yaml::List(items) => items.iter().collect(),
        _ => vec![value],
    }
}

fn text_of(value: &Located) -> &str {
    if let Yaml::Text(text) = &value.value { text } else { "" }
}

fn probes(value: &Located) -> Vec<Probe> {
    let ports = |key| field(value, key).map(list).unwrap_or_default().into_iter().filter_map(|port| text_of(port).parse().ok());
    let ping = field(value, "ping").map(|_| Probe::Ping);
    ping.into_iter().chain(ports("tcp").map(Probe::Tcp)).chain(ports("udp").map(Probe::Udp)).collect()
}
