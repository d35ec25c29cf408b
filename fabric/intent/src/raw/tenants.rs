//! What tenants write, or operators for them: networks, servers in use, addresses, peerings, firewalls.

use std::net::IpAddr;

use leafwall_policy::zone::Access;
use leafwall_topology::{Asn, HostAddress, IfName, Mtu, Name, Prefix, VlanId, Vni};

use super::{Entries, QuotaItem, Text};
use crate::decode::record;
use crate::model::{Mode, Nat, NetworkType, Phase};
use crate::source::Spanned;

record! {
    /// Someone who has networks and servers of its own.
    TenantIntent {
        /// The most that it may have of each.
        quota "quota": plain Entries<QuotaItem, u32>,
    }
}

record! {
    /// A network: one VRF on every device that it reaches.
    NetworkIntent {
        /// Whose it is. Only external networks may be nobody's.
        tenant "tenant": optional Name,
        /// Private: its tenant's alone. Shared: other tenants' firewalls may join it. External: the outside.
        kind "type": required NetworkType,
        /// Routed prefixes: servers announce host routes inside them.
        prefixes "prefixes": list Prefix,
        /// Bridged subnets, each with an anycast gateway.
        subnets "subnets": list SubnetIntent,
        /// What is reachable through it, such as `0.0.0.0/0`.
        destinations "destinations": list Prefix,
        /// What its servers may announce besides host routes: prefixes of pods and services.
        announce "announce": list Prefix,
        /// Its VNI if it must be a certain one; allocated where it is not given.
        vni "vni": optional Vni,
        /// Which families firewalls translate on the way into it; `none` where it is not given.
        nat "nat": optional Nat,
        /// The exits at which it leaves the fabric.
        exits "exits": list Name,
        /// The routers outside.
        peers "peers": list ExternalPeerIntent,
    }
}

record! {
    /// A bridged subnet.
    SubnetIntent {
        /// Its prefix.
        prefix "prefix": required Prefix,
        /// The anycast gateway; the first host where it is not given.
        gateway "gateway": optional IpAddr,
    }
}

record! {
    /// A router outside, as one exit sees it.
    ExternalPeerIntent {
        /// The exit.
        exit "exit": required Name,
        /// Its port.
        interface "interface": required IfName,
        /// The VLAN tag on that port; untagged where it is not given.
        vlan "vlan": optional VlanId,
        /// The exit's address with the length of the subnet.
        local_address "localAddress": required HostAddress,
        /// The router's address in the same subnet.
        peer_address "peerAddress": required IpAddr,
        /// The router's autonomous system number.
        asn "asn": required Asn,
        /// The MTU of the link; 1500 where it is not given.
        mtu "mtu": optional Mtu,
        /// The name of the session's password in the secret store.
        password_ref "passwordRef": optional Name,
        /// What is accepted from the router, exactly these prefixes.
        import "import": list Prefix,
        /// What is announced to the router; the network's prefixes where it is not given.
        export "export": list Prefix,
    }
}

record! {
    /// A server in use by a tenant, in one network.
    AllocationIntent {
        /// The server.
        server "server": required Name,
        /// Whose it is now.
        tenant "tenant": required Name,
        /// Where it is attached: a private or shared network of the same tenant.
        network "network": required Name,
        /// How it is attached; `routed` where it is not given.
        mode "mode": optional Mode,
        /// Its addresses if they must be certain ones; allocated for each family that is not given.
        addresses "addresses": list IpAddr,
        /// Whether it is the tenant's yet; `active` where it is not given.
        phase "phase": optional Phase,
    }
}

record! {
    /// An elastic address: one that moves between servers, or that a firewall translates to.
    AddressIntent {
        /// Whose it is.
        tenant "tenant": required Name,
        /// The network from whose prefixes it comes.
        network "network": required Name,
        /// The address if it must be a certain one; allocated where it is not given.
        address "address": optional IpAddr,
        /// Whether it outlives what uses it; `false` where it is not given.
        permanent "static": optional bool,
        /// The only server that may announce it; any routed server of the tenant where it is not given.
        server "server": optional Name,
    }
}

record! {
    /// Two networks that meet without a firewall.
    PeeringIntent {
        /// The two sides. Their prefixes are disjoint.
        between "between": pair PeeringSideIntent,
    }
}

record! {
    /// One side of a peering.
    PeeringSideIntent {
        /// The network.
        network "network": required Name,
        /// What of it the other side sees, prefixes or parts of them and whole subnets; all of them where it is not given.
        prefixes "prefixes": list Prefix,
    }
}

record! {
    /// A tenant's firewall: the machines it runs on and the networks it joins.
    FirewallIntent {
        /// Whose it is.
        tenant "tenant": required Name,
        /// The machines: the first is active, the rest stand by, in this order. This is their allocation.
        servers "servers": some Name,
        /// The networks that it joins: the tenant's own, external ones, and other tenants' shared ones.
        networks "networks": some Name,
        /// Addresses to which sources are translated, for each network that needs it.
        egress "egress": list EgressIntent,
        /// Limits of what goes into a network.
        rate_limits "rateLimits": list RateLimitIntent,
        /// How far rules may go; `baseline` where it is not given.
        access "access": optional Access,
        /// Outer bounds on addresses outside, whatever the rules say.
        allowed_networks "allowedNetworks": optional AllowedNetworksIntent,
        /// Whether accepted flows are logged too; `false` where it is not given.
        log_accepted "logAccepted": optional bool,
        /// Resolvers for rules with names.
        dns "dns": list IpAddr,
        /// The cluster from which rules come as well.
        kubernetes "kubernetes": optional KubernetesIntent,
    }
}

record! {
    /// Source translation into one network.
    EgressIntent {
        /// The network, which the firewall joins.
        network "network": required Name,
        /// Addresses of that network, by the names of their Address objects.
        addresses "addresses": some Name,
    }
}

record! {
    /// A limit into one network.
    RateLimitIntent {
        /// The network, which the firewall joins.
        network "network": required Name,
        /// Mbit/s.
        rate "rate": required u32,
    }
}

record! {
    /// Outer bounds; a direction that is not given has none, an empty list allows nothing.
    AllowedNetworksIntent {
        /// From where connections may come.
        ingress "ingress": optional Vec<Spanned<Prefix>>,
        /// Where connections may go.
        egress "egress": optional Vec<Spanned<Prefix>>,
    }
}

record! {
    /// A Kubernetes cluster behind the firewall.
    KubernetesIntent {
        /// The path of a kubeconfig on the firewall machine.
        kubeconfig "kubeconfig": required Text,
    }
}
