//! A step that is still to be done, said as a difference.

use std::collections::BTreeSet;

use leafwall_render::links::{LinkKind, LinkLocal, RouteTargetKind};

use super::kernel::{Kernel, KernelKind, KernelLink, KernelLinkLocal, PortFlags, RouteKey, Tagging};
use super::step::{LinkStep, kind_word};
use super::{Conflict, LinkDiff};
use crate::report::{Backend, Difference};

impl LinkDiff {
    /// What differs, each thing once.
    pub fn differences(&self, observed: &Kernel) -> Vec<Difference> {
        let mut found: Vec<Difference> = self.conflicts.iter().map(conflict).collect();
        // a link that is yet to be made says enough; what is to be set on it goes without saying
        let created: BTreeSet<&str> =
            self.make.iter().filter_map(|step| if let LinkStep::Create { name, .. } = step { Some(name.as_str()) } else { None }).collect();
        let is_detail =
            |step: &&LinkStep| !matches!(step, LinkStep::Create { .. }) && step.link().is_some_and(|name| created.contains(name));
        found.extend(self.steps().filter(|step| !is_detail(step)).map(|step| difference(step, observed)));
        found
    }
}

fn conflict(conflict: &Conflict) -> Difference {
    match conflict {
        Conflict::Foreign { .. } | Conflict::ForeignRoute { .. } => Difference::foreign(Backend::Links, conflict.to_string()),
        Conflict::Missing { .. } | Conflict::NotOurName { .. } | Conflict::Blocked { .. } => {
            Difference::missing(Backend::Links, conflict.to_string())
        }
    }
}

fn difference(step: &LinkStep, observed: &Kernel) -> Difference {
    const LINKS: Backend = Backend::Links;
    let now = step.link().and_then(|name| observed.links.get(name));
    match step {
        LinkStep::Create { name, kind } => Difference::missing(LINKS, format!("{} `{name}`", kind_word(kind))),
        LinkStep::Delete { name } => Difference::surplus(LINKS, format!("link `{name}`, ours and no longer wanted")),
        LinkStep::Mark { name } => Difference::changed(LINKS, format!("alias of `{name}`")),
        LinkStep::SetOptions { name, kind } => {
            Difference::changed(LINKS, format!("options of `{name}`")).expected(wanted_options(kind)).observed(options(now))
        }
        LinkStep::SetMac { name, mac } => {
            let there = now
                .and_then(|link| link.mac)
                .map_or("none".into(), |[a, b, c, d, e, f]| format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"));
            Difference::changed(LINKS, format!("MAC address of `{name}`")).expected(mac.to_string()).observed(there)
        }
        LinkStep::SetMtu { name, mtu } => Difference::changed(LINKS, format!("MTU of `{name}`"))
            .expected(mtu.to_string())
            .observed(now.map_or(0, |link| link.mtu).to_string()),
        LinkStep::SetLinkLocal { name, link_local } => {
            let expected = if *link_local == LinkLocal::None { "none" } else { "eui64" };
            let there = match now.map(|link| link.link_local) {
                Some(KernelLinkLocal::Eui64) => "eui64",
                Some(KernelLinkLocal::None) => "none",
                Some(KernelLinkLocal::Other | KernelLinkLocal::Absent) | None => "other",
            };
            Difference::changed(LINKS, format!("link-local addresses of `{name}`")).expected(expected).observed(there)
        }
        LinkStep::Enslave { name, master } => {
            Difference::changed(LINKS, format!("master of `{name}`")).expected(master.to_string()).observed(master_of(now))
        }
        LinkStep::Release { name } => Difference::changed(LINKS, format!("master of `{name}`")).expected("none").observed(master_of(now)),
        LinkStep::SetPort { name, flags } => {
            let there = now.and_then(|link| link.port).map_or("not a port".into(), port);
            Difference::changed(LINKS, format!("bridge port `{name}`")).expected(port(*flags)).observed(there)
        }
        LinkStep::AddVlan { name, vlan, tagging, .. } => match now.and_then(|link| link.vlans.get(vlan)) {
            Some(there) => Difference::changed(LINKS, format!("VLAN {vlan} on `{name}`")).expected(word(*tagging)).observed(word(*there)),
            None => Difference::missing(LINKS, format!("VLAN {vlan} on `{name}`")),
        },
        LinkStep::RemoveVlan { name, vlan, .. } => Difference::surplus(LINKS, format!("VLAN {vlan} on `{name}`")),
        LinkStep::AddVni { name, vni } => Difference::missing(LINKS, format!("VNI {vni} on `{name}`")),
        LinkStep::RemoveVni { name, vni } => Difference::surplus(LINKS, format!("VNI {vni} on `{name}`")),
        LinkStep::MapTunnel { name, vlan, vni } => Difference::missing(LINKS, format!("VLAN {vlan} as VNI {vni} on `{name}`")),
        LinkStep::UnmapTunnel { name, vlan, vni } => Difference::surplus(LINKS, format!("VLAN {vlan} as VNI {vni} on `{name}`")),
        LinkStep::AddAddress { name, address } => Difference::missing(LINKS, format!("address {address} on `{name}`")),
        LinkStep::RemoveAddress { name, address } => Difference::surplus(LINKS, format!("address {address} on `{name}`")),
        LinkStep::AddLocalMac { name, vlan, mac } => Difference::missing(LINKS, format!("MAC address {mac} of VLAN {vlan} on `{name}`")),
        LinkStep::Raise { name } => Difference::changed(LINKS, format!("state of `{name}`")).expected("up").observed("down"),
        LinkStep::Lower { name } => Difference::changed(LINKS, format!("state of `{name}`")).expected("down").observed("up"),
        LinkStep::AddRoute(route) => {
            let how = match &route.target {
                RouteTargetKind::Unreachable {} => "unreachable".to_owned(),
                RouteTargetKind::Via { gateway } => format!("via {gateway}"),
            };
            Difference::missing(LINKS, format!("route {} {how} in table {}", route.prefix, route.table))
        }
        LinkStep::RemoveRoute(RouteKey { table, prefix, .. }) => Difference::surplus(LINKS, format!("route {prefix} in table {table}")),
    }
}

fn master_of(link: Option<&KernelLink>) -> String {
    link.and_then(|link| link.master.clone()).unwrap_or_else(|| "none".into())
}

const fn word(tagging: Tagging) -> &'static str {
    match tagging {
        Tagging::Tagged => "tagged",
        Tagging::PvidUntagged => "untagged",
        Tagging::Other => "other",
    }
}

