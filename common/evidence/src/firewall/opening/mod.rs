//! The exact commands that let one client in, through whatever owns the firewall.

mod firewalld;
mod iptables;
mod nftables;
mod ufw;

use std::net::IpAddr;

use common_plan::Opening as Typed;

use super::ruleset::{Condition, Element, Elements, Key, Pattern, Rule, Step, Verdict};
use super::{Decision, Fate, Firewalls, Network, Owner, Packet, Site, decide};

/// Blocks that may stand behind each other: raw, mangle and filter tables, in and out.
const LAYERS: usize = 8;

/// How to let a client in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opening {
    /// In order, each exact enough to paste. Empty when there is no safe one; `risk` then says why.
    pub commands: Vec<String>,
    /// What makes it last past a restart: commands, or a comment that names the file and the line. Empty when it lasts anyway.
    pub persist: Vec<String>,
    /// What takes it back.
    pub undo: Vec<String>,
    /// What can go wrong, for people.
    pub risk: String,
    /// The same as [`Opening::commands`], one for each, in the words of a plan. Empty where a plan cannot say all of it.
    pub typed: Vec<Typed>,
}

/// Who is let in, and to what.
struct Access {
    client: Network,
    port: u16,
}

impl Access {
    fn is_v6(&self) -> bool {
        self.client.address().is_ipv6()
    }
}

/// How to let `client` reach the packet's port past `decision`, and past what would block it after that. Never opens the port
/// for everyone: a network without a prefix, or that the packet's source is not in, is replaced by the source alone.
pub fn opening(firewalls: &Firewalls, decision: &Decision, packet: &Packet, client: Network) -> Opening {
    let client = narrowed(client, packet.source.to_canonical());
    let mut firewalls = firewalls.clone();
    let mut decision = decision.clone();
    let mut opening = Opening::default();
    for _ in 0..LAYERS {
        let access = Access { client, port: decision.site.port };
        let mut after = admitted(&firewalls, &decision.site, &access);
        let mut fate = decide(&after, packet);
        if decision.site.index.is_none() && is_same_block(&fate, &decision) {
            // Something sends packets to the policy before they reach the chain's end.
            decision.site.index = Some(0);
            after = admitted(&firewalls, &decision.site, &access);
            fate = decide(&after, packet);
        }
        let mut part = match decision.owner {
            Owner::Ufw => ufw::opening(&firewalls, &decision, &access),
            Owner::Firewalld => firewalld::opening(&firewalls, &decision, &access),
            Owner::Iptables => iptables::opening(&firewalls, &decision, &access),
            Owner::Nftables => nftables::opening(&firewalls, &decision, &access),
        };
        if decision.site.port != packet.port {
            // A plan has one port, and this one was translated.
            part.typed.clear();
        }
        let possible = !part.commands.is_empty() && !is_same_block(&fate, &decision);
        append(&mut opening, part);
        if !possible {
            opening.commands.clear();
            opening.typed.clear();
            add_sentence(&mut opening.risk, "There is no single rule that opens it.");
            return opening;
        }
        match fate {
            Fate::Passes => return opening,
            Fate::Blocked(next) => (firewalls, decision) = (after, next),
            Fate::Unclear(text) => {
                add_sentence(&mut opening.risk, &format!("Whether that is enough cannot be told: {text}."));
                return opening;
            }
        }
    }
    add_sentence(&mut opening.risk, "More rules block it behind these.");
    opening
}

fn is_same_block(fate: &Fate, decision: &Decision) -> bool {
    let place = |site: &Site| (site.family.clone(), site.table.clone(), site.chain.clone(), site.legacy, site.reply);
    matches!(fate, Fate::Blocked(next) if place(&next.site) == place(&decision.site) && next.rule == decision.rule)
}

fn narrowed(client: Network, source: IpAddr) -> Network {
    if client.prefix() == 0 || !client.contains(source) { Network::host(source) } else { client }
}

fn append(opening: &mut Opening, part: Opening) {
    let Opening { commands, persist, undo, risk, typed } = part;
    if commands.iter().all(|command| opening.commands.contains(command)) {
        add_sentence(&mut opening.risk, &risk);
        return;
    }
    let complete = opening.typed.len() == opening.commands.len() && typed.len() == commands.len();
    opening.typed.extend(typed);
    if !complete {
        opening.typed.clear();
    }
    opening.commands.extend(commands);
    let new = persist.into_iter().filter(|line| !opening.persist.contains(line)).collect::<Vec<_>>();
    opening.persist.extend(new);
    // Undone in reverse.
    opening.undo.splice(0..0, undo);
    add_sentence(&mut opening.risk, &risk);
}

fn add_sentence(text: &mut String, sentence: &str) {
    if text.contains(sentence) {
        return;
    }
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(sentence);
}

/// The firewalls with the rule that the commands would add, where they would add it.
fn admitted(firewalls: &Firewalls, site: &Site, access: &Access) -> Firewalls {
    let mut firewalls = firewalls.clone();
    let table = firewalls.tables.iter_mut().find(|table| {
        let legacy = table.tool == super::ruleset::Tool::IptablesLegacy;
        table.family.word() == site.family && table.name == site.table && legacy == site.legacy
    });
    let chain = table.and_then(|table| table.chains.iter_mut().find(|chain| chain.name == site.chain));
    let Some(chain) = chain else { return firewalls };
    let (address, port) =
        if site.reply { (Key::Destination, Key::SourcePort) } else { (Key::Source, Key::DestinationPort) };
    let condition = |key: Key, pattern: Pattern| {
        Step::If(Condition::Match {
            keys: vec![key],
            negated: false,
            elements: Elements::Here(vec![Element::of(pattern)]),
        })
    };
    let (first, last) = access.client.bounds();
    let number = u64::from(access.port);
    let steps = vec![
        condition(address, Pattern::Addresses(first, last)),
        condition(port, Pattern::Numbers(number, number)),
        Step::Then(Verdict::Accept),
    ];
    let at = site.index.unwrap_or(chain.rules.len()).min(chain.rules.len());
    chain.rules.insert(at, Rule { steps, text: String::new(), handle: None, counted: true });
    firewalls
}

/// A word as a shell takes it for itself. Names of tables, chains and zones come from the node.
fn shell(word: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@' | '%' | '+' | ',' | '=');
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// What there is to say of how long it lasts, where a plan carries it out.
fn lasts(typed: Option<&Typed>, access: &Access) -> String {
    match typed.and_then(|typed| typed.file(access.client)) {
        Some(file) => format!("A plan keeps it in {}, which is loaded at boot.", file.path()),
        None => "Lost at the next boot or reload: no file that is loaded then has a place for it, unless somebody adds the line.".to_owned(),
    }
}

fn opens_only(access: &Access) -> String {
    format!("Opens port {} to {} and nobody else.", access.port, access.client)
}

#[cfg(test)]
mod tests;
