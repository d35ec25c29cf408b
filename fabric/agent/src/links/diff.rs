//! From what is there to what should be.
//!
//! The comparison works on a copy of the observed kernel in which the side effects of a step (deleting a bridge takes its SVIs along) are followed, so that
//! one pass is enough wherever those effects are known. The executor looks again afterwards all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv6Addr;

use leafwall_render::links::{BridgePort, Link, LinkKind, LinkLocal, LinkState, Links, Route, RouteTargetKind};
use leafwall_topology::names::{self, LINK_ALIAS};
use leafwall_topology::{HostAddress, IfName, MacAddr, VlanId, Vni};
use serde::Serialize;

use super::kernel::{
    AddressOwner, Kernel, KernelKind, KernelLink, KernelLinkLocal, NEWBORN_GROUP, PortFlags, ROUTE_PROTOCOL, RouteKey, Tagging, VXLAN_PORT,
    master_name,
};
use super::removal;
use super::step::{LinkStep, VlanScope, kind_word};

/// The steps from observed to desired, in the phases of an apply: FRR's configuration comes between `make` and `raise`, and goes before `remove` (H3, H19).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkDiff {
    /// Links are made, down, and everything about them set.
    pub make: Vec<LinkStep>,
    /// Links go up, in the order of `links.json`: L3VNI SVIs last (H1). Then routes that need a link up.
    pub raise: Vec<LinkStep>,
    /// What is ours and no longer wanted goes, in reverse order of creation (H19).
    pub remove: Vec<LinkStep>,
    /// What stands in the way. Nothing is done about the links named here; all others are cared for (H25).
    pub conflicts: Vec<Conflict>,
    /// What the kernel can't do and we do without.
    pub warnings: Vec<String>,
}

impl LinkDiff {
    /// Whether there is nothing to do and nothing in the way.
    pub const fn is_empty(&self) -> bool {
        self.make.is_empty() && self.raise.is_empty() && self.remove.is_empty() && self.conflicts.is_empty()
    }

    /// All steps in order.
    pub fn steps(&self) -> impl Iterator<Item = &LinkStep> {
        self.make.iter().chain(&self.raise).chain(&self.remove)
    }
}

/// Something in the way of a link or route. It is reported and left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "conflict", rename_all = "kebab-case")]
pub enum Conflict {
    /// A link of this name is there and does not carry our mark (H25).
    Foreign {
        /// Its name.
        name: String,
        /// What it is.
        observed: String,
        /// What should stand there.
        expected: String,
    },
    /// A port that should exist does not.
    Missing {
        /// Its name.
        name: String,
    },
    /// `links.json` asks for a link whose name is not one of ours.
    NotOurName {
        /// That name.
        name: String,
    },
    /// A link can't be made because another one can't.
    Blocked {
        /// Its name.
        name: String,
        /// The other one's.
        by: String,
    },
    /// Another route to the same place, not ours, with the same metric.
    ForeignRoute {
        /// Where to.
        prefix: String,
        /// In which table.
        table: u32,
    },
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { name, observed, expected } => {
                write!(f, "`{name}` is a {observed} that Leafwall did not make; a {expected} of that name is needed")
            }
            Self::Missing { name } => write!(f, "port `{name}` does not exist"),
            Self::NotOurName { name } => write!(f, "`{name}` is not a name that Leafwall gives to links it makes"),
            Self::Blocked { name, by } => write!(f, "`{name}` needs `{by}`, which is in conflict"),
            Self::ForeignRoute { prefix, table } => write!(f, "a route to {prefix} in table {table} is there that Leafwall did not make"),
        }
    }
}

/// Compares what is there with what should be.
pub fn diff(observed: &Kernel, desired: &Links) -> LinkDiff {
    let mut differ = Differ {
        now: observed.clone(),
        wanted: desired.links.iter().map(|link| (link.name.as_str(), link)).collect(),
        ..Differ::default()
    };
    for link in &desired.links {
        differ.link(link);
    }
    differ.strangers();
    differ.routes(&desired.routes);
    removal::stale(&differ.now, desired, &mut differ.out);
    differ.out
}

