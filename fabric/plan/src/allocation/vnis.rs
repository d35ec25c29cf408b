//! VNIs: one per network, and one per bridged segment.

use std::collections::BTreeMap;
use std::sync::Arc;

use leafwall_topology::{Name, Prefix, Range, Vni};

use super::numbers::{Numbers, Revision};
use super::problem::{ProblemKind, Run, TablePath};

/// Who can have a VNI.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum VniHolder {
    /// A network: its L3VNI.
    Network(Name),
    /// A bridged segment of a network: its L2VNI.
    Segment(Name),
    /// The provisioning network's VRF.
    ProvisioningVrf,
    /// The provisioning network's subnet.
    ProvisioningSegment,
}

/// A bridged segment: one broadcast domain with one subnet per family at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its L2VNI.
    pub vni: Vni,
    /// Its subnets, sorted.
    pub subnets: Vec<Prefix>,
}

/// All VNIs of a fabric.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VniPool {
    networks: BTreeMap<Name, Vni>,
    segments: BTreeMap<Name, Vec<Segment>>,
    provisioning_vrf: Option<Vni>,
    provisioning_segment: Option<Vni>,
    numbers: Numbers<Vni, VniHolder>,
}

/// What a network wants; `None` in its place means that it is gone.
#[derive(Debug, Clone)]
pub(super) struct VniWant<'a> {
    /// An L3VNI that the intent fixes.
    pub fixed: Option<Vni>,
    /// Its subnets as the intent lists them.
    pub subnets: Vec<&'a Prefix>,
}

impl VniPool {
    /// A network's L3VNI.
    pub fn network(&self, network: &Name) -> Option<Vni> {
        self.networks.get(network).copied()
    }

    /// A network's bridged segments.
    pub fn segments(&self, network: &Name) -> &[Segment] {
        self.segments.get(network).map_or(&[], Vec::as_slice)
    }

    /// The provisioning network's L3VNI and L2VNI.
    pub fn provisioning(&self) -> Option<(Vni, Vni)> {
        self.provisioning_vrf.zip(self.provisioning_segment)
    }

    /// All networks with their L3VNIs, sorted.
    pub fn networks(&self) -> impl Iterator<Item = (&Name, Vni)> {
        self.networks.iter().map(|(name, vni)| (name, *vni))
    }

    /// All networks that have segments, sorted.
    pub fn all_segments(&self) -> impl Iterator<Item = (&Name, &[Segment])> {
        self.segments.iter().map(|(name, segments)| (name, segments.as_slice()))
    }

    /// The VNIs by value.
    pub fn numbers(&self) -> &Numbers<Vni, VniHolder> {
        &self.numbers
    }

    /// Gives a network an L3VNI; the error is who has it.
    pub fn claim_network(&mut self, network: &Name, vni: Vni) -> Result<(), VniHolder> {
        self.numbers.claim(vni, VniHolder::Network(network.clone()))?;
        self.networks.insert(network.clone(), vni);
        Ok(())
    }

    /// Adds a segment to a network; the error is who has its VNI, which may be another segment of the same network.
    pub fn claim_segment(&mut self, network: &Name, segment: Segment) -> Result<(), VniHolder> {
        if let Some(other) = self.numbers.holder(segment.vni) {
            return Err(other.clone());
        }
        self.numbers.claim(segment.vni, VniHolder::Segment(network.clone()))?;
        self.segments.entry(network.clone()).or_default().push(segment);
        Ok(())
    }

    /// Gives the provisioning network's VRF its L3VNI; the error is who has it.
    pub fn claim_provisioning_vrf(&mut self, vni: Vni) -> Result<(), VniHolder> {
        self.numbers.claim(vni, VniHolder::ProvisioningVrf)?;
        self.provisioning_vrf = Some(vni);
        Ok(())
    }

    /// Gives the provisioning network's subnet its L2VNI; the error is who has it.
    pub fn claim_provisioning_segment(&mut self, vni: Vni) -> Result<(), VniHolder> {
        self.numbers.claim(vni, VniHolder::ProvisioningSegment)?;
        self.provisioning_segment = Some(vni);
        Ok(())
    }

