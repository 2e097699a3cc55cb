//! The change log, oldest first, as it was lived.

use common_model::Change;
use common_model::change::Topic;
use common_model::inventory::NodeSummary;

use super::nodes::clock_warning;
use super::time::local;
use super::{Page, Style};
use crate::terminal::Terminal;

/// One entry per change: when, where, what, by whom, and the difference. They are in true order; a node whose clock is off dates
/// its own, and is named first.
pub(crate) fn timeline(changes: &[Change], nodes: &[NodeSummary], terminal: &Terminal) -> String {
    let mut page = Page::new(terminal);
    let shown = |node: &&NodeSummary| changes.iter().any(|change| change.node == node.name);
    for warning in nodes.iter().filter(shown).filter_map(clock_warning) {
        page.cut(0, &warning, Style::Warning);
    }
    if changes.is_empty() {
        page.cut(0, "Nothing changed in that time, as far as the agents saw.", Style::Plain);
    }
    for change in changes {
        let time = page.span(&format!("{}  ", local(change.at, terminal)), Style::Dim);
        let head = page.span(&format!("{} {} ", change.node, word(change.topic)), Style::Strong);
        let what = page.span(&change.what, Style::Plain);
        let hang = time.width();
        let mut spans = vec![time, head, what];
        if let Some(who) = &change.who {
            let how = change.how.as_ref().map(|how| format!(" with {how}")).unwrap_or_default();
            spans.push(page.span(&format!(" — {who}{how}"), Style::Dim));
        }
        page.flow(hang, &spans);
        for line in change.diff.lines().filter(|line| !line.starts_with("@@")) {
            let style = match line.as_bytes() {
                [b'-', b'-', b'-', b' ', ..] | [b'+', b'+', b'+', b' ', ..] => Style::Dim,
                [b'+', ..] => Style::Added,
                [b'-', ..] => Style::Removed,
                _ => Style::Dim,
            };
            page.cut(hang, line, style);
        }
    }
    page.to_text()
}

fn word(topic: Topic) -> &'static str {
    match topic {
        Topic::Config => "config",
        Topic::Unit => "unit",
        Topic::Sysctl => "sysctl",
        Topic::Firewall => "firewall",
        Topic::Package => "package",
        Topic::Listener => "listener",
        Topic::Network => "network",
        Topic::Boot => "boot",
        Topic::Clock => "clock",
        Topic::Agent => "agent",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::tests::terminal;

    #[test]
    fn entries_say_when_where_what_and_by_whom() {
        let terminal = terminal(100);
        let change = Change {
            id: "c1".to_owned(),
            node: "es-1".parse().unwrap(),
            at: terminal.now.plus_millis(-60_000),
            not_before: None,
            topic: Topic::Config,
            subject: "/etc/elasticsearch/elasticsearch.yml".to_owned(),
            what: "network.host: 0.0.0.0 → (unset)".to_owned(),
            diff: "@@ -17 +17 @@\n-network.host: 0.0.0.0\n+#network.host: 0.0.0.0\n".to_owned(),
            items: Vec::new(),
            who: Some("alice".to_owned()),
            how: Some("sudo".to_owned()),
            evidence: Vec::new(),
        };
        assert_eq!(
            timeline(&[change], &[], &terminal),
            "07:59:00 UTC  es-1 config network.host: 0.0.0.0 → (unset) — alice with sudo\n              \
             -network.host: 0.0.0.0\n              +#network.host: 0.0.0.0\n"
        );
    }
}
