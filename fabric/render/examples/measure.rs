//! Measures rendering alone: `cargo run --release -p leafwall-render --example measure -- LEAVES TENANTS_PER_LEAF`. Every tenant has a VRF and an SVI.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types, clippy::cast_precision_loss)] // a measurement

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use leafwall_intent::model::{BfdTimers, BgpTimers};
use leafwall_plan::device::{
    AccessPort, Advertise, Common, Device, DevicePlan, FabricPort, Plan, Router, SubnetGateway, SubnetPlan, SwitchPlan, VrfPlan,
};
use leafwall_render::{build, render};
use leafwall_topology::{MacAddr, Mtu, Platform, Prefix, Role, RouteDistinguisher, embed_loopback};

fn vrf(loopback: Ipv4Addr, leaf: u32, tenant: u32) -> VrfPlan {
    let number = (leaf * 7919 + tenant) % 5000;
    let prefix = Prefix::containing(Ipv4Addr::from(0x0a00_0000 + (number << 8)).into(), 24).unwrap();
    let rd = |number: u32| RouteDistinguisher { loopback, number: u16::try_from(number).unwrap() };
    let vlan = |number: u32| u64::from(number).try_into().unwrap();
    VrfPlan {
        network: format!("network-{number}").parse().unwrap(),
        vni: u64::from(10_000 + number).try_into().unwrap(),
        vlan: vlan(1001 + tenant),
        rd: rd(1001 + tenant),
        routed_ports: Vec::new(),
        subnets: vec![SubnetPlan {
            gateways: vec![SubnetGateway { prefix, gateway: format!("{}/24", prefix.nth(1).unwrap()).parse().unwrap() }],
            vni: u64::from(20_000 + number).try_into().unwrap(),
            vlan: vlan(2001 + tenant),
            rd: rd(2001 + tenant),
        }],
        external_peers: Vec::new(),
        leaks: Vec::new(),
        aggregates: Vec::new(),
        advertise: Advertise::Own,
    }
}

fn leaf(common: &Arc<Common>, index: u32, tenants: u32) -> DevicePlan {
    let loopback = Ipv4Addr::from(0x0aff_0000 + index + 1);
    let fabric_port = |n: u32| FabricPort {
        port: format!("swp{}", 49 + n).parse().unwrap(),
        mtu: Mtu::FABRIC,
        peer: format!("spine-{n}").parse().unwrap(),
        peer_port: format!("swp{}", index + 1).parse().unwrap(),
        peer_asn: 4_200_000_000_u64.try_into().unwrap(),
    };
    let access = |tenant: u32| AccessPort {
        port: format!("swp{}", tenant + 100).parse().unwrap(),
        mtu: Mtu::MACHINE,
        server: format!("server-{index}-{tenant}").parse().unwrap(),
        vlan: u64::from(2001 + tenant).try_into().unwrap(),
        maximum_macs: 64,
    };
    let switch = SwitchPlan {
        role: Role::Leaf,
        platform: Platform::Frr,
        version: "10.3".to_owned(),
        router: Router {
            loopback,
            asn: u64::from(4_200_000_001 + index).try_into().unwrap(),
            router_mac: MacAddr::router(loopback),
            source_v6: embed_loopback(loopback),
        },
        common: Arc::clone(common),
        anycast_mac: MacAddr::ANYCAST_DEFAULT,
        maintenance: false,
        fabric_ports: (0..16).map(fabric_port).collect(),
        firewall_ports: Vec::new(),
        vrfs: (0..tenants).map(|tenant| vrf(loopback, index, tenant)).collect(),
        access_ports: (0..tenants).map(access).collect(),
        provisioning: None,
        shut_ports: Vec::new(),
        own_asns: Vec::new(),
        sonic: None,
    };
    DevicePlan { name: format!("leaf-{index}").parse().unwrap(), device: Device::Switch(switch) }
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    println!("{what:<28} {:>8.1} ms", start.elapsed().as_secs_f64() * 1e3);
    result
}

fn main() {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse().unwrap());
    let (leaves, tenants) = (numbers.next().unwrap_or(1000), numbers.next().unwrap_or(20));
    let common = Arc::new(Common {
        timers: BgpTimers::default(),
        bfd: BfdTimers::default(),
        dns: Vec::new(),
        ntp: Vec::new(),
        syslog: Vec::new(),
        loopbacks: "10.255.0.0/16".parse().unwrap(),
    });
    let devices: BTreeMap<_, _> = (0..leaves)
        .map(|index| {
            let plan = leaf(&common, index, tenants);
            (plan.name.clone(), Arc::new(plan))
        })
        .collect();
    let plan = Plan { generation: 1, parent: None, devices };
    let rendered = timed("render, all cores", || render(&plan).unwrap());
    let bytes: usize = rendered.values().flat_map(|artefacts| artefacts.files.values()).map(String::len).sum();
    println!("{leaves} leaves x {tenants} tenants: {:.1} MB", bytes as f64 / 1e6);
    let frr = timed("trees of frr.conf, one core", || plan.devices.values().filter_map(|device| build::frr(device)).collect::<Vec<_>>());
    let text = timed("text of frr.conf, one core", || frr.iter().map(|config| config.print().unwrap().len()).sum::<usize>());
    println!("frr.conf: {:.1} MB", text as f64 / 1e6);
    let links =
        timed("trees of links.json, one core", || plan.devices.values().map(|device| build::links(device).unwrap()).collect::<Vec<_>>());
    timed("text of links.json, one core", || links.iter().map(|links| links.print().unwrap().len()).sum::<usize>());
}
