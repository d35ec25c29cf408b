//! Neighbours and peer groups outside of the address families.

use std::collections::BTreeSet;

use leafwall_render::frr::{Neighbor, NeighborStatement, Peer, RouterBgp};

use crate::slots::{edits, negate};

/// Neighbours that are made, or made anew because what they *are* changes: a group, an interface, an ASN.
#[derive(Debug, Default)]
pub struct Fresh {
    made: BTreeSet<Peer>,
    gone: BTreeSet<Peer>,
}

/// What a neighbour is.
fn identity(neighbor: &Neighbor) -> Vec<&NeighborStatement> {
    neighbor.statements.iter().filter(|statement| is_identity(statement)).collect()
}

fn is_identity(statement: &NeighborStatement) -> bool {
    match statement {
        NeighborStatement::PeerGroup
        | NeighborStatement::InterfacePeerGroup(_)
        | NeighborStatement::InterfaceRemoteAs(_)
        | NeighborStatement::RemoteAs(_) => true,
        // forms that we do not use: `interface v6only …`, `peer-group G`, `local-as …`
        NeighborStatement::Foreign(text) => ["interface ", "peer-group ", "local-as "].iter().any(|word| text.as_str().starts_with(word)),
        _ => false,
    }
}

/// Whether it is in this group.
pub fn is_member(neighbor: &Neighbor, group: &Peer) -> bool {
    let name = group.to_string();
    neighbor.statements.iter().any(|statement| match statement {
        NeighborStatement::InterfacePeerGroup(word) => word.as_str() == name,
        NeighborStatement::Foreign(text) => text.as_str().split(' ').collect::<Vec<_>>().ends_with(&["peer-group", name.as_str()]),
        _ => false,
    })
}

pub fn is_group(neighbor: &Neighbor) -> bool {
    neighbor.statements.contains(&NeighborStatement::PeerGroup)
}

fn find<'a>(router: &'a RouterBgp, peer: &Peer) -> Option<&'a Neighbor> {
    router.neighbors.iter().find(|neighbor| neighbor.peer == *peer)
}

impl Fresh {
    pub fn between(old: Option<&RouterBgp>, new: &RouterBgp) -> Self {
        let Some(old) = old else {
            return Self { made: new.neighbors.iter().map(|neighbor| neighbor.peer.clone()).collect(), gone: BTreeSet::new() };
        };
        let changed = |neighbor: &&Neighbor| find(new, &neighbor.peer).is_none_or(|other| identity(other) != identity(neighbor));
        let mut gone: BTreeSet<Peer> = old.neighbors.iter().filter(changed).map(|neighbor| neighbor.peer.clone()).collect();
        // a group takes its members with it
        let groups: Vec<Peer> = old.neighbors.iter().filter(|n| is_group(n) && gone.contains(&n.peer)).map(|n| n.peer.clone()).collect();
        for group in groups {
            gone.extend(old.neighbors.iter().filter(|neighbor| is_member(neighbor, &group)).map(|neighbor| neighbor.peer.clone()));
        }
        let made = |neighbor: &&Neighbor| gone.contains(&neighbor.peer) || find(old, &neighbor.peer).is_none();
        let made = new.neighbors.iter().filter(made).map(|neighbor| neighbor.peer.clone()).collect();
        Self { made, gone }
    }

    pub fn is_empty(&self) -> bool {
        self.made.is_empty() && self.gone.is_empty()
    }

    /// Whether nothing that was said of it holds any more.
    pub fn is_gone(&self, peer: &Peer) -> bool {
        self.gone.contains(peer)
    }

    /// Whether it comes, or comes anew.
    pub fn is_made(&self, peer: &Peer) -> bool {
        self.made.contains(peer)
    }

    /// Takes neighbours back, members before their groups. Their statements in address families go with them.
    pub fn withdrawals(&self, old: Option<&RouterBgp>) -> Vec<String> {
        let Some(old) = old else { return Vec::new() };
        let of = |group: bool| old.neighbors.iter().filter(move |n| self.gone.contains(&n.peer) && is_group(n) == group);
        let members = of(false).map(|neighbor| format!("no neighbor {}", neighbor.peer));
        members.chain(of(true).map(|neighbor| format!("no neighbor {} peer-group", neighbor.peer))).collect()
    }
}

/// Which statements take each other's place. What a neighbour is, is never replaced in place.
const fn slot(statement: &NeighborStatement) -> u8 {
    match statement {
        NeighborStatement::PeerGroup | NeighborStatement::InterfacePeerGroup(_) | NeighborStatement::InterfaceRemoteAs(_) => 0,
        NeighborStatement::RemoteAs(_) => 1,
        NeighborStatement::Description(_) => 2,
        NeighborStatement::Bfd => 3,
        NeighborStatement::BfdProfile(_) => 4,
        NeighborStatement::Password(_) => 5,
        NeighborStatement::TtlSecurityHops(_) => 6,
        NeighborStatement::Timers { .. } => 7,
        NeighborStatement::TimersConnect(_) => 8,
        NeighborStatement::Foreign(_) => 9,
    }
}

/// What is said of neighbours that come or stay.
pub fn statements(old: Option<&RouterBgp>, new: &RouterBgp, fresh: &Fresh) -> Vec<String> {
    let mut commands = Vec::new();
    for neighbor in &new.neighbors {
        let before = old.filter(|_| !fresh.made.contains(&neighbor.peer)).and_then(|router| find(router, &neighbor.peer));
        if before == Some(neighbor) {
            continue;
        }
        let before = before.map_or(&[][..], |neighbor| &neighbor.statements);
        // statements that we do not know have places of their own
        let place = |statement: &NeighborStatement| match statement {
            NeighborStatement::Foreign(text) => (slot(statement), Some(text.clone())),
            known => (slot(known), None),
        };
        let changes = edits(before, &neighbor.statements, place, ToString::to_string);
        let command = |text: &String| format!("neighbor {} {text}", neighbor.peer);
        // `no … bfd` takes the profile with it, `no … bfd profile` leaves BFD: the later ones go first
        commands.extend(changes.gone.iter().rev().map(command).map(|text| negate(&text)));
        commands.extend(changes.said.iter().map(command));
    }
    commands
}
