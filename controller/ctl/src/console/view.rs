//! How the console looks: a page of exactly as many lines as the screen has.

use common_model::{Change, Incident};
use common_plan::Stage;

use super::model::{Heard, Model, Pane};
use super::update::{asks, lengths, plan_of_incident};
use crate::render::plan::Detail;
use crate::render::time::{ago, local};
use crate::render::{self, Page, Style};
use crate::report::NodeReport;

/// The line on top, and what can be pressed and what was said at the bottom.
const FRAME: usize = 3;
/// Rows between the frame below which only the list in use is shown.
const ROWS_FOR_ALL: usize = 12;
/// Lines that draw the marked incident below its row.
const DRAWN: usize = 2;

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
    let waiting = model.plans.iter().filter(|record| record.stage == Stage::Proposed).count();
    let waits = match waiting {
        0 => "no plan waits".to_owned(),
        1 => "1 plan waits".to_owned(),
        many => format!("{many} plans wait"),
    };
    let (state, style) = match &model.heard {
        Heard::Never => ("asking".to_owned(), Style::Dim),
        Heard::Well(_) => (local(model.terminal.now, &model.terminal), Style::Dim),
        Heard::Not(None, why) => (why.clone(), Style::Bad),
        Heard::Not(Some(at), why) => (format!("as of {}: {why}", ago(*at, model.terminal.now)), Style::Bad),
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
    let more = if below > 0 { format!("   space {below} more lines") } else { String::new() };
    let (keys, style) = match (&model.open, &model.incident) {
        (Some(_), _) if asks(model).is_some() => {
            (format!("Approve this plan with your key?  y yes   n no   d details{more}"), Style::Strong)
        }
        (Some(_), _) => (format!("d details   n back{more}"), Style::Dim),
        (None, Some(open)) => match &open.words {
            Some(words) => (format!("End it because: {words}_   Enter end   Esc not"), Style::Strong),
            None => (on_incident(model, &more), Style::Dim),
        },
        (None, None) => {
            let opens = match model.focus {
                Pane::Incidents if !model.incidents.is_empty() => "   Enter open it",
                Pane::Plans if !model.plans.is_empty() => "   Enter open it",
                _ => "",
            };
            (format!("↑ ↓ move   Tab next list{opens}   q quit"), Style::Dim)
        }
    };
    page.cut(0, model.notice.as_deref().unwrap_or_default(), Style::Warning);
    page.cut(0, &keys, style);
}

/// What can be done about the incident that is looked at.
fn on_incident(model: &Model, more: &str) -> String {
    let report = model.incident.as_ref().and_then(|open| open.report.as_ref()?.as_ref().ok());
    let is_open = report.is_some_and(|report| report.incident.is_open());
    let plan = if plan_of_incident(model).is_some() { "p its plan   " } else { "" };
    let open = if is_open { "l look again   e end it   " } else { "" };
    format!("{plan}{open}q back{more}")
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
    Some(page)
}

/// The open plan as a page, the same as `dialtone approve` shows; none when none is open.
pub(super) fn open_page(model: &Model) -> Option<Page> {
    let open = model.open.as_ref()?;
    let mut page = Page::new(&model.terminal);
    match &open.plan {
        None => page.cut(0, &format!("asking for plan {}", open.id), Style::Dim),
        Some(Err(why)) => {
            let why = page.span(why, Style::Bad);
            page.flow(0, &[why]);
        }
        Some(Ok(plan)) => {
            let detail = if open.details { Detail::Everything } else { Detail::Usual };
            page = render::plan::page(plan, &model.terminal, detail);
            if let Err(why) = model.key.as_ref().map_err(|why| why.as_str())
                && plan.record.stage == Stage::Proposed
            {
                page.blank();
                page.flow(2, &[page.span(&format!("This console cannot approve: {why}"), Style::Warning)]);
            }
        }
    }
    Some(page)
}

fn lists(model: &Model, page: &mut Page) {
    let room = room(model);
    if room < ROWS_FOR_ALL {
        return list(model, model.focus, room.saturating_sub(1), page);
    }
    let [incidents, plans, nodes, changes] = lengths(model);
    let drawn = if incidents > 0 { DRAWN } else { 0 };
    let shares = shares(room.saturating_sub(Pane::ALL.len()), [incidents + drawn, plans, nodes, changes]);
    for (pane, share) in Pane::ALL.into_iter().zip(shares) {
        list(model, pane, share, page);
    }
}

