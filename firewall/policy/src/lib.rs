//! Leafwall firewall rules: the ordered model, nftables text, packet semantics.
//!
//! Everything here is pure. [`rule`] holds what users wrote, checked; [`zone`] what the plan knows of the machine that the rules run on. [`semantics`] says
//! what they mean for a packet; [`ruleset`] makes them an nftables ruleset, [`cluster`] the part of it that a cluster fills, and [`guards`] makes those of the switches; [`nft`] is the text's tree, and [`sets`] are exact sets of packets. [`flows`] says which known flows a change of rules takes
//! away.
#![cfg_attr(test, allow(missing_docs))]

pub mod cluster;
pub mod flows;
pub mod guards;
mod interval;
pub mod nft;
pub mod order;
pub mod protocols;
pub mod rule;
pub mod ruleset;
pub mod semantics;
pub mod sets;
pub mod zone;