#[derive(Default)]
struct Differ<'a> {
    now: Kernel,
    wanted: BTreeMap<&'a str, &'a Link>,
    blocked: BTreeSet<&'a str>,
    out: LinkDiff,
}

impl<'a> Differ<'a> {
    fn make(&mut self, step: LinkStep) {
        self.out.make.push(step);
    }

    fn block(&mut self, name: &'a str, conflict: Conflict) {
        self.blocked.insert(name);
        self.out.conflicts.push(conflict);
    }

    fn link(&mut self, link: &'a Link) {
        let name = link.name.as_str();
        let lower = if let LinkKind::Vlan { lower, .. } = &link.kind { Some(lower) } else { None };
        if let Some(needed) = [lower, link.master.as_ref()].into_iter().flatten().find(|needed| !self.usable(needed)) {
            return self.block(name, Conflict::Blocked { name: name.to_owned(), by: needed.to_string() });
        }
        let Some(now) = self.existing(link) else { return };
        self.attributes(link, now);
    }

    /// Whether a link can be referred to: it is wanted, was handled before, and is not blocked.
    fn usable(&self, name: &IfName) -> bool {
        self.wanted.contains_key(name.as_str()) && !self.blocked.contains(name.as_str())
    }

    /// The link as it is once it has been made; `None` if it is in conflict.
    fn existing(&mut self, link: &'a Link) -> Option<KernelLink> {
        let name = link.name.as_str();
        let observed = self.now.links.get(name);
        if matches!(link.kind, LinkKind::Physical {} | LinkKind::Loopback {}) {
            if observed.is_none() {
                self.block(name, Conflict::Missing { name: name.to_owned() });
            }
            return self.now.links.get(name).cloned();
        }
        if names::recognise(name).is_none() {
            self.block(name, Conflict::NotOurName { name: name.to_owned() });
            return None;
        }
        match observed {
            Some(there) if !there.is_ours(name) => {
                let conflict = Conflict::Foreign {
                    name: name.to_owned(),
                    observed: there.kind.word().to_owned(),
                    expected: kind_word(&link.kind).to_owned(),
                };
                self.block(name, conflict);
                return None;
            }
            Some(there) if there.kind.can_become(&link.kind) => return Some(there.clone()),
            Some(_) => {
                self.make(LinkStep::Delete { name: name.to_owned() });
                removal::delete(&mut self.now, name);
            }
            None => {}
        }
        self.make(LinkStep::Create { name: link.name.clone(), kind: link.kind.clone() });
        Some(newborn(&link.kind))
    }

    /// What is set on a link that exists (by now).
    fn attributes(&mut self, link: &'a Link, mut now: KernelLink) {
        let name = &link.name;
        let ours = !matches!(link.kind, LinkKind::Physical {} | LinkKind::Loopback {});
        if ours && now.alias.as_deref() != Some(LINK_ALIAS) {
            self.make(LinkStep::Mark { name: name.clone() });
        }
        self.options(link, &now);
        if link.state == LinkState::Down && now.state == LinkState::Up {
            self.make(LinkStep::Lower { name: name.to_string() });
            now.state = LinkState::Down;
        }
        // before the master: a VRF takes a link down and up again, which makes the addresses that this asks for and takes the others
        self.link_local_mode(link, &now);
        self.master(link, &mut now);
        if let Some(mac) = link.mac.filter(|mac| now.mac != Some(mac.bytes())) {
            self.make(LinkStep::SetMac { name: name.clone(), mac });
        }
        if let Some(mtu) = link.mtu.filter(|mtu| now.mtu != u32::from(mtu.get())) {
            self.make(LinkStep::SetMtu { name: name.clone(), mtu });
        }
        self.bridging(link, &now);
        self.gateway_mac(link);
        self.addresses(link, &now, ours);
        self.link_local_addresses(link, &now);
        if link.state == LinkState::Up && now.state == LinkState::Down {
            let raise = LinkStep::Raise { name: name.clone() };
            // the loopback must be up before unreachable routes can be made, and nothing is exposed by it
            if matches!(link.kind, LinkKind::Loopback {}) { self.make(raise) } else { self.out.raise.push(raise) }
        }
    }

