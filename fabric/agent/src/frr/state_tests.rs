//! What daemons print, as FRR 10.3 prints it, and what is made of it.

use leafwall_render::frr::FrrConfig;
use leafwall_render::links::Links;
use serde_json::{Value, json};

use super::*;

const CONFIG: &str = "vrf vrf10001
 vni 10001
exit-vrf
!
router bgp 4210000011
 !
 address-family l2vpn evpn
  advertise-all-vni
  vni 11001
   rd 10.255.0.11:1004
   route-target import 65000:11001
   route-target export 65000:11001
  exit-vni
 exit-address-family
exit
!
router bgp 4210000011 vrf vrf10001
 !
 address-family l2vpn evpn
  rd 10.255.0.11:1001
  route-target import 65000:10001
  route-target export 65000:10001
 exit-address-family
exit
!
";

fn expected() -> Expectation {
    let links: Links = serde_json::from_value(json!({
        "version": 1, "forwarding": "immediate", "sysctls": {},
        "links": [
            {"name": "vrf10001", "kind": {"vrf": {"table": 10001}}, "state": "up", "addresses": ["10.255.0.11/32", "fd6c::b/128"]},
            {"name": "bridge0", "kind": {"bridge": {"maximum_macs": 0, "vlans": [1001, 1004]}}, "state": "up"},
            {"name": "vxlan0", "kind": {"vxlan": {"local": "10.255.0.11", "vnis": [{"vni": 10001, "vlan": 1001}, {"vni": 11001, "vlan": 1004}]}},
             "state": "up", "master": "bridge0", "bridge_port": {"tunnel": {}}},
            {"name": "vlan1004", "kind": {"vlan": {"lower": "bridge0", "id": 1004}}, "state": "up", "master": "vrf10001", "mac": "02:00:5e:00:00:01"},
            {"name": "vlan1001", "kind": {"vlan": {"lower": "bridge0", "id": 1001}}, "state": "up", "master": "vrf10001", "mac": "02:4c:0a:ff:00:0b"}
        ]
    }))
    .unwrap();
    Expectation::new(&FrrConfig::parse(CONFIG).unwrap(), &links)
}

fn whats(differences: &[Difference]) -> Vec<&str> {
    differences.iter().map(|difference| difference.what.as_str()).collect()
}

fn vrf(svi: &str, state: &str, mac: &str) -> VrfVnis {
    serde_json::from_value(
        json!({"vrfs": [{"vrf": "vrf10001", "vni": 10001, "vxlanIntf": "vxlan0", "sviIntf": svi, "state": state, "routerMac": mac}]}),
    )
    .unwrap()
}

#[test]
fn h01_an_l3vni_on_its_siblings_svi_is_seen() {
    let expected = expected();
    assert_eq!(vrf_vnis(&expected, &vrf("vlan1001", "Up", "02:4c:0a:ff:00:0b")), []);
    assert_eq!(whats(&vrf_vnis(&expected, &vrf("vlan1004", "Up", "02:4c:0a:ff:00:0b"))), ["SVI of VNI 10001"]);
    assert_eq!(
        whats(&vrf_vnis(&expected, &vrf("None", "Down", "None"))),
        ["state of VNI 10001", "SVI of VNI 10001", "router MAC of VNI 10001"]
    );
    let lost = VrfVnis { vrfs: vec![] };
    assert_eq!(whats(&vrf_vnis(&expected, &lost)), ["VNI 10001 of `vrf10001` in zebra"]);
}

#[test]
fn h02_another_router_mac_is_seen() {
    assert_eq!(whats(&vrf_vnis(&expected(), &vrf("vlan1001", "Up", "02:00:5e:00:00:01"))), ["router MAC of VNI 10001"]);
}

#[test]
fn h03_links_that_zebra_has_not_seen_or_has_elsewhere() {
    let rows = |rows: Value| serde_json::from_value::<BTreeMap<String, Interface>>(rows).unwrap();
    let mut seen = json!({
        "vrf10001": {"status": "up", "vrfName": "vrf10001", "addresses": []}, "bridge0": {"vrfName": "default"}, "vxlan0": {"vrfName": "default"},
        "vlan1001": {"vrfName": "vrf10001"}, "vlan1004": {"vrfName": "vrf10001"}, "eth0": {"vrfName": "mgmt"}
    });
    assert_eq!(interfaces(&expected(), &rows(seen.clone())), []);
    seen["vlan1004"]["vrfName"] = "default".into();
    seen.as_object_mut().unwrap().remove("vxlan0");
    assert_eq!(whats(&interfaces(&expected(), &rows(seen))), ["VRF of `vlan1004` in zebra", "interface `vxlan0` in zebra"]);
}

