//! Mistakes in rendered artefacts, and rewrites that are none: what a proof must refuse, and what it must accept.

/// Which promise a mistake breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaks {
    /// Something is, or may be, reached that no intent allows.
    Isolation,
    /// Something intended does not work.
    Reachability,
    /// Nothing: it says the same in other words.
    Nothing,
}

/// A change of one file of fra1.
#[derive(Debug, Clone, Copy)]
pub struct Mutation {
    /// What is done.
    pub name: &'static str,
    /// To which device.
    pub device: &'static str,
    /// To which of its files.
    pub file: &'static str,
    /// The change is made behind this text.
    pub after: &'static str,
    /// What stood there.
    pub from: &'static str,
    /// What stands there then.
    pub to: &'static str,
    /// What comes of it.
    pub breaks: Breaks,
}

impl Mutation {
    /// The changed text; `None` where the text does not hold what is to be changed, and this list is out of date.
    pub fn apply(&self, text: &str) -> Option<String> {
        let start = text.find(self.after)? + self.after.len();
        let at = start + text[start..].find(self.from)?;
        Some(format!("{}{}{}", &text[..at], self.to, &text[at + self.from.len()..]))
    }
}

const FRR: &str = "frr.conf";
const LINKS: &str = "links.json";
const NFT: &str = "leafwall.nft";

macro_rules! mutations {
    ($($breaks:ident $name:literal: $device:literal $file:ident [$after:literal] $from:literal => $to:literal;)*) => {
        &[$(Mutation { name: $name, device: $device, file: $file, after: $after, from: $from, to: $to, breaks: Breaks::$breaks }),*]
    };
}

