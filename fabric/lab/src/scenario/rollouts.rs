//! The steps of a lab with agents: applying, killing, and measuring how long a change takes.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use leafwall_topology::{Family, Name};

use super::Script;
use super::matrix::{Cell, family_name};
use super::probers::{FIRST_STREAM_NONCE, Sight};
use super::run::{Found, Runner};
use crate::command;
use crate::error::{LabError, Result};
use crate::nodes::in_parallel;
use crate::nodes::managed::{Edit, Managed, Process, tail};
use crate::prober::{Order, Probe, ProbeKind, Report, monotonic_ms};

/// How long a rollout may take to end, one way or the other, when everything that was killed is back.
pub(crate) const DEFAULT_SETTLES: Duration = Duration::from_mins(2);
/// Between two probes of a stream that measures when the first passes.
const INTERVAL_MS: u32 = 10;
/// How long a packet may take to pass after a change was confirmed, or to stop.
const TAKES_EFFECT: Duration = Duration::from_mins(1);
/// Between two looks whether something was repaired.
const LOOK: Duration = Duration::from_millis(20);
/// How long something that was killed stays away.
const AWAY: Duration = Duration::from_millis(500);
/// How long a change may be under way before nothing more is killed in it, of its own duration: the end of it is a point as well.
const BEYOND_PERCENT: u64 = 110;

/// How an apply is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It is everywhere.
    Committed,
    /// It is nowhere.
    Abandoned,
    /// It was not begun.
    Refused,
    /// There was nothing to do.
    Unchanged,
}

impl Ended {
    /// As it is written in scenarios.
    pub(super) const ALL: [(&'static str, Self); 4] =
        [("committed", Self::Committed), ("abandoned", Self::Abandoned), ("refused", Self::Refused), ("unchanged", Self::Unchanged)];

    /// How it ended, by what `leafwall apply` printed; `None` if it did not say.
    fn of(output: &Output) -> Option<Self> {
        let printed = String::from_utf8_lossy(&output.stdout);
        let last = printed.lines().rfind(|line| line.contains("  fabric  "));
        let said = last.and_then(|line| line.split("  ").nth(2)).unwrap_or_default();
        let named = Self::ALL.into_iter().find(|(name, _)| said.split(':').next() == Some(*name)).map(|(_, ended)| ended);
        // what is wrong with intents goes to standard error
        named.or_else(|| (last.is_none() && output.status.code() == Some(1) && !output.stderr.is_empty()).then_some(Self::Refused))
    }
}

/// What is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// What is edited before, on top of what earlier steps edited; `None` puts everything back.
    pub edits: Option<Vec<Edit>>,
    /// How it is to end; `None` leaves it under way.
    pub ends: Option<Ended>,
    /// What must be among what it prints.
    pub says: Option<String>,
}

impl Change {
    /// What it does, in a line.
    pub(super) fn title(&self) -> String {
        let edits = self.edits.iter().flatten();
        edits.map(|edit| format!("`{}` in {}", edit.by.trim().lines().next().unwrap_or_default(), edit.file)).collect::<Vec<_>>().join(", ")
    }
}

/// The time from an apply to the first packet that passes because of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApplyToPacket {
    /// What it is called in the report.
    pub name: String,
    /// What lets the packet pass; undone after each time.
    pub edits: Vec<Edit>,
    /// From where.
    pub from: Name,
    /// To where.
    pub to: Name,
    /// In which family.
    pub family: Family,
    /// What is sent.
    pub kind: ProbeKind,
    /// How often.
    pub times: u32,
    /// A larger median fails the scenario.
    pub median_at_most: Option<Duration>,
}

/// The time from a change behind the agent's back to its repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DriftToRepair {
    /// What it is called in the report.
    pub name: String,
    /// What is changed.
    pub drift: Script,
    /// A command that exits with 0 once it is repaired; before the drift as well.
    pub until: Script,
    /// How often.
    pub times: u32,
    /// A larger median fails the scenario.
    pub median_at_most: Option<Duration>,
}

/// Something is killed at random points of a change, again and again; each time all devices must end on the same revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KillPoints {
    /// The change; it goes there and back.
    pub edits: Vec<Edit>,
    /// What is killed, in turn: the controller and each agent, if empty.
    pub victims: Vec<Process>,
    /// How often.
    pub times: u32,
    /// Where the points come from.
    pub seed: u64,
    /// How long settling may take.
    pub within: Duration,
}

