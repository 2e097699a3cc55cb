//! An option in jvm.options or the environment is not one that this Java takes.

use common_model::Stage;

use crate::finding::Cause;
use crate::start::{self, ByWords};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "jvm-option-invalid",
    title: "The JVM refuses an option",
    stage: Some(Stage::Listen),
    needs: start::NEEDS,
    refuted_by: "a JVM that starts with the options of jvm.options",
    rule: |case| WORDS.judge(case),
};

static WORDS: ByWords = ByWords {
    cause: "jvm-option-invalid",
    words: &[
        "Unrecognized VM option",
        "Unrecognized option:",
        "improperly formatted JVM option",
        "Invalid initial heap size",
        "Invalid maximum heap size",
        "Initial heap size set to a larger value than the maximum heap size",
        "Conflicting collector combinations",
    ],
    because: "the JVM refuses an option",
    explains: start::package_changed,
};

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    pub(crate) const LINES: &[&str] =
        &["Unrecognized VM option 'UseConcMarkSweepGC'", "Error: Could not create the Java Virtual Machine."];

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
        assert!(diagnosis.verdict.sentence.contains("the JVM refuses an option"), "{}", diagnosis.verdict.sentence);
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
