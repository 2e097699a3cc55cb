//! firewalld: its default zone, and its zones with what they allow.
//!
//! `firewall-cmd` asks polkit, which an unprivileged agent does not pass; the permanent configuration can be read. What is
//! in force is in the nftables or iptables ruleset.

mod xml;
mod zone;

use common_model::Class;

use crate::firewall::RuleLine;
use crate::source::{Collector, FileRead, Source, Trigger};
use crate::{Evidence, Parsed, parse_json};

pub use zone::{RichRule, Zone};

/// What an agent reads and sends. Zones in /etc replace those of the same name in /usr/lib.
pub static COLLECTOR: Collector = Collector {
    kind: Firewalld::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| {
        let places = ["/usr/lib/firewalld/zones", "/etc/firewalld/firewalld.conf", "/etc/firewalld/zones"]
            .map(str::to_owned)
            .to_vec();
        vec![(String::new(), Source::Files { places, suffix: "", cap: 256 * 1024 })]
    },
    triggers: |_| {
        vec![
            Trigger::Directory("/etc/firewalld".to_owned()),
            Trigger::Directory("/etc/firewalld/zones".to_owned()),
            Trigger::Nftables,
        ]
    },
    redact: |raw| crate::redact::files_json(&raw, crate::redact::markup),
};

/// firewalld: its default zone, and its zones with what they allow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Firewalld {
    /// `DefaultZone`; none where firewalld is not installed.
    pub default_zone: Option<String>,
    /// By name.
    pub zones: Vec<Zone>,
}

impl Firewalld {
    /// The zone of this name.
    pub fn zone(&self, name: &str) -> Option<&Zone> {
        self.zones.iter().find(|zone| zone.name == name)
    }

    /// The permanent configuration as lines, to quote and compare. Zones as they are shipped are left out, unless in use.
    pub fn lines(&self) -> Vec<RuleLine> {
        let default = self
            .default_zone
            .as_ref()
            .map(|zone| RuleLine { place: "firewalld".to_owned(), text: format!("default zone: {zone}") });
        let used = self.zones.iter().filter(|zone| zone.local || self.default_zone.as_ref() == Some(&zone.name));
        default.into_iter().chain(used.flat_map(Zone::lines)).collect()
    }
}

impl Evidence for Firewalld {
    const KIND: &'static str = "firewalld";

    fn parse(raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        let Parsed { value: files, mut problems } = parse_json::<Vec<FileRead>>(raw);
        let mut firewalld = Firewalld::default();
        for file in &files {
            let name = file.path.rsplit('/').next().unwrap_or_default();
            if let Some(error) = &file.error {
                problems.push(format!("{}: {error}", file.path));
            } else if name == "firewalld.conf" {
                let zone = file.text.lines().filter_map(|line| line.trim().strip_prefix("DefaultZone=")).next_back();
                firewalld.default_zone = Some(zone.map_or("public", str::trim).to_owned());
            } else if let Some(name) = name.strip_suffix(".xml") {
                let local = file.path.starts_with("/etc/");
                let (zone, problem) = zone::parse(name, &file.text, local);
                problems.extend(problem.map(|problem| format!("{}: {problem}", file.path)));
                firewalld.zones.retain(|known| known.name != zone.name || (known.local && !local));
                if firewalld.zone(&zone.name).is_none() {
                    firewalld.zones.push(zone);
                }
            }
        }
        firewalld.zones.sort_by(|one, other| one.name.cmp(&other.name));
        Parsed { value: firewalld, problems }
    }
}

#[cfg(test)]
mod tests;
