//! iptables-persistent, which Debian does not let be installed beside ufw: the real packages, put in all the same.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Host, cache};

const PACKAGES: [&str; 2] = ["netfilter-persistent", "iptables-persistent"];

/// Installs it on a host, from packages that this machine's apt has fetched.
///
/// # Errors
/// When apt or dpkg does, with what it said.
pub fn install(host: &Host) -> Result<()> {
    let folder = cache::once("iptables-persistent", fetch)?;
    for name in PACKAGES {
        let inside = format!("/var/cache/apt/archives/{name}.deb");
        host.copy_in(&file(&folder, name)?, &inside)?;
        let install = ["dpkg", "--force-unsafe-io", "--force-breaks", "--force-depends", "--install", &inside];
        host.check(&[&["env", "DEBIAN_FRONTEND=noninteractive"], &install[..]].concat())?;
        host.check(&["rm", "--", &inside])?;
    }
    Ok(())
}

/// Takes it, and the rules it keeps, away again.
///
/// # Errors
/// As [`install`].
pub fn remove(host: &Host) -> Result<()> {
    host.check(&[&["dpkg", "--purge"], &["iptables-persistent", "netfilter-persistent"][..]].concat())?;
    host.check(&["rm", "-rf", "/etc/iptables"])?;
    Ok(())
}

fn fetch(folder: &Path) -> Result<()> {
    let output = Command::new("apt-get").arg("download").args(PACKAGES).current_dir(folder).output()?;
    ensure!(output.status.success(), "apt-get download: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn file(folder: &Path, name: &str) -> Result<PathBuf> {
    let begins =
        |path: &PathBuf| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&format!("{name}_")));
    let mut files = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    files.find(begins).with_context(|| format!("no {name} in {}", folder.display()))
}