fn port(flags: PortFlags) -> String {
    let word = |on, name: &str| format!("{name} {}", if on { "on" } else { "off" });
    [
        word(flags.learning, "learning"),
        word(flags.neighbour_suppression, "neigh_suppress"),
        word(flags.vlan_tunnel, "vlan_tunnel"),
        word(flags.isolated, "isolated"),
    ]
    .join(" ")
}

fn wanted_options(kind: &LinkKind) -> String {
    match kind {
        LinkKind::Bridge { maximum_macs, .. } => format!("vlan_filtering, no default VLAN, no snooping, fdb_max_learned {maximum_macs}"),
        LinkKind::Vxlan { .. } => "nolearning".into(),
        LinkKind::Bond { miimon_ms } => format!("miimon {miimon_ms}"),
        LinkKind::Physical {} | LinkKind::Loopback {} | LinkKind::Vrf { .. } | LinkKind::Vlan { .. } => String::new(),
    }
}

fn options(link: Option<&KernelLink>) -> String {
    match link.map(|link| &link.kind) {
        Some(KernelKind::Bridge { vlan_filtering, default_pvid, multicast_snooping, maximum_macs }) => format!(
            "vlan_filtering {vlan_filtering}, default VLAN {default_pvid}, snooping {multicast_snooping}, fdb_max_learned {}",
            maximum_macs.map_or_else(|| "unknown".into(), |most| most.to_string())
        ),
        Some(KernelKind::Vxlan { learning, .. }) => format!("learning {learning}"),
        Some(KernelKind::Bond { miimon_ms, .. }) => format!("miimon {miimon_ms}"),
        _ => String::new(),
    }
}
