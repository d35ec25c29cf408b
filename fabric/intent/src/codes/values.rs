//! 02xx: single values.

codes! {
    BAD_NAME = 201, "not a name",
    why: "Names become host names, file names and words of configurations, so that only DNS labels are allowed: `a`-`z`, `0`-`9` and `-` inside, at most 63 characters. A name that could leave its directory or its line is refused.",
    wrong: "metadata: {name: ../leaf_01}",
    right: "metadata: {name: leaf-01}";

    BAD_PREFIX = 202, "not a prefix",
    why: "A prefix is an address and a length, such as `10.0.0.0/24` or `fd00::/64`. One that can't be read is refused with everything around it: a filter that lost an entry would be another filter (H33).",
    wrong: "prefixes: [10.0.0/24]",
    right: "prefixes: [10.0.0.0/24]";

    HOST_BITS = 203, "a prefix has host bits set",
    why: "Behind the length of a prefix all bits are zero. Either the length or the address is not what was meant; devices would silently cut the bits off.",
    wrong: "prefixes: [10.0.0.1/24]",
    right: "prefixes: [10.0.0.0/24]";

    BAD_ADDRESS = 204, "not an IP address",
    why: "An address is written without a length, in the usual notation of IPv4 or IPv6.",
    wrong: "dns: [192.0.2.256]",
    right: "dns: [192.0.2.53]";

    BAD_HOST_ADDRESS = 205, "not an address with its length",
    why: "An address on an interface needs the length of its subnet, or nobody could tell which neighbours are on the link.",
    wrong: "management: {address: 192.0.2.10}",
    right: "management: {address: 192.0.2.10/24}";

    BAD_MAC = 206, "not a MAC address of a port",
    why: "Six hexadecimal bytes between colons, not all zeros, and not a group address: no port can have such a one.",
    wrong: "mac: \"01:00:5e:00:00:01\"",
    right: "mac: \"02:00:00:00:01:01\"";

    BAD_NUMBER = 207, "not a whole number",
    why: "This field counts something. Only decimal digits are taken: no sign, no fraction, no other base, which YAML parsers read differently.",
    wrong: "rate: 10G",
    right: "rate: 10000";

    OUT_OF_RANGE = 208, "a number out of its range",
    why: "The number does not fit the field of the protocol or device that it ends up in: a VLAN id has 12 bits, a VNI 24, a port 16.",
    wrong: "vlan: 4095",
    right: "vlan: 4094";

    BAD_BOOL = 209, "neither `true` nor `false`",
    why: "Only `true` and `false` are taken. Words such as `yes` and `on` mean a boolean to some YAML parsers and text to others.",
    wrong: "maintenance: yes",
    right: "maintenance: true";

    UNKNOWN_VALUE = 210, "not one of the values of this field",
    why: "This field takes one of a few words. They are spelled exactly as listed.",
    wrong: "spec: {role: border, platform: frr}",
    right: "spec: {role: exit, platform: frr}";

    BAD_INTERFACE = 211, "not the name of an interface",
    why: "A letter, then letters, digits, `-`, `_` or `.`, at most 15 characters: the kernel takes no more, and nothing else is safe in every configuration.",
    wrong: "interface: swp1;reboot",
    right: "interface: swp1";

    BAD_RANGE = 212, "not a range",
    why: "A range is written `low-high`, both ends inside it, the low end first.",
    wrong: "vnis: 19999-10000",
    right: "vnis: 10000-19999";

    BAD_PORT_REF = 213, "not a port of a device",
    why: "A port is written `device:port`, such as `leaf-01:swp1`.",
    wrong: "port: leaf-01/swp1",
    right: "port: leaf-01:swp1";

    BAD_FQDN = 214, "not a DNS name",
    why: "A rule's name goes to a resolver and is matched against its answers: letters, digits, `-`, `_` and dots, at most 253 characters and 63 a label, at least one dot, and a `*.` only at the very front.",
    wrong: "to: [{fqdn: \"*.*.example.com\"}]",
    right: "to: [{fqdn: \"*.example.com\"}]";

    BAD_TEXT = 215, "text with characters that are not allowed",
    why: "Free text such as versions, serial numbers and paths ends up in configurations and file names. Only characters that mean nothing there are taken.",
    wrong: "serial: \"SN1; rm -rf /\"",
    right: "serial: SN0001";

    BAD_TIME = 216, "not a point in time",
    why: "A time is written in UTC as in RFC 3339, such as `2027-01-31T00:00:00Z`.",
    wrong: "expires: tomorrow",
    right: "expires: 2027-01-31T00:00:00Z";

    BAD_LINK = 217, "not a cable",
    why: "A link is a list of two ends, each `device:port`. A range of ports such as `swp[1-4]` stands for as many cables, so both ends need equally many ports.",
    wrong: "links: [[\"leaf-01:swp[1-4]\", \"spine-01:swp[1-3]\"]]",
    right: "links: [[\"leaf-01:swp[1-4]\", \"spine-01:swp[1-4]\"]]";

    BAD_PEER = 218, "not a peer of a rule",
    why: "A peer is exactly one of `cidr` (with `except` if need be), `fqdn` or `network`. An empty one would mean everyone, which nobody should say by accident.",
    wrong: "to: [{cidr: 10.0.0.0/8, fqdn: api.example.com}]",
    right: "to: [{cidr: 10.0.0.0/8}, {fqdn: api.example.com}]";

    BAD_PLATFORM_VALUE = 219, "not a setting of a port",
    why: "Breakouts are written like `4x25G`; forward error correction is `rs`, `fc` or `none`; speeds are in Mbit/s.",
    wrong: "ports: {swp1: {breakout: 4*25}}",
    right: "ports: {swp1: {breakout: 4x25G}}";
}
