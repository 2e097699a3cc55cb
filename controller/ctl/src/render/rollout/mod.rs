//! Rolling restarts: node by node, where each stands.

#[cfg(test)]
mod tests;

use common_plan::rollout::{Calls, Moment, Phase, Rollout, RolloutStage, Turn};
use common_plan::{Record, Step};

use super::persons::Persons;
use super::plan::does;
use super::time::{ago, local, local_and_ago};
use super::{Page, Span, Style};
use crate::rollout::FetchedRollout;
use crate::terminal::Terminal;

/// Width of the margin the headings stand in.
const MARGIN: usize = 11;
/// What happened last, these many, where only a screen is to be filled.
const MAX_MOMENTS: usize = 8;

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What fits a screen.
    Screen,
    /// All that happened.
    Whole,
    /// That, and all of what is signed.
    Signed,
}

/// One rollout as a page: where it stands, and what it does.
pub(crate) fn page(fetched: &FetchedRollout, terminal: &Terminal, extent: Extent) -> Page {
    let mut page = Page::new(terminal);
    let FetchedRollout { order, rollout, plans } = fetched;
    head(&mut page, rollout);
    if rollout.stage != RolloutStage::Proposed {
        page.flow(2, &[page.span(&format!("  {}", stands(rollout)), Style::Plain)]);
        held(&mut page, rollout);
    }
    page.blank();
    // Said once where every node gets the same.
    let same = plans.iter().all(|plan| plans.first().is_some_and(|first| first.plan.step == plan.plan.step));
    for (n, (turn, plan)) in rollout.turns.iter().zip(plans).enumerate() {
        node(&mut page, n, turn, rollout.stop.as_deref(), terminal);
        if !same {
            steps(&mut page, "", &plan.plan.step, 3);
        }
    }
    next(&mut page, rollout);
    history(&mut page, rollout, extent, terminal);
    if let Some(plan) = plans.first().filter(|_| same) {
        steps(&mut page, "DOES", &plan.plan.step, 0);
    }
    entry(&mut page, "AROUND IT", around(order.calls), Style::Plain);
    entry(&mut page, "WHY", &order.why, Style::Plain);
    for remark in &order.remarks {
        entry(&mut page, "KNOW", remark, Style::Warning);
    }
    for (label, text) in [
        ("RISK", unique(plans.iter().map(|plan| &plan.plan.risk))),
        ("UNDO", unique(plans.iter().map(|plan| &plan.plan.undo))),
    ] {
        entry(&mut page, label, &text, Style::Plain);
    }
    entry(&mut page, "CHECKED", checked(order.calls), Style::Plain);
    if let Some(expires_at) = plans.iter().map(|plan| plan.plan.expires_at).min().filter(|_| !rollout.stage.is_final())
    {
        entry(&mut page, "EXPIRES", &local_and_ago(expires_at, terminal), Style::Plain);
    }
    approvals(&mut page, fetched, terminal);
    if extent == Extent::Signed {
        page.blank();
        for plan in plans {
            page.append(super::plan::page(plan, terminal, super::plan::Detail::Everything), 0, usize::MAX);
            page.blank();
        }
    }
    page
}

fn steps(page: &mut Page, label: &str, step: &Step, indent: usize) {
    let mut label = format!("{label:MARGIN$}{:indent$}", "");
    for (text, style, hang) in does(step) {
        let spans = [page.span(&label, Style::Strong), page.span(&text, style)];
        page.flow(MARGIN + indent + hang, &spans);
        label = " ".repeat(MARGIN + indent);
    }
}

fn unique<'a>(texts: impl Iterator<Item = &'a String>) -> String {
    let mut texts: Vec<&str> = texts.map(String::as_str).collect();
    texts.dedup();
    texts.join(" ")
}

fn around(calls: Calls) -> &'static str {
    match calls {
        Calls::Nothing => "nothing: the cluster's API is not asked",
        Calls::Flush => {
            "shard allocation is held to primaries, _flush; after it the cluster has to have the node again, and allocation is put back"
        }
        Calls::SyncedFlush => {
            "shard allocation is held to primaries, _flush/synced; after it the cluster has to have the node again, and allocation is put \
             back"
        }
    }
}

fn checked(calls: Calls) -> &'static str {
    match calls {
        Calls::Nothing => "the node has to answer as before, in a new run of its unit",
        Calls::Flush | Calls::SyncedFlush => {
            "before each node that it would start again; after it that the cluster has its colour and its nodes again. It stops at the \
             first node that is worse, with allocation put back; the nodes after that are not touched"
        }
    }
}

