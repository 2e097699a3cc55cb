//! Incidents as people read them: what cannot be reached, why, and what was done about it.

use common_model::diagnosis::PathStage;
use common_model::incident::{Incident, IncidentPlan, What};
use common_model::{Certainty, Timestamp};

use super::diagnosis::{self, symptom};
use super::page::Span;
use super::persons::Persons;
use super::time::{ago, local, local_and_ago, span};
use super::{Page, Style};
use crate::report::IncidentReport;
use crate::terminal::Terminal;

/// Width of the margin the headings stand in.
const MARGIN: usize = 11;
const HEADINGS: [&str; 4] = ["INCIDENT", "STATE", "ENDPOINT", "WHY"];

/// A line for each. `all` says whether those that have ended were asked for, too.
pub(crate) fn list(incidents: &[Incident], all: bool, terminal: &Terminal) -> String {
    let mut page = Page::new(terminal);
    if incidents.is_empty() {
        let none = match all {
            true => {
                "No incident was ever seen. One begins when dialtone diagnose finds a cause, or an endpoint that \
                     controller.yaml names (incidents: watch) does not answer."
            }
            false => "No incident is open; --all shows those that have ended.",
        };
        page.flow(0, &[page.span(none, Style::Plain)]);
        return page.to_text();
    }
    let rows: Vec<[Span; 4]> = incidents.iter().map(|incident| row(&page, incident, terminal)).collect();
    let headings = HEADINGS.map(|heading| page.span(heading, Style::Dim));
    page.table(headings, rows);
    page.to_text()
}

/// One of them: its number, how it stands, what it is about, and why.
pub(crate) fn row(page: &Page, incident: &Incident, terminal: &Terminal) -> [Span; 4] {
    let (state, style) = state(incident, terminal);
    // The cause first: what follows is cut where the terminal is narrow.
    let why = format!("{}: {}", incident.verdict.cause, incident.verdict.sentence);
    [
        page.span(&incident.id.to_string(), Style::Strong),
        page.span(&state, style),
        page.span(&incident.endpoint, Style::Plain),
        page.span(&why, if incident.is_open() { Style::Plain } else { Style::Dim }),
    ]
}

/// `✗ refused 3 min`, `✓ ended 2 h ago`.
fn state(incident: &Incident, terminal: &Terminal) -> (String, Style) {
    let lasts = span(terminal.now.millis_since(incident.opened_at).max(0) / 1000);
    match (&incident.closed, incident.answers_since) {
        (Some(closed), _) => (format!("✓ ended {}", ago(closed.at, terminal.now)), Style::Passed),
        (None, Some(_)) => ("… answers, on trial".to_owned(), Style::Warning),
        (None, None) => (format!("✗ {} {lasts}", symptom(incident.symptom)), Style::Bad),
    }
}

/// The stages, as `diagnose` draws them.
pub(crate) fn path(page: &mut Page, stages: &[PathStage]) {
    diagnosis::stages(page, stages);
}

/// One incident, whole: while it is open, with its last diagnosis.
pub(crate) fn page(report: &IncidentReport, terminal: &Terminal) -> Page {
    let mut sections = Sections { page: Page::new(terminal), incident: &report.incident, terminal };
    sections.head();
    match report.diagnosis.as_ref().filter(|_| report.incident.is_open()) {
        Some(last) => sections.page.append(diagnosis::usual(last, terminal), 0, usize::MAX),
        None => sections.verdict(),
    }
    sections.since();
    sections.closed();
    sections.plans();
    sections.changes();
    sections.history();
    sections.page
}

struct Sections<'a> {
    page: Page,
    incident: &'a Incident,
    terminal: &'a Terminal,
}

