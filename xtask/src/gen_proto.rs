//! Generates the Rust code of the wire from its `.proto` files, without protoc.

use std::path::{Path, PathBuf};

use anyhow::Context;

const FILES: [&str; 6] =
    ["evidence.proto", "enroll.proto", "operator.proto", "plans.proto", "rollouts.proto", "incidents.proto"];

fn proto_crate() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto")
}

/// Writes `proto/src/gen`.
pub(crate) fn write() -> anyhow::Result<()> {
    generate(&proto_crate().join("src/gen"))
}

/// Writes the generated code and the descriptor set into `out`.
pub(crate) fn generate(out: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(out)?;
    let mut compiler = protox::Compiler::new([proto_crate().join("proto")])?;
    compiler.include_imports(true).include_source_info(true);
    for file in FILES {
        compiler.open_file(file).with_context(|| format!("compiling {file}"))?;
    }
    tonic_prost_build::configure().out_dir(out).build_transport(true).compile_fds(compiler.file_descriptor_set())?;
    compiler.include_source_info(false);
    std::fs::write(out.join("descriptor.bin"), compiler.encode_file_descriptor_set())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checked_in_code_is_what_the_proto_files_give() {
        let fresh = tempfile::tempdir().unwrap();
        generate(fresh.path()).unwrap();
        let checked_in = proto_crate().join("src/gen");
        for entry in std::fs::read_dir(fresh.path()).unwrap() {
            let name = entry.unwrap().file_name();
            let same =
                std::fs::read(fresh.path().join(&name)).unwrap() == std::fs::read(checked_in.join(&name)).unwrap();
            assert!(same, "{name:?} differs: run `cargo xtask gen-proto`");
        }
    }
}
