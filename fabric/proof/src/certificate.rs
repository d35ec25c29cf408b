//! What was proved, of which artefacts, under which assumptions: a file that others can check again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use leafwall_render::{Artefacts, CONFIG_DB_JSON};
use leafwall_topology::Name;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::finding::Broken;
use crate::hazards::Hazard;
use crate::matrix::Row;
use crate::{Input, Proof};

/// Which format a certificate has.
pub const CERTIFICATE_VERSION: u32 = 2;

const STATEMENT: &str = "Over all packets: nothing reaches what no intent allows, whatever tenants' servers announce and send, whatever a firewall machine \
that was taken over announces and sends, and whatever has failed; while nothing has failed, all that intents allow works and is answered; and under each of the \
failures listed, so does everything for which the cabling has another way.";

/// What is taken for granted.
const ASSUMPTIONS: &[&str] = &[
    "switches run what their artefacts say, and are cabled as the intents say",
    "a firewall machine that was not taken over runs what its artefacts say; what crosses one that was is its tenant's own",
    "the chain `cluster` of a firewall accepts whatever reaches it: it is bounded, not looked into",
    "where tenants meet in a network that they share, whoever is in it counts as that network",
    "conntrack tells packets of known flows from others",
    "a failure is one device or cable that is gone at once and as a whole, and routing has come to rest after it",
];

/// All of it, for a fabric with these artefacts.
fn assumptions(artefacts: &Digests) -> Vec<String> {
    let has_chips = artefacts.values().any(|files| files.contains_key(CONFIG_DB_JSON));
    let of_chips = if has_chips { crate::sonic::ASSUMPTIONS } else { &[] };
    ASSUMPTIONS.iter().chain(of_chips).map(|&text| text.to_owned()).collect()
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// [`CERTIFICATE_VERSION`]
    pub version: u32,
    /// The version of the prover.
    pub prover: String,
    /// Which fabric.
    pub fabric: Name,
    /// What is proved.
    pub statement: String,
    /// What is taken for granted.
    pub assumptions: Vec<String>,
    /// Whether it holds.
    pub holds: bool,
    /// Under which failures reachability was looked at.
    pub failures: Vec<String>,
    /// What was intended: the proof is that artefacts do this and no more.
    pub given: Given,
    /// SHA-256 of every artefact, by device and file.
    pub artefacts: Digests,
    /// Pairs of endpoints between which anything is open; all others are closed.
    pub open: Vec<Open>,
    /// What is wrong.
    pub findings: Vec<Found>,
    /// Known ways to fail that the artefacts walk.
    pub hazards: Vec<Hazard>,
}

/// The intents that a proof is about, and the numbers that they were given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// SHA-256 of each file of intents.
    pub intents: BTreeMap<String, String>,
    /// SHA-256 of the whole table of numbers.
    pub allocation: String,
    /// The texts themselves, so that nothing but artefacts is needed to check a certificate. A controller's has none: they are in the revision that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<Texts>,
}

/// Texts of what is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// Each file of intents.
    pub intents: BTreeMap<String, String>,
    /// The whole table of numbers, as `allocation.yaml`.
    pub allocation: String,
}

impl Given {
    /// By digests alone.
    pub fn digests<'f>(intents: impl IntoIterator<Item = (&'f str, &'f [u8])>, allocation: &str) -> Self {
        let intents = intents.into_iter().map(|(path, bytes)| (path.to_owned(), digest(bytes))).collect();
        Self { intents, allocation: digest(allocation.as_bytes()), texts: None }
    }

    /// With the texts.
    pub fn with_texts(texts: Texts) -> Self {
        let of = Self::digests(texts.intents.iter().map(|(path, text)| (path.as_str(), text.as_bytes())), &texts.allocation);
        Self { texts: Some(texts), ..of }
    }
}

