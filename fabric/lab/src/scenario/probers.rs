//! The probers of a lab: one process per node with endpoints, all asked at once.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use leafwall_render::inventory::{LabEndpoint, LabInventory};
use leafwall_topology::{Family, Name};

use super::matrix::{CLOSED, Cell, Matrix, addresses};
use crate::error::{LabError, Result};
use crate::nodes::NodeLab;
use crate::prober::{Arrival, Order, Outcome, Probe, ProbeKind, Report};

/// Rounds count their nonces up from here; streams use those above.
const FIRST_NONCE: u32 = 0x1000_0000;
/// Streams' nonces begin here.
pub(super) const FIRST_STREAM_NONCE: u32 = 0x8000_0000;

/// What was seen of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sight {
    /// Everything arrived and was answered.
    Passed,
    /// It arrived at the destination at least once, but was not answered as it should.
    Arrived(String),
    /// Nothing arrived.
    Nothing(String),
    /// It could not be tried.
    Broken(String),
}

/// All probers of a lab. Dropping it ends them.
pub(super) struct Probers {
    nodes: BTreeMap<Name, Prober>,
    endpoints: BTreeMap<Name, LabEndpoint>,
    next_nonce: u32,
}

struct Prober {
    child: Child,
    orders: ChildStdin,
    reports: BufReader<ChildStdout>,
}

