//! Which process holds a socket, by the links in `/proc/PID/fd`.
//!
//! Looking through every process is the dearest read there is, so it is done only when a socket appeared or a known holder
//! is gone. The links of other users' processes can be read only with CAP_SYS_PTRACE.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use common_evidence::collectors::sockets::Owner;

use crate::proc;
use crate::root::Root;

/// What the last search found.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    searched: BTreeSet<u32>,
    found: BTreeMap<u32, Holder>,
}

#[derive(Debug, Clone)]
struct Holder {
    owner: Owner,
    start_ticks: i64,
}

impl Owners {
    /// The owners of these inodes, as far as they can be seen.
    pub(crate) fn of(&mut self, root: &Root, inodes: BTreeSet<u32>) -> BTreeMap<u32, Owner> {
        if !inodes.is_subset(&self.searched) || !self.found.values().all(|holder| runs(root, holder)) {
            self.found = search(root, &inodes);
            self.searched = inodes;
        } else if inodes.len() < self.searched.len() {
            // Numbers that closed may come again for another socket.
            self.found.retain(|inode, _| inodes.contains(inode));
            self.searched = inodes;
        }
        self.found.iter().map(|(inode, holder)| (*inode, holder.owner.clone())).collect()
    }
}

fn runs(root: &Root, holder: &Holder) -> bool {
    proc::stat(root, holder.owner.pid).is_ok_and(|stat| stat.start_ticks == holder.start_ticks)
}

fn search(root: &Root, inodes: &BTreeSet<u32>) -> BTreeMap<u32, Holder> {
    let mut found: BTreeMap<u32, Holder> = BTreeMap::new();
    for pid in proc::pids(root).unwrap_or_default() {
        let held = held_by(root, pid, inodes);
        if held.is_empty() {
            continue;
        }
        let (Ok(stat), Ok(command)) = (proc::stat(root, pid), root.text(&format!("/proc/{pid}/comm"))) else {
            continue;
        };
        let holder =
            Holder { owner: Owner { pid, command, unit: proc::unit(root, pid) }, start_ticks: stat.start_ticks };
        for inode in held {
            found
                .entry(inode)
                .and_modify(|known| {
                    if holder.start_ticks < known.start_ticks {
                        *known = holder.clone();
                    }
                })
                .or_insert_with(|| holder.clone());
        }
    }
    found
}

fn held_by(root: &Root, pid: u32, inodes: &BTreeSet<u32>) -> BTreeSet<u32> {
    let Ok(entries) = fs::read_dir(root.at(&format!("/proc/{pid}/fd"))) else { return BTreeSet::new() };
    let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter_map(|link| socket_inode(link.to_str()?)).filter(|inode| inodes.contains(inode)).collect()
}

fn socket_inode(link: &str) -> Option<u32> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn process(dir: &std::path::Path, pid: u32, start: u32, inode: u32) {
        let proc = dir.join(format!("proc/{pid}"));
        fs::create_dir_all(proc.join("fd")).unwrap();
        fs::write(proc.join("stat"), format!("{pid} (java) S 1{} {start} 0", " 0".repeat(17))).unwrap();
        fs::write(proc.join("comm"), "java\n").unwrap();
        fs::write(proc.join("cgroup"), "0::/system.slice/es.service\n").unwrap();
        symlink(format!("socket:[{inode}]"), proc.join("fd/7")).unwrap();
        symlink("/dev/null", proc.join("fd/0")).unwrap();
    }

    #[test]
    fn the_first_started_holder_owns_the_socket_and_a_new_one_is_found_when_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path().to_owned());
        process(dir.path(), 10, 500, 77);
        process(dir.path(), 20, 400, 77);
        let mut owners = Owners::default();
        let found = owners.of(&root, BTreeSet::from([77, 88]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[&77], Owner { pid: 20, command: "java".into(), unit: Some("es.service".into()) });
        fs::remove_dir_all(dir.path().join("proc/20")).unwrap();
        assert_eq!(owners.of(&root, BTreeSet::from([77, 88]))[&77].pid, 10);
        assert!(owners.of(&root, BTreeSet::new()).is_empty());
    }
}
