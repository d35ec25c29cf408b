//! 03xx: references between objects.

codes! {
    NO_FABRIC = 301, "there is no Fabric",
    why: "The Fabric holds the ranges that everything else is allocated from. A directory of intents has exactly one.",
    wrong: "# a directory without a document of kind Fabric",
    right: "kind: Fabric\nmetadata: {name: fra1}\nspec:\n  underlay: {loopbacks: 10.255.0.0/24, asns: 4210000000-4210000999}\n  overlay: {vnis: 10000-19999, vlans: 1001-2000}";

    UNKNOWN_TENANT = 302, "no such tenant",
    why: "Whatever belongs to somebody belongs to a Tenant of the same fabric. A name that nobody has would leave the object outside all checks of isolation.",
    wrong: "kind: Network\nspec: {tenant: acmee, type: private}",
    right: "kind: Network\nspec: {tenant: acme, type: private}";

    UNKNOWN_NETWORK = 303, "no such network",
    why: "The name does not stand for any Network of this fabric.",
    wrong: "kind: Allocation\nspec: {server: srv-01, tenant: acme, network: acme-prd}",
    right: "kind: Allocation\nspec: {server: srv-01, tenant: acme, network: acme-prod}";

    UNKNOWN_SERVER = 304, "no such server",
    why: "The name does not stand for any Server of this fabric.",
    wrong: "kind: Allocation\nspec: {server: srv-99, tenant: acme, network: acme-prod}",
    right: "kind: Allocation\nspec: {server: srv-01, tenant: acme, network: acme-prod}";

    UNKNOWN_SWITCH = 305, "no such switch",
    why: "The name does not stand for any Switch of this fabric.",
    wrong: "kind: Network\nspec: {type: external, exits: [exit-09]}",
    right: "kind: Network\nspec: {type: external, exits: [exit-01]}";

    UNKNOWN_ADDRESS = 306, "no such address",
    why: "The name does not stand for any Address of this fabric. Egress lists name Address objects, not the addresses themselves, so that one that is given back can't stay in use.",
    wrong: "egress: [{network: internet, addresses: [acme-egres]}]",
    right: "egress: [{network: internet, addresses: [acme-egress]}]";

    UNKNOWN_FIREWALL = 307, "no such firewall",
    why: "A policy without its Firewall would be rules that nobody enforces, while its author believes in them.",
    wrong: "kind: FirewallPolicy\nspec: {firewall: acme-fwl}",
    right: "kind: FirewallPolicy\nspec: {firewall: acme-fw}";

    NOT_AN_EXIT = 308, "the switch is not an exit",
    why: "External networks leave the fabric at switches of role `exit`; only those have filters towards the outside.",
    wrong: "exits: [leaf-01]",
    right: "exits: [exit-01]";

    EXIT_NOT_LISTED = 309, "a peer at an exit that the network does not list",
    why: "A network is built at its `exits` only. A peer at another switch would have nothing to talk to.",
    wrong: "exits: [exit-01]\npeers: [{exit: exit-02, interface: swp1, localAddress: 198.51.100.5/30, peerAddress: 198.51.100.6, asn: 64501}]",
    right: "exits: [exit-01, exit-02]\npeers: [{exit: exit-02, interface: swp1, localAddress: 198.51.100.5/30, peerAddress: 198.51.100.6, asn: 64501}]";

    NO_EXIT = 310, "an external network without an exit",
    why: "Nothing would lead out of it. An external network names the exits where it leaves the fabric.",
    wrong: "kind: Network\nspec: {type: external, prefixes: [203.0.113.0/24]}",
    right: "kind: Network\nspec: {type: external, prefixes: [203.0.113.0/24], exits: [exit-01]}";

    EXIT_WITHOUT_PEER = 311, "an exit where the network has no peer",
    why: "The network is built on that exit, but no router outside is known there: traffic that comes to it goes nowhere.",
    wrong: "exits: [exit-01, exit-02]\npeers: [{exit: exit-01, interface: swp1, localAddress: 198.51.100.1/30, peerAddress: 198.51.100.2, asn: 64500}]",
    right: "exits: [exit-01]\npeers: [{exit: exit-01, interface: swp1, localAddress: 198.51.100.1/30, peerAddress: 198.51.100.2, asn: 64500}]";

    FIREWALL_MACHINE_ALLOCATED = 312, "a firewall machine is allocated like a server",
    why: "Machines of role `firewall` are the provider's. A Firewall that lists one is its allocation; as a tenant's server it would sit in the tenant's VRF.",
    wrong: "kind: Allocation\nspec: {server: fw-01, tenant: acme, network: acme-prod}",
    right: "kind: Firewall\nspec: {tenant: acme, servers: [fw-01], networks: [acme-prod]}";

    NOT_A_FIREWALL_MACHINE = 313, "a Firewall on a machine of another role",
    why: "Ports of firewall machines are guarded differently from those of tenants' machines; the Server's role says which. A firewall does not run on a machine that a tenant could be given.",
    wrong: "kind: Firewall\nspec: {tenant: acme, servers: [srv-01], networks: [acme-prod]}",
    right: "kind: Server\nmetadata: {name: fw-01}\nspec: {role: firewall, nics: [{name: lan0, mac: \"02:00:00:00:0f:01\", port: \"leaf-01:swp9\"}]}";
}
