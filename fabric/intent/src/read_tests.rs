//! Reading, as a whole.

use std::fmt::Write as _;

use super::*;
use crate::diagnostic::Style;

fn files(texts: &[(&str, &str)]) -> Vec<SourceFile> {
    texts.iter().map(|(path, text)| SourceFile { path: (*path).to_owned(), text: (*text).into() }).collect()
}

fn read_one(text: &str) -> (Intents, Vec<String>) {
    let (intents, found) = read(&files(&[("a.yaml", text)]));
    let found = found.iter().map(|d| format!("{} {}:{} {}", d.code, d.primary.line, d.primary.column, d.message)).collect();
    (intents, found)
}

fn document(kind: &str, name: &str, spec: &str) -> String {
    format!("---\napiVersion: leafwall.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}

#[test]
fn all_that_is_wrong_in_a_document_is_said_at_once() {
    let text = document("Switch", "leaf-01", "{role: border, plattform: frr, maintenance: yes}");
    let (intents, found) = read_one(&text);
    assert_eq!(
        found,
        [
            "LW0121 5:7 the field `platform` is missing in `spec`",
            "LW0210 5:14 `border` is not one of `spine`, `leaf`, `exit`",
            "LW0120 5:22 unknown field `plattform` in `spec`",
            "LW0209 5:51 `yes` is neither `true` nor `false`",
        ]
    );
    assert!(!intents.switches[0].sound);
}

#[test]
fn a_syntax_error_leaves_the_other_documents_legible() {
    let text = format!("{}{}{}", document("Tenant", "a", "{}"), "---\nkind: [\n", document("Tenant", "b", "{}"));
    let (intents, found) = read_one(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("LW0101 "), "{found:?}");
    assert_eq!(intents.tenants.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(intents.tenants[1].place.line, 10);
}

#[test]
fn a_zero_does_not_end_the_text() {
    let (_, found) = read_one("kind: Tenant\n# é\0\nspec: {}\n");
    assert_eq!(found, ["LW0101 2:4 this is not YAML: a control character U+0000"]);
    let (_, found) = read_one("kind: Tenant\rspec: {}\n");
    assert_eq!(found.len(), 1);
}

#[test]
fn line_ends_of_windows_and_byte_order_marks_are_fine() {
    let text = format!("\u{feff}{}", document("Tenant", "a", "{quota: {networks: 3}}")).replace('\n', "\r\n");
    let (intents, found) = read_one(&text);
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(intents.tenants[0].spec.quota[0].1.value, 3);
}

#[test]
fn ranges_of_ports_are_written_out() {
    let (intents, found) = read_one(&document("Cabling", "c", "{links: [[\"leaf-01:swp[31-32]\", \"spine-01:swp[1-2]\"]]}"));
    assert_eq!(found, Vec::<String>::new());
    let cables: Vec<String> = intents.cablings[0].spec.cables().map(|link| format!("{}={}", link.a.value, link.b.value)).collect();
    assert_eq!(cables, ["leaf-01:swp31=spine-01:swp1", "leaf-01:swp32=spine-01:swp2"]);
    for bad in [
        "[\"a:s[1-3]\", \"b:s[1-2]\"]",
        "[\"a:s[3-1]\", \"b:s[3-1]\"]",
        "[\"a:s[1-99999]\", \"b:s[1-99999]\"]",
        "[\"a:s1\"]",
        "[\"a:s[1-\", \"b:s1\"]",
    ] {
        let (_, found) = read_one(&document("Cabling", "c", &format!("{{links: [{bad}]}}")));
        assert_eq!(found.len(), 1 + usize::from(bad.contains("[3-1]") || bad.contains("99999")), "{bad}: {found:?}");
        assert!(found[0].starts_with("LW0217"), "{bad}: {found:?}");
    }
}

#[test]
fn ranges_cannot_make_an_enormous_fabric() {
    let mut links = String::from("links:\n");
    for _ in 0..1100 {
        links.push_str("    - [\"a:s[1-1000]\", \"b:s[1-1000]\"]\n");
    }
    let (_, found) = read_one(&document("Cabling", "c", &format!("\n  {links}")));
    assert!(found[0].starts_with("LW0103"), "{found:?}");
}

#[test]
fn the_order_of_files_does_not_matter() {
    let mut texts = Vec::new();
    for file in 0..20 {
        let mut text = String::new();
        for n in 0..200 {
            let _ = write!(text, "{}", document("Tenant", &format!("t-{file}-{n}"), if n % 50 == 0 { "{quota: {nets: 1}}" } else { "{}" }));
        }
        texts.push((format!("{file:02}.yaml"), text));
    }
    let mut sources: Vec<SourceFile> =
        texts.iter().map(|(path, text)| SourceFile { path: path.clone(), text: text.as_str().into() }).collect();
    let (forward, found) = read(&sources);
    sources.reverse();
    let (backward, found_backward) = read(&sources);
    assert_eq!(forward, backward);
    assert_eq!(found.render(&forward.sources, Style::Plain), found_backward.render(&backward.sources, Style::Plain));
    assert_eq!(found.len(), 80);
    assert_eq!(forward.tenants.len(), 4000);
}

#[test]
fn the_allocation_table_is_no_intent() {
    let (intents, found) = read(&files(&[("allocation.yaml", "anything: [")]));
    assert!(found.is_empty());
    // but it is a source, so that places in the other files do not depend on it
    assert_eq!(intents.sources.iter().count(), 1);
}

#[test]
fn exactly_one_of() {
    let policy = |peer: &str| document("FirewallPolicy", "p", &format!("{{firewall: f, egress: [{{action: allow, to: [{peer}]}}]}}"));
    for (peer, number) in [("{cidr: 10.0.0.0/8}", 0), ("{}", 1), ("{cidr: 10.0.0.0/8, network: a}", 1), ("{cidr: 10.0.0.1/8}", 1)] {
        assert_eq!(read_one(&policy(peer)).1.len(), number, "{peer}");
    }
}

#[test]
fn a_hostile_file_does_not_hide_the_findings_of_others() {
    let many = "---\n- a\n".repeat(5000);
    let (intents, found) = read(&files(&[("a.yaml", &many), ("b.yaml", &document("Tenant", "Bad", "{}"))]));
    assert_eq!(found.len(), 1001);
    assert!(found.iter().any(|d| d.primary.file.0 == 1));
    assert!(found.render(&intents.sources, Style::Plain).ends_with("1001 errors\n4000 more in the same files are not shown\n"));
}

#[test]
fn h33_nothing_is_made_of_what_could_not_be_read() {
    let range = "{underlay: {loopbacks: 10.255.0.0/24, asns: 4210000000-4210000999}, overlay: {vnis: 10000-19999, vlans: 1001-2000}}";
    let fabric = document("Fabric", "tiny", range);
    let (intents, _) = read(&files(&[("a.yaml", &fabric)]));
    assert!(crate::check(&intents).0.is_some());
    for lost in ["---\nkind: [\n", "---\n- a\n", &document("FirewallPolicy", "A", "{firewall: f}")] {
        let (intents, _) = read(&files(&[("a.yaml", &fabric), ("b.yaml", lost)]));
        assert!(crate::check(&intents).0.is_none(), "{lost}");
    }
}

#[test]
fn what_is_missing_is_shown_at_the_field_that_lacks_it() {
    let text = "apiVersion: leafwall.io/v1\nkind: Server\nmetadata:\n  name: s\nspec:\n  role:\n  nics:\n    - name: lan0\n      mac: 02:00:00:00:00:01\n";
    let (_, found) = read_one(text);
    assert_eq!(found, ["LW0121 6:3 `spec.role` has no value", "LW0121 8:7 the field `port` is missing in `spec.nics`"]);
    let (_, found) = read_one("apiVersion: leafwall.io/v1\nkind: Switch\nmetadata:\n  name: s\nspec:\n  role: leaf\n");
    assert_eq!(found, ["LW0121 5:1 the field `platform` is missing in `spec`"]);
}
