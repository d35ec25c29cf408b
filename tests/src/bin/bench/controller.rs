//! A controller with as many agents as a large fabric has: the real one in a process of its own, and real agents' daemons with fake devices in another.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use leafwall_agent::daemon::identity::Identity;
use leafwall_agent::daemon::{self, Settings};
use leafwall_api::v1;
use leafwall_api::v1::fabric_client::FabricClient;
use leafwall_controller::certificates::{Authority, PeerRole};
use leafwall_tests::controller::{intents, upload};
use leafwall_tests::fake_device::FakeDevice;
use leafwall_topology::Name;
use tonic::transport::{Channel, Endpoint};

/// How often one tenant is changed; the median counts.
const CHANGES: usize = 7;
/// How long the first revision, of all devices at once, may take.
const PATIENCE: Duration = Duration::from_mins(20);
/// A status of a thousand devices is longer than what gRPC takes by default.
const ANSWER_MAX: usize = 64 << 20;

/// A process that ends with this.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Agents of all devices whose identities lie below a directory, for ever.
pub fn agents(address: &str, root: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let names = std::fs::read_dir(root.join("agents")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let local = tokio::task::LocalSet::new();
    for name in names {
        let settings = Settings {
            device: name.parse().unwrap(),
            controllers: vec![format!("https://{address}")],
            state: root.join("states").join(&name),
            identity: root.join("agents").join(&name),
            compare_every: Duration::from_hours(1),
            repair: false,
            health_grace: Duration::from_secs(10),
        };
        local.spawn_local(async move {
            let ended = daemon::run(settings, FakeDevice::default()).await;
            eprintln!("the agent of {name} ended: {ended:?}");
        });
    }
    runtime.block_on(local);
}

/// Prints how long plan and prepare of a change take, and the controller's memory, as JSON.
pub fn measure(program: &Path, fabric: &Path) {
    let root = std::env::temp_dir().join(format!("lw-bench-controller-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&root);
    std::fs::create_dir_all(&root).unwrap();
    measured(program, &intents(fabric), &root);
    std::fs::remove_dir_all(&root).unwrap();
}

fn measured(program: &Path, files: &BTreeMap<String, String>, root: &Path) {
    let state = root.join("controller");
    let authority = Authority::create(&state).unwrap();
    let switches = files.values().flat_map(|text| text.split("---\n")).filter(|text| text.contains("kind: Switch\n"));
    let names: Vec<Name> = switches.map(|text| text.split_once("{name: ").unwrap().1.split_once('}').unwrap().0.parse().unwrap()).collect();
    for name in &names {
        authority.issue(name.as_str(), PeerRole::Agent, None, &root.join("agents").join(name.as_str())).unwrap();
    }
    authority.issue("bench", PeerRole::Operator, None, &root.join("bench")).unwrap();
    let mut command = Command::new(program);
    command.args(["controller", "run"]).arg(&state).args(["--listen", "127.0.0.1:0", "--log-format", "json"]).stderr(Stdio::piped());
    let mut controller = Process(command.spawn().unwrap());
    let mut said = BufReader::new(controller.0.stderr.take().unwrap());
    let address = loop {
        let mut line = String::new();
        assert!(said.read_line(&mut line).unwrap() > 0, "the controller ended");
        let entry: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        if entry["message"] == "listens" {
            break entry["address"].as_str().unwrap().to_owned();
        }
    };
    std::thread::spawn(move || said.lines().map_while(Result::ok).for_each(|line| eprintln!("controller: {line}")));
    let mut agents = Command::new(std::env::current_exe().unwrap());
    let _agents = Process(agents.args(["fake-agents", &address]).arg(root).spawn().unwrap());

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let identity = Identity::read(&root.join("bench")).unwrap();
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(identity.tls()).unwrap();
    let mut client = {
        let _guard = runtime.enter();
        FabricClient::new(endpoint.connect_lazy()).max_decoding_message_size(ANSWER_MAX)
    };
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", controller.0.id())).unwrap();
        let kib = |what: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
            line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
        };
        (kib("VmRSS:"), kib("VmHWM:"))
    };
    let outcome = runtime.block_on(async {
        let started = Instant::now();
        let first = apply(&mut client, files).await;
        eprintln!("the first revision: {:?} to all {} prepared, {:?} in all", first.prepared, first.devices, started.elapsed());
        // who was not there yet has caught up then
        let all = |status: &v1::FabricStatus| status.devices.iter().filter(|device| device.connected).count() == names.len();
        wait_for(&mut client, "the first revision everywhere", |status| status.state == "FULL" && all(status)).await;
        eprintln!("{} agents are there; {:.0} MiB", names.len(), memory().0);
        let mut took = Vec::new();
        for _ in 0..CHANGES {
            for change in [true, false] {
                let mut changed = files.clone();
                if change {
                    one_tenant_less(&mut changed);
                }
                let applied = apply(&mut client, &changed).await;
                assert_eq!(applied.answers, applied.devices, "all prepared");
                assert!(applied.devices < 32, "one tenant's change is one of {} devices", applied.devices);
                took.push(applied);
                wait_for(&mut client, "it is everywhere", |status| status.state == "FULL").await;
            }
        }
        took
    });
    let mut prepared: Vec<f64> = outcome.iter().map(|applied| applied.prepared.as_secs_f64() * 1e3).collect();
    let mut planned: Vec<f64> = outcome.iter().map(|applied| applied.begun.as_secs_f64() * 1e3).collect();
    prepared.sort_by(f64::total_cmp);
    planned.sort_by(f64::total_cmp);
    let (now, most) = memory();
    println!(
        "{{\"median_ms\": {:.3}, \"worst_ms\": {:.3}, \"planned_ms\": {:.3}, \"rss_mib\": {now:.1}, \"peak_mib\": {most:.1}, \"agents\": {}, \"devices\": {}}}",
        prepared[prepared.len() / 2],
        prepared[prepared.len() - 1],
        planned[planned.len() / 2],
        names.len(),
        outcome[0].devices
    );
}

/// The last tenant takes one server less.
pub fn one_tenant_less(files: &mut BTreeMap<String, String>) {
    let (_, text) = files.iter_mut().rfind(|(path, _)| path.starts_with("tenants-")).unwrap();
    let at = text.rfind("---\napiVersion: leafwall.io/v1\nkind: Allocation").unwrap();
    text.truncate(at);
}

/// When the controller had planned, and all devices concerned had prepared.
struct Applied {
    begun: Duration,
    prepared: Duration,
    devices: usize,
    /// How many said so.
    answers: usize,
}

async fn apply(client: &mut FabricClient<Channel>, files: &BTreeMap<String, String>) -> Applied {
    let pieces = upload(files, &[], PIECE);
    let started = Instant::now();
    let mut stream = client.apply(tokio_stream::iter(pieces)).await.unwrap().into_inner();
    let (mut begun, mut prepared, mut devices, mut count) = (Duration::ZERO, Duration::ZERO, 0, 0);
    while let Some(progress) = stream.message().await.unwrap() {
        match progress.phase.as_str() {
            "begun" => {
                begun = started.elapsed();
                devices = progress.message.split(' ').next().unwrap().parse().unwrap();
            }
            "prepared" => {
                count += 1;
                prepared = started.elapsed();
            }
            "finished" => assert_eq!(progress.outcome(), v1::Outcome::Committed, "{progress:?}"),
            _ => {}
        }
    }
    Applied { begun, prepared, devices, answers: count }
}

/// As the command sends files.
const PIECE: usize = 256 << 10;

async fn wait_for(client: &mut FabricClient<Channel>, what: &str, holds: impl Fn(&v1::FabricStatus) -> bool) {
    let started = Instant::now();
    while !holds(&client.status(v1::StatusRequest {}).await.unwrap().into_inner()) {
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
