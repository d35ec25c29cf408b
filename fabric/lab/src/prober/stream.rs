//! Probes without pause, to measure how long nothing gets through.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::capture::Store;
use super::sender::Sender;
use super::{Probe, StreamReport, monotonic_ms};

/// How long the last answers may take once a stream has ended.
const LAST_WAIT: Duration = Duration::from_millis(500);

/// Streams that run.
#[derive(Debug)]
pub(super) struct Streams {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<StreamReport>>,
}

impl Streams {
    /// Starts one thread that sends all of them in turn.
    pub(super) fn start(probes: Vec<Probe>, interval: Duration, store: &Store) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, store) = (Arc::clone(&stop), store.clone());
        Self { stop, thread: thread::spawn(move || send(&probes, interval, &store, &flag)) }
    }

    /// Ends them and tells how they went.
    pub(super) fn stop(self) -> Vec<StreamReport> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

fn send(probes: &[Probe], interval: Duration, store: &Store, stop: &AtomicBool) -> Vec<StreamReport> {
    let mut sender = Sender::default();
    let mut sent: Vec<Vec<Instant>> = vec![Vec::new(); probes.len()];
    let (began, began_ms) = (Instant::now(), monotonic_ms());
    let mut next = began;
    while !stop.load(Ordering::Relaxed) {
        for (probe, sent) in probes.iter().zip(&mut sent) {
            let count = u32::try_from(sent.len()).unwrap_or(u32::MAX);
            sent.push(Instant::now());
            // What cannot be sent is not answered: that is all a stream tells.
            let _ = sender.send(&Probe { nonce: probe.nonce.wrapping_add(count), ..probe.clone() });
        }
        next += interval;
        // A machine that was away for a while goes on from now, instead of catching up in a burst.
        next = next.max(Instant::now());
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    thread::sleep(LAST_WAIT);
    probes
        .iter()
        .zip(&sent)
        .map(|(probe, sent)| {
            let mut first = None;
            let mut report = report(sent, |index| {
                let answered = store.take_reply(probe.nonce.wrapping_add(index)).is_some();
                if answered {
                    first = first.or_else(|| sent.get(index as usize).copied());
                }
                answered
            });
            let since = |at: Instant| u64::try_from(at.duration_since(began).as_millis()).unwrap_or(u64::MAX);
            report.first_answered_ms = first.map(|at| began_ms.saturating_add(since(at)));
            report
        })
        .collect()
}

/// The longest stretch between two answered probes with unanswered ones between, from the first that was lost to the next that was answered.
fn report(sent: &[Instant], mut answered: impl FnMut(u32) -> bool) -> StreamReport {
    let mut report = StreamReport { sent: 0, answered: 0, longest_gap_ms: 0, first_answered_ms: None };
    let mut lost_since: Option<Instant> = None;
    let mut longest = Duration::ZERO;
    for (index, at) in (0..).zip(sent) {
        report.sent += 1;
        if answered(index) {
            report.answered += 1;
            if let Some(since) = lost_since.take() {
                longest = longest.max(*at - since);
            }
        } else {
            lost_since.get_or_insert(*at);
        }
    }
    if let (Some(since), Some(last)) = (lost_since, sent.last()) {
        longest = longest.max(*last - since);
    }
    report.longest_gap_ms = u32::try_from(longest.as_millis()).unwrap_or(u32::MAX);
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(pattern: &str) -> StreamReport {
        let start = Instant::now();
        let sent: Vec<Instant> = (0..pattern.len()).map(|i| start + Duration::from_millis(10 * i as u64)).collect();
        report(&sent, |index| pattern.as_bytes()[index as usize] == b'.')
    }

    #[test]
    fn the_longest_gap_counts() {
        assert_eq!(gap("....").longest_gap_ms, 0);
        assert_eq!(gap("..x..xxx.").longest_gap_ms, 30);
        assert_eq!(gap("..xxxxx"), StreamReport { sent: 7, answered: 2, longest_gap_ms: 40, first_answered_ms: None });
    }
}
