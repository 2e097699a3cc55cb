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

#[cfg(test)]
mod tests {
    use super::CAUSE;
    use crate::start::pictures;

    const LINES: &[&str] = &[
        "uncaught exception in thread [main]",
        "java.lang.IllegalStateException: failed to load plugin class [org.opensearch.security.OpenSearchSecurityPlugin]",
        "Likely root cause: OpenSearchException[Unable to read the file certs/missing.pem. Please make sure this files exists and is readable regarding to permissions]",
    ];

    #[test]
    fn fires() {
        let diagnosis = pictures::fires(&CAUSE, LINES, 1);
        assert!(diagnosis.verdict.sentence.contains("a file it needs is missing"), "{}", diagnosis.verdict.sentence);
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
