//! Running a scenario's steps on a lab.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use leafwall_topology::{Family, Name};

use super::gaps::Streams;
use super::matrix::{Cell, Expected, Matrix, family_name};
use super::probers::{Probers, Sight};
use super::report::{ScenarioReport, StepReport, text};
use super::rollouts::Change;
use super::{Attack, Manner, Part, Scenario, Script, Step, table};
use crate::error::{LabError, Result};
use crate::nodes::{MANAGEMENT_PORT, NodeLab};

/// How many failures of a check are told one by one.
const TOLD: usize = 40;
/// An attack without its guard must succeed within this many times its settling time.
const SUCCESS_FACTOR: u32 = 4;
/// How often a proof is asked for.
const PROOF_INTERVAL: Duration = Duration::from_millis(500);

/// Runs all steps; stops at the first that fails by more than its time, mends what is broken, and returns what was found. Each step is told as it ends.
pub(crate) fn run(lab: &NodeLab, scenario: &Scenario, machine: &str, mut tell: impl FnMut(&str)) -> Result<ScenarioReport> {
    let matrix = Matrix::new(lab.inventory(), &scenario.expect, &scenario.also_try)?;
    let probers = Probers::start(lab, &matrix)?;
    let mut runner = Runner {
        lab,
        scenario,
        matrix,
        probers,
        broken: Vec::new(),
        streams: None,
        applying: None,
        edited: false,
        installed: BTreeSet::new(),
    };
    let fabric = lab.inventory().fabric.to_string();
    let mut report = ScenarioReport { scenario: scenario.name.to_string(), fabric, machine: machine.to_owned(), steps: Vec::new() };
    for (index, step) in scenario.steps.iter().enumerate() {
        let started = Instant::now();
        let mut found = Found::default();
        // A step that cannot be done is a failure of the scenario, not of the whole run: the next scenario may do better.
        if let Err(error) = runner.step(index, step, &mut found) {
            found.failures.push(with_causes(&error));
        }
        let stops = !found.failures.is_empty();
        found.failures.append(&mut found.late);
        let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let done = StepReport {
            step: title(step),
            milliseconds,
            failures: found.failures,
            tried: found.tried,
            notes: found.notes,
            measured: found.measured,
        };
        tell(&text(&done));
        report.steps.push(done);
        if stops {
            break;
        }
    }
    let leftovers = std::mem::take(&mut runner.broken);
    for (part, _) in leftovers {
        runner.mend(&part)?;
    }
    runner.put_intents_back()?;
    Ok(report)
}

fn with_causes(error: &LabError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What a step found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) failures: Vec<String>,
    /// What took too long, but left everything as it should be: a failure too, after which the next step can still tell something.
    pub(super) late: Vec<String>,
    pub(super) tried: usize,
    pub(super) notes: Vec<String>,
    pub(super) measured: Vec<(String, u64)>,
}

pub(super) struct Runner<'a> {
    pub(super) lab: &'a NodeLab,
    pub(super) scenario: &'a Scenario,
    matrix: Matrix,
    pub(super) probers: Probers,
    broken: Vec<(Part, Manner)>,
    streams: Option<Streams>,
    /// `leafwall apply`, where a step left it under way.
    pub(super) applying: Option<Child>,
    /// Whether the intents are no longer those of the fabric's directory.
    pub(super) edited: bool,
    /// Servers that were installed anew.
    pub(super) installed: BTreeSet<Name>,
}

