//! The matrix: for every ordered pair of endpoints, both families and everything that is tried, whether it is to pass.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use leafwall_render::inventory::{LabEndpoint, LabInventory};
use leafwall_topology::{Family, Name};

use super::{Expectation, Passes};
use crate::error::{LabError, Result};
use crate::prober::ProbeKind;

/// Tried between every pair, whatever the scenario names.
const ALWAYS_TRIED: [ProbeKind; 2] = [ProbeKind::Ping, ProbeKind::Tcp(22)];
/// Nobody listens here: what passes to it is refused by the destination, not by the network.
pub(super) const CLOSED: ProbeKind = ProbeKind::Tcp(9);

/// One thing that is tried from one endpoint to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Cell {
    pub from: Name,
    pub to: Name,
    pub family: Family,
    pub kind: ProbeKind,
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}, {} {}", self.from, self.to, family_name(self.family), self.kind)
    }
}

/// What people call a family.
pub(super) const fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// What is expected of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// It passes and is answered.
    Pass,
    /// Nothing arrives.
    Blocked,
    /// Either: an end of it is out of service.
    Whatever,
}

/// All cells.
#[derive(Debug, Clone)]
pub(super) struct Matrix {
    cells: BTreeMap<Cell, Expected>,
    kinds: BTreeSet<ProbeKind>,
}

impl Matrix {
    /// Makes the whole matrix: what the expectations do not name is to be blocked.
    pub(super) fn new(inventory: &LabInventory, expect: &[Expectation], also_try: &[ProbeKind]) -> Result<Self> {
        let mut kinds: BTreeSet<ProbeKind> = ALWAYS_TRIED.into_iter().chain([CLOSED]).chain(also_try.iter().copied()).collect();
        for expectation in expect {
            if let Passes::Only(only) = &expectation.passes {
                kinds.extend(only);
            }
        }
        let mut cells = BTreeMap::new();
        for (from, source) in &inventory.endpoints {
            for (to, destination) in &inventory.endpoints {
                // What stays on one machine is no business of the fabric.
                if source.node == destination.node {
                    continue;
                }
                for family in Family::BOTH {
                    if addresses(source, family).is_empty() || addresses(destination, family).is_empty() {
                        continue;
                    }
                    for &kind in &kinds {
                        cells.insert(Cell { from: from.clone(), to: to.clone(), family, kind }, Expected::Blocked);
                    }
                }
            }
        }
        let mut matrix = Self { cells, kinds };
        for expectation in expect {
            matrix.expect(inventory, expectation)?;
        }
        Ok(matrix)
    }

    fn expect(&mut self, inventory: &LabInventory, expectation: &Expectation) -> Result<()> {
        for name in expectation.from.iter().chain(&expectation.to) {
            if !inventory.endpoints.contains_key(name) {
                let known = inventory.endpoints.keys().map(Name::as_str).collect::<Vec<_>>().join(", ");
                return Err(LabError::Scenario(format!("`{name}` is no endpoint of the fabric; it has {known}")));
            }
        }
        for (cell, expected) in &mut self.cells {
            let about =
                expectation.from.contains(&cell.from) && expectation.to.contains(&cell.to) && expectation.families.contains(&cell.family);
            let passes = match &expectation.passes {
                Passes::Any => true,
                Passes::Only(kinds) => kinds.contains(&cell.kind),
            };
            if about && passes {
                *expected = Expected::Pass;
            }
        }
        Ok(())
    }

    /// The same with these endpoints out of service: nothing is expected to pass there, and nothing else is allowed to.
    pub(super) fn without(&self, endpoints: &[Name]) -> Self {
        let mut matrix = self.clone();
        for (cell, expected) in &mut matrix.cells {
            if *expected == Expected::Pass && (endpoints.contains(&cell.from) || endpoints.contains(&cell.to)) {
                *expected = Expected::Whatever;
            }
        }
        matrix
    }

    /// All cells, sorted.
    pub(super) fn cells(&self) -> impl Iterator<Item = (&Cell, Expected)> {
        self.cells.iter().map(|(cell, expected)| (cell, *expected))
    }

