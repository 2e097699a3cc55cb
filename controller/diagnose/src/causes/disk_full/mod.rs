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

#[cfg(test)]
mod tests {
    use super::CAUSE;
    use crate::start::pictures;

    const LINES: &[&str] = &["uncaught exception in thread [main]", "java.io.IOException: No space left on device"];

    #[test]
    fn fires() {
        let diagnosis = pictures::fires(&CAUSE, LINES, 1);
        assert!(diagnosis.verdict.sentence.contains("a disk is full"), "{}", diagnosis.verdict.sentence);
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
