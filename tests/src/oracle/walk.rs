//! How a packet goes from network to network.

use leafwall_intent::model::{Firewall, Network, NetworkType};
use leafwall_topology::{Family, Prefix};

use super::crossing::{Outcome, Zone, zone};
use super::endpoints::{Endpoint, Place};
use super::{Kind, Oracle, Result, Unclear, inside, inside_any};

/// More firewalls than this on one way are a loop.
const MOST_FIREWALLS: usize = 4;

/// One end of a flow as it looks on the way.
#[derive(Debug, Clone)]
pub(super) struct Party<'a> {
    /// Where its address lies.
    pub address: Vec<Prefix>,
    /// Whose address it is; `None` for one that a firewall translates to.
    pub endpoint: Option<&'a Endpoint<'a>>,
    /// The firewall that holds it, where one translates to it.
    pub held_by: Option<&'a Firewall>,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub to: &'a Endpoint<'a>,
    pub family: Family,
    pub kind: Kind,
}

pub(super) fn own_prefixes(network: &Network) -> impl Iterator<Item = Prefix> {
    network.prefixes.iter().copied().chain(network.subnets.iter().map(|subnet| subnet.prefix))
}

/// The longest of the prefixes that hold an address, and what it stands for; two different things of the same length are unclear.
fn longest<T: Copy + PartialEq>(address: &[Prefix], routes: impl IntoIterator<Item = (Prefix, T)>) -> Result<Option<T>> {
    let mut best: Option<(u8, T)> = None;
    for (prefix, target) in routes {
        if !inside(address, prefix)? {
            continue;
        }
        match best {
            Some((length, other)) if length == prefix.length() && other != target => {
                return Err(Unclear(format!("two ways lead to {prefix}")));
            }
            Some((length, _)) if length >= prefix.length() => {}
            _ => best = Some((prefix.length(), target)),
        }
    }
    Ok(best.map(|(_, target)| target))
}

impl<'a> Oracle<'a> {
    pub(super) fn passes(&'a self, from: &'a Endpoint<'a>, to: &'a Endpoint<'a>, family: Family, kind: Kind) -> Result<bool> {
        let (Some(source), Some(_)) = (from.addresses.get(&family), to.addresses.get(&family)) else { return Ok(false) };
        let question = Question { to, family, kind };
        let source = Party { address: source.clone(), endpoint: Some(from), held_by: None };
        match from.place {
            // a firewall machine's own address is in the underlay, and an idle machine is in no network
            Place::Nowhere | Place::Machine(..) => Ok(false),
            Place::Server(network) => self.arrives(question, network, &source, None, 0),
            Place::Outside(network) => {
                let told = Self::told_outside(network, &Self::destination(question).address)?;
                if told { self.arrives(question, network, &source, None, 0) } else { Ok(false) }
            }
        }
    }

