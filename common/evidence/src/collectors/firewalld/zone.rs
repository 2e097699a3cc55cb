//! One zone's file.

use std::net::IpAddr;

use super::xml::{Tag, tags};
use crate::firewall::{Block, Network, RuleLine};

/// A zone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// `default` (reject), `ACCEPT`, `DROP` or `%%REJECT%%`.
    pub target: String,
    /// Interfaces bound to it.
    pub interfaces: Vec<String>,
    /// Source addresses, networks, MACs or `ipset:NAME`s bound to it; they go before interfaces.
    pub sources: Vec<String>,
    /// Services it allows.
    pub services: Vec<String>,
    /// Ports it allows, for example `9200/tcp`.
    pub ports: Vec<String>,
    /// Rich rules.
    pub rich_rules: Vec<RichRule>,
    /// True when it is configured on this host, false as shipped.
    pub local: bool,
}

/// A rich rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RichRule {
    /// As `firewall-cmd --list-rich-rules` prints it.
    pub text: String,
    /// Lower goes first; 0 when not given.
    pub priority: i32,
    /// `accept`, `drop`, `reject`, `mark` or empty.
    pub action: String,
    source: Option<(String, bool)>,
    port: Option<String>,
    /// It restricts itself by something else: a service, a protocol, a destination.
    other: bool,
}

impl Zone {
    /// The rich rule that blocks packets from `source` to a TCP port in this way. Of several the first.
    pub fn rule_that_blocks(&self, block: Block, source: IpAddr, port: u16) -> Option<&RichRule> {
        let wanted = if block == Block::Drop { "drop" } else { "reject" };
        let mut rules: Vec<&RichRule> =
            self.rich_rules.iter().filter(|rule| rule.action == wanted && rule.covers(source, port)).collect();
        rules.sort_by_key(|rule| rule.priority);
        rules.first().copied()
    }

    /// Everything it says, as lines.
    pub(super) fn lines(&self) -> Vec<RuleLine> {
        let list =
            |what: &str, values: &[String]| values.iter().map(|value| format!("{what}: {value}")).collect::<Vec<_>>();
        let mut texts = vec![format!("target: {}", self.target)];
        texts.extend(list("interface", &self.interfaces));
        texts.extend(list("source", &self.sources));
        texts.extend(list("service", &self.services));
        texts.extend(list("port", &self.ports));
        texts.extend(self.rich_rules.iter().map(|rule| rule.text.clone()));
        let place = format!("firewalld {}", self.name);
        texts.into_iter().map(|text| RuleLine { place: place.clone(), text }).collect()
    }
}

impl RichRule {
    fn covers(&self, source: IpAddr, port: u16) -> bool {
        let from = self.source.as_ref().is_none_or(|(address, inverted)| {
            address.parse::<Network>().is_ok_and(|network| network.contains(source) != *inverted)
        });
        let to = self.port.as_ref().is_none_or(|ports| {
            let (ports, protocol) = ports.split_once('/').unwrap_or((ports, "tcp"));
            let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
            let parsed = first.parse::<u16>().ok().zip(last.parse::<u16>().ok());
            protocol == "tcp" && parsed.is_some_and(|(first, last)| (first..=last).contains(&port))
        });
        from && to && !self.other
    }
}

/// Reads a zone's file; the second part is what kept it from being read whole.
pub(super) fn parse(name: &str, text: &str, local: bool) -> (Zone, Option<String>) {
    let (tags, problem) = tags(text);
    let mut zone = Zone { name: name.to_owned(), target: "default".to_owned(), local, ..Zone::default() };
    let mut rule: Option<(RichRule, Vec<String>)> = None;
    for tag in tags {
        match (tag, &mut rule) {
            (Tag::Start { name, attributes }, None) if name == "rule" => rule = Some(start_of_rule(&attributes)),
            (Tag::End { name }, Some(_)) if name == "rule" => {
                zone.rich_rules.extend(rule.take().map(|(rule, words)| RichRule { text: words.join(" "), ..rule }));
            }
            (Tag::Start { name, attributes }, Some((rule, words))) => part_of_rule(rule, words, &name, &attributes),
            (Tag::Start { name, attributes }, None) => part_of_zone(&mut zone, &name, &attributes),
            (Tag::End { .. }, _) => {}
        }
    }
    (zone, problem)
}

fn get<'a>(attributes: &'a [(String, String)], name: &str) -> Option<&'a str> {
    attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn port(attributes: &[(String, String)]) -> Option<String> {
    Some(format!("{}/{}", get(attributes, "port")?, get(attributes, "protocol")?))
}

fn part_of_zone(zone: &mut Zone, name: &str, attributes: &[(String, String)]) {
    let named = || get(attributes, "name").map(str::to_owned);
    match name {
        "zone" => {
            if let Some(target) = get(attributes, "target") {
                target.clone_into(&mut zone.target);
            }
        }
        "interface" => zone.interfaces.extend(named()),
        "service" => zone.services.extend(named()),
        "port" => zone.ports.extend(port(attributes)),
        "source" => {
            let address = get(attributes, "address").or_else(|| get(attributes, "mac")).map(str::to_owned);
            zone.sources.extend(address.or_else(|| get(attributes, "ipset").map(|set| format!("ipset:{set}"))));
        }
        _ => {}
    }
}

fn start_of_rule(attributes: &[(String, String)]) -> (RichRule, Vec<String>) {
    let mut words = vec!["rule".to_owned()];
    let priority = get(attributes, "priority").and_then(|text| text.parse().ok()).unwrap_or_default();
    for name in ["priority", "family"] {
        words.extend(get(attributes, name).map(|value| format!("{name}=\"{value}\"")));
    }
    (RichRule { priority, ..RichRule::default() }, words)
}

fn part_of_rule(rule: &mut RichRule, words: &mut Vec<String>, name: &str, attributes: &[(String, String)]) {
    let inverted = get(attributes, "invert")
        .is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "true" | "yes" | "1"));
    words.push(name.to_owned());
    if inverted {
        words.push("NOT".to_owned());
    }
    words.extend(attributes.iter().filter(|(key, _)| key != "invert").map(|(key, value)| format!("{key}=\"{value}\"")));
    match name {
        "source" => match get(attributes, "address") {
            Some(address) => rule.source = Some((address.to_owned(), inverted)),
            None => rule.other = true,
        },
        "port" => rule.port = port(attributes),
        "accept" | "drop" | "reject" | "mark" => name.clone_into(&mut rule.action),
        "log" | "nflog" | "audit" | "limit" => {}
        _ => rule.other = true,
    }
}
