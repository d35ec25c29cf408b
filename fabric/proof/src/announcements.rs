//! What may be announced at each port by whoever is behind it, against what intents allow him: a server, a firewall machine that has been taken over, the outside.

use leafwall_render::frr::{FamilyKind, RouterBgp};
use leafwall_topology::{Family, IfName, MacAddr, Name, Prefix};

use crate::domains::{Domains, Place};
use crate::filters::Filters;
use crate::finding::Finding;
use crate::ground::{Ground, Owner};
use crate::read::Device;
use crate::routes::RouteSet;
use crate::sessions::{self, Admission, Pinned, Session};

const KINDS: [(FamilyKind, Family); 2] = [(FamilyKind::Ipv4Unicast, Family::V4), (FamilyKind::Ipv6Unicast, Family::V6)];

/// Looks at every session of a switch that does not end at another switch.
pub fn check(device: &Device, ground: &Ground<'_>, domains: &Domains) -> Vec<Finding> {
    let mut findings = Vec::new();
    let filters = Filters::of(device);
    for router in &device.frr.routers {
        for session in sessions::sessions(router) {
            let at = Port { device, filters: &filters, router, ground, domains };
            at.check(&session, &mut findings);
        }
    }
    findings
}

struct Port<'a> {
    device: &'a Device,
    filters: &'a Filters<'a>,
    router: &'a RouterBgp,
    ground: &'a Ground<'a>,
    domains: &'a Domains,
}