fn title(step: &Step) -> String {
    match step {
        Step::Check { .. } => "everyone reaches whom they should, and nobody else".to_owned(),
        Step::Break(part, Manner::Carrier) => format!("{part} fails"),
        Step::Break(part, Manner::Silent) => format!("{part} fails silently"),
        Step::Mend(part) => format!("{part} works again"),
        Step::Kill { on, daemon } => format!("{daemon} of {on} is killed"),
        Step::Restart { on, daemon } => format!("{daemon} of {on} starts again"),
        Step::Drift(script) => format!("on {}: {}", script.on, script.run.lines().next().unwrap_or_default()),
        Step::Agent { on } => format!("the agent of {on} runs"),
        Step::MeasureGap { .. } => "the longest gap".to_owned(),
        Step::Attack(attack) => format!("attack: {}", attack.name),
        Step::Apply(Change { edits: None, .. }) => "the intents are applied as they were".to_owned(),
        Step::Apply(Change { ends: None, .. }) => "a change is being applied".to_owned(),
        Step::Apply(change) => format!("a change is applied: {}", change.title()),
        Step::ApplyOften { times, .. } => format!("{times} changes are applied"),
        Step::Applied { .. } => "the change that was under way ends".to_owned(),
        Step::Install(servers) => {
            let names: Vec<&str> = servers.iter().map(Name::as_str).collect();
            format!("the owner of {} installs what it was given", names.join(" and "))
        }
        Step::Wait(time) => format!("{:.1} s go by", time.as_secs_f64()),
        Step::Fine { .. } => "every device is what the head says".to_owned(),
        Step::KillProcess(process) => format!("{process} is killed"),
        Step::RestartProcess(process) => format!("{process} starts again"),
        Step::MeasureApply(measure) => format!("{} times from apply to the first packet: {}", measure.times, measure.name),
        Step::MeasureDrift(measure) => format!("{} times from drift to repair: {}", measure.times, measure.name),
        Step::KillPoints(points) => format!("something is killed at {} points of a rollout", points.times),
    }
}

