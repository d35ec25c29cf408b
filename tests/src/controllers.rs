//! Three controllers as processes, on an etcd of three members, each reaching it through a fake network of its own; and agents of fake devices.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use leafwall_agent::daemon::identity::Identity;
use leafwall_agent::daemon::meter::Meter;
use leafwall_agent::daemon::{self, Settings as AgentSettings};
use leafwall_api::v1;
use leafwall_api::v1::fabric_client::FabricClient;
use leafwall_controller::certificates::{Authority, PeerRole};
use leafwall_controller::history::History;
use leafwall_controller::store::{AnyBackend, Etcd, Store};
use leafwall_topology::Name;
use rustix::process::{Pid, Signal, kill_process};
use tonic::transport::{Channel, Endpoint};

use crate::controller::{Running, upload};
use crate::etcd::{EtcdProcesses, free_ports};
use crate::fake_device::FakeDevice;
use crate::fake_network::FakeNetwork;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a change of a device takes: so a rollout has a middle.
const SLOW: Duration = Duration::from_millis(50);

/// One controller.
pub struct Controller {
    at: usize,
    port: u16,
    metrics: u16,
    /// From it to each member of etcd.
    networks: Vec<FakeNetwork>,
    process: Option<Child>,
}

impl Controller {
    fn pid(&self) -> Pid {
        Pid::from_child(self.process.as_ref().unwrap())
    }

