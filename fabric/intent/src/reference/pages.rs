//! The prose of the reference: what no table of fields can say.

/// What one kind's page says besides its fields.
pub(super) struct Page {
    pub kind: &'static str,
    pub notes: &'static str,
    pub example: &'static str,
}

pub(super) const HEAD: &str = "
# Intents

A fabric is a directory: all `*.yaml` files at its top level together are one state, which is checked, allocated and rendered as a whole. How documents
are spread over files, and in which order, makes no difference. `scenarios/` and `export/` beside the files are not part of the fabric. A file
`allocation.yaml` keeps the allocation table and is not an intent either.

A file has several documents, separated by lines `---`, in YAML without anchors, aliases and tags. Unknown fields are errors. `leafwall check DIR` reports
all that is wrong at once, each finding with its place and a code; `leafwall explain CODE` says more. `leafwall export schema` prints a JSON Schema, with
which editors complete and check while one writes.

What can be allocated or derived has no field that must be filled in.

This file is made from the table that reads intents; a test compares the two.
";

pub(super) const VALUES: &[(&str, &str)] = &[
    (
        "name",
        "A DNS label: `a` to `z`, `0` to `9` and `-` inside, at most 63 characters. It becomes a host name or a word of a configuration",
    ),
    ("address", "An IPv4 or IPv6 address without a length. Put IPv6 addresses that end in `:` in quotes"),
    ("address/length", "An address on an interface with the length of its subnet: `192.0.2.10/24`"),
    ("prefix", "An address and a length, no host bits set: `10.0.0.0/24`, `fd00::/64`"),
    ("range", "`low-high`, both ends inside it"),
    (
        "MAC address",
        "Six hexadecimal bytes between colons, of a port: no group address. Quotes keep other YAML readers from taking it for a number",
    ),
    (
        "interface",
        "A letter, then letters, digits, `-`, `_` or `.`, at most 15 characters. Names that Leafwall gives to its own links are refused",
    ),
    ("device:port", "The name of a switch and of its interface: `leaf-01:swp1`"),
    ("text", "Letters, digits and `. _ - / : + @`, blanks inside, at most 100 characters"),
    ("DNS name", "`api.example.com`, or `*.example.com` for all names below it"),
    ("time", "In UTC, as in RFC 3339: `2027-01-31T00:00:00Z`"),
    ("breakout", "How many ports, `x`, and the speed of each: `4x25G`"),
];

