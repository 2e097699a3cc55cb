//! A key in the yml that this version does not know: a slip of the pen, a setting of another version, or of a plugin that is missing.

use common_model::Stage;
use common_model::change::Topic;
use serde_json::json;

use crate::case::Case;
use crate::finding::{Cause, Finding};
use crate::start::{self, ByWords, Start};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "unknown-setting",
    title: "The yml holds a setting this version does not know",
    stage: Some(Stage::Listen),
    needs: start::NEEDS,
    refuted_by: "a start that gets past reading the settings",
    rule,
};

static WORDS: ByWords = ByWords {
    cause: "unknown-setting",
    words: &["unknown setting [", "unknown secure setting ["],
    because: "a setting is unknown to it",
    explains: |change, engine, message| {
        let is_key = |key: &str| self::key(message).is_some_and(|unknown| unknown == key);
        let of_file = change.topic == Topic::Config && change.subject == engine.engine.config_file();
        (of_file && change.items.iter().any(|item| item.new.is_some() && is_key(&item.key)))
            || start::package_changed(change, engine, message)
    },
};

fn rule(case: &Case<'_>) -> Finding {
    let start = match Start::failed(case) {
        Ok(start) => start,
        Err(finding) => return finding,
    };
    WORDS.judge_start(case, &start, |message| {
        let key = key(message);
        let config = start.engine.config.known();
        let place = config.zip(key).and_then(|(config, key)| config.value.get(key));
        json!({
            "file": start.engine.engine.config_file(),
            "line": place.map(|place| place.line),
            "column": place.map(|place| place.column),
            "key": key,
        })
    })
}

/// The key the message complains of.
fn key(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("setting [")?;
    rest.split_once(']').map(|(key, _)| key)
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    pub(crate) const LINES: &[&str] = &[
        "uncaught exception in thread [main]",
        "java.lang.IllegalArgumentException: unknown setting [http.prot] did you mean [http.port]?",
    ];

    pub(crate) fn fires() -> controller_correlate::Picture {
        crate::start::pictures::failed(LINES, 1)
    }
}

#[cfg(test)]
mod tests {
    use common_model::Symptom;
    use controller_correlate::testing::{STARTED, picture, probe};

    use super::fixture::{self, LINES};
    use super::*;
    use crate::start::{checks, pictures};

    #[test]
    fn fires_with_key_and_line() {
        checks::fires(&CAUSE, &fixture::fires());
        let node = pictures::failing(LINES, 1).yml("cluster.name: es\nhttp.prot: 9200\n", STARTED);
        let verdict = crate::diagnose(&picture(node, vec![probe(Symptom::Refused)])).verdict;
        assert_eq!((verdict.detail["key"].as_str(), verdict.detail["line"].as_u64()), (Some("http.prot"), Some(2)));
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
