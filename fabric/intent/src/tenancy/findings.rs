//! What a tenant is told of what it wants.

use std::collections::{BTreeSet, HashMap};

use leafwall_topology::Name;

use super::owner::{foreign, holdings};
use super::view::view;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::raw::Intents;
use crate::source::FileId;

/// What is to be said of a tenant's documents.
#[derive(Debug, Default)]
pub struct Judged {
    /// Findings at places in its own files, and naming nothing but what it may see.
    pub own: Diagnostics,
    /// Errors somewhere else that what it wants leads to.
    pub elsewhere: usize,
}

impl Judged {
    /// Whether it is refused.
    pub fn refused(&self) -> bool {
        self.own.has_errors() || self.elsewhere > 0
    }
}

/// Judges the documents in a tenant's own files, in a fabric with those in it, by what the tenant may see of it.
pub fn judge(intents: &Intents, tenant: &Name, own: &BTreeSet<FileId>) -> Judged {
    let mut judged = Judged::default();
    let mut names: HashMap<(&str, &Name), bool> = HashMap::new();
    let all = holdings(intents);
    for holding in all.iter().filter(|holding| !own.contains(&holding.place.file)) {
        // switches and servers share their names with nothing that a tenant writes
        names.insert((holding.kind, &holding.name.value), holding.concerns == Some(tenant));
    }
    for holding in all.iter().filter(|holding| own.contains(&holding.place.file)) {
        match &holding.owner {
            Err(why) => judged.own.push((**why).clone()),
            Ok(owner) if *owner != tenant => judged.own.push(foreign(holding.kind, holding.name)),
            Ok(_) => {}
        }
        if let Some(of_tenant) = names.get(&(holding.kind, &holding.name.value)) {
            let message = format!("the name `{}` is taken", holding.name.value);
            let diagnostic = Diagnostic::error(codes::DUPLICATE_NAME, holding.name.place, message);
            judged.own.push(if *of_tenant { diagnostic.hint("an operator wrote it for you: leave it out") } else { diagnostic });
        }
    }
    let (_, found) = crate::check(&view(intents, tenant));
    judged.own.extend(found.into_iter().filter(|finding| own.contains(&finding.primary.file)).map(|finding| only(finding, own)));
    // one mistake, one finding: what is not allowed at all need not be right as well
    judged.own.sort();
    judged
}

/// Without other places than those in these files.
fn only(mut finding: Diagnostic, own: &BTreeSet<FileId>) -> Diagnostic {
    finding.secondary.retain(|(place, _)| own.contains(&place.file));
    finding
}

/// What a check of the whole fabric found, for a tenant whose own documents are right by themselves: where it is, and no word of whom it is about.
pub fn beyond(found: &Diagnostics, own: &BTreeSet<FileId>) -> Judged {
    let mut judged = Judged::default();
    for finding in found.iter().filter(|finding| finding.severity == Severity::Error) {
        let places = std::iter::once(finding.primary).chain(finding.secondary.iter().map(|(place, _)| *place));
        match places.into_iter().find(|place| own.contains(&place.file)) {
            Some(place) => {
                let message = format!("{}, together with something that is not yours", finding.code.entry().title);
                judged.own.push(Diagnostic::error(finding.code, place, message));
            }
            None => judged.elsewhere += 1,
        }
    }
    judged.own.sort();
    judged
}
