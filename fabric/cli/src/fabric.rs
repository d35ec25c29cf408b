//! From a directory to artefacts: what most commands begin with.

use std::path::Path;
use std::time::{Duration, Instant};

use leafwall_intent::Model;
use leafwall_plan::{Failure, Planner};
use leafwall_proof::Input;
use leafwall_render::inventory::LabInventory;
use leafwall_render::{Devices, build, render};

use crate::input::Fabric;
use crate::{Outcome, chain, input};

/// A directory has no history: its plan is always the first.
const GENERATION: u64 = 1;

/// What a directory is rendered to.
pub struct Rendered {
    /// The files of each device.
    pub devices: Devices,
    /// What the lab needs to know.
    pub inventory: LabInventory,
    /// How long each stage took.
    pub timings: Vec<(&'static str, Duration)>,
}

impl Rendered {
    /// What the proof asks for; `planner` is what it was rendered from.
    pub fn input<'a>(&'a self, planner: &'a Planner) -> Input<'a> {
        Input {
            model: planner.model(),
            table: planner.table(),
            endpoints: &self.inventory.endpoints,
            outside: &self.inventory.outside,
            artefacts: &self.devices,
        }
    }
}

/// Model, allocation table and plan of a directory, or how the command ends. Warnings are told and prevent nothing.
pub fn plan(directory: &Path, timings: &mut Vec<(&'static str, Duration)>) -> Result<Planner, Outcome> {
    checked(directory, timings).map(|(planner, _)| planner)
}

/// As [`plan`], with the number of warnings.
pub fn checked(directory: &Path, timings: &mut Vec<(&'static str, Duration)>) -> Result<(Planner, usize), Outcome> {
    let mut clock = Clock::new(timings);
    let fabric = input::read(directory).map_err(Outcome::CouldNot)?;
    clock.stage("read files");
    let (model, warnings) = input::load(&fabric).ok_or(Outcome::Problems)?;
    clock.stage("parse and check");
    let planner = planner(&fabric, model)?;
    clock.stage("allocate and plan");
    Ok((planner, warnings))
}

/// Model, allocation table and plan of what was read, or how the command ends.
pub fn planned(fabric: &Fabric) -> Result<Planner, Outcome> {
    let (model, _) = input::load(fabric).ok_or(Outcome::Problems)?;
    planner(fabric, model)
}

fn planner(fabric: &Fabric, model: Model) -> Result<Planner, Outcome> {
    let stored = input::table(fabric).ok_or(Outcome::Problems)?;
    Planner::new(model, &stored.table, GENERATION, None).map_err(|failure| match failure {
        Failure::Allocation(problems) => {
            input::tell_allocation(&problems, &stored, fabric);
            Outcome::Problems
        }
        Failure::Reference(error) => Outcome::CouldNot(chain(&error)),
    })
}

/// Everything of a directory, or how the command ends.
pub fn rendered(directory: &Path) -> Result<Rendered, Outcome> {
    let (planner, rendered) = planned_and_rendered(directory)?;
    // Commands that render are about to end: giving a planner back in a million pieces would take as long as writing what came of it.
    std::mem::forget(planner);
    Ok(rendered)
}

/// As [`rendered`], with what it was rendered from.
pub fn planned_and_rendered(directory: &Path) -> Result<(Planner, Rendered), Outcome> {
    let mut timings = Vec::new();
    let planner = plan(directory, &mut timings)?;
    let mut clock = Clock::new(&mut timings);
    let (devices, inventory) =
        rayon::join(|| render(planner.plan()), || build::inventory(planner.model(), planner.table(), planner.plan()));
    let devices = devices.map_err(|error| Outcome::CouldNot(chain(&error)))?;
    clock.stage("render");
    Ok((planner, Rendered { devices, inventory, timings }))
}

/// Takes the time of stages.
pub struct Clock<'a> {
    timings: &'a mut Vec<(&'static str, Duration)>,
    since: Instant,
}

impl<'a> Clock<'a> {
    /// From now on.
    pub fn new(timings: &'a mut Vec<(&'static str, Duration)>) -> Self {
        Self { timings, since: Instant::now() }
    }

    /// What was done since the last stage was this one.
    pub fn stage(&mut self, name: &'static str) {
        let now = Instant::now();
        self.timings.push((name, now - self.since));
        self.since = now;
    }
}
