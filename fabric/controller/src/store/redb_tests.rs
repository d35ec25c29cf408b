//! What a broken disk and a damaged file do to a store: errors, and nothing worse.

use std::error::Error as _;
use std::io::{Error as IoError, ErrorKind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use leafwall_rollout::digest::Digest;

use super::*;
use crate::store::{AnyBackend, Epoch, Store};

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("leafwall-redb-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("store")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What the disk does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Disk {
    Sound,
    /// Has no room beyond this length; a longer file is a sparse one.
    FullBeyond(u64),
    /// Does not let files become longer than this.
    NoFileBeyond(u64),
    /// Takes everything and can't keep it.
    CannotSync,
}

#[derive(Debug)]
struct Faulty {
    file: FileBackend,
    disk: Arc<Mutex<Disk>>,
}

impl StorageBackend for Faulty {
    fn len(&self) -> Result<u64, IoError> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), IoError> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), IoError> {
        match *self.disk.lock().unwrap() {
            Disk::NoFileBeyond(most) if len > most => Err(ErrorKind::FileTooLarge.into()),
            _ => self.file.set_len(len),
        }
    }

    fn sync_data(&self) -> Result<(), IoError> {
        match *self.disk.lock().unwrap() {
            Disk::CannotSync => Err(IoError::other("the disk is gone")),
            _ => self.file.sync_data(),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        match *self.disk.lock().unwrap() {
            Disk::FullBeyond(most) if offset + data.len() as u64 > most => Err(ErrorKind::StorageFull.into()),
            _ => self.file.write(offset, data),
        }
    }
}

async fn on(path: PathBuf, disk: Arc<Mutex<Disk>>) -> Store {
    if !path.exists() {
        make(&path).unwrap();
    }
    let opener = Box::new(move || create(&path, Faulty { file: FileBackend::new(existing(&path)?)?, disk: Arc::clone(&disk) }));
    Store::new(AnyBackend::Redb(Redb::with(opener).await.unwrap()))
}

fn content(number: u32) -> Vec<u8> {
    number.to_be_bytes().iter().copied().cycle().take(20_000).collect()
}

#[tokio::test]
async fn a_disk_that_fails_is_an_error_and_needs_no_restart() {
    for fault in [Disk::FullBeyond(3 << 20), Disk::NoFileBeyond(3 << 20), Disk::CannotSync] {
        let directory = Directory::new("disk");
        let disk = Arc::new(Mutex::new(Disk::Sound));
        let store = on(directory.file(), Arc::clone(&disk)).await;
        let epoch = store.lead().await.unwrap();
        let mut acknowledged = vec![store.put_chunk(epoch, &content(0)).await.unwrap()];
        *disk.lock().unwrap() = fault;
        let error = loop {
            match store.put_chunk(epoch, &content(u32::try_from(acknowledged.len()).unwrap())).await {
                Ok(digest) => acknowledged.push(digest),
                Err(error) => break error,
            }
            assert!(acknowledged.len() < 10_000, "{fault:?} shows");
        };
        assert!(matches!(error, StoreError::Backend { action: "write", .. }), "{error}");
        println!("{fault:?}: after {} chunks: {error}: {}", acknowledged.len(), error.source().unwrap());
        // and again, not only the first time
        assert!(store.put_chunk(epoch, &vec![7; 900_000]).await.is_err());

        *disk.lock().unwrap() = Disk::Sound;
        for (number, digest) in acknowledged.iter().enumerate() {
            assert_eq!(store.chunk(digest).await.unwrap(), content(u32::try_from(number).unwrap()));
        }
        store.put_chunk(epoch, &vec![7; 900_000]).await.unwrap();
        assert_eq!(store.epoch().await.unwrap(), epoch);
    }
}

#[tokio::test]
async fn what_is_there_can_be_read_while_the_disk_is_full() {
    let directory = Directory::new("full");
    let disk = Arc::new(Mutex::new(Disk::Sound));
    let store = on(directory.file(), Arc::clone(&disk)).await;
    let epoch = store.lead().await.unwrap();
    let digest = store.put_chunk(epoch, &content(1)).await.unwrap();
    let length = std::fs::metadata(directory.file()).unwrap().len();
    *disk.lock().unwrap() = Disk::FullBeyond(length);
    let large = [vec![1; 900_000], vec![2; 900_000], vec![3; 900_000]];
    for _ in 0..3 {
        assert_eq!(store.chunk(&digest).await.unwrap(), content(1));
        assert!(store.put_chunks(epoch, large.iter().map(Vec::as_slice)).await.is_err());
    }
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused() {
    let directory = Directory::new("foreign");
    std::fs::write(directory.file(), b"not a store at all").unwrap();
    let error = Store::file(&directory.file()).await.unwrap_err();
    assert!(matches!(error, StoreError::Backend { action: "open its file", .. }), "{error}");
    std::fs::write(directory.file(), vec![0; 1 << 20]).unwrap();
    assert!(Store::file(&directory.file()).await.is_err());
    assert!(Store::file(&directory.0).await.is_err(), "a directory");
    assert!(Store::file(&directory.0.join("nowhere/store")).await.is_err());
}

#[tokio::test]
async fn one_process_at_a_time_and_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new("lock");
    let store = Store::file(&directory.file()).await.unwrap();
    assert!(Store::file(&directory.file()).await.is_err(), "open already");
    assert_eq!(std::fs::metadata(directory.file()).unwrap().permissions().mode() & 0o777, 0o600);
    drop(store);
    Store::file(&directory.file()).await.unwrap();
    let names: Vec<_> = std::fs::read_dir(&directory.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["store"], "no draft is left");
}

