//! What operators and tenants are told of revisions and devices, by the command as they run it.
#![allow(missing_docs, clippy::unwrap_used)] // a test fails by it

use std::path::Path;
use std::process::{Command, Output};

use leafwall_api::v1::Outcome;
use leafwall_controller::certificates::PeerRole;
use leafwall_tests::controller::{World, intents};
use leafwall_topology::Name;

fn leafwall(world: &World, who: &str, role: PeerRole, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leafwall"));
    command.args(arguments).env("NO_COLOR", "1");
    command.env("LEAFWALL_CONTROLLER", world.url().replace("127.0.0.1", "localhost")).env("LEAFWALL_IDENTITY", world.identity(who, role));
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn differences_of_revisions_and_of_devices_are_shown() {
    let mut world = World::new("cli-history");
    let ops = |world: &World, arguments: &[&str]| leafwall(world, "ops", PeerRole::Operator, arguments);
    let (code, _, told) = ops(&world, &["diff"]);
    assert!(code == 2 && told.contains("there is no revision yet\nhint: "), "{told}");

    let fra1 = intents(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../containerlab/fra1"));
    let names: Vec<Name> = world.start_agents(&fra1).devices.iter().map(|change| change.device.parse().unwrap()).collect();
    let apply = |world: &World, files| assert_eq!(world.apply(files, &[]).last().unwrap().outcome(), Outcome::Committed);
    apply(&world, &fra1);
    let (code, _, told) = ops(&world, &["diff", "--devices"]);
    assert!(code == 2 && told.contains("there is only one revision"), "{told}");
    let mut changed = fra1.clone();
    let globex = changed.get_mut("tenant-globex.yaml").unwrap();
    *globex = globex.replace("port: 2049", "port: 2050");
    apply(&world, &changed);
    world.until("everybody has it", |world| world.status().state == "FULL");

    let (code, diff, _) = ops(&world, &["diff"]);
    assert_eq!(code, 0);
    assert!(diff.starts_with("--- a/tenant-globex.yaml\n+++ b/tenant-globex.yaml\n@@ -"), "{diff}");
    assert!(diff.contains("\n-    - {action: allow, to: [{network: storage}], ports: [{protocol: TCP, port: 2049}]}\n+"), "{diff}");
    assert_eq!(ops(&world, &["diff", "1"]).1, diff);
    assert_eq!(ops(&world, &["diff", "2", "2"]), (0, String::new(), String::new()));
    let (_, back, _) = ops(&world, &["diff", "2", "1", "--format", "json"]);
    let back: serde_json::Value = serde_json::from_str(&back).unwrap();
    assert_eq!((back.as_array().unwrap().len(), &back[0]["change"]), (1, &"changed".into()));
    let (_, devices, _) = ops(&world, &["diff", "--devices"]);
    assert_eq!(devices, "DEVICE  CHANGE   FILES\nfw-03   changed  leafwall.nft\n");
    let (code, _, told) = ops(&world, &["diff", "1", "9"]);
    assert!(code != 0 && told.contains('9'), "{told}");

    assert_eq!(ops(&world, &["drift"]), (0, String::new(), String::new()));
    world.devices[&names[0]].drifts("links.json", "{}");
    world.until("it is told", |world| world.status().devices.iter().any(|device| !device.differences.is_empty()));
    let (code, drift, _) = ops(&world, &["drift"]);
    assert!(code == 1 && drift.contains(&format!("\n{}", names[0])) && drift.contains("links.json"), "{drift}");
    let (code, drift, _) = ops(&world, &["drift", "--format", "json"]);
    let drift: serde_json::Value = serde_json::from_str(&drift).unwrap();
    assert_eq!((code, &drift[0]["device"]), (1, &names[0].as_str().into()));

    // a tenant sees its own part, and is told where it sees nothing
    let tenant = |world: &World, who: &str, arguments: &[&str]| leafwall(world, who, PeerRole::Tenant, arguments);
    let (code, own, _) = tenant(&world, "globex", &["diff"]);
    let changed = |text: &str| text.lines().filter(|line| !line.starts_with("@@")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!((code, changed(&own)), (0, changed(&diff)));
    let (_, others, _) = tenant(&world, "acme", &["diff", "1", "2"]);
    assert_eq!(others, "");
    let (code, _, told) = tenant(&world, "globex", &["drift"]);
    assert!(code == 2 && told.contains("told to operators"), "{told}");
    let (code, status, _) = tenant(&world, "globex", &["status", "--all"]);
    assert!(code == 0 && status.contains("\nFirewall    globex-fw     FULL\n") && !status.contains("leaf-"), "{status}");
    let (code, _, told) = tenant(&world, "globex", &["watch"]);
    assert!(code == 2 && told.contains("may not do this"), "{told}");
}
