//! Another process holds the lock of the data directory: mostly an older instance that still runs. The same message with a denied
//! access behind it is a matter of permissions.

use common_model::Stage;

use crate::case::Case;
use crate::finding::{Cause, Finding};
use crate::start::{self, ByWords, Start};

/// The entry.
pub static CAUSE: Cause = Cause {
    id: "data-path-locked",
    title: "Another process holds the data directory",
    stage: Some(Stage::Listen),
    needs: start::NEEDS,
    refuted_by: "a denied access to the data directory, or no other process that uses it",
    rule,
};

static WORDS: ByWords = ByWords {
    cause: "data-path-locked",
    words: &["failed to obtain node locks"],
    because: "another process holds its data directory",
    explains: start::unexplained,
};

fn rule(case: &Case<'_>) -> Finding {
    let start = match Start::failed(case) {
        Ok(start) => start,
        Err(finding) => return finding,
    };
    if let Some(denied) = start.find(&["AccessDeniedException", "Read-only file system"]) {
        return Finding::ruled_out("its access to a path is denied", denied.cites);
    }
    WORDS.judge_start(case, &start, |message| serde_json::json!({ "message": message }))
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture {
    pub(crate) const LINES: &[&str] = &[
        "uncaught exception in thread [main]",
        "java.lang.IllegalStateException: failed to obtain node locks, tried [[/var/lib/elasticsearch]] with lock id [0]; maybe these locations are not writable or multiple nodes were started",
    ];

    pub(crate) fn fires() -> controller_correlate::Picture {
        crate::start::pictures::failed(LINES, 1)
    }
}

#[cfg(test)]
mod tests {
    use common_model::Symptom;
    use controller_correlate::testing::{picture, probe};

    use super::fixture::{self, LINES};
    use super::*;
    use crate::start::{checks, pictures};

    #[test]
    fn fires() {
        checks::fires(&CAUSE, &fixture::fires());
    }

    #[test]
    fn does_not() {
        checks::does_not(&CAUSE, LINES);
        let denied = "Likely root cause: java.nio.file.AccessDeniedException: /var/lib/elasticsearch/node.lock";
        let picture = picture(pictures::failing(&[LINES[1], denied], 1), vec![probe(Symptom::Refused)]);
        assert_eq!(crate::diagnose(&picture).verdict.cause.as_str(), "path-permission");
    }

    #[test]
    fn cannot_tell() {
        checks::cannot_tell(&CAUSE);
    }
}
