//! `leafwall verify DIR`

mod check;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use leafwall_plan::{Planner, TableFile};
use leafwall_proof::certificate::{Given, Texts};
use leafwall_proof::{Broken, Certificate, Failures, Input, Known, Proof, certificate, picture};

use crate::fabric::Rendered;
use crate::{Outcome, chain, fabric, input, output, table};

/// Proves from the rendered artefacts that tenants stay apart and that what is intended works, also after any single failure that redundancy is there for.
///
/// Printed is what is open between networks, and by which intent; everything else is closed. If the proof fails, a packet shows why, hop by hop.
///
/// With `--check`, DIR holds artefacts, as `leafwall render` wrote them: that they are those of the certificate, and that what it says of them is true, is proved again from
/// them and the intents in the certificate alone.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  leafwall verify containerlab/fra1\n  leafwall verify containerlab/fra1 --certificate fra1.json --picture fra1.html\n  leafwall render containerlab/fra1 -o out; leafwall verify out --check fra1.json"
)]
pub struct Args {
    /// The fabric's directory; with `--check`, the artefacts'
    directory: PathBuf,
    /// Write the certificate there: digests of the artefacts, intents, statement, assumptions, result
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Check this certificate again, from artefacts alone
    #[arg(long, value_name = "CERTIFICATE", conflicts_with = "certificate")]
    check: Option<PathBuf>,
    /// Write the matrix as a picture there: an HTML page for people who look rather than read, to be kept with the certificate
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Look at every single failure also in a fabric with more than 300 of them: minutes to hours
    #[arg(long)]
    every_failure: bool,
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

/// Renders, reads back, proves; or reads a certificate and artefacts, and proves again.
pub fn run(args: &Args) -> Outcome {
    if let Some(certificate) = &args.check {
        return check::run(certificate, &args.directory, |input, proof, certificate| show(args, input, proof, certificate));
    }
    let (planner, rendered) = match fabric::planned_and_rendered(&args.directory) {
        Ok(both) => both,
        Err(outcome) => return outcome,
    };
    let given = match given(&args.directory, &planner) {
        Ok(given) => given,
        Err(why) => return Outcome::CouldNot(why),
    };
    let failures = if args.every_failure { Failures::Single } else { Failures::Few };
    match proved(&planner, &rendered, given, failures) {
        Ok((proof, certificate)) => show(args, &rendered.input(&planner), &proof, &certificate),
        Err(outcome) => outcome,
    }
}

/// Everything that the proof is held against, as texts.
fn given(directory: &Path, planner: &Planner) -> Result<Given, String> {
    let files = input::files(directory)?.into_iter().filter(|(path, _)| path != leafwall_intent::ALLOCATION_FILE);
    let intents = files.map(|(path, bytes)| (path, String::from_utf8_lossy(&bytes).into_owned())).collect();
    let allocation = TableFile::from(&**planner.table()).to_yaml().map_err(|error| chain(&error))?;
    Ok(Given::with_texts(Texts { intents, allocation }))
}

/// The proof of artefacts, and its certificate.
fn proved(planner: &Planner, rendered: &Rendered, given: Given, failures: Failures) -> Result<(Proof, Certificate), Outcome> {
    let input = rendered.input(planner);
    match leafwall_proof::prove_again(&input, &mut Known::default(), failures) {
        Ok(proof) => {
            let certificate = Certificate::new(&input, &proof, given, certificate::digests(input.artefacts));
            Ok((proof, certificate))
        }
        Err(errors) => {
            for error in errors {
                eprintln!("{error}");
            }
            Err(Outcome::CouldNot("these artefacts cannot be read back".to_owned()))
        }
    }
}

/// Writes and prints what was asked for.
fn show(args: &Args, input: &Input<'_>, proof: &Proof, certificate: &Certificate) -> Outcome {
    let text = match serde_json::to_string_pretty(certificate) {
        Ok(text) => text + "\n",
        Err(error) => return Outcome::CouldNot(error.to_string()),
    };
    if let Some(path) = &args.certificate
        && let Err(why) = output::put(path, &text)
    {
        return Outcome::CouldNot(why);
    }
    if let Some(path) = &args.picture
        && let Err(why) = output::put(path, &picture::page(input, proof, certificate))
    {
        return Outcome::CouldNot(why);
    }
    match args.format {
        Format::Table => table::print(&matrix(proof)),
        Format::Json => table::print(&text),
    }
    verdict(proof)
}

fn matrix(proof: &Proof) -> String {
    let rows: Vec<[String; 4]> =
        certificate::by_network(proof).into_iter().map(|open| [open.from, open.to, open.services, open.why.join(", ")]).collect();
    table::table(["FROM", "TO", "OPEN", "BY"], &rows)
}

fn verdict(proof: &Proof) -> Outcome {
    if proof.holds() {
        let failures = match proof.failures.len() {
            0 => "no failures were looked at".to_owned(),
            all => format!("what redundancy promises works under each of {all} single failures"),
        };
        eprintln!("proved: {} ordered pairs of endpoints, everything not listed is closed; {failures}", proof.pairs);
        return Outcome::Fine;
    }
    for finding in &proof.findings {
        eprintln!("{finding}");
    }
    for hazard in &proof.hazards {
        eprintln!("{hazard}");
    }
    let count = |broken| proof.findings.iter().filter(|finding| finding.broken == broken).count();
    eprintln!(
        "not proved: {} against isolation, {} against reachability, {} not understood, {} known ways to fail",
        count(Broken::Isolation),
        count(Broken::Reachability),
        count(Broken::NotUnderstood),
        proof.hazards.len()
    );
    Outcome::Problems
}
