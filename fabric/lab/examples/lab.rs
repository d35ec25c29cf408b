//! `leafwall lab` alone, without the rest of the program: quick to build while working on the lab.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use leafwall_lab::LabArgs;

#[derive(Parser)]
struct Program {
    #[command(subcommand)]
    command: Top,
}

#[derive(Subcommand)]
enum Top {
    /// Scenarios on a runtime
    Lab(LabArgs),
}

fn main() -> ExitCode {
    let Top::Lab(args) = Program::parse().command;
    leafwall_lab::run(&args).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            eprintln!("  because: {error}");
            cause = error.source();
        }
        ExitCode::from(2)
    })
}