    /// The cells that are to pass.
    pub(super) fn passing(&self) -> impl Iterator<Item = &Cell> {
        self.cells().filter(|(_, expected)| *expected == Expected::Pass).map(|(cell, _)| cell)
    }

    /// What is tried between every pair.
    pub(super) fn kinds(&self) -> &BTreeSet<ProbeKind> {
        &self.kinds
    }

    /// The cells that some expectations speak of, with what they say, for changes to the matrix.
    pub(super) fn named(&self, expectations: &[Expectation]) -> Vec<(Cell, Expected)> {
        let mut named = Vec::new();
        for cell in self.cells.keys() {
            for expectation in expectations {
                let about = expectation.from.contains(&cell.from)
                    && expectation.to.contains(&cell.to)
                    && expectation.families.contains(&cell.family);
                match &expectation.passes {
                    _ if !about => {}
                    Passes::Any => named.push((cell.clone(), Expected::Pass)),
                    Passes::Only(kinds) if kinds.is_empty() => named.push((cell.clone(), Expected::Blocked)),
                    Passes::Only(kinds) if kinds.contains(&cell.kind) => named.push((cell.clone(), Expected::Pass)),
                    Passes::Only(_) => {}
                }
            }
        }
        named
    }
}

/// An endpoint's addresses of one family.
pub(super) fn addresses(endpoint: &LabEndpoint, family: Family) -> Vec<IpAddr> {
    match family {
        Family::V4 => endpoint.v4.iter().copied().map(IpAddr::V4).collect(),
        Family::V6 => endpoint.v6.iter().copied().map(IpAddr::V6).collect(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::scenario) fn inventory() -> LabInventory {
        serde_json::from_str(
            r#"{"version": 1, "fabric": "t", "devices": [], "cables": [], "endpoints": {
                "a": {"node": "n1", "v4": ["10.0.0.1"], "v6": ["fd00::1"]},
                "a-www": {"node": "n1", "v4": ["203.0.113.1"]},
                "b": {"node": "n2", "v4": ["10.0.0.2"], "v6": ["fd00::2"]},
                "c": {"node": "n3", "v4": ["10.0.0.1"]}}}"#,
        )
        .unwrap()
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn expectation(from: &str, to: &str, passes: Passes) -> Expectation {
        Expectation { from: vec![name(from)], to: vec![name(to)], families: Family::BOTH.to_vec(), passes }
    }

    #[test]
    fn every_ordered_pair_is_in_it_and_blocked_unless_named() {
        let matrix = Matrix::new(&inventory(), &[expectation("a", "b", Passes::Any)], &[]).unwrap();
        let pairs: BTreeSet<_> = matrix.cells().map(|(cell, _)| (cell.from.as_str(), cell.to.as_str())).collect();
        assert_eq!(pairs.len(), 10, "twelve ordered pairs less the two within n1");
        assert!(matrix.passing().all(|cell| cell.from.as_str() == "a" && cell.to.as_str() == "b"));
        assert_eq!(matrix.passing().count(), 2 * matrix.kinds().len(), "both families");
    }

    #[test]
    fn a_port_that_one_pair_names_is_tried_between_all() {
        let matrix = Matrix::new(&inventory(), &[expectation("a", "b", Passes::Only(vec![ProbeKind::Tcp(80)]))], &[]).unwrap();
        assert_eq!(matrix.passing().map(|cell| cell.kind).collect::<BTreeSet<_>>(), [ProbeKind::Tcp(80)].into());
        assert!(
            matrix
                .cells()
                .any(|(cell, expected)| cell.from.as_str() == "c" && cell.kind == ProbeKind::Tcp(80) && expected == Expected::Blocked)
        );
    }

    #[test]
    fn out_of_service_is_not_allowed_more() {
        let matrix = Matrix::new(&inventory(), &[expectation("a", "b", Passes::Any)], &[]).unwrap().without(&[name("b")]);
        assert_eq!(matrix.passing().count(), 0);
        assert!(matrix.cells().filter(|(cell, _)| cell.from.as_str() == "b").all(|(_, expected)| expected == Expected::Blocked));
    }

    #[test]
    fn an_unknown_endpoint_is_an_error() {
        assert!(Matrix::new(&inventory(), &[expectation("a", "x", Passes::Any)], &[]).is_err());
    }
}
