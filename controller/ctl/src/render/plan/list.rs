//! Many plans, a line each.

use common_plan::{Record, Stage};

use super::{sign, stage};
use crate::render::persons::Persons;
use crate::render::time::local;
use crate::render::{Page, Span, Style};
use crate::terminal::Terminal;

const HEADINGS: [&str; 4] = ["PLAN", "STATE", "NODE", "WHAT"];

/// Newest first, as the controller lists them. `all` says whether those that have ended were asked for, too.
pub(crate) fn list(records: &[Record], all: bool, terminal: &Terminal) -> String {
    let mut page = Page::new(terminal);
    if records.is_empty() {
        let none = match all {
            true => "No plan was ever made. dialtone diagnose proposes one where a node's policy.yaml allows it.",
            false => "No plan waits or is under way; --all shows those that have ended.",
        };
        page.flow(0, &[page.span(none, Style::Plain)]);
        return page.to_text();
    }
    let rows: Vec<[Span; 4]> = records.iter().map(|record| row(&page, record, terminal)).collect();
    let headings = HEADINGS.map(|heading| page.span(heading, Style::Dim));
    page.table(headings, rows);
    // From below, so that the lines above keep their places; the first is the headings'.
    for (line, record) in records.iter().enumerate().rev() {
        if let Some(words) = waits(record) {
            let mut below = Page::new(terminal);
            below.flow(4, &[below.span(&format!("  {words}"), Style::Dim)]);
            page.insert(line + 2, below);
        }
    }
    page.to_text()
}

/// For whom a plan waits.
pub(crate) fn waits(record: &Record) -> Option<String> {
    match (record.stage, &record.rollout) {
        (Stage::Proposed, Some(rollout)) => {
            Some(format!("of rollout {rollout}, which is approved as a whole: dialtone approve {rollout}"))
        }
        (Stage::Proposed, None) => Some(Persons::told(record).so_far()),
        _ => None,
    }
}

/// One of them: which, how it stands, where, and what it does.
pub(crate) fn row(page: &Page, record: &Record, terminal: &Terminal) -> [Span; 4] {
    let (sign, style) = if record.is_open_for_now() { ("…", Style::Warning) } else { sign(record.stage) };
    [
        page.span(record.id.as_str(), Style::Strong),
        page.span(&format!("{sign} {}", state(record, terminal)), style),
        page.span(record.node.as_str(), Style::Plain),
        page.span(&record.title, Style::Plain),
    ]
}

/// The stage; while approvals are missing, how many are there; of what is open for a limited time, until when.
fn state(record: &Record, terminal: &Terminal) -> String {
    match (record.stage, record.until) {
        (Stage::Verified, Some(until)) if until <= terminal.now => "time over, closing not told".to_owned(),
        (Stage::Verified, Some(until)) => format!("open until {}", local(until, terminal)),
        (Stage::Proposed, _) if record.needed > 1 => {
            format!("{} of {} approvals", record.approvals.len(), record.needed)
        }
        (other, _) => stage(record.action, other).to_owned(),
    }
}
