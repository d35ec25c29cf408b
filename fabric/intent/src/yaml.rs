//! Documents that are no intents, such as the lab's scenarios: the same reader, as a plain tree with places.

use crate::diagnostic::Diagnostics;
use crate::findings::Findings;
use crate::source::{FileId, Place};
use crate::tree::{self, Node, Value};

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Where.
    pub place: Place,
    /// What.
    pub value: Yaml,
}

/// A value as it was written: text is not interpreted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Yaml {
    /// Nothing, `~` or `null`.
    Empty,
    /// A scalar.
    Text(String),
    /// A sequence.
    List(Vec<Located>),
    /// A mapping in the order of the file, no key twice: key, its place, value.
    Mapping(Vec<(String, Place, Located)>),
}

/// Reads all documents of a text. With errors among the diagnostics, what is returned is not the whole.
pub fn documents(file: FileId, text: &str) -> (Vec<Located>, Diagnostics) {
    let mut found = Findings::default();
    let nodes = tree::documents(file, 1, text, &mut found);
    (nodes.into_iter().map(located).collect(), found.into_parts().0.into())
}

fn located(node: Node<'_>) -> Located {
    let value = match node.value {
        Value::Empty | Value::Broken => Yaml::Empty,
        Value::Plain(text) | Value::Quoted(text) => Yaml::Text(text.into_owned()),
        Value::List(items) => Yaml::List(items.into_iter().map(located).collect()),
        Value::Mapping(entries) => {
            Yaml::Mapping(entries.into_iter().map(|entry| (entry.key.into_owned(), entry.key_place, located(entry.node))).collect())
        }
    };
    Located { place: node.place, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_reads_as_a_tree() {
        let (documents, found) = documents(FileId(0), "spec:\n  steps:\n    - check: expect\n");
        assert!(found.is_empty());
        let Yaml::Mapping(top) = &documents[0].value else { panic!("no mapping") };
        let (key, place, spec) = &top[0];
        assert_eq!((key.as_str(), place.line), ("spec", 1));
        let Yaml::Mapping(spec) = &spec.value else { panic!("no mapping") };
        let Yaml::List(steps) = &spec[0].2.value else { panic!("no list") };
        assert_eq!((steps.len(), steps[0].place.line, steps[0].place.column), (1, 3, 7));
    }
}
