//! Known ways to fail that can be read off artefacts: each is a check with a code, and a finding has its place in a file, the cause and a hint.
//!
//! The proof says whether packets get where they may not; these checks say why, where somebody made the mistake before, and find those that show in no packet: a name
//! that cannot be loaded again, an order that a daemon gets wrong, a log without a limit. What happens in time only (order of an apply, restarts) is not among them.

mod frr;
mod links;
mod nft;

use std::fmt;

use leafwall_render::{Artefacts, FRR_CONF, LEAFWALL_NFT, LINKS_JSON};
use leafwall_topology::Name;
use serde::{Deserialize, Serialize};

pub(crate) use links::repeated_keys;

use crate::ground::Ground;
use crate::read::Device;

/// A known way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Its code in what is printed.
    pub code: &'static str,
    /// Its number in the list of known ways to fail.
    pub row: &'static str,
    /// What goes wrong.
    pub cause: &'static str,
    /// What to do.
    pub hint: &'static str,
}

macro_rules! rows {
    ($($name:ident $code:literal $row:literal $cause:literal => $hint:literal;)*) => {
        $(pub(crate) const $name: Row = Row { code: $code, row: $row, cause: $cause, hint: $hint };)*
        /// All rows that are looked for.
        pub const ROWS: &[Row] = &[$($name),*];
    };
}

rows! {
    SVI_ORDER "LW-H01" "H1" "an L3VNI's SVI is made before another SVI of its VRF, and zebra may take that one for it" => "make SVIs of L3VNIs last";
    SVI_MAC "LW-H02" "H2" "SVIs of L3VNIs on one tunnel end have different MAC addresses, and traffic to some of them is lost" => "one router MAC per device";
    NO_EVPN "LW-H04" "H4" "a VXLAN device without a BGP instance that speaks EVPN: bgpd may crash when the device appears" => "`router bgp` with `address-family l2vpn evpn` and `advertise-all-vni`";
    LOST_VNI "LW-H14" "H14" "this version of FRR loses the VNIs of VRFs" => "another version than 10.0.1";
    JSON_KEY "LW-H15" "H15" "a key stands twice in one object: which of the two counts is up to the reader" => "write the object from typed values";
    SHARED_FILTER "LW-H20" "H20" "an inbound filter is missing on a port's session, or one serves several ports: the last port's would win, and an empty one opens the VRF" => "a prefix list per port and family, that denies where it is empty";
    FAMILY "LW-H22" "H22" "a filter of one address family stands at the other one" => "IPv4 and IPv6 have lists of their own";
    SMUGGLED_TARGET "LW-H35" "H35" "what a firewall machine may announce is matched by a list that lets other route targets stand beside" => "an expanded list over the whole text, from `^` to `$`";
    VNI_INBOUND "LW-H36" "H36" "`match evpn vni` does not filter type-5 routes on the way in" => "match route distinguisher, route type and route target";
    VALLEY "LW-H37" "H37" "a leaf or exit tells spines routes that are not its own: filters at other ports are walked around" => "only AS paths that are empty or begin behind an own port";
    NO_GUARD "LW-H38" "H38" "a firewall machine's port has no guard against tunnels into foreign VNIs" => "an ingress chain of that port with the policy drop";
    L3MDEV "LW-H40" "H40" "tenants reach sockets of the switch itself" => "`tcp_l3mdev_accept` and `udp_l3mdev_accept` 0, the table of local addresses after the VRFs, and an input chain";
    MAC_FLOOD "LW-H41" "H41" "a bridged port may learn any number of MAC addresses, and each becomes a route everywhere" => "a set of a size at the port, and a maximum at the bridge";
    FORWARD_OPEN "LW-F09" "F9" "the forward chain accepts what no rule decides" => "policy drop";
    SNAT_PROTOCOL "LW-F10" "F10" "a translation holds for some protocols only" => "translate by source alone";
    LOG_LIMIT "LW-F11" "F11" "a rule logs before, or without, a limit" => "the limit first, then the log";
    FOREIGN_RANGE "LW-F15" "F15" "tunnels are accepted from another range than the underlay's loopbacks" => "the loopbacks' prefix of the intents";
    PATH_MTU "LW-F17" "F17" "ICMP errors about packets that are too big are dropped" => "accept ICMP errors and ICMPv6 packet-too-big before all else is dropped";
    KEYWORD "LW-F19" "F19" "a chain or set is named by a word of nftables: what `nft list` prints does not load again" => "a name with a dot, as all of ours have";
    FORWARD_FIRST "LW-F22" "F22" "a firewall machine forwards before its ruleset is loaded" => "`\"forwarding\": \"after-ruleset\"`";
    ANY_SOURCE "LW-F23" "F23" "what comes in from a network is let on without a look at its source" => "a source check per VRF, first of all in the forward chain";
}

/// A known way to fail, found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hazard {
    /// The code of the check.
    pub code: String,
    /// The row of the list of known ways to fail.
    pub row: String,
    /// The device.
    pub device: Name,
    /// The file.
    pub file: String,
    /// The line there, from 1; none, where something is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What stands there, or is missing.
    pub what: String,
    /// What comes of it.
    pub cause: String,
    /// What to do.
    pub hint: String,
}

impl fmt::Display for Hazard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) {}/{}", self.code, self.row, self.device, self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}\n  cause: {}\n  hint: {}", self.what, self.cause, self.hint)
    }
}

/// All checks of a device.
pub fn check(device: &Device, ground: &Ground<'_>, artefacts: &Artefacts) -> Vec<Hazard> {
    let mut found = Found { device: &device.name, artefacts, hazards: Vec::new() };
    let place = Place { device, ground };
    frr::check(&place, &mut found);
    if device.has_chip() {
        return found.hazards;
    }
    links::check(&place, &mut found);
    nft::check(&place, &mut found);
    found.hazards
}

/// What is looked at.
struct Place<'a> {
    device: &'a Device,
    ground: &'a Ground<'a>,
}

impl Place<'_> {
    fn is_switch(&self) -> bool {
        self.ground.model.switches.contains_key(&self.device.name)
    }

    fn is_firewall(&self) -> bool {
        self.ground.firewall(&self.device.name).is_some()
    }
}

/// What was found so far.
struct Found<'a> {
    device: &'a Name,
    artefacts: &'a Artefacts,
    hazards: Vec<Hazard>,
}

impl Found<'_> {
    /// Told at the first line of a file that holds a text; at the file, where none does.
    fn tell(&mut self, row: Row, file: &'static str, text: &str, what: impl Into<String>) {
        let lines = self.artefacts.files.get(file).map(|all| all.lines().position(|line| line.contains(text)));
        let line = lines.flatten().filter(|_| !text.is_empty()).map(|at| at + 1);
        self.hazards.push(Hazard {
            code: row.code.to_owned(),
            row: row.row.to_owned(),
            device: self.device.clone(),
            file: file.to_owned(),
            line,
            what: what.into(),
            cause: row.cause.to_owned(),
            hint: row.hint.to_owned(),
        });
    }

    fn text(&self, file: &str) -> &str {
        self.artefacts.files.get(file).map_or("", String::as_str)
    }

    fn frr(&mut self, row: Row, text: &str, what: impl Into<String>) {
        self.tell(row, FRR_CONF, text, what);
    }

    fn links(&mut self, row: Row, text: &str, what: impl Into<String>) {
        self.tell(row, LINKS_JSON, text, what);
    }

    fn nft(&mut self, row: Row, text: &str, what: impl Into<String>) {
        self.tell(row, LEAFWALL_NFT, text, what);
    }
}