/// One mistake each, of the kinds that people and templates make.
pub const MISTAKES: &[Mutation] = mutations! {
    // EVPN: route targets, VNIs, VRFs
    Isolation "a route target too many": "leaf-04" FRR ["vrf vrf10001"] "  route-target import 65000:10001" => "  route-target import 65000:10001\n  route-target import 65000:10000";
    Isolation "another network's route target": "leaf-04" FRR ["vrf vrf10001"] "  route-target export 65000:10001" => "  route-target export 65000:10000";
    Reachability "a route target too few": "leaf-04" FRR ["vrf vrf10001"] "  route-target export 65000:10001\n" => "";
    Reachability "an import too few": "leaf-04" FRR ["vrf vrf10001"] "  route-target import 65000:10001\n" => "";
    Isolation "a segment takes another's MAC routes": "leaf-01" FRR ["  vni 10006"] "route-target import 65000:10006" => "route-target import 65000:10005";
    Reachability "a segment exports nothing": "leaf-03" FRR ["  vni 10005"] "   route-target export 65000:10005\n" => "";
    Reachability "a VRF without its VNI": "leaf-04" FRR ["vrf vrf10001\n"] " vni 10001\n" => "";
    Reachability "a VRF with another's VNI": "leaf-04" FRR ["vrf vrf10001\n"] " vni 10001" => " vni 10003";
    Reachability "IPv6 is not advertised": "leaf-04" FRR ["vrf vrf10001"] "  advertise ipv6 unicast\n" => "";
    Reachability "IPv4 is not advertised": "leaf-04" FRR ["vrf vrf10001"] "  advertise ipv4 unicast\n" => "";
    // what servers may announce (H20, H22)
    Isolation "a server without a prefix list": "leaf-04" FRR [""] "  neighbor swp2 prefix-list lw-swp2-4 in\n" => "";
    Isolation "a server without a prefix list for IPv6": "leaf-04" FRR [""] "  neighbor swp2 prefix-list lw-swp2-6 in\n" => "";
    Isolation "a server may announce everything": "leaf-04" FRR [""] "lw-swp2-4 seq 5 permit 10.0.0.0/22 ge 32" => "lw-swp2-4 seq 5 permit any";
    Isolation "a server may announce a default route": "leaf-01" FRR [""] "lw-swp1-4 seq 15 permit 203.0.113.20/32" => "lw-swp1-4 seq 15 permit 203.0.113.20/32\nip prefix-list lw-swp1-4 seq 20 permit 0.0.0.0/0";
    Isolation "a server may announce another tenant's address": "leaf-04" FRR [""] "lw-swp2-4 seq 5 permit 10.0.0.0/22 ge 32" => "lw-swp2-4 seq 5 permit 10.0.0.0/22 ge 32\nip prefix-list lw-swp2-4 seq 10 permit 203.0.113.20/32";
    Isolation "a server may announce a firewall's egress address": "leaf-01" FRR [""] "lw-swp1-4 seq 15 permit 203.0.113.20/32" => "lw-swp1-4 seq 15 permit 203.0.113.10/32";
    Isolation "a server may announce the underlay": "leaf-01" FRR [""] "lw-swp1-4 seq 5 permit 10.0.0.0/22 ge 32" => "lw-swp1-4 seq 5 permit 10.0.0.0/22 ge 32\nip prefix-list lw-swp1-4 seq 6 permit 10.255.0.0/24 ge 32";
    Isolation "a server may announce whole prefixes": "leaf-04" FRR [""] "lw-swp2-4 seq 5 permit 10.0.0.0/22 ge 32" => "lw-swp2-4 seq 5 permit 10.0.0.0/22 le 32";
    Isolation "a server may announce in a neighbour's subnet": "leaf-04" FRR [""] "lw-swp2-6 seq 5 permit 2001:db8:b::/64 ge 128" => "lw-swp2-6 seq 5 permit 2001:db8:b::/48 ge 128";
    Reachability "deny for permit": "leaf-04" FRR [""] "lw-swp2-4 seq 5 permit" => "lw-swp2-4 seq 5 deny";
    Reachability "a list that is not there": "leaf-04" FRR [""] "neighbor swp2 prefix-list lw-swp2-4 in" => "neighbor swp2 prefix-list lw-swp-2-4 in";
    Reachability "an AS path that nobody has": "leaf-04" FRR [""] "seq 5 permit ^4210000012( 4210000012)*$" => "seq 5 permit ^4210000013( 4210000013)*$";
    Reachability "the wrong ASN": "leaf-04" FRR [""] "neighbor swp2 interface remote-as 4210000012" => "neighbor swp2 interface remote-as 4210000099";
    Reachability "no filter towards a server": "leaf-04" FRR ["vrf vrf10001"] "  neighbor swp2 filter-list lw-any out\n" => "";
    // what a firewall machine may announce (H21, H35, H36, H39)
    Isolation "h35: a pattern without its end": "leaf-01" FRR [""] "^RT:65000:10000 ET:8 Rmac:02:4c:0a:ff:00:03$" => "^RT:65000:10000 ET:8 Rmac:02:4c:0a:ff:00:03";
    Isolation "h35: a standard list of route targets": "leaf-01" FRR [""] "bgp extcommunity-list expanded lw-swp9-10000 seq 5 permit ^RT:65000:10000 ET:8 Rmac:02:4c:0a:ff:00:03$" => "bgp extcommunity-list standard lw-swp9-10000 seq 5 permit rt 65000:10000";
    Isolation "h35: no list of route targets": "leaf-01" FRR ["route-map lw-swp9-evpn-in permit 10"] " match extcommunity lw-swp9-10000\n" => "";
    Isolation "h21: another network's route target at a firewall": "leaf-01" FRR [""] "^RT:65000:10000 ET:8 Rmac:02:4c:0a:ff:00:03$" => "^RT:65000:10001 ET:8 Rmac:02:4c:0a:ff:00:03$";
    Isolation "h39: any router MAC": "leaf-01" FRR [""] "^RT:65000:10004 ET:8 Rmac:02:4c:0a:ff:00:03$" => "^RT:65000:10004 ET:8 Rmac:[0-9a-f:]+$";
    Isolation "h39: another device's router MAC": "leaf-01" FRR [""] "^RT:65000:10004 ET:8 Rmac:02:4c:0a:ff:00:03$" => "^RT:65000:10004 ET:8 Rmac:02:4c:0a:ff:00:05$";
    Isolation "h39: any route distinguisher": "leaf-01" FRR ["route-map lw-swp9-evpn-in permit 30"] " match evpn rd 10.255.0.3:11002\n" => "";
    Isolation "h39: another device's route distinguisher": "leaf-01" FRR ["route-map lw-swp9-evpn-in permit 30"] " match evpn rd 10.255.0.3:11002" => " match evpn rd 10.255.0.5:11002";
    Isolation "h39: any next hop": "leaf-01" FRR ["route-map lw-swp9-evpn-in permit 30"] " match ip next-hop address 10.255.0.3\n" => "";
    Isolation "h36: any type of route": "leaf-01" FRR ["route-map lw-swp9-evpn-in permit 30"] " match evpn route-type prefix\n" => "";
    Isolation "h21: any prefix from a firewall": "leaf-01" FRR ["route-map lw-swp9-evpn-in permit 30"] " match ip address prefix-list lw-swp9-10004-4\n" => "";
    Isolation "h21: another tenant's address from a firewall": "leaf-01" FRR [""] "lw-swp9-104009-4 seq 10 permit 203.0.113.20/32" => "lw-swp9-104009-4 seq 10 permit 203.0.113.11/32";
    Isolation "h21: a default route into a shared network": "leaf-01" FRR [""] "lw-swp9-10004-4 seq 5 permit 10.100.0.1/32" => "lw-swp9-10004-4 seq 5 permit 10.100.0.1/32\nip prefix-list lw-swp9-10004-4 seq 10 permit 0.0.0.0/0";
    Isolation "h21: the last entry permits": "leaf-01" FRR [""] "route-map lw-swp9-evpn-in deny 65535" => "route-map lw-swp9-evpn-in permit 65535";
    Isolation "h21: everything in from a firewall": "leaf-01" FRR [""] "neighbor swp9 route-map lw-swp9-evpn-in in" => "neighbor swp9 route-map lw-any in";
    Isolation "any loopback from a firewall": "leaf-01" FRR [""] "neighbor swp9 prefix-list lw-swp9-lo in" => "neighbor swp9 prefix-list lw-loopbacks in";
    Reachability "a firewall that takes nothing": "fw-03" FRR ["l2vpn evpn"] "  neighbor FABRIC route-map lw-any in\n" => "";
    Reachability "a standby that is not further away": "leaf-03" FRR ["route-map lw-swp9-evpn-in permit 10"] " set as-path prepend 4210000004 4210000004 4210000004\n" => "";
    // leaks
    Isolation "a leak too wide": "leaf-01" FRR [""] "lw-10002-back-10003-4 seq 5 permit 10.8.4.0/24 le 32" => "lw-10002-back-10003-4 seq 5 permit 10.8.0.0/16 le 32";
    Isolation "a leak without a map": "leaf-01" FRR [""] "  import vrf route-map lw-10002-import-4\n" => "";
    Isolation "a leak between two tenants": "leaf-01" FRR ["vrf vrf10001\n bgp"] "  network 10.0.4.0/24\n" => "  network 10.0.4.0/24\n  import vrf vrf10002\n";
    Reachability "a leak too narrow": "leaf-01" FRR [""] "lw-10002-back-10003-4 seq 5 permit 10.8.4.0/24 le 32" => "lw-10002-back-10003-4 seq 5 permit 10.8.4.0/25 le 32\nip prefix-list lw-10002-back-10003-4 seq 6 deny 10.8.4.0/24 le 32";
    Reachability "a leak is gone": "leaf-01" FRR ["vrf vrf10002"] "  import vrf vrf10003\n" => "";
    Reachability "a firewall's way back is gone": "fw-03" FRR [""] "lw-104009-back-10001-4 seq 5 permit 10.0.0.0/22 le 32" => "lw-104009-back-10001-4 seq 5 deny 10.0.0.0/22 le 32";
    Reachability "a firewall's way out is gone": "fw-03" FRR [""] "lw-10001-from-104009-4 seq 5 permit 0.0.0.0/0" => "lw-10001-from-104009-4 seq 5 deny 0.0.0.0/0";
    Reachability "a firewall announces no IPv6": "fw-03" FRR [""] "ipv6 prefix-list lw-10001-adv-6 seq 5 permit ::/0" => "ipv6 prefix-list lw-10001-adv-6 seq 5 deny ::/0";
    // underlay and exits
    Reachability "a loopback that is not announced": "leaf-04" FRR [""] "  network 10.255.0.10/32\n" => "";
    Reachability "a leaf passes nothing of its servers on": "leaf-04" FRR [""] "route-map lw-evpn-fabric-out permit 10" => "route-map lw-evpn-fabric-out deny 10";
    Reachability "a leaf does not know its server as its own": "leaf-04" FRR [""] " permit ^4210000012(_|$)" => " deny ^4210000012(_|$)";
    Reachability "an exit takes nothing": "exit-02" FRR [""] "-in seq 5 permit 172.31.0.0/16" => "-in seq 5 deny 172.31.0.0/16";
    Isolation "an exit takes every route": "exit-01" FRR [""] "-in seq 5 permit 0.0.0.0/0" => "-in seq 5 permit 0.0.0.0/0 le 32";
    Reachability "an exit tells nothing outside": "exit-02" FRR [""] "lw-104010-198.51.100.10-out seq 5 permit 100.64.7.0/28" => "lw-104010-198.51.100.10-out seq 5 deny 100.64.7.0/28";
    // links
    Isolation "a port in another network's VRF": "leaf-04" LINKS ["\"name\": \"swp2\""] "\"master\": \"vrf10001\"" => "\"master\": \"vrf10003\"";
    Isolation "a port in another network's VLAN": "leaf-01" LINKS ["\"name\": \"swp2\""] "\"vlan\": 1005" => "\"vlan\": 1006";
    Isolation "a port in the underlay": "leaf-04" LINKS ["\"name\": \"swp2\""] "\n      \"master\": \"vrf10001\"," => "";
    Isolation "a gateway in another network's VRF": "leaf-01" LINKS ["\"name\": \"vlan1005\""] "\"master\": \"vrf10000\"" => "\"master\": \"vrf10001\"";
    Isolation "two VNIs on one VLAN": "leaf-01" LINKS ["\"vni\": 10006,\n"] "\"vlan\": 1006" => "\"vlan\": 1005";
    Isolation "an L3VNI on another network's VLAN": "leaf-04" LINKS ["\"vni\": 10003,\n"] "\"vlan\": 1003" => "\"vlan\": 1001";
    Isolation "no last route for IPv4": "leaf-01" LINKS ["\"table\": 10002,\n"] "\"prefix\": \"0.0.0.0/0\"" => "\"prefix\": \"0.0.0.0/1\"";
    Isolation "no last route for IPv6": "leaf-01" LINKS ["\"table\": 10002,\n      \"prefix\": \"::/0\""] "\"unreachable\": {}" => "\"via\": {\"gateway\": \"fe80::1\"}";
    Isolation "h40: the switch's addresses in every VRF": "leaf-01" LINKS [""] "\"local_table\": \"after-vrfs\"" => "\"local_table\": \"first\"";
    Isolation "f22: a firewall forwards before its ruleset": "fw-01" LINKS [""] "\"forwarding\": \"after-ruleset\"" => "\"forwarding\": \"immediate\"";
    Reachability "a gateway is down": "leaf-03" LINKS ["\"name\": \"vlan1005\""] "\"state\": \"up\"" => "\"state\": \"down\"";
    Reachability "a port is down": "leaf-04" LINKS ["\"name\": \"swp2\""] "\"state\": \"up\"" => "\"state\": \"down\"";
    // guards of switches
    Isolation "h38: a guard that lets everything in": "leaf-01" NFT ["chain guard.swp9"] "counter name \"drop.swp9\" drop" => "counter name \"drop.swp9\" accept";
    Isolation "h38: any VNI": "leaf-01" NFT ["chain guard.swp9"] " @th,96,24 10000" => "";
    Isolation "h38: another network's VNI": "leaf-01" NFT ["chain guard.swp9"] "@th,96,24 10000" => "@th,96,24 10001";
    Isolation "h38: any outer source": "leaf-01" NFT ["chain guard.swp9"] "ip saddr 10.255.0.3 ip daddr { 10.255.0.7" => "ip daddr { 10.255.0.7";
    Isolation "h28: two firewalls meet in a shared network": "leaf-01" NFT ["chain guard.swp9"] "{ 10.255.0.9, 10.255.0.10 } udp" => "{ 10.255.0.5, 10.255.0.9, 10.255.0.10 } udp";
    Isolation "the guard stands at another port": "leaf-01" NFT ["chain guard.swp9"] "device \"swp9\"" => "device \"swp11\"";
    Reachability "h38: a VTEP too few": "leaf-01" NFT ["chain guard.swp10"] "{ 10.255.0.7, 10.255.0.8, 10.255.0.10 } udp" => "{ 10.255.0.7, 10.255.0.8 } udp";
    Isolation "h40: a VRF that no input rule knows": "leaf-01" NFT ["chain input {"] "\"vrf10000\", " => "";
    Isolation "h40: SSH for tenants": "leaf-01" NFT ["chain input.tenant {\n"] "\t\tgoto input.link" => "\t\ttcp dport 22 accept\n\t\tgoto input.link";
    Isolation "h40: everything else is accepted": "leaf-01" NFT [""] "counter name \"drop.input\" drop" => "counter name \"drop.input\" accept";
    Isolation "a peering for everybody in the network": "leaf-03" NFT [""] "ip daddr 10.9.0.0/24 ip saddr 10.8.4.0/24 accept" => "ip daddr 10.9.0.0/24 accept";
    Isolation "a peering's last rule is gone": "leaf-03" NFT [""] "\t\tiifname \"vrf10003\" ip6 daddr 2001:db8:c:9::/64 counter name \"drop.peering\" drop\n" => "";
    Reachability "a peering that lets nothing through": "leaf-01" NFT [""] "\t\tiifname \"vrf10002\" ip daddr 10.8.4.0/24 ip saddr 10.9.0.0/24 accept\n" => "";
    Isolation "untagged packets of an external peer": "exit-02" NFT [""] "iifname \"swp2\" counter name \"drop.untagged\" drop" => "iifname \"swp3\" counter name \"drop.untagged\" drop";
    // rulesets of firewalls
    Isolation "f04: an exception is gone": "fw-01" NFT ["set to4.acme-out.egress.1"] "0.0.0.0-192.0.1.255" => "0.0.0.0-192.0.2.255";
    Reachability "f04: an exception cuts another block": "fw-01" NFT ["set to4.acme-out.egress.1"] "0.0.0.0-192.0.1.255" => "0.0.0.0-191.0.1.255";
    Isolation "accept for drop": "fw-04" NFT ["chain rule.initech-partner-only.egress.0 {"] "drop" => "accept";
    Isolation "a deny rule is gone": "fw-04" NFT ["chain pair.initech-prod.partner {\n"] "\t\tip daddr 172.31.99.0/24 goto rule.initech-partner-only.egress.0\n" => "";
    Isolation "a deny rule stands too late": "fw-04" NFT ["chain pair.initech-prod.partner {\n"] "\t\tip daddr 172.31.99.0/24 goto rule.initech-partner-only.egress.0\n\t\tip daddr @zone4.partner tcp dport 8443 goto rule.initech-partner-only.egress.1\n" => "\t\tip daddr @zone4.partner tcp dport 8443 goto rule.initech-partner-only.egress.1\n\t\tip daddr 172.31.99.0/24 goto rule.initech-partner-only.egress.0\n";
    Isolation "a port too many": "fw-01" NFT ["chain pair.acme-prod.storage"] "tcp dport 2049" => "tcp dport 2049-2050";
    Reachability "a port too few": "fw-01" NFT ["chain pair.acme-prod.internet"] "tcp dport { 80, 443 }" => "tcp dport 80";
    Isolation "f03: a rule without its destination": "fw-01" NFT ["chain pair.internet.acme-prod"] "ip daddr 203.0.113.20 tcp dport 443" => "tcp dport 443";
    Isolation "f05: a rule without its ports": "fw-03" NFT ["chain pair.globex-prod.internet"] "tcp dport 443 goto" => "goto";
    Reachability "IPv6 is forgotten": "fw-01" NFT ["chain pair.acme-prod.internet"] "\t\tmeta nfproto ipv6 tcp dport { 80, 443 } goto rule.acme-out.egress.1\n" => "";
    Isolation "the forward chain accepts": "fw-01" NFT ["chain drop.denied {"] "\t\tdrop\n" => "\t\taccept\n";
    Isolation "a pair with another pair's rules": "fw-01" NFT ["iifname . oifname vmap"] "goto pair.internet.acme-prod" => "goto pair.acme-prod.internet";
    Isolation "f23: sources are not looked at": "fw-01" NFT ["chain source.internet {"] "\t\tip saddr @source4.internet goto drop.spoofed\n" => "";
    Isolation "f23: a source too many": "fw-01" NFT ["set source4.acme-prod"] "203.0.113.20," => "203.0.113.20,\n\t\t\t     203.0.113.99,";
    Isolation "f06: the cluster's chain before the bounds": "fw-01" NFT ["chain forward {"] "\t\tiifname vmap" => "\t\tjump cluster\n\t\tiifname vmap";
    Isolation "invalid packets pass": "fw-01" NFT ["ct state vmap"] "invalid : goto drop.invalid" => "invalid : accept";
    Reachability "answers do not pass": "fw-01" NFT ["ct state vmap"] "established : accept" => "established : goto drop.invalid";
    Isolation "no source translation": "fw-03" NFT ["chain postrouting"] "\t\toifname \"vlan1003\" ip saddr 10.0.0.0-10.0.4.255 snat ip to 203.0.113.11\n" => "";
    Isolation "translation to another tenant's address": "fw-03" NFT ["chain postrouting"] "snat ip to 203.0.113.11" => "snat ip to 203.0.113.10";
    Isolation "a source that is not translated": "fw-01" NFT ["set snat4.internet"] "10.0.0.0-10.0.4.255" => "10.0.0.0-10.0.3.255";
    Isolation "h40: SSH on a firewall": "fw-01" NFT ["chain input {"] "\t\tct state established,related accept" => "\t\ttcp dport 22 accept\n\t\tct state established,related accept";
    Reachability "f15: tunnels from a hard-coded range": "fw-01" NFT ["chain input {"] "ip saddr 10.255.0.0/24 ip daddr 10.255.0.3 udp dport 4789" => "ip saddr 10.254.0.0/24 ip daddr 10.255.0.3 udp dport 4789";
};

