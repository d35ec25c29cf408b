//! From a scenario's YAML to a [`Scenario`]: all problems at once, each with its place.

use std::fs;
use std::path::Path;
use std::time::Duration;

use leafwall_intent::yaml::{self, Located};
use leafwall_intent::{FileId, Place, SourceFile, Sources, Style};
use leafwall_topology::{Family, IfName, Name};

use super::fields::{Fields, Problems, duration, flag, items, list, parsed, text};
use super::rollouts::{ApplyToPacket, Change, DEFAULT_SETTLES, DriftToRepair, Ended, KillPoints};
use super::{Attack, DEFAULT_SETTLE, DEFAULT_WITHIN, Expectation, Guard, Manner, Part, Passes, Scenario, Script, Step};
use crate::error::{LabError, Result};
use crate::nodes::managed::{Edit, Process};
use crate::prober::ProbeKind;

/// The format's version and kind.
const API_VERSION: &str = "leafwall.io/v1";
const KIND: &str = "Scenario";
const STEPS: &str = "a step is one of `check`, `break`, `mend`, `kill`, `restart`, `drift`, `agent`, `measure`, `attack`, `apply`, `applied`, `install`, \
                     `wait`, `status`, `killPoints`";

/// Reads a scenario's file.
pub(crate) fn read(path: &Path) -> Result<Scenario> {
    let text = fs::read_to_string(path).map_err(LabError::file("read", path))?;
    let shown = path.display().to_string();
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    decode(&shown, directory, &text).map_err(LabError::Scenario)
}

fn decode(path: &str, directory: &Path, text: &str) -> std::result::Result<Scenario, String> {
    let (documents, diagnostics) = yaml::documents(FileId(0), text);
    if diagnostics.has_errors() {
        let sources = Sources::new(vec![SourceFile { path: path.to_owned(), text: text.into() }]);
        return Err(diagnostics.render(&sources, Style::Plain));
    }
    let mut problems = Problems::default();
    let scenario = match documents.as_slice() {
        [document] => scenario(document, directory, &mut problems),
        _ => {
            return Err(format!("{path}: a scenario's file has one document, this one has {}", documents.len()));
        }
    };
    match (problems.into_text(path), scenario) {
        (None, Some(scenario)) => Ok(scenario),
        (found, _) => Err(found.unwrap_or_else(|| format!("{path}: not a scenario"))),
    }
}

fn scenario(document: &Located, directory: &Path, problems: &mut Problems) -> Option<Scenario> {
    let mut top = Fields::of(document, problems)?;
    for (key, expected) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        if let Some(value) = top.need(key, problems)
            && text(value, problems).is_some_and(|found| found != expected)
        {
            problems.add(value.place, format!("`{key}` must be `{expected}`"));
        }
    }
    let name = top.need("metadata", problems).and_then(|metadata| {
        let mut fields = Fields::of(metadata, problems)?;
        let name = fields.need("name", problems).and_then(|name| parsed(name, problems));
        fields.finish(problems);
        name
    });
    let spec = top.need("spec", problems);
    top.finish(problems);
    let mut spec = Fields::of(spec?, problems)?;
    let fabric = spec.need("fabric", problems).and_then(|fabric| text(fabric, problems));
    let within = spec.take("within").and_then(|within| duration(within, problems)).unwrap_or(DEFAULT_WITHIN);
    let expect =
        spec.take("expect").map(|expect| items(expect).iter().filter_map(|item| expectation(item, problems)).collect()).unwrap_or_default();
    let agents = spec.take("agents").and_then(|agents| flag(agents, problems)).unwrap_or(false);
    let also_try = spec.take("tryAlso").map(|also| kinds(also, problems)).unwrap_or_default();
    let steps = spec
        .need("steps", problems)
        .map(|steps| items(steps).iter().filter_map(|item| step(item, within, problems)).collect())
        .unwrap_or_default();
    spec.finish(problems);
    Some(Scenario { name: name?, fabric: directory.join(fabric?), directory: directory.to_owned(), expect, also_try, agents, steps })
}

