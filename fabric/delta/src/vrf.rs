//! VRFs and their L3VNIs.

use std::collections::BTreeMap;

use leafwall_render::frr::{FrrConfig, Vrf};
use leafwall_topology::IfName;

use crate::order::Plan;
use crate::router;
use crate::slots::foreign;
use crate::step::{Batch, Context};

/// A VNI that goes or changes, or whose instance goes or is made anew, is taken back in a step of its own, which is read back before anything takes its place (H5); so VNIs can change hands as well.
pub fn all(old: &FrrConfig, new: &FrrConfig, plan: &mut Plan) {
    let index =
        |config: &'_ FrrConfig| -> BTreeMap<IfName, Vrf> { config.vrfs.iter().map(|vrf| (vrf.name.clone(), vrf.clone())).collect() };
    let (before, after) = (index(old), index(new));
    let leaving = router::leaving(old, new);
    for (name, vrf) in &before {
        let context = Context::top().inner(format!("vrf {name}"));
        let wanted = after.get(name);
        let held = leaving.contains(name);
        if wanted == Some(vrf) && !held {
            continue;
        }
        if let Some(vni) = vrf.vni.filter(|vni| held || wanted.is_none_or(|wanted| wanted.vni != Some(*vni))) {
            plan.withdraw.batch(context.clone(), vec![format!("no vni {vni}")]);
            plan.withdraw.withdrawn.push((name.clone(), vni));
        }
        if wanted.is_none() {
            for batch in foreign(&context, &vrf.foreign, &[]) {
                plan.withdraw.push(batch);
            }
            plan.forget.batch(Context::top(), vec![format!("no vrf {name}")]);
        }
    }
    for (name, vrf) in &after {
        let context = Context::top().inner(format!("vrf {name}"));
        let running = before.get(name);
        let vni = vrf.vni.filter(|vni| leaving.contains(name) || running.is_none_or(|running| running.vni != Some(*vni)));
        if vni.is_some() || running.is_none() {
            plan.instances.push(Batch { context: context.clone(), commands: vni.iter().map(|vni| format!("vni {vni}")).collect() });
        }
        for batch in foreign(&context, running.map_or(&[], |vrf| &vrf.foreign), &vrf.foreign) {
            plan.instances.push(batch);
        }
    }
}
