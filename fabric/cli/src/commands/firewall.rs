//! `leafwall firewall explain DIR FIREWALL SRC DST[:PORT/PROTO]`

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use leafwall_plan::Device;
use leafwall_policy::rule::{Action, Fqdn};
use leafwall_policy::ruleset::fqdn_sets;
use leafwall_policy::semantics::{Answers, Decision, FlowState, Packet, Told, Transport, decide, explain};
use leafwall_policy::zone::FirewallRules;
use leafwall_render::inventory::LabInventory;
use leafwall_topology::{Family, Name, Prefix};
use serde::Serialize;

use super::trace::{addresses, service};
use crate::table::{Format, print};
use crate::{Outcome, fabric};

/// Questions about a firewall.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    question: Question,
}

#[derive(clap::Subcommand)]
enum Question {
    Explain(Explain),
}

/// Names the rule that decides about a new flow, and why the others do not.
///
/// Into which networks the addresses belong is what routing says: the one with the longest prefix around it. Exits with 1 if the flow is dropped.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  leafwall firewall explain containerlab/fra1 acme-fw srv-01 198.18.0.1:443/tcp\n  leafwall firewall explain containerlab/fra1 acme-fw 198.18.0.1 203.0.113.20:22/tcp"
)]
struct Explain {
    /// The fabric's directory
    directory: PathBuf,
    /// The Firewall
    firewall: Name,
    /// Where the flow comes from: an address, or an endpoint such as a server
    from: String,
    /// Where it goes: an address or an endpoint, perhaps with a port and tcp, udp or sctp; a ping without
    to: String,
    /// An address that a rule's DNS name was resolved to, such as *.example.com=198.51.100.7; can be given several times. Rules with DNS names hold no other
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = resolved)]
    resolved: Vec<(Fqdn, IpAddr)>,
    /// How it is told
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

fn resolved(text: &str) -> Result<(Fqdn, IpAddr), String> {
    let (name, address) = text.split_once('=').ok_or("no NAME=ADDRESS")?;
    let name = name.parse().map_err(|error| format!("`{name}`: {error}"))?;
    Ok((name, address.parse().map_err(|error| format!("`{address}`: {error}"))?))
}

/// A client's port; no rule looks at it.
const CLIENT_PORT: u16 = 40_000;
/// The types of echo requests.
const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;

