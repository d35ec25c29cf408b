//! A lab whose devices are managed: a controller in the management network, an agent on every device, and intents that are applied instead of artefacts
//! that lie there at the start.

use std::fmt;
use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use leafwall_render::inventory::{LabDevice, LabKind};
use leafwall_topology::{HostAddress, Name, Prefix};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use super::namespace::Namespace;
use super::{INTENTS, NodeLab};
use crate::command;
use crate::error::{LabError, Result};

/// What belongs to the controller and agents, among a lab's artefacts. No node has a name with a dot.
const CONTROL: &str = ".control";
/// The port of the controller.
const PORT: u16 = 7443;
/// Whose identity the lab has.
const OPERATOR: &str = "lab";
/// How many times as long as real devices these get: they are emulated, and all share a processor or two.
const PATIENCE: &str = "6";
/// How long a controller may take to listen, under emulation on a busy machine.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// How long the first revision may take to be everywhere.
const FIRST_TIMEOUT: Duration = Duration::from_mins(10);
/// Between two looks at something that is waited for.
const POLL: Duration = Duration::from_millis(100);

/// Something of ours that runs in the lab and may be killed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Process {
    /// The controller.
    Controller,
    /// The agent of a device.
    Agent(Name),
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Controller => f.write_str("the controller"),
            Self::Agent(device) => write!(f, "the agent of {device}"),
        }
    }
}

/// A substitution in a file of the intents: the text must be there once, so that a step does what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    /// The file, in the fabric's directory.
    pub file: String,
    /// What stands there.
    pub replace: String,
    /// What takes its place.
    pub by: String,
}

/// Where the fabric is, as `leafwall status` says.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Status {
    /// The head's generation.
    pub generation: u64,
    /// `NONE`, `PARTIAL`, `FULL` or `ERROR`.
    pub state: String,
    /// Each device.
    #[serde(default)]
    pub devices: Vec<DeviceStatus>,
}

/// Where a device is.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct DeviceStatus {
    /// Its name.
    pub device: String,
    /// Whether its agent is there.
    pub connected: bool,
    /// Whether it is what the head says.
    pub current: bool,
    /// Why not.
    #[serde(default)]
    pub detail: String,
    /// What differs on it.
    #[serde(default)]
    pub differences: Vec<String>,
}

impl Status {
    /// What is not as it should be, one a line.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.state != "FULL" {
            found.push(format!("the fabric is {}", self.state));
        }
        for device in &self.devices {
            let mut say = |what: &str| found.push(format!("{}: {what}", device.device));
            if !device.connected {
                say("not connected");
            }
            if !device.current {
                say(if device.detail.is_empty() { "not what the head says" } else { &device.detail });
            }
            device.differences.iter().for_each(|difference| say(difference));
        }
        found
    }
}

/// The controller and the agents of a lab.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Managed<'a>(&'a NodeLab);

impl<'a> Managed<'a> {
    /// For a lab that is managed.
    pub(super) fn find(lab: &'a NodeLab) -> Option<Self> {
        lab.dir.join(CONTROL).is_dir().then_some(Self(lab))
    }

    /// Makes the directories of a lab that will be.
    pub(super) fn make(lab: &'a NodeLab) -> Result<Self> {
        let managed = Self(lab);
        if !lab.dir.join(INTENTS).is_dir() {
            return Err(LabError::Scenario("artefacts alone can't be applied: a lab with agents needs a directory of intents".to_owned()));
        }
        for directory in [managed.path("logs"), managed.path("pids"), managed.path("identities"), managed.path("agents")] {
            fs::create_dir_all(&directory).map_err(LabError::file("make", &directory))?;
        }
        managed.reset_intents()?;
        Ok(managed)
    }

    /// Whether a node has an agent of ours: tenants' servers have none.
    pub(super) fn has_agent(self, node: &Name) -> bool {
        self.devices().any(|device| device.name == *node)
    }

