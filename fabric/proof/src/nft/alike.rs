//! Interfaces that a ruleset does not tell apart: they stand in the same sets and nowhere by themselves, so every answer about the one is the other's too.

use std::collections::BTreeMap;

use leafwall_policy::nft::{Elements, Operand, Script, Statement, Value};
use leafwall_topology::IfName;

use super::Context;

/// Where a name stands. Two names that stand at the same places are compared with the same outcome everywhere.
type Places = Vec<usize>;

/// A name for all those that are alike; those that stand nowhere are like no interface at all.
#[derive(Debug, Default)]
pub(super) struct Alike {
    like: BTreeMap<IfName, IfName>,
}

impl Alike {
    /// Of a ruleset.
    pub(super) fn of(script: &Script) -> Self {
        let mut reading = Reading::default();
        for table in script.tables() {
            for set in &table.sets {
                reading.elements(&set.elements);
            }
            for statement in table.chains.iter().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.statements) {
                match statement {
                    Statement::Match { right: Operand::Value(value), .. } => reading.alone(value),
                    Statement::Match { right: Operand::Anonymous(elements), .. }
                    | Statement::VerdictMap { map: Operand::Anonymous(elements), .. } => reading.elements(elements),
                    // a named set stands in its table; a map has no single value
                    _ => {}
                }
            }
        }
        let mut first: BTreeMap<&Places, &IfName> = BTreeMap::new();
        for (name, places) in &reading.places {
            first.entry(places).or_insert(name);
        }
        let like = reading.places.iter().filter_map(|(name, places)| Some((name.clone(), (*first.get(places)?).clone())));
        Self { like: like.collect() }
    }

    /// The question that has the same answer, whatever interfaces it was about.
    pub(super) fn question(&self, context: &Context) -> Context {
        let like = |name: &Option<IfName>| self.like.get(name.as_ref()?).cloned();
        Context { input: like(&context.input), output: like(&context.output), ..context.clone() }
    }
}

#[derive(Default)]
struct Reading {
    places: BTreeMap<IfName, Places>,
    next: usize,
}

impl Reading {
    fn at(&mut self, place: usize, value: &Value) {
        if let Value::Interface(name) = value {
            self.places.entry(name.clone()).or_default().push(place);
        }
    }

    fn place(&mut self) -> usize {
        self.next += 1;
        self.next
    }

    /// At a place that no other name has.
    fn alone(&mut self, value: &Value) {
        let place = self.place();
        self.at(place, value);
    }

    fn elements(&mut self, elements: &Elements) {
        match elements {
            Elements::Values(keys) => {
                let shared = self.place();
                for key in keys {
                    match key.as_slice() {
                        // in the set or not is all that counts
                        [value] => self.at(shared, value),
                        several => several.iter().for_each(|value| self.alone(value)),
                    }
                }
            }
            Elements::Verdicts(_) | Elements::Counters(_) => elements.keys().flatten().for_each(|value| self.alone(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use leafwall_policy::nft::{Hook, parse};

    use super::*;
    use crate::nft::{Certainty, Evaluation};

    const RULES: &str = "table inet leafwall\ndelete table inet leafwall\ntable inet leafwall {\n\tset pairs {\n\t\ttype ifname . ifname\n\t\t\
                         elements = { \"a\" . \"b\", \"c\" . \"b\" }\n\t}\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t\t\
                         iifname { \"a\", \"c\", \"d\", \"e\" } tcp dport 22 drop\n\t\tiifname \"e\" drop\n\t\tiifname . oifname @pairs drop\n\t}\n}\n";

    fn name(text: &str) -> IfName {
        text.parse().unwrap()
    }

    #[test]
    fn what_stands_by_itself_is_like_nothing_else() {
        let alike = Alike::of(&parse(RULES).unwrap());
        let like = |text: &str| alike.question(&Context::new(Some(&name(text)), None, Certainty::May)).input;
        assert_eq!(like("f"), None);
        assert_eq!(like("d"), Some(name("d")));
        for (one, other) in [("a", "c"), ("a", "d"), ("d", "e"), ("a", "e"), ("a", "b")] {
            assert_ne!(like(one), like(other), "{one} {other}");
        }
    }

    #[test]
    fn alike_questions_have_the_same_answers() {
        let text = RULES.replace("\"d\"", "\"d\", \"g\", \"h\"");
        let script = parse(&text).unwrap();
        let alike = Alike::of(&script);
        let names: Vec<Option<IfName>> =
            ["a", "b", "c", "d", "e", "f", "g", "h"].iter().map(|text| Some(name(text))).chain([None]).collect();
        let mut fewer = std::collections::BTreeSet::new();
        for input in &names {
            for output in &names {
                let context = Context::new(input.as_ref(), output.as_ref(), Certainty::Must);
                let question = alike.question(&context);
                fewer.insert((question.input.clone(), question.output.clone()));
                let answer = |context: &Context| Evaluation::new(&script, context.clone()).accepted(Hook::Input);
                assert_eq!(answer(&context), answer(&question), "{context:?}");
            }
        }
        assert!(fewer.len() < names.len() * names.len() / 2, "{}", fewer.len());
    }
}
