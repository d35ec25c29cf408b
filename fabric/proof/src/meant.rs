//! What intents say works between two endpoints: within a network, over a peering, through firewalls.

use std::net::IpAddr;

use leafwall_intent::model::{Firewall, Network, NetworkType, PeeringSide};
use leafwall_policy::protocols::{ICMP, ICMPV6};
use leafwall_policy::sets::{Field, Header, PacketSet};
use leafwall_policy::zone::{FirewallRules, Zone};
use leafwall_render::inventory::LabEndpoint;
use leafwall_topology::{Family, Name};

use crate::failures::Station;
use crate::intended;
use crate::matrix::{Matcher, Site};

/// Packets that work by one intent, or by two firewalls' together.
#[derive(Debug, Clone)]
pub(crate) struct Meant {
    /// Which.
    pub packets: PacketSet,
    /// Which intent, in words.
    pub why: String,
    /// What they meet on their way.
    pub way: Vec<Station>,
}

impl Matcher<'_, '_> {
    /// What intents say works between two addresses.
    pub(crate) fn meant(&self, from: &LabEndpoint, source: IpAddr, to: &LabEndpoint, destination: IpAddr) -> Vec<Meant> {
        let ground = self.fabric.ground;
        let (here, there) = (self.site(from), self.site(to));
        let network = match &here {
            Site::Machine(network) | Site::Outside(network) => network.clone(),
            Site::Firewall | Site::Nowhere => return Vec::new(),
        };
        let ends = || vec![station(&here, from), station(&there, to)];
        if let (Site::Machine(a), Site::Machine(b)) = (&here, &there) {
            if a == b {
                return vec![Meant { packets: PacketSet::all(), why: format!("network {a}"), way: ends() }];
            }
            for peering in ground.peerings_of(a) {
                let inside = |side: &PeeringSide, network: &Name, address: IpAddr| {
                    side.network == *network && side.prefixes.iter().any(|prefix| prefix.contains_address(address))
                };
                let [one, other] = &peering.sides;
                if (inside(one, a, source) && inside(other, b, destination)) || (inside(other, a, source) && inside(one, b, destination)) {
                    return vec![Meant { packets: PacketSet::all(), why: format!("peering {}", peering.name), way: ends() }];
                }
            }
        }
        let through = ground.firewalls_in(&network).iter().filter_map(|firewall| {
            let mut meant = self.through(firewall, &network, source, &there, to, destination)?;
            meant.way.insert(0, station(&here, from));
            meant.way.push(station(&there, to));
            Some(meant)
        });
        through.filter(|meant| !meant.packets.is_empty()).collect()
    }

