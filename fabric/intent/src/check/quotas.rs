//! What tenants may have.

use std::collections::HashMap;

use leafwall_topology::Name;

use super::index::Index;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::raw::QuotaItem;
use crate::source::{Place, Spanned};

pub(super) fn check(index: &Index<'_>, out: &mut Diagnostics) {
    let mut limits: HashMap<(&Name, QuotaItem), Spanned<u32>> = HashMap::new();
    for tenant in &index.intents.tenants {
        for (item, limit) in &tenant.spec.quota {
            limits.insert((&tenant.name.value, item.value), *limit);
        }
    }
    if limits.is_empty() {
        return;
    }
    let intents = index.intents;
    let mut counts: HashMap<(&Name, QuotaItem), u32> = HashMap::new();
    let mut count = |tenant: Option<&Spanned<Name>>, item: QuotaItem, name: &Spanned<Name>| {
        let Some(key) = tenant.and_then(|tenant| Some((index.tenants.get_key_value(&tenant.value)?.0, item))) else { return };
        let key = (*key.0, key.1);
        let Some(limit) = limits.get(&key) else { return };
        let number = counts.entry(key).or_default();
        *number += 1;
        // the first one beyond is enough to say it
        if *number == limit.value.saturating_add(1) {
            out.push(exceeded(key.0, item, *limit, name.place));
        }
    };
    for a in &intents.allocations {
        count(a.spec.tenant.as_ref(), QuotaItem::Allocations, &a.name);
    }
    for n in &intents.networks {
        count(n.spec.tenant.as_ref(), QuotaItem::Networks, &n.name);
    }
    for a in &intents.addresses {
        count(a.spec.tenant.as_ref(), QuotaItem::Addresses, &a.name);
    }
    for f in &intents.firewalls {
        count(f.spec.tenant.as_ref(), QuotaItem::Firewalls, &f.name);
    }
    for policy in &intents.policies {
        let firewall = policy.spec.firewall.as_ref().and_then(|name| index.firewalls.get(&name.value));
        count(firewall.and_then(|firewall| firewall.spec.tenant.as_ref()), QuotaItem::Policies, &policy.name);
    }
}

fn exceeded(tenant: &Name, item: QuotaItem, limit: Spanned<u32>, place: Place) -> Diagnostic {
    let message = format!("tenant `{tenant}` has a quota of {} for {item}, this is one more", limit.value);
    Diagnostic::error(codes::QUOTA, place, message).with(limit.place, "its quota")
}
