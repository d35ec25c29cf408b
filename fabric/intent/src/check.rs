//! From intents that are right one by one to the Model, in which they are right together.
//!
//! The whole desired state is checked, every time (H27). Each topic looks at all intents and reports all that it finds; no topic relies on
//! another having found nothing, so that one run shows everything.

use rayon::prelude::*;

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::Model;
use crate::raw::Intents;
use crate::read::{Texts, read_again};
use crate::source::Sources;

mod addresses;
mod allocations;
mod build;
mod cabling;
mod capacity;
mod external;
mod fabric;
mod firewalls;
mod index;
mod lists;
mod meeting;
mod names;
mod networks;
mod overlap;
mod peerings;
mod ports;
mod quotas;
mod references;
mod rules;
mod sonic;
mod switches;

use build::Built;
use index::Index;

/// One topic of the checks.
type Topic = fn(&Index<'_>, &mut Diagnostics);

const TOPICS: &[Topic] = &[
    names::check,
    lists::check,
    references::check,
    fabric::check,
    switches::check,
    sonic::check,
    cabling::check,
    ports::check,
    networks::check,
    external::check,
    allocations::check,
    addresses::check,
    peerings::check,
    firewalls::check,
    meeting::check,
    rules::check,
    capacity::check,
    quotas::check,
];

/// Checks all intents together. The Model is there if there is no error among the findings and [`crate::read`] found none either; warnings do not
/// prevent it. The findings are sorted by place, whatever the number of threads.
pub fn check(intents: &Intents) -> (Option<Model>, Diagnostics) {
    check_again(intents, &mut Built::default())
}

fn check_again(intents: &Intents, built: &mut Built) -> (Option<Model>, Diagnostics) {
    let index = Index::new(intents);
    let found: Vec<Diagnostics> = TOPICS
        .par_iter()
        .map(|topic| {
            let mut out = Diagnostics::new();
            topic(&index, &mut out);
            out
        })
        .collect();
    let mut all = Diagnostics::new();
    for diagnostics in found {
        all.append(diagnostics);
    }
    all.sort();
    let model = if all.has_errors() || !intents.sound { None } else { build::model(&index, built) };
    (model, all)
}

/// What the last files came to: what they were read to, and the objects of the Model. Everything is checked every time.
#[derive(Debug, Default)]
pub struct Known {
    texts: Texts,
    built: Built,
}

/// Reads and checks all files of a fabric. The Model is there if there is no error; the findings are those of both, sorted by place.
pub fn load(sources: &Sources) -> (Option<Model>, Diagnostics) {
    load_again(sources, &mut Known::default())
}

/// The same, with what is known. What is written as before is the same object in the Model.
pub fn load_again(sources: &Sources, known: &mut Known) -> (Option<Model>, Diagnostics) {
    let files: Vec<_> = sources.iter().map(|(_, file)| file.clone()).collect();
    let (intents, mut all) = read_again(&files, &mut known.texts);
    let (model, found) = check_again(&intents, &mut known.built);
    // what is missing may stand in a part that could not be read: its own finding is enough
    let lost = all.iter().any(hides_documents);
    all.extend(found.into_iter().filter(|finding| !lost || !concludes_from_absence(finding)));
    all.sort();
    (model.filter(|_| !all.has_errors()), all)
}

fn hides_documents(finding: &Diagnostic) -> bool {
    [codes::YAML_SYNTAX, codes::NOT_UTF8, codes::FILE_TOO_LARGE, codes::TOO_DEEP, codes::UNKNOWN_KIND].contains(&finding.code)
}

fn concludes_from_absence(finding: &Diagnostic) -> bool {
    let unknown = [
        codes::NO_FABRIC,
        codes::UNKNOWN_TENANT,
        codes::UNKNOWN_NETWORK,
        codes::UNKNOWN_SERVER,
        codes::UNKNOWN_SWITCH,
        codes::UNKNOWN_ADDRESS,
        codes::UNKNOWN_FIREWALL,
        codes::UNKNOWN_DEVICE,
        codes::NO_UPLINK,
    ];
    unknown.contains(&finding.code)
}
