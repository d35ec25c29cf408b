//! The command itself, as a user runs it.
#![allow(clippy::unwrap_used)] // a test fails by it

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn leafwall(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_leafwall")).args(arguments).env("NO_COLOR", "1").output().unwrap()
}

/// A directory of its own that goes away with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("leafwall-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn tree(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.insert(path.strip_prefix(directory).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

#[test]
fn fra1_has_no_problems() {
    let output = leafwall(&["check", &root().join("containerlab/fra1").to_string_lossy()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_wrong_example_ends_with_1_and_names_its_code() {
    for entry in fs::read_dir(root().join("tests/invalid")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let output = leafwall(&["check", &path.to_string_lossy()]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}:\n{told}");
        if let Some(code) = name.split('-').next().filter(|code| code.starts_with("LW")) {
            assert!(told.contains(&format!("[{code}]")), "{name} does not name its code:\n{told}");
        }
        assert!(told.contains("--> "), "{name} names no place:\n{told}");
    }
}

#[test]
fn what_cannot_run_ends_with_2() {
    for arguments in [&["check", "/nonexistent"][..], &["explain", "LW9999"], &["render", "/nonexistent", "-o", "/nonexistent"]] {
        assert_eq!(leafwall(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn the_order_of_files_changes_no_byte() {
    let scratch = Scratch::new("shuffle");
    let fra1 = root().join("containerlab/fra1");
    let shuffled = PathBuf::from(scratch.path("shuffled"));
    fs::create_dir_all(&shuffled).unwrap();
    let mut names: Vec<PathBuf> = fs::read_dir(&fra1)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    names.sort();
    // other names in the opposite order: what was read last is read first
    for (index, path) in names.iter().rev().enumerate() {
        fs::copy(path, shuffled.join(format!("{index:02}.yaml"))).unwrap();
    }
    let (one, other) = (scratch.path("one"), scratch.path("other"));
    for (from, to) in [(fra1.to_string_lossy(), &one), (shuffled.to_string_lossy(), &other)] {
        let output = leafwall(&["render", &from, "-o", to]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(tree(Path::new(&one)), tree(Path::new(&other)));
    // again into the same place, and one device less: nothing of it stays
    assert_eq!(leafwall(&["render", &fra1.to_string_lossy(), "-o", &one]).status.code(), Some(0));
    assert_eq!(tree(Path::new(&one)), tree(Path::new(&other)));
}

#[test]
fn bridged_servers_share_a_file_or_have_a_directory_each() {
    let scratch = Scratch::new("servers");
    let (fra1, out) = (root().join("containerlab/fra1"), scratch.path("out"));
    let render = |more: &[&str]| {
        let output = leafwall(&[&["render", &fra1.to_string_lossy(), "-o", &out][..], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        tree(Path::new(&out))
    };
    let apart = render(&["--servers-apart"]);
    assert!(!apart.contains_key(Path::new("servers.json")));
    // into the same place in the other way: nothing of the first stays
    let together = render(&[]);
    let json = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
    let file = &together[Path::new("servers.json")];
    let servers = json(file)["servers"].as_object().unwrap().clone();
    assert_eq!(servers.keys().collect::<Vec<_>>(), ["srv-02", "srv-03", "srv-04", "srv-07"]);
    for (name, links) in &servers {
        assert_eq!(json(&apart[&Path::new(name).join("links.json")]), *links);
        assert!(!Path::new(&out).join(name).exists(), "{name} has a directory still");
        assert!(String::from_utf8_lossy(file).lines().any(|line| line.trim_start().starts_with(&format!("\"{name}\": {{"))));
    }
    assert_eq!(render(&["--servers-apart"]), apart);
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    let scratch = Scratch::new("foreign");
    fs::write(scratch.path("precious"), "text").unwrap();
    let fra1 = root().join("containerlab/fra1");
    let output = leafwall(&["render", &fra1.to_string_lossy(), "-o", &scratch.0.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(tree(&scratch.0).len(), 1);
}

#[test]
fn a_bad_file_renders_nothing() {
    let scratch = Scratch::new("bad");
    let wrong = root().join("tests/invalid/many-at-once");
    let out = scratch.path("out");
    assert_eq!(leafwall(&["render", &wrong.to_string_lossy(), "-o", &out]).status.code(), Some(1));
    assert!(!Path::new(&out).exists());
}

#[test]
fn an_exported_allocation_pins_what_was_allocated() {
    let scratch = Scratch::new("pin");
    let fra1 = root().join("containerlab/fra1");
    let pinned = PathBuf::from(scratch.path("pinned"));
    fs::create_dir_all(&pinned).unwrap();
    for entry in fs::read_dir(&fra1).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, pinned.join(path.file_name().unwrap())).unwrap();
        }
    }
    let table = leafwall(&["export", "allocation", &fra1.to_string_lossy()]);
    assert_eq!(table.status.code(), Some(0));
    let text = String::from_utf8(table.stdout).unwrap();
    // the loopbacks of the exits change places: the table is obeyed, not recomputed
    let swapped = text
        .replace("exit-01: 10.255.0.1\n", "exit-01: @\n")
        .replace("exit-02: 10.255.0.2\n", "exit-02: 10.255.0.1\n")
        .replace('@', "10.255.0.2");
    assert_ne!(swapped, text);
    fs::write(pinned.join("allocation.yaml"), &swapped).unwrap();
    let again = leafwall(&["export", "allocation", &pinned.to_string_lossy()]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), swapped);
    // one value twice is an error with its place
    fs::write(pinned.join("allocation.yaml"), text.replace("exit-02: 10.255.0.2\n", "exit-02: 10.255.0.1\n")).unwrap();
    let output = leafwall(&["check", &pinned.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("error[LW1003]"));
}

#[test]
fn containerlab_gets_every_node_and_cable() {
    let scratch = Scratch::new("clab");
    let out = scratch.path("out");
    let fra1 = root().join("containerlab/fra1");
    assert_eq!(leafwall(&["export", "containerlab", &fra1.to_string_lossy(), "-o", &out]).status.code(), Some(0));
    let files = tree(Path::new(&out));
    let topology = String::from_utf8(files[Path::new("fra1.clab.yml")].clone()).unwrap();
    for node in ["spine-01", "leaf-04", "exit-02", "fw-03", "srv-09", "outside-internet"] {
        assert!(topology.contains(&format!("    {node}:\n")), "{node} is missing");
    }
    assert!(files.contains_key(Path::new("devices/leaf-01/frr.conf")));
    assert!(files.contains_key(Path::new("devices/outside-partner/start.sh")));
}

#[test]
fn the_picture_shows_every_device() {
    let output = leafwall(&["export", "graph", &root().join("containerlab/fra1").to_string_lossy()]);
    let svg = String::from_utf8(output.stdout).unwrap();
    for device in ["spine-02", "leaf-03", "exit-01", "fw-02", "srv-08", "outside-partner"] {
        assert!(svg.contains(&format!(">{device}<")), "{device} is missing");
    }
}

#[test]
fn fra1_is_proved_and_certified() {
    let scratch = Scratch::new("verify");
    let (fra1, certificate) = (root().join("containerlab/fra1"), scratch.path("certificate.json"));
    let picture = scratch.path("fra1.html");
    let output = leafwall(&["verify", &fra1.to_string_lossy(), "--certificate", &certificate, "--picture", &picture]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8_lossy(&output.stdout);
    let row = table.lines().find(|line| line.starts_with("internet ")).unwrap();
    assert!(row.contains("IPv4 tcp 443") && row.contains("firewall acme-fw"), "{table}");
    let text = fs::read_to_string(&certificate).unwrap();
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&read["holds"], &read["fabric"]), (&true.into(), &"fra1".into()));
    let json = leafwall(&["verify", &fra1.to_string_lossy(), "--format", "json"]);
    assert_eq!(String::from_utf8_lossy(&json.stdout), text);
    // every line of the table is a line of the picture, and every one between two networks a field that leads to it
    let page = fs::read_to_string(&picture).unwrap();
    let lines: Vec<&str> = table.lines().skip(1).collect();
    let count = |text: &str| page.matches(text).count();
    assert_eq!(count("<tr id=\"o"), lines.len(), "{page}");
    let within = lines
        .iter()
        .filter(|line| {
            line.split("  ").map(str::trim).filter(|word| !word.is_empty()).take(2).collect::<Vec<_>>().windows(2).all(|w| w[0] == w[1])
        })
        .count();
    assert_eq!(count("<a href=\"#o"), lines.len() - within);
    assert_eq!(count("<td class=\"self\">"), within);
    assert!(page.contains("238 ordered pairs") && page.contains(read["artefacts"]["leaf-01"]["frr.conf"].as_str().unwrap()));
}

type Change<'c> = &'c dyn Fn(&mut serde_json::Value);

/// From a certificate and artefacts alone: the intents' directory is not there.
#[test]
fn a_certificate_is_checked_again_from_artefacts_alone() {
    let scratch = Scratch::new("check");
    let (fra1, certificate, artefacts) = (root().join("containerlab/fra1"), scratch.path("fra1.json"), scratch.path("out"));
    assert_eq!(leafwall(&["verify", &fra1.to_string_lossy(), "--certificate", &certificate]).status.code(), Some(0));
    assert_eq!(leafwall(&["render", &fra1.to_string_lossy(), "-o", &artefacts]).status.code(), Some(0));
    let check = |certificate: &str| {
        let output = leafwall(&["verify", &artefacts, "--check", certificate]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, told) = check(&certificate);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("says what they do"), "{told}");

    let text = fs::read_to_string(&certificate).unwrap();
    let with = |name: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        change(&mut value);
        let path = scratch.path(name);
        fs::write(&path, value.to_string()).unwrap();
        path
    };
    // what a certificate says must be true of the artefacts, and be what this prover proves
    let untrue: [(&str, Change<'_>, &str); 8] = [
        ("version", &|value| value["version"] = 1.into(), "version 1"),
        ("statement", &|value| value["statement"] = "All is well.".into(), "statement"),
        ("assumptions", &|value| value["assumptions"][0] = "nobody attacks".into(), "assumptions"),
        ("open", &|value| value["open"] = serde_json::json!([]), "does not say that this is open"),
        ("result", &|value| value["holds"] = false.into(), "result"),
        ("failures", &|value| _ = value["failures"].as_array_mut().unwrap().pop(), "failures"),
        ("given", &|value| value["given"]["texts"]["intents"]["fabric.yaml"] = "".into(), "fabric.yaml"),
        ("device", &|value| _ = value["artefacts"].as_object_mut().unwrap().remove("leaf-02"), "leaf-02/frr.conf was not looked at"),
    ];
    for (name, change, why) in untrue {
        let (code, told) = check(&with(name, change));
        assert_eq!(code, Some(1), "{name}: {told}");
        assert!(told.contains(why), "{name}: {told}");
    }
    // other intents with their own digests: then the artefacts do not do what they say
    let other = with("intents", &|value| {
        let text = value["given"]["texts"]["intents"]["tenant-acme.yaml"].as_str().unwrap().replacen("port: 2049", "port: 2050", 1);
        value["given"]["intents"]["tenant-acme.yaml"] = sha256(&text).into();
        value["given"]["texts"]["intents"]["tenant-acme.yaml"] = text.into();
    });
    let (code, told) = check(&other);
    assert_eq!(code, Some(1), "{told}");
    // by digests alone, as a controller's: the artefacts are held against it, and no more
    let (code, told) = check(&with("digests", &|value| _ = value["given"].as_object_mut().unwrap().remove("texts")));
    assert_eq!((code, told.contains("by digests alone")), (Some(2), true), "{told}");

    // artefacts that were changed, are gone, or are one too many
    let path = format!("{artefacts}/leaf-01/frr.conf");
    let before = fs::read_to_string(&path).unwrap();
    fs::write(&path, before.replacen("permit", "deny", 1)).unwrap();
    assert!(matches!(check(&certificate), (Some(1), told) if told.contains("leaf-01/frr.conf is not the one that was proved")));
    fs::remove_file(&path).unwrap();
    assert!(matches!(check(&certificate), (Some(1), told) if told.contains("leaf-01/frr.conf is missing")));
    fs::write(&path, before).unwrap();
    fs::create_dir(format!("{artefacts}/leaf-99")).unwrap();
    fs::write(format!("{artefacts}/leaf-99/frr.conf"), "").unwrap();
    assert!(matches!(check(&certificate), (Some(1), told) if told.contains("leaf-99/frr.conf was not looked at")));
}

fn sha256(text: &str) -> String {
    leafwall_proof::certificate::Given::digests([], text).allocation
}

#[test]
fn a_packet_is_followed_to_its_end() {
    let fra1 = root().join("containerlab/fra1");
    let trace = |from: &str, to: &str| leafwall(&["trace", &fra1.to_string_lossy(), from, to]);
    let through = trace("srv-04", "acme-www:443/tcp");
    let told = String::from_utf8_lossy(&through.stdout);
    assert_eq!(through.status.code(), Some(0), "{told}");
    for hop in ["fw-03: source becomes 203.0.113.11", "rule.acme-www-in.ingress.0", "arrives at srv-01"] {
        assert!(told.contains(hop), "{hop} is not in\n{told}");
    }
    assert_eq!(trace("srv-09", "srv-06").status.code(), Some(1));
    assert_eq!(trace("nobody", "srv-06").status.code(), Some(2));
}

#[test]
fn a_firewall_explains_what_it_does() {
    let fra1 = root().join("containerlab/fra1");
    let explain = |from: &str, to: &str, more: &[&str]| {
        let mut words = vec!["firewall", "explain"];
        let directory = fra1.to_string_lossy().into_owned();
        words.extend([directory.as_str(), "acme-fw", from, to]);
        words.extend(more);
        leafwall(&words)
    };
    let allowed = explain("srv-01", "198.18.0.1:443/tcp", &[]);
    let told = String::from_utf8_lossy(&allowed.stdout);
    assert_eq!(allowed.status.code(), Some(0), "{told}{}", String::from_utf8_lossy(&allowed.stderr));
    for line in ["allow acme-out/egress/1: it matches", "allow: rule acme-out/egress/1; the source becomes"] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
    let dropped = explain("srv-01", "192.0.2.7:443/tcp", &["--format", "json"]);
    assert_eq!(dropped.status.code(), Some(1));
    let read: serde_json::Value = serde_json::from_slice(&dropped.stdout).unwrap();
    assert_eq!((&read[0]["verdict"], &read[0]["reason"]), (&"deny".into(), &"no rule matches".into()));
    let rules = read[0]["rules"].as_array().unwrap();
    let except = rules.iter().find(|rule| rule["rule"] == "acme-out/egress/1").unwrap();
    assert_eq!(except["mismatch"], "`to` does not hold the destination");
    assert_eq!(explain("srv-01", "198.18.0.1:443/quic", &[]).status.code(), Some(2));
}

#[test]
fn a_firewall_explains_rules_with_dns_names() {
    let scratch = Scratch::new("names");
    let directory = scratch.path("fabric");
    fs::create_dir_all(&directory).unwrap();
    for entry in fs::read_dir(root().join("containerlab/fra1")).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_some_and(|extension| extension == "yaml") {
            fs::copy(&entry, Path::new(&directory).join(entry.file_name().unwrap())).unwrap();
        }
    }
    let policy = "apiVersion: leafwall.io/v1\nkind: FirewallPolicy\nmetadata: {name: acme-updates}\nspec:\n  firewall: acme-fw\n  egress:\n    \
                  - {action: allow, to: [{fqdn: \"*.example.com\"}], ports: [{protocol: TCP, port: 8443}]}\n";
    fs::write(Path::new(&directory).join("names.yaml"), policy).unwrap();
    let explain = |more: &[&str]| {
        let output = leafwall(&[&["firewall", "explain", &directory, "acme-fw", "srv-01", "198.18.0.1:8443/tcp"], more].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    };
    let (code, told) = explain(&[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("allow acme-updates/egress/0: its DNS names were not resolved to this address"), "{told}");
    let (code, told) = explain(&["--resolved", "*.example.com=198.18.0.1"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("allow acme-updates/egress/0: it matches"), "{told}");
    let (code, told) = explain(&["--resolved", "example.net=198.18.0.1"]);
    assert!(code == Some(2) && told.contains("no rule of `acme-fw` has the DNS name `example.net`; they have *.example.com"), "{told}");
    assert_eq!(explain(&["--resolved", "*.example.com"]).0, Some(2));
}