    fn link_local_mode(&mut self, link: &Link, now: &KernelLink) {
        let link_local = match now.link_local {
            KernelLinkLocal::Eui64 | KernelLinkLocal::Absent => {
                link.link_local == LinkLocal::Eui64 || now.link_local == KernelLinkLocal::Absent
            }
            KernelLinkLocal::None => link.link_local == LinkLocal::None,
            KernelLinkLocal::Other => false,
        };
        if !link_local {
            self.make(LinkStep::SetLinkLocal { name: link.name.clone(), link_local: link.link_local });
        }
    }

    /// The kernel makes a link-local address when a link comes up, and only then; it takes none when it is told to make no more. So a port that was in a
    /// bridge and comes to a VRF may have none, and one that comes to a bridge may keep it: nobody finds a BGP session's other end, or somebody does who
    /// should not.
    fn link_local_addresses(&mut self, link: &Link, now: &KernelLink) {
        if now.link_local == KernelLinkLocal::Absent {
            return;
        }
        match link.link_local {
            LinkLocal::None => {
                for &address in &now.link_local_addresses {
                    self.make(LinkStep::RemoveAddress { name: link.name.clone(), address });
                }
            }
            LinkLocal::Eui64 => {
                let above = link.master.as_ref().and_then(|master| self.wanted.get(master.as_str())).map(|master| &master.kind);
                let has_one =
                    !matches!(link.kind, LinkKind::Loopback {} | LinkKind::Vrf { .. }) && !matches!(above, Some(LinkKind::Bond { .. }));
                let missing =
                    now.running && now.state == LinkState::Up && link.state == LinkState::Up && now.link_local_addresses.is_empty();
                let mac = link.mac.map(MacAddr::bytes).or(now.mac);
                if let Some(address) = mac.filter(|_| has_one && missing).and_then(link_local_address) {
                    self.make(LinkStep::AddAddress { name: link.name.clone(), address });
                }
            }
        }
    }

    fn options(&mut self, link: &Link, now: &KernelLink) {
        let same = match (&now.kind, &link.kind) {
            (
                KernelKind::Bridge { vlan_filtering, default_pvid, multicast_snooping, maximum_macs },
                LinkKind::Bridge { maximum_macs: wanted, .. },
            ) => {
                if maximum_macs.is_none() && *wanted > 0 {
                    self.out
                        .warnings
                        .push(format!("this kernel can't limit the MAC addresses that `{}` learns (needs 6.7, H41)", link.name));
                }
                *vlan_filtering && *default_pvid == 0 && !multicast_snooping && maximum_macs.is_none_or(|now| now == *wanted)
            }
            (KernelKind::Vxlan { learning, .. }, LinkKind::Vxlan { .. }) => !learning,
            (KernelKind::Bond { miimon_ms, .. }, LinkKind::Bond { miimon_ms: wanted }) => miimon_ms == wanted,
            _ => true,
        };
        if !same {
            self.make(LinkStep::SetOptions { name: link.name.clone(), kind: link.kind.clone() });
        }
    }

    fn master(&mut self, link: &Link, now: &mut KernelLink) {
        if now.master.as_deref() == master_name(link.master.as_ref()) {
            return;
        }
        let Some(master) = &link.master else {
            return self.make(LinkStep::Release { name: link.name.to_string() });
        };
        let kind = self.wanted.get(master.as_str()).map(|master| &master.kind);
        if matches!(kind, Some(LinkKind::Bond { .. })) {
            // a bond takes only ports that are down, and sets them up itself
            if now.state == LinkState::Up {
                self.make(LinkStep::Lower { name: link.name.to_string() });
            }
            now.state = LinkState::Up;
        }
        self.make(LinkStep::Enslave { name: link.name.clone(), master: master.clone() });
        now.port = matches!(kind, Some(LinkKind::Bridge { .. })).then_some(PortFlags::NEW);
        now.vlans.clear();
        now.tunnels.clear();
    }

