//! Plans as people read them before they sign: what changes, where and why, first; all of it decoded from the bytes.

mod effect;
mod list;
#[cfg(test)]
pub(crate) mod tests;

use common_model::text::printable_line;
use common_plan::{Action, Carrier, Plan, Record, Stage, Step, Transition};

pub(crate) use effect::headline;
pub(crate) use list::{list, row, waits};

use self::effect::{Line, effect};
use super::time::{ago, local, local_and_ago, span};
use super::{Page, Style};
use crate::plan::Fetched;
use crate::terminal::Terminal;

/// Width of the margin the headings stand in.
const MARGIN: usize = 11;
/// The most characters of a text that somebody else wrote, so that it cannot push what counts off the screen.
const MAX_WORDS: usize = 320;
/// The most lines of evidence.
const MAX_EVIDENCE: usize = 3;

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// What fits a screen. What is done is never cut.
    Usual,
    /// Everything, the exact bytes included.
    Everything,
}

/// One plan as a page.
pub(crate) fn page(fetched: &Fetched, terminal: &Terminal, detail: Detail) -> Page {
    let mut sections = Sections { page: Page::new(terminal), fetched, terminal, detail };
    sections.head();
    sections.history();
    sections.does();
    sections.why();
    sections.text("RISK", &fetched.plan.risk);
    sections.text("UNDO", &fetched.plan.undo);
    sections.checked();
    sections.until();
    sections.expires();
    sections.approved();
    sections.next();
    if detail == Detail::Everything {
        sections.exact();
    }
    sections.page
}

/// How a plan ended, or where it stands, in one line that says so first.
pub(crate) fn outcome(fetched: &Fetched, page: &mut Page, terminal: &Terminal) {
    let Fetched { plan, record, .. } = fetched;
    let (sign, style) = sign(record.stage);
    let words = match record.stage {
        Stage::Verified if record.action == Action::ConfigEdit => {
            "as approved; no node has it before it is rolled out".to_owned()
        }
        Stage::Verified => match record.until {
            Some(until) => format!("{}; open until {}", headline(plan), local(until, terminal)),
            None => format!("{}, and it lasts", headline(plan)),
        },
        Stage::Ended => format!("its time was over; {} has taken it back", plan.node),
        Stage::RolledBack if plan.on_node().is_some() => format!("{} is as it was before", plan.node),
        Stage::RolledBack => "it is as it was before".to_owned(),
        Stage::Refused if plan.on_node().is_some() => format!("by {}; nothing was changed there", plan.node),
        Stage::Refused => "nothing was changed".to_owned(),
        Stage::Rejected | Stage::Expired => format!("nothing was changed on {}", plan.node),
        Stage::Failed if plan.on_node().is_some() => format!("on {}", plan.node),
        Stage::Failed => headline(plan),
        Stage::Proposed => fetched.persons().so_far(),
        Stage::Approved | Stage::Dispatched | Stage::Applied => headline(plan),
    };
    let because = record.history.last().and_then(reason);
    let mut spans = vec![
        page.span(&format!("{sign} {}", stage(record.action, record.stage)), style),
        page.span(&format!(" — {words}"), Style::Plain),
    ];
    if let Some(because) = because {
        spans.push(page.span(&format!(": {because}"), Style::Strong));
    }
    page.flow(2, &spans);
}

/// One line per step of a plan's life: `08:00:02 UTC  live, on trial — node es-1: …`.
pub(crate) fn transition(page: &mut Page, indent: usize, action: Action, transition: &Transition, terminal: &Terminal) {
    let time = page.span(&format!("{:indent$}{}  ", "", local(transition.at, terminal)), Style::Dim);
    let hang = time.width();
    let (_, style) = sign(transition.stage);
    let because = reason(transition).map(|because| format!(": {because}")).unwrap_or_default();
    // Proposed again by a person's approval: it was not enough.
    let stage = match transition.stage {
        Stage::Proposed if transition.who == "controller" => "proposed",
        Stage::Proposed => "approved, and not by enough yet",
        other => stage(action, other),
    };
    let spans = [time, page.span(stage, style), page.span(&format!(" — {}{because}", transition.who), Style::Plain)];
    page.flow(hang, &spans);
}

/// Why, where something was said.
fn reason(transition: &Transition) -> Option<&str> {
    transition.because.as_deref().filter(|because| !because.trim().is_empty())
}

