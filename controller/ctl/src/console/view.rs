//! How the console looks: a page of exactly as many lines as the screen has.

use super::decide::{asks, no, rollout_of, unread, waits_for_others};
use super::lists::lists;
use super::model::{Heard, Model, No, Open, Pane, Sent, Subject};
use super::update::work_of_incident;
use crate::render::plan::Detail;
use crate::render::rollout::Extent;
use crate::render::time::{ago, local};
use crate::render::{self, Page, Style};

/// The line on top, and what can be pressed and what was said at the bottom.
const FRAME: usize = 3;

/// Lines for what is between the frame.
pub(super) fn room(model: &Model) -> usize {
    model.height.saturating_sub(FRAME).max(1)
}

/// The whole screen.
pub(super) fn view(model: &Model) -> Page {
    let mut page = Page::new(&model.terminal);
    head(model, &mut page);
    match shown(model) {
        Some((shown, scroll)) => page.append(shown, scroll, room(model)),
        None => lists(model, &mut page),
    }
    page.fill(model.height.saturating_sub(2));
    foot(model, &mut page);
    page
}

/// What is over the lists, and how many of its lines are above the screen.
fn shown(model: &Model) -> Option<(Page, usize)> {
    let plan = open_page(model).zip(model.open.as_ref().map(|open| open.scroll));
    plan.or_else(|| incident_page(model).zip(model.incident.as_ref().map(|open| open.scroll)))
}

fn head(model: &Model, page: &mut Page) {
    let open = model.incidents.iter().filter(|incident| incident.is_open()).count();
    let (outages, alarm) = match open {
        0 => ("no incident".to_owned(), Style::Passed),
        1 => ("1 incident".to_owned(), Style::Bad),
        many => (format!("{many} incidents"), Style::Bad),
    };
    let waiting = model.work.iter().filter(|work| work.waits()).count();
    let waits = match waiting {
        0 => "nothing to approve".to_owned(),
        many => format!("{many} to approve"),
    };
    let (state, style) = match &model.heard {
        Heard::Never => ("asking".to_owned(), Style::Dim),
        Heard::Well(_) => (local(model.terminal.now, &model.terminal), Style::Dim),
        Heard::Not(None, _) => ("NO CONTACT".to_owned(), Style::Bad),
        Heard::Not(Some(at), _) => (format!("NO CONTACT; as of {}", ago(*at, model.terminal.now)), Style::Bad),
    };
    let mut cells = vec![
        page.span("dialtone", Style::Strong),
        page.span(&model.controller, Style::Plain),
        page.span(&outages, if model.heard == Heard::Never { Style::Dim } else { alarm }),
        page.span(&waits, if waiting > 0 { Style::Warning } else { Style::Plain }),
        page.span(&state, style),
    ];
    // That what is shown is old comes before what it is.
    if matches!(model.heard, Heard::Not(..)) {
        cells[2..].rotate_right(1);
    }
    let widths: Vec<usize> = cells.iter().map(render::Span::width).collect();
    page.row(&widths, cells);
}

fn foot(model: &Model, page: &mut Page) {
    let below = shown(model).map_or(0, |(shown, scroll)| shown.len().saturating_sub(scroll + room(model)));
    let more = match below {
        0 => String::new(),
        1 => "   space 1 more line".to_owned(),
        many => format!("   space {many} more lines"),
    };
    let (keys, style) = match (&model.open, &model.incident) {
        (Some(open), _) => on_open(model, open, &more),
        (None, Some(open)) => match &open.words {
            Some(words) => (typing("End it because", words, "end"), Style::Strong),
            None => (on_incident(model, &more), Style::Dim),
        },
        (None, None) => {
            let opens = match model.focus {
                Pane::Incidents if !model.incidents.is_empty() => "   Enter open it",
                Pane::Work if !model.work.is_empty() => "   Enter open it",
                _ => "",
            };
            (format!("↑ ↓ move   Tab next list{opens}   q quit"), Style::Dim)
        }
    };
    let lost = match &model.heard {
        Heard::Not(_, why) => Some(why),
        Heard::Never | Heard::Well(_) => None,
    };
    let trouble = model.open.as_ref().and_then(|open| open.trouble.as_ref());
    // Which controller it is stands on top.
    let which = [format!("controller {}: ", model.controller), format!("{} ", model.controller)];
    let said = model.notice.as_ref().or(trouble).or(lost).map_or("", String::as_str);
    let said = which.iter().fold(said, |said, which| said.strip_prefix(which.as_str()).unwrap_or(said));
    page.cut(0, said, Style::Warning);
    page.cut(0, &keys, style);
}

