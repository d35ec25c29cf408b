//! Taking a tenant's documents out of files, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use leafwall_topology::Name;

use super::owner::{Holding, holdings};
use crate::raw::Intents;
use crate::read::document_starts;
use crate::source::FileId;

/// The files of a fabric, parted.
#[derive(Debug, Default)]
pub struct Split {
    /// What is not the tenant's: byte for byte as it was.
    pub rest: BTreeMap<String, String>,
    /// The tenant's own documents, as they were, by the file that they are in.
    pub own: BTreeMap<String, String>,
    /// Files with a document of somebody else; in all others there are comments at most besides the tenant's.
    pub shared: BTreeSet<String>,
    /// Each of its documents: kind, name and text.
    pub documents: BTreeMap<(&'static str, Name), String>,
}

/// Where two documents can't be told apart: somebody ended one with `...` instead of beginning the next with `---`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mixed {
    /// In this file.
    pub path: String,
}

/// Parts the files that these intents were read from.
///
/// # Errors
/// Where a text holds documents of the tenant and of somebody else.
pub fn split(intents: &Intents, tenant: &Name) -> Result<Split, Mixed> {
    let mut by_file: BTreeMap<FileId, Vec<Holding<'_>>> = BTreeMap::new();
    for holding in holdings(intents) {
        by_file.entry(holding.place.file).or_default().push(holding);
    }
    let mut split = Split::default();
    for (id, file) in intents.sources.iter() {
        let mut of_file = by_file.remove(&id).unwrap_or_default();
        of_file.sort_by_key(|holding| holding.place);
        let (mut rest, mut own) = (String::new(), String::new());
        let starts = document_starts(&file.text);
        for (number, (from, first_line)) in starts.iter().enumerate() {
            let (to, end_line) = starts.get(number + 1).copied().unwrap_or((file.text.len(), u32::MAX));
            let text = file.text.get(*from..to).unwrap_or_default();
            let inside: Vec<_> = of_file.iter().filter(|holding| (*first_line..end_line).contains(&holding.place.line)).collect();
            let of_tenant = inside.iter().filter(|holding| holding.is_of(tenant)).count();
            if of_tenant == 0 {
                rest.push_str(text);
                if !inside.is_empty() {
                    split.shared.insert(file.path.clone());
                }
                continue;
            }
            if of_tenant != inside.len() {
                return Err(Mixed { path: file.path.clone() });
            }
            own.push_str(text);
            for holding in inside {
                split.documents.insert((holding.kind, holding.name.value.clone()), text.to_owned());
            }
        }
        split.rest.insert(file.path.clone(), rest);
        if !own.is_empty() {
            split.own.insert(file.path.clone(), own);
        }
    }
    Ok(split)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceFile;

    fn network(name: &str, tenant: &str) -> String {
        format!("apiVersion: leafwall.io/v1\nkind: Network\nmetadata: {{name: {name}}}\nspec: {{tenant: {tenant}, type: private}} # café\n")
    }

    fn parted(text: &str) -> Result<Split, Mixed> {
        let (intents, found) = crate::read(&[SourceFile { path: "a.yaml".into(), text: text.into() }]);
        assert!(!found.has_errors(), "{found:?}");
        split(&intents, &"acme".parse().unwrap())
    }

    #[test]
    fn the_rest_stays_byte_for_byte() {
        let (a, b, c) = (network("a", "acme"), network("b", "globex"), network("c", "acme"));
        let parts = [
            format!("\u{feff}# first\r\n{b}"),
            format!("--- # own\n{a}"),
            "---\n# nothing\n".to_owned(),
            format!("---\n{c}"),
            format!("---\n{b}# end"),
        ];
        let text = parts.concat().replace(
            "name: b}\nspec: {tenant: globex, type: private} # café\n# end",
            "name: d}\nspec: {tenant: globex, type: private} # café\n# end",
        );
        let split = parted(&text).unwrap();
        assert_eq!(split.own["a.yaml"], [parts[1].as_str(), &parts[3]].concat());
        assert_eq!(split.rest["a.yaml"], text.replace(&parts[1], "").replace(&parts[3], ""));
        assert!(split.shared.contains("a.yaml"));
        let names: Vec<_> = split.documents.keys().map(|(kind, name)| format!("{kind} {name}")).collect();
        assert_eq!(names, ["Network a", "Network c"]);
        assert_eq!(split.documents[&("Network", "c".parse().unwrap())], parts[3]);
    }

    #[test]
    fn a_first_document_without_a_mark_can_be_taken_out() {
        let text = format!("{}---\n{}", network("a", "acme"), network("b", "globex"));
        assert_eq!(parted(&text).unwrap().rest["a.yaml"], format!("---\n{}", network("b", "globex")));
    }

    #[test]
    fn documents_that_cannot_be_told_apart_are_refused() {
        let text = format!("{}...\n{}", network("a", "acme"), network("b", "globex"));
        assert_eq!(parted(&text).unwrap_err(), Mixed { path: "a.yaml".into() });
    }
}
