//! Refused calls, on their way to the audit log: the first of somebody and something at once, repetitions as one entry with their number.
//!
//! So a flood of refused calls is a few entries a minute, and no count is lost. Pure: it is told the time.

use std::collections::BTreeMap;

use leafwall_rollout::digest::Digest;

use super::core::Caller;
use crate::audit::Role;

/// For so long repetitions are counted, in milliseconds.
const WINDOW: u64 = 60_000;
/// Pairs of somebody and something that are remembered at once. What there is no room for is counted together.
const REMEMBERED: usize = 1024;
/// Different reasons of one pair that are written at once: a person who tries this and that finds all of it in the log.
const REASONS: usize = 8;

/// What is to be written: who, what, and why it was refused.
#[derive(Debug, Clone)]
pub struct Refused {
    pub caller: Caller,
    pub what: String,
    pub reason: String,
}

/// Repetitions of one.
#[derive(Debug)]
struct Repeated {
    caller: Caller,
    /// Those that are written already.
    written: Vec<Digest>,
    /// The last one that is not.
    reason: String,
    count: u64,
    ends: u64,
}

impl Repeated {
    fn counts(&mut self, reason: String) {
        self.count += 1;
        self.reason = reason;
    }

    fn entry(self, what: String) -> Option<Refused> {
        let times = if self.count == 1 { "once" } else { "times" };
        let number = if self.count == 1 { String::new() } else { format!("{} ", self.count) };
        let reason = format!("{number}{times} more within a minute, the last time: {}", self.reason);
        (self.count > 0).then_some(Refused { caller: self.caller, what, reason })
    }
}

/// Who is who: a name alone can be somebody's in several roles.
type Key = (String, String, String);

/// All of them. Times are in milliseconds, of a clock that never goes back.
#[derive(Debug, Default)]
pub struct Refusals {
    known: BTreeMap<Key, Repeated>,
    others: Option<Repeated>,
}

const OTHERS: &str = "several calls";

impl Refusals {
    /// A refusal. What is to be written now: it, if it is the first one; nothing, if it is counted.
    pub fn note(&mut self, now: u64, refused: Refused) -> Vec<Refused> {
        let mut written = self.due(now);
        let key = (refused.caller.who.clone(), refused.caller.role.to_string(), refused.what.clone());
        let begun = |caller| Repeated { caller, written: Vec::new(), reason: String::new(), count: 0, ends: now.saturating_add(WINDOW) };
        if !self.known.contains_key(&key) && self.known.len() >= REMEMBERED {
            let caller = Caller { who: "others".to_owned(), role: Role::Nobody };
            self.others.get_or_insert_with(|| begun(caller)).counts(refused.reason);
            return written;
        }
        let known = self.known.entry(key).or_insert_with(|| begun(refused.caller.clone()));
        let reason = Digest::of(refused.reason.as_bytes());
        if known.written.len() < REASONS && !known.written.contains(&reason) {
            known.written.push(reason);
            written.push(refused);
        } else {
            known.counts(refused.reason);
        }
        written
    }

    /// What is to be written since its minute is over.
    pub fn due(&mut self, now: u64) -> Vec<Refused> {
        let mut written: Vec<_> =
            self.known.extract_if(.., |_, repeated| repeated.ends <= now).filter_map(|((.., what), it)| it.entry(what)).collect();
        written.extend(self.others.take_if(|others| others.ends <= now).and_then(|others| others.entry(OTHERS.to_owned())));
        written
    }

    /// All that is not written yet, since nobody will ask again.
    pub fn rest(&mut self) -> Vec<Refused> {
        self.due(u64::MAX)
    }

    /// When [`Self::due`] has something to do.
    pub fn wake_at(&self) -> Option<u64> {
        self.known.values().chain(&self.others).map(|repeated| repeated.ends).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(who: &str, role: Role, what: &str) -> Refused {
        Refused { caller: Caller { who: who.to_owned(), role }, what: what.to_owned(), reason: format!("`{who}` may not do this") }
    }

    fn reasons(all: Vec<Refused>) -> Vec<String> {
        all.into_iter().map(|refused| format!("{} {}: {}", refused.caller.who, refused.what, refused.reason)).collect()
    }

    #[test]
    fn the_first_is_written_and_the_others_are_counted() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.note(0, refused("a", Role::Viewer, "apply")).len(), 1);
        for now in 1..=1000 {
            assert!(refusals.note(now, refused("a", Role::Viewer, "apply")).is_empty());
        }
        // another act, another person, and the same name in another role are their own
        assert_eq!(refusals.note(1, refused("a", Role::Viewer, "audit")).len(), 1);
        assert_eq!(refusals.note(1, refused("b", Role::Viewer, "apply")).len(), 1);
        assert_eq!(refusals.note(1, refused("a", Role::Operator, "apply")).len(), 1);
        assert_eq!(refusals.wake_at(), Some(WINDOW));
        assert!(refusals.due(WINDOW - 1).is_empty());
        let told = reasons(refusals.due(WINDOW));
        assert_eq!(told, ["a apply: 1000 times more within a minute, the last time: `a` may not do this"]);
        assert_eq!(refusals.note(WINDOW, refused("a", Role::Viewer, "apply")).len(), 1, "the next minute begins anew");
    }

    #[test]
    fn other_reasons_are_written_too_up_to_a_bound() {
        let mut refusals = Refusals::default();
        let with = |reason: String| Refused { reason, ..refused("a", Role::Operator, "apply") };
        let written: usize = (0..100).map(|number| refusals.note(0, with(format!("{}", number % 20))).len()).sum();
        assert_eq!(written, REASONS);
        assert_eq!(reasons(refusals.rest()), [format!("a apply: {} times more within a minute, the last time: 19", 100 - REASONS)]);
    }

    #[test]
    fn no_count_is_lost_at_the_end_or_where_there_is_no_room() {
        let mut refusals = Refusals::default();
        let mut written = 0;
        for number in 0..REMEMBERED + 50 {
            written += refusals.note(0, refused(&format!("p{number}"), Role::Viewer, "apply")).len();
        }
        assert_eq!((written, refusals.known.len()), (REMEMBERED, REMEMBERED));
        refusals.note(1, refused("p0", Role::Viewer, "apply"));
        let told = reasons(refusals.rest());
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("p0 apply: once more"), "{told:?}");
        assert!(told[1].starts_with("others several calls: 50 times more"), "{told:?}");
        assert!(refusals.rest().is_empty() && refusals.wake_at().is_none());
    }
}
