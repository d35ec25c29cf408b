//! The allocation table: every number and address that no intent fixes, as data.
//!
//! # Flow
//! [`allocate`] takes a [`Model`](leafwall_intent::Model) and the table before it, and gives the table after it. An empty table is a table too: the
//! same Model then always gets the same numbers, in the order of names.
//!
//! # Guarantees
//! - What is in the table stays as long as its object does: adding or removing one object never renumbers another.
//! - A number that an intent fixes wins over the table for that object; if another object holds it in the table, that is a [`Problem`].
//! - A released value rests for [`REST`] revisions before it is given to another object (H30).
//! - All problems are reported, not the first one alone, and then nothing changes.
//!
//! # Assumptions
//! The Model is checked: names are unique, prefixes that must be disjoint are.

mod addresses;
mod allocate;
mod diagnose;
mod file;
mod numbers;
mod printed;
mod problem;
mod table;
mod vnis;

pub use addresses::{AddressHolder, AddressPool};
pub use allocate::allocate;
pub(crate) use allocate::{Scope, allocate_in};
pub use diagnose::{diagnose, read_table};
pub use file::{Addresses, Asns, Provisioning, Resting, SegmentEntry, TableFile};
pub use numbers::{Numbers, Pool, REST, Revision};
pub use printed::Printed;
pub use problem::{Problem, ProblemKind, Problems, TablePath};
pub use table::{AsnHolder, Table};
pub use vnis::{Segment, VniHolder, VniPool};
