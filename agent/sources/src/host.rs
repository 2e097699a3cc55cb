//! The host: boot, kernel, memory.

use common_evidence::collectors::host::Host;
use common_model::Failure;

use crate::clock::BootClock;
use crate::failure::{json, of_io};
use crate::proc;
use crate::root::Root;

/// The body of `Source::Host`.
pub(crate) fn body(root: &Root, boot: &BootClock) -> Result<Vec<u8>, Failure> {
    let text = |path: &str| root.text(path).map_err(|error| of_io(path, &error));
    let os_release = root.text("/etc/os-release").or_else(|_| root.text("/usr/lib/os-release")).unwrap_or_default();
    json(&Host {
        hostname: text("/proc/sys/kernel/hostname")?,
        boot_id: text("/proc/sys/kernel/random/boot_id")?,
        // In a container the first process starts with the container, not with the kernel.
        booted_at_ms: proc::stat(root, 1).map_err(|error| of_io("/proc/1/stat", &error))?.started_at_ms(boot),
        kernel: text("/proc/sys/kernel/osrelease")?,
        os: pretty_name(&os_release).unwrap_or_default(),
        memory_bytes: memory(&text("/proc/meminfo")?).unwrap_or_default(),
        cpus: cpus(&text("/proc/stat")?),
        selinux: selinux(root),
    })
}

fn pretty_name(os_release: &str) -> Option<String> {
    let value = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

fn memory(meminfo: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    value.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// `/proc/stat` has one line for each processor that is online.
fn cpus(stat: &str) -> u32 {
    let lines = stat.lines().filter_map(|line| line.strip_prefix("cpu"));
    lines.filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())).map(|_| 1).sum()
}

fn selinux(root: &Root) -> Option<String> {
    match root.text("/sys/fs/selinux/enforce").as_deref() {
        Ok("1") => return Some("enforcing".to_owned()),
        Ok("0") => return Some("permissive".to_owned()),
        _ => {}
    }
    let config = root.text("/etc/selinux/config").ok()?;
    config.lines().any(|line| line.trim() == "SELINUX=disabled").then(|| "disabled".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_can_be_read() {
        let host: Host = serde_json::from_slice(&body(&Root::new("/".into()), &BootClock::live()).unwrap()).unwrap();
        assert_eq!(host.boot_id.len(), 36);
        assert!(host.cpus >= 1 && host.memory_bytes > 1 << 20, "{host:?}");
        assert!(host.booted_at_ms > 1_600_000_000_000);
    }

    #[test]
    fn selinux_is_told_from_kernel_or_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path().to_owned());
        assert_eq!(selinux(&root), None);
        std::fs::create_dir_all(dir.path().join("etc/selinux")).unwrap();
        std::fs::write(dir.path().join("etc/selinux/config"), "# x\nSELINUX=disabled\n").unwrap();
        assert_eq!(selinux(&root).as_deref(), Some("disabled"));
        std::fs::create_dir_all(dir.path().join("sys/fs/selinux")).unwrap();
        std::fs::write(dir.path().join("sys/fs/selinux/enforce"), "1").unwrap();
        assert_eq!(selinux(&root).as_deref(), Some("enforcing"));
    }
}
