//! The one place that generates *and* recognises the names of what is ours on a device.
//!
//! Confusing "has such a name" with "is ours" destroys somebody's network (H25): a foreign VRF may well be called `vrf7`. A link is ours only if its
//! name has our shape *and* it carries [`LINK_ALIAS`]; an FRR list or route-map only if its name starts with [`FRR_PREFIX`]; an nftables table only if it is
//! called [`NFT_TABLE`]. What is ours in SONiC's databases has names of its own ([`sonic`]).

pub mod sonic;

use crate::ids::{VlanId, Vni};
use crate::interface::IfName;
use crate::platform::Platform;

/// The `ifalias` of every link that we made.
pub const LINK_ALIAS: &str = "leafwall";
/// How the names of our prefix lists, AS-path lists, community lists and route-maps in FRR start.
pub const FRR_PREFIX: &str = "lw-";
/// The name of our nftables tables (families `inet` and `netdev`).
pub const NFT_TABLE: &str = "leafwall";
/// The one bridge. Not `br`: `ip` takes that for an abbreviation.
pub const BRIDGE: &str = "bridge0";
/// The one VXLAN device.
pub const VXLAN: &str = "vxlan0";
/// The bond of a bridged server that has two ports.
pub const BOND: &str = "bond0";

/// What a link of ours is for, as its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnLink {
    /// [`BRIDGE`]
    Bridge,
    /// [`VXLAN`]
    Vxlan,
    /// [`BOND`]
    Bond,
    /// The VRF of a network.
    Vrf(Vni),
    /// The SVI of a VLAN.
    Svi(VlanId),
    /// A tagged subinterface of a port that is not ours: `swp1.100`.
    Subinterface(VlanId),
}

/// Our names are short and of legal characters by construction; should one not be, the bridge's name stands in, which every reader refuses as a duplicate.
fn own(text: &str) -> IfName {
    text.parse().unwrap_or_else(|_| unreachable_name())
}

#[allow(clippy::expect_used)] // a constant that a test covers
fn unreachable_name() -> IfName {
    BRIDGE.parse().expect("a legal interface name")
}

/// The bridge's name as a type.
pub fn bridge() -> IfName {
    own(BRIDGE)
}

/// The VXLAN device's name as a type.
pub fn vxlan() -> IfName {
    own(VXLAN)
}

/// The bond's name as a type.
pub fn bond() -> IfName {
    own(BOND)
}

/// The VRF of the network with this L3VNI: `vrf10001`.
pub fn vrf(vni: Vni) -> IfName {
    own(&format!("vrf{vni}"))
}

/// The VRF of the network with this L3VNI on a device of this platform.
pub fn vrf_on(platform: Platform, vni: Vni) -> IfName {
    match platform {
        Platform::Frr => vrf(vni),
        Platform::Sonic => sonic::vrf(vni),
    }
}

/// The SVI of a VLAN: `vlan1001`.
pub fn svi(vlan: VlanId) -> IfName {
    own(&format!("vlan{vlan}"))
}

/// The tagged subinterface of a port: `swp1.100`; `None` if that is longer than the kernel takes.
pub fn subinterface(port: &IfName, vlan: VlanId) -> Option<IfName> {
    format!("{port}.{vlan}").parse().ok()
}

/// A number as we print it: `vrf010` would parse as 10, and is not ours.
fn canonical<T: std::str::FromStr>(digits: &str) -> Option<T> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}

/// What the name says the link is for, if it has the shape of one of ours. The alias decides whether it *is* ours.
pub fn recognise(name: &str) -> Option<OwnLink> {
    match name {
        BRIDGE => Some(OwnLink::Bridge),
        VXLAN => Some(OwnLink::Vxlan),
        BOND => Some(OwnLink::Bond),
        _ => {
            if let Some(digits) = name.strip_prefix("vrf") {
                canonical(digits).map(OwnLink::Vrf)
            } else if let Some(digits) = name.strip_prefix("vlan") {
                canonical(digits).map(OwnLink::Svi)
            } else {
                let (port, digits) = name.rsplit_once('.')?;
                port.parse::<IfName>().ok()?;
                canonical(digits).map(OwnLink::Subinterface)
            }
        }
    }
}

/// Whether a link is ours: its name has our shape and it carries our alias.
pub fn is_ours(name: &str, alias: Option<&str>) -> bool {
    alias == Some(LINK_ALIAS) && recognise(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_generated_is_recognised() {
        let vni: Vni = "16777215".parse().unwrap();
        let vlan: VlanId = "4094".parse().unwrap();
        assert_eq!(recognise(vrf(vni).as_str()), Some(OwnLink::Vrf(vni)));
        assert_eq!(recognise(svi(vlan).as_str()), Some(OwnLink::Svi(vlan)));
        assert_eq!(recognise(bridge().as_str()), Some(OwnLink::Bridge));
        assert_eq!(recognise(vxlan().as_str()), Some(OwnLink::Vxlan));
        assert_eq!(recognise(bond().as_str()), Some(OwnLink::Bond));
        let port: IfName = "swp1".parse().unwrap();
        assert_eq!(subinterface(&port, vlan).map(|name| recognise(name.as_str())), Some(Some(OwnLink::Subinterface(vlan))));
        let long: IfName = "Ethernet1000".parse().unwrap();
        assert_eq!(subinterface(&long, vlan), None);
    }

    #[test]
    fn h25_only_what_is_ours() {
        for foreign in ["vrf-blue", "mgmt", "vlan", "vlan5000", "vrf0", "vrf010", "docker0", "swp1.0", "swp1.4095", ".100"] {
            assert_eq!(recognise(foreign), None, "{foreign}");
        }
        assert!(!is_ours("vrf7", None));
        assert!(!is_ours("vrf7", Some("someone else's")));
        assert!(is_ours("vrf7", Some(LINK_ALIAS)));
    }
}