    fn bridging(&mut self, link: &Link, now: &KernelLink) {
        let name = &link.name;
        if let Some(flags) = link.bridge_port.as_ref().map(PortFlags::of).filter(|flags| now.port != Some(*flags)) {
            self.make(LinkStep::SetPort { name: name.clone(), flags });
        }
        let tunnels: BTreeMap<VlanId, Vni> = match &link.kind {
            LinkKind::Vxlan { vnis, .. } => vnis.iter().map(|map| (map.vlan, map.vni)).collect(),
            _ => BTreeMap::new(),
        };
        for (&vlan, &vni) in now.tunnels.iter().filter(|(vlan, vni)| tunnels.get(*vlan).is_none_or(|wanted| wanted.get() != **vni)) {
            self.make(LinkStep::UnmapTunnel { name: name.clone(), vlan, vni });
        }
        let (scope, vlans) = wanted_vlans(link, &tunnels);
        for &vlan in now.vlans.keys().filter(|vlan| !vlans.contains_key(vlan)) {
            self.make(LinkStep::RemoveVlan { name: name.clone(), scope, vlan });
        }
        let accepted: BTreeSet<u32> = if let KernelKind::Vxlan { vnis, .. } = &now.kind { vnis.clone() } else { BTreeSet::new() };
        let filter: BTreeSet<Vni> = tunnels.values().copied().collect();
        let filtered: BTreeSet<u32> = filter.iter().map(|vni| vni.get()).collect();
        for &vni in accepted.difference(&filtered) {
            self.make(LinkStep::RemoveVni { name: name.clone(), vni });
        }
        for (vlan, tagging) in vlans.into_iter().filter(|(vlan, tagging)| now.vlans.get(vlan) != Some(tagging)) {
            self.make(LinkStep::AddVlan { name: name.clone(), scope, vlan, tagging });
        }
        for &vni in filter.iter().filter(|vni| !accepted.contains(&vni.get())) {
            self.make(LinkStep::AddVni { name: name.clone(), vni });
        }
        for (vlan, vni) in tunnels.into_iter().filter(|(vlan, vni)| now.tunnels.get(vlan) != Some(&vni.get())) {
            self.make(LinkStep::MapTunnel { name: name.clone(), vlan, vni });
        }
    }

    /// An SVI with a MAC address of its own (an anycast gateway): the bridge must know it, or it floods what is sent there to all ports and tunnels.
    fn gateway_mac(&mut self, link: &Link) {
        let LinkKind::Vlan { lower, id } = &link.kind else { return };
        let Some(bridge) = self.wanted.get(lower.as_str()).filter(|lower| matches!(lower.kind, LinkKind::Bridge { .. })) else { return };
        let Some(mac) = link.mac.filter(|mac| bridge.mac != Some(*mac)) else { return };
        let known = self.now.links.get(lower.as_str()).is_some_and(|bridge| bridge.local_macs.contains(&(*id, mac.bytes())));
        if !known {
            self.make(LinkStep::AddLocalMac { name: lower.clone(), vlan: *id, mac });
        }
    }

    fn addresses(&mut self, link: &Link, now: &KernelLink, ours: bool) {
        for (&address, owner) in &now.addresses {
            if (ours || *owner == AddressOwner::Ours) && !link.addresses.contains(&address) {
                self.make(LinkStep::RemoveAddress { name: link.name.clone(), address });
            }
        }
        for &address in link.addresses.iter().filter(|address| !now.addresses.contains_key(address)) {
            self.make(LinkStep::AddAddress { name: link.name.clone(), address });
        }
    }

