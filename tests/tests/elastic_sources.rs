//! Elastic addresses as sources: a firewall lets them out of their own network only where an answer finds back to them. (Random fabrics found this.)

use std::collections::BTreeMap;
use std::fs;

use leafwall_plan::device::Device;
use leafwall_policy::rule::Action;
use leafwall_policy::semantics::{FlowState, Packet, Reason, Transport, decide};
use leafwall_tests::{rendered, root};

/// An IPv6 address out of the internet on acme's web server, whose firewall joins storage as well: that network translates IPv4 alone, and knows nothing of
/// the internet's prefixes. Rules let acme's servers into it.
const MORE: &str = "\
apiVersion: leafwall.io/v1
kind: Address
metadata: {name: acme-www6}
spec: {tenant: acme, network: internet, address: \"2001:db8:f0::20\", server: srv-01}
---
apiVersion: leafwall.io/v1
kind: Network
metadata: {name: acme-dev}
spec: {tenant: acme, type: private, prefixes: [10.77.0.0/24, \"2001:db8:a:77::/64\"]}
---
apiVersion: leafwall.io/v1
kind: FirewallPolicy
metadata: {name: acme-to-dev}
spec: {firewall: acme-fw, egress: [{action: allow, to: [{network: acme-dev}]}]}
";

#[test]
fn an_elastic_address_goes_out_only_where_an_answer_finds_back() {
    let directory = std::env::temp_dir().join(format!("leafwall-elastic-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    for entry in fs::read_dir(root().join("containerlab/fra1")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.replace("networks: [acme-prod, internet, storage]", "networks: [acme-prod, acme-dev, internet, storage]");
            fs::write(directory.join(path.file_name().unwrap()), text).unwrap();
        }
    }
    fs::write(directory.join("more.yaml"), MORE).unwrap();
    let rendered = rendered::rendered(&directory);
    fs::remove_dir_all(&directory).unwrap();
    let plan = &rendered.planner.plan().devices["fw-01"];
    let Device::Firewall(machine) = &plan.device else { panic!("fw-01 is a firewall machine") };
    let says = |source: &str, output: &str, destination: &str| {
        let packet = Packet {
            input: "acme-prod".parse().unwrap(),
            output: output.parse().unwrap(),
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            transport: Transport::Tcp { source: 40000, destination: 443 },
            state: FlowState::New,
        };
        let decision = decide(&machine.rules, &BTreeMap::new(), &packet);
        (decision.verdict, decision.reason == Reason::NoEgressAddress)
    };
    let (passes, dropped) = ((Action::Allow, false), (Action::Deny, true));
    // where its network is, and where it is translated
    assert_eq!(says("2001:db8:f0::20", "internet", "2001:2::1"), passes);
    assert_eq!(says("203.0.113.20", "storage", "10.100.0.8"), passes);
    // the server's own address
    assert_eq!(says("2001:db8:a::1", "storage", "2001:db8:c:100::8"), passes);
    assert_eq!(says("10.0.0.1", "acme-dev", "10.77.0.1"), passes);
    // where nobody knows a way back to it
    assert_eq!(says("2001:db8:f0::20", "storage", "2001:db8:c:100::8"), dropped);
    assert_eq!(says("203.0.113.20", "acme-dev", "10.77.0.1"), dropped);
    assert_eq!(says("2001:db8:f0::20", "acme-dev", "2001:db8:a:77::1"), dropped);
}
