//! A small model of the kernel that refuses what the kernel refuses. It shares no code with the comparison.

use std::collections::BTreeMap;

use leafwall_render::links::{LinkKind, LinkLocal, LinkState, RouteTargetKind};
use leafwall_topology::Family;

use super::kernel::*;
use super::step::{LinkStep, VlanScope};

impl Kernel {
    pub fn with_ports(ports: &[&str]) -> Self {
        let mut kernel = Self::default();
        kernel.links.insert("lo".into(), link(KernelKind::Loopback));
        for port in ports {
            kernel.links.insert((*port).into(), link(KernelKind::Other("veth".into())));
        }
        kernel
    }

    fn at(&mut self, name: &str) -> Result<&mut KernelLink, String> {
        self.links.get_mut(name).ok_or_else(|| format!("no device {name}"))
    }

    fn vanish(&mut self, name: &str) {
        self.links.remove(name);
        let names: Vec<String> = self.links.keys().cloned().collect();
        for other in names {
            let Some(link) = self.links.get_mut(&other) else { continue };
            if link.master.as_deref() == Some(name) {
                leave(link);
            }
            if matches!(&link.kind, KernelKind::Vlan { lower: Some(lower), .. } if lower == name) {
                self.vanish(&other);
            }
        }
    }

    /// Does one step, or says why the kernel would not.
    pub fn apply(&mut self, step: &LinkStep) -> Result<(), String> {
        match step {
            LinkStep::Create { name, kind } => {
                if self.links.contains_key(name.as_str()) {
                    return Err(format!("{name} exists"));
                }
                if let LinkKind::Vlan { lower, .. } = kind {
                    self.at(lower.as_str())?;
                }
                self.links.insert(name.to_string(), KernelLink { group: NEWBORN_GROUP, ..link(made(kind)) });
            }
            LinkStep::Mark { name } => self.at(name.as_str())?.alias = Some("leafwall".into()),
            LinkStep::SetOptions { name, kind } => match (&mut self.at(name.as_str())?.kind, made(kind)) {
                (KernelKind::Vxlan { learning, .. }, _) => *learning = false,
                (now @ (KernelKind::Bridge { .. } | KernelKind::Bond { .. }), wanted) => *now = wanted,
                _ => return Err(format!("{name} has no options")),
            },
            LinkStep::SetMac { name, mac } => self.at(name.as_str())?.mac = Some(mac.bytes()),
            LinkStep::SetMtu { name, mtu } => self.at(name.as_str())?.mtu = mtu.get().into(),
            LinkStep::SetLinkLocal { name, link_local } => {
                self.at(name.as_str())?.link_local = match link_local {
                    LinkLocal::Eui64 => KernelLinkLocal::Eui64,
                    LinkLocal::None => KernelLinkLocal::None,
                }
            }
            LinkStep::Enslave { name, master } => {
                let above = self.at(master.as_str())?.kind.clone();
                let link = self.at(name.as_str())?;
                leave(link);
                match above {
                    KernelKind::Vrf { .. } => {}
                    KernelKind::Bridge { default_pvid, .. } => {
                        link.port = Some(PortFlags::NEW);
                        if let Ok(vlan) = u64::from(default_pvid).try_into() {
                            link.vlans.insert(vlan, Tagging::PvidUntagged);
                        }
                    }
                    KernelKind::Bond { .. } if link.state == LinkState::Up => return Err(format!("{name} is up")),
                    KernelKind::Bond { .. } => link.state = LinkState::Up,
                    _ => return Err(format!("{master} takes no ports")),
                }
                link.master = Some(master.to_string());
            }
            LinkStep::Release { name } => leave(self.at(name)?),
            LinkStep::SetPort { name, flags } => *self.at(name.as_str())?.port.as_mut().ok_or("not a port")? = *flags,
            LinkStep::AddVlan { name, scope, vlan, tagging } => {
                let link = self.at(name.as_str())?;
                if (*scope == VlanScope::Bridge) != matches!(link.kind, KernelKind::Bridge { .. })
                    || (*scope == VlanScope::Port && link.port.is_none())
                {
                    return Err(format!("{name} is no place for a VLAN"));
                }
                if *tagging == Tagging::PvidUntagged {
                    link.vlans
                        .values_mut()
                        .filter(|tagging| **tagging == Tagging::PvidUntagged)
                        .for_each(|tagging| *tagging = Tagging::Other);
                }
                link.vlans.insert(*vlan, *tagging);
            }
            LinkStep::RemoveVlan { name, vlan, .. } => {
                let link = self.at(name.as_str())?;
                link.tunnels.remove(vlan);
                link.local_macs.retain(|(there, _)| there != vlan);
                link.vlans.remove(vlan).ok_or("no such VLAN")?;
            }
            LinkStep::AddVni { name, vni } => {
                if !vnis(self.at(name.as_str())?)?.insert(vni.get()) {
                    return Err(format!("VNI {vni} exists"));
                }
            }
            LinkStep::RemoveVni { name, vni } => {
                if !vnis(self.at(name.as_str())?)?.remove(vni) {
                    return Err(format!("no VNI {vni}"));
                }
            }
            LinkStep::MapTunnel { name, vlan, vni } => {
                let link = self.at(name.as_str())?;
                if !link.port.is_some_and(|port| port.vlan_tunnel) || !link.vlans.contains_key(vlan) {
                    return Err(format!("{name} can't map VLAN {vlan}"));
                }
                if link.tunnels.contains_key(vlan) || link.tunnels.values().any(|id| *id == vni.get()) {
                    return Err(format!("VLAN {vlan} or VNI {vni} is mapped"));
                }
                link.tunnels.insert(*vlan, vni.get());
            }
            LinkStep::UnmapTunnel { name, vlan, .. } => {
                self.at(name.as_str())?.tunnels.remove(vlan).ok_or("not mapped")?;
            }
            LinkStep::AddLocalMac { name, vlan, mac } => {
                let link = self.at(name.as_str())?;
                if !matches!(link.kind, KernelKind::Bridge { .. })
                    || !link.vlans.contains_key(vlan)
                    || !link.local_macs.insert((*vlan, mac.bytes()))
                {
                    return Err(format!("{name} can't take {mac} in VLAN {vlan}"));
                }
            }
            LinkStep::AddAddress { name, address } if is_link_local(*address) => {
                self.at(name.as_str())?.link_local_addresses.insert(*address);
            }
            LinkStep::RemoveAddress { name, address } if is_link_local(*address) => {
                self.at(name.as_str())?.link_local_addresses.remove(address);
            }
            LinkStep::AddAddress { name, address } => {
                if self.at(name.as_str())?.addresses.insert(*address, AddressOwner::Ours).is_some() {
                    return Err(format!("{address} exists"));
                }
            }
            LinkStep::RemoveAddress { name, address } => {
                self.at(name.as_str())?.addresses.remove(address).ok_or("no such address")?;
            }
            LinkStep::Raise { name } => self.at(name.as_str())?.state = LinkState::Up,
            LinkStep::Lower { name } => self.at(name)?.state = LinkState::Down,
            LinkStep::AddRoute(route) => {
                let metric = if route.metric == 0 && route.prefix.family() == Family::V6 { 1024 } else { route.metric };
                let target = match route.target {
                    RouteTargetKind::Unreachable {} => KernelRouteTarget::Unreachable,
                    RouteTargetKind::Via { gateway } => KernelRouteTarget::Via(gateway),
                };
                let key = RouteKey { table: route.table, prefix: route.prefix, metric };
                if self.routes.insert(key, KernelRoute { target, protocol: ROUTE_PROTOCOL }).is_some() {
                    return Err(format!("a route to {} exists", route.prefix));
                }
            }
            LinkStep::RemoveRoute(key) => {
                self.routes.remove(key).ok_or("no such route")?;
            }
            LinkStep::Delete { name } => {
                self.at(name)?;
                self.vanish(name);
            }
        }
        Ok(())
    }
}

