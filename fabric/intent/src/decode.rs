//! From trees to records: every error is reported, and what is legible is kept.

use std::borrow::Cow;

use crate::codes::{self, Code};
use crate::diagnostic::Diagnostic;
use crate::findings::Findings;
use crate::shape::{How, RecordShape, Shape};
use crate::source::{Place, Spanned};
use crate::tree::{Entry, Node, Value};

mod links;
mod scalars;
mod words;

/// Something that can be read from a tree and says what it looks like.
pub(crate) trait Decode: Sized {
    /// Reads it. `None` if nothing of it is legible, which has been reported then.
    fn decode(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self>;

    /// What it looks like, for the schema and the reference.
    fn shape() -> Shape;
}

/// Where findings go while a document is read.
pub(crate) struct Reader<'d> {
    found: &'d mut Findings,
    /// The fields that lead to what is being read, with the place of each: of its key, or of the entry of its list.
    path: Vec<(&'static str, Place)>,
    /// How many cables the document's ranges have made so far.
    cables: usize,
}

impl<'d> Reader<'d> {
    pub(crate) fn new(found: &'d mut Findings) -> Self {
        Self { found, path: Vec::new(), cables: 0 }
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    pub(crate) fn error(&mut self, code: Code, place: Place, message: impl Into<String>) {
        self.push(Diagnostic::error(code, place, message));
    }

    /// Counts cables; `false` if there are too many, so that ranges cannot make an enormous fabric of a short file.
    pub(crate) fn takes(&mut self, cables: usize) -> bool {
        self.cables = self.cables.saturating_add(cables);
        self.cables <= links::CABLES_MAX
    }

    /// How many findings there are so far.
    pub(crate) fn count(&self) -> usize {
        self.found.count()
    }

    /// `spec.peers`
    fn path(&self) -> String {
        self.path.iter().map(|(key, _)| *key).collect::<Vec<_>>().join(".")
    }

    /// ` in `spec.peers``, or nothing at the top of a document.
    fn inside(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!(" in `{}`", self.path()) }
    }

    /// Reads a part below a field.
    pub(crate) fn within<T>(&mut self, key: &'static str, place: Place, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push((key, place));
        let result = read(self);
        self.path.pop();
        result
    }

    /// The place of a value, or if it is a mere point, of the field or entry that the value belongs to.
    fn better(&self, place: Place) -> Place {
        if place.length > 0 { place } else { self.path.last().map_or(place, |(_, place)| *place) }
    }

    fn empty(&mut self, place: Place) {
        // where nothing is written, the parser's place is that of whatever comes next
        let place = self.better(place);
        let message = format!("`{}` has no value", self.path());
        self.push(Diagnostic::error(codes::MISSING_FIELD, place, message).hint("give it one, or leave the field out if it has a default"));
    }

    pub(crate) fn mapping<'n, 'a>(&mut self, node: &'n Node<'a>) -> Option<&'n [Entry<'a>]> {
        match &node.value {
            Value::Mapping(entries) => return Some(entries),
            Value::Empty => self.empty(node.place),
            Value::Broken => {}
            Value::List(_) => {
                self.error(codes::NOT_A_MAPPING, node.place, format!("{} is a list where a mapping is expected", self.subject()));
            }
            Value::Plain(_) | Value::Quoted(_) => {
                self.error(codes::NOT_A_MAPPING, node.place, format!("{} is a single value where a mapping is expected", self.subject()));
            }
        }
        None
    }

