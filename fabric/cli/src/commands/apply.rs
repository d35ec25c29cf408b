//! `leafwall apply DIR`

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use leafwall_api::v1::{ApplyHead, OnFailure as Wire, Outcome as Ended, Progress};
use leafwall_rollout::digest::Digest;
use tonic::Streaming;

use crate::Outcome;
use crate::client::{self, Connection};
use crate::table::{clean, clean_lines, print};

/// Makes the fabric what a directory says, on all devices or on none, and tells what happens.
///
/// Exits with 0 if it is so now, on every device that is there; else with 1.
#[derive(clap::Args)]
#[command(
    after_help = "With --plan, something else than what was planned is refused: a change of the directory or of the fabric since.\n\nExample:\n  \
                        leafwall plan containerlab/fra1 --out plan\n  leafwall apply containerlab/fra1 --plan plan --reason 'a server for acme'"
)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    /// The fabric's directory
    directory: PathBuf,
    /// Why, for history and audit log
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// The file that `leafwall plan --out` wrote
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// What happens where a device fails: undo it everywhere, or leave all as it is for people to look at, until `leafwall resolve`
    #[arg(long, value_enum, default_value = "rollback")]
    on_failure: OnFailure,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnFailure {
    Rollback,
    Hold,
}

/// Sends, and tells what comes back as it comes.
pub fn run(args: &Args) -> Outcome {
    client::run(async {
        let planned = args.plan.as_deref().map(planned).transpose()?.unwrap_or_default();
        let on_failure = match args.on_failure {
            OnFailure::Rollback => Wire::Rollback,
            OnFailure::Hold => Wire::Hold,
        };
        let head = ApplyHead { reason: args.reason.clone(), planned, on_failure: on_failure.into() };
        let upload = client::upload(&args.directory, head)?;
        let mut client = args.connection.open().await?;
        let news = client.apply(tokio_stream::iter(upload)).await.map_err(|status| client::refused(&status))?.into_inner();
        Ok(follow(news).await)
    })
}

/// Tells of a rollout as it goes, and how it ended.
pub async fn follow(mut news: Streaming<Progress>) -> Outcome {
    loop {
        match news.message().await {
            Ok(Some(progress)) => match ended(&progress) {
                // what is wrong with intents is no data
                Some(Ended::Refused) => {
                    eprint!("{}", clean_lines(&progress.message));
                    return Outcome::Problems;
                }
                Some(Ended::Committed | Ended::Unchanged) => {
                    print(&line(&progress));
                    return Outcome::Fine;
                }
                Some(Ended::Held) => {
                    print(&line(&progress));
                    eprintln!("hint: `leafwall resolve {} abandon` or `commit` says what becomes of it", progress.generation);
                    return Outcome::Problems;
                }
                Some(_) => {
                    print(&line(&progress));
                    return Outcome::Problems;
                }
                None => print(&line(&progress)),
            },
            Ok(None) => return unknown("it said no more"),
            Err(status) => return unknown(status.message()),
        }
    }
}

/// The digest in a plan's file.
fn planned(file: &Path) -> Result<Vec<u8>, Outcome> {
    let text = std::fs::read_to_string(file).map_err(|error| Outcome::CouldNot(format!("cannot read `{}`: {error}", file.display())))?;
    let digest: Digest =
        text.trim().parse().map_err(|_| Outcome::CouldNot(format!("`{}` is no plan of `leafwall plan --out`", file.display())))?;
    Ok(digest.bytes().to_vec())
}

/// How it ended, once it has. An outcome that this version does not know is none that is fine.
fn ended(progress: &Progress) -> Option<Ended> {
    progress.outcome.map(|outcome| Ended::try_from(outcome).unwrap_or(Ended::Unspecified))
}

/// The controller goes on without us, and whoever asks it later is told.
fn unknown(why: &str) -> Outcome {
    eprintln!("leafwall: the controller was lost before the end: {}\nhint: `leafwall status` tells what became of it", clean(why));
    Outcome::Problems
}

/// News as a line.
pub fn line(progress: &Progress) -> String {
    let whom = if progress.device.is_empty() { "fabric".to_owned() } else { clean(&progress.device) };
    let outcome = match ended(progress) {
        None => String::new(),
        Some(Ended::Committed) => "committed".to_owned(),
        Some(Ended::Abandoned) => "abandoned".to_owned(),
        Some(Ended::Held) => "held".to_owned(),
        Some(Ended::Refused) => "refused".to_owned(),
        Some(Ended::Unchanged) => "unchanged".to_owned(),
        Some(Ended::Unspecified) => "ended in a way unknown to this version".to_owned(),
    };
    let (phase, message) = (clean(&progress.phase), clean(&progress.message));
    let words: Vec<_> = [outcome, phase, message].into_iter().filter(|word| !word.is_empty()).collect();
    format!("{}  {whom}  {}\n", progress.generation, words.join(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_lines() {
        let news = Progress { generation: 7, device: "leaf-01".into(), phase: "prepared".into(), ..Progress::default() };
        assert_eq!(line(&news), "7  leaf-01  prepared\n");
        let failed = Progress { phase: "failed".into(), message: "swp1\nis gone".into(), ..news };
        assert_eq!(line(&failed), "7  leaf-01  failed: swp1 is gone\n");
        let last = Progress { generation: 7, outcome: Some(Ended::Committed.into()), ..Progress::default() };
        assert_eq!(line(&last), "7  fabric  committed\n");
        assert_eq!(ended(&Progress { outcome: Some(99), ..Progress::default() }), Some(Ended::Unspecified));
    }
}
