//! The nftables of a switch: what a firewall's port may send (H38), what tenants reach on the switch itself (H40), and how many MAC addresses a bridged
//! machine has (H41), who may cross from one network of a peering to the other, and that machines which are nobody's do not meet.
//!
//! Table `netdev leafwall` has an ingress chain for each port with a firewall machine behind. That machine is a VTEP and trusted with nothing: a packet of
//! it is VXLAN from its own loopback, with a VNI of its own networks, to a VTEP that has one of them; or it stays on the link. The chain runs before
//! anything else looks at the frame, so it sees forwarded packets too.
//!
//! Table `inet leafwall` has an `input` chain, without conntrack, since a switch must not track what it forwards. Its policy is accept: the switch's own
//! management is not ours.
//!
//! Assumptions: the devices of the ports exist when the tables are loaded (a chain on a missing device fails the transaction). For a packet from a port in
//! a VRF the kernel names the VRF as input, but the port itself for neighbour discovery: so both belong into [`SwitchGuards::tenant_inputs`].

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use leafwall_topology::{Family, IfName, Prefix, Vni, names::NFT_TABLE};
use serde::{Deserialize, Serialize};

use crate::nft::{
    BaseChain, Chain, ChainKind, Counter, DataType, Elements, Expression, Hook, Identifier, IpField, Operator, Policy, RawBase, Rule,
    Script, Set, SetFlags, Statement, Table, TableFamily, TableId, TcpFlags, Transport, Value, priority,
};
use crate::ruleset::build::{
    ACCEPT, DROP, address, address_field, base_chain, chain, counter, destination_port, equal, from_link_local, goto, in_prefix,
    interfaces, number, numbers, one_or_set, per_second, rule,
};
use crate::ruleset::{ECHO_RATE, ICMP_ERRORS, ICMPV6_ERRORS, NEIGHBOUR_DISCOVERY};

/// Everything from which a switch's guards are made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchGuards {
    /// Ports with a firewall machine behind, each once.
    pub firewall_ports: Vec<FirewallPortGuard>,
    /// Where tenants' packets come in: VRFs, the ports in them, SVIs of bridged subnets, the provisioning network's among them.
    pub tenant_inputs: Vec<IfName>,
    /// Routers outside, which speak BGP from an address of their own.
    pub external_peers: Vec<ExternalPeerGuard>,
    /// Ports of bridged machines, each once, with how many MAC addresses may speak there at a time (H41).
    pub mac_limits: Vec<MacLimitGuard>,
    /// Peerings whose both VRFs this switch has, each direction by itself.
    pub peerings: Vec<PeeringGuard>,
    /// Where machines that are nobody's get started, if some do here.
    pub provisioning: Option<ProvisioningGuard>,
    /// Those of the inputs where DHCP clients or servers talk to the relay.
    pub dhcp_inputs: Vec<IfName>,
    /// Ports of which only VLANs are used. The port itself is in the default VRF: what comes in untagged would be in the underlay, tunnels included.
    pub trunks: Vec<IfName>,
}

/// What the machine behind a firewall's port may send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallPortGuard {
    /// The switch's port.
    pub port: IfName,
    /// The machine's loopback: the only outer source.
    pub loopback: Ipv4Addr,
    /// The networks that it joins. A packet goes to a VTEP that has its VNI, not to one that has another of them.
    pub vnis: Vec<VniGuard>,
}

/// A network of a firewall machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VniGuard {
    /// Its VNI.
    pub vni: Vni,
    /// The loopbacks of the VTEPs that hold it, never another firewall's.
    pub vteps: Vec<Ipv4Addr>,
}

/// One direction of a peering. Leaked routes say where packets may go, not who may send them: without this, whoever is in the VRF reaches the other side's
/// prefixes one way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PeeringGuard {
    /// The VRF that packets come from.
    pub input: IfName,
    /// This side's prefixes in the peering: who may send.
    pub sources: Vec<Prefix>,
    /// The other side's: where to.
    pub destinations: Vec<Prefix>,
}

/// The network of machines that are nobody's. The bridge keeps their frames apart; without this their gateway would route between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvisioningGuard {
    /// Its VRF.
    pub input: IfName,
    /// Its subnets: what comes from them goes to none of them.
    pub subnets: Vec<Prefix>,
}

