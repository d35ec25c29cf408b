//! A tenant's part of the fabric's files: taking it out, putting another in, and what the tenant is told of it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use leafwall_intent::diagnostic::Style;
use leafwall_intent::tenancy::{Judged, Split, beyond, judge, split};
use leafwall_intent::{ALLOCATION_FILE, FileId, SourceFile, Sources, read};
use leafwall_proof::Reach;
use leafwall_proof::reach::Change;
use leafwall_topology::Name;

use crate::history::Intents;
use crate::pipeline::Rejection;

/// Between the tenant and the name that a file has for it. No name of an object has it, so no other tenant's files begin like these.
const MARK: char = '@';

/// Files that a tenant may have, and bytes of the name of one: each is a value in the store and a line in every revision.
const FILES_MAX: usize = 256;
const PATH_MAX: usize = 100;

/// What is said where the reason is somebody else's.
const ELSEWHERE: &str = "error: the fabric as a whole does not allow this, by something that is not yours; an operator can see what\n";
/// The same of the proof.
const NOT_PROVED: &str = "error: it can't be proved that everybody stays apart with this; an operator can see why\n";
/// The same of a change that others would notice.
const OTHERS: &str =
    "error: with this, packets of others could pass that can't now, or no longer; an operator can apply it, and see which\n";
/// The same of numbers.
const NO_NUMBERS: &str = "error: no number or address is left for this, or one that is fixed here is taken\n";
/// The same of our own mistakes.
const INTERNAL: &str = "error: this can't be rendered; an operator can see why\n";

/// A tenant's documents within all others.
#[derive(Debug)]
pub struct Merged {
    /// All files, for the pipeline.
    pub intents: Intents,
    /// Warnings that are the tenant's.
    pub warnings: String,
}

/// What the files of a tenant begin with.
fn prefix(tenant: &Name) -> String {
    format!("tenant-{tenant}{MARK}")
}

fn sources(intents: &Intents) -> Vec<SourceFile> {
    let files = intents.iter().filter(|(path, _)| *path != ALLOCATION_FILE);
    files.map(|(path, bytes)| SourceFile::from_bytes(path.clone(), bytes)).collect()
}

/// Parts the fabric's files. What is read here has passed all checks before.
fn parted(intents: &Intents, tenant: &Name) -> Result<Split, String> {
    let (documents, _) = read(&sources(intents));
    // which file it is, is the operators'
    split(&documents, tenant).map_err(|_| ELSEWHERE.to_owned())
}

/// Replaces a tenant's documents in the fabric by those that it sends, unless something is wrong with them.
///
/// The table of numbers is not among the files: the stored one goes on.
///
/// # Errors
/// What the tenant is told. Nothing of it is about anybody else.
pub fn merge(head: &Intents, tenant: &Name, sent: &Intents) -> Result<Merged, String> {
    let own = |path: &str| format!("{}{path}", prefix(tenant));
    if sent.len() > FILES_MAX {
        return Err(format!("error: {} files are sent, and {FILES_MAX} are allowed: put several documents into one\n", sent.len()));
    }
    if let Some(path) = sent.keys().find(|path| !is_plain(path)) {
        let shown: String = path.chars().take(PATH_MAX).collect();
        return Err(format!("error: `{}` can't be a file of a tenant's intents: leave it out\n", shown.escape_default()));
    }
    // by themselves first: so all that is said of how they are written is said of them alone
    let alone = sources(sent);
    let (_, found) = read(&alone);
    if found.has_errors() {
        return Err(found.render(&Sources::new(alone), Style::Plain));
    }
    let Split { rest, shared, .. } = parted(head, tenant)?;
    // files of the tenant's in which nobody else has anything go, whatever its comments are
    let rest = rest.into_iter().filter(|(path, _)| !path.starts_with(&prefix(tenant)) || shared.contains(path));
    let mut intents: Intents = rest.map(|(path, text)| (path, text.into_bytes())).collect();
    for (path, bytes) in sent {
        if intents.insert(own(path), bytes.clone()).is_some() {
            return Err(format!("error: an operator keeps something of yours in a file called `{path}`: give yours another name\n"));
        }
    }
    let (documents, _) = read(&sources(&intents));
    let judged = judge(&documents, tenant, &own_files(&documents.sources, tenant, sent));
    let told = told(&judged, &documents.sources, tenant, sent);
    if judged.refused() { Err(told) } else { Ok(Merged { intents, warnings: told }) }
}

