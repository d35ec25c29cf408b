//! What zebra and bgpd made of the configuration and the links.

use std::collections::{BTreeMap, BTreeSet};

use leafwall_render::build::FABRIC_GROUP;
use leafwall_render::config_db::{ConfigDb, table};
use leafwall_render::frr::{Exchange, FrrConfig, VniStatement};
use leafwall_render::links::{LinkKind, LinkState, Links};
use leafwall_topology::IfName;
use serde::Deserialize;

use super::{Frr, FrrError};
use crate::health::Health;
use crate::report::{Backend, Difference, chain};

/// What the daemons should show, derived from both artefacts.
#[derive(Debug, Clone, Default)]
pub struct Expectation {
    /// L3VNIs by VRF.
    vrfs: BTreeMap<String, ExpectedVrf>,
    /// Route distinguishers and targets by VNI, L2 and L3.
    vnis: BTreeMap<u32, ExpectedVni>,
    /// Interfaces and the VRF that they should be in.
    interfaces: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
struct ExpectedVrf {
    vni: u32,
    /// Its table in the kernel; `None` where somebody else chooses it.
    table: Option<u32>,
    svi: Option<String>,
    router_mac: Option<String>,
    /// The VRF's own IPv4 host routes.
    own: Vec<String>,
}

#[derive(Debug, Clone, Default)]
struct ExpectedVni {
    rd: Option<String>,
    import: BTreeSet<String>,
    export: BTreeSet<String>,
}

#[derive(Deserialize)]
struct VrfVnis {
    vrfs: Vec<VrfVni>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VrfVni {
    vrf: String,
    vni: u32,
    svi_intf: String,
    state: String,
    router_mac: String,
}

/// `show bgp summary json`: an object a family.
#[derive(Deserialize)]
struct Summary {
    #[serde(default)]
    peers: BTreeMap<String, PeerSummary>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PeerSummary {
    state: String,
    #[serde(default)]
    pfx_rcd: u64,
}

/// `show bgp peer-group json`: an object a group.
#[derive(Deserialize)]
struct PeerGroup {
    /// None where nobody is in it.
    #[serde(default)]
    members: BTreeMap<String, Member>,
}

#[derive(Deserialize)]
struct Member {
    status: String,
}

/// What bgpd calls a session that is up.
const ESTABLISHED: &str = "Established";

/// `show evpn vni json`: how many there are of others, by the kind of VNI.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReachedVni {
    r#type: String,
    /// Of an L3VNI: next hops.
    #[serde(default)]
    num_arp_nd: u64,
    /// Of an L2VNI; words where it is none.
    #[serde(default)]
    num_remote_vteps: serde_json::Value,
}

#[derive(Deserialize)]
struct Interface {
    #[serde(rename = "vrfName")]
    vrf: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EvpnVni {
    rd: String,
    in_kernel: String,
    #[serde(rename = "importRTs", default)]
    import: BTreeSet<String>,
    #[serde(rename = "exportRTs", default)]
    export: BTreeSet<String>,
}

#[derive(Deserialize)]
struct RouteOwner {
    #[serde(rename = "vrfName")]
    vrf: String,
    table: Option<u32>,
}

impl Expectation {
    /// Reads off both artefacts what should be seen.
    pub fn new(config: &FrrConfig, links: &Links) -> Self {
        let mut expected = Self::default();
        let vlans: BTreeMap<u32, u16> = links
            .links
            .iter()
            .filter_map(|link| if let LinkKind::Vxlan { vnis, .. } = &link.kind { Some(vnis) } else { None })
            .flatten()
            .map(|map| (map.vni.get(), map.vlan.get()))
            .collect();
        let devices: BTreeSet<&IfName> =
            links.links.iter().filter(|link| matches!(link.kind, LinkKind::Vrf { .. })).map(|link| &link.name).collect();
        for link in links.links.iter().filter(|link| !matches!(link.kind, LinkKind::Loopback {})) {
            let vrf = match (&link.kind, &link.master) {
                (LinkKind::Vrf { .. }, _) => link.name.to_string(),
                (_, Some(master)) if devices.contains(master) => master.to_string(),
                _ => "default".to_owned(),
            };
            expected.interfaces.insert(link.name.to_string(), vrf);
        }
        for (vrf, vni) in config.vrfs.iter().filter_map(|vrf| Some((&vrf.name, vrf.vni?))) {
            let svi = links.links.iter().find(|link| {
                matches!(&link.kind, LinkKind::Vlan { id, .. } if vlans.get(&vni.get()) == Some(&id.get()))
                    && link.master.as_ref() == Some(vrf)
            });
            let device = links.links.iter().find(|link| link.name == *vrf && link.state == LinkState::Up);
            let own = device
                .map(|device| device.addresses.iter().filter(|address| address.address().is_ipv4()).map(ToString::to_string).collect());
            let row = ExpectedVrf {
                vni: vni.get(),
                table: Some(vni.get()),
                svi: svi.map(|svi| svi.name.to_string()),
                router_mac: svi.and_then(|svi| svi.mac).map(|mac| mac.to_string()),
                own: own.unwrap_or_default(),
            };
            expected.vrfs.insert(vrf.to_string(), row);
        }
        expected.read_targets(config);
        expected
    }