/// A bridged machine's port. The bridge itself can limit what it learns in all only, so one tenant could use up another's share (H41).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MacLimitGuard {
    /// The switch's port.
    pub port: IfName,
    /// How many addresses; the frames of more are dropped until some have been silent for [`MAC_SILENCE`].
    pub maximum: u32,
}

/// After how many seconds of silence a MAC address no longer counts: what bridges take to forget one (IEEE 802.1Q §8.8.3).
pub const MAC_SILENCE: u64 = 300;

/// A router outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExternalPeerGuard {
    /// The VRF of the external network.
    pub input: IfName,
    /// The router's address.
    pub peer: IpAddr,
}

const BGP: u64 = 179;
const BFD: [u64; 2] = [3784, 3785];
const VXLAN: u64 = 4789;
/// DHCP servers and relays (RFC 2131 §4.1), and DHCPv6's (RFC 8415 §7.2).
const DHCP: [u64; 2] = [67, 547];
const ECHO: [u64; 2] = [0, 8];
const ECHO_V6: [u64; 2] = [128, 129];
/// The VNI in a VXLAN packet: behind 8 bytes of UDP and 4 of flags, 24 bits (RFC 7348 §5). nftables 1.0.6 has no word for it.
const VNI: Expression = Expression::Raw { base: RawBase::Transport, offset: 96, length: 24 };

/// The guards of a switch: one transaction that replaces our own two tables and nothing else.
pub fn guards(switch: &SwitchGuards) -> Script {
    Script::replacing(tables(switch))
}

/// The tables alone, to compare with what the kernel holds.
pub fn tables(switch: &SwitchGuards) -> Vec<Table> {
    let table = |family, counters: Vec<Identifier>, sets, chains| Table {
        id: TableId { family, name: Identifier::composed(NFT_TABLE) },
        counters: counters.into_iter().map(|name| Counter { name }).collect(),
        sets,
        chains,
    };
    let ingress = switch.firewall_ports.iter().map(ingress).chain(switch.mac_limits.iter().map(limited)).collect();
    let limited_ports = switch.mac_limits.iter().map(|limit| &limit.port);
    let dropped = switch.firewall_ports.iter().map(|guard| &guard.port).chain(limited_ports).map(drop_counter).collect();
    let macs = switch.mac_limits.iter().map(known_macs).collect();
    let (counters, input) = input_chains(switch);
    vec![table(TableFamily::Inet, counters, Vec::new(), input), table(TableFamily::Netdev, dropped, macs, ingress)]
}

/// The counter of packets that a firewall's or a bridged machine's port was denied.
pub fn drop_counter(port: &IfName) -> Identifier {
    Identifier::composed(&format!("drop.{port}"))
}

fn ingress(guard: &FirewallPortGuard) -> Chain {
    let from_loopback = || address(IpField::Source, IpAddr::V4(guard.loopback));
    let mut rules = Vec::new();
    let to = |vteps: BTreeSet<Ipv4Addr>| {
        let vteps = one_or_set(values(vteps.into_iter().map(|vtep| Value::Address(IpAddr::V4(vtep)))))?;
        Some(equal(address_field(Family::V4, IpField::Destination), vteps))
    };
    for network in &guard.vnis {
        if let Some(to_vtep) = to(network.vteps.iter().copied().collect()) {
            let vni = number(VNI, network.vni.get().into());
            rules.push(rule([from_loopback(), to_vtep, number(destination_port(Transport::Udp), VXLAN), vni, ACCEPT]));
        }
    }
    rules.extend(link_rules());
    // answers to traceroute, and packet-too-big in the underlay; to those alone whom it has tunnels to, so never to another firewall
    if let Some(to_vtep) = to(guard.vnis.iter().flat_map(|network| network.vteps.iter().copied()).collect()) {
        rules.push(rule([from_loopback(), to_vtep.clone(), numbers(Expression::IcmpType, &ICMP_ERRORS), ACCEPT]));
        rules.push(rule([from_loopback(), to_vtep, numbers(Expression::IcmpType, &ECHO), per_second(ECHO_RATE), ACCEPT]));
    }
    let dropped = drop_counter(&guard.port);
    rules.push(rule([counter(&dropped), DROP]));
    ingress_chain(&guard.port, rules)
}

