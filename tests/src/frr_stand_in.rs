//! A stand-in for FRR's zebra and bgpd on a SONiC switch: sockets that take configuration as [`Model`] does, and show of interfaces and VRFs what the switch's daemons
//! made of CONFIG_DB. It watches in which order the two are told of a VRF (H3, H4, H19). No FRR runs behind it, and nothing is routed.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use leafwall_agent::sonic::redis::CONFIG_DB;
use leafwall_render::config_db::{ConfigDb, table};
use leafwall_render::frr::FrrConfig;
use serde_json::{Value, json};

use crate::frr_model::{Model, Statement};
use crate::redis_server::{RedisServer, connect, rows};

/// Where FRR's daemons have their sockets.
const RUN: &str = "/run/frr";
/// STATE_DB's number.
const STATE_DB: u8 = 6;
/// What daemons answer: done, unknown, failed.
const DONE: u8 = 0;
const UNKNOWN: u8 = 2;
const FAILED: u8 = 1;

#[derive(Debug, Default)]
struct State {
    model: Model,
    /// A line that is refused.
    refuses: Option<String>,
    faults: Vec<String>,
}

/// Daemons that listen until this is dropped.
#[derive(Debug)]
pub struct FrrStandIn {
    pathspace: String,
    directory: PathBuf,
    state: Arc<Mutex<State>>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FrrStandIn {
    /// Starts them beside a switch's Redis.
    pub fn start(test: &str, server: &RedisServer) -> Self {
        let pathspace = format!("lw-{test}-{}", std::process::id());
        let directory = Path::new(RUN).join(&pathspace);
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        let state: Arc<Mutex<State>> = Arc::default();
        for name in ["bgpd", "zebra"] {
            let listener = UnixListener::bind(directory.join(format!("{name}.vty"))).unwrap();
            let (state, redis) = (state.clone(), server.socket());
            thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let (state, redis) = (state.clone(), redis.clone());
                    thread::spawn(move || converse(name, stream, &state, &redis));
                }
            });
        }
        // what checks a text takes every text
        let vtysh = directory.join("vtysh");
        std::fs::write(&vtysh, "#!/bin/sh\nexit 0\n").unwrap();
        std::fs::set_permissions(&vtysh, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Self { pathspace, directory, state }
    }

    /// The daemons' option `-N`.
    pub fn pathspace(&self) -> &str {
        &self.pathspace
    }

    /// A directory with a `vtysh`, for `PATH`.
    pub fn tools(&self) -> &Path {
        &self.directory
    }

    /// What they run, without the daemons' own lines.
    pub fn running(&self) -> Model {
        Model::of(&FrrConfig::parse(&locked(&self.state).model.text()).unwrap())
    }

    /// Whether a line is refused from now on.
    pub fn refuses(&self, line: Option<&str>) {
        locked(&self.state).refuses = line.map(ToOwned::to_owned);
    }

    /// What was said in an order that real daemons do not take well.
    pub fn faults(&self) -> Vec<String> {
        locked(&self.state).faults.clone()
    }
}

