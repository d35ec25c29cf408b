//! Kubernetes objects by chance: most are good, many are hostile, all are of a form that somebody could send.

use leafwall_kube::key::{Kind, ObjectKey};
use serde_json::{Map, Value, json};

use crate::random::Random;

/// In every hostile text, in capitals, which nothing of ours has: where it turns up, a user's text did.
pub const MARK: &str = "EVIL";

/// Text that ends statements, comments, strings and lines elsewhere, or means something to nft, a shell or a terminal.
const WORDS: [&str; 36] = [
    "accept",
    "drop",
    "set",
    "map",
    "chain",
    "cluster",
    "cluster.rule",
    "0",
    "-",
    ".",
    "..",
    "\"",
    "'",
    "\\",
    "\n",
    "\r\n",
    "\t",
    "\0",
    "{",
    "}",
    "};",
    ";",
    "#",
    "$x",
    "@s",
    "*",
    "/",
    "0.0.0.0/0 accept",
    "include \"/etc/passwd\"",
    "\u{202e}",
    "\u{200b}",
    "é",
    "日本",
    "🔥",
    "\u{301}",
    "%s%n",
];

/// A hostile text with the mark in it; now and then a very long one.
pub fn text(chance: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..=chance.below(4) {
        let word = *chance.pick(&WORDS);
        text.push_str(word);
    }
    text.push_str(MARK);
    let word = *chance.pick(&WORDS);
    text.push_str(word);
    if chance.once_in(20) { text.repeat(1 + chance.below(400)) } else { text }
}

/// Once in so often a part of an object is hostile: a few such parts in an object on average, and many objects without any.
const HOSTILE: usize = 150;

fn hostile_or(chance: &mut Random, good: &str) -> Value {
    if !chance.once_in(HOSTILE) {
        return json!(good);
    }
    match chance.below(6) {
        0 => json!(format!("{good}{}", text(chance))),
        1 => json!(format!("{}{good}", text(chance))),
        2 => Value::Null,
        3 => json!(chance.next()),
        4 => json!([good]),
        _ => json!(text(chance)),
    }
}

fn address(chance: &mut Random) -> (String, u8) {
    let few = [0_u64, 1, 0x7f00_0001, 0x0a00_0100, 0x0a00_014d, 0xc0a8_0000, 0xcb00_7100, 0xe000_0001, 0xffff_ffff];
    if chance.once_in(2) {
        let number = if chance.once_in(2) { *chance.pick(&few) } else { chance.next() & 0xffff_ffff };
        (std::net::Ipv4Addr::from(u32::try_from(number).unwrap_or(0)).to_string(), 32)
    } else {
        let high =
            *chance.pick(&[0_u128, 0xfd00_000a << 96, 0x2001_0db8 << 96, 0xfe80 << 112, 0xff02 << 112, 0xffff_0000_0000, 0x64_ff9b << 96]);
        let low = if chance.once_in(2) { u128::from(chance.next() & 0xff) } else { u128::from(chance.next()) };
        (std::net::Ipv6Addr::from(high | low).to_string(), 128)
    }
}

/// A block without bits beside its prefix most of the time, and some parts of it.
fn block(chance: &mut Random) -> (String, Vec<String>) {
    let (address, width) = address(chance);
    let length = if chance.once_in(3) { 0 } else { u8::try_from(chance.below(usize::from(width) + 1)).unwrap_or(0) };
    let cut = |length: u8| -> String {
        let block = address.parse().ok().and_then(|address| leafwall_topology::Prefix::containing(address, length));
        block.map_or_else(String::new, |block| block.to_string())
    };
    let exact = !chance.once_in(40);
    let cidr = if exact { cut(length) } else { format!("{address}/{length}") };
    let except =
        (0..chance.below(4)).map(|_| cut(length + u8::try_from(chance.below(usize::from(width - length) + 1)).unwrap_or(0))).collect();
    // `Prefix` writes hosts without a length
    (if cidr.contains('/') { cidr } else { format!("{cidr}/{width}") }, except)
}

fn whole(text: String) -> String {
    if text.contains('/') || text.is_empty() { text } else { format!("{text}/{}", if text.contains(':') { 128 } else { 32 }) }
}

fn blocks(chance: &mut Random) -> Value {
    let count = if chance.once_in(12) { chance.below(60) } else { chance.below(4) };
    (0..count)
        .map(|_| {
            let (cidr, except) = block(chance);
            let mut made = json!({"cidr": hostile_or(chance, &cidr)});
            if !except.is_empty() {
                made["except"] = except.into_iter().map(|text| hostile_or(chance, &whole(text))).collect();
            }
            made
        })
        .collect()
}

fn port(chance: &mut Random, protocols: &[&str]) -> Value {
    let mut made = Map::new();
    let protocol = (*chance.pick(protocols)).to_owned();
    let has_ports = ["TCP", "UDP", "SCTP"].contains(&protocol.as_str());
    if !chance.once_in(4) || !has_ports {
        made.insert("protocol".into(), hostile_or(chance, &protocol));
    }
    let number = |chance: &mut Random| match chance.below(HOSTILE) {
        0 => json!(*chance.pick(&[0_i64, -1, 65_536, i64::MIN, i64::MAX])),
        1 => json!(text(chance)),
        2 => json!(80.5),
        _ => json!(*chance.pick(&[1, 22, 80, 443, 65_534, 65_535])),
    };
    if has_ports && !chance.once_in(4) {
        let low = number(chance);
        if chance.once_in(3) {
            let high =
                low.as_i64().map_or(Value::Null, |low| json!(low.saturating_add(i64::try_from(chance.below(20)).unwrap_or(0)).min(65_535)));
            made.insert("endPort".into(), high);
        }
        made.insert("port".into(), low);
    }
    Value::Object(made)
}

