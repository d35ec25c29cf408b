//! What is known of the rows that conditions are about. Pure: it is told rows as they were read.

use std::collections::BTreeMap;

use leafwall_delta::config_db::{Condition, Database};
use leafwall_render::config_db::Hash;

use super::redis::Interests;

/// Before the kind and the number of an object in ASIC_DB: `ASIC_STATE:SAI_OBJECT_TYPE_TUNNEL_MAP_ENTRY:oid:0x3b0000000005f0`.
const OBJECT: &str = "ASIC_STATE:";

/// Rows by database and name.
#[derive(Debug, Default)]
pub struct View {
    rows: BTreeMap<(u8, String), Hash>,
}

/// The beginning of the names of objects of a kind.
fn objects(kind: &str) -> String {
    format!("{OBJECT}{kind}:")
}

/// What has to be heard of to know whether conditions hold.
pub fn interests<'a>(conditions: impl Iterator<Item = &'a Condition>) -> Interests {
    let mut interests = Interests::default();
    for condition in conditions {
        let database = condition.database().number();
        match condition {
            Condition::Present { name, .. } | Condition::Absent { name, .. } => _ = interests.rows.insert((database, name.clone())),
            Condition::Object { kind, .. } | Condition::NoObject { kind, .. } => {
                interests.shapes.insert((database, objects(kind) + "*"));
            }
        }
    }
    interests
}

impl View {
    /// A row as it is; nothing where there is none.
    pub fn learn(&mut self, database: u8, name: String, row: Option<Hash>) {
        match row {
            Some(row) => _ = self.rows.insert((database, name), row),
            None => _ = self.rows.remove(&(database, name)),
        }
    }

    /// Whether a condition holds, by what is known.
    pub fn holds(&self, condition: &Condition) -> bool {
        let row = |database: &Database, name: &String| self.rows.get(&(database.number(), name.clone()));
        match condition {
            // a field that is not there is as good as empty: SONiC writes the default VRF either way
            Condition::Present { database, name, fields } => row(database, name)
                .is_some_and(|row| fields.iter().all(|(field, value)| row.get(*field).map_or("", String::as_str) == value.as_str())),
            Condition::Absent { database, name } => row(database, name).is_none(),
            Condition::Object { kind, attributes } => self.has_object(kind, attributes),
            Condition::NoObject { kind, attributes } => !self.has_object(kind, attributes),
        }
    }

    fn has_object(&self, kind: &str, attributes: &[(&'static str, String)]) -> bool {
        let (database, start) = (Database::Asic.number(), objects(kind));
        let of_kind =
            self.rows.range((database, start.clone())..).take_while(|((of, name), _)| *of == database && name.starts_with(&start));
        of_kind.into_iter().any(|(_, row)| attributes.iter().all(|(attribute, value)| row.get(*attribute) == Some(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "SAI_OBJECT_TYPE_TUNNEL_MAP_ENTRY";

    fn row(fields: &[(&str, &str)]) -> Hash {
        fields.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect()
    }

    fn present(fields: &[(&'static str, &str)]) -> Condition {
        let fields = fields.iter().map(|(field, value)| (*field, (*value).to_owned())).collect();
        Condition::Present { database: Database::State, name: "INTERFACE_TABLE|Ethernet0".to_owned(), fields }
    }

    #[test]
    fn rows_are_there_with_their_fields() {
        let mut view = View::default();
        let absent = Condition::Absent { database: Database::State, name: "INTERFACE_TABLE|Ethernet0".to_owned() };
        assert!(view.holds(&absent) && !view.holds(&present(&[])));
        view.learn(6, "INTERFACE_TABLE|Ethernet0".to_owned(), Some(row(&[("vrf", "Vrf5")])));
        assert!(!view.holds(&absent) && view.holds(&present(&[])) && view.holds(&present(&[("vrf", "Vrf5")])));
        assert!(!view.holds(&present(&[("vrf", "Vrf6")])) && !view.holds(&present(&[("state", "ok")])));
        assert!(view.holds(&present(&[("bridge", "")])), "no VRF is the default VRF");
        // the same name in another database is another row
        view.learn(6, "INTERFACE_TABLE|Ethernet0".to_owned(), None);
        view.learn(0, "INTERFACE_TABLE|Ethernet0".to_owned(), Some(row(&[])));
        assert!(view.holds(&absent));
    }

    #[test]
    fn objects_are_found_by_their_attributes() {
        let attributes = |vni: &str| vec![("VNI", vni.to_owned()), ("VLAN", "7".to_owned())];
        let mut view = View::default();
        view.learn(1, format!("ASIC_STATE:{KIND}:oid:0x1"), Some(row(&[("VNI", "5"), ("VLAN", "7"), ("TYPE", "x")])));
        view.learn(1, format!("ASIC_STATE:{KIND}_OTHER:oid:0x2"), Some(row(&[("VNI", "6"), ("VLAN", "7")])));
        assert!(view.holds(&Condition::Object { kind: KIND, attributes: attributes("5") }));
        assert!(view.holds(&Condition::NoObject { kind: KIND, attributes: attributes("6") }));
        assert!(!view.holds(&Condition::NoObject { kind: KIND, attributes: attributes("5") }));
    }

    #[test]
    fn what_is_heard_of_is_what_conditions_name() {
        let object = Condition::Object { kind: KIND, attributes: Vec::new() };
        let heard = interests([present(&[]), present(&[("vrf", "x")]), object].iter());
        assert_eq!(heard.rows.into_iter().collect::<Vec<_>>(), [(6, "INTERFACE_TABLE|Ethernet0".to_owned())]);
        assert_eq!(heard.shapes.into_iter().collect::<Vec<_>>(), [(1, format!("ASIC_STATE:{KIND}:*"))]);
    }
}
