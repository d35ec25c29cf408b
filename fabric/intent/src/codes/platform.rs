//! 09xx: what platforms can carry.

codes! {
    VRF_BUDGET = 901, "more networks on one switch than it has VRFs",
    why: "Each network with a server, firewall or peering behind a switch takes a VRF there. Beyond its budget the switch would refuse some of them half way through a change.",
    wrong: "# servers of 1100 networks at one leaf of platform sonic",
    right: "# the servers spread over more leaves";

    VLAN_BUDGET = 902, "more VLANs on one switch than there are",
    why: "Each network and each bridged subnet on a switch takes a VLAN id of `overlay.vlans` there, and the platform has a limit of its own.",
    wrong: "overlay: {vlans: 1001-1002} # and three networks at one leaf",
    right: "overlay: {vlans: 1001-2000}";

    UNGUARDED_FIREWALL_PORT = 903, "a firewall machine where its packets can't be guarded",
    why: "VXLAN accepts any source: a firewall that is taken over could send packets straight into any network. On this platform the leaf can't look at the VNI of what comes from the port (H38).",
    wrong: "# fw-01 at a leaf of platform sonic",
    right: "# fw-01 at a leaf of platform frr";

    LONG_SUBINTERFACE = 904, "the name of a VLAN's interface is too long",
    why: "A VLAN on a port becomes an interface called `port.vlan`, and the kernel takes 15 characters at most. The port's name leaves no room for the tag.",
    wrong: "peers: [{exit: exit-01, interface: Ethernet1000, vlan: 4000, ...}]",
    right: "peers: [{exit: exit-01, interface: Ethernet100, vlan: 400, ...}]";

    UNKNOWN_HARDWARE = 905, "a SONiC switch of unknown hardware",
    why: "SONiC's ports are made from lanes, and which port is on which lanes only the hardware says. A configuration with wrong lanes leaves a switch without any port.",
    wrong: "spec: {role: leaf, platform: sonic}",
    right: "spec: {role: leaf, platform: sonic, hwsku: Accton-AS7726-32X}";

    NO_SUCH_PORT = 906, "a port that the hardware does not have",
    why: "A port is called after its first lane, and a cage that is split has other ports than a whole one. What is plugged into a port that is not there is never connected.",
    wrong: "port: \"leaf-01:Ethernet1\" # and Ethernet0 is not split",
    right: "ports: {Ethernet0: {breakout: 4x25G}}";

    PORT_CANNOT = 907, "a port that can't be what is asked of it",
    why: "Cages can be split into certain numbers of ports, and ports run at certain speeds. SONiC takes whatever is written and fails in the ASIC, half way through a change.",
    wrong: "ports: {Ethernet0: {breakout: 8x10G}}",
    right: "ports: {Ethernet0: {breakout: 4x10G}}";

    UNUSABLE_VERSION = 908, "a version that can't carry the fabric",
    why: "A version that is known to lose configuration or routes is refused before it does, and so is one of which nobody knows anything: 202411 has an FRR that forgets the VNIs of VRFs (H14).",
    wrong: "version: \"202411\"",
    right: "version: \"202505\"";

    UNGUARDED_PEERING = 909, "a peering where its packets can't be guarded",
    why: "A peering is for certain prefixes of both sides. Routes are bounded to them everywhere; that nobody else of the one network sends to the other takes a packet filter between VRFs, which this platform has none of.",
    wrong: "between: [{network: acme-prod}, {network: globex-prod}] # with servers at a leaf of platform sonic",
    right: "# both networks' servers at leaves of platform frr";

    SONIC_LIMIT = 910, "more than SONiC's models take",
    why: "SONiC has no VLAN 1, three resolvers and ten time servers at most, and no management address without a gateway. Its own models refuse more, and so would every device.",
    wrong: "overlay: {vlans: 1-4000}",
    right: "overlay: {vlans: 2-4000}";

    UNGUARDED_PROVISIONING = 911, "provisioning where machines are not kept apart",
    why: "Ports in the provisioning network are isolated from each other where the platform can do that. Bridged ports of SONiC are not: a machine that is being installed there should trust no neighbour. The proof refuses a fabric in which several are nobody's there at once.",
    wrong: "provisioning: {...} # and leaves of platform sonic",
    right: "# leaves of platform frr, or an installer that verifies what it loads";
}
