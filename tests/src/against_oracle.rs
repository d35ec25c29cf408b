//! The proof beside the oracle, which shares nothing with it: what the one reads out of artefacts the other derives from the Model.

#![allow(clippy::unwrap_used, clippy::panic)]

use leafwall_intent::model::{Firewall, Model, Peering};
use leafwall_policy::sets::Header;
use leafwall_proof::{Broken, Proof, matrix};
use leafwall_topology::Family;

use crate::oracle::{Cell, Kind, Oracle};
use crate::rendered::Rendered;

/// What came of comparing some fabrics.
#[derive(Debug, Default)]
pub struct Compared {
    /// Packets that both were asked about.
    pub probes: usize,
    /// Those that pass.
    pub passing: usize,
    /// Fabrics that were looked at for isolation alone.
    pub isolation_alone: usize,
    /// Pairs of endpoints that the proof did not have to look at.
    pub left_out: usize,
    /// Where they differ.
    pub wrong: Vec<String>,
}

fn joined_twice(model: &Model) -> bool {
    let both = |peering: &Peering, firewall: &Firewall| peering.sides.iter().all(|side| firewall.networks.contains(&side.network));
    model.peerings.values().any(|peering| model.firewalls.values().any(|firewall| both(peering, firewall)))
}

impl Compared {
    /// Compares one more, called by this name.
    ///
    /// # Panics
    /// Where the fabric can't be read, or a pair is lost by not being looked at.
    pub fn compare(&mut self, name: &str, fabric: &Rendered) -> Proof {
        let inventory = fabric.inventory();
        let input = fabric.input(&inventory);
        let proof = leafwall_proof::prove(&input).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
        // nobody loses a pair by not being looked at
        #[allow(clippy::redundant_closure_for_method_calls)] // the method is not general enough in its lifetimes
        let every = leafwall_proof::examine(&input, |matcher| matcher.matrix()).unwrap();
        assert_eq!(every.cells().count(), proof.pairs);
        self.left_out += proof.pairs - proof.matrix.cells().count();
        for (from, to, cell) in every.cells() {
            let known = proof.matrix.cell(from, to).cloned().unwrap_or_default();
            assert_eq!(
                (&known.arrives, &known.answered, &known.intended),
                (&cell.arrives, &cell.answered, &cell.intended),
                "{name}: {from} {to}"
            );
        }
        // where a firewall joins both sides of a peering its announcement may win over the leak: closed, not open (docs/decisions.md)
        if joined_twice(input.model) {
            self.isolation_alone += 1;
            let broken = proof.findings.iter().filter(|finding| finding.broken == Broken::Isolation);
            self.wrong.extend(broken.map(|finding| format!("{name}: {finding}")));
            return proof;
        }
        let oracle = Oracle::new(input.model);
        let kinds = oracle.kinds();
        let Ok(expected) = oracle.passing(&kinds) else { panic!("{name}: the oracle does not know") };
        self.wrong.extend(proof.findings.iter().map(|finding| format!("{name}: {finding}")));
        for (from, to, cell) in proof.cells().filter(|(from, to, _)| inventory.endpoints[*from].node != inventory.endpoints[*to].node) {
            for source in matrix::addresses(&inventory.endpoints[from]) {
                let family = Family::of(source);
                for destination in matrix::addresses(&inventory.endpoints[to]).filter(|destination| Family::of(*destination) == family) {
                    for kind in &kinds {
                        let (protocol, source_port, destination_port) = match (kind, family) {
                            (Kind::Ping, Family::V4) => (1, 0, 8),
                            (Kind::Ping, Family::V6) => (58, 0, 128),
                            (Kind::Tcp(port), _) => (6, 40_000, *port),
                            (Kind::Udp(port), _) => (17, 40_000, *port),
                        };
                        let packet = Header { source, destination, protocol, source_port, destination_port, vni: 0 };
                        let passes = expected.contains(&Cell { from: from.clone(), to: to.clone(), family, kind: *kind });
                        let found = (cell.arrives.contains(&packet), cell.answered.contains(&packet));
                        self.probes += 1;
                        self.passing += usize::from(passes);
                        if found != (passes, passes) {
                            self.wrong.push(format!("{name}: {from} {to} {packet}: oracle {passes}, proof {found:?}"));
                        }
                    }
                }
            }
        }
        proof
    }
}