    /// The same on SONiC, which makes its interfaces of CONFIG_DB.
    pub fn on_sonic(config: &FrrConfig, database: &ConfigDb) -> Self {
        let mut expected = Self::default();
        let rows = |table: &str| database.tables.get(table).into_iter().flatten();
        for table in [table::INTERFACE, table::VLAN_SUB_INTERFACE, table::LOOPBACK_INTERFACE, table::VLAN_INTERFACE] {
            let interfaces = rows(table).filter(|(key, _)| !key.contains('|'));
            let vrfs = interfaces.map(|(name, row)| (name.clone(), row.text("vrf_name").unwrap_or("default").to_owned()));
            expected.interfaces.extend(vrfs);
        }
        expected.interfaces.extend(rows(table::VRF).map(|(vrf, _)| (vrf.clone(), vrf.clone())));
        let vlans: BTreeMap<&str, &str> =
            rows(table::VXLAN_TUNNEL_MAP).filter_map(|(_, row)| Some((row.text("vni")?, row.text("vlan")?))).collect();
        let mut own: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (loopback, address) in rows(table::LOOPBACK_INTERFACE).filter_map(|(key, _)| key.split_once('|')) {
            let vrf = database.row(table::LOOPBACK_INTERFACE, loopback).and_then(|row| row.text("vrf_name"));
            if let Some(vrf) = vrf.filter(|_| !address.contains(':')) {
                own.entry(vrf).or_default().push(address.to_owned());
            }
        }
        let router_mac = database.row(table::DEVICE_METADATA, "localhost").and_then(|row| row.text("mac"));
        for (vrf, vni) in config.vrfs.iter().filter_map(|vrf| Some((vrf.name.as_str(), vrf.vni?.get()))) {
            let svi = vlans.get(vni.to_string().as_str()).filter(|svi| expected.interfaces.get(**svi).is_some_and(|of| of == vrf));
            let row = ExpectedVrf {
                vni,
                table: None,
                svi: svi.map(|svi| (*svi).to_owned()),
                router_mac: svi.and(router_mac).map(ToOwned::to_owned),
                own: own.remove(vrf).unwrap_or_default(),
            };
            expected.vrfs.insert(vrf.to_owned(), row);
        }
        expected.read_targets(config);
        expected
    }

