//! Native code cannot be loaded from a temporary directory mounted noexec; memory locking and system call filters then fail with it.

use common_model::Stage;

use crate::finding::Cause;
use crate::start::{self, ByWords};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "tmp-noexec",
    title: "The temporary directory does not allow execution",
    stage: Some(Stage::Listen),
    needs: start::NEEDS,
    refuted_by: "a temporary directory mounted without noexec",
    rule: |case| WORDS.judge(case),
};

static WORDS: ByWords = ByWords {
    cause: "tmp-noexec",
    words: &["failed to map segment from shared object"],
    because: "its temporary directory does not allow execution",
    explains: start::unexplained,
};

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    pub(crate) const LINES: &[&str] = &[
        "java.lang.UnsatisfiedLinkError: /tmp/elasticsearch-1/jna-1/jna1.tmp: failed to map segment from shared object: Operation not permitted",
    ];

    pub(crate) fn fires() -> controller_correlate::Picture {
        crate::start::pictures::failed(LINES, 78)
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
            diagnosis.verdict.sentence.contains("its temporary directory does not allow execution"),
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
