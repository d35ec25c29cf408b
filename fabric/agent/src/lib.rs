//! Leafwall agent: makes a device equal to its artefacts and reads it back.
//!
//! The agent makes no choice of its own: what a device is to be was decided and proved before. It compares what the device *is* (asked of the kernel,
//! nftables, SONiC and FRR, never of a file, H18) with the artefacts in a directory, does the steps in between, and asks again. Only what it then observes counts (H16).
//!
//! - [`links`]: pure comparison of kernel links with `links.json`
//! - [`netlink`]: observes and changes the kernel
//! - [`sysctl`], [`nftables`], [`sonic`], [`frr`]: the other backends
//! - [`cluster`]: the cluster's part of the firewall's table
//! - [`health`]: pure; how the device stands in the fabric, before and after a change
//! - [`once`]: all of them in the one safe order
//! - [`report`]: what was done and what differs
//! - [`cluster`]: the part of a firewall's table that nobody signs
//! - [`daemon`]: the agent as it runs, at the end of a stream from the controller
//! - [`args`]: the command line
#![cfg_attr(test, allow(missing_docs))]

pub mod args;
pub mod cluster;
pub mod daemon;
pub mod frr;
pub mod health;
pub mod links;
pub mod netlink;
pub mod nftables;
pub mod once;
pub mod report;
pub mod sonic;
pub mod sysctl;
mod tool;
