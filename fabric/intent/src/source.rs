//! Texts and places in them.

use std::ops::Deref;
use std::sync::Arc;

/// A file of intents, read by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// How diagnostics name it: its path relative to the fabric's directory.
    pub path: String,
    /// What is in it.
    pub text: Arc<str>,
}

impl SourceFile {
    /// A file from its bytes. What is not UTF-8 becomes U+FFFD, which reading refuses, with its place.
    pub fn from_bytes(path: impl Into<String>, bytes: &[u8]) -> Self {
        Self { path: path.into(), text: String::from_utf8_lossy(bytes).into() }
    }
}

/// Which of the [`Sources`] a place lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// A stretch of one line of one file. Ordered by file, then line, then column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// How many characters it has on that line; 0 where it is a point.
    pub length: u32,
}

/// A value and where it was written. Two are equal if the values are.
#[derive(Debug, Clone, Copy)]
pub struct Spanned<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub place: Place,
}

impl<T> Spanned<T> {
    /// A value at its place.
    pub const fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

impl<T> Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// All files of a run, sorted by path, so that nothing depends on the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    files: Vec<SourceFile>,
}

impl Sources {
    /// These files, sorted.
    pub fn new(mut files: Vec<SourceFile>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { files }
    }

    /// Each file with its id.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        (0..).map(FileId).zip(&self.files)
    }

    /// How a file is called.
    pub fn path(&self, file: FileId) -> &str {
        self.files.get(file.0 as usize).map_or("?", |file| &file.path)
    }

    /// The same with other names for some files, and with nothing in all others: so that places stay what they are, and nobody is shown what is not theirs.
    #[must_use]
    pub fn only(&self, name: impl Fn(&str) -> Option<String>) -> Self {
        let hidden = || SourceFile { path: String::new(), text: "".into() };
        let shown = |file: &SourceFile| name(&file.path).map_or_else(hidden, |path| SourceFile { path, text: Arc::clone(&file.text) });
        Self { files: self.files.iter().map(shown).collect() }
    }

    /// Ways to the lines of these files.
    pub fn lines(&self) -> Lines<'_> {
        Lines { sources: self, starts: vec![None; self.files.len()] }
    }
}

/// The lines of all files; a file is searched once, when the first line of it is asked for.
#[derive(Debug)]
pub struct Lines<'a> {
    sources: &'a Sources,
    /// For each file where its lines begin.
    starts: Vec<Option<Vec<usize>>>,
}

impl<'a> Lines<'a> {
    /// A line of a file, counted from 1, without its end.
    pub fn get(&mut self, file: FileId, line: u32) -> Option<&'a str> {
        let text = &self.sources.files.get(file.0 as usize)?.text;
        let starts = self.starts.get_mut(file.0 as usize)?.get_or_insert_with(|| {
            let after = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(after).collect()
        });
        let start = *starts.get(line.checked_sub(1)? as usize)?;
        text.get(start..)?.lines().next()
    }
}
