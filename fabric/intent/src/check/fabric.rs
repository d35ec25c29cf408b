//! The Fabric's own settings.

use std::net::IpAddr;

use leafwall_topology::{Asn, Family, Mtu, Prefix, Range};

use super::index::{Index, value};
use super::networks::{fabric_overlap, gateway, special};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{BfdTimers, BgpTimers};
use crate::raw::{BfdIntent, FabricIntent, TimersIntent};
use crate::source::{FileId, Place, Spanned};

/// What VXLAN puts around a packet: outer Ethernet, IPv4, UDP and VXLAN headers (RFC 7348 §5).
const VXLAN_OVERHEAD: u16 = 50;
/// The hold time below which a session is refused (RFC 4271 §4.2).
const SHORTEST_HOLD: u16 = 3;
/// Faster than this no CPU answers reliably; slower, BGP's own timers are first.
const BFD_INTERVALS: std::ops::RangeInclusive<u16> = 50..=60_000;

pub(super) fn check(index: &Index<'_>, out: &mut Diagnostics) {
    let Some(fabric) = index.fabric else {
        let place = Place { file: FileId(0), line: 1, column: 1, length: 0 };
        out.push(
            Diagnostic::error(codes::NO_FABRIC, place, "no document of kind Fabric among these files")
                .hint("add one with `underlay` and `overlay`"),
        );
        return;
    };
    underlay(fabric, out);
    if let Some(bgp) = &fabric.bgp {
        if let Some(timers) = &bgp.value.timers {
            hold(timers, out);
        }
        if let Some(bfd) = &bgp.value.bfd {
            bfd_timers(bfd, out);
        }
    }
    if let Some(provisioning) = &fabric.provisioning
        && let Some(prefix) = provisioning.value.prefix
    {
        special("the provisioning network", prefix, out);
        fabric_overlap(index, "the provisioning network", prefix, out);
        gateway(prefix, provisioning.value.gateway, out);
    }
}

fn underlay(fabric: &FabricIntent, out: &mut Diagnostics) {
    let Some(underlay) = &fabric.underlay else { return };
    if let Some(loopbacks) = underlay.value.loopbacks {
        family("loopbacks", loopbacks, out);
        special("the range of loopbacks", loopbacks, out);
    }
    if let Some(asns) = underlay.value.asns
        && !is_private(asns.value)
    {
        let message = format!("ASNs {} are not all private", asns.value);
        out.push(
            Diagnostic::warning(codes::PUBLIC_ASN, asns.place, message).hint("private ones are 64512-65534 and 4200000000-4294967294"),
        );
    }
    if let Some(mtu) = underlay.value.mtu {
        carries_vxlan(mtu, out);
    }
}

/// Whether a link with this MTU carries servers' largest packets in VXLAN.
pub(super) fn carries_vxlan(mtu: Spanned<Mtu>, out: &mut Diagnostics) {
    let needed = Mtu::MACHINE.get() + VXLAN_OVERHEAD;
    if mtu.value.get() < needed {
        let message = format!("an MTU of {} does not carry servers' packets of {} bytes in VXLAN", mtu.value, Mtu::MACHINE);
        out.push(Diagnostic::error(codes::MTU_TOO_SMALL, mtu.place, message).hint(format!("{needed} at least; {} is usual", Mtu::FABRIC)));
    }
}

fn family(what: &str, prefix: Spanned<Prefix>, out: &mut Diagnostics) {
    if prefix.value.family() != Family::V4 {
        let message = format!("{what} come from an IPv4 prefix, `{}` is IPv6", prefix.value);
        out.push(Diagnostic::error(codes::WRONG_FAMILY, prefix.place, message));
    }
}

fn is_private(range: Range<Asn>) -> bool {
    // both ends may be private in different ranges, with public ones between
    let short = |asn: Asn| u16::try_from(asn.get()).is_ok();
    range.low().is_private() && range.high().is_private() && short(range.low()) == short(range.high())
}

fn hold(timers: &Spanned<TimersIntent>, out: &mut Diagnostics) {
    let default = BgpTimers::default();
    let keepalive = value(timers.value.keepalive.as_ref()).unwrap_or(default.keepalive);
    let hold = value(timers.value.hold.as_ref()).unwrap_or(default.hold);
    if keepalive == 0 || hold < SHORTEST_HOLD || u32::from(hold) < u32::from(keepalive) * 3 {
        let place = timers.value.hold.as_ref().map_or(timers.place, |hold| hold.place);
        let message = format!("a hold time of {hold} s does not fit keepalives of {keepalive} s");
        let wanted = (u32::from(keepalive.max(1)) * 3).max(SHORTEST_HOLD.into());
        out.push(
            Diagnostic::error(codes::BAD_TIMERS, place, message).hint(format!("{wanted} at least: three keepalives, of a second or more")),
        );
    }
}

fn bfd_timers(bfd: &Spanned<BfdIntent>, out: &mut Diagnostics) {
    let default = BfdTimers::default();
    if let Some(interval) = bfd.value.interval.filter(|interval| !BFD_INTERVALS.contains(&interval.value)) {
        let message = format!("BFD cannot send every {} ms", interval.value);
        let hint = format!("{} to {}; {} is usual", BFD_INTERVALS.start(), BFD_INTERVALS.end(), default.interval_ms);
        out.push(Diagnostic::error(codes::BAD_TIMERS, interval.place, message).hint(hint));
    }
    if let Some(multiplier) = bfd.value.multiplier.filter(|multiplier| multiplier.value < 2) {
        let message = format!("a BFD multiplier of {} takes a neighbour down with the first packet lost", multiplier.value);
        out.push(
            Diagnostic::error(codes::BAD_TIMERS, multiplier.place, message).hint(format!("2 at least; {} is usual", default.multiplier)),
        );
    }
}

/// The address of the first host of a subnet: its gateway where none is given.
pub(super) fn first_host(prefix: Prefix) -> Option<IpAddr> {
    prefix.nth(1)
}