impl Sections<'_> {
    fn head(&mut self) {
        let incident = self.incident;
        let (words, style) = match (&incident.closed, incident.answers_since) {
            (Some(closed), _) => {
                let lasted = span(closed.at.millis_since(incident.opened_at).max(0) / 1000);
                (
                    format!("✓ incident {} ended {} after {lasted}", incident.id, ago(closed.at, self.terminal.now)),
                    Style::Good,
                )
            }
            (None, Some(since)) => {
                let since = ago(since, self.terminal.now);
                (
                    format!("… incident {} is open; it answers since {since}, and a plan is on trial", incident.id),
                    Style::Warning,
                )
            }
            (None, None) => {
                let lasts = span(self.terminal.now.millis_since(incident.opened_at).max(0) / 1000);
                (format!("✗ incident {} is open for {lasts}", incident.id), Style::Bad)
            }
        };
        let judged = match incident.is_open() {
            true => format!("; diagnosed {}", ago(incident.judged_at, self.terminal.now)),
            false => String::new(),
        };
        let spans = [self.page.span(&words, style), self.page.span(&judged, Style::Dim)];
        self.page.flow(2, &spans);
        self.page.blank();
    }

    /// What was wrong, in short.
    fn verdict(&mut self) {
        let Incident { endpoint, verdict, .. } = self.incident;
        let hedge = match verdict.certainty {
            Certainty::Certain => "",
            Certainty::Likely => "probably: ",
            Certainty::Undetermined => "cause undetermined: ",
        };
        let spans = [
            self.page.span(endpoint, Style::Strong),
            self.page.span(&format!(" — {hedge}{}", verdict.sentence), Style::Plain),
            self.page.span(&format!(" [{}]", verdict.cause), Style::Dim),
        ];
        self.page.flow(2, &spans);
        if self.incident.is_open() {
            self.page.blank();
            path(&mut self.page, &self.incident.path);
        }
    }

    fn since(&mut self) {
        self.page.blank();
        let incident = self.incident;
        let who = incident.history.first().map(|first| format!(", seen by {}", asked(&first.who))).unwrap_or_default();
        self.entry("SINCE", &format!("{}{who}", local_and_ago(incident.opened_at, self.terminal)), Style::Plain);
        if let Some(before) = incident.answered_before {
            self.entry("", &format!("it answered until {}", local(before, self.terminal)), Style::Plain);
        }
        if !incident.also.is_empty() {
            self.entry("ALSO", &incident.also.join(", "), Style::Plain);
        }
    }

    fn closed(&mut self) {
        if let Some(closed) = &self.incident.closed {
            let text = format!("{} by {}: {}", local_and_ago(closed.at, self.terminal), closed.who, closed.because);
            self.entry("ENDED", &text, Style::Good);
        }
    }

    fn plans(&mut self) {
        let mut label = "PLANS";
        for plan in &self.incident.plans {
            let (sign, style) = match (plan.ended, plan.stage.as_str()) {
                (true, "verified" | "ended") => ("✓", Style::Good),
                (true, _) => ("✗", Style::Plain),
                (false, "proposed") => ("?", Style::Warning),
                (false, _) => ("…", Style::Warning),
            };
            let because =
                plan.because.as_ref().filter(|_| plan.ended).map(|text| format!(": {text}")).unwrap_or_default();
            self.entry(
                std::mem::take(&mut label),
                &format!("{sign} {} {} — {}", plan.id, stage(plan), plan.title),
                style,
            );
            let until = plan.until.map(|until| limited(until, self.terminal)).unwrap_or_default();
            let text = format!("  {}{until}{because}", approvals(plan, self.terminal));
            self.entry_hanging("", 2, &text, Style::Plain);
            if let Some(link) = &plan.link {
                self.entry_hanging("", 2, &format!("  {link}"), Style::Plain);
            }
            if let Some(rollout) = plan.rollout.as_ref().filter(|_| !plan.ended) {
                self.entry_hanging("", 2, &format!("  a part of rollout {rollout}"), Style::Plain);
            }
            if let Some(rollout) = &plan.follow_up {
                self.entry_hanging("", 2, &format!("  rollout {rollout} brings it to the nodes"), Style::Plain);
            }
        }
    }

    fn changes(&mut self) {
        let mut label = "CHANGED";
        for change in &self.incident.changes {
            let who = change.who.as_ref().map(|who| format!(" — {who}")).unwrap_or_default();
            let text = format!("{} {}: {}{who}", local(change.at, self.terminal), change.node, change.what);
            self.entry_hanging(std::mem::take(&mut label), 2, &text, Style::Plain);
        }
    }

    fn history(&mut self) {
        // That it began and ended has been said.
        let told = |what: What| matches!(what, What::Reopened | What::Verdict | What::Answers | What::Lost);
        let mut label = "HISTORY";
        let history = &self.incident.history;
        let first = history.first().filter(|_| history.iter().any(|happening| told(happening.what)));
        for happening in first.into_iter().chain(history.iter().filter(|happening| told(happening.what))) {
            let text = format!("{} {}", local(happening.at, self.terminal), happening.sentence);
            self.entry_hanging(std::mem::take(&mut label), 2, &text, Style::Plain);
        }
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

fn asked(who: &str) -> String {
    if who == "controller" { "the controller".to_owned() } else { format!("{who}, who asked") }
}

/// Where a plan stands, in the words of the list of plans. Only an edit has a link: to where it is to be merged.
fn stage(plan: &IncidentPlan) -> &str {
    match (plan.stage.as_str(), &plan.link) {
        ("proposed", _) => "waits for approval",
        ("dispatched", _) => "under way",
        ("applied", None) => "live, on trial",
        ("applied", Some(_)) => "waits for the merge",
        ("verified", Some(_)) => "merged",
        ("rolled-back", _) => "rolled back",
        ("ended", _) => "closed again",
        (other, _) => other,
    }
}

/// Until when what a plan opened stays open.
fn limited(until: Timestamp, terminal: &Terminal) -> String {
    let word = if until > terminal.now { "open until" } else { "was open until" };
    format!("; {word} {}", local(until, terminal))
}

/// Who has approved a plan, and who still has to.
fn approvals(plan: &IncidentPlan, terminal: &Terminal) -> String {
    let by = plan.approved_by.iter().map(|by| format!("{} at {}", by.operator, local(by.at, terminal))).collect();
    let persons = Persons { by, needed: usize::from(plan.needed), could: plan.could_approve.clone() };
    match persons.missing() {
        0 => persons.so_far(),
        _ if plan.ended && persons.by.is_empty() => "nobody approved it".to_owned(),
        _ if plan.ended => format!("approved by {}, which was not enough", persons.by.join(" and ")),
        _ => persons.so_far(),
    }
}
