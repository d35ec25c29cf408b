//! Blocks, ports and names, as all kinds have them.

use std::net::IpAddr;

use leafwall_policy::rule::{Fqdn, Peer, PortMatch, PortRange, Protocol};
use leafwall_topology::Prefix;

use super::LIST_MAX;
use crate::bounds::is_within;
use crate::verdict::{Finding, Reason, quoted};

/// Whether a block may have bits beside its prefix, as in `192.0.2.1/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostBits {
    /// They are cut off: what metal-stack's controller takes.
    Cut,
    /// They are a mistake.
    Refused,
}

/// Reads an object's parts and keeps what is wrong with them.
#[derive(Debug)]
pub(super) struct Reader<'b> {
    pub findings: Vec<Finding>,
    pub host_bits: HostBits,
    /// What the side that is read is bound by; `None` means not at all.
    pub bound: Option<&'b [Prefix]>,
}

impl Reader<'_> {
    pub fn new(host_bits: HostBits) -> Self {
        Self { findings: Vec::new(), host_bits, bound: None }
    }

    pub fn found(&mut self, reason: Reason, place: &str, message: impl Into<String>) {
        self.findings.push(Finding::new(reason, place, message));
    }

    /// Whether a list is short enough to be looked at.
    pub fn fits<T>(&mut self, place: &str, list: &[T]) -> bool {
        let fits = list.len() <= LIST_MAX;
        if !fits {
            self.found(Reason::TooLarge, place, format!("{} entries, and a list has {LIST_MAX} at most", list.len()));
        }
        fits
    }

    /// An address block.
    pub fn block(&mut self, place: &str, text: &str) -> Option<Prefix> {
        match text.parse::<Prefix>() {
            Ok(prefix) if text.contains('/') => return Some(prefix),
            _ => {}
        }
        let containing = text.split_once('/').and_then(|(address, length)| {
            let length = length.parse().ok().filter(|_| length.bytes().all(|b| b.is_ascii_digit()))?;
            Prefix::containing(address.parse::<IpAddr>().ok()?, length)
        });
        match (containing, self.host_bits) {
            (Some(prefix), HostBits::Cut) => return Some(prefix),
            (Some(prefix), HostBits::Refused) => {
                let finding = Finding::new(Reason::InvalidAddress, place, format!("{} has bits beside its prefix", quoted(text)));
                self.findings.push(finding.hint(format!("the block is `{prefix}`")));
            }
            (None, _) => {
                let finding = Finding::new(Reason::InvalidAddress, place, format!("{} is not an address block", quoted(text)));
                self.findings.push(finding.hint("such as `192.0.2.0/24` or `2001:db8::/32`"));
            }
        }
        None
    }

    /// A block without its exceptions, each of which must lie inside (F4).
    pub fn peer(&mut self, place: &str, cidr: &str, except: &[String]) -> Option<Peer> {
        let block = self.block(&format!("{place}.cidr"), cidr);
        if !self.fits(&format!("{place}.except"), except) {
            return None;
        }
        let mut cut = Vec::new();
        for (at, text) in except.iter().enumerate() {
            let place = format!("{place}.except[{at}]");
            let Some(part) = self.block(&place, text) else { continue };
            match block {
                Some(block) if !block.contains(part) => {
                    self.found(Reason::InvalidExcept, &place, format!("`{part}` is not inside of `{block}`"));
                }
                _ => cut.push(part),
            }
        }
        let block = block?;
        if !is_within(self.bound, block) {
            self.found(Reason::AddressForbidden, &format!("{place}.cidr"), format!("`{block}` is outside of what the operator allows"));
            return None;
        }
        Some(Peer::Cidr { cidr: block, except: cut })
    }

    /// A DNS name or a pattern. Where addresses are bound, answers are too; the sets' writer sees to that (F6).
    pub fn fqdn(&mut self, place: &str, text: &str) -> Option<Peer> {
        let read = Fqdn::try_from(text.to_owned());
        if read.is_err() {
            let finding =
                Finding::new(Reason::InvalidName, place, format!("{} is not a DNS name or a pattern that is supported", quoted(text)));
            self.findings.push(finding.hint("such as `api.example.com` or `*.example.com`"));
        }
        read.ok().map(Peer::Fqdn)
    }

    /// A pattern of metal-stack's, with stars anywhere.
    pub fn pattern(&mut self, place: &str, text: &str) -> Option<Peer> {
        let read = Fqdn::pattern(text);
        if read.is_err() {
            let finding = Finding::new(Reason::InvalidName, place, format!("{} is not a DNS name or a pattern of one", quoted(text)));
            self.findings.push(finding.hint("such as `*.example.com` or `api-*.example.com`"));
        }
        read.ok().map(Peer::Fqdn)
    }

    /// Ports of a protocol: one, a range, or all.
    pub fn ports(&mut self, place: &str, protocol: Protocol, port: Option<i64>, end: Option<i64>) -> Option<PortMatch> {
        let has_ports = matches!(protocol, Protocol::Tcp | Protocol::Udp | Protocol::Sctp);
        let Some(low) = port else {
            if end.is_some() {
                self.found(Reason::InvalidPort, &format!("{place}.endPort"), "`endPort` needs a `port`");
                return None;
            }
            return Some(PortMatch { protocol, ports: None });
        };
        if !has_ports {
            self.found(Reason::InvalidPort, &format!("{place}.port"), "only TCP, UDP and SCTP have ports");
            return None;
        }
        let high = end.unwrap_or(low);
        let range = u16::try_from(low).ok().zip(u16::try_from(high).ok()).and_then(|(low, high)| PortRange::new(low, high).ok());
        if range.is_none() {
            let what = if end.is_some() { format!("{low} to {high} is not a range of ports") } else { format!("{low} is not a port") };
            let finding = Finding::new(Reason::InvalidPort, format!("{place}.port"), what);
            self.findings.push(finding.hint("1 to 65535, the low end first"));
        }
        range.map(|range| PortMatch { protocol, ports: Some(range) })
    }
}
