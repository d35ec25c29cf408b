//! `leafwall resolve abandon|commit`

use clap::ValueEnum;
use leafwall_api::v1::{Outcome as Ends, ResolveRequest};

use crate::Outcome;
use crate::client::{self, Connection};
use crate::table::print;

/// Says what becomes of a rollout that is held (`leafwall apply --on-failure hold`), or calls off one that is under way.
///
/// What is held stays so for as long as the controller that holds it lives and is reached; then it is abandoned.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  leafwall resolve 41 abandon --reason 'leaf-03 has to be replaced first'")]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Which revision: the number that `leafwall apply` and `leafwall watch` tell
    generation: u64,
    /// What becomes of it
    decision: Decision,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Decision {
    /// No device stays there
    Abandon,
    /// It stands: devices that failed are to get there, again and again until they are
    Commit,
}

/// Tells the controller.
pub fn run(args: &Args) -> Outcome {
    client::run(async {
        let outcome = match args.decision {
            Decision::Abandon => Ends::Abandoned,
            Decision::Commit => Ends::Committed,
        };
        let request = ResolveRequest { generation: args.generation, outcome: outcome.into(), reason: args.reason.clone() };
        let mut client = args.connection.open().await?;
        client.resolve(request).await.map_err(|status| client::refused(&status))?;
        print(&format!("revision {} is being {}\n", args.generation, if outcome == Ends::Committed { "committed" } else { "abandoned" }));
        Ok(Outcome::Fine)
    })
}
