//! `leafwall allocation DIR`

use std::path::PathBuf;

use leafwall_plan::TableFile;

use crate::{Outcome, fabric};

/// Prints the allocation table: every number and address that the intents leave open.
///
/// Saved as allocation.yaml beside the intents, it pins them: what it says stays as it is, whatever is added or removed.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  leafwall allocation containerlab/fra1 > containerlab/fra1/allocation.yaml")]
pub struct Args {
    /// The fabric's directory
    directory: PathBuf,
}

/// Allocates, and prints YAML.
pub fn run(args: &Args) -> Outcome {
    let planner = match fabric::plan(&args.directory, &mut Vec::new()) {
        Ok(planner) => planner,
        Err(outcome) => return outcome,
    };
    match TableFile::from(&**planner.table()).to_yaml() {
        Ok(text) => {
            print!("{text}");
            Outcome::Fine
        }
        Err(error) => Outcome::CouldNot(error.to_string()),
    }
}
