//! Statements that take each other's place.
//!
//! Most of FRR's statements have one value: saying it anew replaces the old one. Which do was tried on FRR 10.3, each of them; those that do not are handled where
//! they stand.

use leafwall_render::frr::Foreign;

use crate::step::{Batch, Context};

/// The command that takes a statement back, in full.
pub fn negate(statement: &str) -> String {
    match statement.strip_prefix("no ") {
        Some(positive) => positive.to_owned(),
        None => format!("no {statement}"),
    }
}

/// What has to be taken back and what has to be said.
#[derive(Debug, Default)]
pub struct Edits {
    /// Statements that go and whose place nothing takes; in the order of the old ones.
    pub gone: Vec<String>,
    /// Statements that are new, or take the place of another.
    pub said: Vec<String>,
}

/// Compares statements. `slot` says whose place a statement takes; two of one side never share a slot.
pub fn edits<T: PartialEq, S: PartialEq>(old: &[T], new: &[T], slot: impl Fn(&T) -> S, text: impl Fn(&T) -> String) -> Edits {
    let gone = old.iter().filter(|item| !new.contains(item) && !new.iter().any(|other| slot(other) == slot(item)));
    let said = new.iter().filter(|item| !old.contains(item));
    Edits { gone: gone.map(&text).collect(), said: said.map(&text).collect() }
}

/// The leaves of foreign statements with the blocks that they stand in.
fn leaves(context: &Context, statements: &[Foreign], into: &mut Vec<(Context, String)>) {
    for statement in statements {
        if statement.body.is_empty() {
            into.push((context.clone(), statement.text.to_string()));
        } else {
            leaves(&context.inner(statement.text.as_str()), &statement.body, into);
        }
    }
}

/// Foreign statements in one context: each leaf is said or taken back in its block. There is no other knowledge of them, so what came of it is read back.
pub fn foreign(context: &Context, old: &[Foreign], new: &[Foreign]) -> Vec<Batch> {
    if old == new {
        return Vec::new();
    }
    let (mut before, mut after) = (Vec::new(), Vec::new());
    leaves(context, old, &mut before);
    leaves(context, new, &mut after);
    let gone = before.iter().filter(|leaf| !after.contains(leaf)).map(|(place, text)| (place, negate(text)));
    let said = after.iter().filter(|leaf| !before.contains(leaf)).map(|(place, text)| (place, text.clone()));
    gone.chain(said).map(|(place, command)| Batch { context: place.clone(), commands: vec![command] }).collect()
}
