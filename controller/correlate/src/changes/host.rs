//! Boots, and addresses that came or went.

use common_evidence::collectors::host::Host;
use common_evidence::collectors::interfaces::Interfaces;
use common_model::Timestamp;
use common_model::change::{ChangedItem, Topic};

use super::{Draft, Pair, item, listed};

pub(super) fn boot(pair: &Pair<'_>) -> Vec<Draft> {
    let Some((old, new)) = pair.states::<Host>() else { return Vec::new() };
    if old.boot_id == new.boot_id || old.boot_id.is_empty() || new.boot_id.is_empty() {
        return Vec::new();
    }
    vec![Draft {
        at: if new.booted_at_ms > 0 { Timestamp(new.booted_at_ms) } else { pair.next.taken_at },
        topic: Topic::Boot,
        subject: new.hostname.clone(),
        what: format!("{} booted (kernel {})", new.hostname, new.kernel),
        diff: String::new(),
        items: vec![
            item("boot-id", Some(old.boot_id), Some(new.boot_id)),
            item("kernel", Some(old.kernel), Some(new.kernel)),
        ],
    }]
}

pub(super) fn addresses(pair: &Pair<'_>) -> Vec<Draft> {
    let Some((old, new)) = pair.states::<Interfaces>() else { return Vec::new() };
    let (had, has) = (held(&old), held(&new));
    let gone =
        had.iter().filter(|address| !has.contains(address)).map(|address| item(address, Some("up".to_owned()), None));
    let come =
        has.iter().filter(|address| !had.contains(address)).map(|address| item(address, None, Some("up".to_owned())));
    let items: Vec<ChangedItem> = gone.chain(come).collect();
    if items.is_empty() {
        return Vec::new();
    }
    let sign = |item: &ChangedItem| if item.new.is_some() { '+' } else { '-' };
    let words: Vec<String> =
        items.iter().map(|item| format!("{} {}", item.key, if item.new.is_some() { "came" } else { "went" })).collect();
    vec![Draft {
        at: pair.next.taken_at,
        topic: Topic::Network,
        subject: "addresses".to_owned(),
        what: listed(&words),
        diff: items.iter().map(|item| format!("{}{}\n", sign(item), item.key)).collect(),
        items,
    }]
}

fn held(interfaces: &Interfaces) -> Vec<String> {
    let up = interfaces.addresses.iter().filter(|held| held.up);
    up.map(|held| format!("{} {}/{}", held.interface, held.address, held.prefix)).collect()
}
