//! Routers beyond the exits: what somebody else's side of an external peering looks like, made from the inventory.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use leafwall_render::inventory::{OutsideRouter, OutsideSession};
use leafwall_topology::{Family, Prefix};

/// Where a router without IPv4 gets its router id from: 100.64.0.0/10 and the last bits of its ASN. It must only differ from its neighbours' (RFC 6286).
const ROUTER_IDS: u32 = 0x6440_0000;

/// The commands for `ip -batch` that give the router its addresses and tagged interfaces.
pub fn links(router: &OutsideRouter) -> String {
    let mut batch = String::new();
    for address in &router.addresses {
        let _ = writeln!(batch, "address add {} dev lo", Prefix::host(*address));
    }
    let ports: BTreeSet<_> = router.sessions.iter().map(|session| &session.port).collect();
    for port in ports {
        let _ = writeln!(batch, "link set {port} up");
    }
    let tagged: BTreeSet<_> = router.sessions.iter().filter_map(|session| Some((&session.port, session.vlan?))).collect();
    for (port, vlan) in tagged {
        let _ = writeln!(batch, "link add link {port} name {port}.{vlan} up type vlan id {vlan}");
    }
    for session in &router.sessions {
        let interface = interface(session);
        if let Some(mtu) = session.mtu {
            let _ = writeln!(batch, "link set {interface} mtu {mtu}");
        }
        // No duplicate address detection: the session would wait for it.
        let nodad = if session.local.address().is_ipv6() { " nodad" } else { "" };
        let _ = writeln!(batch, "address add {} dev {interface}{nodad}", session.local);
    }
    batch
}

fn interface(session: &OutsideSession) -> String {
    match session.vlan {
        Some(vlan) => format!("{}.{vlan}", session.port),
        None => session.port.to_string(),
    }
}

/// The router's frr.conf.
pub fn frr_conf(router: &OutsideRouter) -> String {
    let mut conf = format!("hostname {}\n", router.name);
    let Some(first) = router.sessions.first() else { return conf };
    let asn = first.local_asn;
    let _ = writeln!(conf, "router bgp {asn}");
    // Without an IPv4 address FRR has no number of its own to take, and opens no session with 0.0.0.0.
    let own = router.addresses.iter().find_map(|address| match address {
        IpAddr::V4(v4) => Some(*v4),
        IpAddr::V6(_) => None,
    });
    let _ = writeln!(conf, " bgp router-id {}", own.unwrap_or_else(|| Ipv4Addr::from(ROUTER_IDS | (asn.get() & 0x3f_ffff))));
    // It announces what it has no routes for, takes whatever it is told, and uses all exits.
    conf.push_str(
        " no bgp ebgp-requires-policy\n no bgp network import-check\n no bgp default ipv4-unicast\n bgp bestpath as-path multipath-relax\n",
    );
    for session in &router.sessions {
        let remote = session.remote;
        let _ = writeln!(conf, " neighbor {remote} remote-as {}", session.remote_asn);
        let _ = writeln!(conf, " neighbor {remote} timers 3 9\n neighbor {remote} timers connect 1");
        if session.local_asn != asn {
            // Upstreams of other numbers are the same machine here.
            let _ = writeln!(conf, " neighbor {remote} local-as {} no-prepend replace-as", session.local_asn);
        }
        if let Some(password) = &session.password {
            let _ = writeln!(conf, " neighbor {remote} password {password}");
        }
    }
    for (family, name) in [(Family::V4, "ipv4"), (Family::V6, "ipv6")] {
        let sessions: Vec<_> = router.sessions.iter().filter(|session| Family::of(session.remote) == family).collect();
        if sessions.is_empty() {
            continue;
        }
        let _ = writeln!(conf, " address-family {name} unicast");
        for prefix in router.announces.iter().filter(|prefix| prefix.family() == family) {
            let _ = writeln!(conf, "  network {prefix}");
        }
        for session in sessions {
            let _ = writeln!(conf, "  neighbor {} activate", session.remote);
        }
        conf.push_str(" exit-address-family\n");
    }
    conf.push_str("exit\n");
    conf
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> OutsideRouter {
        serde_json::from_str(
            r#"{"name": "outside", "addresses": ["198.18.0.1", "2001:db8::1"], "announces": ["0.0.0.0/0", "::/0"], "sessions": [
                {"port": "eth0", "local": "198.51.100.2/30", "local_asn": 64500, "remote": "198.51.100.1", "remote_asn": 4210000001},
                {"port": "eth1", "vlan": 200, "local": "2001:db8:1::2/64", "local_asn": 64501, "remote": "2001:db8:1::1", "remote_asn": 4210000002, "password": "x"}]}"#,
        )
        .unwrap()
    }

    #[test]
    fn each_family_tells_its_own_prefixes_to_its_own_peers() {
        let conf = frr_conf(&router());
        let (v4, v6) = conf.split_once("address-family ipv6").unwrap();
        assert!(v4.contains("network 0.0.0.0/0\n  neighbor 198.51.100.1 activate\n"));
        assert!(v6.contains("network ::/0\n  neighbor 2001:db8:1::1 activate\n"));
        assert!(v4.contains("neighbor 2001:db8:1::1 local-as 64501 no-prepend replace-as\n"));
    }

    #[test]
    fn a_router_without_ipv4_has_a_router_id_all_the_same() {
        let mut router = router();
        router.addresses.retain(IpAddr::is_ipv6);
        assert!(frr_conf(&router).contains(" bgp router-id 100.64.251.244\n"), "{}", frr_conf(&router));
    }

    #[test]
    fn tagged_interfaces_are_made_once_and_addressed() {
        let batch = links(&router());
        assert!(batch.contains("link add link eth1 name eth1.200 up type vlan id 200\n"));
        assert!(batch.contains("address add 2001:db8:1::2/64 dev eth1.200 nodad\n"));
        assert!(batch.contains("address add 198.18.0.1/32 dev lo\n"));
    }
}
