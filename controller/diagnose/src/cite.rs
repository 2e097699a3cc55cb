//! Quoting evidence: short, safe to print, with the place or command where the same can be seen.

use common_evidence::Evidence;
use common_evidence::collectors::engine_config::EngineConfig;
use common_evidence::collectors::journal::JournalLine;
use common_evidence::collectors::sockets::Listener;
use common_evidence::collectors::unit::{MainExit, Unit};
use common_model::diagnosis::Citation;
use common_model::text::{printable, printable_line};
use common_model::{EvidenceId, Kind, NodeName, Probe, Timestamp};
use controller_correlate::Cited;

/// Characters of an excerpt kept at most.
const EXCERPT: usize = 600;
/// Characters of a foreign value in a sentence kept at most.
const VALUE: usize = 160;

/// A foreign value, fit for a sentence.
pub(crate) fn shown(text: &str) -> String {
    cut(&printable_line(text), VALUE)
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A time as people write it, with its day only where that is not the day of `now`.
pub(crate) fn time(at: Timestamp, now: Timestamp) -> String {
    let (text, today) = (at.to_string(), now.to_string());
    let (Some(day), Some(clock)) = (text.get(..10), text.get(11..19)) else { return text };
    if today.get(..10) == Some(day) { format!("{clock} UTC") } else { format!("{day} {clock} UTC") }
}

fn citation(
    id: &EvidenceId,
    node: Option<NodeName>,
    kind: &str,
    taken_at: Timestamp,
    excerpt: &str,
    source: &str,
) -> Option<Citation> {
    let kind: Kind = kind.parse().ok()?;
    let (excerpt, source) = (cut(&printable(excerpt), EXCERPT), cut(&printable_line(source), EXCERPT));
    Some(Citation { id: id.clone(), node, kind, taken_at, excerpt, source })
}

/// Quotes any parsed evidence of a node.
pub(crate) fn evidence<T: Evidence>(node: &NodeName, cited: &Cited<T>, excerpt: &str, source: &str) -> Vec<Citation> {
    citation(&cited.id, Some(node.clone()), T::KIND, cited.taken_at, excerpt, source).into_iter().collect()
}

/// Quotes evidence by its id, for kinds that are read together.
pub(crate) fn by_id(
    node: &NodeName,
    id: &EvidenceId,
    kind: &str,
    taken_at: Timestamp,
    excerpt: &str,
    source: &str,
) -> Vec<Citation> {
    citation(id, Some(node.clone()), kind, taken_at, excerpt, source).into_iter().collect()
}

/// Quotes a probe.
pub(crate) fn probe(probe: &Probe) -> Vec<Citation> {
    let errno = probe.errno.as_deref().map(|errno| format!(" ({errno})")).unwrap_or_default();
    let excerpt = format!("{}{errno}", probe.message);
    let target =
        probe.address.map_or_else(String::new, |address| std::net::SocketAddr::new(address, probe.port).to_string());
    let source = match probe.address {
        Some(_) => format!("probe from {}: curl -sv -m 3 http://{target}/", probe.vantage),
        None => format!("probe from {}", probe.vantage),
    };
    citation(&probe.id, None, "probe", probe.taken_at, &excerpt, &source).into_iter().collect()
}

/// Quotes listening sockets, one a line.
pub(crate) fn listeners<T: Evidence>(
    node: &NodeName,
    cited: &Cited<T>,
    listeners: &[&Listener],
    port: u16,
) -> Vec<Citation> {
    let lines: Vec<String> = listeners.iter().map(|listener| socket_line(listener)).collect();
    let excerpt = if lines.is_empty() { format!("no socket listens on port {port}") } else { lines.join("\n") };
    let mut ports: Vec<u16> = listeners.iter().map(|listener| listener.port).collect();
    ports.dedup();
    let filter = match ports.as_slice() {
        [] => format!("sport = :{port}"),
        ports => ports.iter().map(|port| format!("sport = :{port}")).collect::<Vec<_>>().join(" or "),
    };
    evidence(node, cited, &excerpt, &format!("ss -ltnp '{filter}'"))
}

fn socket_line(listener: &Listener) -> String {
    match &listener.owner {
        Some(owner) => {
            let unit = owner.unit.as_deref().map(|unit| format!(" {unit}")).unwrap_or_default();
            format!("LISTEN {} {} pid={}{unit}", listener.shown(), owner.command, owner.pid)
        }
        None => format!("LISTEN {} uid={}", listener.shown(), listener.uid),
    }
}

/// Quotes lines of the yml by number; the first one is the place.
pub(crate) fn yml(node: &NodeName, cited: &Cited<EngineConfig>, lines: &[usize]) -> Vec<Citation> {
    let text: Vec<&str> = cited.value.text.lines().collect();
    let quoted = lines.iter().filter_map(|line| text.get(line.checked_sub(1)?)).map(|line| line.trim_end());
    let excerpt = quoted.collect::<Vec<_>>().join("\n");
    let source = match lines.first() {
        Some(line) => format!("{}:{line}", cited.value.path),
        None => cited.value.path.clone(),
    };
    evidence(node, cited, &excerpt, &source)
}

/// Quotes the yml for a key it does not set: its commented-out line where there is one.
pub(crate) fn yml_unset(node: &NodeName, cited: &Cited<EngineConfig>, key: &str) -> Vec<Citation> {
    let commented =
        cited.value.text.lines().position(|line| {
            line.trim_start().strip_prefix('#').is_some_and(|rest| rest.trim_start().starts_with(key))
        });
    match commented {
        Some(index) => yml(node, cited, &[index + 1]),
        None => evidence(node, cited, &format!("no line sets {key}"), &cited.value.path),
    }
}

/// Quotes a unit's state as `systemctl status` words it.
pub(crate) fn unit(node: &NodeName, cited: &Cited<Unit>) -> Vec<Citation> {
    let unit = &cited.value;
    let mut excerpt = format!("Active: {} ({})", unit.active_state, unit.sub_state);
    if !matches!(unit.result.as_str(), "" | "success") {
        excerpt.push_str(&format!(", Result: {}", unit.result));
    }
    match unit.last_exit {
        Some(MainExit::Exited(status)) => excerpt.push_str(&format!(", main process exited, status={status}")),
        Some(MainExit::Killed(signal)) => excerpt.push_str(&format!(", main process killed, signal={signal}")),
        None => {}
    }
    if !unit.unit_file_state.is_empty() {
        excerpt.push_str(&format!("; {}", unit.unit_file_state));
    }
    evidence(node, cited, &excerpt, &format!("systemctl status {}", cited.subject))
}

/// Quotes a line of the journal.
pub(crate) fn journal(node: &NodeName, cited: &Cited<JournalLine>) -> Vec<Citation> {
    let line = &cited.value;
    let source = match &line.unit {
        Some(unit) => format!("journalctl -u {unit}"),
        None => format!("journalctl _COMM={}", line.command),
    };
    let mut quoted = evidence(node, cited, &line.message, &source);
    for citation in &mut quoted {
        citation.taken_at = line.at;
    }
    quoted
}
