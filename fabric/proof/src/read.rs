//! Artefacts as texts → what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use leafwall_policy::nft::{self, Script};
use leafwall_render::frr::{Exchange, FamilyKind, FrrConfig, RouterBgp};
use leafwall_render::links::{BridgePort, Isolation, Link, LinkKind, LinkState, Links};
use leafwall_render::{Artefacts, CONFIG_DB_JSON, FRR_CONF, LEAFWALL_NFT, LINKS_JSON};
use leafwall_topology::{IfName, Name, RouteTarget, VlanId, Vni};
use rayon::prelude::*;
use thiserror::Error;

use crate::filters::Permitted;
use crate::hazards::repeated_keys;
use crate::nft::Ruleset;
use crate::sonic::{self, Sonic};

/// An artefact that cannot be read, or is missing. A fabric with one is not proved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum ReadError {
    /// It is not there.
    #[error("`{device}` has no {file}")]
    Missing {
        /// Whose.
        device: Name,
        /// Which.
        file: &'static str,
    },
    /// It is there and says what nobody understands.
    #[error("{device}/{file}: {why}")]
    Text {
        /// Whose.
        device: Name,
        /// Which.
        file: &'static str,
        /// What is wrong.
        why: String,
    },
}

/// Routes' attributes that one device's lists are asked about before it is read anew.
const PERMITTED_MAX: usize = 100_000;

/// A switch or firewall machine, as its artefacts say. Clones share what was read.
#[derive(Debug, Clone)]
pub struct Device {
    /// Its name.
    pub name: Name,
    /// Its routing.
    pub frr: Arc<FrrConfig>,
    /// Its links.
    pub links: Links,
    /// Its nftables.
    pub nft: Arc<Ruleset>,
    /// What its lists were found to permit.
    pub permitted: Arc<Permitted>,
    /// Keys that stand twice in an object of its links' text.
    pub repeated_keys: BTreeSet<String>,
    interfaces: BTreeMap<IfName, usize>,
    /// VNI to VLAN, of VXLAN devices that are up.
    pub vnis: BTreeMap<Vni, VlanId>,
    /// SVIs by VLAN.
    pub svis: BTreeMap<VlanId, IfName>,
    /// The address that its tunnels end at.
    pub vtep: Option<Ipv4Addr>,
    /// What forwards packets.
    pub plane: Plane,
}

/// What forwards a device's packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plane {
    /// The kernel, behind nftables.
    Kernel,
    /// A switching chip, as SONiC's daemons program it.
    Chip {
        /// Ports that take in nothing untagged: in no VLAN, and not routed.
        unrouted: BTreeSet<IfName>,
    },
}

impl Device {
    /// Reads the artefacts of a device.
    pub fn read(name: &Name, artefacts: &Artefacts) -> Result<Self, ReadError> {
        let text = |file: &'static str| artefacts.files.get(file).ok_or_else(|| ReadError::Missing { device: name.clone(), file });
        let wrong = |file: &'static str| move |why: String| ReadError::Text { device: name.clone(), file, why };
        let frr = FrrConfig::parse(text(FRR_CONF)?).map_err(|faults| wrong(FRR_CONF)(faults.to_string()))?;
        if let Some(database) = artefacts.files.get(CONFIG_DB_JSON) {
            let Sonic { links, unrouted } = sonic::read(database, &frr).map_err(wrong(CONFIG_DB_JSON))?;
            return Ok(Self { plane: Plane::Chip { unrouted }, ..Self::new(name.clone(), frr, links, Script::default()) });
        }
        let links = Links::parse(text(LINKS_JSON)?).map_err(|error| wrong(LINKS_JSON)(error.to_string()))?;
        let nft = nft::parse(text(LEAFWALL_NFT)?).map_err(|error| wrong(LEAFWALL_NFT)(error.to_string()))?;
        let repeated_keys = repeated_keys(text(LINKS_JSON)?);
        Ok(Self { repeated_keys, ..Self::new(name.clone(), frr, links, nft) })
    }

    /// A device with these.
    pub fn new(name: Name, frr: FrrConfig, links: Links, nft: Script) -> Self {
        let interfaces = links.links.iter().enumerate().map(|(index, link)| (link.name.clone(), index)).collect();
        let mut device = Self {
            name,
            frr: Arc::new(frr),
            links,
            nft: Arc::new(nft.into()),
            permitted: Arc::default(),
            repeated_keys: BTreeSet::new(),
            interfaces,
            vnis: BTreeMap::new(),
            svis: BTreeMap::new(),
            vtep: None,
            plane: Plane::Kernel,
        };
        for link in &device.links.links {
            match &link.kind {
                LinkKind::Vxlan { local, vnis } => {
                    device.vtep = Some(*local);
                    device.vnis.extend(vnis.iter().map(|map| (map.vni, map.vlan)));
                }
                LinkKind::Vlan { lower, id } if device.is_bridge(lower) => {
                    device.svis.insert(*id, link.name.clone());
                }
                _ => {}
            }
        }
        device
    }

    /// The same device with a port that has no carrier.
    #[must_use]
    pub fn without(&self, port: &IfName) -> Self {
        let mut device = self.clone();
        if let Some(link) = self.interfaces.get(port).and_then(|at| device.links.links.get_mut(*at)) {
            link.state = LinkState::Down;
        }
        device
    }

    /// Whether what was found out of it is still less than what it would cost to keep: it is asked about other devices' routes too, and those come and go.
    fn is_young(&self) -> bool {
        self.permitted.texts() < PERMITTED_MAX
    }

    fn is_bridge(&self, name: &IfName) -> bool {
        self.link(name).is_some_and(|link| matches!(link.kind, LinkKind::Bridge { .. }))
    }