    /// Through a firewall, and where that leads to an external network, from there through the firewall of whoever has the address.
    fn through(
        &self,
        firewall: &Firewall,
        network: &Name,
        source: IpAddr,
        there: &Site,
        to: &LabEndpoint,
        destination: IpAddr,
    ) -> Option<Meant> {
        let ground = self.fabric.ground;
        let (rules, active, near) = (ground.rules_of(&firewall.name)?, self.standing().active(firewall), ground.network(network)?);
        // with all of its machines down the first one's intents are still what nothing may go beyond
        let active = active.or(firewall.servers.first())?;
        // what the firewall announces in a network is the way to it
        let leads = |machine: &Name, firewall: &Firewall, network: &Network, to: IpAddr| {
            let drawn = ground.firewall_routes(machine, firewall, network).destinations();
            drawn.contains(&Header { source: to, destination: to, protocol: 0, source_port: 0, destination_port: 0, vni: 0 })
        };
        if !leads(active, firewall, near, destination) {
            return None;
        }
        let itself = Station::Firewall(firewall.name.clone());
        if *there == Site::Firewall {
            let own = near.tenant.as_ref() == Some(&firewall.tenant);
            let elsewhere = rules.zones.iter().any(|zone| zone.network != *network && named(zone, destination));
            let names = zone(rules, network).map_or_else(PacketSet::none, |zone| intended::names(rules, zone));
            let asks = if to.node == *active && own && !elsewhere { echo(destination).or(&names) } else { PacketSet::none() };
            // where only a default route leads there, it has to be learned from outside
            let learned = |network: &&Network| {
                network.kind == NetworkType::External && network.destinations.iter().any(|prefix| prefix.contains_address(destination))
            };
            let outside = firewall.networks.iter().filter_map(|name| ground.network(name)).filter(learned);
            let way = [itself].into_iter().chain(outside.map(|network| Station::External(network.name.clone()))).collect();
            return Some(Meant { packets: asks, why: format!("firewall {}", firewall.name), way });
        }
        let input = zone(rules, network)?;
        let pair =
            PacketSet::addresses(Field::Source, source, source).and(&PacketSet::addresses(Field::Destination, destination, destination));
        let others = || rules.zones.iter().filter(|zone| zone.network != *network);
        // the network with the longest prefix around the destination
        let length = |zone: &Zone| zone.prefixes.iter().filter(|p| p.contains_address(destination)).map(|p| p.length()).max();
        let output = others().filter(|zone| length(zone).is_some()).max_by_key(|zone| length(zone))?;
        let allowed = intended::allowed(rules, input, output);
        let passing = allowed.packets.and(&pair);
        let at = match there {
            Site::Machine(network) | Site::Outside(network) => network,
            Site::Firewall | Site::Nowhere => return None,
        };
        if *at == output.network {
            return Some(Meant { packets: passing, why: format!("firewall {}", firewall.name), way: vec![itself] });
        }
        // on from an external network, as somebody outside
        let middle = ground.network(&output.network).filter(|network| network.kind == NetworkType::External)?;
        let translated = !passing.and(&allowed.translated).is_empty();
        let sources: Vec<IpAddr> =
            if translated { allowed.to.iter().copied().filter(|to| Family::of(*to) == Family::of(source)).collect() } else { vec![source] };
        for other in ground.firewalls_in(&middle.name).iter().filter(|other| other.name != firewall.name) {
            let Some(rules) = ground.rules_of(&other.name) else { continue };
            let Some(machine) = self.standing().active(other).or(other.servers.first()) else { continue };
            if !other.networks.contains(at) || !leads(machine, other, middle, destination) {
                continue;
            }
            let (Some(input), Some(output)) = (zone(rules, &middle.name), zone(rules, at)) else { continue };
            let theirs = intended::allowed(rules, input, output).packets;
            let by_all = sources.iter().fold(PacketSet::all(), |set, source| {
                let from = theirs.and(&PacketSet::addresses(Field::Source, *source, *source));
                set.and(&from.forget(Field::Source).forget(Field::SourcePort))
            });
            return Some(Meant {
                packets: passing.and(&by_all),
                why: format!("firewalls {} and {}", firewall.name, other.name),
                // the way into the external network is a default route, which is there while it is learned outside
                way: vec![itself, Station::External(middle.name.clone()), Station::Firewall(other.name.clone())],
            });
        }
        None
    }
}

fn station(site: &Site, endpoint: &LabEndpoint) -> Station {
    match site {
        Site::Outside(network) => Station::External(network.clone()),
        // a firewall machine that is an end itself is one machine
        Site::Machine(_) | Site::Firewall | Site::Nowhere => Station::Machine(endpoint.node.clone()),
    }
}

fn zone<'f>(rules: &'f FirewallRules, network: &Name) -> Option<&'f Zone> {
    rules.zones.iter().find(|zone| zone.network == *network)
}

/// Whether a zone has an address by more than its default route.
fn named(zone: &Zone, address: IpAddr) -> bool {
    zone.prefixes.iter().any(|prefix| !prefix.is_default() && prefix.contains_address(address))
}

fn echo(to: IpAddr) -> PacketSet {
    let (protocol, kind) = match to {
        IpAddr::V4(_) => (ICMP, 8),
        IpAddr::V6(_) => (ICMPV6, 128),
    };
    PacketSet::protocol(protocol).and(&PacketSet::numbers(Field::DestinationPort, kind, kind))
}
