//! The engine's user may not read or write a path it needs, often after a tool was run as root.

use common_model::Stage;

use crate::finding::Cause;
use crate::start::{self, ByWords};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "path-permission",
    title: "The engine may not use a path",
    stage: Some(Stage::Listen),
    needs: start::NEEDS,
    refuted_by: "the path's owner and mode letting the engine's user in",
    rule: |case| WORDS.judge(case),
};

static WORDS: ByWords = ByWords {
    cause: "path-permission",
    words: &["Unable to access 'path.", "AccessDeniedException", "Read-only file system"],
    because: "it may not use a path it needs",
    explains: start::unexplained,
};

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    pub(crate) const LINES: &[&str] = &[
        "uncaught exception in thread [main]",
        "java.lang.IllegalStateException: Unable to access 'path.data' (/srv/data)",
        "Likely root cause: java.nio.file.AccessDeniedException: /srv/data",
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
            diagnosis.verdict.sentence.contains("it may not use a path it needs"),
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