fn head(page: &mut Page, rollout: &Rollout) {
    let (sign, style) = sign(rollout.stage);
    let nodes = if rollout.turns.len() == 1 {
        "1 node".to_owned()
    } else {
        format!("{} nodes, one by one", rollout.turns.len())
    };
    let spans = [
        page.span(&format!("{sign} {}", stage(rollout.stage)), style),
        page.span(" — ", Style::Plain),
        page.span(&format!("rolling restart of {}, {nodes}", rollout.cluster), Style::Strong),
        page.span(&format!(" [{}]", rollout.id), Style::Dim),
    ];
    page.flow(2, &spans);
}

/// What there is to do about one that stopped.
fn next(page: &mut Page, rollout: &Rollout) {
    if rollout.stage != RolloutStage::Stopped {
        return;
    }
    let failed = rollout.turns.iter().find(|turn| turn.phase == Phase::Failed);
    let first = failed.map(|turn| format!("dialtone diagnose {}; then ", turn.node)).unwrap_or_default();
    let text = format!("{first}dialtone rollout propose {} proposes it anew", rollout.cluster);
    entry(page, "NEXT", &text, Style::Warning);
}

/// How it fared so far; of one that was only proposed the head has said everything.
fn history(page: &mut Page, rollout: &Rollout, extent: Extent, terminal: &Terminal) {
    if rollout.history.len() < 2 {
        return;
    }
    page.blank();
    let earlier = match extent {
        Extent::Screen => rollout.history.len().saturating_sub(MAX_MOMENTS),
        Extent::Whole | Extent::Signed => 0,
    };
    if earlier > 0 {
        page.cut(2, &format!("… {earlier} earlier"), Style::Dim);
    }
    for step in rollout.history.iter().skip(earlier) {
        moment(page, 2, step, terminal);
    }
    page.blank();
}

/// One thing that happened, on a line.
pub(crate) fn moment(page: &mut Page, indent: usize, moment: &Moment, terminal: &Terminal) {
    let time = page.span(&format!("{:indent$}{}  ", "", local(moment.at, terminal)), Style::Dim);
    let hang = time.width();
    let node = moment.node.as_ref().map(|node| format!("{node}: ")).unwrap_or_default();
    let who = if moment.who == "controller" { String::new() } else { format!(" — {}", moment.who) };
    let spans =
        [time, page.span(&node, Style::Strong), page.span(&moment.what, Style::Plain), page.span(&who, Style::Dim)];
    page.flow(hang, &spans);
}

/// What it stopped for is not said again.
fn node(page: &mut Page, n: usize, turn: &Turn, stop: Option<&str>, terminal: &Terminal) {
    let (sign, style) = sign_of(turn.phase);
    let label = if n == 0 { "NODES" } else { "" };
    let since = if is_under_way(turn.phase) { format!(", {}", ago(turn.since, terminal.now)) } else { String::new() };
    let is_new = |said: &&String| turn.phase != Phase::Waits && !stop.is_some_and(|stop| stop.contains(said.as_str()));
    let said = turn.said.as_ref().filter(is_new).map(|said| format!(" — {said}")).unwrap_or_default();
    let spans = [
        page.span(&format!("{label:MARGIN$}"), Style::Strong),
        page.span(&format!("{}. ", n + 1), Style::Plain),
        page.span(turn.node.as_str(), Style::Strong),
        page.span(&format!("  {sign} {}", phase(turn.phase)), style),
        page.span(&format!("{since}{said}"), Style::Plain),
    ];
    page.flow(MARGIN + 3, &spans);
}

/// Said once where it is the same for every node.
fn approvals(page: &mut Page, fetched: &FetchedRollout, terminal: &Terminal) {
    let waits = fetched.rollout.stage == RolloutStage::Proposed;
    let mut label = "APPROVED";
    let of_nodes = fetched.plans.iter().map(|plan| (plan.plan.node.as_str(), plan.persons()));
    let groups = alike(of_nodes.collect());
    if let ([(_, persons)], Some(first)) = (groups.as_slice(), fetched.plans.first()) {
        for approved in first.valid_approvals() {
            let text = format!("by {}, {}", approved.operator, ago(approved.at, terminal.now));
            entry(page, std::mem::take(&mut label), &text, Style::Plain);
        }
        if let Some(wanted) = persons.wanted().filter(|_| waits) {
            let nobody = if persons.by.is_empty() { "by nobody yet; " } else { "" };
            entry(page, label, &format!("{nobody}{wanted}. One yes signs for every node"), Style::Warning);
        }
        return;
    }
    for (nodes, persons) in groups {
        let text = format!("{}: {}", nodes.join(", "), persons.so_far());
        entry(page, std::mem::take(&mut label), &text, if waits { Style::Warning } else { Style::Plain });
    }
}

