//! Generated fabrics of any size, as files of intents: for measurements, and for tests that need more than a few objects.

use std::fmt::Write as _;

/// How large a generated fabric is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// How many leaves.
    pub leaves: usize,
    /// How many spines; each is cabled to every leaf.
    pub spines: usize,
    /// How many tenants.
    pub tenants: usize,
    /// On how many leaves each tenant has a server with a bridged allocation; not more than there are leaves.
    pub leaves_per_tenant: usize,
}

/// A file of intents: its path and text.
pub type File = (String, String);

/// A fabric in which every tenant has one network with one subnet, and on each of its leaves one server, bridged: there, it takes a subnet, an SVI and a
/// VRF. All tenants use different prefixes, though none meet. The same size gives the same bytes.
pub fn generate(size: Size) -> Vec<File> {
    let mut files = vec![("fabric.yaml".to_owned(), fabric(size)), ("cabling.yaml".to_owned(), cabling(size))];
    // operators keep servers by racks, tenants their own files: 100 of each in a file here
    for first in (0..size.tenants).step_by(100) {
        let mut text = String::new();
        for tenant in first..size.tenants.min(first + 100) {
            tenant_documents(&mut text, size, tenant);
        }
        files.push((format!("tenants-{:03}.yaml", first / 100), text));
    }
    files
}

fn document(out: &mut String, kind: &str, name: &str, spec: &str) {
    let _ = write!(out, "---\napiVersion: leafwall.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n{spec}");
}

fn fabric(size: Size) -> String {
    let mut out = String::new();
    let spec = "  underlay: {loopbacks: 10.240.0.0/12, asns: 4200000000-4209999999}\n  overlay: {vnis: 10000-999999, vlans: 2-4000}\n";
    document(&mut out, "Fabric", "generated", spec);
    for spine in 1..=size.spines {
        document(&mut out, "Switch", &format!("spine-{spine:03}"), "  role: spine\n  platform: frr\n");
    }
    for leaf in 1..=size.leaves {
        document(&mut out, "Switch", &format!("leaf-{leaf:04}"), "  role: leaf\n  platform: frr\n");
    }
    out
}

fn cabling(size: Size) -> String {
    let mut spec = String::from("  links:\n");
    for leaf in 1..=size.leaves {
        for spine in 1..=size.spines {
            let _ = writeln!(spec, "    - [\"leaf-{leaf:04}:up{spine}\", \"spine-{spine:03}:swp{leaf}\"]");
        }
    }
    let mut out = String::new();
    document(&mut out, "Cabling", "generated", &spec);
    out
}

fn tenant_documents(out: &mut String, size: Size, tenant: usize) {
    let name = format!("t{tenant:04}");
    document(out, "Tenant", &name, "  quota: {allocations: 100}\n");
    let subnet = format!("10.{}.{}.0/24", tenant / 250, tenant % 250);
    document(out, "Network", &format!("{name}-net"), &format!("  tenant: {name}\n  type: private\n  subnets:\n    - prefix: {subnet}\n"));
    for place in 0..size.leaves_per_tenant.min(size.leaves) {
        let number = tenant * size.leaves_per_tenant + place;
        let leaf = number % size.leaves + 1;
        let port = number / size.leaves + 1;
        let server = format!("{name}-s{place}");
        let [_, a, b, c] = u32::try_from(number).unwrap_or(0).to_be_bytes();
        let nic =
            format!("  nics:\n    - name: lan0\n      mac: \"02:00:00:{a:02x}:{b:02x}:{c:02x}\"\n      port: leaf-{leaf:04}:swp{port}\n");
        document(out, "Server", &server, &nic);
        let allocation = format!("  server: {server}\n  tenant: {name}\n  network: {name}-net\n  mode: bridged\n");
        document(out, "Allocation", &server, &allocation);
    }
}
