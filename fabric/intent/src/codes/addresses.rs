//! 06xx: addresses and ranges.

codes! {
    OVERLAP_IN_NETWORK = 601, "prefixes of one network overlap",
    why: "Within a network each address has one meaning: routed or in one bridged subnet. Where two prefixes overlap, the more specific route silently wins for part of the other.",
    wrong: "prefixes: [10.0.0.0/16]\nsubnets: [{prefix: 10.0.4.0/24}]",
    right: "prefixes: [10.0.0.0/22]\nsubnets: [{prefix: 10.0.4.0/24}]";

    OVERLAP_AT_FIREWALL = 602, "networks of one firewall overlap",
    why: "The firewall routes between its networks by address. An address that two of them claim has no one place to go, and the check of sources would refuse one of the two (F23).",
    wrong: "# acme-prod: prefixes: [10.0.0.0/22]\n# storage:   prefixes: [10.0.1.0/24]\nnetworks: [acme-prod, storage]",
    right: "# acme-prod: prefixes: [10.0.0.0/22]\n# storage:   prefixes: [10.100.0.0/24]\nnetworks: [acme-prod, storage]";

    OVERLAP_IN_PEERING = 603, "the two sides of a peering overlap",
    why: "Each side learns the other's prefixes as routes. An overlapping one would draw traffic that belongs to the own network.",
    wrong: "between: [{network: acme-prod, prefixes: [10.0.0.0/22]}, {network: acme-lab, prefixes: [10.0.0.0/24]}]",
    right: "between: [{network: acme-prod, prefixes: [10.0.0.0/22]}, {network: acme-lab, prefixes: [10.9.0.0/24]}]";

    OVERLAP_WITHOUT_NAT = 604, "two tenants bring the same addresses into one network",
    why: "Two tenants may use the same private prefixes as long as nothing joins them. Their firewalls announce these prefixes untranslated in one network: answers for one would go to the other.",
    wrong: "# acme-prod and globex-prod: prefixes: [10.0.0.0/22], both behind firewalls that join this network\nkind: Network\nmetadata: {name: storage}\nspec: {tenant: stor, type: shared, nat: none}",
    right: "kind: Network\nmetadata: {name: storage}\nspec: {tenant: stor, type: shared, nat: ipv4}";

    OVERLAP_WITH_FABRIC = 605, "a prefix overlaps what the fabric itself uses",
    why: "Loopbacks of devices and their source addresses in VRFs (`fd6c:6561:6677::/96`) are present inside tenants' VRFs and lead to the switches themselves. A network's prefix must never cover them.",
    wrong: "# Fabric: underlay: {loopbacks: 10.255.0.0/24}\nprefixes: [10.255.0.0/16]",
    right: "# Fabric: underlay: {loopbacks: 10.255.0.0/24}\nprefixes: [10.254.0.0/16]";

    GATEWAY_OUTSIDE = 606, "a gateway outside its subnet",
    why: "Hosts reach their gateway on the link, so it has an address of the subnet.",
    wrong: "subnets: [{prefix: 10.0.4.0/24, gateway: 10.0.5.1}]",
    right: "subnets: [{prefix: 10.0.4.0/24, gateway: 10.0.4.1}]";

    GATEWAY_NOT_A_HOST = 607, "a gateway on an address that no host can have",
    why: "The first address of a subnet stands for the subnet (in IPv6 for any router, RFC 4291 §2.6.1), the last one of an IPv4 subnet is its broadcast.",
    wrong: "subnets: [{prefix: 10.0.4.0/24, gateway: 10.0.4.0}]",
    right: "subnets: [{prefix: 10.0.4.0/24, gateway: 10.0.4.1}]";

    ADDRESS_OUTSIDE = 608, "an elastic address outside its network",
    why: "An Address is taken from the prefixes of its network. Others are not announced there and would never be reached.",
    wrong: "# internet: prefixes: [203.0.113.0/24]\nkind: Address\nspec: {tenant: acme, network: internet, address: 192.0.2.10}",
    right: "# internet: prefixes: [203.0.113.0/24]\nkind: Address\nspec: {tenant: acme, network: internet, address: 203.0.113.10}";

    ALLOCATION_OUTSIDE = 609, "a server's address outside its network",
    why: "A routed server has addresses of the network's `prefixes`, a bridged one of its `subnets`. The filter of its port lets no other in.",
    wrong: "# acme-prod: prefixes: [10.0.0.0/22]\nkind: Allocation\nspec: {server: srv-01, tenant: acme, network: acme-prod, addresses: [10.0.9.1]}",
    right: "# acme-prod: prefixes: [10.0.0.0/22]\nkind: Allocation\nspec: {server: srv-01, tenant: acme, network: acme-prod, addresses: [10.0.0.9]}";

    ADDRESS_IS_GATEWAY = 610, "an address that is the gateway's",
    why: "The gateway answers for its address on every leaf. A server with the same one would take the whole subnet's traffic, or get none.",
    wrong: "# subnets: [{prefix: 10.0.4.0/24, gateway: 10.0.4.1}]\naddresses: [10.0.4.1]",
    right: "# subnets: [{prefix: 10.0.4.0/24, gateway: 10.0.4.1}]\naddresses: [10.0.4.10]";

    PEER_NOT_ON_LINK = 611, "a peer's address is not on the link",
    why: "The session is built over the port itself, so the peer's address lies in the subnet of the local one, and is another one.",
    wrong: "localAddress: 198.51.100.1/30\npeerAddress: 198.51.100.6",
    right: "localAddress: 198.51.100.1/30\npeerAddress: 198.51.100.2";

    SPECIAL_PREFIX = 612, "a prefix that no network can have",
    why: "Loopback, link-local and multicast addresses, and those that are reserved (RFC 6890), are not forwarded or mean something else on every host.",
    wrong: "prefixes: [224.0.0.0/8]",
    right: "prefixes: [10.0.0.0/22]";

    DEFAULT_ROUTE = 613, "a default route where it is not allowed",
    why: "Servers announce inside `prefixes` and `announce`. With a default route among them any server could draw all traffic of its network.",
    wrong: "announce: [0.0.0.0/0]",
    right: "announce: [10.244.0.0/16]";

    RANGE_EXHAUSTED = 614, "a range is too small for what needs it",
    why: "Every object needs a number of its own, and ids that are given back rest before they are used again. Ranges may grow at either end at any time.",
    wrong: "overlay: {vnis: 10000-10001, vlans: 1001-2000} # and three networks",
    right: "overlay: {vnis: 10000-19999, vlans: 1001-2000}";

    PREFIX_FULL = 615, "a prefix is too small for the addresses in it",
    why: "Each server and each elastic address needs an address of its own, besides the gateway's and those that no host can have.",
    wrong: "subnets: [{prefix: 10.0.4.0/30}] # and three bridged servers",
    right: "subnets: [{prefix: 10.0.4.0/24}]";

    WRONG_FAMILY = 616, "an address or prefix of the wrong family",
    why: "Loopbacks are IPv4, since they are VTEPs and router ids. A BGP session to the outside carries the family of its addresses.",
    wrong: "underlay: {loopbacks: \"fd00:255::/64\", asns: 4210000000-4210000999}",
    right: "underlay: {loopbacks: 10.255.0.0/24, asns: 4210000000-4210000999}";

    PUBLIC_ASN = 617, "the fabric's ASNs are not private",
    why: "Numbers outside the private ranges (RFC 6996) belong to somebody. They are also not removed from the paths that exits tell the outside.",
    wrong: "asns: 1000-1999",
    right: "asns: 4210000000-4210000999";

    SUBNET_TOO_SMALL = 618, "a subnet without room for hosts",
    why: "A bridged subnet holds a gateway and at least one server, besides the addresses that no host can have: IPv4 subnets are /30 or larger, IPv6 ones /126 or larger.",
    wrong: "subnets: [{prefix: 10.0.4.0/31}]",
    right: "subnets: [{prefix: 10.0.4.0/24}]";

    PEERING_OUTSIDE = 619, "a peering shows a prefix that is not the network's",
    why: "A side can show the other what it has: its own prefixes or parts of them, and its subnets. Anything else would draw traffic into a network that can't deliver it.",
    wrong: "# acme-prod: prefixes: [10.0.0.0/22]\nbetween: [{network: acme-prod, prefixes: [10.0.8.0/24]}, {network: acme-lab}]",
    right: "# acme-prod: prefixes: [10.0.0.0/22]\nbetween: [{network: acme-prod, prefixes: [10.0.1.0/24]}, {network: acme-lab}]";

    NOT_A_HOST_ADDRESS = 620, "an address that no host can have",
    why: "The first address of a subnet stands for the subnet itself, the last one of an IPv4 subnet is its broadcast.",
    wrong: "# subnets: [{prefix: 10.0.4.0/24}]\naddresses: [10.0.4.255]",
    right: "# subnets: [{prefix: 10.0.4.0/24}]\naddresses: [10.0.4.25]";

    MTU_TOO_SMALL = 621, "an MTU that does not fit what it carries",
    why: "Servers send packets of up to 9000 bytes, which travel in VXLAN with 50 bytes around them. Fabric ports with a smaller MTU would drop the large ones silently.",
    wrong: "underlay: {mtu: 1500, loopbacks: 10.255.0.0/24, asns: 4210000000-4210000999}",
    right: "underlay: {mtu: 9216, loopbacks: 10.255.0.0/24, asns: 4210000000-4210000999}";

    BAD_TIMERS = 622, "timers that do not fit each other",
    why: "A BGP session is down after its hold time without a message: it has to be at least three seconds (RFC 4271 §4.2) and three keepalives long, or one lost packet ends it.",
    wrong: "timers: {keepalive: 5, hold: 6}",
    right: "timers: {keepalive: 3, hold: 9}";

    ADDRESS_FAMILY_TWICE = 623, "two addresses of one family for one server",
    why: "A server has one address of each family in its network. More are elastic addresses, or lie in `announce`.",
    wrong: "addresses: [10.0.0.9, 10.0.0.10]",
    right: "addresses: [10.0.0.9, \"fd00:acde::9\"]";

    NO_PREFIX_FOR_ADDRESS = 624, "an address to be allocated where there is none",
    why: "An elastic address without a fixed value is taken from the `prefixes` of its network: IPv4 where there is any, else IPv6. This network has none.",
    wrong: "# acme-l2: subnets: [{prefix: 10.0.4.0/24}]\nkind: Address\nspec: {tenant: acme, network: acme-l2}",
    right: "# internet: prefixes: [203.0.113.0/24]\nkind: Address\nspec: {tenant: acme, network: internet}";

    SAME_DESTINATION = 625, "two networks of one firewall lead to the same destination",
    why: "The firewall sends packets for a destination into one network. With two that claim exactly the same one, which it is would be left to chance. A more specific destination beside a general one is fine.",
    wrong: "# internet and backup-line: destinations: [0.0.0.0/0]\nnetworks: [acme-prod, internet, backup-line]",
    right: "# internet: destinations: [0.0.0.0/0], partner: destinations: [172.31.0.0/16]\nnetworks: [acme-prod, internet, partner]";

    IMPORT_OF_OWN = 626, "a peer may announce what is ours",
    why: "What is accepted from outside would compete with the network's own prefixes: a router there could draw the traffic to our addresses, and the more specific route wins.",
    wrong: "prefixes: [203.0.113.0/24]\npeers: [{exit: exit-01, interface: swp1, ..., import: [203.0.113.128/25]}]",
    right: "prefixes: [203.0.113.0/24]\npeers: [{exit: exit-01, interface: swp1, ..., import: [0.0.0.0/0]}]";

    PEERING_SHOWS_PART = 627, "a peering shows a part of a subnet",
    why: "The servers of a subnet are neighbours on one link, and the fabric has one route for all of them. A part of it has no route of its own that a peering could pass on, so nothing would be reachable.",
    wrong: "# acme-prod: subnets: [{prefix: 10.0.4.0/24}]\nbetween: [{network: acme-prod, prefixes: [10.0.4.0/25]}, {network: acme-lab}]",
    right: "# acme-prod: subnets: [{prefix: 10.0.4.0/24}]\nbetween: [{network: acme-prod, prefixes: [10.0.4.0/24]}, {network: acme-lab}]";
}