pub(super) const PAGES: &[Page] = &[
    Page {
        kind: "Fabric",
        notes: "
Ranges are given, values are allocated from them: adding an object never renumbers another one. A range should be generous, since released numbers rest
for some revisions before they are used again. No prefix of a network may overlap the loopbacks.",
        example: "
apiVersion: leafwall.io/v1
kind: Fabric
metadata: {name: fra1}
spec:
  underlay: {loopbacks: 10.255.0.0/22, asns: 4210000000-4210009999}
  overlay: {vnis: 10000-19999, vlans: 1001-3000}
  bgp:
    timers: {keepalive: 3, hold: 9}
    bfd: {interval: 300, multiplier: 3}
  ntp: [192.0.2.123]
  provisioning: {prefix: 172.20.0.0/22, dhcpServers: [192.0.2.67]}",
    },
    Page {
        kind: "Switch",
        notes: "
Its name is its host name. Spines connect leaves and exits and hold no tenant. Ports need an entry only if something about them differs from what the
platform does by itself.",
        example: "
apiVersion: leafwall.io/v1
kind: Switch
metadata: {name: leaf-01, labels: {hall: h2}}
spec:
  role: leaf
  platform: sonic
  hwsku: Accton-AS7726-32X
  serial: SN0003
  rack: r1
  management: {address: 192.0.2.11/24, gateway: 192.0.2.1}
  ports:
    Ethernet0: {breakout: 4x25G, fec: rs}",
    },
    Page {
        kind: "Cabling",
        notes: "
A fabric may have several of them. Each port has one cable at most. Servers are not listed here. Two leaves are a redundant pair if one server is cabled
to both; they are never changed at the same time.",
        example: "
apiVersion: leafwall.io/v1
kind: Cabling
metadata: {name: hall-2}
spec:
  links:
    - [\"leaf-01:swp[31-32]\", \"spine-01:swp[1-2]\"]
    - [\"leaf-02:swp31\", \"spine-01:swp3\"]",
    },
    Page {
        kind: "Server",
        notes: "
A machine belongs to nobody until an Allocation gives it to a tenant; until then its ports are shut or in the provisioning network. A firewall machine is
used by a Firewall.",
        example: "
apiVersion: leafwall.io/v1
kind: Server
metadata: {name: srv-01}
spec:
  nics:
    - {name: lan0, mac: \"02:00:00:00:01:01\", port: leaf-01:swp1}
    - {name: lan1, mac: \"02:00:00:00:01:02\", port: leaf-02:swp1}
---
apiVersion: leafwall.io/v1
kind: Server
metadata: {name: fw-01}
spec:
  role: firewall
  management: {inband: acme-prod}
  nics: [{name: lan0, mac: \"02:00:00:00:0f:01\", port: leaf-01:swp9}]",
    },
    Page {
        kind: "Tenant",
        notes: "A quota bounds how many objects of a kind name the tenant. What has no bound is not limited.",
        example: "
apiVersion: leafwall.io/v1
kind: Tenant
metadata: {name: acme, labels: {contract: c-1009}}
spec:
  quota: {allocations: 40, networks: 4, addresses: 8}",
    },
    Page {
        kind: "Network",
        notes: "
Routed servers announce host routes inside `prefixes`; bridged ones live in `subnets`. A network may have both. Two tenants may use the same prefixes as long
as nothing joins them: prefixes that meet in one firewall, in one peering, or without translation in one shared or external network are disjoint.

An external network has `exits` and `peers`, routers outside at these exits. What is imported from a peer is a list of exactly these prefixes, each at exactly
its length. `nat` belongs to the network that is entered: firewalls translate to the addresses that they hold there.",
        example: "
apiVersion: leafwall.io/v1
kind: Network
metadata: {name: acme-prod}
spec:
  tenant: acme
  type: private
  prefixes: [10.0.0.0/22, \"fd00:acde::/64\"]
  subnets: [{prefix: 10.0.4.0/24}]
  announce: [10.244.0.0/16]
---
apiVersion: leafwall.io/v1
kind: Network
metadata: {name: internet}
spec:
  type: external
  prefixes: [203.0.113.0/24]
  destinations: [0.0.0.0/0]
  nat: ipv4
  exits: [exit-01]
  peers:
    - exit: exit-01
      interface: swp1
      localAddress: 198.51.100.1/30
      peerAddress: 198.51.100.2
      asn: 64500
      import: [0.0.0.0/0]",
    },
    Page {
        kind: "Allocation",
        notes: "
Taking or giving back a server is this one object. A server has one allocation at most. A routed server runs BGP on its own and announces its address; its
configuration is an output for its owner. A bridged server needs nothing but an address and a gateway.",
        example: "
apiVersion: leafwall.io/v1
kind: Allocation
metadata: {name: acme-db-1}
spec: {server: srv-02, tenant: acme, network: acme-prod, mode: bridged, addresses: [10.0.4.10]}",
    },
    Page {
        kind: "Address",
        notes: "
It comes from the prefixes of its network. A firewall's `egress` takes it for translation; a server that it is bound to may announce it; one that is neither
may be announced by any routed server of the tenant.",
        example: "
apiVersion: leafwall.io/v1
kind: Address
metadata: {name: acme-web}
spec: {tenant: acme, network: internet, address: 203.0.113.20, static: true, server: srv-01}",
    },
    Page {
        kind: "Peering",
        notes: "The only way for two networks to meet without a firewall. It is not passed on: what is peered with one of them does not see the other.",
        example: "
apiVersion: leafwall.io/v1
kind: Peering
metadata: {name: prod-dev}
spec:
  between:
    - {network: acme-prod, prefixes: [10.0.0.0/24]}
    - {network: acme-dev}",
    },
    Page {
        kind: "Firewall",
        notes: "
Its rules come from FirewallPolicy objects and, with `kubernetes`, from a cluster. What no rule allows is dropped. Removing the object closes the way; it never
opens it.",
        example: "
apiVersion: leafwall.io/v1
kind: Firewall
metadata: {name: acme-fw}
spec:
  tenant: acme
  servers: [fw-01, fw-02]
  networks: [acme-prod, internet]
  egress: [{network: internet, addresses: [acme-egress]}]
  rateLimits: [{network: internet, rate: 10000}]
  allowedNetworks: {egress: [0.0.0.0/0]}",
    },
    Page {
        kind: "FirewallPolicy",
        notes: "
The first rule that matches decides, in the order of `priority`; at the same priority deny wins; what no rule matches is dropped. Rules are about new
connections: answers and related errors pass. An `except` belongs to its own block. An empty list of peers means everyone, an empty list of ports means all
ports and protocols.",
        example: "
apiVersion: leafwall.io/v1
kind: FirewallPolicy
metadata: {name: acme-web}
spec:
  firewall: acme-fw
  ingress:
    - {action: allow, from: [{cidr: 0.0.0.0/0, except: [192.0.2.0/24]}], to: [{cidr: 203.0.113.20/32}], ports: [{protocol: TCP, port: 443}]}
  egress:
    - {action: allow, to: [{fqdn: \"*.example.com\"}], ports: [{protocol: TCP, port: 8000, endPort: 8080}], expires: 2027-01-31T00:00:00Z}",
    },
];