    /// One of its links.
    pub fn link(&self, name: &IfName) -> Option<&Link> {
        self.links.links.get(*self.interfaces.get(name)?)
    }

    /// Whether a link is up, and what it stands on too.
    pub fn is_up(&self, name: &IfName) -> bool {
        self.link(name).is_some_and(|link| {
            link.state == LinkState::Up
                && match &link.kind {
                    LinkKind::Vlan { lower, .. } => self.is_up(lower),
                    _ => true,
                }
        })
    }

    /// Whether a chip forwards, not the kernel.
    pub const fn has_chip(&self) -> bool {
        matches!(self.plane, Plane::Chip { .. })
    }

    /// Whether what comes in untagged by a port that is in no VLAN goes anywhere.
    pub fn takes_untagged(&self, port: &IfName) -> bool {
        !matches!(&self.plane, Plane::Chip { unrouted } if unrouted.contains(port))
    }

    /// Its VRFs with their tables.
    pub fn vrfs(&self) -> impl Iterator<Item = (&IfName, u32)> {
        self.links.links.iter().filter_map(|link| if let LinkKind::Vrf { table } = link.kind { Some((&link.name, table)) } else { None })
    }

    /// The VRF that a link is in; `None` is the default one.
    pub fn vrf_of(&self, name: &IfName) -> Option<&IfName> {
        let master = self.link(name)?.master.as_ref()?;
        self.link(master).filter(|link| matches!(link.kind, LinkKind::Vrf { .. })).map(|link| &link.name)
    }

    /// The access VLAN of a port, and whether it may talk to others.
    pub fn access(&self, name: &IfName) -> Option<(VlanId, Isolation)> {
        match self.link(name)?.bridge_port {
            Some(BridgePort::Access { vlan, isolation }) => Some((vlan, isolation)),
            _ => None,
        }
    }

    /// The VNI that a VLAN stands for.
    pub fn vni_of(&self, vlan: VlanId) -> Option<Vni> {
        self.vnis.iter().find(|(_, mapped)| **mapped == vlan).map(|(vni, _)| *vni)
    }

    /// The VRF in which packets of a VNI are routed, once they come out of a tunnel.
    pub fn vrf_of_vni(&self, vni: Vni) -> Option<&IfName> {
        self.vrf_of(self.svis.get(self.vnis.get(&vni)?)?)
    }

    /// The L3VNI of a VRF that zebra and the kernel agree on, with its SVI.
    pub fn l3vni(&self, vrf: &IfName) -> Option<(Vni, &IfName)> {
        let vni = self.frr.vrfs.iter().find(|stated| stated.name == *vrf)?.vni?;
        let svi = self.svis.get(self.vnis.get(&vni)?)?;
        (self.vrf_of(svi) == Some(vrf) && self.is_up(svi)).then_some((vni, svi))
    }

    /// The BGP instance of a VRF.
    pub fn router(&self, vrf: Option<&IfName>) -> Option<&RouterBgp> {
        self.frr.routers.iter().find(|router| router.vrf.as_ref() == vrf)
    }

    /// What its loopback interface has.
    pub fn loopbacks(&self) -> impl Iterator<Item = IpAddr> {
        let links = self.links.links.iter().filter(|link| matches!(link.kind, LinkKind::Loopback {}));
        links.flat_map(|link| link.addresses.iter().map(|address| address.address()))
    }

    /// Route targets that a VRF takes routes with.
    pub fn imports(&self, vrf: &IfName) -> BTreeSet<RouteTarget> {
        self.targets(vrf, |exchange| if let Exchange::ImportTarget(target) = exchange { Some(*target) } else { None })
    }

    /// Route targets that a VRF's routes are marked with.
    pub fn exports(&self, vrf: &IfName) -> BTreeSet<RouteTarget> {
        self.targets(vrf, |exchange| if let Exchange::ExportTarget(target) = exchange { Some(*target) } else { None })
    }

    fn targets(&self, vrf: &IfName, pick: impl Fn(&Exchange) -> Option<RouteTarget>) -> BTreeSet<RouteTarget> {
        let router = self.router(Some(vrf)).into_iter();
        let families = router.flat_map(|router| router.families.iter().filter(|family| family.kind == FamilyKind::L2vpnEvpn));
        families.flat_map(|family| family.exchanges.iter().filter_map(&pick)).collect()
    }
}

/// Devices by name.
pub type Devices = BTreeMap<Name, Arc<Device>>;

/// What was read before. A device that has the same artefacts again is the same one, with all that was found out of it.
#[derive(Debug, Default)]
pub struct Known {
    devices: BTreeMap<Name, (Artefacts, Arc<Device>)>,
}

/// Reads many devices on all cores; all errors, in the order of the devices. Only these are known from now on.
pub fn read<'a>(devices: impl IntoIterator<Item = (&'a Name, &'a Artefacts)>, known: &mut Known) -> Result<Devices, Vec<ReadError>> {
    let devices: Vec<_> = devices.into_iter().collect();
    let before = std::mem::take(&mut known.devices);
    let results: Vec<_> = devices
        .into_par_iter()
        .map(|(name, artefacts)| match before.get(name) {
            Some((same, device)) if same == artefacts && device.is_young() => Ok((artefacts, Arc::clone(device))),
            _ => Device::read(name, artefacts).map(|device| (artefacts, Arc::new(device))),
        })
        .collect();
    let (mut read, mut errors) = (BTreeMap::new(), Vec::new());
    for result in results {
        match result {
            Ok((artefacts, device)) => {
                known.devices.insert(device.name.clone(), (artefacts.clone(), Arc::clone(&device)));
                read.insert(device.name.clone(), device);
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(read) } else { Err(errors) }
}
