//! Lines of frr.conf as a tree by their indentation, before any of them is understood.

use std::fmt;
use std::str::FromStr;

use super::text::{Foreign, Text, Word};

/// How deep statements nest: `router bgp`, `address-family`, `vni`. Deeper ones count as this deep, so that no text can make us recurse without bound.
const DEPTH_MAX: usize = 4;

/// What a device prints around its configuration, and means nothing.
const NOISE: [&str; 3] = ["Building configuration...", "Current configuration:", "end"];

/// A value that is not what its statement wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// The column in bytes, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

/// What reading one statement yields: the statement, `None` if it is none of ours, or a fault in one of its values.
pub type Parsed<T> = Result<Option<T>, Fault>;

/// One statement and what is indented below it.
#[derive(Debug)]
pub struct Block<'a> {
    /// Its place, from 1.
    pub number: usize,
    /// The line without blanks at its end.
    line: &'a str,
    /// Its words.
    pub words: Vec<&'a str>,
    /// What stands below it.
    pub children: Vec<Self>,
    /// The word that closed it.
    close: Option<&'a str>,
}

impl<'a> Block<'a> {
    /// Reads a word as a value that the statement cannot do without.
    pub fn value<T: FromStr<Err: fmt::Display>>(&self, word: &str) -> Result<T, Fault> {
        word.parse().map_err(|error: T::Err| {
            let message = error.to_string();
            // the standard library's errors do not name the value
            self.fault(word, if message.contains(word) { message } else { format!("`{word}`: {message}") })
        })
    }

    /// A fault at a word of this line.
    pub fn fault(&self, word: &str, message: String) -> Fault {
        let offset = (word.as_ptr() as usize).saturating_sub(self.line.as_ptr() as usize);
        Fault { line: self.number, column: offset + 1, message }
    }

    /// The line without its indentation.
    pub fn text(&self) -> &'a str {
        self.line.trim_ascii_start()
    }

    /// The word that closed it, where it was closed.
    pub const fn close(&self) -> Option<&'a str> {
        self.close
    }

    /// Everything from this word to the end of the line.
    pub fn rest(&self, word: &str) -> Option<Text> {
        let offset = (word.as_ptr() as usize).checked_sub(self.line.as_ptr() as usize)?;
        self.line.get(offset..)?.parse().ok()
    }

    /// The statement as one that we do not know.
    pub fn foreign(&self) -> Option<Foreign> {
        Some(Foreign {
            text: self.line.trim_ascii().parse().ok()?,
            body: self.children.iter().filter_map(Self::foreign).collect(),
            close: self.close.and_then(|close| close.parse::<Word>().ok()),
        })
    }

    /// Whether nothing stands below it, as it must be for all statements that do not open a block.
    pub fn is_leaf(&self) -> bool {
        self.children.is_empty()
    }

    fn new(number: usize, line: &'a str) -> Self {
        Self { number, line, words: line.split_ascii_whitespace().collect(), children: Vec::new(), close: None }
    }
}

fn closes(word: &str) -> bool {
    word == "exit" || word.starts_with("exit-")
}

/// Closes open statements until one less indented than `indent` is on top.
fn fold<'a>(stack: &mut Vec<(usize, Block<'a>)>, top: &mut Vec<Block<'a>>, indent: usize) {
    while stack.last().is_some_and(|(open, _)| *open >= indent) {
        if let Some((_, block)) = stack.pop() {
            match stack.last_mut() {
                Some((_, parent)) => parent.children.push(block),
                None => top.push(block),
            }
        }
    }
}

/// The statements of a text by their indentation. Comments, blank lines and what a device prints around its configuration are left out.
pub fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut stack: Vec<(usize, Block<'_>)> = Vec::new();
    let mut top = Vec::new();
    for (number, line) in (1..).zip(text.split('\n')) {
        let line = line.trim_ascii_end();
        let body = line.trim_ascii_start();
        if body.is_empty() || body.starts_with(['!', '#']) || NOISE.contains(&body) {
            continue;
        }
        let indent = line.len() - body.len();
        if closes(body) {
            fold(&mut stack, &mut top, indent + 1);
            if let Some((_, block)) = stack.last_mut().filter(|(open, _)| *open == indent) {
                block.close = Some(body);
                fold(&mut stack, &mut top, indent);
            }
            continue;
        }
        fold(&mut stack, &mut top, indent);
        if stack.len() == DEPTH_MAX {
            let deepest = stack.last().map_or(0, |(open, _)| *open);
            fold(&mut stack, &mut top, deepest);
        }
        stack.push((indent, Block::new(number, line)));
    }
    fold(&mut stack, &mut top, 0);
    top
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(blocks: &[Block<'_>]) -> usize {
        blocks.iter().map(|b| 1 + depth(&b.children)).max().unwrap_or(0)
    }

    #[test]
    fn depth_is_bounded() {
        let lines: Vec<_> = (0..3_000).map(|depth| format!("{:depth$}x", "")).collect();
        assert_eq!(depth(&blocks(&lines.join("\n"))), DEPTH_MAX);
    }

    #[test]
    fn what_a_device_prints_around_is_left_out_however_indented() {
        assert_eq!(blocks("vrf a\n  Building configuration...\n end\n vni 1\nexit-vrf\n Current configuration:\n").len(), 1);
        assert_eq!(depth(&blocks("  Building configuration...\n end\n")), 0);
    }

    #[test]
    fn an_exit_without_an_opening_is_skipped() {
        assert_eq!(blocks("exit\n exit\nvrf a\n vni 1\nexit-vrf\nexit\n").len(), 1);
    }
}