/// The edits that undo edits.
fn undone(edits: &[Edit]) -> Vec<Edit> {
    edits.iter().rev().map(|edit| Edit { file: edit.file.clone(), replace: edit.by.clone(), by: edit.replace.clone() }).collect()
}

/// A small generator of points in time (SplitMix64): the same seed gives the same points.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit.max(1)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What a program printed, for people.
fn said(output: &Output) -> String {
    let all = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    command::last_lines(all.trim_end(), command::KEPT_LINES)
}

impl<'a> Runner<'a> {
    pub(super) fn managed(&self) -> Result<Managed<'a>> {
        let missing = || LabError::Scenario("this step needs agents: say `agents: true` in the scenario".to_owned());
        self.lab.managed().ok_or_else(missing)
    }

    /// Applies a change, or begins to.
    pub(super) fn apply(&mut self, change: &Change, found: &mut Found) -> Result<()> {
        let managed = self.managed()?;
        self.edited = true;
        match &change.edits {
            Some(edits) => managed.edit(edits)?,
            None => managed.reset_intents()?,
        }
        let Some(ends) = change.ends else {
            let intents = managed.intents().display().to_string();
            self.applying = Some(managed.spawn_operator(&["apply", &intents, "--reason", self.scenario.name.as_str()])?);
            return Ok(());
        };
        let output = managed.apply(self.scenario.name.as_str())?;
        // what was taken back is as it was already
        let as_it_was = change.edits.is_none() && Ended::of(&output) == Some(Ended::Unchanged);
        judge(&output, if as_it_was { Ended::Unchanged } else { ends }, change.says.as_deref(), found);
        Ok(())
    }

    /// Does what servers' owners do after an apply; see [`Step::Install`](super::Step::Install).
    pub(super) fn install(&mut self, servers: &[Name]) -> Result<()> {
        let managed = self.managed()?;
        let rendered = managed.render_head()?;
        self.installed.extend(servers.iter().cloned());
        in_parallel(servers, |server| self.lab.install(server, &rendered.join(server.as_str())))
    }

    /// Applies a change and its undoing in turn.
    pub(super) fn apply_often(&mut self, edits: &[Edit], times: u32, found: &mut Found) -> Result<()> {
        let managed = self.managed()?;
        self.edited = true;
        let back = undone(edits);
        let mut took = Vec::new();
        for index in 0..times {
            managed.edit(if index % 2 == 0 { edits } else { &back })?;
            let began = Instant::now();
            judge(&managed.apply(self.scenario.name.as_str())?, Ended::Committed, None, found);
            took.push(milliseconds(began.elapsed()));
            if !found.failures.is_empty() {
                return Ok(());
            }
        }
        found.tried += took.len();
        let (median, _) = spread(&mut took);
        found.notes.push(format!("each took {median} ms (median)"));
        Ok(())
    }

    /// Waits for the end of an apply that is under way.
    pub(super) fn applied(&mut self, ends: Ended, says: Option<&str>, found: &mut Found) -> Result<()> {
        let none = || LabError::Scenario("`applied` follows no `apply` with `background: true`".to_owned());
        let output = finish(self.applying.take().ok_or_else(none)?)?;
        judge(&output, ends, says, found);
        Ok(())
    }

    /// Everything is as the head says, in time, by what agents tell and by a comparison of our own.
    pub(super) fn fine(&mut self, within: Duration, found: &mut Found) -> Result<()> {
        let managed = self.managed()?;
        let started = Instant::now();
        match managed.wait_until_fine(within)? {
            Ok(status) => {
                let seconds = started.elapsed().as_secs_f64();
                found.notes.push(format!(
                    "generation {}, all {} devices as they should be after {seconds:.1} s",
                    status.generation,
                    status.devices.len()
                ));
                found.tried += status.devices.len();
                found.failures.extend(self.mixed()?);
            }
            Err(complaints) => found.failures.extend(complaints),
        }
        Ok(())
    }

    /// Devices that are not exactly one revision: each is compared with the one that its agent keeps.
    fn mixed(&self) -> Result<Vec<String>> {
        let managed = self.managed()?;
        let devices: Vec<Name> = managed.devices().map(|device| device.name.clone()).collect();
        let failures = std::sync::Mutex::new(Vec::new());
        in_parallel(&devices, |device| {
            let wrong = self.compare(managed, device)?;
            failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(wrong);
            Ok(())
        })?;
        Ok(failures.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn compare(&self, managed: Managed<'_>, device: &Name) -> Result<Option<String>> {
        let revisions = managed.agent_state(device).join("revisions");
        let entries = fs::read_dir(&revisions).map_err(LabError::file("read", &revisions))?;
        let kept: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| !path.ends_with("nothing")).collect();
        let [only] = kept.as_slice() else {
            return Ok(Some(format!("{device}: keeps {} revisions, not one: {kept:?}", kept.len())));
        };
        let namespace = self.lab.node(device)?;
        let program = std::env::current_exe().map_err(LabError::system("find this program"))?;
        let mut agent = Command::new(program);
        agent.args(["agent", "--dry-run", "--once"]).arg(only).args(["--frr-pathspace", namespace.as_str()]);
        let output = namespace.within(|| agent.output())?;
        Ok((!output.status.success()).then(|| format!("{device} is not its revision: {}", said(&output))))
    }

    pub(super) fn kill_process(&self, process: &Process) -> Result<()> {
        self.managed()?.kill(process)
    }

    pub(super) fn restart_process(&self, process: &Process) -> Result<()> {
        self.managed()?.start_process(process)
    }

    /// Measures; see [`ApplyToPacket`].
    pub(super) fn apply_to_packet(&mut self, measure: &ApplyToPacket, found: &mut Found) -> Result<()> {
        let managed = self.managed()?;
        self.edited = true;
        let cell = Cell { from: measure.from.clone(), to: measure.to.clone(), family: measure.family, kind: measure.kind };
        let Some(probe) = self.probers.probes(&cell).into_iter().next() else {
            return Err(LabError::Scenario(format!("{cell} can't be tried: one of the two has no such address")));
        };
        let node = self.probers.endpoint(&cell.from)?.node.clone();
        let back = undone(&measure.edits);
        let (mut to_packet, mut to_end) = (Vec::new(), Vec::new());
        for _ in 0..measure.times {
            self.wait_for(&cell, false)?;
            let probe = Probe { nonce: FIRST_STREAM_NONCE, ..probe.clone() };
            self.probers.tell(&[(node.clone(), Order::Stream { probes: vec![probe], interval_ms: INTERVAL_MS })].into())?;
            managed.edit(&measure.edits)?;
            let began = monotonic_ms();
            let output = managed.apply(&measure.name)?;
            to_end.push(monotonic_ms().saturating_sub(began));
            let passes = if Ended::of(&output) == Some(Ended::Committed) { self.wait_for(&cell, true) } else { Ok(()) };
            let first = self.first_answered(&node)?;
            passes?;
            judge(&output, Ended::Committed, None, found);
            match first {
                Some(first) if first >= began => to_packet.push(first - began),
                Some(_) => found.failures.push("it passes before it should".to_owned()),
                None => found.failures.push("no packet of the stream passed".to_owned()),
            }
            if !found.failures.is_empty() {
                return Ok(());
            }
            managed.edit(&back)?;
            judge(&managed.apply(&measure.name)?, Ended::Committed, None, found);
        }
        found.tried += to_packet.len();
        let (median, told) = spread(&mut to_packet);
        found.measured.push((measure.name.clone(), median));
        found.notes.push(format!(
            "from `leafwall apply` to the first packet, {} to {}, {} {}: {told}",
            cell.from,
            cell.to,
            family_name(cell.family),
            cell.kind
        ));
        found.notes.push(format!("from `leafwall apply` to its end: {}", spread(&mut to_end).1));
        found.notes.push(self.clock());
        if let Some(limit) = measure.median_at_most.filter(|limit| milliseconds(*limit) < median) {
            found.late.push(format!("the median is {median} ms, more than {} ms", limit.as_millis()));
        }
        Ok(())
    }

    /// When the first packet of a node's one stream was sent that was answered; ends the stream.
    fn first_answered(&mut self, node: &Name) -> Result<Option<u64>> {
        let reports = self.probers.ask(&[(node.clone(), Order::Stop)].into())?;
        match reports.get(node) {
            Some(Report::Streams(streams)) => Ok(streams.first().and_then(|stream| stream.first_answered_ms)),
            _ => Err(LabError::Protocol { what: format!("the prober of `{node}` did not tell of its stream") }),
        }
    }

    /// Waits until a cell passes, or no longer does.
    fn wait_for(&mut self, cell: &Cell, passes: bool) -> Result<()> {
        let started = Instant::now();
        loop {
            let seen = self.probers.round(&[cell])?.remove(cell);
            if (seen == Some(Sight::Passed)) == passes {
                return Ok(());
            }
            if started.elapsed() > TAKES_EFFECT {
                let what = format!("{cell} to {}", if passes { "pass" } else { "stop passing" });
                return Err(LabError::Timeout { what, after: TAKES_EFFECT, detail: format!("{seen:?}") });
            }
        }
    }

    /// Measures; see [`DriftToRepair`].
    pub(super) fn drift_to_repair(&mut self, measure: &DriftToRepair, found: &mut Found) -> Result<()> {
        let managed = self.managed()?;
        let mut took = Vec::new();
        for _ in 0..measure.times {
            self.must_run(&measure.until)?;
            self.must_run(&measure.drift)?;
            let began = Instant::now();
            if self.must_run(&measure.until).is_ok() {
                // a repair that came before the first look, or a drift that does nothing
                found.notes.push("once it was repaired before the first look".to_owned());
            }
            while let Err(error) = self.must_run(&measure.until) {
                if began.elapsed() > TAKES_EFFECT {
                    let detail = format!("{error}\n{}", tail(&managed.log(&Process::Agent(measure.drift.on.clone()))));
                    return Err(LabError::Timeout { what: "the repair".to_owned(), after: TAKES_EFFECT, detail });
                }
                thread::sleep(LOOK);
            }
            took.push(milliseconds(began.elapsed()));
        }
        found.tried += took.len();
        let (median, told) = spread(&mut took);
        found.measured.push((measure.name.clone(), median));
        found.notes.push(format!("from the change to its repair: {told}"));
        found.notes.push(self.clock());
        if let Some(limit) = measure.median_at_most.filter(|limit| milliseconds(*limit) < median) {
            found.late.push(format!("the median is {median} ms, more than {} ms", limit.as_millis()));
        }
        Ok(())
    }

    /// Kills at random points; see [`KillPoints`].
    pub(super) fn kill_points(&mut self, points: &KillPoints, found: &mut Found) -> Result<()> {
        let managed = self.managed()?;
        self.edited = true;
        let everyone =
            || std::iter::once(Process::Controller).chain(managed.devices().map(|device| Process::Agent(device.name.clone()))).collect();
        let victims: Vec<Process> = if points.victims.is_empty() { everyone() } else { points.victims.clone() };
        let back = undone(&points.edits);
        let mut random = Random(points.seed);
        // one undisturbed rollout there and back tells how long the window is
        let mut window = Duration::ZERO;
        for edits in [&points.edits, &back] {
            managed.edit(edits)?;
            let started = Instant::now();
            judge(&managed.apply("a rollout in peace")?, Ended::Committed, None, found);
            window = window.max(started.elapsed());
        }
        if !found.failures.is_empty() {
            return Ok(());
        }
        let (mut committed, mut there) = (0, false);
        let window = milliseconds(window) * BEYOND_PERCENT / 100;
        for index in 0..points.times {
            let victim = &victims[usize::try_from(random.below(victims.len() as u64)).unwrap_or_default()];
            let at = Duration::from_millis(random.below(window));
            let before = managed.status()?.generation;
            managed.edit(if there { &back } else { &points.edits })?;
            let intents = managed.intents().display().to_string();
            let apply = managed.spawn_operator(&["apply", &intents, "--reason", "a rollout with a death in it"])?;
            thread::sleep(at);
            managed.kill(victim)?;
            thread::sleep(AWAY);
            managed.start_process(victim)?;
            let output = finish(apply)?;
            let point = format!("point {index}: {victim} killed after {} ms", at.as_millis());
            let settled = match managed.wait_until_fine(points.within)? {
                Ok(status) => status,
                Err(complaints) => {
                    found.failures.push(format!("{point}: it never settles\n{}\n{}", complaints.join("\n"), said(&output)));
                    found.failures.push(format!("the end of the log of {victim}:\n{}", tail(&managed.log(victim))));
                    return Ok(());
                }
            };
            let wrong = self.mixed()?;
            // what was acknowledged is there
            let acknowledged = Ended::of(&output) == Some(Ended::Committed);
            if !wrong.is_empty() || (acknowledged && settled.generation == before) {
                found.failures.push(format!(
                    "{point}: head {} after {before}; {}\n{}",
                    settled.generation,
                    wrong.join("\n"),
                    said(&output)
                ));
                return Ok(());
            }
            if settled.generation == before {
                managed.edit(if there { &points.edits } else { &back })?;
            } else {
                committed += 1;
                there = !there;
            }
        }
        found.tried += points.times as usize;
        found.notes.push(format!(
            "seed {}: {} points within {window} ms, {committed} settled on the new revision and {} on the old one, each everywhere",
            points.seed,
            points.times,
            points.times - committed
        ));
        Ok(())
    }

    /// Which clock and timers numbers are by.
    pub(super) fn clock(&self) -> String {
        let timers = self.lab.inventory().timers.as_ref().map(|timers| format!("; {timers}")).unwrap_or_default();
        format!("by the machine's own clock{timers}")
    }

    /// Puts the fabric back as scenarios expect to find it.
    pub(super) fn put_intents_back(&mut self) -> Result<()> {
        if let Some(child) = self.applying.take() {
            finish(child)?;
        }
        if !std::mem::take(&mut self.edited) {
            return Ok(());
        }
        let managed = self.managed()?;
        managed.reset_intents()?;
        command::checked("leafwall apply", &managed.apply("the scenario is over")?)?;
        let installed: Vec<Name> = std::mem::take(&mut self.installed).into_iter().collect();
        if installed.is_empty() { Ok(()) } else { self.install(&installed) }
    }
}

