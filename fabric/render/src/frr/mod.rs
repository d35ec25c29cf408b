//! frr.conf: a tree of its statements, printed by templates and read back.
//!
//! [`FrrConfig`] holds every statement that Leafwall makes, typed, and every other one as [`Foreign`] at its level, so that what `show running-config`
//! of a real device prints can be read whole. `parse(print(x)) == x`.
//!
//! The order of the file is that of FRR 10.3's own `show running-config`, with one exception: lists of AS paths and communities stand before the
//! instances that use them, so that no neighbour is ever configured with a filter that is not there yet.
//!
//! ```
//! use leafwall_render::frr::FrrConfig;
//!
//! let config = FrrConfig::parse("vrf vrf10001\n vni 10001\nexit-vrf\n").unwrap();
//! assert_eq!(config.vrfs[0].vni.unwrap().get(), 10_001);
//! let faults = FrrConfig::parse("vrf vrf1\n vni 0\nexit-vrf\n").unwrap_err();
//! assert_eq!(faults.to_string(), "2:6: 0 is not a VNI: expected 1 to 16777215");
//! ```

mod bfd;
mod bgp;
mod family;
mod global;
mod line;
mod lists;
mod print;
mod route_map;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use leafwall_topology::{IfName, Vni};

pub use bfd::{Bfd, BfdProfile};
pub use bgp::{Neighbor, NeighborStatement, Peer, RemoteAs, RouterBgp, Setting};
pub use family::{AddressFamily, EvpnVni, Exchange, FamilyKind, FamilyNeighbor, FamilyNeighborStatement, Origin, Source, VniStatement};
pub use global::{Defaults, Global};
pub use line::{Block, Fault, blocks};
pub use lists::{AttributeEntry, AttributeKind, AttributeList, PrefixEntry, PrefixList};
pub use print::PrintError;
pub use route_map::{EvpnRouteType, Match, RouteMapEntry, Set};
pub use text::{Action, Direction, Foreign, Text, TextError, Word};

/// A whole frr.conf.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrrConfig {
    /// Statements about the device itself.
    pub globals: Vec<Global>,
    /// Prefix lists of both families.
    pub prefix_lists: Vec<PrefixList>,
    /// Lists of AS paths and communities.
    pub attribute_lists: Vec<AttributeList>,
    /// Entries of route-maps.
    pub route_maps: Vec<RouteMapEntry>,
    /// VRFs and their L3VNIs.
    pub vrfs: Vec<Vrf>,
    /// BGP instances.
    pub routers: Vec<RouterBgp>,
    /// BFD.
    pub bfd: Bfd,
    /// Statements that we do not know.
    pub foreign: Vec<Foreign>,
}

/// A VRF as zebra sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vrf {
    /// Its name.
    pub name: IfName,
    /// Its L3VNI.
    pub vni: Option<Vni>,
    /// Statements that we do not know.
    pub foreign: Vec<Foreign>,
}

/// Everything that is wrong with a text, in the order of its lines; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

impl Vrf {
    fn parse(block: &Block<'_>) -> line::Parsed<Self> {
        let ["vrf", name] = block.words.as_slice() else { return Ok(None) };
        // a name that could not be one of ours
        let Ok(name) = name.parse() else { return Ok(None) };
        let mut vrf = Self { name, vni: None, foreign: Vec::new() };
        for child in &block.children {
            match child.words.as_slice() {
                ["vni", vni] if child.is_leaf() => vrf.vni = Some(child.value(vni)?),
                _ => vrf.foreign.extend(child.foreign()),
            }
        }
        Ok(Some(vrf))
    }
}

/// Where the lists being read stand in the tree, by kind and name.
#[derive(Default)]
struct Index {
    prefix: BTreeMap<(leafwall_topology::Family, Word), usize>,
    attribute: BTreeMap<(AttributeKind, Word), usize>,
}

