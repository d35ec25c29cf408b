//! From intents to what every device is to be, proved. Pure: what is refused here was never sent to anybody.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use leafwall_intent::diagnostic::Style;
use leafwall_intent::{ALLOCATION_FILE, Diagnostics, FileId, Model, SourceFile, Sources, document};
use leafwall_plan::allocation::{Printed, diagnose, read_table};
use leafwall_plan::{Failure, Planner, Table};
use leafwall_proof::certificate::{Given, PrintedDigests, printed_digests};
use leafwall_proof::{Certificate, Failures, Input, Known, Reach};
use leafwall_render::inventory::Endpoints;
use leafwall_render::{Devices, build, render, render_device};
use leafwall_rollout::digest::Digest;
use leafwall_rollout::revision::Files;
use leafwall_topology::{Name, Role};
use serde::Serialize;

use crate::history::Intents;

/// What one device has, by the names of the files.
pub type Artefacts = BTreeMap<String, String>;

/// What a directory of intents comes to.
#[derive(Debug)]
pub struct Candidate {
    /// The files that say so, by their path.
    pub intents: Intents,
    /// The table of allocated numbers, as `allocation.yaml`.
    pub allocation: String,
    /// Artefacts of every device with an agent: switches and firewall machines. Tenants' servers run no agent of ours.
    pub devices: Devices,
    /// Devices of which some have to stay up: spines, leaves with a server in common, exits, a firewall's machines.
    pub redundant: Vec<BTreeSet<Name>>,
    /// The proof's certificate, as JSON.
    pub certificate: String,
    /// What passes in it.
    pub reach: Arc<Reach>,
    /// Warnings, for people.
    pub warnings: String,
    /// Of all this, taken once.
    pub digests: Digests,
    /// How long each stage took, in their order.
    pub took: Vec<(&'static str, Duration)>,
}

/// The digests of a candidate's parts.
#[derive(Debug, Serialize)]
pub struct Digests {
    /// Of the intents.
    pub intents: Files,
    /// Of the table.
    pub allocation: Digest,
    /// Of each device's artefacts.
    pub devices: BTreeMap<Name, Files>,
}

/// Mistakes, with the texts that they are in.
#[derive(Debug)]
pub struct Mistakes {
    /// The texts.
    pub sources: Sources,
    /// All of them.
    pub diagnostics: Diagnostics,
}

/// Fabrics whose reach is kept: the head's, which every plan asks for, and the last candidate's. One of 5000 tenants has tens of thousands of pairs.
const REACHES: usize = 2;

/// What passes in fabrics, by what stands for them; the oldest first.
type Reaches = VecDeque<(Digest, Arc<Reach>)>;

/// Makes candidates, and keeps what the last ones were made of: lent to one candidate at a time. Clones share it. Whoever comes while it is lent starts from nothing instead of waiting.
#[derive(Debug, Clone, Default)]
pub struct Pipeline {
    kept: Arc<Mutex<Kept>>,
    reaches: Arc<Mutex<Reaches>>,
}

/// What the last candidates were made of. It only saves time: each part is taken over where what it was made from is the same again.
#[derive(Debug, Default)]
struct Kept {
    /// Files by their paths.
    files: BTreeMap<String, Text>,
    checked: leafwall_intent::Known,
    /// The last candidate's fabric, and the way back to the one that it was made from: an apply moves the head to the one, a plan leaves it at the other.
    made: Option<Made>,
    undo: Option<Undo>,
    table: Printed,
    proof: Known,
}

/// A planned fabric with everything that follows from its plan.
#[derive(Debug)]
struct Made {
    planner: Planner,
    /// The table of its numbers, as `allocation.yaml`.
    allocation: Arc<str>,
    devices: Devices,
    digests: BTreeMap<Name, Arc<Files>>,
    /// The same, as the certificate has them.
    printed: PrintedDigests,
    endpoints: Endpoints,
}

/// What of a fabric was replaced for the next one.
#[derive(Debug)]
struct Undo {
    planner: leafwall_plan::Undo,
    allocation: Arc<str>,
    devices: Vec<(Name, Option<Rendered>)>,
    endpoints: Endpoints,
}

/// What was made for one device: artefacts, their digests, and these as certificates have them.
type Rendered = (Arc<leafwall_render::Artefacts>, Arc<Files>, Arc<str>);

impl Pipeline {
    /// Checks, allocates, renders and proves. `stored` is the head's table, which counts where the directory brings none. Takes its time: not for a task that others wait for.
    ///
    /// # Errors
    /// Where anything is wrong or in doubt.
    pub fn build(&self, intents: Intents, stored: Option<&str>) -> Result<Candidate, Rejection> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lent = std::mem::take(&mut *kept());
        let built = lent.candidate(intents, stored);
        *kept() = lent;
        if let Ok(candidate) = &built {
            let mut reaches = self.reaches();
            let key = fabric_key(&candidate.digests.intents, candidate.digests.allocation);
            reaches.retain(|(of, _)| *of != key);
            reaches.push_back((key, Arc::clone(&candidate.reach)));
            if reaches.len() > REACHES {
                reaches.pop_front();
            }
        }
        built
    }

