//! Generates the API's code from its `.proto` files with `protoc`, which `scripts/setup` installs.

fn main() -> std::io::Result<()> {
    tonic_prost_build::configure().compile_protos(&["proto/leafwall/v1/fabric.proto", "proto/leafwall/v1/agents.proto"], &["proto"])
}
