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

#[cfg(test)]
mod tests {
    use super::CAUSE;
    use crate::start::pictures;

    const LINES: &[&str] = &[
        "uncaught exception in thread [main]",
        "java.lang.IllegalStateException: cannot downgrade a node from version [8.11.0] to version [7.17.28]",
    ];

    #[test]
    fn fires() {
        let diagnosis = pictures::fires(&CAUSE, LINES, 1);
        assert!(
            diagnosis.verdict.sentence.contains("its data was written by a version it cannot read"),
            "{}",
            diagnosis.verdict.sentence
        );
    }

    #[test]
    fn does_not() {
        pictures::does_not(&CAUSE, LINES);
    }

    #[test]
    fn cannot_tell() {
        pictures::cannot_tell(&CAUSE);
    }
}
