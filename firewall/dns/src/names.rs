//! Which rules a name is of.
//!
//! `example.com` is that name alone. `*.example.com` is every name below it, however deep, and not `example.com` itself. Other patterns (metal-stack's) have stars for any
//! letters and dots anywhere. Upper and lower case are the same (RFC 4343).
//! Names in other scripts are compared as they are on the wire, as A-labels (`xn--…`, RFC 5890): rules are written so too.

use std::collections::BTreeSet;

use hickory_proto::rr::Name;
use leafwall_policy::rule::Fqdn;

/// A name of a message, as rules write names: lower case, without the closing dot. `None` where a rule can't have it: the root, or labels of other bytes than rules have.
///
/// A byte such as a dot inside of a label must never look like the border of labels, or `evil\.example.com` would be below `example.com`.
pub fn written(name: &Name) -> Option<String> {
    let mut text = String::new();
    for label in name {
        if !text.is_empty() {
            text.push('.');
        }
        for byte in label {
            if !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
                return None;
            }
            text.push(char::from(byte.to_ascii_lowercase()));
        }
    }
    (!text.is_empty()).then_some(text)
}

/// The names and patterns that rules use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    all: BTreeSet<Fqdn>,
    /// Those with stars elsewhere than in front of all labels: each has to be looked at.
    others: Vec<Fqdn>,
}

impl Names {
    /// Of these rules.
    pub fn new(all: impl IntoIterator<Item = Fqdn>) -> Self {
        let all: BTreeSet<Fqdn> = all.into_iter().collect();
        let is_other = |fqdn: &&Fqdn| fqdn.as_str().strip_prefix("*.").unwrap_or(fqdn.as_str()).contains('*');
        Self { others: all.iter().filter(is_other).cloned().collect(), all }
    }

    /// All of them, sorted.
    pub fn all(&self) -> &BTreeSet<Fqdn> {
        &self.all
    }

    /// Those that a name is of: itself, and patterns that it fits.
    pub fn of(&self, name: &str) -> Vec<Fqdn> {
        // it would look like a pattern
        if name.contains('*') {
            return Vec::new();
        }
        let above = name.match_indices('.').filter_map(|(dot, _)| name.get(dot..)).map(|rest| format!("*{rest}"));
        let candidates = std::iter::once(name.to_owned()).chain(above);
        let exact = candidates.filter_map(|text| Fqdn::pattern(&text).ok()).filter(|fqdn| self.all.contains(fqdn));
        exact.chain(self.others.iter().filter(|fqdn| fqdn.fits(name)).cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(texts: &[&str]) -> Names {
        Names::new(texts.iter().map(|text| text.parse().unwrap()))
    }

    fn of(names: &Names, name: &str) -> Vec<String> {
        let name = Name::from_ascii(name).unwrap();
        written(&name).map(|name| names.of(&name)).unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_pattern_is_everything_below_and_not_the_name_itself() {
        let names = names(&["*.example.com", "example.com", "a.b.example.com", "xn--bcher-kva.example"]);
        assert_eq!(of(&names, "EXAMPLE.com."), ["example.com"]);
        assert_eq!(of(&names, "a.example.com."), ["*.example.com"]);
        assert_eq!(of(&names, "A.b.Example.Com."), ["a.b.example.com", "*.example.com"]);
        assert_eq!(of(&names, "XN--Bcher-KVA.example."), ["xn--bcher-kva.example"]);
        for other in ["notexample.com.", "example.com.evil.net.", "com.", "."] {
            assert!(of(&names, other).is_empty(), "{other}");
        }
    }

    #[test]
    fn a_dot_inside_of_a_label_is_no_border() {
        let names = names(&["*.example.com"]);
        let sly = Name::from_labels([b"evil.example".as_slice(), b"com"]).unwrap();
        assert_eq!(written(&sly), None);
        let sly = Name::from_labels([b"a".as_slice(), b"*", b"com"]).unwrap();
        assert_eq!(written(&sly), None);
        assert!(of(&names, "x.example.com.").len() == 1);
    }

    #[test]
    fn stars_elsewhere_stand_for_any_letters() {
        let names = Names::new(["api-*.example.com", "*.eu.*.net", "*"].map(|text| Fqdn::pattern(text).unwrap()));
        assert_eq!(of(&names, "api-1.example.com."), ["*", "api-*.example.com"]);
        assert_eq!(of(&names, "API-.example.com."), ["*", "api-*.example.com"]);
        assert_eq!(of(&names, "a.b.eu.c.d.net."), ["*", "*.eu.*.net"]);
        assert_eq!(of(&names, "eu.c.net."), ["*"]);
        assert_eq!(of(&names, "xapi-1.example.com."), ["*"]);
    }

    proptest! {
        #[test]
        fn stars_fit_what_a_search_of_all_ways_fits(name in "[ab.]{1,8}", pattern in "[ab.*]{1,6}") {
            fn slow(pattern: &[u8], name: &[u8]) -> bool {
                match pattern.split_first() {
                    None => name.is_empty(),
                    Some((b'*', rest)) => (0..=name.len()).any(|at| slow(rest, &name[at..])),
                    Some((byte, rest)) => name.first() == Some(byte) && slow(rest, &name[1..]),
                }
            }
            if let Ok(fqdn) = Fqdn::pattern(&pattern) {
                let text = fqdn.as_str();
                prop_assert_eq!(fqdn.fits(&name), slow(text.as_bytes(), name.as_bytes()), "{} {}", text, name);
            }
        }

        #[test]
        fn a_name_is_of_a_rule_exactly_if_it_is_it_or_below_it(labels in prop::collection::vec("[ab]", 1..5), rules in prop::collection::vec(("[ab](\\.[ab]){1,2}", any::<bool>()), 0..6)) {
            let rules: BTreeSet<Fqdn> = rules.into_iter().map(|(text, below)| if below { format!("*.{text}") } else { text }.parse().unwrap()).collect();
            let name = labels.join(".");
            let expected: BTreeSet<Fqdn> = rules.iter().filter(|rule| match rule.as_str().strip_prefix('*') {
                Some(end) => name.ends_with(end) && name.len() > end.len(),
                None => name == rule.as_str(),
            }).cloned().collect();
            let found: BTreeSet<Fqdn> = Names::new(rules).of(&name).into_iter().collect();
            prop_assert_eq!(found, expected);
        }
    }
}