    /// Where agents and clients reach it.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// What it says of itself at a path of its listener for metrics: the status and the text.
    pub fn says(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.metrics)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: c\r\n\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.trim().to_owned()))
    }

    /// Whether it says that it leads.
    pub fn leads(&self) -> bool {
        self.says("/readyz").is_some_and(|(status, _)| status == 200)
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Stops it wherever it is.
    pub fn pause(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    /// Cuts it off from etcd, or mends that. Agents and clients still reach it.
    pub fn cut(&self, cut: bool) {
        self.networks.iter().for_each(|network| network.cut(cut));
    }
}

/// All of it; everything is gone when it is dropped.
pub struct Controllers {
    root: PathBuf,
    program: PathBuf,
    /// The three.
    pub all: Vec<Controller>,
    agents: BTreeMap<Name, Running>,
    /// The devices.
    pub devices: BTreeMap<Name, FakeDevice>,
    runtime: tokio::runtime::Runtime,
    etcd: EtcdProcesses,
}

impl Controllers {
    /// Starts them, and waits until one leads.
    pub fn start(test: &str) -> Self {
        let program = crate::machine::program();
        let root = std::env::temp_dir().join(format!("lw-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&root).unwrap();
        Authority::create(&root.join("c0")).unwrap();
        for copy in ["c1", "c2"] {
            let copied = Command::new("cp").arg("-a").arg(root.join("c0")).arg(root.join(copy)).status().unwrap();
            assert!(copied.success());
        }
        let etcd = EtcdProcesses::start(3);
        let ports = free_ports(6);
        let all = ports.chunks(2).enumerate().map(|(at, ports)| {
            let networks = etcd.ports().into_iter().map(FakeNetwork::to).collect();
            Controller { at, port: ports[0], metrics: ports[1], networks, process: None }
        });
        let all = all.collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut this = Self { root, program, all, agents: BTreeMap::new(), devices: BTreeMap::new(), runtime, etcd };
        for at in 0..3 {
            this.run(at);
        }
        this.until("one leads", |this| this.leader().is_some());
        this
    }

    /// Starts a controller that does not run.
    pub fn run(&mut self, at: usize) {
        let (state, log) = (self.root.join(format!("c{at}")), self.log_file(at));
        let controller = &mut self.all[at];
        let members: Vec<String> = controller.networks.iter().map(|network| format!("127.0.0.1:{}", network.port())).collect();
        let log = File::options().append(true).create(true).open(log).unwrap();
        let process = Command::new(&self.program)
            .args(["controller", "run"])
            .arg(state)
            .args(["--listen", &format!("127.0.0.1:{}", controller.port), "--advertise", &controller.url()])
            .args(["--metrics", &format!("127.0.0.1:{}", controller.metrics)])
            .args(["--store", &format!("etcd://{}/test", members.join(",")), "--log-format", "json"])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn();
        controller.process = Some(process.unwrap());
    }

    fn log_file(&self, at: usize) -> PathBuf {
        self.root.join(format!("c{at}.log"))
    }

    /// What a controller has logged.
    pub fn log(&self, at: usize) -> String {
        std::fs::read_to_string(self.log_file(at)).unwrap_or_default()
    }

    /// Which one leads.
    pub fn leader(&self) -> Option<usize> {
        self.all.iter().find(|controller| controller.leads()).map(|controller| controller.at)
    }

    /// Waits for a leader other than this one.
    pub fn other_leader(&self, old: usize, within: Duration) -> (usize, Duration) {
        let start = Instant::now();
        loop {
            let new = self.all.iter().find(|controller| controller.at != old && controller.leads());
            if let Some(new) = new {
                return (new.at, start.elapsed());
            }
            if start.elapsed() > within {
                self.show_logs();
                panic!("no new leader within {within:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn show_logs(&self) {
        for at in 0..3 {
            let log = self.log(at);
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- controller {at}\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }

    /// All addresses, as `--controller` takes them.
    pub fn urls(&self) -> Vec<String> {
        self.all.iter().map(Controller::url).collect()
    }

    fn identity(&self, name: &str, role: PeerRole) -> PathBuf {
        let directory = self.root.join("identities").join(name);
        if !directory.exists() {
            Authority::load(&self.root.join("c0")).unwrap().issue(name, role, None, &directory).unwrap();
        }
        directory
    }

    /// Starts the agent of a device, which knows all controllers.
    pub fn start_agent(&mut self, name: &Name) {
        let device = self.devices.entry(name.clone()).or_default().clone();
        device.is_slow(SLOW);
        let settings = AgentSettings {
            device: name.clone(),
            controllers: self.urls(),
            state: self.root.join("agents").join(name.as_str()),
            identity: self.identity(name.as_str(), PeerRole::Agent),
            compare_every: Duration::from_secs(1),
            repair: false,
            health_grace: Duration::from_secs(1),
        };
        let running = Running::start(move |stopped| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    ended = daemon::run_metered(settings, device, Meter::default()) => panic!("the agent ended: {ended:?}"),
                    _ = stopped => {}
                }
            });
        });
        self.agents.insert(name.clone(), running);
    }

    fn client(&self, at: usize) -> FabricClient<Channel> {
        let identity = Identity::read(&self.identity("ops", PeerRole::Operator)).unwrap();
        let endpoint = Endpoint::from_shared(self.all[at].url()).unwrap().tls_config(identity.tls()).unwrap();
        let _guard = self.runtime.enter();
        FabricClient::new(endpoint.connect_lazy())
    }

    /// What a controller answers to a question about the whole fabric.
    pub fn status(&self, at: usize) -> Result<v1::FabricStatus, tonic::Status> {
        let mut client = self.client(at);
        let asked = async { tokio::time::timeout(Duration::from_secs(5), client.status(v1::StatusRequest {})).await };
        match self.runtime.block_on(asked) {
            Ok(answer) => answer.map(tonic::Response::into_inner),
            Err(_) => Err(tonic::Status::deadline_exceeded("no answer")),
        }
    }

    /// What would change.
    pub fn plan(&self, at: usize, intents: &BTreeMap<String, String>) -> v1::Planned {
        let mut client = self.client(at);
        let upload = tokio_stream::iter(upload(intents, &[], 64 << 10));
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, client.plan(upload)).await.unwrap().unwrap().into_inner() })
    }

    /// Applies intents; what is told comes as it is told, and ends with it.
    pub fn apply(&self, at: usize, intents: &BTreeMap<String, String>) -> mpsc::Receiver<Result<v1::Progress, tonic::Status>> {
        let mut client = self.client(at);
        let upload = tokio_stream::iter(upload(intents, &[], 64 << 10));
        let (send, told) = mpsc::channel();
        self.runtime.spawn(async move {
            let mut stream = match client.apply(upload).await {
                Ok(stream) => stream.into_inner(),
                Err(status) => return drop(send.send(Err(status))),
            };
            while let Some(progress) = stream.message().await.transpose() {
                let ended = progress.is_err();
                if send.send(progress).is_err() || ended {
                    return;
                }
            }
        });
        told
    }

    /// Runs `leafwall` as an operator who knows all controllers.
    pub fn leafwall(&self, arguments: &[&str]) -> Output {
        let identity = self.identity("ops", PeerRole::Operator);
        let mut command = Command::new(&self.program);
        command.args(arguments).args(["--controller", &self.urls().join(",")]).arg("--identity").arg(identity);
        command.output().unwrap()
    }

    /// The store, as the test sees it, past all fake networks.
    pub fn store(&self) -> Store {
        let url = self.etcd.url("test").parse().unwrap();
        self.wait(async { Store::new(AnyBackend::Etcd(Etcd::open(url, None).await.unwrap())) })
    }

    /// The history, with the key that signs it.
    pub fn history(&self) -> History {
        let key = leafwall_controller::keys::load(&self.root.join("c0").join("sign.key")).unwrap();
        History::new(self.store(), vec![key.verifying_key()])
    }

    /// Does something asynchronous.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.unwrap() })
    }

    /// Waits until something holds.
    pub fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            if start.elapsed() > PATIENCE {
                self.show_logs();
                panic!("not within {} s: {what}\n{:#?}", PATIENCE.as_secs(), self.leader().map(|at| self.status(at)));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Where everything of it is.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for Controllers {
    fn drop(&mut self) {
        self.agents.clear();
        for controller in &mut self.all {
            // also one that is paused
            controller.kill();
        }
        let _ = std::fs::remove_dir_all(&self.root);
    }
}