impl Runner<'_> {
    fn step(&mut self, index: usize, step: &Step, found: &mut Found) -> Result<()> {
        self.begin_streams(index, step)?;
        match step {
            Step::Check { within, without } => self.check(*within, without, found),
            Step::Break(part, manner) => {
                self.broken.push((part.clone(), *manner));
                self.break_part(part, *manner)
            }
            Step::Mend(part) => self.mend(part),
            Step::Kill { on, daemon } => self.lab.kill_daemon(on, daemon),
            Step::Restart { on, daemon } => self.lab.restart_daemon(on, daemon).and_then(|()| self.lab.run_agent(on)),
            Step::Drift(script) => self.must_run(script),
            Step::Agent { on } => self.lab.run_agent(on),
            Step::MeasureGap { at_most, .. } => self.end_streams(*at_most, found),
            Step::Attack(attack) => self.attack(attack, found),
            Step::Apply(change) => self.apply(change, found),
            Step::ApplyOften { edits, times } => self.apply_often(edits, *times, found),
            Step::Applied { ends, says } => self.applied(*ends, says.as_deref(), found),
            Step::Install(servers) => self.install(servers),
            Step::Wait(time) => {
                std::thread::sleep(*time);
                Ok(())
            }
            Step::Fine { within } => self.fine(*within, found),
            Step::KillProcess(process) => self.kill_process(process),
            Step::RestartProcess(process) => self.restart_process(process),
            Step::MeasureApply(measure) => self.apply_to_packet(measure, found),
            Step::MeasureDrift(measure) => self.drift_to_repair(measure, found),
            Step::KillPoints(points) => self.kill_points(points, found),
        }
    }

    /// Streams begin before the disturbance that the next measurement is about.
    fn begin_streams(&mut self, index: usize, step: &Step) -> Result<()> {
        let disturbs = |step: &Step| {
            matches!(
                step,
                Step::Break(..)
                    | Step::Mend(_)
                    | Step::Kill { .. }
                    | Step::Restart { .. }
                    | Step::Drift(_)
                    | Step::Agent { .. }
                    | Step::Apply(_)
                    | Step::ApplyOften { .. }
                    | Step::Install(_)
                    | Step::KillProcess(_)
                    | Step::RestartProcess(_)
                    | Step::Wait(_)
            )
        };
        if !disturbs(step) {
            return Ok(());
        }
        let mut following =
            self.scenario.steps.iter().skip(index + 1).skip_while(|step| !disturbs(step) && !matches!(step, Step::MeasureGap { .. }));
        if let Some(Step::MeasureGap { pairs, .. }) = following.next() {
            let streams = Streams::start(&mut self.probers, &self.matrix, pairs)?;
            self.streams = Some(streams);
            // Some seconds of peace first, so that the gap is seen against what is normal.
            std::thread::sleep(Duration::from_secs(1));
        }
        Ok(())
    }

    fn end_streams(&mut self, at_most: Option<Duration>, found: &mut Found) -> Result<()> {
        let Some(streams) = self.streams.take() else {
            return Err(LabError::Scenario("`measure: gap` follows no step that could make one".to_owned()));
        };
        let gaps = streams.stop(&mut self.probers)?;
        found.tried += gaps.len();
        let mut worst: Vec<_> = gaps.iter().collect();
        worst.sort_by_key(|gap| std::cmp::Reverse(gap.longest_gap_ms));
        for gap in &worst {
            let line = format!(
                "{:>6} ms  {} to {}, {} (every {} ms, {} of {} answered)",
                gap.longest_gap_ms, gap.from, gap.to, gap.probe, gap.resolution_ms, gap.answered, gap.sent
            );
            if at_most.is_some_and(|limit| Duration::from_millis(gap.longest_gap_ms.into()) > limit) || gap.answered == 0 {
                found.failures.push(line);
            } else {
                found.notes.push(line);
            }
        }
        found.notes.push(self.clock());
        Ok(())
    }

    /// Tries what is to pass until it does or the time is over, then everything. What is to be blocked has no time: once is a leak.
    fn check(&mut self, within: Duration, without: &[Name], found: &mut Found) -> Result<()> {
        let matrix = self.matrix.without(without);
        let started = Instant::now();
        let mut waiting: Vec<Cell> = matrix.passing().cloned().collect();
        loop {
            while !waiting.is_empty() {
                let cells: Vec<&Cell> = waiting.iter().collect();
                let seen = self.probers.round(&cells)?;
                waiting.retain(|cell| seen.get(cell) != Some(&Sight::Passed));
                if started.elapsed() > within {
                    break;
                }
            }
            let reached = started.elapsed();
            let all: Vec<&Cell> = matrix.cells().map(|(cell, _)| cell).collect();
            let seen = self.probers.round(&all)?;
            let (mut failures, late) = judge(&matrix, &seen);
            failures.extend(self.probers.deaf()?.into_iter().map(|cell| (cell, "its prober does not hear its own machine".to_owned())));
            if !late.is_empty() && failures.is_empty() && started.elapsed() < within {
                waiting = late.into_iter().map(|(cell, _)| cell).collect();
                continue;
            }
            found.tried += matrix.cells().count();
            found.notes.push(format!(
                "reachable after {:.1} s; {} probes between {} endpoints",
                reached.as_secs_f64(),
                all.len(),
                self.probers.endpoints().count()
            ));
            found.notes.push(table::draw(self.probers.endpoints(), &matrix, &seen));
            let wrong = grouped(failures.into_iter().chain(late));
            let more = wrong.len().saturating_sub(TOLD);
            found.failures.extend(wrong.into_iter().take(TOLD));
            if more > 0 {
                found.failures.push(format!("and {more} more"));
            }
            return Ok(());
        }
    }

    fn attack(&mut self, attack: &Attack, found: &mut Found) -> Result<()> {
        // Without the guard it must succeed, else the second half would prove nothing.
        for guard in &attack.guards {
            self.must_run(&guard.out)?;
        }
        self.must_run(&attack.attacker)?;
        let started = Instant::now();
        let limit = attack.settle * SUCCESS_FACTOR;
        let mut success = self.succeeds(attack)?;
        while success.is_err() && started.elapsed() < limit {
            std::thread::sleep(PROOF_INTERVAL);
            success = self.succeeds(attack)?;
        }
        match &success {
            Ok(()) => found.notes.push(format!("without its guard it succeeds, after {:.1} s", started.elapsed().as_secs_f64())),
            Err(why) => found.failures.push(format!("without its guard it should succeed within {limit:?}, but {why}")),
        }
        if let Some(undo) = &attack.undo {
            self.must_run(undo)?;
        }
        for guard in &attack.guards {
            self.must_run(&guard.back)?;
        }
        if success.is_err() {
            return Ok(());
        }
        let mut between = Found::default();
        self.check(super::DEFAULT_WITHIN, &[], &mut between)?;
        found.failures.extend(between.failures.into_iter().map(|failure| format!("with the guard back and the attack undone: {failure}")));
        // With the guard: time enough to take effect, then nothing may have changed.
        self.must_run(&attack.attacker)?;
        std::thread::sleep(attack.settle);
        if self.succeeds(attack)?.is_ok() {
            found.failures.push("it succeeds in spite of its guard".to_owned());
        }
        let mut under = Found::default();
        self.check(attack.settle, &[], &mut under)?;
        found.tried += under.tried;
        found.failures.extend(under.failures.into_iter().map(|failure| format!("under attack: {failure}")));
        if let Some(undo) = &attack.undo {
            self.must_run(undo)?;
        }
        if found.failures.is_empty() {
            found.notes.push(format!("with its guard it changes nothing: {} probes as without it", under.tried));
        }
        Ok(())
    }

    /// Whether the attack succeeds at this moment, and if not, what is missing.
    fn succeeds(&mut self, attack: &Attack) -> Result<std::result::Result<(), String>> {
        if let Some(proof) = &attack.proof
            && let Err(error) = self.must_run(proof)
        {
            return match error {
                LabError::Command { output, .. } => Ok(Err(format!("its proof fails: {}", output.trim()))),
                other => Err(other),
            };
        }
        let named = self.matrix.named(&attack.gains);
        if named.is_empty() {
            return if attack.gains.is_empty() {
                Ok(Ok(()))
            } else {
                Err(LabError::Scenario("`gains` names no pair that is tried".to_owned()))
            };
        }
        let cells: Vec<&Cell> = named.iter().map(|(cell, _)| cell).collect();
        let seen = self.probers.round(&cells)?;
        for (cell, expected) in &named {
            let gained = match (expected, seen.get(cell)) {
                (Expected::Pass, Some(Sight::Passed | Sight::Arrived(_))) => true,
                (Expected::Blocked, sight) => sight != Some(&Sight::Passed),
                _ => false,
            };
            if !gained {
                return Ok(Err(format!("{cell} is as without it")));
            }
        }
        Ok(Ok(()))
    }

    pub(super) fn must_run(&self, script: &Script) -> Result<()> {
        let (namespace, mut command) = self.lab.command(&script.on, "sh")?;
        command.arg("-ec").arg(&script.run).current_dir(&self.scenario.directory);
        namespace.run(&mut command).map(drop)
    }

    fn break_part(&self, part: &Part, manner: Manner) -> Result<()> {
        match manner {
            // One end goes down, so that the other loses its carrier: of a node, all its own ends.
            Manner::Carrier => self
                .ends(part)?
                .into_iter()
                .take(if matches!(part, Part::Link(..)) { 1 } else { usize::MAX })
                .try_for_each(|(node, port)| self.lab.node(&node)?.ip(&format!("link set {port} down\n"))),
            Manner::Silent => self.ends(part)?.into_iter().try_for_each(|(node, port)| {
                let mut lose = Command::new("tc");
                lose.args(["qdisc", "replace", "dev", &port, "root", "netem", "loss", "100%"]);
                self.lab.node(&node)?.run(&mut lose).map(drop)
            }),
        }
    }

    fn mend(&mut self, part: &Part) -> Result<()> {
        for (node, port) in self.ends(part)? {
            let namespace = self.lab.node(&node)?;
            namespace.ip(&format!("link set {port} up\n"))?;
            if self.broken.contains(&(part.clone(), Manner::Silent)) {
                namespace.run(Command::new("tc").args(["qdisc", "delete", "dev", &port, "root"]))?;
            }
        }
        self.broken.retain(|(broken, _)| broken != part);
        Ok(())
    }

    /// The ends of cables that belong to a part; for a silent failure both ends of each.
    fn ends(&self, part: &Part) -> Result<Vec<(Name, String)>> {
        let cables = &self.lab.inventory().cables;
        match part {
            Part::Link(a, b) => {
                let same = |cable: &&leafwall_render::inventory::LabCable| {
                    let (one, other) = ((&cable.0, &cable.1), (&cable.2, &cable.3));
                    let (a, b) = ((&a.0, &a.1), (&b.0, &b.1));
                    (one == a && other == b) || (one == b && other == a)
                };
                if cables.iter().find(same).is_none() {
                    return Err(LabError::Scenario(format!("the fabric has no {part}")));
                }
                Ok(vec![(a.0.clone(), a.1.to_string()), (b.0.clone(), b.1.to_string())])
            }
            Part::Management(node) => {
                self.lab.node(node)?;
                Ok(vec![(node.clone(), MANAGEMENT_PORT.to_owned())])
            }
            Part::Node(node) => {
                self.lab.node(node)?;
                Ok(self.lab.ports(node).map(|port| (node.clone(), port.to_string())).collect())
            }
        }
    }
}

