//! Whole files of whole fabrics, as they are committed. `UPDATE_GOLDENS=1` writes them anew; the difference is then there to be read.
#![allow(clippy::disallowed_methods)] // tests may read and write files

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use leafwall_plan::Device;
use leafwall_policy::nft::parse;
use leafwall_render::config_db::{ConfigDb, Tables};
use leafwall_render::frr::FrrConfig;
use leafwall_render::links::{LinkKind, Links};
use leafwall_render::{CONFIG_DB_JSON, FRR_CONF, LEAFWALL_NFT, LINKS_JSON, build, render};
use leafwall_tests::rendered::{Rendered, all_golden_fabrics, golden_fabrics, goldens, rendered};

fn files(rendered: &Rendered) -> BTreeMap<PathBuf, &str> {
    let devices = rendered
        .devices
        .iter()
        .flat_map(|(name, artefacts)| artefacts.files.iter().map(move |(file, text)| (Path::new(name.as_str()).join(file), text.as_str())));
    devices.chain([(PathBuf::from("fabric.json"), rendered.inventory.as_str())]).collect()
}

fn committed(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(&path).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.strip_prefix(directory).unwrap().to_owned(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn fabrics_are_rendered_as_committed() {
    for (fabric, path) in all_golden_fabrics() {
        let rendered = rendered(&path);
        let directory = goldens(fabric);
        let now = files(&rendered);
        if std::env::var_os("UPDATE_GOLDENS").is_some() {
            let _ = fs::remove_dir_all(&directory);
            for (file, text) in &now {
                let path = directory.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            continue;
        }
        let then = committed(&directory);
        assert_eq!(now.keys().collect::<Vec<_>>(), then.keys().collect::<Vec<_>>(), "{fabric}: other files than committed");
        for (file, text) in now {
            let first = text.lines().zip(then[&file].lines()).position(|(now, then)| now != then);
            assert!(
                text == then[&file],
                "{fabric}/{} differs from line {:?}; UPDATE_GOLDENS=1 writes it anew",
                file.display(),
                first.map(|n| n + 1)
            );
        }
    }
}

#[test]
fn what_is_rendered_is_read_back() {
    for (fabric, path) in all_golden_fabrics() {
        let rendered = rendered(&path);
        for (name, artefacts) in &rendered.devices {
            let plan = &rendered.planner.plan().devices[name];
            if let Some(text) = artefacts.files.get(FRR_CONF) {
                let config = FrrConfig::parse(text).unwrap();
                assert_eq!(Some(&config), build::frr(plan).as_ref(), "{fabric}/{name}");
                assert!(config.foreign.is_empty(), "{fabric}/{name}: {:?}", config.foreign);
            }
            if let Some(text) = artefacts.files.get(CONFIG_DB_JSON) {
                let Device::Switch(switch) = &plan.device else { panic!("{fabric}/{name} is no switch") };
                let tables = Tables::read(&ConfigDb::parse(text).unwrap()).unwrap();
                assert_eq!(Some(tables), build::config_db(name, switch), "{fabric}/{name}");
                // SONiC makes its kernel's links itself, and has no packet filter of ours
                assert_eq!(artefacts.files.keys().copied().collect::<Vec<_>>(), [CONFIG_DB_JSON, FRR_CONF], "{fabric}/{name}");
                continue;
            }
            assert_eq!(Links::parse(&artefacts.files[LINKS_JSON]).unwrap(), build::links(plan).unwrap(), "{fabric}/{name}");
            if let Some(text) = artefacts.files.get(LEAFWALL_NFT) {
                let script = parse(text).unwrap();
                assert_eq!(&script.to_text(), text, "{fabric}/{name}");
            }
        }
        let inventory = rendered.inventory();
        assert_eq!(inventory.devices.len(), rendered.planner.model().switches.len() + rendered.planner.model().servers.len());
    }
}

#[test]
fn the_same_bytes_on_one_core_as_on_many() {
    let (_, path) = &golden_fabrics()[0];
    let rendered = rendered(path);
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let many = rayon::ThreadPoolBuilder::new().num_threads(7).build().unwrap();
    assert_eq!(one.install(|| render(rendered.planner.plan())).unwrap(), rendered.devices);
    assert_eq!(many.install(|| render(rendered.planner.plan())).unwrap(), rendered.devices);
}

/// One MAC address for all L3VNI SVIs of a device, and for no other device.
#[test]
fn h02_one_router_mac_a_device() {
    let (_, path) = &golden_fabrics()[0];
    let rendered = rendered(path);
    let mut owners = BTreeMap::new();
    for (name, artefacts) in &rendered.devices {
        let links = Links::parse(&artefacts.files[LINKS_JSON]).unwrap();
        let Some(bridge) = links.links.iter().find(|link| matches!(link.kind, LinkKind::Bridge { .. })) else { continue };
        assert_eq!(owners.insert(bridge.mac, name.clone()), None, "{name}");
        // an L3VNI's SVI has no addresses; a subnet's gateway has
        let svis = links.links.iter().filter(|link| matches!(link.kind, LinkKind::Vlan { .. }) && link.addresses.is_empty());
        let macs: Vec<_> = svis.map(|link| link.mac).collect();
        assert!(!macs.is_empty() && macs.iter().all(|mac| *mac == bridge.mac), "{name}: {macs:?}");
    }
    assert!(owners.len() > 8);
}

/// zebra of a SONiC switch is told where routes go on to the ASIC; nobody else's is. No password and no debugging is in anybody's file.
#[test]
fn h13_sonic_is_told_where_routes_go() {
    for (fabric, path) in all_golden_fabrics() {
        for (name, artefacts) in &rendered(&path).devices {
            let Some(text) = artefacts.files.get(FRR_CONF) else { continue };
            let told = text.lines().any(|line| line == "fpm address 127.0.0.1");
            assert_eq!(told, artefacts.files.contains_key(CONFIG_DB_JSON), "{fabric}/{name}");
            assert!(
                !text.lines().any(|line| line.starts_with("password") || line.starts_with("enable password") || line.starts_with("debug")),
                "{fabric}/{name}"
            );
        }
    }
}
