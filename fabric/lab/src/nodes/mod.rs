//! The runtime `netns`: each node of a rendered fabric is a network namespace of this kernel, with cables between and FRR inside.

mod frr;
pub(crate) mod managed;
pub(crate) mod namespace;
pub mod outside;
mod requirements;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use leafwall_render::inventory::{LabDevice, LabInventory, LabKind};
use leafwall_topology::{HostAddress, IfName, Name, Platform};

use crate::command;
use crate::error::{LabError, Result};
use frr::Frr;
use managed::Managed;
use namespace::Namespace;
pub(crate) use requirements::check as check_requirements;

/// Where the lab of this kernel keeps the artefacts that it runs.
const STATE: &str = "/run/leafwall/labs";
/// The inventory's file among the artefacts.
pub(crate) const INVENTORY: &str = "fabric.json";
/// The intents that artefacts were rendered from, beside them. No node has a name with a dot.
pub(crate) const INTENTS: &str = ".intents";
/// The port of a device in the management network.
pub(crate) const MANAGEMENT_PORT: &str = "mgmt0";
/// The MTU of every cable: the largest that any port is given.
const CABLE_MTU: u32 = 9216;
/// What an image sets on every node before any agent runs. Reverse path filters would drop what a fabric with several ways brings.
const IMAGE_SETTINGS: [(&str, &str); 5] = [
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv6/conf/all/keep_addr_on_down", "1"),
    ("net/ipv6/conf/default/keep_addr_on_down", "1"),
    ("net/ipv4/neigh/default/gc_thresh3", "8192"),
];

/// A lab whose nodes run in this kernel.
#[derive(Debug)]
pub(crate) struct NodeLab {
    name: Name,
    dir: PathBuf,
    inventory: LabInventory,
}

impl NodeLab {
    /// Brings a rendered fabric up. What an earlier run of that name left is removed first; if anything fails, so is this one.
    /// With agents, devices get what they are to be from a controller, else from one run of the agent each.
    pub(crate) fn up(name: &Name, rendered: &Path, agents: bool) -> Result<Self> {
        check_requirements(name)?;
        Self::down(name)?;
        let dir = state_dir(name);
        copy_tree(rendered, &dir)?;
        let lab = Self::open(name, dir)?;
        match lab.build(agents) {
            Ok(()) => Ok(lab),
            Err(error) => {
                // The first error is the one to tell.
                let _ = Self::down(name);
                Err(error)
            }
        }
    }

    /// Finds a lab that is up.
    pub(crate) fn find(name: &Name) -> Result<Self> {
        let dir = state_dir(name);
        if !dir.join(INVENTORY).exists() {
            return Err(LabError::NotUp { name: name.to_string() });
        }
        Self::open(name, dir)
    }

    fn open(name: &Name, dir: PathBuf) -> Result<Self> {
        let path = dir.join(INVENTORY);
        let text = fs::read(&path).map_err(LabError::file("read", &path))?;
        let inventory = serde_json::from_slice(&text).map_err(|source| LabError::Json { path, source })?;
        Ok(Self { name: name.clone(), dir, inventory })
    }

    /// Removes everything of that name; goes on after a failure and returns the first.
    pub(crate) fn down(name: &Name) -> Result<()> {
        let mut first = Ok(());
        for namespace in Namespace::all(name)? {
            let removed = namespace.delete().and_then(|()| Frr(&namespace).remove());
            first = first.and(removed);
        }
        let dir = state_dir(name);
        if dir.exists() {
            first = first.and(fs::remove_dir_all(&dir).map_err(LabError::file("remove", &dir)));
        }
        first
    }

    /// What it was made from.
    pub(crate) fn inventory(&self) -> &LabInventory {
        &self.inventory
    }

    /// The namespace of a node that exists.
    pub(crate) fn node(&self, node: &Name) -> Result<Namespace> {
        if self.nodes().any(|known| known == node) {
            return Ok(Namespace::of_node(&self.name, node));
        }
        let known = self.nodes().map(Name::as_str).collect::<Vec<_>>().join(", ");
        Err(LabError::UnknownNode { name: node.to_string(), known })
    }

