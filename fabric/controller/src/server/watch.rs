//! Those who watch the fabric. None of them holds up the core: who is too slow misses something, and is told so.

use std::collections::BTreeMap;

use leafwall_api::v1;
use leafwall_api::v1::news::News as What;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Who may watch at once.
const WATCHERS: usize = 64;
/// Between two looks at what changed, in milliseconds: a rollout changes a thousand devices several times, and each look is at all of them.
const EVERY: u64 = 100;

struct Watcher {
    news: mpsc::Sender<v1::News>,
    /// News that it did not take in time.
    missed: u64,
    /// Whether it has to be told everything next.
    behind: bool,
    /// Whether it was told everything once: who begins has missed nothing.
    begun: bool,
}

impl Watcher {
    /// Tells it, if it takes it. False: it is gone.
    fn tell(&mut self, what: What) -> bool {
        if self.behind {
            self.missed += u64::from(self.begun);
            return true;
        }
        match self.news.try_send(v1::News { news: Some(what) }) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                (self.missed, self.behind) = (self.missed + 1, true);
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }

    /// Tells everything to one that begins or is behind, once it takes news again.
    fn catch_up(&mut self, status: &v1::FabricStatus) -> bool {
        // room for both, so that what was missed is told together with what makes up for it
        let needed = usize::from(self.missed > 0) + 1;
        if self.behind && self.news.capacity() >= needed {
            (self.behind, self.begun) = (false, true);
            let missed = std::mem::take(&mut self.missed);
            return (missed == 0 || self.tell(What::Missed(missed))) && self.tell(What::Status(status.clone()));
        }
        !self.news.is_closed()
    }
}

/// All of them. Times are in milliseconds, of a clock that never goes back.
#[derive(Default)]
pub struct Watchers {
    all: Vec<Watcher>,
    told: BTreeMap<String, v1::DeviceStatus>,
    next: u64,
}

impl Watchers {
    /// One more, if there is room; else its stream ends.
    pub fn add(&mut self, news: mpsc::Sender<v1::News>) {
        self.all.retain(|watcher| !watcher.news.is_closed());
        if self.all.len() < WATCHERS {
            self.all.push(Watcher { news, missed: 0, behind: true, begun: false });
            self.next = 0;
        }
    }

    /// What happens during an apply.
    pub fn tell(&mut self, progress: &v1::Progress) {
        self.all.retain_mut(|watcher| watcher.tell(What::Progress(progress.clone())));
    }

    /// When [`Self::look`] is due.
    pub fn wake_at(&self) -> Option<u64> {
        (!self.all.is_empty()).then_some(self.next)
    }

    /// Whether it is due.
    pub fn looks(&self, now: u64) -> bool {
        self.wake_at().is_some_and(|next| next <= now)
    }

    /// Tells what differs from what was told.
    pub fn look(&mut self, now: u64, status: v1::FabricStatus) {
        self.next = now.saturating_add(EVERY);
        for device in status.devices.iter().filter(|device| self.told.get(&device.device) != Some(*device)) {
            self.all.retain_mut(|watcher| watcher.tell(What::Device(device.clone())));
        }
        self.all.retain_mut(|watcher| watcher.catch_up(&status));
        self.told = status.devices.into_iter().map(|device| (device.device.clone(), device)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(generation: u64) -> v1::FabricStatus {
        let device = v1::DeviceStatus { device: "leaf-01".to_owned(), generation, ..v1::DeviceStatus::default() };
        v1::FabricStatus { generation, devices: vec![device], ..v1::FabricStatus::default() }
    }

    fn taken(from: &mut mpsc::Receiver<v1::News>) -> Vec<String> {
        let word = |news: v1::News| match news.news {
            Some(What::Status(status)) => format!("status {}", status.generation),
            Some(What::Device(device)) => format!("device {}", device.generation),
            Some(What::Progress(progress)) => progress.phase,
            Some(What::Missed(count)) => format!("missed {count}"),
            None => "nothing".to_owned(),
        };
        std::iter::from_fn(|| from.try_recv().ok()).map(word).collect()
    }

    #[test]
    fn one_that_is_slow_is_told_that_it_missed_something_and_then_everything() {
        let mut watchers = Watchers::default();
        let (send, mut slow) = mpsc::channel(2);
        watchers.add(send);
        let (send, mut quick) = mpsc::channel(100);
        watchers.add(send);
        assert!(watchers.looks(0));
        watchers.look(0, status(1));
        assert!(!watchers.looks(EVERY - 1));
        assert_eq!(taken(&mut slow), ["status 1"]);
        let begun = v1::Progress { phase: "begun".to_owned(), ..v1::Progress::default() };
        for _ in 0..3 {
            watchers.tell(&begun);
        }
        watchers.look(EVERY, status(2));
        assert_eq!(taken(&mut quick), ["status 1", "begun", "begun", "begun", "device 2"]);
        assert_eq!(taken(&mut slow), ["begun", "begun"]);
        watchers.look(2 * EVERY, status(2));
        assert_eq!(taken(&mut slow), ["missed 2", "status 2"]);
        assert!(taken(&mut quick).is_empty(), "nothing changed");
        // who goes is forgotten, and so many may come
        drop((slow, quick));
        watchers.look(3 * EVERY, status(2));
        assert_eq!(watchers.wake_at(), None);
        let all: Vec<_> = (0..=WATCHERS).map(|_| mpsc::channel(1)).collect();
        for (send, _) in &all {
            watchers.add(send.clone());
        }
        assert_eq!(watchers.all.len(), WATCHERS);
    }
}
