//! Through nft, whose rules last as long as the boot.

use common_plan::Place;

use super::{Access, Opening, Typed, opens_only, shell};
use crate::firewall::Decision;

/// A rule right before the one that blocks; at the chain's end where its policy does. It has to be in the same chain: an accept
/// elsewhere does not override a drop.
pub(super) fn opening(decision: &Decision, access: &Access) -> Opening {
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
    let Access { client, .. } = access;
    let shown = format!("nft -a list chain {chain} | sed -n 's|.*{rule} # handle ||p' | head -n 1");
    Opening {
        commands: vec![command],
        persist: vec![format!(
            "# in /etc/nftables.conf (or the file it includes), chain {} of table {} {}, {before}: {rule}",
            site.chain, site.family, site.table
        )],
        undo: vec![format!("nft delete rule {chain} handle \"$({shown})\"")],
        risk: format!(
            "{} Lost at the next boot or reload unless the line for {client} is added to the file; do not write `nft list ruleset` over the file where ufw, firewalld or Docker keep tables of their own.",
            opens_only(access)
        ),
        typed: typed(decision).into_iter().collect(),
    }
}

/// None for names that no plan holds, and for a rule that was listed without its handle.
fn typed(decision: &Decision) -> Option<Typed> {
    let site = &decision.site;
    let before = match (site.index, decision.handle, &decision.rule) {
        (None, ..) => None,
        (Some(_), Some(number), Some(rule)) => Some(Place { number, rule: rule.clone() }),
        (Some(_), ..) => return None,
    };
    Some(Typed::Nftables {
        family: site.family.parse().ok()?,
        table: site.table.parse().ok()?,
        chain: site.chain.parse().ok()?,
        before,
        reply: site.reply,
    })
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