fn ingress_chain(port: &IfName, rules: Vec<Rule>) -> Chain {
    Chain {
        name: Identifier::composed(&format!("guard.{port}")),
        base: Some(BaseChain {
            kind: ChainKind::Filter,
            hook: Hook::Ingress,
            device: Some(port.clone()),
            priority: priority::FILTER,
            policy: Policy::Drop,
        }),
        rules,
    }
}

fn macs(port: &IfName) -> Identifier {
    Identifier::composed(&format!("macs.{port}"))
}

fn known_macs(limit: &MacLimitGuard) -> Set {
    Set {
        name: macs(&limit.port),
        key: vec![DataType::Ether],
        flags: SetFlags { timeout: true, dynamic: true, ..SetFlags::default() },
        size: Some(limit.maximum.max(1)),
        timeout: Some(MAC_SILENCE),
        elements: Elements::Values(Vec::new()),
    }
}

/// Who speaks is remembered; who no longer fits is not heard.
fn limited(limit: &MacLimitGuard) -> Chain {
    let known = Statement::Update { set: macs(&limit.port), key: vec![Expression::EtherSource] };
    let dropped = drop_counter(&limit.port);
    ingress_chain(&limit.port, vec![rule([known, ACCEPT]), rule([counter(&dropped), DROP])])
}

/// What any neighbour on a link may say to the switch: BGP, BFD, neighbour discovery, ICMPv6, all from link-local addresses, which no router passes on.
///
/// There is no conntrack here. An answer to our own BGP connection comes from port 179 and is never a bare SYN, so it can open nothing.
fn link_rules() -> Vec<Rule> {
    let mut rules = bgp(&from_link_local());
    rules.push(rule([from_link_local(), numbers(destination_port(Transport::Udp), &BFD), ACCEPT]));
    // hop limit 255: from this link (RFC 4861 §6.1); the source may be unspecified (duplicate address detection)
    rules.push(rule([number(Expression::HopLimit, 255), numbers(Expression::Icmpv6Type, &NEIGHBOUR_DISCOVERY), ACCEPT]));
    rules.push(rule([from_link_local(), numbers(Expression::Icmpv6Type, &ECHO_V6), per_second(ECHO_RATE), ACCEPT]));
    rules.push(rule([from_link_local(), numbers(Expression::Icmpv6Type, &ICMPV6_ERRORS), ACCEPT]));
    rules
}

/// BGP, whoever opened the connection.
fn bgp(from: &Statement) -> Vec<Rule> {
    let no_bare_syn = TcpFlags { mask: TcpFlags::SYN | TcpFlags::ACK, operator: Operator::NotEqual, value: TcpFlags::SYN };
    vec![
        rule([from.clone(), number(destination_port(Transport::Tcp), BGP), ACCEPT]),
        rule([from.clone(), number(Expression::SourcePort(Transport::Tcp), BGP), Statement::TcpFlags(no_bare_syn), ACCEPT]),
    ]
}

