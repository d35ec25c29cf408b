//! One transaction over the whole fabric: what controller and agents say to each other, and what each of them does next.
//!
//! Pure: a machine is told what happened and what time it is, and answers what to do. Whoever runs it does that, in that order, and tells it what came of it.
//! So thousands of random schedules of faults can be tried in a second, and the same code runs on switches.
//!
//! - [`revision`]: what is rolled out, signed, and chained to what was before
//! - [`message`]: orders to agents, and what they answer
//! - [`device`]: what an agent does with orders, faults and time
//! - [`fabric`]: how a controller takes a revision to all devices, or to none
#![cfg_attr(test, allow(missing_docs))]

pub mod device;
pub mod digest;
pub mod fabric;
pub mod message;
pub mod revision;
pub mod signed;