    pub(crate) fn list<'n, 'a>(&mut self, node: &'n Node<'a>) -> Option<&'n [Node<'a>]> {
        match &node.value {
            Value::List(items) => return Some(items),
            Value::Empty => self.empty(node.place),
            Value::Broken => {}
            Value::Mapping(_) => {
                let message = format!("{} is a mapping where a list is expected", self.subject());
                self.push(Diagnostic::error(codes::NOT_A_LIST, node.place, message).hint("begin each entry with `- `"));
            }
            Value::Plain(text) | Value::Quoted(text) => {
                let message = format!("{} is a single value where a list is expected", self.subject());
                self.push(Diagnostic::error(codes::NOT_A_LIST, node.place, message).hint(format!("write `[{text}]`")));
            }
        }
        None
    }

    /// The text of a scalar, with or without quotes.
    pub(crate) fn text<'n>(&mut self, node: &'n Node<'_>) -> Option<&'n str> {
        match &node.value {
            Value::Plain(text) | Value::Quoted(text) => return Some(text),
            _ => self.no_scalar(node),
        }
        None
    }

    /// The text of a scalar that is a number or a boolean, so that it has no quotes.
    pub(crate) fn plain<'n>(&mut self, node: &'n Node<'_>, code: Code, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Plain(text) => return Some(text),
            Value::Quoted(text) => {
                let message = format!("{text:?} is text, not {what}");
                self.push(Diagnostic::error(code, node.place, message).hint("write it without quotes"));
            }
            _ => self.no_scalar(node),
        }
        None
    }

    fn no_scalar(&mut self, node: &Node<'_>) {
        let subject = self.subject();
        match &node.value {
            Value::Empty => self.empty(node.place),
            Value::List(_) => self.error(codes::NOT_A_SCALAR, node.place, format!("{subject} is a list where a single value is expected")),
            Value::Mapping(_) => {
                self.error(codes::NOT_A_SCALAR, node.place, format!("{subject} is a mapping where a single value is expected"));
            }
            Value::Broken | Value::Plain(_) | Value::Quoted(_) => {}
        }
    }

    fn subject(&self) -> String {
        if self.path.is_empty() { "the document".to_owned() } else { format!("`{}`", self.path()) }
    }

    /// A field that no record of this kind has.
    pub(crate) fn unknown_field<'f>(&mut self, entry: &Entry<'_>, fields: impl Iterator<Item = &'f str> + Clone) {
        let message = format!("unknown field `{}`{}", entry.key, self.inside());
        let hint = match nearest(&entry.key, fields.clone()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the fields here are {}", ticked(fields)),
        };
        self.push(Diagnostic::error(codes::UNKNOWN_FIELD, entry.key_place, message).hint(hint));
    }

    /// After the fields of a record: which must be there and are not.
    pub(crate) fn complete(&mut self, entries: &[Entry<'_>], place: Place, fields: &[(&'static str, How)]) {
        for (key, how) in fields {
            let needed = matches!(how, How::Required | How::Some | How::Pair);
            if needed && !entries.iter().any(|entry| entry.key == *key) {
                self.missing(key, place);
            }
        }
    }

    /// After the fields of a record: whether exactly one of some fields is there.
    pub(crate) fn exactly_one(&mut self, entries: &[Entry<'_>], place: Place, keys: &[&'static str], none: Code, several: Code) {
        let mut given = entries.iter().filter(|entry| keys.contains(&entry.key.as_ref()));
        match (given.next(), given.next()) {
            (None, _) => {
                let message = format!("none of {} is given{}", ticked(keys.iter().copied()), self.inside());
                self.error(none, self.better(place), message);
            }
            (Some(first), Some(second)) => {
                let message = format!("`{}` and `{}` exclude each other", first.key, second.key);
                let diagnostic = Diagnostic::error(several, second.key_place, message).with(first.key_place, "the other one");
                self.push(diagnostic.hint(format!("give exactly one of {}", ticked(keys.iter().copied()))));
            }
            (Some(_), None) => {}
        }
    }

    /// A field that must be there.
    pub(crate) fn missing(&mut self, key: &str, place: Place) {
        // a mapping without braces begins at its first field, which is not to blame
        let place = self.better(place);
        let message = format!("the field `{key}` is missing{}", self.inside());
        self.error(codes::MISSING_FIELD, place, message);
    }
}

/// `` `a`, `b` ``
fn ticked<'t>(words: impl Iterator<Item = &'t str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// The word that was probably meant: one that differs in case only, or in few letters.
pub(crate) fn nearest<'t>(written: &str, words: impl Iterator<Item = &'t str>) -> Option<&'t str> {
    const LONGEST: usize = 40; // the comparison is quadratic, and nobody mistypes that much
    if written.len() > LONGEST {
        return None;
    }
    let lower = written.to_ascii_lowercase();
    let close = |word: &str| distance(lower.as_bytes(), word.to_ascii_lowercase().as_bytes());
    words
        .map(|word| (close(word), word))
        .filter(|(far, word)| *far <= word.len().div_ceil(3).min(3))
        .min_by_key(|(far, _)| *far)
        .map(|(_, word)| word)
}

/// How many letters have to be put in, taken out or changed (Levenshtein).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Reads one value with its place.
pub(crate) fn one<T: Decode>(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Spanned<T>> {
    T::decode(node, reader).map(|value| Spanned::new(value, node.place))
}

/// Reads a list; an entry that is not legible is left out.
pub(crate) fn many<T: Decode>(node: &Node<'_>, reader: &mut Reader<'_>, how: How) -> Option<Vec<Spanned<T>>> {
    let items = reader.list(node)?;
    match how {
        How::Some if items.is_empty() => {
            reader.error(codes::EMPTY_LIST, node.place, format!("`{}` needs an entry at least", reader.path()));
        }
        How::Pair if items.len() != 2 => {
            reader.error(
                codes::WRONG_COUNT,
                node.place,
                format!("`{}` has {} entries where exactly two are expected", reader.path(), items.len()),
            );
        }
        _ => {}
    }
    let read = |item: &Node<'_>| {
        if let Some((_, place)) = reader.path.last_mut() {
            *place = item.place;
        }
        one(item, reader)
    };
    Some(items.iter().filter_map(read).collect())
}

