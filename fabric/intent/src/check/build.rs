//! The Model from intents in which nothing was found.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use leafwall_policy::rule::{Peer, Policy, PortMatch, PortRange, Priority, Protocol, Rule};
use leafwall_topology::{Cable, Graph, MacAddr, Mtu, Name, PortRef, Prefix};

use super::fabric::first_host;
use super::index::{Index, value};
use crate::model::{
    Address, Allocation, BfdTimers, BgpTimers, ExternalPeer, Fabric, Firewall, FirewallPolicy, Management, Model, Network, Nic, Peering,
    PeeringSide, PortSettings, Provisioning, Server, ServerManagement, Subnet, Switch, Tenant,
};
use crate::raw::{
    AddressIntent, AllocationIntent, CablingIntent, ExternalPeerIntent, FabricIntent, FirewallIntent, FirewallPolicyIntent, Intents,
    NetworkIntent, Object, Objects, PeerIntent, PeeringIntent, PeeringSideIntent, PortIntent, PortMatchIntent, RuleIntent, ServerIntent,
    ServerManagementIntent, SwitchIntent, TenantIntent,
};
use crate::source::Spanned;

/// What was built last: each object beside what it was built from. What is the same object again is the same in the Model.
#[derive(Debug, Default)]
pub(crate) struct Built {
    graph: Option<(Objects<CablingIntent>, Objects<ServerIntent>, Arc<Graph>)>,
    fabric: Kind<FabricIntent, Fabric>,
    switches: Kind<SwitchIntent, Switch>,
    servers: Kind<ServerIntent, Server>,
    tenants: Kind<TenantIntent, Tenant>,
    networks: Kind<NetworkIntent, Network>,
    allocations: Kind<AllocationIntent, Allocation>,
    addresses: Kind<AddressIntent, Address>,
    /// By value: a peering is made of networks too.
    peerings: BTreeMap<Name, Arc<Peering>>,
    firewalls: Kind<FirewallIntent, Firewall>,
    policies: Kind<FirewallPolicyIntent, FirewallPolicy>,
}

/// Objects of one kind, in the order in which they are written.
type Kind<S, T> = Vec<(Arc<Object<S>>, Arc<T>)>;

/// The Model; `None` where something that is required is absent, which reading has reported.
pub(super) fn model(index: &Index<'_>, known: &mut Built) -> Option<Model> {
    let intents = index.intents;
    let Built { graph, fabric, switches, servers, tenants, networks, allocations, addresses, peerings, firewalls, policies } = known;
    // the large ones on all cores
    let ((graph, servers), (allocations, networks)) = rayon::join(
        || rayon::join(|| self::graph(index, graph), || map(&intents.servers, servers, server)),
        || rayon::join(|| map(&intents.allocations, allocations, allocation), || map(&intents.networks, networks, network)),
    );
    let met = intents.peerings.iter().map(|object| {
        let new = peering(index, object)?;
        let same = peerings.get(&new.name).filter(|known| ***known == new).cloned();
        Some((new.name.clone(), same.unwrap_or_else(|| Arc::new(new))))
    });
    let met: BTreeMap<Name, Arc<Peering>> = met.collect::<Option<_>>()?;
    peerings.clone_from(&met);
    Some(Model {
        fabric: map(intents.fabrics.get(..1)?, fabric, self::fabric)?.into_values().next()?,
        switches: map(&intents.switches, switches, switch)?,
        graph,
        servers: servers?,
        tenants: map(&intents.tenants, tenants, |object| Some(tenant(object)))?,
        networks: networks?,
        allocations: allocations?,
        addresses: map(&intents.addresses, addresses, address)?,
        peerings: met,
        firewalls: map(&intents.firewalls, firewalls, firewall)?,
        policies: map(&intents.policies, policies, policy)?,
    })
}

/// Objects by name. What is the same document is the same object; and so is what is written elsewhere now, and says the same.
fn map<S, T: PartialEq>(
    objects: &[Arc<Object<S>>],
    known: &mut Kind<S, T>,
    build: impl Fn(&Object<S>) -> Option<T>,
) -> Option<BTreeMap<Name, Arc<T>>> {
    // both lists are in the order of places, so that one walk finds what stayed
    let mut before = std::mem::take(known).into_iter().peekable();
    let mut moved: HashMap<Name, Arc<T>> = HashMap::new();
    let mut found = Vec::with_capacity(objects.len());
    for object in objects {
        while let Some((other, built)) = before.next_if(|(other, _)| !Arc::ptr_eq(other, object) && other.name.place <= object.name.place) {
            moved.insert(other.name.value.clone(), built);
        }
        let stayed = before.next_if(|(other, _)| Arc::ptr_eq(other, object));
        found.push((object, stayed.map(|(_, built)| built)));
    }
    moved.extend(before.map(|(other, built)| (other.name.value.clone(), built)));
    for (object, stayed) in found {
        let built = if let Some(built) = stayed {
            built
        } else {
            let new = build(object)?;
            moved.remove(&object.name.value).filter(|same| **same == new).unwrap_or_else(|| Arc::new(new))
        };
        known.push((Arc::clone(object), built));
    }
    Some(known.iter().map(|(object, built)| (object.name.value.clone(), Arc::clone(built))).collect())
}

