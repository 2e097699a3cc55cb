//! A single port that the engine is told to take is held by another process. With a range it would have moved on in silence.

use common_model::Stage;
use common_model::change::Topic;
use serde_json::json;

use crate::case::Case;
use crate::finding::{Cause, Finding};
use crate::start::{self, ByWords, Start};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "port-taken",
    title: "Another process holds the port the engine is to take",
    stage: Some(Stage::Listen),
    needs: start::NEEDS,
    refuted_by: "the port being free at the time of the start",
    rule,
};

static WORDS: ByWords = ByWords {
    cause: "port-taken",
    words: &["Address already in use"],
    because: "its port is taken",
    explains: |change, engine, _| {
        const KEYS: [&str; 4] =
            ["http.port", "transport.port", "transport.tcp.port", "transport.profiles.default.port"];
        let of_file = change.topic == Topic::Config && change.subject == engine.engine.config_file();
        of_file && change.items.iter().any(|item| KEYS.contains(&item.key.as_str()))
    },
};

fn rule(case: &Case<'_>) -> Finding {
    let start = match Start::failed(case) {
        Ok(start) => start,
        Err(finding) => return finding,
    };
    WORDS.judge_start(case, &start, |message| {
        let port = port(message);
        let holder = port.and_then(|port| {
            let owner = start.engine.foreign_listeners(port).first()?.owner.clone()?;
            Some(crate::cite::shown(&owner.command))
        });
        json!({ "port": port, "holder": holder })
    })
}

/// The port of `Failed to bind to 127.0.0.1:9200]; nested: …` or, in old versions, `Failed to bind to [9200]]; nested: …`.
fn port(message: &str) -> Option<u16> {
    let (_, rest) = message.split_once("Failed to bind to ")?;
    let bound = rest.split(';').next()?.trim_end_matches(']');
    bound.rsplit([':', '[']).next()?.parse().ok()
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    pub(crate) const LINES: &[&str] = &[
        "uncaught exception in thread [main]",
        "BindHttpException[Failed to bind to 127.0.0.1:9200]; nested: BindException[Address already in use];",
    ];

    pub(crate) fn fires() -> controller_correlate::Picture {
        crate::start::pictures::failed(LINES, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::fixture::{self, LINES};
    use super::*;
    use crate::start::checks;

    #[test]
    fn fires_with_the_port() {
        let diagnosis = checks::fires(&CAUSE, &fixture::fires());
        assert_eq!(diagnosis.verdict.detail["port"], 9200);
        assert_eq!(port("BindHttpException[Failed to bind to [9200]]"), Some(9200));
        assert_eq!(port("Failed to bind to [::1]:9200]; nested: x"), Some(9200));
        assert_eq!(port("Failed to bind to [9300-9400]]; nested: x"), None);
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