/// One list, with its heading, in this many rows.
fn list(model: &Model, pane: Pane, share: usize, page: &mut Page) {
    let index = pane as usize;
    let length = lengths(model)[index];
    let title = ["INCIDENTS", "PLANS", "NODES", "CHANGES in the last day"][index];
    let focus = model.focus == pane;
    let (mut rows, drawn) = match pane {
        Pane::Incidents => incidents(model, share),
        Pane::Plans => (plans(model), 0),
        Pane::Nodes => (nodes(model), 0),
        Pane::Changes => (changes(model), 0),
    };
    let more = (length + drawn).saturating_sub(share);
    let more = if more > 0 { format!("  {more} more") } else { String::new() };
    page.cut(0, &format!("{title}{more}"), if focus { Style::Strong } else { Style::Dim });
    // The marked row stays on the screen, and what is drawn below it.
    let marked = model.marked[index];
    let first = (marked + 1 + drawn).saturating_sub(share);
    if focus && length > 0 {
        rows.mark(marked);
    }
    let length = page.len();
    page.append(rows, first, share);
    page.fill(length + share);
}

/// Rows for each list: what it needs, as long as each has its part; what is left goes to the last.
fn shares(room: usize, lengths: [usize; Pane::ALL.len()]) -> [usize; Pane::ALL.len()] {
    let mut left = room;
    let mut shares = [0; Pane::ALL.len()];
    for (n, (share, length)) in shares.iter_mut().zip(lengths).enumerate() {
        let lists = Pane::ALL.len() - n;
        *share = if lists == 1 { left } else { length.clamp(1, (left / lists).max(1)) };
        left = left.saturating_sub(*share);
    }
    shares
}

/// The incidents, the marked one with its path and verdict below it where there is room; and how many lines those are.
fn incidents(model: &Model, share: usize) -> (Page, usize) {
    let mut page = Page::new(&model.terminal);
    let row = |incident: &Incident| {
        let [id, state, endpoint, _] = render::incident::row(&page, incident, &model.terminal);
        let cause = page.span(incident.verdict.cause.as_str(), Style::Plain);
        vec![id, state, endpoint, cause]
    };
    let rows = model.incidents.iter().map(row).collect();
    table(&mut page, rows, "none is open");
    let marked = model.marked[Pane::Incidents as usize];
    let Some(incident) = model.incidents.get(marked).filter(|_| share > DRAWN) else { return (page, 0) };
    let mut drawn = Page::new(&model.terminal);
    drawn.append_copy(&page, 0, marked + 1);
    let mut path = Page::new(&model.terminal);
    render::incident::path(&mut path, &incident.path);
    drawn.append(path, 0, 1);
    drawn.cut(4, &incident.verdict.sentence, Style::Plain);
    let lines = drawn.len() - marked - 1;
    drawn.append(page, marked + 1, usize::MAX);
    (drawn, lines)
}

fn plans(model: &Model) -> Page {
    let mut page = Page::new(&model.terminal);
    let rows = model.plans.iter().map(|record| render::plan::row(&page, record, &model.terminal).into());
    let rows = rows.collect();
    table(&mut page, rows, "none; one is proposed for an incident where a node's policy.yaml allows it");
    page
}

fn nodes(model: &Model) -> Page {
    let mut page = Page::new(&model.terminal);
    // Two engines on a node are two rows of the inventory; here a node is one.
    let rows = model.nodes.iter().filter_map(|node| {
        let [name, agent, engine, version, state, answers, _] =
            render::nodes::rows(&page, node, &model.terminal).into_iter().next()?;
        let cluster = page.span(cluster(node), Style::Plain);
        Some(vec![cluster, name, agent, answers, engine, version, state])
    });
    let rows = rows.collect();
    table(&mut page, rows, "none yet");
    page
}

/// The cluster of a node's first engine, where its settings name one.
pub(super) fn cluster(node: &NodeReport) -> &str {
    let engine = node.summary.engines.first();
    engine.and_then(|engine| engine.cluster.as_deref()).unwrap_or_default()
}

fn changes(model: &Model) -> Page {
    let mut page = Page::new(&model.terminal);
    let row = |change: &Change| {
        let who = change.who.as_ref().map(|who| format!("  — {who}")).unwrap_or_default();
        vec![
            page.span(&local(change.at, &model.terminal), Style::Dim),
            page.span(change.node.as_str(), Style::Strong),
            page.span(&format!("{}{who}", change.what), Style::Plain),
        ]
    };
    let rows = model.changes.iter().map(row).collect();
    table(&mut page, rows, "none");
    page
}

/// Rows in columns, behind a margin for the mark.
fn table(page: &mut Page, rows: Vec<Vec<render::Span>>, none: &str) {
    if rows.is_empty() {
        page.cut(2, none, Style::Dim);
        return;
    }
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let mut widths = vec![0; columns];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    // The gap after an empty cell is the margin.
    widths.insert(0, 0);
    for row in rows {
        let margin = page.span("", Style::Plain);
        page.row(&widths, std::iter::once(margin).chain(row).collect());
    }
}
