//! What the kernel tells an agent of, in a namespace of this host.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may fail

use std::time::{Duration, Instant};

use leafwall_agent::netlink::events::Events;
use leafwall_agent::report::{Backend, Parts};
use leafwall_tests::namespace::{Namespace, nft, unable};
use leafwall_tests::skip;

/// How long nothing is heard before that counts as nothing. Events are there in under a millisecond.
const SILENCE: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(10);

/// A port as the agent's.
const PORT: &str = "link add lw0 type veth peer name lw1\nlink set lw0 up\nlink set lw1 up\n";

struct Listener {
    namespace: Namespace,
    events: Events,
    runtime: tokio::runtime::Runtime,
}

impl Listener {
    fn new(purpose: &str, links: &str) -> Self {
        let namespace = Namespace::new(purpose).unwrap();
        namespace.ip(links).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let events = namespace.enter(|| runtime.block_on(async { Events::open().unwrap() })).unwrap();
        let mut listener = Self { namespace, events, runtime };
        // links settle
        while !listener.heard().is_empty() {}
        listener
    }

    /// Everything that is told until it is silent.
    fn heard(&mut self) -> Parts {
        let mut parts = Parts::new();
        self.runtime.block_on(async {
            while let Ok(told) = tokio::time::timeout(SILENCE, self.events.next()).await {
                parts.extend(told.unwrap());
            }
        });
        parts
    }

    /// What is told first, and how long after the command that took.
    fn first(&mut self) -> Parts {
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, self.events.next()).await.unwrap().unwrap() })
    }

    fn nft(&self, text: &str) {
        let command = [nft(), vec!["-f".into(), "-".into()]].concat();
        self.namespace.run_with_input(&command.iter().map(String::as_str).collect::<Vec<_>>(), text).unwrap();
    }
}

#[test]
fn the_kernel_tells_of_what_is_compared() {
    if let Some(reason) = unable() {
        return skip("the_kernel_tells_of_what_is_compared", &reason);
    }
    let mut listener = Listener::new("events", PORT);
    let links = Parts::from([Backend::Links]);
    for change in [
        "address add 192.0.2.1/32 dev lw0",
        "address del 192.0.2.1/32 dev lw0",
        "address add 2001:db8::1/128 dev lw0",
        "route add unreachable 198.51.100.0/24 metric 7",
        "route del unreachable 198.51.100.0/24 metric 7",
        "route add unreachable 2001:db8:1::/48 metric 7",
        "rule add from 192.0.2.0/24 table local preference 9",
        "rule del from 192.0.2.0/24 table local preference 9",
        "-6 rule add from 2001:db8::/32 table local preference 9",
        "link set lw0 mtu 1400",
        "link add br0 type bridge",
        "link set lw0 master br0",
        "link del lw1",
    ] {
        let started = Instant::now();
        let command: Vec<&str> = ["ip"].into_iter().chain(change.split(' ')).collect();
        listener.namespace.run(&command).unwrap();
        let first = listener.first();
        println!("ip {change}: told {:?} after `ip` was started", started.elapsed());
        // a new link comes with settings of its own
        let all: Parts = first.into_iter().chain(listener.heard()).collect();
        assert!(all.is_superset(&links) && all.is_subset(&[Backend::Links, Backend::Sysctl].into()), "{change}: {all:?}");
    }
    listener.namespace.sysctl(&["net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.lo.forwarding=1"]).unwrap();
    assert_eq!(listener.first(), Parts::from([Backend::Sysctl]));
    listener.heard();

    // a daemon's routes and what a switch learns are not looked at
    listener
        .namespace
        .ip("route add unreachable 198.51.100.0/24 proto bgp\nneighbour add 192.0.2.9 lladdr 02:00:00:00:00:01 dev br0\n")
        .unwrap();
    assert_eq!(listener.heard(), Parts::new());
}

#[test]
fn f12_nftables_tells_of_our_table_alone() {
    if let Some(reason) = unable() {
        return skip("f12_nftables_tells_of_our_table_alone", &reason);
    }
    let mut listener = Listener::new("nft-events", "");
    let filters = Parts::from([Backend::Nftables]);
    let table = "table inet leafwall {\nset s { type ipv4_addr; }\nchain forward {\ntype filter hook forward priority 0;\nip saddr @s accept\n}\n}\n";
    for change in [
        table,
        "add element inet leafwall s { 192.0.2.1 }\n",
        "add rule inet leafwall forward drop\n",
        "flush chain inet leafwall forward\n",
        "delete table inet leafwall\n",
    ] {
        listener.nft(change);
        assert_eq!(listener.first(), filters, "{change}");
        assert_eq!(listener.heard(), Parts::new(), "{change}: one transaction is told in one message, as long as it is short");
    }
    listener.nft(&table.replace("leafwall", "theirs"));
    listener.nft("flush ruleset\n");
    assert_eq!(listener.heard(), Parts::new());
}

/// What does not fit is lost, and that is told: everything is compared.
#[test]
fn lost_events_are_told_as_everything() {
    if let Some(reason) = unable() {
        return skip("lost_events_are_told_as_everything", &reason);
    }
    let mut listener = Listener::new("lost-events", PORT);
    let addresses = |word: &str| -> String {
        let lines = (0..8192).map(|number| format!("address {word} 10.9.{}.{}/32 dev lw0\n", number / 256, number % 256));
        lines.collect::<Vec<_>>().concat()
    };
    // nobody reads meanwhile
    listener.namespace.ip(&addresses("add")).unwrap();
    listener.namespace.ip(&addresses("del")).unwrap();
    assert_eq!(listener.heard(), Parts::from(Backend::ALL));
    // and it goes on
    listener.namespace.ip("address add 192.0.2.1/32 dev lw0\n").unwrap();
    assert_eq!(listener.first(), Parts::from([Backend::Links]));
}