/// Nodes with the same persons together.
fn alike(of_nodes: Vec<(&str, Persons)>) -> Vec<(Vec<&str>, Persons)> {
    let mut groups: Vec<(Vec<&str>, Persons)> = Vec::new();
    for (node, persons) in of_nodes {
        match groups.iter_mut().find(|(_, known)| *known == persons) {
            Some((nodes, _)) => nodes.push(node),
            None => groups.push((vec![node], persons)),
        }
    }
    groups
}

/// For whom a rollout waits, by the records of its plans.
pub(crate) fn waits(rollout: &Rollout, plans: &[Record]) -> Option<String> {
    if rollout.stage != RolloutStage::Proposed {
        return None;
    }
    let groups = alike(plans.iter().map(|record| (record.node.as_str(), Persons::told(record))).collect());
    match groups.as_slice() {
        [] => None,
        [(_, persons)] => Some(persons.so_far()),
        several => {
            let each = several.iter().map(|(nodes, persons)| format!("{}: {}", nodes.join(", "), persons.so_far()));
            Some(each.collect::<Vec<_>>().join("; "))
        }
    }
}

fn entry(page: &mut Page, label: &str, text: &str, style: Style) {
    let label = page.span(&format!("{label:MARGIN$}"), Style::Strong);
    let text = page.span(text, style);
    page.flow(MARGIN, &[label, text]);
}

/// How it ended, or where it stands, in one line; then the nodes.
pub(crate) fn outcome(rollout: &Rollout, terminal: &Terminal) -> Page {
    let mut page = Page::new(terminal);
    let (sign, style) = sign(rollout.stage);
    let spans = [
        page.span(&format!("{sign} {}", stage(rollout.stage)), style),
        page.span(&format!(" — {}", stands(rollout)), Style::Plain),
    ];
    page.flow(2, &spans);
    for (n, turn) in rollout.turns.iter().enumerate() {
        node_short(&mut page, n, turn);
    }
    held(&mut page, rollout);
    page
}

/// Where it stands, in a sentence.
fn stands(rollout: &Rollout) -> String {
    let done = rollout.turns.iter().filter(|turn| turn.phase == Phase::Done).count();
    let (cluster, nodes) = (&rollout.cluster, rollout.turns.len());
    match rollout.stage {
        RolloutStage::Done => format!("every node of {cluster} was restarted, and it is no worse than before"),
        RolloutStage::Rejected | RolloutStage::Expired => format!("nothing was done to {cluster}"),
        RolloutStage::Stopped | RolloutStage::Stopping => {
            let why = rollout.stop.clone().unwrap_or_default();
            format!("after {done} of {nodes} nodes of {cluster}: {why}")
        }
        RolloutStage::Proposed => format!("rolling restart of {cluster}"),
        RolloutStage::Running => {
            let stops = rollout.stop.as_ref().map(|why| format!("; it ends with this node: {why}")).unwrap_or_default();
            format!("{done} of {nodes} nodes of {cluster} are done{stops}")
        }
    }
}

/// While it is under way that is a part of it.
fn held(page: &mut Page, rollout: &Rollout) {
    if rollout.held && rollout.stage != RolloutStage::Running {
        page.flow(2, &[page.span("! shard allocation is still held to primaries; it is being put back", Style::Bad)]);
    }
}

fn node_short(page: &mut Page, n: usize, turn: &Turn) {
    let (sign, style) = sign_of(turn.phase);
    let spans = [
        page.span(&format!("  {}. ", n + 1), Style::Plain),
        page.span(turn.node.as_str(), Style::Strong),
        page.span(&format!("  {sign} {}", phase(turn.phase)), style),
    ];
    page.flow(5, &spans);
}

