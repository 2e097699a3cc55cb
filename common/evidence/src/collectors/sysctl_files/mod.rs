//! Kernel settings as they are persisted, in every file that is read at boot, naming the one that wins.

use common_model::Class;

use crate::source::{Collector, FileRead, Source, Trigger};
use crate::{Evidence, Parsed, parse_json};

/// Where settings persist, the directory that wins first; `/etc/sysctl.conf` is usually also `/etc/sysctl.d/99-sysctl.conf`.
pub static PLACES: &[&str] = &[
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
    "/etc/sysctl.conf",
];

/// What an agent reads and sends.
pub static COLLECTOR: Collector = Collector {
    kind: PersistedSysctls::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| {
        let places = PLACES.iter().map(|place| (*place).to_owned()).collect();
        vec![(String::new(), Source::Files { places, suffix: ".conf", cap: 256 * 1024 })]
    },
    triggers: |_| PLACES.iter().take(4).map(|place| Trigger::Directory((*place).to_owned())).collect(),
    redact: crate::redact::sysctl_files_json,
};

/// Every assignment that takes effect at boot, in the order in which `systemd-sysctl` makes them: later wins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PersistedSysctls {
    /// In order of application. A name may hold `*`.
    pub entries: Vec<PersistedSysctl>,
    /// Names that assignments by `*` leave alone (`-name` without a value).
    pub excluded: Vec<String>,
}

/// One line `key = value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistedSysctl {
    /// Dotted name.
    pub key: String,
    /// Value, white space collapsed.
    pub value: String,
    /// The file.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
}

impl PersistedSysctls {
    /// The assignment in force after a boot. One that names the key beats any that only matches it.
    pub fn winner(&self, key: &str) -> Option<&PersistedSysctl> {
        self.entries.iter().rev().find(|entry| entry.key == key).or_else(|| {
            let excluded = self.excluded.iter().any(|name| name == key);
            self.entries.iter().rev().find(|entry| !excluded && matches(&entry.key, key))
        })
    }
}

impl Evidence for PersistedSysctls {
    const KIND: &'static str = "sysctl-files";

    fn parse(raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        let Parsed { value: files, mut problems } = parse_json::<Vec<FileRead>>(raw);
        let mut value = Self::default();
        for file in in_order(&files, &mut problems) {
            if let Some(error) = &file.error {
                problems.push(format!("{} could not be read: {error}", file.path));
            }
            value.read(shown_path(file, &files), &file.text);
        }
        Parsed { value, problems }
    }
}

/// The files that are read at boot, as `systemd-sysctl` orders them: by name, whatever directory they are in; of several with
/// one name only the one in the first of [`PLACES`]. `/etc/sysctl.conf` is read only where a link in those leads to it.
fn in_order<'a>(files: &'a [FileRead], problems: &mut Vec<String>) -> Vec<&'a FileRead> {
    let rank = |file: &FileRead| PLACES.iter().position(|place| file.path.starts_with(&format!("{place}/")));
    let mut ordered: Vec<(&str, usize, &FileRead)> =
        files.iter().filter_map(|file| Some((name(file), rank(file)?, file))).collect();
    ordered.sort_by_key(|(name, rank, _)| (*name, *rank));
    ordered.dedup_by_key(|(name, ..)| *name);
    let ordered: Vec<&FileRead> = ordered.into_iter().map(|(.., file)| file).collect();
    let main = files.iter().find(|file| file.path == MAIN && !file.text.trim().is_empty());
    if main.is_some_and(|main| !ordered.iter().any(|file| is_link(file, main))) {
        problems.push(format!("{MAIN} is not read at boot: no link in the sysctl.d directories leads to it"));
    }
    ordered
}

/// The file people edit, which a link in `/etc/sysctl.d` makes count.
const MAIN: &str = "/etc/sysctl.conf";

fn name(file: &FileRead) -> &str {
    file.path.rsplit('/').next().unwrap_or_default()
}

fn is_link(file: &FileRead, main: &FileRead) -> bool {
    name(file).ends_with("sysctl.conf") && file.text == main.text
}

fn shown_path<'a>(file: &'a FileRead, files: &'a [FileRead]) -> &'a str {
    let main = files.iter().find(|main| main.path == MAIN && !main.text.is_empty() && is_link(file, main));
    main.map_or(&file.path, |main| &main.path)
}

impl PersistedSysctls {
    fn read(&mut self, file: &str, text: &str) {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let Some((key, value)) = line.split_once('=') else {
                self.excluded.extend(line.strip_prefix('-').map(|key| dotted(key.trim())));
                continue;
            };
            let key = key.trim();
            self.entries.push(PersistedSysctl {
                // The dash only says that a failure does not matter.
                key: dotted(key.strip_prefix('-').unwrap_or(key).trim()),
                value: value.split_whitespace().collect::<Vec<_>>().join(" "),
                file: file.to_owned(),
                line: number,
            });
        }
    }
}

