//! The packages under test, built from this tree as `make packages` does; only quicker, unless this is a release build.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};

/// Names a folder with packages to test instead, for example release packages in `dist`.
const GIVEN: &str = "DIALTONE_PACKAGES";

/// The profile they are built with, and where, relative to the repository's root.
const PROFILE: &str = if cfg!(debug_assertions) { "dev" } else { "release" };
const OUT: &str = if cfg!(debug_assertions) { "target/packages" } else { "target/release-packages" };

/// The .deb of this name, for example `dialtone-agent`. All are built at the first call of a process.
///
/// # Errors
/// When they cannot be built, with what cargo said.
pub fn deb(name: &str) -> Result<PathBuf> {
    find(&format!("{name}_"), ".deb")
}

/// The .rpm of this name; needs `rpmbuild` on the machine.
///
/// # Errors
/// As [`deb`].
pub fn rpm(name: &str) -> Result<PathBuf> {
    // The name of one package is the beginning of another's; versions begin with a digit.
    let version = env!("CARGO_PKG_VERSION");
    find(&format!("{name}-{version}"), ".rpm")
}

fn find(beginning: &str, end: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    let folder = folder.as_ref().map_err(|said| anyhow!("{said}"))?;
    let matching = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_it = |path: &PathBuf| {
        let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
        file.starts_with(beginning) && file.ends_with(end)
    };
    matching.into_iter().find(is_it).with_context(|| format!("no {beginning}…{end} in {}", folder.display()))
}

fn build() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os(GIVEN) {
        return Ok(PathBuf::from(given));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let folder = root.join(OUT);
    // A package of an older version must not be taken for one of this tree.
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let arguments =
        ["run", "--quiet", "--locked", "--package", "xtask", "--", "packages", "--profile", PROFILE, "--out", OUT];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(&root).output()?;
    ensure!(output.status.success(), "packages: {}", String::from_utf8_lossy(&output.stderr));
    Ok(folder)
}
