//! JSON with one thing a line: what lies at the top and one level below it stands on lines of its own, what lies deeper on the line of its parent.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

/// Containers down to here have their members on lines of their own.
const SPREAD: usize = 2;

/// The text of a value, with a line break at its end.
pub fn to_string(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Lines { spread: PrettyFormatter::new(), depth: 0 }))?;
    bytes.push(b'\n');
    String::from_utf8(bytes).map_err(serde::ser::Error::custom)
}

struct Lines {
    spread: PrettyFormatter<'static>,
    depth: usize,
}

/// Does at shallow places what [`PrettyFormatter`] does, and at deep ones what [`CompactFormatter`] does.
macro_rules! by_depth {
    ($($method:ident($($argument:ident: $kind:ty),*);)*) => {
        $(fn $method<W: ?Sized + Write>(&mut self, writer: &mut W $(, $argument: $kind)*) -> io::Result<()> {
            if self.depth <= SPREAD { self.spread.$method(writer $(, $argument)*) } else { CompactFormatter.$method(writer $(, $argument)*) }
        })*
    };
}

impl Formatter for Lines {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.depth <= SPREAD { self.spread.begin_array(writer) } else { CompactFormatter.begin_array(writer) }
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.depth < SPREAD { self.spread.end_array(writer) } else { CompactFormatter.end_array(writer) }
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.depth <= SPREAD { self.spread.begin_object(writer) } else { CompactFormatter.begin_object(writer) }
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.depth < SPREAD { self.spread.end_object(writer) } else { CompactFormatter.end_object(writer) }
    }

    by_depth! {
        begin_array_value(first: bool);
        end_array_value();
        begin_object_key(first: bool);
        begin_object_value();
        end_object_value();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    #[test]
    fn members_of_members_stand_on_one_line() {
        let value = json!({"links": [{"name": "lo", "addresses": ["a", "b"]}, {"name": "vrf1"}], "none": [], "sysctls": {"x": "1", "y": {"z": {}}}});
        let text = super::to_string(&value).unwrap();
        let expected = r#"{
  "links": [
    {"addresses":["a","b"],"name":"lo"},
    {"name":"vrf1"}
  ],
  "none": [],
  "sysctls": {
    "x": "1",
    "y": {"z":{}}
  }
}
"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