/// A stage of a plan of this sort in words.
pub(crate) fn stage(action: Action, stage: Stage) -> &'static str {
    match stage {
        Stage::Dispatched if action.carrier() == Carrier::Controller => "begun",
        Stage::Applied if action == Action::ConfigEdit => "waits for the merge",
        Stage::Verified if action == Action::ConfigEdit => "merged",
        Stage::Proposed => "waits for approval",
        Stage::Approved => "approved",
        Stage::Dispatched => "handed to the node",
        Stage::Applied => "live, on trial",
        Stage::Verified => "verified",
        Stage::Ended => "closed again",
        Stage::Rejected => "rejected",
        Stage::Refused => "refused",
        Stage::Expired => "expired",
        Stage::RolledBack => "rolled back",
        Stage::Failed => "failed",
    }
}

fn sign(stage: Stage) -> (&'static str, Style) {
    match stage {
        Stage::Proposed => ("?", Style::Warning),
        Stage::Approved | Stage::Dispatched | Stage::Applied => ("…", Style::Warning),
        Stage::Verified => ("✓", Style::Good),
        Stage::Ended => ("✓", Style::Passed),
        Stage::Rejected | Stage::Refused | Stage::Expired | Stage::RolledBack | Stage::Failed => ("✗", Style::Bad),
    }
}

/// What a step does, a line each with its style and how far its further lines hang.
pub(crate) fn does(step: &Step) -> Vec<(String, Style, usize)> {
    effect(step).into_iter().map(shown).collect()
}

fn shown(line: Line) -> (String, Style, usize) {
    match line {
        Line::Command(text) => (text, Style::Command, 2),
        Line::Remark(text) => (format!("  {text}"), Style::Dim, 4),
        Line::Added(text) => (format!("  +{text}"), Style::Added, 4),
        Line::Removed(text) => (format!("  -{text}"), Style::Removed, 4),
    }
}

struct Sections<'a> {
    page: Page,
    fetched: &'a Fetched,
    terminal: &'a Terminal,
    detail: Detail,
}

