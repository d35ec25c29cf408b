//! What somebody who waits for an apply is told.

use leafwall_api::v1;
use tokio::sync::mpsc;

/// Whoever watches too slowly misses lines, never the end: [`finish`].
pub fn tell(progress: &mpsc::Sender<v1::Progress>, told: v1::Progress) {
    let _ = progress.try_send(told);
}

/// The end, which everybody hears.
pub fn finish(progress: &mpsc::Sender<v1::Progress>, generation: u64, outcome: v1::Outcome, message: &str) {
    let last = news(generation, "", "finished", message, Some(outcome));
    let progress = progress.clone();
    // waits for room without holding up the core
    tokio::spawn(async move { progress.send(last).await });
}

/// What happened.
pub fn news(generation: u64, device: &str, phase: &str, message: &str, outcome: Option<v1::Outcome>) -> v1::Progress {
    let [device, phase, message] = [device, phase, message].map(str::to_owned);
    v1::Progress { generation, device, phase, message, outcome: outcome.map(Into::into) }
}