    /// The controller and the agents, if it was brought up with them.
    pub(crate) fn managed(&self) -> Option<Managed<'_>> {
        Managed::find(self)
    }

    /// All nodes: devices, then routers outside.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Name> {
        self.inventory.devices.iter().map(|device| &device.name).chain(self.inventory.outside.iter().map(|router| &router.name))
    }

    /// The ports of a node that cables end at.
    pub(crate) fn ports<'a>(&'a self, node: &'a Name) -> impl Iterator<Item = &'a IfName> {
        self.inventory
            .cables
            .iter()
            .flat_map(move |cable| [(&cable.0, &cable.1), (&cable.2, &cable.3)])
            .filter(move |(owner, _)| *owner == node)
            .map(|(_, port)| port)
    }

    /// A node's artefacts.
    pub(crate) fn artefacts(&self, node: &Name) -> PathBuf {
        self.dir.join(node.as_str())
    }

    /// Kills a daemon, as a crash would.
    pub(crate) fn kill_daemon(&self, node: &Name, daemon: &str) -> Result<()> {
        Frr(&self.node(node)?).kill_daemon(daemon)
    }

    /// Restarts a daemon that was killed and gives all daemons their configuration again, as a device's supervisor does (`vtysh -b`).
    pub(crate) fn restart_daemon(&self, node: &Name, daemon: &str) -> Result<()> {
        let namespace = self.node(node)?;
        Frr(&namespace).start_daemon(daemon)?;
        Frr(&namespace).load(&self.artefacts(node).join("frr.conf"))
    }

    /// A command that runs on a node as its owner would type it: `vtysh` there is the node's own.
    pub(crate) fn command(&self, node: &Name, program: &str) -> Result<(Namespace, Command)> {
        let namespace = self.node(node)?;
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
        command.env("PATH", format!("{}:{path}", self.tools(node).display()));
        command.env("LEAFWALL_NODE", node.as_str()).env("PS1", format!("{node}# "));
        if let Some(managed) = self.managed() {
            command.env("LEAFWALL_AGENT_STATE", managed.agent_state(node));
        }
        Ok((namespace, command))
    }

    /// Programs that mean something else on each node. No node has a name with a dot.
    fn tools(&self, node: &Name) -> PathBuf {
        self.dir.join(".tools").join(node.as_str())
    }

    fn install_tools(&self, node: &Name) -> Result<()> {
        let dir = self.tools(node);
        fs::create_dir_all(&dir).map_err(LabError::file("make", &dir))?;
        let vtysh = dir.join("vtysh");
        let script = format!("#!/bin/sh\nexec /usr/bin/vtysh -N {} \"$@\"\n", Namespace::of_node(&self.name, node).as_str());
        fs::write(&vtysh, script).map_err(LabError::file("write", &vtysh))?;
        fs::set_permissions(&vtysh, fs::Permissions::from_mode(0o755)).map_err(LabError::file("write", &vtysh))
    }

    fn build(&self, agents: bool) -> Result<()> {
        let dangling = dangling(&self.inventory);
        if !dangling.is_empty() {
            return Err(LabError::Scenario(format!("`{INVENTORY}` uses nodes that it does not have: {dangling:?}")));
        }
        let managed = if agents { Some(Managed::make(self)?) } else { None };
        let started = Instant::now();
        let nodes: Vec<&Name> = self.nodes().collect();
        let namespaces: Vec<Namespace> = nodes.iter().map(|node| Namespace::of_node(&self.name, node)).collect();
        Namespace::create_all(&namespaces)?;
        for (node, namespace) in nodes.iter().zip(&namespaces) {
            self.install_tools(node)?;
            namespace.sysctl(&IMAGE_SETTINGS)?;
        }
        self.plug_cables()?;
        self.plug_management()?;
        in_parallel(&nodes, |node| {
            let namespace = Namespace::of_node(&self.name, node);
            namespace.ip(&self.first_links(node))?;
            if self.is_device_with_frr(node) { Frr(&namespace).start(&self.configuration(node)?) } else { Ok(()) }
        })?;
        let running = started.elapsed();
        eprintln!("leafwall: {} nodes up in {:.1} s", nodes.len(), running.as_secs_f64());
        // the controller's way and the servers' owners' way go side by side
        managed.map_or(Ok(()), Managed::start)?;
        let by_hand: Vec<&Name> = nodes.into_iter().filter(|node| !managed.is_some_and(|managed| managed.has_agent(node))).collect();
        in_parallel(&by_hand, |node| {
            let began = Instant::now();
            let applied = self.apply(node);
            tracing::info!(%node, seconds = began.elapsed().as_secs_f64(), "configured");
            applied
        })?;
        managed.map_or(Ok(()), Managed::first_apply)?;
        eprintln!("leafwall: all of them configured in {:.1} s", started.elapsed().saturating_sub(running).as_secs_f64());
        Ok(())
    }

    /// Routers outside are no devices: their daemons start with their configuration.
    fn is_device_with_frr(&self, node: &Name) -> bool {
        self.inventory.devices.iter().any(|device| device.name == *node && device.kind.is_router())
    }

    /// A node's frr.conf; empty if it has none.
    fn configuration(&self, node: &Name) -> Result<String> {
        let path = self.artefacts(node).join("frr.conf");
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            other => other.map_err(LabError::file("read", &path)),
        }
    }

    fn plug_cables(&self) -> Result<()> {
        let mut batch = String::new();
        for cable in &self.inventory.cables {
            let (one, other) = (self.node(&cable.0)?, self.node(&cable.2)?);
            let _ = writeln!(
                batch,
                "link add {} mtu {CABLE_MTU} netns {} type veth peer name {} mtu {CABLE_MTU} netns {}",
                cable.1,
                one.as_str(),
                cable.3,
                other.as_str()
            );
        }
        command::run_with_input(Command::new("ip").args(["-batch", "-"]), &batch).map(drop)
    }

    /// A bridge that every device with a management address has one foot in.
    fn plug_management(&self) -> Result<()> {
        let devices: Vec<_> = self.inventory.devices.iter().filter_map(|device| Some((&device.name, self.management(device)?))).collect();
        if devices.is_empty() {
            return Ok(());
        }
        let management = Namespace::of_management(&self.name);
        management.create()?;
        let mut batch = "link add bridge0 up type bridge\n".to_owned();
        for (index, (node, _)) in devices.iter().enumerate() {
            let _ = writeln!(
                batch,
                "link add port{index} up master bridge0 type veth peer name {MANAGEMENT_PORT} netns {}",
                Namespace::of_node(&self.name, node).as_str()
            );
        }
        management.ip(&batch)
    }

    /// A device's address in the management network.
    fn management(&self, device: &LabDevice) -> Option<HostAddress> {
        device.management.or_else(|| self.managed()?.spare_address(device))
    }

    /// What an image brings up on every node: the loopback, and the management port with its address.
    fn first_links(&self, node: &Name) -> String {
        let mut batch = "link set lo up\n".to_owned();
        let device = self.inventory.devices.iter().find(|device| device.name == *node);
        if let Some(address) = device.and_then(|device| self.management(device)) {
            let _ = writeln!(batch, "address add {address} dev {MANAGEMENT_PORT}\nlink set {MANAGEMENT_PORT} up");
        }
        batch
    }

    /// Makes a node what its artefacts say.
    fn apply(&self, node: &Name) -> Result<()> {
        let namespace = Namespace::of_node(&self.name, node);
        if let Some(router) = self.inventory.outside.iter().find(|router| router.name == *node) {
            namespace.sysctl(&[("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1")])?;
            namespace.ip(&outside::links(router))?;
            let dir = self.artefacts(node);
            fs::create_dir_all(&dir).map_err(LabError::file("make", &dir))?;
            let conf = dir.join("frr.conf");
            fs::write(&conf, outside::frr_conf(router)).map_err(LabError::file("write", &conf))?;
            return Frr(&namespace).start_bgp(&conf);
        }
        if self.inventory.devices.iter().any(|device| device.name == *node && device.kind == LabKind::ServerIdle) {
            return self.ports(node).try_for_each(|port| namespace.ip(&format!("link set {port} up\n")));
        }
        self.run_agent(node)
    }

    /// Installs a server: it becomes what was rendered for it, or nothing where there is nothing.
    pub(crate) fn install(&self, server: &Name, rendered: &Path) -> Result<()> {
        let known = self.inventory.devices.iter().find(|device| device.name == *server);
        if known.is_none_or(|device| device.kind != LabKind::ServerRouted) {
            return Err(LabError::Scenario(format!(
                "`{server}` is not a server that the lab started with FRR: only such are installed anew"
            )));
        }
        let dir = self.artefacts(server);
        fs::remove_dir_all(&dir).map_err(LabError::file("remove", &dir))?;
        if rendered.is_dir() {
            copy_tree(rendered, &dir)?;
        } else {
            fs::create_dir_all(&dir).map_err(LabError::file("make", &dir))?;
            for (name, text) in leafwall_render::nothing(Platform::Frr).map_err(|error| LabError::Scenario(error.to_string()))?.files {
                let path = dir.join(name);
                fs::write(&path, text).map_err(LabError::file("write", &path))?;
            }
        }
        self.run_agent(server)
    }

    /// Runs the agent once on a node, as it would run on the device.
    pub(crate) fn run_agent(&self, node: &Name) -> Result<()> {
        let namespace = self.node(node)?;
        let dir = self.artefacts(node);
        if dir.join(BY_HAND).exists() {
            return apply_by_hand(&namespace, &dir);
        }
        let program = std::env::current_exe().map_err(LabError::system("find this program"))?;
        let mut agent = Command::new(program);
        agent.args(["agent", "--once"]).arg(&dir).args(["--frr-pathspace", namespace.as_str()]);
        namespace.run(&mut agent).map(drop)
    }
}

