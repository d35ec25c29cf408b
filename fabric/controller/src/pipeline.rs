//! From intents to what every device is to be, proved. Pure: what is refused here was never sent to anybody.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leafwall_intent::diagnostic::Style;
use leafwall_intent::{ALLOCATION_FILE, Diagnostics, FileId, Model, SourceFile, Sources, document};
use leafwall_plan::allocation::{diagnose, read_table};
use leafwall_plan::{Failure, Planner, Table, TableFile};
use leafwall_proof::certificate::Given;
use leafwall_proof::{Certificate, Failures, Input, Known, Reach};
use leafwall_render::{build, render, render_device};
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
    pub devices: BTreeMap<Name, Artefacts>,
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

/// What the last proof found out, lent to one candidate at a time; and what passes in fabrics that were proved last. Clones share it. Whoever comes while it is lent
/// starts from nothing instead of waiting.
#[derive(Debug, Clone, Default)]
pub struct LastProof {
    known: Arc<Mutex<Known>>,
    reaches: Arc<Mutex<Reaches>>,
}

impl LastProof {
    /// As [`Candidate::build`], and keeps what was found out. Takes as long as that: not for a task that others wait for.
    ///
    /// # Errors
    /// As there.
    pub fn build(&self, intents: Intents, stored: Option<&str>) -> Result<Candidate, Rejection> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lent = std::mem::take(&mut *known());
        let built = Candidate::build(intents, stored, &mut lent);
        *known() = lent;
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

impl Candidate {
    /// Checks, allocates, renders and proves. `stored` is the head's table, which counts where the directory brings none; `known` is what the proof before
    /// this one found out, and only saves time.
    ///
    /// # Errors
    /// Where anything is wrong or in doubt.
    pub fn build(intents: Intents, stored: Option<&str>, known: &mut Known) -> Result<Self, Rejection> {
        let (planner, warnings) = checked(&intents, stored)?;
        let internal = |error: &dyn std::fmt::Display| Rejection::Internal(error.to_string());
        let devices = render(planner.plan()).map_err(|error| internal(&error))?;
        let inventory = build::inventory(planner.model(), planner.table(), planner.plan());
        let input = Input { model: planner.model(), table: planner.table(), inventory: &inventory, artefacts: &devices };
        // an apply waits for this: single failures are for `leafwall verify`
        let proof = leafwall_proof::prove_again(&input, known, Failures::None).map_err(|errors| Rejection::Internal(lines(&errors)))?;
        if !proof.holds() {
            let told = [lines(&proof.findings), lines(&proof.hazards)];
            return Err(Rejection::Proof(told.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")));
        }
        let reach = Arc::new(Reach::new(&input, &proof));
        let allocation = TableFile::from(planner.table()).to_yaml().map_err(|error| internal(&error))?;
        let given = Given::digests(intents.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())), &allocation);
        let certificate = serde_json::to_string(&Certificate::new(&input, &proof, given)).map_err(|error| internal(&error))?;
        let model = planner.model();
        let firewalls: BTreeSet<&Name> = model.firewalls.values().flat_map(|firewall| &firewall.servers).collect();
        let ours = |name: &Name| model.switches.contains_key(name) || firewalls.contains(name);
        let files = |files: BTreeMap<&'static str, String>| files.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
        let redundant = redundant(model);
        let devices: BTreeMap<Name, Artefacts> =
            devices.into_iter().filter(|(name, _)| ours(name)).map(|(name, artefacts)| (name, files(artefacts.files))).collect();
        let digests = Digests {
            intents: intents.iter().map(|(path, bytes)| (path.clone(), Digest::of(bytes))).collect(),
            allocation: Digest::of(allocation.as_bytes()),
            devices: devices.iter().map(|(name, artefacts)| (name.clone(), digests(artefacts))).collect(),
        };
        Ok(Self { intents, allocation, devices, redundant, certificate, reach, warnings, digests })
    }

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
pub fn digests(artefacts: &Artefacts) -> Files {
    artefacts.iter().map(|(name, text)| (name.clone(), Digest::of(text.as_bytes()))).collect()
}

/// What the owners of servers configure on them, who run no agent of ours: links and, where they are routed, FRR, with the addresses and the ASN that they were
/// given. Of one tenant, or of all. `stored` is the revision's table of numbers.
///
/// # Errors
/// Where the intents would be refused by now.
pub fn servers(mut intents: Intents, stored: &str, owner: Option<&Name>) -> Result<BTreeMap<Name, Artefacts>, Rejection> {
    // one that was applied may leave numbers open
    intents.remove(ALLOCATION_FILE);
    let (planner, _) = checked(&intents, Some(stored))?;
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

/// Intents with all their numbers, and warnings about them.
fn checked(intents: &Intents, stored: Option<&str>) -> Result<(Planner, String), Rejection> {
    let file = |(path, bytes): (&String, &Vec<u8>)| SourceFile::from_bytes(path.clone(), bytes);
    let sources = Sources::new(intents.iter().filter(|(path, _)| *path != ALLOCATION_FILE).map(file).collect());
    let (model, diagnostics) = leafwall_intent::load(&sources);
    let Some(model) = model else { return Err(Rejection::Intents(Box::new(Mistakes { sources, diagnostics }))) };
    let warnings = diagnostics.render(&sources, Style::Plain);
    let table = match intents.get(ALLOCATION_FILE) {
        Some(bytes) => Some(SourceFile::from_bytes(ALLOCATION_FILE, bytes)),
        None => stored.map(|text| SourceFile { path: ALLOCATION_FILE.to_owned(), text: text.into() }),
    };
    Ok((planned(model, table.as_ref(), &sources)?, warnings))
}

fn planned(model: Model, table: Option<&SourceFile>, sources: &Sources) -> Result<Planner, Rejection> {
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
    let leaves = model.servers.values().map(|server| server.nics.iter().map(|nic| nic.port.device.clone()).collect());
    let machines = model.firewalls.values().map(|firewall| firewall.servers.iter().cloned().collect());
    let groups: BTreeSet<BTreeSet<Name>> =
        [with_role(Role::Spine), with_role(Role::Exit)].into_iter().chain(leaves).chain(machines).collect();
    groups.into_iter().filter(|group| group.len() > 1).collect()
}

fn lines(all: &[impl std::fmt::Display]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
