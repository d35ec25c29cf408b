//! A change for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use leafwall_render::frr::{FrrConfig, Global};

/// How many names of a kind are spelled out; more are counted.
const NAMED: usize = 5;

/// What changes, by object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// What comes, by kind.
    pub added: BTreeMap<&'static str, BTreeSet<String>>,
    /// What stays under its name and says something else.
    pub changed: BTreeMap<&'static str, BTreeSet<String>>,
    /// What goes.
    pub removed: BTreeMap<&'static str, BTreeSet<String>>,
}

/// Objects by kind and name, with what they say.
type Objects = BTreeMap<(&'static str, String), String>;

fn objects(config: &FrrConfig) -> Objects {
    let mut objects = Objects::new();
    for global in &config.globals {
        if !matches!(global, Global::Version(_) | Global::Hostname(_)) {
            objects.insert(("setting", global.to_string().split(' ').take(2).collect::<Vec<_>>().join(" ")), global.to_string());
        }
    }
    for list in &config.prefix_lists {
        objects.insert(("list", list.head()), format!("{:?}", list.entries));
    }
    for list in &config.attribute_lists {
        objects.insert(("list", list.head()), format!("{:?}", list.entries));
    }
    for entry in &config.route_maps {
        let says = objects.entry(("route-map", entry.name.to_string())).or_default();
        // writing to a String does not fail
        let _ = write!(says, "{entry:?}");
    }
    for vrf in &config.vrfs {
        objects.insert(("VRF", vrf.name.to_string()), format!("{vrf:?}"));
    }
    for profile in &config.bfd.profiles {
        objects.insert(("BFD profile", profile.name.to_string()), format!("{profile:?}"));
    }
    for router in &config.routers {
        let place = router.vrf.as_ref().map_or_else(|| "the default VRF".to_owned(), ToString::to_string);
        for neighbor in &router.neighbors {
            let families =
                router.families.iter().map(|family| (family.kind, family.neighbors.iter().find(|other| other.peer == neighbor.peer)));
            let says = format!("{neighbor:?} {:?}", families.collect::<Vec<_>>());
            objects.insert(("neighbour", format!("{} in {place}", neighbor.peer)), says);
        }
        let families: Vec<_> = router.families.iter().map(|family| (family.kind, &family.origins, &family.exchanges)).collect();
        objects.insert(("instance", format!("{} of {place}", router.asn)), format!("{:?} {families:?}", router.settings));
    }
    for statement in &config.foreign {
        objects.insert(("foreign statement", statement.text.to_string()), format!("{statement:?}"));
    }
    objects
}

impl Summary {
    /// Compares two whole configurations.
    pub fn between(old: &FrrConfig, new: &FrrConfig) -> Self {
        let mut summary = Self::default();
        if old == new {
            return summary;
        }
        let (before, after) = (objects(old), objects(new));
        for ((kind, name), says) in &after {
            let group = match before.get(&(*kind, name.clone())) {
                None => &mut summary.added,
                Some(said) if said != says => &mut summary.changed,
                Some(_) => continue,
            };
            group.entry(kind).or_default().insert(name.clone());
        }
        for (kind, name) in before.keys().filter(|key| !after.contains_key(*key)) {
            summary.removed.entry(kind).or_default().insert(name.clone());
        }
        summary
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

impl fmt::Display for Summary {
    /// One line per kind: `+` comes, `~` changes, `-` goes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (sign, group) in [('+', &self.added), ('~', &self.changed), ('-', &self.removed)] {
            for (kind, names) in group {
                let shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
                write!(f, "{sign} {kind}: {}", shown.join(", "))?;
                match names.len().saturating_sub(NAMED) {
                    0 => writeln!(f)?,
                    more => writeln!(f, " and {more} more")?,
                }
            }
        }
        Ok(())
    }
}
