//! Who owns what.

use leafwall_render::frr::{Bfd, FrrConfig, Global, Word};
use leafwall_topology::IfName;
use leafwall_topology::names::{FRR_PREFIX, OwnLink, recognise, sonic};

/// A list, route-map or profile by one of our names.
fn named(name: &Word) -> bool {
    name.as_str().starts_with(FRR_PREFIX)
}

/// A VRF by one of our names. What SONiC calls them is less of a mark than what we call them ourselves: there it has to have that VNI, too.
fn vrf(running: &FrrConfig, name: &IfName) -> bool {
    let stated = || running.vrfs.iter().find(|vrf| vrf.name == *name).and_then(|vrf| vrf.vni);
    matches!(recognise(name.as_str()), Some(OwnLink::Vrf(_))) || sonic::vrf_vni(name.as_str()).is_some_and(|vni| stated() == Some(vni))
}

/// Which of these statements take each other's place.
const fn kind(global: &Global) -> u8 {
    match global {
        Global::Version(_) => 0,
        Global::Defaults(_) => 1,
        Global::Hostname(_) => 2,
        Global::LogSyslog(_) => 3,
        Global::FpmAddress(_) => 4,
    }
}

/// Whether the device itself says it, whatever a file says.
const fn of_the_device(global: &Global) -> bool {
    matches!(global, Global::Version(_) | Global::Hostname(_))
}

/// What should run where `running` does: all of `wanted`, and of what runs only what is foreign. Ours are the lists, route-maps, profiles and VRFs that carry our
/// names, the default BGP instance, the instances of our VRFs, whatever else `wanted` names, and everything inside of them (H25). Sorted.
pub fn target(running: &FrrConfig, wanted: &FrrConfig) -> FrrConfig {
    let mut target = wanted.clone();
    target.globals.retain(|global| !of_the_device(global));
    let kept = |global: &&Global| of_the_device(global) || !wanted.globals.iter().any(|other| kind(other) == kind(global));
    let globals: Vec<Global> = running.globals.iter().filter(kept).cloned().collect();
    target.globals.extend(globals);

    let theirs = running.prefix_lists.iter().filter(|list| !named(&list.name));
    let theirs = theirs.filter(|list| !wanted.prefix_lists.iter().any(|ours| (ours.family, &ours.name) == (list.family, &list.name)));
    target.prefix_lists.extend(theirs.cloned());
    let theirs = running.attribute_lists.iter().filter(|list| !named(&list.name));
    let theirs = theirs.filter(|list| !wanted.attribute_lists.iter().any(|ours| (ours.kind, &ours.name) == (list.kind, &list.name)));
    target.attribute_lists.extend(theirs.cloned());
    let theirs = running.route_maps.iter().filter(|entry| !named(&entry.name));
    target.route_maps.extend(theirs.filter(|entry| !wanted.route_maps.iter().any(|ours| ours.name == entry.name)).cloned());

    let theirs = running.vrfs.iter().filter(|there| !vrf(running, &there.name));
    target.vrfs.extend(theirs.filter(|there| !wanted.vrfs.iter().any(|ours| ours.name == there.name)).cloned());
    let theirs = running.routers.iter().filter(|router| router.vrf.as_ref().is_some_and(|name| !vrf(running, name)));
    target.routers.extend(theirs.filter(|router| !wanted.routers.iter().any(|ours| ours.vrf == router.vrf)).cloned());

    target.bfd = bfd(&running.bfd, &wanted.bfd);
    let theirs: Vec<_> = running.foreign.iter().filter(|statement| !wanted.foreign.contains(statement)).cloned().collect();
    target.foreign.extend(theirs);
    target.sort();
    target
}

fn bfd(running: &Bfd, wanted: &Bfd) -> Bfd {
    let mut target = wanted.clone();
    let theirs = running.profiles.iter().filter(|profile| !named(&profile.name));
    target.profiles.extend(theirs.filter(|profile| !wanted.profiles.iter().any(|ours| ours.name == profile.name)).cloned());
    target.foreign.extend(running.foreign.iter().filter(|statement| !wanted.foreign.contains(statement)).cloned());
    target
}
