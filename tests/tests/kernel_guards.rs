//! A switch's guards in a kernel: what comes out of a firewall's port (H38), and what a tenant reaches on the switch (H40). Every attack succeeds first,
//! without its guard.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test may; its helpers are tests too
#![allow(clippy::type_complexity)] // tables of attacks, used once

use std::net::{IpAddr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use leafwall_policy::guards::{ExternalPeerGuard, FirewallPortGuard, MacLimitGuard, ProvisioningGuard, SwitchGuards, VniGuard, guards};
use leafwall_policy::semantics::Transport;
use leafwall_tests::firewall::parsed;
use leafwall_tests::namespace::{Namespace, unable};
use leafwall_tests::skip;
use leafwall_tests::wire::{self, Catcher, Sender};
use leafwall_tests::world::load;

/// How long a packet that should arrive may take, and how long one that should not is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
const OWN: u32 = 10001;
const FOREIGN: u32 = 10002;

/// A firewall machine, its leaf, and the fabric behind.
struct Fabric {
    firewall: Namespace,
    leaf: Namespace,
    sender: Sender,
    /// Sees what the leaf passes on.
    far: Catcher,
    beyond: Namespace,
}

fn fabric(purpose: &str) -> Fabric {
    let [firewall, leaf, far] = ["fw", "leaf", "far"].map(|name| Namespace::new(&format!("{purpose}-{name}")).unwrap());
    for namespace in [&firewall, &leaf, &far] {
        namespace
            .sysctl(&["net.ipv6.conf.default.accept_dad=0", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0"])
            .unwrap();
    }
    leaf.sysctl(&["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.conf.all.accept_local=1"]).unwrap();
    leaf.ip(&format!(
        "link add swp9 type veth peer name lan0 netns {}\nlink add swp31 type veth peer name swp1 netns {}\naddress add 10.255.0.1/32 dev lo\n\
         link set swp9 address 02:00:00:00:09:01\nlink set swp9 up\nlink set swp31 up\n",
        firewall.name(),
        far.name()
    ))
    .unwrap();
    far.ip("link set swp1 address 02:00:00:00:31:02\nlink set swp1 up\n").unwrap();
    firewall.ip("address add 10.255.0.9/32 dev lo\nlink set lan0 up\n").unwrap();
    // unnumbered: the next hop of IPv4 routes is a link-local IPv6 address (RFC 8950), so no ARP is spoken
    let next_hop = link_local(&leaf, "swp9").0;
    firewall.ip(&format!("route add 10.255.0.0/24 via inet6 {next_hop} dev lan0 src 10.255.0.9\n")).unwrap();
    let (next_hop, back) = (link_local(&far, "swp1").0, link_local(&firewall, "lan0").0);
    leaf.ip(&format!("route add 10.255.0.9/32 via inet6 {back} dev swp9\nroute add 10.255.0.0/24 via inet6 {next_hop} dev swp31\n"))
        .unwrap();
    let (sender, mut catcher) = (Sender::new(&firewall).unwrap(), Catcher::new(&far).unwrap());
    let ping = wire::packet(parsed("10.255.0.9"), parsed("10.255.0.2"), Transport::Icmp(8), u32::MAX);
    catcher.warm_up(&sender, parsed("10.255.0.2"), &ping, u32::MAX).unwrap();
    Fabric { firewall, leaf, sender, far: catcher, beyond: far }
}

fn link_local(namespace: &Namespace, device: &str) -> (String, u32) {
    let listing = namespace.run(&["ip", "-6", "-o", "address", "show", "dev", device, "scope", "link"]).unwrap();
    let address = listing.split_whitespace().skip_while(|word| *word != "inet6").nth(1).unwrap().split('/').next().unwrap().to_owned();
    (address, listing.split(':').next().unwrap().trim().parse().unwrap())
}

fn vxlan(vni: u32, token: u32) -> Vec<u8> {
    let mut payload = vec![8, 0, 0, 0];
    payload.extend((vni << 8).to_be_bytes());
    payload.extend(wire::marked(token));
    payload
}

/// A VXLAN packet.
fn outer(source: &str, destination: &str, port: u16, vni: u32, token: u32) -> Vec<u8> {
    wire::ip(parsed(source), parsed(destination), 17, wire::udp(50000, port, &vxlan(vni, token)))
}

/// With four bytes of IP options in front of UDP; the kernel fills in length and checksum.
fn with_options(mut packet: Vec<u8>) -> Vec<u8> {
    packet[0] = 0x46;
    packet.splice(20..20, [1, 1, 1, 0]);
    packet
}

/// The two fragments of a packet, cut so that the first one ends before the VNI.
fn fragments(packet: &[u8]) -> [Vec<u8>; 2] {
    let (header, body) = packet.split_at(20);
    let fragment = |bits: u16, part: &[u8]| {
        let mut whole = header.to_vec();
        whole[4..6].copy_from_slice(&[0x12, 0x34]);
        whole[6..8].copy_from_slice(&bits.to_be_bytes());
        whole.extend(part);
        whole
    };
    [fragment(0x2000, &body[..8]), fragment(1, &body[8..])]
}

fn port_guard() -> FirewallPortGuard {
    FirewallPortGuard {
        port: parsed("swp9"),
        loopback: "10.255.0.9".parse().unwrap(),
        vnis: vec![
            VniGuard { vni: parsed(&OWN.to_string()), vteps: vec![parsed("10.255.0.1"), parsed("10.255.0.2")] },
            VniGuard { vni: parsed("104009"), vteps: vec![parsed("10.255.0.2"), parsed("10.255.0.3")] },
        ],
    }
}

#[test]
fn h38_a_firewall_sends_its_own_vnis_to_vteps_that_have_them_and_nothing_else() {
    if let Some(why) = unable() {
        return skip("h38_a_firewall_sends_its_own_vnis_to_vteps_that_have_them_and_nothing_else", &why);
    }
    let mut fabric = fabric("h38");
    let honest = |token| outer("10.255.0.9", "10.255.0.2", 4789, OWN, token);
    let tcp = Transport::Tcp { source: 4000, destination: 22 };
    let attacks: Vec<(&str, Box<dyn Fn(u32) -> Vec<Vec<u8>>>)> = vec![
        ("foreign VNI", Box::new(|token| vec![outer("10.255.0.9", "10.255.0.2", 4789, FOREIGN, token)])),
        ("foreign VNI behind IP options", Box::new(|token| vec![with_options(outer("10.255.0.9", "10.255.0.2", 4789, FOREIGN, token))])),
        ("foreign VNI in fragments", Box::new(|token| fragments(&outer("10.255.0.9", "10.255.0.2", 4789, FOREIGN, token)).to_vec())),
        ("foreign source", Box::new(|token| vec![outer("10.255.0.8", "10.255.0.2", 4789, OWN, token)])),
        ("the leaf's own source", Box::new(|token| vec![outer("10.255.0.1", "10.255.0.2", 4789, OWN, token)])),
        ("a VTEP that has its other VNI alone", Box::new(|token| vec![outer("10.255.0.9", "10.255.0.3", 4789, OWN, token)])),
        ("another port", Box::new(|token| vec![outer("10.255.0.9", "10.255.0.2", 4790, OWN, token)])),
        ("TCP into the underlay", Box::new(move |token| vec![wire::packet(parsed("10.255.0.9"), parsed("10.255.0.2"), tcp, token)])),
        ("another protocol", Box::new(|token| vec![wire::packet(parsed("10.255.0.9"), parsed("10.255.0.2"), Transport::Other(47), token)])),
    ];
    let mut token = 0;
    let mut arrives = |fabric: &mut Fabric, packets: &dyn Fn(u32) -> Vec<Vec<u8>>| {
        token += 1;
        for packet in packets(token) {
            let destination = IpAddr::from([packet[16], packet[17], packet[18], packet[19]]);
            fabric.sender.send(destination, &packet).unwrap();
        }
        fabric.far.wait_for(token, PATIENCE).is_some()
    };
    for (attack, packets) in &attacks {
        assert!(arrives(&mut fabric, packets), "without a guard this gets through: {attack}");
    }
    load(&fabric.leaf, &guards(&SwitchGuards { firewall_ports: vec![port_guard()], ..SwitchGuards::default() }).to_text()).unwrap();
    let allowed: [(&str, &dyn Fn(u32) -> Vec<Vec<u8>>); 4] = [
        ("own VNI", &|token| vec![honest(token)]),
        ("its other VNI", &|token| vec![outer("10.255.0.9", "10.255.0.2", 4789, 104_009, token)]),
        ("own VNI behind IP options", &|token| vec![with_options(honest(token))]),
        ("ping", &|token| vec![wire::packet(parsed("10.255.0.9"), parsed("10.255.0.2"), Transport::Icmp(8), token)]),
    ];
    for (what, packets) in allowed {
        assert!(arrives(&mut fabric, packets), "{what}");
    }
    for (attack, packets) in &attacks {
        assert!(!arrives(&mut fabric, packets), "in spite of the guard: {attack}");
    }
    let listing = fabric.leaf.run(&["nft", "list", "counter", "netdev", "leafwall", "drop.swp9"]).unwrap();
    let dropped: usize = listing.split_whitespace().skip_while(|word| *word != "packets").nth(1).unwrap().parse().unwrap();
    assert!(dropped > attacks.len(), "each is counted, fragments twice: {listing}");
}

#[test]
fn machines_that_are_nobodys_do_not_meet_at_their_gateway() {
    if let Some(why) = unable() {
        return skip("machines_that_are_nobodys_do_not_meet_at_their_gateway", &why);
    }
    let mut fabric = fabric("idle");
    let (leaf, far) = (link_local(&fabric.leaf, "swp9").0, link_local(&fabric.beyond, "swp1").0);
    for network in ["172.16.0.0/24", "192.0.2.0/24"] {
        fabric.firewall.ip(&format!("route add {network} via inet6 {leaf} dev lan0\n")).unwrap();
        fabric.leaf.ip(&format!("route add {network} via inet6 {far} dev swp31\n")).unwrap();
    }
    let mut token = 0;
    let mut arrives = |fabric: &mut Fabric, source: &str, destination: &str| {
        token += 1;
        let packet = wire::packet(parsed(source), parsed(destination), Transport::Udp { source: 68, destination: 69 }, token);
        fabric.sender.send(parsed(destination), &packet).unwrap();
        fabric.far.wait_for(token, PATIENCE).is_some()
    };
    assert!(arrives(&mut fabric, "172.16.0.11", "172.16.0.12"), "without a guard");
    let provisioning = ProvisioningGuard { input: parsed("swp9"), subnets: vec![parsed("172.16.0.0/24")] };
    load(&fabric.leaf, &guards(&SwitchGuards { provisioning: Some(provisioning), ..SwitchGuards::default() }).to_text()).unwrap();
    assert!(!arrives(&mut fabric, "172.16.0.11", "172.16.0.12"), "a neighbour");
    assert!(arrives(&mut fabric, "172.16.0.11", "192.0.2.9"), "whoever installs it");
    assert!(arrives(&mut fabric, "192.0.2.8", "172.16.0.12"), "another network's machine, of whom the VRF's own filters decide");
}

/// Whether a TCP connection from one namespace to this address of another comes to life.
fn connects(from: &Namespace, to: &Namespace, address: SocketAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { parsed("0.0.0.0") } else { parsed("::") };
    let listener = to.enter(|| TcpListener::bind((any, address.port()))).unwrap().unwrap();
    let done = from.enter(|| TcpStream::connect_timeout(&address, PATIENCE).is_ok()).unwrap();
    drop(listener);
    done
}

fn datagram(from: &Namespace, to: &Namespace, address: SocketAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { parsed("0.0.0.0") } else { parsed("::") };
    let receiver = to.enter(|| UdpSocket::bind((any, address.port()))).unwrap().unwrap();
    receiver.set_read_timeout(Some(PATIENCE)).unwrap();
    from.enter(|| UdpSocket::bind((any, 0)).unwrap().send_to(b"hello", address).unwrap()).unwrap();
    receiver.recv(&mut [0; 16]).is_ok()
}

fn on_link(address: &str, scope: u32, port: u16) -> SocketAddr {
    SocketAddrV6::new(parsed(address), port, 0, scope).into()
}

#[test]
fn h38_a_firewall_reaches_bgp_bfd_and_vxlan_of_its_leaf_and_nothing_else() {
    if let Some(why) = unable() {
        return skip("h38_a_firewall_reaches_bgp_bfd_and_vxlan_of_its_leaf_and_nothing_else", &why);
    }
    let fabric = fabric("leaf");
    let (firewall, leaf) = (&fabric.firewall, &fabric.leaf);
    let (address, scope) = (link_local(leaf, "swp9").0, link_local(firewall, "lan0").1);
    let link = |port| on_link(&address, scope, port);
    let loopback = |port| SocketAddr::new(parsed("10.255.0.1"), port);
    assert!(
        connects(firewall, leaf, link(22)) && connects(firewall, leaf, loopback(22)) && datagram(firewall, leaf, loopback(161)),
        "without a guard"
    );
    load(leaf, &guards(&SwitchGuards { firewall_ports: vec![port_guard()], ..SwitchGuards::default() }).to_text()).unwrap();
    assert!(connects(firewall, leaf, link(179)), "BGP");
    assert!(connects(leaf, firewall, on_link(&link_local(firewall, "lan0").0, link_local(leaf, "swp9").1, 179)), "BGP that the leaf opens");
    assert!(datagram(firewall, leaf, link(3784)), "BFD");
    assert!(!connects(firewall, leaf, link(22)) && !connects(firewall, leaf, loopback(22)) && !connects(firewall, leaf, loopback(179)));
    assert!(!datagram(firewall, leaf, loopback(161)) && !datagram(firewall, leaf, link(161)));
    // a connection from port 179 is still a connection
    let from_bgp = firewall
        .enter(|| {
            let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None).unwrap();
            socket.bind(&SocketAddr::new(parsed("::"), 179).into()).unwrap();
            let listener = leaf.enter(|| TcpListener::bind("[::]:22")).unwrap().unwrap();
            let done = socket.connect_timeout(&link(22).into(), PATIENCE).is_ok();
            drop(listener);
            done
        })
        .unwrap();
    assert!(!from_bgp);
}

#[test]
fn h40_a_tenant_reaches_no_service_of_its_switch() {
    if let Some(why) = unable() {
        return skip("h40_a_tenant_reaches_no_service_of_its_switch", &why);
    }
    let [leaf, server, client] = ["leaf", "srv", "cli"].map(|name| Namespace::new(&format!("h40-{name}")).unwrap());
    for namespace in [&leaf, &server, &client] {
        namespace.sysctl(&["net.ipv6.conf.default.accept_dad=0"]).unwrap();
    }
    leaf.ip(&format!(
        "link add swp1 type veth peer name lan0 netns {}\nlink add vlan1001 type veth peer name lan0 netns {}\nlink set swp1 up\nlink set vlan1001 up\n\
         address add 10.0.0.1/24 dev swp1\naddress add fd00:a::1/64 dev swp1\naddress add 10.0.4.1/24 dev vlan1001\n",
        server.name(),
        client.name()
    ))
    .unwrap();
    server.ip("link set lan0 up\naddress add 10.0.0.2/24 dev lan0\naddress add fd00:a::2/64 dev lan0\n").unwrap();
    client.ip("link set lan0 up\naddress add 10.0.4.2/24 dev lan0\n").unwrap();
    let (from, to): (IpAddr, IpAddr) = (parsed("10.0.0.2"), parsed("10.0.0.1"));
    let ping = wire::packet(from, to, Transport::Icmp(8), u32::MAX);
    Catcher::new(&server).unwrap().warm_up(&Sender::new(&server).unwrap(), to, &ping, u32::MAX).unwrap();
    let (address, scope) = (link_local(&leaf, "swp1").0, link_local(&server, "lan0").1);
    let places =
        |port| [SocketAddr::new(parsed("10.0.0.1"), port), SocketAddr::new(parsed("fd00:a::1"), port), on_link(&address, scope, port)];
    for port in [22, 6379, 8080] {
        assert!(places(port).into_iter().all(|place| connects(&server, &leaf, place)), "without a guard: {port}");
    }
    for port in [67, 161, 4789] {
        assert!(places(port).into_iter().all(|place| datagram(&server, &leaf, place)), "without a guard: {port}");
    }
    let guarded = SwitchGuards {
        tenant_inputs: vec![parsed("swp1"), parsed("vlan1001")],
        dhcp_inputs: vec![parsed("vlan1001")],
        external_peers: vec![ExternalPeerGuard { input: parsed("swp1"), peer: parsed("10.0.0.2") }],
        ..SwitchGuards::default()
    };
    load(&leaf, &guards(&SwitchGuards { external_peers: vec![], ..guarded.clone() }).to_text()).unwrap();
    for port in [22, 6379, 8080] {
        assert!(places(port).into_iter().all(|place| !connects(&server, &leaf, place)), "{port}");
    }
    for port in [67, 161, 4789] {
        assert!(places(port).into_iter().all(|place| !datagram(&server, &leaf, place)), "{port}");
    }
    // BGP and BFD on the link, and only there
    let [v4, v6, link] = places(179);
    assert!(connects(&server, &leaf, link) && !connects(&server, &leaf, v4) && !connects(&server, &leaf, v6));
    assert!(connects(&leaf, &server, on_link(&link_local(&server, "lan0").0, link_local(&leaf, "swp1").1, 179)), "BGP that the leaf opens");
    assert!(datagram(&server, &leaf, places(3784)[2]) && !datagram(&server, &leaf, places(3784)[0]));
    // the gateway answers pings, both families; neighbour discovery worked for that
    for (from, to, kind) in [("10.0.0.2", "10.0.0.1", Transport::Icmp(8)), ("fd00:a::2", "fd00:a::1", Transport::Icmpv6(128))] {
        let (from, to): (IpAddr, IpAddr) = (parsed(from), parsed(to));
        let mut answers = Catcher::new(&server).unwrap();
        Sender::new(&server).unwrap().send(to, &wire::packet(from, to, kind, 7)).unwrap();
        assert_eq!(answers.wait_for(7, PATIENCE).map(|caught| caught.source), Some(to));
    }
    // DHCP where it is relayed
    assert!(datagram(&client, &leaf, SocketAddr::new(parsed("10.0.4.1"), 67)));
    assert!(!datagram(&client, &leaf, SocketAddr::new(parsed("10.0.4.1"), 161)));
    // a router outside speaks BGP from its address
    load(&leaf, &guards(&guarded).to_text()).unwrap();
    assert!(connects(&server, &leaf, v4) && !connects(&server, &leaf, v6) && !connects(&server, &leaf, places(22)[0]));
}

#[test]
fn h41_a_flood_of_mac_addresses_ends_at_its_port() {
    const MAXIMUM: usize = 4;
    const FLOOD: usize = 12;
    if let Some(why) = unable() {
        return skip("h41_a_flood_of_mac_addresses_ends_at_its_port", &why);
    }
    let [leaf, server] = ["leaf", "srv"].map(|name| Namespace::new(&format!("h41-{name}")).unwrap());
    leaf.ip(&format!("link add bridge0 type bridge\nlink add swp1 type veth peer name lan0 netns {}\nlink set swp1 master bridge0\nlink set bridge0 up\nlink set swp1 up\n", server.name())).unwrap();
    server.ip("link set lan0 up\naddress add 10.0.0.2/24 dev lan0\n").unwrap();
    let mut first = Catcher::new(&leaf).unwrap();
    for _ in 0..100 {
        let shout = || {
            UdpSocket::bind("10.0.0.2:0")
                .and_then(|socket| socket.set_broadcast(true).and_then(|()| socket.send_to(&wire::marked(1), "10.0.0.255:9")))
        };
        server.enter(shout).unwrap().unwrap();
        if first.wait_for(1, Duration::from_millis(50)).is_some() {
            break;
        }
    }
    let learned = |round: usize| {
        for number in 0..FLOOD {
            server.ip(&format!("link set lan0 address 02:00:00:{round:02x}:00:{number:02x}\n")).unwrap();
            // a broadcast, so that nobody must answer first
            let shout = || {
                UdpSocket::bind("10.0.0.2:0")
                    .and_then(|socket| socket.set_broadcast(true).and_then(|()| socket.send_to(b"hello", "10.0.0.255:9")))
            };
            server.enter(shout).unwrap().unwrap();
        }
        let listing = leaf.run(&["bridge", "fdb", "show", "br", "bridge0", "dynamic"]).unwrap();
        listing.lines().filter(|line| line.starts_with(&format!("02:00:00:{round:02x}"))).count()
    };
    assert_eq!(learned(1), FLOOD, "without a guard all of them are learned");
    let limited = SwitchGuards { mac_limits: vec![MacLimitGuard { port: parsed("swp1"), maximum: 4 }], ..SwitchGuards::default() };
    load(&leaf, &guards(&limited).to_text()).unwrap();
    let found = learned(2);
    assert!((1..=MAXIMUM).contains(&found), "{found}");
    // those that are in the set go on being heard, the others are not
    let set = leaf.run(&["nft", "list", "set", "netdev", "leafwall", "macs.swp1"]).unwrap();
    let (known, unknown): (Vec<usize>, Vec<usize>) = (0..FLOOD).partition(|number| set.contains(&format!("02:00:00:02:00:{number:02x}")));
    assert!((1..=MAXIMUM).contains(&known.len()), "{set}");
    let mut heard = Catcher::new(&leaf).unwrap();
    let mut speaks = |mac: usize, token: u32| {
        server.ip(&format!("link set lan0 address 02:00:00:02:00:{mac:02x}\n")).unwrap();
        let shout = || {
            let socket = UdpSocket::bind("10.0.0.2:0")?;
            socket.set_broadcast(true)?;
            socket.send_to(&wire::marked(token), "10.0.0.255:9")
        };
        server.enter(shout).unwrap().unwrap();
        heard.wait_for(token, PATIENCE).is_some()
    };
    assert!(speaks(known[0], 1), "{known:?} {set}");
    assert!(!speaks(unknown[0], 2), "{unknown:?} {set}");
}
