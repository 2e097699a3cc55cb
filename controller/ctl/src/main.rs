//! `dialtone`.

use std::process::ExitCode;

fn main() -> ExitCode {
    controller_ctl::main().into()
}