/// A text that is no certificate that can be checked.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// Not what a certificate looks like.
    #[error("it is no certificate")]
    Shape(#[source] serde_json::Error),
    /// Of another format.
    #[error("its format is version {0}, and only version {CERTIFICATE_VERSION} can be checked: prove the fabric again")]
    Version(u64),
    /// It says another thing than what this prover proves.
    #[error("its {0} is not what this prover proves: prove the fabric again")]
    Statement(&'static str),
    /// Its own texts are not those that its digests name.
    #[error("the text of `{0}` in it is not the one that its digest names")]
    Given(String),
}

/// SHA-256 of artefacts, by device and file. One fabric and the next share those that did not change.
pub type Digests = BTreeMap<Name, Arc<BTreeMap<String, String>>>;

/// Those of all devices, on all cores.
pub fn digests(artefacts: &BTreeMap<Name, Arc<Artefacts>>) -> Digests {
    let all = artefacts.par_iter().map(|(name, artefacts)| (name.clone(), Arc::new(digests_of(artefacts))));
    all.collect::<Vec<_>>().into_iter().collect()
}

fn digests_of(artefacts: &Artefacts) -> BTreeMap<String, String> {
    artefacts.files.iter().map(|(file, text)| ((*file).to_owned(), digest(text.as_bytes()))).collect()
}

/// Digests of artefacts as they stand in a certificate, by device.
pub type PrintedDigests = BTreeMap<Name, Arc<str>>;

/// Those of one device, by file.
///
/// # Errors
/// None that can happen with these types; serde's signature has one.
pub fn printed_digests(name: &Name, files: &BTreeMap<String, impl Serialize>) -> Result<Arc<str>, serde_json::Error> {
    Ok(format!("{}:{}", serde_json::to_string(name)?, serde_json::to_string(files)?).into())
}

/// Texts of artefacts, by device and file.
pub type Files = BTreeMap<String, BTreeMap<String, String>>;

/// What is open between two endpoints.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Who sends.
    pub from: String,
    /// To whom.
    pub to: String,
    /// What passes.
    pub services: String,
    /// By which intents.
    pub why: Vec<String>,
}

/// A finding as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// Which promise is broken.
    pub broken: Broken,
    /// Which check found it.
    pub check: String,
    /// What is wrong.
    pub message: String,
    /// A packet that shows it.
    pub packet: Option<String>,
    /// Its way.
    pub path: Vec<String>,
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

impl Certificate {
    /// Of a proof, what was intended, and the digests of the artefacts that it was about.
    pub fn new(input: &Input<'_>, proof: &Proof, given: Given, artefacts: Digests) -> Self {
        Self::with(input, proof, given, artefacts, by_endpoint(proof))
    }

    fn with(input: &Input<'_>, proof: &Proof, given: Given, artefacts: Digests, open: Vec<Open>) -> Self {
        Self {
            version: CERTIFICATE_VERSION,
            prover: env!("CARGO_PKG_VERSION").to_owned(),
            fabric: input.model.fabric.name.clone(),
            statement: STATEMENT.to_owned(),
            assumptions: assumptions(&artefacts),
            holds: proof.holds(),
            failures: proof.failures.iter().map(ToString::to_string).collect(),
            given,
            artefacts,
            open,
            findings: proof
                .findings
                .iter()
                .map(|finding| Found {
                    broken: finding.broken,
                    check: finding.check.to_owned(),
                    message: finding.message.clone(),
                    packet: finding.packet.map(|packet| packet.to_string()),
                    path: finding.path.clone(),
                })
                .collect(),
            hazards: proof.hazards.clone(),
        }
    }

    /// The same as JSON. What of it is large, and mostly as in the last one, comes printed, or is printed once.
    ///
    /// # Errors
    /// None that can happen with these types; serde's signature has one.
    pub fn print(input: &Input<'_>, proof: &Proof, given: Given, artefacts: &PrintedDigests) -> Result<String, serde_json::Error> {
        let small = Self::with(input, proof, given, Digests::new(), Vec::new());
        let text = serde_json::to_string(&small)?;
        // in no string: there, a quote has a backslash before it
        let Some((front, back)) = text.split_once(EMPTY) else {
            return serde_json::to_string(&Self { artefacts: digests(input.artefacts), open: by_endpoint(proof), ..small });
        };
        let open = proof.matrix.rows().map(|(from, row)| row.printed(|| printed_row(from, row))).collect::<Result<Vec<_>, _>>()?;
        let size: usize = artefacts.values().map(|text| text.len() + 1).chain(open.iter().map(|text| text.len() + 1)).sum();
        let mut out = String::with_capacity(text.len() + size);
        out.push_str(front);
        out.push_str("\"artefacts\":{");
        join(&mut out, artefacts.values().map(|text| &**text));
        out.push_str("},\"open\":[");
        join(&mut out, open.into_iter().filter(|text| !text.is_empty()));
        out.push(']');
        out.push_str(back);
        Ok(out)
    }

