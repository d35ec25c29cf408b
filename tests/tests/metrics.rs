//! What a controller, its agents and the firewall machines of clusters tell Prometheus, and the board that is made of it.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may fail

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};

use leafwall_api::v1::Outcome;
use leafwall_controller::certificates::PeerRole;
use leafwall_tests::controller::{World, intents};
use leafwall_tests::root;
use serde_json::Value;

/// A page of the controller.
fn page(world: &World, path: &str) -> (String, String) {
    let mut stream = std::net::TcpStream::connect(world.metrics).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: controller\r\n\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// One family of metrics.
#[derive(Debug, Default)]
struct Metric {
    kind: String,
    /// Each sample's name with its labels, and its value.
    samples: BTreeMap<String, f64>,
}

/// Reads Prometheus' text format (0.0.4) as its own parser does, and what `promtool check metrics` looks at.
fn parse(text: &str) -> BTreeMap<String, Metric> {
    let mut all = BTreeMap::<String, Metric>::new();
    let mut order = Vec::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(help.len() > 5 && all.insert(name.to_owned(), Metric::default()).is_none(), "{line}");
            order.push(name.to_owned());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            let metric = all.get_mut(name).unwrap_or_else(|| panic!("TYPE before HELP: {line}"));
            assert!(metric.kind.is_empty() && metric.samples.is_empty() && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
            kind.clone_into(&mut metric.kind);
        } else {
            assert!(!line.starts_with('#') && !line.is_empty(), "{line}");
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let family = order.last().unwrap();
            let suffix = name.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("`{line}` stands among the samples of {family}"));
            let metric = all.get_mut(family).unwrap();
            let suffixes: &[&str] = if metric.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.contains(&suffix), "{line}");
            labels(series);
            assert!(metric.samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
        }
    }
    for (name, metric) in &all {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        assert!(name.starts_with("leafwall_") && name.bytes().all(legal), "{name}");
        assert_eq!(metric.kind == "counter", name.ends_with("_total"), "{name}");
        assert!(metric.kind != "histogram" || name.ends_with("_seconds"), "{name}");
        assert!(!metric.samples.is_empty(), "{name} has no sample: it would not be there before something happens");
        if metric.kind == "histogram" {
            histogram(name, metric);
        }
    }
    all
}

/// The labels of a series, in the one order that they have.
fn labels(series: &str) -> Vec<(String, String)> {
    let Some((_, rest)) = series.split_once('{') else { return Vec::new() };
    let inside = rest.strip_suffix('}').unwrap_or_else(|| panic!("{series}"));
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap();
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or_else(|| panic!("{series}"));
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') && !value.contains(['"', '\\']), "{series}");
        (name.to_owned(), value.to_owned())
    };
    inside.split(',').map(pair).collect()
}

/// Buckets grow, and the last one has all.
fn histogram(name: &str, metric: &Metric) {
    let mut series = BTreeMap::<Vec<(String, String)>, Vec<(f64, f64)>>::new();
    for (sample, value) in metric.samples.iter().filter(|(sample, _)| sample.starts_with(&format!("{name}_bucket"))) {
        let (le, others): (Vec<_>, Vec<_>) = labels(sample).into_iter().partition(|(label, _)| label == "le");
        let [(_, le)] = le.as_slice() else { panic!("{sample}") };
        series.entry(others).or_default().push((le.replace("+Inf", "inf").parse().unwrap(), *value));
    }
    assert!(!series.is_empty());
    for (labels, mut buckets) in series {
        buckets.sort_by(|one, two| one.0.total_cmp(&two.0));
        assert!(buckets.is_sorted_by(|one, two| one.1 <= two.1), "{name} {labels:?}");
        let last = buckets.last().unwrap();
        let shown: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let shown = if shown.is_empty() { String::new() } else { format!("{{{}}}", shown.join(",")) };
        assert_eq!((last.0, last.1), (f64::INFINITY, metric.samples[&format!("{name}_count{shown}")]), "{name} {labels:?}");
        assert!(metric.samples[&format!("{name}_sum{shown}")] >= 0.0);
    }
}

/// The value of a series of the controller, now.
fn value(world: &World, series: &str) -> f64 {
    let all = parse(&page(world, "/metrics").1);
    all.values().find_map(|metric| metric.samples.get(series).copied()).unwrap_or_else(|| panic!("no {series}: {all:#?}"))
}

fn fra1() -> BTreeMap<String, String> {
    intents(&root().join("containerlab/fra1"))
}

/// The same of an agent.
fn agents_value(world: &World, name: &str, series: &str) -> f64 {
    let all = parse(&leafwall_metrics::text(&world.meters[name].registry()));
    all.values().find_map(|metric| metric.samples.get(series).copied()).unwrap_or_else(|| panic!("no {series}: {all:#?}"))
}

