//! A machine that loses power: of what was not synced, any part of it may be on the disk, and any other may not.

use std::io::Error as IoError;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::store::{AnyBackend, Store};

const SECTOR: usize = 512;
const TRIALS: u64 = 120;
const CHUNKS: u32 = 12;

#[derive(Debug, Clone, Default)]
struct State {
    /// What is read back while there is power.
    current: Vec<u8>,
    /// What was synced last.
    durable: Vec<u8>,
    /// Where anything was written since.
    written: Vec<(usize, usize)>,
    operations: usize,
}

/// The disk after the loss, and how many chunks had been acknowledged before.
type Left = (Vec<u8>, usize);

/// A disk with a cache. When its operations reach `cut`, what would be on it after a loss of power is kept.
#[derive(Debug, Clone, Default)]
struct Disk {
    state: Arc<Mutex<State>>,
    cut: usize,
    seed: u64,
    acknowledged: Arc<AtomicUsize>,
    left: Arc<Mutex<Option<Left>>>,
}

impl Disk {
    fn holding(bytes: Vec<u8>) -> Self {
        let state = State { durable: bytes.clone(), current: bytes, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), cut: usize::MAX, ..Self::default() }
    }

    fn step(&self, state: &mut State) {
        state.operations += 1;
        if state.operations == self.cut {
            *self.left.lock().unwrap() = Some((state.left(self.seed), self.acknowledged.load(Ordering::SeqCst)));
        }
    }
}

impl State {
    /// Each sector that was written since the last sync is as it was or as it is now, by chance; and so is the length.
    fn left(&self, mut seed: u64) -> Vec<u8> {
        let mut chance = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 20).is_multiple_of(2)
        };
        let mut left = self.durable.clone();
        if chance() {
            left.resize(self.current.len(), 0);
        }
        for (from, to) in &self.written {
            for sector in from / SECTOR..to.div_ceil(SECTOR) {
                let end = ((sector + 1) * SECTOR).min(left.len()).min(self.current.len());
                let start = sector * SECTOR;
                if start < end && chance() {
                    left[start..end].copy_from_slice(&self.current[start..end]);
                }
            }
        }
        left
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, IoError> {
        Ok(self.state.lock().unwrap().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), IoError> {
        let from = usize::try_from(offset).unwrap();
        let state = self.state.lock().unwrap();
        let bytes = state.current.get(from..from + out.len()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), IoError> {
        let mut state = self.state.lock().unwrap();
        state.current.resize(usize::try_from(len).unwrap(), 0);
        self.step(&mut state);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), IoError> {
        let mut state = self.state.lock().unwrap();
        // just before it is done
        self.step(&mut state);
        state.durable = state.current.clone();
        state.written.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        let mut state = self.state.lock().unwrap();
        let from = usize::try_from(offset).unwrap();
        state.current[from..from + data.len()].copy_from_slice(data);
        state.written.push((from, from + data.len()));
        self.step(&mut state);
        Ok(())
    }
}

async fn on(disk: Disk) -> Store {
    let opener = Box::new(move || create(Path::new("disk"), disk.clone()));
    Store::new(AnyBackend::Redb(Redb::with(opener).await.unwrap()))
}

fn content(number: u32) -> Vec<u8> {
    number.to_be_bytes().iter().copied().cycle().take(3000).collect()
}

/// Writes to the disk; the chunks' digests.
async fn write(disk: &Disk) -> Vec<leafwall_rollout::digest::Digest> {
    let store = on(disk.clone()).await;
    let epoch = store.lead().await.unwrap();
    let mut digests = Vec::new();
    for number in 0..CHUNKS {
        digests.push(store.put_chunk(epoch, &content(number)).await.unwrap());
        disk.acknowledged.store(digests.len(), Ordering::SeqCst);
    }
    digests
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_loss_of_power_at_any_moment() {
    // a new file is not ours to lose anything in: what is there before the first trial is an empty store
    let empty = Disk { cut: usize::MAX, ..Disk::default() };
    drop(on(empty.clone()).await);
    let empty = empty.state.lock().unwrap().current.clone();
    let whole = Disk::holding(empty.clone());
    write(&whole).await;
    let operations = whole.state.lock().unwrap().operations;

    let mut lost_unacknowledged = 0;
    for trial in 1..=TRIALS {
        let seed = trial.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let cut = 1 + usize::try_from(seed >> 8).unwrap() % operations;
        let disk = Disk { cut, seed, ..Disk::holding(empty.clone()) };
        let digests = write(&disk).await;
        let Some((left, acknowledged)) = disk.left.lock().unwrap().take() else { panic!("trial {trial}: power was never lost") };
        let store = on(Disk::holding(left)).await;
        for (number, digest) in (0..).zip(&digests) {
            match store.chunk(digest).await {
                Ok(bytes) => assert_eq!(bytes, content(number), "trial {trial}"),
                Err(StoreError::NoChunk(_)) if usize::try_from(number).unwrap() >= acknowledged => lost_unacknowledged += 1,
                Err(error) => {
                    panic!("trial {trial}, power lost at operation {cut} of {operations}: chunk {number} of {acknowledged}: {error}")
                }
            }
        }
        let epoch = store.lead().await.unwrap();
        store.put_chunk(epoch, b"and it goes on").await.unwrap();
    }
    assert!(lost_unacknowledged > 0, "what was not acknowledged was lost at times");
}
