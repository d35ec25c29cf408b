//! A device's ruleset with everything that was asked of it.

use std::sync::{Arc, Mutex, PoisonError};

use leafwall_policy::nft::{Hook, Script};
use leafwall_policy::sets::{Header, PacketSet};
use leafwall_topology::IfName;
use rustc_hash::FxHashMap;

use super::{Context, Evaluation, Translation};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Question {
    Accepted(Hook),
    Ingress(IfName),
}

#[derive(Debug, Default)]
struct Known {
    sets: FxHashMap<(Context, Question), Option<PacketSet>>,
    translations: FxHashMap<Context, Arc<[Translation]>>,
}

/// A ruleset. An answer depends on nothing but the ruleset and the question, so it is worked out once and holds for as long as the ruleset does.
#[derive(Debug, Default)]
pub struct Ruleset {
    script: Script,
    known: Mutex<Known>,
}

impl From<Script> for Ruleset {
    fn from(script: Script) -> Self {
        Self { script, known: Mutex::default() }
    }
}

impl Ruleset {
    /// As [`Evaluation::accepted`].
    pub fn accepted(&self, context: &Context, hook: Hook) -> PacketSet {
        self.set(context, Question::Accepted(hook)).unwrap_or_default()
    }

    /// As [`Evaluation::ingress`].
    pub fn ingress(&self, context: &Context, device: &IfName) -> Option<PacketSet> {
        self.set(context, Question::Ingress(device.clone()))
    }

    /// As [`Evaluation::translations`].
    pub fn translations(&self, context: &Context) -> Arc<[Translation]> {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).translations.get(context) {
            return Arc::clone(known);
        }
        let found: Arc<[Translation]> = Evaluation::new(&self.script, context.clone()).translations().into();
        self.known.lock().unwrap_or_else(PoisonError::into_inner).translations.insert(context.clone(), Arc::clone(&found));
        found
    }

    /// As [`Evaluation::explain`]; not kept.
    pub fn explain(&self, context: &Context, hook: Hook, packet: &Header) -> Vec<String> {
        Evaluation::new(&self.script, context.clone()).explain(hook, packet)
    }

    fn set(&self, context: &Context, question: Question) -> Option<PacketSet> {
        let key = (context.clone(), question);
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).sets.get(&key) {
            return known.clone();
        }
        // two that ask at once both work it out, and come to the same
        let evaluation = Evaluation::new(&self.script, context.clone());
        let found = match &key.1 {
            Question::Accepted(hook) => Some(evaluation.accepted(*hook)),
            Question::Ingress(device) => evaluation.ingress(device),
        };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).sets.insert(key, found.clone());
        found
    }
}
