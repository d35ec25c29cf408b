//! `leafwall drift`

use leafwall_api::v1::{FabricStatus, StatusRequest};
use serde::Serialize;

use crate::Outcome;
use crate::client::{self, Connection};
use crate::table::{Format, clean, print, table};

/// Tells what differs on each device from what was confirmed, as its agent observed last.
///
/// Exits with 1 if anything does. A device that is away says nothing: `leafwall status` tells which are.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  leafwall drift\n  leafwall drift --format json | jq -r '.[].device'")]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    /// As what
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// Asks and prints.
pub fn run(args: &Args) -> Outcome {
    client::run(async {
        let mut client = args.connection.open().await?;
        let status = client.status(StatusRequest {}).await.map_err(|status| client::refused(&status))?.into_inner();
        // tenants are told of their objects instead: silence about devices must not look as if nothing differed
        if !status.objects.is_empty() || (status.generation > 0 && status.revision.is_empty()) {
            return Err(Outcome::CouldNot(
                "what differs on devices is told to operators\nhint: `leafwall status` tells how your objects are".to_owned(),
            ));
        }
        print(&match args.format {
            Format::Table => text(&status),
            Format::Json => json(&status).map_err(|error| Outcome::CouldNot(error.to_string()))?,
        });
        let away = status.devices.iter().filter(|device| !device.connected).count();
        if away > 0 {
            eprintln!("{away} devices are away: what differs there is as they told last");
        }
        let drifted = status.devices.iter().any(|device| !device.differences.is_empty());
        Ok(if drifted { Outcome::Problems } else { Outcome::Fine })
    })
}

fn text(status: &FabricStatus) -> String {
    let of_device = |device: &leafwall_api::v1::DeviceStatus| {
        let name = clean(&device.device);
        device.differences.iter().map(move |difference| [name.clone(), clean(difference)]).collect::<Vec<_>>()
    };
    let rows: Vec<_> = status.devices.iter().flat_map(of_device).collect();
    if rows.is_empty() { String::new() } else { table(["DEVICE", "DIFFERENCE"], &rows) }
}

#[derive(Serialize)]
struct Row<'a> {
    device: &'a str,
    connected: bool,
    differences: &'a [String],
}

fn json(status: &FabricStatus) -> Result<String, serde_json::Error> {
    let drifted = status.devices.iter().filter(|device| !device.differences.is_empty());
    let devices = drifted.map(|device| Row { device: &device.device, connected: device.connected, differences: &device.differences });
    Ok(serde_json::to_string_pretty(&devices.collect::<Vec<_>>())? + "\n")
}

#[cfg(test)]
mod tests {
    use leafwall_api::v1::DeviceStatus;

    use super::*;

    #[test]
    fn each_difference_is_a_line() {
        let device = |name: &str, differences: &[&str]| DeviceStatus {
            device: name.to_owned(),
            differences: differences.iter().map(|&text| text.to_owned()).collect(),
            ..DeviceStatus::default()
        };
        let devices = vec![device("leaf-01", &[]), device("leaf-02", &["vrf v1 is missing", "b\u{7}"])];
        let status = FabricStatus { devices, ..FabricStatus::default() };
        assert_eq!(text(&status), "DEVICE   DIFFERENCE\nleaf-02  vrf v1 is missing\nleaf-02  b\n");
        let value: serde_json::Value = serde_json::from_str(&json(&status).unwrap()).unwrap();
        assert_eq!((value.as_array().unwrap().len(), &value[0]["device"]), (1, &"leaf-02".into()));
        assert_eq!(text(&FabricStatus::default()), "");
    }
}