/// `{from: a, to: [b, c], any: true}`, or `ping: true`, `tcp: [80]`, `udp: [53]`, `none: true`, each perhaps with `families: [ipv4]`.
fn expectation(value: &Located, problems: &mut Problems) -> Option<Expectation> {
    let mut fields = Fields::of(value, problems)?;
    let from = fields.need("from", problems).map(|from| list(from, problems));
    let to = fields.need("to", problems).map(|to| list(to, problems));
    let families = fields
        .take("families")
        .map_or(Family::BOTH.to_vec(), |families| items(families).iter().filter_map(|item| family(item, problems)).collect());
    let any = fields.take("any").and_then(|any| flag(any, problems)).unwrap_or(false);
    let none = fields.take("none").and_then(|none| flag(none, problems)).unwrap_or(false);
    let only = take_kinds(&mut fields, problems);
    let place = fields.place();
    fields.finish(problems);
    let passes = match (any, none, only.is_empty()) {
        (true, false, true) => Passes::Any,
        (false, false, false) => Passes::Only(only),
        (false, true, true) => Passes::Only(Vec::new()),
        _ => {
            problems.add(place, "say one of `any: true`, `none: true`, or some of `ping: true`, `tcp: […]`, `udp: […]`");
            return None;
        }
    };
    Some(Expectation { from: from?, to: to?, families, passes })
}

fn kinds(value: &Located, problems: &mut Problems) -> Vec<ProbeKind> {
    let Some(mut fields) = Fields::of(value, problems) else { return Vec::new() };
    let kinds = take_kinds(&mut fields, problems);
    fields.finish(problems);
    kinds
}

