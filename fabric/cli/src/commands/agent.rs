//! `leafwall agent …`

use leafwall_agent::args::AgentArgs;

use crate::Outcome;

/// Runs the agent on a runtime of its own.
pub fn run(args: AgentArgs) -> Outcome {
    match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => Outcome::Ended(runtime.block_on(leafwall_agent::args::run(args))),
        Err(error) => Outcome::CouldNot(format!("cannot start: {error}")),
    }
}