/// Whether a file may be a tenant's: the operators' table is not, nor what could stand for another file to somebody who looks at it.
fn is_plain(path: &str) -> bool {
    let known = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    let yaml = [".yaml", ".yml"].iter().any(|end| path.ends_with(end));
    yaml && path != ALLOCATION_FILE && path.len() <= PATH_MAX && path.chars().all(known)
}

fn own_files(sources: &Sources, tenant: &Name, sent: &Intents) -> BTreeSet<FileId> {
    let is_own = |path: &str| path.strip_prefix(&prefix(tenant)).is_some_and(|path| sent.contains_key(path));
    sources.iter().filter(|(_, file)| is_own(&file.path)).map(|(id, _)| id).collect()
}

/// Findings in the tenant's words: its files as it calls them, and the texts of no others.
fn told(judged: &Judged, sources: &Sources, tenant: &Name, sent: &Intents) -> String {
    let shown = sources.only(|path| path.strip_prefix(&prefix(tenant)).filter(|path| sent.contains_key(*path)).map(str::to_owned));
    let mut text = judged.own.render(&shown, Style::Plain);
    if judged.elsewhere > 0 {
        text.push_str(ELSEWHERE);
    }
    text
}

/// What a tenant's change opens and closes, of which all is to be its own: one that alters what passes between others is refused.
///
/// # Errors
/// What the tenant is told: nothing about anybody else.
pub fn within(tenant: &Name, before: Option<&Reach>, after: &Reach) -> Result<Vec<Change>, String> {
    // what is not known can't be found unaltered
    let before = before.ok_or_else(|| NOT_PROVED.to_owned())?;
    let changes = before.changes(after);
    if let Some(other) = changes.iter().find(|change| !change.tenants.contains(tenant)) {
        tracing::warn!(%tenant, change = %other, "a tenant's change is refused: it alters what passes between others");
        return Err(OTHERS.to_owned());
    }
    Ok(changes)
}

/// What a tenant is told where the whole fabric with its documents in it is refused.
pub fn refusal(rejection: &Rejection, tenant: &Name, sent: &Intents) -> String {
    match rejection {
        Rejection::Intents(mistakes) => {
            let own = own_files(&mistakes.sources, tenant, sent);
            told(&beyond(&mistakes.diagnostics, &own), &mistakes.sources, tenant, sent)
        }
        Rejection::Numbers(_) => NO_NUMBERS.to_owned(),
        Rejection::Proof(_) => NOT_PROVED.to_owned(),
        Rejection::Internal(_) => INTERNAL.to_owned(),
    }
}

/// A tenant's own documents in a fabric's files, as files: what [`merge`] takes, it gives.
///
/// # Errors
/// Where they can't be told from others.
pub fn shown(intents: &Intents, tenant: &Name) -> Result<Intents, String> {
    let mut files = Intents::new();
    let Split { own, shared, rest, .. } = parted(intents, tenant)?;
    for (path, rest) in rest {
        let name = path.strip_prefix(&prefix(tenant));
        let text = match (own.get(&path), name) {
            // its own file as it sent it, comments included
            (_, Some(_)) if !shared.contains(&path) => intents.get(&path).cloned().unwrap_or_else(|| rest.into_bytes()),
            (Some(own), _) => own.clone().into_bytes(),
            (None, _) => continue,
        };
        let mut name = name.unwrap_or(&path).replace(MARK, "-");
        while files.contains_key(&name) {
            name = format!("kept-{name}");
        }
        files.insert(name, text);
    }
    Ok(files)
}

