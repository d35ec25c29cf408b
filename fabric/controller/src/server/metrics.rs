//! Numbers about a controller, and whether it is ready.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use leafwall_api::v1;
use leafwall_metrics::{Checks, Counters, DurationsBy, Gauge, Registry};
use leafwall_rollout::fabric::{Intention, Outcome};
use leafwall_rollout::message::At;
use tokio::sync::{oneshot, watch};
use tonic::Code;

use super::core::Command;
use super::seat::Seat;
use crate::audit::Log;
use crate::store::Store;

/// How long the core may take to say where everybody is, before old numbers are shown.
const PATIENCE: Duration = Duration::from_secs(2);

const PREPARE: &str = "prepare";
const APPLY: &str = "apply";
const CONFIRM: &str = "confirm";

/// What is counted as it happens.
#[derive(Debug, Clone)]
pub struct Meter {
    rollouts: Counters,
    phases: DurationsBy,
    refused: Counters,
    lap: Arc<Mutex<Option<Lap>>>,
}

/// The rollout that runs.
#[derive(Debug)]
struct Lap {
    at: At,
    phase: &'static str,
    since: Instant,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            rollouts: Counters::new("outcome", &["committed", "abandoned", "held", "refused", "unchanged"]),
            phases: DurationsBy::new("phase", &[PREPARE, APPLY, CONFIRM]),
            refused: Counters::new("kind", &KINDS),
            lap: Arc::default(),
        }
    }
}

/// Codes that refuse, as labels; all others are what else can go wrong.
const KINDS: [&str; 10] = [
    "invalid_argument",
    "not_found",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "out_of_range",
    "unimplemented",
    "unavailable",
    "unauthenticated",
    "other",
];

fn kind(code: Code) -> &'static str {
    match code {
        Code::InvalidArgument => "invalid_argument",
        Code::NotFound => "not_found",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Unavailable => "unavailable",
        Code::Unauthenticated => "unauthenticated",
        _ => "other",
    }
}

impl Meter {
    /// A rollout begins.
    pub fn begun(&self, at: At) {
        self.lap(|lap| *lap = Some(Lap { at, phase: PREPARE, since: Instant::now() }));
    }

    /// A device gets an order. With the first one to apply, everybody has prepared; what those get who catch up is not of this rollout.
    pub fn ordered(&self, intention: &Intention) {
        if let Intention::Apply { at, .. } = intention {
            self.passed(*at, PREPARE, APPLY);
        }
    }

    /// A rollout's end is decided.
    pub fn decided(&self, at: At, outcome: Outcome) {
        if outcome == Outcome::Committed {
            self.passed(at, APPLY, CONFIRM);
        }
    }

    /// A rollout ended; one that was refused never began.
    pub fn ended(&self, outcome: v1::Outcome) {
        self.lap(|lap| {
            if let Some(lap) = lap.take_if(|lap| outcome == v1::Outcome::Committed && lap.phase == CONFIRM) {
                self.phases.took(CONFIRM, lap.since.elapsed());
            }
        });
        match outcome {
            v1::Outcome::Committed => self.rollouts.add("committed"),
            v1::Outcome::Abandoned => self.rollouts.add("abandoned"),
            v1::Outcome::Held => self.rollouts.add("held"),
            v1::Outcome::Refused => self.rollouts.add("refused"),
            v1::Outcome::Unchanged => self.rollouts.add("unchanged"),
            v1::Outcome::Unspecified => {}
        }
    }

    /// A call was answered with this code.
    pub fn answered(&self, code: Code) {
        if code != Code::Ok {
            self.refused.add(kind(code));
        }
    }

    fn passed(&self, at: At, from: &'static str, to: &'static str) {
        self.lap(|lap| {
            if let Some(lap) = lap.as_mut().filter(|lap| lap.at == at && lap.phase == from) {
                self.phases.took(from, lap.since.elapsed());
                *lap = Lap { at, phase: to, since: Instant::now() };
            }
        });
    }