/// One line for what is the same between two endpoints, such as several ports.
fn grouped(wrong: impl Iterator<Item = (Cell, String)>) -> Vec<String> {
    let mut lines: BTreeMap<(Name, Name, Family, String), Vec<String>> = BTreeMap::new();
    for (cell, why) in wrong {
        lines.entry((cell.from, cell.to, cell.family, why)).or_default().push(cell.kind.to_string());
    }
    lines
        .into_iter()
        .map(|((from, to, family, why), kinds)| format!("{from} to {to}, {}: {why} ({})", family_name(family), kinds.join(", ")))
        .collect()
}

/// Cells with what is wrong about them.
type Wrong = Vec<(Cell, String)>;

/// What is wrong for good (leaks, and what could not be tried), and what may come yet.
fn judge(matrix: &Matrix, seen: &HashMap<Cell, Sight>) -> (Wrong, Wrong) {
    let mut failures = Vec::new();
    let mut late = Vec::new();
    // Positive controls: an endpoint whose every packet got lost says nothing about what is blocked.
    let mut sends: HashSet<&Name> = HashSet::new();
    let mut receives: HashSet<&Name> = HashSet::new();
    for (cell, sight) in seen {
        if matches!(sight, Sight::Passed | Sight::Arrived(_)) {
            sends.insert(&cell.from);
            receives.insert(&cell.to);
        }
    }
    let may_send: HashSet<&Name> = matrix.passing().map(|cell| &cell.from).collect();
    let may_receive: HashSet<&Name> = matrix.passing().map(|cell| &cell.to).collect();
    for (cell, expected) in matrix.cells() {
        let wrong = |list: &mut Wrong, why: String| list.push((cell.clone(), why));
        match (expected, seen.get(cell)) {
            (_, Some(Sight::Broken(why))) => wrong(&mut failures, format!("could not be tried: {why}")),
            (_, None) => wrong(&mut failures, "was not tried".to_owned()),
            (Expected::Whatever, _) | (Expected::Pass, Some(Sight::Passed)) => {}
            (Expected::Pass, Some(Sight::Arrived(why) | Sight::Nothing(why))) => wrong(&mut late, format!("should pass, {why}")),
            (Expected::Blocked, Some(Sight::Passed)) => wrong(&mut failures, "should be blocked, passes".to_owned()),
            (Expected::Blocked, Some(Sight::Arrived(how))) => wrong(&mut failures, format!("should be blocked, {how}")),
            (Expected::Blocked, Some(Sight::Nothing(_))) => {
                if (may_send.contains(&cell.from) && !sends.contains(&cell.from))
                    || (may_receive.contains(&cell.to) && !receives.contains(&cell.to))
                {
                    wrong(&mut late, "blocked, which proves nothing while one of the two shows no sign of life".to_owned());
                }
            }
        }
    }
    (failures, late)
}

