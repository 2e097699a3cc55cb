//! From the place in the kernel's ruleset that blocks to the rule as whoever owns it knows it.

use super::flow::Flow;
use super::ruleset::{Chain, Family, Hook, Rule, Table, Tool};
use super::walk::Stop;
use super::{Block, Decision, Firewalls, Owner, Packet, Site};

/// Names the rule that blocks, its owner, and the command that shows it.
pub(super) fn decision(firewalls: &Firewalls, packet: &Packet, flow: &Flow, stop: &Stop<'_>) -> Decision {
    let rule = stop.index.and_then(|index| stop.chain.rules.get(index));
    let owner = owner(stop);
    let port = if flow.reply { flow.source_port } else { flow.port };
    let site = Site {
        family: stop.table.family.word().to_owned(),
        table: stop.table.name.clone(),
        chain: stop.chain.name.clone(),
        index: stop.index,
        via: stop.via.clone(),
        port: port.unwrap_or(packet.port),
        reply: flow.reply,
        established: flow.state == Some("established") && !flow.reply,
        legacy: stop.table.tool == Tool::IptablesLegacy,
    };
    let mut decision = Decision {
        block: stop.block,
        owner,
        rule: rule.map(|rule| rule.text.clone()),
        place: place(stop.table, stop.chain),
        shown_by: shown_by(stop.table, stop.chain),
        handle: match stop.table.tool {
            Tool::Nft => rule.and_then(|rule| rule.handle),
            Tool::Iptables | Tool::IptablesLegacy => stop.index.and_then(|index| u64::try_from(index + 1).ok()),
        },
        site,
    };
    match owner {
        Owner::Ufw => in_words_of_ufw(firewalls, stop, rule, &mut decision),
        Owner::Firewalld => in_words_of_firewalld(firewalls, flow, stop, &mut decision),
        Owner::Iptables | Owner::Nftables => {}
    }
    decision
}

/// Family, table and chain.
pub(super) fn place(table: &Table, chain: &Chain) -> String {
    let legacy = if table.tool == Tool::IptablesLegacy { " (legacy)" } else { "" };
    format!("{} {} {}{legacy}", table.family, table.name, chain.name)
}

fn shown_by(table: &Table, chain: &Chain) -> String {
    if table.tool == Tool::Nft {
        return format!("nft -a list chain {} {} {}", table.family, table.name, chain.name);
    }
    let program = iptables_program(table.family, table.tool == Tool::IptablesLegacy);
    let option = if table.name == "filter" { String::new() } else { format!("-t {} ", table.name) };
    format!("{program} {option}-S {}", chain.name)
}

/// The program that changes an iptables table.
pub(super) fn iptables_program(family: Family, legacy: bool) -> &'static str {
    match (family, legacy) {
        (Family::Ip6, false) => "ip6tables",
        (Family::Ip6, true) => "ip6tables-legacy",
        (_, false) => "iptables",
        (_, true) => "iptables-legacy",
    }
}

fn owner(stop: &Stop<'_>) -> Owner {
    let chain = stop.chain.name.as_str();
    if stop.table.name.starts_with("firewalld") {
        return Owner::Firewalld;
    }
    if stop.table.tool == Tool::Nft && !stop.table.is_made_by_iptables() {
        return Owner::Nftables;
    }
    let has_ufw = stop.table.chains.iter().any(|other| is_ufw_chain(&other.name));
    if is_ufw_chain(chain) || (has_ufw && stop.index.is_none()) {
        return Owner::Ufw;
    }
    let has_zones = stop.table.chain("INPUT_ZONES").is_some();
    if has_zones && (zone(&stop.via).is_some() || stop.chain.base.is_some()) && !chain.ends_with("_direct") {
        return Owner::Firewalld;
    }
    Owner::Iptables
}

fn is_ufw_chain(name: &str) -> bool {
    name.starts_with("ufw-") || name.starts_with("ufw6-")
}

fn in_words_of_ufw(firewalls: &Firewalls, stop: &Stop<'_>, rule: Option<&Rule>, decision: &mut Decision) {
    let chain = stop.chain.name.trim_start_matches("ufw6-").trim_start_matches("ufw-");
    let Some(rule) = rule.filter(|_| !chain.starts_with("skip-to-policy-") && !chain.starts_with("reject-")) else {
        let word = if stop.block == Block::Drop { "deny" } else { "reject" };
        let hook = stop.via.first().and_then(|base| Hook::from_word(base));
        let direction = match hook {
            Some(Hook::Output) => "outgoing",
            Some(Hook::Forward) => "routed",
            _ => "incoming",
        };
        decision.rule = Some(format!("{word} ({direction})"));
        "ufw status verbose".clone_into(&mut decision.shown_by);
        decision.handle = None;
        return;
    };
    if !chain.starts_with("user-") {
        return;
    }
    decision.handle = None;
    if let Some(known) = firewalls.ufw.as_ref().and_then(|ufw| ufw.rule_behind(&stop.chain.name, &rule.steps)) {
        decision.rule = Some(known.text.clone());
        decision.handle = u64::try_from(known.number).ok();
        "ufw status numbered".clone_into(&mut decision.shown_by);
    }
}

fn in_words_of_firewalld(firewalls: &Firewalls, flow: &Flow, stop: &Stop<'_>, decision: &mut Decision) {
    decision.handle = None;
    if stop.table.name != "firewalld" && stop.table.name.starts_with("firewalld") {
        decision.rule = Some("panic mode".to_owned());
        "firewall-cmd --query-panic".clone_into(&mut decision.shown_by);
        return;
    }
    let Some(zone) = zone(&stop.via) else { return };
    decision.shown_by = format!("firewall-cmd --zone={zone} --list-all");
    let known = firewalls.firewalld.as_ref().and_then(|firewalld| firewalld.zone(&zone));
    if stop.chain.name.ends_with(&format!("_{zone}")) {
        let target = match (known, stop.block) {
            (Some(known), _) => known.target.as_str(),
            (None, Block::Drop) => "DROP",
            (None, _) => "default",
        };
        decision.rule = Some(format!("zone {zone}, target {target}"));
    } else if let Some(rich) =
        known.and_then(|known| known.rule_that_blocks(stop.block, flow.source, decision.site.port))
    {
        decision.rule = Some(rich.text.clone());
    }
}

/// The zone whose chain was walked: of the chains in its name's form, the first.
pub(super) fn zone(via: &[String]) -> Option<String> {
    const PREFIXES: [&str; 9] =
        ["filter_IN_", "filter_FWD_", "filter_FWDI_", "mangle_PRE_", "raw_PRE_", "nat_PRE_", "IN_", "FWD_", "FWDI_"];
    via.iter().find_map(|chain| {
        let rest = PREFIXES.iter().find_map(|prefix| chain.strip_prefix(prefix))?;
        (!rest.starts_with("policy_")).then(|| rest.to_owned())
    })
}
