//! 07xx: tenants and their isolation.

codes! {
    FOREIGN_NETWORK = 701, "a server in another tenant's network",
    why: "A server sits in a private or shared network of its own tenant. Other tenants' shared networks are reached through a firewall.",
    wrong: "kind: Allocation\nspec: {server: srv-03, tenant: globex, network: acme-prod}",
    right: "kind: Allocation\nspec: {server: srv-03, tenant: globex, network: globex-prod}";

    SERVER_OUTSIDE = 702, "a server in an external network",
    why: "External networks are reached through a firewall only. A server directly in one would stand outside, with nothing before it.",
    wrong: "kind: Allocation\nspec: {server: srv-01, tenant: acme, network: internet}",
    right: "kind: Allocation\nspec: {server: srv-01, tenant: acme, network: acme-prod}";

    FIREWALL_FOREIGN_NETWORK = 703, "a firewall joins another tenant's private network",
    why: "A firewall joins its tenant's own networks, external ones, and networks that other tenants share. Private networks of others would be open to it.",
    wrong: "kind: Firewall\nspec: {tenant: globex, servers: [fw-03], networks: [globex-prod, acme-prod]}",
    right: "kind: Firewall\nspec: {tenant: globex, servers: [fw-03], networks: [globex-prod, internet]}";

    FOREIGN_ADDRESS = 704, "an address of another tenant",
    why: "An elastic address is used by its owner alone; who holds it receives what is sent to it.",
    wrong: "# Firewall of globex\negress: [{network: internet, addresses: [acme-egress]}]",
    right: "# Firewall of globex\negress: [{network: internet, addresses: [globex-egress]}]";

    ADDRESS_OF_OTHER_NETWORK = 705, "an egress address of another network",
    why: "Traffic into a network is translated to an address of that network; answers to any other would not come back.",
    wrong: "egress: [{network: storage, addresses: [acme-egress]}] # an address of internet",
    right: "egress: [{network: storage, addresses: [acme-storage]}]";

    FOREIGN_SERVER = 706, "an address for a server that is not the tenant's",
    why: "The server that an Address is bound to announces it. It has to be allocated to the tenant that owns the Address.",
    wrong: "kind: Address\nspec: {tenant: acme, network: internet, server: srv-03} # srv-03 is globex's",
    right: "kind: Address\nspec: {tenant: acme, network: internet, server: srv-01}";

    ADDRESS_ON_BRIDGED = 707, "an elastic address for a bridged server",
    why: "A server holds an elastic address by announcing it over BGP. A bridged server has no session to announce it on.",
    wrong: "# acme-db: {server: srv-02, mode: bridged}\nkind: Address\nspec: {tenant: acme, network: internet, server: srv-02}",
    right: "# acme-w1: {server: srv-01, mode: routed}\nkind: Address\nspec: {tenant: acme, network: internet, server: srv-01}";

    SELF_PEERING = 708, "a network peered with itself",
    why: "The two sides of a peering are different networks.",
    wrong: "between: [{network: acme-prod}, {network: acme-prod}]",
    right: "between: [{network: acme-prod}, {network: acme-lab}]";

    PEERED_TWICE = 709, "two networks are peered twice",
    why: "Two peerings between the same networks would add up to more than either says. One Peering lists all that the two show each other.",
    wrong: "# two Peerings between acme-prod and acme-lab",
    right: "# one Peering between acme-prod and acme-lab, with the prefixes of both";

    NO_OWNER = 710, "a network without a tenant",
    why: "Private and shared networks belong to a tenant: who may put servers there, and whose firewalls may join, depends on it. Only external ones may be nobody's.",
    wrong: "kind: Network\nspec: {type: private, prefixes: [10.0.0.0/22]}",
    right: "kind: Network\nspec: {tenant: acme, type: private, prefixes: [10.0.0.0/22]}";

    ADDRESS_FOREIGN_NETWORK = 711, "an elastic address in another tenant's private network",
    why: "Elastic addresses come from external networks, from shared ones, or from the tenant's own.",
    wrong: "kind: Address\nspec: {tenant: globex, network: acme-prod}",
    right: "kind: Address\nspec: {tenant: globex, network: internet}";

    ROUTED_WITHOUT_PREFIXES = 712, "a routed server in a network without prefixes",
    why: "A routed server announces a host route inside the network's `prefixes`. Without any, all that it announces is refused.",
    wrong: "# acme-l2: subnets: [{prefix: 10.0.4.0/24}]\nkind: Allocation\nspec: {server: srv-01, tenant: acme, network: acme-l2}",
    right: "# acme-l2: subnets: [{prefix: 10.0.4.0/24}]\nkind: Allocation\nspec: {server: srv-01, tenant: acme, network: acme-l2, mode: bridged}";

    BRIDGED_WITHOUT_SUBNETS = 713, "a bridged server in a network without subnets",
    why: "A bridged server is attached to a subnet with a gateway. The network has none.",
    wrong: "# acme-l3: prefixes: [10.0.0.0/22]\nkind: Allocation\nspec: {server: srv-01, tenant: acme, network: acme-l3, mode: bridged}",
    right: "# acme-l3: prefixes: [10.0.0.0/22]\nkind: Allocation\nspec: {server: srv-01, tenant: acme, network: acme-l3}";

    QUOTA = 714, "a tenant has more than its quota",
    why: "The operator bounds what a tenant may have. Either the quota is raised or something is given back.",
    wrong: "kind: Tenant\nmetadata: {name: acme}\nspec: {quota: {allocations: 1}} # and two Allocations",
    right: "kind: Tenant\nmetadata: {name: acme}\nspec: {quota: {allocations: 8}}";

    PEERING_OUTSIDE_NETWORK = 715, "a peering with an external network",
    why: "The outside is met through a firewall and nothing else. A peering would join it with a tenant's network without one.",
    wrong: "between: [{network: acme-prod}, {network: internet}]",
    right: "kind: Firewall\nspec: {tenant: acme, servers: [fw-01], networks: [acme-prod, internet]}";

    FIELD_OF_OTHER_TYPE = 716, "a field that this type of network does not have",
    why: "Exits and peers belong to external networks: anywhere else they would open a tenant's network to the outside without a firewall. Subnets and what servers announce belong to networks with servers in them.",
    wrong: "kind: Network\nspec: {tenant: acme, type: private, prefixes: [10.0.0.0/22], exits: [exit-01]}",
    right: "kind: Network\nspec: {tenant: acme, type: private, prefixes: [10.0.0.0/22]}";

    EMPTY_NETWORK = 717, "a private or shared network without prefixes and subnets",
    why: "No server could have an address in it, so that nothing could ever be attached.",
    wrong: "kind: Network\nspec: {tenant: acme, type: private}",
    right: "kind: Network\nspec: {tenant: acme, type: private, prefixes: [10.0.0.0/22]}";

    MANAGEMENT_OF_MACHINE = 718, "management of a tenant's machine",
    why: "Leafwall manages firewall machines. A machine that a tenant runs has no agent of ours, and no address in the management network.",
    wrong: "kind: Server\nmetadata: {name: srv-01}\nspec: {role: machine, management: {address: 172.20.0.51/24}, nics: []}",
    right: "kind: Server\nmetadata: {name: fw-01}\nspec: {role: firewall, management: {address: 172.20.0.51/24}, nics: []}";

    NO_PROVISIONING = 719, "a phase that needs a provisioning network",
    why: "While an allocation is provisioning, the server's ports are in the provisioning network. The Fabric describes none, so that they stay shut and the installation waits for ever.",
    wrong: "# Fabric without provisioning\nkind: Allocation\nspec: {server: srv-01, tenant: acme, network: acme-prod, phase: provisioning}",
    right: "# Fabric: provisioning: {prefix: 10.250.0.0/24, dhcpServers: [172.20.0.2]}\nkind: Allocation\nspec: {server: srv-01, tenant: acme, network: acme-prod, phase: provisioning}";

    NOT_YOURS = 720, "something that only operators may write",
    why: "With a tenant's certificate one writes the tenant's own objects: private networks, allocations, addresses, peerings of its own networks, firewalls and their policies. What shapes the whole fabric, or bounds the tenant, is the operators'.",
    wrong: "# sent with acme's certificate\nkind: Tenant\nmetadata: {name: acme}\nspec: {quota: {allocations: 1000}}",
    right: "# sent with acme's certificate\nkind: Allocation\nmetadata: {name: acme-web-2}\nspec: {server: srv-07, tenant: acme, network: acme-prod}";
}
