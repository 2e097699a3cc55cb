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

#[cfg(test)]
mod tests {
    use super::CAUSE;
    use crate::start::pictures;

    const LINES: &[&str] = &["could not find java in ES_JAVA_HOME at /opt/jdk/bin/java"];

    #[test]
    fn fires() {
        let diagnosis = pictures::fires(&CAUSE, LINES, 1);
        assert!(
            diagnosis.verdict.sentence.contains("there is no Java where it looks for it"),
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