/// A name whose first separator is a slash has slashes for dots, and dots for slashes.
fn dotted(key: &str) -> String {
    if key.find(['.', '/']).is_some_and(|at| key.get(at..).is_some_and(|rest| rest.starts_with('/'))) {
        let swap = |c| match c {
            '/' => '.',
            '.' => '/',
            other => other,
        };
        return key.chars().map(swap).collect();
    }
    key.to_owned()
}

/// Whether a name with `*` matches; each stands for a part without dots.
fn matches(pattern: &str, key: &str) -> bool {
    pattern.contains('*')
        && pattern.split('.').count() == key.split('.').count()
        && pattern.split('.').zip(key.split('.')).all(|(pattern, part)| match pattern.split_once('*') {
            Some((begin, end)) => {
                part.len() >= begin.len() + end.len() && part.starts_with(begin) && part.ends_with(end)
            }
            None => pattern == part,
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(files: &[(&str, &str)]) -> Parsed<PersistedSysctls> {
        let files: Vec<_> = files.iter().map(|(path, text)| json!({"path": path, "text": text})).collect();
        PersistedSysctls::parse(json!(files).to_string().as_bytes(), "", 1)
    }

    fn winner(files: &[(&str, &str)], key: &str) -> Option<(String, String, usize)> {
        let parsed = parse(files).value;
        parsed.winner(key).map(|entry| (entry.value.clone(), entry.file.clone(), entry.line))
    }

    #[test]
    fn files_are_taken_by_name_over_all_directories() {
        let files = [
            ("/etc/sysctl.d/60-mine.conf", "vm.max_map_count = 1"),
            ("/etc/sysctl.d/99-sysctl.conf", "vm.max_map_count=2"),
            ("/usr/lib/sysctl.d/elasticsearch.conf", "# x\nvm.max_map_count=262144"),
            ("/etc/sysctl.conf", "vm.max_map_count=2"),
        ];
        let expected = ("262144".to_owned(), "/usr/lib/sysctl.d/elasticsearch.conf".to_owned(), 2);
        assert_eq!(winner(&files, "vm.max_map_count"), Some(expected));
        assert_eq!(winner(&files[..2], "vm.max_map_count").unwrap().1, "/etc/sysctl.d/99-sysctl.conf");
        let linked = [files[0], files[1], files[3]];
        assert_eq!(winner(&linked, "vm.max_map_count").unwrap().1, "/etc/sysctl.conf");
    }

    #[test]
    fn the_same_name_in_etc_masks_the_others() {
        let files = [
            ("/usr/lib/sysctl.d/elasticsearch.conf", "vm.max_map_count=262144"),
            ("/etc/sysctl.d/elasticsearch.conf", ""),
        ];
        assert_eq!(winner(&files, "vm.max_map_count"), None);
    }

    #[test]
    fn the_main_file_counts_only_where_a_link_leads_to_it() {
        let parsed = parse(&[("/etc/sysctl.conf", "vm.max_map_count=1\n")]);
        assert!(parsed.value.entries.is_empty());
        assert!(parsed.problems[0].contains("not read at boot"));
        let linked = [("/etc/sysctl.conf", "a.b=1\n"), ("/etc/sysctl.d/99-sysctl.conf", "a.b=1\n")];
        assert!(parse(&linked).problems.is_empty());
    }

    #[test]
    fn every_way_to_write_a_name() {
        let text = "net/ipv4/conf/eth0.1/forwarding = 1\n-kernel.pid_max=5\n net.ipv4.ip_local_port_range = 1024\t 65000 \n; no\nnonsense\n";
        let parsed = parse(&[("/etc/sysctl.d/a.conf", text)]).value;
        let keys: Vec<&str> = parsed.entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["net.ipv4.conf.eth0/1.forwarding", "kernel.pid_max", "net.ipv4.ip_local_port_range"]);
        assert_eq!(parsed.entries[2].value, "1024 65000");
    }

    #[test]
    fn a_named_key_beats_a_pattern_and_an_exclusion_ends_it() {
        let pattern = "net.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.*.rp_filter = 2\n";
        assert_eq!(winner(&[("/etc/sysctl.d/a.conf", pattern)], "net.ipv4.conf.all.rp_filter").unwrap().0, "0");
        assert_eq!(winner(&[("/etc/sysctl.d/a.conf", pattern)], "net.ipv4.conf.eth0.rp_filter").unwrap().0, "2");
        let excluded = "net.ipv4.conf.*.rp_filter = 2\n-net.ipv4.conf.all.rp_filter\n";
        assert_eq!(winner(&[("/etc/sysctl.d/a.conf", excluded)], "net.ipv4.conf.all.rp_filter"), None);
    }

    #[test]
    fn broken_input_gives_a_problem() {
        assert_eq!(PersistedSysctls::parse(b"{", "", 1).problems.len(), 1);
        assert!(parse(&[("/elsewhere/x.conf", "a.b=1")]).value.entries.is_empty());
    }
}
