//! A setting that another one asks for is not there: mostly TLS that is turned on without a key and certificate.

use common_model::Stage;

use crate::finding::Cause;
use crate::start::{self, ByWords};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "setting-missing",
    title: "A setting the engine needs is missing",
    stage: Some(Stage::Listen),
    needs: start::NEEDS,
    refuted_by: "a start that gets past reading the settings",
    rule: |case| WORDS.judge(case),
};

static WORDS: ByWords = ByWords {
    cause: "setting-missing",
    words: &[
        "server ssl configuration requires a key and certificate",
        "No SSL configuration found",
        "has no port configured",
        "is not set, but the following settings have been configured",
    ],
    because: "a setting it needs is missing",
    explains: |change, engine, _| {
        change.topic == common_model::change::Topic::Config
            && change.subject == engine.engine.config_file()
            && !change.items.is_empty()
    },
};

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    pub(crate) const LINES: &[&str] = &[
        "uncaught exception in thread [main]",
        "java.lang.IllegalStateException: failed to load plugin class [org.opensearch.security.OpenSearchSecurityPlugin]",
        "Likely root cause: OpenSearchException[No SSL configuration found]",
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
        assert!(diagnosis.verdict.sentence.contains("a setting it needs is missing"), "{}", diagnosis.verdict.sentence);
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
