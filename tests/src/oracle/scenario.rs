//! The matrix as a scenario of the lab.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use leafwall_topology::{Family, Name};

use super::{Cell, Kind, Oracle, Result};

impl Oracle<'_> {
    /// A scenario that checks the whole matrix of these kinds on the fabric in `fabric`, a path from the scenario's place.
    ///
    /// # Errors
    /// Where the Model does not say what passes.
    pub fn scenario(&self, name: &str, fabric: &str, kinds: &BTreeSet<Kind>) -> Result<String> {
        let mut out = format!("apiVersion: leafwall.io/v1\nkind: Scenario\nmetadata: {{name: {name}}}\nspec:\n  fabric: {fabric}\n");
        let _ = writeln!(out, "  tryAlso: {{{}}}", what(kinds));
        let lines = lines(&self.passing(kinds)?, kinds);
        out.push_str(if lines.is_empty() { "  expect: []\n" } else { "  expect:\n" });
        for line in lines {
            let _ = writeln!(out, "    - {line}");
        }
        out.push_str("  steps:\n    - check: expect\n");
        Ok(out)
    }
}

/// What passes between two, with the families in which it does.
type Ways = BTreeMap<BTreeSet<Kind>, BTreeSet<Family>>;

/// Sources that reach the same destination alike share a line.
fn lines(passing: &BTreeSet<Cell>, all: &BTreeSet<Kind>) -> Vec<String> {
    let mut pairs: BTreeMap<(&Name, &Name), Ways> = BTreeMap::new();
    let kinds_of = |from: &Name, to: &Name, family: Family| -> BTreeSet<Kind> {
        passing.iter().filter(|cell| cell.from == *from && cell.to == *to && cell.family == family).map(|cell| cell.kind).collect()
    };
    for cell in passing {
        let kinds = kinds_of(&cell.from, &cell.to, cell.family);
        pairs.entry((&cell.to, &cell.from)).or_default().entry(kinds).or_default().insert(cell.family);
    }
    let mut lines: BTreeMap<(&Name, String), Vec<&str>> = BTreeMap::new();
    for ((to, from), ways) in pairs {
        for (kinds, families) in ways {
            let what = if kinds == *all { "any: true".to_owned() } else { what(&kinds) };
            let families: Vec<&str> = families.iter().map(|family| if *family == Family::V4 { "ipv4" } else { "ipv6" }).collect();
            let rest = format!("to: {to}, {what}, families: [{}]", families.join(", "));
            lines.entry((to, rest)).or_default().push(from.as_str());
        }
    }
    lines.into_iter().map(|((_, rest), from)| format!("{{from: [{}], {rest}}}", from.join(", "))).collect()
}

fn what(kinds: &BTreeSet<Kind>) -> String {
    let ports = |of: fn(&Kind) -> Option<u16>| kinds.iter().filter_map(of).map(|port| port.to_string()).collect::<Vec<_>>().join(", ");
    let tcp = ports(|kind| if let Kind::Tcp(port) = kind { Some(*port) } else { None });
    let udp = ports(|kind| if let Kind::Udp(port) = kind { Some(*port) } else { None });
    let mut parts = Vec::new();
    if kinds.contains(&Kind::Ping) {
        parts.push("ping: true".to_owned());
    }
    if !tcp.is_empty() {
        parts.push(format!("tcp: [{tcp}]"));
    }
    if !udp.is_empty() {
        parts.push(format!("udp: [{udp}]"));
    }
    parts.join(", ")
}
