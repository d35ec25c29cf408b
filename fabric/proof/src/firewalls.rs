//! What a firewall machine lets through, out of its ruleset's tree, against what its intents allow: exactly that, for every pair of its interfaces.

use std::collections::BTreeMap;
use std::net::IpAddr;

use leafwall_policy::nft::{CtState, Hook};
use leafwall_policy::sets::{Field, Header, PacketSet};
use leafwall_policy::zone::{FirewallRules, Zone};
use leafwall_render::links::{Forwarding, LinkKind};
use leafwall_topology::IfName;

use crate::domains::{Domains, Place};
use crate::finding::Finding;
use crate::ground::Ground;
use crate::intended::{self, Allowed};
use crate::nft::{Certainty, Context, Translation};
use crate::read::Device;
use crate::switches::services;

/// The chain that only the agent on the machine fills, from the cluster's own rules.
const CLUSTER: &str = "cluster";

/// All checks of one firewall machine.
pub fn check(device: &Device, ground: &Ground<'_>, domains: &Domains) -> Vec<Finding> {
    let Some(firewall) = ground.firewall(&device.name) else { return Vec::new() };
    let Some(rules) = intended::firewall_rules(ground, firewall, &device.name) else {
        return vec![Finding::not_understood(format!("`{}`: its firewall's intents are not complete", device.name))];
    };
    let machine = Machine { device, rules: &rules, zones: zones(device, domains, &rules) };
    let mut findings = Vec::new();
    machine.forwarding(&mut findings);
    machine.services(&mut findings);
    if device.links.forwarding != Forwarding::AfterRuleset {
        let packet = ground.packet(machine.rules.zones.first().map(|zone| &zone.network), &[[255; 4].into()]);
        let message = format!("`{}` forwards before its ruleset is loaded (F22)", device.name);
        findings.push(Finding::isolation("firewall", message, packet, vec![format!("{}: no ruleset yet", device.name)]));
    }
    findings
}

/// The zones by the interfaces that packets come in and go out by: those that its links and tunnels really have.
fn zones<'a>(device: &Device, domains: &Domains, rules: &'a FirewallRules) -> BTreeMap<IfName, &'a Zone> {
    let mut found = BTreeMap::new();
    for (vlan, svi) in &device.svis {
        let Some(vni) = device.vni_of(*vlan) else { continue };
        let network = domains.network_of(&Place::Vni(vni));
        if let Some(zone) = network.and_then(|network| rules.zones.iter().find(|zone| zone.network == *network)) {
            found.insert(svi.clone(), zone);
            if let Some(vrf) = device.vrf_of(svi) {
                found.insert(vrf.clone(), zone);
            }
        }
    }
    found
}

struct Machine<'a> {
    device: &'a Device,
    rules: &'a FirewallRules,
    zones: BTreeMap<IfName, &'a Zone>,
}

