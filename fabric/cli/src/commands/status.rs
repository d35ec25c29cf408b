//! `leafwall status`

use std::fmt::Write as _;

use leafwall_api::convert;
use leafwall_api::v1::{DeviceStatus, FabricStatus, ObjectStatus, StatusRequest};
use serde::Serialize;

use crate::Outcome;
use crate::client::{self, Connection};
use crate::table::{Format, clean, print, table};

/// Lines of devices that fit on a screen with the summary and a prompt.
const SCREEN: usize = 20;
/// The state of a fabric in which every device is what it should be.
const FULL: &str = "FULL";

/// Tells where the fabric is, and which devices are not there, and why.
///
/// Exits with 1 if anything is not as it should be.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  leafwall status --controller https://controller.example:7443\n  leafwall status --format json | jq '.devices[] | select(.connected | not)'"
)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    /// As what
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// List all devices, and what differs on each
    #[arg(long)]
    all: bool,
}

/// Asks and prints.
pub fn run(args: &Args) -> Outcome {
    client::run(async {
        let mut client = args.connection.open().await?;
        let status = client.status(StatusRequest {}).await.map_err(|status| client::refused(&status))?.into_inner();
        print(&match args.format {
            Format::Table => text(&status, args.all),
            Format::Json => json(&status).map_err(|error| Outcome::CouldNot(error.to_string()))?,
        });
        let fine = status.state == FULL && status.devices.iter().all(fine);
        Ok(if fine { Outcome::Fine } else { Outcome::Problems })
    })
}

fn fine(device: &DeviceStatus) -> bool {
    device.current && device.connected && device.differences.is_empty()
}

/// The status for people.
pub fn text(status: &FabricStatus, all: bool) -> String {
    if !status.objects.is_empty() {
        return objects(status, all);
    }
    let (fine_ones, others): (Vec<_>, Vec<_>) = status.devices.iter().partition(|device| fine(device));
    let revision = convert::digest("revision", &status.revision).map_or_else(|_| "none".to_owned(), |digest| digest.short());
    let state = match (status.devices.len(), others.len()) {
        (0, _) => "no devices".to_owned(),
        (devices, 0) => format!("all {devices} devices as they should be"),
        (devices, _) => format!("{} of {devices} devices as they should be", fine_ones.len()),
    };
    let mut text = format!("generation {} ({revision}), {}: {state}\n", status.generation, clean(&status.state));
    if !status.under_way.is_empty() {
        let _ = writeln!(text, "{}", clean(&status.under_way));
    }
    let shown = if all { status.devices.iter().collect() } else { others };
    let row = |device: &DeviceStatus| [clean(&device.device), device.generation.to_string(), why(device, all)];
    text + &listed(all, ["DEVICE", "GENERATION", "STATE"], shown.into_iter().map(row))
}

/// A tenant's status: of its objects, and of what the devices are it is told nothing.
fn objects(status: &FabricStatus, all: bool) -> String {
    let (fine_ones, others): (Vec<_>, Vec<_>) = status.objects.iter().partition(|object| object.state == FULL);
    let (fine, count) = (fine_ones.len(), status.objects.len());
    let text = format!("generation {}, {}: {fine} of {count} objects as they should be\n", status.generation, clean(&status.state));
    let shown = if all { status.objects.iter().collect() } else { others };
    let row = |object: &ObjectStatus| [clean(&object.kind), clean(&object.name), clean(&object.state)];
    text + &listed(all, ["KIND", "NAME", "STATE"], shown.into_iter().map(row))
}

/// A table of all rows, or of as many as fit on a screen and how many more there are.
fn listed<const COLUMNS: usize>(all: bool, header: [&str; COLUMNS], rows: impl ExactSizeIterator<Item = [String; COLUMNS]>) -> String {
    let more = if all { 0 } else { rows.len().saturating_sub(SCREEN) };
    let rows: Vec<_> = rows.take(if all { usize::MAX } else { SCREEN }).collect();
    let mut text = if rows.is_empty() { String::new() } else { table(header, &rows) };
    if more > 0 {
        // to a String that can't fail
        let _ = writeln!(text, "and {more} more: `leafwall status --all` lists them");
    }
    text
}

/// Why a device is listed.
pub fn why(device: &DeviceStatus, all: bool) -> String {
    let mut parts = Vec::new();
    if !device.connected {
        parts.push("not connected".to_owned());
    }
    if !device.current {
        parts.push("not current".to_owned());
    }
    if !device.detail.is_empty() {
        parts.push(clean(&device.detail));
    }
    match device.differences.as_slice() {
        [] => {}
        [one] => parts.push(format!("differs: {}", clean(one))),
        [first, ..] if !all => parts.push(format!("differs in {}: {}, …", device.differences.len(), clean(first))),
        many => parts.push(format!("differs in {}: {}", many.len(), clean(&many.join(", ")))),
    }
    if parts.is_empty() { "fine".to_owned() } else { parts.join("; ") }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json<'a> {
    generation: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<leafwall_rollout::digest::Digest>,
    state: &'a str,
    devices: Vec<JsonDevice<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    objects: Vec<JsonObject<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    under_way: &'a str,
}

