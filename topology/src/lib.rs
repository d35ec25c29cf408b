//! The ground that Leafwall stands on: names, numbers and addresses as types that cannot hold an illegal value, and the cabling as a graph.
//!
//! Everything here is pure. Values are parsed once, at the edge, and carry their guarantee from there on.
#![cfg_attr(test, allow(missing_docs))]

mod address;
mod error;
pub mod export;
mod graph;
pub mod hardware;
mod ids;
mod interface;
mod mac;
mod maps;
mod name;
pub mod names;
mod platform;
mod prefix;
mod range;
mod release;
pub mod yaml;

pub use address::{HostAddress, VRF_SOURCE_V6, embed_loopback};
pub use error::chain;
pub use graph::{Cable, Graph, PortRef};
pub use ids::{Asn, FABRIC_NUMBER, IdError, Mtu, RouteDistinguisher, RouteTarget, VlanId, Vni};
pub use interface::{IF_NAME_MAX, IfName, IfNameError};
pub use mac::{MacAddr, MacError};
pub use maps::differing;
pub use name::{NAME_MAX, Name, NameError};
pub use platform::{Budgets, Platform, PlatformProfile, Role};
pub use prefix::{Family, Prefix, PrefixError};
pub use range::{Range, RangeError};
pub use release::{Release, ReleaseError};