/// A tenant's own documents by kind and name.
pub type Own = BTreeMap<(&'static str, Name), String>;

/// A tenant's own documents.
///
/// # Errors
/// Where they can't be told from others.
pub fn own(intents: &Intents, tenant: &Name) -> Result<Own, String> {
    parted(intents, tenant).map(|split| split.documents)
}

/// What differs between a tenant's documents: kind, name, and whether it is new, changed or removed.
pub fn changes(before: &Own, after: &Own) -> Vec<(&'static str, Name, &'static str)> {
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let word = |key| match (before.get(key), after.get(key)) {
        (None, _) => Some("new"),
        (_, None) => Some("removed"),
        // what stands between two documents, and where a document stands, is no change of it
        (Some(one), Some(other)) if normal(one) != normal(other) => Some("changed"),
        _ => None,
    };
    keys.into_iter().filter_map(|key| Some((key.0, key.1.clone(), word(key)?))).collect()
}

fn normal(text: &str) -> &str {
    let text = text.trim_start_matches('\u{feff}');
    text.strip_prefix("---").unwrap_or(text).trim()
}

/// Of the objects that have a state: the devices that they need, and those of them that are the tenant's own machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: Name,
    /// All devices that have a part in it.
    pub devices: BTreeSet<Name>,
    /// The firewall machines among them, which the tenant may know of.
    pub machines: BTreeSet<Name>,
}