impl Drop for FrrStandIn {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// One session: commands that end in a zero byte, each answered by a text, three zero bytes and a status.
fn converse(daemon: &str, mut stream: UnixStream, state: &Mutex<State>, redis: &Path) {
    let (mut command, mut byte, mut context) = (Vec::new(), [0], None);
    while let Ok(1) = stream.read(&mut byte) {
        if byte[0] != 0 {
            command.push(byte[0]);
            continue;
        }
        let line = String::from_utf8_lossy(&std::mem::take(&mut command)).into_owned();
        let (status, text) = answer(daemon, &line, &mut context, &mut locked(state), redis);
        if stream.write_all(&[text.as_bytes(), &[0, 0, 0, status]].concat()).is_err() {
            break;
        }
    }
}

fn answer(daemon: &str, line: &str, context: &mut Option<Statement>, state: &mut State, redis: &Path) -> (u8, String) {
    let done = |text: String| (DONE, text);
    match line {
        "show running-config" => done(if daemon == "bgpd" { state.model.text() } else { String::new() }),
        "show vrf" => done(inactive(&state.model, redis)),
        "show interface vrf all brief json" => done(interfaces(redis).to_string()),
        "show vrf vni json" => done(vrf_vnis(&state.model, redis).to_string()),
        "show ip route vrf all json" => done(routes(redis).to_string()),
        "show bgp l2vpn evpn vni json" => done(evpn(&state.model).to_string()),
        "end" => {
            *context = None;
            done(String::new())
        }
        _ if line.starts_with("configure terminal") => {
            *context = Some(Vec::new());
            done(String::new())
        }
        _ if line.starts_with("XFRR") || line == "enable" => done(String::new()),
        _ => match context {
            None => (UNKNOWN, format!("% [{daemon}] Unknown command: {line}\n")),
            Some(context) => configure(daemon, line, context, state, redis),
        },
    }
}

/// zebra takes VRFs, bgpd all else.
fn configure(daemon: &str, line: &str, context: &mut Statement, state: &mut State, redis: &Path) -> (u8, String) {
    let top = context.first().map_or(line, String::as_str);
    let of_zebra = top.trim_start_matches("no ").starts_with("vrf ");
    if of_zebra != (daemon == "zebra") {
        return (UNKNOWN, format!("% [{daemon}] Unknown command: {line}\n"));
    }
    if state.refuses.as_deref() == Some(line) {
        return (FAILED, "% refused\n".to_owned());
    }
    watch(line, context, state, redis);
    match state.model.line(context, line) {
        Ok(()) => (DONE, String::new()),
        Err(complaint) => {
            state.faults.push(complaint.clone());
            (FAILED, format!("% {complaint}\n"))
        }
    }
}

/// What must be so on the switch when a line is said.
fn watch(line: &str, context: &Statement, state: &mut State, redis: &Path) {
    let vrf_is_there = |vrf: &str| rows(&mut connect(redis, STATE_DB).unwrap()).contains_key(&format!("VRF_OBJECT_TABLE|{vrf}"));
    if let (Some(vrf), true) = (context.first().and_then(|top| top.strip_prefix("vrf ")), line.starts_with("vni "))
        && !vrf_is_there(vrf)
    {
        state.faults.push(format!("{vrf} has a VNI in FRR before it is there (H3)"));
    }
    if line == "advertise-all-vni" && config(redis).tables.contains_key(table::VXLAN_TUNNEL_MAP) {
        state.faults.push("a VNI is mapped before bgpd has EVPN (H4)".to_owned());
    }
    if let Some((_, vrf)) = line.strip_prefix("no router bgp ").and_then(|rest| rest.split_once(" vrf "))
        && !vrf_is_there(vrf)
    {
        state.faults.push(format!("{vrf} is gone under its instance (H19)"));
    }
}

fn config(redis: &Path) -> ConfigDb {
    let rows = rows(&mut connect(redis, CONFIG_DB).unwrap());
    ConfigDb::from_hashes(rows.iter().map(|(name, hash)| (name.as_str(), hash)))
}

/// Rows of a table of STATE_DB by their keys.
fn shown(redis: &Path, table: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let rows = rows(&mut connect(redis, STATE_DB).unwrap());
    rows.into_iter().filter_map(|(name, row)| Some((name.strip_prefix(table)?.strip_prefix('|')?.to_owned(), row))).collect()
}

/// VRFs of the configuration with their VNIs.
fn vnis(model: &Model) -> BTreeMap<&str, &str> {
    let vrfs = model.statements().filter_map(|statement| match statement {
        [vrf, vni] => Some((vrf.strip_prefix("vrf ")?, vni.strip_prefix("vni ")?)),
        _ => None,
    });
    vrfs.collect()
}

fn inactive(model: &Model, redis: &Path) -> String {
    let there = shown(redis, "VRF_OBJECT_TABLE");
    let configured = model.statements().filter(|statement| statement.len() == 1).filter_map(|statement| statement[0].strip_prefix("vrf "));
    let lines: Vec<String> =
        configured.filter(|vrf| !there.contains_key(*vrf)).map(|vrf| format!("vrf {vrf} inactive (configured)")).collect();
    lines.join("\n")
}

fn interfaces(redis: &Path) -> Value {
    let default = |vrf: &str| if vrf.is_empty() { "default".to_owned() } else { vrf.to_owned() };
    let interfaces = shown(redis, "INTERFACE_TABLE").into_iter().filter(|(name, _)| !name.contains('|'));
    let interfaces = interfaces.map(|(name, row)| (name, default(row.get("vrf").map_or("", String::as_str))));
    let vrfs = shown(redis, "VRF_OBJECT_TABLE").into_keys().map(|vrf| (vrf.clone(), vrf));
    interfaces.chain(vrfs).map(|(name, vrf)| (name, json!({"vrfName": vrf}))).collect::<serde_json::Map<_, _>>().into()
}

fn vrf_vnis(model: &Model, redis: &Path) -> Value {
    let config = config(redis);
    let mac = config.row(table::DEVICE_METADATA, "localhost").and_then(|row| row.text("mac")).unwrap_or_default();
    let maps: BTreeMap<&str, &str> =
        config.tables[table::VXLAN_TUNNEL_MAP].values().filter_map(|row| Some((row.text("vni")?, row.text("vlan")?))).collect();
    let row = |(vrf, vni): (&str, &str)| {
        let svi = maps.get(vni).copied().unwrap_or("None");
        json!({"vrf": vrf, "vni": vni.parse::<u32>().unwrap(), "vxlanIntf": "x", "sviIntf": svi, "state": "Up", "routerMac": mac})
    };
    json!({"vrfs": vnis(model).into_iter().map(row).collect::<Vec<_>>()})
}

fn routes(redis: &Path) -> Value {
    let interfaces = shown(redis, "INTERFACE_TABLE");
    let mut routes: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for (name, address) in interfaces.keys().filter_map(|key| key.split_once('|')) {
        let vrf = interfaces.get(name).and_then(|row| row.get("vrf")).filter(|vrf| !vrf.is_empty());
        if let Some(vrf) = vrf {
            routes.entry(vrf.clone()).or_default().insert(address.to_owned(), json!([{"vrfName": vrf, "table": 1001}]));
        }
    }
    json!(routes)
}

/// What bgpd knows of a VNI.
#[derive(Default)]
struct KnownVni<'m> {
    kind: &'m str,
    rd: Option<&'m str>,
    import: Vec<&'m str>,
    export: Vec<&'m str>,
}

