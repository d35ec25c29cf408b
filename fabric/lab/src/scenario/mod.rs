//! Scenarios: a fabric, who is to reach whom, and steps.

mod decode;
mod fields;
mod gaps;
mod matrix;
mod probers;
pub(crate) mod report;
mod rollouts;
mod run;
mod suite;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use leafwall_render::inventory::LabInventory;
use leafwall_topology::{Family, IfName, Name};

use crate::error::Result;
use crate::nodes::managed::{Edit, Process};
use crate::prober::ProbeKind;

use rollouts::{ApplyToPacket, Change, DriftToRepair, Ended, KillPoints};
pub(crate) use suite::test;

/// How long a check waits for what is to be reachable, unless it says otherwise.
pub(crate) const DEFAULT_WITHIN: Duration = Duration::from_mins(1);
/// How long an attack may take to show an effect: twice an advertisement's way through the fabric under emulation.
pub(crate) const DEFAULT_SETTLE: Duration = Duration::from_secs(10);

/// The matrix of a scenario's file for a fabric: everything that is tried, as it is printed, and whether it is to pass.
///
/// # Errors
/// What is wrong with the file, or names no endpoint of the fabric.
pub fn expected(file: &Path, inventory: &LabInventory) -> Result<BTreeMap<String, bool>> {
    let scenario = decode::read(file)?;
    let matrix = matrix::Matrix::new(inventory, &scenario.expect, &scenario.also_try)?;
    Ok(matrix.cells().map(|(cell, expected)| (cell.to_string(), expected == matrix::Expected::Pass)).collect())
}

/// A scenario's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scenario {
    /// Its name.
    pub name: Name,
    /// The directory of the fabric.
    pub fabric: PathBuf,
    /// Where the file lies: scripts are found from here.
    pub directory: PathBuf,
    /// Who is to reach whom; everything else is to be blocked, for every ordered pair.
    pub expect: Vec<Expectation>,
    /// What is tried beside what [`Scenario::expect`] names.
    pub also_try: Vec<ProbeKind>,
    /// Whether devices have agents, and a controller tells them what to be.
    pub agents: bool,
    /// What is done.
    pub steps: Vec<Step>,
}

impl Scenario {
    /// The same with no step repeated more often than this.
    fn at_most(mut self, times: Option<u32>) -> Self {
        let Some(most) = times else { return self };
        for step in &mut self.steps {
            match step {
                Step::ApplyOften { times, .. } => *times = most.min(*times),
                Step::MeasureApply(measure) => measure.times = most.min(measure.times),
                Step::MeasureDrift(measure) => measure.times = most.min(measure.times),
                Step::KillPoints(points) => points.times = most.min(points.times),
                _ => {}
            }
        }
        self
    }
}

/// Who is to reach whom how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expectation {
    /// The sources.
    pub from: Vec<Name>,
    /// The destinations.
    pub to: Vec<Name>,
    /// Which families it is about.
    pub families: Vec<Family>,
    /// What passes.
    pub passes: Passes,
}

/// What passes from one endpoint to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Passes {
    /// Everything.
    Any,
    /// These alone; none of them if empty.
    Only(Vec<ProbeKind>),
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The whole matrix is tried.
    Check {
        /// How long what is to be reachable may take. What is to be blocked has no such time.
        within: Duration,
        /// Endpoints that are out of service: what should pass there need not.
        without: Vec<Name>,
    },
    /// Something fails.
    Break(Part, Manner),
    /// It works again.
    Mend(Part),
    /// A daemon is killed.
    Kill {
        /// Where.
        on: Name,
        /// Which.
        daemon: String,
    },
    /// A daemon that was killed is started again as a supervisor does, and the agent must find nothing different.
    Restart {
        /// Where.
        on: Name,
        /// Which.
        daemon: String,
    },
    /// A command changes a device behind the agent's back.
    Drift(Script),
    /// The agent runs once.
    Agent {
        /// Where.
        on: Name,
    },
    /// The longest gap since before the last break, mend, kill or drift is printed.
    MeasureGap {
        /// Between whom; all that is to be reachable if empty.
        pairs: Vec<(Name, Name)>,
        /// More fails the scenario.
        at_most: Option<Duration>,
    },
    /// Somebody misbehaves: first with the guard taken out, when it must succeed, then with it, when it must not.
    Attack(Box<Attack>),
    /// The intents are edited and applied.
    Apply(Change),
    /// A change and its undoing are applied in turn.
    ApplyOften {
        /// The change.
        edits: Vec<Edit>,
        /// How many applies.
        times: u32,
    },
    /// An apply that a step left under way ends.
    Applied {
        /// How.
        ends: Ended,
        /// What must be among what it prints.
        says: Option<String>,
    },
    /// The owner of servers installs them as the head says: with the addresses and the ASN that they have there, or with nothing where they are free.
    Install(Vec<Name>),
    /// Nothing is done.
    Wait(Duration),
    /// All devices are what the head says.
    Fine {
        /// How long that may take.
        within: Duration,
    },
    /// The controller or an agent dies.
    KillProcess(Process),
    /// It starts again.
    RestartProcess(Process),
    /// The time from apply to the first packet.
    MeasureApply(Box<ApplyToPacket>),
    /// The time from drift to its repair.
    MeasureDrift(Box<DriftToRepair>),
    /// Deaths at random points of a rollout.
    KillPoints(Box<KillPoints>),
}

/// A part of the fabric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// A cable.
    Link((Name, IfName), (Name, IfName)),
    /// All cables of a node.
    Node(Name),
    /// A node's way to the controller.
    Management(Name),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Link(a, b) => write!(f, "link {}:{} -- {}:{}", a.0, a.1, b.0, b.1),
            Self::Node(node) => write!(f, "node {node}"),
            Self::Management(node) => write!(f, "the management port of {node}"),
        }
    }
}

/// How a part fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// The far end loses its carrier.
    Carrier,
    /// The carrier stays, packets are lost: only timers notice.
    Silent,
}

/// A shell command on a node. It runs in the scenario's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    /// Where.
    pub on: Name,
    /// What.
    pub run: String,
}

/// Somebody misbehaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attack {
    /// What it is called in the report.
    pub name: String,
    /// What the attacker does.
    pub attacker: Script,
    /// How the attacker undoes it.
    pub undo: Option<Script>,
    /// What holds it off: how that is taken out and put back.
    pub guards: Vec<Guard>,
    /// What changes in the matrix when it succeeds.
    pub gains: Vec<Expectation>,
    /// A command that exits with 0 while it succeeds.
    pub proof: Option<Script>,
    /// How long it may take to show an effect, with the guard and without.
    pub settle: Duration,
}

/// What holds an attack off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guard {
    /// Takes it out.
    pub out: Script,
    /// Puts it back.
    pub back: Script,
}
