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

#[cfg(test)]
mod tests {
    use super::CAUSE;
    use crate::start::pictures;

    const LINES: &[&str] = &[
        "Exception in thread \"main\" org.elasticsearch.bootstrap.BootstrapException: java.lang.SecurityException: Provided keystore password was incorrect",
    ];

    #[test]
    fn fires() {
        let diagnosis = pictures::fires(&CAUSE, LINES, 1);
        assert!(diagnosis.verdict.sentence.contains("its keystore cannot be opened"), "{}", diagnosis.verdict.sentence);
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
