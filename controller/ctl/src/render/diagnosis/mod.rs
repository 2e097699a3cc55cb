//! A diagnosis as one screen: the answer, the path, why, what shows it, what changed, what fixes it.

mod answer;
mod path;
mod sections;
#[cfg(test)]
mod tests;

use common_model::{Certainty, Diagnosis};

pub(crate) use answer::symptom;
pub(crate) use path::stages;

use crate::render::Page;
use crate::terminal::Terminal;

/// How much of the secondary parts is shown.
#[derive(Debug, Clone, Copy)]
struct Detail {
    /// Links of the chain, counted from the root.
    links: usize,
    /// Pieces of evidence.
    citations: usize,
    /// Lines of each; 0 puts the first of them behind its source.
    excerpt: usize,
    /// Lines of a diff.
    diff: usize,
    /// Gaps in the evidence.
    missing: usize,
    /// Which cautions a remedy carries.
    cautions: Cautions,
    /// Whether the remedies after the first, and what was ruled out, are shown at all.
    rest: bool,
    /// Whether sections are set apart by empty lines.
    airy: bool,
    /// Whether reasons and lists are shown whole.
    all: bool,
}

/// What is said of the risk and the undoing of a remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cautions {
    Whole,
    OneLineEach,
    OnlyRisk,
}

/// Everything there is.
const EVERYTHING: Detail = Detail {
    links: usize::MAX,
    citations: usize::MAX,
    excerpt: usize::MAX,
    diff: usize::MAX,
    missing: usize::MAX,
    cautions: Cautions::Whole,
    rest: true,
    airy: true,
    all: true,
};

const ROOMY: Detail = Detail { citations: 6, excerpt: 8, diff: 16, missing: 4, all: false, ..EVERYTHING };
const USUAL: Detail = Detail { citations: 3, excerpt: 4, diff: 8, missing: 3, ..ROOMY };
const DENSE: Detail = Detail { excerpt: 2, diff: 6, missing: 2, airy: false, ..USUAL };
const TIGHT: Detail =
    Detail { links: 3, citations: 2, excerpt: 0, diff: 4, missing: 1, cautions: Cautions::OneLineEach, ..DENSE };
const LEAST: Detail = Detail { links: 1, citations: 1, diff: 2, cautions: Cautions::OnlyRisk, rest: false, ..TIGHT };

/// The first that fits the screen is used.
const LEVELS: [Detail; 5] = [ROOMY, USUAL, DENSE, TIGHT, LEAST];

/// Lays out a diagnosis for this terminal. `verbose` shows everything; without it, what does not fit the screen is cut,
/// and what was cut is said.
pub(crate) fn diagnosis(diagnosis: &Diagnosis, terminal: &Terminal, verbose: bool) -> String {
    if verbose {
        return page(diagnosis, terminal, EVERYTHING).to_text();
    }
    // One line is the prompt that follows, one the command that was typed.
    let room = terminal.height.map_or(usize::MAX, |height| height.saturating_sub(2));
    let pages = LEVELS.into_iter().map(|level| page(diagnosis, terminal, level));
    let mut shown = page(diagnosis, terminal, LEAST);
    for page in pages {
        let fits = page.height() <= room;
        shown = page;
        if fits {
            break;
        }
    }
    shown.to_text()
}

/// What fits a screen in most cases, for a page that can be scrolled.
pub(crate) fn usual(diagnosis: &Diagnosis, terminal: &Terminal) -> Page {
    page(diagnosis, terminal, TIGHT)
}

fn page(diagnosis: &Diagnosis, terminal: &Terminal, detail: Detail) -> Page {
    let mut page = Page::new(terminal);
    answer::answer(&mut page, diagnosis);
    if is_healthy(diagnosis) && !detail.all {
        answer::reservations(&mut page, diagnosis);
        return page;
    }
    page.blank();
    stages(&mut page, &diagnosis.path);
    if detail.airy || diagnosis.verdict.chain.len() < 2 {
        path::deciding_stage(&mut page, diagnosis);
    }
    path::vantages(&mut page, diagnosis);
    let mut sections = sections::Sections { page: &mut page, diagnosis, terminal, detail };
    sections.why();
    if diagnosis.verdict.certainty == Certainty::Undetermined {
        sections.missing();
    }
    sections.evidence();
    sections.change();
    sections.fix();
    sections.also_blocking();
    sections.ruled_out();
    if diagnosis.verdict.certainty != Certainty::Undetermined {
        sections.missing();
    }
    sections.footer();
    page
}

/// True when nothing is wrong.
pub(crate) fn is_healthy(diagnosis: &Diagnosis) -> bool {
    diagnosis.verdict.cause.as_str() == "healthy"
}