/// What can be done about the plan or rollout that is looked at.
fn on_open(model: &Model, open: &Open, more: &str) -> (String, Style) {
    let no = no(model);
    if let Some(words) = &open.words {
        let (what, key) = match no {
            Some(No::Stop) => ("Stop after this node because", "stop"),
            Some(No::Reject) | None => ("Reject it for everybody because", "reject"),
        };
        return (typing(what, words, key), Style::Strong);
    }
    let rejects = match no {
        Some(No::Reject) => "   x reject",
        Some(No::Stop) => "   x stop after this node",
        None => "",
    };
    if asks(model).is_some() {
        let what = match &open.subject {
            Subject::Plan(_) => "plan",
            Subject::Rollout(_) => "rollout",
        };
        // What was not read cannot be approved yet.
        let yes = if unread(model) > 0 { more.trim_start() } else { "y yes" };
        let rejects = if unread(model) > 0 { "" } else { rejects };
        return (format!("Approve this {what} with your key?  {yes}   n no   d details{rejects}"), Style::Strong);
    }
    let rollout = if rollout_of(model).is_some() { "r its rollout   " } else { "" };
    let others = if waits_for_others(model) { "You have approved it.   " } else { "" };
    let details = if open.details { "d less" } else { "d details" };
    (format!("{others}{rollout}{details}   n back{rejects}{more}"), Style::Dim)
}

/// What can be done about the incident that is looked at.
fn on_incident(model: &Model, more: &str) -> String {
    let report = model.incident.as_ref().and_then(|open| open.report.as_ref()?.as_ref().ok());
    let is_open = report.is_some_and(|report| report.incident.is_open());
    let work = match work_of_incident(model) {
        Some(Subject::Plan(_)) => "p its plan   ",
        Some(Subject::Rollout(_)) => "p its rollout   ",
        None => "",
    };
    let open = if is_open { "l look again   e end it   " } else { "" };
    format!("{work}{open}q back{more}")
}

/// The end of long words is what is being typed.
fn typing(what: &str, words: &str, key: &str) -> String {
    const SHOWN: usize = 24;
    let skipped = words.chars().count().saturating_sub(SHOWN);
    let cut = if skipped > 0 { "…" } else { "" };
    let end: String = words.chars().skip(skipped).collect();
    format!("{what}: {cut}{end}_   Enter {key}   Esc not")
}

/// The open incident as a page, the same as `dialtone incident` shows; none when none is open.
pub(super) fn incident_page(model: &Model) -> Option<Page> {
    let open = model.incident.as_ref()?;
    let mut page = Page::new(&model.terminal);
    match &open.report {
        None => page.cut(0, &format!("asking for incident {}", open.id), Style::Dim),
        Some(Err(why)) => {
            let why = page.span(why, Style::Bad);
            page.flow(0, &[why]);
        }
        Some(Ok(report)) => page = render::incident::page(report, &model.terminal),
    }
    page.fold();
    Some(page)
}

/// Why a yes in this console would be of no use, as far as that is known.
fn useless(model: &Model, sent: &Sent) -> Option<String> {
    match (&model.key, &model.operator) {
        (Err(why), _) => Some(format!("This console cannot approve: {why}")),
        (Ok(_), Some(operator)) if !sent.counts(operator) => {
            Some(format!("{operator} is not among those whose approval counts here: it would be refused."))
        }
        (Ok(_), _) => None,
    }
}

/// What is open as a page, the same as `dialtone approve` shows; none when nothing is open.
pub(super) fn open_page(model: &Model) -> Option<Page> {
    let open = model.open.as_ref()?;
    let mut page = Page::new(&model.terminal);
    match &open.sent {
        None => page.cut(0, &format!("asking for {}", open.subject), Style::Dim),
        Some(Err(why)) => {
            let why = page.span(why, Style::Bad);
            page.flow(0, &[why]);
        }
        Some(Ok(sent)) => {
            page = match sent {
                Sent::Plan(plan) => {
                    let detail = if open.details { Detail::Everything } else { Detail::Usual };
                    render::plan::page(plan, &model.terminal, detail)
                }
                Sent::Rollout(rollout) => {
                    let extent = if open.details { Extent::Signed } else { Extent::Screen };
                    render::rollout::page(rollout, &model.terminal, extent)
                }
            };
            if let Some(warning) = useless(model, sent).filter(|_| sent.waits()) {
                page.blank();
                page.flow(2, &[page.span(&warning, Style::Warning)]);
            }
        }
    }
    page.fold();
    Some(page)
}
