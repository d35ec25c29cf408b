//! Artefacts as texts → what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};

use leafwall_policy::nft::{self, Script};
use leafwall_render::frr::{Exchange, FamilyKind, FrrConfig, RouterBgp, Set};
use leafwall_render::links::{BridgePort, Isolation, Link, LinkKind, LinkState, Links};
use leafwall_render::{Artefacts, CONFIG_DB_JSON, FRR_CONF, LEAFWALL_NFT, LINKS_JSON};
use leafwall_topology::{IfName, Name, Prefix, RouteTarget, VlanId, Vni, differing};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use thiserror::Error;

use crate::fabric::own_networks;
use crate::filters::Permitted;
use crate::hazards::repeated_keys;
use crate::nft::Ruleset;
use crate::sessions;
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
    derived: OnceLock<Derived>,
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

/// What others ask of a device again and again, and what follows from the device alone.
#[derive(Debug, Clone)]
struct Derived {
    /// Its unnumbered sessions in the default VRF by port: where its neighbour stands, and that one's group.
    sessions: FxHashMap<IfName, (usize, Option<usize>)>,
    imports: Vec<Import>,
    shortens: bool,
    announces_vtep: bool,
}

/// A VRF that takes type-5 routes with a target.
#[derive(Debug, Clone)]
pub struct Import {
    /// The target.
    pub target: RouteTarget,
    /// The VRF.
    pub vrf: IfName,
    /// Its L3VNI.
    pub vni: Vni,
    /// The SVI of that.
    pub svi: IfName,
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
            derived: OnceLock::new(),
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
        let mut device = Self { derived: OnceLock::new(), ..self.clone() };
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

    fn derived(&self) -> &Derived {
        self.derived.get_or_init(|| {
            let mut sessions = FxHashMap::default();
            for (port, at) in self.router(None).into_iter().flat_map(sessions::unnumbered) {
                sessions.entry(port).or_insert(at);
            }
            let importing = self.vrfs().filter_map(|(vrf, _)| Some((vrf, self.l3vni(vrf)?)));
            let imports = importing.flat_map(|(vrf, (vni, svi))| {
                self.imports(vrf).into_iter().map(move |target| Import { target, vrf: vrf.clone(), vni, svi: svi.clone() })
            });
            let excludes = |set: &Set| matches!(set, Set::AsPathExcludeAll | Set::AsPathExclude(_));
            Derived {
                sessions,
                imports: imports.collect(),
                shortens: self.frr.route_maps.iter().any(|entry| entry.sets.iter().any(excludes)),
                announces_vtep: self.vtep.is_some_and(|vtep| self.announces(vtep)),
            }
        })
    }

    /// Whether its loopback has an address, and its default VRF announces it.
    fn announces(&self, address: Ipv4Addr) -> bool {
        self.loopbacks().any(|own| own == IpAddr::V4(address))
            && own_networks(&self.frr, &self.links, FamilyKind::Ipv4Unicast).contains(&Prefix::host(address.into()))
    }

    /// Its session with whoever is behind a port, in the default VRF.
    pub fn session(&self, port: &IfName) -> Option<(&RouterBgp, sessions::Session<'_>)> {
        let (neighbor, group) = self.derived().sessions.get(port)?;
        let router = self.router(None)?;
        Some((router, sessions::Session::at(router, *neighbor, *group)?))
    }

    /// Where that session's neighbour stands among the others.
    pub fn session_place(&self, port: &IfName) -> Option<usize> {
        self.derived().sessions.get(port).map(|(neighbor, _)| *neighbor)
    }

    /// Its VRFs that take type-5 routes, by what they take.
    pub fn importing(&self) -> &[Import] {
        &self.derived().imports
    }

    /// Whether some route-map of it makes AS paths shorter.
    pub fn shortens(&self) -> bool {
        self.derived().shortens
    }

    /// Whether the underlay hears of the address that its tunnels end at.
    pub fn announces_vtep(&self) -> bool {
        self.derived().announces_vtep
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

/// A machine of a tenant as its own artefacts have it: what an honest owner runs.
#[derive(Debug)]
pub struct Machine {
    /// Its routing, if it speaks BGP.
    pub frr: Option<FrrConfig>,
    /// Its links.
    pub links: Links,
}

impl Machine {
    /// Reads it; nothing where its links are not legible.
    fn read(artefacts: &Artefacts) -> Option<Self> {
        let links = Links::parse(artefacts.files.get(LINKS_JSON)?).ok()?;
        let frr = artefacts.files.get(FRR_CONF).and_then(|text| FrrConfig::parse(text).ok());
        Some(Self { frr, links })
    }
}

/// Machines by name.
pub type Machines = BTreeMap<Name, Arc<Machine>>;

/// What was read last. Who has the same artefacts again is the same one, with all that was found out of it.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    artefacts: BTreeMap<Name, Arc<Artefacts>>,
    /// Switches and firewall machines.
    pub devices: Devices,
    /// Tenants' machines.
    pub machines: Machines,
}

/// What of one reading is not as in the one before.
#[derive(Debug, Default)]
pub(crate) struct Differing {
    /// Devices that are others now, came or went.
    pub devices: FxHashSet<Name>,
    /// The same of machines.
    pub machines: FxHashSet<Name>,
}

impl Texts {
    /// Reads what differs, on all cores; all errors, in the order of the devices. After errors nothing is known.
    pub fn read(&mut self, now: &BTreeMap<Name, Arc<Artefacts>>, trusted: &BTreeSet<&Name>) -> Result<Differing, Vec<ReadError>> {
        let mut changed: BTreeSet<Name> = differing(&self.artefacts, now).into_iter().collect();
        // whoever is trusted is read as a device, and nobody else
        changed.extend(
            trusted.iter().filter(|name| !self.devices.contains_key(**name) && now.contains_key(**name)).map(|name| (*name).clone()),
        );
        let stays = |name: &Name, device: &Device| trusted.contains(name) && device.is_young();
        changed.extend(self.devices.iter().filter(|(name, device)| !stays(name, device)).map(|(name, _)| name.clone()));
        let mut found = Differing::default();
        let (mut devices, mut machines) = (Vec::new(), Vec::new());
        for name in changed {
            self.artefacts.remove(&name);
            if self.devices.remove(&name).is_some() {
                found.devices.insert(name.clone());
            }
            if self.machines.remove(&name).is_some() {
                found.machines.insert(name.clone());
            }
            let Some(artefacts) = now.get(&name) else { continue };
            self.artefacts.insert(name.clone(), Arc::clone(artefacts));
            let (all, differing) =
                if trusted.contains(&name) { (&mut devices, &mut found.devices) } else { (&mut machines, &mut found.machines) };
            differing.insert(name.clone());
            all.push((name, artefacts));
        }
        // one by one: one switch may cost what a hundred others do
        let read: Vec<_> = devices.par_iter().with_max_len(1).map(|(name, artefacts)| Device::read(name, artefacts)).collect();
        let mut errors = Vec::new();
        for (device, (name, _)) in read.into_iter().zip(devices) {
            match device {
                Ok(device) => drop(self.devices.insert(name, Arc::new(device))),
                Err(error) => errors.push(error),
            }
        }
        // who configures a machine is not trusted anyway: what is not legible there is nobody's
        let read: Vec<_> = machines.par_iter().map(|(_, artefacts)| Machine::read(artefacts)).collect();
        self.machines.extend(read.into_iter().zip(machines).filter_map(|(machine, (name, _))| Some((name, Arc::new(machine?)))));
        if errors.is_empty() {
            return Ok(found);
        }
        *self = Self::default();
        Err(errors)
    }
}
