//! Taking a tree of YAML apart, field by field, with every problem kept.

use std::str::FromStr;
use std::time::Duration;

use leafwall_intent::Place;
use leafwall_intent::yaml::{Located, Yaml};

/// What is wrong with a scenario's file, and where.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<(Place, String)>);

impl Problems {
    pub(super) fn add(&mut self, place: Place, message: impl Into<String>) {
        self.0.push((place, message.into()));
    }

    /// All of them, one a line, in the order of the file; `None` if there are none.
    pub(super) fn into_text(mut self, path: &str) -> Option<String> {
        self.0.sort();
        let lines: Vec<String> =
            self.0.iter().map(|(place, message)| format!("{path}:{}:{}: {message}", place.line, place.column)).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

/// The fields of a mapping that have not been asked for yet.
pub(super) struct Fields<'a> {
    place: Place,
    left: Vec<&'a (String, Place, Located)>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The fields of a value that must be a mapping.
    pub(super) fn of(value: &'a Located, problems: &mut Problems) -> Option<Self> {
        if let Yaml::Mapping(entries) = &value.value {
            return Some(Self { place: value.place, left: entries.iter().collect(), known: Vec::new() });
        }
        problems.add(value.place, "expected a mapping");
        None
    }

    /// A field that may be missing.
    pub(super) fn take(&mut self, key: &'static str) -> Option<&'a Located> {
        self.known.push(key);
        let index = self.left.iter().position(|entry| entry.0 == key)?;
        Some(&self.left.remove(index).2)
    }

    /// A field that must be there.
    pub(super) fn need(&mut self, key: &'static str, problems: &mut Problems) -> Option<&'a Located> {
        let found = self.take(key);
        if found.is_none() {
            problems.add(self.place, format!("`{key}` is missing"));
        }
        found
    }

    /// Reports what nobody asked for.
    pub(super) fn finish(self, problems: &mut Problems) {
        for (key, place, _) in self.left {
            problems.add(*place, format!("unknown field `{key}`; here stand {}", self.known.join(", ")));
        }
    }

    /// Where the mapping stands.
    pub(super) fn place(&self) -> Place {
        self.place
    }
}

/// A scalar's text.
pub(super) fn text<'a>(value: &'a Located, problems: &mut Problems) -> Option<&'a str> {
    if let Yaml::Text(text) = &value.value {
        return Some(text);
    }
    problems.add(value.place, "expected text");
    None
}

/// A scalar that parses.
pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(value: &Located, problems: &mut Problems) -> Option<T> {
    match text(value, problems)?.parse() {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            problems.add(value.place, error.to_string());
            None
        }
    }
}

/// A list, or one value that stands for a list of one.
pub(super) fn items(value: &Located) -> &[Located] {
    match &value.value {
        Yaml::List(items) => items,
        Yaml::Empty => &[],
        _ => std::slice::from_ref(value),
    }
}

/// All items that parse.
pub(super) fn list<T: FromStr<Err: std::fmt::Display>>(value: &Located, problems: &mut Problems) -> Vec<T> {
    items(value).iter().filter_map(|item| parsed(item, problems)).collect()
}

/// `true` or `false`.
pub(super) fn flag(value: &Located, problems: &mut Problems) -> Option<bool> {
    parsed(value, problems)
}

/// `500ms`, `5s` or `2m`.
pub(super) fn duration(value: &Located, problems: &mut Problems) -> Option<Duration> {
    let written = text(value, problems)?;
    let parsed = read_duration(written);
    if parsed.is_none() {
        problems.add(value.place, format!("`{written}` is no duration such as `500ms`, `5s` or `2m`"));
    }
    parsed
}

fn read_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    match &text[digits..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(read_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(read_duration("2m"), Some(Duration::from_mins(2)));
        for bad in ["", "5", "s", "-1s", "5 s", "5h"] {
            assert_eq!(read_duration(bad), None, "{bad}");
        }
    }
}
