//! Who made a change, and with what: read from the node's own records, never guessed.

use common_evidence::collectors::journal::{JournalLine, Tells};
use common_evidence::collectors::packages::Packages;
use common_model::change::Topic;
use common_model::{Change, EvidenceId, Timestamp};

use super::Relived;
use crate::picture::{Cited, NodePicture};

/// A change is noticed at most this long after the command that made it.
const NOTICED_MS: i64 = 10_000;
/// A stop may take this long to complete.
const STOPPING_MS: i64 = 300_000;
/// An editor may stay open this long.
const EDITING_MS: i64 = 1_800_000;
/// systemd, sudo and file times differ by this much for the same moment.
const SLACK_MS: i64 = 1_500;

const READERS: &[&str] = &[
    "cat",
    "less",
    "more",
    "head",
    "tail",
    "grep",
    "egrep",
    "zgrep",
    "ls",
    "stat",
    "diff",
    "md5sum",
    "sha256sum",
    "wc",
    "file",
    "journalctl",
];
const EDITORS: &[&str] = &["vi", "vim", "nvim", "nano", "emacs", "ed", "mcedit", "sudoedit", "visudo"];
const FIREWALL: &[&str] = &[
    "ufw",
    "nft",
    "firewall-cmd",
    "iptables",
    "iptables-nft",
    "iptables-legacy",
    "iptables-restore",
    "ip6tables",
    "ip6tables-nft",
    "ip6tables-legacy",
    "ip6tables-restore",
    "netfilter-persistent",
];
const PACKAGERS: &[&str] = &["apt", "apt-get", "aptitude", "dpkg", "yum", "dnf", "rpm", "zypper", "unattended-upgrade"];

/// The changes, with `who` and `how` filled in where a line of the node's journal or its package manager's log tells. Times that
/// the node's clock went through twice tell nothing.
pub fn attributed(mut changes: Vec<Change>, node: &NodePicture) -> Vec<Change> {
    let mut journal = node.all::<JournalLine>();
    journal.retain(|line| matches!(line.value.tells, Some(Tells::Sudo { .. })));
    journal.sort_by_key(|line| line.value.at);
    let packages = node.all::<Packages>();
    let relived = Relived::of(node);
    let untold = |change: &&mut Change| change.who.is_none() && change.how.is_none() && !relived.contains(change.at);
    for change in changes.iter_mut().filter(untold) {
        if let Some((who, how, id)) = by_sudo(change, &journal) {
            change.who = Some(who);
            change.how = Some(how);
            push(&mut change.evidence, id);
        } else if let Some((how, id)) = by_package_manager(change, &packages) {
            change.how = Some(how);
            push(&mut change.evidence, id);
        }
    }
    changes
}

fn push(evidence: &mut Vec<EvidenceId>, id: EvidenceId) {
    if !evidence.contains(&id) {
        evidence.push(id);
    }
}

/// The newest command before the change that can have made it. `journal` is in order of time.
fn by_sudo(change: &Change, journal: &[Cited<JournalLine>]) -> Option<(String, String, EvidenceId)> {
    journal.iter().rev().find_map(|line| {
        let Some(Tells::Sudo { user, command }) = &line.value.tells else { return None };
        let window = window(change, command)?;
        let fits = line.value.at <= change.at.plus_millis(SLACK_MS) && change.at.millis_since(line.value.at) <= window;
        fits.then(|| (user.clone(), format!("sudo {}", as_typed(command)), line.id.clone()))
    })
}

/// A command line as it was typed, near enough: sudo logs the program's whole path.
fn as_typed(command: &str) -> &str {
    let program = command.split_whitespace().next().unwrap_or_default();
    let directory = program.rfind('/').map_or(0, |slash| slash + 1);
    command.get(directory..).unwrap_or(command)
}

/// For how long after its start this command may have made this change; none when it cannot have.
fn window(change: &Change, command: &str) -> Option<i64> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let program = words.first().map(|word| word.rsplit('/').next().unwrap_or(word))?;
    if READERS.contains(&program) {
        return None;
    }
    let names = |subject: &str| words.iter().any(|word| names(word, subject));
    match change.topic {
        Topic::Config => {
            names(&change.subject).then(|| if EDITORS.contains(&program) { EDITING_MS } else { NOTICED_MS })
        }
        Topic::Sysctl => {
            let reloads = program == "sysctl" && words.iter().any(|word| matches!(*word, "-p" | "--system" | "--load"));
            let slashed = format!("/proc/sys/{}", change.subject.replace('.', "/"));
            let about = names(&change.subject) || names(&slashed) || reloads;
            about.then(|| if EDITORS.contains(&program) { EDITING_MS } else { NOTICED_MS })
        }
        Topic::Unit => acts_on_unit(program, &words, change).then_some(STOPPING_MS),
        Topic::Firewall => {
            let service = matches!(program, "systemctl" | "service")
                && words.iter().any(|word| {
                    matches!(word.trim_end_matches(".service"), "ufw" | "nftables" | "firewalld" | "iptables")
                });
            (service || FIREWALL.contains(&program) || names("/etc/nftables.conf")).then_some(NOTICED_MS)
        }
        Topic::Package => PACKAGERS.contains(&program).then_some(EDITING_MS),
        Topic::Boot => {
            let reboots = matches!(program, "reboot" | "shutdown" | "init")
                || (program == "systemctl" && words.iter().any(|word| matches!(*word, "reboot" | "kexec")));
            reboots.then_some(STOPPING_MS)
        }
        Topic::Listener | Topic::Network | Topic::Clock | Topic::Agent => None,
    }
}