    fn read_targets(&mut self, config: &FrrConfig) {
        for router in &config.routers {
            let l3 = router.vrf.as_ref().and_then(|vrf| self.vrfs.get(vrf.as_str())).map(|vrf| vrf.vni);
            for exchange in router.families.iter().flat_map(|family| &family.exchanges) {
                match (exchange, l3) {
                    (Exchange::Rd(rd), Some(vni)) => self.vnis.entry(vni).or_default().rd = Some(rd.to_string()),
                    (Exchange::ImportTarget(target), Some(vni)) => _ = self.vnis.entry(vni).or_default().import.insert(target.to_string()),
                    (Exchange::ExportTarget(target), Some(vni)) => _ = self.vnis.entry(vni).or_default().export.insert(target.to_string()),
                    (Exchange::Vni(l2), None) => {
                        let row = self.vnis.entry(l2.vni.get()).or_default();
                        for statement in &l2.statements {
                            match statement {
                                VniStatement::Rd(rd) => row.rd = Some(rd.to_string()),
                                VniStatement::ImportTarget(target) => _ = row.import.insert(target.to_string()),
                                VniStatement::ExportTarget(target) => _ = row.export.insert(target.to_string()),
                                VniStatement::Foreign(_) => {}
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

const INTERFACES: &str = "show interface vrf all brief json";
const VRF_VNIS: &str = "show vrf vni json";
const ROUTES: &str = "show ip route vrf all json";
const REACHED_VNIS: &str = "show evpn vni json";
const EVPN_VNIS: &str = "show bgp l2vpn evpn vni json";

impl Frr {
    /// How the device stands in the fabric: sessions of the default instance, and what comes over them.
    pub async fn health(&self) -> Result<Health, FrrError> {
        let mut daemons = self.daemons().await?;
        let families: BTreeMap<String, Summary> = daemons.show_json("show bgp summary json").await?;
        let groups: BTreeMap<String, PeerGroup> = daemons.show_json("show bgp peer-group json").await?;
        Ok(health(&families, &groups, &daemons.show_json(REACHED_VNIS).await?))
    }

    /// Links that zebra does not know yet, or knows in another VRF (H3). Empty: the second stage may be loaded.
    pub async fn unseen(&self, expected: &Expectation) -> Result<Vec<Difference>, FrrError> {
        Ok(interfaces(expected, &self.daemons().await?.show_json(INTERFACES).await?))
    }

    /// What the daemons show that is not as it should be. A daemon that does not answer is such a thing too.
    pub async fn state(&self, expected: &Expectation) -> Vec<Difference> {
        let mut commands = vec![INTERFACES];
        if !expected.vrfs.is_empty() {
            commands.extend([VRF_VNIS, ROUTES]);
        }
        if !expected.vnis.is_empty() {
            commands.push(EVPN_VNIS);
        }
        let mut daemons = match self.daemons().await {
            Ok(daemons) => daemons,
            Err(error) => return vec![Difference::missing(Backend::Frr, "answers from FRR").observed(chain(&error))],
        };
        let mut found = Vec::new();
        for command in commands {
            let differences = match command {
                INTERFACES => daemons.show_json(command).await.map(|shown| interfaces(expected, &shown)),
                VRF_VNIS => daemons.show_json(command).await.map(|shown| vrf_vnis(expected, &shown)),
                ROUTES => daemons.show_json(command).await.map(|shown| owners(expected, &shown)),
                _ => daemons.show_json(command).await.map(|shown| evpn(expected, shown)),
            };
            match differences {
                Ok(differences) => found.extend(differences),
                Err(error) => found.push(Difference::missing(Backend::Frr, format!("an answer to `{command}`")).observed(chain(&error))),
            }
        }
        found
    }
}

fn health(families: &BTreeMap<String, Summary>, groups: &BTreeMap<String, PeerGroup>, vnis: &BTreeMap<u32, ReachedVni>) -> Health {
    let peers = || families.values().flat_map(|family| &family.peers);
    let names: BTreeSet<&str> = peers().map(|(name, _)| name.as_str()).collect();
    let up: BTreeSet<&str> = peers().filter(|(_, peer)| peer.state == ESTABLISHED).map(|(name, _)| name.as_str()).collect();
    let evpn = families.get("l2VpnEvpn").into_iter().flat_map(|family| family.peers.values());
    let others = |vni: &ReachedVni| if vni.r#type == "L3" { vni.num_arp_nd } else { vni.num_remote_vteps.as_u64().unwrap_or_default() };
    Health {
        neighbours: names.len(),
        sessions: up.len(),
        fabric: groups.get(FABRIC_GROUP).map_or(0, |group| group.members.values().filter(|member| member.status == ESTABLISHED).count()),
        routes: evpn.map(|peer| peer.pfx_rcd).sum(),
        reached: vnis.iter().map(|(vni, row)| (*vni, others(row))).collect(),
    }
}

fn interfaces(expected: &Expectation, seen: &BTreeMap<String, Interface>) -> Vec<Difference> {
    let rows = expected.interfaces.iter();
    rows.filter_map(|(name, vrf)| match seen.get(name) {
        None => Some(Difference::missing(Backend::Frr, format!("interface `{name}` in zebra"))),
        Some(interface) if interface.vrf != *vrf => {
            Some(Difference::changed(Backend::Frr, format!("VRF of `{name}` in zebra")).expected(vrf).observed(&interface.vrf))
        }
        Some(_) => None,
    })
    .collect()
}

/// H1: each L3VNI is up, with its own SVI and our router MAC.
fn vrf_vnis(expected: &Expectation, shown: &VrfVnis) -> Vec<Difference> {
    let mut found = Vec::new();
    for (name, vrf) in &expected.vrfs {
        let Some(row) = shown.vrfs.iter().find(|row| row.vrf == *name && row.vni == vrf.vni) else {
            found.push(Difference::missing(Backend::Frr, format!("VNI {} of `{name}` in zebra", vrf.vni)));
            continue;
        };
        let mut check = |what: &str, expected: Option<&str>, observed: &str| {
            if expected.is_some_and(|expected| expected != observed) {
                let difference = Difference::changed(Backend::Frr, format!("{what} of VNI {}", vrf.vni)).observed(observed);
                found.push(difference.expected(expected.unwrap_or_default()));
            }
        };
        check("state", vrf.svi.as_ref().map(|_| "Up"), &row.state);
        check("SVI", vrf.svi.as_deref(), &row.svi_intf);
        check("router MAC", vrf.router_mac.as_deref(), &row.router_mac);
    }
    found
}

/// H7: what is in a VRF's table belongs to it, and its own addresses are there.
fn owners(expected: &Expectation, routes: &BTreeMap<String, BTreeMap<String, Vec<RouteOwner>>>) -> Vec<Difference> {
    let mut found = Vec::new();
    for (name, vrf) in &expected.vrfs {
        let table = routes.get(name);
        for (prefix, owner) in table.into_iter().flatten().flat_map(|(prefix, owners)| owners.iter().map(move |owner| (prefix, owner))) {
            if owner.vrf != *name || vrf.table.is_some_and(|table| owner.table.is_some_and(|found| found != table)) {
                let difference = Difference::changed(Backend::Frr, format!("owner of route {prefix}")).expected(name);
                found.push(difference.observed(format!("{} table {}", owner.vrf, owner.table.unwrap_or_default())));
            }
        }
        let lost = vrf.own.iter().filter(|own| !table.is_some_and(|table| table.contains_key(*own)));
        found.extend(lost.map(|own| Difference::missing(Backend::Frr, format!("route {own} in `{name}`"))));
    }
    found
}

/// H6: each VNI is known to the kernel and has its route distinguisher and route targets.
fn evpn(expected: &Expectation, mut shown: BTreeMap<String, serde_json::Value>) -> Vec<Difference> {
    let mut found = Vec::new();
    for (vni, wanted) in &expected.vnis {
        let row = shown.remove(&vni.to_string()).and_then(|row| serde_json::from_value::<EvpnVni>(row).ok());
        let Some(row) = row else {
            found.push(Difference::missing(Backend::Frr, format!("VNI {vni} in bgpd")));
            continue;
        };
        let join = |targets: &BTreeSet<String>| targets.iter().cloned().collect::<Vec<_>>().join(" ");
        let mut check = |what: &str, expected: &str, observed: &str| {
            if expected != observed {
                found.push(Difference::changed(Backend::Frr, format!("{what} of VNI {vni} in bgpd")).expected(expected).observed(observed));
            }
        };
        check("presence in the kernel", "True", &row.in_kernel);
        if let Some(rd) = &wanted.rd {
            check("route distinguisher", rd, &row.rd);
        }
        check("import targets", &join(&wanted.import), &join(&row.import));
        check("export targets", &join(&wanted.export), &join(&row.export));
    }
    found
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
