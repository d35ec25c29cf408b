//! Fabrics, rendered.

use std::path::{Path, PathBuf};

use leafwall_intent::{Model, SourceFile, Sources, Style};
use leafwall_plan::{Planner, Table};
use leafwall_proof::Input;
use leafwall_render::build;
use leafwall_render::inventory::LabInventory;
use leafwall_render::{Devices, render};

use crate::fabric::File;
use crate::{directory, root};

/// A fabric with everything made of it.
pub struct Rendered {
    /// Model, table and plan.
    pub planner: Planner,
    /// The files of each device.
    pub devices: Devices,
    /// fabric.json
    pub inventory: String,
}

impl Rendered {
    /// Endpoints and routers outside.
    ///
    /// # Panics
    /// Never: the text was printed from one.
    #[allow(clippy::unwrap_used)]
    pub fn inventory(&self) -> LabInventory {
        serde_json::from_str(&self.inventory).unwrap()
    }

    /// What the proof asks for.
    pub fn input<'a>(&'a self, inventory: &'a LabInventory) -> Input<'a> {
        Input {
            model: self.planner.model(),
            table: self.planner.table(),
            endpoints: &inventory.endpoints,
            outside: &inventory.outside,
            artefacts: &self.devices,
        }
    }
}

/// Fabrics of platform `frr`, by name: what the lab runs.
pub fn golden_fabrics() -> [(&'static str, PathBuf); 2] {
    [("fra1", root().join("containerlab/fra1")), ("corners", root().join("tests/fabrics/corners"))]
}

/// All fabrics that goldens are kept of.
pub fn all_golden_fabrics() -> Vec<(&'static str, PathBuf)> {
    golden_fabrics().into_iter().chain([("sonic", root().join("tests/fabrics/sonic"))]).collect()
}

/// The committed files of a fabric.
pub fn goldens(fabric: &str) -> PathBuf {
    root().join("tests/goldens").join(fabric)
}

/// Reads, checks, allocates, plans and renders a directory.
///
/// # Panics
/// Where any of that fails: the directory is one that must work.
#[allow(clippy::unwrap_used, clippy::panic)]
pub fn rendered(path: &Path) -> Rendered {
    let (model, _, findings) = directory::load(path).unwrap();
    let Some(model) = model else { panic!("{}:\n{findings}", path.display()) };
    rendered_model(model)
}

/// The same of intents that were made on the spot.
///
/// # Panics
/// Where any of that fails.
#[allow(clippy::unwrap_used)]
pub fn rendered_files(files: Vec<File>) -> Rendered {
    let sources = Sources::new(files.into_iter().map(|(path, text)| SourceFile { path, text: text.into() }).collect());
    let (model, diagnostics) = leafwall_intent::load(&sources);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(&sources, Style::Plain));
    rendered_model(model.unwrap())
}

#[allow(clippy::unwrap_used)]
fn rendered_model(model: Model) -> Rendered {
    let planner = Planner::new(model, &Table::default(), 1, None).unwrap();
    let devices = render(planner.plan()).unwrap();
    let inventory = build::inventory(planner.model(), planner.table(), planner.plan());
    let inventory = serde_json::to_string_pretty(&inventory).unwrap() + "\n";
    Rendered { planner, devices, inventory }
}
