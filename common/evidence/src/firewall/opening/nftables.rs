//! Through nft, whose rules last as long as the boot.

use common_plan::Place;

use super::{Access, Opening, Typed, lasts, opens_only, shell};
use crate::firewall::{Decision, Firewalls};

/// A rule right before the one that blocks; at the chain's end where its policy does. It has to be in the same chain: an accept
/// elsewhere does not override a drop.
pub(super) fn opening(firewalls: &Firewalls, decision: &Decision, access: &Access) -> Opening {
    let site = &decision.site;
    let chain = [&site.family, &site.table, &site.chain].map(|word| shell(word)).join(" ");
    let rule = rule(site.reply, access);
    let command = match (site.index, decision.handle) {
        (None, _) => format!("nft add rule {chain} {rule}"),
        (Some(_), Some(handle)) => format!("nft insert rule {chain} handle {handle} {rule}"),
        (Some(0), None) => format!("nft insert rule {chain} {rule}"),
        (Some(index), None) => format!("nft insert rule {chain} index {index} {rule}"),
    };
    let before = match (&decision.rule, site.index) {
        (Some(text), _) => format!("before `{text}`"),
        (None, Some(_)) => "first of its rules".to_owned(),
        (None, None) => "last of its rules".to_owned(),
    };
    let typed = typed(firewalls, decision, access);
    let shown = format!("nft -a list chain {chain} | sed -n 's|.*{rule} # handle ||p' | head -n 1");
    Opening {
        commands: vec![command],
        persist: vec![format!(
            "# in /etc/nftables.conf (or the file it includes), chain {} of table {} {}, {before}: {rule}",
            site.chain, site.family, site.table
        )],
        undo: vec![format!("nft delete rule {chain} handle \"$({shown})\"")],
        risk: format!(
            "{} {} Do not write `nft list ruleset` over the file where ufw, firewalld or Docker keep tables of their own.",
            opens_only(access),
            lasts(typed.as_ref(), access)
        ),
        typed: typed.into_iter().collect(),
    }
}

/// None for names that no plan holds, and for a rule that was listed without its handle.
fn typed(firewalls: &Firewalls, decision: &Decision, access: &Access) -> Option<Typed> {
    let site = &decision.site;
    let before = match (site.index, decision.handle, &decision.rule) {
        (None, ..) => None,
        (Some(_), Some(number), Some(rule)) => Some(Place { number, rule: rule.clone() }),
        (Some(_), ..) => return None,
    };
    let [family, table, chain] = [&site.family, &site.table, &site.chain].map(|name| name.parse().ok());
    let (family, table, chain, reply) = (family?, table?, chain?, site.reply);
    let mut typed = Typed::Nftables { family, table, chain, before, reply, file: None };
    let found = firewalls.rules_files.for_opening(&typed, access.client, access.port);
    if let Typed::Nftables { file, .. } = &mut typed {
        *file = found;
    }
    Some(typed)
}

fn rule(reply: bool, access: &Access) -> String {
    let Access { client, port } = access;
    let family = if access.is_v6() { "ip6" } else { "ip" };
    if reply {
        format!("{family} daddr {client} tcp sport {port} accept")
    } else {
        format!("{family} saddr {client} tcp dport {port} accept")
    }
}