    pub(super) fn destination(question: Question<'a>) -> Party<'a> {
        Party { address: question.to.addresses[&question.family].clone(), endpoint: Some(question.to), held_by: None }
    }

    /// Whether the routers beyond a network know a way to this address.
    fn told_outside(network: &Network, address: &[Prefix]) -> Result<bool> {
        for peer in &network.peers {
            let told = if peer.export.is_empty() { &network.prefixes } else { &peer.export };
            let family = Family::of(peer.peer_address);
            if inside_any(address, told.iter().filter(|prefix| prefix.family() == family))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a packet that is in network `here` reaches its destination and is answered. `by` is the firewall that brought it.
    fn arrives(
        &'a self,
        question: Question<'a>,
        here: &'a Network,
        source: &Party<'a>,
        by: Option<&'a Firewall>,
        passed: usize,
    ) -> Result<bool> {
        let destination = Self::destination(question);
        match question.to.place {
            Place::Nowhere => return Ok(false),
            Place::Server(network) if network.name == here.name => return Ok(true),
            Place::Outside(network) if network.name == here.name => {
                let imported = network.peers.iter().flat_map(|peer| &peer.import);
                let passed_on = imported.filter(|prefix| !prefix.is_default() || network.destinations.contains(prefix));
                if !inside_any(&destination.address, passed_on)? {
                    return Ok(false);
                }
                return if Self::told_outside(network, &source.address)? { Ok(true) } else { Err(unanswered(source, here)) };
            }
            Place::Server(network) => {
                if let Some(peered) = self.peered(here, network, source, &destination)? {
                    // a peering is between servers: what a firewall brings into a network is not passed on
                    return Ok(peered && by.is_none());
                }
            }
            Place::Outside(_) | Place::Machine(..) => {}
        }
        let Some(firewall) = self.leads(here, &destination)? else { return Ok(false) };
        if passed == MOST_FIREWALLS || (by.is_some() && here.kind != NetworkType::External) {
            // H28: what firewalls share is no way from one to another
            return Ok(false);
        }
        if let Place::Machine(of, active) = question.to.place
            && of.name == firewall.name
        {
            // the gateway of a network of its own may be pinged
            return Ok(active && by.is_none() && zone(here, firewall) == Zone::Own && question.kind == Kind::Ping);
        }
        self.through(question, firewall, here, source, by, passed)
    }

    fn through(
        &'a self,
        question: Question<'a>,
        firewall: &'a Firewall,
        here: &'a Network,
        source: &Party<'a>,
        by: Option<&'a Firewall>,
        passed: usize,
    ) -> Result<bool> {
        let destination = Self::destination(question);
        let Some(there) = self.way(firewall, here, &destination)? else { return Ok(false) };
        let Outcome::Pass(seen_as) = self.cross(question, firewall, here, there, source)? else { return Ok(false) };
        if !self.arrives(question, there, &seen_as, Some(firewall), passed + 1)? {
            return Ok(false);
        }
        // the answer: to the firewall, through it, and on to whoever brought the packet to it
        let back = self.leads(there, &seen_as)?.is_some_and(|back| back.name == firewall.name);
        let through = self.way(firewall, there, source)?.is_some_and(|back| back.name == here.name);
        let on = match by {
            Some(by) => self.leads(here, source)?.is_some_and(|back| back.name == by.name),
            None => true,
        };
        if back && through && on { Ok(true) } else { Err(unanswered(source, there)) }
    }

    /// Whether a peering carries this: `None` where none is about the destination.
    fn peered(&self, here: &Network, there: &Network, source: &Party<'_>, destination: &Party<'_>) -> Result<Option<bool>> {
        for peering in self.model.peerings.values() {
            let side = |network: &Network| peering.sides.iter().find(|side| side.network == network.name);
            let (Some(near), Some(far)) = (side(here), side(there)) else { continue };
            if inside_any(&destination.address, &far.prefixes)? {
                return inside_any(&source.address, &near.prefixes).map(Some);
            }
        }
        Ok(None)
    }

    /// The firewall to which packets for this address go in a network.
    fn leads(&'a self, here: &Network, party: &Party<'a>) -> Result<Option<&'a Firewall>> {
        let mut routes: Vec<(Prefix, &str)> = Vec::new();
        for firewall in self.model.firewalls.values().filter(|firewall| firewall.networks.contains(&here.name)) {
            if party.held_by.is_some_and(|holder| holder.name == firewall.name) || Self::serves(firewall, here, party) {
                return Ok(Some(firewall));
            }
            routes.extend(self.told(firewall, here).into_iter().map(|prefix| (prefix, firewall.name.as_str())));
        }
        let name = longest(&party.address, routes)?;
        Ok(name.and_then(|name| self.model.firewalls.values().find(|firewall| firewall.name.as_str() == name)).map(AsRef::as_ref))
    }

    /// Whether a firewall leads from this network to a server's address that is out of this network.
    fn serves(firewall: &Firewall, here: &Network, party: &Party<'_>) -> bool {
        let Some(Endpoint { place: Place::Server(home), elastic: Some(address), .. }) = party.endpoint else { return false };
        here.kind != NetworkType::Private
            && address.network == here.name
            && address.tenant == firewall.tenant
            && home.name != here.name
            && firewall.networks.contains(&home.name)
    }

    /// Other networks of a firewall.
    fn others(&'a self, firewall: &'a Firewall, here: &Network) -> impl Iterator<Item = &'a Network> {
        firewall.networks.iter().filter(move |name| **name != here.name).map(|name| self.model.networks[name].as_ref())
    }

    /// Which prefixes a firewall draws to itself in a network.
    fn told(&self, firewall: &Firewall, here: &Network) -> Vec<Prefix> {
        let mut told = Vec::new();
        for network in self.others(firewall, here) {
            if zone(here, firewall) == Zone::Own {
                told.extend(forward(network, here));
            }
            if here.kind != NetworkType::Private && zone(network, firewall) == Zone::Own {
                told.extend(own_prefixes(network).filter(|prefix| !here.nat.covers(prefix.family())));
            }
        }
        told
    }

    /// The network into which a firewall takes what comes from `here` for this address.
    fn way(&'a self, firewall: &'a Firewall, here: &Network, party: &Party<'a>) -> Result<Option<&'a Network>> {
        let mut routes: Vec<(Prefix, &str)> = Vec::new();
        for network in self.others(firewall, here) {
            let name = network.name.as_str();
            if zone(here, firewall) == Zone::Own {
                routes.extend(forward(network, here).into_iter().map(|prefix| (prefix, name)));
            }
            if here.kind != NetworkType::Private && zone(network, firewall) == Zone::Own {
                routes.extend(own_prefixes(network).chain(network.announce.iter().copied()).map(|prefix| (prefix, name)));
                if let Some(Endpoint { place: Place::Server(home), elastic: Some(address), .. }) = party.endpoint
                    && home.name == network.name
                    && address.tenant == firewall.tenant
                    && (address.network == here.name || party.address.iter().any(|part| here.nat.covers(part.family())))
                {
                    return Ok(Some(network));
                }
            }
        }
        let name = longest(&party.address, routes)?;
        Ok(name.and_then(|name| self.model.networks.values().find(|network| network.name.as_str() == name)).map(AsRef::as_ref))
    }
}

/// What of a network is reached from one of the tenant's own: of a private one all of it, of the outside its destinations and, where no default leads there,
/// its prefixes. From a shared one only the outside: it is others' as well.
fn forward(network: &Network, here: &Network) -> Vec<Prefix> {
    let external = network.kind == NetworkType::External;
    let defaults = |prefix: Prefix| network.destinations.iter().any(|to| to.is_default() && to.family() == prefix.family());
    match (here.kind, external) {
        (NetworkType::Private, true) => {
            let own = network.prefixes.iter().copied().filter(|prefix| !defaults(*prefix));
            network.destinations.iter().copied().chain(own).collect()
        }
        (NetworkType::Private, false) => network.destinations.iter().copied().chain(own_prefixes(network)).collect(),
        (_, true) => network.destinations.clone(),
        (_, false) => Vec::new(),
    }
}

fn unanswered(source: &Party<'_>, at: &Network) -> Unclear {
    Unclear(format!("it would arrive, and the answer to {:?} would be lost in {}", source.address, at.name))
}
