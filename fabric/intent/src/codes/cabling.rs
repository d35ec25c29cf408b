//! 05xx: cabling.

codes! {
    PORT_TAKEN = 501, "a port is used twice",
    why: "A port holds one cable. Whether it goes to a switch, a server or a router outside decides who is let in there, so it must not be open to two readings.",
    wrong: "links:\n  - [\"leaf-01:swp31\", \"spine-01:swp1\"]\n  - [\"leaf-02:swp31\", \"spine-01:swp1\"]",
    right: "links:\n  - [\"leaf-01:swp31\", \"spine-01:swp1\"]\n  - [\"leaf-02:swp31\", \"spine-01:swp2\"]";

    SELF_CABLE = 502, "a cable from a device to itself",
    why: "Nothing in the fabric needs a loop, and one between two ports of a switch is a loop in layer 2.",
    wrong: "links: [[\"leaf-01:swp31\", \"leaf-01:swp32\"]]",
    right: "links: [[\"leaf-01:swp31\", \"spine-01:swp1\"]]";

    UNKNOWN_DEVICE = 503, "a cable to a device that is not there",
    why: "A link ends at a port of a Switch. The far end decides what a port may do; one that is not known can't be trusted with anything.",
    wrong: "links: [[\"leaf-01:swp31\", \"spine-09:swp1\"]]",
    right: "links: [[\"leaf-01:swp31\", \"spine-01:swp1\"]]";

    WRONG_TIER = 504, "a cable between switches that do not meet",
    why: "In a leaf-spine fabric leaves and exits are cabled to spines, and to nothing else. Two leaves, or two spines, that are cabled to each other would offer paths that no filter expects (H37).",
    wrong: "links: [[\"leaf-01:swp32\", \"leaf-02:swp32\"]]",
    right: "links: [[\"leaf-01:swp32\", \"spine-02:swp1\"]]";

    NO_UPLINK = 505, "a switch without a cable to the fabric",
    why: "Nothing can reach it. That is fine while it is being installed, and rarely meant otherwise.",
    wrong: "kind: Switch\nmetadata: {name: leaf-03}\nspec: {role: leaf, platform: frr}\n# and no link that names leaf-03",
    right: "links: [[\"leaf-03:swp31\", \"spine-01:swp3\"], [\"leaf-03:swp32\", \"spine-02:swp3\"]]";

    SERVER_NOT_AT_LEAF = 506, "a server is plugged into a switch that is no leaf",
    why: "Only leaves have filters and guards for servers' ports. Spines hold no tenant, and exits have the outside behind them.",
    wrong: "nics: [{name: lan0, mac: \"02:00:00:00:01:01\", port: \"spine-01:swp9\"}]",
    right: "nics: [{name: lan0, mac: \"02:00:00:00:01:01\", port: \"leaf-01:swp9\"}]";

    RESERVED_INTERFACE = 507, "the name of an interface is reserved",
    why: "Leafwall makes links with names of this shape (`bridge0`, `vxlan0`, `bond0`, `vrfN`, `vlanN`) and removes those of its own that are not needed. A port must not look like one (H25).",
    wrong: "links: [[\"leaf-01:bridge0\", \"spine-01:swp1\"]]",
    right: "links: [[\"leaf-01:swp31\", \"spine-01:swp1\"]]";

    TOO_MANY_LEAVES = 508, "a server at more than two leaves",
    why: "Two leaves are a redundant pair if a server is cabled to both; updates never touch both of a pair at once. With three that could not be kept for all servers.",
    wrong: "# nics at leaf-01, leaf-02 and leaf-03",
    right: "# nics at leaf-01 and leaf-02";

    TOO_MANY_BRIDGED_PORTS = 509, "a bridged server with more than two ports",
    why: "Bridged servers have one port, or two in active-backup. Servers with more ports are attached routed.",
    wrong: "kind: Allocation\nspec: {server: srv-01, tenant: acme, network: acme-prod, mode: bridged} # srv-01 has four ports",
    right: "kind: Allocation\nspec: {server: srv-01, tenant: acme, network: acme-prod, mode: routed}";

    SERVER_IN_CABLING = 510, "a server's cable stands in Cabling",
    why: "Where a server is plugged in stands at the server itself, together with the MAC address. Saying it twice invites two answers.",
    wrong: "kind: Cabling\nspec: {links: [[\"leaf-01:swp1\", \"srv-01:lan0\"]]}",
    right: "kind: Server\nspec: {nics: [{name: lan0, mac: \"02:00:00:00:01:01\", port: \"leaf-01:swp1\"}]}";

    SAME_LEAF = 511, "a server with all its ports at one leaf",
    why: "It has two ports and yet loses its network with one switch. Legal, but rarely meant.",
    wrong: "# lan0 at leaf-01:swp1, lan1 at leaf-01:swp2",
    right: "# lan0 at leaf-01:swp1, lan1 at leaf-02:swp1";
}
