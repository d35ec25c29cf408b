//! Generates the API's code from its `.proto` files with `protoc`, which `scripts/setup` installs.

fn main() -> std::io::Result<()> {
    let files = ["fabric", "agents", "enrol", "leadership"].map(|name| format!("proto/leafwall/v1/{name}.proto"));
    tonic_prost_build::configure().compile_protos(&files, &["proto".to_owned()])
}