impl Probers {
    /// Starts them, listening on what the matrix tries.
    pub(super) fn start(lab: &NodeLab, matrix: &Matrix) -> Result<Self> {
        let inventory: &LabInventory = lab.inventory();
        let program = std::env::current_exe().map_err(LabError::system("find this program"))?;
        let mut probers = BTreeMap::new();
        for endpoint in inventory.endpoints.values() {
            if probers.contains_key(&endpoint.node) {
                continue;
            }
            let namespace = lab.node(&endpoint.node)?;
            let mut command = Command::new(&program);
            command.args(["lab", "probe"]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = namespace.spawn(&mut command)?;
            let (Some(orders), Some(reports)) = (child.stdin.take(), child.stdout.take()) else { continue };
            probers.insert(endpoint.node.clone(), Prober { child, orders, reports: BufReader::new(reports) });
        }
        let mut all = Self {
            nodes: probers,
            endpoints: inventory.endpoints.iter().map(|(name, endpoint)| (name.clone(), LabEndpoint::clone(endpoint))).collect(),
            next_nonce: FIRST_NONCE,
        };
        let port = |kind: &ProbeKind| if *kind == CLOSED { None } else { Some(*kind) };
        let tcp: Vec<u16> = matrix
            .kinds()
            .iter()
            .filter_map(port)
            .filter_map(|kind| if let ProbeKind::Tcp(port) = kind { Some(port) } else { None })
            .collect();
        let udp: Vec<u16> =
            matrix.kinds().iter().filter_map(|kind| if let ProbeKind::Udp(port) = kind { Some(*port) } else { None }).collect();
        let orders = all.nodes.keys().map(|node| {
            let mut at: BTreeMap<_, Vec<_>> = BTreeMap::new();
            for endpoint in all.endpoints.values().filter(|endpoint| endpoint.node == *node) {
                let known = at.entry(endpoint.vrf.clone()).or_default();
                known.extend(Family::BOTH.into_iter().flat_map(|family| addresses(endpoint, family)));
            }
            (node.clone(), Order::Listen { tcp: tcp.clone(), udp: udp.clone(), at: at.into_iter().collect() })
        });
        let orders: BTreeMap<Name, Order> = orders.collect();
        all.ask(&orders)?;
        Ok(all)
    }

    /// Tries all these cells at once and tells what was seen of each.
    pub(super) fn round(&mut self, cells: &[&Cell]) -> Result<HashMap<Cell, Sight>> {
        let mut probes: BTreeMap<Name, Vec<Probe>> = BTreeMap::new();
        let mut tried: HashMap<u32, Cell> = HashMap::new();
        for cell in cells {
            for probe in self.probes(cell) {
                tried.insert(probe.nonce, (*cell).clone());
                let node = self.endpoint(&cell.from)?.node.clone();
                probes.entry(node).or_default().push(probe);
            }
        }
        let orders: BTreeMap<Name, Order> = probes.iter().map(|(node, probes)| (node.clone(), Order::Round(probes.clone()))).collect();
        let mut outcomes: HashMap<u32, Outcome> = HashMap::new();
        for (node, report) in self.ask(&orders)? {
            let (Report::Round(round), Some(probes)) = (report, probes.get(&node)) else { return Err(unexpected(&node)) };
            outcomes.extend(probes.iter().map(|probe| probe.nonce).zip(round));
        }
        let orders: BTreeMap<Name, Order> = self.nodes.keys().map(|node| (node.clone(), Order::Collect)).collect();
        let mut arrivals: HashMap<(Name, u32), Arrival> = HashMap::new();
        for (node, report) in self.ask(&orders)? {
            let Report::Arrivals(list) = report else { return Err(unexpected(&node)) };
            arrivals.extend(list.into_iter().map(|arrival| ((node.clone(), arrival.nonce), arrival)));
        }
        let mut sights: HashMap<Cell, Sight> = HashMap::new();
        for (nonce, cell) in tried {
            let node = self.endpoint(&cell.to)?.node.clone();
            let sight = sight(cell.kind, outcomes.get(&nonce), arrivals.get(&(node, nonce)));
            // A cell with several addresses is only as good as its worst, and blocked only if all are.
            match sights.entry(cell) {
                std::collections::hash_map::Entry::Vacant(entry) => {
                    entry.insert(sight);
                }
                std::collections::hash_map::Entry::Occupied(mut entry) => {
                    let both = worst(entry.get(), &sight);
                    entry.insert(both);
                }
            }
        }
        Ok(sights)
    }

    /// The endpoints that do not even hear themselves: nothing that their probers say can be believed.
    pub(super) fn deaf(&mut self) -> Result<Vec<Cell>> {
        let mut own = Vec::new();
        for (name, endpoint) in &self.endpoints {
            for family in Family::BOTH.into_iter().filter(|family| !addresses(endpoint, *family).is_empty()) {
                own.push(Cell { from: name.clone(), to: name.clone(), family, kind: ProbeKind::Ping });
            }
        }
        let seen = self.round(&own.iter().collect::<Vec<_>>())?;
        Ok(own.into_iter().filter(|cell| seen.get(cell) != Some(&Sight::Passed)).collect())
    }

    /// Gives each node an order and waits for all reports.
    pub(super) fn ask(&mut self, orders: &BTreeMap<Name, Order>) -> Result<BTreeMap<Name, Report>> {
        let asked = self.nodes.iter_mut().filter_map(|(node, prober)| Some((node, prober, orders.get(node)?)));
        let reports: Vec<(Name, Result<Report>)> = thread::scope(|scope| {
            let threads: Vec<_> = asked.map(|(node, prober, order)| (node.clone(), scope.spawn(move || prober.ask(node, order)))).collect();
            threads
                .into_iter()
                .map(|(node, thread)| {
                    let report = thread.join().unwrap_or_else(|_| Err(unexpected(&node)));
                    (node, report)
                })
                .collect()
        });
        reports.into_iter().map(|(node, report)| Ok((node, report?))).collect()
    }

    /// Gives each node an order that is not answered.
    pub(super) fn tell(&mut self, orders: &BTreeMap<Name, Order>) -> Result<()> {
        for (node, order) in orders {
            if let Some(prober) = self.nodes.get_mut(node) {
                prober.tell(node, order)?;
            }
        }
        Ok(())
    }

    /// An endpoint of the fabric.
    pub(super) fn endpoint(&self, name: &Name) -> Result<&LabEndpoint> {
        self.endpoints.get(name).ok_or_else(|| LabError::Scenario(format!("`{name}` is no endpoint of the fabric")))
    }

    /// The names of all endpoints.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Name> {
        self.endpoints.keys()
    }

    /// A probe for each pair of addresses of a cell.
    pub(super) fn probes(&mut self, cell: &Cell) -> Vec<Probe> {
        let (Some(from), Some(to)) = (self.endpoints.get(&cell.from), self.endpoints.get(&cell.to)) else { return Vec::new() };
        let mut probes = Vec::new();
        for source in addresses(from, cell.family) {
            for destination in addresses(to, cell.family) {
                self.next_nonce = if self.next_nonce + 1 >= FIRST_STREAM_NONCE { FIRST_NONCE } else { self.next_nonce + 1 };
                probes.push(Probe { nonce: self.next_nonce, from: source, vrf: from.vrf.clone(), to: destination, kind: cell.kind });
            }
        }
        probes
    }
}

