//! How the console looks: a page of exactly as many lines as the screen has.

use common_model::Change;
use common_plan::Stage;

use super::model::{Heard, Model, Pane};
use super::update::asks;
use crate::render::plan::Detail;
use crate::render::time::{ago, local};
use crate::render::{self, Page, Style};

/// The line on top, and what can be pressed and what was said at the bottom.
const FRAME: usize = 3;
/// Of a list, also on the smallest screen.
const LEAST_ROWS: usize = 2;

/// Lines for what is between the frame.
pub(super) fn room(model: &Model) -> usize {
    model.height.saturating_sub(FRAME).max(1)
}

/// The whole screen.
pub(super) fn view(model: &Model) -> Page {
    let mut page = Page::new(&model.terminal);
    head(model, &mut page);
    match open_page(model) {
        Some(plan) => {
            let scroll = model.open.as_ref().map_or(0, |open| open.scroll);
            page.append(plan, scroll, room(model));
        }
        None => lists(model, &mut page),
    }
    page.fill(model.height.saturating_sub(2));
    foot(model, &mut page);
    page
}

fn head(model: &Model, page: &mut Page) {
    let waiting = model.plans.iter().filter(|record| record.stage == Stage::Proposed).count();
    let waits = match waiting {
        0 => "no plan waits".to_owned(),
        1 => "1 plan waits for approval".to_owned(),
        many => format!("{many} plans wait for approval"),
    };
    let (state, style) = match &model.heard {
        Heard::Never => ("asking".to_owned(), Style::Dim),
        Heard::Well(_) => (local(model.terminal.now, &model.terminal), Style::Dim),
        Heard::Not(None, why) => (why.clone(), Style::Bad),
        Heard::Not(Some(at), why) => (format!("as of {}: {why}", ago(*at, model.terminal.now)), Style::Bad),
    };
    let cells = vec![
        page.span("dialtone", Style::Strong),
        page.span(&model.controller, Style::Plain),
        page.span(&waits, if waiting > 0 { Style::Warning } else { Style::Plain }),
        page.span(&state, style),
    ];
    let widths: Vec<usize> = cells.iter().map(render::Span::width).collect();
    page.row(&widths, cells);
}

fn foot(model: &Model, page: &mut Page) {
    let below = match (open_page(model), &model.open) {
        (Some(plan), Some(open)) => plan.len().saturating_sub(open.scroll + room(model)),
        _ => 0,
    };
    let more = if below > 0 { format!("   space {below} more lines") } else { String::new() };
    let (keys, style) = match &model.open {
        None => ("↑ ↓ move   Tab next list   Enter open a plan   q quit".to_owned(), Style::Dim),
        Some(_) if asks(model).is_some() => {
            (format!("Approve this plan with your key?  y yes   n no   d details{more}"), Style::Strong)
        }
        Some(_) => (format!("d details   n back{more}"), Style::Dim),
    };
    page.cut(0, model.notice.as_deref().unwrap_or_default(), Style::Warning);
    page.cut(0, &keys, style);
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
    let lengths = [model.plans.len(), model.nodes.len(), model.changes.len()];
    let shares = shares(room(model).saturating_sub(Pane::ALL.len()), lengths);
    for (pane, share) in Pane::ALL.into_iter().zip(shares) {
        let index = pane as usize;
        let title = ["PLANS", "NODES", "CHANGES in the last day"][index];
        let focus = model.focus == pane;
        let more = lengths[index].saturating_sub(share);
        let more = if more > 0 { format!("  {more} more") } else { String::new() };
        let style = if focus { Style::Strong } else { Style::Dim };
        page.cut(0, &format!("{title}{more}"), style);
        let mut rows = match pane {
            Pane::Plans => plans(model),
            Pane::Nodes => nodes(model),
            Pane::Changes => changes(model),
        };
        // The marked row stays on the screen.
        let marked = model.marked[index];
        let first = (marked + 1).saturating_sub(share);
        if focus && lengths[index] > 0 {
            rows.mark(marked);
        }
        page.append(rows, first, share);
    }
}

/// Rows for each list: what it needs, as long as each has its part; what is left goes to the last.
fn shares(room: usize, lengths: [usize; 3]) -> [usize; 3] {
    let part = (room / 3).max(LEAST_ROWS);
    let plans = lengths[0].clamp(1, part);
    let nodes = lengths[1].clamp(1, part);
    [plans, nodes, room.saturating_sub(plans + nodes).max(LEAST_ROWS)]
}

fn plans(model: &Model) -> Page {
    let mut page = Page::new(&model.terminal);
    let rows = model.plans.iter().map(|record| render::plan::row(&page, record).into());
    let rows = rows.collect();
    table(&mut page, rows, "none; dialtone diagnose proposes one where a node's policy.yaml allows it");
    page
}

fn nodes(model: &Model) -> Page {
    let mut page = Page::new(&model.terminal);
    // Two engines on a node are two rows of the inventory; here a node is one.
    let rows = model.nodes.iter().filter_map(|node| {
        let [name, agent, engine, version, state, answers, _] =
            render::nodes::rows(&page, node, &model.terminal).into_iter().next()?;
        Some(vec![name, agent, answers, engine, version, state])
    });
    let rows = rows.collect();
    table(&mut page, rows, "none yet");
    page
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
