//! `leafwall audit`

use leafwall_api::v1::AuditRequest;
use leafwall_controller::audit::{self, Entry, Outcome as Came, Verified};
use leafwall_rollout::signed::Signed;

use crate::Outcome;
use crate::client::{self, Connection};
use crate::table::{Format, clean, print, table, time};

/// Prints who did what, when, why, and what came of it, the oldest first.
///
/// With --verify, signatures and the chain of entries are checked here, with the controller's key that stands in the identity's directory; exits with 1 if
/// an entry was changed, removed, moved or added by somebody else.
#[derive(clap::Args)]
#[command(
    after_help = "Entries that were cut off at the end show by comparing the end that --verify tells with one that was noted before.\n\n\
                        Example:\n  leafwall audit --verify\n  leafwall audit --format json | jq 'select(.who == \"ada\")'"
)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Check that the log is what the controller wrote
    #[arg(long)]
    verify: bool,
    /// As what; json: the text of each entry in a line, byte for byte what was signed
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// Asks, prints, and checks.
pub fn run(args: &Args) -> Outcome {
    client::run(async {
        let keys = args.connection.identity()?.controllers;
        let mut client = args.connection.open().await?;
        let mut stream = client.audit(AuditRequest {}).await.map_err(|status| client::refused(&status))?.into_inner();
        let mut entries = Vec::new();
        while let Some(entry) = stream.message().await.map_err(|status| client::refused(&status))? {
            entries.push(Signed::<Entry>::from_parts(entry.text, entry.signature));
        }
        print(&match args.format {
            Format::Json => entries.iter().map(|entry| clean(&entry.text) + "\n").collect(),
            Format::Table => table(HEADER, &entries.iter().map(row).collect::<Vec<_>>()),
        });
        Ok(if args.verify { told(&audit::verify_entries(&entries, &keys, None)) } else { Outcome::Fine })
    })
}

fn told(verified: &Verified) -> Outcome {
    for finding in &verified.findings {
        eprintln!("leafwall: {finding}");
    }
    let end = verified.end.map_or_else(|| "none".to_owned(), |end| format!("{} with digest {}", end.sequence, end.digest));
    if verified.findings.is_empty() {
        eprintln!("{} entries, each signed by the controller and following on the one before; the last is {end}", verified.entries);
        return Outcome::Fine;
    }
    eprintln!("{} entries with {} findings; the last that is believed is {end}", verified.entries, verified.findings.len());
    Outcome::Problems
}

const HEADER: [&str; 7] = ["ENTRY", "TIME", "WHO", "ROLE", "WHAT", "OUTCOME", "WHY"];

/// An entry as it says of itself; one that says nothing that we know, as it stands.
fn row(signed: &Signed<Entry>) -> [String; 7] {
    let Ok(entry) = serde_json::from_str::<Entry>(&signed.text) else {
        let unknown = || "?".to_owned();
        return [unknown(), unknown(), unknown(), unknown(), unknown(), unknown(), clean(&signed.text)];
    };
    let outcome = match entry.outcome {
        Came::Begun => "begun".to_owned(),
        Came::Done => "done".to_owned(),
        Came::Refused { reason } => format!("refused: {}", clean(&reason)),
        Came::Failed { reason } => format!("failed: {}", clean(&reason)),
    };
    [entry.sequence.to_string(), time(entry.at), clean(&entry.who), entry.role.to_string(), clean(&entry.what), outcome, clean(&entry.why)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_row() {
        let text = r#"{"sequence":2,"at":0,"who":"ada","role":{"tenant":{"tenant":"acme"}},"what":"apply","why":"","outcome":{"refused":{"reason":"no"}}}"#;
        let row_of = |text: &str| row(&Signed::from_parts(text.to_owned(), Vec::new()));
        assert_eq!(row_of(text), ["2", "1970-01-01T00:00:00Z", "ada", "tenant acme", "apply", "refused: no", ""]);
        assert_eq!(row_of("\u{1b}[2J")[6], " [2J");
    }
}
