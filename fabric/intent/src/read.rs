//! From files to intents: the texts are cut into documents, which are read on all cores.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use leafwall_topology::Name;
use rayon::prelude::*;

use crate::codes;
use crate::decode::{Decode, Reader, one};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::findings::Findings;
use crate::raw::{Entries, Intents, Object, Text};
use crate::source::{FileId, Place, SourceFile, Sources};
use crate::tree::{self, Entry, Node, Value};

/// The largest file that is read. A fabric of a thousand leaves has about 10 MiB.
pub const FILE_MAX: usize = 64 << 20;
/// The one version of the format.
pub const API_VERSION: &str = "leafwall.io/v1";
/// The file beside the intents that keeps the allocation table; not an intent itself.
pub const ALLOCATION_FILE: &str = "allocation.yaml";
/// About how many bytes of documents one task reads.
const PIECE: usize = 64 << 10;

/// What each file was read to last. A file that stands at the same place with the same text is not read again; of another one, the documents that stand at the same
/// line with the same text are not.
#[derive(Debug, Default)]
pub(crate) struct Texts(Vec<(SourceFile, Arc<Part>)>);

/// Reads all files. What could be read is in the Intents even if there are errors, so that everything that is wrong can be found in one run. The result
/// does not depend on the order of the files or the number of threads. A file called `allocation.yaml` is not read here.
pub fn read(files: &[SourceFile]) -> (Intents, Diagnostics) {
    read_again(files, &mut Texts::default())
}

/// The same, with what is known.
pub(crate) fn read_again(files: &[SourceFile], known: &mut Texts) -> (Intents, Diagnostics) {
    let sources = Arc::new(Sources::new(files.to_vec()));
    let before = |id: FileId, file: &SourceFile| {
        let (same, part) = known.0.get(id.0 as usize)?;
        (same.path == file.path && (Arc::ptr_eq(&same.text, &file.text) || same.text == file.text)).then(|| Arc::clone(part))
    };
    let known_parts: Vec<Option<Arc<Part>>> = sources.iter().map(|(id, file)| before(id, file)).collect();
    let open = || sources.iter().zip(&known_parts).filter(|(_, part)| part.is_none()).map(|(file, _)| file);
    let mut pieces: Vec<Piece<'_>> = open().filter(|(_, file)| is_legible(file)).flat_map(|(id, file)| cut(id, &file.text)).collect();
    let mut stayed: HashMap<FileId, (&Arc<Part>, Vec<Range<u32>>)> = HashMap::new();
    for (id, file) in open() {
        if let Some((same, part)) = known.0.get(id.0 as usize).filter(|(same, part)| same.path == file.path && part.found.count() == 0) {
            stayed.insert(id, (part, stay(id, &same.text, pieces.iter_mut().filter(|piece| piece.file == id))));
        }
    }
    let mut read = pieces.par_iter().map(|piece| (piece.file, read_piece(piece))).collect::<Vec<_>>().into_iter().peekable();
    let mut parts = Vec::new();
    for ((id, file), known) in sources.iter().zip(known_parts) {
        let part = known.unwrap_or_else(|| {
            let mut part = Part { found: unreadable(id, file), ..Part::default() };
            if let Some((before, lines)) = stayed.get(&id) {
                append_lines(&mut part.intents, &before.intents, lines);
            }
            while let Some((_, piece)) = read.next_if(|(of, _)| *of == id) {
                part.found.append(piece.found);
                append(&mut part.intents, piece.intents);
            }
            sort(&mut part.intents);
            Arc::new(part)
        });
        parts.push((file.clone(), part));
    }
    let mut intents = Intents { sources: Arc::clone(&sources), ..Intents::default() };
    let mut diagnostics = Diagnostics::new();
    for (_, part) in &parts {
        append(&mut intents, part.intents.clone());
        // of each file on its own, so that one with too many findings hides nothing of the others
        let (kept, omitted) = part.found.clone().into_parts();
        diagnostics.extend(kept);
        diagnostics.omit(omitted);
    }
    diagnostics.sort();
    intents.sound = !diagnostics.has_errors();
    known.0 = parts;
    (intents, diagnostics)
}

