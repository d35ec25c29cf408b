//! Writes a rendered fabric to a directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use leafwall_render::inventory::{LabInventory, LabKind};
use leafwall_render::{Artefacts, LINKS_JSON};
use leafwall_topology::Name;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::fabric::Rendered;

/// The file that makes a directory one of ours.
pub const INVENTORY: &str = "fabric.json";
/// The links of all bridged servers, one a line.
const SERVERS: &str = "servers.json";
/// Which format `servers.json` has.
const SERVERS_VERSION: u32 = 1;

/// Where bridged servers' artefacts go. They are the many in a fabric, and small: nobody's agent runs there, so that their owners need one line each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// All of them in `servers.json`.
    ServersTogether,
    /// A directory each, as the lab and containerlab give their nodes.
    ServersApart,
}

/// `servers.json`
#[derive(Serialize)]
struct Servers<'a> {
    version: u32,
    servers: BTreeMap<&'a Name, &'a RawValue>,
}

/// Writes `OUT/<device>/…`, `OUT/servers.json` and `OUT/fabric.json`. A directory with something else in it is left alone; devices that an earlier run
/// wrote and that are no more are removed, files of theirs alone.
pub fn write(out: &Path, rendered: &Rendered, layout: Layout) -> Result<(), String> {
    let (together, apart) = split(rendered, layout);
    if let Some(before) = earlier(out)? {
        remove_stale(out, &before, &apart)?;
    }
    make(out)?;
    let devices: Vec<_> = apart.into_iter().collect();
    let (written, shared) = rayon::join(
        || devices.par_iter().with_max_len(1).try_for_each(|(name, artefacts)| write_device(&out.join(name.as_str()), artefacts)),
        || write_servers(&out.join(SERVERS), &together).and_then(|()| put(&out.join(INVENTORY), &json(&rendered.inventory)?)),
    );
    written.and(shared)
}

fn write_device(directory: &Path, artefacts: &Artefacts) -> Result<(), String> {
    make(directory)?;
    for stale in known_files().filter(|file| !artefacts.files.contains_key(file)) {
        remove_if_there(&directory.join(stale))?;
    }
    artefacts.files.iter().try_for_each(|(file, text)| put(&directory.join(file), text))
}

fn write_servers(path: &Path, servers: &Devices<'_>) -> Result<(), String> {
    if servers.is_empty() {
        return remove_if_there(path);
    }
    put(path, &json(&Servers { version: SERVERS_VERSION, servers: raw(servers)? })?)
}

type Devices<'a> = BTreeMap<&'a Name, &'a Arc<Artefacts>>;

/// Devices whose artefacts share a file, and those with a directory.
fn split(rendered: &Rendered, layout: Layout) -> (Devices<'_>, Devices<'_>) {
    let bridged: BTreeSet<_> = match layout {
        Layout::ServersApart => BTreeSet::new(),
        Layout::ServersTogether => {
            let devices = rendered.inventory.devices.iter().filter(|device| device.kind == LabKind::ServerBridged);
            devices.map(|device| &device.name).collect()
        }
    };
    rendered.devices.iter().partition(|(name, _)| bridged.contains(name))
}

fn raw<'a>(servers: &Devices<'a>) -> Result<BTreeMap<&'a Name, &'a RawValue>, String> {
    let links = servers.iter().filter_map(|(name, artefacts)| Some((*name, artefacts.files.get(LINKS_JSON)?)));
    links.map(|(name, text)| serde_json::from_str(text).map(|raw| (name, raw)).map_err(|error| error.to_string())).collect()
}

fn json(value: &impl Serialize) -> Result<String, String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| error.to_string())
}

fn known_files() -> impl Iterator<Item = &'static str> {
    [leafwall_render::CONFIG_DB_JSON, leafwall_render::FRR_CONF, leafwall_render::LEAFWALL_NFT, LINKS_JSON].into_iter()
}

/// Removes directories of devices that an earlier run wrote and that this one does not write.
fn remove_stale(out: &Path, before: &LabInventory, apart: &Devices<'_>) -> Result<(), String> {
    before.devices.iter().filter(|device| !apart.contains_key(&device.name)).try_for_each(|device| {
        let directory = out.join(device.name.as_str());
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(format!("cannot remove `{}`: {error}", directory.display())),
            _ => Ok(()),
        }
    })
}

fn remove_if_there(path: &Path) -> Result<(), String> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(format!("cannot remove `{}`: {error}", path.display())),
        _ => Ok(()),
    }
}

/// Makes a directory and those above it.
pub fn make(directory: &Path) -> Result<(), String> {
    fs::create_dir_all(directory).map_err(|error| format!("cannot make `{}`: {error}", directory.display()))
}

/// Writes a file.
pub fn put(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}

/// Reads the artefacts of a directory back, by device and file: whatever lies in directories, and `servers.json`.
pub fn read_artefacts(directory: &Path) -> Result<BTreeMap<String, BTreeMap<String, String>>, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Servers {
        version: u32,
        servers: BTreeMap<String, Box<RawValue>>,
    }
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for device in entries(directory)?.into_iter().filter(|path| path.is_dir()) {
        let files = entries(&device)?.into_iter().map(|path| Ok((name(&path), text(&path)?)));
        found.insert(name(&device), files.collect::<Result<_, String>>()?);
    }
    let path = directory.join(SERVERS);
    if path.exists() {
        let wrong = |why: String| format!("`{}` cannot be read: {why}", path.display());
        let together: Servers = serde_json::from_str(&text(&path)?).map_err(|error| wrong(error.to_string()))?;
        if together.version != SERVERS_VERSION {
            return Err(wrong(format!("its format is version {}, not {SERVERS_VERSION}", together.version)));
        }
        for (server, links) in together.servers {
            found.entry(server).or_default().insert(LINKS_JSON.to_owned(), links.get().to_owned());
        }
    }
    Ok(found)
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let told = |error: std::io::Error| format!("cannot read `{}`: {error}", directory.display());
    let entries = fs::read_dir(directory).map_err(told)?.map(|entry| entry.map(|entry| entry.path()));
    entries.collect::<Result<_, _>>().map_err(told)
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

/// What an earlier run wrote there, if it did; an error if somebody else's files are there.
fn earlier(out: &Path) -> Result<Option<LabInventory>, String> {
    let told = |error: std::io::Error| format!("cannot read `{}`: {error}", out.display());
    if !out.exists() || fs::read_dir(out).map_err(told)?.next().is_none() {
        return Ok(None);
    }
    let text = fs::read_to_string(out.join(INVENTORY)).map_err(|_| {
        format!("`{}` is not empty and holds no {INVENTORY}: it was not written by leafwall, so nothing is written there", out.display())
    })?;
    serde_json::from_str(&text).map(Some).map_err(|error| format!("`{}` cannot be read: {error}", out.join(INVENTORY).display()))
}
