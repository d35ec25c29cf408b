//! BGP instances.

use std::collections::{BTreeMap, BTreeSet};

use leafwall_render::frr::{AddressFamily, FamilyKind, FrrConfig, RouterBgp, Setting};
use leafwall_topology::IfName;

use crate::family;
use crate::neighbors::{self, Fresh};
use crate::order::Plan;
use crate::slots::{edits, foreign, negate};
use crate::step::{Batch, Context, Step};

type Instances<'a> = BTreeMap<Option<&'a IfName>, &'a RouterBgp>;

fn instances(config: &FrrConfig) -> Instances<'_> {
    config.routers.iter().map(|router| (router.vrf.as_ref(), router)).collect()
}

/// The statement that opens an instance.
pub fn head(router: &RouterBgp) -> String {
    match &router.vrf {
        Some(vrf) => format!("router bgp {} vrf {vrf}", router.asn),
        None => format!("router bgp {}", router.asn),
    }
}

/// The instances that go, for good or to be made anew: an ASN can't be changed, and the default instance can't go before the others.
fn gone<'a>(before: &Instances<'a>, after: &Instances<'_>) -> BTreeSet<Option<&'a IfName>> {
    let remade = before.iter().any(|(vrf, old)| after.get(vrf).is_some_and(|new| new.asn != old.asn));
    let all = remade || (before.contains_key(&None) && !after.contains_key(&None));
    before.keys().filter(|vrf| all || !after.contains_key(*vrf)).copied().collect()
}

/// The VRFs of instances that go. bgpd does not let them go while they have an L3VNI (FRR #21756).
pub fn leaving<'a>(old: &'a FrrConfig, new: &FrrConfig) -> BTreeSet<&'a IfName> {
    gone(&instances(old), &instances(new)).into_iter().flatten().collect()
}

/// Plans all instances.
pub fn all(old: &FrrConfig, new: &FrrConfig, plan: &mut Plan) {
    let (before, after) = (instances(old), instances(new));
    let gone = gone(&before, &after);
    for (vrf, router) in before.iter().rev().filter(|(vrf, _)| gone.contains(*vrf)) {
        // bgpd hears of VXLAN links as long as they are there: the instance with EVPN goes after them, unless another takes its place at once (H4)
        let last = vrf.is_none() && !after.contains_key(&None);
        let step = if last { &mut plan.clean } else { &mut plan.remove_instances };
        // bgpd hides an instance rather than ending it, and the next one of that VRF would inherit its VNIs and settings (tried on FRR 10.3)
        for family in &router.families {
            let context = Context::top().inner(head(router)).inner(format!("address-family {}", family.kind));
            step.batch(context, family::inherited(family));
        }
        step.batch(
            Context::top().inner(head(router)),
            router.settings.iter().filter(|setting| inherited(setting)).map(|setting| negate(&setting.to_string())).collect(),
        );
        step.batch(Context::top(), vec![negate(&head(router))]);
    }
    // bgpd refuses to let a default instance go while a VRF has one; a hidden one that such instances stand on has not been deleted
    let alone = before.keys().all(|vrf| gone.contains(vrf));
    if alone
        && let Some(router) = after.get(&None)
        && before.get(&None).is_none_or(|old| old.asn != router.asn)
    {
        revive(router, &mut plan.remove_instances);
    }
    for (vrf, router) in &after {
        let running = before.get(vrf).copied().filter(|_| !gone.contains(vrf));
        if running != Some(*router) {
            instance(running, router, plan);
        }
    }
}

/// Makes a default instance and lets it go at once, so that the next one of its ASN is whole.
///
/// bgpd hides a default instance that ends once a VRF has imported from another, and gives the hidden one to whoever comes next. Under another ASN it keeps the
/// mark of one that is being deleted (FRR 10.3, `BGP_FLAG_DELETE_IN_PROGRESS`): it takes `aggregate-address` without a word and forgets it. Under the ASN that it
/// was hidden with it loses the mark, and this hides it with the new one. Where none is hidden it changes nothing.
pub fn revive(router: &RouterBgp, step: &mut Step) {
    step.push(Batch { context: Context::top().inner(head(router)), commands: Vec::new() });
    step.batch(Context::top(), vec![negate(&head(router))]);
}

/// Whether the instance that follows one that bgpd hides would have a setting of it (tried on FRR 10.3).
const fn inherited(setting: &Setting) -> bool {
    matches!(setting, Setting::GracefulShutdown | Setting::MultipathRelax | Setting::NoNetworkImportCheck)
}

const fn setting_slot(setting: &Setting) -> u8 {
    match setting {
        Setting::RouterId(_) => 0,
        Setting::NoDefaultIpv4Unicast => 1,
        Setting::GracefulShutdown => 2,
        Setting::MultipathRelax => 3,
        Setting::NoNetworkImportCheck => 4,
        Setting::Foreign(_) => 5,
    }
}

/// One instance that stays or comes.
fn instance(old: Option<&RouterBgp>, new: &RouterBgp, plan: &mut Plan) {
    let context = Context::top().inner(head(new));
    let fresh = Fresh::between(old, new);
    plan.withdraw.batch(context.clone(), fresh.withdrawals(old));

    let empty = Vec::new();
    let known = |settings: &[Setting]| settings.iter().filter(|item| !matches!(item, Setting::Foreign(_))).cloned().collect::<Vec<_>>();
    let unknown = |settings: &[Setting]| {
        settings
            .iter()
            .filter_map(|item| match item {
                Setting::Foreign(statement) => Some(statement.clone()),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let settings = old.map_or(&empty, |router| &router.settings);
    let changes = edits(&known(settings), &known(&new.settings), setting_slot, ToString::to_string);
    let mut commands: Vec<String> = changes.gone.iter().map(|text| negate(text)).collect();
    commands.extend(changes.said);
    commands.extend(neighbors::statements(old, new, &fresh));
    let step = if new.vrf.is_none() { &mut plan.global } else { &mut plan.instances };
    if old.is_none() || !commands.is_empty() {
        step.push(Batch { context: context.clone(), commands });
    }
    for batch in foreign(&context, &unknown(settings), &unknown(&new.settings)) {
        step.push(batch);
    }

    let kinds = [FamilyKind::Ipv4Unicast, FamilyKind::Ipv6Unicast, FamilyKind::L2vpnEvpn];
    for kind in kinds {
        let of = |router: &RouterBgp| router.families.iter().find(|family| family.kind == kind).cloned();
        let (before, after) = (old.and_then(of), of(new));
        if before == after && fresh.is_empty() {
            continue;
        }
        let (before, after) = (before.unwrap_or_else(|| AddressFamily::new(kind)), after.unwrap_or_else(|| AddressFamily::new(kind)));
        let changes = family::changes(&context.inner(format!("address-family {kind}")), &before, &after, &fresh);
        changes.withdraw.into_iter().for_each(|batch| plan.withdraw.push(batch));
        let step = if new.vrf.is_none() { &mut plan.global } else { &mut plan.instances };
        changes.change.into_iter().for_each(|batch| step.push(batch));
        changes.clean.into_iter().for_each(|batch| plan.clean.push(batch));
        plan.leaks.extend(changes.leaks);
    }
}
