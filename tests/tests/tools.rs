//! The devices' own tools on everything that is rendered: FRR 10.3 and nftables 1.1 from the lab's root file system, nftables from the host.
#![allow(clippy::disallowed_methods)] // tests may read files

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use leafwall_render::frr::FrrConfig;
use leafwall_render::links::{LinkKind, Links};
use leafwall_tests::lab_root::LabRoot;
use leafwall_tests::namespace::Namespace;
use leafwall_tests::rendered::{all_golden_fabrics, goldens};
use leafwall_tests::skip;

/// All committed files of this name with the device they belong to: `fra1/leaf-01`.
fn committed(file: &str) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for (fabric, _) in all_golden_fabrics() {
        for entry in fs::read_dir(goldens(fabric)).unwrap() {
            let device = entry.unwrap().path();
            let path = device.join(file);
            if path.is_file() {
                found.push((format!("{fabric}/{}", device.file_name().unwrap().to_string_lossy()), path));
            }
        }
    }
    found.sort();
    assert!(found.len() > 10, "goldens are missing");
    found
}

#[test]
fn vtysh_accepts_every_frr_conf() {
    let Some(root) = LabRoot::find("vtysh_accepts_every_frr_conf") else { return };
    let all = goldens("");
    let output = root.run(&all, "for f in */*/frr.conf; do echo $f; vtysh -C -f $f || exit 1; done").unwrap();
    assert_eq!(output.lines().filter(|line| line.ends_with("frr.conf")).count(), committed("frr.conf").len(), "{output}");
    // it can tell: the same with a word that no daemon knows
    let broken = std::env::temp_dir().join(format!("lw-broken-{}", std::process::id()));
    fs::create_dir_all(&broken).unwrap();
    let text = fs::read_to_string(goldens("fra1").join("leaf-01/frr.conf")).unwrap();
    fs::write(broken.join("frr.conf"), text.replace("maximum-prefix", "maximum-prefixes")).unwrap();
    let refused = root.run(&broken, "vtysh -C -f frr.conf");
    fs::remove_dir_all(&broken).unwrap();
    assert!(refused.is_err());
}

/// What a daemon prints that no file of ours says: who it is, and what its kernel does at that moment.
fn circumstances(statement: &[String]) -> bool {
    let first = statement[0].as_str();
    first.starts_with("hostname") || first == "no ip forwarding" || first == "no ipv6 forwarding"
}

fn statements(text: &str) -> BTreeSet<Vec<String>> {
    FrrConfig::parse(text).unwrap().statements().unwrap().into_iter().filter(|statement| !circumstances(statement)).collect()
}

/// Loads a frr.conf into fresh daemons; what they then say they run, and what `frr-reload.py` would still change.
const LOAD: &str = "for d in mgmtd zebra bgpd bfdd staticd; do /usr/lib/frr/$d -d -A 127.0.0.1 --log file:/tmp/$d.log >/tmp/$d.out 2>&1 || { cat /tmp/$d.out; exit 1; }; done
for i in 1 2 3 4 5 6 7 8 9 10; do vtysh -c 'show daemons' 2>/dev/null | grep -q bgpd && break; sleep 0.3; done
vtysh -f frr.conf >/tmp/load.log 2>&1 || { cat /tmp/load.log; exit 1; }
for i in 1 2 3 4 5 6 7 8 9 10; do vtysh -c 'show running-config' | sed -n '/^frr version/,$p' >/tmp/running.conf; [ $(grep -c . /tmp/running.conf) -ge $(grep -c . frr.conf) ] && break; sleep 0.3; done
cat /tmp/running.conf
echo @@@@
python3 /usr/lib/frr/frr-reload.py --test --stdout --bindir /usr/bin --confdir /etc/frr /tmp/running.conf 2>&1
echo @@@@
python3 /usr/lib/frr/frr-reload.py --test --stdout --bindir /usr/bin --confdir /etc/frr frr.conf 2>&1";

/// The lines that `frr-reload.py --test` would add or delete, without what differs by circumstance.
fn changes(report: &str) -> Vec<&str> {
    let marks = ["Lines To Delete", "Lines To Add", "==="];
    report
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !marks.iter().any(|mark| line.starts_with(mark)))
        .filter(|line| !line.contains("hostname") && !line.ends_with("forwarding") && !line.contains("INFO:"))
        .collect()
}

