//! `leafwall render DIR -o OUT`

use std::path::PathBuf;

use crate::output::Layout;
use crate::{Outcome, fabric, output};

/// Renders a fabric: OUT/<device>/{frr.conf,links.json,leafwall.nft}, OUT/servers.json, and OUT/fabric.json.
///
/// Switches, firewalls and routed servers have a directory each. The links and addresses of bridged servers stand in servers.json, one server a line.
/// The same input gives the same bytes. If anything is wrong with the fabric, nothing is written.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  leafwall render containerlab/fra1 -o out\n  less out/leaf-01/frr.conf")]
pub struct Args {
    /// The fabric's directory
    directory: PathBuf,
    /// Where to write
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Give each bridged server a directory, too
    #[arg(long)]
    servers_apart: bool,
    /// Tell how long each stage took
    #[arg(long)]
    timings: bool,
}

/// Checks, allocates, plans, renders, and only then writes.
pub fn run(args: &Args) -> Outcome {
    let mut rendered = match fabric::rendered(&args.directory) {
        Ok(rendered) => rendered,
        Err(outcome) => return outcome,
    };
    let layout = if args.servers_apart { Layout::ServersApart } else { Layout::ServersTogether };
    let mut timings = std::mem::take(&mut rendered.timings);
    let mut clock = fabric::Clock::new(&mut timings);
    if let Err(why) = output::write(&args.output, &rendered, layout) {
        return Outcome::CouldNot(why);
    }
    clock.stage("write files");
    if args.timings {
        for (stage, took) in timings {
            eprintln!("{stage:18} {:>9.1} ms", took.as_secs_f64() * 1000.0);
        }
    }
    // as with the planner: the process ends
    std::mem::forget(rendered);
    Outcome::Fine
}