    /// What passes in a fabric that was proved not long ago.
    pub fn reach(&self, intents: &Files, allocation: Digest) -> Option<Arc<Reach>> {
        let key = fabric_key(intents, allocation);
        let mut reaches = self.reaches();
        let at = reaches.iter().position(|(of, _)| *of == key)?;
        let found = reaches.remove(at)?;
        let reach = Arc::clone(&found.1);
        // what is asked for last goes last
        reaches.push_back(found);
        Some(reach)
    }

    fn reaches(&self) -> MutexGuard<'_, Reaches> {
        self.reaches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stands for intents and their numbers, of which all else follows.
fn fabric_key(intents: &Files, allocation: Digest) -> Digest {
    let files = intents.iter().flat_map(|(path, digest)| [path.as_bytes(), &[0], digest.bytes().as_slice()]).collect::<Vec<_>>().concat();
    Digest::of(&[files.as_slice(), allocation.bytes().as_slice()].concat())
}

/// Why a directory of intents is refused.
#[derive(Debug)]
pub enum Rejection {
    /// Mistakes in it, all of them, with their places.
    Intents(Box<Mistakes>),
    /// Numbers that can't be given out, or a table of them that can't be used.
    Numbers(String),
    /// Tenants would not stay apart, or what is intended would not work, with the packets that show it.
    Proof(String),
    /// Ours.
    Internal(String),
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Intents(mistakes) => f.write_str(&mistakes.diagnostics.render(&mistakes.sources, Style::Plain)),
            Self::Numbers(text) => f.write_str(text),
            Self::Proof(text) => write!(f, "not proved:\n{text}"),
            Self::Internal(text) => write!(f, "can't be rendered: {text}"),
        }
    }
}

/// A text that was read before.
#[derive(Debug)]
struct Text {
    text: Arc<str>,
    digest: Digest,
}

impl Text {
    fn new(bytes: &[u8]) -> Self {
        Self { text: String::from_utf8_lossy(bytes).into(), digest: Digest::of(bytes) }
    }
}

