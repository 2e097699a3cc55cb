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

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    pub(crate) const LINES: &[&str] =
        &["uncaught exception in thread [main]", "java.lang.RuntimeException: can not run elasticsearch as root"];

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
        assert!(diagnosis.verdict.sentence.contains("it refuses to run as root"), "{}", diagnosis.verdict.sentence);
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
