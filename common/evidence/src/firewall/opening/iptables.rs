//! Through iptables, whose rules last as long as the boot.

use common_plan::Place;

use super::{Access, Opening, Typed, lasts, opens_only, shell};
use crate::firewall::decision::iptables_program;
use crate::firewall::ruleset::Family;
use crate::firewall::{Decision, Firewalls, Site};

/// A rule right before the one that blocks; at the chain's end where its policy does.
pub(super) fn opening(firewalls: &Firewalls, decision: &Decision, access: &Access) -> Opening {
    let site = &decision.site;
    let family = if access.is_v6() { Family::Ip6 } else { Family::Ip };
    let program = iptables_program(family, site.legacy);
    let table = if site.table == "filter" { String::new() } else { format!("-t {} ", shell(&site.table)) };
    let chain = shell(&site.chain);
    let rule = rule(site, access);
    let place = site.index.map_or(format!("-A {chain}"), |index| format!("-I {chain} {}", index + 1));
    let typed = typed(firewalls, decision, access);
    let mut risk = format!("{} {}", opens_only(access), lasts(typed.as_ref(), access));
    if site.legacy {
        risk.push_str(" No plan changes iptables-legacy, which takes a raw socket: it is done by hand.");
    }
    if site.chain.starts_with("DOCKER") && site.chain != "DOCKER-USER" {
        risk.push_str(" Docker rewrites this chain when a container starts; a rule that lasts belongs in DOCKER-USER.");
    }
    Opening {
        commands: vec![format!("{program} {table}{place} {rule}")],
        persist: vec![
            "# to keep it past a reboot: sudo netfilter-persistent save (Debian, Ubuntu), sudo service iptables save (RHEL)"
                .to_owned(),
        ],
        undo: vec![format!("{program} {table}-D {chain} {rule}")],
        risk,
        typed: typed.into_iter().collect(),
    }
}

/// None for names that no plan holds.
fn typed(firewalls: &Firewalls, decision: &Decision, access: &Access) -> Option<Typed> {
    let site = &decision.site;
    let before = match (site.index, &decision.rule) {
        (None, _) => None,
        (Some(index), Some(rule)) => Some(Place { number: u64::try_from(index).ok()? + 1, rule: rule.clone() }),
        (Some(_), None) => return None,
    };
    if site.legacy {
        // The actuator has no raw socket, through which these are set.
        return None;
    }
    let (table, chain, reply) = (site.table.parse().ok()?, site.chain.parse().ok()?, site.reply);
    let mut typed = Typed::Iptables { legacy: false, table, chain, before, reply, file: None };
    let found = firewalls.rules_files.for_opening(&typed, access.client, access.port);
    if let Typed::Iptables { file, .. } = &mut typed {
        *file = found;
    }
    Some(typed)
}

/// The rule without its place.
pub(super) fn rule(site: &Site, access: &Access) -> String {
    let Access { client, port } = access;
    if site.reply {
        format!("-d {client} -p tcp -m tcp --sport {port} -j ACCEPT")
    } else {
        format!("-s {client} -p tcp -m tcp --dport {port} -j ACCEPT")
    }
}
