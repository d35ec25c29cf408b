//! Rules of a cluster at scale: compiled, loaded into a kernel, changed, in a namespace of its own where nothing is sent; and flows that they decide.

#[path = "connections.rs"]
pub mod connections;

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::Instant;

use leafwall_policy::cluster::{ClusterRules, Part, table_part, transaction};
use leafwall_policy::nft::Script;
use leafwall_policy::rule::{Action, Peer, Policy, PortMatch, PortRange, Priority, Protocol, Rule};
use leafwall_policy::ruleset::table;
use leafwall_policy::zone::{Access, Failsafe, FirewallRules, Snat, Sources, Zone, ZoneKind};
use leafwall_topology::Prefix;

/// How often each step is measured; the median counts.
const RUNS: usize = 9;

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn firewall() -> FirewallRules {
    let zone = |number: u8, network: &str, kind, own: &str| Zone {
        network: parsed(network),
        kind,
        input: parsed(&format!("vrf{number}")),
        output: parsed(&format!("vlan{number}")),
        prefixes: vec![parsed(own)],
        sources: if kind == ZoneKind::Own { Sources::Only(vec![parsed(own)]) } else { Sources::AllBut(vec![parsed("10.0.0.0/8")]) },
        snat: Snat::default(),
        clamp_mss_to: None,
        rate_mbit: None,
    };
    FirewallRules {
        firewall: parsed("fw"),
        tenant: parsed("acme"),
        zones: vec![zone(1, "app", ZoneKind::Own, "10.0.0.0/8"), zone(2, "internet", ZoneKind::External, "0.0.0.0/0")],
        access: Access::Baseline,
        allowed_ingress: None,
        allowed_egress: None,
        log_accepted: false,
        policies: Vec::new(),
        resolvers: Vec::new(),
        failsafe: Failsafe {
            uplinks: vec![parsed("lan0")],
            loopback: Ipv4Addr::new(10, 255, 0, 9),
            vteps: parsed("10.255.0.0/24"),
            management: None,
            inband: None,
        },
    }
}

/// Where a policy leads. The first address of the network is nobody's.
fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0100 + number)
}

/// The port that it opens.
fn port(number: u32) -> u16 {
    u16::try_from(number % 50_000).unwrap() + 1
}

/// A policy as a Service makes one: an address and a port, for everybody. Protocols take turns.
fn policy(number: u32, protocols: [Protocol; 2]) -> Policy {
    let port = port(number);
    let rule = Rule {
        action: Action::Allow,
        priority: Priority::default(),
        from: vec![],
        to: vec![Peer::Cidr { cidr: Prefix::host(address(number).into()), except: vec![] }],
        ports: vec![PortMatch { protocol: protocols[usize::from(number % 2 == 1)], ports: PortRange::new(port, port).ok() }],
        log: false,
        expires: None,
    };
    Policy { name: parsed(&format!("p{number:06}")), ingress: vec![rule], egress: vec![] }
}

fn rules_of(count: u32, protocols: [Protocol; 2]) -> ClusterRules {
    ClusterRules { policies: (0..count).map(|number| policy(number, protocols)).collect() }
}

fn rules(count: u32) -> ClusterRules {
    rules_of(count, [Protocol::Udp, Protocol::Tcp])
}

fn median(mut of: impl FnMut() -> f64) -> f64 {
    let mut took: Vec<f64> = (0..RUNS).map(|_| of()).collect();
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// One call of nft in this namespace.
fn load(text: &str) {
    let mut child = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn signed(firewall: &FirewallRules) -> String {
    let mut meant = table(firewall).unwrap();
    Part::default().join(&mut meant);
    Script::replacing(vec![meant]).to_text()
}

/// In a network namespace that somebody made for this: `ip netns exec NAME leafwall-bench firewall COUNT`.
pub fn measure(count: u32) {
    let firewall = firewall();
    let all = rules(count);
    let compile = median(|| {
        let start = Instant::now();
        let part = table_part(&firewall, &all).unwrap();
        let text = transaction(None, &part).to_text();
        let took = ms(start);
        assert!(text.len() > usize::try_from(count).unwrap());
        took
    });
    let part = table_part(&firewall, &all).unwrap();
    let lookups = part.chains.iter().find(|chain| chain.name.as_str() == "cluster.in").map_or(0, |chain| chain.rules.len());
    let text = transaction(None, &part).to_text();
    let load_all = median(|| {
        load(&signed(&firewall));
        let start = Instant::now();
        load(&text);
        ms(start)
    });
    // one policy's port changes, and back
    let mut other = all.clone();
    let mut held = part;
    let mut flip = false;
    let mut computed = Vec::new();
    let update = median(|| {
        flip = !flip;
        let at = usize::try_from(count / 2).unwrap();
        other.policies[at].ingress[0].ports[0].ports = PortRange::new(if flip { 60_000 } else { 61_000 }, 62_000).ok();
        let start = Instant::now();
        let next = table_part(&firewall, &other).unwrap();
        let text = transaction(Some(&held), &next).to_text();
        computed.push(ms(start));
        load(&text);
        held = next;
        ms(start)
    });
    computed.sort_by(f64::total_cmp);
    println!(
        "{{\"policies\": {count}, \"lookups\": {lookups}, \"compile_ms\": {compile:.2}, \"load_ms\": {load_all:.2}, \"update_ms\": {update:.2}, \"update_compute_ms\": {:.2}}}",
        computed[computed.len() / 2]
    );
}
