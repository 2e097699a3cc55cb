//! The parts below the path, each behind a word in the margin.

use common_model::diagnosis::{ChangeSeen, Citation, Link, Remedy, RemedyKind, RuledOut};
use common_model::{Diagnosis, EvidenceId};
use common_plan::Action;

use super::{Cautions, Detail, is_healthy};
use crate::render::time::{ago, local, local_and_ago};
use crate::render::{Page, Style};
use crate::terminal::Terminal;

/// Width of the margin the headings stand in.
const MARGIN: usize = 11;

/// Evidence older than this is shown with its age.
const OLD_MS: i64 = 60_000;

pub(super) struct Sections<'a> {
    pub(super) page: &'a mut Page,
    pub(super) diagnosis: &'a Diagnosis,
    pub(super) terminal: &'a Terminal,
    pub(super) detail: Detail,
}

impl<'a> Sections<'a> {
    /// The chain, from the symptom down to the root.
    pub(super) fn why(&mut self) {
        let verdict = &self.diagnosis.verdict;
        let told = |link: &Link| verdict.sentence.starts_with(link.sentence.trim_end_matches('.'));
        if matches!(verdict.chain.as_slice(), [] | [_]) && verdict.chain.iter().all(told) {
            return;
        }
        self.heading();
        let skipped = verdict.chain.len().saturating_sub(self.detail.links);
        for (n, link) in verdict.chain.iter().skip(skipped).enumerate() {
            let label = if n == 0 { "WHY" } else { "" };
            let (arrow, hang) = if n == 0 { ("", 0) } else { ("← ", 2) };
            self.entry_hanging(label, hang, &format!("{arrow}{}", link.sentence), Style::Plain);
        }
    }

    /// The excerpts that decide.
    pub(super) fn evidence(&mut self) {
        let citations = self.deciding();
        if citations.is_empty() {
            return;
        }
        self.heading();
        let shown = citations.len().min(self.detail.citations);
        for (n, citation) in citations.iter().take(shown).enumerate() {
            let mut source = citation.source.clone();
            if let Some(node) = citation.node.as_ref().filter(|node| self.diagnosis.verdict.node.as_ref() != Some(node))
            {
                source = format!("{node}: {source}");
            }
            if self.terminal.now.millis_since(citation.taken_at) > OLD_MS {
                source = format!("{source}  (read {})", ago(citation.taken_at, self.terminal.now));
            }
            let label = if n == 0 { "EVIDENCE" } else { "" };
            if self.detail.excerpt == 0 {
                let first = citation.excerpt.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
                self.entry_cut(label, &format!("{source}: {}", first.trim()), Style::Plain);
            } else {
                self.entry(label, &source, Style::Strong);
                self.quote(&citation.excerpt);
            }
        }
        self.more(citations.len() - shown, "piece of evidence", "pieces of evidence");
    }

    /// What changed, when, by whom.
    pub(super) fn change(&mut self) {
        let Some(change) = &self.diagnosis.change else { return };
        self.heading();
        let when_and_who = self.when_and_who(change);
        let told_by_diff = !self.detail.airy && !change.diff.is_empty();
        let what = if told_by_diff { String::new() } else { format!("{}, ", change.what) };
        self.entry("CHANGE", &format!("{what}{when_and_who}"), Style::Plain);
        self.diff(&change.diff);
    }

    /// What fixes it, the best first.
    pub(super) fn fix(&mut self) {
        if self.diagnosis.remedies.is_empty() || is_healthy(self.diagnosis) {
            return;
        }
        self.heading();
        let several = self.diagnosis.remedies.len() > 1;
        let shown = if self.detail.rest { usize::MAX } else { 1 };
        for (n, remedy) in self.diagnosis.remedies.iter().enumerate().take(shown) {
            let number = if several { format!("{}. ", n + 1) } else { String::new() };
            let title = format!("{number}{}{}", remedy.title, by(remedy));
            self.entry(if n == 0 { "FIX" } else { "" }, &title, if n == 0 { Style::Good } else { Style::Plain });
            if n == 0 || self.detail.all {
                self.remedy(remedy);
            }
        }
        self.more(self.diagnosis.remedies.len().saturating_sub(shown), "fix", "fixes");
    }

    /// What would block next.
    pub(super) fn also_blocking(&mut self) {
        if self.diagnosis.blockers.is_empty() {
            return;
        }
        self.heading();
        for (n, blocker) in self.diagnosis.blockers.iter().enumerate() {
            let label = if n == 0 { "ALSO" } else { "" };
            self.entry(label, &format!("blocks next: {} [{}]", blocker.sentence, blocker.cause), Style::Warning);
        }
    }

