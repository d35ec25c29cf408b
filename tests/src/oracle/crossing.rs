//! What a firewall does with the first packet of a flow.

use leafwall_intent::model::{Firewall, Network, NetworkType};
use leafwall_policy::rule::{Action, Peer, PortMatch, Protocol, Rule};
use leafwall_policy::zone::Access;
use leafwall_topology::{Family, Prefix};

use super::endpoints::Endpoint;
use super::walk::{Party, Question, own_prefixes};
use super::{Kind, Oracle, Result, inside, inside_any};

/// Whose a network is, as a firewall sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    Own,
    Shared,
    External,
}

pub(super) fn zone(network: &Network, firewall: &Firewall) -> Zone {
    match network.kind {
        NetworkType::External => Zone::External,
        _ if network.tenant.as_ref() == Some(&firewall.tenant) => Zone::Own,
        NetworkType::Shared | NetworkType::Private => Zone::Shared,
    }
}

/// What becomes of it.
pub(super) enum Outcome<'a> {
    Drop,
    /// It passes, and its source is this from now on.
    Pass(Party<'a>),
}

/// A flow at a firewall.
struct Flow<'f> {
    here: &'f Network,
    there: &'f Network,
    source: &'f [Prefix],
    destination: &'f [Prefix],
    family: Family,
    kind: Kind,
}

