//! `leafwall diff [FROM [TO]]`

use std::collections::{BTreeMap, BTreeSet};

use leafwall_api::v1::{CompareRequest, DeviceChange, HistoryRequest};
use serde::Serialize;

use super::show;
use crate::client::{self, Client, Connection};
use crate::table::{Format, clean, clean_lines, print, table};
use crate::{Outcome, unified};

/// Tells what differs between the intents of two revisions, as a unified diff.
///
/// Without numbers, between the revision that stands and the one before it; with one, between that and the one that stands.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  leafwall diff\n  leafwall diff 41 43\n  leafwall diff 41 --devices\n  leafwall diff 41 43 | git apply")]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    /// The earlier revision: a number that `leafwall history` lists
    from: Option<u64>,
    /// The later one
    to: Option<u64>,
    /// Tell instead which artefacts differ, by device and the names of files
    #[arg(long)]
    devices: bool,
    /// As what
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// Asks, compares and prints.
pub fn run(args: &Args) -> Outcome {
    client::run(async {
        let mut client = args.connection.open().await?;
        let (from, to) = revisions(&mut client, args.from, args.to).await?;
        let text = if args.devices {
            let Some(from) = from else { return Err(Outcome::CouldNot(format!("{ONLY}\nhint: `leafwall diff` shows its intents"))) };
            let compared = client.compare(CompareRequest { from, to }).await.map_err(|status| client::refused(&status))?;
            devices(&compared.into_inner().devices, args.format)
        } else {
            let before = match from {
                Some(from) => show::fetch(&mut client, show::intents(from)).await?.0,
                None => Vec::new(),
            };
            let after = show::fetch(&mut client, show::intents(to)).await?.0;
            intents(&before.into_iter().collect(), &after.into_iter().collect(), args.format)
        };
        print(&text.map_err(|error| Outcome::CouldNot(error.to_string()))?);
        Ok(Outcome::Fine)
    })
}

const ONLY: &str = "there is only one revision, so there is nothing to compare it with";

/// Which two: of those that are not said, the one that stands and the one before it.
async fn revisions(client: &mut Client, from: Option<u64>, to: Option<u64>) -> Result<(Option<u64>, u64), Outcome> {
    if let (Some(from), Some(to)) = (from, to) {
        return Ok((Some(from), to));
    }
    let mut stream = client.history(HistoryRequest { limit: 0 }).await.map_err(|status| client::refused(&status))?.into_inner();
    let mut stood = Vec::new();
    while let Some(summary) = stream.message().await.map_err(|status| client::refused(&status))? {
        if summary.outcome == "committed" {
            stood.push(summary.generation);
        }
        if stood.len() == 2 {
            break;
        }
    }
    let Some(head) = stood.first().copied() else {
        return Err(Outcome::CouldNot("there is no revision yet\nhint: `leafwall apply` makes one".to_owned()));
    };
    Ok((from.or(stood.get(1).copied()), head))
}

#[derive(Serialize)]
struct FileRow<'a> {
    file: &'a str,
    change: &'static str,
    diff: String,
}

type Files = BTreeMap<String, Vec<u8>>;

fn intents(before: &Files, after: &Files, format: Format) -> Result<String, serde_json::Error> {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let files = names.into_iter().filter_map(|name| {
        let (old, new) = (before.get(name).map(text), after.get(name).map(text));
        let diff = unified::diff(old.as_deref(), new.as_deref(), name);
        let change = match (old, new) {
            (None, _) => "new",
            (_, None) => "removed",
            _ => "changed",
        };
        (!diff.is_empty()).then_some(FileRow { file: name, change, diff })
    });
    match format {
        Format::Table => Ok(files.map(|file| clean_lines(&file.diff)).collect()),
        Format::Json => Ok(serde_json::to_string_pretty(&files.collect::<Vec<_>>())? + "\n"),
    }
}

#[derive(Serialize)]
struct DeviceRow<'a> {
    device: &'a str,
    change: &'a str,
    files: &'a [String],
}

fn devices(changes: &[DeviceChange], format: Format) -> Result<String, serde_json::Error> {
    match format {
        Format::Table if changes.is_empty() => Ok(String::new()),
        Format::Table => {
            let row = |change: &DeviceChange| [clean(&change.device), clean(&change.kind), clean(&change.files.join(" "))];
            Ok(table(["DEVICE", "CHANGE", "FILES"], &changes.iter().map(row).collect::<Vec<_>>()))
        }
        Format::Json => {
            let all: Vec<_> = changes.iter().map(|row| DeviceRow { device: &row.device, change: &row.kind, files: &row.files }).collect();
            Ok(serde_json::to_string_pretty(&all)? + "\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_differ_are_shown_and_others_are_not() {
        let files =
            |all: &[(&str, &str)]| -> Files { all.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect() };
        let (before, after) =
            (files(&[("a.yaml", "a\n"), ("b.yaml", "b\n"), ("c.yaml", "c\n")]), files(&[("a.yaml", "a\n"), ("b.yaml", "\u{1b}x\n")]));
        let told = intents(&before, &after, Format::Table).unwrap();
        assert_eq!(told, "--- a/b.yaml\n+++ b/b.yaml\n@@ -1 +1 @@\n-b\n+ x\n--- a/c.yaml\n+++ /dev/null\n@@ -1 +0,0 @@\n-c\n");
        let told = intents(&files(&[]), &files(&[("a.yaml", "a\n")]), Format::Json).unwrap();
        let value: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!((&value[0]["file"], &value[0]["change"]), (&"a.yaml".into(), &"new".into()));
    }
}
