//! The JVM cannot get the memory that its heap settings ask for.

use common_model::Stage;

use crate::finding::Cause;
use crate::start::{self, ByWords};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "heap-exceeds-memory",
    title: "The heap does not fit into the memory",
    stage: Some(Stage::Listen),
    needs: start::NEEDS,
    refuted_by: "free memory above the heap size",
    rule: |case| WORDS.judge(case),
};

static WORDS: ByWords = ByWords {
    cause: "heap-exceeds-memory",
    words: &[
        "There is insufficient memory for the Java Runtime Environment",
        "Could not reserve enough space",
        "os::commit_memory(",
    ],
    because: "its heap does not fit into the memory",
    explains: start::unexplained,
};

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    pub(crate) const LINES: &[&str] = &[
        "OpenJDK 64-Bit Server VM warning: INFO: os::commit_memory(0x00007b77d4000000, 4294967296000, 0) failed; error='Not enough space' (errno=12)",
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
            diagnosis.verdict.sentence.contains("its heap does not fit into the memory"),
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
