//! `leafwall trace DIR FROM TO[:port/proto]`

use std::net::IpAddr;
use std::path::PathBuf;

use leafwall_policy::protocols::{ICMP, ICMPV6, SCTP, TCP, UDP};
use leafwall_policy::sets::{Header, PacketSet};
use leafwall_proof::matrix;
use leafwall_proof::walk::Telling;
use leafwall_render::inventory::{LabEndpoint, LabInventory};
use leafwall_topology::{Family, Name};

use crate::{Outcome, fabric};

/// Follows one packet through the rendered artefacts, hop by hop: VRF, route, rule, translation.
///
/// Exits with 1 if it is lost on some way that it may take.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  leafwall trace containerlab/fra1 srv-01 srv-08:2049/tcp\n  leafwall trace containerlab/fra1 srv-06 198.18.0.1"
)]
pub struct Args {
    /// The fabric's directory
    directory: PathBuf,
    /// Who sends: an endpoint, such as a server or an Address
    from: Name,
    /// To whom: an endpoint or an address, perhaps with a port and tcp, udp or sctp; a ping without
    to: String,
}

/// Where a client's ports are.
const CLIENT_PORT: u16 = 40_000;

/// Renders, reads back, walks.
pub fn run(args: &Args) -> Outcome {
    let (planner, rendered) = match fabric::planned_and_rendered(&args.directory) {
        Ok(both) => both,
        Err(outcome) => return outcome,
    };
    let packets = match packets(&rendered.inventory, &args.from, &args.to) {
        Ok(packets) => packets,
        Err(why) => return Outcome::CouldNot(why),
    };
    let input = rendered.input(&planner);
    let walked = leafwall_proof::examine(&input, |matcher| {
        let mut lost = false;
        for packet in &packets {
            let outcomes = matcher.send(&args.from, &PacketSet::packet(packet), None, Telling::Way);
            lost |= outcomes.is_empty() || outcomes.iter().any(|outcome| outcome.end.is_none());
            println!("{packet}");
            if outcomes.is_empty() {
                println!("  is not sent: `{}` has no port in service, or nobody told it the way", args.from);
            }
            let ways = outcomes.len();
            for (number, outcome) in outcomes.iter().enumerate() {
                if ways > 1 {
                    println!("  way {} of {ways}", number + 1);
                }
                outcome.path.iter().for_each(|hop| println!("    {hop}"));
                println!("    {}", if outcome.end.is_some() { "delivered" } else { "lost" });
            }
        }
        lost
    });
    match walked {
        Ok(false) => Outcome::Fine,
        Ok(true) => Outcome::Problems,
        Err(errors) => {
            for error in errors {
                eprintln!("{error}");
            }
            Outcome::CouldNot("what was rendered cannot be read back".to_owned())
        }
    }
}

/// One packet per family that both ends have.
fn packets(inventory: &LabInventory, from: &Name, to: &str) -> Result<Vec<Header>, String> {
    let sender = inventory.endpoints.get(from).ok_or_else(|| format!("`{from}` is no endpoint; there are {}", endpoints(inventory)))?;
    let (target, service) = service(to)?;
    let destinations = addresses(inventory, target)?;
    let mut packets = Vec::new();
    for destination in destinations {
        let family = Family::of(destination);
        let Some(source) = matrix::addresses(sender).find(|source| Family::of(*source) == family) else { continue };
        let (protocol, source_port, destination_port) = match (service, family) {
            (Some((protocol, port)), _) => (protocol, CLIENT_PORT, port),
            (None, Family::V4) => (ICMP, 0, 8),
            (None, Family::V6) => (ICMPV6, 0, 128),
        };
        packets.push(Header { source, destination, protocol, source_port, destination_port, vni: 0 });
    }
    if packets.is_empty() { Err(format!("`{from}` has no address of a family that `{target}` has")) } else { Ok(packets) }
}

fn endpoints(inventory: &LabInventory) -> String {
    inventory.endpoints.keys().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

/// A protocol's number and a port.
type Service = (u8, u16);

/// `TARGET:PORT/PROTOCOL` as the target, and the protocol's number and the port; a target alone has none.
pub(super) fn service(to: &str) -> Result<(&str, Option<Service>), String> {
    let Some((front, protocol)) = to.rsplit_once('/') else { return Ok((to, None)) };
    let (target, port) = front.rsplit_once(':').ok_or_else(|| format!("`{to}` has a protocol and no port: `{front}:443/{protocol}`"))?;
    let port: u16 = port.parse().map_err(|_| format!("`{port}` is not a port"))?;
    let protocol = match protocol {
        "tcp" => TCP,
        "udp" => UDP,
        "sctp" => SCTP,
        other => return Err(format!("`{other}` is no protocol: `tcp`, `udp` or `sctp`")),
    };
    Ok((target, Some((protocol, port))))
}

/// An address as it is, or those of an endpoint.
pub(super) fn addresses(inventory: &LabInventory, target: &str) -> Result<Vec<IpAddr>, String> {
    if let Ok(address) = target.trim_matches(['[', ']']).parse() {
        return Ok(vec![address]);
    }
    let endpoint: Option<&LabEndpoint> =
        target.parse::<Name>().ok().and_then(|name| inventory.endpoints.get(&name)).map(|endpoint| &**endpoint);
    let endpoint = endpoint.ok_or_else(|| format!("`{target}` is no address and no endpoint; there are {}", endpoints(inventory)))?;
    Ok(matrix::addresses(endpoint).collect())
}
