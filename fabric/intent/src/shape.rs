//! What records look like, as data: the schema for editors and the reference are made from it, so that they cannot differ from what is read.

/// How often a field may stand in its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Exactly once.
    Required,
    /// Once or not at all.
    Optional,
    /// A list, which may be left out.
    List,
    /// A list with one entry at least.
    Some,
    /// A list of exactly two.
    Pair,
}

/// What a value looks like.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    /// Text of a certain form.
    Text {
        /// What it is called.
        name: &'static str,
        /// A regular expression that all legal texts match (ECMA 262, as JSON Schema wants it).
        pattern: &'static str,
    },
    /// A whole number.
    Number {
        /// What it is called.
        name: &'static str,
        low: u64,
        high: u64,
    },
    /// `true` or `false`
    Boolean,
    /// One of these words, each with its meaning.
    Words(Vec<(&'static str, &'static str)>),
    /// A list of values.
    List(Box<Shape>, How),
    /// A mapping whose keys are values.
    Map(Box<Shape>, Box<Shape>),
    /// A mapping with known fields.
    Record(RecordShape),
}

/// A mapping with known fields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RecordShape {
    /// The type's name, ending in `Intent`.
    pub name: &'static str,
    pub doc: &'static str,
    pub fields: Vec<FieldShape>,
    /// Fields of which exactly one is given.
    pub one_of: &'static [&'static str],
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldShape {
    pub key: &'static str,
    pub doc: &'static str,
    pub how: How,
    /// What one value, or one entry of the list, looks like.
    pub shape: Shape,
}
