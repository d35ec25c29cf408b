//! Measuring how long nothing gets through while something fails.

use std::collections::BTreeMap;

use leafwall_topology::Name;
use serde::Serialize;

use super::matrix::{CLOSED, Cell, Matrix, family_name};
use super::probers::{FIRST_STREAM_NONCE, Probers};
use crate::error::{LabError, Result};
use crate::prober::{Order, Probe, ProbeKind, Report};

/// From one probe of a stream to its next, when there are few.
const INTERVAL_MS: u32 = 10;
/// All streams together send no more than this many probes a millisecond, so that they do not measure the machine's own limits.
const PROBES_PER_MS: usize = 1;
/// Nonces that one stream may use: at 10 ms enough for hours.
const NONCES: u32 = 1 << 20;

/// Streams that run.
pub(super) struct Streams {
    cells: BTreeMap<Name, Vec<Cell>>,
    interval_ms: u32,
}

/// The longest gap of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Gap {
    /// The source.
    pub from: String,
    /// The destination.
    pub to: String,
    /// What was sent.
    pub probe: String,
    /// How many were sent.
    pub sent: u32,
    /// How many were answered.
    pub answered: u32,
    /// How long nothing was, in ms.
    pub longest_gap_ms: u32,
    /// The time between two probes, in ms: shorter gaps are not seen.
    pub resolution_ms: u32,
}

impl Streams {
    /// Starts a stream for each pair and family: the first that passes of ping, UDP, TCP.
    pub(super) fn start(probers: &mut Probers, matrix: &Matrix, pairs: &[(Name, Name)]) -> Result<Self> {
        let mut chosen: BTreeMap<(Name, Name, leafwall_topology::Family), Cell> = BTreeMap::new();
        for cell in matrix.passing().filter(|cell| cell.kind != CLOSED) {
            let asked = pairs.is_empty() || pairs.iter().any(|(from, to)| *from == cell.from && *to == cell.to);
            if asked {
                let key = (cell.from.clone(), cell.to.clone(), cell.family);
                let entry = chosen.entry(key).or_insert_with(|| cell.clone());
                if cell.kind == ProbeKind::Ping {
                    *entry = cell.clone();
                }
            }
        }
        if chosen.is_empty() {
            return Err(LabError::Scenario("there is no pair to measure a gap of: none of those named is to reach the other".to_owned()));
        }
        let interval_ms = INTERVAL_MS.max(u32::try_from(chosen.len() / PROBES_PER_MS).unwrap_or(u32::MAX));
        let mut cells: BTreeMap<Name, Vec<Cell>> = BTreeMap::new();
        let mut orders: BTreeMap<Name, Vec<Probe>> = BTreeMap::new();
        for (index, cell) in (0..).zip(chosen.into_values()) {
            let node = probers.endpoint(&cell.from)?.node.clone();
            if let Some(probe) = probers.probes(&cell).into_iter().next() {
                orders.entry(node.clone()).or_default().push(Probe { nonce: FIRST_STREAM_NONCE + index * NONCES, ..probe });
                cells.entry(node).or_default().push(cell);
            }
        }
        let orders = orders.into_iter().map(|(node, probes)| (node, Order::Stream { probes, interval_ms })).collect();
        probers.tell(&orders)?;
        Ok(Self { cells, interval_ms })
    }

    /// Ends them.
    pub(super) fn stop(self, probers: &mut Probers) -> Result<Vec<Gap>> {
        let orders = self.cells.keys().map(|node| (node.clone(), Order::Stop)).collect();
        let mut gaps = Vec::new();
        for (node, report) in probers.ask(&orders)? {
            let Report::Streams(reports) = report else {
                return Err(LabError::Protocol { what: format!("the prober of `{node}` did not tell of its streams") });
            };
            for (cell, report) in self.cells.get(&node).into_iter().flatten().zip(reports) {
                gaps.push(Gap {
                    from: cell.from.to_string(),
                    to: cell.to.to_string(),
                    probe: format!("{} {}", family_name(cell.family), cell.kind),
                    sent: report.sent,
                    answered: report.answered,
                    longest_gap_ms: report.longest_gap_ms,
                    resolution_ms: self.interval_ms,
                });
            }
        }
        Ok(gaps)
    }
}
