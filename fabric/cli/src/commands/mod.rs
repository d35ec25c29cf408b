//! One file per command.

pub mod agent;
pub mod apply;
pub mod audit;
pub mod back;
pub mod check;
pub mod controller;
pub mod diff;
pub mod drift;
pub mod enroll;
pub mod explain;
pub mod export;
pub mod firewall;
pub mod history;
pub mod kube;
pub mod lab;
mod names;
pub mod plan;
pub mod render;
pub mod resolve;
pub mod show;
pub mod status;
pub mod trace;
pub mod verify;
pub mod watch;
