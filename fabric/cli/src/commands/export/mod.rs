//! `leafwall export …`

mod containerlab;
mod graph;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use leafwall_kube::{crds, webhook};
use leafwall_plan::{Device, TableFile};
use leafwall_topology::Name;

use crate::{Outcome, fabric, input, output};

/// Writes a fabric, or what belongs to its intents, for other tools.
#[derive(clap::Args)]
pub struct Args {
    /// What is written.
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Prints the allocation table (YAML): every number and address that the intents leave open
    #[command(
        after_help = "Saved as allocation.yaml beside the intents, it pins them: what it says stays as it is, whatever is added or removed.\n\nExample:\n  leafwall export allocation containerlab/fra1 > containerlab/fra1/allocation.yaml"
    )]
    Allocation {
        /// The fabric's directory
        directory: PathBuf,
    },
    /// Writes a lab for containerlab: the topology file and each node's configuration
    #[command(after_help = "Example:\n  leafwall export containerlab containerlab/fra1 -o lab\n  containerlab deploy -t lab/fra1.clab.yml")]
    Containerlab {
        /// The fabric's directory
        directory: PathBuf,
        /// Where to write
        #[arg(short, long, value_name = "OUT")]
        output: PathBuf,
    },
    /// Prints the definitions of the kinds that a Kubernetes cluster opens its firewall with (YAML)
    #[command(
        after_help = "metal-stack's ClusterwideNetworkPolicy is among them only if asked for: a cluster that ran its controller has that definition.\n\nExample:\n  leafwall export crds | kubectl apply -f -"
    )]
    Crds {
        /// Which kinds
        #[arg(long, value_enum, default_value_t)]
        of: Group,
    },
    /// Prints the fabric as a picture (SVG): switches, cables, and each machine with its ports, coloured by tenant
    #[command(after_help = "Example:\n  leafwall export graph containerlab/fra1 > fra1.svg")]
    Graph {
        /// The fabric's directory
        directory: PathBuf,
    },
    /// Prints what `leafwall kube` must know of a firewall machine: its networks and the operator's bounds (JSON)
    #[command(after_help = "Example:\n  leafwall export firewall containerlab/fra1 fw-01 > fw-01.json")]
    Firewall {
        /// The fabric's directory
        directory: PathBuf,
        /// The firewall machine
        machine: Name,
    },
    /// Prints the JSON Schema of intents, for editors
    #[command(
        after_help = "Example:\n  leafwall export schema > leafwall.schema.json\n\nThen, in an editor with YAML support, at the top of a file:\n  # yaml-language-server: $schema=leafwall.schema.json"
    )]
    Schema,
    /// Prints what makes a cluster's API server ask the firewall machines before it stores an object (YAML)
    #[command(
        after_help = "The addresses are where `leafwall kube --webhook` answers, one for each firewall machine, as the API server reaches them; their certificates are for these names or addresses.\nA machine that does not answer is ignored: objects are stored, and their status says what is wrong with them.\n\nExample:\n  leafwall export webhook 192.0.2.1:9443 192.0.2.2:9443 --authority ca.pem | kubectl apply -f -"
    )]
    Webhook {
        /// Where webhooks answer: HOST:PORT
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// What signed their certificates, or these themselves (PEM)
        #[arg(long, value_name = "FILE")]
        authority: PathBuf,
    },
}

/// Whose kinds.
#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum Group {
    /// FirewallPolicy and Firewall
    #[default]
    Leafwall,
    /// ClusterwideNetworkPolicy
    MetalStack,
}

/// Writes to stdout, or files where there are several.
pub fn run(args: &Args) -> Outcome {
    match text(&args.what) {
        Ok(text) => {
            print!("{text}");
            Outcome::Fine
        }
        Err(outcome) => outcome,
    }
}

/// What goes to stdout.
fn text(what: &What) -> Result<String, Outcome> {
    let could_not = |error: &dyn std::fmt::Display| Outcome::CouldNot(error.to_string());
    match what {
        What::Allocation { directory } => {
            let planner = fabric::plan(directory, &mut Vec::new())?;
            TableFile::from(&**planner.table()).to_yaml().map_err(|error| could_not(&error))
        }
        What::Containerlab { directory, output } => write_lab(directory, output).map(|()| String::new()),
        What::Crds { of } => {
            let group = match of {
                Group::Leafwall => crds::GROUP,
                Group::MetalStack => crds::METAL_STACK,
            };
            crds::yaml(group).map_err(|error| could_not(&error))
        }
        What::Firewall { directory, machine } => {
            let planner = fabric::plan(directory, &mut Vec::new())?;
            let device = planner.plan().devices.get(machine).map(|plan| &plan.device);
            let Some(Device::Firewall(firewall)) = device else {
                return Err(could_not(&format!("`{machine}` is no machine that serves a firewall")));
            };
            serde_json::to_string_pretty(&firewall.rules).map(|text| text + "\n").map_err(|error| could_not(&error))
        }
        What::Graph { directory } => {
            let read = input::read(directory).map_err(Outcome::CouldNot)?;
            let (model, _) = input::load(&read).ok_or(Outcome::Problems)?;
            Ok(graph::drawing(&model).to_svg())
        }
        What::Schema => serde_json::to_string_pretty(&leafwall_intent::schema()).map(|text| text + "\n").map_err(|error| could_not(&error)),
        What::Webhook { addresses, authority } => {
            let pem = std::fs::read_to_string(authority).map_err(|error| could_not(&format!("{}: {error}", authority.display())))?;
            webhook::yaml(addresses, &pem).map_err(|error| Outcome::CouldNot(crate::chain(&error)))
        }
    }
}

fn write_lab(directory: &Path, out: &Path) -> Result<(), Outcome> {
    let rendered = fabric::rendered(directory)?;
    output::write(&out.join(containerlab::DEVICES), &rendered, output::Layout::ServersApart).map_err(Outcome::CouldNot)?;
    for (path, text) in containerlab::files(&rendered.inventory).map_err(Outcome::CouldNot)? {
        let path = out.join(path);
        path.parent().map_or(Ok(()), output::make).map_err(Outcome::CouldNot)?;
        output::put(&path, &text).map_err(Outcome::CouldNot)?;
    }
    Ok(())
}