    /// The devices with an agent.
    pub(crate) fn devices(self) -> impl Iterator<Item = &'a LabDevice> {
        let ours = |kind| matches!(kind, LabKind::Spine | LabKind::Leaf | LabKind::Exit | LabKind::Firewall);
        self.0.inventory.devices.iter().filter(move |device| ours(device.kind))
    }

    /// The management network, as the first device with an address there says.
    fn network(self) -> Option<(Prefix, u8)> {
        self.devices().find_map(|device| Some((device.management?.prefix()?, device.management?.length())))
    }

    /// The address of a device without one of its own: a firewall that is managed through a tenant's network reaches the controller by what is beyond the
    /// fabric, and the lab has nothing there. It is one of the last of the management network.
    pub(super) fn spare_address(self, device: &LabDevice) -> Option<HostAddress> {
        let (prefix, length) = self.network()?;
        let place = self.devices().filter(|device| device.management.is_none()).position(|other| other.name == device.name)?;
        let last = match prefix.last() {
            IpAddr::V4(last) => IpAddr::V4((u32::from(last).checked_sub(1 + u32::try_from(place).ok()?)?).into()),
            IpAddr::V6(last) => IpAddr::V6((u128::from(last).checked_sub(1 + place as u128)?).into()),
        };
        HostAddress::new(last, length)
    }

    fn path(self, below: &str) -> PathBuf {
        self.0.dir.join(CONTROL).join(below)
    }

    /// Where an agent keeps its journal and artefacts.
    pub(crate) fn agent_state(self, device: &Name) -> PathBuf {
        self.path("agents").join(device.as_str())
    }

    /// What a process has written.
    pub(crate) fn log(self, process: &Process) -> PathBuf {
        self.path("logs").join(file_name(process))
    }

    fn management(self) -> Namespace {
        Namespace::of_management(&self.0.name)
    }

    /// The controller's address: the first of the management network that no device has.
    fn address(self) -> Result<(IpAddr, u8)> {
        let taken: Vec<IpAddr> = self.devices().filter_map(|device| Some(device.management?.address())).collect();
        let free = self.network().and_then(|(prefix, length)| {
            let first_free = (1..).map_while(|offset| prefix.nth(offset)).find(|address| !taken.contains(address))?;
            Some((first_free, length))
        });
        free.ok_or_else(|| LabError::Scenario("the management network has no free address for the controller".to_owned()))
    }

    fn url(self) -> Result<String> {
        Ok(format!("https://{}", SocketAddr::new(self.address()?.0, PORT)))
    }

    /// Starts the controller and all agents; what devices are to be, they are told later.
    pub(super) fn start(self) -> Result<()> {
        let (address, length) = self.address()?;
        self.management().ip(&format!("link set lo up\naddress add {address}/{length} dev bridge0\n"))?;
        let program = this_program()?;
        let controller = self.path("controller");
        command::run(Command::new(&program).args(["controller", "init"]).arg(&controller))?;
        let issue = |name: &str, role: &str| {
            let mut certificate = Command::new(&program);
            certificate.args(["controller", "certificate"]).arg(&controller).args(["--name", name, "--role", role, "-o"]);
            command::run(certificate.arg(self.path("identities").join(name)))
        };
        issue(OPERATOR, "operator")?;
        for device in self.devices() {
            issue(device.name.as_str(), "agent")?;
        }
        self.start_process(&Process::Controller)?;
        self.devices().try_for_each(|device| self.start_process(&Process::Agent(device.name.clone())))
    }

    /// Starts a process; the controller listens when this returns.
    pub(crate) fn start_process(self, process: &Process) -> Result<()> {
        let mut command = Command::new(this_program()?);
        let namespace = match process {
            Process::Controller => {
                let address = SocketAddr::new(self.address()?.0, PORT);
                command.args(["controller", "run"]).arg(self.path("controller")).args([
                    "--listen",
                    &address.to_string(),
                    "--patience",
                    PATIENCE,
                ]);
                self.management()
            }
            Process::Agent(device) => {
                let namespace = self.0.node(device)?;
                command.args(["agent", "--controller", &self.url()?, "--device", device.as_str()]);
                command.arg("--state").arg(self.agent_state(device)).arg("--identity").arg(self.path("identities").join(device.as_str()));
                command.args(["--frr-pathspace", namespace.as_str()]);
                namespace
            }
        };
        if std::env::var_os("LEAFWALL_LOG").is_none() {
            command.env("LEAFWALL_LOG", "info");
        }
        let log = self.log(process);
        let file = File::options().create(true).append(true).open(&log).map_err(LabError::file("open", &log))?;
        let errors = file.try_clone().map_err(LabError::file("open", &log))?;
        let child = namespace.spawn(command.stdin(Stdio::null()).stdout(file).stderr(errors))?;
        let pid = self.pid_file(process);
        fs::write(&pid, child.id().to_string()).map_err(LabError::file("write", &pid))?;
        // it outlives whoever brings the lab up; while we live somebody must see it end
        thread::spawn(move || drop(Child::wait(&mut { child })));
        if *process == Process::Controller { self.wait_for_controller() } else { Ok(()) }
    }

    fn wait_for_controller(self) -> Result<()> {
        let address = SocketAddr::new(self.address()?.0, PORT);
        let started = Instant::now();
        while self.management().within(|| TcpStream::connect_timeout(&address, POLL)).is_err() {
            if started.elapsed() > START_TIMEOUT {
                let log = fs::read_to_string(self.log(&Process::Controller)).unwrap_or_default();
                let detail = command::last_lines(&log, command::KEPT_LINES);
                return Err(LabError::Timeout { what: "the controller to listen".to_owned(), after: START_TIMEOUT, detail });
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn pid_file(self, process: &Process) -> PathBuf {
        self.path("pids").join(file_name(process))
    }

    /// Kills a process as a crash would, and waits until it is gone.
    pub(crate) fn kill(self, process: &Process) -> Result<()> {
        self.signal(process, Signal::KILL)?;
        let started = Instant::now();
        while self.pid(process)?.is_some() {
            if started.elapsed() > START_TIMEOUT {
                return Err(LabError::Timeout { what: format!("the end of {process}"), after: START_TIMEOUT, detail: String::new() });
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Sends a signal to a process that runs.
    pub(crate) fn signal(self, process: &Process, signal: Signal) -> Result<()> {
        let pid = self.pid(process)?.ok_or_else(|| LabError::Protocol { what: format!("{process} does not run") })?;
        kill_process(pid, signal).map_err(|error| LabError::system(format!("signal {process}"))(error.into()))
    }

    /// The process, if it runs: a number in a file may be somebody else's by now.
    fn pid(self, process: &Process) -> Result<Option<Pid>> {
        let namespace = match process {
            Process::Controller => self.management(),
            Process::Agent(device) => self.0.node(device)?,
        };
        let file = self.pid_file(process);
        let text = fs::read_to_string(&file).map_err(LabError::file("read", &file))?;
        Ok(text.trim().parse().ok().and_then(Pid::from_raw).filter(|pid| namespace.processes().contains(pid)))
    }

    /// Runs `leafwall WORDS…` against the controller, as an operator.
    pub(crate) fn operator(self, words: &[&str]) -> Result<Output> {
        let mut command = self.operator_command(words)?;
        self.management().within(|| command.output())
    }

    /// The same, without waiting for its end.
    pub(crate) fn spawn_operator(self, words: &[&str]) -> Result<Child> {
        let mut command = self.operator_command(words)?;
        self.management().spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    fn operator_command(self, words: &[&str]) -> Result<Command> {
        let mut command = Command::new(this_program()?);
        command.args(words).env("LEAFWALL_CONTROLLER", self.url()?).env("LEAFWALL_IDENTITY", self.path("identities").join(OPERATOR));
        command.stdin(Stdio::null());
        Ok(command)
    }

    /// The directory of intents that is applied.
    pub(crate) fn intents(self) -> PathBuf {
        self.path("intents")
    }

    /// Makes the intents again what the fabric's directory says.
    pub(crate) fn reset_intents(self) -> Result<()> {
        let intents = self.intents();
        if intents.exists() {
            fs::remove_dir_all(&intents).map_err(LabError::file("remove", &intents))?;
        }
        super::copy_tree(&self.0.dir.join(INTENTS), &intents)
    }

    /// Edits the intents.
    pub(crate) fn edit(self, edits: &[Edit]) -> Result<()> {
        for Edit { file, replace, by } in edits {
            let path = self.intents().join(file);
            let text = fs::read_to_string(&path).map_err(LabError::file("read", &path))?;
            match text.matches(replace.as_str()).count() {
                1 => fs::write(&path, text.replacen(replace.as_str(), by, 1)).map_err(LabError::file("write", &path))?,
                count => return Err(LabError::Scenario(format!("`{file}` has `{}` {count} times, not once", first_line(replace)))),
            }
        }
        Ok(())
    }

    /// Applies the intents, and returns what was printed: how it ended is for the caller to judge.
    pub(crate) fn apply(self, reason: &str) -> Result<Output> {
        self.operator(&["apply", &self.intents().display().to_string(), "--reason", reason])
    }

    /// Renders what the head says, with its own numbers, and returns the directory: what whoever installs servers goes by.
    pub(crate) fn render_head(self) -> Result<PathBuf> {
        let [head, rendered] = ["head", "rendered"].map(|below| self.path(below));
        for directory in [&head, &rendered] {
            if directory.exists() {
                fs::remove_dir_all(directory).map_err(LabError::file("remove", directory))?;
            }
        }
        let generation = self.status()?.generation.to_string();
        let shown = self.operator(&["show", &generation, "--allocation", "--output", &head.display().to_string()])?;
        command::checked("leafwall show", &shown)?;
        command::run(Command::new(this_program()?).arg("render").arg(&head).args(["--servers-apart", "--output"]).arg(&rendered))?;
        Ok(rendered)
    }

    /// Where the fabric is.
    pub(crate) fn status(self) -> Result<Status> {
        let output = self.operator(&["status", "--format", "json"])?;
        serde_json::from_slice(&output.stdout).map_err(|error| LabError::Protocol {
            what: format!("`leafwall status` printed no status ({error}): {}", String::from_utf8_lossy(&output.stderr).trim()),
        })
    }

    /// Waits until everything is as the head says; what is not, if it never is.
    pub(crate) fn wait_until_fine(self, timeout: Duration) -> Result<std::result::Result<Status, Vec<String>>> {
        let started = Instant::now();
        loop {
            // a controller that is on its way up does not answer
            let status = self.status();
            let complaints = match &status {
                Ok(status) => status.complaints(),
                Err(error) => vec![error.to_string()],
            };
            match status {
                Ok(status) if complaints.is_empty() => return Ok(Ok(status)),
                Err(error) if started.elapsed() > timeout => return Err(error),
                Ok(_) if started.elapsed() > timeout => return Ok(Err(complaints)),
                _ => thread::sleep(POLL),
            }
        }
    }

    /// Applies the first revision: all devices get everything.
    pub(super) fn first_apply(self) -> Result<()> {
        let started = Instant::now();
        let output = self.apply("the lab comes up")?;
        command::checked("leafwall apply", &output)?;
        if let Err(complaints) = self.wait_until_fine(FIRST_TIMEOUT.saturating_sub(started.elapsed()))? {
            return Err(LabError::Timeout { what: "the first revision".to_owned(), after: FIRST_TIMEOUT, detail: complaints.join("\n") });
        }
        Ok(())
    }
}

fn this_program() -> Result<PathBuf> {
    std::env::current_exe().map_err(LabError::system("find this program"))
}

fn file_name(process: &Process) -> String {
    match process {
        Process::Controller => ".controller".to_owned(),
        Process::Agent(device) => device.to_string(),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The end of a process's log, for people who look for what went wrong.
pub(crate) fn tail(path: &Path) -> String {
    fs::read_to_string(path).map(|text| command::last_lines(&text, command::KEPT_LINES)).unwrap_or_default()
}
