//! How a device stands in the fabric, and whether a change cost it that. Pure.

use std::collections::BTreeMap;

/// What FRR shows of the fabric.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// BGP neighbours that are configured.
    pub neighbours: usize,
    /// Those with a session.
    pub sessions: usize,
    /// Of these, those with other switches, and of a firewall machine those with its leaves: what is behind other ports does not make up for them.
    pub fabric: usize,
    /// EVPN routes that came over them and were accepted.
    pub routes: u64,
    /// For each VNI that the device has, how many other VTEPs it reaches in it.
    pub reached: BTreeMap<u32, u64>,
}

/// VNIs that are named; the rest is counted.
const NAMED: usize = 3;
/// How many VNIs must be cut off where EVPN routes still come. One alone may have lost its last other end to the same revision, elsewhere in the fabric.
const SEVERAL: usize = 2;

impl Health {
    /// What was there before a change and is gone, if that is no part of the change, in words.
    ///
    /// A VNI that the change took away explains itself. Of those that stay, and reached somebody before, most must still: the same revision may have taken away
    /// the last other end of one of them, which the device can't know, but hardly of most.
    pub fn lost(&self, now: &Self) -> Option<String> {
        // a device that is to have no neighbours has none
        if now.neighbours == 0 {
            return None;
        }
        if self.sessions > 0 && now.sessions == 0 {
            return Some("no BGP session is left".to_owned());
        }
        if self.fabric > 0 && now.fabric == 0 {
            return Some(format!("no BGP session with the fabric is left, though {} others are up", now.sessions));
        }
        let stay = self.reached.iter().filter(|(vni, others)| **others > 0 && now.reached.contains_key(vni));
        let stay: Vec<u32> = stay.map(|(vni, _)| *vni).collect();
        let cut: Vec<u32> = stay.iter().filter(|vni| now.reached.get(vni) == Some(&0)).copied().collect();
        if cut.len() * 2 > stay.len() && (cut.len() >= SEVERAL || now.routes == 0) {
            let named: Vec<String> = cut.iter().take(NAMED).map(ToString::to_string).collect();
            let more = if cut.len() > NAMED { ", …" } else { "" };
            return Some(format!(
                "{} of {} VNIs reach nobody any more, though {} BGP sessions are up: {}{more}",
                cut.len(),
                stay.len(),
                now.sessions,
                named.join(", ")
            ));
        }
        // a spine has no VNIs and passes on what it is told
        let passes_on = self.reached.is_empty() && now.reached.is_empty();
        (passes_on && self.routes > 0 && now.routes == 0)
            .then(|| format!("no EVPN route comes any more, though {} BGP sessions are up", now.sessions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(sessions: usize, routes: u64, reached: &[(u32, u64)]) -> Health {
        Health { neighbours: 3, sessions, fabric: sessions.min(2), routes, reached: reached.iter().copied().collect() }
    }

    #[test]
    fn sessions_that_went_are_lost_unless_none_are_wanted() {
        let before = leaf(2, 10, &[(1, 1)]);
        assert_eq!(before.lost(&leaf(1, 5, &[(1, 1)])), None, "one of two");
        assert!(before.lost(&leaf(0, 0, &[(1, 0)])).unwrap().contains("no BGP session"));
        let firewall_only = Health { fabric: 0, ..leaf(1, 3, &[(1, 1)]) };
        assert!(before.lost(&firewall_only).unwrap().contains("no BGP session with the fabric"));
        assert_eq!(firewall_only.lost(&firewall_only), None, "there was none");
        assert_eq!(before.lost(&Health::default()), None, "the device is to be nothing");
        assert_eq!(Health::default().lost(&leaf(0, 0, &[])), None, "there were none");
    }

    #[test]
    fn most_of_the_vnis_that_stay_must_still_reach_somebody() {
        let before = leaf(2, 10, &[(1, 1), (2, 3), (3, 1), (4, 0)]);
        let reason = before.lost(&leaf(2, 4, &[(1, 0), (2, 0), (3, 1), (4, 0)])).unwrap();
        assert!(reason.contains("2 of 3 VNIs") && reason.ends_with(": 1, 2"), "{reason}");
        assert_eq!(before.lost(&leaf(2, 4, &[(1, 1), (2, 1), (3, 0), (4, 0)])), None, "one of three");
        assert_eq!(before.lost(&leaf(2, 4, &[(2, 2), (4, 0)])), None, "the change took the others away");
        assert_eq!(before.lost(&leaf(2, 4, &[])), None, "the change took all away");
        assert_eq!(before.lost(&before), None);
    }

    #[test]
    fn the_last_other_end_of_one_vni_may_go_while_routes_come() {
        let before = leaf(2, 10, &[(1, 1)]);
        assert_eq!(before.lost(&leaf(2, 8, &[(1, 0)])), None);
        assert!(before.lost(&leaf(2, 0, &[(1, 0)])).is_some());
    }

    #[test]
    fn a_spine_that_hears_nothing_any_more_has_lost_it() {
        let spine = |routes| leaf(2, routes, &[]);
        assert!(spine(7).lost(&spine(0)).is_some());
        assert_eq!(spine(7).lost(&spine(1)), None);
        assert_eq!(spine(0).lost(&spine(0)), None);
    }
}
