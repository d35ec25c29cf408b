//! A controller on loopback with agents of fake devices, each with real certificates, streams, journals and store.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use leafwall_agent::daemon::identity::Identity;
use leafwall_agent::daemon::meter::Meter;
use leafwall_agent::daemon::{self, Settings as AgentSettings};
use leafwall_api::v1;
use leafwall_api::v1::fabric_client::FabricClient;
use leafwall_controller::certificates::{Authority, PeerRole};
use leafwall_controller::server::{Bound, Keep, RolloutSettings, Settings};
use leafwall_topology::Name;
use tokio::sync::oneshot;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::fake_device::FakeDevice;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Short, for the faults of health that tests make do not heal.
const HEALTH_GRACE: Duration = Duration::from_secs(1);

/// A thread that ends when this is dropped.
pub(crate) struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(work: impl FnOnce(oneshot::Receiver<()>) + Send + 'static) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop: Some(stop), thread: Some(std::thread::spawn(move || work(stopped))) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A controller and its agents; all is gone when it is dropped.
pub struct World {
    root: PathBuf,
    address: SocketAddr,
    enrolment: SocketAddr,
    /// Where it tells how it is.
    pub metrics: SocketAddr,
    controller: Option<Running>,
    agents: BTreeMap<Name, Running>,
    /// What is counted of the agents.
    pub meters: BTreeMap<Name, Meter>,
    /// Whether agents repair drift. It would hide a way back that does nothing, so only who asks for it has it.
    pub repair: bool,
    /// Between two comparisons of everything.
    pub compare_every: Duration,
    /// The devices.
    pub devices: BTreeMap<Name, FakeDevice>,
    runtime: tokio::runtime::Runtime,
}

impl World {
    /// One with nobody in it but a controller.
    pub fn new(test: &str) -> Self {
        let root = std::env::temp_dir().join(format!("lw-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&root).unwrap();
        let state = root.join("controller");
        Authority::create(&state).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (agents, devices) = (BTreeMap::new(), BTreeMap::new());
        let address = ([127, 0, 0, 1], 0).into();
        let mut world = Self {
            root,
            address,
            enrolment: address,
            metrics: address,
            controller: None,
            agents,
            meters: BTreeMap::new(),
            repair: false,
            compare_every: Duration::from_millis(300),
            devices,
            runtime,
        };
        world.start_controller();
        world
    }

    /// Where the controller keeps its things.
    pub fn state(&self) -> PathBuf {
        self.root.join("controller")
    }

    /// Starts it, on the port that it had.
    pub fn start_controller(&mut self) {
        let settings = Settings {
            state: self.state(),
            rollout: RolloutSettings { confirm_within: 5000, repeat_every: 500, ..RolloutSettings::default() },
            keep: Keep::File,
        };
        let (send, bound) = std::sync::mpsc::channel();
        let (address, enrolment, metrics) = (self.address, self.enrolment, self.metrics);
        self.controller = Some(Running::start(move |stopped| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (controller, enrolment) = Bound::new(settings, address).await.unwrap().enrolment(enrolment).await.unwrap();
                let (controller, metrics) = controller.metrics(metrics).await.unwrap();
                send.send((controller.address(), enrolment, metrics)).unwrap();
                Box::pin(controller.serve_until(async { drop(stopped.await) })).await.unwrap();
            });
        }));
        (self.address, self.enrolment, self.metrics) = bound.recv_timeout(PATIENCE).unwrap();
    }

    /// Ends it.
    pub fn stop_controller(&mut self) {
        self.controller = None;
    }

    /// An identity of somebody. A tenant's is that of the tenant of the same name.
    pub fn identity(&self, name: &str, role: PeerRole) -> PathBuf {
        let directory = self.root.join("identities").join(name);
        if !directory.exists() {
            let tenant = (role == PeerRole::Tenant).then(|| name.parse().unwrap());
            Authority::load(&self.state()).unwrap().issue(name, role, tenant, &directory).unwrap();
        }
        directory
    }

    /// Starts an agent for a device, a new one or one that was there before.
    pub fn start_agent(&mut self, name: &Name) {
        let device = self.devices.entry(name.clone()).or_default().clone();
        let settings = AgentSettings {
            device: name.clone(),
            controllers: vec![format!("https://{}", self.address)],
            state: self.root.join("agents").join(name.as_str()),
            identity: self.identity(name.as_str(), PeerRole::Agent),
            compare_every: self.compare_every,
            repair: self.repair,
            health_grace: HEALTH_GRACE,
        };
        let meter = Meter::default();
        self.meters.insert(name.clone(), meter.clone());
        let running = Running::start(move |stopped| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    ended = daemon::run_metered(settings, device, meter) => panic!("the agent ended: {ended:?}"),
                    _ = stopped => {}
                }
            });
        });
        self.agents.insert(name.clone(), running);
    }

    /// Starts the agents of all devices that intents are about, and waits until the controller has heard of each: where nobody is there a revision is abandoned.
    pub fn start_agents(&mut self, intents: &BTreeMap<String, String>) -> v1::Planned {
        let plan = self.plan(intents);
        assert!(!plan.refused, "{}", plan.diagnostics);
        for change in &plan.devices {
            self.start_agent(&change.device.parse().unwrap());
        }
        self.until("all agents are there", |world| world.status().agents as usize == plan.devices.len());
        plan
    }

    /// The same, and everybody has the revision then.
    pub fn settle(&mut self, intents: &BTreeMap<String, String>) -> v1::Planned {
        let plan = self.start_agents(intents);
        let told = self.apply(intents, &plan.digest);
        assert_eq!(told.last().unwrap().outcome(), v1::Outcome::Committed, "{told:#?}");
        self.until("everybody has it", |world| world.status().state == "FULL");
        plan
    }

    /// Ends an agent, wherever it is.
    pub fn stop_agent(&mut self, name: &Name) {
        self.agents.remove(name);
    }

    /// The API as somebody.
    pub fn client(&self, name: &str, role: PeerRole) -> FabricClient<Channel> {
        FabricClient::new(self.channel(&self.url(), Identity::read(&self.identity(name, role)).unwrap().tls()))
    }

    /// Where the controller is.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Where devices enrol.
    pub fn enrolment_url(&self) -> String {
        format!("https://{}", self.enrolment)
    }

    /// A connection to one of the two.
    pub fn channel(&self, url: &str, tls: ClientTlsConfig) -> Channel {
        let endpoint = Endpoint::from_shared(url.to_owned()).unwrap().tls_config(tls).unwrap();
        let _guard = self.runtime.enter();
        endpoint.connect_lazy()
    }

    /// Does something asynchronous.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.unwrap() })
    }

    /// Applies a directory of intents as an operator, and gives all that was told.
    pub fn apply(&self, intents: &BTreeMap<String, String>, planned: &[u8]) -> Vec<v1::Progress> {
        self.try_apply("ops", PeerRole::Operator, intents, planned).unwrap()
    }

    /// The same as somebody.
    pub fn try_apply(
        &self,
        who: &str,
        role: PeerRole,
        intents: &BTreeMap<String, String>,
        planned: &[u8],
    ) -> Result<Vec<v1::Progress>, tonic::Status> {
        let mut client = self.client(who, role);
        let upload = tokio_stream::iter(upload(intents, planned, PIECE));
        self.wait(async move {
            let mut stream = client.apply(upload).await?.into_inner();
            let mut all = Vec::new();
            while let Some(progress) = stream.message().await? {
                all.push(progress);
            }
            Ok(all)
        })
    }

    /// Goes back in history as somebody, and gives all that was told.
    pub fn back(&self, who: &str, role: PeerRole, generation: u64, way: v1::Way) -> Result<Vec<v1::Progress>, tonic::Status> {
        let mut client = self.client(who, role);
        let request = v1::BackRequest { generation, way: way.into(), reason: "a test".to_owned() };
        self.wait(async move {
            let mut stream = client.back(request).await?.into_inner();
            let mut all = Vec::new();
            while let Some(progress) = stream.message().await? {
                all.push(progress);
            }
            Ok(all)
        })
    }

    /// What that would change.
    pub fn plan_back(&self, generation: u64, way: v1::Way) -> Result<v1::Planned, tonic::Status> {
        let mut client = self.client("ops", PeerRole::Operator);
        let request = v1::BackRequest { generation, way: way.into(), reason: String::new() };
        self.wait(async move { client.plan_back(request).await.map(tonic::Response::into_inner) })
    }

    /// What would change.
    pub fn plan(&self, intents: &BTreeMap<String, String>) -> v1::Planned {
        let mut client = self.client("ops", PeerRole::Operator);
        let upload = tokio_stream::iter(upload(intents, &[], PIECE));
        self.wait(async move { client.plan(upload).await.unwrap().into_inner() })
    }

    /// Where everybody is.
    pub fn status(&self) -> v1::FabricStatus {
        let mut client = self.client("ops", PeerRole::Operator);
        self.wait(async move { client.status(v1::StatusRequest {}).await.unwrap().into_inner() })
    }

    /// Revisions with what became of them, the newest first.
    pub fn history(&self) -> Vec<v1::RevisionSummary> {
        self.history_of("ops", PeerRole::Operator)
    }

    /// The same, as somebody is told.
    pub fn history_of(&self, who: &str, role: PeerRole) -> Vec<v1::RevisionSummary> {
        let mut client = self.client(who, role);
        self.wait(async move {
            let mut stream = client.history(v1::HistoryRequest { limit: 0 }).await.unwrap().into_inner();
            let mut all = Vec::new();
            while let Some(summary) = stream.message().await.unwrap() {
                all.push(summary);
            }
            all
        })
    }

    /// The audit log.
    pub fn audit(&self) -> Vec<v1::AuditEntry> {
        let mut client = self.client("ops", PeerRole::Operator);
        self.wait(async move {
            let mut stream = client.audit(v1::AuditRequest {}).await.unwrap().into_inner();
            let mut all = Vec::new();
            while let Some(entry) = stream.message().await.unwrap() {
                all.push(entry);
            }
            all
        })
    }

    /// Waits until something holds.
    pub fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < PATIENCE, "not within {} s: {what}\n{:#?}", PATIENCE.as_secs(), self.status());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.agents.clear();
        self.controller = None;
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// Pieces so short that every file is several.
const PIECE: usize = 1000;

/// What is sent to plan or apply intents, in pieces of so many bytes.
pub fn upload(intents: &BTreeMap<String, String>, planned: &[u8], piece: usize) -> Vec<v1::Upload> {
    let head = v1::ApplyHead { reason: "a test".to_owned(), planned: planned.to_vec(), on_failure: v1::OnFailure::Rollback.into() };
    let mut all = vec![v1::Upload { part: Some(v1::upload::Part::Head(head)) }];
    for (path, text) in intents {
        for bytes in text.as_bytes().chunks(piece) {
            let piece = v1::FilePiece { path: path.clone(), bytes: bytes.to_vec() };
            all.push(v1::Upload { part: Some(v1::upload::Part::Piece(piece)) });
        }
    }
    all
}

/// The intents at the top of a directory.
pub fn intents(directory: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let yaml = entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    yaml.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap())).collect()
}