fn ports(chance: &mut Random, protocols: &[&str]) -> Value {
    let count = if chance.once_in(12) { chance.below(60) } else { chance.below(4) };
    (0..count).map(|_| port(chance, protocols)).collect()
}

fn dns_name(chance: &mut Random) -> String {
    let label = |chance: &mut Random| match chance.below(8) {
        0 => "a".repeat(1 + chance.below(63)),
        1 => "_tcp".to_owned(),
        2 => "xn--4ca".to_owned(),
        3 => "0".to_owned(),
        _ => (*chance.pick(&["api", "www", "drop", "accept", "counter", "a-b", "x1"])).to_owned(),
    };
    let count = 1 + chance.below(4);
    let labels: Vec<String> = (0..count).map(|_| label(chance)).collect();
    format!("{}{}.example", chance.pick(&["", "", "*."]), labels.join("."))
}

fn rule(chance: &mut Random) -> Value {
    let action = *chance.pick(&["allow", "deny"]);
    let mut made = json!({"action": hostile_or(chance, action)});
    let protocols = ["TCP", "UDP", "SCTP", "ICMP", "ICMPv6", "any"];
    if chance.once_in(2) {
        made["priority"] = if chance.once_in(HOSTILE) { json!(chance.next()) } else { json!(chance.below(65_536)) };
    }
    for side in ["from", "to"] {
        let mut peers = blocks(chance);
        if chance.once_in(4)
            && let Some(peers) = peers.as_array_mut()
        {
            let network = *chance.pick(&["app", "db", "internet", "storage"]);
            peers.push(json!({"network": hostile_or(chance, network)}));
            let name = dns_name(chance);
            peers.push(json!({"fqdn": hostile_or(chance, &name)}));
        }
        made[side] = peers;
    }
    made["ports"] = ports(chance, &protocols);
    made["log"] = json!(chance.once_in(4));
    if chance.once_in(6) {
        made["expires"] = hostile_or(chance, "2099-01-01T00:00:00Z");
    }
    made
}

fn list(chance: &mut Random, mut make: impl FnMut(&mut Random) -> Value) -> Value {
    let count = if chance.once_in(20) { chance.below(30) } else { chance.below(4) };
    (0..count).map(|_| make(chance)).collect()
}

fn object_name(chance: &mut Random) -> String {
    match chance.below(8) {
        0 => text(chance),
        1 => "a".repeat(1 + chance.below(253)),
        2 => format!("{}.{}", chance.pick(&["drop", "set", "0"]), chance.next()),
        3 => (*chance.pick(&["accept", "map", "counter", "cluster", "web-0123456789abcdef"])).to_owned(),
        _ => format!("web-{}", chance.below(100_000)),
    }
}

/// An object, and where it is.
pub fn object(chance: &mut Random) -> (ObjectKey, Value) {
    let kind = *chance.pick(&Kind::ALL);
    let name = object_name(chance);
    let (namespace, object) = match kind {
        Kind::FirewallPolicy => (String::new(), json!({"spec": {"ingress": list(chance, rule), "egress": list(chance, rule)}})),
        Kind::ClusterwideNetworkPolicy => {
            let ingress = |chance: &mut Random| json!({"from": blocks(chance), "ports": ports(chance, &["TCP", "UDP"])});
            let egress = |chance: &mut Random| {
                let mut made = json!({"ports": ports(chance, &["TCP", "UDP"])});
                if chance.once_in(4) {
                    let name = dns_name(chance);
                    made["toFQDNs"] = json!([{*chance.pick(&["matchName", "matchPattern"]): hostile_or(chance, &name)}]);
                } else {
                    made["to"] = blocks(chance);
                }
                made
            };
            let (ingress, egress) = (list(chance, ingress), list(chance, egress));
            ("firewall".to_owned(), json!({"spec": {"description": text(chance), "ingress": ingress, "egress": egress}}))
        }
        Kind::Service => {
            let ports: Vec<Value> = (0..chance.below(6))
                .map(|_| json!({"name": text(chance), "port": 1 + chance.below(65_535), "protocol": *chance.pick(&["TCP", "UDP", "SCTP"])}))
                .collect();
            let ranges: Vec<Value> = (0..chance.below(4))
                .map(|_| {
                    let cidr = block(chance).0;
                    hostile_or(chance, &cidr)
                })
                .collect();
            let addresses: Vec<Value> = (0..chance.below(4))
                .map(|_| {
                    let ip = address(chance).0;
                    json!({"ip": hostile_or(chance, &ip), "hostname": text(chance)})
                })
                .collect();
            let namespace = if chance.once_in(10) { text(chance) } else { "default".to_owned() };
            let spec = json!({"type": "LoadBalancer", "ports": ports, "loadBalancerSourceRanges": ranges, "externalName": text(chance)});
            (namespace, json!({"spec": spec, "status": {"loadBalancer": {"ingress": addresses}}}))
        }
    };
    (ObjectKey { kind, namespace, name }, object)
}
