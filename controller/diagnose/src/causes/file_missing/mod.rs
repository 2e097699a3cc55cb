//! A certificate, key or logging configuration that the settings name is not there.

use common_model::Stage;

use crate::finding::Cause;
use crate::start::{self, ByWords};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "file-missing",
    title: "A file that the configuration names is missing",
    stage: Some(Stage::Listen),
    needs: start::NEEDS,
    refuted_by: "the file at the path the message names",
    rule: |case| WORDS.judge(case),
};

static WORDS: ByWords = ByWords {
    cause: "file-missing",
    words: &[
        "because the file does not exist",
        "Missing logging config file at",
        "no log4j2.properties found",
        "Please make sure this files exists",
        "NoSuchFileException",
    ],
    because: "a file it needs is missing",
    explains: start::unexplained,
};

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    pub(crate) const LINES: &[&str] = &[
        "uncaught exception in thread [main]",
        "java.lang.IllegalStateException: failed to load plugin class [org.opensearch.security.OpenSearchSecurityPlugin]",
        "Likely root cause: OpenSearchException[Unable to read the file certs/missing.pem. Please make sure this files exists and is readable regarding to permissions]",
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
        assert!(diagnosis.verdict.sentence.contains("a file it needs is missing"), "{}", diagnosis.verdict.sentence);
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