impl Port<'_> {
    fn check(&self, session: &Session<'_>, findings: &mut Vec<Finding>) {
        let name = &self.device.name;
        let interface = session.interface();
        let owner = match &interface {
            Some(port) => self.ground.owner(name, port),
            None => None,
        };
        match owner {
            Some(Owner::Switch(_)) => {}
            Some(Owner::Machine { server, network }) => {
                let allowed = self.ground.server_routes(server);
                self.unicast(session, &allowed, Some(network), &format!("server `{server}`"), findings);
                self.no_evpn(session, &format!("server `{server}`"), findings);
            }
            Some(Owner::Firewall(machine, firewall)) => {
                let loopback = self.ground.table.loopback(machine).map(|address| RouteSet::exactly(Prefix::host(address.into())));
                self.unicast(session, &loopback.unwrap_or_default(), None, &format!("firewall machine `{machine}`"), findings);
                if let Some(statements) = session.active(self.router, FamilyKind::L2vpnEvpn) {
                    for admission in sessions::evpn(self.filters, &statements) {
                        self.firewall(machine, firewall, interface.as_ref(), &admission, findings);
                    }
                }
            }
            Some(Owner::Outside(_) | Owner::Idle(_)) | None => {
                let vrf = Place::Vrf(name.clone(), self.router.vrf.clone());
                let network = self.domains.network_of(&vrf);
                let allowed = network.and_then(|network| self.ground.network(network)).map(|network| {
                    let peers =
                        network.peers.iter().filter(|peer| peer.exit == *name && session.peer.to_string() == peer.peer_address.to_string());
                    RouteSet::union(peers.flat_map(|peer| peer.import.iter().map(|prefix| RouteSet::exactly(*prefix))))
                });
                self.unicast(session, &allowed.unwrap_or_default(), network, &format!("neighbour {}", session.peer), findings);
                self.no_evpn(session, &format!("neighbour {}", session.peer), findings);
            }
        }
    }

    fn unicast(&self, session: &Session<'_>, allowed: &RouteSet, network: Option<&Name>, who: &str, findings: &mut Vec<Finding>) {
        for (kind, family) in KINDS {
            let Some(statements) = session.active(self.router, kind) else { continue };
            let beyond = sessions::unicast(self.filters, &statements, family).minus(allowed);
            let Some(route) = beyond.witness() else { continue };
            let message = format!("{who} may announce {route} on {} {}, which no intent allows", self.device.name, session.peer);
            let packet = self.ground.packet(network, &[inside(route)]);
            let path = vec![
                Place::Vrf(self.device.name.clone(), self.router.vrf.clone()).to_string(),
                format!("route {route} from {who}, taken by the filter on {}", session.peer),
                format!("arrives at {who}"),
            ];
            findings.push(Finding::isolation("announcements", message, packet, path));
        }
    }

    fn no_evpn(&self, session: &Session<'_>, who: &str, findings: &mut Vec<Finding>) {
        let Some(statements) = session.active(self.router, FamilyKind::L2vpnEvpn) else { return };
        for admission in sessions::evpn(self.filters, &statements) {
            let message = format!("{who} may announce EVPN routes on {}", self.device.name);
            let packet = admission.routes.witness().and_then(|route| self.ground.packet(None, &[inside(route)]));
            findings.push(Finding::isolation("announcements", message, packet, vec![admission.entry]));
        }
    }

    /// H21, H35, H36, H39: everything in a firewall's EVPN routes is pinned, and the prefixes are those that intents give it there.
    fn firewall(&self, machine: &Name, firewall: &Name, port: Option<&IfName>, admission: &Admission, findings: &mut Vec<Finding>) {
        let Some(serves) = self.ground.model.firewalls.get(firewall) else { return };
        let loopback = self.ground.table.loopback(machine);
        let route = admission.routes.witness();
        let to = route.map(inside).into_iter().collect::<Vec<_>>();
        let mut wrong = |hazard: &str, what: String, from: Option<&Name>, to: &[std::net::IpAddr]| {
            let message = format!("firewall machine `{machine}` {what} ({hazard})");
            let at = port.map_or_else(String::new, |port| format!(" on {port}"));
            let path = vec![
                format!("{}: {}{at}", self.device.name, admission.entry),
                format!("route from `{machine}`, taken everywhere"),
                format!("arrives at `{machine}`"),
            ];
            findings.push(Finding::isolation("announcements", message, self.ground.packet(from, to), path));
        };
        let target = match admission.target {
            Pinned::To(target) => target,
            Pinned::Any => {
                let victim = self.ground.model.networks.keys().find(|name| !serves.networks.contains(*name));
                return wrong("H35", "may smuggle any route target into its routes".to_owned(), victim, &to);
            }
        };
        let importers = self.domains.importers(target);
        let networks: Vec<Option<&Name>> = importers.iter().map(|domain| self.domains.network(*domain)).collect();
        let first = networks.iter().flatten().next().copied();
        if !admission.only_prefixes {
            wrong("H36", "may announce more than type-5 routes".to_owned(), first, &to);
        }
        match admission.rd {
            Pinned::To(rd) if loopback == Some(rd.loopback) => {}
            _ => wrong("H39", "may use another device's route distinguisher".to_owned(), first, &to),
        }
        if admission.router_mac != loopback.map_or(Pinned::Any, |loopback| Pinned::To(MacAddr::router(loopback))) {
            wrong("H39", "may claim another device's router MAC".to_owned(), first, &to);
        }
        if admission.next_hop != loopback.map_or(Pinned::Any, Pinned::To) {
            wrong("H39", "may send its neighbours' packets to another device".to_owned(), first, &to);
        }
        for network in networks.into_iter().flatten() {
            let Some(joined) = self.ground.network(network).filter(|network| serves.networks.contains(&network.name)) else {
                wrong("H21", format!("may announce routes into network `{network}`, which it does not join"), Some(network), &to);
                continue;
            };
            let beyond = admission.routes.minus(&self.ground.firewall_routes(machine, serves, joined));
            if let Some(route) = beyond.witness() {
                wrong(
                    "H21",
                    format!("may announce {route} into network `{network}`, which no intent allows"),
                    Some(network),
                    &[inside(route)],
                );
            }
        }
    }
}

/// An address that a route draws.
fn inside(route: Prefix) -> std::net::IpAddr {
    route.nth(1).unwrap_or_else(|| route.network())
}