/// Takes those documents out of a file's pieces that stood at the same line with the same text before; their first lines, each with the next one's.
fn stay<'p, 't: 'p>(id: FileId, before: &str, pieces: impl Iterator<Item = &'p mut Piece<'t>>) -> Vec<Range<u32>> {
    let old = cut(id, before);
    let starts: Vec<(u32, &str)> = old.iter().flat_map(|piece| piece.documents.iter().copied()).collect();
    let ends = starts.iter().skip(1).map(|(line, _)| *line).chain([u32::MAX]);
    let known: HashMap<u32, (u32, &str)> = starts.iter().zip(ends).map(|((line, text), end)| (*line, (end, *text))).collect();
    let mut stayed = Vec::new();
    for piece in pieces {
        piece.documents.retain(|(line, text)| match known.get(line) {
            Some((end, same)) if same == text => {
                stayed.push(*line..*end);
                false
            }
            _ => true,
        });
    }
    stayed
}

/// Whether a file is read for its documents.
fn is_legible(file: &SourceFile) -> bool {
    file.text.len() <= FILE_MAX && !is_allocation(file)
}

/// What is wrong with a file before anybody reads it.
fn unreadable(id: FileId, file: &SourceFile) -> Findings {
    let mut found = Findings::default();
    if file.text.len() > FILE_MAX {
        let message = format!("the file has {} bytes: {FILE_MAX} are allowed", file.text.len());
        found.push(Diagnostic::error(codes::FILE_TOO_LARGE, start_of(id), message));
    } else if !is_allocation(file)
        && let Some(diagnostic) = not_utf8(id, &file.text)
    {
        found.push(diagnostic);
    }
    found
}

/// Whether this is the file that keeps the allocation table.
pub fn is_allocation(file: &SourceFile) -> bool {
    file.path.rsplit(['/', '\\']).next() == Some(ALLOCATION_FILE)
}

/// The place of the first character that stands for bytes which are not UTF-8 ([`SourceFile::from_bytes`]). Nobody writes that one by intention.
fn not_utf8(file: FileId, text: &str) -> Option<Diagnostic> {
    let at = text.find(char::REPLACEMENT_CHARACTER)?;
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
    let place = Place { file, line: number(before.matches('\n').count()), column: number(before[line_start..].chars().count()), length: 1 };
    Some(Diagnostic::error(codes::NOT_UTF8, place, "bytes that are not UTF-8").hint("save the file in UTF-8"))
}

/// The first character of a file.
pub fn start_of(file: FileId) -> Place {
    Place { file, line: 1, column: 1, length: 0 }
}

/// Some documents of a file, from this line on.
struct Piece<'a> {
    file: FileId,
    /// Each with the number of its first line.
    documents: Vec<(u32, &'a str)>,
}

#[derive(Debug, Default)]
struct Part {
    intents: Intents,
    found: Findings,
}

/// Cuts a text before each line that begins a document, so that a syntax error in one leaves the others legible. `---` at the start of a line begins a
/// document wherever it stands (YAML 1.2.2 §9.1.2: no scalar may contain it there), so this needs no parser.
fn cut(file: FileId, text: &str) -> Vec<Piece<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut pieces = vec![Piece { file, documents: Vec::new() }];
    let (mut begin, mut begin_line, mut size) = (0, 1u32, 0);
    let mut add = |from: usize, to: usize, first_line: u32| {
        if from == to {
            return;
        }
        if size > PIECE {
            pieces.push(Piece { file, documents: Vec::new() });
            size = 0;
        }
        size += to - from;
        if let Some(piece) = pieces.last_mut() {
            piece.documents.push((first_line, &text[from..to]));
        }
    };
    for (offset, line) in starts(text).skip(1) {
        add(begin, offset, begin_line);
        (begin, begin_line) = (offset, line);
    }
    add(begin, text.len(), begin_line);
    pieces
}

/// Where the documents of a text begin, with the numbers of those lines: the first at the beginning, whatever is there.
fn starts(text: &str) -> impl Iterator<Item = (usize, u32)> {
    let mut next = (0, 1u32);
    let lines = text.split_inclusive('\n').filter_map(move |line| {
        let at = next;
        next = (at.0 + line.len(), at.1.saturating_add(1));
        (at.0 > 0 && is_document_start(line)).then_some(at)
    });
    std::iter::once((0, 1)).chain(lines)
}

