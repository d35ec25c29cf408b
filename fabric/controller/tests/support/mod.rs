//! What the tests of the store share.
#![allow(dead_code, reason = "each test takes what it needs")]

pub mod etcd;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use ed25519_dalek::SigningKey;
use leafwall_controller::store::{AnyBackend, Etcd, Memory, Store};
use leafwall_rollout::digest::Digest;
use leafwall_rollout::message::At;
use leafwall_rollout::revision::{Files, Generation, Revision};
use leafwall_rollout::signed::Signed;

/// A directory that goes with the test.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("leafwall-store-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn file(&self) -> PathBuf {
        self.0.join("store")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A backend that can be closed and opened again.
pub enum Place {
    Memory(Memory),
    File(Directory),
    Etcd(etcd::EtcdProcesses),
}

impl Place {
    pub fn memory() -> Self {
        Self::Memory(Memory::default())
    }

    pub fn file() -> Self {
        Self::File(Directory::new())
    }

    pub fn etcd() -> Self {
        Self::Etcd(etcd::EtcdProcesses::start(1))
    }

    pub async fn open(&self) -> Store {
        match self {
            Self::Memory(memory) => Store::new(AnyBackend::Memory(memory.clone())),
            Self::File(directory) => Store::file(&directory.file()).await.unwrap(),
            Self::Etcd(etcd) => Store::new(AnyBackend::Etcd(Etcd::open(etcd.url("test").parse().unwrap(), None).await.unwrap())),
        }
    }
}

pub fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub fn revision(generation: u64, parent: Option<Digest>, intents: &[(&str, &str)]) -> Signed<Revision> {
    let files = intents.iter().map(|(path, text)| ((*path).to_owned(), Digest::of(text.as_bytes()))).collect::<Files>();
    let revision = Revision {
        generation: Generation(generation),
        parent,
        intents: files,
        allocation: Digest::of(b"allocation"),
        devices: BTreeMap::new(),
        proof: None,
        author: "alice".into(),
        reason: "a test".into(),
        made_at: 1000 + generation,
    };
    Signed::new(&revision, &key()).unwrap()
}

/// Puts, starts and commits one on top of the head.
pub async fn commit(store: &Store, epoch: leafwall_controller::store::Epoch, intents: &[(&str, &str)]) -> At {
    let head = store.head().await.unwrap();
    let generation = store.newest().await.unwrap().next();
    store.put_chunks(epoch, intents.iter().map(|(_, text)| text.as_bytes())).await.unwrap();
    let at = store.put_revision(epoch, &revision(generation.0, head.map(|at| at.revision), intents)).await.unwrap();
    store.start(epoch, generation).await.unwrap();
    store.move_head(epoch, head, at).await.unwrap();
    at
}

/// Whether there is an etcd; a test that has none is skipped loudly and counted, and fails in CI.
pub fn has_etcd() -> bool {
    use std::io::Write;
    if etcd::EtcdProcesses::is_installed() {
        return true;
    }
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    eprintln!("SKIPPED {test}: there is no etcd");
    assert!(std::env::var_os("CI").is_none(), "there is no etcd, and in CI nothing is skipped");
    if let Some(path) = std::env::var_os("LEAFWALL_SKIPS") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(file, "{test}: there is no etcd").unwrap();
    }
    false
}