impl Sections<'_> {
    fn plan(&self) -> &Plan {
        &self.fetched.plan
    }

    fn record(&self) -> &Record {
        &self.fetched.record
    }

    fn head(&mut self) {
        let (sign, style) = sign(self.record().stage);
        let spans = [
            self.page.span(&format!("{sign} {}", stage(self.record().action, self.record().stage)), style),
            self.page.span(" — ", Style::Plain),
            self.page.span(&headline(self.plan()), Style::Strong),
            self.page.span(&format!(" [{}]", self.fetched.id()), Style::Dim),
        ];
        self.page.flow(2, &spans);
        self.page.blank();
    }

    /// Whole, whatever the width.
    fn does(&mut self) {
        for (n, line) in effect(&self.plan().step).into_iter().enumerate() {
            let label = self.page.span(&format!("{:MARGIN$}", if n == 0 { "DOES" } else { "" }), Style::Strong);
            let (text, style, hang) = shown(line);
            let text = self.page.span(&text, style);
            self.page.flow(MARGIN + hang, &[label, text]);
        }
    }

    fn why(&mut self) {
        let why = self.plan().why.clone();
        self.text("WHY", &why.sentence);
        let shown = if self.detail == Detail::Everything { usize::MAX } else { MAX_EVIDENCE };
        for line in why.evidence.iter().take(shown) {
            match self.detail {
                Detail::Usual => self.page.cut(MARGIN + 2, line, Style::Dim),
                Detail::Everything => self.entry_hanging("", 2, &format!("  {line}"), Style::Dim),
            }
        }
        let more = why.evidence.len().saturating_sub(shown);
        if more > 0 {
            let lines = if more == 1 { "line" } else { "lines" };
            self.page.cut(MARGIN + 2, &format!("… {more} more {lines} of evidence"), Style::Dim);
        }
    }

    fn checked(&mut self) {
        let goal = &self.plan().goal;
        let met = format!("{} has to answer, or no longer fail for {}", goal.endpoint, goal.cause);
        let text = match self.plan().on_node() {
            Some(on_node) => {
                let within = span(i64::from(on_node.confirm_within_s));
                format!("within {within} {met}; else the node undoes it by itself")
            }
            None => match &self.plan().step {
                Step::SecurityGroupAllow(step) if step.takes_back.is_some() => {
                    "the rule has to be gone; who it let in is then kept out again".to_owned()
                }
                Step::SecurityGroupAllow(step) => {
                    let within = span(i64::from(step.confirm_within_s));
                    format!("within {within} {met}; else the controller revokes it")
                }
                Step::ConfigEdit(_) => {
                    "the file on the branch, once it is merged, has to be the one approved".to_owned()
                }
                _ => met,
            },
        };
        self.entry("CHECKED", &text, Style::Plain);
    }

    /// Until when, where the node takes it back by itself.
    fn until(&mut self) {
        let Some(until) = self.record().until.filter(|_| self.record().is_open_for_now()) else { return };
        let (when, node) = (local_and_ago(until, self.terminal), self.plan().node.clone());
        if until > self.terminal.now {
            self.entry(
                "OPEN",
                &format!("until {when}; then {node} closes it by itself, whoever is reached"),
                Style::Warning,
            );
        } else {
            let text = format!("its time was over at {when}; {node} closes it by itself and has not told of it yet");
            self.entry("OPEN", &text, Style::Warning);
        }
    }

    fn expires(&mut self) {
        if self.record().stage.is_final() {
            return;
        }
        let expires_at = self.plan().expires_at;
        let style = if expires_at <= self.terminal.now { Style::Bad } else { Style::Plain };
        self.entry("EXPIRES", &local_and_ago(expires_at, self.terminal), style);
    }

    fn approved(&mut self) {
        let approvals = self.record().approvals.clone();
        let mut label = "APPROVED";
        for approved in &approvals {
            let when = ago(approved.at, self.terminal.now);
            let (holds, style) = match approved.approval.holds_for(&self.fetched.bytes) {
                true => ("", Style::Plain),
                false => (" — the signature is not one for this plan and does not count", Style::Bad),
            };
            let key = match self.detail {
                Detail::Usual => String::new(),
                Detail::Everything => format!(", key {}", approved.approval.key),
            };
            self.entry(label, &format!("by {}, {when}{key}{holds}", approved.operator), style);
            label = "";
        }
        let wanted = self.fetched.persons().wanted().filter(|_| self.record().stage == Stage::Proposed);
        if let Some(wanted) = wanted {
            let nobody = if approvals.is_empty() { "by nobody yet; " } else { "" };
            self.entry(label, &format!("{nobody}{wanted}"), Style::Warning);
        }
    }

    /// How it fared so far; of a plan that was only proposed the head has said everything.
    fn history(&mut self) {
        let (action, history) = (self.record().action, self.record().history.clone());
        if history.len() < 2 {
            return;
        }
        for step in &history {
            transition(&mut self.page, 2, action, step, self.terminal);
        }
        if self.record().stage == Stage::Approved && self.plan().on_node().is_some() {
            let waits = format!("  {} takes it once its agent is connected, unless it expires first", self.plan().node);
            let waits = self.page.span(&waits, Style::Warning);
            self.page.flow(2, &[waits]);
        }
        if let Some(link) = self.record().link.clone() {
            self.entry("", &format!("  {}", printable_line(&link)), Style::Strong);
        }
        if let Some(by) = self.record().reverted_by.clone() {
            self.entry("", &format!("  plan {by} takes it back"), Style::Plain);
        }
        if let Some(by) = self.record().follow_up.clone() {
            self.entry("", &format!("  rollout {by} brings it to the nodes: dialtone approve {by}"), Style::Strong);
        }
        self.page.blank();
    }

    /// What there is to do about one that came to nothing.
    fn next(&mut self) {
        let record = self.record();
        let came_to_nothing = record.stage.is_final() && record.stage != Stage::Verified;
        if came_to_nothing && record.rollout.is_none() {
            let text = format!("dialtone diagnose {} proposes what fits then", self.plan().goal.endpoint);
            self.entry("NEXT", &text, Style::Plain);
        }
    }

    fn exact(&mut self) {
        self.page.blank();
        let plan = self.plan();
        let made = local_and_ago(plan.made_at, self.terminal);
        let bound = match plan.on_node() {
            Some(on_node) => {
                format!("boot {} of {}, epoch {} of its policy", on_node.session, plan.node, on_node.epoch)
            }
            None => format!("the controller to carry out, about {}", plan.node),
        };
        self.entry("MADE", &made, Style::Plain);
        self.entry("FOR", &bound, Style::Plain);
        self.entry("SHA-256", self.fetched.bytes.digest().as_str(), Style::Plain);
        let text = String::from_utf8_lossy(self.fetched.bytes.as_slice()).into_owned();
        self.entry("SIGNED", &text, Style::Dim);
    }

    /// Words of somebody else.
    fn text(&mut self, label: &str, text: &str) {
        // As it is shown: what is hostile grows.
        let text = printable_line(text);
        let fits = self.detail == Detail::Everything || text.chars().count() <= MAX_WORDS;
        let shown = match fits {
            true => text,
            false => text.chars().take(MAX_WORDS).chain("… (cut)".chars()).collect(),
        };
        self.entry(label, &shown, Style::Plain);
    }

    fn entry(&mut self, label: &str, text: &str, style: Style) {
        self.entry_hanging(label, 0, text, style);
    }

    fn entry_hanging(&mut self, label: &str, hang: usize, text: &str, style: Style) {
        let label = self.page.span(&format!("{label:MARGIN$}"), Style::Strong);
        let text = self.page.span(text, style);
        self.page.flow(MARGIN + hang, &[label, text]);
    }
}
