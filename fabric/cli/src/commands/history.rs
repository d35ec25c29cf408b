//! `leafwall history`

use leafwall_api::convert;
use leafwall_api::v1::{HistoryRequest, RevisionSummary};

use crate::Outcome;
use crate::client::{self, Connection};
use crate::table::{clean, print, table, time};

/// Lists revisions of the fabric, the newest first: when, by whom, why, and what became of each.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  leafwall history --limit 10\n  leafwall show 41 -o before")]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    /// At most so many; 0 for all
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
}

/// Asks and prints.
pub fn run(args: &Args) -> Outcome {
    client::run(async {
        let mut client = args.connection.open().await?;
        let request = HistoryRequest { limit: args.limit };
        let mut stream = client.history(request).await.map_err(|status| client::refused(&status))?.into_inner();
        let mut rows = Vec::new();
        while let Some(summary) = stream.message().await.map_err(|status| client::refused(&status))? {
            rows.push(row(&summary));
        }
        print(&table(["GENERATION", "REVISION", "TIME", "AUTHOR", "OUTCOME", "REASON"], &rows));
        Ok(Outcome::Fine)
    })
}

fn row(summary: &RevisionSummary) -> [String; 6] {
    let revision = convert::digest("revision", &summary.revision).map_or_else(|_| "?".to_owned(), |digest| digest.short());
    let RevisionSummary { generation, made_at, author, outcome, reason, .. } = summary;
    [generation.to_string(), revision, time(*made_at), clean(author), clean(outcome), clean(reason)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_a_row() {
        let (author, reason, outcome) = ("ada".into(), "a server\nfor acme".into(), "committed".into());
        let summary = RevisionSummary { generation: 3, revision: vec![0xcd; 32], made_at: 0, author, reason, outcome };
        assert_eq!(row(&summary), ["3", "cdcdcdcdcdcd", "1970-01-01T00:00:00Z", "ada", "committed", "a server for acme"]);
    }
}
