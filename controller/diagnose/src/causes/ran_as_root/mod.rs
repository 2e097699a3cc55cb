//! Engines do not run as root; the unit or the command line has the wrong user.

use common_model::Stage;

use crate::finding::Cause;
use crate::start::{self, ByWords};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "ran-as-root",
    title: "The engine refuses to run as root",
    stage: Some(Stage::Listen),
    needs: start::NEEDS,
    refuted_by: "a User= of the unit that is not root",
    rule: |case| WORDS.judge(case),
};

static WORDS: ByWords = ByWords {
    cause: "ran-as-root",
    words: &["can not run elasticsearch as root", "can not run opensearch as root"],
    because: "it refuses to run as root",
    explains: |change, _, _| change.items.iter().any(|item| item.key == "user"),
};

#[cfg(test)]
mod tests {
    use super::CAUSE;
    use crate::start::pictures;

    const LINES: &[&str] =
        &["uncaught exception in thread [main]", "java.lang.RuntimeException: can not run elasticsearch as root"];

    #[test]
    fn fires() {
        let diagnosis = pictures::fires(&CAUSE, LINES, 1);
        assert!(diagnosis.verdict.sentence.contains("it refuses to run as root"), "{}", diagnosis.verdict.sentence);
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
