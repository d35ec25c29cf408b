//! The controller's API: the generated code of `proto/`, and conversions between what travels and what the rollout's machines understand.
//!
//! What comes from outside is checked here: a message that lacks something is an error, never a default.
#![cfg_attr(test, allow(missing_docs))]

pub mod convert;
pub mod token;

/// The name in a controller's certificate, whatever host it runs on.
pub const CONTROLLER_NAME: &str = "controller.leafwall";

/// Where a controller that does not lead names the one that does, in the metadata of its refusals.
pub const LEADER_HINT: &str = "leafwall-leader";

/// The generated code.
#[allow(missing_docs, clippy::pedantic, clippy::all, reason = "generated; the .proto files say what things are")]
pub mod v1 {
    tonic::include_proto!("leafwall.v1");
}
