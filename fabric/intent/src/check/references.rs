//! Every name that stands for another object finds it.

use leafwall_topology::{Name, Role};

use super::index::{Index, Table};
use crate::codes::{self, Code};
use crate::decode::nearest;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::raw::NetworkIntent;
use crate::source::Spanned;

pub(super) fn check(index: &Index<'_>, out: &mut Diagnostics) {
    let intents = index.intents;
    for network in &intents.networks {
        tenant(index, network.spec.tenant.as_ref(), out);
        exits(index, &network.spec, out);
    }
    for allocation in &intents.allocations {
        server(index, allocation.spec.server.as_ref(), out);
        tenant(index, allocation.spec.tenant.as_ref(), out);
        network(index, allocation.spec.network.as_ref(), out);
    }
    for address in &intents.addresses {
        tenant(index, address.spec.tenant.as_ref(), out);
        network(index, address.spec.network.as_ref(), out);
        server(index, address.spec.server.as_ref(), out);
    }
    for peering in &intents.peerings {
        for side in &peering.spec.between {
            network(index, side.value.network.as_ref(), out);
        }
    }
    for server in &intents.servers {
        if let Some(management) = &server.spec.management {
            network(index, management.value.inband.as_ref(), out);
        }
    }
    for firewall in &intents.firewalls {
        let spec = &firewall.spec;
        tenant(index, spec.tenant.as_ref(), out);
        for name in &spec.servers {
            server(index, Some(name), out);
        }
        for name in &spec.networks {
            network(index, Some(name), out);
        }
        for egress in &spec.egress {
            network(index, egress.value.network.as_ref(), out);
            for name in &egress.value.addresses {
                find(&index.addresses, codes::UNKNOWN_ADDRESS, "address", Some(name), out);
            }
        }
        for limit in &spec.rate_limits {
            network(index, limit.value.network.as_ref(), out);
        }
    }
    for policy in &intents.policies {
        find(&index.firewalls, codes::UNKNOWN_FIREWALL, "firewall", policy.spec.firewall.as_ref(), out);
        for rule in policy.spec.ingress.iter().chain(&policy.spec.egress) {
            for peer in rule.value.from.iter().chain(&rule.value.to) {
                network(index, peer.value.network.as_ref(), out);
            }
        }
    }
}

fn tenant(index: &Index<'_>, name: Option<&Spanned<Name>>, out: &mut Diagnostics) {
    find(&index.tenants, codes::UNKNOWN_TENANT, "tenant", name, out);
}

fn network(index: &Index<'_>, name: Option<&Spanned<Name>>, out: &mut Diagnostics) {
    find(&index.networks, codes::UNKNOWN_NETWORK, "network", name, out);
}

fn server(index: &Index<'_>, name: Option<&Spanned<Name>>, out: &mut Diagnostics) {
    find(&index.servers, codes::UNKNOWN_SERVER, "server", name, out);
}

fn exits(index: &Index<'_>, network: &NetworkIntent, out: &mut Diagnostics) {
    for exit in &network.exits {
        find(&index.switches, codes::UNKNOWN_SWITCH, "switch", Some(exit), out);
        if let Some(role) = index.role(&exit.value).filter(|role| *role != Role::Exit) {
            let message = format!("`{}` is a {role}, not an exit", exit.value);
            out.push(Diagnostic::error(codes::NOT_AN_EXIT, exit.place, message));
        }
    }
    for exit in network.peers.iter().filter_map(|peer| peer.value.exit.as_ref()) {
        if network.exits.iter().any(|listed| listed.value == exit.value) {
            continue; // whatever is wrong with it has been said there
        }
        find(&index.switches, codes::UNKNOWN_SWITCH, "switch", Some(exit), out);
        if index.switches.contains_key(&exit.value) {
            let message = format!("the network does not list `{}` among its exits", exit.value);
            let diagnostic = Diagnostic::error(codes::EXIT_NOT_LISTED, exit.place, message);
            out.push(match network.exits.first() {
                Some(first) => diagnostic.with(first.place, "its exits"),
                None => diagnostic,
            });
        }
    }
}

fn find<S>(table: &Table<'_, S>, code: Code, kind: &str, name: Option<&Spanned<Name>>, out: &mut Diagnostics) {
    let Some(name) = name.filter(|name| !table.contains_key(&name.value)) else { return };
    let diagnostic = Diagnostic::error(code, name.place, format!("there is no {kind} called `{}`", name.value));
    out.push(did_you_mean(diagnostic, &name.value, table, out.len()));
}

/// How many findings of one topic get a suggestion: comparing thousands of names with thousands of others takes too long, and nobody reads that far.
const SUGGESTIONS: usize = 100;

/// The finding with the nearest known name as a hint, if it is one of the first.
pub(super) fn did_you_mean<S>(finding: Diagnostic, written: &Name, table: &Table<'_, S>, before: usize) -> Diagnostic {
    if before >= SUGGESTIONS {
        return finding;
    }
    let mut known: Vec<&str> = table.keys().map(|name| name.as_str()).collect();
    known.sort_unstable(); // of two that are equally near, always the same one
    match nearest(written.as_str(), known.into_iter()) {
        Some(meant) => finding.hint(format!("did you mean `{meant}`?")),
        None => finding,
    }
}