fn vnis(link: &mut KernelLink) -> Result<&mut std::collections::BTreeSet<u32>, String> {
    match &mut link.kind {
        KernelKind::Vxlan { vnis, .. } => Ok(vnis),
        _ => Err("not a VXLAN device".into()),
    }
}

fn leave(link: &mut KernelLink) {
    link.master = None;
    link.port = None;
    link.tunnels.clear();
    if !matches!(link.kind, KernelKind::Bridge { .. }) {
        link.vlans.clear();
    }
}

fn made(kind: &LinkKind) -> KernelKind {
    match kind.clone() {
        LinkKind::Physical {} | LinkKind::Loopback {} => KernelKind::Other("never".into()),
        LinkKind::Vrf { table } => KernelKind::Vrf { table },
        LinkKind::Bridge { maximum_macs, .. } => {
            KernelKind::Bridge { vlan_filtering: true, default_pvid: 0, multicast_snooping: false, maximum_macs: Some(maximum_macs) }
        }
        LinkKind::Vxlan { local, .. } => {
            KernelKind::Vxlan { local: Some(local), port: 4789, filtered: true, learning: false, vnis: [].into() }
        }
        LinkKind::Vlan { lower, id } => KernelKind::Vlan { lower: Some(lower.to_string()), id: id.get() },
        LinkKind::Bond { miimon_ms } => KernelKind::Bond { active_backup: true, miimon_ms },
    }
}

pub fn link(kind: KernelKind) -> KernelLink {
    KernelLink {
        index: 1,
        alias: None,
        group: 0,
        kind,
        mtu: 1500,
        mac: Some([2, 0, 0, 0, 0, 1]),
        master: None,
        addresses: BTreeMap::new(),
        link_local_addresses: [].into(),
        state: LinkState::Down,
        running: false,
        link_local: KernelLinkLocal::Eui64,
        port: None,
        vlans: BTreeMap::new(),
        tunnels: BTreeMap::new(),
        local_macs: [].into(),
    }
}
