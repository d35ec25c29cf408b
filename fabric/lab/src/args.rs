//! The command line below `leafwall lab`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use leafwall_topology::Name;

/// `leafwall lab …`
#[derive(Debug, Args)]
pub struct LabArgs {
    /// Name of the lab: several at once have different names
    #[arg(long, global = true, default_value = "lab", value_parser = parse_name)]
    pub name: Name,
    /// Where the nodes run
    #[arg(long, global = true, value_enum, default_value_t)]
    pub runtime: Runtime,
    /// What to do
    #[command(subcommand)]
    pub command: LabCommand,
}

/// Where the nodes of a lab run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Runtime {
    /// Namespaces where the kernel can and we are root, else the virtual machine
    #[default]
    Auto,
    /// Namespaces of this kernel
    Netns,
    /// Namespaces inside a small virtual machine
    Vm,
}

/// The things one does with a lab.
#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// Make the root file system and kernel of the lab's machine, or find them in the cache
    Root,
    /// Start the virtual machine alone, without nodes
    Boot,
    /// Bring a fabric up
    Up {
        /// A directory of intents, or one that `leafwall render` wrote
        dir: PathBuf,
        /// With a controller in the management network and an agent on every device, which get the intents applied
        #[arg(long)]
        agents: bool,
    },
    /// Run scenarios: on the lab that is up, else on one that is brought up for them
    Test(TestArgs),
    /// Open a shell on a node, or run a command there
    Shell {
        /// The node
        #[arg(value_parser = parse_name)]
        node: Name,
        /// A command instead of a shell
        #[arg(trailing_var_arg = true)]
        argv: Vec<String>,
    },
    /// Show what is up
    Status,
    /// End the lab and remove everything it made
    Down,
    /// Run a command in the machine of the lab
    Run {
        /// The command and its arguments
        #[arg(trailing_var_arg = true, required = true)]
        argv: Vec<String>,
    },
    /// Serve the host from inside the machine
    #[command(hide = true)]
    Guest,
    /// Probe and be probed, as one node of a lab; orders come on standard input
    #[command(hide = true)]
    Probe,
}

/// `leafwall lab test …`
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Scenarios, or fabrics' directories: all in their `scenarios/`
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as JUnit's XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Repeat no step more often than this: a sample of what the scenario says
    #[arg(long, value_name = "N")]
    pub times: Option<u32>,
    /// Leave the lab up
    #[arg(long)]
    pub keep: bool,
    /// Artefacts, in place of rendering the scenarios' fabric
    #[arg(long, value_name = "DIR")]
    pub rendered: Option<PathBuf>,
}

fn parse_name(text: &str) -> Result<Name, String> {
    text.parse().map_err(|error: leafwall_topology::NameError| error.to_string())
}
