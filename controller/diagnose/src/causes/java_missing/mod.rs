//! The Java that the engine is told to use, or its own, is not there.

use common_model::Stage;

use crate::finding::Cause;
use crate::start::{self, ByWords};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "java-missing",
    title: "There is no Java to run the engine",
    stage: Some(Stage::Listen),
    needs: start::NEEDS,
    refuted_by: "a java program at the place the message names",
    rule: |case| WORDS.judge(case),
};

static WORDS: ByWords = ByWords {
    cause: "java-missing",
    words: &["could not find java in"],
    because: "there is no Java where it looks for it",
    explains: |change, _, _| {
        change.topic == common_model::change::Topic::Package && change.items.iter().all(|item| item.new.is_none())
    },
};

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    pub(crate) const LINES: &[&str] = &["could not find java in ES_JAVA_HOME at /opt/jdk/bin/java"];

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
            diagnosis.verdict.sentence.contains("there is no Java where it looks for it"),
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