    /// What it is not.
    pub(super) fn ruled_out(&mut self) {
        // That the client is not served is what was asked.
        let ruled_out = self.diagnosis.ruled_out.iter().filter(|out| out.cause.as_str() != "healthy");
        let ruled_out: Vec<&RuledOut> = ruled_out.collect();
        if ruled_out.is_empty() || !self.detail.rest {
            return;
        }
        self.heading();
        if self.detail.all {
            for (n, (because, causes)) in grouped(&ruled_out, |out| out.because.as_str()).into_iter().enumerate() {
                let causes: Vec<&str> = causes.iter().map(|out| out.cause.as_str()).collect();
                let label = if n == 0 { "RULED OUT" } else { "" };
                self.entry_hanging(label, 2, &format!("{}: {because}", causes.join(", ")), Style::Dim);
            }
            return;
        }
        // Those that something seen speaks against come before those that nothing speaks for.
        let (seen, unseen): (Vec<_>, Vec<_>) = ruled_out.into_iter().partition(|out| !out.evidence.is_empty());
        let causes: Vec<&str> = seen.into_iter().chain(unseen).map(|out| out.cause.as_str()).collect();
        let plural = if causes.len() == 1 { "" } else { "s" };
        let head = format!("{:MARGIN$}{} cause{plural} (-v says why): ", "RULED OUT", causes.len());
        self.page.cut(0, &format!("{head}{}", causes.join(", ")), Style::Dim);
    }

    /// What could not be known, and how to know it.
    pub(super) fn missing(&mut self) {
        if self.diagnosis.missing.is_empty() {
            return;
        }
        self.heading();
        let missing = &self.diagnosis.missing;
        let shown = missing.get(..self.detail.missing).unwrap_or(missing);
        let mut label = "MISSING";
        for (place, gaps) in grouped(shown, |gap| place(&gap.how_to_get_it).0) {
            // Several things to be done at one place stand below its name.
            let below = gaps.len() > 1 && !place.is_empty();
            if below {
                self.entry(std::mem::take(&mut label), &format!("{place}:"), Style::Plain);
            }
            for gap in gaps {
                let how = if below { self::place(&gap.how_to_get_it).1 } else { &gap.how_to_get_it };
                let (indent, hang) = if below { ("  ", 4) } else { ("", 2) };
                let text = format!("{indent}{} → {how}", gap.evidence);
                self.entry_hanging(std::mem::take(&mut label), hang, &text, Style::Plain);
            }
        }
        match missing.len() - shown.len() {
            0 => {}
            more => self.page.cut(MARGIN + 2, &format!("… and {more} more: -v, or -o json"), Style::Dim),
        }
    }

    /// What each probe met, and how long it all took.
    pub(super) fn footer(&mut self) {
        if !self.detail.all {
            return;
        }
        self.heading();
        for (n, probe) in self.diagnosis.probes.iter().enumerate() {
            let label = if n == 0 { "PROBES" } else { "" };
            self.entry(label, &format!("from {}: {}", probe.vantage, probe.message), Style::Dim);
        }
        self.entry("TOOK", &format!("{} ms", self.diagnosis.elapsed_ms), Style::Dim);
    }