#[cfg(test)]
mod tests {
    use super::super::matrix::tests::inventory;
    use super::super::{Expectation, Passes};
    use super::*;

    fn matrix() -> Matrix {
        let name = |text: &str| -> Name { text.parse().unwrap() };
        let expect = Expectation { from: vec![name("a")], to: vec![name("b")], families: Family::BOTH.to_vec(), passes: Passes::Any };
        Matrix::new(&inventory(), &[expect], &[]).unwrap()
    }

    fn seen(matrix: &Matrix, of: impl Fn(&Cell, Expected) -> Sight) -> HashMap<Cell, Sight> {
        matrix.cells().map(|(cell, expected)| (cell.clone(), of(cell, expected))).collect()
    }

    #[test]
    fn as_expected_is_no_finding() {
        let matrix = matrix();
        let seen = seen(&matrix, |_, expected| if expected == Expected::Pass { Sight::Passed } else { Sight::Nothing(String::new()) });
        assert_eq!(judge(&matrix, &seen), (vec![], vec![]));
    }

    #[test]
    fn one_arrival_where_nothing_should_is_a_leak() {
        let matrix = matrix();
        let seen = seen(&matrix, |cell, expected| match expected {
            Expected::Pass => Sight::Passed,
            _ if cell.from.as_str() == "c" && cell.to.as_str() == "a" => Sight::Arrived("arrived".to_owned()),
            _ => Sight::Nothing(String::new()),
        });
        let (failures, _) = judge(&matrix, &seen);
        assert_eq!(failures.len(), matrix.kinds().len());
        assert_eq!(grouped(failures.into_iter()), ["c to a, IPv4: should be blocked, arrived (ping, tcp/9, tcp/22)"]);
    }

    #[test]
    fn silence_everywhere_proves_nothing() {
        let matrix = matrix();
        let (failures, late) = judge(&matrix, &seen(&matrix, |_, _| Sight::Nothing(String::new())));
        assert!(failures.is_empty());
        assert!(
            late.iter().any(|(cell, _)| cell.from.as_str() == "c" && cell.to.as_str() == "b"),
            "blocked towards `b` is not believed either"
        );
    }
}