#[test]
fn h06_lost_route_targets_are_seen() {
    let shown = |import: &[&str], kernel: &str| {
        serde_json::from_value(json!({
            "advertiseAllVnis": "Enabled", "numVnis": 2,
            "11001": {"vni": 11001, "type": "L2", "inKernel": "True", "rd": "10.255.0.11:1004", "importRTs": ["65000:11001"], "exportRTs": ["65000:11001"]},
            "10001": {"vni": 10001, "type": "L3", "inKernel": kernel, "rd": "10.255.0.11:1001", "importRTs": import, "exportRTs": ["65000:10001"]}
        }))
        .unwrap()
    };
    assert_eq!(evpn(&expected(), shown(&["65000:10001"], "True")), []);
    assert_eq!(whats(&evpn(&expected(), shown(&[], "True"))), ["import targets of VNI 10001 in bgpd"]);
    assert_eq!(whats(&evpn(&expected(), shown(&["65000:10001", "65000:7"], "True"))), ["import targets of VNI 10001 in bgpd"]);
    assert_eq!(whats(&evpn(&expected(), shown(&["65000:10001"], "False"))), ["presence in the kernel of VNI 10001 in bgpd"]);
    assert_eq!(whats(&evpn(&expected(), BTreeMap::new())), ["VNI 10001 in bgpd", "VNI 11001 in bgpd"]);
}

#[test]
fn h07_routes_in_the_wrong_table_are_seen() {
    let routes = |vrf: &str, table: u32| -> BTreeMap<String, BTreeMap<String, Vec<RouteOwner>>> {
        serde_json::from_value(json!({
            "default": {"10.255.0.1/32": [{"prefix": "10.255.0.1/32", "vrfName": "default", "table": 254}]},
            "vrf10001": {
                "10.0.0.1/32": [{"prefix": "10.0.0.1/32", "vrfName": vrf, "table": table}],
                "10.255.0.11/32": [{"prefix": "10.255.0.11/32", "vrfName": "vrf10001", "table": 10001}]
            }
        }))
        .unwrap()
    };
    assert_eq!(owners(&expected(), &routes("vrf10001", 10001)), []);
    assert_eq!(whats(&owners(&expected(), &routes("default", 254))), ["owner of route 10.0.0.1/32"]);
    let mut lost = routes("vrf10001", 10001);
    lost.remove("vrf10001");
    assert_eq!(whats(&owners(&expected(), &lost)), ["route 10.255.0.11/32 in `vrf10001`"]);
}

#[test]
fn health_is_read_off_what_a_leaf_shows() {
    // leaf-03 of fra1, shortened: two spines, two firewall machines
    let peer = |hostname: &str, received: u64| json!({"hostname": hostname, "pfxRcd": received, "pfxSnt": 3, "state": "Established", "idType": "interface"});
    let down = json!({"pfxRcd": 0, "pfxSnt": 0, "state": "Idle", "idType": "interface"});
    let families = json!({
        "ipv4Unicast": {"routerId": "10.255.0.9", "as": 4_210_000_009_u64, "peerCount": 4, "peers":
            {"swp31": peer("spine-01", 10), "swp32": peer("spine-02", 10), "swp9": peer("fw-02", 1), "swp10": down}},
        "l2VpnEvpn": {"routerId": "10.255.0.9", "peerCount": 4, "peers":
            {"swp31": peer("spine-01", 31), "swp32": peer("spine-02", 31), "swp9": peer("fw-02", 2), "swp10": down}},
    });
    let groups = json!({"FABRIC": {"remoteAs": 0, "type": "external", "addressFamiliesConfigured": ["IPv4 Unicast", "L2VPN EVPN"],
        "members": {"swp31": {"status": "Established"}, "swp32": {"status": "Active"}}}, "EMPTY": {"remoteAs": 0}});
    let vnis = json!({
        "10007": {"vni": 10007, "type": "L2", "vxlanIf": "vxlan0", "numMacs": 1, "numArpNd": 0, "numRemoteVteps": 1, "tenantVrf": "vrf10003", "remoteVteps": ["10.255.0.10"]},
        "10000": {"vni": 10000, "vxlanIf": "vxlan0", "numMacs": 3, "numArpNd": 6, "numRemoteVteps": "n/a", "type": "L3", "tenantVrf": "vrf10000"},
    });
    let read = |text: Value| serde_json::from_value(text).unwrap();
    let found = health(&serde_json::from_value(families).unwrap(), &serde_json::from_value(groups).unwrap(), &read(vnis));
    assert_eq!(found, Health { neighbours: 4, sessions: 3, fabric: 1, routes: 64, reached: [(10_000, 6), (10_007, 1)].into() });
    // a device without any says so by an empty object
    let nothing = health(&serde_json::from_value(json!({})).unwrap(), &serde_json::from_value(json!({})).unwrap(), &read(json!({})));
    assert_eq!(nothing, Health::default());
}

