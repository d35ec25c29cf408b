//! When which parts of a device are compared. Pure: it is told what time it is.

use std::time::{Duration, Instant};

use crate::report::{Backend, Parts};

/// A change by hand is several events, and so is one that a daemon makes: a comparison waits this long for the rest of them.
const GATHER: Duration = Duration::from_millis(100);
/// Between the end of a comparison and the next at least, whatever happens.
const PAUSE: Duration = Duration::from_millis(400);
/// A comparison may take up to one part in so many of the time: on a large device, in a storm of events, there must be time left for what the device is for.
const SHARE: u32 = 4;

/// Which parts are to be looked at, and from when on.
#[derive(Debug)]
pub struct Schedule {
    every: Duration,
    /// When everything is compared, whatever was told.
    everything_at: Instant,
    noticed: Parts,
    since: Option<Instant>,
    not_before: Instant,
}

impl Schedule {
    /// One that looks at everything at this distance.
    pub fn new(now: Instant, every: Duration) -> Self {
        Self { every, everything_at: now + every, noticed: Parts::new(), since: None, not_before: now }
    }

    /// Something may have changed, or is to be looked at from a later time on.
    pub fn notice(&mut self, at: Instant, parts: Parts) {
        if parts.is_empty() {
            return;
        }
        self.noticed.extend(parts);
        self.since = Some(self.since.map_or(at, |since| since.min(at)));
    }

    /// When there is something to compare.
    pub fn due_at(&self) -> Instant {
        let gathered = self.since.map(|since| since + GATHER);
        gathered.map_or(self.everything_at, |at| at.min(self.everything_at)).max(self.not_before)
    }

    /// What is to be compared now, if anything is. It counts as looked at.
    pub fn take(&mut self, now: Instant) -> Option<Parts> {
        if now < self.due_at() {
            return None;
        }
        self.since = None;
        let noticed = std::mem::take(&mut self.noticed);
        if now < self.everything_at {
            return Some(noticed);
        }
        self.everything_at = now + self.every;
        Some(Backend::ALL.into())
    }

    /// A comparison ended, and took so long.
    pub fn end(&mut self, now: Instant, took: Duration) {
        self.not_before = now + PAUSE.max(took.saturating_mul(SHARE - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(10);

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn events_are_gathered_for_a_moment_and_only_their_parts_are_looked_at() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, EVERY);
        assert_eq!(schedule.due_at(), start + EVERY);
        schedule.notice(start + ms(1000), Parts::from([Backend::Links]));
        schedule.notice(start + ms(1050), Parts::from([Backend::Nftables]));
        assert_eq!(schedule.take(start + ms(1099)), None);
        assert_eq!(schedule.take(start + ms(1100)), Some(Parts::from([Backend::Links, Backend::Nftables])));
        assert_eq!(schedule.take(start + ms(1100)), None, "looked at");
        schedule.notice(start + ms(1100), Parts::new());
        assert_eq!(schedule.due_at(), start + EVERY, "nothing is nothing");
    }

    #[test]
    fn what_is_put_off_does_not_hold_up_what_changes_before() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, EVERY);
        let frr = Parts::from([Backend::Frr]);
        schedule.notice(start + ms(3000), frr.clone());
        assert_eq!(schedule.take(start + ms(2000)), None);
        schedule.notice(start + ms(2000), frr.clone());
        assert_eq!(schedule.take(start + ms(2000) + GATHER), Some(frr.clone()));
        schedule.notice(start + ms(3000), frr.clone());
        assert_eq!(schedule.take(start + ms(3000) + GATHER), Some(frr));
    }

    #[test]
    fn everything_is_looked_at_now_and_then_also_while_events_come() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, EVERY);
        let mut everything = 0;
        for step in 0..400 {
            let now = start + ms(100) * step;
            schedule.notice(now, Parts::from([Backend::Links]));
            if let Some(parts) = schedule.take(now) {
                everything += usize::from(parts.len() == Backend::ALL.len());
                schedule.end(now, ms(0));
            }
        }
        assert_eq!(everything, 3);
    }

    #[test]
    fn a_storm_costs_no_more_than_a_share_of_the_time() {
        let start = Instant::now();
        for took in [ms(1), ms(300), ms(2000)] {
            let mut schedule = Schedule::new(start, EVERY);
            let (mut now, mut comparing, mut count) = (start, Duration::ZERO, 0);
            while now < start + Duration::from_mins(1) {
                schedule.notice(now, Parts::from([Backend::Links]));
                if schedule.take(now).is_some() {
                    now += took;
                    comparing += took;
                    count += 1;
                    schedule.end(now, took);
                }
                now += ms(1);
            }
            // the last one may reach beyond the minute
            assert!(
                comparing.saturating_sub(took) * SHARE <= Duration::from_mins(1) && count <= 60 * 1000 / 400,
                "{took:?}: {comparing:?}, {count}"
            );
            assert!(count > 3, "{took:?}: it is looked at all the same");
        }
    }
}
