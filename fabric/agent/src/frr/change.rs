//! Doing the steps of a delta.

use std::collections::BTreeSet;

use leafwall_delta::{Delta, Step, StepKind};
use leafwall_topology::{IfName, Vni};
use serde_json::Value;

use super::{Frr, FrrError};

impl Frr {
    /// Whether vtysh would take all steps of a delta. No daemon is asked (H9).
    pub async fn check_delta(&self, delta: &Delta) -> Result<(), FrrError> {
        let text: String = delta.steps.iter().map(Step::text).collect();
        self.check(&text).await
    }

    /// Does one step: says it, and asks neighbours for their routes again where that is needed.
    pub async fn take(&self, step: &Step) -> Result<(), FrrError> {
        self.daemons().await?.take(step).await
    }

    /// Which of these L3VNIs are still there, in the running configuration or in bgpd, which hears of it later (H5).
    pub async fn remaining(&self, withdrawn: &[(IfName, Vni)]) -> Result<Vec<Vni>, FrrError> {
        let running = self.running().await?;
        let command = "show bgp l2vpn evpn vni json";
        let shown: Value = self.daemons().await?.show_json(command).await?;
        let there = |(name, vni): &&(IfName, Vni)| {
            let configured = running.vrfs.iter().any(|vrf| vrf.name == *name && vrf.vni == Some(*vni));
            // the same number may be an L2VNI's by then
            let known = shown.get(vni.to_string()).is_some_and(|row| row["type"] == "L3");
            configured || known
        };
        Ok(withdrawn.iter().filter(there).map(|(_, vni)| *vni).collect())
    }

    /// A step of [`StepKind::Forget`] without the VRFs that the kernel still has: zebra refuses those.
    pub async fn forgettable(&self, step: &Step) -> Result<Step, FrrError> {
        let shown = self.daemons().await?.ask("show vrf").await?;
        let inactive: BTreeSet<String> = shown.lines().filter_map(inactive).map(|name| format!("no vrf {name}")).collect();
        let mut step = step.clone();
        if step.kind == StepKind::Forget {
            for batch in &mut step.batches {
                batch.commands.retain(|command| inactive.contains(command));
            }
            step.batches.retain(|batch| !batch.commands.is_empty());
        }
        Ok(step)
    }
}

/// The name in a line of `show vrf` about a VRF that only the configuration has.
fn inactive(line: &str) -> Option<&str> {
    match line.split_ascii_whitespace().collect::<Vec<_>>()[..] {
        ["vrf", name, "inactive", ..] => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::inactive;

    #[test]
    fn only_what_the_kernel_has_lost_is_forgotten() {
        assert_eq!(inactive("vrf vrf10001 inactive (configured)"), Some("vrf10001"));
        assert_eq!(inactive("vrf vrf10002 id 7 table 10002 (configured)"), None);
    }
}
