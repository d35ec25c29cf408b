//! `leafwall lab …`

use crate::{Outcome, chain};

/// Runs the command of the lab's own crate.
pub fn run(args: &leafwall_lab::LabArgs) -> Outcome {
    match leafwall_lab::run(args) {
        Ok(code) => Outcome::Ended(code),
        Err(error) => Outcome::CouldNot(chain(&error)),
    }
}
