//! The files that rules of nftables and iptables are loaded from at boot, as far as a service is enabled that loads them.

use common_model::Class;
use common_plan::{Opening, RulesFile, rules_file};

use crate::firewall::Network;
use crate::source::{Collector, FileRead, Source, Trigger};
use crate::{Evidence, Parsed, parse_json};

const WANTS: &str = "/etc/systemd/system/multi-user.target.wants";

/// Each file with the links that enable the service that loads it.
const FILES: [(RulesFile, [&str; 2]); 6] = [
    (
        RulesFile::Nftables,
        [
            "/etc/systemd/system/sysinit.target.wants/nftables.service",
            "/etc/systemd/system/multi-user.target.wants/nftables.service",
        ],
    ),
    (RulesFile::NftablesSysconfig, ["/etc/systemd/system/multi-user.target.wants/nftables.service"; 2]),
    (RulesFile::Persistent, ["/etc/systemd/system/multi-user.target.wants/netfilter-persistent.service"; 2]),
    (RulesFile::Persistent6, ["/etc/systemd/system/multi-user.target.wants/netfilter-persistent.service"; 2]),
    (
        RulesFile::Sysconfig,
        [
            "/etc/systemd/system/multi-user.target.wants/iptables.service",
            "/etc/systemd/system/basic.target.wants/iptables.service",
        ],
    ),
    (
        RulesFile::Sysconfig6,
        [
            "/etc/systemd/system/multi-user.target.wants/ip6tables.service",
            "/etc/systemd/system/basic.target.wants/ip6tables.service",
        ],
    ),
];

/// What an agent reads and sends.
pub static COLLECTOR: Collector = Collector {
    kind: RulesFiles::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| {
        let mut places: Vec<String> =
            FILES.iter().flat_map(|(file, links)| [file.path()].into_iter().chain(*links)).map(str::to_owned).collect();
        places.sort_unstable();
        places.dedup();
        vec![(String::new(), Source::Files { places, suffix: "", cap: 256 * 1024 })]
    },
    triggers: |_| ["/etc/iptables", WANTS].map(|place| Trigger::Directory(place.to_owned())).to_vec(),
    redact: |raw| crate::redact::files_json(&raw, crate::redact::rules),
};

/// The files whose service is enabled, and what is in them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RulesFiles {
    loaded: Vec<(RulesFile, String)>,
}

impl RulesFiles {
    /// The file that can keep an opening past a boot: loaded by a service, and with the place of the opening in it.
    pub fn for_opening(&self, opening: &Opening, source: Network, port: u16) -> Option<RulesFile> {
        let rule = rules_file::Rule { source, port, mark: String::from("dialtone") };
        let mut fitting = self.loaded.iter().filter(|(file, _)| file.fits(opening, source));
        fitting.find(|(_, content)| rules_file::insert(content, opening, &rule).is_some()).map(|(file, _)| *file)
    }
}

impl Evidence for RulesFiles {
    const KIND: &'static str = "rules-files";

    fn parse(raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        let Parsed { value: files, mut problems } = parse_json::<Vec<FileRead>>(raw);
        let mut value = Self::default();
        for (file, links) in FILES {
            let is_there = |path: &str| files.iter().find(|read| read.path == path && read.error.is_none());
            let Some(read) = files.iter().find(|read| read.path == file.path()) else { continue };
            match &read.error {
                Some(error) => problems.push(format!("{}: {error}", read.path)),
                // Of one that was cut nobody can tell where a chain ends.
                None if read.cut => problems.push(format!("{}: read in part", read.path)),
                None if links.iter().any(|link| is_there(link).is_some()) => {
                    value.loaded.push((file, read.text.clone()))
                }
                None => {}
            }
        }
        Parsed { value, problems }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LINK: &str = "/etc/systemd/system/sysinit.target.wants/nftables.service";
    const SCRIPT: &str =
        "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority 0; policy drop;\n\t}\n}\n";

    fn file_for(paths: &[&str], chain: &str) -> Option<RulesFile> {
        let reads: Vec<_> = paths.iter().map(|path| json!({"path": path, "text": SCRIPT})).collect();
        let parsed = RulesFiles::parse(json!(reads).to_string().as_bytes(), "", 1);
        assert_eq!(parsed.problems, Vec::<String>::new());
        let opening = Opening::Nftables {
            family: "inet".parse().unwrap(),
            table: "filter".parse().unwrap(),
            chain: chain.parse().unwrap(),
            before: None,
            reply: false,
            file: None,
        };
        parsed.value.for_opening(&opening, "10.0.0.0/8".parse().unwrap(), 9200)
    }

    #[test]
    fn a_file_keeps_what_has_a_place_in_it_and_only_if_it_is_loaded() {
        assert_eq!(file_for(&["/etc/nftables.conf", LINK], "input"), Some(RulesFile::Nftables));
        assert_eq!(file_for(&["/etc/nftables.conf", LINK], "forward"), None);
        assert_eq!(file_for(&["/etc/nftables.conf"], "input"), None);
        assert_eq!(file_for(&["/etc/iptables/rules.v4", LINK], "input"), None);
    }

    #[test]
    fn what_could_not_be_read_whole_keeps_nothing_and_is_told() {
        for trouble in [
            json!({"path": "/etc/nftables.conf", "text": SCRIPT, "cut": true}),
            json!({"path": "/etc/nftables.conf", "text": "", "error": "Permission denied"}),
        ] {
            let raw = json!([trouble, {"path": LINK, "text": ""}]).to_string();
            let parsed = RulesFiles::parse(raw.as_bytes(), "", 1);
            assert_eq!((parsed.value, parsed.problems.len()), (RulesFiles::default(), 1));
        }
    }
}
