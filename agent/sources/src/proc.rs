//! Reading `/proc/PID`.

use std::collections::BTreeMap;
use std::io;

use common_evidence::collectors::processes::Limit;

use crate::clock::BootClock;
use crate::root::Root;

/// The unit of times in `/proc/PID/stat`: USER_HZ, which is 100 on every architecture these engines run on (proc_pid_stat(5)).
const TICKS_PER_SECOND: i64 = 100;
/// Bytes read of a command line.
const COMMAND_CAP: usize = 128 * 1024;

/// What is used of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) state: char,
    pub(crate) parent: u32,
    /// Ticks from boot to start; with the pid it names a process for good.
    pub(crate) start_ticks: i64,
}

impl Stat {
    pub(crate) fn started_at_ms(&self, boot: &BootClock) -> i64 {
        boot.epoch_ms() + self.start_ticks * 1000 / TICKS_PER_SECOND
    }
}

/// What is used of `/proc/PID/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    /// Effective user id.
    pub(crate) uid: u32,
    /// True when it lives in a pid namespace below ours.
    pub(crate) container: bool,
}

/// Ids of the processes that can be seen, in order.
pub(crate) fn pids(root: &Root) -> io::Result<Vec<u32>> {
    let mut pids: Vec<u32> = root.names("/proc")?.iter().filter_map(|name| name.parse().ok()).collect();
    pids.sort_unstable();
    Ok(pids)
}

pub(crate) fn stat(root: &Root, pid: u32) -> io::Result<Stat> {
    parse_stat(&root.text(&format!("/proc/{pid}/stat"))?).ok_or_else(|| io::Error::other("not the expected shape"))
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The command before it may hold blanks and parentheses; the last parenthesis is the kernel's.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let start_ticks = fields.nth(17)?.parse().ok()?;
    Some(Stat { state, parent, start_ticks })
}

pub(crate) fn status(root: &Root, pid: u32) -> io::Result<Status> {
    let text = root.text(&format!("/proc/{pid}/status"))?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let uid = field("Uid:").and_then(|ids| ids.split_ascii_whitespace().nth(1)).and_then(|id| id.parse().ok());
    let container = field("NSpid:").is_some_and(|ids| ids.split_ascii_whitespace().count() > 1);
    Ok(Status { uid: uid.ok_or_else(|| io::Error::other("no user id"))?, container })
}

/// Command line; empty for kernel threads.
pub(crate) fn command(root: &Root, pid: u32) -> io::Result<Vec<String>> {
    let bytes = root.system(&format!("/proc/{pid}/cmdline"), COMMAND_CAP)?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end_matches('\0');
    Ok(if text.is_empty() { Vec::new() } else { text.split('\0').map(str::to_owned).collect() })
}

/// The systemd unit of the process's control group: the innermost `.service`, for example `elasticsearch.service`.
pub(crate) fn unit(root: &Root, pid: u32) -> Option<String> {
    let text = root.text(&format!("/proc/{pid}/cgroup")).ok()?;
    let paths = text.lines().filter(|line| line.starts_with("0::") || line.contains(":name=systemd:"));
    paths.filter_map(|line| line.split('/').rfind(|part| part.ends_with(".service"))).next().map(str::to_owned)
}

/// Resource limits by the kernel's name.
pub(crate) fn limits(root: &Root, pid: u32) -> io::Result<BTreeMap<String, Limit>> {
    Ok(parse_limits(&root.text(&format!("/proc/{pid}/limits"))?))
}

fn parse_limits(text: &str) -> BTreeMap<String, Limit> {
    let value = |field: Option<&str>| field.and_then(|field| field.parse().ok());
    text.lines()
        .skip(1)
        .filter_map(|line| {
            // The name fills the first 26 columns and has blanks in it.
            let (name, values) = line.split_at_checked(26)?;
            let mut values = values.split_ascii_whitespace();
            Some((name.trim().to_owned(), Limit { soft: value(values.next()), hard: value(values.next()) }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_survives_a_hostile_command_name() {
        let text = "7 (a) R 1 (b) S 3 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 1 2";
        assert_eq!(parse_stat(text), Some(Stat { state: 'S', parent: 3, start_ticks: 4242 }));
        for bad in ["", "7", "7 (a", "7 (a)", "7 (a) S", "7 (a) S x"] {
            assert_eq!(parse_stat(bad), None, "{bad}");
        }
    }

    #[test]
    fn limits_have_blanks_in_their_names() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max cpu time              unlimited            unlimited            seconds   \n\
                    Max open files            1024                 524288               files     \n\
                    short\n";
        let limits = parse_limits(text);
        assert_eq!(limits["Max cpu time"], Limit { soft: None, hard: None });
        assert_eq!(limits["Max open files"], Limit { soft: Some(1024), hard: Some(524_288) });
        assert_eq!(limits.len(), 2);
    }

    #[test]
    fn this_process_can_be_read() {
        let root = Root::new("/".into());
        let pid = std::process::id();
        assert!(pids(&root).unwrap().contains(&pid));
        assert!(stat(&root, pid).unwrap().started_at_ms(&BootClock::live()) > 1_600_000_000_000);
        assert_eq!(status(&root, pid).unwrap().uid, rustix::process::geteuid().as_raw());
        assert!(command(&root, pid).unwrap()[0].contains("agent_sources"));
        assert!(limits(&root, pid).unwrap().contains_key("Max open files"));
    }

    #[test]
    fn the_unit_is_the_innermost_service() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path().to_owned());
        for (text, unit_wanted) in [
            ("0::/system.slice/elasticsearch.service\n", Some("elasticsearch.service")),
            ("12:pids:/x.service\n1:name=systemd:/system.slice/es.service/sub\n0::/\n", Some("es.service")),
            ("0::/user.slice/user-0.slice/session-3.scope\n", None),
            ("0::/user.slice/user@1000.service/app.slice/es.service\n", Some("es.service")),
        ] {
            std::fs::create_dir_all(dir.path().join("proc/1")).unwrap();
            std::fs::write(dir.path().join("proc/1/cgroup"), text).unwrap();
            assert_eq!(unit(&root, 1).as_deref(), unit_wanted, "{text}");
        }
    }
}