#[test]
fn h22_the_daemons_run_what_is_rendered_and_a_reload_has_nothing_to_do() {
    let Some(root) = LabRoot::find("h22_the_daemons_run_what_is_rendered_and_a_reload_has_nothing_to_do") else { return };
    for device in
        ["fra1/spine-01", "fra1/leaf-03", "fra1/leaf-04", "fra1/exit-02", "fra1/fw-01", "fra1/srv-01", "corners/leaf-01", "corners/exit-01"]
    {
        let directory = goldens(device);
        let output = root.run(&directory, LOAD).unwrap();
        let [running, itself, ours] = output.split("@@@@\n").collect::<Vec<_>>()[..] else { panic!("{output}") };
        let rendered = statements(&fs::read_to_string(directory.join("frr.conf")).unwrap());
        let running = statements(running);
        let lacks: Vec<_> = rendered.difference(&running).collect();
        let more: Vec<_> = running.difference(&rendered).collect();
        assert!(lacks.is_empty() && more.is_empty(), "{device}: the daemons lack {lacks:#?} and have {more:#?} besides");
        let (itself, ours) = (changes(itself), changes(ours));
        assert_eq!(ours, itself, "{device}: frr-reload.py would change more than for the daemons' own text");
    }
}

/// The test above can tell: a file with another timer than the daemons run is a difference.
#[test]
fn h22_a_reload_would_see_a_difference() {
    let Some(root) = LabRoot::find("h22_a_reload_would_see_a_difference") else { return };
    let script = LOAD
        .replace("frr.conf 2>&1", "/tmp/other.conf 2>&1")
        .replace("echo @@@@\n", "echo @@@@; sed 's/timers 3 9/timers 3 10/' frr.conf >/tmp/other.conf\n");
    let output = root.run(&goldens("fra1/spine-01"), &script).unwrap();
    let [_, itself, other] = output.split("@@@@\n").collect::<Vec<_>>()[..] else { panic!("{output}") };
    assert!(changes(itself).is_empty(), "{itself}");
    assert!(changes(other).iter().any(|line| line.contains("timers 3 10")), "{other}");
}

/// Ports that a ruleset names, as they exist on the device.
fn ports(device: &Path) -> Vec<String> {
    let links = Links::parse(&fs::read_to_string(device.join("links.json")).unwrap()).unwrap();
    links.links.iter().filter(|link| matches!(link.kind, LinkKind::Physical {})).map(|link| link.name.to_string()).collect()
}

fn make_ports(ports: &[String]) -> String {
    let lines: Vec<_> = ports.iter().enumerate().map(|(index, port)| format!("link add {port} type veth peer name far{index}")).collect();
    lines.join("\n") + "\n"
}

#[test]
fn the_hosts_nft_accepts_every_ruleset() {
    if !rustix::process::geteuid().is_root() {
        skip("the_hosts_nft_accepts_every_ruleset", "only root can make a namespace");
        return;
    }
    for (device, path) in committed("leafwall.nft") {
        let namespace = Namespace::new("tools").unwrap();
        namespace.ip(&make_ports(&ports(path.parent().unwrap()))).unwrap();
        let path = path.to_string_lossy();
        for command in [&["nft", "-c", "-f", &path][..], &["nft", "-f", &path], &["nft", "-f", &path]] {
            namespace.run(command).unwrap_or_else(|error| panic!("{device}: {command:?}: {error}"));
        }
    }
}

#[test]
fn the_labs_nft_accepts_every_ruleset() {
    let Some(root) = LabRoot::find("the_labs_nft_accepts_every_ruleset") else { return };
    for (device, path) in committed("leafwall.nft") {
        let directory = path.parent().unwrap();
        let ports: Vec<_> =
            ports(directory).iter().enumerate().map(|(n, port)| format!("ip link add {port} type veth peer name far{n}")).collect();
        let script = format!(
            "set -e; {}nft -c -f leafwall.nft; nft -f leafwall.nft; nft -f leafwall.nft; nft --version",
            ports.join("; ") + if ports.is_empty() { "" } else { "; " }
        );
        let version = root.run(directory, &script).unwrap_or_else(|error| panic!("{device}: {error}"));
        assert!(version.contains("v1.1"), "{version}");
    }
}