fn evpn(model: &Model) -> Value {
    let vnis = vnis(model);
    let mut found: BTreeMap<&str, KnownVni<'_>> = BTreeMap::new();
    for statement in model.statements() {
        let (vni, kind, said) = match statement {
            [router, family, said] if family == "address-family l2vpn evpn" => {
                let Some(vni) = router.split_once(" vrf ").and_then(|(_, vrf)| vnis.get(vrf)) else { continue };
                (*vni, "L3", said)
            }
            [_, _, vni, said] => (vni.trim_start_matches("vni "), "L2", said),
            _ => continue,
        };
        let row = found.entry(vni).or_insert(KnownVni { kind, ..KnownVni::default() });
        match said.split(' ').collect::<Vec<_>>()[..] {
            ["rd", rd] => row.rd = Some(rd),
            ["route-target", "import", target] => row.import.push(target),
            ["route-target", "export", target] => row.export.push(target),
            _ => {}
        }
    }
    let row =
        |vni: &KnownVni<'_>| json!({"type": vni.kind, "rd": vni.rd, "inKernel": "True", "importRTs": vni.import, "exportRTs": vni.export});
    found.iter().map(|(vni, found)| ((*vni).to_owned(), row(found))).collect::<serde_json::Map<_, _>>().into()
}