    /// Reads a certificate that this prover can check: of its own format, with its own statement, and with texts that are those of its digests.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, CertificateError> {
        #[derive(Deserialize)]
        struct Version {
            version: u64,
        }
        // the version first: what else is in another one, nobody knows
        let Version { version } = serde_json::from_str(text).map_err(CertificateError::Shape)?;
        if version != u64::from(CERTIFICATE_VERSION) {
            return Err(CertificateError::Version(version));
        }
        let certificate: Self = serde_json::from_str(text).map_err(CertificateError::Shape)?;
        if certificate.statement != STATEMENT {
            return Err(CertificateError::Statement("statement"));
        }
        if certificate.assumptions != assumptions(&certificate.artefacts) {
            return Err(CertificateError::Statement("list of assumptions"));
        }
        if let Some(texts) = &certificate.given.texts {
            let again = Given::with_texts(texts.clone());
            if again.allocation != certificate.given.allocation {
                return Err(CertificateError::Given("allocation.yaml".to_owned()));
            }
            let all = again.intents.keys().chain(certificate.given.intents.keys());
            if let Some(path) = all.into_iter().find(|path| again.intents.get(*path) != certificate.given.intents.get(*path)) {
                return Err(CertificateError::Given(path.clone()));
            }
        }
        Ok(certificate)
    }

    /// Artefacts that are not those that were proved, in words: changed, missing, or never looked at. None, if all are.
    pub fn strangers(&self, artefacts: &Files) -> Vec<String> {
        let mut told = Vec::new();
        for (device, files) in &self.artefacts {
            let here = artefacts.get(device.as_str());
            for (file, proved) in &**files {
                match here.and_then(|files| files.get(file)) {
                    None => told.push(format!("{device}/{file} is missing")),
                    Some(text) if digest(text.as_bytes()) != *proved => {
                        told.push(format!("{device}/{file} is not the one that was proved"));
                    }
                    Some(_) => {}
                }
            }
        }
        for (device, files) in artefacts {
            let known = self.artefacts.iter().find(|(name, _)| name.as_str() == device).map(|(_, files)| files);
            let unknown = files.keys().filter(|file| known.is_none_or(|known| !known.contains_key(*file)));
            told.extend(unknown.map(|file| format!("{device}/{file} was not looked at by the proof")));
        }
        told
    }

    /// What this certificate says and a proof of the same artefacts does not, in words. None, if it says the truth.
    pub fn untruths(&self, again: &Self) -> Vec<String> {
        let mut told = Vec::new();
        let mut differs = |what: &str, same: bool| {
            if !same {
                told.push(format!("{what}: it says something else than the artefacts do"));
            }
        };
        differs("fabric", self.fabric == again.fabric);
        differs("result", self.holds == again.holds);
        differs("failures that were looked at", self.failures == again.failures);
        differs("findings", self.findings == again.findings);
        differs("known ways to fail", self.hazards == again.hazards);
        differs("artefacts", self.artefacts == again.artefacts);
        let (ours, theirs): (BTreeSet<&Open>, BTreeSet<&Open>) = (self.open.iter().collect(), again.open.iter().collect());
        let line = |open: &&Open| format!("{} to {}: {}", open.from, open.to, open.services);
        told.extend(ours.difference(&theirs).map(|open| format!("it says this is open, and it is not so: {}", line(open))));
        told.extend(theirs.difference(&ours).map(|open| format!("it does not say that this is open: {}", line(open))));
        told
    }
}

/// Where the large parts stand when they are empty.
const EMPTY: &str = "\"artefacts\":{},\"open\":[]";

fn join<'t>(out: &mut String, parts: impl Iterator<Item = &'t str>) {
    for (number, part) in parts.enumerate() {
        if number > 0 {
            out.push(',');
        }
        out.push_str(part);
    }
}

/// A row's entries in the list of what is open.
fn printed_row(from: &Name, row: &Row) -> Result<String, serde_json::Error> {
    let open = by_row(from, row).map(|open| serde_json::to_string(&open)).collect::<Result<Vec<_>, _>>()?;
    Ok(open.join(","))
}

fn by_row<'r>(from: &'r Name, row: &'r Row) -> impl Iterator<Item = Open> + 'r {
    let open = row.cells.iter().filter(|(_, cell)| !cell.arrives.is_empty());
    open.map(|(to, cell)| Open { from: from.to_string(), to: to.to_string(), services: cell.arrives.services(), why: cell.why.clone() })
}

/// What is open between endpoints.
pub fn by_endpoint(proof: &Proof) -> Vec<Open> {
    proof.matrix.rows().flat_map(|(from, row)| by_row(from, row)).collect()
}

/// What is open between networks, firewall machines by themselves: whatever some endpoint of the one has open to some of the other.
pub fn by_network(proof: &Proof) -> Vec<Open> {
    let mut pairs: BTreeMap<(String, String), (leafwall_policy::sets::PacketSet, Vec<String>)> = BTreeMap::new();
    let name = |endpoint: &Name| proof.matrix.row(endpoint).map(|row| row.party.network.clone()).unwrap_or_default();
    for (from, to, cell) in proof.matrix.cells().filter(|(.., cell)| !cell.arrives.is_empty()) {
        let (open, why) = pairs.entry((name(from), name(to))).or_default();
        *open = open.or(&cell.arrives);
        why.extend(cell.why.iter().cloned());
        why.sort();
        why.dedup();
    }
    pairs.into_iter().map(|((from, to), (open, why))| Open { from, to, services: open.services(), why }).collect()
}
