//! `leafwall verify DIR`

use std::path::PathBuf;

use clap::ValueEnum;
use leafwall_proof::{Broken, Certificate, Input, Proof, certificate, picture};

use crate::{Outcome, fabric, output, table};

/// Proves from the rendered artefacts that tenants stay apart and that what is intended works.
///
/// Printed is what is open between networks, and by which intent; everything else is closed. If the proof fails, a packet shows why, hop by hop.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  leafwall verify containerlab/fra1\n  leafwall verify containerlab/fra1 --certificate fra1.json --picture fra1.html"
)]
pub struct Args {
    /// The fabric's directory
    directory: PathBuf,
    /// Write the certificate there: digests of the artefacts, statement, assumptions, result
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Write the matrix as a picture there: an HTML page for people who look rather than read, to be kept with the certificate
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// How to print the matrix
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// How data is printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people, networks by networks
    Table,
    /// The certificate, endpoints by endpoints
    Json,
}

/// Renders, reads back, proves.
pub fn run(args: &Args) -> Outcome {
    let (planner, rendered) = match fabric::planned_and_rendered(&args.directory) {
        Ok(both) => both,
        Err(outcome) => return outcome,
    };
    let input = Input { model: planner.model(), table: planner.table(), inventory: &rendered.inventory, artefacts: &rendered.devices };
    let proof = match leafwall_proof::prove(&input) {
        Ok(proof) => proof,
        Err(errors) => {
            for error in errors {
                eprintln!("{error}");
            }
            return Outcome::CouldNot("what was rendered cannot be read back".to_owned());
        }
    };
    let certificate = Certificate::new(&input, &proof);
    let text = match serde_json::to_string_pretty(&certificate) {
        Ok(text) => text + "\n",
        Err(error) => return Outcome::CouldNot(error.to_string()),
    };
    if let Some(path) = &args.certificate
        && let Err(why) = output::put(path, &text)
    {
        return Outcome::CouldNot(why);
    }
    if let Some(path) = &args.picture
        && let Err(why) = output::put(path, &picture::page(&input, &proof, &certificate))
    {
        return Outcome::CouldNot(why);
    }
    match args.format {
        Format::Table => table::print(&matrix(&proof)),
        Format::Json => table::print(&text),
    }
    verdict(&proof)
}

fn matrix(proof: &Proof) -> String {
    let rows: Vec<[String; 4]> =
        certificate::by_network(proof).into_iter().map(|open| [open.from, open.to, open.services, open.why.join(", ")]).collect();
    table::table(["FROM", "TO", "OPEN", "BY"], &rows)
}

fn verdict(proof: &Proof) -> Outcome {
    if proof.holds() {
        eprintln!("proved: {} ordered pairs of endpoints, everything not listed is closed", proof.pairs);
        return Outcome::Fine;
    }
    for finding in &proof.findings {
        eprintln!("{finding}");
    }
    let count = |broken| proof.findings.iter().filter(|finding| finding.broken == broken).count();
    eprintln!(
        "not proved: {} against isolation, {} against reachability, {} not understood",
        count(Broken::Isolation),
        count(Broken::Reachability),
        count(Broken::NotUnderstood)
    );
    Outcome::Problems
}