impl Machine<'_> {
    fn inputs(&self) -> impl Iterator<Item = &IfName> {
        self.device
            .links
            .links
            .iter()
            .filter(|link| matches!(link.kind, LinkKind::Vrf { .. } | LinkKind::Physical {}))
            .map(|link| &link.name)
    }

    fn outputs(&self) -> impl Iterator<Item = &IfName> {
        self.device
            .links
            .links
            .iter()
            .filter(|link| matches!(link.kind, LinkKind::Vlan { .. } | LinkKind::Physical {}))
            .map(|link| &link.name)
    }

    fn forwarding(&self, findings: &mut Vec<Finding>) {
        for input in self.inputs() {
            for output in self.outputs() {
                let pair = (self.zones.get(input), self.zones.get(output));
                let allowed = match pair {
                    (Some(from), Some(to)) => intended::allowed(self.rules, from, to),
                    _ => Allowed::default(),
                };
                let pair = match pair {
                    (Some(from), Some(to)) => format!("from `{}` into `{}`", from.network, to.network),
                    _ => format!("from {input} to {output}"),
                };
                self.pair(input, output, &pair, &allowed, findings);
            }
        }
    }

    fn pair(&self, input: &IfName, output: &IfName, pair: &str, allowed: &Allowed, findings: &mut Vec<Finding>) {
        let name = &self.device.name;
        let mut path = vec![format!("{name}: in by {input}, out by {output}")];
        // whatever conntrack says of a packet that belongs to no flow that was let through
        let mut passed = PacketSet::none();
        for state in [CtState::New, CtState::Invalid, CtState::Untracked] {
            let context = Context { state, accepting: Some(CLUSTER), ..Context::new(Some(input), Some(output), Certainty::May) };
            passed = passed.or(&self.device.nft.accepted(&context, Hook::Forward));
        }
        if let Some(packet) = passed.minus(&allowed.bound).witness() {
            path.extend(self.explain(input, output, &packet, Some(CLUSTER)));
            let message = format!("`{name}` lets through {pair} what no policy allows");
            findings.push(Finding::isolation("firewall", message, Some(packet), path));
            return;
        }
        let context = Context::new(Some(input), Some(output), Certainty::May);
        let passed = self.device.nft.accepted(&context, Hook::Forward);
        if let Some(packet) = passed.minus(&allowed.packets).witness() {
            path.extend(self.explain(input, output, &packet, None));
            let message = format!("`{name}` lets through {pair} what no policy allows");
            findings.push(Finding::isolation("firewall", message, Some(packet), path));
            return;
        }
        let must = Context { certainty: Certainty::Must, ..context };
        if let Some(packet) = allowed.packets.minus(&self.device.nft.accepted(&must, Hook::Forward)).witness() {
            path.extend(self.explain(input, output, &packet, None));
            let message = format!("`{name}` drops {pair} what a policy allows");
            findings.push(Finding::reachability("firewall", message, Some(packet), path));
        }
        self.translation(pair, &passed, &self.device.nft.translations(&must), allowed, findings);
        self.answers(input, output, pair, allowed, findings);
    }

    /// What must be translated is, to the firewall's own addresses; what must not is not.
    fn translation(&self, pair: &str, passed: &PacketSet, actual: &[Translation], allowed: &Allowed, findings: &mut Vec<Finding>) {
        let name = &self.device.name;
        let mut untouched = passed.clone();
        for translation in actual {
            let here = passed.and(&translation.packets);
            untouched = untouched.minus(&here);
            let strangers: Vec<&IpAddr> = translation.to.iter().filter(|address| !allowed.to.contains(address)).collect();
            let wrong = if strangers.is_empty() { here.minus(&allowed.translated) } else { here };
            if let Some(packet) = wrong.witness() {
                let to = translation.to.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let message = format!("`{name}` translates {pair} to {to}, against the intents");
                findings.push(Finding::isolation("translation", message, Some(packet), vec![format!("{name}: source becomes {to}")]));
            }
        }
        if let Some(packet) = untouched.and(&allowed.translated).witness() {
            let message = format!("`{name}` lets out {pair} a source that has to be translated");
            findings.push(Finding::isolation(
                "translation",
                message,
                Some(packet),
                vec![format!("{name}: source stays {}", packet.source)],
            ));
        }
    }

    /// Packets of a known flow pass, as far as their source belongs to where they come from.
    fn answers(&self, input: &IfName, output: &IfName, pair: &str, allowed: &Allowed, findings: &mut Vec<Finding>) {
        let context = Context { state: CtState::Established, ..Context::new(Some(input), Some(output), Certainty::Must) };
        let passed = self.device.nft.accepted(&context, Hook::Forward);
        if let Some(packet) = allowed.packets.minus(&passed).witness() {
            let message = format!("`{}` drops {pair} packets of a flow that it let through", self.device.name);
            findings.push(Finding::reachability("firewall", message, Some(packet), vec![format!("{}: established", self.device.name)]));
        }
    }

    fn explain(&self, input: &IfName, output: &IfName, packet: &Header, accepting: Option<&'static str>) -> Vec<String> {
        let context = Context { accepting, ..Context::new(Some(input), Some(output), Certainty::May) };
        let chains = self.device.nft.explain(&context, Hook::Forward, packet);
        chains.into_iter().map(|chain| format!("{}: chain {chain}", self.device.name)).collect()
    }

    /// What others reach on the machine itself: BGP, BFD and tunnels by its uplinks, ICMP, by its management the operator, and the proxy for names where there is one.
    fn services(&self, findings: &mut Vec<Finding>) {
        for vrf in self.device.vrfs().map(|(vrf, _)| vrf) {
            let reached = self.device.nft.accepted(&Context::new(Some(vrf), None, Certainty::May), Hook::Input);
            // in-band management: the operator's SSH, to the machine's address for it alone
            let own = self.device.link(vrf).into_iter().flat_map(|link| link.addresses.iter().map(|address| address.address()));
            let own = PacketSet::union(own.map(|address| PacketSet::addresses(Field::Destination, address, address)));
            let ssh = PacketSet::protocol(6).and(&PacketSet::numbers(Field::DestinationPort, 22, 22)).and(&own);
            let names = self.zones.get(vrf).map_or_else(PacketSet::none, |zone| intended::names(self.rules, zone));
            if let Some(packet) = reached.minus(&services()).minus(&ssh).minus(&names).witness() {
                let message = format!("`{}`: what comes in by {vrf} reaches the machine's own services", self.device.name);
                findings.push(Finding::isolation("services", message, Some(packet), vec![format!("{}: input chain", self.device.name)]));
            }
        }
    }
}
