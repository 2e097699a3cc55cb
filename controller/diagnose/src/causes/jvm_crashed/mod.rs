//! The Java virtual machine itself came down.

use common_model::Stage;

use crate::finding::Cause;
use crate::start::{self, ByWords};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "jvm-crashed",
    title: "The JVM crashed",
    stage: Some(Stage::Listen),
    needs: start::NEEDS,
    refuted_by: "no hs_err file of the time",
    rule: |case| WORDS.judge(case),
};

static WORDS: ByWords = ByWords {
    cause: "jvm-crashed",
    words: &["A fatal error has been detected by the Java Runtime Environment"],
    because: "the JVM crashed",
    explains: start::package_changed,
};

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    pub(crate) const LINES: &[&str] = &["# A fatal error has been detected by the Java Runtime Environment:"];

    pub(crate) fn fires() -> controller_correlate::Picture {
        crate::start::pictures::failed(LINES, 134)
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
        assert!(diagnosis.verdict.sentence.contains("the JVM crashed"), "{}", diagnosis.verdict.sentence);
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
