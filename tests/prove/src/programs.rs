//! The programs that are tried: those that the same build has made.

use std::path::PathBuf;

/// `dialtone-actuator`.
pub(crate) fn actuator() -> PathBuf {
    built("dialtone-actuator")
}

/// `dialtone-agent`.
pub(crate) fn agent() -> PathBuf {
    built("dialtone-agent")
}

/// `dialtone-controller`.
pub(crate) fn controller() -> PathBuf {
    built("dialtone-controller")
}

/// `dialtone`.
pub(crate) fn dialtone() -> PathBuf {
    built("dialtone")
}

/// `prove-double`.
pub(crate) fn double() -> PathBuf {
    built("prove-double")
}

/// `prove`.
pub(crate) fn prove() -> PathBuf {
    built("prove")
}

/// A program of this build, beside the one that runs: a test's own lies one directory deeper.
fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is not built: cargo build --workspace --bins"))
}
