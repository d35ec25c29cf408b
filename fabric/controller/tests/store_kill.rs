//! A controller that is killed at any moment has lost nothing that it acknowledged.
#![allow(missing_docs, clippy::unwrap_used)] // a test fails by it

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use leafwall_controller::audit::{Act, Log, Outcome, Role, verify};
use leafwall_controller::history::History;
use leafwall_controller::store::{Decision, Store};
use leafwall_rollout::digest::Digest;
use leafwall_rollout::message::At;
use leafwall_rollout::revision::Generation;
use leafwall_topology::Name;
use support::{Directory, key, revision};

/// Where the writer's store is; set for the writer alone.
const STORE: &str = "LEAFWALL_TEST_KILLED_STORE";
const KILLS: u32 = 20;

/// What the writer said that it had done: the last of each, and all chunks.
#[derive(Default)]
struct Acknowledged {
    chunks: Vec<Digest>,
    revision: Option<At>,
    started: Option<Generation>,
    head: Option<At>,
    abandoned: Vec<Generation>,
    device: Option<At>,
    audit: u64,
    operations: usize,
}

/// Not a test by itself: what the test below starts and kills.
#[test]
fn writer() {
    let Some(path) = std::env::var_os(STORE) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(write_for_ever(path.into()));
}

async fn write_for_ever(path: std::path::PathBuf) {
    let said = |what: &str, value: String| {
        let mut out = std::io::stdout().lock();
        // one write, so that a line is said or not
        out.write_all(format!("\nack {what} {value}\n").as_bytes()).unwrap();
        out.flush().unwrap();
    };
    let say_at = |what: &str, at: At| said(what, serde_json::to_string(&at).unwrap());
    said("opening", String::new());
    let store = Store::file(&path).await.unwrap();
    let epoch = store.lead().await.unwrap();
    let log = Log::new(store.clone(), key(), &[]);
    let device: Name = "leaf-01".parse().unwrap();
    loop {
        let head = store.head().await.unwrap();
        let generation = store.newest().await.unwrap().next();
        let text = format!("revision {generation} ").repeat(2000 * usize::try_from(generation.0 % 40).unwrap());
        said("chunk", store.put_chunk(epoch, text.as_bytes()).await.unwrap().to_string());
        let signed = revision(generation.0, head.map(|at| at.revision), &[("a.yaml", &text)]);
        let at = store.put_revision(epoch, &signed).await.unwrap();
        say_at("revision", at);
        store.start(epoch, generation).await.unwrap();
        said("started", generation.to_string());
        if generation.0.is_multiple_of(5) {
            store.abandon(epoch, generation, "every fifth").await.unwrap();
            said("abandoned", generation.to_string());
        } else {
            store.move_head(epoch, head, at).await.unwrap();
            say_at("head", at);
            store.acknowledge(epoch, &BTreeMap::from([(device.clone(), at)])).await.unwrap();
            say_at("device", at);
        }
        let act = Act {
            at: generation.0,
            who: "alice".into(),
            role: Role::Operator,
            what: "apply".into(),
            why: "a test".into(),
            outcome: Outcome::Done,
            generation: Some(generation),
        };
        said("audit", log.append(epoch, act).await.unwrap().sequence.to_string());
    }
}

impl Acknowledged {
    fn take(&mut self, line: &str) {
        let Some((what, value)) = line.strip_prefix("ack ").and_then(|line| line.split_once(' ')) else { return };
        let at = || serde_json::from_str::<At>(value).ok();
        let number = || value.parse().ok();
        match what {
            "chunk" => self.chunks.push(value.parse().unwrap()),
            "revision" => self.revision = at(),
            "started" => self.started = number().map(Generation),
            "head" => self.head = at(),
            "abandoned" => self.abandoned.extend(number().map(Generation)),
            "device" => self.device = at(),
            "audit" => self.audit = number().unwrap(),
            _ => return,
        }
        self.operations += 1;
    }

    async fn is_all_there(&self, store: &Store) {
        for chunk in &self.chunks {
            store.chunk(chunk).await.unwrap();
        }
        if let Some(at) = self.revision {
            assert_eq!(store.revision(at.generation).await.unwrap().digest(), at.revision);
            assert!(store.newest().await.unwrap() >= at.generation);
        }
        if let Some(started) = self.started {
            assert!(store.decision(started).await.unwrap().is_some());
        }
        for abandoned in &self.abandoned {
            assert!(matches!(store.decision(*abandoned).await.unwrap(), Some(Decision::Abandoned { .. })));
        }
        let head = store.head().await.unwrap();
        if let Some(at) = self.head {
            assert!(head.unwrap().generation >= at.generation);
            assert_eq!(store.decision(at.generation).await.unwrap(), Some(Decision::Committed));
        }
        if let Some(at) = self.device {
            assert!(store.acknowledged().await.unwrap().values().next().unwrap().generation >= at.generation);
        }
        // and what was not acknowledged is there as a whole or not at all
        let history = History::new(store.clone(), vec![key().verifying_key()]);
        for past in history.load().await.unwrap() {
            assert_eq!(store.decision(past.at.generation).await.unwrap(), Some(Decision::Committed));
            history.intents(&past.revision).await.unwrap();
        }
        let verified = verify(store, &[key().verifying_key()], None).await.unwrap();
        assert_eq!(verified.findings, []);
        assert!(verified.entries >= self.audit, "{} of {} entries", verified.entries, self.audit);
    }
}

/// Starts a writer and kills it this long after it began to open its store; what it said meanwhile, in whole lines.
fn killed(directory: &Directory, moment: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--nocapture", "--test-threads=1"])
        .env(STORE, directory.file())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("ack opening") {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "the writer ended by itself");
    }
    std::thread::sleep(moment);
    // SIGKILL
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(!status.success() && status.code().is_none(), "the writer ended by itself: {status}");
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    // of a line that was cut nobody has heard
    rest.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_store_that_was_being_made_can_be_opened() {
    for kill in 0..KILLS {
        let directory = Directory::new();
        let mut acknowledged = Acknowledged::default();
        for line in killed(&directory, Duration::from_micros(250 * u64::from(kill))) {
            acknowledged.take(&line);
        }
        acknowledged.is_all_there(&Store::file(&directory.file()).await.unwrap()).await;
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_sigkill() {
    let directory = Directory::new();
    let mut acknowledged = Acknowledged::default();
    let mut chance = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    for kill in 1..=KILLS {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let moment = Duration::from_millis(u64::from(chance >> 16) % 400);
        let before = acknowledged.operations;
        for line in killed(&directory, moment) {
            acknowledged.take(&line);
        }
        let opening = std::time::Instant::now();
        let store = Store::file(&directory.file()).await.unwrap();
        println!("kill {kill} after {moment:?}: {} operations, opened again in {:?}", acknowledged.operations - before, opening.elapsed());
        acknowledged.is_all_there(&store).await;
    }
    assert!(acknowledged.operations > 100, "the writer was killed at its work: {} operations", acknowledged.operations);
}