fn is_same<S>(one: &[Arc<Object<S>>], other: &[Arc<Object<S>>], says_same: impl Fn(&Object<S>, &Object<S>) -> bool) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| Arc::ptr_eq(one, other) || says_same(one, other))
}

fn values<T: Clone, C: FromIterator<T>>(list: &[Spanned<T>]) -> C {
    list.iter().map(|spanned| spanned.value.clone()).collect()
}

fn cloned<T: Clone>(field: Option<&Spanned<T>>) -> Option<T> {
    field.map(|spanned| spanned.value.clone())
}

fn text<T: ToString>(field: Option<&Spanned<T>>) -> Option<String> {
    field.map(|spanned| spanned.value.to_string())
}

fn fabric(object: &Object<FabricIntent>) -> Option<Fabric> {
    let spec = &object.spec;
    let (underlay, overlay) = (&spec.underlay.as_ref()?.value, &spec.overlay.as_ref()?.value);
    let (timers, bfd) = spec.bgp.as_ref().map_or((None, None), |bgp| (bgp.value.timers.as_ref(), bgp.value.bfd.as_ref()));
    let provisioning = match &spec.provisioning {
        None => None,
        Some(provisioning) => {
            let prefix = provisioning.value.prefix?.value;
            let gateway = value(provisioning.value.gateway.as_ref()).or_else(|| first_host(prefix))?;
            Some(Provisioning { prefix, gateway, dhcp_servers: values(&provisioning.value.dhcp_servers) })
        }
    };
    let (usual, usual_bfd) = (BgpTimers::default(), BfdTimers::default());
    Some(Fabric {
        name: object.name.value.clone(),
        loopbacks: underlay.loopbacks?.value,
        asns: underlay.asns?.value,
        mtu: value(underlay.mtu.as_ref()).unwrap_or(Mtu::FABRIC),
        vnis: overlay.vnis?.value,
        vlans: overlay.vlans?.value,
        anycast_mac: value(overlay.anycast_mac.as_ref()).unwrap_or(MacAddr::ANYCAST_DEFAULT),
        timers: BgpTimers {
            keepalive: timers.and_then(|t| value(t.value.keepalive.as_ref())).unwrap_or(usual.keepalive),
            hold: timers.and_then(|t| value(t.value.hold.as_ref())).unwrap_or(usual.hold),
        },
        bfd: BfdTimers {
            interval_ms: bfd.and_then(|b| value(b.value.interval.as_ref())).unwrap_or(usual_bfd.interval_ms),
            multiplier: bfd.and_then(|b| value(b.value.multiplier.as_ref())).unwrap_or(usual_bfd.multiplier),
            servers: bfd.and_then(|b| value(b.value.servers.as_ref())).unwrap_or(usual_bfd.servers),
        },
        dns: values(&spec.dns),
        ntp: values(&spec.ntp),
        syslog: values(&spec.syslog),
        provisioning,
    })
}

fn switch(object: &Object<SwitchIntent>) -> Option<Switch> {
    let spec = &object.spec;
    let management = match &spec.management {
        None => None,
        Some(management) => {
            Some(Management { address: management.value.address?.value, gateway: value(management.value.gateway.as_ref()) })
        }
    };
    Some(Switch {
        name: object.name.value.clone(),
        role: value(spec.role.as_ref())?,
        platform: value(spec.platform.as_ref())?,
        version: text(spec.version.as_ref()),
        hwsku: text(spec.hwsku.as_ref()),
        serial: text(spec.serial.as_ref()),
        mac: value(spec.mac.as_ref()),
        management,
        rack: cloned(spec.rack.as_ref()),
        ports: spec.ports.iter().map(|(name, settings)| (name.value.clone(), port(&settings.value))).collect(),
        maintenance: value(spec.maintenance.as_ref()).unwrap_or(false),
    })
}

fn port(port: &PortIntent) -> PortSettings {
    PortSettings {
        speed: value(port.speed.as_ref()),
        breakout: text(port.breakout.as_ref()),
        fec: text(port.fec.as_ref()),
        autoneg: value(port.autoneg.as_ref()),
        mtu: value(port.mtu.as_ref()),
    }
}

