//! The reference of all kinds and fields, `docs/intents.md`, from the table that also decodes.

use std::fmt::Write as _;

use crate::read::{API_VERSION, Author, Kind, MetadataIntent, kinds};
use crate::shape::{FieldShape, How, RecordShape, Shape};

mod pages;

/// `docs/intents.md`
pub fn markdown() -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", pages::HEAD.trim());
    if let Some(shape) = crate::decode::record_shape::<MetadataIntent>() {
        let _ = writeln!(out, "\n## Every object\n\n`apiVersion: {API_VERSION}`, a `kind`, and `metadata`:\n");
        table(&mut out, &shape);
    }
    let _ = writeln!(out, "\n## Values\n\n| value | how it is written |\n|---|---|");
    for (name, meaning) in pages::VALUES {
        let _ = writeln!(out, "| {name} | {meaning} |");
    }
    let kinds = kinds();
    for (title, author) in [("What operators write", Author::Operator), ("What tenants write, or operators for them", Author::Tenant)] {
        let _ = writeln!(out, "\n## {title}");
        kinds.iter().filter(|kind| kind.author == author).for_each(|kind| page(&mut out, kind));
    }
    out
}

/// Each kind's example, as it stands in the reference.
pub fn examples() -> impl Iterator<Item = (&'static str, &'static str)> {
    pages::PAGES.iter().map(|page| (page.kind, page.example))
}

fn page(out: &mut String, kind: &Kind) {
    let (Some(shape), Some(page)) = (&kind.shape, pages::PAGES.iter().find(|page| page.kind == kind.name)) else { return };
    let _ = writeln!(out, "\n### {}\n\n{}\n\n{}\n", kind.name, shape.doc.trim(), page.notes.trim());
    table(out, shape);
    let _ = writeln!(out, "\n```yaml\n{}\n```", page.example.trim());
}

fn table(out: &mut String, shape: &RecordShape) {
    let _ = writeln!(out, "| field | value | meaning |\n|---|---|---|");
    rows(out, shape, "");
}

/// One row for each field, those of nested records behind their own.
fn rows(out: &mut String, shape: &RecordShape, path: &str) {
    for field in &shape.fields {
        let list = matches!(field.how, How::List | How::Some | How::Pair);
        let path = format!("{path}{}{}", field.key, if list { "[]" } else { "" });
        let needed = if is_required(field) && !shape.one_of.contains(&field.key) { " **required**" } else { "" };
        let count = match field.how {
            How::Some => ", one at least",
            How::Pair => ", exactly two",
            How::Required | How::Optional | How::List => "",
        };
        let _ = writeln!(out, "| `{path}`{needed} | {}{count} | {}{} |", called(&field.shape), field.doc.trim(), meanings(&field.shape));
        match &field.shape {
            Shape::Record(inner) => rows(out, inner, &format!("{path}.")),
            Shape::Map(_, value) => {
                if let Shape::Record(inner) = value.as_ref() {
                    rows(out, inner, &format!("{path}.*."));
                }
            }
            _ => {}
        }
    }
}

fn is_required(field: &FieldShape) -> bool {
    matches!(field.how, How::Required | How::Some | How::Pair)
}

/// How a value is called in the table.
fn called(shape: &Shape) -> String {
    match shape {
        Shape::Text { name, .. } => (*name).to_owned(),
        Shape::Number { name, low, high } => format!("{name}, {low} to {high}"),
        Shape::Boolean => "`true` or `false`".to_owned(),
        Shape::Words(words) => words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Shape::List(entry, How::Pair) => format!("list of two: {}", called(entry)),
        Shape::List(entry, _) => format!("list: {}", called(entry)),
        Shape::Map(key, value) => format!("mapping: {} to {}", called(key), called(value)),
        Shape::Record(_) => "mapping".to_owned(),
    }
}

/// What each word of a field means.
fn meanings(shape: &Shape) -> String {
    let Shape::Words(words) = shape else { return String::new() };
    let each: Vec<String> = words.iter().map(|(word, meaning)| format!("`{word}`: {meaning}")).collect();
    format!(" {}.", each.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceFile;

    #[test]
    fn every_kind_has_a_page() {
        let pages: Vec<&str> = pages::PAGES.iter().map(|page| page.kind).collect();
        let kinds: Vec<&str> = kinds().iter().map(|kind| kind.name).collect();
        assert_eq!(pages, kinds);
    }

    #[test]
    fn every_example_can_be_read() {
        for (kind, example) in examples() {
            let file = SourceFile { path: format!("{kind}.yaml"), text: example.into() };
            let (intents, found) = crate::read(&[file]);
            assert!(found.is_empty(), "{}", found.render(&intents.sources, crate::Style::Plain));
        }
    }

    #[test]
    fn every_form_of_text_is_explained() {
        fn texts(shape: &Shape, all: &mut Vec<&'static str>) {
            match shape {
                Shape::Text { name, .. } => all.push(name),
                Shape::List(entry, _) => texts(entry, all),
                Shape::Map(key, value) => {
                    texts(key, all);
                    texts(value, all);
                }
                Shape::Record(record) => record.fields.iter().for_each(|field| texts(&field.shape, all)),
                Shape::Number { .. } | Shape::Boolean | Shape::Words(_) => {}
            }
        }
        let mut all = Vec::new();
        kinds().into_iter().filter_map(|kind| kind.shape).for_each(|shape| texts(&Shape::Record(shape), &mut all));
        for name in all {
            assert!(pages::VALUES.iter().any(|(value, _)| *value == name), "{name}");
        }
    }
}
