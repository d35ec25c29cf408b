//! The steps while they are being filled.

use crate::step::{Batch, Step, StepKind};

/// One step of each kind.
pub struct Plan {
    pub withdraw: Step,
    pub remove_instances: Step,
    pub global: Step,
    pub instances: Step,
    /// The last batches of `instances`.
    pub leaks: Vec<Batch>,
    pub clean: Step,
    pub forget: Step,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            withdraw: Step::new(StepKind::Withdraw),
            remove_instances: Step::new(StepKind::RemoveInstances),
            global: Step::new(StepKind::Global),
            instances: Step::new(StepKind::Instances),
            leaks: Vec::new(),
            clean: Step::new(StepKind::Clean),
            forget: Step::new(StepKind::Forget),
        }
    }
}

impl Plan {
    /// Those that have something in them, in order.
    pub fn into_steps(mut self) -> Vec<Step> {
        self.leaks.into_iter().for_each(|batch| self.instances.push(batch));
        let all = [self.withdraw, self.remove_instances, self.global, self.instances, self.clean, self.forget];
        all.into_iter().filter(|step| !step.is_empty()).collect()
    }
}