impl Drop for Probers {
    fn drop(&mut self) {
        for prober in self.nodes.values_mut() {
            let _ = prober.child.kill();
            let _ = prober.child.wait();
        }
    }
}

impl Prober {
    fn tell(&mut self, node: &Name, order: &Order) -> Result<()> {
        let json = serde_json::to_string(order).map_err(|error| LabError::Protocol { what: error.to_string() })?;
        writeln!(self.orders, "{json}")
            .and_then(|()| self.orders.flush())
            .map_err(LabError::system(format!("speak with the prober of `{node}`")))
    }

    fn ask(&mut self, node: &Name, order: &Order) -> Result<Report> {
        self.tell(node, order)?;
        let mut line = String::new();
        self.reports.read_line(&mut line).map_err(LabError::system(format!("hear the prober of `{node}`")))?;
        match serde_json::from_str(&line) {
            Ok(Report::Failed(why)) => Err(LabError::Protocol { what: format!("the prober of `{node}`: {why}") }),
            Ok(report) => Ok(report),
            Err(_) if line.is_empty() => Err(LabError::Protocol { what: format!("the prober of `{node}` ended") }),
            Err(error) => Err(LabError::Protocol { what: format!("the prober of `{node}`: {error}") }),
        }
    }
}

fn unexpected(node: &Name) -> LabError {
    LabError::Protocol { what: format!("the prober of `{node}` answered something else than it was asked") }
}

/// What one probe showed. Two tenants may have the same address: an answer only counts if the probe arrived at the destination that was meant.
fn sight(kind: ProbeKind, outcome: Option<&Outcome>, arrival: Option<&Arrival>) -> Sight {
    let wanted = if kind == CLOSED { Outcome::Closed } else { Outcome::Answered };
    let how = match outcome {
        Some(Outcome::Answered) => "answered by another machine".to_owned(),
        Some(Outcome::Closed) => "refused".to_owned(),
        Some(Outcome::HalfOpen) => "a connection opened but carried no data".to_owned(),
        Some(Outcome::Silent) | None => "no answer".to_owned(),
        Some(Outcome::NoRoute) => "the source has no route".to_owned(),
        Some(Outcome::Broken(why)) => return Sight::Broken(why.clone()),
    };
    match arrival {
        Some(_) if outcome == Some(&wanted) => Sight::Passed,
        Some(arrival) if outcome == Some(&Outcome::Answered) => Sight::Arrived(format!("answered, seen from {}", arrival.source)),
        Some(arrival) => Sight::Arrived(format!("arrived from {}, {how}", arrival.source)),
        None => Sight::Nothing(how),
    }
}

fn worst(one: &Sight, other: &Sight) -> Sight {
    match (one, other) {
        (Sight::Broken(why), _) | (_, Sight::Broken(why)) => Sight::Broken(why.clone()),
        (Sight::Passed, Sight::Passed) => Sight::Passed,
        (Sight::Nothing(how), Sight::Nothing(_)) => Sight::Nothing(how.clone()),
        (Sight::Arrived(how), _) | (_, Sight::Arrived(how)) => Sight::Arrived(how.clone()),
        (Sight::Passed, Sight::Nothing(how)) | (Sight::Nothing(how), Sight::Passed) => {
            Sight::Arrived(format!("only some of its addresses: {how}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_from_the_wrong_machine_is_none() {
        assert_eq!(sight(ProbeKind::Ping, Some(&Outcome::Answered), None), Sight::Nothing("answered by another machine".to_owned()));
    }

    #[test]
    fn a_closed_port_is_passed_when_refused() {
        let arrival = Arrival { nonce: 1, source: "10.0.0.1".parse().unwrap() };
        assert_eq!(sight(CLOSED, Some(&Outcome::Closed), Some(&arrival)), Sight::Passed);
        assert!(matches!(sight(ProbeKind::Tcp(80), Some(&Outcome::Closed), Some(&arrival)), Sight::Arrived(_)));
    }

    #[test]
    fn one_address_of_two_is_neither_passed_nor_blocked() {
        let both = worst(&Sight::Passed, &Sight::Nothing("no answer".to_owned()));
        assert!(matches!(both, Sight::Arrived(_)));
    }
}
