//! Leafwall lab: fabrics and scenarios on network namespaces, in a small virtual machine, or with containerlab.
//!
//! # Flow
//!
//! A rendered fabric becomes namespaces, cables and FRR daemons ([`args::LabCommand`] names the steps); a scenario then breaks, mends and
//! attacks it, and one prober per node finds out who reaches whom. The runtime `vm` is the runtime `netns` inside a machine that we boot.
//!
//! # Guarantees
//!
//! Nothing outside the namespaces and the machine that a lab made is touched. What an interrupted run left is removed by the next of that name.

pub mod args;
mod command;
mod control;
mod error;
mod host;
mod initrd;
mod nodes;
mod prober;
mod recipe;
mod rootfs;
mod runtime;
mod scenario;
mod terminal;
mod vm;

pub use args::{LabArgs, LabCommand, Runtime};
pub use error::{LabError, Result};
pub use host::{CACHE_VARIABLE, cache_dir};
pub use nodes::outside;
pub use recipe::Recipe;
pub use rootfs::RootFs;
pub use runtime::run;
pub use scenario::expected;
pub use vm::{Accelerator, Vm, VmSize};
