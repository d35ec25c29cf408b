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
}
