//! The data directory was written by a version that this one cannot follow or go back to.

use common_model::Stage;

use crate::finding::Cause;
use crate::start::{self, ByWords};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "data-incompatible",
    title: "The data was written by another version",
    stage: Some(Stage::Listen),
    needs: start::NEEDS,
    refuted_by: "a data directory of a version this one reads",
    rule: |case| WORDS.judge(case),
};

static WORDS: ByWords = ByWords {
    cause: "data-incompatible",
    words: &[
        "cannot upgrade a node from version",
        "cannot downgrade a node from version",
        "because it holds metadata for indices with version",
        "but the minimum compatible version is",
        "IndexFormatTooNewException",
    ],
    because: "its data was written by a version it cannot read",
    explains: start::package_changed,
};

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    pub(crate) const LINES: &[&str] = &[
        "uncaught exception in thread [main]",
        "java.lang.IllegalStateException: cannot downgrade a node from version [8.11.0] to version [7.17.28]",
    ];

    pub(crate) fn fires() -> controller_correlate::Picture {
        crate::start::pictures::failed(LINES, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::CAUSE;
    use super::fixture::{self, LINES};
    use crate::start::checks;

    #[test]
    fn fires() {
        let diagnosis = checks::fires(&CAUSE, &fixture::fires());
        assert!(
            diagnosis.verdict.sentence.contains("its data was written by a version it cannot read"),
            "{}",
            diagnosis.verdict.sentence
        );
    }

    #[test]
    fn does_not() {
        checks::does_not(&CAUSE, LINES);
    }

    #[test]
    fn cannot_tell() {
        checks::cannot_tell(&CAUSE);
    }
}
