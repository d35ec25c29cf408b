//! metal-stack's `ClusterwideNetworkPolicy`, with the meaning that its definition documents.

use leafwall_policy::rule::{Action, Peer, Policy, PortMatch, Priority, Protocol, Rule};
use serde::Deserialize;
use serde_json::Value;

use super::parts::{HostBits, Reader};
use super::{CNP_NAMESPACE, all_or_nothing, spec};
use crate::bounds::Bounds;
use crate::key::ObjectKey;
use crate::verdict::{Finding, Reason, quoted};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CnpSpec {
    ingress: Option<Vec<Ingress>>,
    egress: Option<Vec<Egress>>,
}

#[derive(Debug, Deserialize)]
struct Ingress {
    ports: Option<Vec<Port>>,
    from: Option<Vec<Block>>,
}

#[derive(Debug, Deserialize)]
struct Egress {
    ports: Option<Vec<Port>>,
    to: Option<Vec<Block>>,
    #[serde(rename = "toFQDNs")]
    to_fqdns: Option<Vec<Selector>>,
}

#[derive(Debug, Deserialize)]
struct Block {
    cidr: String,
    except: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names)] // the names of the CRD's fields
struct Port {
    protocol: Option<String>,
    port: Option<i64>,
    end_port: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selector {
    match_name: Option<String>,
    match_pattern: Option<String>,
}

pub(super) fn policy(key: &ObjectKey, object: &Value, bounds: &Bounds) -> Result<Policy, Vec<Finding>> {
    if key.namespace != CNP_NAMESPACE {
        let message = format!("only objects in the namespace `{CNP_NAMESPACE}` count");
        return Err(vec![Finding::new(Reason::WrongNamespace, "metadata.namespace", message)]);
    }
    let spec: CnpSpec = spec(object)?;
    let mut reader = Reader::new(HostBits::Cut);
    let mut made = Policy { name: key.policy_name(), ingress: Vec::new(), egress: Vec::new() };
    reader.bound = bounds.ingress.as_deref();
    for (at, rule) in spec.ingress.unwrap_or_default().into_iter().enumerate() {
        let place = format!("spec.ingress[{at}]");
        let from = blocks(&mut reader, &format!("{place}.from"), rule.from);
        let ports = ports(&mut reader, &format!("{place}.ports"), rule.ports);
        made.ingress.push(allow(from, Vec::new(), ports));
    }
    reader.bound = bounds.egress.as_deref();
    for (at, rule) in spec.egress.unwrap_or_default().into_iter().enumerate() {
        let place = format!("spec.egress[{at}]");
        let names = rule.to_fqdns.unwrap_or_default();
        let mut to = blocks(&mut reader, &format!("{place}.to"), rule.to);
        if !names.is_empty() && !to.is_empty() {
            reader.found(Reason::Contradiction, &place, "a rule has `to` or `toFQDNs`, not both");
        }
        to.extend(selectors(&mut reader, &format!("{place}.toFQDNs"), &names));
        let ports = ports(&mut reader, &format!("{place}.ports"), rule.ports);
        made.egress.push(allow(Vec::new(), to, ports));
    }
    all_or_nothing(made, reader.findings)
}

fn allow(from: Vec<Peer>, to: Vec<Peer>, ports: Vec<PortMatch>) -> Rule {
    Rule { action: Action::Allow, priority: Priority::default(), from, to, ports, log: false, expires: None }
}

fn blocks(reader: &mut Reader<'_>, place: &str, blocks: Option<Vec<Block>>) -> Vec<Peer> {
    let blocks = blocks.unwrap_or_default();
    if !reader.fits(place, &blocks) {
        return Vec::new();
    }
    let read = blocks.into_iter().enumerate();
    read.filter_map(|(at, block)| reader.peer(&format!("{place}[{at}]"), &block.cidr, &block.except.unwrap_or_default())).collect()
}

fn selectors(reader: &mut Reader<'_>, place: &str, selectors: &[Selector]) -> Vec<Peer> {
    if !reader.fits(place, selectors) {
        return Vec::new();
    }
    let mut peers = Vec::new();
    for (at, selector) in selectors.iter().enumerate() {
        let place = format!("{place}[{at}]");
        let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (name, pattern) = (some(&selector.match_name), some(&selector.match_pattern));
        if name.is_none() && pattern.is_none() {
            reader.found(Reason::InvalidName, &place, "neither `matchName` nor `matchPattern`");
        }
        peers.extend(name.and_then(|text| reader.fqdn(&format!("{place}.matchName"), &text)));
        peers.extend(pattern.and_then(|text| reader.pattern(&format!("{place}.matchPattern"), &text)));
    }
    peers
}

fn ports(reader: &mut Reader<'_>, place: &str, ports: Option<Vec<Port>>) -> Vec<PortMatch> {
    let ports = ports.unwrap_or_default();
    if !reader.fits(place, &ports) {
        return Vec::new();
    }
    let mut read = Vec::new();
    for (at, port) in ports.into_iter().enumerate() {
        let place = format!("{place}[{at}]");
        let protocol = match port.protocol.as_deref() {
            None | Some("" | "TCP") => Protocol::Tcp,
            Some("UDP") => Protocol::Udp,
            Some(other) => {
                let finding =
                    Finding::new(Reason::InvalidProtocol, format!("{place}.protocol"), format!("{} is not TCP or UDP", quoted(other)));
                reader.findings.push(finding.hint("a FirewallPolicy has SCTP, ICMP, ICMPv6 and any as well"));
                continue;
            }
        };
        read.extend(reader.ports(&place, protocol, port.port, port.end_port));
    }
    read
}