fn input_chains(switch: &SwitchGuards) -> (Vec<Identifier>, Vec<Chain>) {
    let (tenant, firewall, link) =
        (Identifier::composed("input.tenant"), Identifier::composed("input.firewall"), Identifier::composed("input.link"));
    let dropped = Identifier::composed("drop.input");
    let mut input = Vec::new();
    for peer in &switch.external_peers {
        let side = interfaces(Expression::InputInterface, std::slice::from_ref(&peer.input));
        let from = address(IpField::Source, peer.peer);
        input.extend(side.iter().flat_map(|side| {
            let bfd = rule([from.clone(), numbers(destination_port(Transport::Udp), &BFD), ACCEPT]);
            bgp(&from).into_iter().chain([bfd]).map(move |mut rule| {
                rule.statements.insert(0, side.clone());
                rule
            })
        }));
    }
    let ports: Vec<IfName> = switch.firewall_ports.iter().map(|guard| guard.port.clone()).collect();
    input.extend(interfaces(Expression::InputInterface, &ports).map(|side| rule([side, goto(&firewall)])));
    input.extend(interfaces(Expression::InputInterface, &switch.tenant_inputs).map(|side| rule([side, goto(&tenant)])));

    let mut tenants = Vec::new();
    tenants.extend(
        interfaces(Expression::InputInterface, &switch.dhcp_inputs)
            .map(|side| rule([side, numbers(destination_port(Transport::Udp), &DHCP), ACCEPT])),
    );
    tenants.push(rule([goto(&link)]));
    // past the guard at ingress
    let vxlan = rule([number(destination_port(Transport::Udp), VXLAN), ACCEPT]);
    let mut linked = link_rules();
    linked.extend([
        rule([numbers(Expression::IcmpType, &ICMP_ERRORS), ACCEPT]),
        rule([numbers(Expression::Icmpv6Type, &ICMPV6_ERRORS), ACCEPT]),
        // echo and its answers: the gateway may be pinged, and may ping
        rule([numbers(Expression::IcmpType, &ECHO), per_second(ECHO_RATE), ACCEPT]),
        rule([numbers(Expression::Icmpv6Type, &ECHO_V6), per_second(ECHO_RATE), ACCEPT]),
        rule([counter(&dropped), DROP]),
    ]);
    let chains = vec![
        chain(link.clone(), linked),
        chain(tenant, tenants),
        chain(firewall, vec![vxlan, rule([goto(&link)])]),
        base_chain(Identifier::composed("input"), Hook::Input, priority::FILTER, Policy::Accept, input),
    ];
    let mut counters = vec![dropped];
    let mut chains = chains;
    if let Some(untagged) = interfaces(Expression::InputInterface, &switch.trunks) {
        let dropped = Identifier::composed("drop.untagged");
        let rules = vec![rule([untagged, counter(&dropped), DROP])];
        counters.push(dropped);
        chains.push(base_chain(Identifier::composed("prerouting"), Hook::Prerouting, priority::RAW, Policy::Accept, rules));
    }
    let mut forward = Vec::new();
    if !switch.peerings.is_empty() {
        let dropped = Identifier::composed("drop.peering");
        forward.extend(peering_rules(&switch.peerings, &dropped));
        counters.push(dropped);
    }
    if let Some(provisioning) = &switch.provisioning {
        let dropped = Identifier::composed("drop.provisioning");
        forward.extend(provisioning_rules(provisioning, &dropped));
        counters.push(dropped);
    }
    if !forward.is_empty() {
        chains.push(base_chain(Identifier::composed("forward"), Hook::Forward, priority::FILTER, Policy::Accept, forward));
    }
    (counters, chains)
}

/// Between any two of the subnets, and within each.
fn provisioning_rules(guard: &ProvisioningGuard, dropped: &Identifier) -> Vec<Rule> {
    let Some(from) = interfaces(Expression::InputInterface, std::slice::from_ref(&guard.input)) else { return Vec::new() };
    let same_family = |source: Prefix| guard.subnets.iter().filter(move |to| to.family() == source.family()).map(move |to| (source, *to));
    let pairs = guard.subnets.iter().flat_map(|source| same_family(*source));
    pairs
        .map(|(source, to)| {
            rule([from.clone(), in_prefix(IpField::Source, source), in_prefix(IpField::Destination, to), counter(dropped), DROP])
        })
        .collect()
}

/// What crosses from one VRF of a peering to the other, by both its ends. All that may pass stands before all that may not, since two peerings may lead
/// to the same prefixes.
fn peering_rules(peerings: &[PeeringGuard], dropped: &Identifier) -> Vec<Rule> {
    let (mut passes, mut drops) = (Vec::new(), Vec::new());
    for peering in peerings {
        let Some(from) = interfaces(Expression::InputInterface, std::slice::from_ref(&peering.input)) else { continue };
        for destination in &peering.destinations {
            let to = in_prefix(IpField::Destination, *destination);
            for source in peering.sources.iter().filter(|source| source.family() == destination.family()) {
                passes.push(rule([from.clone(), to.clone(), in_prefix(IpField::Source, *source), ACCEPT]));
            }
            drops.push(rule([from.clone(), to, counter(dropped), DROP]));
        }
    }
    passes.append(&mut drops);
    passes
}

fn values(values: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut sorted: Vec<Value> = values.collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}
