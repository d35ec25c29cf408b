//! A leaf with many tenants on real daemons, in the lab's root file system: first load, and one tenant more. This kernel may have no VRF, which bgpd does not mind.

use std::fs;
use std::path::Path;
use std::time::Instant;

use leafwall_agent::frr::{Frr, global_stage, instance_stage};
use leafwall_delta::Change;
use leafwall_intent::{SourceFile, Sources};
use leafwall_plan::{Planner, Table};
use leafwall_render::build;
use leafwall_render::frr::FrrConfig;
use leafwall_tests::daemons::Daemons;
use leafwall_tests::fabric::{Size, generate};
use leafwall_tests::lab_root::LabRoot;

/// Tenants on the leaf before one more comes.
const TENANTS: usize = 1000;
/// How often ours is measured; the median counts. The peer runs once: it takes up to a minute.
const RUNS: usize = 3;

/// frr.conf of a leaf with so many tenants, each with a network of its own and a routed server: a VRF, an L3VNI, an instance, a neighbour and its filters.
fn leaf(tenants: usize) -> String {
    let routed = |text: String| {
        // the subnet becomes a prefix of routed hosts
        let text = text.replace("  mode: bridged\n", "  mode: routed\n").replace("  subnets:\n    - prefix: ", "  prefixes:\n    - ");
        SourceFile { path: String::new(), text: text.into() }
    };
    let files = generate(Size { leaves: 1, spines: 2, tenants, leaves_per_tenant: 1 });
    let sources = files.into_iter().map(|(path, text)| SourceFile { path, ..routed(text) }).collect();
    let (model, _) = leafwall_intent::load(&Sources::new(sources));
    let planner = Planner::new(model.unwrap(), &Table::default(), 1, None).unwrap();
    let plan = planner.plan().devices.values().find(|device| device.name.to_string() == "leaf-0001").unwrap();
    build::frr(plan).unwrap().print().unwrap()
}

/// Runs in the root file system, beside the daemons: what the agent does.
pub fn inside(task: &str, file: &Path) {
    let wanted = FrrConfig::parse(&fs::read_to_string(file).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let frr = Frr::default();
    let start = Instant::now();
    let mut phases = Vec::new();
    runtime.block_on(async {
        let mut phase = |name: &str| phases.push(format!("{name} at {:.0}", start.elapsed().as_secs_f64() * 1e3));
        if task == "verify" {
            return;
        }
        if task == "load" {
            frr.load(&global_stage(&wanted)).await.unwrap();
            phase("global stage");
            frr.load(&instance_stage(&wanted)).await.unwrap();
            return;
        }
        let running = frr.running().await.unwrap();
        phase("read");
        let change = Change::between(&running, &wanted);
        phase("delta");
        for step in &change.forward.steps {
            frr.take(step).await.unwrap();
            phase(step.kind.title());
        }
    });
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    println!("{task}: {} ms", phases.join(", "));
    let left = Change::between(&runtime.block_on(frr.running()).unwrap(), &wanted);
    assert!(
        left.forward.is_empty(),
        "not all of it runs:\n{:.2000}",
        left.forward.steps.iter().map(ToString::to_string).collect::<String>()
    );
    println!("took {milliseconds}");
}

/// Prints ours and the peer's milliseconds as JSON.
pub fn measure(peer: &Path, which: &str) {
    let files = std::env::temp_dir().join(format!("lw-bench-{}", std::process::id()));
    fs::create_dir_all(&files).unwrap();
    let root = LabRoot::find("bench").unwrap();
    fs::copy(std::env::current_exe().unwrap(), files.join("leafwall-bench")).unwrap();
    fs::write(files.join("leaf.conf"), leaf(TENANTS)).unwrap();
    fs::write(files.join("more.conf"), leaf(TENANTS + 1)).unwrap();
    fs::copy(peer, files.join("peer.conf")).unwrap();
    let mut daemons = Daemons::start(&root, &files).unwrap();
    let ask = |daemons: &mut Daemons, command: &str| {
        let start = Instant::now();
        let answer = daemons.ask(command).unwrap();
        assert_eq!(answer.code, 0, "{command}: {}", answer.text);
        answer.text.lines().filter(|line| line.ends_with(" ms")).for_each(|line| eprintln!("{line}"));
        (start.elapsed().as_secs_f64() * 1e3, answer.text)
    };
    let took = |text: &str| text.lines().find_map(|line| line.strip_prefix("took ")).unwrap().parse::<f64>().unwrap();
    let mut ours: Vec<f64> = Vec::new();
    let theirs = if which == "first" {
        for _ in 0..RUNS {
            ours.push(took(&ask(&mut daemons, "./leafwall-bench frr-inside load leaf.conf").1));
            daemons.restart().unwrap();
        }
        ask(&mut daemons, "(vtysh -f peer.conf)").0
    } else {
        ask(&mut daemons, "./leafwall-bench frr-inside load leaf.conf");
        for _ in 0..RUNS {
            ours.push(took(&ask(&mut daemons, "./leafwall-bench frr-inside change more.conf").1));
            ask(&mut daemons, "./leafwall-bench frr-inside change leaf.conf");
        }
        let theirs = ask(
            &mut daemons,
            "python3 /usr/lib/frr/frr-reload.py --reload --stdout --bindir /usr/bin --confdir /etc/frr --rundir /run/frr more.conf",
        )
        .0;
        // it must have done what it was measured for
        ask(&mut daemons, "./leafwall-bench frr-inside verify more.conf");
        theirs
    };
    eprintln!("ours, each: {ours:.0?} ms");
    drop(daemons);
    fs::remove_dir_all(&files).unwrap();
    ours.sort_by(f64::total_cmp);
    println!("{{\"ours_ms\": {:.3}, \"peer_ms\": {theirs:.3}, \"runs\": {RUNS}, \"tenants\": {TENANTS}}}", ours[ours.len() / 2]);
}
