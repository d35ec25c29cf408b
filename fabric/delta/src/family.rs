//! Address families of an instance.

use leafwall_render::frr::{AddressFamily, Direction, Exchange, FamilyNeighborStatement, Foreign, Origin, VniStatement};

use crate::neighbors::Fresh;
use crate::slots::{edits, foreign, negate};
use crate::step::{Batch, Context};

/// What one address family adds to the steps.
#[derive(Debug, Default)]
pub struct Changes {
    /// Leaks that end.
    pub withdraw: Vec<Batch>,
    pub change: Vec<Batch>,
    /// Leaks that begin, after all instances are there: naming an instance that is not makes one.
    pub leaks: Vec<Batch>,
    /// What ends with the links that it is for.
    pub clean: Vec<Batch>,
}

/// Compares one address family. Filters are there before what they filter is sent or taken.
pub fn changes(context: &Context, old: &AddressFamily, new: &AddressFamily, fresh: &Fresh) -> Changes {
    let mut changes = Changes::default();
    let batch = |commands: Vec<String>| (!commands.is_empty()).then(|| Batch { context: context.clone(), commands });

    let mut commands = neighbors(old, new, fresh);
    let gone = old.exchanges.iter().filter(|item| !new.exchanges.iter().any(|other| place(other) == place(item)));
    let gone: Vec<&Exchange> = gone.collect();
    let said: Vec<&Exchange> = new.exchanges.iter().filter(|item| !old.exchanges.contains(item)).collect();
    let negated = |which: fn(&Exchange) -> bool| gone.iter().filter(move |item| which(item)).map(|item| negate(&item.to_string()));
    let stated = |which: fn(&Exchange) -> bool| said.iter().filter(move |item| which(item)).map(ToString::to_string);

    commands.extend(negated(announces));
    commands.extend(origins(&old.origins, &new.origins));
    // a target that goes follows the one that comes: without any, bgpd takes one of its own making
    commands.extend(stated(marks));
    commands.extend(negated(marks));
    commands.extend(stated(announces));
    commands.extend(stated(|item| matches!(item, Exchange::AdvertiseAllVni)));
    changes.change.extend(batch(commands));
    let unknown = |origins: &[Origin]| origins.iter().filter_map(foreign_origin).collect::<Vec<_>>();
    changes.change.extend(foreign(context, &unknown(&old.origins), &unknown(&new.origins)));
    vnis(context, old, new, &mut changes.change);

    changes.withdraw.extend(batch(negated(leaks).collect()));
    changes.leaks.extend(batch(stated(leaks).collect()));
    let mut last: Vec<String> = negated(|item| matches!(item, Exchange::Vni(_))).collect();
    last.extend(negated(|item| matches!(item, Exchange::AdvertiseAllVni)));
    changes.clean.extend(batch(last));
    changes
}

/// Takes back what an instance of the same VRF would inherit from one that goes.
pub fn inherited(family: &AddressFamily) -> Vec<String> {
    let vnis = family.exchanges.iter().filter(|exchange| matches!(exchange, Exchange::Vni(_)));
    let all = family.exchanges.iter().filter(|exchange| matches!(exchange, Exchange::AdvertiseAllVni));
    vnis.chain(all).map(|exchange| negate(&exchange.to_string())).collect()
}

const fn announces(exchange: &Exchange) -> bool {
    matches!(exchange, Exchange::Advertise(..))
}

const fn leaks(exchange: &Exchange) -> bool {
    matches!(exchange, Exchange::ImportVrf(_))
}

/// What routes are marked with, told apart by, or filtered by on their way.
const fn marks(exchange: &Exchange) -> bool {
    matches!(exchange, Exchange::ImportVrfRouteMap(_) | Exchange::Rd(_) | Exchange::ImportTarget(_) | Exchange::ExportTarget(_))
}

/// Which statements take each other's place: those that are alone of their kind, and others only themselves.
fn place(exchange: &Exchange) -> (u8, String) {
    match exchange {
        Exchange::ImportVrfRouteMap(_) => (0, String::new()),
        Exchange::ImportVrf(vrf) => (1, vrf.to_string()),
        Exchange::AdvertiseAllVni => (2, String::new()),
        Exchange::Vni(vni) => (3, vni.vni.to_string()),
        Exchange::Advertise(family, _) => (4, format!("{family:?}")),
        Exchange::Rd(_) => (5, String::new()),
        Exchange::ImportTarget(target) => (6, target.to_string()),
        Exchange::ExportTarget(target) => (7, target.to_string()),
    }
}

fn foreign_origin(origin: &Origin) -> Option<Foreign> {
    match origin {
        Origin::Foreign(statement) => Some(statement.clone()),
        _ => None,
    }
}

