//! What can be read off links.json.

use std::collections::BTreeSet;
use std::fmt;

use leafwall_render::links::{BridgePort, Forwarding, LinkKind, LocalTable};
use leafwall_topology::IfName;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::{FORWARD_FIRST, Found, JSON_KEY, L3MDEV, MAC_FLOOD, Place, SVI_MAC, SVI_ORDER};

/// Whether sockets of the default VRF hear what comes in by others.
const L3MDEV_SETTINGS: [&str; 2] = ["net/ipv4/tcp_l3mdev_accept", "net/ipv4/udp_l3mdev_accept"];

pub(super) fn check(place: &Place<'_>, found: &mut Found<'_>) {
    keys(place, found);
    svis(place, found);
    sockets(place, found);
    macs(place, found);
    if place.is_firewall() && place.device.links.forwarding != Forwarding::AfterRuleset {
        found.links(FORWARD_FIRST, "\"forwarding\"", "it forwards at once");
    }
}

/// H15
fn keys(place: &Place<'_>, found: &mut Found<'_>) {
    for key in &place.device.repeated_keys {
        found.links(JSON_KEY, &format!("\"{key}\""), format!("`{key}` stands twice in one object"));
    }
}

/// Keys that stand twice in an object, anywhere in a text of JSON.
pub(crate) fn repeated_keys(text: &str) -> BTreeSet<String> {
    serde_json::from_str(text).map(|Keys(all)| all.into_iter().collect()).unwrap_or_default()
}

/// The same, each as often as it is repeated.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Looking;
        impl<'de> Visitor<'de> for Looking {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let (mut seen, mut twice) = (BTreeSet::new(), Vec::new());
                while let Some((key, Keys(inner))) = map.next_entry::<String, Keys>()? {
                    twice.extend(inner);
                    if let Some(key) = seen.replace(key) {
                        twice.push(key);
                    }
                }
                Ok(Keys(twice))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Keys, A::Error> {
                let mut twice = Vec::new();
                while let Some(Keys(inner)) = all.next_element()? {
                    twice.extend(inner);
                }
                Ok(Keys(twice))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Keys, E> {
                Ok(Keys(Vec::new()))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Keys, E> {
                Ok(Keys(Vec::new()))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Keys, E> {
                Ok(Keys(Vec::new()))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Keys, E> {
                Ok(Keys(Vec::new()))
            }

            fn visit_str<E>(self, _: &str) -> Result<Keys, E> {
                Ok(Keys(Vec::new()))
            }

            fn visit_unit<E>(self) -> Result<Keys, E> {
                Ok(Keys(Vec::new()))
            }
        }
        deserializer.deserialize_any(Looking)
    }
}

/// H1 and H2
fn svis(place: &Place<'_>, found: &mut Found<'_>) {
    let device = place.device;
    let l3: BTreeSet<&IfName> = device.vrfs().filter_map(|(vrf, _)| device.l3vni(vrf)).map(|(_, svi)| svi).collect();
    let svis: BTreeSet<&IfName> = device.svis.values().collect();
    let mut last: Option<&IfName> = None;
    let mut macs = BTreeSet::new();
    for link in device.links.links.iter().filter(|link| svis.contains(&link.name)) {
        if l3.contains(&link.name) {
            last = Some(&link.name);
            macs.insert(link.mac);
            if macs.len() > 1 {
                let mac = link.mac.map_or_else(|| "none of its own".to_owned(), |mac| mac.to_string());
                found.links(
                    SVI_MAC,
                    &format!("\"name\":\"{}\"", link.name),
                    format!("{} has the MAC address {mac}, others another one", link.name),
                );
            }
        } else if let Some(before) = last {
            let what = format!("{} is made after {before}, the SVI of an L3VNI", link.name);
            found.links(SVI_ORDER, &format!("\"name\":\"{}\"", link.name), what);
        }
    }
}

/// H40
fn sockets(place: &Place<'_>, found: &mut Found<'_>) {
    if !place.is_switch() || place.device.vrfs().next().is_none() {
        return;
    }
    for setting in L3MDEV_SETTINGS {
        let value = place.device.links.sysctls.get(setting);
        if value.map(String::as_str) != Some("0") {
            let what = format!("{setting} is {}", value.map_or("not said", String::as_str));
            found.links(L3MDEV, &format!("\"{setting}\""), what);
        }
    }
    if place.device.links.local_table == LocalTable::First {
        found.links(L3MDEV, "\"local_table\"", "the table of local addresses is asked before the VRFs");
    }
}

/// H41, the bridge's part.
fn macs(place: &Place<'_>, found: &mut Found<'_>) {
    let access = place.device.links.links.iter().any(|link| matches!(link.bridge_port, Some(BridgePort::Access { .. })));
    for link in place.device.links.links.iter().filter(|_| access && place.is_switch()) {
        if let LinkKind::Bridge { maximum_macs: 0, .. } = link.kind {
            found.links(MAC_FLOOD, "\"maximum_macs\"", format!("{} learns without a limit", link.name));
        }
    }
}