fn take_kinds(fields: &mut Fields<'_>, problems: &mut Problems) -> Vec<ProbeKind> {
    let ping = fields.take("ping").and_then(|ping| flag(ping, problems)).unwrap_or(false);
    let tcp: Vec<u16> = fields.take("tcp").map(|ports| list(ports, problems)).unwrap_or_default();
    let udp: Vec<u16> = fields.take("udp").map(|ports| list(ports, problems)).unwrap_or_default();
    let mut kinds: Vec<ProbeKind> = ping
        .then_some(ProbeKind::Ping)
        .into_iter()
        .chain(tcp.into_iter().map(ProbeKind::Tcp))
        .chain(udp.into_iter().map(ProbeKind::Udp))
        .collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

fn family(value: &Located, problems: &mut Problems) -> Option<Family> {
    match text(value, problems)? {
        "ipv4" => Some(Family::V4),
        "ipv6" => Some(Family::V6),
        other => {
            problems.add(value.place, format!("`{other}` is no family: `ipv4` or `ipv6`"));
            None
        }
    }
}

fn step(value: &Located, within: Duration, problems: &mut Problems) -> Option<Step> {
    let mut fields = Fields::of(value, problems)?;
    let step = if let Some(check) = fields.take("check") {
        let within = fields.take("within").map_or(Some(within), |within| duration(within, problems));
        let without = fields.take("without").map(|without| list(without, problems)).unwrap_or_default();
        match text(check, problems) {
            Some("expect") => within.map(|within| Step::Check { within, without }),
            Some(other) => {
                problems.add(check.place, format!("`{other}` is nothing to check: `expect`"));
                None
            }
            None => None,
        }
    } else if let Some(what) = fields.take("break") {
        part(what, true, problems).map(|(part, manner)| Step::Break(part, manner))
    } else if let Some(what) = fields.take("mend") {
        part(what, false, problems).map(|(part, _)| Step::Mend(part))
    } else if let Some(what) = fields.take("kill") {
        victim(what, problems).map(|victim| match victim {
            Victim::Daemon(on, daemon) => Step::Kill { on, daemon },
            Victim::Process(process) => Step::KillProcess(process),
        })
    } else if let Some(what) = fields.take("restart") {
        victim(what, problems).map(|victim| match victim {
            Victim::Daemon(on, daemon) => Step::Restart { on, daemon },
            Victim::Process(process) => Step::RestartProcess(process),
        })
    } else if let Some(what) = fields.take("apply") {
        apply(what, problems)
    } else if let Some(what) = fields.take("applied") {
        let says = fields.take("says").and_then(|says| text(says, problems)).map(str::to_owned);
        ended(what, problems).map(|ends| Step::Applied { ends, says })
    } else if let Some(servers) = fields.take("install") {
        Some(Step::Install(list(servers, problems)))
    } else if let Some(time) = fields.take("wait") {
        duration(time, problems).map(Step::Wait)
    } else if let Some(what) = fields.take("status") {
        let within = fields.take("within").map_or(Some(DEFAULT_SETTLES), |within| duration(within, problems));
        match text(what, problems) {
            Some("fine") => within.map(|within| Step::Fine { within }),
            Some(other) => {
                problems.add(what.place, format!("`{other}` is no status to wait for: `fine`"));
                None
            }
            None => None,
        }
    } else if let Some(what) = fields.take("killPoints") {
        kill_points(what, problems).map(|points| Step::KillPoints(Box::new(points)))
    } else if let Some(what) = fields.take("drift") {
        script(what, problems).map(Step::Drift)
    } else if let Some(on) = fields.take("agent") {
        parsed(on, problems).map(|on| Step::Agent { on })
    } else if let Some(what) = fields.take("measure") {
        measure(what, problems)
    } else if let Some(what) = fields.take("attack") {
        attack(what, problems).map(|attack| Step::Attack(Box::new(attack)))
    } else {
        problems.add(fields.place(), STEPS);
        return None;
    };
    fields.finish(problems);
    step
}

/// `{link: "leaf-01:swp1 -- spine-01:swp1"}` or `{node: leaf-01}`, perhaps with `silently: true`.
fn part(value: &Located, breaks: bool, problems: &mut Problems) -> Option<(Part, Manner)> {
    let mut fields = Fields::of(value, problems)?;
    let link = fields.take("link").map(|link| cable(link, problems));
    let node = fields.take("node").map(|node| parsed(node, problems).map(Part::Node));
    let management = fields.take("management").map(|node| parsed(node, problems).map(Part::Management));
    let silently = if breaks { fields.take("silently") } else { None }.and_then(|silently| flag(silently, problems)).unwrap_or(false);
    let place = fields.place();
    fields.finish(problems);
    let link = link.map(|link| link.map(|(a, b)| Part::Link(a, b)));
    let part = match (link, node, management) {
        (Some(part), None, None) | (None, Some(part), None) | (None, None, Some(part)) => part,
        _ => {
            problems.add(place, "say one of `link`, `node` and `management`");
            None
        }
    };
    part.map(|part| (part, if silently { Manner::Silent } else { Manner::Carrier }))
}

type End = (Name, IfName);

fn cable(value: &Located, problems: &mut Problems) -> Option<(End, End)> {
    let written = text(value, problems)?;
    let end = |text: &str| {
        let (node, port) = text.trim().split_once(':')?;
        Some((node.parse().ok()?, port.parse().ok()?))
    };
    let both = written.split_once("--").and_then(|(a, b)| Some((end(a)?, end(b)?)));
    if both.is_none() {
        problems.add(value.place, format!("`{written}` is no cable such as `leaf-01:swp31 -- spine-01:swp1`"));
    }
    both
}

/// What can be killed.
enum Victim {
    Daemon(Name, String),
    Process(Process),
}

/// `controller`, `{on: leaf-01, daemon: bgpd}` or `{on: leaf-01, daemon: agent}`.
fn victim(value: &Located, problems: &mut Problems) -> Option<Victim> {
    if let yaml::Yaml::Text(who) = &value.value {
        return process(who).filter(|process| *process == Process::Controller).map(Victim::Process).or_else(|| {
            problems.add(value.place, format!("`{who}` can't be killed: `controller`, or `{{on: NODE, daemon: agent}}`"));
            None
        });
    }
    let mut fields = Fields::of(value, problems)?;
    let on: Option<Name> = fields.need("on", problems).and_then(|on| parsed(on, problems));
    let daemon = fields.need("daemon", problems).and_then(|daemon| {
        let name = text(daemon, problems)?;
        if ["agent", "bgpd", "zebra", "bfdd", "staticd", "mgmtd"].contains(&name) {
            return Some(name.to_owned());
        }
        problems.add(daemon.place, format!("`{name}` is no daemon of ours"));
        None
    });
    fields.finish(problems);
    let (on, daemon) = (on?, daemon?);
    Some(if daemon == "agent" { Victim::Process(Process::Agent(on)) } else { Victim::Daemon(on, daemon) })
}

/// `controller`, or a device for its agent.
fn process(text: &str) -> Option<Process> {
    if text == "controller" { Some(Process::Controller) } else { text.parse().ok().map(Process::Agent) }
}

/// `original`, or `{edit: […], ends: committed, says: "…"}`, or with `background: true`, or with `times: 100`.
fn apply(value: &Located, problems: &mut Problems) -> Option<Step> {
    if let yaml::Yaml::Text(what) = &value.value {
        if what == "original" {
            return Some(Step::Apply(Change { edits: None, ends: Some(Ended::Committed), says: None }));
        }
        problems.add(value.place, format!("`{what}` can't be applied: `original`, or `{{edit: […]}}`"));
        return None;
    }
    let mut fields = Fields::of(value, problems)?;
    let edits = fields.need("edit", problems).map(|edits| edit(edits, problems));
    let ends = fields.take("ends").map_or(Some(Ended::Committed), |ends| ended(ends, problems));
    let says = fields.take("says").and_then(|says| text(says, problems)).map(str::to_owned);
    let background = fields.take("background").and_then(|background| flag(background, problems)).unwrap_or(false);
    let times = fields.take("times").and_then(|times| parsed(times, problems));
    fields.finish(problems);
    Some(match times {
        Some(times) => Step::ApplyOften { edits: edits?, times },
        None => Step::Apply(Change { edits: Some(edits?), ends: if background { None } else { Some(ends?) }, says }),
    })
}

fn ended(value: &Located, problems: &mut Problems) -> Option<Ended> {
    let word = text(value, problems)?;
    let known = Ended::ALL.into_iter().find(|(name, _)| *name == word);
    if known.is_none() {
        let all = Ended::ALL.map(|(name, _)| name).join(", ");
        problems.add(value.place, format!("`{word}` is no end of an apply: {all}"));
    }
    known.map(|(_, ended)| ended)
}

/// `[{in: tenant-acme.yaml, replace: "port: 443", by: "port: 8443"}]`
fn edit(value: &Located, problems: &mut Problems) -> Vec<Edit> {
    let one = |value: &Located, problems: &mut Problems| {
        let mut fields = Fields::of(value, problems)?;
        let mut need = |key| fields.need(key, problems).and_then(|value| text(value, problems)).map(str::to_owned);
        let (file, replace, by) = (need("in"), need("replace"), need("by"));
        fields.finish(problems);
        let (file, replace, by) = (file?, replace?, by?);
        if file.contains('/') || replace.is_empty() || by.is_empty() {
            problems
                .add(value.place, "an edit is of a file in the fabric's directory, from something to something: it goes back the same way");
            return None;
        }
        Some(Edit { file, replace, by })
    };
    items(value).iter().filter_map(|item| one(item, problems)).collect()
}

/// `{edit: […], victims: [controller, leaf-01], times: 50, seed: 1, within: 2m}`
fn kill_points(value: &Located, problems: &mut Problems) -> Option<KillPoints> {
    let mut fields = Fields::of(value, problems)?;
    let edits = fields.need("edit", problems).map(|edits| edit(edits, problems));
    let victims = fields.take("victims").map(|victims| list::<Name>(victims, problems)).unwrap_or_default();
    let times = fields.need("times", problems).and_then(|times| parsed(times, problems));
    let seed = fields.take("seed").and_then(|seed| parsed(seed, problems)).unwrap_or(1);
    let within = fields.take("within").and_then(|within| duration(within, problems)).unwrap_or(DEFAULT_SETTLES);
    fields.finish(problems);
    let victims = victims.iter().filter_map(|name| process(name.as_str())).collect();
    Some(KillPoints { edits: edits?, victims, times: times?, seed, within })
}

/// `{drift: {on: leaf-01, run: "…"}, until: "…", name: lab-drift-to-repair, times: 20, medianAtMost: 1s}`
fn drift_to_repair(fields: &mut Fields<'_>, drift: &Located, problems: &mut Problems) -> Option<DriftToRepair> {
    let drift = script(drift, problems);
    let until = fields.need("until", problems).and_then(|until| text(until, problems)).map(str::to_owned);
    let name = fields.need("name", problems).and_then(|name| text(name, problems)).map(str::to_owned);
    let times = fields.need("times", problems).and_then(|times| parsed(times, problems));
    let median_at_most = fields.take("medianAtMost").and_then(|limit| duration(limit, problems));
    let drift = drift?;
    let until = Script { on: drift.on.clone(), run: until? };
    Some(DriftToRepair { name: name?, drift, until, times: times?, median_at_most })
}

/// `{apply: […edits], name: lab-apply-to-packet, from: srv-04, to: outside, tcp: [8443], times: 20, medianAtMost: 1s}`
fn apply_to_packet(fields: &mut Fields<'_>, edits: &Located, problems: &mut Problems) -> Option<ApplyToPacket> {
    let edits = edit(edits, problems);
    let name = fields.need("name", problems).and_then(|name| text(name, problems)).map(str::to_owned);
    let from = fields.need("from", problems).and_then(|from| parsed(from, problems));
    let to = fields.need("to", problems).and_then(|to| parsed(to, problems));
    let family = fields.take("family").map_or(Some(Family::V4), |value| family(value, problems));
    let place = fields.place();
    let kinds = take_kinds(fields, problems);
    let times = fields.need("times", problems).and_then(|times| parsed(times, problems));
    let median_at_most = fields.take("medianAtMost").and_then(|limit| duration(limit, problems));
    let [kind] = kinds.as_slice() else {
        problems.add(place, "say what is sent: one of `ping: true`, `tcp: […]`, `udp: […]`");
        return None;
    };
    Some(ApplyToPacket { name: name?, edits, from: from?, to: to?, family: family?, kind: *kind, times: times?, median_at_most })
}

/// `{on: leaf-01, run: "ip link set vlan1001 down"}`
fn script(value: &Located, problems: &mut Problems) -> Option<Script> {
    let mut fields = Fields::of(value, problems)?;
    let on = fields.need("on", problems).and_then(|on| parsed(on, problems));
    let run = fields.need("run", problems).and_then(|run| text(run, problems));
    fields.finish(problems);
    Some(Script { on: on?, run: run?.to_owned() })
}

/// `gap`, or `{gap: [[a, b], …], atMost: 3s}`.
fn measure(value: &Located, problems: &mut Problems) -> Option<Step> {
    if let yaml::Yaml::Text(what) = &value.value {
        if what == "gap" {
            return Some(Step::MeasureGap { pairs: Vec::new(), at_most: None });
        }
        problems.add(value.place, format!("`{what}` is nothing to measure: `gap`"));
        return None;
    }
    let mut fields = Fields::of(value, problems)?;
    if let Some(edits) = fields.take("apply") {
        let measure = apply_to_packet(&mut fields, edits, problems);
        fields.finish(problems);
        return measure.map(|measure| Step::MeasureApply(Box::new(measure)));
    }
    if let Some(drift) = fields.take("drift") {
        let measure = drift_to_repair(&mut fields, drift, problems);
        fields.finish(problems);
        return measure.map(|measure| Step::MeasureDrift(Box::new(measure)));
    }
    let pairs = fields.need("gap", problems).map(|pairs| {
        let pair = |item: &Located, problems: &mut Problems| {
            if let [from, to] = list::<Name>(item, problems).as_slice() {
                return Some((from.clone(), to.clone()));
            }
            problems.add(item.place, "expected a pair `[from, to]`");
            None
        };
        items(pairs).iter().filter_map(|item| pair(item, problems)).collect::<Vec<_>>()
    });
    let at_most = fields.take("atMost").and_then(|limit| duration(limit, problems));
    fields.finish(problems);
    Some(Step::MeasureGap { pairs: pairs?, at_most })
}

/// `{name, on, run, undo, guards: [{on, out, back}], gains: […], proof: {on, run}, settle: 10s}`
fn attack(value: &Located, problems: &mut Problems) -> Option<Attack> {
    let mut fields = Fields::of(value, problems)?;
    let name = fields.need("name", problems).and_then(|name| text(name, problems)).map(str::to_owned);
    let on: Option<Name> = fields.need("on", problems).and_then(|on| parsed(on, problems));
    let run = fields.need("run", problems).and_then(|run| text(run, problems)).map(str::to_owned);
    let undo = fields.take("undo").and_then(|undo| text(undo, problems)).map(str::to_owned);
    let guards = fields.need("guards", problems);
    let guards: Vec<Guard> =
        guards.map(|guards| items(guards).iter().filter_map(|item| guard(item, problems)).collect()).unwrap_or_default();
    let gains = fields.take("gains");
    let gains: Vec<Expectation> =
        gains.map(|gains| items(gains).iter().filter_map(|item| expectation(item, problems)).collect()).unwrap_or_default();
    let proof = fields.take("proof").and_then(|proof| script(proof, problems));
    let settle = fields.take("settle").and_then(|settle| duration(settle, problems)).unwrap_or(DEFAULT_SETTLE);
    let place: Place = fields.place();
    fields.finish(problems);
    if gains.is_empty() && proof.is_none() {
        problems.add(place, "an attack needs `gains` or a `proof`, else nothing tells whether it succeeds");
    }
    if guards.is_empty() {
        problems.add(place, "an attack needs `guards`, else it cannot be shown to succeed");
    }
    let on = on?;
    let undo = undo.map(|run| Script { on: on.clone(), run });
    Some(Attack { name: name?, attacker: Script { on, run: run? }, undo, guards, gains, proof, settle })
}

fn guard(value: &Located, problems: &mut Problems) -> Option<Guard> {
    let mut fields = Fields::of(value, problems)?;
    let on: Option<Name> = fields.need("on", problems).and_then(|on| parsed(on, problems));
    let out = fields.need("out", problems).and_then(|out| text(out, problems));
    let back = fields.need("back", problems).and_then(|back| text(back, problems));
    fields.finish(problems);
    let on = on?;
    Some(Guard { out: Script { on: on.clone(), run: out?.to_owned() }, back: Script { on, run: back?.to_owned() } })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
apiVersion: leafwall.io/v1
kind: Scenario
metadata: {name: reachability}
spec:
  fabric: ..
  expect:
    - {from: srv-01, to: [srv-02, srv-03], any: true}
    - {from: srv-02, to: outside, tcp: [443, 80], families: [ipv4]}
  tryAlso: {tcp: [22]}
  steps:
    - check: expect
    - break: {link: "leaf-01:swp31 -- spine-01:swp1"}
    - measure: gap
    - mend: {link: "leaf-01:swp31 -- spine-01:swp1"}
    - break: {node: spine-01, silently: true}
    - drift: {on: leaf-02, run: "ip link set vlan1001 down"}
    - install: [srv-01, srv-02]
    - check: expect
      within: 5s
    - attack:
        name: smuggle
        on: fw-01
        run: ./smuggle.sh
        guards: [{on: leaf-01, out: "a", back: "b"}]
        proof: {on: leaf-02, run: "true"}
"#;

    #[test]
    fn a_whole_scenario_reads() {
        let scenario = decode("x.yaml", Path::new("dir/scenarios"), WHOLE).unwrap();
        assert_eq!(scenario.fabric, Path::new("dir/scenarios/.."));
        assert_eq!(scenario.expect[1].passes, Passes::Only(vec![ProbeKind::Tcp(80), ProbeKind::Tcp(443)]));
        assert_eq!(scenario.steps.len(), 9);
        assert_eq!(scenario.steps[0], Step::Check { within: DEFAULT_WITHIN, without: vec![] });
        assert!(matches!(&scenario.steps[4], Step::Break(Part::Node(node), Manner::Silent) if node.as_str() == "spine-01"));
        assert!(matches!(&scenario.steps[6], Step::Install(servers) if servers.len() == 2));
        assert_eq!(scenario.steps[7], Step::Check { within: Duration::from_secs(5), without: vec![] });
    }

    #[test]
    fn all_problems_come_at_once_with_their_places() {
        let text = WHOLE
            .replace("any: true", "any: true, ping: true")
            .replace("within: 5s", "within: 5")
            .replace("swp1\"}", "swp1\", slowly: true}")
            .replace("check: expect", "check: all");
        let found = decode("x.yaml", Path::new("."), &text).unwrap_err();
        let lines: Vec<&str> = found.lines().collect();
        assert!(lines[0].starts_with("x.yaml:8:7: say one of `any: true`"), "{found}");
        assert!(found.contains("x.yaml:12:14: `all` is nothing to check"), "{found}");
        assert!(found.contains("unknown field `slowly`; here stand link, node, management, silently"), "{found}");
        assert!(found.contains("`5` is no duration"), "{found}");
    }

    #[test]
    fn an_attack_without_a_sign_of_success_is_refused() {
        let text = WHOLE.replace("        proof: {on: leaf-02, run: \"true\"}\n", "");
        assert!(decode("x.yaml", Path::new("."), &text).unwrap_err().contains("nothing tells whether it succeeds"));
    }
}
