//! A plugin on the disk was built for another version of the engine, mostly left behind by an upgrade.

use common_model::Stage;

use crate::finding::Cause;
use crate::start::{self, ByWords};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "plugin-incompatible",
    title: "A plugin was built for another version",
    stage: Some(Stage::Listen),
    needs: start::NEEDS,
    refuted_by: "a plugin list whose versions are the engine's",
    rule: |case| WORDS.judge(case),
};

static WORDS: ByWords = ByWords {
    cause: "plugin-incompatible",
    words: &["was built for Elasticsearch version", "was built for OpenSearch version"],
    because: "a plugin was built for another version",
    explains: start::package_changed,
};

#[cfg(test)]
mod tests {
    use super::CAUSE;
    use crate::start::pictures;

    const LINES: &[&str] = &[
        "uncaught exception in thread [main]",
        "java.lang.IllegalArgumentException: Plugin [foo] was built for Elasticsearch version 7.10.2 but version 7.17.28 is running",
    ];

    #[test]
    fn fires() {
        let diagnosis = pictures::fires(&CAUSE, LINES, 1);
        assert!(
            diagnosis.verdict.sentence.contains("a plugin was built for another version"),
            "{}",
            diagnosis.verdict.sentence
        );
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
