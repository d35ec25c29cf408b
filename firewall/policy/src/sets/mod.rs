//! Exact sets of packets, and the diagrams that they rest on.
//!
//! A set is a decision diagram whose nodes branch on *intervals* of one header field: at most six levels deep whatever the family, canonical (equal sets are
//! equal diagrams), shared by reference. Rules of firewalls and routers are intervals, so a rule is one path; an address of 128 bits costs no more than one of 32.

mod diagram;
mod packets;
#[cfg(test)]
mod tests;

pub use diagram::{Diagram, Part};
pub use packets::{Field, Header, PacketSet};
