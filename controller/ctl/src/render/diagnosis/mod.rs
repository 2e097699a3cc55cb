//! A diagnosis as one screen: the answer, the path, why, what shows it, what changed, what fixes it.

mod answer;
mod path;
mod sections;
#[cfg(test)]
mod tests;

use common_model::{Certainty, Diagnosis};

use crate::render::Page;
use crate::terminal::Terminal;

/// How much of the secondary parts is shown.
#[derive(Debug, Clone, Copy)]
struct Detail {
    /// Pieces of evidence.
    citations: usize,
    /// Lines of each; 0 puts the first of them behind its source.
    excerpt: usize,
    /// Gaps in the evidence.
    missing: usize,
    /// Lines of a diff.
    diff: usize,
    /// Whether the edit a remedy makes is shown beside the commands that make it.
    edits: bool,
    /// Whether risk and undo may take more than a line.
    cautions: bool,
    /// Whether sections are set apart by empty lines.
    airy: bool,
    /// Whether reasons and lists are shown whole.
    all: bool,
}

/// From much to what must be there. The first that fits the screen is used.
const LEVELS: [Detail; 4] = [
    Detail { citations: 6, excerpt: 8, missing: 4, diff: 16, edits: true, cautions: true, airy: true, all: false },
    Detail { citations: 3, excerpt: 4, missing: 3, diff: 8, edits: false, cautions: true, airy: true, all: false },
    Detail { citations: 3, excerpt: 2, missing: 2, diff: 6, edits: false, cautions: true, airy: false, all: false },
    Detail { citations: 2, excerpt: 0, missing: 1, diff: 4, edits: false, cautions: false, airy: false, all: false },
];

const EVERYTHING: Detail = Detail {
    citations: usize::MAX,
    excerpt: usize::MAX,
    missing: usize::MAX,
    diff: usize::MAX,
    edits: true,
    cautions: true,
    airy: true,
    all: true,
};

/// Lays out a diagnosis for this terminal. `verbose` shows everything; without it, what does not fit the screen is cut,
/// and what was cut is said.
pub(crate) fn diagnosis(diagnosis: &Diagnosis, terminal: &Terminal, verbose: bool) -> String {
    if verbose {
        return page(diagnosis, terminal, EVERYTHING).to_text();
    }
    // One line is the prompt that follows, one the command that was typed.
    let room = terminal.height.map_or(usize::MAX, |height| height.saturating_sub(2));
    let mut shown = page(diagnosis, terminal, LEVELS[0]);
    for level in LEVELS.into_iter().skip(1) {
        if shown.height() <= room {
            break;
        }
        shown = page(diagnosis, terminal, level);
    }
    shown.to_text()
}

fn page(diagnosis: &Diagnosis, terminal: &Terminal, detail: Detail) -> Page {
    let mut page = Page::new(terminal);
    answer::answer(&mut page, diagnosis);
    if is_healthy(diagnosis) && !detail.all {
        answer::reservations(&mut page, diagnosis);
        return page;
    }
    page.blank();
    path::path(&mut page, diagnosis);
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
