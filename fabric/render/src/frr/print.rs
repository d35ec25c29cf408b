//! The tree as plain structs, and the templates that print them.

use std::sync::LazyLock;

use leafwall_topology::Family;
use serde::Serialize;
use tera::{Context, Tera};
use thiserror::Error;

use super::family::VniStatement;
use super::{AddressFamily, BfdProfile, Exchange, Foreign, FrrConfig, Origin, RouteMapEntry, RouterBgp, Setting, Vrf};

/// The templates could not be used: a mistake in them, not in what is printed.
#[derive(Debug, Error)]
#[error("frr.conf could not be printed")]
pub struct PrintError(#[source] tera::Error);

const ROOT: &str = "frr.conf.tera";

static TEMPLATES: LazyLock<Result<Tera, String>> = LazyLock::new(|| {
    let mut tera = Tera::new();
    tera.autoescape_on(Vec::<&'static str>::new());
    tera.add_raw_templates([
        ("lists.tera", include_str!("../../../../templates/frr/lists.tera")),
        ("route-map.tera", include_str!("../../../../templates/frr/route-map.tera")),
        ("vrf.tera", include_str!("../../../../templates/frr/vrf.tera")),
        ("router-bgp.tera", include_str!("../../../../templates/frr/router-bgp.tera")),
        ("bfd.tera", include_str!("../../../../templates/frr/bfd.tera")),
        (ROOT, include_str!("../../../../templates/frr/frr.conf.tera")),
    ])
    .map(|()| tera)
    .map_err(|error| error.to_string())
});

/// What the templates get: text at every leaf, nothing to decide.
#[derive(Serialize)]
struct FileView {
    globals: Vec<String>,
    groups: Vec<Vec<ListView>>,
    route_maps: Vec<StanzaView>,
    vrfs: Vec<StanzaView>,
    routers: Vec<RouterView>,
    bfd: Vec<BfdView>,
    foreign: Vec<String>,
}

#[derive(Serialize)]
struct ListView {
    head: String,
    entries: Vec<String>,
}

#[derive(Serialize)]
struct StanzaView {
    head: String,
    lines: Vec<String>,
}

#[derive(Serialize)]
struct RouterView {
    head: String,
    settings: Vec<String>,
    neighbors: Vec<NeighborView>,
    families: Vec<FamilyView>,
}

#[derive(Serialize)]
struct NeighborView {
    peer: String,
    statements: Vec<String>,
}

#[derive(Serialize)]
struct FamilyView {
    kind: String,
    origins: Vec<String>,
    neighbors: Vec<NeighborView>,
    exchanges: Vec<String>,
}

#[derive(Serialize)]
struct BfdView {
    profiles: Vec<StanzaView>,
    foreign: Vec<String>,
}

fn strings<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn foreign_lines(foreign: &[Foreign]) -> Vec<String> {
    let mut lines = Vec::new();
    for statement in foreign {
        statement.lines(0, &mut lines);
    }
    lines
}

fn route_map(entry: &RouteMapEntry) -> StanzaView {
    let mut lines: Vec<_> = entry.matches.iter().map(|m| format!("match {m}")).collect();
    lines.extend(entry.sets.iter().map(|s| format!("set {s}")));
    lines.extend(foreign_lines(&entry.foreign));
    StanzaView { head: format!("{} {} {}", entry.name, entry.action, entry.seq), lines }
}

fn vrf(vrf: &Vrf) -> StanzaView {
    let mut lines: Vec<_> = vrf.vni.iter().map(|vni| format!("vni {vni}")).collect();
    lines.extend(foreign_lines(&vrf.foreign));
    StanzaView { head: vrf.name.to_string(), lines }
}

fn exchange(exchange: &Exchange, lines: &mut Vec<String>) {
    lines.push(exchange.to_string());
    if let Exchange::Vni(vni) = exchange {
        for statement in &vni.statements {
            match statement {
                VniStatement::Foreign(foreign) => foreign.lines(1, lines),
                known => lines.push(format!(" {known}")),
            }
        }
        lines.push("exit-vni".to_owned());
    }
}

fn family(family: &AddressFamily) -> FamilyView {
    let mut origins = Vec::new();
    for origin in &family.origins {
        match origin {
            Origin::Foreign(foreign) => foreign.lines(0, &mut origins),
            known => origins.push(known.to_string()),
        }
    }
    let mut exchanges = Vec::new();
    for item in &family.exchanges {
        exchange(item, &mut exchanges);
    }
    let neighbors =
        family.neighbors.iter().map(|n| NeighborView { peer: n.peer.to_string(), statements: strings(&n.statements) }).collect();
    FamilyView { kind: family.kind.to_string(), origins, neighbors, exchanges }
}

fn router(router: &RouterBgp) -> RouterView {
    let mut settings = Vec::new();
    for setting in &router.settings {
        match setting {
            Setting::Foreign(foreign) => foreign.lines(0, &mut settings),
            known => settings.push(known.to_string()),
        }
    }
    let head = match &router.vrf {
        Some(vrf) => format!("{} vrf {vrf}", router.asn),
        None => router.asn.to_string(),
    };
    let neighbors =
        router.neighbors.iter().map(|n| NeighborView { peer: n.peer.to_string(), statements: strings(&n.statements) }).collect();
    RouterView { head, settings, neighbors, families: router.families.iter().map(family).collect() }
}

fn profile(profile: &BfdProfile) -> StanzaView {
    let mut lines = Vec::new();
    lines.extend(profile.detect_multiplier.map(|value| format!("detect-multiplier {value}")));
    lines.extend(profile.transmit_interval.map(|value| format!("transmit-interval {value}")));
    lines.extend(profile.receive_interval.map(|value| format!("receive-interval {value}")));
    lines.extend(foreign_lines(&profile.foreign));
    StanzaView { head: profile.name.to_string(), lines }
}

fn view(config: &FrrConfig) -> FileView {
    let prefix_lists = |family: Family| {
        let ours = config.prefix_lists.iter().filter(|list| list.family == family);
        ours.map(|list| ListView { head: list.head(), entries: strings(&list.entries) }).collect::<Vec<_>>()
    };
    let attribute_lists =
        config.attribute_lists.iter().map(|list| ListView { head: list.head(), entries: strings(&list.entries) }).collect();
    let groups = [prefix_lists(Family::V4), prefix_lists(Family::V6), attribute_lists];
    let bfd = BfdView { profiles: config.bfd.profiles.iter().map(profile).collect(), foreign: foreign_lines(&config.bfd.foreign) };
    let has_bfd = !bfd.profiles.is_empty() || !bfd.foreign.is_empty();
    FileView {
        globals: strings(&config.globals),
        groups: groups.into_iter().filter(|group: &Vec<_>| !group.is_empty()).collect(),
        route_maps: config.route_maps.iter().map(route_map).collect(),
        vrfs: config.vrfs.iter().map(vrf).collect(),
        routers: config.routers.iter().map(router).collect(),
        bfd: has_bfd.then_some(bfd).into_iter().collect(),
        foreign: foreign_lines(&config.foreign),
    }
}

/// The text of a configuration.
pub(super) fn print(config: &FrrConfig) -> Result<String, PrintError> {
    let tera = TEMPLATES.as_ref().map_err(|message| PrintError(tera::Error::message(message)))?;
    let context = Context::from_serialize(&view(config)).map_err(PrintError)?;
    tera.render(ROOT, &context).map_err(PrintError)
}
