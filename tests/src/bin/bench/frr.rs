//! A leaf with many tenants on real daemons, in the lab's root file system: first load, and one tenant more. This kernel may have no VRF, which bgpd does not mind.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use leafwall_agent::daemon::device::{Device, ThisDevice};
use leafwall_agent::frr::{Frr, global_stage, instance_stage};
use leafwall_agent::nftables::Memory;
use leafwall_agent::once::Options;
use leafwall_agent::report::Backend;
use leafwall_agent::sonic::Sonic;
use leafwall_delta::Change;
use leafwall_render::frr::FrrConfig;
use leafwall_tests::daemons::Daemons;
use leafwall_tests::drift_lab::{artefacts, intents};
use leafwall_tests::lab_root::LabRoot;

/// Tenants on the leaf before one more comes.
const TENANTS: usize = 1000;
/// How often ours is measured; the median counts. The peer runs once: it takes up to a minute.
const RUNS: usize = 3;

/// frr.conf of a leaf with so many tenants, each with a network of its own and a routed server: a VRF, an L3VNI, an instance, a neighbour and its filters.
fn leaf(tenants: usize) -> String {
    artefacts(&intents(tenants)).remove("frr.conf").unwrap()
}

/// A directory of all the artefacts of that leaf.
fn leaf_directory(directory: &Path, tenants: usize) {
    fs::create_dir_all(directory).unwrap();
    for (name, text) in artefacts(&intents(tenants)) {
        fs::write(directory.join(name), text).unwrap();
    }
}

/// Runs in the root file system, beside the daemons: what the agent does.
pub fn inside(task: &str, file: &Path) {
    if task == "memory" {
        return memory_inside(file);
    }
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

/// Runs in the root file system: compares the leaf with the artefacts in a directory, as the agent does, adds a tenant from the directory `more` beside it, and
/// compares again. The links are compared too, and all missing: this kernel may have no VRF.
fn memory_inside(directory: &Path) {
    let kib = |what: &str| {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap().to_owned();
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
    };
    let more = directory.with_file_name("more");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let device = ThisDevice::new(Options {
        frr: Frr::default(),
        timeout: Duration::from_secs(1),
        secrets: None,
        cluster: None,
        filters: Memory::default(),
        sonic: Sonic::default(),
    });
    let say = |what: &str| println!("{what}: {:.1} MiB, at most {:.1} MiB", kib("VmRSS:"), kib("VmHWM:"));
    runtime.block_on(async {
        say("at the start");
        let parts = Backend::ALL.into();
        let started = Instant::now();
        let compared = device.compare(directory, &parts).await.unwrap();
        println!("a comparison of everything took {:.0} ms", started.elapsed().as_secs_f64() * 1e3);
        assert!(compared.differences.len() > TENANTS, "the links are missing");
        assert!(
            !compared.differences.iter().any(|difference| difference.backend == Backend::Frr && difference.what.contains("router bgp"))
        );
        say("after a comparison");
        let started = Instant::now();
        for _ in 0..DIGESTS {
            assert!(!device.routing_changed().await);
        }
        println!("a digest took {:.1} ms", started.elapsed().as_secs_f64() * 1e3 / f64::from(DIGESTS));
        say("after digests");
        let wanted = FrrConfig::parse(&fs::read_to_string(more.join("frr.conf")).unwrap()).unwrap();
        let frr = Frr::default();
        let change = Change::between(&frr.running().await.unwrap(), &wanted);
        for step in &change.forward.steps {
            frr.take(step).await.unwrap();
        }
        drop((wanted, change));
        assert!(device.routing_changed().await, "the digest is another one");
        device.compare(&more, &parts).await.unwrap();
        say("after a change and a comparison");
    });
    println!("rss {}", kib("VmRSS:"));
    println!("peak {}", kib("VmHWM:"));
}

/// CPU time of the daemons so far.
const CPU: &str = "for d in mgmtd zebra staticd bfdd bgpd; do echo $d $(cut -d' ' -f14,15 /proc/$(cat /run/frr/$d.pid)/stat); done";
/// How often a digest is taken.
const DIGESTS: u32 = 20;

/// Prints the agent's memory on that leaf as JSON, and what digests cost the daemons.
pub fn memory() {
    let files = std::env::temp_dir().join(format!("lw-bench-{}", std::process::id()));
    leaf_directory(&files.join("leaf"), TENANTS);
    leaf_directory(&files.join("more"), TENANTS + 1);
    let root = LabRoot::find("bench").unwrap();
    fs::copy(std::env::current_exe().unwrap(), files.join("leafwall-bench")).unwrap();
    let mut daemons = Daemons::start(&root, &files).unwrap();
    let ask = |daemons: &mut Daemons, command: &str| {
        let answer = daemons.ask(command).unwrap();
        assert_eq!(answer.code, 0, "{command}: {}", answer.text);
        answer.text
    };
    ask(&mut daemons, "./leafwall-bench frr-inside load leaf/frr.conf");
    let before = ask(&mut daemons, CPU);
    let text = ask(&mut daemons, "./leafwall-bench frr-inside memory leaf");
    let after = ask(&mut daemons, CPU);
    eprintln!("{text}\ndaemons' CPU time in hundredths of a second, user and system, before:\n{before}\nafter:\n{after}");
    let value = |what: &str| text.lines().find_map(|line| line.strip_prefix(what)).unwrap().trim().parse::<f64>().unwrap();
    drop(daemons);
    fs::remove_dir_all(&files).unwrap();
    println!("{{\"rss_mib\": {:.1}, \"peak_mib\": {:.1}, \"tenants\": {TENANTS}}}", value("rss "), value("peak "));
}
