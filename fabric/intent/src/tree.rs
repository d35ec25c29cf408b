//! One YAML document as a tree of scalars with places. The only module that names the YAML parser.
//!
//! Nothing is resolved here: `no`, `1e3` or `~` stay the text that was written until a field's type says how to read it. Anchors, aliases and tags are
//! errors, so that a short file cannot stand for an enormous one and every value has the place where somebody wrote it.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::findings::Findings;
use crate::source::{FileId, Place};

/// How deep a document may nest. No kind needs more than eight levels; the bound keeps recursion over the tree shallow.
pub(crate) const DEPTH_MAX: usize = 32;
/// How many values a document may have: the cabling of a thousand leaves has about 50,000.
pub(crate) const NODES_MAX: usize = 1_000_000;
/// From this size on, duplicate keys are looked up in a table.
const SMALL_MAPPING: usize = 16;

/// A value and its place.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub place: Place,
    pub value: Value<'a>,
}

#[derive(Debug)]
pub(crate) enum Value<'a> {
    /// Nothing was written, or `~`, or `null`.
    Empty,
    /// Text as it stands, without quotes.
    Plain(Cow<'a, str>),
    /// Text in quotes or as a block.
    Quoted(Cow<'a, str>),
    List(Vec<Node<'a>>),
    /// No key stands twice.
    Mapping(Vec<Entry<'a>>),
    /// Something that has been reported already.
    Broken,
}

/// A field of a mapping.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub key: Cow<'a, str>,
    pub key_place: Place,
    pub node: Node<'a>,
}

/// Reads the documents in `text`, which begins on line `first_line` of its file. After a syntax error the rest of `text` is not read.
pub(crate) fn documents<'a>(file: FileId, first_line: u32, text: &'a str, found: &mut Findings) -> Vec<Node<'a>> {
    Builder { file, line_offset: first_line.saturating_sub(1), stack: Vec::new(), roots: Vec::new(), nodes: 0, found }.run(text)
}

enum Frame<'a> {
    List { place: Place, items: Vec<Node<'a>> },
    Mapping { place: Place, entries: Vec<Entry<'a>>, key: Key<'a>, index: HashMap<Cow<'a, str>, Place> },
}

/// What a mapping waits for.
enum Key<'a> {
    /// A key.
    Expected,
    /// The value of this key.
    Read(Cow<'a, str>, Place),
    /// A value that is thrown away, since its key has been reported.
    Refused,
}

struct Builder<'a, 'd> {
    file: FileId,
    line_offset: u32,
    stack: Vec<Frame<'a>>,
    roots: Vec<Node<'a>>,
    nodes: usize,
    found: &'d mut Findings,
}

impl<'a> Builder<'a, '_> {
    fn run(mut self, text: &'a str) -> Vec<Node<'a>> {
        for event in Parser::new_from_str(text) {
            match event {
                Ok((event, span)) => {
                    if let Err(diagnostic) = self.event(event, span) {
                        self.found.push(*diagnostic);
                        break;
                    }
                }
                Err(error) => {
                    let place = self.point(error.marker());
                    // the parser says where an anchor was not found in the same way as any other error; ours says what to do about it
                    let diagnostic = if error.info().contains("anchor") { alias(place) } else { syntax(place, error.info()) };
                    self.found.push(diagnostic);
                    break;
                }
            }
        }
        self.roots
    }

    fn event(&mut self, event: Event<'a>, span: Span) -> Result<(), Box<Diagnostic>> {
        let place = self.place(span);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => return Ok(()),
            Event::Alias(_) => {
                self.found.push(alias(place));
                self.close(Node { place, value: Value::Broken });
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse(anchor, tag.is_some(), place);
                let value = match style {
                    ScalarStyle::Plain if matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL") => Value::Empty,
                    ScalarStyle::Plain => Value::Plain(text),
                    _ => Value::Quoted(text),
                };
                self.close(Node { place, value });
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse(anchor, tag.is_some(), place);
                self.stack.push(Frame::List { place, items: Vec::new() });
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse(anchor, tag.is_some(), place);
                self.stack.push(Frame::Mapping { place, entries: Vec::new(), key: Key::Expected, index: HashMap::new() });
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(Frame::List { place, items }) => self.close(Node { place, value: Value::List(items) }),
                Some(Frame::Mapping { place, entries, .. }) => self.close(Node { place, value: Value::Mapping(entries) }),
                None => {}
            },
        }
        self.nodes += 1;
        if self.stack.len() > DEPTH_MAX {
            let message = format!("the document is nested more than {DEPTH_MAX} levels deep");
            return Err(Box::new(Diagnostic::error(codes::TOO_DEEP, place, message)));
        }
        if self.nodes > NODES_MAX {
            let message = format!("the document has more than {NODES_MAX} values");
            return Err(Box::new(Diagnostic::error(codes::FILE_TOO_LARGE, place, message)));
        }
        Ok(())
    }

    fn refuse(&mut self, anchor: usize, tagged: bool, place: Place) {
        if anchor > 0 {
            self.found.push(alias(place));
        }
        if tagged {
            self.found.push(Diagnostic::error(codes::TAG, place, "a value has a YAML tag").hint("leave out the word that begins with `!`"));
        }
    }

    /// A node is complete: it goes where its parent waits for it.
    fn close(&mut self, node: Node<'a>) {
        match self.stack.last_mut() {
            None => {
                self.nodes = 0;
                self.roots.push(node);
            }
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Mapping { entries, key, index, .. }) => match std::mem::replace(key, Key::Expected) {
                Key::Expected => *key = check_key(node, entries, index, self.found),
                Key::Read(text, key_place) => {
                    if entries.len() == SMALL_MAPPING {
                        index.extend(entries.iter().map(|entry| (entry.key.clone(), entry.key_place)));
                    }
                    if entries.len() >= SMALL_MAPPING {
                        index.insert(text.clone(), key_place);
                    }
                    entries.push(Entry { key: text, key_place, node });
                }
                Key::Refused => {}
            },
        }
    }

    fn point(&self, marker: &Marker) -> Place {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Place {
            file: self.file,
            line: number(marker.line()).max(1).saturating_add(self.line_offset),
            column: number(marker.col()).saturating_add(1),
            length: 0,
        }
    }

    fn place(&self, span: Span) -> Place {
        let on_one_line = span.start.line() == span.end.line();
        let length = if on_one_line { span.end.col().saturating_sub(span.start.col()) } else { 1 };
        Place { length: u32::try_from(length).unwrap_or(1), ..self.point(&span.start) }
    }
}

