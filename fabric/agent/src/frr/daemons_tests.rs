use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::frr::fake::FakeDaemon;

/// What fakes were sent, `NAME> LINE`.
type Log = Arc<Mutex<Vec<String>>>;

/// A directory with fake daemons that know contexts as real ones do: a line that the present one does not know is tried in those around it.
struct Fakes {
    dir: PathBuf,
    log: Log,
    _daemons: Vec<FakeDaemon>,
}

/// What a fake knows: contexts by the line that enters them (a prefix), each with the lines that it takes and the word that leaves it.
type Grammar = &'static [(&'static str, &'static [&'static str])];

const BGPD: Grammar = &[
    ("configure", &["ip prefix-list", "bgp extcommunity-list", "route-map", "router bgp", "vrf", "frr version"]),
    ("route-map", &["match", "set"]),
    ("router bgp", &["neighbor", "address-family"]),
    ("address-family", &["network", "neighbor"]),
    ("vrf", &[]),
];
const MGMTD: Grammar =
    &[("configure", &["ip prefix-list", "route-map", "vrf", "frr version"]), ("route-map", &["match ip"]), ("vrf", &["vni"])];

fn leaves(context: &str) -> &'static str {
    match context {
        "address-family" => "exit-address-family",
        "vrf" => "exit-vrf",
        _ => "exit",
    }
}