    /// The evidence of the chain, or of whatever was cited when the chain cites none. Probes are left to the path, unless
    /// there is nothing else.
    fn deciding(&self) -> Vec<&'a Citation> {
        let diagnosis = self.diagnosis;
        let all = &diagnosis.evidence;
        if self.detail.all {
            return all.iter().collect();
        }
        let ids: Vec<&EvidenceId> = diagnosis.verdict.chain.iter().rev().flat_map(|link| &link.evidence).collect();
        let mut cited: Vec<&'a Citation> = Vec::new();
        for id in ids {
            if let Some(citation) =
                all.iter().find(|citation| citation.id == *id).filter(|found| !cited.contains(found))
            {
                cited.push(citation);
            }
        }
        if cited.is_empty() {
            cited = all.iter().collect();
        }
        let from_nodes: Vec<&'a Citation> = cited.iter().copied().filter(|citation| citation.node.is_some()).collect();
        if from_nodes.is_empty() { cited } else { from_nodes }
    }

    fn when_and_who(&self, change: &ChangeSeen) -> String {
        let mut text = local_and_ago(change.at, self.terminal);
        if let Some(since) = change.not_before.filter(|since| self.detail.all && *since != change.at) {
            text.push_str(&format!(", not before {}", local(since, self.terminal)));
        }
        if let Some(who) = &change.who {
            text.push_str(&format!(" by {who}"));
        }
        if let Some(how) = &change.how {
            text.push_str(&format!(" with {how}"));
        }
        text
    }

    /// The edit before the commands: they may speak of it.
    fn remedy(&mut self, remedy: &Remedy) {
        self.diff(remedy.diff.as_deref().unwrap_or_default());
        for line in remedy.commands.iter().flat_map(|command| command.lines()) {
            self.page.whole(MARGIN + 2, line, Style::Command);
        }
        let (risk, undo) = (format!("risk  {}", remedy.risk), format!("undo  {}", remedy.undo));
        let whole = self.detail.cautions == Cautions::Whole;
        match remedy.risk.as_str() {
            "" => {}
            risk if whole => {
                let head = self.page.span(&format!("{:MARGIN$}  risk  ", ""), Style::Dim);
                let risk = self.page.span(risk, Style::Plain);
                self.page.flow(MARGIN + 8, &[head, risk]);
            }
            _ => self.page.cut(MARGIN + 2, &risk, Style::Plain),
        }
        match self.detail.cautions {
            _ if remedy.undo.is_empty() => {}
            Cautions::Whole => self.page.whole(MARGIN + 2, &undo, Style::Plain),
            Cautions::OneLineEach => self.page.cut(MARGIN + 2, &undo, Style::Plain),
            Cautions::OnlyRisk => {}
        }
    }

    fn quote(&mut self, excerpt: &str) {
        let lines: Vec<&str> = excerpt.lines().filter(|line| !line.trim().is_empty()).collect();
        let shown = lines.len().min(self.detail.excerpt);
        for line in lines.iter().take(shown) {
            self.text_line(line, Style::Plain);
        }
        self.more(lines.len() - shown, "line", "lines");
    }

    /// Position marks and context of a diff are left to `-v`: the source of the evidence names the line.
    fn diff(&mut self, diff: &str) {
        let lines: Vec<&str> = diff.lines().filter(|line| self.detail.all || is_difference(line)).collect();
        let shown = lines.len().min(self.detail.diff);
        for line in lines.iter().take(shown) {
            let style = match line.as_bytes().first() {
                _ if is_position(line) => Style::Dim,
                Some(b'+') => Style::Added,
                Some(b'-') => Style::Removed,
                _ => Style::Dim,
            };
            self.text_line(line, style);
        }
        self.more(lines.len() - shown, "line", "lines");
    }

    fn text_line(&mut self, line: &str, style: Style) {
        match self.detail.all {
            true => self.page.whole(MARGIN + 2, line, style),
            false => self.page.cut(MARGIN + 2, line, style),
        }
    }

    fn more(&mut self, count: usize, one: &str, several: &str) {
        if count > 0 {
            let what = if count == 1 { one } else { several };
            self.page.cut(MARGIN + 2, &format!("… {count} more {what} (-v)"), Style::Dim);
        }
    }

    fn entry(&mut self, label: &str, text: &str, style: Style) {
        self.entry_hanging(label, 0, text, style);
    }

    /// The lines after the first are indented by `hang` more.
    fn entry_hanging(&mut self, label: &str, hang: usize, text: &str, style: Style) {
        let label = self.page.span(&format!("{label:MARGIN$}"), Style::Strong);
        let text = self.page.span(text, style);
        self.page.flow(MARGIN + hang, &[label, text]);
    }

    fn entry_cut(&mut self, label: &str, text: &str, style: Style) {
        let label = self.page.span(&format!("{label:MARGIN$}"), Style::Strong);
        let text = self.page.span(text, style);
        self.page.row(&[], vec![label, text]);
    }

    fn heading(&mut self) {
        if self.detail.airy {
            self.page.blank();
        }
    }
}

/// What has the same key together, in the order of each key's first.
fn grouped<'a, T>(items: &'a [T], key: impl Fn(&'a T) -> &'a str) -> Vec<(&'a str, Vec<&'a T>)> {
    let mut groups: Vec<(&str, Vec<&T>)> = Vec::new();
    for item in items {
        let key = key(item);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(item),
            None => groups.push((key, vec![item])),
        }
    }
    groups
}

/// Where something is to be done, `on es-1`, and what; the place is empty where none is said.
fn place(how: &str) -> (&str, &str) {
    how.split_once(": ").filter(|(place, _)| place.starts_with("on ")).unwrap_or(("", how))
}

fn is_difference(line: &str) -> bool {
    line.starts_with(['+', '-']) && !is_position(line)
}

fn is_position(line: &str) -> bool {
    line.starts_with("--- ") || line.starts_with("+++ ") || line.starts_with("@@")
}

/// Who carries a remedy out, where it is not the reader on the node; and how to have it done, where there is a plan.
fn by(remedy: &Remedy) -> String {
    let who = match (remedy.kind, &remedy.plan_id) {
        (kind, Some(plan)) => {
            let whom = match kind {
                RemedyKind::PullRequest => "a pull request",
                _ if remedy.action.as_str() == Action::SecurityGroupAllow.to_string() => "the controller",
                _ => "the node",
            };
            return format!(" (by {whom}: dialtone approve {plan})");
        }
        (RemedyKind::Approve, None) => " (by the node, once approved)",
        (RemedyKind::PullRequest, None) => " (by a pull request)",
        (RemedyKind::Client, None) => " (on the client)",
        (RemedyKind::Manual, None) => "",
    };
    who.to_owned()
}