impl<T: Decode> Decode for Vec<Spanned<T>> {
    fn decode(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        many(node, reader, How::List)
    }

    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()), How::List)
    }
}

impl<K: Decode, V: Decode> Decode for Vec<(Spanned<K>, Spanned<V>)> {
    fn decode(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let entries = reader.mapping(node)?;
        let read = |entry: &Entry<'_>, reader: &mut Reader<'_>| {
            // a key is a scalar like any other, only that its text is borrowed
            let key = Node { place: entry.key_place, value: Value::Quoted(Cow::Borrowed(entry.key.as_ref())) };
            let (key, value) = (one(&key, reader), one(&entry.node, reader));
            Some((key?, value?))
        };
        Some(entries.iter().filter_map(|entry| read(entry, reader)).collect())
    }

    fn shape() -> Shape {
        Shape::Map(Box::new(K::shape()), Box::new(V::shape()))
    }
}

/// Declares a record of the table: its fields with their names in YAML, how often they may stand there, and their types.
macro_rules! record {
    (
        $(#[doc = $doc:literal])+
        $name:ident {
            $($(#[doc = $field_doc:literal])+ $field:ident $key:literal: $how:ident $ty:ty,)+
        } $(one_of $none:ident $several:ident [$($one_of:literal),+])?
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name {
            $($(#[doc = $field_doc])+ pub $field: $crate::decode::record!(@type $how $ty),)+
        }

        impl $crate::decode::Decode for $name {
            fn decode(node: &$crate::tree::Node<'_>, reader: &mut $crate::decode::Reader<'_>) -> Option<Self> {
                const FIELDS: &[(&str, $crate::shape::How)] = &[$(($key, $crate::decode::record!(@how $how))),+];
                let entries = reader.mapping(node)?;
                let mut record = Self::default();
                for entry in entries {
                    match entry.key.as_ref() {
                        $($key => reader.within($key, entry.key_place, |reader| $crate::decode::record!(@decode $how record.$field, entry, reader)),)+
                        _ => reader.unknown_field(entry, [$($key),+].into_iter()),
                    }
                }
                reader.complete(entries, node.place, FIELDS);
                $(reader.exactly_one(entries, node.place, &[$($one_of),+], $crate::codes::$none, $crate::codes::$several);)?
                Some(record)
            }

            fn shape() -> $crate::shape::Shape {
                $crate::shape::Shape::Record($crate::shape::RecordShape {
                    name: stringify!($name),
                    doc: concat!($($doc),+),
                    fields: vec![$($crate::shape::FieldShape {
                        key: $key,
                        doc: concat!($($field_doc),+),
                        how: $crate::decode::record!(@how $how),
                        shape: <$ty as $crate::decode::Decode>::shape(),
                    }),+],
                    one_of: &[$($($one_of),+)?],
                })
            }
        }
    };

    (@type required $ty:ty) => { Option<$crate::source::Spanned<$ty>> };
    (@type optional $ty:ty) => { Option<$crate::source::Spanned<$ty>> };
    (@type list $ty:ty) => { Vec<$crate::source::Spanned<$ty>> };
    (@type some $ty:ty) => { Vec<$crate::source::Spanned<$ty>> };
    (@type pair $ty:ty) => { Vec<$crate::source::Spanned<$ty>> };
    (@type plain $ty:ty) => { $ty };

    (@how required) => { $crate::shape::How::Required };
    (@how optional) => { $crate::shape::How::Optional };
    (@how list) => { $crate::shape::How::List };
    (@how some) => { $crate::shape::How::Some };
    (@how pair) => { $crate::shape::How::Pair };
    (@how plain) => { $crate::shape::How::Optional };

    (@decode required $slot:expr, $entry:ident, $reader:ident) => { $slot = $crate::decode::one(&$entry.node, $reader) };
    (@decode optional $slot:expr, $entry:ident, $reader:ident) => { $slot = $crate::decode::one(&$entry.node, $reader) };
    (@decode plain $slot:expr, $entry:ident, $reader:ident) => {
        $slot = $crate::decode::Decode::decode(&$entry.node, $reader).unwrap_or_default()
    };
    (@decode $how:ident $slot:expr, $entry:ident, $reader:ident) => {
        $slot = $crate::decode::many(&$entry.node, $reader, $crate::decode::record!(@how $how)).unwrap_or_default()
    };
}
pub(crate) use record;

/// The shape of a record.
pub(crate) fn record_shape<T: Decode>() -> Option<RecordShape> {
    match T::shape() {
        Shape::Record(record) => Some(record),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_meant() {
        let words = ["platform", "role", "rack"];
        assert_eq!(nearest("plattform", words.into_iter()), Some("platform"));
        assert_eq!(nearest("Role", words.into_iter()), Some("role"));
        assert_eq!(nearest("colour", words.into_iter()), None);
        assert_eq!(nearest(&"x".repeat(1000), words.into_iter()), None);
    }
}
