//! From a verdict to what fixes it. Pure: it reads the picture, never diagnoses anew, and changes nothing.

pub mod actions;
mod ask;
mod drop_in;
pub mod incident;
pub mod lifecycle;
pub mod plan;
pub mod rollout;
mod shell;
pub mod step;
#[cfg(test)]
mod tests;

pub use ask::Ask;

use common_model::Diagnosis;
use controller_correlate::Picture;

/// Fills in the remedies: those of the verdict, best first, then those of each further blocker.
pub fn with_remedies(mut diagnosis: Diagnosis, picture: &Picture) -> Diagnosis {
    // The change is what brought the verdict, not what is behind it.
    let behind = diagnosis.blockers.iter().map(|blocker| (blocker, None));
    let mut remedies = Vec::new();
    for (verdict, change) in std::iter::once((&diagnosis.verdict, diagnosis.change.as_ref())).chain(behind) {
        let ask = Ask::new(verdict, change, picture);
        for remedy in actions::for_cause(verdict.cause.as_str()).flat_map(|action| (action.propose)(&ask)) {
            if !remedies.contains(&remedy) {
                remedies.push(remedy);
            }
        }
    }
    diagnosis.remedies = remedies;
    diagnosis
}
