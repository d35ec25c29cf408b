//! Where the table `local` stands among the routing rules.

use leafwall_render::links::LocalTable;
use leafwall_topology::Family;
use rtnetlink::packet_core::Parseable as _;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};

use super::{Change, Kind, Netlink, NetlinkError, Raw};

/// The table `local` (`linux/rtnetlink.h`).
const LOCAL: u8 = 255;
/// The kernel's own preference for it: before everything.
pub const FIRST: u32 = 0;
/// Behind the rule for VRFs (1000), before the table `main` (32766), as the kernel's documentation of VRF has it.
pub const AFTER_VRFS: u32 = 32765;

/// The preference at which a device looks into the table `local`.
pub const fn preference(local: LocalTable) -> u32 {
    match local {
        LocalTable::First => FIRST,
        LocalTable::AfterVrfs => AFTER_VRFS,
    }
}

fn message(family: Family) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    };
    message
}

fn to_local(family: Family, preference: u32) -> RuleMessage {
    let mut message = message(family);
    message.header.table = LOCAL;
    message.header.action = RuleAction::ToTable;
    message.attributes.push(RuleAttribute::Priority(preference));
    message
}

/// The preference of a rule that leads to the table `local` and asks for nothing else; `None` for other rules.
fn of_local(rule: &RuleMessage) -> Option<u32> {
    let table = rule.attributes.iter().find_map(|attribute| match attribute {
        RuleAttribute::Table(table) => Some(*table),
        _ => None,
    });
    let preference = rule.attributes.iter().find_map(|attribute| match attribute {
        RuleAttribute::Priority(preference) => Some(*preference),
        _ => None,
    });
    let leads = table.unwrap_or(u32::from(rule.header.table)) == u32::from(LOCAL) && rule.header.action == RuleAction::ToTable;
    // the kernel leaves the preference out where it is 0
    leads.then(|| preference.unwrap_or(FIRST))
}

impl Netlink {
    /// The preferences at which a family's table `local` is asked, sorted.
    ///
    /// # Errors
    /// Where the kernel refuses or answers what can't be read.
    pub async fn local_rules(&self, family: Family) -> Result<Vec<u32>, NetlinkError> {
        let answers = self.dump("rules", Raw::new(Kind::GetRule, &message(family))).await?;
        let mut found = Vec::new();
        for answer in answers {
            let rule = RuleMessage::parse(&answer.payload).map_err(|source| NetlinkError::Decode { what: "a rule", source })?;
            found.extend(of_local(&rule));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Adds a rule for the table `local`.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub async fn add_local_rule(&self, family: Family, preference: u32) -> Result<(), NetlinkError> {
        self.change(
            &format!("add rule {preference} for table local"),
            Change::Create,
            Raw::new(Kind::NewRule, &to_local(family, preference)),
        )
        .await
    }

    /// Removes a rule for the table `local`.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub async fn delete_local_rule(&self, family: Family, preference: u32) -> Result<(), NetlinkError> {
        self.change(
            &format!("delete rule {preference} for table local"),
            Change::Existing,
            Raw::new(Kind::DelRule, &to_local(family, preference)),
        )
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rules_to_table_local_count() {
        assert_eq!(of_local(&to_local(Family::V6, AFTER_VRFS)), Some(AFTER_VRFS));
        let mut bare = to_local(Family::V4, FIRST);
        bare.attributes.clear();
        assert_eq!(of_local(&bare), Some(FIRST));
        let mut main = to_local(Family::V4, 32766);
        main.header.table = 254;
        assert_eq!(of_local(&main), None);
    }
}
