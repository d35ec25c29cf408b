//! Statements that the proof does not understand. Each is refused: what nobody reads, nobody has proved.

use leafwall_render::frr::{Exchange, FamilyNeighborStatement, NeighborStatement, Origin, RouterBgp, Setting, VniStatement};

use crate::finding::Finding;
use crate::read::Device;

/// All statements of a device's frr.conf that stand in no type of the tree.
pub fn check(device: &Device) -> Vec<Finding> {
    let frr = &device.frr;
    let mut texts: Vec<String> = frr.foreign.iter().map(|foreign| foreign.text.to_string()).collect();
    texts.extend(frr.vrfs.iter().flat_map(|vrf| &vrf.foreign).map(|foreign| foreign.text.to_string()));
    texts.extend(frr.route_maps.iter().flat_map(|entry| &entry.foreign).map(|foreign| foreign.text.to_string()));
    frr.routers.iter().for_each(|router| in_router(router, &mut texts));
    // what every file ends with
    texts.retain(|text| !matches!(text.as_str(), "end" | "exit"));
    texts.into_iter().map(|text| Finding::not_understood(format!("{}/frr.conf: `{text}`", device.name))).collect()
}

fn in_router(router: &RouterBgp, texts: &mut Vec<String>) {
    for setting in &router.settings {
        if let Setting::Foreign(foreign) = setting {
            texts.push(foreign.text.to_string());
        }
    }
    for statement in router.neighbors.iter().flat_map(|neighbor| &neighbor.statements) {
        if let NeighborStatement::Foreign(text) = statement {
            texts.push(text.to_string());
        }
    }
    for family in &router.families {
        for origin in &family.origins {
            if let Origin::Foreign(foreign) = origin {
                texts.push(foreign.text.to_string());
            }
        }
        for statement in family.neighbors.iter().flat_map(|neighbor| &neighbor.statements) {
            if let FamilyNeighborStatement::Foreign(text) = statement {
                texts.push(text.to_string());
            }
        }
        for exchange in &family.exchanges {
            if let Exchange::Vni(segment) = exchange {
                let foreign = segment.statements.iter().filter_map(|s| if let VniStatement::Foreign(f) = s { Some(f) } else { None });
                texts.extend(foreign.map(|foreign| foreign.text.to_string()));
            }
        }
    }
}
