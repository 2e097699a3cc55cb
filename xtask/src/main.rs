//! Automation of this repository: `cargo xtask gen-proto`.

mod gen_proto;

use anyhow::bail;

fn main() -> anyhow::Result<()> {
    let command = std::env::args().nth(1);
    match command.as_deref() {
        Some("gen-proto") => gen_proto::write(),
        other => bail!("unknown task {other:?}; there is: gen-proto"),
    }
}
