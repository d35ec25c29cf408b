//! `leafwall agent --once` on a real kernel with real FRR and nftables.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test may

use std::collections::BTreeMap;

use leafwall_plan::Planner;
use leafwall_render::{build, render_device};
use leafwall_tests::machine::{Machine, Said};
use leafwall_tests::rendered::{golden_fabrics, rendered};
use serde_json::Value;

/// What a device's artefacts are in fra1.
fn artefacts(device: &str) -> BTreeMap<String, String> {
    let fra1 = rendered(&golden_fabrics()[0].1);
    let files = &fra1.devices[device];
    files.files.iter().map(|(name, text)| (name.to_string(), text.clone())).collect()
}

/// A run of the agent and its report.
struct Run {
    exit: i32,
    report: Value,
}

impl Run {
    fn of(machine: &Machine, node: &str) -> Self {
        let Said { status, output, errors } = machine.run(&format!("agent {node} --once {node} --format json --timeout 60"));
        let report = serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: exit {status}\n{output}\n{errors}"));
        Self { exit: status, report }
    }

    fn steps(&self) -> Vec<&str> {
        self.report["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect()
    }

    /// Where a step of this text is in the order.
    fn place(&self, step: &str) -> usize {
        self.steps().iter().position(|there| *there == step).unwrap_or_else(|| panic!("no step `{step}` in {:#?}", self.steps()))
    }

    fn differences(&self) -> Vec<String> {
        let words = |difference: &Value| {
            format!(
                "{} {}: {}",
                difference["kind"].as_str().unwrap(),
                difference["backend"].as_str().unwrap(),
                difference["what"].as_str().unwrap()
            )
        };
        self.report["differences"].as_array().unwrap().iter().map(words).collect()
    }

    #[track_caller]
    fn equal(&self) -> &Self {
        assert!(self.exit == 0 && self.differences().is_empty(), "exit {}: {:#?}", self.exit, self.report);
        self
    }

    #[track_caller]
    fn idle(&self) -> &Self {
        assert!(self.steps().is_empty(), "{:#?}", self.steps());
        self.equal()
    }

    #[track_caller]
    fn differs(&self, what: &str) -> &Self {
        assert_eq!(self.exit, 1, "{:#?}", self.report);
        assert!(self.differences().iter().any(|difference| difference.contains(what)), "no `{what}` in {:#?}", self.differences());
        self
    }
}

/// What is somebody else's on the device, whole.
const FOREIGN: &str =
    "ip netns exec leaf bash -c 'for link in vrf9 br-theirs mine0; do ip -d -o link show dev $link | sed \"s/gc_timer *[0-9.]*//\"; ip -4 -o address show dev $link; done
bridge -d vlan show dev br-theirs; nft list table inet theirs; ip route show table 9'";

/// H25: links, tables and routes of others, some with names like ours, survive making, changing and removing ours; one that stands in our place is reported
/// and left. F12: so do foreign tables. H23: meddling is undone. A second run does nothing.
#[test]
fn h25_links_become_what_they_should_be_and_foreign_ones_survive() {
    let Some(machine) = Machine::boot("h25_links_become_what_they_should_be_and_foreign_ones_survive") else { return };
    let mut files = artefacts("leaf-01");
    files.remove("frr.conf");
    machine.device("leaf", &files);
    machine.must(
        "ip netns exec leaf bash -ec '
ip link add vrf9 type vrf table 9; ip link set vrf9 up; ip link add br-theirs type bridge vlan_filtering 1; ip link set br-theirs mtu 1400 up
ip link add mine0 type dummy; ip link set mine0 master br-theirs; ip address add 192.0.2.1/24 dev br-theirs; ip route add blackhole 198.51.100.0/24 table 9
nft add table inet theirs; nft add chain inet theirs c; nft add rule inet theirs c counter accept'",
    );
    let foreign = machine.must(FOREIGN);

    Run::of(&machine, "leaf").equal();
    Run::of(&machine, "leaf").idle();
    assert_eq!(machine.must(FOREIGN), foreign);

    meddled(&machine);
    moved(&machine);
    assert_eq!(machine.must(FOREIGN), foreign);

    let svi = machine.must("ip -n leaf -o link show type vlan | head -n 1").split([' ', '@']).nth(1).unwrap().to_owned();
    machine.must(&format!("ip -n leaf link delete {svi}; ip -n leaf link add {svi} type dummy"));
    Run::of(&machine, "leaf").differs(&format!("`{svi}` is a dummy that Leafwall did not make"));
    assert!(machine.must(&format!("ip -n leaf -d link show dev {svi}")).contains("dummy"));
    machine.must(&format!("ip -n leaf link delete {svi}"));
    Run::of(&machine, "leaf").equal();

    removed(&machine);
    assert_eq!(machine.must(FOREIGN), foreign);

    // H17: killed anywhere on the way, the next run goes on from there
    for delay in ["0.05", "0.1", "0.3"] {
        machine.write("leaf", &files);
        machine.run(&format!("timeout -s KILL {delay} ip netns exec leaf $leafwall agent --once leaf"));
        Run::of(&machine, "leaf").equal();
        removed(&machine);
    }
    assert_eq!(machine.must(FOREIGN), foreign);
}

/// Everything of ours goes when nothing is wanted.
fn removed(machine: &Machine) {
    let nothing = r#"{"version": 1, "forwarding": "immediate", "sysctls": {}, "links": []}"#;
    machine.write("leaf", &BTreeMap::from([("links.json".into(), nothing.into()), ("leafwall.nft".into(), String::new())]));
    Run::of(machine, "leaf").equal();
    assert_eq!(machine.must("ip -n leaf -o link show | grep -c leafwall || true").trim(), "0");
    assert_eq!(machine.must("ip -n leaf -o link show type vrf").lines().count(), 1, "only the foreign one");
    assert!(!machine.must("ip netns exec leaf nft list tables").contains("leafwall"));
}

/// Every kind of thing that the agent sets, changed by hand, comes back.
fn meddled(machine: &Machine) {
    let vrfs = machine.must("ip -n leaf -o link show type vrf | grep leafwall");
    let vrf = vrfs.split([' ', ':']).nth(2).unwrap().to_owned();
    let vlans = machine.must("ip netns exec leaf bridge -j vlan tunnelshow dev vxlan0");
    let tunnels: Value = serde_json::from_str(&vlans).unwrap();
    let vlan = tunnels[0]["tunnels"][0]["vlan"].as_u64().unwrap();
    let vni = tunnels[0]["tunnels"][0]["tunid"].as_u64().unwrap();
    let rounds = [
        vec![
            "ip link set vxlan0 mtu 1400".to_owned(),
            "ip link set dev vxlan0 type vxlan learning".to_owned(),
            "bridge link set dev vxlan0 learning on neigh_suppress off".to_owned(),
            "ip link set bridge0 type bridge fdb_max_learned 5 mcast_snooping 1".to_owned(),
            "ip link set bridge0 address 02:00:00:00:00:09".to_owned(),
            format!("bridge vlan del dev vxlan0 vid {vlan} tunnel_info id {vni}"),
            "bridge vni add dev vxlan0 vni 4242".to_owned(),
            "bridge vlan add dev bridge0 vid 4000 self".to_owned(),
            "bridge vlan add dev vxlan0 vid 4001".to_owned(),
            format!("ip address add 192.0.2.9/32 dev {vrf}"),
            "sysctl -qw net.ipv4.tcp_l3mdev_accept=1".to_owned(),
        ],
        vec![
            "ip link set bridge0 down".to_owned(),
            format!("bridge vlan del dev vxlan0 vid {vlan}"),
            format!("bridge vni del dev vxlan0 vni {vni}"),
            format!("ip route flush table {}", vrf.trim_start_matches("vrf")),
            "for port in $(ip -j link show type veth | python3 -c \"import json,sys; [print(l[\\\"ifname\\\"]) for l in json.load(sys.stdin) if \\\"master\\\" in l]\"); do ip link set $port nomaster; done".to_owned(),
            "nft flush table inet leafwall".to_owned(),
        ],
        vec![format!("ip address flush dev {vrf}"), format!("ip link set {vrf} down"), "nft delete table inet leafwall".to_owned()],
        vec!["ip link delete bridge0".to_owned()],
        vec![format!("ip link delete {vrf}")],
    ];
    for meddlings in rounds {
        machine.must(&format!("ip netns exec leaf bash -ec '{}'", meddlings.join("\n")));
        let run = Run::of(machine, "leaf");
        assert!(run.steps().len() >= meddlings.len(), "something of {meddlings:#?} went unseen: {:#?}", run.steps());
        run.equal();
    }
    Run::of(machine, "leaf").idle();
}

/// A port comes from a bridge to a VRF and the other way round: what has a BGP session has a link-local address afterwards, what is bridged has none.
fn moved(machine: &Machine) {
    let has_one = |port: &str| !machine.must(&format!("ip -n leaf -6 -o address show dev {port} scope link")).trim().is_empty();
    machine.must("for port in swp1 swp2 swp31; do ip -n leaf link set far-$port up; done; sleep 1");
    Run::of(machine, "leaf").equal();
    assert_eq!(["swp1", "swp2", "swp31"].map(has_one), [true, false, true]);
    machine.must(
        "ip -n leaf -batch - <<'END'
link set swp1 addrgenmode none
link set swp1 master bridge0
link set swp2 addrgenmode eui64
link set swp2 master vrf10000
END
ip -n leaf -6 address flush dev swp31 scope link",
    );
    assert_eq!(["swp1", "swp2", "swp31"].map(has_one), [false, true, false]);
    Run::of(machine, "leaf").equal();
    assert_eq!(["swp1", "swp2", "swp31"].map(has_one), [true, false, true]);
    // without a change of master nobody takes a port down
    machine.must("ip -n leaf link set swp1 addrgenmode none; ip -n leaf -6 address flush dev swp1 scope link");
    Run::of(machine, "leaf").equal();
    assert!(has_one("swp1"));
    Run::of(machine, "leaf").idle();
}

/// H1, H3, H4: the order of an apply. H6, H7, H16: what daemons show is read back. H25: foreign configuration survives. H5, H19: a running configuration that
/// differs is changed by its delta, drift is taken back, tenants come and go.
#[test]
fn h04_frr_has_evpn_before_the_first_vxlan_link() {
    let Some(machine) = Machine::boot("h04_frr_has_evpn_before_the_first_vxlan_link") else { return };
    let files = artefacts("leaf-01");
    machine.device("leaf", &files);
    machine.must("daemons leaf\nip netns exec leaf vtysh -N leaf -c 'configure terminal' -c 'ip prefix-list theirs seq 5 permit any'");
    // a foreign list alone does not make the daemons ours, nor full
    let run = Run::of(&machine, "leaf");
    run.equal();
    let order = ["load the global stage", "create vxlan vxlan0", "load VRFs and their instances", "set vxlan0 up"];
    let places = order.map(|step| run.place(step));
    assert!(places.is_sorted(), "{order:?} are at {places:?}");
    let svis: Vec<String> =
        machine.must("ip -n leaf -o link show type vlan").lines().map(|line| line.split([' ', '@']).nth(1).unwrap().to_owned()).collect();
    let shown = machine.must("ip netns exec leaf vtysh -N leaf -c 'show vrf vni'");
    let l3: Vec<usize> = svis.iter().filter(|svi| shown.contains(svi.as_str())).map(|svi| run.place(&format!("set {svi} up"))).collect();
    let last = run.steps().iter().rposition(|step| step.starts_with("set ") && step.ends_with(" up")).unwrap();
    assert!(!l3.is_empty() && l3.iter().all(|place| last - place < l3.len()), "L3VNI SVIs go up last (H1): {:#?}", run.steps());
    Run::of(&machine, "leaf").idle();
    assert!(machine.must("ip netns exec leaf vtysh -N leaf -c 'show running-config'").contains("ip prefix-list theirs seq 5 permit any"));

    // H6: daemons that come back empty are filled again, and route targets are there
    machine.must("for daemon in bgpd bfdd staticd zebra mgmtd; do kill $(cat /run/frr/leaf/$daemon.pid); done; sleep 1; daemons leaf");
    let run = Run::of(&machine, "leaf");
    run.equal();
    run.place("load VRFs and their instances");
    Run::of(&machine, "leaf").idle();

    let vrf = machine.must("ip -n leaf -o link show type vrf").split([' ', ':']).nth(2).unwrap().to_owned();
    let vni = vrf.trim_start_matches("vrf").to_owned();
    let by_hand = |commands: &[&str]| {
        let commands: Vec<String> = commands.iter().map(|command| format!("-c '{command}'")).collect();
        machine.must(&format!("ip netns exec leaf vtysh -N leaf -c 'configure terminal' {}", commands.join(" ")));
    };
    // somebody else's again, which the daemons' restart took away
    by_hand(&["ip prefix-list theirs seq 5 permit any"]);
    // drift: a lost VNI, another one in its place (H5), foreign statements in what is ours, a list that is ours by name
    by_hand(&[&format!("vrf {vrf}"), &format!("no vni {vni}")]);
    Run::of(&machine, "leaf").equal().place("change VRFs and their instances");
    by_hand(&[&format!("vrf {vrf}"), &format!("no vni {vni}"), "vni 4242"]);
    let run = Run::of(&machine, "leaf");
    run.equal();
    assert!(run.place("withdraw neighbours, leaks and VNIs") < run.place("change VRFs and their instances"), "H5");
    by_hand(&["ip prefix-list lw-stale seq 5 permit any", "router bgp 4210000007", "neighbor 192.0.2.77 remote-as 65077"]);
    let run = Run::of(&machine, "leaf");
    run.equal();
    run.place("remove what is no longer used");
    Run::of(&machine, "leaf").idle();

    // a tenant goes with its VRF, and comes back
    machine.write("leaf", &without_a_tenant("leaf-01"));
    let run = Run::of(&machine, "leaf");
    run.equal();
    let gone = run.steps().iter().position(|step| step.starts_with("delete vrf")).unwrap_or_else(|| {
        panic!("no VRF goes: {:#?}", run.steps());
    });
    assert!(
        run.place("withdraw neighbours, leaks and VNIs") < run.place("remove instances") && run.place("remove instances") < gone,
        "H19"
    );
    Run::of(&machine, "leaf").idle();
    machine.write("leaf", &files);
    Run::of(&machine, "leaf").equal();
    Run::of(&machine, "leaf").idle();
    assert!(machine.must("ip netns exec leaf vtysh -N leaf -c 'show running-config'").contains("ip prefix-list theirs seq 5 permit any"));

    // what daemons refuse is taken back: this peer group is named but not made
    let mut refused = files.clone();
    let broken =
        files["frr.conf"].replacen(" neighbor FABRIC peer-group\n", "", 1).replacen(" neighbor FABRIC remote-as external\n", "", 1);
    refused.insert("frr.conf".into(), broken);
    machine.write("leaf", &refused);
    let before = machine.must("ip netns exec leaf vtysh -N leaf -c 'show running-config'");
    let run = Run::of(&machine, "leaf");
    assert!(run.report["warnings"].to_string().contains("is taken back"), "{:#?}", run.report);
    assert_eq!(machine.must("ip netns exec leaf vtysh -N leaf -c 'show running-config'"), before);
}

/// A device's artefacts when one tenant's network is no longer on it.
fn without_a_tenant(device: &str) -> BTreeMap<String, String> {
    let mut planner = rendered(&golden_fabrics()[0].1).planner;
    let name: leafwall_topology::Name = device.parse().unwrap();
    let config = |planner: &Planner| build::frr(&planner.plan().devices[&name]).unwrap();
    let count = config(&planner).vrfs.len();
    let allocations: Vec<_> = planner.model().allocations.keys().cloned().collect();
    for allocation in allocations {
        let mut model = (**planner.model()).clone();
        model.allocations.remove(&allocation);
        if planner.update(model).is_ok() && config(&planner).vrfs.len() < count {
            let files = render_device(&planner.plan().devices[&name]).unwrap().files;
            return files.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
        }
    }
    panic!("every VRF of {device} stays without allocations");
}

/// F22: a firewall machine forwards only behind its ruleset: not before it is loaded, not without it, not with one that nft refuses. F12: counters and tables
/// of others survive.
#[test]
fn f22_a_firewall_forwards_only_behind_its_ruleset() {
    let Some(machine) = Machine::boot("f22_a_firewall_forwards_only_behind_its_ruleset") else { return };
    let files = artefacts("fw-01");
    let mut open = files.clone();
    open.remove("leafwall.nft");
    machine.device("fw", &open);
    machine.must("daemons fw; ip netns exec fw sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1\nip netns exec fw nft add table inet theirs");
    let forwarding = || {
        machine.must("ip netns exec fw sysctl -n net.ipv4.ip_forward net.ipv6.conf.all.forwarding").split_whitespace().collect::<String>()
    };

    Run::of(&machine, "fw").differs("the firewall's ruleset");
    assert_eq!(forwarding(), "00", "no ruleset, no forwarding");
    assert!(machine.must("ip netns exec fw nft list table inet leafwall").contains("policy drop"));
    assert_eq!(machine.must("ip -n fw -o link show type vrf"), "", "and no ways through");
    assert!(!machine.must("ip netns exec fw vtysh -N fw -c 'show running-config'").contains("router bgp"), "and no leaks");

    machine.write("fw", &files);
    let run = Run::of(&machine, "fw");
    run.equal();
    assert!(run.place("load the ruleset") < run.place("load VRFs and their instances"));
    assert!(run.place("load VRFs and their instances") < run.place("net/ipv4/ip_forward = 1"));
    assert_eq!(forwarding(), "11");
    Run::of(&machine, "fw").idle();

    machine.must("ip netns exec fw nft flush chain inet leafwall forward");
    let run = Run::of(&machine, "fw");
    run.equal();
    assert!(run.steps().iter().all(|step| !step.starts_with("stop")), "one ruleset takes another's place at once: {:#?}", run.steps());
    machine.must("ip netns exec fw nft delete table inet leafwall");
    let run = Run::of(&machine, "fw");
    run.equal();
    assert!(run.place("stop forwarding: net/ipv4/ip_forward = 0") < run.place("load the ruleset"));
    assert_eq!(forwarding(), "11");
    assert!(machine.must("ip netns exec fw nft list tables").contains("theirs"));

    let mut refused = files.clone();
    refused.insert("leafwall.nft".into(), "table inet theirs {\n}\n".into());
    machine.write("fw", &refused);
    let said = machine.run("agent fw --once fw");
    assert_eq!(said.status, 2, "{}", said.errors);
    assert!(said.errors.contains("not ours"), "{}", said.errors);

    machine.write("fw", &open);
    Run::of(&machine, "fw").differs("the firewall's ruleset");
    assert_eq!(forwarding(), "00", "a ruleset that is taken away closes the firewall");
}
