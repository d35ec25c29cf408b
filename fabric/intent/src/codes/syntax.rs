//! 01xx: syntax and shape of documents.

codes! {
    YAML_SYNTAX = 101, "the file is not YAML",
    why: "The parser could not make sense of the text from this place on. Nothing behind it in this document was read, so there may be more to find once this is mended; the other documents of the file were.",
    wrong: "metadata: {name: leaf-01\nspec: {role: leaf}",
    right: "metadata: {name: leaf-01}\nspec: {role: leaf}";

    NOT_UTF8 = 102, "the file is not UTF-8",
    why: "Intents are text in UTF-8 (RFC 3629). A file in another encoding, or one with stray bytes, could read differently to two programs.",
    wrong: "# a comment with a Latin-1 letter: caf\\xe9",
    right: "# a comment with the letter in UTF-8: café";

    FILE_TOO_LARGE = 103, "a file or document is too large",
    why: "A file may have 64 MiB, a document a million values and 100,000 cables. This bounds what reading can cost; a fabric of a thousand leaves and five thousand tenants has about 10 MiB and 16,000 cables in all.",
    wrong: "links:\n  - [\"leaf-01:a[1-1024]\", \"spine-01:a[1-1024]\"]\n  - [\"leaf-01:b[1-1024]\", \"spine-01:b[1-1024]\"]\n  # and a hundred more of these",
    right: "links:\n  - [\"leaf-01:swp[31-32]\", \"spine-01:swp[1-2]\"]";

    TOO_DEEP = 104, "the document is nested too deeply",
    why: "No kind of intent nests deeply. The depth is bounded so that a hostile file cannot exhaust the stack of whoever reads it.",
    wrong: "spec: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    right: "spec: {prefixes: [10.0.0.0/24]}";

    ALIAS = 105, "an anchor or alias",
    why: "Aliases let a short file stand for an enormous one, and make a value appear at a place where nobody wrote it, so that a finding could not point at it. Write the value out.",
    wrong: "timers: &t {keepalive: 3, hold: 9}\nother: *t",
    right: "timers: {keepalive: 3, hold: 9}\nother: {keepalive: 3, hold: 9}";

    TAG = 106, "a YAML tag",
    why: "A tag changes what a value is. The type of each field is given by its kind, so a tag can only contradict it.",
    wrong: "vni: !!str 10001",
    right: "vni: 10001";

    DUPLICATE_KEY = 107, "a key stands twice in one mapping",
    why: "One of the two values would win, and which one depends on the program that reads it (H15). Both places are shown: remove one.",
    wrong: "spec: {role: leaf, platform: frr, role: spine}",
    right: "spec: {role: leaf, platform: frr}";

    KEY_NOT_TEXT = 108, "a key is not text",
    why: "The names of fields are plain text; a list or a mapping cannot be one.",
    wrong: "spec: {[role]: leaf}",
    right: "spec: {role: leaf}";

    NOT_A_MAPPING = 110, "a mapping is expected here",
    why: "A document, its metadata, its spec and some fields are mappings from names to values. A list or a single value stands here instead.",
    wrong: "spec: leaf",
    right: "spec: {role: leaf, platform: frr}";

    NOT_A_LIST = 111, "a list is expected here",
    why: "This field takes several values, so it is a list even if there is only one. A list of one is written in brackets.",
    wrong: "prefixes: 10.0.0.0/24",
    right: "prefixes: [10.0.0.0/24]";

    NOT_A_SCALAR = 112, "a single value is expected here",
    why: "This field takes exactly one value. A list or a mapping stands here instead.",
    wrong: "role: [leaf]",
    right: "role: leaf";

    UNKNOWN_FIELD = 120, "an unknown field",
    why: "A field that is not known is never ignored: most are typing errors, and one that is silently dropped would leave the fabric other than described.",
    wrong: "spec: {role: leaf, plattform: frr}",
    right: "spec: {role: leaf, platform: frr}";

    MISSING_FIELD = 121, "a field is missing",
    why: "This field has no default that could be right for everyone, so it has to be given.",
    wrong: "kind: Allocation\nspec: {server: srv-01, tenant: acme}",
    right: "kind: Allocation\nspec: {server: srv-01, tenant: acme, network: acme-prod}";

    UNKNOWN_KIND = 122, "an unknown kind",
    why: "The kind says which fields a document has. Kinds are spelled with capitals, as in Kubernetes.",
    wrong: "kind: switch",
    right: "kind: Switch";

    UNKNOWN_API_VERSION = 123, "an unknown apiVersion",
    why: "The version says how the document is to be read. This program knows `leafwall.io/v1`; reading another one by guess could mean something else than its author did.",
    wrong: "apiVersion: leafwall.io/v2",
    right: "apiVersion: leafwall.io/v1";

    FIELDS_EXCLUDE = 124, "two fields exclude each other",
    why: "Each of the two fields says the same thing in another way. Were both there, one would have to be ignored.",
    wrong: "management: {address: 192.0.2.10/24, inband: acme-prod}",
    right: "management: {inband: acme-prod}";

    EMPTY_LIST = 125, "a list is empty that needs an entry",
    why: "Without an entry the object would describe nothing: a server without a port, a firewall without a machine or a network.",
    wrong: "kind: Firewall\nspec: {tenant: acme, servers: [], networks: [acme-prod]}",
    right: "kind: Firewall\nspec: {tenant: acme, servers: [fw-01], networks: [acme-prod]}";

    WRONG_COUNT = 126, "a list has the wrong number of entries",
    why: "This field describes something that has a fixed number of parts: a peering has two sides, no more and no fewer.",
    wrong: "between: [{network: acme-prod}]",
    right: "between: [{network: acme-prod}, {network: acme-dev}]";
}
