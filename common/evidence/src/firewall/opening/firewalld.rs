//! Through firewalld: at once, and permanently.

use super::{Access, Opening, Typed, opens_only, shell};
use crate::firewall::decision::zone;
use crate::firewall::{Decision, Firewalls, Site};

/// The lowest priority firewalld knows.
const FIRST: i32 = -32768;

/// A rich rule in the zone that blocks; before the zone's own rich rule where one of those does.
pub(super) fn opening(firewalls: &Firewalls, decision: &Decision, access: &Access) -> Opening {
    let site = &decision.site;
    if site.table != "firewalld" && site.table.starts_with("firewalld") {
        return Opening {
            commands: vec!["firewall-cmd --panic-off".to_owned()],
            persist: Vec::new(),
            undo: vec!["firewall-cmd --panic-on".to_owned()],
            risk: "Panic mode drops everything; someone turned it on for a reason.".to_owned(),
            typed: Vec::new(),
        };
    }
    if site.reply || site.via.iter().any(|chain| chain.contains("FWD_") || chain.contains("FORWARD")) {
        let risk = "firewalld blocks this on its way through the host, not into it; that takes a policy of its own.";
        return Opening { risk: risk.to_owned(), ..Opening::default() };
    }
    let Some(scope) = scope(firewalls, site) else {
        return Opening { risk: "The zone that blocks is not known.".to_owned(), ..Opening::default() };
    };
    let rule = rich_rule(firewalls, decision, access);
    let option = match &scope {
        Scope::Zone(name) => format!("--zone={}", shell(name)),
        Scope::Policy(name) => format!("--policy={}", shell(name)),
    };
    let command = |permanent: &str, verb: &str| format!("firewall-cmd {permanent}{option} --{verb}-rich-rule='{rule}'");
    Opening {
        commands: vec![command("", "add")],
        persist: vec![command("--permanent ", "add")],
        undo: vec![command("", "remove"), command("--permanent ", "remove")],
        risk: opens_only(access),
        typed: typed(&scope, priority(firewalls, decision)).into_iter().collect(),
    }
}

/// Whose rich rule it becomes.
enum Scope {
    Zone(String),
    Policy(String),
}

/// None for a name or number that no plan holds.
fn typed(scope: &Scope, priority: Option<i32>) -> Option<Typed> {
    let (zone, policy) = match scope {
        Scope::Zone(name) => (Some(name.parse().ok()?), None),
        Scope::Policy(name) => (None, Some(name.parse().ok()?)),
    };
    let priority = priority.map(i16::try_from).transpose().ok()?;
    Some(Typed::Firewalld { zone, policy, priority })
}

/// The policy whose chain blocks, else the zone.
fn scope(firewalls: &Firewalls, site: &Site) -> Option<Scope> {
    let stages = ["_pre", "_log", "_deny", "_allow", "_post"];
    let policy = site.via.iter().find_map(|chain| chain.split_once("_policy_").map(|(_, name)| name));
    if let Some(name) = policy {
        let name = stages.iter().find_map(|stage| name.strip_suffix(stage)).unwrap_or(name);
        return Some(Scope::Policy(name.to_owned()));
    }
    zone(&site.via).or_else(|| firewalls.firewalld.as_ref()?.default_zone.clone()).map(Scope::Zone)
}

fn rich_rule(firewalls: &Firewalls, decision: &Decision, access: &Access) -> String {
    let Access { client, port } = access;
    let family = if access.is_v6() { "ipv6" } else { "ipv4" };
    let priority =
        priority(firewalls, decision).map(|priority| format!("priority=\"{priority}\" ")).unwrap_or_default();
    format!(
        "rule {priority}family=\"{family}\" source address=\"{client}\" port port=\"{port}\" protocol=\"tcp\" accept"
    )
}

/// Rich rules that deny go before those that allow, unless the latter have a priority below 0.
fn priority(firewalls: &Firewalls, decision: &Decision) -> Option<i32> {
    let chain = &decision.site.chain;
    if chain.ends_with("_deny") {
        return Some(-1);
    }
    if !chain.ends_with("_pre") {
        return None;
    }
    let zone = firewalls.firewalld.as_ref()?.zone(&zone(&decision.site.via)?);
    let rule = zone.and_then(|zone| zone.rich_rules.iter().find(|rule| Some(&rule.text) == decision.rule.as_ref()));
    Some(rule.map_or(FIRST, |rule| rule.priority.saturating_sub(1).max(FIRST)))
}
