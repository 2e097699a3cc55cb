//! systemd-nspawn: from a root directory and a network namespace to a running
//! process 1, each host in cgroups of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use super::java;

/// Enters a cgroup of each hierarchy, then becomes the command. Without a
/// cgroup of their own, all hosts of a machine would share one tree.
const IN_CGROUPS: &str = "while [ \"$1\" != -- ]; do echo $$ > \"$1/cgroup.procs\" || exit 1; shift; \
    done; shift; exec \"$@\"";

/// Capabilities that nspawn withholds but services of a real host have.
const CAPABILITIES: &str = "CAP_NET_ADMIN,CAP_IPC_LOCK,CAP_SYSLOG,CAP_BPF,CAP_PERFMON,CAP_AUDIT_READ";

/// One cgroup in each hierarchy that systemd uses, named after the machine.
pub(super) fn cgroups(machine: &str) -> Vec<PathBuf> {
    let hybrid = Path::new("/sys/fs/cgroup/unified");
    let roots = if hybrid.is_dir() {
        vec![hybrid, Path::new("/sys/fs/cgroup/systemd")]
    } else {
        vec![Path::new("/sys/fs/cgroup")]
    };
    roots.into_iter().map(|root| root.join(machine)).collect()
}

/// Makes the machine's cgroups and notes them in `list`, for the teardown.
pub(super) fn make_cgroups(machine: &str, list: &Path) -> Result<()> {
    let groups = cgroups(machine);
    let lines: Vec<String> = groups.iter().map(|group| group.display().to_string()).collect();
    fs::write(list, lines.join("\n") + "\n")?;
    for group in groups {
        fs::create_dir(group)?;
    }
    Ok(())
}

/// Boots the root directory as `machine`, in the network namespace of that name.
pub(super) fn start(machine: &str, host_name: &str, root: &Path, console: &File) -> Result<Child> {
    let mut command = Command::new("sh");
    command.args(["-c", IN_CGROUPS, "in-cgroups"]).args(cgroups(machine));
    command
        .args(["--", "systemd-nspawn", "--quiet", "--boot", "--console=pipe"])
        .args(["--register=no", "--keep-unit", "--link-journal=no"])
        .args(["--resolv-conf=off", "--timezone=off"])
        .arg(format!("--capability={CAPABILITIES}"))
        .arg(format!("--hostname={host_name}"))
        .arg(format!("--machine={machine}"))
        .arg(format!("--network-namespace-path=/run/netns/{machine}"));
    for directory in java::directories(&java::home()?)? {
        command.arg(format!("--bind-ro={}", directory.display()));
    }
    // Without the first, /proc/sys is read-only in the host.
    command
        .env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "yes")
        .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
        .arg("--directory")
        .arg(root)
        .stdin(Stdio::null())
        .stdout(console.try_clone()?)
        .stderr(console.try_clone()?);
    command.spawn().context("cannot start systemd-nspawn")
}

/// The process 1 that nspawn started: the child that is the first of a process
/// namespace one level below.
pub(super) fn leader_of(nspawn: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children")).ok()?;
    children.split_whitespace().filter_map(|child| child.parse().ok()).find(|child| {
        let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
        status
            .lines()
            .filter_map(|line| line.strip_prefix("NSpid:"))
            .any(|pids| pids.split_whitespace().collect::<Vec<_>>().ends_with(&["1"]))
    })
}