/// Whether a word of a command line names a file or a kernel setting: as a whole, as an assignment or inside quotes.
fn names(word: &str, subject: &str) -> bool {
    word.match_indices(subject).any(|(at, _)| {
        let before = word.get(..at).and_then(|text| text.chars().next_back());
        let after = word.get(at + subject.len()..).and_then(|text| text.chars().next());
        let ends = |c: Option<char>| c.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/')));
        ends(before) && ends(after)
    })
}

fn acts_on_unit(program: &str, words: &[&str], change: &Change) -> bool {
    let name = change.subject.trim_end_matches(".service");
    let names = words.iter().any(|word| word.trim_end_matches(".service") == name);
    let is = |verbs: &[&str]| words.iter().any(|word| verbs.contains(word));
    let item = |key: &str| change.items.iter().find(|item| item.key == key).and_then(|item| item.new.as_deref());
    let verbs: &[&str] = match (item("active-state"), item("unit-file-state")) {
        (Some("active" | "activating"), _) => &["start", "restart", "try-restart", "reload-or-restart", "enable"],
        // A restart ends in a unit that runs or has failed, never in one that is cleanly down.
        (Some("inactive"), _) => &["stop", "kill", "disable", "mask", "isolate"],
        (Some(_), _) => &["stop", "restart", "try-restart", "kill", "disable", "mask", "isolate"],
        (None, Some("enabled")) => &["enable", "unmask", "reenable"],
        (None, Some(_)) => &["disable", "mask"],
        (None, None) => &["edit", "set-property", "revert", "daemon-reload"],
    };
    matches!(program, "systemctl" | "service" | "invoke-rc.d" | "rc-service") && names && is(verbs)
}

fn by_package_manager(change: &Change, logs: &[Cited<Packages>]) -> Option<(String, EvidenceId)> {
    if !matches!(change.topic, Topic::Config | Topic::Unit | Topic::Sysctl) {
        return None;
    }
    logs.iter().rev().find_map(|log| {
        let action = log.value.history.iter().rev().find(|action| {
            let near =
                close(action.at, change.at) && change.not_before.is_none_or(|at| action.at.plus_millis(SLACK_MS) >= at);
            near && concerns(&action.package, change)
        })?;
        Some((format!("{} of the package {}", action.action, action.package), log.id.clone()))
    })
}

fn close(a: Timestamp, b: Timestamp) -> bool {
    b.millis_since(a).abs() <= NOTICED_MS
}

fn concerns(package: &str, change: &Change) -> bool {
    let subject = change.subject.as_str();
    let engine = ["elasticsearch", "opensearch", "wazuh-indexer"].iter().find(|name| package.starts_with(**name));
    engine.is_some_and(|name| subject.contains(name))
}

#[cfg(test)]
mod tests {
    use common_model::change::ChangedItem;

    use super::*;

    fn change(topic: Topic, subject: &str, key: &str, new: &str) -> Change {
        Change {
            id: "c".to_owned(),
            node: "es-1".parse().unwrap(),
            at: Timestamp(0),
            not_before: None,
            topic,
            subject: subject.to_owned(),
            what: String::new(),
            diff: String::new(),
            items: vec![ChangedItem { key: key.to_owned(), old: None, new: Some(new.to_owned()) }],
            who: None,
            how: None,
            evidence: Vec::new(),
        }
    }

    #[test]
    fn a_command_that_names_the_file_may_have_written_it() {
        let yml = change(Topic::Config, "/etc/elasticsearch/elasticsearch.yml", "network.host", "x");
        assert_eq!(window(&yml, "/usr/bin/sed -i s/a/b/ /etc/elasticsearch/elasticsearch.yml"), Some(NOTICED_MS));
        assert_eq!(window(&yml, "/usr/bin/vim /etc/elasticsearch/elasticsearch.yml"), Some(EDITING_MS));
        assert_eq!(window(&yml, "/bin/cat /etc/elasticsearch/elasticsearch.yml"), None);
        assert_eq!(window(&yml, "/usr/bin/vim /etc/elasticsearch/elasticsearch.yml.bak"), None);
        assert_eq!(window(&yml, "/bin/bash"), None);
    }

    #[test]
    fn a_stop_is_not_explained_by_a_start() {
        let stopped = change(Topic::Unit, "elasticsearch.service", "active-state", "inactive");
        assert_eq!(window(&stopped, "/usr/bin/systemctl stop elasticsearch"), Some(STOPPING_MS));
        assert_eq!(window(&stopped, "/usr/bin/systemctl start elasticsearch"), None);
        assert_eq!(window(&stopped, "/usr/bin/systemctl restart elasticsearch"), None);
        assert_eq!(window(&stopped, "/usr/bin/systemctl stop kibana"), None);
    }

    #[test]
    fn a_kernel_setting_is_named_dotted_or_as_a_path() {
        let map = change(Topic::Sysctl, "vm.max_map_count", "vm.max_map_count", "65530");
        assert!(window(&map, "/usr/sbin/sysctl -w vm.max_map_count=65530").is_some());
        assert!(window(&map, "/usr/bin/tee /proc/sys/vm/max_map_count").is_some());
        assert!(window(&map, "/usr/sbin/sysctl -w vm.swappiness=1").is_none());
    }
}
