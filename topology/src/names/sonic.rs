//! The names of what is ours in SONiC's databases, generated and recognised.
//!
//! SONiC makes the kernel's links itself and insists on shapes: VRFs begin with `Vrf`, VLANs with `Vlan`, loopbacks with `Loopback`. So a name alone tells even less
//! than elsewhere: a VRF is ours only if it is called `Vrf` and the VNI that it has, a VLAN only if it carries [`VLAN_MARK`], a loopback only if it is the first one
//! or in a VRF of ours. Who owns a row is decided where CONFIG_DB is read (`config_db` of leafwall-render), from these.

use super::{canonical, own};
use crate::ids::{VlanId, Vni};
use crate::interface::IfName;

/// The one tunnel (VTEP) and its NVO. vxlanmgrd makes links `leafwall-1001` of it: 13 characters with any VLAN.
pub const TUNNEL: &str = "leafwall";
/// The `description` of every VLAN that we made.
pub const VLAN_MARK: &str = "leafwall";
/// The loopback of the underlay: router id and VTEP.
pub const UNDERLAY_LOOPBACK: &str = "Loopback0";
/// The one management port.
pub const MANAGEMENT_PORT: &str = "eth0";
/// How the names of front-panel ports start.
const PORT_PREFIX: &str = "Ethernet";

/// The VRF of the network with this L3VNI: `Vrf10001`.
pub fn vrf(vni: Vni) -> IfName {
    own(&format!("Vrf{vni}"))
}

/// A VLAN and its SVI: `Vlan1001`.
pub fn vlan(vlan: VlanId) -> IfName {
    own(&format!("Vlan{vlan}"))
}

/// The loopback that gives the VRF whose L3VNI has this VLAN its source addresses: `Loopback1001`. No VLAN is 0, so it is never the underlay's.
pub fn loopback(vlan: VlanId) -> IfName {
    own(&format!("Loopback{vlan}"))
}

/// The entry of a VNI in the tunnel's map: `map_10001_Vlan1001`.
pub fn map(vni: Vni, id: VlanId) -> String {
    format!("map_{vni}_{}", vlan(id))
}

/// A front-panel port by its number: `Ethernet48`.
pub fn port(number: u16) -> IfName {
    own(&format!("{PORT_PREFIX}{number}"))
}

/// The VNI that a VRF is named after, if it has that shape.
pub fn vrf_vni(name: &str) -> Option<Vni> {
    canonical(name.strip_prefix("Vrf")?)
}

/// The VLAN that a name stands for.
pub fn vlan_id(name: &str) -> Option<VlanId> {
    canonical(name.strip_prefix("Vlan")?)
}

/// The VLAN that a loopback is named after, if it has that shape.
pub fn loopback_vlan(name: &str) -> Option<VlanId> {
    canonical(name.strip_prefix("Loopback")?)
}

/// The number of a front-panel port.
pub fn port_number(name: &str) -> Option<u16> {
    canonical(name.strip_prefix(PORT_PREFIX)?)
}

/// The port and tag of a subinterface: `Ethernet48.200`.
pub fn subinterface(name: &str) -> Option<(u16, VlanId)> {
    let (port, tag) = name.split_once('.')?;
    Some((port_number(port)?, canonical(tag)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_generated_is_recognised_and_fits() {
        let vni: Vni = "16777215".parse().unwrap();
        let id: VlanId = "4094".parse().unwrap();
        assert_eq!(vrf_vni(vrf(vni).as_str()), Some(vni));
        assert_eq!(vlan_id(vlan(id).as_str()), Some(id));
        assert_eq!(loopback_vlan(loopback(id).as_str()), Some(id));
        assert_eq!(port_number(port(1000).as_str()), Some(1000));
        assert_eq!(subinterface("Ethernet48.200"), Some((48, "200".parse().unwrap())));
        assert_eq!(map(vni, id), "map_16777215_Vlan4094");
        assert!(format!("{TUNNEL}-{id}").len() <= crate::interface::IF_NAME_MAX, "the link that vxlanmgrd makes");
    }

    #[test]
    fn h25_only_what_is_ours() {
        for foreign in
            ["Vrf", "Vrf_blue", "Vrf010", "vrf10", "Vlan", "Vlan4095", "Vlan07", "Loopback0", "Ethernet", "Ethernet07", "Ethernet1.0"]
        {
            assert_eq!((vrf_vni(foreign), vlan_id(foreign), loopback_vlan(foreign)), (None, None, None), "{foreign}");
            assert_eq!((port_number(foreign), subinterface(foreign)), (None, None), "{foreign}");
        }
    }
}
