//! 04xx: one thing used twice.

codes! {
    DUPLICATE_NAME = 401, "a name is used twice",
    why: "Objects of one kind are told apart by their names, also across files. Switches and servers share one space of names, since a name is a host name.",
    wrong: "kind: Tenant\nmetadata: {name: acme}\n---\nkind: Tenant\nmetadata: {name: acme}",
    right: "kind: Tenant\nmetadata: {name: acme}\n---\nkind: Tenant\nmetadata: {name: globex}";

    SECOND_FABRIC = 402, "a second Fabric",
    why: "A directory describes one fabric. With two, each allocated number would have two ranges that it could come from.",
    wrong: "kind: Fabric\nmetadata: {name: fra1}\n---\nkind: Fabric\nmetadata: {name: fra2}",
    right: "kind: Fabric\nmetadata: {name: fra1}";

    DUPLICATE_MAC = 403, "a MAC address is used twice",
    why: "Switches move a MAC address to the port that spoke last; two owners of one would take turns in losing their traffic. Devices are also recognised by it when they boot.",
    wrong: "nics: [{name: lan0, mac: \"02:00:00:00:01:01\", port: \"leaf-01:swp1\"}, {name: lan1, mac: \"02:00:00:00:01:01\", port: \"leaf-02:swp1\"}]",
    right: "nics: [{name: lan0, mac: \"02:00:00:00:01:01\", port: \"leaf-01:swp1\"}, {name: lan1, mac: \"02:00:00:00:01:02\", port: \"leaf-02:swp1\"}]";

    DUPLICATE_SERIAL = 404, "a serial number is used twice",
    why: "A new switch is recognised by its serial number. With two entries it could be given the other one's configuration.",
    wrong: "metadata: {name: leaf-01}\nspec: {role: leaf, platform: frr, serial: SN0003}\n# and leaf-02 with serial: SN0003",
    right: "metadata: {name: leaf-01}\nspec: {role: leaf, platform: frr, serial: SN0003}\n# and leaf-02 with serial: SN0004";

    DUPLICATE_VNI = 405, "a VNI is used twice",
    why: "The VNI in a packet is all that tells networks apart on the wire. Two networks with one VNI are one network.",
    wrong: "metadata: {name: internet}\nspec: {type: external, vni: 104009}\n# and another network with vni: 104009",
    right: "metadata: {name: internet}\nspec: {type: external, vni: 104009}\n# and another network with vni: 104010";

    PEER_ASN_IN_RANGE = 406, "an ASN outside lies in the fabric's own range",
    why: "It could be allocated to one of our own devices, which would then refuse the routes of that peer as a loop (RFC 4271 §9.1.2).",
    wrong: "asns: 4210000000-4210000999\n# and a peer with asn: 4210000007",
    right: "asns: 4210000000-4210000999\n# and a peer with asn: 64500";

    DUPLICATE_ADDRESS = 407, "an address is used twice",
    why: "Within one network an address has one owner; with two, packets go to either. For management addresses the same holds on their link.",
    wrong: "kind: Address\nspec: {tenant: acme, network: internet, address: 203.0.113.10}\n# and an Address of globex with address: 203.0.113.10",
    right: "kind: Address\nspec: {tenant: acme, network: internet, address: 203.0.113.10}\n# and an Address of globex with address: 203.0.113.11";

    SERVER_TAKEN = 408, "a server is allocated twice",
    why: "A server belongs to one tenant and one network at a time, a firewall machine to one Firewall. Its ports can be in one VRF only.",
    wrong: "metadata: {name: acme-w1}\nspec: {server: srv-01, tenant: acme, network: acme-prod}\n# and globex-w1 with server: srv-01",
    right: "metadata: {name: acme-w1}\nspec: {server: srv-01, tenant: acme, network: acme-prod}\n# and globex-w1 with server: srv-02";

    DUPLICATE_NIC = 409, "an interface is listed twice at one server",
    why: "Interfaces of one machine are told apart by their names.",
    wrong: "nics: [{name: lan0, mac: \"02:00:00:00:01:01\", port: \"leaf-01:swp1\"}, {name: lan0, mac: \"02:00:00:00:01:02\", port: \"leaf-02:swp1\"}]",
    right: "nics: [{name: lan0, mac: \"02:00:00:00:01:01\", port: \"leaf-01:swp1\"}, {name: lan1, mac: \"02:00:00:00:01:02\", port: \"leaf-02:swp1\"}]";

    DUPLICATE_ENTRY = 410, "an entry stands twice in one list",
    why: "The second one has no meaning, so that most likely another name was meant.",
    wrong: "networks: [acme-prod, internet, internet]",
    right: "networks: [acme-prod, internet, storage]";

    PEER_PORT_TAKEN = 411, "two peers of different kind on one port and VLAN",
    why: "A port with one VLAN tag is one interface in one network's VRF. It can have a peer of each address family there, with one local address each, but not two networks.",
    wrong: "# internet: peers: [{exit: exit-01, interface: swp1, ...}]\n# partner:  peers: [{exit: exit-01, interface: swp1, ...}]",
    right: "# internet: peers: [{exit: exit-01, interface: swp1, ...}]\n# partner:  peers: [{exit: exit-01, interface: swp1, vlan: 200, ...}]";

    ADDRESS_TAKEN = 412, "an elastic address has two uses",
    why: "An Address is announced by one holder: a server, or one Firewall that translates to it. Answers to two holders could not be told apart.",
    wrong: "# acme-fw:  egress: [{network: internet, addresses: [acme-out]}]\n# acme-fw2: egress: [{network: internet, addresses: [acme-out]}]",
    right: "# acme-fw:  egress: [{network: internet, addresses: [acme-out]}]\n# acme-fw2: egress: [{network: internet, addresses: [acme-out2]}]";

    RESERVED_MAC = 413, "a MAC address that the fabric uses itself",
    why: "The anycast gateways have one MAC address on all leaves, and each device's router MAC is made from its loopback (`02:4c` and its four bytes). A port with one of these would draw the fabric's own traffic.",
    wrong: "nics: [{name: lan0, mac: \"02:00:5e:00:00:01\", port: \"leaf-01:swp1\"}]",
    right: "nics: [{name: lan0, mac: \"02:00:00:00:01:01\", port: \"leaf-01:swp1\"}]";
}
