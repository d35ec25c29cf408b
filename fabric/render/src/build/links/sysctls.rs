//! Kernel settings.

use std::collections::BTreeMap;

use leafwall_topology::IfName;

/// Settings of everything that routes: switches, firewall machines, routed servers.
const FORWARDING: [(&str, &str); 8] = [
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    // several ways to the same place are the rule: packets may come back by another one
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv6/conf/all/keep_addr_on_down", "1"),
    ("net/ipv6/conf/default/keep_addr_on_down", "1"),
    // flows, not packets, are spread
    ("net/ipv4/fib_multipath_hash_policy", "1"),
    ("net/ipv6/fib_multipath_hash_policy", "1"),
];

/// What devices with VRFs need besides.
const VRFS: [(&str, &str); 4] = [
    // the device's own services are not for tenants (H40); raw sockets stay as they are, since zebra hears router advertisements of all VRFs on one
    ("net/ipv4/tcp_l3mdev_accept", "0"),
    ("net/ipv4/udp_l3mdev_accept", "0"),
    ("net/ipv6/route/skip_notify_on_dev_down", "1"),
    // anycast addresses are on many devices, by intent
    ("net/ipv6/conf/default/accept_dad", "0"),
];

fn owned<'a>(settings: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> BTreeMap<String, String> {
    settings.into_iter().map(|&(path, value)| (path.to_owned(), value.to_owned())).collect()
}

/// Settings of switches and firewall machines.
pub fn router() -> BTreeMap<String, String> {
    owned(FORWARDING.iter().chain(&VRFS))
}

/// Settings of routed servers.
pub fn server() -> BTreeMap<String, String> {
    owned(&FORWARDING)
}

/// Settings of an anycast gateway: hosts that speak up without being asked (after a move, after failing over to the other port) are believed.
pub fn gateway(settings: &mut BTreeMap<String, String>, svi: &IfName) {
    settings.insert(format!("net/ipv4/conf/{svi}/arp_accept"), "1".to_owned());
    settings.insert(format!("net/ipv6/conf/{svi}/accept_untracked_na"), "1".to_owned());
}