fn finish(child: Child) -> Result<Output> {
    child.wait_with_output().map_err(LabError::system("wait for `leafwall apply`"))
}

fn judge(output: &Output, ends: Ended, says: Option<&str>, found: &mut Found) {
    let ended = Ended::of(output);
    if ended != Some(ends) {
        found.failures.push(format!("it should be {ends:?}, and is {ended:?}:\n{}", said(output)));
    }
    let all = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    if let Some(says) = says.filter(|says| !all.contains(*says)) {
        found.failures.push(format!("it does not say `{says}`:\n{}", said(output)));
    }
}

/// The median, and the whole in a line.
fn spread(times: &mut [u64]) -> (u64, String) {
    times.sort_unstable();
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return (0, "nothing was measured".to_owned()) };
    let median = times[times.len() / 2];
    let all = times.iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
    (median, format!("median {median} ms of {} ({first} to {last}): {all}", times.len()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn how_an_apply_ended_is_read_from_its_last_line() {
        let ended = |code: i32, stdout: &str, stderr: &str| {
            let output = Output { status: ExitStatus::from_raw(code << 8), stdout: stdout.into(), stderr: stderr.into() };
            Ended::of(&output)
        };
        assert_eq!(ended(0, "3  leaf-01  confirmed\n3  fabric  committed\n", ""), Some(Ended::Committed));
        assert_eq!(ended(0, "3  fabric  unchanged: nothing differs from what is\n", ""), Some(Ended::Unchanged));
        assert_eq!(ended(1, "4  leaf-01  failed: x\n4  fabric  abandoned: leaf-01: x\n", ""), Some(Ended::Abandoned));
        assert_eq!(ended(1, "", "fabric.yaml:1:1: error"), Some(Ended::Refused));
        assert_eq!(ended(1, "4  fabric  begun: 12 devices\n", "the controller was lost"), None);
        assert_eq!(ended(2, "4  fabric  begun: 12 devices\n", "lost"), None);
    }

    #[test]
    fn undoing_goes_backwards() {
        let edit = |replace: &str, by: &str| Edit { file: "a".into(), replace: replace.into(), by: by.into() };
        assert_eq!(undone(&[edit("1", "2"), edit("3", "4")]), [edit("4", "3"), edit("2", "1")]);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(spread(&mut [30, 10, 20]).0, 20);
        assert_eq!(spread(&mut []).0, 0);
    }
}
