//! Names the cause. A pure function of a picture: the same picture gives the same verdict, always.

mod assemble;
mod case;
pub mod causes;
mod cite;
mod client_error;
mod cloud;
mod finding;
mod gaps;
mod packet;
mod path;
mod preflight;
mod quote;
mod start;
#[cfg(test)]
mod tests;
mod wire;

use common_model::Diagnosis;
use controller_correlate::Picture;

pub use case::Case;
pub use finding::{Blocks, Cause, Finding, Step, Support};
pub use preflight::preflight;
pub use wire::Wire;

/// The verdict on a picture, without remedies (`controller-remedy` adds them) and with `elapsed_ms` 0.
pub fn diagnose(picture: &Picture) -> Diagnosis {
    assemble::diagnosis(&Case::of(picture))
}
