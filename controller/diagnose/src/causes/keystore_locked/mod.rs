//! The keystore is protected by a password that was not given, or is damaged.

use common_model::Stage;

use crate::finding::Cause;
use crate::start::{self, ByWords};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "keystore-locked",
    title: "The keystore cannot be opened",
    stage: Some(Stage::Listen),
    needs: start::NEEDS,
    refuted_by: "a keystore that opens without a password",
    rule: |case| WORDS.judge(case),
};

static WORDS: ByWords = ByWords {
    cause: "keystore-locked",
    words: &[
        "Provided keystore password was incorrect",
        "Keystore has been corrupted or tampered with",
        "Failed to read keystore password",
    ],
    because: "its keystore cannot be opened",
    explains: start::unexplained,
};

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    pub(crate) const LINES: &[&str] = &[
        "Exception in thread \"main\" org.elasticsearch.bootstrap.BootstrapException: java.lang.SecurityException: Provided keystore password was incorrect",
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
        assert!(diagnosis.verdict.sentence.contains("its keystore cannot be opened"), "{}", diagnosis.verdict.sentence);
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