/// Plans, and asks the function.
pub fn run(args: &Args) -> Outcome {
    let Question::Explain(args) = &args.question;
    let (planner, rendered) = match fabric::planned_and_rendered(&args.directory) {
        Ok(both) => both,
        Err(outcome) => return outcome,
    };
    let known: Vec<&FirewallRules> = planner
        .plan()
        .devices
        .values()
        .filter_map(|device| if let Device::Firewall(plan) = &device.device { Some(&plan.rules) } else { None })
        .collect();
    let Some(rules) = known.iter().find(|rules| rules.firewall == args.firewall) else {
        let names: BTreeSet<&str> = known.iter().map(|rules| rules.firewall.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        return Outcome::CouldNot(format!("`{}` is no Firewall with a machine; there are {}", args.firewall, names.join(", ")));
    };
    let packets = match packets(rules, &rendered.inventory, &args.from, &args.to) {
        Ok(packets) => packets,
        Err(why) => return Outcome::CouldNot(why),
    };
    let mut resolved = Answers::new();
    for (name, address) in &args.resolved {
        resolved.entry(name.clone()).or_default().insert(*address);
    }
    let used: BTreeSet<Fqdn> = fqdn_sets(rules).into_iter().map(|(name, ..)| name).collect();
    if let Some(unused) = resolved.keys().find(|name| !used.contains(*name)) {
        let all: Vec<&str> = used.iter().map(Fqdn::as_str).collect();
        return Outcome::CouldNot(format!("no rule of `{}` has the DNS name `{unused}`; they have {}", args.firewall, one_of(&all)));
    }
    let answers: Vec<Answer> = packets.iter().map(|packet| Answer::of(rules, &resolved, packet)).collect();
    match args.format {
        Format::Table => print(&answers.iter().map(Answer::text).collect::<String>()),
        Format::Json => match serde_json::to_string_pretty(&answers) {
            Ok(text) => print(&(text + "\n")),
            Err(error) => return Outcome::CouldNot(crate::chain(&error)),
        },
    }
    if answers.iter().all(|answer| answer.verdict == Action::Allow) { Outcome::Fine } else { Outcome::Problems }
}

/// What becomes of one packet, and why.
#[derive(Serialize)]
struct Answer {
    source: IpAddr,
    destination: IpAddr,
    input: Name,
    output: Name,
    verdict: Action,
    reason: String,
    /// The addresses of which its source becomes one; empty if it stays.
    becomes: Vec<IpAddr>,
    /// Every rule in the order in which they are looked at, up to the one that decides.
    rules: Vec<Asked>,
}

#[derive(Serialize)]
struct Asked {
    rule: String,
    action: Action,
    /// `null` for the rule that matches.
    mismatch: Option<String>,
}

impl Answer {
    fn of(rules: &FirewallRules, resolved: &Answers, packet: &Packet) -> Self {
        let Decision { verdict, reason, snat } = decide(rules, resolved, packet);
        let told = explain(rules, resolved, packet);
        let until = told.iter().position(|(_, _, why)| why.is_none()).map_or(told.len(), |at| at + 1);
        let asked = |(id, action, why): &Told| Asked { rule: id.to_string(), action: *action, mismatch: why.map(|why| why.to_string()) };
        Self {
            source: packet.source,
            destination: packet.destination,
            input: packet.input.clone(),
            output: packet.output.clone(),
            verdict,
            reason: reason.to_string(),
            becomes: snat.into_iter().collect(),
            rules: told.iter().take(until).map(asked).collect(),
        }
    }

    fn text(&self) -> String {
        let word = |action| if action == Action::Allow { "allow" } else { "deny" };
        let mut text = format!("{} -> {}, from {} into {}\n", self.source, self.destination, self.input, self.output);
        for asked in &self.rules {
            let why = asked.mismatch.as_deref().unwrap_or("it matches");
            let _ = writeln!(text, "  {} {}: {why}", word(asked.action), asked.rule);
        }
        let becomes: Vec<String> = self.becomes.iter().map(ToString::to_string).collect();
        let becomes = if becomes.is_empty() { String::new() } else { format!("; the source becomes {}", becomes.join(" or ")) };
        let _ = writeln!(text, "  {}: {}{becomes}", word(self.verdict), self.reason);
        text
    }
}

fn one_of(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// One packet per family that both ends have.
fn packets(rules: &FirewallRules, inventory: &LabInventory, from: &str, to: &str) -> Result<Vec<Packet>, String> {
    let (target, service) = service(to)?;
    let sources = addresses(inventory, from)?;
    let mut found = Vec::new();
    for destination in addresses(inventory, target)? {
        let Some(source) = sources.iter().copied().find(|source| Family::of(*source) == Family::of(destination)) else { continue };
        let zone = |address| network(rules, address).ok_or_else(|| format!("`{}` joins no network around {address}", rules.firewall));
        let transport = match service {
            Some((6, destination)) => Transport::Tcp { source: CLIENT_PORT, destination },
            Some((132, destination)) => Transport::Sctp { source: CLIENT_PORT, destination },
            Some((_, destination)) => Transport::Udp { source: CLIENT_PORT, destination },
            None if destination.is_ipv4() => Transport::Icmp(ECHO_REQUEST),
            None => Transport::Icmpv6(ECHO_REQUEST_V6),
        };
        found.push(Packet { input: zone(source)?, output: zone(destination)?, source, destination, transport, state: FlowState::New });
    }
    if found.is_empty() { Err(format!("`{from}` and `{target}` have no address of the same family")) } else { Ok(found) }
}

/// The network with the longest prefix around an address.
fn network(rules: &FirewallRules, address: IpAddr) -> Option<Name> {
    let around =
        |prefixes: &[Prefix]| prefixes.iter().filter(|prefix| prefix.contains_address(address)).map(|prefix| prefix.length()).max();
    let zones = rules.zones.iter().filter_map(|zone| Some((around(&zone.prefixes)?, zone)));
    zones.max_by_key(|(length, _)| *length).map(|(_, zone)| zone.network.clone())
}
