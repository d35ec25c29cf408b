//! Whether this kernel and this process can run nodes as namespaces: tried, not guessed from a version.

use leafwall_topology::Name;

use super::frr::Frr;
use super::namespace::Namespace;
use crate::error::{LabError, Result};
use crate::host;

/// What is tried, by what it is called in the message.
const TRIALS: [(&str, &str); 5] = [
    ("VRF", "link add trial0 type vrf table 1000"),
    ("one VXLAN device with a filter of VNIs", "link add trial1 type vxlan dstport 4789 local 127.0.0.1 nolearning external vnifilter"),
    ("bridge VLAN filtering", "link add trial2 type bridge vlan_filtering 1"),
    ("bonding", "link add trial3 type bond mode active-backup"),
    ("VLAN devices", "link add link trial2 name trial4 type vlan id 5"),
];

/// Refuses with everything that is missing.
pub(crate) fn check(lab: &Name) -> Result<()> {
    let mut lacks = Vec::new();
    if !host::is_root() {
        return Err(LabError::Kernel { lacks: "not root".to_owned() });
    }
    if !Frr::is_installed() {
        lacks.push("FRR");
    }
    let namespace = Namespace::of_trial(lab);
    if Namespace::all(lab)?.contains(&namespace) {
        namespace.delete()?;
    }
    namespace.create()?;
    for (what, trial) in TRIALS {
        if namespace.ip(&format!("{trial}\n")).is_err() {
            lacks.push(what);
        }
    }
    namespace.delete()?;
    if lacks.is_empty() { Ok(()) } else { Err(LabError::Kernel { lacks: format!("no {}", lacks.join(", no ")) }) }
}
