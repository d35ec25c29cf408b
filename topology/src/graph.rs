//! The cabling as a graph.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::interface::IfName;
use crate::name::Name;

/// One port of one device: `leaf-01:swp1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortRef {
    /// The switch, server or firewall machine.
    pub device: Name,
    /// Its interface.
    pub port: IfName,
}

impl fmt::Display for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.device, self.port)
    }
}

/// A cable between two ports; the smaller end first, so that a cable has one spelling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cable {
    /// The smaller end.
    pub a: PortRef,
    /// The other end.
    pub b: PortRef,
}

impl Cable {
    /// A cable between two ports, in whichever order they come.
    pub fn new(one: PortRef, other: PortRef) -> Self {
        if one <= other { Self { a: one, b: other } } else { Self { a: other, b: one } }
    }
}

impl fmt::Display for Cable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -- {}", self.a, self.b)
    }
}

/// All cables, by the port at either end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    cables: Vec<Cable>,
    far_ends: BTreeMap<PortRef, PortRef>,
}

impl Graph {
    /// A graph of these cables. A port that several cables claim keeps the first one; the checks of intents refuse that before.
    pub fn new(cables: impl IntoIterator<Item = Cable>) -> Self {
        let mut cables: Vec<Cable> = cables.into_iter().collect();
        cables.sort();
        cables.dedup();
        let mut far_ends = BTreeMap::new();
        for cable in &cables {
            far_ends.entry(cable.a.clone()).or_insert_with(|| cable.b.clone());
            far_ends.entry(cable.b.clone()).or_insert_with(|| cable.a.clone());
        }
        Self { cables, far_ends }
    }

    /// All cables, sorted.
    pub fn cables(&self) -> &[Cable] {
        &self.cables
    }

    /// What is at the other end of a port's cable.
    pub fn far_end(&self, port: &PortRef) -> Option<&PortRef> {
        self.far_ends.get(port)
    }

    /// The cabled ports of a device with their far ends, sorted by port.
    pub fn ports_of<'a>(&'a self, device: &'a Name) -> impl Iterator<Item = (&'a IfName, &'a PortRef)> + 'a {
        self.far_ends.iter().filter(move |(near, _)| near.device == *device).map(|(near, far)| (&near.port, far))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(device: &str, port: &str) -> PortRef {
        PortRef { device: device.parse().unwrap(), port: port.parse().unwrap() }
    }

    #[test]
    fn a_cable_has_one_spelling() {
        let cable = Cable::new(port("spine-01", "swp1"), port("leaf-01", "swp31"));
        assert_eq!(cable.to_string(), "leaf-01:swp31 -- spine-01:swp1");
        let graph = Graph::new([cable]);
        assert_eq!(graph.far_end(&port("spine-01", "swp1")), Some(&port("leaf-01", "swp31")));
    }
}
