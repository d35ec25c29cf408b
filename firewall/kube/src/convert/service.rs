//! Services of type LoadBalancer: their ports are open to their addresses.

use std::net::IpAddr;

use leafwall_policy::rule::{Action, Peer, Policy, PortMatch, Priority, Protocol, Rule};
use leafwall_topology::Prefix;
use serde::Deserialize;
use serde_json::Value;

use super::parts::{HostBits, Reader};
use super::{Verdict, all_or_nothing, spec};
use crate::bounds::Bounds;
use crate::key::ObjectKey;
use crate::verdict::{Finding, Reason, quoted};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ServiceSpec {
    #[serde(rename = "type")]
    kind: Option<String>,
    ports: Option<Vec<ServicePort>>,
    load_balancer_source_ranges: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct ServicePort {
    protocol: Option<Protocol>,
    port: i64,
}

/// What a Service opens: its ports on its load balancer's addresses, and on nothing else, whoever may come (F3).
pub(super) fn policy(key: &ObjectKey, object: &Value, bounds: &Bounds) -> Verdict {
    let spec: ServiceSpec = match spec(object) {
        Ok(spec) => spec,
        Err(findings) => return Verdict::Refused(findings),
    };
    if spec.kind.as_deref() != Some("LoadBalancer") {
        return Verdict::Unrelated;
    }
    let mut reader = Reader::new(HostBits::Cut);
    let addresses = addresses(&mut reader, object);
    reader.bound = bounds.ingress.as_deref();
    let ranges = spec.load_balancer_source_ranges.unwrap_or_default();
    let mut from = Vec::new();
    if reader.fits("spec.loadBalancerSourceRanges", &ranges) {
        for (at, range) in ranges.iter().enumerate() {
            // the API server lets blanks stand around a range
            from.extend(reader.peer(&format!("spec.loadBalancerSourceRanges[{at}]"), range.trim(), &[]));
        }
    }
    let mut ports: Vec<PortMatch> = Vec::new();
    for (at, port) in spec.ports.unwrap_or_default().into_iter().enumerate() {
        ports.extend(reader.ports(&format!("spec.ports[{at}]"), port.protocol.unwrap_or(Protocol::Tcp), Some(port.port), None));
    }
    if reader.findings.is_empty() && (addresses.is_empty() || ports.is_empty()) {
        // an empty list would mean everything (F5)
        return Verdict::Waiting;
    }
    let to = addresses.into_iter().map(|address| Peer::Cidr { cidr: Prefix::host(address), except: Vec::new() }).collect();
    let rule = Rule { action: Action::Allow, priority: Priority::default(), from, to, ports, log: false, expires: None };
    match all_or_nothing(Policy { name: key.policy_name(), ingress: vec![rule], egress: Vec::new() }, reader.findings) {
        Ok(policy) => Verdict::Accepted(policy),
        Err(findings) => Verdict::Refused(findings),
    }
}

/// `status.loadBalancer.ingress[].ip`. A host name there is not one of ours.
fn addresses(reader: &mut Reader<'_>, object: &Value) -> Vec<IpAddr> {
    let entries = object.pointer("/status/loadBalancer/ingress").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut found = Vec::new();
    if !reader.fits("status.loadBalancer.ingress", entries) {
        return found;
    }
    for (at, entry) in entries.iter().enumerate() {
        let Some(text) = entry.get("ip").and_then(Value::as_str).filter(|text| !text.is_empty()) else { continue };
        match text.parse::<IpAddr>() {
            Ok(address) => found.push(address),
            Err(_) => reader.findings.push(Finding::new(
                Reason::InvalidAddress,
                format!("status.loadBalancer.ingress[{at}].ip"),
                format!("{} is not an address", quoted(text)),
            )),
        }
    }
    found
}
