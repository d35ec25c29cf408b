//! A tenant's own part of a fabric: which documents are its own, what it may write, and what it is told.
//!
//! # Guarantees
//! What nobody decided about is the operators': each kind, and each field of the kinds that tenants write, is named here, so that a new one does not compile
//! until somebody decides. A tenant's findings come from a view of the fabric in which nothing of other tenants is ([`view`]), so that what is taken and what
//! does not exist are the same to it, in every word.

mod findings;
mod owner;
mod split;
mod view;

pub use findings::{Judged, beyond, judge};
pub use owner::{Holding, holdings};
pub use split::{Mixed, Split, split};

/// With this label a document is the operators', whatever is in it: so a tenant can be given a firewall, or rules, that it can't change.
pub const OWNER_LABEL: &str = "leafwall.io/owner";
