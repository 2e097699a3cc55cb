//! The Java that engines run on: this machine's own, shown to the hosts.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The release both engines of the lab support.
const RELEASE: &str = "17";

/// The home directory of a Java 17: `$DIALTONE_LAB_JAVA_HOME`, else one of
/// Debian's.
pub(crate) fn home() -> Result<PathBuf> {
    if let Some(home) = env::var_os("DIALTONE_LAB_JAVA_HOME") {
        return Ok(home.into());
    }
    let mut homes: Vec<PathBuf> = fs::read_dir("/usr/lib/jvm")
        .context("no Java on this machine")?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| is_home(path))
        .collect();
    homes.sort();
    homes.pop().with_context(|| format!("no Java {RELEASE} under /usr/lib/jvm"))
}

fn is_home(path: &Path) -> bool {
    let real = path.symlink_metadata().is_ok_and(|found| found.is_dir());
    let release = fs::read_to_string(path.join("release")).unwrap_or_default();
    let wanted = format!("JAVA_VERSION=\"{RELEASE}");
    real && path.join("bin/java").exists() && release.lines().any(|line| line.starts_with(&wanted))
}

/// The directories a host must see for this Java to run in it: its home, and
/// those that symbolic links in it lead to.
pub(crate) fn directories(home: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::from([home.to_owned()]);
    let mut pending = vec![home.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.symlink_metadata()?.is_dir() {
                pending.push(path);
            } else if let Some(outside) = outside(&path, home) {
                found.insert(outside);
            }
        }
    }
    let all = found.clone();
    found.retain(|path| !all.iter().any(|other| path != other && path.starts_with(other)));
    Ok(found)
}

/// Only configuration and certificates are followed: Debian's links into
/// `/usr` are for documentation and graphics.
fn outside(path: &Path, home: &Path) -> Option<PathBuf> {
    let target = path.canonicalize().ok()?;
    let directory = target.parent()?;
    (!target.starts_with(home) && target.starts_with("/etc")).then(|| directory.to_owned())
}
