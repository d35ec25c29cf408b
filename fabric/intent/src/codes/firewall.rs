//! 08xx: firewalls and their rules.

codes! {
    EXCEPT_OUTSIDE = 801, "an `except` outside its block",
    why: "An exception takes a part away from its own `cidr` and never from another one (F4). One that lies outside takes nothing away, so something else was meant.",
    wrong: "to: [{cidr: 10.0.0.0/8, except: [192.0.2.0/24]}]",
    right: "to: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}]";

    EXCEPT_EVERYTHING = 802, "nothing is left of a block",
    why: "The exceptions take away all of the block. A peer that matches nothing is easily taken for one that matches everything.",
    wrong: "to: [{cidr: 10.0.0.0/8, except: [10.0.0.0/9, 10.128.0.0/9]}]",
    right: "to: [{cidr: 10.0.0.0/8, except: [10.0.0.0/9]}]";

    PORTS_BACKWARDS = 803, "a range of ports that is none",
    why: "`endPort` is the last port of the range, so it is not below `port`. nftables refuses such a range, and with it the whole ruleset (F1).",
    wrong: "ports: [{protocol: TCP, port: 8443, endPort: 8080}]",
    right: "ports: [{protocol: TCP, port: 8080, endPort: 8443}]";

    PORT_WITHOUT_PORTS = 804, "a port on a protocol that has none",
    why: "Only TCP, UDP and SCTP have ports. A rule for ICMP or any protocol with a port would match either everything or nothing.",
    wrong: "ports: [{protocol: ICMP, port: 8}]",
    right: "ports: [{protocol: ICMP}]";

    END_WITHOUT_PORT = 805, "an `endPort` without a `port`",
    why: "The range has an end but no beginning. Guessing one could open more than meant.",
    wrong: "ports: [{protocol: TCP, endPort: 8443}]",
    right: "ports: [{protocol: TCP, port: 8080, endPort: 8443}]";

    RULE_FAMILY = 806, "a rule that no packet can match",
    why: "Source, destination and protocol of a packet are of one family: IPv4 with ICMP, or IPv6 with ICMPv6. The two sides of this rule have none in common.",
    wrong: "{action: allow, to: [{cidr: 192.0.2.0/24}], ports: [{protocol: ICMPv6}]}",
    right: "{action: allow, to: [{cidr: 192.0.2.0/24}], ports: [{protocol: ICMP}]}";

    RULE_NETWORK = 807, "a rule names a network that the firewall does not join",
    why: "The firewall sees traffic of its own `networks` only. A rule about another one could never match.",
    wrong: "# acme-fw: networks: [acme-prod, internet]\nto: [{network: storage}]",
    right: "# acme-fw: networks: [acme-prod, internet, storage]\nto: [{network: storage}]";

    NOT_JOINED = 808, "a network that the firewall does not join",
    why: "Egress addresses, rate limits and in-band management refer to networks that the firewall has an interface in: those in its `networks`.",
    wrong: "networks: [acme-prod]\nrateLimits: [{network: internet, rate: 1000}]",
    right: "networks: [acme-prod, internet]\nrateLimits: [{network: internet, rate: 1000}]";

    FQDN_AS_SOURCE = 809, "a DNS name as a source",
    why: "Names are resolved for destinations. The names of a source are under the control of whoever sends, so that nothing can be permitted by them.",
    wrong: "from: [{fqdn: client.example.com}]",
    right: "from: [{cidr: 192.0.2.0/24}]";

    NO_OWN_NETWORK = 810, "a firewall without a network of its own tenant",
    why: "A firewall stands between its tenant's networks and others. Without one of its own there is nobody behind it, and it would only join networks of others.",
    wrong: "networks: [internet, storage]",
    right: "networks: [acme-prod, internet, storage]";

    EGRESS_WITHOUT_NAT = 811, "an egress address where nothing is translated",
    why: "The network's `nat` says which families are translated on the way in. The address is of a family that is routed there, so that it would never be used.",
    wrong: "# internet: nat: none\negress: [{network: internet, addresses: [acme-egress]}]",
    right: "# internet: nat: ipv4\negress: [{network: internet, addresses: [acme-egress]}]";

    NAT_WITHOUT_EGRESS = 812, "translation without an address to translate to",
    why: "The network wants addresses of this family translated, and the firewall holds none there. Its tenant's servers do not get through in this family.",
    wrong: "# internet: nat: ipv4\nnetworks: [acme-prod, internet]",
    right: "# internet: nat: ipv4\nnetworks: [acme-prod, internet]\negress: [{network: internet, addresses: [acme-egress]}]";

    NOTHING_ALLOWED = 813, "restricted access without allowed networks",
    why: "`access: restricted` lets traffic through to `allowedNetworks` alone. Without any, nothing passes whatever the policies say.",
    wrong: "access: restricted",
    right: "access: restricted\nallowedNetworks: {egress: [192.0.2.0/24]}";

    NO_RESOLVER = 814, "a name that no resolver is asked for",
    why: "Rules with `fqdn` follow the answers of the firewall's resolvers. Neither the Firewall nor the Fabric names any in `dns`.",
    wrong: "# Fabric and Firewall without dns\nto: [{fqdn: api.example.com}]",
    right: "# Firewall: dns: [192.0.2.53]\nto: [{fqdn: api.example.com}]";
}