    /// Marks a VNI as resting, as a stored table says.
    pub fn rest(&mut self, vni: Vni, since: Revision) {
        self.numbers.rest(vni, since);
    }
}

/// The table's path of a holder.
pub(super) fn path(holder: &VniHolder) -> TablePath {
    match holder {
        VniHolder::Network(name) => TablePath::new(&[&"vnis", &name]),
        VniHolder::Segment(name) => TablePath::new(&[&"segments", &name]),
        VniHolder::ProvisioningVrf => TablePath::new(&[&"provisioning", &"vrf"]),
        VniHolder::ProvisioningSegment => TablePath::new(&[&"provisioning", &"segment"]),
    }
}

/// What has to change for one network's segments.
struct Regroup {
    keep: Vec<Segment>,
    dropped: Vec<Vni>,
    new: Vec<Vec<Prefix>>,
}

/// Sorts subnets into segments. Those that are in one stay there. The others, as the intent lists them, first fill up segments that lack their family,
/// then the first IPv4 one joins the first IPv6 one, and so on: a server in one access VLAN needs both families there.
fn regroup(held: &[Segment], subnets: &[&Prefix]) -> Regroup {
    let mut keep: Vec<Segment> = Vec::new();
    let mut dropped = Vec::new();
    for segment in held {
        let subnets: Vec<Prefix> = segment.subnets.iter().copied().filter(|p| subnets.contains(&p)).collect();
        if subnets.is_empty() { dropped.push(segment.vni) } else { keep.push(Segment { vni: segment.vni, subnets }) }
    }
    let mut new: Vec<Vec<Prefix>> = Vec::new();
    for subnet in subnets {
        let lacks = |members: &[Prefix]| members.iter().all(|p| p.family() != subnet.family());
        if keep.iter().any(|segment| segment.subnets.contains(subnet)) {
            continue;
        }
        let members = keep.iter_mut().map(|s| &mut s.subnets).chain(&mut new).find(|members| lacks(members));
        match members {
            Some(members) => {
                members.push(**subnet);
                members.sort();
            }
            None => new.push(vec![**subnet]),
        }
    }
    Regroup { keep, dropped, new }
}

/// Brings the VNIs of the networks listed in line with what they want. `None` for a network that is gone. `provisioning` says whether there is such a
/// network.
pub(super) fn sync(
    run: &mut Run,
    pool: &mut Arc<VniPool>,
    range: Range<Vni>,
    wants: &BTreeMap<Name, Option<VniWant<'_>>>,
    provisioning: bool,
) {
    let mut release: Vec<Vni> = Vec::new();
    let mut fixed: Vec<(&Name, Vni)> = Vec::new();
    let mut missing: Vec<&Name> = Vec::new();
    let mut regrouped: Vec<(&Name, Regroup)> = Vec::new();
    let check = |run: &mut Run, holder: &VniHolder, vni: Vni| {
        if !range.contains(vni) {
            run.problem(path(holder), ProblemKind::Outside { value: vni.to_string(), range: range.to_string() });
        }
    };
    for (name, want) in wants {
        let held = pool.network(name);
        match (held, want.as_ref().map(|w| w.fixed)) {
            (Some(vni), None) => release.push(vni),
            (Some(vni), Some(Some(other))) if vni != other => {
                release.push(vni);
                fixed.push((name, other));
            }
            (Some(vni), Some(None)) => check(run, &VniHolder::Network(name.clone()), vni),
            (None, Some(Some(vni))) => fixed.push((name, vni)),
            (None, Some(None)) => missing.push(name),
            _ => {}
        }
        let held = pool.segments(name);
        let subnets = want.as_ref().map_or(&[][..], |w| &w.subnets);
        let groups = regroup(held, subnets);
        for segment in &groups.keep {
            check(run, &VniHolder::Segment(name.clone()), segment.vni);
        }
        if groups.keep != held || !groups.new.is_empty() {
            release.extend(&groups.dropped);
            regrouped.push((name, groups));
        }
    }
    let needs = [(provisioning, pool.provisioning_vrf), (provisioning, pool.provisioning_segment)];
    let provisioning_changes = needs.iter().any(|(wanted, held)| *wanted != held.is_some());
    if !provisioning_changes && release.is_empty() && fixed.is_empty() && missing.is_empty() && regrouped.is_empty() {
        return;
    }
    run.changed = true;
    let pool = Arc::make_mut(pool);
    if !provisioning {
        release.extend(pool.provisioning_vrf.take());
        release.extend(pool.provisioning_segment.take());
    }
    for (name, _) in wants.iter().filter(|(_, want)| want.is_none()) {
        pool.networks.remove(name);
    }
    for vni in release {
        pool.numbers.release(vni, run.now);
    }
    for (name, vni) in fixed {
        pool.networks.remove(name);
        if let Err(other) = pool.claim_network(name, vni) {
            let by = path(&other).to_string();
            run.problem(path(&VniHolder::Network(name.clone())), ProblemKind::Taken { value: vni.to_string(), by });
        }
    }
    give(run, pool, range, &missing, regrouped, provisioning);
}