/// The same of a file, in which a byte order mark belongs to the first document.
pub(crate) fn document_starts(text: &str) -> Vec<(usize, u32)> {
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let text = text.get(mark..).unwrap_or_default();
    starts(text).map(|(at, line)| (if at == 0 { 0 } else { at + mark }, line)).collect()
}

fn is_document_start(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn read_piece(piece: &Piece<'_>) -> Part {
    let mut part = Part::default();
    for (first_line, text) in &piece.documents {
        if let Some(diagnostic) = control_character(piece.file, *first_line, text) {
            part.found.push(diagnostic);
            continue;
        }
        for root in tree::documents(piece.file, *first_line, text, &mut part.found) {
            document(&root, &mut part);
        }
    }
    part
}

/// YAML forbids control characters (§5.1), and to the parser a zero is the end of the text: what stands behind one would be ignored in silence. A carriage
/// return alone is a line's end to YAML, but not to editors, so that places would be wrong.
fn control_character(file: FileId, first_line: u32, text: &str) -> Option<Diagnostic> {
    let bytes = text.as_bytes();
    let bad = |(at, byte): (usize, &u8)| match byte {
        b'\t' | b'\n' => false,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        0..=0x1f | 0x7f => true,
        _ => false,
    };
    let at = bytes.iter().enumerate().position(bad)?;
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let line = first_line.saturating_add(number(before.matches('\n').count()));
    let place = Place { file, line, column: number(before[line_start..].chars().count()).saturating_add(1), length: 1 };
    Some(tree::syntax(place, &format!("a control character U+{:04X}", bytes[at])))
}

/// Reads one document by its kind.
fn document(root: &Node<'_>, part: &mut Part) {
    if matches!(root.value, Value::Empty) {
        return; // nothing between two `---`, or only comments
    }
    let before = part.found.count();
    let mut reader = Reader::new(&mut part.found);
    let Some(entries) = reader.mapping(root) else { return };
    for entry in entries {
        if !matches!(entry.key.as_ref(), "apiVersion" | "kind" | "metadata" | "spec") {
            reader.unknown_field(entry, ["apiVersion", "kind", "metadata", "spec"].into_iter());
        }
    }
    let field = |key: &str| entries.iter().find(|entry| entry.key == key);
    api_version(field("apiVersion"), root.place, &mut reader);
    let kind = if let Some(entry) = field("kind") {
        reader.within("kind", entry.key_place, |reader| reader.text(&entry.node)).map(|text| (text, entry.node.place))
    } else {
        reader.missing("kind", root.place);
        None
    };
    let (name, labels) = metadata(field("metadata"), root.place, &mut reader);
    let Some((kind, place)) = kind else { return };
    let document = Document { name, labels, place, spec: field("spec"), before };
    by_kind(kind, document, &mut reader, &mut part.intents);
}

fn api_version(entry: Option<&Entry<'_>>, place: Place, reader: &mut Reader<'_>) {
    let Some(entry) = entry else { return reader.missing("apiVersion", place) };
    let Some(text) = reader.within("apiVersion", entry.key_place, |reader| reader.text(&entry.node)) else { return };
    if text != API_VERSION {
        let message = format!("`{}` is not a version that is known here", text.chars().take(60).collect::<String>());
        reader.push(Diagnostic::error(codes::UNKNOWN_API_VERSION, entry.node.place, message).hint(format!("write `{API_VERSION}`")));
    }
}

crate::decode::record! {
    /// What every object has.
    MetadataIntent {
        /// Its name, once in its kind.
        name "name": required Name,
        /// Free labels.
        labels "labels": plain Entries<Text, Text>,
    }
}

fn metadata(
    entry: Option<&Entry<'_>>,
    place: Place,
    reader: &mut Reader<'_>,
) -> (Option<crate::source::Spanned<Name>>, Entries<Text, Text>) {
    let Some(entry) = entry else {
        reader.missing("metadata", place);
        return (None, Entries::new());
    };
    let metadata = reader.within("metadata", entry.key_place, |reader| MetadataIntent::decode(&entry.node, reader)).unwrap_or_default();
    (metadata.name, metadata.labels)
}

/// What is known of a document before its spec is read.
struct Document<'n, 'a> {
    name: Option<crate::source::Spanned<Name>>,
    labels: Entries<Text, Text>,
    place: Place,
    spec: Option<&'n Entry<'a>>,
    /// How many findings there were before this document.
    before: usize,
}

fn object<S: Decode + Default>(document: Document<'_, '_>, reader: &mut Reader<'_>) -> Option<Object<S>> {
    let Document { name, labels, place, spec, before } = document;
    let spec = if let Some(entry) = spec {
        reader.within("spec", entry.key_place, |reader| one(&entry.node, reader)).map(|spec| spec.value)
    } else {
        // fine where nothing is required: a record decoded from no fields says what is missing
        let nothing = Node { place, value: Value::Mapping(Vec::new()) };
        reader.within("spec", place, |reader| S::decode(&nothing, reader))
    };
    let sound = reader.count() == before;
    Some(Object { name: name?, labels, spec: spec.unwrap_or_default(), place, sound })
}

/// The one list of kinds: how each is called, where its objects go, and what it is described by.
macro_rules! kinds {
    ($($kind:literal: $list:ident, $spec:ty, $group:ident;)+) => {
        fn by_kind(kind: &str, document: Document<'_, '_>, reader: &mut Reader<'_>, intents: &mut Intents) {
            match kind {
                $($kind => intents.$list.extend(object::<$spec>(document, reader).map(Arc::new)),)+
                _ => unknown_kind(kind, document.place, reader),
            }
        }

        fn append(all: &mut Intents, part: Intents) {
            $(all.$list.extend(part.$list);)+
        }

        /// Appends what stands in these lines, of which each begins a document.
        fn append_lines(all: &mut Intents, part: &Intents, lines: &[Range<u32>]) {
            $(for object in &part.$list {
                let at = lines.partition_point(|lines| lines.start <= object.place.line);
                if at.checked_sub(1).and_then(|at| lines.get(at)).is_some_and(|lines| lines.contains(&object.place.line)) {
                    all.$list.push(Arc::clone(object));
                }
            })+
        }

        /// In the order of places.
        fn sort(intents: &mut Intents) {
            $(intents.$list.sort_by_key(|object| object.place);)+
        }

        /// All kinds with their shapes, operators' first.
        pub(crate) fn kinds() -> Vec<Kind> {
            vec![$(Kind { name: $kind, author: Author::$group, shape: crate::decode::record_shape::<$spec>() }),+]
        }

        const KINDS: &[&str] = &[$($kind),+];
    };
}

/// Who writes objects of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    Operator,
    Tenant,
}

