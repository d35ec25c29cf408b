//! The `leafwall` command: intents in, a running, proven fabric out.

mod client;
mod commands;
mod fabric;
mod input;
mod output;
mod style;
mod table;
mod unified;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use leafwall_agent::args::LogFormat;
use leafwall_topology::chain;

/// A checked and rendered fabric is millions of small texts made on all cores: with the system's allocator a sixth of the time goes there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Network fabric and firewall controller for EVPN/VXLAN leaf-spine data centres.
///
/// Tenants state what they want, operators describe the cabling; leafwall renders FRR and nftables configuration for every switch, server and firewall
/// machine. A fabric is a directory of YAML files.
#[derive(Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true, max_term_width = 110)]
#[command(after_help = "Exit codes: 0 fine, 1 problems found, 2 could not run. stdout is data, stderr is everything else.")]
struct Arguments {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(commands::check::Args),
    Render(commands::render::Args),
    Verify(commands::verify::Args),
    Trace(commands::trace::Args),
    /// Says what a firewall does with a flow
    Firewall(commands::firewall::Args),
    Explain(commands::explain::Args),
    /// Runs a fabric in a lab: namespaces with real FRR and nftables, here or in a small virtual machine
    Lab(leafwall_lab::LabArgs),
    Export(commands::export::Args),
    /// Makes a device equal to its artefacts and reads it back
    #[command(after_help = "Example:\n  leafwall render containerlab/fra1 -o out\n  leafwall agent --once out/leaf-01")]
    Agent(leafwall_agent::args::AgentArgs),
    Controller(commands::controller::Args),
    Kube(commands::kube::Args),
    Enroll(commands::enroll::Args),
    Plan(commands::plan::Args),
    Apply(commands::apply::Args),
    Resolve(commands::resolve::Args),
    Revert(commands::back::Revert),
    Restore(commands::back::Restore),
    Status(commands::status::Args),
    Watch(commands::watch::Args),
    Drift(commands::drift::Args),
    History(commands::history::Args),
    Diff(commands::diff::Args),
    Show(commands::show::Args),
    Audit(commands::audit::Args),
}

/// How a command ended.
pub enum Outcome {
    /// All is well.
    Fine,
    /// It ran, and found problems that it has told.
    Problems,
    /// It ran, and says itself how it ended.
    Ended(ExitCode),
    /// It could not run.
    CouldNot(String),
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Fine => Self::SUCCESS,
            Outcome::Problems => Self::from(1),
            Outcome::Ended(code) => code,
            Outcome::CouldNot(why) => {
                eprintln!("leafwall: {why}");
                Self::from(2)
            }
        }
    }
}

/// The log goes to stderr. LEAFWALL_LOG says what is in it; without it that is what daemons do, and of all others what goes wrong.
fn log(command: &Command) {
    let daemon = match command {
        Command::Agent(args) => (!args.controller.is_empty()).then_some(args.log_format),
        Command::Controller(args) => args.log_format(),
        Command::Kube(args) => Some(args.log_format),
        _ => None,
    };
    let usual =
        if daemon.is_some() { "warn,leafwall=info,leafwall_agent=info,leafwall_controller=info,leafwall_kube=info" } else { "warn" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("LEAFWALL_LOG").unwrap_or_else(|_| usual.into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match daemon {
        Some(LogFormat::Json) => log.json().flatten_event(true).with_current_span(true).with_span_list(false).init(),
        Some(LogFormat::Text) | None => log.init(),
    }
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    log(&command);
    match command {
        Command::Check(args) => commands::check::run(&args),
        Command::Render(args) => commands::render::run(&args),
        Command::Verify(args) => commands::verify::run(&args),
        Command::Trace(args) => commands::trace::run(&args),
        Command::Firewall(args) => commands::firewall::run(&args),
        Command::Agent(args) => commands::agent::run(args),
        Command::Explain(args) => commands::explain::run(&args),
        Command::Lab(args) => commands::lab::run(&args),
        Command::Export(args) => commands::export::run(&args),
        Command::Controller(args) => commands::controller::run(args),
        Command::Kube(args) => commands::kube::run(&args),
        Command::Enroll(args) => commands::enroll::run(&args),
        Command::Plan(args) => commands::plan::run(&args),
        Command::Apply(args) => commands::apply::run(&args),
        Command::Resolve(args) => commands::resolve::run(&args),
        Command::Revert(args) => commands::back::revert(&args),
        Command::Restore(args) => commands::back::restore(&args),
        Command::Status(args) => commands::status::run(&args),
        Command::Watch(args) => commands::watch::run(&args),
        Command::Drift(args) => commands::drift::run(&args),
        Command::History(args) => commands::history::run(&args),
        Command::Diff(args) => commands::diff::run(&args),
        Command::Show(args) => commands::show::run(&args),
        Command::Audit(args) => commands::audit::run(&args),
    }
    .into()
}