/// Where a tenant's networks, allocations and firewalls are, by the fabric's files.
pub fn placed(intents: &Intents) -> BTreeMap<Name, Vec<Placed>> {
    let (model, _) = leafwall_intent::load(&Sources::new(sources(intents)));
    let Some(model) = model else { return BTreeMap::new() };
    let leaves = |server: &Name| {
        let server = model.servers.get(server);
        server.into_iter().flat_map(|server| &server.nics).map(|nic| nic.port.device.clone()).collect::<BTreeSet<_>>()
    };
    let mut all: BTreeMap<Name, Vec<Placed>> = BTreeMap::new();
    let mut networks: BTreeMap<&Name, (BTreeSet<Name>, BTreeSet<Name>)> = BTreeMap::new();
    for allocation in model.allocations.values() {
        let devices = leaves(&allocation.server);
        networks.entry(&allocation.network).or_default().0.extend(devices.clone());
        let placed = Placed { kind: "Allocation", name: allocation.name.clone(), devices, machines: BTreeSet::new() };
        all.entry(allocation.tenant.clone()).or_default().push(placed);
    }
    for firewall in model.firewalls.values() {
        let machines: BTreeSet<Name> = firewall.servers.iter().cloned().collect();
        let devices: BTreeSet<Name> = firewall.servers.iter().flat_map(leaves).chain(machines.iter().cloned()).collect();
        for name in &firewall.networks {
            // where others join a shared network is theirs
            if model.networks.get(name).is_some_and(|network| network.tenant.as_ref() == Some(&firewall.tenant)) {
                let of_network = networks.entry(name).or_default();
                of_network.0.extend(devices.clone());
                of_network.1.extend(machines.iter().cloned());
            }
        }
        let placed = Placed { kind: "Firewall", name: firewall.name.clone(), devices, machines };
        all.entry(firewall.tenant.clone()).or_default().push(placed);
    }
    for network in model.networks.values() {
        let Some(tenant) = &network.tenant else { continue };
        let (devices, machines) = networks.remove(&network.name).unwrap_or_default();
        let devices = devices.into_iter().chain(network.exits.iter().cloned()).collect();
        all.entry(tenant.clone()).or_default().push(Placed { kind: "Network", name: network.name.clone(), devices, machines });
    }
    for placed in all.values_mut() {
        placed.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(all: &[(&str, &str)]) -> Intents {
        all.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    fn document(kind: &str, name: &str, spec: &str) -> String {
        format!("---\napiVersion: leafwall.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n")
    }

    fn head() -> Intents {
        let (acme, globex) = (document("Tenant", "acme", ""), document("Tenant", "globex", ""));
        let network =
            |name: &str, tenant: &str| document("Network", name, &format!("tenant: {tenant}, type: private, prefixes: [10.0.0.0/24]"));
        let locked = network("locked", "acme").replace("{name: locked}", "{name: locked, labels: {leafwall.io/owner: operator}}");
        files(&[
            ("a.yaml", &format!("# all\n{acme}{}{globex}{}{locked}", network("a", "acme"), network("g", "globex"))),
            ("allocation.yaml", "version: 1\n"),
        ])
    }

    #[test]
    fn what_is_sent_is_shown_and_takes_the_place_of_what_was() {
        let acme: Name = "acme".parse().unwrap();
        let network = document("Network", "b", "tenant: acme, type: private, prefixes: [10.0.1.0/24]");
        let sent = files(&[("mine.yaml", &format!("# for the web\n{network}# end\n")), ("notes.yaml", "# nothing yet\n")]);
        let merged = merge(&head(), &acme, &sent).unwrap().intents;
        assert_eq!(merged.keys().collect::<Vec<_>>(), ["a.yaml", "tenant-acme@mine.yaml", "tenant-acme@notes.yaml"]);
        let rest = String::from_utf8(merged["a.yaml"].clone()).unwrap();
        assert!(!rest.contains("name: a}") && rest.contains("name: g}") && rest.contains("locked"), "{rest}");
        assert_eq!(shown(&merged, &acme).unwrap(), sent);
        // again, and with nothing: comments alone keep no file
        assert_eq!(merge(&merged, &acme, &sent).unwrap().intents, merged);
        let nothing = merge(&merged, &acme, &Intents::new()).unwrap().intents;
        assert_eq!(nothing.keys().collect::<Vec<_>>(), ["a.yaml"]);
        assert!(shown(&nothing, &acme).unwrap().is_empty());
        assert_eq!(shown(&head(), &acme).unwrap().keys().collect::<Vec<_>>(), ["a.yaml"]);
    }

    #[test]
    fn files_are_few_and_their_names_plain() {
        let acme: Name = "acme".parse().unwrap();
        let long = format!("{}.yaml", "a".repeat(PATH_MAX));
        for path in ["allocation.yaml", "a.txt", "a@b.yaml", "a b.yaml", "a\n.yaml", "a\u{202e}.yaml", "ä.yaml", long.as_str()] {
            let told = merge(&head(), &acme, &files(&[(path, "")])).unwrap_err();
            assert!(told.contains("can't be a file") && told.lines().count() == 1, "{told}");
        }
        let many = |count: usize| (0..count).map(|number| (format!("{number}.yaml"), Vec::new())).collect::<Intents>();
        assert!(merge(&head(), &acme, &many(FILES_MAX)).is_ok());
        assert!(merge(&head(), &acme, &many(FILES_MAX + 1)).unwrap_err().contains("257 files"));
    }

    #[test]
    fn what_an_operator_locked_is_not_replaced() {
        let acme: Name = "acme".parse().unwrap();
        let network = document("Network", "locked", "tenant: acme, type: private, prefixes: [10.0.1.0/24]");
        let told = merge(&head(), &acme, &files(&[("mine.yaml", &network)])).unwrap_err();
        assert!(told.contains("the name `locked` is taken") && told.contains("an operator wrote it for you"), "{told}");
        let label = network.replace("{name: locked}", "{name: mine, labels: {leafwall.io/owner: acme}}");
        let told = merge(&head(), &acme, &files(&[("mine.yaml", &label)])).unwrap_err();
        assert!(told.contains("LW0720") && told.contains("mine.yaml:4:"), "{told}");
    }

    #[test]
    fn where_something_stands_is_no_change_of_it() {
        let key = ("Network", "a".parse().unwrap());
        let own = |text: &str| Own::from([(key.clone(), text.to_owned())]);
        assert!(changes(&own("\u{feff}kind: Network\n"), &own("---\nkind: Network\n\n")).is_empty());
        assert_eq!(changes(&own("kind: Network\n"), &own("kind: Network # a\n"))[0].2, "changed");
        assert_eq!(changes(&Own::new(), &own("a"))[0].2, "new");
        assert_eq!(changes(&own("a"), &Own::new())[0].2, "removed");
    }
}