/// The same in other words.
pub const REWRITES: &[Mutation] = mutations! {
    Nothing "other sequence numbers": "leaf-01" FRR [""] "lw-swp1-4 seq 10 permit" => "lw-swp1-4 seq 12 permit";
    Nothing "another order of entries": "leaf-01" FRR [""] "ip prefix-list lw-swp1-4 seq 5 permit 10.0.0.0/22 ge 32\nip prefix-list lw-swp1-4 seq 10 permit 10.244.0.0/16 le 32" => "ip prefix-list lw-swp1-4 seq 10 permit 10.244.0.0/16 le 32\nip prefix-list lw-swp1-4 seq 5 permit 10.0.0.0/22 ge 32";
    Nothing "a prefix in halves": "leaf-01" FRR [""] "ip prefix-list lw-swp1-4 seq 5 permit 10.0.0.0/22 ge 32" => "ip prefix-list lw-swp1-4 seq 5 permit 10.0.0.0/23 ge 32\nip prefix-list lw-swp1-4 seq 6 permit 10.0.2.0/23 ge 32";
    Nothing "an entry twice": "leaf-01" FRR [""] "ip prefix-list lw-swp1-4 seq 15 permit 203.0.113.20/32" => "ip prefix-list lw-swp1-4 seq 15 permit 203.0.113.20/32\nip prefix-list lw-swp1-4 seq 20 permit 203.0.113.20/32";
    Nothing "a deny of what is not permitted": "leaf-01" FRR [""] "ip prefix-list lw-swp1-4 seq 5 permit" => "ip prefix-list lw-swp1-4 seq 3 deny 192.0.2.0/24 le 32\nip prefix-list lw-swp1-4 seq 5 permit";
    Nothing "both bounds written out": "leaf-01" FRR [""] "lw-swp1-4 seq 5 permit 10.0.0.0/22 ge 32" => "lw-swp1-4 seq 5 permit 10.0.0.0/22 ge 32 le 32";
    Nothing "without the deny that ends every map": "leaf-01" FRR [""] "route-map lw-swp9-evpn-in deny 65535\nexit\n!\n" => "";
    Nothing "other numbers of a map's entries": "leaf-01" FRR [""] "route-map lw-swp9-evpn-in permit 10" => "route-map lw-swp9-evpn-in permit 11";
    Nothing "other timers": "leaf-01" FRR [""] "neighbor swp1 timers 3 9" => "neighbor swp1 timers 5 15";
    Nothing "a larger maximum": "leaf-01" FRR [""] "neighbor swp1 maximum-prefix 1000" => "neighbor swp1 maximum-prefix 2000";
    Nothing "a list that nobody uses": "leaf-01" FRR [""] "ip prefix-list lw-swp1-4 seq 5" => "ip prefix-list lw-unused seq 5 permit 0.0.0.0/0 le 32\nip prefix-list lw-swp1-4 seq 5";
    Nothing "another MTU": "leaf-01" LINKS ["\"name\": \"swp1\""] "\"mtu\": 9000" => "\"mtu\": 8000";
    Nothing "a set in another order": "leaf-01" NFT ["chain guard.swp9"] "{ 10.255.0.7, 10.255.0.8, 10.255.0.9 }" => "{ 10.255.0.9, 10.255.0.7, 10.255.0.8 }";
    Nothing "a set as a prefix and a rest": "leaf-01" NFT ["chain guard.swp9"] "{ 10.255.0.9, 10.255.0.10 } udp" => "10.255.0.9-10.255.0.10 udp";
    Nothing "rules that do not overlap, exchanged": "fw-01" NFT ["chain pair.acme-prod.internet"] "\t\tmeta l4proto icmp meta nfproto ipv4 goto rule.acme-out.egress.2\n\t\tmeta l4proto ipv6-icmp meta nfproto ipv6 goto rule.acme-out.egress.3\n" => "\t\tmeta l4proto ipv6-icmp meta nfproto ipv6 goto rule.acme-out.egress.3\n\t\tmeta l4proto icmp meta nfproto ipv4 goto rule.acme-out.egress.2\n";
    Nothing "a jump for a goto where nothing follows": "fw-03" NFT ["chain pair.globex-prod.internet"] "tcp dport 443 goto rule" => "tcp dport 443 jump rule";
    Nothing "two ports as two rules": "fw-01" NFT ["chain pair.acme-prod.internet"] "\t\tmeta nfproto ipv6 tcp dport { 80, 443 } goto rule.acme-out.egress.1\n" => "\t\tmeta nfproto ipv6 tcp dport 80 goto rule.acme-out.egress.1\n\t\tmeta nfproto ipv6 tcp dport 443 goto rule.acme-out.egress.1\n";
    Nothing "an interval in two": "fw-01" NFT ["set to4.acme-out.egress.1"] "0.0.0.0-192.0.1.255" => "0.0.0.0-127.255.255.255,\n\t\t\t     128.0.0.0-192.0.1.255";
    Nothing "a rule that drops what is dropped anyway": "fw-01" NFT ["chain pair.internet.acme-prod {\n"] "\t\tip daddr 203.0.113.20" => "\t\ttcp dport 23 drop\n\t\tip daddr 203.0.113.20";
};
