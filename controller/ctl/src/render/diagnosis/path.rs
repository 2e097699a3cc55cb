//! The path as stages, and what each vantage saw of it.

use common_model::diagnosis::{PathStage, StageState};
use common_model::{Diagnosis, Probe};

use super::answer::symptom;
use crate::render::{Page, Style};

const INDENT: usize = 2;

/// Adds the stages on a line, or on as many as they need.
pub(crate) fn stages(page: &mut Page, stages: &[PathStage]) {
    let mut spans = vec![page.span(&" ".repeat(INDENT), Style::Plain)];
    for (n, stage) in stages.iter().enumerate() {
        let (sign, style) = sign(stage.state);
        if n > 0 {
            spans.push(page.span("──", Style::Dim));
        }
        spans.push(page.span(&format!("{} {sign}", stage.stage), style));
    }
    page.flow(INDENT, &spans);
}

/// Adds the first stage that is not passed, in words.
pub(super) fn deciding_stage(page: &mut Page, diagnosis: &Diagnosis) {
    if let Some(stage) = deciding(diagnosis) {
        let word = if stage.state == StageState::Fail { "fails" } else { "unknown" };
        let told = diagnosis.verdict.chain.iter().any(|link| link.sentence == stage.sentence);
        if !told && stage.sentence != "not known" && stage.sentence != diagnosis.verdict.sentence {
            let head = page.span(&format!("  {} {word}: ", stage.stage), sign(stage.state).1);
            let sentence = page.span(&stage.sentence, Style::Plain);
            page.flow(INDENT + 2, &[head, sentence]);
        }
    }
}

/// The first stage that fails, or else the first that is unknown.
fn deciding(diagnosis: &Diagnosis) -> Option<&PathStage> {
    let first = |state| diagnosis.path.iter().find(|stage| stage.state == state);
    first(StageState::Fail).or_else(|| first(StageState::Unknown))
}

fn sign(state: StageState) -> (&'static str, Style) {
    match state {
        StageState::Pass => ("✓", Style::Passed),
        StageState::Fail => ("✗", Style::Bad),
        StageState::Unknown => ("?", Style::Warning),
        StageState::NotReached => ("·", Style::Dim),
    }
}

/// Adds what the vantages saw: those that saw the same together.
pub(super) fn vantages(page: &mut Page, diagnosis: &Diagnosis) {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for probe in &diagnosis.probes {
        let (what, from) = (what(probe), from(probe));
        match groups.iter_mut().find(|(known, _)| *known == what) {
            Some((_, vantages)) => vantages.push(from),
            None => groups.push((what, vec![from])),
        }
    }
    for (what, vantages) in groups {
        let head = page.span(&format!("  {what} "), Style::Plain);
        let tail = page.span(&vantages.join(", "), Style::Dim);
        page.flow(INDENT + 2, &[head, tail]);
    }
}

/// `10.0.0.5 refused (ECONNREFUSED)`.
fn what(probe: &Probe) -> String {
    let address = probe.address.map_or_else(|| "the name".to_owned(), |address| address.to_string());
    let errno = probe.errno.as_ref().map(|errno| format!(" ({errno})")).unwrap_or_default();
    format!("{address} {}{errno}", symptom(probe.outcome))
}

/// `from here in 0.1 ms`.
fn from(probe: &Probe) -> String {
    let time = probe.rtt_ms.map(|rtt| format!(" in {rtt:.1} ms")).unwrap_or_default();
    format!("from {}{time}", probe.vantage)
}