impl FrrConfig {
    /// Reads a text: a file of ours, or what `show running-config` prints. All faults are reported.
    pub fn parse(text: &str) -> Result<Self, Faults> {
        let mut config = Self::default();
        let mut faults = Vec::new();
        let mut index = Index::default();
        for block in blocks(text) {
            match config.statement(&block, &mut index, &mut faults) {
                Ok(Some(())) => {}
                Ok(None) => config.foreign.extend(block.foreign()),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() {
            Ok(config)
        } else {
            faults.sort_by_key(|fault| (fault.line, fault.column));
            Err(Faults(faults))
        }
    }

    /// Reads one top-level statement; `None` if it is none of ours.
    fn statement(&mut self, block: &Block<'_>, index: &mut Index, faults: &mut Vec<Fault>) -> line::Parsed<()> {
        if let Some(entry) = RouteMapEntry::parse(block, faults)? {
            self.route_maps.push(entry);
        } else if let Some(router) = RouterBgp::parse(block, faults)? {
            self.routers.push(router);
        } else if let Some(vrf) = Vrf::parse(block)? {
            self.vrfs.push(vrf);
        } else if block.words.as_slice() == ["bfd"] {
            self.bfd.read(block, faults);
        } else if !block.is_leaf() {
            return Ok(None);
        } else if let Some((family, name, entry)) = PrefixList::parse(block)? {
            let lists = &mut self.prefix_lists;
            let place = *index.prefix.entry((family, name.clone())).or_insert_with(|| {
                lists.push(PrefixList { family, name, entries: Vec::new() });
                lists.len() - 1
            });
            lists[place].entries.push(entry);
        } else if let Some((kind, name, entry)) = AttributeList::parse(block)? {
            let lists = &mut self.attribute_lists;
            let place = *index.attribute.entry((kind, name.clone())).or_insert_with(|| {
                lists.push(AttributeList { kind, name, entries: Vec::new() });
                lists.len() - 1
            });
            lists[place].entries.push(entry);
        } else if let Some(global) = Global::parse(block) {
            self.globals.push(global);
        } else {
            return Ok(None);
        }
        Ok(Some(()))
    }

    /// The text, printed by the templates.
    pub fn print(&self) -> Result<String, PrintError> {
        print::print(self)
    }

    /// Puts everything into one order, so that two texts of the same meaning give the same tree, whatever order a daemon prints them in.
    pub fn sort(&mut self) {
        self.globals.sort();
        self.prefix_lists.sort_by(|a, b| (a.family, &a.name).cmp(&(b.family, &b.name)));
        self.prefix_lists.iter_mut().for_each(|list| list.entries.sort_by_key(|entry| entry.seq));
        self.attribute_lists.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        self.attribute_lists.iter_mut().for_each(|list| list.entries.sort_by_key(|entry| entry.seq));
        self.route_maps.sort_by(|a, b| (&a.name, a.seq).cmp(&(&b.name, b.seq)));
        self.route_maps.iter_mut().for_each(RouteMapEntry::sort);
        self.vrfs.sort_by(|a, b| a.name.cmp(&b.name));
        self.routers.sort_by(|a, b| a.vrf.cmp(&b.vrf));
        self.routers.iter_mut().for_each(RouterBgp::sort);
        self.bfd.profiles.sort_by(|a, b| a.name.cmp(&b.name));
        self.foreign.sort();
    }

    /// Every statement with the ones that it stands below, as sets compare them: a device lacks what is only in ours, and has too much what is only in its own.
    pub fn statements(&self) -> Result<BTreeSet<Vec<String>>, PrintError> {
        fn walk(blocks: &[Block<'_>], above: &mut Vec<String>, into: &mut BTreeSet<Vec<String>>) {
            for block in blocks {
                above.push(block.words.join(" "));
                into.insert(above.clone());
                walk(&block.children, above, into);
                above.pop();
            }
        }
        let mut statements = BTreeSet::new();
        walk(&blocks(&self.print()?), &mut Vec::new(), &mut statements);
        Ok(statements)
    }
}
