//! What to say to running FRR daemons so that they run something else: exact commands in a safe order, and the way back. [`config_db`] is the same for SONiC's database.
//!
//! ```text
//! running ─┐
//!          ├─► target (wanted, and what is foreign) ─► forward: running → target
//! wanted  ─┘                                        └► inverse: target → running
//! ```
//!
//! [`target()`] decides once who owns what: only what is ours is made as wanted, what is foreign stays as it runs (H25). [`Delta::between`] then compares two whole
//! trees and owns nothing. No command is a guess: each says in full what it takes back, and what a negation does was tried on FRR 10.3 (H8).
//!
//! # Order
//!
//! | step | what | why |
//! |---|---|---|
//! | [`StepKind::Withdraw`] | neighbours, leaks and VNIs that go or change | an L3VNI is gone, and seen to be gone, before another takes its place (H5) |
//! | [`StepKind::RemoveInstances`] | `no router bgp … vrf …` | before links and VRFs go (H19), after their VNIs, which hold them (FRR #21756) |
//! | [`StepKind::Global`] | lists, route-maps, BFD profiles, the default instance with EVPN | before the first VXLAN link (H4), and filters before the neighbours that use them |
//! | *links are made, down* | | zebra must know the VRFs (H3) |
//! | [`StepKind::Instances`] | VRFs with their VNIs, their instances, leaks last | |
//! | *links go up; links go* | | |
//! | [`StepKind::Clean`] | lists, route-maps and L2VNIs that nothing uses any more | |
//! | [`StepKind::Forget`] | `no vrf …` | zebra forgets only VRFs that the kernel has lost |
//!
//! # What passes meanwhile
//!
//! At no moment does a filter let through what neither the old nor the new one does: entries change in place, permits go before denies do, denies come before
//! permits do, and an entry of a route-map whose body changes in more than one command denies until it is whole. bgpd looks again at what a route-map let in,
//! but not at what a list that is bound to a neighbour did: those neighbours are asked for their routes again ([`Step::refreshes`]).
#![cfg_attr(test, allow(missing_docs))]

mod bfd;
pub mod config_db;
mod family;
mod lists;
mod neighbors;
mod order;
mod refresh;
mod route_map;
mod router;
mod slots;
mod step;
mod summary;
mod target;
mod vrf;

use leafwall_render::frr::{FrrConfig, Global};

pub use refresh::Refresh;
pub use step::{Batch, Context, Step, StepKind};
pub use summary::Summary;
pub use target::target;

/// Ordered steps from one configuration to another; none if they are the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// In order, none of them empty.
    pub steps: Vec<Step>,
}

/// A change of a device with its way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What will run, foreign statements included.
    pub target: FrrConfig,
    /// From what runs to [`Change::target`].
    pub forward: Delta,
    /// And back.
    pub inverse: Delta,
    /// The same for people.
    pub summary: Summary,
}

impl Change {
    /// From what runs to what is wanted, as far as it is ours.
    ///
    /// ```
    /// use leafwall_delta::Change;
    /// use leafwall_render::frr::FrrConfig;
    ///
    /// let running = FrrConfig::parse("vrf vrf10001\n vni 10001\nexit-vrf\nip prefix-list theirs seq 5 permit any\n").unwrap();
    /// let wanted = FrrConfig::parse("vrf vrf10001\n vni 10002\nexit-vrf\n").unwrap();
    /// let change = Change::between(&running, &wanted);
    /// let texts: Vec<String> = change.forward.steps.iter().map(|step| step.text()).collect();
    /// assert_eq!(texts, ["vrf vrf10001\n no vni 10001\nexit-vrf\n", "vrf vrf10001\n vni 10002\nexit-vrf\n"]);
    /// ```
    pub fn between(running: &FrrConfig, wanted: &FrrConfig) -> Self {
        let mut running = running.clone();
        running.sort();
        let target = target(&running, wanted);
        let forward = Delta::of_sorted(&running, &target);
        let inverse = Delta::of_sorted(&target, &running);
        let summary = Summary::between(&running, &target);
        Self { target, forward, inverse, summary }
    }
}

impl Delta {
    /// From one whole configuration to another. `frr version` and `hostname` are the device's own and are left out.
    pub fn between(old: &FrrConfig, new: &FrrConfig) -> Self {
        let (mut old, mut new) = (old.clone(), new.clone());
        old.sort();
        new.sort();
        Self::of_sorted(&old, &new)
    }

    fn of_sorted(old: &FrrConfig, new: &FrrConfig) -> Self {
        let mut plan = order::Plan::default();
        globals(old, new, &mut plan);
        let touched = lists::all(old, new, &mut plan);
        route_map::all(old, new, &mut plan);
        bfd::all(old, new, &mut plan);
        vrf::all(old, new, &mut plan);
        router::all(old, new, &mut plan);
        plan.global.refreshes = refresh::of(old, new, &touched);
        Self { steps: plan.into_steps() }
    }

    /// What comes before a configuration is loaded as a whole into daemons that run nothing of ours, but may once have: bgpd hides a default instance rather than
    /// ending it, and the next one under another ASN would never be whole.
    pub fn before_loading(running: &FrrConfig, config: &FrrConfig) -> Self {
        let mut plan = order::Plan::default();
        let default = config.routers.iter().find(|router| router.vrf.is_none());
        if let Some(router) = default.filter(|_| running.routers.is_empty()) {
            router::revive(router, &mut plan.remove_instances);
        }
        Self { steps: plan.into_steps() }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps of these kinds.
    pub fn steps_of<'a>(&'a self, kinds: &'a [StepKind]) -> impl Iterator<Item = &'a Step> {
        self.steps.iter().filter(|step| kinds.contains(&step.kind))
    }
}

/// Statements about the device itself, and foreign ones outside of any context, which only a way back can have to change.
fn globals(old: &FrrConfig, new: &FrrConfig, plan: &mut order::Plan) {
    let settable = |global: &&Global| matches!(global, Global::Defaults(_) | Global::LogSyslog(_) | Global::FpmAddress(_));
    let same_kind = |a: &Global, b: &Global| std::mem::discriminant(a) == std::mem::discriminant(b);
    let mut commands = Vec::new();
    for global in old.globals.iter().filter(settable) {
        // the profile of defaults can be another one, but not none
        if !matches!(global, Global::Defaults(_)) && !new.globals.iter().any(|other| same_kind(global, other)) {
            commands.push(slots::negate(&global.to_string()));
        }
    }
    commands.extend(new.globals.iter().filter(settable).filter(|global| !old.globals.contains(global)).map(ToString::to_string));
    plan.global.batch(Context::top(), commands);
    for batch in slots::foreign(&Context::top(), &old.foreign, &new.foreign) {
        plan.global.push(batch);
    }
}
