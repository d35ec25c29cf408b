//! `leafwall watch`

use leafwall_api::v1::news::News as What;
use leafwall_api::v1::{News, Outcome as Ended, WatchRequest};
use serde::Serialize;

use super::{apply, status};
use crate::Outcome;
use crate::client::{self, Connection};
use crate::table::{Format, clean, print};

/// Tells how the fabric is, and then what changes and what happens during applies, as it happens, until it is interrupted.
///
/// Whoever reads too slowly is told that something was left out, and then everything again.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  leafwall watch\n  leafwall watch --format json | jq -c 'select(.device.differences != [])'")]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    /// As what: lines for people, or an object a line
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// Asks, and prints as it comes.
pub fn run(args: &Args) -> Outcome {
    client::run(async {
        let mut client = args.connection.open().await?;
        let mut stream = client.watch(WatchRequest {}).await.map_err(|status| client::refused(&status))?.into_inner();
        while let Some(news) = stream.message().await.map_err(|status| client::refused(&status))? {
            print(&match args.format {
                Format::Table => text(&news),
                Format::Json => json(&news).map_err(|error| Outcome::CouldNot(error.to_string()))?,
            });
        }
        Err(Outcome::CouldNot(
            "the controller tells no more: it ends, or too many watch already\nhint: `leafwall status` asks once".to_owned(),
        ))
    })
}

fn text(news: &News) -> String {
    match &news.news {
        Some(What::Status(whole)) => status::text(whole, false),
        Some(What::Device(device)) => format!("{}  {}  {}\n", device.generation, clean(&device.device), status::why(device, false)),
        Some(What::Progress(progress)) => apply::line(progress),
        Some(What::Missed(count)) => format!("{count} news were left out; this is how it is now:\n"),
        None => "news that this version does not know\n".to_owned(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Json<'a, S: Serialize> {
    Status(S),
    Device(status::JsonDevice<'a>),
    Progress { generation: u64, device: &'a str, phase: &'a str, message: &'a str, outcome: Option<&'a str> },
    Missed(u64),
    Unknown,
}

fn json(news: &News) -> Result<String, serde_json::Error> {
    let value = match &news.news {
        Some(What::Status(whole)) => Json::Status(status::value(whole)),
        Some(What::Device(device)) => Json::Device(device.into()),
        Some(What::Progress(progress)) => Json::Progress {
            generation: progress.generation,
            device: &progress.device,
            phase: &progress.phase,
            message: &progress.message,
            outcome: progress.outcome.map(|outcome| Ended::try_from(outcome).unwrap_or(Ended::Unspecified).as_str_name()),
        },
        Some(What::Missed(count)) => Json::Missed(*count),
        None => Json::Unknown,
    };
    Ok(serde_json::to_string(&value)? + "\n")
}

#[cfg(test)]
mod tests {
    use leafwall_api::v1::{DeviceStatus, FabricStatus, Progress};

    use super::*;

    #[test]
    fn news_are_lines_and_objects() {
        let device = DeviceStatus {
            device: "leaf-01".into(),
            connected: true,
            generation: 7,
            detail: "it is prepared".into(),
            ..DeviceStatus::default()
        };
        let progress = Progress { generation: 7, device: "leaf-01".into(), phase: "prepared".into(), ..Progress::default() };
        let last = Progress { generation: 7, phase: "finished".into(), outcome: Some(Ended::Committed.into()), ..Progress::default() };
        for (what, line, key) in [
            (What::Device(device), "7  leaf-01  not current; it is prepared\n", "device"),
            (What::Progress(progress), "7  leaf-01  prepared\n", "progress"),
            (What::Progress(last), "7  fabric  committed: finished\n", "progress"),
            (What::Missed(4), "4 news were left out; this is how it is now:\n", "missed"),
            (What::Status(FabricStatus::default()), "generation 0 (none), : no devices\n", "status"),
        ] {
            let news = News { news: Some(what) };
            assert_eq!(text(&news), line);
            let told = json(&news).unwrap();
            assert_eq!(told.matches('\n').count(), 1, "{told}");
            let value: serde_json::Value = serde_json::from_str(&told).unwrap();
            assert!(value.get(key).is_some(), "{told}");
        }
    }
}
