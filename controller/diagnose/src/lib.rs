//! Names the cause. A pure function of a picture: the same picture gives the same verdict, always.

use common_model::Diagnosis;
use controller_correlate::Picture;

/// The verdict on a picture, without remedies (`controller-remedy` adds them) and with `elapsed_ms` 0.
pub fn diagnose(picture: &Picture) -> Diagnosis {
    let _ = picture;
    unreachable!()
}