/// A script in a device's directory that makes its links, in place of `links.json`: for trials of configuration that nothing renders yet.
const BY_HAND: &str = "links.sh";

fn apply_by_hand(namespace: &Namespace, dir: &Path) -> Result<()> {
    namespace.run(Command::new("sh").arg("-e").arg(dir.join(BY_HAND)))?;
    let (ruleset, conf) = (dir.join("leafwall.nft"), dir.join("frr.conf"));
    if ruleset.exists() {
        namespace.run(Command::new("nft").arg("-f").arg(&ruleset))?;
    }
    if conf.exists() {
        Frr(namespace).load(&conf)?;
    }
    Ok(())
}

fn state_dir(name: &Name) -> PathBuf {
    Path::new(STATE).join(name.as_str())
}

/// How many nodes are worked on at a time, for each processor: while one waits for its daemons another one works.
const WORKERS_PER_PROCESSOR: usize = 2;

/// Does the same for each, some at a time; the first failure stops what has not begun.
pub(crate) fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let workers = thread::available_parallelism().map_or(2, usize::from).saturating_mul(WORKERS_PER_PROCESSOR).min(items.len());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = work(item) {
                        next.store(items.len(), Ordering::Relaxed);
                        failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
                    }
                }
            });
        }
    });
    failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Copies a directory of plain files and directories; the lab does not depend on the original from then on.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(LabError::file("make", to))?;
    for entry in fs::read_dir(from).map_err(LabError::file("read", from))? {
        let entry = entry.map_err(LabError::file("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(LabError::file("read", &source))?;
        if kind.is_dir() {
            copy_tree(&source, &target)?;
        } else if kind.is_file() {
            fs::copy(&source, &target).map_err(LabError::file("copy", &source))?;
        }
    }
    Ok(())
}

/// Copies the plain files at the top of a directory, without what lies deeper.
pub(crate) fn copy_files(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(LabError::file("make", to))?;
    for entry in fs::read_dir(from).map_err(LabError::file("read", from))? {
        let source = entry.map_err(LabError::file("read", from))?.path();
        if let Some(name) = source.file_name().filter(|_| source.is_file()) {
            fs::copy(&source, to.join(name)).map_err(LabError::file("copy", &source))?;
        }
    }
    Ok(())
}

/// The names of nodes that an inventory uses without having them.
fn dangling(inventory: &LabInventory) -> BTreeSet<&Name> {
    let known: BTreeSet<&Name> =
        inventory.devices.iter().map(|device| &device.name).chain(inventory.outside.iter().map(|router| &router.name)).collect();
    let used =
        inventory.cables.iter().flat_map(|cable| [&cable.0, &cable.2]).chain(inventory.endpoints.values().map(|endpoint| &endpoint.node));
    used.filter(|name| !known.contains(name)).collect()
}
