//! `leafwall lab test`: several scenarios, here or in the machine, and what is printed and written of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use leafwall_topology::Name;

use super::report::{ScenarioReport, junit};
use super::{Scenario, decode, run};
use crate::args::TestArgs;
use crate::control::GUEST_WORK;
use crate::control::Terminal;
use crate::error::{LabError, Result};
use crate::nodes::{self, NodeLab};
use crate::runtime::{MACHINE_VARIABLE, Place, Rendered, boot, pass_on};
use crate::vm::Vm;

/// The directories below the machine's work directory.
const RENDERED: &str = "rendered";
const SCENARIOS: &str = "scenarios";
const REPORT: &str = "report.json";

/// Runs the scenarios; exit status 1 if any fails.
pub(crate) fn test(name: &Name, args: &TestArgs, place: Place, up: bool) -> Result<ExitCode> {
    let files = scenario_files(&args.paths)?;
    let scenarios: Vec<(PathBuf, Scenario)> =
        files.into_iter().map(|file| decode::read(&file).map(|scenario| (file, scenario.at_most(args.times)))).collect::<Result<_>>()?;
    let groups = by_fabric(&scenarios);
    let reports = match place {
        Place::Here => groups.iter().map(|group| here(name, args, up, group)).collect::<Result<Vec<_>>>()?.concat(),
        Place::Machine => in_machine(name, args, up, &groups)?,
    };
    write_reports(args, &reports)?;
    let passed = reports.iter().filter(|report| report.passed()).count();
    // The program inside the machine has said so already, of what it ran.
    if place == Place::Here {
        eprintln!("leafwall: {passed} scenarios passed, {} failed", reports.len() - passed);
    }
    Ok(if passed == reports.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

type Group<'a> = Vec<&'a (PathBuf, Scenario)>;

/// Scenarios of the same fabric follow each other on the same lab, and those with agents on one that has them.
fn by_fabric(scenarios: &[(PathBuf, Scenario)]) -> Vec<Group<'_>> {
    let mut groups: Vec<((PathBuf, bool), Group<'_>)> = Vec::new();
    for scenario in scenarios {
        let fabric = scenario.1.fabric.canonicalize().unwrap_or_else(|_| scenario.1.fabric.clone());
        let key = (fabric, scenario.1.agents);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(scenario),
            None => groups.push((key, vec![scenario])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn agents(group: &Group<'_>) -> bool {
    group.iter().any(|(_, scenario)| scenario.agents)
}

fn rendered(name: &Name, args: &TestArgs, group: &Group<'_>) -> Result<Rendered> {
    let fabric = group.first().map_or(Path::new("."), |(_, scenario)| &scenario.fabric);
    Rendered::of(name, args.rendered.as_deref().unwrap_or(fabric))
}

fn here(name: &Name, args: &TestArgs, up: bool, group: &Group<'_>) -> Result<Vec<ScenarioReport>> {
    if up {
        let lab = NodeLab::find(name)?;
        return match (agents(group), lab.managed().is_some()) {
            (true, false) => {
                Err(LabError::Scenario(format!("lab `{name}` has no agents, and the scenario needs them: `leafwall lab up --agents`")))
            }
            _ => run_all(&lab, group),
        };
    }
    let artefacts = rendered(name, args, group)?;
    let lab = NodeLab::up(name, artefacts.dir(), agents(group))?;
    let reports = run_all(&lab, group);
    if !args.keep {
        NodeLab::down(name)?;
    }
    reports
}

fn run_all(lab: &NodeLab, group: &Group<'_>) -> Result<Vec<ScenarioReport>> {
    let machine = std::env::var(MACHINE_VARIABLE).unwrap_or_else(|_| "this kernel".to_owned());
    let mut reports = Vec::new();
    for (_, scenario) in group {
        println!("\nscenario {} on fabric {}, {machine}", scenario.name, lab.inventory().fabric);
        reports.push(run::run(lab, scenario, &machine, |text| print!("{text}"))?);
    }
    Ok(reports)
}

/// The same inside the machine: artefacts and scenarios go in through the work directory, the report comes out of it. One machine has all fabrics, one after
/// the other; a machine that `boot` started stays for the next run.
fn in_machine(name: &Name, args: &TestArgs, up: bool, groups: &[Group<'_>]) -> Result<Vec<ScenarioReport>> {
    let (vm, booted) = match Vm::find(name) {
        Ok(vm) => (vm, true),
        Err(_) => (boot(name)?, false),
    };
    let result = groups.iter().map(|group| one_in_machine(&vm, name, args, up, group)).collect::<Result<Vec<_>>>();
    if !up && !args.keep && !booted {
        vm.stop()?;
    }
    Ok(result?.concat())
}

fn one_in_machine(vm: &Vm, name: &Name, args: &TestArgs, up: bool, group: &Group<'_>) -> Result<Vec<ScenarioReport>> {
    if up {
        return test_inside(vm, name, args, up, group);
    }
    let inside = vm.work_dir().join(RENDERED);
    let remove = || if inside.exists() { fs::remove_dir_all(&inside).map_err(LabError::file("remove", &inside)) } else { Ok(()) };
    // what the fabric before left, here and inside
    remove()?;
    pass_on(vm, name, &["down"], Terminal::Pipes)?;
    nodes::copy_tree(rendered(name, args, group)?.dir(), &inside)?;
    let reports = test_inside(vm, name, args, up, group);
    if !args.keep {
        // it says that nodes are up
        remove()?;
    }
    reports
}

fn test_inside(vm: &Vm, name: &Name, args: &TestArgs, up: bool, group: &Group<'_>) -> Result<Vec<ScenarioReport>> {
    let work = vm.work_dir();
    let scenarios = work.join(SCENARIOS);
    if scenarios.exists() {
        fs::remove_dir_all(&scenarios).map_err(LabError::file("remove", &scenarios))?;
    }
    let report = work.join(REPORT);
    // A report that is not of this run must not be taken for it.
    if report.exists() {
        fs::remove_file(&report).map_err(LabError::file("remove", &report))?;
    }
    let mut words = vec!["test".to_owned(), "--json".to_owned(), format!("{GUEST_WORK}/{REPORT}")];
    if args.keep {
        words.push("--keep".to_owned());
    }
    words.extend(args.times.into_iter().flat_map(|times| ["--times".to_owned(), times.to_string()]));
    if !up {
        words.extend(["--rendered".to_owned(), format!("{GUEST_WORK}/{RENDERED}")]);
    }
    for (index, (file, scenario)) in group.iter().enumerate() {
        // Each with what lies beside it: its scripts. The fabric is `..` of all, so that they stay one group.
        let directory = scenarios.join(index.to_string());
        nodes::copy_tree(&scenario.directory, &directory)?;
        let file_name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        words.push(format!("{GUEST_WORK}/{SCENARIOS}/{index}/{file_name}"));
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let status = pass_on(vm, name, &words, Terminal::Pipes)?;
    match fs::read(&report) {
        Ok(json) => serde_json::from_slice(&json).map_err(|source| LabError::Json { path: report, source }),
        Err(source) => {
            tracing::debug!(?status, "no report");
            Err(LabError::File { action: "find the report of the machine in", path: report, source })
        }
    }
}

/// The files that are meant: a directory stands for all scenarios in it, or in its `scenarios/`.
fn scenario_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let below = path.join(SCENARIOS);
        let dir = if below.is_dir() { below } else { path.clone() };
        let entries = fs::read_dir(&dir).map_err(LabError::file("read", &dir))?;
        let mut found: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
            .collect();
        found.sort();
        if found.is_empty() {
            return Err(LabError::Scenario(format!("`{}` holds no scenario", dir.display())));
        }
        files.append(&mut found);
    }
    Ok(files)
}

fn write_reports(args: &TestArgs, reports: &[ScenarioReport]) -> Result<()> {
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(reports).map_err(|source| LabError::Json { path: path.clone(), source })?;
        fs::write(path, json).map_err(LabError::file("write", path))?;
    }
    if let Some(path) = &args.junit {
        fs::write(path, junit(reports)).map_err(LabError::file("write", path))?;
    }
    Ok(())
}
