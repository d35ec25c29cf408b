//! A fake device: it has the files that it was given, and faults at will.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leafwall_agent::daemon::device::{Compared, Device, Events};
use leafwall_agent::health::Health;
use leafwall_agent::report::{Backend, Difference, Parts};
use tokio::sync::mpsc;

/// What a fake device is, shared with the test.
#[derive(Debug, Clone, Default)]
pub struct FakeDevice(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    running: BTreeMap<String, String>,
    refuses: bool,
    fails: bool,
    made: usize,
    /// How long a change takes.
    slow: Duration,
    health: Option<Health>,
    /// What the next change makes of its health.
    health_after: Option<Health>,
    /// Those that listen.
    listeners: Vec<mpsc::UnboundedSender<Parts>>,
    /// frr.conf when it was compared last, empty where there was none.
    compared: Option<String>,
    /// Which parts were compared, each time.
    comparisons: Vec<Parts>,
    /// Somebody else's, in the way of these files.
    foreign: Vec<String>,
}

/// Which part of a device a file describes.
fn part_of(file: &str) -> Backend {
    match file {
        "leafwall.nft" => Backend::Nftables,
        "frr.conf" => Backend::Frr,
        _ => Backend::Links,
    }
}

impl State {
    fn tell(&mut self, parts: &Parts) {
        self.listeners.retain(|listener| listener.send(parts.clone()).is_ok());
    }

    fn compare(&mut self, wanted: &BTreeMap<String, String>, parts: &Parts) -> Compared {
        self.comparisons.push(parts.clone());
        if parts.contains(&Backend::Frr) {
            self.compared = Some(self.running.get("frr.conf").cloned().unwrap_or_default());
        }
        let looked_at = |name: &str| parts.contains(&part_of(name));
        let other = wanted.iter().filter(|(name, text)| looked_at(name) && self.running.get(*name) != Some(text));
        let foreign = self.foreign.iter().filter(|name| looked_at(name));
        let differences = other
            .map(|(name, _)| Difference::changed(part_of(name), name.clone()))
            .chain(foreign.map(|name| Difference::foreign(part_of(name), format!("something in the way of {name}"))))
            .collect();
        Compared { parts: parts.clone(), differences }
    }
}

/// What a fake device tells.
#[derive(Debug)]
pub struct FakeEvents(mpsc::UnboundedReceiver<Parts>);

impl Events for FakeEvents {
    async fn next(&mut self) -> Result<Parts, String> {
        self.0.recv().await.ok_or_else(|| "the device is gone".to_owned())
    }
}

impl FakeDevice {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Its files.
    pub fn running(&self) -> BTreeMap<String, String> {
        self.state().running.clone()
    }

    /// How often it was made something.
    pub fn made(&self) -> usize {
        self.state().made
    }

    /// Whether its tools refuse what they are asked about.
    pub fn refuses(&self, refuses: bool) {
        self.state().refuses = refuses;
    }

    /// Whether the next change does not lead where it should.
    pub fn fails_next(&self) {
        self.state().fails = true;
    }

    /// Somebody changes a file by hand. The kernel tells of it; FRR, as it does, tells nobody.
    pub fn drifts(&self, file: &str, text: &str) {
        self.drifts_unheard(file, text);
        if part_of(file) != Backend::Frr {
            self.tells(&Parts::from([part_of(file)]));
        }
    }

    /// The same, of which nobody tells.
    pub fn drifts_unheard(&self, file: &str, text: &str) {
        self.state().running.insert(file.to_owned(), text.to_owned());
    }

    /// Something of somebody else's comes to stand in the way of a file, which the kernel tells.
    pub fn meets_something_foreign(&self, file: &str) {
        let mut state = self.state();
        state.foreign.push(file.to_owned());
        state.tell(&Parts::from([part_of(file)]));
    }

    /// Tells of changes, whether there are any or not.
    pub fn tells(&self, parts: &Parts) {
        self.state().tell(parts);
    }

    /// Which parts of it were compared, each time, since this was asked last.
    pub fn comparisons(&self) -> Vec<Parts> {
        std::mem::take(&mut self.state().comparisons)
    }

    /// How long changes of it take.
    pub fn is_slow(&self, slow: Duration) {
        self.state().slow = slow;
    }

    /// How it stands in the fabric now, and after the next change.
    pub fn health(&self, now: Health, after_change: Health) {
        let mut state = self.state();
        (state.health, state.health_after) = (Some(now), Some(after_change));
    }
}

fn files(directory: &Path) -> Result<BTreeMap<String, String>, String> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(directory).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        files.insert(path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text);
    }
    Ok(files)
}

impl Device for FakeDevice {
    type Events = FakeEvents;

    async fn check(&self, directory: &Path, _: &Parts) -> Result<(), String> {
        files(directory)?;
        if self.state().refuses { Err("its tools refuse it".to_owned()) } else { Ok(()) }
    }

    async fn make(&self, directory: &Path, _: &Parts) -> Result<(), String> {
        let files = files(directory)?;
        let slow = self.state().slow;
        tokio::time::sleep(slow).await;
        let mut state = self.state();
        state.made += 1;
        // the kernel does not know whose changes it tells of
        state.tell(&Backend::ALL.into());
        if std::mem::take(&mut state.fails) {
            // half of it
            state.running.extend(files.into_iter().take(1));
            return Err("half of it is missing".to_owned());
        }
        state.compared = Some(files.get("frr.conf").cloned().unwrap_or_default());
        state.running = files;
        if let Some(after) = state.health_after.take() {
            state.health = Some(after);
        }
        Ok(())
    }

    async fn compare(&self, directory: &Path, parts: &Parts) -> Result<Compared, String> {
        Ok(self.state().compare(&files(directory)?, parts))
    }

    async fn repair(&self, directory: &Path, _: &Parts) -> Result<Compared, String> {
        self.make(directory, &Backend::ALL.into()).await?;
        let all: Parts = Backend::ALL.into();
        let compared = self.state().compare(&files(directory)?, &all);
        self.state().comparisons.pop();
        Ok(compared)
    }

    async fn keep(&self, _: &Path) -> Result<(), String> {
        Ok(())
    }

    async fn health(&self) -> Option<Health> {
        self.state().health.clone()
    }

    fn events(&self) -> Result<FakeEvents, String> {
        let (send, receive) = mpsc::unbounded_channel();
        self.state().listeners.push(send);
        Ok(FakeEvents(receive))
    }

    async fn routing_changed(&self) -> bool {
        let mut state = self.state();
        let running = state.running.get("frr.conf").map_or("", String::as_str);
        let changed = state.compared.as_ref().is_some_and(|compared| compared != running);
        if changed {
            state.compared = Some(running.to_owned());
        }
        changed
    }
}
