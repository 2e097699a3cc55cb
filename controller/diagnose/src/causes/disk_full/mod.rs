//! A file system that the engine writes to has no room left.

use common_model::Stage;

use crate::finding::Cause;
use crate::start::{self, ByWords};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "disk-full",
    title: "The disk is full",
    stage: Some(Stage::Listen),
    needs: start::NEEDS,
    refuted_by: "free space and inodes on every path it writes to",
    rule: |case| WORDS.judge(case),
};

static WORDS: ByWords = ByWords {
    cause: "disk-full",
    words: &["No space left on device"],
    because: "a disk is full",
    explains: start::unexplained,
};

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    pub(crate) const LINES: &[&str] =
        &["uncaught exception in thread [main]", "java.io.IOException: No space left on device"];

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
        assert!(diagnosis.verdict.sentence.contains("a disk is full"), "{}", diagnosis.verdict.sentence);
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