/// Takes a node as the key of the next entry, or says why not (H15).
fn check_key<'a>(node: Node<'a>, entries: &[Entry<'a>], index: &HashMap<Cow<'a, str>, Place>, found: &mut Findings) -> Key<'a> {
    let (Value::Plain(text) | Value::Quoted(text)) = node.value else {
        if !matches!(node.value, Value::Broken) {
            found.push(Diagnostic::error(codes::KEY_NOT_TEXT, node.place, "the name of a field is not text"));
        }
        return Key::Refused;
    };
    let earlier = if entries.len() > SMALL_MAPPING {
        index.get(&text).copied()
    } else {
        entries.iter().find(|entry| entry.key == text).map(|entry| entry.key_place)
    };
    match earlier {
        Some(earlier) => {
            let message = format!("`{text}` stands twice in one mapping");
            found.push(Diagnostic::error(codes::DUPLICATE_KEY, node.place, message).with(earlier, "first here"));
            Key::Refused
        }
        None => Key::Read(text, node.place),
    }
}

fn alias(place: Place) -> Diagnostic {
    Diagnostic::error(codes::ALIAS, place, "anchors and aliases are not allowed").hint("write the value out where it is needed")
}

/// A syntax error in the parser's words.
pub(crate) fn syntax(place: Place, why: &str) -> Diagnostic {
    Diagnostic::error(codes::YAML_SYNTAX, place, format!("this is not YAML: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, Vec<String>) {
        let mut found = Findings::default();
        let nodes = documents(FileId(0), 1, text, &mut found);
        let found = found
            .into_parts()
            .0
            .iter()
            .map(|d| format!("{}@{}:{}+{} {}", d.code, d.primary.line, d.primary.column, d.primary.length, d.message))
            .collect();
        (nodes.iter().map(show).collect::<Vec<_>>().join(" | "), found)
    }

    fn show(node: &Node<'_>) -> String {
        let at = format!("@{}:{}+{}", node.place.line, node.place.column, node.place.length);
        match &node.value {
            Value::Empty => format!("-{at}"),
            Value::Broken => format!("!{at}"),
            Value::Plain(text) => format!("{text}{at}"),
            Value::Quoted(text) => format!("{text:?}{at}"),
            Value::List(items) => format!("[{}]{at}", items.iter().map(show).collect::<Vec<_>>().join(", ")),
            Value::Mapping(entries) => {
                let entry = |e: &Entry<'_>| format!("{}@{}:{}: {}", e.key, e.key_place.line, e.key_place.column, show(&e.node));
                format!("{{{}}}{at}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
        }
    }

    #[test]
    fn values_keep_their_places() {
        let (tree, found) = read("a: b  # c\nd:\n  - é: \"x y\"\n    f: {g: [1, ~]}\n");
        assert_eq!(found, Vec::<String>::new());
        let inner = "{é@3:5: \"x y\"@3:8+5, f@4:5: {g@4:9: [1@4:13+1, -@4:16+1]@4:12+1}@4:8+1}@3:5+0";
        assert_eq!(tree, format!("{{a@1:1: b@1:4+1, d@2:1: [{inner}]@3:3+0}}@1:1+0"));
    }

    #[test]
    fn h15_a_key_stands_once() {
        let (_, found) = read("a: 1\nb: 2\na: 3\n");
        assert_eq!(found, ["LW0107@3:1+1 `a` stands twice in one mapping"]);
        let many: String = (0..40).map(|n| format!("k{n}: {n}\n")).chain(["k3: 0\n".to_owned(), "k39: 0\n".to_owned()]).collect();
        let (tree, found) = read(&many);
        assert_eq!(found, ["LW0107@41:1+2 `k3` stands twice in one mapping", "LW0107@42:1+3 `k39` stands twice in one mapping"]);
        assert!(tree.contains("k3@4:1: 3@4:5+1"));
    }

    #[test]
    fn nothing_expands() {
        let (_, found) = read("a: &x [1]\nb: [*x, *x]\n");
        assert_eq!(found.iter().filter(|f| f.starts_with("LW0105")).count(), 3, "{found:?}");
        let (_, found) = read("a: *nowhere\n");
        assert!(found[0].starts_with("LW0105"), "{found:?}");
        let (_, found) = read("a: !!str 1\n");
        assert!(found[0].starts_with("LW0106"), "{found:?}");
    }

    #[test]
    fn depth_is_bounded() {
        for deep in ["[".repeat(100), "{a: ".repeat(100), "- ".repeat(100)] {
            let (_, found) = read(&deep);
            assert!(found[0].starts_with("LW0104"), "{found:?}");
        }
    }

    #[test]
    fn keys_are_text() {
        let (_, found) = read("? [a]\n: 1\n? {b: c}\n: 2\n~: 3\n");
        assert_eq!(found.iter().filter(|f| f.starts_with("LW0108")).count(), 3, "{found:?}");
    }
}
