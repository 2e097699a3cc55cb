//! The lists of the console, one below the other.

use common_model::{Change, Incident};

use super::model::{Model, Pane, Work};
use super::update::lengths;
use super::view::room;
use crate::render::time::local;
use crate::render::{self, Page, Style};
use crate::report::NodeReport;

/// Rows between the frame below which only the list in use is shown.
const ROWS_FOR_ALL: usize = 12;
/// Lines of the marked incident's verdict.
const VERDICT_LINES: usize = 2;
/// Characters of a plan's or rollout's id.
const ID_SHOWN: usize = 8;

/// All of them, or the one in use where there is no room.
pub(super) fn lists(model: &Model, page: &mut Page) {
    let room = room(model);
    if room < ROWS_FOR_ALL {
        return list(model, model.focus, rows(model, model.focus), room.saturating_sub(1), page);
    }
    let rows = Pane::ALL.map(|pane| rows(model, pane));
    let needed = rows.each_ref().map(|(rows, below)| rows.len() + below.len());
    let shares = shares(room.saturating_sub(Pane::ALL.len()), needed);
    for ((pane, share), (rows, below)) in Pane::ALL.into_iter().zip(shares).zip(rows) {
        list(model, pane, (rows, below), share, page);
    }
}

/// The rows of a list, one for each of its things or one that says there is none; and what is told of the marked one below it.
fn rows(model: &Model, pane: Pane) -> (Page, Page) {
    let nothing = Page::new(&model.terminal);
    match pane {
        Pane::Incidents => (incidents(model), drawn(model)),
        Pane::Work => (work(model), waiting(model)),
        Pane::Nodes => (nodes(model), nothing),
        Pane::Changes => (changes(model), nothing),
    }
}

/// One list, with its heading, in this many rows.
fn list(model: &Model, pane: Pane, (mut rows, mut below): (Page, Page), share: usize, page: &mut Page) {
    let index = pane as usize;
    let title = ["INCIDENTS", "PLANS AND ROLLOUTS", "NODES", "CHANGES in the last day"][index];
    let focus = model.focus == pane;
    if below.len() >= share {
        below = Page::new(&model.terminal);
    }
    let more = (rows.len() + below.len()).saturating_sub(share);
    let more = if more > 0 { format!("  {more} more") } else { String::new() };
    page.cut(0, &format!("{title}{more}"), if focus { Style::Strong } else { Style::Dim });
    // The marked row stays on the screen, and what is told of it.
    let marked = model.marked[index];
    let first = (marked + 1 + below.len()).saturating_sub(share);
    if focus && lengths(model)[index] > 0 {
        rows.mark(marked);
    }
    rows.insert(marked + 1, below);
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

fn incidents(model: &Model) -> Page {
    let mut page = Page::new(&model.terminal);
    let row = |incident: &Incident| {
        let [id, state, endpoint, _] = render::incident::row(&page, incident, &model.terminal);
        let cause = page.span(incident.verdict.cause.as_str(), Style::Plain);
        vec![id, state, endpoint, cause]
    };
    let rows = model.incidents.iter().map(row).collect();
    table(&mut page, rows, "none is open");
    page
}

/// The marked incident's path and verdict.
fn drawn(model: &Model) -> Page {
    let mut page = Page::new(&model.terminal);
    if let Some(incident) = model.incidents.get(model.marked[Pane::Incidents as usize]) {
        let mut path = Page::new(&model.terminal);
        render::incident::path(&mut path, &incident.path);
        page.append(path, 0, 1);
        let mut verdict = Page::new(&model.terminal);
        verdict.flow(4, &[verdict.span(&format!("    {}", incident.verdict.sentence), Style::Plain)]);
        page.append(verdict, 0, VERDICT_LINES);
    }
    page
}

/// Plans and rollouts. Their ids are cut: whoever opens one sees it whole.
fn work(model: &Model) -> Page {
    let mut page = Page::new(&model.terminal);
    let row = |work: &Work| {
        let [id, state, place, what] = match work {
            Work::Plan(record) => render::plan::row(&page, record, &model.terminal),
            Work::Rollout(rollout, _) => render::rollout::row(&page, rollout),
        };
        let id: String = id.text().chars().take(ID_SHOWN).collect();
        vec![page.span(&id, Style::Strong), state, place, what]
    };
    let rows = model.work.iter().map(row).collect();
    table(&mut page, rows, "none; one is proposed for an incident where a node's policy.yaml allows it");
    page
}

/// For whom the marked plan or rollout waits, or what it is at.
fn waiting(model: &Model) -> Page {
    let mut page = Page::new(&model.terminal);
    let words: Option<String> = match model.work.get(model.marked[Pane::Work as usize]) {
        Some(Work::Plan(record)) => render::plan::waits(record),
        Some(Work::Rollout(rollout, plans)) => render::rollout::waits(rollout, plans)
            .or_else(|| (!rollout.stage.is_final()).then(|| render::rollout::waiting(rollout))),
        None => None,
    };
    if let Some(words) = words {
        page.cut(4, &words, Style::Plain);
    }
    page
}

fn nodes(model: &Model) -> Page {
    let mut page = Page::new(&model.terminal);
    // Two engines on a node are two rows of the inventory; here a node is one.
    let rows = model.nodes.iter().filter_map(|node| {
        let [name, agent, engine, version, state, answers, _] =
            render::nodes::rows(&page, node, &model.terminal).into_iter().next()?;
        let cluster = page.span(cluster(node), Style::Plain);
        Some(vec![cluster, name, agent, state, answers, engine, version])
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