#[derive(Serialize)]
struct JsonObject<'a> {
    kind: &'a str,
    name: &'a str,
    state: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JsonDevice<'a> {
    device: &'a str,
    state: &'a str,
    connected: bool,
    generation: u64,
    current: bool,
    detail: &'a str,
    differences: &'a [String],
}

impl<'a> From<&'a DeviceStatus> for JsonDevice<'a> {
    fn from(device: &'a DeviceStatus) -> Self {
        Self {
            device: &device.device,
            state: &device.state,
            connected: device.connected,
            generation: device.generation,
            current: device.current,
            detail: &device.detail,
            differences: &device.differences,
        }
    }
}

/// The status as it stands in JSON.
pub fn value(status: &FabricStatus) -> impl Serialize + '_ {
    let revision = convert::digest("revision", &status.revision).ok();
    let objects = status.objects.iter().map(|object| JsonObject { kind: &object.kind, name: &object.name, state: &object.state });
    let devices = status.devices.iter().map(JsonDevice::from).collect();
    let objects = objects.collect();
    Json { generation: status.generation, revision, state: &status.state, devices, objects, under_way: &status.under_way }
}

fn json(status: &FabricStatus) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string_pretty(&value(status))? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str) -> DeviceStatus {
        DeviceStatus { device: name.into(), connected: true, generation: 7, current: true, ..DeviceStatus::default() }
    }

    fn status(devices: Vec<DeviceStatus>) -> FabricStatus {
        FabricStatus { generation: 7, revision: vec![0xab; 32], state: FULL.into(), devices, ..FabricStatus::default() }
    }

    #[test]
    fn a_fabric_without_problems_is_one_line() {
        let fabric = status(vec![device("leaf-01"), device("leaf-02")]);
        assert_eq!(text(&fabric, false), "generation 7 (abababababab), FULL: all 2 devices as they should be\n");
        assert_eq!(text(&fabric, true).lines().count(), 4);
    }

    #[test]
    fn only_devices_with_a_problem_are_listed_with_it() {
        let lost = DeviceStatus { connected: false, current: false, generation: 6, ..device("leaf-02") };
        let drift = DeviceStatus { differences: vec!["vrf v1 is missing".into(), "b".into()], ..device("leaf-03") };
        let fabric = status(vec![device("leaf-01"), lost, drift]);
        assert_eq!(
            text(&fabric, false),
            "generation 7 (abababababab), FULL: 1 of 3 devices as they should be\n\
             DEVICE   GENERATION  STATE\n\
             leaf-02  6           not connected; not current\n\
             leaf-03  7           differs in 2: vrf v1 is missing, …\n"
        );
        assert!(text(&fabric, true).contains("leaf-03  7           differs in 2: vrf v1 is missing, b\n"));
    }

    #[test]
    fn it_fits_on_a_screen_whatever_happens() {
        let lost = |number: usize| DeviceStatus { connected: false, ..device(&format!("leaf-{number}")) };
        let fabric = status((0..1000).map(lost).collect());
        let shown = text(&fabric, false);
        assert_eq!(shown.lines().count(), SCREEN + 3);
        assert!(shown.ends_with("and 980 more: `leafwall status --all` lists them\n"));
        assert_eq!(text(&fabric, true).lines().count(), 1002);
    }

    #[test]
    fn a_tenant_is_told_of_its_objects() {
        let object = |name: &str, state: &str| ObjectStatus { kind: "Network".into(), name: name.into(), state: state.into() };
        let fabric = FabricStatus { objects: vec![object("prod", FULL), object("lab", "PARTIAL")], ..status(Vec::new()) };
        assert_eq!(
            text(&fabric, false),
            "generation 7, FULL: 1 of 2 objects as they should be\nKIND     NAME  STATE\nNetwork  lab   PARTIAL\n"
        );
        let value: serde_json::Value = serde_json::from_str(&json(&fabric).unwrap()).unwrap();
        assert_eq!(value["objects"][1]["state"], "PARTIAL");
    }

    #[test]
    fn json_has_everything() {
        let value: serde_json::Value = serde_json::from_str(&json(&status(vec![device("leaf-01")])).unwrap()).unwrap();
        assert_eq!(value["devices"][0]["connected"], true);
        assert_eq!(value["revision"], "ab".repeat(32));
    }
}
