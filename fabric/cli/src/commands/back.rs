//! `leafwall revert GENERATION` and `leafwall restore GENERATION`

use leafwall_api::v1::{BackRequest, Way};

use super::{apply, plan};
use crate::Outcome;
use crate::client::{self, Connection};

/// Undoes what one revision changed, by a new revision, on all devices or on none. What came after it stays.
///
/// A file that changed again since is a conflict, which is told and refused. Exits with 0 if it is undone, else with 1.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  leafwall revert 41 --dry-run\n  leafwall revert 41 --reason 'acme takes the server back'")]
pub struct Revert {
    #[command(flatten)]
    args: Args,
}

/// Makes all intents what they were in a revision, by a new revision, on all devices or on none.
///
/// Whatever came after it is undone, too. Exits with 0 if it is so now, else with 1.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  leafwall restore 41 --dry-run\n  leafwall restore 41 --reason 'as it was before the migration'")]
pub struct Restore {
    #[command(flatten)]
    args: Args,
}

#[derive(clap::Args)]
struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Which revision: the number that `leafwall history` lists
    generation: u64,
    /// Tell what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Why, for history and audit log
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Undoes one revision.
pub fn revert(revert: &Revert) -> Outcome {
    run(&revert.args, Way::Revert)
}

/// Goes back to one revision.
pub fn restore(restore: &Restore) -> Outcome {
    run(&restore.args, Way::Restore)
}

fn run(args: &Args, way: Way) -> Outcome {
    client::run(async {
        let request = BackRequest { generation: args.generation, way: way.into(), reason: args.reason.clone() };
        let mut client = args.connection.open().await?;
        if args.dry_run {
            let planned = client.plan_back(request).await.map_err(|status| client::refused(&status))?.into_inner();
            return plan::tell(&planned).map(|()| Outcome::Fine);
        }
        let news = client.back(request).await.map_err(|status| client::refused(&status))?.into_inner();
        Ok(apply::follow(news).await)
    })
}
