//! From a verdict to what fixes it. Pure: it reads the picture, never diagnoses anew, and changes nothing.

pub mod actions;
mod ask;
pub mod lifecycle;
pub mod plan;
mod shell;
pub mod step;

pub use ask::Ask;

use common_model::Diagnosis;
use controller_correlate::Picture;

/// Fills in the remedies: those of the verdict, best first, then those of each further blocker.
pub fn with_remedies(mut diagnosis: Diagnosis, picture: &Picture) -> Diagnosis {
    let verdicts = std::iter::once(&diagnosis.verdict).chain(&diagnosis.blockers);
    let mut remedies = Vec::new();
    for verdict in verdicts {
        let ask = Ask::new(verdict, diagnosis.change.as_ref(), picture);
        let fitting = actions::ALL.iter().filter(|action| action.causes.contains(&verdict.cause.as_str()));
        for remedy in fitting.flat_map(|action| (action.propose)(&ask)) {
            if !remedies.contains(&remedy) {
                remedies.push(remedy);
            }
        }
    }
    diagnosis.remedies = remedies;
    diagnosis
}
