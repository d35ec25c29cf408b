//! The small world of [`crate::firewall`] in namespaces: a firewall in the middle and a namespace for each network.
//!
//! This kernel may have no VRF; what a ruleset sees of one are two names. So each network hangs on two veths: what comes from it enters by one called like
//! its VRF, what goes into it leaves by one called like its SVI.

use std::fmt::Write as _;
use std::io;

use leafwall_policy::semantics::Transport;

use crate::firewall::{ZONES, interfaces, network, routes};
use crate::namespace::{Namespace, nft};
use crate::wire::{self, Catcher, Sender};

/// The token of packets that show that links are up; no test uses it.
const WARM_UP: u32 = u32::MAX;

/// The firewall and its networks.
#[derive(Debug)]
pub struct World {
    /// The firewall machine.
    pub firewall: Namespace,
    /// A switch in front of it, on its port `lan0`; the link has link-local addresses only, and the two loopbacks `10.255.0.9` and `10.255.0.1`.
    pub leaf: Namespace,
    /// The networks, in the order of the small world.
    pub networks: Vec<Network>,
}

/// One network.
#[derive(Debug)]
pub struct Network {
    /// Everything in it at once: whoever sends or catches here is any of its hosts.
    pub namespace: Namespace,
    /// Sends from it.
    pub sender: Sender,
    /// Catches what comes into it.
    pub catcher: Catcher,
}

impl World {
    /// Builds it. `purpose` parts worlds of one process.
    ///
    /// # Errors
    /// What `ip`, `sysctl` or the kernel say.
    pub fn new(purpose: &str) -> io::Result<Self> {
        let firewall = Namespace::new(&format!("{purpose}-fw"))?;
        let leaf = Namespace::new(&format!("{purpose}-leaf"))?;
        firewall.sysctl(&[
            "net.ipv4.ip_forward=1",
            "net.ipv6.conf.all.forwarding=1",
            "net.ipv4.conf.all.rp_filter=0",
            "net.ipv4.conf.default.rp_filter=0",
            "net.ipv4.conf.all.send_redirects=0",
            "net.ipv4.conf.default.send_redirects=0",
            "net.ipv6.conf.default.accept_dad=0",
        ])?;
        leaf.sysctl(&["net.ipv6.conf.default.accept_dad=0"])?;
        firewall.ip(&format!(
            "link add lan0 type veth peer name swp9 netns {}\naddress add 10.255.0.9/32 dev lo\nlink set lan0 up\n",
            leaf.name()
        ))?;
        leaf.ip("address add 10.255.0.1/32 dev lo\naddress add 10.99.0.1/32 dev lo\nlink set swp9 up\nroute add 10.255.0.9/32 dev swp9 src 10.255.0.1\n")?;
        firewall.ip("route add 10.255.0.1/32 dev lan0 src 10.255.0.9\nroute add 10.99.0.1/32 dev lan0 src 10.255.0.9\n")?;
        let mut networks = Vec::with_capacity(ZONES);
        for index in 0..ZONES {
            networks.push(attach(&firewall, index, purpose)?);
        }
        let mut lines = String::new();
        for (prefix, index) in routes() {
            let via = if prefix.network().is_ipv4() { format!("169.254.{index}.2") } else { "fe80::2".to_owned() };
            let _ = writeln!(lines, "route add {prefix} via {via} dev {} onlink", interfaces(index).1);
        }
        firewall.ip(&lines)?;
        for (index, network) in networks.iter_mut().enumerate() {
            for v6 in [false, true] {
                let Some((prefix, _)) =
                    routes().into_iter().find(|(prefix, place)| *place == index && prefix.network().is_ipv6() == v6 && prefix.length() > 0)
                else {
                    continue;
                };
                let Some((from, to)) = prefix.nth(1).zip(prefix.nth(2)) else { continue };
                let packet = wire::packet(from, to, Transport::Udp { source: 9, destination: 9 }, WARM_UP);
                network.catcher.warm_up(&network.sender, to, &packet, WARM_UP)?;
            }
        }
        Ok(Self { firewall, leaf, networks })
    }

    /// Flows of protocols without ports must not be remembered from one ruleset to the next; SCTP's sum is not computed here. The kernel knows these
    /// settings once a ruleset asks conntrack.
    ///
    /// # Errors
    /// Where there are no such settings.
    pub fn forget_soon(&self) -> io::Result<()> {
        self.firewall.sysctl(&[
            "net.netfilter.nf_conntrack_generic_timeout=0",
            "net.netfilter.nf_conntrack_gre_timeout=0",
            "net.netfilter.nf_conntrack_checksum=0",
        ])
    }

    /// Loads a ruleset into the firewall.
    ///
    /// # Errors
    /// What `nft` says.
    pub fn load(&self, script: &str) -> io::Result<()> {
        load(&self.firewall, script)
    }
}

/// Loads a ruleset into a namespace.
///
/// # Errors
/// What `nft` says.
pub fn load(namespace: &Namespace, script: &str) -> io::Result<()> {
    let nft = nft();
    let command: Vec<&str> = nft.iter().map(String::as_str).chain(["-f", "-"]).collect();
    namespace.run_with_input(&command, script).map(drop)
}

/// What a named counter of the firewall's table holds, in packets; `None` where there is no such counter.
pub fn counter(namespace: &Namespace, name: &str) -> Option<u64> {
    let nft = nft();
    let command: Vec<&str> = nft.iter().map(String::as_str).chain(["list", "counter", "inet", "leafwall", name]).collect();
    let listing = namespace.run(&command).ok()?;
    listing.split_whitespace().skip_while(|word| *word != "packets").nth(1)?.parse().ok()
}

fn attach(firewall: &Namespace, index: usize, purpose: &str) -> io::Result<Network> {
    let namespace = Namespace::new(&format!("{purpose}-{}", network(index)))?;
    namespace.sysctl(&["net.ipv6.conf.default.accept_dad=0", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0"])?;
    let (input, output) = interfaces(index);
    let there = namespace.name();
    let mac = |end: usize| format!("02:00:00:00:{index:02x}:{end:02x}");
    firewall.ip(&format!(
        "link add {input} address {} type veth peer name out0 address {} netns {there}\n\
         link add {output} address {} type veth peer name in0 address {} netns {there}\n\
         link set {input} up\nlink set {output} up\n\
         neighbour add 169.254.{index}.2 lladdr {} dev {output} nud permanent\n\
         neighbour add fe80::2 lladdr {} dev {output} nud permanent\n",
        mac(1),
        mac(2),
        mac(3),
        mac(4),
        mac(4),
        mac(4)
    ))?;
    namespace.ip(&format!(
        "link set out0 up\nlink set in0 up\n\
         neighbour add 169.254.{index}.1 lladdr {} dev out0 nud permanent\n\
         neighbour add fe80::1 lladdr {} dev out0 nud permanent\n\
         route add default via 169.254.{index}.1 dev out0 onlink\n\
         route add ::/0 via fe80::1 dev out0 onlink\n",
        mac(1),
        mac(1)
    ))?;
    let (sender, catcher) = (Sender::new(&namespace)?, Catcher::new(&namespace)?);
    Ok(Network { namespace, sender, catcher })
}
