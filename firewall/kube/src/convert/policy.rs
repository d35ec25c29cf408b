//! `FirewallPolicy` of `leafwall.io/v1`: the fields and the meaning of the intent of the same name, without `firewall`, which is the cluster's own.

use k8s_openapi::jiff::Timestamp;
use leafwall_policy::rule::{Action, Peer, Policy, PortMatch, Priority, Protocol, Rule};
use leafwall_topology::Name;
use serde::Deserialize;
use serde_json::Value;

use super::parts::{HostBits, Reader};
use super::{all_or_nothing, spec};
use crate::bounds::Bounds;
use crate::key::ObjectKey;
use crate::verdict::{Finding, Reason, quoted};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PolicySpec {
    ingress: Option<Vec<RuleSpec>>,
    egress: Option<Vec<RuleSpec>>,
}

#[derive(Debug, Deserialize)]
struct RuleSpec {
    action: Action,
    priority: Option<u16>,
    from: Option<Vec<PeerSpec>>,
    to: Option<Vec<PeerSpec>>,
    ports: Option<Vec<PortSpec>>,
    log: Option<bool>,
    expires: Option<String>,
}

#[derive(Debug, Deserialize)]
struct PeerSpec {
    cidr: Option<String>,
    except: Option<Vec<String>>,
    fqdn: Option<String>,
    network: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PortSpec {
    protocol: Option<Protocol>,
    port: Option<i64>,
    end_port: Option<i64>,
}

pub(super) fn policy(key: &ObjectKey, object: &Value, bounds: &Bounds) -> Result<Policy, Vec<Finding>> {
    let spec: PolicySpec = spec(object)?;
    let mut reader = Reader::new(HostBits::Refused);
    let mut list = |direction: &str, rules: Option<Vec<RuleSpec>>| -> Vec<Rule> {
        let rules = rules.unwrap_or_default().into_iter().enumerate();
        rules.map(|(at, rule)| read(&mut reader, &format!("spec.{direction}[{at}]"), direction == "ingress", rule, bounds)).collect()
    };
    let (ingress, egress) = (list("ingress", spec.ingress), list("egress", spec.egress));
    all_or_nothing(Policy { name: key.policy_name(), ingress, egress }, reader.findings)
}

fn read<'b>(reader: &mut Reader<'b>, place: &str, ingress: bool, rule: RuleSpec, bounds: &'b Bounds) -> Rule {
    // what is allowed is bound on the far side; to deny more than that is harmless
    let bound = |far: bool, bound: &'b Option<Vec<_>>| if far && rule.action == Action::Allow { bound.as_deref() } else { None };
    reader.bound = bound(ingress, &bounds.ingress);
    let from = peers(reader, &format!("{place}.from"), rule.from, bounds);
    reader.bound = bound(!ingress, &bounds.egress);
    let to = peers(reader, &format!("{place}.to"), rule.to, bounds);
    let ports = ports(reader, &format!("{place}.ports"), rule.ports);
    let expires = rule.expires.and_then(|text| time(reader, &format!("{place}.expires"), &text));
    let priority = rule.priority.map_or_else(Priority::default, Priority);
    Rule { action: rule.action, priority, from, to, ports, log: rule.log.unwrap_or(false), expires }
}

fn peers(reader: &mut Reader<'_>, place: &str, peers: Option<Vec<PeerSpec>>, bounds: &Bounds) -> Vec<Peer> {
    let peers = peers.unwrap_or_default();
    if !reader.fits(place, &peers) {
        return Vec::new();
    }
    let mut read = Vec::new();
    for (at, peer) in peers.into_iter().enumerate() {
        let place = format!("{place}[{at}]");
        let except = peer.except.unwrap_or_default();
        if !except.is_empty() && peer.cidr.is_none() {
            reader.found(Reason::Contradiction, &format!("{place}.except"), "`except` belongs to a `cidr`");
        }
        match (peer.cidr, peer.fqdn, peer.network) {
            (Some(cidr), None, None) => read.extend(reader.peer(&place, &cidr, &except)),
            (None, Some(fqdn), None) => read.extend(reader.fqdn(&format!("{place}.fqdn"), &fqdn)),
            (None, None, Some(network)) => read.extend(joined(reader, &format!("{place}.network"), &network, bounds).map(Peer::Network)),
            _ => reader.found(Reason::Contradiction, &place, "a peer has exactly one of `cidr`, `fqdn` and `network`"),
        }
    }
    read
}

fn joined(reader: &mut Reader<'_>, place: &str, text: &str, bounds: &Bounds) -> Option<Name> {
    let network = text.parse::<Name>().ok().filter(|name| bounds.networks.contains(name));
    if network.is_none() {
        let known = bounds.networks.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let finding = Finding::new(Reason::UnknownNetwork, place, format!("this firewall joins no network {}", quoted(text)));
        reader.findings.push(if known.is_empty() { finding } else { finding.hint(format!("it joins {known}")) });
    }
    network
}

fn ports(reader: &mut Reader<'_>, place: &str, ports: Option<Vec<PortSpec>>) -> Vec<PortMatch> {
    let ports = ports.unwrap_or_default();
    if !reader.fits(place, &ports) {
        return Vec::new();
    }
    let read = ports.into_iter().enumerate();
    read.filter_map(|(at, port)| reader.ports(&format!("{place}[{at}]"), port.protocol.unwrap_or(Protocol::Tcp), port.port, port.end_port))
        .collect()
}

/// Seconds since 1970.
fn time(reader: &mut Reader<'_>, place: &str, text: &str) -> Option<u64> {
    let read = text.parse::<Timestamp>().ok().and_then(|time| u64::try_from(time.as_second()).ok());
    if read.is_none() {
        let finding = Finding::new(Reason::InvalidTime, place, format!("{} is not a time", quoted(text)));
        reader.findings.push(finding.hint("such as `2027-01-31T00:00:00Z`"));
    }
    read
}