#[test]
#[allow(clippy::float_cmp)] // whole numbers
fn what_happens_is_counted() {
    let mut world = World::new("metrics");
    assert_eq!(value(&world, "leafwall_head_generation"), 0.0);
    let names: Vec<String> = world.settle(&fra1()).devices.into_iter().map(|change| change.device).collect();
    let devices = f64::from(u32::try_from(names.len()).unwrap());
    for (series, expected) in [
        ("leafwall_devices", devices),
        ("leafwall_connected_agents", devices),
        ("leafwall_devices_lacking_head", 0.0),
        ("leafwall_devices_drifting", 0.0),
        ("leafwall_head_generation", 1.0),
        ("leafwall_rollouts_total{outcome=\"committed\"}", 1.0),
        ("leafwall_rollout_phase_seconds_count{phase=\"prepare\"}", 1.0),
        ("leafwall_rollout_phase_seconds_count{phase=\"apply\"}", 1.0),
        ("leafwall_rollout_phase_seconds_count{phase=\"confirm\"}", 1.0),
        ("leafwall_audit_entries_total{outcome=\"begun\"}", 1.0),
        ("leafwall_audit_entries_total{outcome=\"done\"}", 1.0),
        ("leafwall_refused_calls_total{kind=\"permission_denied\"}", 0.0),
    ] {
        assert_eq!(value(&world, series), expected, "{series}");
    }
    let writes = value(&world, "leafwall_store_writes_total{result=\"done\"}");
    assert!(writes > devices && value(&world, "leafwall_store_write_seconds_count") >= writes, "each confirmation is one");

    assert_eq!(world.apply(&fra1(), &[]).last().unwrap().outcome(), Outcome::Unchanged);
    assert_eq!(value(&world, "leafwall_rollouts_total{outcome=\"unchanged\"}"), 1.0);
    world.try_apply("auditor", PeerRole::Viewer, &fra1(), &[]).unwrap_err();
    assert_eq!(value(&world, "leafwall_refused_calls_total{kind=\"permission_denied\"}"), 1.0);
    world.until("it is written down", |world| value(world, "leafwall_audit_entries_total{outcome=\"refused\"}") == 1.0);

    let first = names[0].clone();
    assert_eq!(agents_value(&world, &first, "leafwall_agent_changes_total{result=\"done\"}"), 1.0);
    assert_eq!(agents_value(&world, &first, "leafwall_agent_generation"), 1.0);
    assert_eq!(agents_value(&world, &first, "leafwall_agent_sessions_total"), 1.0);
    assert_eq!(agents_value(&world, &first, "leafwall_agent_connected"), 1.0);
    assert_eq!(agents_value(&world, &first, "leafwall_agent_drift_total"), 0.0);
    world.devices[first.as_str()].drifts("links.json", "{}");
    world.until("it is seen", |world| value(world, "leafwall_devices_drifting") == 1.0);
    assert!(agents_value(&world, &first, "leafwall_agent_drift_total") >= 1.0);
    assert!(agents_value(&world, &first, "leafwall_agent_comparisons_total") >= 1.0);
    assert_eq!(agents_value(&world, &first, "leafwall_agent_differences"), 1.0);

    world.stop_agent(&names[1].parse().unwrap());
    world.until("it is away", |world| value(world, "leafwall_connected_agents") == devices - 1.0);
    world.stop_controller();
    world.until("its agents see that", |world| agents_value(world, &first, "leafwall_agent_connected") == 0.0);
}

#[test]
fn health_and_readiness_are_pages() {
    let world = World::new("health");
    assert!(page(&world, "/healthz").0.starts_with("HTTP/1.1 200 "));
    let (head, body) = page(&world, "/readyz");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}\n{body}");
    assert!(page(&world, "/metrics").0.contains("Content-Type: text/plain; version=0.0.4"));
}

/// Names of our metrics in an expression.
fn names(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("leafwall")).map(str::to_owned).collect()
}

#[test]
fn the_board_shows_every_metric_and_no_other() {
    let world = World::new("board");
    let controller = parse(&page(&world, "/metrics").1);
    let agent = parse(&leafwall_metrics::text(&leafwall_agent::daemon::meter::Meter::default().registry()));
    let mut kube = leafwall_kube::meter::Meter::default().registry();
    leafwall_dns::meter::Meter::default().register(&mut kube);
    let kube = parse(&leafwall_metrics::text(&kube));
    let all: BTreeMap<String, Metric> = controller.into_iter().chain(agent).chain(kube).collect();
    let samples: BTreeSet<&str> =
        all.values().flat_map(|metric| metric.samples.keys()).map(|series| series.split('{').next().unwrap()).collect();

    let text = std::fs::read_to_string(root().join("docs/grafana/leafwall.json")).unwrap();
    let board: Value = serde_json::from_str(&text).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut shown = BTreeSet::new();
    for panel in panels {
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()) && panel["gridPos"]["w"].as_u64().is_some(), "{panel}");
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let named = names(expression);
            assert!(!named.is_empty(), "{expression}");
            for open in ["()", "[]", "{}"] {
                let count = |letter| expression.chars().filter(|other| *other == letter).count();
                let (open, close) = (open.chars().next().unwrap(), open.chars().last().unwrap());
                assert_eq!(count(open), count(close), "{expression}");
            }
            for name in named {
                assert!(samples.contains(name.as_str()), "`{name}` in the board is no metric: {expression}");
                shown.insert(name);
            }
        }
    }
    for name in all.keys() {
        assert!(shown.iter().any(|shown| shown.starts_with(name.as_str())), "`{name}` is nowhere in the board");
    }
}