#[tokio::test]
async fn a_store_that_went_missing_is_not_made_anew() {
    let directory = Directory::new("missing");
    let disk = Arc::new(Mutex::new(Disk::Sound));
    let store = on(directory.file(), Arc::clone(&disk)).await;
    let epoch = store.lead().await.unwrap();
    std::fs::remove_file(directory.file()).unwrap();
    *disk.lock().unwrap() = Disk::CannotSync;
    store.put_chunk(epoch, b"one").await.unwrap_err();
    *disk.lock().unwrap() = Disk::Sound;
    let error = store.put_chunk(epoch, b"one").await.unwrap_err();
    assert!(matches!(error, StoreError::Backend { .. }), "{error}");
    assert!(!directory.file().exists());
}

/// Chance with a seed (xorshift64), so that a failure can be seen again.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

/// Bytes of a sound file that belong to a chunk are changed: found by the digest, and nothing else is harmed.
#[tokio::test]
async fn a_damaged_chunk_in_the_file_is_found_by_its_digest() {
    let directory = Directory::new("chunk");
    let store = Store::file(&directory.file()).await.unwrap();
    let epoch = store.lead().await.unwrap();
    let (one, other) = (store.put_chunk(epoch, &content(1)).await.unwrap(), store.put_chunk(epoch, &content(2)).await.unwrap());
    drop(store);
    let mut bytes = std::fs::read(directory.file()).unwrap();
    let pattern = &content(1)[..400];
    let at: Vec<usize> = (0..bytes.len() - 400).filter(|at| &bytes[*at..*at + 400] == pattern).collect();
    assert!(!at.is_empty());
    // wherever a copy of it lies
    for at in at.into_iter().step_by(100) {
        bytes[at] ^= 0x40;
    }
    std::fs::write(directory.file(), &bytes).unwrap();
    let store = Store::file(&directory.file()).await.unwrap();
    assert!(matches!(store.chunk(&one).await, Err(StoreError::Damaged { .. })));
    assert_eq!(store.chunk(&other).await.unwrap(), content(2));
}

/// Bytes anywhere in the file are changed, or the file is cut: nothing panics, hangs, or is taken for what it is not.
#[tokio::test]
async fn a_file_damaged_anywhere_is_never_believed() {
    const TRIALS: u64 = 150;
    let directory = Directory::new("anywhere");
    let store = Store::file(&directory.file()).await.unwrap();
    let epoch = store.lead().await.unwrap();
    let mut digests = Vec::new();
    for number in 0..40 {
        digests.push(store.put_chunk(epoch, &content(number)[..3000]).await.unwrap());
    }
    drop(store);
    let sound = std::fs::read(directory.file()).unwrap();
    let used = sound.iter().rposition(|byte| *byte != 0).unwrap();
    let (mut not_opened, mut errors, mut right) = (0, 0, 0);
    for trial in 1..=TRIALS {
        let mut chance = Chance(trial.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut bytes = sound.clone();
        match trial % 4 {
            0 => bytes.truncate(chance.below(sound.len())),
            // the header, where redb looks first
            1 => bytes[chance.below(512)] ^= 1 << chance.below(8),
            2 => {
                let page = chance.below(used / 4096) * 4096;
                bytes[page..page + 4096].fill(u8::try_from(chance.below(256)).unwrap());
            }
            _ => (0..64).for_each(|_| bytes[chance.below(used)] ^= 1 << chance.below(8)),
        }
        std::fs::write(directory.file(), &bytes).unwrap();
        let look = async {
            let Ok(store) = Store::file(&directory.file()).await else { return (1, 0, 0) };
            let (mut errors, mut right) = (0, 0);
            for (number, digest) in (0u32..).zip(&digests) {
                match store.chunk(digest).await {
                    Ok(bytes) => {
                        assert_eq!(bytes, content(number)[..3000], "trial {trial}");
                        right += 1;
                    }
                    Err(_) => errors += 1,
                }
            }
            let _ = store.put_chunk(Epoch(u64::MAX), b"one more").await;
            if let Ok(bytes) = store.chunk(&Digest::of(b"one more")).await {
                assert_eq!(bytes, b"one more", "trial {trial}");
            }
            (0, errors, right)
        };
        let outcome = tokio::time::timeout(Duration::from_mins(1), look).await.unwrap_or_else(|_| panic!("trial {trial} hangs"));
        not_opened += outcome.0;
        errors += outcome.1;
        right += outcome.2;
    }
    println!("{TRIALS} damaged files: {not_opened} not opened; of the rest {errors} chunks were errors and {right} right");
    assert!(errors > 0 && right > 0 && not_opened > 0, "the damage reached everything: {not_opened}, {errors}, {right}");
}