/// What is being waited for, on one line.
pub(crate) fn waiting(rollout: &Rollout) -> String {
    if rollout.stage == RolloutStage::Proposed {
        return "waits for approval".to_owned();
    }
    let current = rollout.turns.iter().enumerate().find(|(_, turn)| is_under_way(turn.phase));
    match current {
        Some((n, turn)) => {
            let said = turn.said.as_ref().map(|said| format!(" — {said}")).unwrap_or_default();
            format!("{} ({} of {}): {}{said}", turn.node, n + 1, rollout.turns.len(), phase(turn.phase))
        }
        None => "puts shard allocation back".to_owned(),
    }
}

/// Many, a line each, and for whom they wait, by the records of the plans that wait.
pub(crate) fn list(rollouts: &[Rollout], plans: &[Record], all: bool, terminal: &Terminal) -> String {
    let mut page = Page::new(terminal);
    if rollouts.is_empty() {
        let none = match all {
            true => "No rolling restart was ever proposed. dialtone rollout propose CLUSTER does.",
            false => "No rolling restart waits or is under way; --all shows those that have ended.",
        };
        page.flow(0, &[page.span(none, Style::Plain)]);
        return page.to_text();
    }
    let headings = ["ROLLOUT", "STATE", "CLUSTER", "NODES"].map(|heading| page.span(heading, Style::Dim));
    let rows: Vec<[Span; 4]> = rollouts.iter().map(|rollout| row(&page, rollout)).collect();
    page.table(headings, rows);
    // From below, so that the lines above keep their places; the first is the headings'.
    for (line, rollout) in rollouts.iter().enumerate().rev() {
        if let Some(words) = waits(rollout, &of(rollout, plans)) {
            let mut below = Page::new(terminal);
            below.flow(4, &[below.span(&format!("  {words}"), Style::Dim)]);
            page.insert(line + 2, below);
        }
    }
    page.to_text()
}

/// The records of a rollout's plans.
pub(crate) fn of(rollout: &Rollout, plans: &[Record]) -> Vec<Record> {
    plans.iter().filter(|record| record.rollout.as_ref() == Some(&rollout.id)).cloned().collect()
}

/// One of them: which, how it stands, where, and how far each node is.
pub(crate) fn row(page: &Page, rollout: &Rollout) -> [Span; 4] {
    let (sign, style) = sign(rollout.stage);
    let nodes: Vec<String> =
        rollout.turns.iter().map(|turn| format!("{} {}", sign_of(turn.phase).0, turn.node)).collect();
    [
        page.span(rollout.id.as_str(), Style::Strong),
        page.span(&format!("{sign} {}", stage(rollout.stage)), style),
        page.span(&rollout.cluster, Style::Plain),
        page.span(&nodes.join("  "), Style::Plain),
    ]
}

fn is_under_way(phase: Phase) -> bool {
    !matches!(phase, Phase::Waits | Phase::Done | Phase::Failed | Phase::Untouched)
}

fn stage(stage: RolloutStage) -> &'static str {
    match stage {
        RolloutStage::Proposed => "waits for approval",
        RolloutStage::Running => "under way",
        RolloutStage::Stopping => "stopping",
        RolloutStage::Done => "done",
        RolloutStage::Stopped => "stopped",
        RolloutStage::Rejected => "rejected",
        RolloutStage::Expired => "expired",
    }
}

fn sign(stage: RolloutStage) -> (&'static str, Style) {
    match stage {
        RolloutStage::Proposed => ("?", Style::Warning),
        RolloutStage::Running => ("…", Style::Warning),
        RolloutStage::Done => ("✓", Style::Good),
        RolloutStage::Stopping | RolloutStage::Stopped | RolloutStage::Rejected | RolloutStage::Expired => {
            ("✗", Style::Bad)
        }
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Waits => "waits for its turn",
        Phase::Checks => "is checked",
        Phase::Holds => "allocation is held",
        Phase::Flushes => "flushes",
        Phase::Restarts => "restarts",
        Phase::Rejoins => "joins the cluster again",
        Phase::Releases => "allocation is put back",
        Phase::Recovers => "the cluster recovers",
        Phase::Done => "done",
        Phase::Failed => "stopped here",
        Phase::Untouched => "not touched",
    }
}

fn sign_of(phase: Phase) -> (&'static str, Style) {
    match phase {
        Phase::Waits | Phase::Untouched => ("·", Style::Dim),
        Phase::Done => ("✓", Style::Good),
        Phase::Failed => ("✗", Style::Bad),
        _ => ("…", Style::Warning),
    }
}