fn graph(index: &Index<'_>, known: &mut Option<(Objects<CablingIntent>, Objects<ServerIntent>, Arc<Graph>)>) -> Arc<Graph> {
    let Intents { cablings, servers, .. } = index.intents;
    // places don't count: what is written elsewhere now may say the same
    let nics = |one: &Object<ServerIntent>, other: &Object<ServerIntent>| one.name == other.name && one.spec.nics == other.spec.nics;
    let links = |one: &Object<CablingIntent>, other: &Object<CablingIntent>| one.spec == other.spec;
    if let Some((.., graph)) = known.as_ref().filter(|known| is_same(&known.0, cablings, links) && is_same(&known.1, servers, nics)) {
        return Arc::clone(graph);
    }
    let graph = Arc::new(made_graph(index));
    *known = Some((cablings.clone(), servers.clone(), Arc::clone(&graph)));
    graph
}

fn made_graph(index: &Index<'_>) -> Graph {
    let links = index.intents.cablings.iter().flat_map(|cabling| cabling.spec.cables());
    let links = links.map(|link| Cable::new(link.a.value.clone(), link.b.value.clone()));
    let nics = index.intents.servers.iter().flat_map(|server| server.spec.nics.iter().map(move |nic| (server, &nic.value)));
    let nics = nics.filter_map(|(server, nic)| {
        let near = PortRef { device: server.name.value.clone(), port: cloned(nic.name.as_ref())? };
        Some(Cable::new(near, cloned(nic.port.as_ref())?))
    });
    Graph::new(links.chain(nics))
}

fn server(object: &Object<ServerIntent>) -> Option<Server> {
    let nic = |nic: &Spanned<crate::raw::NicIntent>| {
        Some(Nic { name: cloned(nic.value.name.as_ref())?, mac: nic.value.mac?.value, port: cloned(nic.value.port.as_ref())? })
    };
    let management = match object.spec.management.as_ref().map(|management| &management.value) {
        None => None,
        Some(ServerManagementIntent { address: Some(address), .. }) => Some(ServerManagement::Address(address.value)),
        Some(ServerManagementIntent { inband, .. }) => Some(ServerManagement::Inband(cloned(inband.as_ref())?)),
    };
    let nics = object.spec.nics.iter().map(nic).collect::<Option<Vec<_>>>()?;
    Some(Server { name: object.name.value.clone(), role: object.spec.role(), nics, management })
}

fn tenant(object: &Object<TenantIntent>) -> Tenant {
    Tenant {
        name: object.name.value.clone(),
        quota: object.spec.quota.iter().map(|(item, limit)| (item.value.to_string(), limit.value)).collect(),
        labels: object.labels.iter().map(|(key, value)| (key.value.to_string(), value.value.to_string())).collect(),
    }
}

fn network(object: &Object<NetworkIntent>) -> Option<Network> {
    let spec = &object.spec;
    let subnet = |subnet: &Spanned<crate::raw::SubnetIntent>| {
        let prefix = subnet.value.prefix?.value;
        Some(Subnet { prefix, gateway: value(subnet.value.gateway.as_ref()).or_else(|| first_host(prefix))? })
    };
    Some(Network {
        name: object.name.value.clone(),
        tenant: cloned(spec.tenant.as_ref()),
        kind: value(spec.kind.as_ref())?,
        prefixes: values(&spec.prefixes),
        subnets: spec.subnets.iter().map(subnet).collect::<Option<_>>()?,
        destinations: values(&spec.destinations),
        announce: values(&spec.announce),
        vni: value(spec.vni.as_ref()),
        nat: value(spec.nat.as_ref()).unwrap_or_default(),
        exits: values(&spec.exits),
        peers: spec.peers.iter().map(|peer| external_peer(&peer.value)).collect::<Option<_>>()?,
    })
}

fn external_peer(peer: &ExternalPeerIntent) -> Option<ExternalPeer> {
    Some(ExternalPeer {
        exit: cloned(peer.exit.as_ref())?,
        interface: cloned(peer.interface.as_ref())?,
        vlan: value(peer.vlan.as_ref()),
        local_address: peer.local_address?.value,
        peer_address: peer.peer_address?.value,
        asn: peer.asn?.value,
        mtu: value(peer.mtu.as_ref()).unwrap_or(Mtu::ETHERNET),
        password_ref: cloned(peer.password_ref.as_ref()),
        import: values(&peer.import),
        export: values(&peer.export),
    })
}

fn allocation(object: &Object<AllocationIntent>) -> Option<Allocation> {
    let spec = &object.spec;
    Some(Allocation {
        name: object.name.value.clone(),
        server: cloned(spec.server.as_ref())?,
        tenant: cloned(spec.tenant.as_ref())?,
        network: cloned(spec.network.as_ref())?,
        mode: spec.mode(),
        addresses: values(&spec.addresses),
        phase: value(spec.phase.as_ref()).unwrap_or_default(),
    })
}