impl Fakes {
    fn new(daemons: &[(&'static str, Grammar)]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let dir = std::env::temp_dir().join(format!("lw-daemons-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(&dir).unwrap();
        let log = Log::default();
        let serve = |(name, grammar): &(&'static str, Grammar)| {
            let (name, grammar, log) = (*name, *grammar, Arc::clone(&log));
            FakeDaemon::serve(&dir, name, move || {
                let (mut contexts, log) = (Vec::new(), Arc::clone(&log));
                move |line: &str| {
                    log.lock().unwrap().push(format!("{name}> {line}"));
                    let status = answer(grammar, &mut contexts, line);
                    let text = if status == 2 { format!("% [{name}] Unknown command: {line}\n") } else { String::new() };
                    [text.as_bytes(), &[0, 0, 0, status]].concat()
                }
            })
        };
        let daemons = daemons.iter().map(serve).collect();
        Self { dir, log, _daemons: daemons }
    }

    async fn load(&self, text: &str) -> Result<(), FrrError> {
        Daemons::open(&self.dir).await.unwrap().configure(text).await
    }

    fn heard(&self, line: &str) -> bool {
        self.log.lock().unwrap().iter().any(|heard| heard == line)
    }
}

impl Drop for Fakes {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The status of a line, and the contexts after it.
fn answer(grammar: Grammar, contexts: &mut Vec<&'static str>, line: &str) -> u8 {
    match line {
        "enable" => return 0,
        "end" => {
            contexts.clear();
            return 0;
        }
        _ => {}
    }
    if contexts.is_empty() {
        if line == ENTER {
            contexts.push("configure");
        }
        return if line == ENTER { 0 } else { 2 };
    }
    for depth in (1..=contexts.len()).rev() {
        let context = contexts[depth - 1];
        let known = grammar.iter().find(|(name, _)| *name == context).map_or(&[][..], |(_, lines)| lines);
        if line == leaves(context) {
            contexts.truncate(depth - 1);
            return 0;
        }
        if (context == "configure" && [BEGIN, END].contains(&line)) || known.iter().any(|start| line.starts_with(start)) {
            contexts.truncate(depth);
            contexts.extend(grammar.iter().map(|(name, _)| *name).find(|name| line.starts_with(name)));
            return 0;
        }
    }
    2
}

const TEXT: &str = "frr version 10.3
!
ip prefix-list a seq 5 permit any
ip prefix-list a seq 10 permit any
!
bgp extcommunity-list standard b seq 5 permit rt 1:1
bgp extcommunity-list standard b seq 10 permit rt 1:2
!
route-map m permit 10
 match ip address prefix-list a
 match evpn route-type prefix
exit
!
vrf vrf1
 vni 1
exit-vrf
!
router bgp 65000
 neighbor swp1 interface
 address-family ipv4 unicast
  network 10.0.0.1/32
 exit-address-family
exit
";

#[tokio::test]
async fn each_line_goes_to_the_daemons_that_know_it() {
    let fakes = Fakes::new(&[("bgpd", BGPD), ("mgmtd", MGMTD)]);
    fakes.load(TEXT).await.unwrap();
    assert!(fakes.heard("mgmtd> vni 1") && fakes.heard("bgpd> network 10.0.0.1/32") && fakes.heard("bgpd> exit-address-family"));
    assert!(fakes.heard("mgmtd> bgp extcommunity-list standard b seq 5 permit rt 1:1"), "it is asked once");
    assert!(!fakes.heard("mgmtd> bgp extcommunity-list standard b seq 10 permit rt 1:2"), "and not again about what it does not know");
    assert!(!fakes.heard("mgmtd> router bgp 65000"), "nobody else is asked about BGP");
    assert_eq!(fakes.log.lock().unwrap().iter().filter(|line| line.ends_with(END)).count(), 2);
}

#[tokio::test]
async fn h09_a_line_that_nobody_takes_is_refused_with_its_number() {
    let fakes = Fakes::new(&[("bgpd", BGPD), ("mgmtd", MGMTD)]);
    for (bad, number) in [("  netwrk 10.0.0.1/32", 21), (" vmi 1", 15), ("ip prefix-lost a seq 10 permit any", 4)] {
        let good = bad.replace("netwrk", "network").replace("vmi", "vni").replace("lost", "list");
        assert_eq!(TEXT.lines().position(|line| line == good), Some(number - 1));
        match fakes.load(&TEXT.replace(&good, bad)).await {
            Err(FrrError::Line { number: found, line, complaint }) => {
                assert_eq!((found, line.as_str()), (number, bad.trim()));
                assert!(complaint.contains("Unknown command"), "{complaint}");
            }
            other => panic!("{bad}: {other:?}"),
        }
    }
}

/// A daemon that does not know a line where it is takes it further out; it is seen when the context is left.
#[tokio::test]
async fn h09_a_line_that_is_taken_in_another_context_is_refused() {
    let fakes = Fakes::new(&[("bgpd", BGPD), ("mgmtd", MGMTD)]);
    let climbs = TEXT.replace("  network 10.0.0.1/32", "  ip prefix-list c seq 5 permit any");
    match fakes.load(&climbs).await {
        Err(FrrError::Context { number, daemon, .. }) => assert_eq!((number, daemon.as_str()), (20, "bgpd")),
        other => panic!("{other:?}"),
    }
    // out of an instance, whose `exit` then leaves the configuration: the next statement, or the end, finds out
    let climbs = TEXT
        .replace(" neighbor swp1 interface\n", "")
        .replace("  network 10.0.0.1/32\n", "")
        .replace(" address-family ipv4 unicast\n exit-address-family\n", " ip prefix-list c seq 5 permit any\n");
    assert!(matches!(fakes.load(&climbs).await, Err(FrrError::Command { .. })));
}

#[tokio::test]
async fn what_the_daemons_run_is_put_together() {
    let texts = [
        "frr version 10.3\n!\nroute-map m permit 10\n match ip address prefix-list a\nexit\n!\nvrf vrf1\n vni 1\nexit-vrf\n!\n",
        "frr version 10.3\n!\n! a remark\nroute-map m permit 10\n match evpn route-type prefix\nexit\n!\nvrf vrf1\nexit-vrf\nrouter bgp 1\nexit\n",
    ];
    let named = |one: &str, other: &str| vec![("mgmtd".to_owned(), one.to_owned()), ("zebra".to_owned(), other.to_owned())];
    let whole = merged(&named(texts[0], texts[1]));
    assert_eq!(
        whole,
        "frr version 10.3\nroute-map m permit 10\n match ip address prefix-list a\n match evpn route-type prefix\nexit\nvrf vrf1\n vni 1\nexit-vrf\nrouter bgp 1\nexit\n"
    );
}

/// A change anywhere is another digest, also one that moves from one daemon to another.
#[tokio::test]
async fn what_the_daemons_run_has_a_digest() {
    let named =
        |texts: &[(&str, &str)]| digest(&texts.iter().map(|(daemon, text)| ((*daemon).to_owned(), (*text).to_owned())).collect::<Vec<_>>());
    let all = [
        named(&[("bgpd", "a\n"), ("zebra", "b\n")]),
        named(&[("bgpd", "a\nb\n"), ("zebra", "")]),
        named(&[("bgpd", "a\n"), ("zebra", "c\n")]),
        named(&[("bgpd", "a\n")]),
    ];
    assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
    assert_eq!(all[0], named(&[("bgpd", "a\n"), ("zebra", "b\n")]));
}

#[tokio::test]
async fn daemons_that_are_not_there_are_named() {
    let fakes = Fakes::new(&[("mgmtd", MGMTD)]);
    let mut daemons = Daemons::open(&fakes.dir).await.unwrap();
    assert!(matches!(daemons.ask("show bgp summary").await, Err(FrrError::NotRunning { daemon }) if daemon == "bgpd"));
    let empty = Fakes::new(&[]);
    assert!(matches!(Daemons::open(&empty.dir).await, Err(FrrError::NoDaemons { .. })));
    assert!(matches!(Daemons::open(&empty.dir.join("none")).await, Err(FrrError::Sockets { .. })));
    // one that ended without taking its socket away is not there
    let socket = fakes.dir.join("bgpd.vty");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    assert_eq!(Daemons::open(&fakes.dir).await.unwrap().sessions.len(), 1);
}