    fn lap(&self, change: impl FnOnce(&mut Option<Lap>)) {
        change(&mut self.lap.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What is asked when somebody wants to know.
pub struct Watch {
    seat: watch::Receiver<Seat>,
    connected: Gauge,
    devices: Gauge,
    lacking: Gauge,
    drifting: Gauge,
    head: Gauge,
}

impl Watch {
    /// All numbers of a controller.
    pub fn new(seat: watch::Receiver<Seat>, store: &Store, log: &Log, meter: &Meter) -> (Self, Registry) {
        let mut registry = leafwall_metrics::registry();
        let mut gauge = |name, help| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let connected = gauge("connected_agents", "Devices whose agents are connected");
        let devices = gauge("devices", "Devices that the head says something of");
        let lacking = gauge("devices_lacking_head", "Devices that have not confirmed what the head says of them");
        let drifting = gauge("devices_drifting", "Devices that differ from what they confirmed, as their agents last observed");
        let head = gauge("head_generation", "The revision that was committed last; 0 for none");
        meter.rollouts.register(&mut registry, "rollouts", "Rollouts that ended, and applies that never began, by outcome");
        meter.phases.register(&mut registry, "rollout_phase_seconds", "How long rollouts took to prepare, to apply and to confirm");
        meter.refused.register(&mut registry, "refused_calls", "Calls that were answered with an error at once, by kind");
        store.meter().register(&mut registry);
        log.register(&mut registry);
        (Self { seat, connected, devices, lacking, drifting, head }, registry)
    }
}

impl Watch {
    /// Who leads, once that is known: a controller that has just started knows it in a moment.
    async fn seat(&self) -> Seat {
        let mut seat = self.seat.clone();
        let known = tokio::time::timeout(PATIENCE, seat.wait_for(|seat| !matches!(seat, Seat::Starting))).await;
        match known {
            Ok(Ok(known)) => known.clone(),
            Ok(Err(_)) | Err(_) => Seat::Starting,
        }
    }
}

fn count<'a>(devices: &'a [v1::DeviceStatus], which: impl Fn(&'a v1::DeviceStatus) -> bool) -> i64 {
    i64::try_from(devices.iter().filter(|device| which(device)).count()).unwrap_or(i64::MAX)
}

impl Checks for Watch {
    async fn refresh(&self) {
        let Seat::Own(office) = self.seat().await else { return };
        let asked = async {
            let (reply, answer) = oneshot::channel();
            office.commands.send(Command::Status { reply }).await.ok()?;
            answer.await.ok()
        };
        // the core is busy or gone, which `ready` tells: the last numbers are better than none
        let Ok(Some(status)) = tokio::time::timeout(PATIENCE, asked).await else { return };
        self.connected.set(i64::from(status.agents));
        self.devices.set(count(&status.devices, |_| true));
        self.lacking.set(count(&status.devices, |device| !device.current));
        self.drifting.set(count(&status.devices, |device| !device.differences.is_empty()));
        self.head.set(i64::try_from(status.generation).unwrap_or(i64::MAX));
    }

    async fn ready(&self) -> Result<(), String> {
        let office = match self.seat().await {
            Seat::Own(office) => office,
            Seat::Starting => return Err("it starts".to_owned()),
            Seat::Elsewhere(Some(leader)) => return Err(format!("a follower: {leader} leads")),
            Seat::Elsewhere(None) => return Err("a follower, and it knows of no leader".to_owned()),
        };
        match tokio::time::timeout(PATIENCE, office.pen.store.epoch()).await {
            Err(_) => Err(format!("the store does not answer within {} s", PATIENCE.as_secs())),
            Ok(Err(error)) => Err(format!("the store fails: {error}")),
            Ok(Ok(epoch)) if epoch != office.pen.epoch => {
                Err(format!("another controller leads: epoch {epoch}, and this one had {}", office.pen.epoch))
            }
            Ok(Ok(_)) if !office.term.holds() => Err("its lease is over".to_owned()),
            Ok(Ok(_)) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use leafwall_rollout::digest::Digest;
    use leafwall_rollout::revision::Generation;

    use super::*;

    fn at(generation: u64) -> At {
        At { generation: Generation(generation), revision: Digest::of(&generation.to_be_bytes()) }
    }

    fn counts(meter: &Meter) -> [u64; 3] {
        let mut registry = leafwall_metrics::registry();
        meter.phases.register(&mut registry, "p", "P");
        let text = leafwall_metrics::text(&registry);
        [PREPARE, APPLY, CONFIRM].map(|phase| {
            let name = format!("leafwall_p_count{{phase=\"{phase}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
        })
    }

    #[test]
    fn each_phase_of_a_rollout_is_counted_once() {
        let meter = Meter::default();
        let apply = |generation| Intention::Apply { at: at(generation), confirm_within: 1 };
        meter.begun(at(1));
        meter.ordered(&Intention::Abandon { at: at(1) });
        meter.ordered(&apply(7));
        assert_eq!(counts(&meter), [0, 0, 0], "one that catches up is not of this rollout");
        meter.ordered(&apply(1));
        meter.ordered(&apply(1));
        assert_eq!(counts(&meter), [1, 0, 0]);
        meter.decided(at(1), Outcome::Committed);
        meter.decided(at(1), Outcome::Committed);
        assert_eq!(counts(&meter), [1, 1, 0]);
        meter.ended(v1::Outcome::Committed);
        assert_eq!(counts(&meter), [1, 1, 1]);
        // one that is abandoned got so far
        meter.begun(at(2));
        meter.ordered(&apply(2));
        meter.decided(at(2), Outcome::Abandoned);
        meter.ended(v1::Outcome::Abandoned);
        assert_eq!(counts(&meter), [2, 1, 1]);
        assert_eq!((meter.rollouts.get("committed"), meter.rollouts.get("abandoned")), (1, 1));
    }

    #[tokio::test]
    async fn one_that_does_not_lead_is_not_ready() {
        use super::super::desk::Desk;
        use super::super::pen::Pen;
        use super::super::seat::Office;
        use super::super::term::Term;
        use crate::history::History;

        let store = Store::memory();
        let epoch = store.lead().await.unwrap();
        let log = Arc::new(Log::new(store.clone(), ed25519_dalek::SigningKey::from_bytes(&[7; 32]), &[]));
        let (commands, queue) = tokio::sync::mpsc::channel(1);
        let (seat, seen) = watch::channel(Seat::Starting);
        let (watch, _) = Watch::new(seen, &store, &log, &Meter::default());
        assert!(watch.ready().await.is_err());
        seat.send_replace(Seat::Elsewhere(Some("https://other:7443".to_owned())));
        assert_eq!(watch.ready().await.unwrap_err(), "a follower: https://other:7443 leads");
        let pen = Pen { store: store.clone(), log, epoch };
        let term = Term::endless();
        let desk = Desk::new(pen.clone(), None);
        seat.send_replace(Seat::Own(Arc::new(Office::new(commands, History::new(store.clone(), Vec::new()), desk, pen, term.clone()))));
        assert_eq!(watch.ready().await, Ok(()));
        store.lead().await.unwrap();
        assert!(watch.ready().await.unwrap_err().contains("another controller leads"));
        // without a core, numbers stay as they were
        drop(queue);
        watch.connected.set(7);
        watch.refresh().await;
        assert_eq!(watch.connected.get(), 7);
    }
}
