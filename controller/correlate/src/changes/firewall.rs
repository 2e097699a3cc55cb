//! Rules that came or went, by whoever keeps them.

use common_evidence::Evidence;
use common_evidence::collectors::firewalld::Firewalld;
use common_evidence::collectors::iptables::Iptables;
use common_evidence::collectors::nftables::Nftables;
use common_evidence::collectors::ufw::Ufw;
use common_evidence::firewall::RuleLine;
use common_model::change::{ChangedItem, Topic};

use super::{Draft, Pair, item, listed};

pub(super) fn changes(pair: &Pair<'_>) -> Vec<Draft> {
    let drafts = [
        draft::<Nftables>(pair, Nftables::lines),
        draft::<Iptables>(pair, Iptables::lines),
        draft::<Ufw>(pair, Ufw::lines),
        draft::<Firewalld>(pair, Firewalld::lines),
    ];
    drafts.into_iter().flatten().collect()
}

fn draft<T: Evidence + Default>(pair: &Pair<'_>, lines: fn(&T) -> Vec<RuleLine>) -> Option<Draft> {
    let (old, new) = pair.states::<T>()?;
    let (had, has) = (lines(&old), lines(&new));
    let gone: Vec<&RuleLine> = without(&had, &has);
    let come: Vec<&RuleLine> = without(&has, &had);
    if gone.is_empty() && come.is_empty() {
        return None;
    }
    let mut words: Vec<String> = come.iter().map(|line| format!("added {}", line.text)).collect();
    words.extend(gone.iter().map(|line| format!("removed {}", line.text)));
    let mut diff = String::new();
    for (sign, lines) in [('-', &gone), ('+', &come)] {
        diff.extend(lines.iter().map(|line| format!("{sign}{}: {}\n", line.place, line.text)));
    }
    let mut items: Vec<ChangedItem> =
        gone.iter().map(|line| item(&line.place, Some(line.text.clone()), None)).collect();
    items.extend(come.iter().map(|line| item(&line.place, None, Some(line.text.clone()))));
    let what = format!("{}: {}", T::KIND, listed(&words));
    Some(Draft { at: pair.next.taken_at, topic: Topic::Firewall, subject: T::KIND.to_owned(), what, diff, items })
}

/// The lines of `lines` that `other` lacks, counting repetitions.
fn without<'a>(lines: &'a [RuleLine], other: &[RuleLine]) -> Vec<&'a RuleLine> {
    let mut left: Vec<&RuleLine> = other.iter().collect();
    lines
        .iter()
        .filter(|line| match left.iter().position(|held| held == line) {
            Some(index) => {
                left.swap_remove(index);
                false
            }
            None => true,
        })
        .collect()
}