/// What is announced. A redistribution keeps its route-map unless it is taken back whole (tried on FRR 10.3).
fn origins(old: &[Origin], new: &[Origin]) -> Vec<String> {
    let known = |origins: &[Origin]| origins.iter().filter(|origin| !matches!(origin, Origin::Foreign(_))).cloned().collect::<Vec<_>>();
    let place = |origin: &Origin| match origin {
        Origin::Redistribute(source, Some(_)) => (0, source.to_string()),
        other => (1, other.to_string()),
    };
    let changes = edits(&known(old), &known(new), place, ToString::to_string);
    // without its route-map it would announce more, so it ends before it begins anew
    changes.gone.iter().map(|text| negate(text)).chain(changes.said).collect()
}

/// Which statements of a neighbour take each other's place.
fn neighbor_slot(statement: &FamilyNeighborStatement) -> (u8, Option<Direction>, String) {
    let (slot, direction) = match statement {
        FamilyNeighborStatement::Activate => (0, None),
        FamilyNeighborStatement::RemovePrivateAs => (1, None),
        FamilyNeighborStatement::MaximumPrefix { .. } => (2, None),
        FamilyNeighborStatement::AllowasIn(_) => (3, None),
        FamilyNeighborStatement::PrefixList(_, direction) => (4, Some(*direction)),
        FamilyNeighborStatement::RouteMap(_, direction) => (5, Some(*direction)),
        FamilyNeighborStatement::FilterList(_, direction) => (6, Some(*direction)),
        FamilyNeighborStatement::NextHopUnchanged => (7, None),
        // each has a place of its own
        FamilyNeighborStatement::Foreign(text) => return (8, None, text.to_string()),
    };
    (slot, direction, String::new())
}

/// What is said of neighbours: filters before activation, and after deactivation. A neighbour that is made anew, or gone, has lost what was said of it.
fn neighbors(old: &AddressFamily, new: &AddressFamily, fresh: &Fresh) -> Vec<String> {
    let statements = |family: &AddressFamily, peer| {
        family.neighbors.iter().find(|neighbor| neighbor.peer == peer).map(|neighbor| neighbor.statements.clone()).unwrap_or_default()
    };
    let mut commands = Vec::new();
    for neighbor in old.neighbors.iter().filter(|neighbor| !fresh.is_gone(&neighbor.peer)) {
        if !new.neighbors.iter().any(|other| other.peer == neighbor.peer) {
            commands.extend(neighbor.statements.iter().map(|statement| format!("no neighbor {} {statement}", neighbor.peer)));
        }
    }
    for neighbor in &new.neighbors {
        let before = if fresh.is_gone(&neighbor.peer) { Vec::new() } else { statements(old, neighbor.peer.clone()) };
        if before == neighbor.statements {
            continue;
        }
        let changes = edits(&before, &neighbor.statements, neighbor_slot, ToString::to_string);
        let command = |text: &String| format!("neighbor {} {text}", neighbor.peer);
        let activate = |text: &&String| *text == "activate";
        commands.extend(changes.gone.iter().filter(activate).map(command).map(|text| negate(&text)));
        commands.extend(changes.said.iter().filter(|text| !activate(text)).map(command));
        commands.extend(changes.gone.iter().filter(|text| !activate(text)).map(command).map(|text| negate(&text)));
        commands.extend(changes.said.iter().filter(activate).map(command));
    }
    commands
}

/// L2VNIs that come or change.
fn vnis(context: &Context, old: &AddressFamily, new: &AddressFamily, into: &mut Vec<Batch>) {
    for exchange in new.exchanges.iter().filter(|exchange| !old.exchanges.contains(exchange)) {
        let Exchange::Vni(vni) = exchange else { continue };
        let earlier = old.exchanges.iter().find_map(|exchange| match exchange {
            Exchange::Vni(other) if other.vni == vni.vni => Some(other),
            _ => None,
        });
        let before = earlier.map_or(&[][..], |vni| &vni.statements);
        let context = context.inner(format!("vni {}", vni.vni));
        let place = |statement: &VniStatement| match statement {
            VniStatement::Rd(_) => "rd".to_owned(),
            other => other.to_string(),
        };
        let known =
            |statements: &[VniStatement]| statements.iter().filter(|s| !matches!(s, VniStatement::Foreign(_))).cloned().collect::<Vec<_>>();
        let changes = edits(&known(before), &known(&vni.statements), place, ToString::to_string);
        let mut commands = changes.said;
        commands.extend(changes.gone.iter().map(|text| negate(text)));
        if earlier.is_none() || !commands.is_empty() {
            into.push(Batch { context: context.clone(), commands });
        }
        let unknown = |statements: &[VniStatement]| {
            let each = statements.iter().filter_map(|statement| match statement {
                VniStatement::Foreign(foreign) => Some(foreign.clone()),
                _ => None,
            });
            each.collect::<Vec<_>>()
        };
        into.extend(foreign(&context, &unknown(before), &unknown(&vni.statements)));
    }
}
