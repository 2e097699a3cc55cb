//! The base image every host is an overlay of.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{apt, cache, command};

/// Raise when the image changes in a way the package list does not show.
const VERSION: u32 = 1;

const PACKAGES: &[&str] = &[
    "systemd",
    "systemd-sysv",
    "libpam-systemd",
    "dbus",
    "iproute2",
    "nftables",
    "iptables",
    "procps",
    "sudo",
    "ufw",
    "firewalld",
    "python3-nftables",
    "ca-certificates",
    "openssl",
    "curl",
    "patch",
];

/// Units that would start work of their own in the middle of a test, or a
/// firewall that a test has not asked for.
const DISABLED_UNITS: &[&str] = &[
    "firewalld.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@.service",
];

/// Stock files that set kernel settings of the whole machine at boot.
const MASKED_SYSCTL_FILES: &[&str] = &["50-pid-max.conf", "99-protect-links.conf"];

/// The root directory of the base image with these Debian packages in it, too, made on first use (two minutes).
pub(crate) fn prepare(extra: &[&str]) -> Result<PathBuf> {
    let packages = [PACKAGES, extra].concat();
    let name = cache::key("image", &(VERSION, apt::SUITE, &packages));
    cache::once(&name, |root| make(root, &packages))
}

fn make(root: &Path, packages: &[&str]) -> Result<()> {
    let source = apt::source()?;
    // A mount namespace of its own takes debootstrap's mounts away with it,
    // however it ends.
    let mut arguments: Vec<OsString> = ["--mount", "--propagation=private", "debootstrap"].map(OsString::from).to_vec();
    arguments.push("--variant=minbase".into());
    arguments.push(format!("--include={}", packages.join(",")).into());
    if let Some(keyring) = &source.keyring {
        let mut option = OsString::from("--keyring=");
        option.push(keyring);
        arguments.push(option);
    }
    arguments.extend([apt::SUITE.into(), root.into(), source.mirror.into()]);
    command::check("unshare", arguments)?;
    settle(root)
}

/// Makes the image quiet and free of anything that tells hosts apart.
fn settle(root: &Path) -> Result<()> {
    let mut disable = vec![OsString::from("--root"), root.into(), "disable".into()];
    disable.extend(DISABLED_UNITS.iter().map(OsString::from));
    command::check("systemctl", disable)?;
    for name in MASKED_SYSCTL_FILES {
        symlink("/dev/null", root.join("etc/sysctl.d").join(name))?;
    }
    fs::write(root.join("etc/machine-id"), "")?;
    fs::create_dir_all(root.join("var/log/journal"))?;
    command::check("chroot", [root.as_os_str(), "apt-get".as_ref(), "clean".as_ref()])?;
    Ok(())
}
