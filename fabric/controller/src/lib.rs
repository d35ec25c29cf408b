//! Leafwall controller: what is to be, what was, and the way from one to the other.
//!
//! - [`store`]: chunks, revisions, the head, decisions, acknowledgements and the audit log, in memory or in a file; every write carries its leader's epoch
//! - [`history`]: the chain of revisions, verified; differences, reverting and restoring
//! - [`audit`]: who did what, when and why; what was changed in it afterwards is found
//! - [`pipeline`]: from intents to what every device is to be, proved
//! - [`server`]: the API, and the one task behind it that decides and writes
//! - [`certificates`]: who somebody is: the fabric's own authority, and what a certificate says
//! - [`keys`]: the key that signs all of it
#![cfg_attr(test, allow(missing_docs))]

pub mod audit;
pub mod certificates;
pub mod history;
pub mod keys;
pub mod pipeline;
pub mod server;
pub mod store;
pub mod tenants;
