//! Objects of a real kube-apiserver, the reconciler under its own account, and rules in a real kernel with real packets.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may fail

use std::io::{Read as _, Write as _};
use std::net::IpAddr;
use std::time::Duration;

use leafwall_policy::semantics::Transport;
use leafwall_policy::zone::FirewallRules;
use leafwall_tests::apiserver::{ApiServer, program};
use leafwall_tests::cluster_firewall::{Reconciler, eventually};
use leafwall_tests::firewall::{parsed, quiet};
use leafwall_tests::namespace::unable;
use leafwall_tests::world::World;
use leafwall_tests::{reference, root, skip, wire};
use serde_json::Value;

/// What a busy machine may take for what usually takes a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(30);
/// The indices of the small world's networks.
const APP: usize = 0;
const INTERNET: usize = 3;
/// In `app`.
const INSIDE: &str = "10.0.1.77";
const INSIDE_V6: &str = "fd00:a::77";

/// A cluster with the manifests, and its firewall machine.
struct Cluster {
    server: ApiServer,
    world: World,
    firewall: FirewallRules,
    token: u32,
}

impl Cluster {
    /// `None` where this machine can't have one.
    fn new(test: &str, purpose: &str) -> Option<Self> {
        if let Some(why) = unable().or_else(|| program().err()) {
            skip(test, &why);
            return None;
        }
        let server = ApiServer::start().unwrap();
        let manifests = root().join("firewall/kube/manifests");
        server.kubectl(&["apply", "-k", manifests.to_str().unwrap()], "").unwrap();
        server.kubectl(&["apply", "-k", manifests.join("metal-stack").to_str().unwrap()], "").unwrap();
        for crd in ["firewallpolicies.leafwall.io", "firewalls.leafwall.io", "clusterwidenetworkpolicies.metal-stack.io"] {
            server.kubectl(&["wait", "--for=condition=Established", "--timeout=30s", "crd", crd], "").unwrap();
        }
        Some(Self { server, world: World::new(purpose).unwrap(), firewall: quiet(), token: 0 })
    }

    fn reconciler(&self, me: &str) -> Reconciler {
        Reconciler::start(&self.server.firewall_kubeconfig().unwrap(), me, &self.firewall, &self.world.firewall)
    }

    fn apply(&self, yaml: &str) {
        self.server.kubectl(&["apply", "-f", "-"], yaml).unwrap();
    }

