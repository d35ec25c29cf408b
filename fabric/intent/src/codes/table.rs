//! 10xx: the allocation table.

codes! {
    TABLE_UNREADABLE = 1001, "the allocation table cannot be read",
    why: "`allocation.yaml` keeps the numbers and addresses that devices already use. A part of it that cannot be read is not skipped: everything that it holds would be numbered anew.",
    wrong: "loopbacks: {leaf-01: 10.255.0}",
    right: "loopbacks: {leaf-01: 10.255.0.3}";

    TABLE_OUTSIDE = 1002, "an allocated value lies outside its range",
    why: "A range in the intents was changed and no longer holds what was given out from it. Giving out another value silently would renumber a device, so one of the two has to be changed.",
    wrong: "loopbacks: {leaf-01: 192.0.2.3} # and underlay: {loopbacks: 10.255.0.0/24}",
    right: "loopbacks: {leaf-01: 10.255.0.3}";

    TABLE_TAKEN = 1003, "an allocated value has two holders",
    why: "Two entries of `allocation.yaml` hold the same value, or an intent fixes a value that the table has given to somebody else.",
    wrong: "loopbacks: {leaf-01: 10.255.0.3, leaf-02: 10.255.0.3}",
    right: "loopbacks: {leaf-01: 10.255.0.3, leaf-02: 10.255.0.4}";

    TABLE_EXHAUSTED = 1004, "nothing is left to allocate",
    why: "A range or prefix has no free value for an object. Values that were released rest for some revisions before they are given to somebody else, since a device that was away may still use them.",
    wrong: "prefixes: [10.0.0.0/31] # and three servers",
    right: "prefixes: [10.0.0.0/24]";

    TABLE_NO_RANGE = 1005, "there is nothing to allocate from",
    why: "An object needs a number or address of a kind for which the intents name no range.",
    wrong: "kind: Address # in a network that has IPv6 prefixes alone, without a fixed address",
    right: "spec: {tenant: acme, network: internet, address: \"2001:db8::10\"}";
}
