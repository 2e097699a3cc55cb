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

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    pub(crate) const LINES: &[&str] = &[
        "uncaught exception in thread [main]",
        "java.lang.IllegalArgumentException: Plugin [foo] was built for Elasticsearch version 7.10.2 but version 7.17.28 is running",
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
            diagnosis.verdict.sentence.contains("a plugin was built for another version"),
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