/// A kind of object.
pub(crate) struct Kind {
    pub name: &'static str,
    pub author: Author,
    pub shape: Option<crate::shape::RecordShape>,
}

kinds! {
    "Fabric": fabrics, crate::raw::FabricIntent, Operator;
    "Switch": switches, crate::raw::SwitchIntent, Operator;
    "Cabling": cablings, crate::raw::CablingIntent, Operator;
    "Server": servers, crate::raw::ServerIntent, Operator;
    "Tenant": tenants, crate::raw::TenantIntent, Tenant;
    "Network": networks, crate::raw::NetworkIntent, Tenant;
    "Allocation": allocations, crate::raw::AllocationIntent, Tenant;
    "Address": addresses, crate::raw::AddressIntent, Tenant;
    "Peering": peerings, crate::raw::PeeringIntent, Tenant;
    "Firewall": firewalls, crate::raw::FirewallIntent, Tenant;
    "FirewallPolicy": policies, crate::raw::FirewallPolicyIntent, Tenant;
}

fn unknown_kind(kind: &str, place: Place, reader: &mut Reader<'_>) {
    let message = format!("`{}` is not a kind of intent", kind.chars().take(60).collect::<String>());
    let diagnostic = Diagnostic::error(codes::UNKNOWN_KIND, place, message);
    reader.push(match crate::decode::nearest(kind, KINDS.iter().copied()) {
        _ if kind == "Scenario" => diagnostic.hint("scenarios go into the directory `scenarios` beside the intents"),
        Some(meant) => diagnostic.hint(format!("did you mean `{meant}`?")),
        None => diagnostic.hint(format!("the kinds are {}", KINDS.join(", "))),
    });
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
