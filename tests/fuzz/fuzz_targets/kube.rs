//! Any bytes are an object with a verdict, a question with an answer, or nothing, never a panic; what is accepted becomes text that is read again as the same.
//!
//! The first byte says as what the others are read.
#![no_main]

use std::sync::LazyLock;

use leafwall_kube::admission::review;
use leafwall_kube::bounds::Bounds;
use leafwall_kube::convert::{Verdict, convert};
use leafwall_kube::index::{Index, rule_ids};
use leafwall_kube::key::{Kind, ObjectKey};
use leafwall_kube::mirror::{self, MachineState};
use leafwall_kube::sink::Observed;
use leafwall_kube::status::{patch, standing};
use leafwall_policy::cluster::{Part, counters, table_part};
use leafwall_policy::nft::{Command, Script, parse};
use leafwall_policy::zone::{Access, Failsafe, FirewallRules, Snat, Sources, Zone, ZoneKind};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fn zone(name: &str, kind: ZoneKind, prefixes: &[&str]) -> Zone {
    let prefixes: Vec<_> = prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
    Zone {
        network: name.parse().unwrap(),
        kind,
        input: format!("vrf-{name}").parse().unwrap(),
        output: format!("vlan-{name}").parse().unwrap(),
        sources: Sources::Only(prefixes.clone()),
        prefixes,
        snat: Snat::default(),
        clamp_mss_to: None,
        rate_mbit: None,
    }
}

static FIREWALL: LazyLock<FirewallRules> = LazyLock::new(|| FirewallRules {
    firewall: "fw".parse().unwrap(),
    tenant: "acme".parse().unwrap(),
    zones: vec![
        zone("app", ZoneKind::Own, &["10.0.0.0/22", "fd00:a::/64"]),
        zone("internet", ZoneKind::External, &["0.0.0.0/0", "::/0"]),
    ],
    access: Access::Baseline,
    allowed_ingress: None,
    allowed_egress: None,
    log_accepted: false,
    policies: Vec::new(),
    resolvers: Vec::new(),
    failsafe: Failsafe {
        uplinks: vec!["lan0".parse().unwrap()],
        loopback: [10, 255, 0, 9].into(),
        vteps: "10.255.0.0/24".parse().unwrap(),
        management: None,
        inband: None,
    },
});

fn object(kind: Kind, object: Value, restricted: bool) {
    let mut firewall = FIREWALL.clone();
    if restricted {
        firewall.allowed_ingress = Some(vec!["198.51.100.0/24".parse().unwrap()]);
        firewall.allowed_egress = Some(Vec::new());
    }
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or("x").to_owned();
    let namespace = if kind == Kind::ClusterwideNetworkPolicy { "firewall".to_owned() } else { text("/metadata/namespace") };
    let key = ObjectKey { kind, namespace, name: text("/metadata/name") };
    let bounds = Bounds::from(&firewall);
    let verdict = convert(&key, &object, &bounds);
    let mut index = Index::new(bounds);
    index.apply(key.clone(), object);
    if let Some(entry) = index.get(&key) {
        assert_eq!(entry.verdict, verdict);
        let standing = standing(entry, Ok(&Observed::default()), None, 0);
        let _ = patch(kind, &entry.object, &standing, "2026-01-01T00:00:00Z");
        let _ = mirror::patch(&entry.object, &firewall, &MachineState::default(), None, "2026-01-01T00:00:00Z");
    }
    match verdict {
        Verdict::Accepted(policy) => {
            let rules = index.rules(0);
            let part = table_part(&firewall, &rules).unwrap();
            assert!(counters(&rules).len() <= rule_ids(&policy).len());
            let script = Script { commands: vec![Command::Define(part.to_table())] };
            let again = parse(&script.to_text());
            assert_eq!(again.as_ref(), Ok(&script));
            let mut table = script.tables().next().unwrap().clone();
            assert_eq!(Part::split(&mut table), part);
        }
        Verdict::Refused(findings) => assert!(!findings.is_empty() && index.rules(0).policies.is_empty()),
        Verdict::Waiting | Verdict::Unrelated => assert!(index.rules(0).policies.is_empty()),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((how, bytes)) = bytes.split_first() else { return };
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    let restricted = how & 0x80 != 0;
    match how % 4 {
        0 => object(Kind::ClusterwideNetworkPolicy, value, restricted),
        1 => object(Kind::FirewallPolicy, value, restricted),
        2 => object(Kind::Service, value, restricted),
        _ => {
            let answer = review(&value, &Bounds::from(&*FIREWALL));
            let uid = |value: &Value, path: &str| value.pointer(path).cloned();
            assert!(answer.is_none_or(|answer| uid(&answer, "/response/uid") == uid(&value, "/request/uid")));
        }
    }
});