    /// Links that `links.json` does not name and that sit in a master of ours: a port given back, or a stranger. They are taken out, not deleted.
    fn strangers(&mut self) {
        let strangers: Vec<String> = self
            .now
            .links
            .iter()
            .filter(|(name, link)| {
                let in_ours =
                    link.master.as_ref().is_some_and(|master| self.now.links.get(master).is_some_and(|above| above.is_ours(master)));
                in_ours && !self.wanted.contains_key(name.as_str()) && !link.is_ours(name)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in strangers {
            self.make(LinkStep::Release { name });
        }
    }

    fn routes(&mut self, wanted: &'a [Route]) {
        for route in wanted {
            let key = RouteKey::of(route);
            match self.now.routes.get(&key) {
                Some(there) if there.target.is(&route.target) => continue,
                Some(there) if there.protocol == ROUTE_PROTOCOL => self.make(LinkStep::RemoveRoute(key)),
                Some(_) => {
                    self.out.conflicts.push(Conflict::ForeignRoute { prefix: route.prefix.to_string(), table: route.table });
                    continue;
                }
                None => {}
            }
            match route.target {
                RouteTargetKind::Unreachable {} => self.make(LinkStep::AddRoute(route.clone())),
                RouteTargetKind::Via { .. } => self.out.raise.push(LinkStep::AddRoute(route.clone())),
            }
        }
    }
}

/// VLANs that a link should have, and where they are set.
fn wanted_vlans(link: &Link, tunnels: &BTreeMap<VlanId, Vni>) -> (VlanScope, BTreeMap<VlanId, Tagging>) {
    match (&link.kind, &link.bridge_port) {
        (LinkKind::Bridge { vlans, .. }, _) => (VlanScope::Bridge, vlans.iter().map(|vlan| (*vlan, Tagging::Tagged)).collect()),
        (_, Some(BridgePort::Access { vlan, .. })) => (VlanScope::Port, BTreeMap::from([(*vlan, Tagging::PvidUntagged)])),
        (_, Some(BridgePort::Tunnel {})) => (VlanScope::Port, tunnels.keys().map(|vlan| (*vlan, Tagging::Tagged)).collect()),
        (_, None) => (VlanScope::Port, BTreeMap::new()),
    }
}

/// The link-local address of a MAC address (RFC 4291, appendix A).
fn link_local_address([a, b, c, d, e, f]: [u8; 6]) -> Option<HostAddress> {
    let address = Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    HostAddress::new(address.into(), 64)
}

/// A link as `Create` makes it. MTU and MAC address are unknown, so that they are set.
fn newborn(kind: &LinkKind) -> KernelLink {
    let kind = match kind {
        LinkKind::Physical {} | LinkKind::Loopback {} => KernelKind::Other(kind_word(kind).to_owned()),
        LinkKind::Vrf { table } => KernelKind::Vrf { table: *table },
        LinkKind::Bridge { maximum_macs, .. } => {
            KernelKind::Bridge { vlan_filtering: true, default_pvid: 0, multicast_snooping: false, maximum_macs: Some(*maximum_macs) }
        }
        LinkKind::Vxlan { local, .. } => {
            KernelKind::Vxlan { local: Some(*local), port: VXLAN_PORT, filtered: true, learning: false, vnis: BTreeSet::new() }
        }
        LinkKind::Vlan { lower, id } => KernelKind::Vlan { lower: Some(lower.to_string()), id: id.get() },
        LinkKind::Bond { miimon_ms } => KernelKind::Bond { active_backup: true, miimon_ms: *miimon_ms },
    };
    KernelLink {
        index: 0,
        alias: None,
        group: NEWBORN_GROUP,
        kind,
        mtu: 0,
        mac: None,
        master: None,
        addresses: BTreeMap::new(),
        link_local_addresses: [].into(),
        state: LinkState::Down,
        running: false,
        link_local: KernelLinkLocal::Eui64,
        port: None,
        vlans: BTreeMap::new(),
        tunnels: BTreeMap::new(),
        local_macs: BTreeSet::new(),
    }
}