/// Gives VNIs to those that have none: networks, then segments, then the provisioning network, each in the order of names.
fn give(run: &mut Run, pool: &mut VniPool, range: Range<Vni>, missing: &[&Name], regrouped: Vec<(&Name, Regroup)>, provisioning: bool) {
    let new_vrf = provisioning && pool.provisioning_vrf.is_none();
    let new_segment = provisioning && pool.provisioning_segment.is_none();
    let new_segments: usize = regrouped.iter().map(|(_, groups)| groups.new.len()).sum();
    let count = missing.len() + new_segments + usize::from(new_vrf) + usize::from(new_segment);
    let candidates = (range.low().get()..=range.high().get()).filter_map(|n| Vni::try_from(u64::from(n)).ok());
    let free: Vec<Vni> = pool.numbers.free(run.now, candidates).take(count).collect();
    let mut free = free.into_iter();
    let mut next = |run: &mut Run, pool: &VniPool, holder: &VniHolder| {
        let found = free.next();
        if found.is_none() {
            let resting = pool.numbers.resting_at(run.now);
            run.problem(path(holder), ProblemKind::Exhausted { what: "VNI".to_owned(), range: range.to_string(), resting });
        }
        found
    };
    // what is claimed here was free a moment ago
    for name in missing {
        if let Some(vni) = next(run, pool, &VniHolder::Network((*name).clone())) {
            let _ = pool.claim_network(name, vni);
        }
    }
    for (name, groups) in regrouped {
        pool.segments.remove(name);
        if !groups.keep.is_empty() {
            pool.segments.insert(name.clone(), groups.keep);
        }
        for subnets in groups.new {
            if let Some(vni) = next(run, pool, &VniHolder::Segment(name.clone())) {
                let _ = pool.claim_segment(name, Segment { vni, subnets });
            }
        }
    }
    if new_vrf && let Some(vni) = next(run, pool, &VniHolder::ProvisioningVrf) {
        let _ = pool.claim_provisioning_vrf(vni);
    }
    if new_segment && let Some(vni) = next(run, pool, &VniHolder::ProvisioningSegment) {
        let _ = pool.claim_provisioning_segment(vni);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(texts: &[&str]) -> Vec<Prefix> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    #[test]
    fn families_pair_and_stay_paired() {
        let all = prefixes(&["10.0.0.0/24", "10.0.1.0/24", "fd00::/64", "fd00:1::/64"]);
        let groups = regroup(&[], &all.iter().collect::<Vec<_>>());
        assert_eq!(groups.new, [prefixes(&["10.0.0.0/24", "fd00::/64"]), prefixes(&["10.0.1.0/24", "fd00:1::/64"])]);
        let held: Vec<Segment> =
            (1_u64..).zip(groups.new).map(|(n, subnets)| Segment { vni: Vni::try_from(n).unwrap(), subnets }).collect();
        // the first IPv4 subnet goes: the second pair is not torn apart
        let groups = regroup(&held, &all[1..].iter().collect::<Vec<_>>());
        assert_eq!(groups.keep[0].subnets, prefixes(&["fd00::/64"]));
        assert_eq!(groups.keep[1], held[1]);
        assert!(groups.new.is_empty() && groups.dropped.is_empty());
    }
}