#[test]
fn on_sonic_interfaces_and_svis_are_those_of_its_database() {
    let database = ConfigDb::parse(
        r#"{"DEVICE_METADATA": {"localhost": {"mac": "02:4c:0a:ff:00:0b"}}, "VRF": {"Vrf10001": {"vni": "10001"}},
            "VXLAN_TUNNEL_MAP": {"leafwall|map_10001_Vlan1001": {"vlan": "Vlan1001", "vni": "10001"}},
            "VLAN_INTERFACE": {"Vlan1001": {"vrf_name": "Vrf10001"}},
            "LOOPBACK_INTERFACE": {"Loopback0": {}, "Loopback0|10.255.0.11/32": {}, "Loopback1001": {"vrf_name": "Vrf10001"},
                                   "Loopback1001|10.255.0.11/32": {}, "Loopback1001|fd6c::b/128": {}},
            "INTERFACE": {"Ethernet0": {"vrf_name": "Vrf10001"}, "Ethernet4": {}}}"#,
    )
    .unwrap();
    let config = FrrConfig::parse(&CONFIG.replace("vrf10001", "Vrf10001")).unwrap();
    let expected = Expectation::on_sonic(&config, &database);
    let shown = |vrf: &str| {
        let rows = [
            ("Vrf10001", "Vrf10001"),
            ("Vlan1001", "Vrf10001"),
            ("Loopback0", "default"),
            ("Loopback1001", "Vrf10001"),
            ("Ethernet4", "default"),
        ];
        let rows = rows.into_iter().chain([("Ethernet0", vrf)]);
        serde_json::from_value(rows.map(|(name, vrf)| (name.to_owned(), json!({"vrfName": vrf}))).collect::<serde_json::Map<_, _>>().into())
            .unwrap()
    };
    assert_eq!(interfaces(&expected, &shown("Vrf10001")), []);
    assert_eq!(whats(&interfaces(&expected, &shown("default"))), ["VRF of `Ethernet0` in zebra"]);
    let vni = |svi: &str, mac: &str| {
        let row = json!({"vrf": "Vrf10001", "vni": 10001, "vxlanIntf": "leafwall-1001", "sviIntf": svi, "state": "Up", "routerMac": mac});
        serde_json::from_value(json!({"vrfs": [row]})).unwrap()
    };
    assert_eq!(vrf_vnis(&expected, &vni("Vlan1001", "02:4c:0a:ff:00:0b")), []);
    assert_eq!(whats(&vrf_vnis(&expected, &vni("Vlan7", "02:00:00:00:00:01"))), ["SVI of VNI 10001", "router MAC of VNI 10001"]);
    // its kernel's tables are numbered by SONiC
    let route =
        |table: u32| serde_json::from_value(json!({"Vrf10001": {"10.255.0.11/32": [{"vrfName": "Vrf10001", "table": table}]}})).unwrap();
    assert_eq!(owners(&expected, &route(1001)), []);
    assert_eq!(whats(&owners(&expected, &BTreeMap::new())), ["route 10.255.0.11/32 in `Vrf10001`"]);
}
