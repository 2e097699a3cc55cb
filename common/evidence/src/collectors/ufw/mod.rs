//! ufw: whether it is enabled, its default policy, and its rules as it keeps them.
//!
//! `ufw status` wants uid 0; the files it is made of can be read with CAP_DAC_READ_SEARCH alone.

mod tuple;

use common_model::Class;

use crate::collectors::iptables;
use crate::firewall::RuleLine;
use crate::firewall::ruleset::Step;
use crate::source::{Collector, FileRead, Source, Trigger};
use crate::{Evidence, Parsed, parse_json};
use tuple::Tuple;

/// What an agent reads and sends.
pub static COLLECTOR: Collector = Collector {
    kind: Ufw::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| {
        let places = ["/etc/ufw/ufw.conf", "/etc/default/ufw", "/etc/ufw/user.rules", "/etc/ufw/user6.rules"]
            .map(str::to_owned)
            .to_vec();
        vec![(String::new(), Source::Files { places, suffix: "", cap: 256 * 1024 })]
    },
    triggers: |_| vec![Trigger::Directory("/etc/ufw".to_owned()), Trigger::Nftables],
    redact: |raw| crate::redact::files_json(&raw, crate::redact::rules),
};

/// ufw: whether it is enabled, its default policy, and its rules as it keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ufw {
    /// `ENABLED` of ufw.conf; none where ufw is not installed.
    pub enabled: Option<bool>,
    /// What becomes of packets no rule speaks of, as `ufw status verbose` says it: `deny`, `reject` or `allow`.
    pub default_incoming: Option<String>,
    /// In the order of `ufw status numbered`.
    pub rules: Vec<UfwRule>,
}

/// One rule as its user gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UfwRule {
    /// Its number in `ufw status numbered`, from 1.
    pub number: usize,
    /// As `ufw status` prints it, white space collapsed: `9200/tcp DENY IN Anywhere`.
    pub text: String,
    /// As ufw's file notes it.
    pub note: String,
    profile: Option<String>,
    /// What it stands for: chain and steps of each of its iptables rules.
    parts: Vec<(String, Vec<Step>)>,
}

impl Ufw {
    /// The rule that made this iptables rule of ufw's.
    pub fn rule_behind(&self, chain: &str, steps: &[Step]) -> Option<&UfwRule> {
        self.rules.iter().find(|rule| rule.parts.iter().any(|(of, part)| of == chain && same_steps(part, steps)))
    }

    /// Status, default and rules, to quote and compare.
    pub fn lines(&self) -> Vec<RuleLine> {
        let status = self.enabled.map(|enabled| format!("Status: {}", if enabled { "active" } else { "inactive" }));
        let default = self.default_incoming.as_ref().map(|word| format!("Default: {word} (incoming)"));
        let rules = self.rules.iter().map(|rule| rule.text.clone());
        let texts = status.into_iter().chain(default).chain(rules);
        texts.map(|text| RuleLine { place: "ufw".to_owned(), text }).collect()
    }
}

/// iptables prints a rule's conditions in another order than ufw writes them.
fn same_steps(one: &[Step], other: &[Step]) -> bool {
    one.len() == other.len() && one.iter().all(|step| other.contains(step))
}

impl Evidence for Ufw {
    const KIND: &'static str = "ufw";

    fn parse(raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        let Parsed { value: files, mut problems } = parse_json::<Vec<FileRead>>(raw);
        let mut ufw = Ufw::default();
        for file in &files {
            if let Some(error) = &file.error {
                problems.push(format!("{}: {error}", file.path));
                continue;
            }
            if file.cut {
                problems.push(format!("{}: read in part", file.path));
            }
            match file.path.rsplit('/').next() {
                Some("ufw.conf") => {
                    ufw.enabled =
                        Some(assigned(&file.text, "ENABLED").is_some_and(|value| value.eq_ignore_ascii_case("yes")))
                }
                Some("ufw") => {
                    ufw.default_incoming =
                        assigned(&file.text, "DEFAULT_INPUT_POLICY").and_then(|policy| policy_word(&policy))
                }
                Some("user.rules" | "user6.rules") => take_rules(&mut ufw, &file.text),
                _ => {}
            }
        }
        Parsed { value: ufw, problems }
    }
}

/// The value of the last `KEY=value` line, without quotes.
fn assigned(text: &str, key: &str) -> Option<String> {
    let mut assignments = text.lines().filter_map(|line| line.trim().split_once('='));
    let value = assignments.rfind(|(name, _)| *name == key)?.1;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

fn policy_word(policy: &str) -> Option<String> {
    let word = match policy.to_ascii_uppercase().as_str() {
        "DROP" => "deny",
        "REJECT" => "reject",
        "ACCEPT" => "allow",
        _ => return None,
    };
    Some(word.to_owned())
}

/// Takes in a rules file. ufw numbers the rules of IPv6 after those of IPv4, and the rules of a profile as one.
fn take_rules(ufw: &mut Ufw, text: &str) {
    let mut open = None;
    for line in text.lines().map(str::trim) {
        if let Some(notation) = line.strip_prefix("### tuple ###") {
            open = Some(rule_at(ufw, notation));
        } else if line.starts_with("###") || line.is_empty() {
            open = None;
        } else if let (Some(rule), Some(part)) =
            (open.and_then(|at| ufw.rules.get_mut::<usize>(at)), iptables::appended(line))
        {
            rule.parts.push(part);
        }
    }
}

/// The index of the rule that a notation belongs to, which is added where it is new.
fn rule_at(ufw: &mut Ufw, notation: &str) -> usize {
    let tuple = Tuple::parse(notation);
    let profile = tuple.as_ref().and_then(Tuple::profile);
    let known = ufw.rules.iter().position(|rule| profile.is_some() && rule.profile == profile);
    known.unwrap_or_else(|| {
        let note = notation.trim().to_owned();
        let text = tuple.map_or_else(|| note.clone(), |tuple| tuple.shown());
        ufw.rules.push(UfwRule { number: ufw.rules.len() + 1, text, note, profile, parts: Vec::new() });
        ufw.rules.len() - 1
    })
}

#[cfg(test)]
mod tests;