impl<'a> Oracle<'a> {
    pub(super) fn cross(
        &'a self,
        question: Question<'a>,
        firewall: &'a Firewall,
        here: &Network,
        there: &Network,
        source: &Party<'a>,
    ) -> Result<Outcome<'a>> {
        let destination = Self::destination(question).address;
        let flow = Flow { here, there, source: &source.address, destination: &destination, family: question.family, kind: question.kind };
        if !self.belongs(firewall, here, &source.address)? || Self::bounded(firewall, &flow)? || !self.allowed(firewall, &flow)? {
            return Ok(Outcome::Drop);
        }
        if zone(here, firewall) != Zone::Own {
            return Ok(Outcome::Pass(source.clone()));
        }
        if !self.translated(firewall, &flow)? {
            // an elastic address is known in its own network alone: elsewhere no answer would find back to it
            let elsewhere = |end: &Endpoint<'_>| end.elastic.is_some_and(|address| address.network != there.name);
            let lost = source.endpoint.is_some_and(elsewhere);
            return Ok(if lost { Outcome::Drop } else { Outcome::Pass(source.clone()) });
        }
        let address: Vec<Prefix> = self.egress(firewall, there).into_iter().filter(|prefix| prefix.family() == flow.family).collect();
        if address.is_empty() {
            return Ok(Outcome::Drop); // what can't be translated does not go out as it is
        }
        Ok(Outcome::Pass(Party { address, endpoint: None, held_by: Some(firewall) }))
    }

    /// The addresses to which a firewall translates in a network.
    fn egress(&self, firewall: &Firewall, network: &Network) -> Vec<Prefix> {
        let addresses = firewall.egress.get(&network.name).into_iter().flatten().map(|name| &self.model.addresses[name]);
        let of = |fixed: Option<std::net::IpAddr>| {
            if let Some(address) = fixed {
                return vec![Prefix::host(address)];
            }
            let family = network.prefixes.iter().map(|prefix| prefix.family()).min();
            network.prefixes.iter().copied().filter(|prefix| Some(prefix.family()) == family).collect()
        };
        addresses.flat_map(|address| of(address.address)).collect()
    }

    /// Addresses of the firewall's tenant that its servers may have: no firewall translates to them.
    fn on_servers(&self, firewall: &Firewall) -> impl Iterator<Item = (&leafwall_topology::Name, Vec<Prefix>)> {
        let translated = |name| self.model.firewalls.values().any(|other| other.egress.values().flatten().any(|held| held == name));
        self.model.addresses.values().filter(move |address| address.tenant == firewall.tenant && !translated(&address.name)).map(
            |address| {
                let network = &self.model.networks[&address.network];
                (&address.network, address.address.map_or_else(|| network.prefixes.clone(), |fixed| vec![Prefix::host(fixed)]))
            },
        )
    }

    /// All that a network consists of, and, but for default routes, all that is reached through it.
    fn extent(&self, firewall: &Firewall, network: &Network) -> Vec<Prefix> {
        let mut extent: Vec<Prefix> = own_prefixes(network).collect();
        if zone(network, firewall) == Zone::Own {
            extent.extend(&network.announce);
            extent.extend(self.on_servers(firewall).flat_map(|(_, prefixes)| prefixes));
        }
        extent.extend(network.destinations.iter().filter(|prefix| !prefix.is_default()));
        extent
    }

    /// F23: whether such a source may come from this network.
    fn belongs(&self, firewall: &Firewall, here: &Network, source: &[Prefix]) -> Result<bool> {
        let everywhere = here.destinations.iter().any(|prefix| prefix.is_default());
        if zone(here, firewall) == Zone::Own || (zone(here, firewall) == Zone::Shared && !everywhere) {
            return inside_any(source, &self.extent(firewall, here));
        }
        let mut elsewhere = self.egress(firewall, here);
        for name in firewall.networks.iter().filter(|name| **name != here.name) {
            let other = &self.model.networks[name];
            elsewhere.extend(self.extent(firewall, other));
            elsewhere.extend(self.egress(firewall, other));
        }
        Ok(!inside_any(source, &elsewhere)?)
    }

    /// Whether the operator's bounds stop it: `access` and `allowedNetworks`.
    fn bounded(firewall: &Firewall, flow: &Flow<'_>) -> Result<bool> {
        let zones = [zone(flow.here, firewall), zone(flow.there, firewall)];
        if firewall.access == Access::Forbidden && zones.contains(&Zone::External) {
            return Ok(true);
        }
        let (bound, address) = match zones {
            [Zone::Own, Zone::Own] => return Ok(false),
            [Zone::Own, _] => (&firewall.allowed_egress, flow.destination),
            [_, Zone::Own] => (&firewall.allowed_ingress, flow.source),
            _ => return Ok(true), // a firewall is no transit between what is not its tenant's
        };
        match bound {
            Some(prefixes) => Ok(!inside_any(address, prefixes)?),
            None => Ok(firewall.access == Access::Restricted),
        }
    }

    /// Whether its source is translated on the way into the other network.
    fn translated(&self, firewall: &Firewall, flow: &Flow<'_>) -> Result<bool> {
        if flow.there.kind == NetworkType::Private || !flow.there.nat.covers(flow.family) {
            return Ok(false);
        }
        for name in firewall.networks.iter().filter(|name| **name != flow.there.name) {
            let own = &self.model.networks[name];
            if zone(own, firewall) == Zone::Own
                && inside_any(flow.source, &own_prefixes(own).chain(own.announce.iter().copied()).collect::<Vec<_>>())?
            {
                return Ok(true);
            }
        }
        for (_, prefixes) in self.on_servers(firewall).filter(|(network, _)| **network != flow.there.name) {
            if inside_any(flow.source, &prefixes)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the policies say: the first rule that matches, by priority, deny before allow.
    fn allowed(&self, firewall: &Firewall, flow: &Flow<'_>) -> Result<bool> {
        let mut best: Option<(u16, bool)> = None; // priority, and whether it allows: the least decides
        for policy in self.model.policies.values().filter(|policy| policy.firewall == firewall.name).map(|policy| &policy.policy) {
            let ingress = policy.ingress.iter().map(|rule| (rule, true));
            for (rule, ingress) in ingress.chain(policy.egress.iter().map(|rule| (rule, false))) {
                let rank = (rule.priority.0, rule.action == Action::Allow);
                if best.is_none_or(|best| rank < best) && self.matches(firewall, rule, ingress, flow)? {
                    best = Some(rank);
                }
            }
        }
        Ok(best.is_some_and(|(_, allows)| allows))
    }

    fn matches(&self, firewall: &Firewall, rule: &Rule, ingress: bool, flow: &Flow<'_>) -> Result<bool> {
        // an address block never joins two networks of the tenant itself: there the far side is named
        let named = match (zone(flow.here, firewall) == Zone::Own, zone(flow.there, firewall) == Zone::Own) {
            (true, true) => true,
            (here_own, there_own) if ingress == there_own && ingress != here_own => false,
            _ => return Ok(false),
        };
        Ok(ports(&rule.ports, flow)
            && self.side(firewall, &rule.from, named && ingress, flow.here, flow.source)?
            && self.side(firewall, &rule.to, named && !ingress, flow.there, flow.destination)?)
    }

    fn side(&self, firewall: &Firewall, peers: &[Peer], named: bool, network: &Network, address: &[Prefix]) -> Result<bool> {
        for peer in peers {
            let matches = match peer {
                Peer::Network(name) => {
                    *name == network.name
                        && (inside_any(address, network.destinations.iter().filter(|prefix| prefix.is_default()))?
                            || inside_any(address, &self.extent(firewall, network))?)
                }
                Peer::Cidr { cidr, except } if !named => inside(address, *cidr)? && !inside_any(address, except)?,
                Peer::Cidr { .. } | Peer::Fqdn(_) => false, // nobody resolves names here
            };
            if matches {
                return Ok(true);
            }
        }
        Ok(peers.is_empty() && !named)
    }
}

fn ports(ports: &[PortMatch], flow: &Flow<'_>) -> bool {
    let (protocol, port) = match (flow.kind, flow.family) {
        (Kind::Ping, Family::V4) => (Protocol::Icmp, 0),
        (Kind::Ping, Family::V6) => (Protocol::Icmpv6, 0),
        (Kind::Tcp(port), _) => (Protocol::Tcp, port),
        (Kind::Udp(port), _) => (Protocol::Udp, port),
    };
    let matches = |stated: &PortMatch| {
        stated.protocol == Protocol::Any
            || (stated.protocol == protocol && stated.ports.is_none_or(|range| range.low() <= port && port <= range.high()))
    };
    ports.is_empty() || ports.iter().any(matches)
}
