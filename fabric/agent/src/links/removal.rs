//! What goes when a link goes, and which of ours are to go.

use std::collections::BTreeSet;

use leafwall_render::links::Links;

use super::diff::LinkDiff;
use super::kernel::{Kernel, KernelKind, ROUTE_PROTOCOL, RouteKey};
use super::step::LinkStep;

/// Takes a link out of the picture, and what the kernel deletes with it: VLAN devices above it, and its ports' membership.
pub(super) fn delete(kernel: &mut Kernel, name: &str) {
    kernel.links.remove(name);
    let above: Vec<String> = kernel
        .links
        .iter()
        .filter(|(_, link)| matches!(&link.kind, KernelKind::Vlan { lower: Some(lower), .. } if lower == name))
        .map(|(above, _)| above.clone())
        .collect();
    for above in above {
        delete(kernel, &above);
    }
    for link in kernel.links.values_mut().filter(|link| link.master.as_deref() == Some(name)) {
        link.master = None;
        link.port = None;
        link.vlans.clear();
        link.tunnels.clear();
    }
}

/// Steps that remove what is ours and no longer wanted: routes, then links, the last made first (H19).
pub(super) fn stale(kernel: &Kernel, desired: &Links, out: &mut LinkDiff) {
    let routes: BTreeSet<RouteKey> = desired.routes.iter().map(RouteKey::of).collect();
    let stale = kernel.routes.iter().filter(|(key, route)| route.protocol == ROUTE_PROTOCOL && !routes.contains(key));
    out.remove.extend(stale.map(|(key, _)| LinkStep::RemoveRoute(*key)));

    let wanted: BTreeSet<&str> = desired.links.iter().map(|link| link.name.as_str()).collect();
    let mut links: Vec<_> = kernel.links.iter().filter(|(name, link)| link.is_ours(name) && !wanted.contains(name.as_str())).collect();
    links.sort_by_key(|(name, link)| (rank(&link.kind), (*name).clone()));
    out.remove.extend(links.into_iter().map(|(name, _)| LinkStep::Delete { name: name.clone() }));
}

/// What stands on others goes before them.
const fn rank(kind: &KernelKind) -> u8 {
    match kind {
        KernelKind::Vlan { .. } => 0,
        KernelKind::Vxlan { .. } => 1,
        KernelKind::Bridge { .. } => 2,
        KernelKind::Bond { .. } => 3,
        KernelKind::Vrf { .. } | KernelKind::Loopback | KernelKind::Other(_) => 4,
    }
}
