//! What a tenant's certificate is good for: its own objects, and nothing else, by no call that there is.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may fail

use std::collections::BTreeMap;

use leafwall_agent::daemon::identity::Identity;
use leafwall_api::v1::agents_client::AgentsClient;
use leafwall_api::v1::enrolment_client::EnrolmentClient;
use leafwall_api::v1::identities_client::IdentitiesClient;
use leafwall_api::v1::leadership_client::LeadershipClient;
use leafwall_api::v1::{self, Outcome, Progress, Way};
use leafwall_controller::certificates::PeerRole;
use leafwall_tests::controller::{World, intents, upload};
use leafwall_tests::root;
use leafwall_topology::Name;
use tonic::{Code, Status};

type Files = BTreeMap<String, String>;

/// A server that nobody has.
const FREE: &str = "---\napiVersion: leafwall.io/v1\nkind: Server\nmetadata: {name: srv-10}\nspec:\n  nics:\n    - {name: lan0, mac: \"02:00:00:00:0a:01\", port: \"leaf-04:swp12\"}\n";

fn fra1() -> Files {
    let mut files = intents(&root().join("containerlab/fra1"));
    files.get_mut("servers.yaml").unwrap().push_str(FREE);
    files
}

fn settled(test: &str) -> World {
    let mut world = World::new(test);
    world.settle(&fra1());
    world
}

fn show(world: &World, who: &str, role: PeerRole, generation: u64) -> Result<Files, Status> {
    shown(world, who, role, v1::ShowRequest { generation, allocation: false, servers: false })
}

fn shown(world: &World, who: &str, role: PeerRole, request: v1::ShowRequest) -> Result<Files, Status> {
    let mut client = world.client(who, role);
    world.wait(async move {
        let mut stream = client.show(request).await?.into_inner();
        let mut files = BTreeMap::<String, Vec<u8>>::new();
        while let Some(piece) = stream.message().await? {
            files.entry(piece.path).or_default().extend(piece.bytes);
        }
        Ok(files.into_iter().map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap())).collect())
    })
}

fn status(world: &World, tenant: &str) -> v1::FabricStatus {
    let mut client = world.client(tenant, PeerRole::Tenant);
    world.wait(async move { client.status(v1::StatusRequest {}).await.unwrap().into_inner() })
}

fn history(world: &World, tenant: &str) -> Vec<v1::RevisionSummary> {
    world.history_of(tenant, PeerRole::Tenant)
}

fn plan(world: &World, tenant: &str, files: &Files) -> v1::Planned {
    let mut client = world.client(tenant, PeerRole::Tenant);
    let upload = tokio_stream::iter(upload(files, &[], 1000));
    world.wait(async move { client.plan(upload).await.unwrap().into_inner() })
}

fn apply(world: &World, tenant: &str, files: &Files, planned: &[u8]) -> Vec<Progress> {
    world.try_apply(tenant, PeerRole::Tenant, files, planned).unwrap()
}

fn outcome(told: &[Progress]) -> Outcome {
    told.last().unwrap().outcome()
}

/// Nothing in what globex is told is about anybody else.
fn is_of_globex_alone(told: &impl std::fmt::Debug) {
    let text = format!("{told:?}");
    let words = ["acme", "initech", "leaf-", "spine-", "exit-", "fw-01", "fw-02", "fw-04", "srv-01", "srv-02", "srv-06", "203.0.113.10"];
    for word in words {
        assert!(!text.contains(word), "`{word}` in {text}");
    }
}

fn object(kind: &str, name: &str, spec: &str) -> String {
    format!("---\napiVersion: leafwall.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n")
}

fn with(own: &Files, more: &str) -> Files {
    let mut files = own.clone();
    files.insert("more.yaml".to_owned(), more.to_owned());
    files
}