fn address(object: &Object<AddressIntent>) -> Option<Address> {
    let spec = &object.spec;
    Some(Address {
        name: object.name.value.clone(),
        tenant: cloned(spec.tenant.as_ref())?,
        network: cloned(spec.network.as_ref())?,
        address: value(spec.address.as_ref()),
        permanent: value(spec.permanent.as_ref()).unwrap_or(false),
        server: cloned(spec.server.as_ref()),
    })
}

fn peering(index: &Index<'_>, object: &Object<PeeringIntent>) -> Option<Peering> {
    let side = |side: &Spanned<PeeringSideIntent>| {
        let network = index.network(side.value.network.as_ref())?;
        let prefixes: Vec<Prefix> = super::peerings::shown(side, network).into_iter().map(|prefix| prefix.value).collect();
        Some(PeeringSide { network: network.name.value.clone(), prefixes })
    };
    let [one, other] = object.spec.between.as_slice() else { return None };
    Some(Peering { name: object.name.value.clone(), sides: [side(one)?, side(other)?] })
}

fn firewall(object: &Object<FirewallIntent>) -> Option<Firewall> {
    let spec = &object.spec;
    let egress = spec.egress.iter().map(|egress| Some((cloned(egress.value.network.as_ref())?, values(&egress.value.addresses))));
    let rates = spec.rate_limits.iter().map(|limit| Some((cloned(limit.value.network.as_ref())?, limit.value.rate?.value)));
    let allowed = spec.allowed_networks.as_ref().map(|allowed| &allowed.value);
    let kubeconfig = match &spec.kubernetes {
        None => None,
        Some(kubernetes) => Some(text(kubernetes.value.kubeconfig.as_ref())?),
    };
    Some(Firewall {
        name: object.name.value.clone(),
        tenant: cloned(spec.tenant.as_ref())?,
        servers: values(&spec.servers),
        networks: values(&spec.networks),
        egress: egress.collect::<Option<_>>()?,
        rate_limits: rates.collect::<Option<_>>()?,
        access: value(spec.access.as_ref()).unwrap_or_default(),
        allowed_ingress: allowed.and_then(|allowed| allowed.ingress.as_ref()).map(|list| values(&list.value)),
        allowed_egress: allowed.and_then(|allowed| allowed.egress.as_ref()).map(|list| values(&list.value)),
        log_accepted: value(spec.log_accepted.as_ref()).unwrap_or(false),
        dns: values(&spec.dns),
        kubeconfig,
    })
}

fn policy(object: &Object<FirewallPolicyIntent>) -> Option<FirewallPolicy> {
    let rules = |rules: &[Spanned<RuleIntent>]| rules.iter().map(|rule| self::rule(&rule.value)).collect::<Option<Vec<_>>>();
    let policy = Policy { name: object.name.value.clone(), ingress: rules(&object.spec.ingress)?, egress: rules(&object.spec.egress)? };
    Some(FirewallPolicy { firewall: cloned(object.spec.firewall.as_ref())?, policy })
}

fn rule(rule: &RuleIntent) -> Option<Rule> {
    let peers = |peers: &[Spanned<PeerIntent>]| peers.iter().map(|peer| self::peer(&peer.value)).collect::<Option<Vec<_>>>();
    Some(Rule {
        action: value(rule.action.as_ref())?,
        priority: value(rule.priority.as_ref()).map_or_else(Priority::default, Priority),
        from: peers(&rule.from)?,
        to: peers(&rule.to)?,
        ports: rule.ports.iter().map(|ports| port_match(&ports.value)).collect::<Option<_>>()?,
        log: value(rule.log.as_ref()).unwrap_or(false),
        expires: rule.expires.map(|expires| expires.value.0),
    })
}

fn peer(peer: &PeerIntent) -> Option<Peer> {
    match peer {
        PeerIntent { cidr: Some(cidr), except, .. } => Some(Peer::Cidr { cidr: cidr.value, except: values(except) }),
        PeerIntent { fqdn: Some(fqdn), .. } => Some(Peer::Fqdn(fqdn.value.clone())),
        PeerIntent { network, .. } => Some(Peer::Network(cloned(network.as_ref())?)),
    }
}

fn port_match(ports: &PortMatchIntent) -> Option<PortMatch> {
    let range = match (ports.port, ports.end_port) {
        (Some(first), last) => Some(PortRange::new(first.value, last.map_or(first.value, |last| last.value)).ok()?),
        (None, _) => None,
    };
    Some(PortMatch { protocol: value(ports.protocol.as_ref()).unwrap_or(Protocol::Tcp), ports: range })
}
