//! Topologies for others: containerlab's file, and a picture.

pub mod containerlab;
pub mod svg;