    fn get(&self, arguments: &[&str]) -> Value {
        let text = self.server.kubectl(&[&["get", "-o", "json"], arguments].concat(), "").unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// State and message of a ClusterwideNetworkPolicy.
    fn state(&self, namespace: &str, name: &str) -> (String, String) {
        let object = self.get(&["cwnp", "-n", namespace, name]);
        let text = |field: &str| object["status"][field].as_str().unwrap_or_default().to_owned();
        (text("state"), text("message"))
    }

    /// Waits until all of them are in the state.
    fn waits_for(&self, names: &[&str], state: &str) {
        for name in names {
            eventually(name, PATIENCE, || match self.state("firewall", name) {
                (found, _) if found == state => Ok(()),
                found => Err(format!("{found:?} and not {state}")),
            });
        }
    }

    /// Whether a packet from one network into another arrives.
    fn passes(&mut self, from: usize, source: &str, to: usize, destination: &str, transport: Transport) -> bool {
        self.token += 1;
        let destination: IpAddr = parsed(destination);
        let packet = wire::packet(parsed(source), destination, transport, self.token);
        self.world.networks[from].sender.send(destination, &packet).unwrap();
        self.world.networks[to].catcher.wait_for(self.token, Duration::from_millis(300)).is_some()
    }

    fn out(&mut self, destination: &str, transport: Transport) -> bool {
        let source = if destination.contains(':') { INSIDE_V6 } else { INSIDE };
        self.passes(APP, source, INTERNET, destination, transport)
    }

    fn inward(&mut self, source: &str, destination: &str, transport: Transport) -> bool {
        self.passes(INTERNET, source, APP, destination, transport)
    }

    /// Reasons of the events about an object.
    fn events(&self, kind: &str, name: &str) -> Vec<String> {
        let all = self.get(&["events.events.k8s.io", "-A"]);
        let about = |event: &&Value| event["regarding"]["kind"] == kind && event["regarding"]["name"] == name;
        all["items"].as_array().unwrap().iter().filter(about).map(|event| event["reason"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// A page of a machine's numbers.
fn page(address: &str, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn udp(destination: u16) -> Transport {
    // another source port is another flow; connection tracking remembers the old one
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(2000);
    Transport::Udp { source: NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed), destination }
}

fn tcp(destination: u16) -> Transport {
    let Transport::Udp { source, .. } = udp(0) else { unreachable!() };
    Transport::Tcp { source, destination }
}

fn cnp(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: metal-stack.io/v1\nkind: ClusterwideNetworkPolicy\nmetadata: {{name: {name}, namespace: firewall}}\nspec: {spec}\n"
    )
}

fn policy(name: &str, spec: &str) -> String {
    format!("---\napiVersion: leafwall.io/v1\nkind: FirewallPolicy\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}

/// Every form that the definition allows, and every one that its words forbid.
#[test]
fn every_form_of_a_clusterwide_network_policy_means_what_it_says() {
    let Some(mut cluster) = Cluster::new("every_form_of_a_clusterwide_network_policy_means_what_it_says", "cnp") else { return };
    if let Some(reference) = reference() {
        // metal-stack's own definition takes the place of ours, and the other way round
        let file = reference.join("metal-stack.io_clusterwidenetworkpolicies.crd.yaml");
        cluster.server.kubectl(&["apply", "-f", file.to_str().unwrap()], "").unwrap();
    }
    let _reconciler = cluster.reconciler("fw-1");
    let good = [
        ("ports", "{description: a text, egress: [{to: [{cidr: 203.0.113.0/24}], ports: [{protocol: UDP, port: 53}, {port: 80}]}]}"),
        ("range", "{egress: [{to: [{cidr: 203.0.113.0/24}], ports: [{protocol: TCP, port: 1000, endPort: 1010}]}]}"),
        ("except", "{egress: [{to: [{cidr: 198.51.100.0/24, except: [198.51.100.128/25]}, {cidr: 198.51.100.200/32}]}]}"),
        ("hostbits", "{egress: [{to: [{cidr: 192.0.2.77/30}]}]}"),
        ("v6", "{egress: [{to: [{cidr: '2001:db8::/32', except: ['2001:db8:1::/48']}], ports: [{protocol: UDP, port: 53}]}]}"),
        ("allports", "{ingress: [{from: [{cidr: 198.51.100.7/32}], ports: [{protocol: UDP}]}]}"),
        ("anyone", "{ingress: [{ports: [{port: 443}]}]}"),
        ("nothing", "{}"),
        ("dotted.name", "{ingress: [{from: [{cidr: 198.51.100.8/32}]}]}"),
    ];
    let bad = [
        ("both", "{egress: [{to: [{cidr: 0.0.0.0/0}], toFQDNs: [{matchName: a.example.com}]}]}", "not both"),
        ("outside", "{egress: [{to: [{cidr: 10.0.0.0/8, except: [192.0.2.0/24]}]}]}", "not inside"),
        ("inverted", "{egress: [{ports: [{port: 90, endPort: 80}]}]}", "not a range"),
        ("protocol", "{egress: [{ports: [{protocol: ICMP}]}]}", "not TCP or UDP"),
        ("injected", "{egress: [{to: [{cidr: '0.0.0.0/0 accept; #'}]}]}", "not an address block"),
        (
            "names",
            "{egress: [{toFQDNs: [{matchName: www.example.com}, {matchPattern: '*.example.com'}], ports: [{port: 443}]}]}",
            "nobody resolves",
        ),
    ];
    let all: String = good.iter().map(|(name, spec)| cnp(name, spec)).chain(bad.iter().map(|(name, spec, _)| cnp(name, spec))).collect();
    cluster.apply(&all);
    cluster.apply(&cnp("elsewhere", "{egress: [{}]}").replace("namespace: firewall", "namespace: default"));
    cluster.waits_for(&good.map(|(name, _)| name), "deployed");
    cluster.waits_for(&bad.map(|(name, ..)| name), "ignored");
    for (name, _, says) in bad {
        let message = cluster.state("firewall", name).1;
        assert!(message.contains(says), "{name}: {message}");
    }
    eventually("elsewhere", PATIENCE, || match cluster.state("default", "elsewhere") {
        (state, message) if state == "ignored" && message.contains("only objects in the namespace") => Ok(()),
        found => Err(format!("{found:?}")),
    });
    eventually("events", PATIENCE, || {
        let kind = "ClusterwideNetworkPolicy";
        let found = ["elsewhere", "inverted", "ports"].map(|name| cluster.events(kind, name).join(","));
        let so = found[0].contains("WrongNamespace") && found[1].contains("InvalidPort") && found[2].contains("InKernel");
        if so { Ok(()) } else { Err(format!("{found:?}")) }
    });

    for (destination, transport, passes) in [
        ("203.0.113.9", udp(53), true),
        ("203.0.113.9", udp(54), false),
        ("203.0.113.9", tcp(80), true),
        ("203.0.113.9", tcp(1010), true),
        ("203.0.113.9", tcp(1011), false),
        ("203.0.113.9", udp(1005), false),
        ("198.51.100.5", udp(9), true),
        ("198.51.100.130", udp(9), false),
        ("198.51.100.200", udp(9), true),
        ("192.0.2.76", tcp(9), true),
        ("192.0.2.80", tcp(9), false),
        ("2001:db8:2::1", udp(53), true),
        ("2001:db8:1::1", udp(53), false),
    ] {
        assert_eq!(cluster.out(destination, transport), passes, "to {destination} {transport:?}");
    }
    for (source, transport, passes) in [
        ("198.51.100.7", udp(9999), true),
        ("198.51.100.7", tcp(9999), false),
        ("198.51.100.99", tcp(443), true),
        ("198.51.100.8", tcp(22), true),
        ("198.51.100.9", tcp(22), false),
    ] {
        assert_eq!(cluster.inward(source, INSIDE, transport), passes, "from {source} {transport:?}");
    }
}

#[test]
fn policies_and_services_have_conditions_and_events_of_their_own() {
    let Some(mut cluster) = Cluster::new("policies_and_services_have_conditions_and_events_of_their_own", "fwp") else { return };
    cluster.firewall.allowed_ingress = Some(vec![parsed("198.51.100.0/24"), parsed("2001:db8::/32")]);
    let _reconciler = cluster.reconciler("fw-1");
    // what is no policy at all, the API server says itself
    for (spec, says) in [
        ("{ingress: [{action: allow, from: [{cidr: 10.0.0.0/33}]}]}", "not an address block"),
        ("{ingress: [{action: allow, from: [{cidr: 10.0.0.0/8, network: app}]}]}", "exactly one of"),
        ("{ingress: [{action: allow, ports: [{port: 90, endPort: 80}]}]}", "not below it"),
        ("{ingress: [{action: allow, ports: [{protocol: ICMP, port: 80}]}]}", "only TCP, UDP and SCTP have ports"),
        ("{ingress: [{action: open}]}", "Unsupported value"),
        ("{ingress: [{action: allow, port: 5}]}", "unknown field"),
    ] {
        let refusal = cluster.server.kubectl(&["apply", "-f", "-"], &policy("bad", spec)).unwrap_err();
        assert!(refusal.contains(says), "{spec}: {refusal}");
    }
    let service = |name: &str, range: &str| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\n\
             spec: {{type: LoadBalancer, ports: [{{port: 8080, protocol: UDP}}], loadBalancerSourceRanges: [{range}]}}\n"
        )
    };
    cluster.apply(
        &[
            policy("web", "{ingress: [{action: deny, priority: 1, from: [{cidr: 198.51.100.66/32}]}, {action: allow, from: [{network: internet}], ports: [{protocol: SCTP}, {protocol: UDP, port: 99}]}]}"),
            policy("foreign", "{egress: [{action: allow, to: [{network: other}]}]}"),
            policy("forbidden", "{ingress: [{action: allow, from: [{cidr: 203.0.113.0/24}]}]}"),
            service("open", "198.51.100.0/25"),
            service("wide", "0.0.0.0/0"),
        ]
        .concat(),
    );
    let condition = |cluster: &Cluster, arguments: &[&str], name: &str| -> (String, String, String) {
        let object = cluster.get(arguments);
        let found = object["status"]["conditions"].as_array().into_iter().flatten().find(|condition| condition["type"] == name).cloned();
        let found = found.unwrap_or_default();
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        (text("status"), text("reason"), text("message"))
    };
    let waits = |cluster: &Cluster, arguments: &[&str], name: &str, status: &str, reason: &str| {
        eventually(&format!("{arguments:?}"), PATIENCE, || {
            let found = condition(cluster, arguments, name);
            if (found.0.as_str(), found.1.as_str()) == (status, reason) { Ok(()) } else { Err(format!("{found:?}, and not {reason}")) }
        });
    };
    waits(&cluster, &["fwp", "web"], "Accepted", "True", "Accepted");
    waits(&cluster, &["fwp", "web"], "Programmed", "True", "InKernel");
    waits(&cluster, &["fwp", "foreign"], "Accepted", "False", "UnknownNetwork");
    waits(&cluster, &["fwp", "forbidden"], "Accepted", "False", "AddressForbidden");
    assert_eq!(cluster.get(&["fwp", "web"])["status"]["rules"], 2);
    let open = "leafwall.io/FirewallOpen";
    waits(&cluster, &["svc", "open"], open, "False", "NoAddress");
    // what a load balancer's controller does
    for name in ["open", "wide"] {
        let patch = format!(r#"{{"status":{{"loadBalancer":{{"ingress":[{{"ip":"{INSIDE}"}}]}}}}}}"#);
        cluster.server.kubectl(&["patch", "svc", name, "--subresource=status", "--type=merge", "-p", &patch], "").unwrap();
    }
    waits(&cluster, &["svc", "open"], open, "True", "InKernel");
    waits(&cluster, &["svc", "wide"], open, "False", "AddressForbidden");
    assert!(cluster.inward("198.51.100.5", INSIDE, udp(8080)));
    assert!(!cluster.inward("198.51.100.200", INSIDE, udp(8080)), "outside of the source ranges");
    assert!(!cluster.inward("198.51.100.5", "10.0.1.78", udp(8080)), "another address");
    assert!(cluster.inward("198.51.100.5", INSIDE, udp(99)) && !cluster.inward("198.51.100.66", INSIDE, udp(99)), "deny comes first");
    eventually("events", PATIENCE, || {
        let found = [("FirewallPolicy", "web"), ("FirewallPolicy", "foreign"), ("Service", "wide")]
            .map(|(kind, name)| cluster.events(kind, name).join(","));
        let so = found[0].contains("InKernel") && found[1].contains("UnknownNetwork") && found[2].contains("AddressForbidden");
        if so { Ok(()) } else { Err(format!("{found:?}")) }
    });
    let columns = cluster.server.kubectl(&["get", "fwp"], "").unwrap();
    assert!(columns.lines().next().unwrap().split_whitespace().eq(["NAME", "ACCEPTED", "PROGRAMMED", "RULES", "AGE"]), "{columns}");
    // a rule that goes is gone from the kernel
    cluster.server.kubectl(&["delete", "fwp", "web"], "").unwrap();
    eventually("gone", PATIENCE, || if cluster.inward("198.51.100.5", INSIDE, udp(99)) { Err("still open".into()) } else { Ok(()) });
}

/// The `Firewall` object shows what is, and what others write there does not stay.
#[test]
fn the_firewall_object_mirrors_the_machine() {
    let Some(mut cluster) = Cluster::new("the_firewall_object_mirrors_the_machine", "mirror") else { return };
    cluster.firewall.allowed_egress = Some(vec![parsed("203.0.113.0/24")]);
    cluster.apply(&[cnp("good", "{egress: [{to: [{cidr: 203.0.113.0/24}]}, {}]}"), cnp("bad", "{egress: [{to: [{cidr: x}]}]}")].concat());
    let reconciler = cluster.reconciler("fw-1");
    let status = |cluster: &Cluster| -> Value {
        let text = cluster.server.kubectl(&["get", "firewall", "fw", "-o", "json"], "").unwrap_or_else(|_| "{}".into());
        serde_json::from_str::<Value>(&text).unwrap()["status"].clone()
    };
    let waits = |cluster: &Cluster, what: &str, so: &dyn Fn(&Value) -> bool| {
        eventually(what, PATIENCE, || {
            let found = status(cluster);
            if so(&found) { Ok(()) } else { Err(found.to_string()) }
        });
    };
    waits(&cluster, "it is made and filled", &|status| status["rules"] == 2);
    let found = status(&cluster);
    for (field, value) in [
        ("tenant", serde_json::json!("acme")),
        ("access", serde_json::json!("baseline")),
        ("allowedNetworks", serde_json::json!({"egress": ["203.0.113.0/24"]})),
        ("machine", serde_json::json!("fw-1")),
        ("objects", serde_json::json!(1)),
        ("refused", serde_json::json!(1)),
    ] {
        assert_eq!(found[field], value, "{field} of {found}");
    }
    assert_eq!((&found["conditions"][0]["type"], &found["conditions"][0]["status"]), (&"Programmed".into(), &"True".into()));
    let names: Vec<&str> = found["networks"].as_array().unwrap().iter().map(|network| network["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"app") && names.contains(&"internet"), "{names:?}");
    let columns = cluster.server.kubectl(&["get", "fw"], "").unwrap();
    let head = columns.lines().next().unwrap().split_whitespace();
    assert!(head.eq(["NAME", "TENANT", "ACCESS", "OBJECTS", "REFUSED", "RULES", "PROGRAMMED", "AGE"]), "{columns}");

    // a tenant's admin writes there, or takes it away
    let forged = r#"{"status":{"access":"forbidden","rules":99,"lastError":{"message":"x"}}}"#;
    cluster.server.kubectl(&["patch", "fw", "fw", "--subresource=status", "--type=merge", "-p", forged], "").unwrap();
    waits(&cluster, "the forged status goes", &|status| *status == found);
    cluster.server.kubectl(&["delete", "fw", "fw"], "").unwrap();
    waits(&cluster, "it is made again", &|status| status["rules"] == 2);

    // the machine loses its ruleset: the object says so, and nothing is made up
    let nft = |words: &[&str]| cluster.world.firewall.run(&[&["nft"], words].concat()).unwrap();
    nft(&["delete", "table", "inet", "leafwall"]);
    cluster.apply(&cnp("more", "{egress: [{ports: [{port: 1}]}]}"));
    waits(&cluster, "it tells of the failure", &|status| {
        let condition = &status["conditions"][0];
        let says = condition["message"].as_str().unwrap_or_default().contains("no ruleset");
        condition["status"] == "False" && condition["reason"] == "NotWritten" && says && status["lastError"]["message"].is_string()
    });
    assert!(!nft(&["list", "tables"]).contains("leafwall"), "nothing is made where nothing signed is there");
    let signed = leafwall_policy::ruleset::ruleset(&cluster.firewall).unwrap().to_text();
    leafwall_tests::world::load(&cluster.world.firewall, &signed).unwrap();
    waits(&cluster, "it is well again", &|status| status["rules"] == 3 && status["conditions"][0]["status"] == "True");
    assert!(status(&cluster)["lastError"]["message"].as_str().unwrap().contains("no ruleset"), "what went wrong last stays to be seen");
    eventually("events", PATIENCE, || {
        let found = cluster.events("Firewall", "fw");
        let so = ["InKernel", "NotWritten"].iter().all(|reason| found.iter().any(|found| found == reason));
        if so { Ok(()) } else { Err(format!("{found:?}")) }
    });
    drop(reconciler);
    // the machine's account: a mirror, no lever
    let account = "--as=system:serviceaccount:firewall:leafwall-firewall";
    for verb_and_kind in [
        ["update", "firewalls.leafwall.io"],
        ["delete", "firewalls.leafwall.io"],
        ["create", "firewallpolicies.leafwall.io"],
        ["get", "secrets"],
    ] {
        let answer = cluster.server.kubectl(&["auth", "can-i", verb_and_kind[0], verb_and_kind[1], account], "");
        assert!(answer.is_err(), "{verb_and_kind:?}: {answer:?}");
    }
}

/// What the webhook refuses is never stored; where it is away everything is, and its status says the same.
#[test]
fn the_api_server_refuses_what_the_webhook_refuses_and_nothing_where_it_is_away() {
    let Some(mut cluster) = Cluster::new("the_api_server_refuses_what_the_webhook_refuses_and_nothing_where_it_is_away", "hook") else {
        return;
    };
    cluster.firewall.allowed_ingress = Some(vec![parsed("198.51.100.0/24")]);
    let (certificate, key) = cluster.server.certificate_for("webhook").unwrap();
    let addresses: Vec<String> = leafwall_tests::etcd::free_ports(3).iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let (certificate_text, key_text) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let words = ["--webhook", &addresses[0], "--webhook-cert", certificate_text, "--webhook-key", key_text, "--metrics", &addresses[2]];
    let more = words.map(std::ffi::OsStr::new);
    let kubeconfig = cluster.server.firewall_kubeconfig().unwrap();
    let start = || Reconciler::start_with(&kubeconfig, "fw-1", &cluster.firewall, &cluster.world.firewall, &more);
    let reconciler = start();
    // the second machine is down from the beginning
    let export = std::process::Command::new(leafwall_tests::machine::program())
        .args(["export", "webhook", &addresses[0], &addresses[1], "--authority"])
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(export.status.success(), "{}", String::from_utf8_lossy(&export.stderr));
    let object = String::from_utf8(export.stdout).unwrap();
    cluster.apply(&object);
    let apply = |yaml: &str| cluster.server.kubectl(&["apply", "-f", "-"], yaml);

    let bad = cnp("bad", "{egress: [{to: [{cidr: 10.0.0.0/99}], ports: [{port: 90, endPort: 80}]}]}");
    eventually("the API server asks the webhook", PATIENCE, || {
        let Err(refusal) = apply(&bad) else {
            cluster.server.kubectl(&["delete", "cwnp", "-n", "firewall", "bad"], "").unwrap();
            return Err("stored".into());
        };
        let says =
            ["spec.egress[0].to[0].cidr: `10.0.0.0/99` is not an address block", "spec.egress[0].ports[0].port: 90 to 80 is not a range"];
        if says.iter().all(|says| refusal.contains(says)) { Ok(()) } else { Err(refusal) }
    });
    let foreign = policy("foreign", "{egress: [{action: allow, to: [{network: other}]}]}");
    let refusal = apply(&foreign).unwrap_err();
    assert!(refusal.contains("spec.egress[0].to[0].network") && refusal.contains("denied the request"), "{refusal}");
    assert!(cluster.server.kubectl(&["get", "fwp", "foreign"], "").unwrap_err().contains("not found"));
    apply(&cnp("good", "{egress: [{to: [{cidr: 203.0.113.0/24}]}]}")).unwrap();
    cluster.waits_for(&["good"], "deployed");
    // a change of what was good is refused, and the old rules stay
    assert!(apply(&cnp("good", "{egress: [{to: [{cidr: x}]}]}")).unwrap_err().contains("denied the request"));
    cluster.waits_for(&["good"], "deployed");
    // Services are never refused, only warned about, and those that are no load balancers not even that
    let service = |name: &str, kind: &str| {
        let ranges = if kind == "LoadBalancer" { ", loadBalancerSourceRanges: [0.0.0.0/0]" } else { "" };
        let metadata = format!("metadata: {{name: {name}, namespace: default}}");
        format!("---\napiVersion: v1\nkind: Service\n{metadata}\nspec: {{type: {kind}, ports: [{{port: 80}}]{ranges}}}\n")
    };
    let strictly = |yaml: &str| cluster.server.kubectl(&["apply", "--warnings-as-errors", "-f", "-"], yaml);
    strictly(&service("plain", "ClusterIP")).unwrap();
    let warned = strictly(&service("wide", "LoadBalancer")).unwrap_err();
    assert!(warned.contains("outside of what the operator allows"), "{warned}");
    cluster.get(&["svc", "-n", "default", "wide"]);

    // all of that is counted
    assert!(page(&addresses[2], "/readyz").starts_with("HTTP/1.1 200"), "{}", page(&addresses[2], "/readyz"));
    let numbers = page(&addresses[2], "/metrics");
    let value = |series: &str| -> f64 {
        let line = numbers.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in {numbers}")).parse().unwrap()
    };
    assert!(value("leafwall_kube_webhook_answers_total{answer=\"refused\"}") >= 3.0);
    assert!(value("leafwall_kube_webhook_answers_total{answer=\"allowed\"}") >= 2.0);
    for (series, number) in [
        ("leafwall_kube_leads", 1.0),
        ("leafwall_kube_rules", 1.0),
        ("leafwall_kube_objects{kind=\"ClusterwideNetworkPolicy\"}", 1.0),
        ("leafwall_kube_objects{kind=\"FirewallPolicy\"}", 0.0),
        ("leafwall_kube_refused_objects{kind=\"Service\"}", 1.0),
        ("leafwall_kube_puts_total{result=\"failed\"}", 0.0),
        ("leafwall_kube_watch_failures_total{kind=\"Service\"}", 0.0),
        ("leafwall_kube_waiting_writes", 0.0),
    ] {
        assert!((value(series) - number).abs() < 0.1, "{series} is not {number}: {numbers}");
    }
    assert!(value("leafwall_kube_puts_total{result=\"done\"}") >= 1.0 && value("leafwall_kube_put_seconds_count") >= 1.0);
    assert!(value("leafwall_kube_status_writes_total{result=\"done\"}") >= 2.0);

    // gone: nobody is locked out, and what the webhook would have said the status says
    drop(reconciler);
    let start_of_outage = std::time::Instant::now();
    apply(&foreign).unwrap();
    cluster.server.kubectl(&["delete", "cwnp", "-n", "firewall", "good"], "").unwrap();
    let waited = start_of_outage.elapsed();
    assert!(waited < Duration::from_secs(10), "{waited:?} for two requests while the webhooks are away");
    let _again = start();
    eventually("the status says it", PATIENCE, || {
        let found = cluster.get(&["fwp", "foreign"])["status"]["conditions"][0]["reason"].clone();
        if found == "UnknownNetwork" { Ok(()) } else { Err(found.to_string()) }
    });
    // and what was stored meanwhile can be labelled, but not made worse
    cluster.server.kubectl(&["label", "fwp", "foreign", "a=b"], "").unwrap();
}

/// The API server goes, objects change where nobody watches, its history is forgotten, and it comes back.
#[test]
fn nothing_is_lost_while_the_api_server_is_away() {
    let Some(mut cluster) = Cluster::new("nothing_is_lost_while_the_api_server_is_away", "away") else { return };
    let _reconciler = cluster.reconciler("fw-1");
    let port = |name: &str, port: u16| cnp(name, &format!("{{egress: [{{ports: [{{protocol: UDP, port: {port}}}]}}]}}"));
    cluster.apply(&[port("stays", 1), port("goes", 2)].concat());
    cluster.waits_for(&["stays", "goes"], "deployed");
    assert!(cluster.out("203.0.113.9", udp(1)) && cluster.out("203.0.113.9", udp(2)));

    let home = cluster.server.port();
    cluster.server.stop();
    std::thread::sleep(Duration::from_secs(1));
    assert!(cluster.out("203.0.113.9", udp(1)), "without an API server the rules stay");
    // at a port where the firewall does not look
    let elsewhere = leafwall_tests::etcd::free_ports(1)[0];
    cluster.server.move_to(elsewhere).unwrap();
    cluster.server.serve().unwrap();
    cluster.server.kubectl(&["delete", "cwnp", "-n", "firewall", "goes"], "").unwrap();
    cluster.apply(&port("comes", 3));
    cluster.server.forget().unwrap();
    assert!(cluster.out("203.0.113.9", udp(2)) && !cluster.out("203.0.113.9", udp(3)), "the firewall saw what it could not see");
    cluster.server.stop();
    cluster.server.move_to(home).unwrap();
    cluster.server.serve().unwrap();
    cluster.waits_for(&["stays", "comes"], "deployed");
    for (port, passes) in [(1, true), (2, false), (3, true)] {
        assert_eq!(cluster.out("203.0.113.9", udp(port)), passes, "port {port}");
    }

    // a storm: objects that come, change and go faster than anybody writes rules
    let storm = |shift: u16| -> String { (0..60).map(|at| port(&format!("storm-{at}"), 1000 + at + shift)).collect() };
    for shift in [0, 100, 200] {
        cluster.apply(&storm(shift));
    }
    cluster.server.kubectl(&["delete", "cwnp", "-n", "firewall", "storm-0", "storm-59"], "").unwrap();
    eventually("the storm settles", PATIENCE, || {
        let all = cluster.get(&["cwnp", "-n", "firewall"]);
        let lacking = all["items"].as_array().unwrap().iter().filter(|object| object["status"]["state"] != "deployed").count();
        if lacking == 0 { Ok(()) } else { Err(format!("{lacking} are not deployed")) }
    });
    for (port, passes) in [(1001, false), (1101, false), (1200, false), (1201, true), (1258, true), (1259, false), (1, true)] {
        assert_eq!(cluster.out("203.0.113.9", udp(port)), passes, "port {port}");
    }
}

/// Both firewalls hold the rules; one tells of them, and the other one goes on when it dies.
#[test]
fn the_standby_goes_on_where_the_active_one_died() {
    let Some(cluster) = Cluster::new("the_standby_goes_on_where_the_active_one_died", "lease") else { return };
    let first = cluster.reconciler("fw-1");
    let holder = || cluster.get(&["lease", "-n", "firewall"])["items"][0]["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
    eventually("fw-1 leads", PATIENCE, || if holder() == "fw-1" { Ok(()) } else { Err(holder()) });
    let standby = leafwall_tests::namespace::Namespace::new("lease-standby").unwrap();
    let _second = Reconciler::start(&cluster.server.firewall_kubeconfig().unwrap(), "fw-2", &cluster.firewall, &standby);
    cluster.apply(&cnp("one", "{egress: [{}]}"));
    cluster.waits_for(&["one"], "deployed");
    let holds = |name: &str| standby.run(&["nft", "list", "table", "inet", "leafwall"]).unwrap_or_default().contains(name);
    eventually("the standby has the rule too", PATIENCE, || {
        if holds("cluster.rule.cnp-one.egress.0") { Ok(()) } else { Err("not there".into()) }
    });
    drop(first);
    cluster.apply(&cnp("two", "{egress: [{}]}"));
    cluster.waits_for(&["two"], "deployed");
    assert_eq!(holder(), "fw-2");
    assert!(holds("cluster.rule.cnp-two.egress.0"));
}
