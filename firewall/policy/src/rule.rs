//! Rules as users state them, checked: nothing here can hold text that is not harmless in a ruleset (F1, F2).

use std::fmt;

use leafwall_topology::{Name, Prefix};
use serde::{Deserialize, Serialize};

/// A `FirewallPolicy`, or what an accepted `ClusterwideNetworkPolicy` means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The object's name.
    pub name: Name,
    /// Rules for traffic into the tenant's own networks.
    pub ingress: Vec<Rule>,
    /// Rules for traffic out of the tenant's own networks.
    pub egress: Vec<Rule>,
}

/// One rule. It matches if its peers on both sides and its ports do; empty lists mean everything (F5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What happens to a new flow that matches.
    pub action: Action,
    /// Lower numbers are looked at first; at the same priority deny wins.
    pub priority: Priority,
    /// Where the flow comes from; empty means everyone.
    pub from: Vec<Peer>,
    /// Where it goes; empty means everyone.
    pub to: Vec<Peer>,
    /// Which protocols and ports; empty means all of them.
    pub ports: Vec<PortMatch>,
    /// Whether a new flow that this rule decides is logged (limited).
    pub log: bool,
    /// When the rule ends, in seconds since 1970-01-01T00:00:00Z; the caller filters by its own clock before rendering.
    pub expires: Option<u64>,
}

/// Accept or drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Let new flows through.
    Allow,
    /// Drop them.
    Deny,
}

/// The rank of a rule, 0 to 65535; 1000 where none is given. Lower is earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Priority(pub u16);

impl Default for Priority {
    fn default() -> Self {
        Self(1000)
    }
}

/// One side of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Peer {
    /// An address block without some parts of it. The exceptions cut this block alone, never another one (F4).
    Cidr {
        /// The block.
        cidr: Prefix,
        /// Parts of it that are left out; each lies inside the block.
        except: Vec<Prefix>,
    },
    /// A DNS name, or a pattern with a leading `*.`.
    Fqdn(Fqdn),
    /// A network that the firewall joins, by its name: all its prefixes, and its input or output.
    Network(Name),
}

/// A DNS name of letters, digits, `-`, `_` and `.`, lower case, at most 253 characters, optionally with a leading `*.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fqdn(String);

/// Text that is not a DNS name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a DNS name such as `api.example.com` or `*.example.com`")]
pub struct FqdnError {
    /// What was written.
    pub text: String,
}

impl Fqdn {
    /// The name, lower case, without a closing dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A pattern as metal-stack's `matchPattern` has it: each `*` stands for any number of letters, digits, `-`, `_` and dots, none included. `*.example.com` means the
    /// same in both ways of writing.
    ///
    /// # Errors
    /// Where without its stars it could be no part of a DNS name.
    pub fn pattern(text: &str) -> Result<Self, FqdnError> {
        let lower = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let label_ok = |label: &str| {
            let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'*');
            !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(legal)
        };
        if !lower.contains('*') {
            return Self::try_from(text.to_owned());
        }
        if lower.len() > 253 || !lower.split('.').all(label_ok) {
            return Err(FqdnError { text: text.to_owned() });
        }
        Ok(Self(lower))
    }

    /// Whether a name, in lower case and without its closing dot, is this name or fits this pattern.
    pub fn fits(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        // each part where it comes first leaves most for those behind it
        for part in parts {
            let Some((_, behind)) = rest.split_once(part) else { return false };
            rest = behind;
        }
        rest.ends_with(last)
    }
}

impl TryFrom<String> for Fqdn {
    type Error = FqdnError;
    fn try_from(text: String) -> Result<Self, FqdnError> {
        let lower = text.strip_suffix('.').unwrap_or(&text).to_ascii_lowercase();
        let labels = lower.strip_prefix("*.").unwrap_or(&lower);
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if lower.len() > 253 || !labels.contains('.') || !labels.split('.').all(label_ok) {
            return Err(FqdnError { text });
        }
        Ok(Self(lower))
    }
}

impl std::str::FromStr for Fqdn {
    type Err = FqdnError;
    fn from_str(text: &str) -> Result<Self, FqdnError> {
        text.to_owned().try_into()
    }
}

impl From<Fqdn> for String {
    fn from(name: Fqdn) -> Self {
        name.0
    }
}

impl fmt::Display for Fqdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A protocol, with ports where it has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortMatch {
    /// The protocol.
    pub protocol: Protocol,
    /// Destination ports; `None` means all. Only TCP, UDP and SCTP have them.
    pub ports: Option<PortRange>,
}

/// What a rule can say of the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// IP protocol 6
    #[serde(rename = "TCP")]
    Tcp,
    /// IP protocol 17
    #[serde(rename = "UDP")]
    Udp,
    /// IP protocol 132
    #[serde(rename = "SCTP")]
    Sctp,
    /// IP protocol 1, IPv4 only
    #[serde(rename = "ICMP")]
    Icmp,
    /// IP protocol 58, IPv6 only
    #[serde(rename = "ICMPv6")]
    Icmpv6,
    /// Every protocol
    #[serde(rename = "any")]
    Any,
}

/// Ports from `low` to `high`, both inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u16, u16)", into = "(u16, u16)")]
pub struct PortRange {
    low: u16,
    high: u16,
}

/// Two ports that are no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{low} to {high} is not a range of ports: 1 to 65535, the low end first")]
pub struct PortRangeError {
    /// The first port.
    pub low: u16,
    /// The last port.
    pub high: u16,
}

impl PortRange {
    /// The ports from `low` to `high`; an error if `high` is below `low` or `low` is 0 (F1).
    pub fn new(low: u16, high: u16) -> Result<Self, PortRangeError> {
        if low == 0 || high < low { Err(PortRangeError { low, high }) } else { Ok(Self { low, high }) }
    }

    /// The first port.
    pub const fn low(self) -> u16 {
        self.low
    }

    /// The last port.
    pub const fn high(self) -> u16 {
        self.high
    }
}

impl TryFrom<(u16, u16)> for PortRange {
    type Error = PortRangeError;
    fn try_from((low, high): (u16, u16)) -> Result<Self, PortRangeError> {
        Self::new(low, high)
    }
}

impl From<PortRange> for (u16, u16) {
    fn from(range: PortRange) -> Self {
        (range.low, range.high)
    }
}
