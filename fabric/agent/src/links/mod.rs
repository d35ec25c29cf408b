//! Kernel links: what is there, what should be, and the steps between. Pure.

mod diff;
mod found;
mod kernel;
mod removal;
mod step;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use diff::{Conflict, LinkDiff, diff};
pub use kernel::{
    AddressOwner, Kernel, KernelKind, KernelLink, KernelLinkLocal, KernelRoute, KernelRouteTarget, NEWBORN_GROUP, PortFlags,
    ROUTE_PROTOCOL, RouteKey, Tagging,
};
pub(crate) use kernel::{VXLAN_PORT, is_link_local};
pub use step::{LinkStep, VlanScope};