/// A server's owner configures it: it is told with what, and of nobody else's.
#[test]
fn owners_are_told_what_to_configure_on_their_servers() {
    let world = settled("servers");
    let servers =
        |who: &str, role, generation, allocation| shown(&world, who, role, v1::ShowRequest { generation, allocation, servers: true });
    let rendered = leafwall_tests::rendered::rendered(&root().join("containerlab/fra1")).devices;
    let of = |names: &[&str]| -> Files {
        let files = names.iter().flat_map(|name| {
            rendered[&name.parse::<Name>().unwrap()].files.iter().map(move |(file, text)| (format!("{name}/{file}"), text.clone()))
        });
        files.collect()
    };
    let globex = servers("globex", PeerRole::Tenant, 1, false).unwrap();
    assert_eq!(globex, of(&["srv-04", "srv-05"]));
    is_of_globex_alone(&globex.values().map(|text| text.replace("exit-address-family", "")).collect::<Vec<_>>());
    assert!(globex["srv-05/frr.conf"].contains("router bgp 42") && !globex.contains_key("srv-04/frr.conf"), "one is routed, one bridged");
    let all = servers("viewer", PeerRole::Viewer, 1, false).unwrap();
    assert_eq!(all, of(&["srv-01", "srv-02", "srv-03", "srv-04", "srv-05", "srv-06", "srv-07", "srv-08", "srv-09"]));
    assert_eq!(servers("nobody-s", PeerRole::Tenant, 1, false).unwrap(), Files::new(), "a tenant that has none");
    assert_eq!(servers("globex", PeerRole::Tenant, 2, false).unwrap_err().code(), Code::NotFound);
    assert_eq!(servers("globex", PeerRole::Tenant, 1, true).unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn a_tenant_takes_a_server_opens_a_rule_and_gives_it_back() {
    let world = settled("tenant");
    let mut own = show(&world, "globex", PeerRole::Tenant, 1).unwrap();
    is_of_globex_alone(&own.values().map(|text| text.replace("# globex: the same private IPv4 prefixes as acme", "")).collect::<Vec<_>>());
    assert_eq!(own.keys().collect::<Vec<_>>(), ["tenant-globex.yaml"]);
    assert!(!own["tenant-globex.yaml"].contains("kind: Tenant"), "its quota is the operator's");

    own = with(&own, &object("Allocation", "globex-app-3", "server: srv-10, tenant: globex, network: globex-prod"));
    let planned = plan(&world, "globex", &own);
    assert!(!planned.refused, "{}", planned.diagnostics);
    let changes: Vec<_> = planned.objects.iter().map(|change| format!("{} {} {}", change.kind, change.name, change.change)).collect();
    assert_eq!(changes, ["Allocation globex-app-3 new"]);
    is_of_globex_alone(&planned);
    let told = apply(&world, "globex", &own, &planned.digest);
    assert_eq!(outcome(&told), Outcome::Committed, "{told:#?}");
    is_of_globex_alone(&told);

    // what is the operator's is as it was, byte for byte, and all of it checks
    let whole = show(&world, "ops", PeerRole::Operator, 2).unwrap();
    let before = fra1();
    for (path, text) in &before {
        if path == "tenant-globex.yaml" {
            let taken = show(&world, "globex", PeerRole::Tenant, 1).unwrap();
            assert_eq!(text.replace(&taken[path], ""), whole[path], "{path}");
        } else {
            assert_eq!(text, &whole[path], "{path}");
        }
    }
    assert_eq!(whole["tenant-globex@more.yaml"], own["more.yaml"]);
    assert_eq!(show(&world, "globex", PeerRole::Tenant, 2).unwrap(), own);
    // nothing differs, whoever asks
    assert_eq!(outcome(&apply(&world, "globex", &own, &[])), Outcome::Unchanged);
    assert_eq!(outcome(&world.apply(&whole, &[])), Outcome::Unchanged);

    world.until("it has the server", |world| {
        status(world, "globex").objects.iter().any(|object| object.name == "globex-app-3" && object.state == "FULL")
    });
    let seen = status(&world, "globex");
    is_of_globex_alone(&seen);
    assert_eq!(seen.state, "FULL");
    assert_eq!(seen.devices.iter().map(|device| device.device.as_str()).collect::<Vec<_>>(), ["fw-03"]);
    let names: Vec<_> = seen.objects.iter().map(|object| object.name.as_str()).collect();
    assert_eq!(names, ["globex-app-1", "globex-app-2", "globex-app-3", "globex-fw", "globex-prod"]);

    // a rule concerns its firewall alone
    let rules = own["tenant-globex.yaml"].replace("port: 2049", "port: 2050");
    assert_ne!(rules, own["tenant-globex.yaml"]);
    let mut opened = own.clone();
    opened.insert("tenant-globex.yaml".to_owned(), rules);
    let planned = plan(&world, "globex", &opened);
    assert!(
        planned
            .reach
            .iter()
            .any(|change| change.change == "opens" && change.firewall == "globex-fw" && change.what.starts_with("tcp 2050 ")),
        "{planned:?}"
    );
    assert!(
        planned.reach.iter().any(|change| change.change == "closes" && change.from == "globex-prod" && change.packet.ends_with(":2049")),
        "{planned:?}"
    );
    is_of_globex_alone(&planned);
    let running = |world: &World| world.devices[&"fw-03".parse::<Name>().unwrap()].running()["leafwall.nft"].clone();
    let closed = running(&world);
    let told = apply(&world, "globex", &opened, &[]);
    assert_eq!(outcome(&told), Outcome::Committed, "{told:#?}");
    assert!(told.iter().any(|progress| progress.device == "fw-03"), "{told:#?}");
    assert!(running(&world) != closed && running(&world).contains("2050"));

    // given back
    opened.remove("more.yaml");
    assert_eq!(outcome(&apply(&world, "globex", &opened, &[])), Outcome::Committed);
    assert!(status(&world, "globex").objects.iter().all(|object| object.name != "globex-app-3"));
    let seen = history(&world, "globex");
    is_of_globex_alone(&seen);
    let seen: Vec<_> = seen.iter().map(|summary| (summary.generation, summary.author.as_str(), summary.reason.as_str())).collect();
    assert_eq!(seen, [(4, "globex", "a test"), (3, "globex", "a test"), (2, "globex", "a test"), (1, "somebody else", "")]);
    let others: Vec<_> = history(&world, "acme").iter().map(|summary| summary.generation).collect();
    assert_eq!(others, [1], "what globex did is not in acme's history");
}

#[test]
fn what_is_not_the_tenants_is_refused_and_told_in_words_about_itself_alone() {
    let world = settled("tenant-refused");
    let own = show(&world, "globex", PeerRole::Tenant, 1).unwrap();
    let refused = |more: &str| {
        let planned = plan(&world, "globex", &with(&own, more));
        assert!(planned.refused && planned.digest.is_empty() && planned.devices.is_empty(), "{more}\n{planned:#?}");
        planned.diagnostics
    };
    // what only operators write, at its place in the tenant's own file
    for (more, says) in [
        (object("Tenant", "globex", "quota: {allocations: 1000}"), "`Tenant`"),
        (object("Switch", "sw-1", "role: leaf, platform: frr"), "`Switch`"),
        (object("Server", "srv-11", "nics: [{name: a, mac: \"02:00:00:00:0b:01\", port: \"x:swp13\"}]"), "`Server`"),
        (object("Cabling", "more", "links: [[\"x:swp1\", \"y:swp1\"]]"), "`Cabling`"),
        (object("Network", "out", "type: external, prefixes: [198.51.100.0/24]"), "shared and external"),
        (object("Network", "common", "tenant: globex, type: shared, prefixes: [10.77.0.0/24]"), "shared and external"),
        (object("Network", "fixed", "tenant: globex, type: private, prefixes: [10.77.0.0/24], vni: 104042"), "`vni`"),
        (object("Network", "others", "tenant: somebody, type: private, prefixes: [10.77.0.0/24]"), "not of the tenant"),
        (object("Firewall", "wide", "tenant: globex, servers: [fw-03], networks: [globex-prod], access: baseline"), "`access`"),
    ] {
        let told = refused(&more);
        assert!(told.contains("LW0720") && told.contains(says) && told.contains("--> more.yaml:"), "{more}\n{told}");
        is_of_globex_alone(&told);
    }
    // a name that another has is taken, and nothing says whose it is
    let told = refused(&object("Network", "acme-prod", "tenant: globex, type: private, prefixes: [10.77.0.0/24]"));
    assert!(told.contains("the name `acme-prod` is taken"), "{told}");
    is_of_globex_alone(&told.replace("acme-prod", ""));
    // an address that another has
    let told = refused(&object("Address", "mine", "tenant: globex, network: internet, address: 203.0.113.10"));
    assert!(told.contains("more.yaml") || told.contains("not yours"), "{told}");
    is_of_globex_alone(&told.replace("203.0.113.10", ""));
    // what others have is what is not there: no word differs
    for (more, there, nowhere) in [
        (object("Allocation", "try", "server: X, tenant: globex, network: globex-prod"), "srv-01", "srv-91"),
        (object("Firewall", "try", "tenant: globex, servers: [X], networks: [globex-prod]"), "fw-01", "fw-91"),
        (object("Allocation", "try", "server: srv-10, tenant: globex, network: X"), "acme-prod", "acme-none"),
        (object("Firewall", "try", "tenant: globex, servers: [fw-03], networks: [globex-prod, X]"), "acme-prod", "acme-none"),
        (object("Address", "try", "tenant: globex, network: X"), "acme-prod", "acme-none"),
        (object("Peering", "try", "between: [{network: globex-prod}, {network: X}]"), "acme-prod", "acme-none"),
        (object("Peering", "try", "between: [{network: X}, {network: globex-prod}]"), "acme-prod", "acme-none"),
        (object("FirewallPolicy", "try", "firewall: X, egress: [{action: allow}]"), "acme-fw", "acme-nw"),
        (
            object(
                "Firewall",
                "try",
                "tenant: globex, servers: [fw-03], networks: [globex-prod, internet], egress: [{network: internet, addresses: [X]}]",
            ),
            "acme-egress",
            "acme-nobody",
        ),
    ] {
        let [of_other, of_nobody] = [there, nowhere].map(|name| refused(&more.replace('X', name)).replace(name, "X"));
        // marks below a name are as long as it is
        let plain = |text: &str| text.replace('^', "");
        assert_eq!(plain(&of_other), plain(&of_nobody), "{more}");
        is_of_globex_alone(&of_other);
    }
    // the table of numbers is the operators', and so is every mark of theirs
    let mut table = own.clone();
    table.insert("allocation.yaml".to_owned(), "{}\n".to_owned());
    assert!(plan(&world, "globex", &table).diagnostics.contains("`allocation.yaml` can't be"));
    // without its own documents it has nothing, and that is fine to plan; but nobody else's go
    let planned = plan(&world, "globex", &Files::new());
    assert!(planned.objects.iter().all(|change| change.change == "removed" && change.name.starts_with("globex-")), "{planned:#?}");
    // a reason stands in history for ever
    let mut long = upload(&own, &[], 1000);
    if let Some(v1::upload::Part::Head(head)) = &mut long[0].part {
        head.reason = "x".repeat(5000);
    }
    let mut client = world.client("globex", PeerRole::Tenant);
    let status = world.wait(async move { client.apply(tokio_stream::iter(long)).await.unwrap_err() });
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    // a refused apply is written down
    let told = apply(&world, "globex", &with(&own, &object("Switch", "sw-1", "role: leaf, platform: frr")), &[]);
    assert_eq!(outcome(&told), Outcome::Refused, "{told:#?}");
    let log: Vec<String> = world.audit().into_iter().map(|entry| entry.text).collect();
    assert!(log.iter().any(|entry| entry.contains("\"who\":\"globex\"") && entry.contains("LW0720")), "{log:#?}");
    assert_eq!(world.status().generation, 1);
}

#[test]
fn what_others_did_in_between_is_not_undone() {
    let world = settled("tenants-two");
    let [globex, acme] = ["globex", "acme"].map(|tenant| show(&world, tenant, PeerRole::Tenant, 1).unwrap());
    let globex = with(&globex, &object("Address", "globex-more", "tenant: globex, network: internet"));
    let acme = with(&acme, &object("Address", "acme-more", "tenant: acme, network: internet"));
    let planned = plan(&world, "globex", &globex);
    assert!(!planned.refused, "{}", planned.diagnostics);
    assert_eq!(outcome(&apply(&world, "acme", &acme, &[])), Outcome::Committed);
    let told = apply(&world, "globex", &globex, &planned.digest);
    assert_eq!(outcome(&told), Outcome::Refused, "{told:#?}");
    is_of_globex_alone(&told);
    assert_eq!(outcome(&apply(&world, "globex", &globex, &[])), Outcome::Committed);
    assert_eq!(show(&world, "acme", PeerRole::Tenant, 3).unwrap(), acme);
    // and numbers stay: the addresses that both had before are those that they have
    let whole = show(&world, "ops", PeerRole::Operator, 3).unwrap();
    assert_eq!(outcome(&world.apply(&whole, &[])), Outcome::Unchanged);
    let seen: Vec<_> = history(&world, "globex").into_iter().map(|summary| (summary.generation, summary.author)).collect();
    assert_eq!(seen, [(3, "globex".to_owned()), (1, "somebody else".to_owned())]);
    // a device that does not take it is not named
    let device = &world.devices[&"fw-03".parse::<Name>().unwrap()];
    device.refuses(true);
    let mut opened = globex.clone();
    let rules = opened["tenant-globex.yaml"].replace("port: 2049", "port: 2051");
    opened.insert("tenant-globex.yaml".to_owned(), rules);
    let told = apply(&world, "globex", &opened, &[]);
    assert_eq!(outcome(&told), Outcome::Abandoned, "{told:#?}");
    assert!(!format!("{told:?}").contains("its tools refuse it"), "{told:#?}");
    let newest = history(&world, "globex").remove(0);
    assert_eq!((newest.generation, newest.outcome.as_str()), (4, "abandoned"));
}

/// All methods of the API, by the files that say what there is.
fn methods() -> Vec<String> {
    let directory = root().join("fabric/api/proto/leafwall/v1");
    let mut all = Vec::new();
    for file in ["agents", "enrol", "fabric", "leadership"] {
        let text = std::fs::read_to_string(directory.join(format!("{file}.proto"))).unwrap();
        let mut service = "";
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("service ") {
                service = name.trim_end_matches([' ', '{']);
            } else if let Some(rest) = line.trim().strip_prefix("rpc ") {
                all.push(format!("{service}.{}", rest.split('(').next().unwrap()));
            }
        }
    }
    let files = std::fs::read_dir(directory).unwrap().count();
    assert_eq!(files, 4, "a new file of the API is read here as well");
    all.sort();
    all
}

/// H: a tenant's certificate can't read or change another tenant's objects.
#[test]
fn by_no_call_does_a_tenant_reach_what_is_anothers() {
    let world = settled("surface");
    let channel = || world.channel(&world.url(), Identity::read(&world.identity("globex", PeerRole::Tenant)).unwrap().tls());
    let fabric = || world.client("globex", PeerRole::Tenant);
    let agents = || AgentsClient::new(channel());
    let identities = || IdentitiesClient::new(channel());
    let code = |status: &Status| status.code();
    let mut tried: Vec<(&str, Option<&str>)> = Vec::new(); // each with what the audit log says of it, where it is denied

    // filtered: `what_is_not_the_tenants_…` says how
    let foreign = with(&Files::new(), &object("Allocation", "acme-web-1", "server: srv-10, tenant: acme, network: acme-prod"));
    let planned = plan(&world, "globex", &foreign);
    assert!(planned.refused, "{planned:#?}");
    tried.push(("Fabric.Plan", Some("plan")));
    assert_eq!(outcome(&apply(&world, "globex", &foreign, &[])), Outcome::Refused);
    tried.push(("Fabric.Apply", Some("apply")));
    let mut holding = upload(&Files::new(), &[], 1000);
    if let Some(v1::upload::Part::Head(head)) = &mut holding[0].part {
        head.on_failure = v1::OnFailure::Hold.into();
    }
    let held = world.wait(async { fabric().apply(tokio_stream::iter(holding)).await.unwrap_err() });
    assert_eq!(code(&held), Code::PermissionDenied, "it would hold up everybody: {held}");
    is_of_globex_alone(&status(&world, "globex"));
    tried.push(("Fabric.Status", None));
    is_of_globex_alone(&history(&world, "globex"));
    tried.push(("Fabric.History", None));
    let shown = show(&world, "globex", PeerRole::Tenant, 1).unwrap();
    is_of_globex_alone(&shown.values().collect::<Vec<_>>());
    assert_eq!(code(&show(&world, "globex", PeerRole::Tenant, 99).unwrap_err()), Code::NotFound);
    tried.push(("Fabric.Show", None));

    // about nobody's objects: which controller leads, which everybody who talks to several has to know
    let leads = world.wait(async { LeadershipClient::new(channel()).leads(v1::LeadsRequest {}).await });
    is_of_globex_alone(&leads.unwrap().into_inner());
    tried.push(("Leadership.Leads", None));

    // denied
    let back = v1::BackRequest { generation: 1, way: Way::Restore.into(), reason: String::new() };
    let again = back.clone();
    let token = v1::TokenRequest { device: "leaf-01".to_owned(), valid_for: 0 };
    let revoked = v1::RevokeTokenRequest { id: "00".to_owned() };
    let hello = v1::Hello { device: "leaf-01".to_owned(), ..v1::Hello::default() };
    let hello = v1::FromAgent { message: Some(v1::from_agent::Message::Hello(hello)) };
    let artefact = v1::FetchRequest { digest: vec![0; 32] };
    let denied: Vec<(&str, &str, Status)> = world.wait(async {
        vec![
            ("Fabric.PlanBack", "plan going back", fabric().plan_back(back).await.unwrap_err()),
            ("Fabric.Back", "going back", fabric().back(again).await.unwrap_err()),
            ("Fabric.Resolve", "resolve", fabric().resolve(v1::ResolveRequest::default()).await.unwrap_err()),
            ("Fabric.Watch", "watch", fabric().watch(v1::WatchRequest {}).await.unwrap_err()),
            ("Fabric.Compare", "compare", fabric().compare(v1::CompareRequest { from: 1, to: 1 }).await.unwrap_err()),
            ("Fabric.Audit", "audit", fabric().audit(v1::AuditRequest {}).await.unwrap_err()),
            ("Agents.Attend", "attend", agents().attend(tokio_stream::iter([hello])).await.unwrap_err()),
            ("Agents.Fetch", "fetch", agents().fetch(artefact).await.unwrap_err()),
            ("Identities.IssueToken", "issue a token", identities().issue_token(token).await.unwrap_err()),
            ("Identities.Tokens", "list tokens", identities().tokens(v1::TokensRequest {}).await.unwrap_err()),
            ("Identities.RevokeToken", "revoke a token", identities().revoke_token(revoked).await.unwrap_err()),
            ("Identities.Renew", "renew a certificate", identities().renew(v1::RenewRequest {}).await.unwrap_err()),
        ]
    });
    for (method, what, status) in &denied {
        assert_eq!(code(status), Code::PermissionDenied, "{method}: {status}");
        tried.push((method, Some(what)));
    }
    // a certificate is no token: enrolment asks for one, and is nowhere but on its own listener
    let request = v1::EnrolRequest { device: "leaf-01".to_owned(), secret: vec![0; 32], request: Vec::new() };
    let status = world.wait(async { EnrolmentClient::new(channel()).enrol(request).await.unwrap_err() });
    assert_eq!(code(&status), Code::Unimplemented, "{status}");
    tried.push(("Enrolment.Enrol", None));

    let mut names: Vec<_> = tried.iter().map(|(method, _)| (*method).to_owned()).collect();
    names.sort();
    assert_eq!(names, methods(), "each method is tried here");
    let log: Vec<String> = world.audit().into_iter().map(|entry| entry.text).collect();
    for what in tried.iter().filter_map(|(_, what)| *what).chain(["hold a rollout"]) {
        let written = |entry: &String| {
            entry.contains("\"tenant\":\"globex\"") && entry.contains(&format!("\"what\":\"{what}\"")) && entry.contains("refused")
        };
        assert!(log.iter().any(written), "`{what}` is not in {log:#?}");
    }
    assert_eq!(world.status().generation, 1);
}
