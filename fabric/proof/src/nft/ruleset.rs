//! A device's ruleset with everything that was asked of it.

use std::sync::Arc;

use leafwall_policy::nft::{Hook, Script};
use leafwall_policy::sets::{Header, PacketSet};
use leafwall_topology::IfName;

use super::alike::Alike;
use super::{Context, Evaluation, Translation};
use crate::memo::Memo;

/// A ruleset. An answer depends on nothing but the ruleset and the question, so it is worked out once and holds for as long as the ruleset does; and once for all
/// interfaces that the ruleset does not tell apart.
#[derive(Debug, Default)]
pub struct Ruleset {
    script: Script,
    alike: Alike,
    accepted: Memo<(Context, Hook), PacketSet>,
    ingress: Memo<(Context, IfName), Option<PacketSet>>,
    translations: Memo<Context, Arc<[Translation]>>,
}

impl From<Script> for Ruleset {
    fn from(script: Script) -> Self {
        Self { alike: Alike::of(&script), script, ..Self::default() }
    }
}

impl Ruleset {
    /// As [`Evaluation::accepted`].
    pub fn accepted(&self, context: &Context, hook: Hook) -> PacketSet {
        self.accepted.get((self.alike.question(context), hook), |(question, _)| self.evaluation(question).accepted(hook))
    }

    /// Its syntax tree.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// The question that has the same answers, whatever interfaces it is about.
    pub fn question(&self, context: &Context) -> Context {
        self.alike.question(context)
    }

    /// As [`Evaluation::ingress`].
    pub fn ingress(&self, context: &Context, device: &IfName) -> Option<PacketSet> {
        self.ingress.get((self.alike.question(context), device.clone()), |(question, _)| self.evaluation(question).ingress(device))
    }

    /// As [`Evaluation::translations`].
    pub fn translations(&self, context: &Context) -> Arc<[Translation]> {
        self.translations.get(self.alike.question(context), |question| self.evaluation(question).translations().into())
    }

    /// As [`Evaluation::explain`]; not kept.
    pub fn explain(&self, context: &Context, hook: Hook, packet: &Header) -> Vec<String> {
        self.evaluation(context).explain(hook, packet)
    }

    fn evaluation(&self, context: &Context) -> Evaluation<'_> {
        Evaluation::new(&self.script, context.clone())
    }
}
