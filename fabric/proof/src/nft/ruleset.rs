//! A device's ruleset with everything that was asked of it.

use std::sync::Arc;

use leafwall_policy::nft::{Hook, Script};
use leafwall_policy::sets::{Header, PacketSet};
use leafwall_topology::IfName;

use super::{Context, Evaluation, Translation};
use crate::memo::Memo;

/// A ruleset. An answer depends on nothing but the ruleset and the question, so it is worked out once and holds for as long as the ruleset does.
#[derive(Debug, Default)]
pub struct Ruleset {
    script: Script,
    accepted: Memo<(Context, Hook), PacketSet>,
    ingress: Memo<(Context, IfName), Option<PacketSet>>,
    translations: Memo<Context, Arc<[Translation]>>,
}

impl From<Script> for Ruleset {
    fn from(script: Script) -> Self {
        Self { script, ..Self::default() }
    }
}

impl Ruleset {
    /// As [`Evaluation::accepted`].
    pub fn accepted(&self, context: &Context, hook: Hook) -> PacketSet {
        self.accepted.get((context.clone(), hook), |_| self.evaluation(context).accepted(hook))
    }

    /// As [`Evaluation::ingress`].
    pub fn ingress(&self, context: &Context, device: &IfName) -> Option<PacketSet> {
        self.ingress.get((context.clone(), device.clone()), |_| self.evaluation(context).ingress(device))
    }

    /// As [`Evaluation::translations`].
    pub fn translations(&self, context: &Context) -> Arc<[Translation]> {
        self.translations.get(context.clone(), |_| self.evaluation(context).translations().into())
    }

    /// As [`Evaluation::explain`]; not kept.
    pub fn explain(&self, context: &Context, hook: Hook, packet: &Header) -> Vec<String> {
        self.evaluation(context).explain(hook, packet)
    }

    fn evaluation(&self, context: &Context) -> Evaluation<'_> {
        Evaluation::new(&self.script, context.clone())
    }
}
