//! `leafwall check DIR`

use std::path::PathBuf;

use crate::{Outcome, fabric};

/// Checks a fabric, its allocation table included, and tells all problems at once.
///
/// Warnings count as problems here; other commands tell them and go on.
#[derive(clap::Args)]
#[command(
    after_help = "Each problem has a code: `leafwall explain CODE` says more about it.\n\nExample:\n  leafwall check containerlab/fra1"
)]
pub struct Args {
    /// The fabric's directory; its top-level *.yaml files are the intents.
    directory: PathBuf,
}

/// Checks, and counts what is there if all is well.
pub fn run(args: &Args) -> Outcome {
    let (planner, _) = match fabric::checked(&args.directory, &mut Vec::new()) {
        Ok((_, warnings)) if warnings > 0 => return Outcome::Problems,
        Ok(checked) => checked,
        Err(outcome) => return outcome,
    };
    let model = planner.model();
    eprintln!(
        "{}: {} switches, {} servers, {} tenants, {} networks, {} allocations, {} firewalls: no problems",
        model.fabric.name,
        model.switches.len(),
        model.servers.len(),
        model.tenants.len(),
        model.networks.len(),
        model.allocations.len(),
        model.firewalls.len()
    );
    Outcome::Fine
}