/// Takes the time of stages.
struct Clock {
    took: Vec<(&'static str, Duration)>,
    since: Instant,
}

impl Clock {
    fn stage(&mut self, name: &'static str) {
        let now = Instant::now();
        self.took.push((name, now - self.since));
        self.since = now;
    }
}

impl Kept {
    fn candidate(&mut self, intents: Intents, stored: Option<&str>) -> Result<Candidate, Rejection> {
        let mut clock = Clock { took: Vec::new(), since: Instant::now() };
        self.read(&intents);
        clock.stage("texts");
        let sources = self.sources();
        let (model, warnings) = checked(&sources, &mut self.checked)?;
        clock.stage("parse and check");
        let mut made = self.made(model, &intents, stored, &sources, &mut clock)?;
        let (endpoints, outside) = build::ends(made.planner.model(), made.planner.table(), made.planner.plan(), &made.endpoints);
        let endpoints = std::mem::replace(&mut made.endpoints, endpoints);
        if let Some(undo) = &mut self.undo {
            undo.endpoints = endpoints;
        }
        clock.stage("endpoints");
        // whatever comes of it, it is where the next one begins
        let made = self.made.insert(made);
        let (model, table) = (made.planner.model(), made.planner.table());
        let input = Input { model, table, endpoints: &made.endpoints, outside: &outside, artefacts: &made.devices };
        // an apply waits for this: single failures are for `leafwall verify`
        let proof =
            leafwall_proof::prove_again(&input, &mut self.proof, Failures::None).map_err(|errors| Rejection::Internal(lines(&errors)))?;
        clock.stage("proof");
        if !proof.holds() {
            let told = [lines(&proof.findings), lines(&proof.hazards)];
            return Err(Rejection::Proof(told.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")));
        }
        let reach = Arc::new(Reach::new(&proof));
        clock.stage("reach");
        let ours = || model.switches.keys().chain(model.firewalls.values().flat_map(|firewall| &firewall.servers));
        let devices: Devices = ours().filter_map(|name| Some((name.clone(), Arc::clone(made.devices.get(name)?)))).collect();
        let digests = Digests {
            intents: intents.keys().filter_map(|path| Some((path.clone(), self.files.get(path)?.digest))).collect(),
            allocation: Digest::of(made.allocation.as_bytes()),
            devices: ours().filter_map(|name| Some((name.clone(), Files::clone(made.digests.get(name)?)))).collect(),
        };
        clock.stage("digests");
        let given = Given {
            intents: digests.intents.iter().map(|(path, digest)| (path.clone(), digest.to_string())).collect(),
            allocation: digests.allocation.to_string(),
            texts: None,
        };
        let certificate = Certificate::print(&input, &proof, given, &made.printed).map_err(|error| internal(&error))?;
        clock.stage("certificate");
        Ok(Candidate {
            allocation: made.allocation.to_string(),
            devices,
            redundant: redundant(model),
            certificate,
            reach,
            warnings,
            digests,
            intents,
            took: clock.took,
        })
    }

    /// Takes the files in whose bytes are others.
    fn read(&mut self, intents: &Intents) {
        self.files.retain(|path, _| intents.contains_key(path));
        for (path, bytes) in intents {
            if self.files.get(path).is_none_or(|known| known.text.as_bytes() != bytes.as_slice()) {
                self.files.insert(path.clone(), Text::new(bytes));
            }
        }
    }

    fn sources(&self) -> Sources {
        let files = self.files.iter().filter(|(path, _)| *path != ALLOCATION_FILE);
        Sources::new(files.map(|(path, file)| SourceFile { path: path.clone(), text: Arc::clone(&file.text) }).collect())
    }

    /// Plans and renders: what changes against a fabric with the table of numbers that is given, or everything.
    fn made(
        &mut self,
        model: Model,
        intents: &Intents,
        stored: Option<&str>,
        sources: &Sources,
        clock: &mut Clock,
    ) -> Result<Made, Rejection> {
        let model = Arc::new(model);
        let own = self.files.get(ALLOCATION_FILE).filter(|_| intents.contains_key(ALLOCATION_FILE)).map(|file| Arc::clone(&file.text));
        let table = own.or_else(|| stored.map(Into::into));
        if let Some(mut made) = self.with_table(table.as_ref()) {
            // whatever is wrong with the numbers is found again below, with its place
            match made.planner.update_for_now(Arc::clone(&model)) {
                Ok((changed, planner)) => {
                    clock.stage("plan");
                    let allocation = Arc::clone(&made.allocation);
                    let devices = changed.iter().map(|name| Ok((name.clone(), made.render(name)?))).collect::<Result<_, Rejection>>()?;
                    clock.stage("render");
                    self.print_table(&mut made)?;
                    self.undo = Some(Undo { planner, allocation, devices, endpoints: Endpoints::new() });
                    clock.stage("table");
                    return Ok(made);
                }
                Err(_) => self.made = Some(made),
            }
        }
        let table = table.map(|text| SourceFile { path: ALLOCATION_FILE.to_owned(), text });
        let planner = planned(model, table.as_ref(), sources)?;
        self.undo = None;
        clock.stage("plan");
        let devices = render(planner.plan()).map_err(|error| internal(&error))?;
        clock.stage("render");
        let (allocation, endpoints) = ("".into(), Endpoints::new());
        let mut made =
            Made { planner, allocation, devices: Devices::new(), digests: BTreeMap::new(), printed: PrintedDigests::new(), endpoints };
        for (name, artefacts) in devices {
            made.put(&name, Some(rendered(&name, artefacts)?));
        }
        clock.stage("digests of artefacts");
        self.print_table(&mut made)?;
        clock.stage("table");
        Ok(made)
    }

    /// The fabric that has this table of numbers, if it is the last one or the one before.
    fn with_table(&mut self, table: Option<&Arc<str>>) -> Option<Made> {
        let mut made = self.made.take()?;
        let undo = self.undo.take();
        if table == Some(&made.allocation) {
            return Some(made);
        }
        let undo = undo.filter(|undo| table == Some(&undo.allocation))?;
        made.back(undo);
        Some(made)
    }

    fn print_table(&mut self, made: &mut Made) -> Result<(), Rejection> {
        made.allocation = self.table.print(made.planner.table()).map_err(|error| internal(&error))?.into();
        Ok(())
    }
}

fn internal(error: &dyn std::error::Error) -> Rejection {
    Rejection::Internal(error.to_string())
}

impl Made {
    /// Renders a device of which the plan is another one; what there was of it before.
    fn render(&mut self, name: &Name) -> Result<Option<Rendered>, Rejection> {
        let rendered = match self.planner.plan().devices.get(name) {
            Some(plan) => Some(rendered(name, Arc::new(render_device(plan).map_err(|error| internal(&error))?))?),
            None => None,
        };
        Ok(self.put(name, rendered))
    }

    fn put(&mut self, name: &Name, rendered: Option<Rendered>) -> Option<Rendered> {
        let before = match rendered {
            Some((artefacts, digests, printed)) => {
                let artefacts = self.devices.insert(name.clone(), artefacts);
                let digests = self.digests.insert(name.clone(), digests);
                artefacts.zip(digests).zip(self.printed.insert(name.clone(), printed))
            }
            None => self.devices.remove(name).zip(self.digests.remove(name)).zip(self.printed.remove(name)),
        };
        before.map(|((artefacts, digests), printed)| (artefacts, digests, printed))
    }

    /// Makes it what it was before.
    fn back(&mut self, undo: Undo) {
        self.planner.back(undo.planner);
        (self.allocation, self.endpoints) = (undo.allocation, undo.endpoints);
        for (name, rendered) in undo.devices {
            self.put(&name, rendered);
        }
    }
}

fn rendered(name: &Name, artefacts: Arc<leafwall_render::Artefacts>) -> Result<Rendered, Rejection> {
    let files = digests(&artefacts.files);
    let printed = printed_digests(name, &files).map_err(|error| internal(&error))?;
    Ok((artefacts, Arc::new(files), printed))
}

impl Candidate {
    /// Stands for all that would be applied on top of a head: the same digest, the same change.
    ///
    /// # Errors
    /// Where it can't be printed.
    pub fn digest(&self, head: Option<Digest>) -> Result<Digest, serde_json::Error> {
        #[derive(Serialize)]
        struct Whole<'a> {
            head: Option<Digest>,
            digests: &'a Digests,
        }
        Ok(Digest::of(&serde_json::to_vec(&Whole { head, digests: &self.digests })?))
    }
}

/// Of a device's artefacts.
pub fn digests(artefacts: &BTreeMap<&'static str, String>) -> Files {
    artefacts.iter().map(|(name, text)| ((*name).to_owned(), Digest::of(text.as_bytes()))).collect()
}

/// What the owners of servers configure on them, who run no agent of ours: links and, where they are routed, FRR, with the addresses and the ASN that they were
/// given. Of one tenant, or of all. `stored` is the revision's table of numbers.
///
/// # Errors
/// Where the intents would be refused by now.
pub fn servers(mut intents: Intents, stored: &str, owner: Option<&Name>) -> Result<BTreeMap<Name, Artefacts>, Rejection> {
    // one that was applied may leave numbers open
    intents.remove(ALLOCATION_FILE);
    let sources = Sources::new(intents.iter().map(|(path, bytes)| SourceFile::from_bytes(path.clone(), bytes)).collect());
    let (model, _) = checked(&sources, &mut leafwall_intent::Known::default())?;
    let table = SourceFile { path: ALLOCATION_FILE.to_owned(), text: stored.into() };
    let planner = planned(Arc::new(model), Some(&table), &sources)?;
    // firewall machines are none of them: a Firewall is their allocation
    let given = planner.model().allocations.values().filter(|allocation| owner.is_none_or(|owner| allocation.tenant == *owner));
    given
        .filter_map(|allocation| planner.plan().devices.get_key_value(&allocation.server))
        .map(|(server, plan)| {
            let artefacts = render_device(plan).map_err(|error| Rejection::Internal(error.to_string()))?;
            Ok((server.clone(), artefacts.files.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()))
        })
        .collect()
}

/// The Model of intents, and warnings about them.
fn checked(sources: &Sources, known: &mut leafwall_intent::Known) -> Result<(Model, String), Rejection> {
    let (model, diagnostics) = leafwall_intent::load_again(sources, known);
    let Some(model) = model else { return Err(Rejection::Intents(Box::new(Mistakes { sources: sources.clone(), diagnostics }))) };
    Ok((model, diagnostics.render(sources, Style::Plain)))
}

fn planned(model: Arc<Model>, table: Option<&SourceFile>, sources: &Sources) -> Result<Planner, Rejection> {
    let told = |diagnostics: &Diagnostics, sources: &Sources| Rejection::Numbers(diagnostics.render(sources, Style::Plain));
    let Some(file) = table else {
        return Planner::new(model, &Table::default(), 1, None).map_err(|failure| match failure {
            Failure::Allocation(problems) => told(&diagnose(&problems, None), sources),
            Failure::Reference(error) => Rejection::Internal(error.to_string()),
        });
    };
    let own = Sources::new(vec![file.clone()]);
    let document = document(FileId(0), file).map_err(|diagnostics| told(&diagnostics, &own))?;
    let stored = read_table(&document).map_err(|diagnostics| told(&diagnostics, &own))?;
    Planner::new(model, &stored, 1, None).map_err(|failure| match failure {
        Failure::Allocation(problems) => told(&diagnose(&problems, Some(&document)), &own),
        Failure::Reference(error) => Rejection::Internal(error.to_string()),
    })
}

fn redundant(model: &Model) -> Vec<BTreeSet<Name>> {
    let with_role = |role| model.switches.values().filter(move |switch| switch.role == role).map(|switch| switch.name.clone()).collect();
    // most have one leaf, or the same two as others
    let leaves = model.servers.values().filter(|server| server.nics.windows(2).any(|pair| pair[0].port.device != pair[1].port.device));
    let leaves = leaves.map(|server| server.nics.iter().map(|nic| nic.port.device.clone()).collect());
    let machines = model.firewalls.values().map(|firewall| firewall.servers.iter().cloned().collect());
    let groups: BTreeSet<BTreeSet<Name>> =
        [with_role(Role::Spine), with_role(Role::Exit)].into_iter().chain(leaves).chain(machines).collect();
    groups.into_iter().filter(|group| group.len() > 1).collect()
}

fn lines(all: &[impl std::fmt::Display]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
