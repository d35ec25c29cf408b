//! A fake device: it has the files that it was given, and faults at will.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use leafwall_agent::daemon::device::Device;

/// What a fake device is, shared with the test.
#[derive(Debug, Clone, Default)]
pub struct FakeDevice(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    running: BTreeMap<String, String>,
    refuses: bool,
    fails: bool,
    made: usize,
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

    /// Somebody changes a file by hand.
    pub fn drifts(&self, file: &str, text: &str) {
        self.state().running.insert(file.to_owned(), text.to_owned());
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
    async fn check(&self, directory: &Path) -> Result<(), String> {
        files(directory)?;
        if self.state().refuses { Err("its tools refuse it".to_owned()) } else { Ok(()) }
    }

    async fn make(&self, directory: &Path) -> Result<(), String> {
        let files = files(directory)?;
        let mut state = self.state();
        state.made += 1;
        if std::mem::take(&mut state.fails) {
            // half of it
            state.running.extend(files.into_iter().take(1));
            return Err("half of it is missing".to_owned());
        }
        state.running = files;
        Ok(())
    }

    async fn differences(&self, directory: &Path) -> Result<Vec<String>, String> {
        let wanted = files(directory)?;
        let state = self.state();
        Ok(wanted
            .iter()
            .filter(|(name, text)| state.running.get(*name) != Some(text))
            .map(|(name, _)| format!("{name} is another"))
            .collect())
    }

    async fn sessions(&self) -> Option<usize> {
        None
    }
}
