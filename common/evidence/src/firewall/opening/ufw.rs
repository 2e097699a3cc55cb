//! Through ufw, which keeps what it is told.

use common_plan::Place;

use super::{Access, Opening, Typed, iptables, opens_only, shell};
use crate::firewall::{Decision, Firewalls};

/// A plain `ufw allow` goes to the end, after the rule that denies; only past the default policy is that enough.
pub(super) fn opening(firewalls: &Firewalls, decision: &Decision, access: &Access) -> Opening {
    let chain = decision.site.chain.trim_start_matches("ufw6-").trim_start_matches("ufw-");
    // Of the built-in chains ufw only sets the policy.
    let default =
        !decision.site.chain.starts_with("ufw") || chain.starts_with("skip-to-policy-") || chain.starts_with("reject-");
    let base = decision.site.via.first().map_or("", String::as_str);
    if base == "OUTPUT" || !(default || chain.starts_with("user-")) {
        return in_own_chain(firewalls, decision, access);
    }
    let place = match decision.handle {
        _ if default => String::new(),
        Some(number) => format!("insert {number} "),
        None => "prepend ".to_owned(),
    };
    let noted = |number: u64| {
        let known = firewalls.ufw.as_ref()?.rules.iter().find(|rule| u64::try_from(rule.number) == Ok(number))?;
        Some(Place { number, rule: known.note.clone() })
    };
    let before = match decision.handle {
        _ if default => Some(None),
        number => number.and_then(noted).map(Some),
    };
    let route = if base == "FORWARD" { "route " } else { "" };
    let rule = format!("allow from {} to any port {} proto tcp", access.client, access.port);
    Opening {
        commands: vec![format!("ufw {route}{place}{rule}")],
        persist: Vec::new(),
        undo: vec![format!("ufw {route}delete {rule}")],
        risk: opens_only(access),
        // A plan knows no routed rules.
        typed: before.filter(|_| route.is_empty()).map(|before| Typed::Ufw { before }).into_iter().collect(),
    }
}

/// A rule in ufw's before and after files is not reached by `ufw allow`.
fn in_own_chain(firewalls: &Firewalls, decision: &Decision, access: &Access) -> Opening {
    let site = &decision.site;
    let rule = iptables::rule(site, access);
    let name = if site.family == "ip6" { "6" } else { "" };
    let stage = if site.chain.contains("-after-") { "after" } else { "before" };
    let files = format!("/etc/ufw/{stage}{name}.rules");
    Opening {
        persist: vec![format!("# in {files}, before the rule that blocks: -A {} {rule}", shell(&site.chain))],
        risk: format!(
            "{} The rule that blocks is in {files}, which `ufw allow` does not override.",
            opens_only(access)
        ),
        // It would be gone with the next reload of ufw.
        typed: Vec::new(),
        ..iptables::opening(firewalls, decision, access)
    }
}
