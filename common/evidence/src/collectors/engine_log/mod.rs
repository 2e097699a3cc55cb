//! The end of the engine's own log file. Recent versions put start-up failures only there.

pub(crate) mod entries;

use std::time::Duration;

use common_model::{Class, Timestamp};

use crate::bootstrap::BootstrapFailure;
use crate::source::{Collector, FileRead, Source, Trigger};
use crate::{Evidence, Parsed, bootstrap, parse_json};

/// What an agent reads and sends; the subject is the file's path.
pub static COLLECTOR: Collector = Collector {
    kind: EngineLog::KIND,
    schema: 1,
    class: Class::State,
    sources: |engines| {
        engines
            .iter()
            .filter_map(|engine| engine.log_file.clone())
            .map(|path| (path.clone(), Source::FileTail { path, cap: 64 * 1024 }))
            .collect()
    },
    triggers: |_| vec![Trigger::UnitJournal, Trigger::Every(Duration::from_secs(1))],
    redact: crate::redact::log_json,
};

/// What the log's end tells about the newest start in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineLog {
    /// Path of the file.
    pub path: String,
    /// When the newest line was written, where the line says so; engines write local time, so the file's own time is used to tell the zone.
    pub last_line_at: Option<Timestamp>,
    /// Lines of the newest start, from its first line on.
    pub newest_start: Vec<LogLine>,
    /// True when the newest start's first line is among those read; what is then missing did not happen.
    pub start_seen: bool,
    /// The bootstrap checks that ended the newest start, if any did.
    pub bootstrap_failure: Option<BootstrapFailure>,
    /// True when the newest start came up (`started`) and has not stopped since.
    pub started: bool,
    /// `bound_addresses` the HTTP layer reported at the newest start.
    pub http_bound: Vec<String>,
    /// Warnings about plain HTTP on a TLS port, newest last: their places in `newest_start`.
    pub plaintext_on_tls: Vec<usize>,
    /// Why the agent could not read it.
    pub unreadable: Option<String>,
}

/// One entry of the log with its continuation lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Line in the part that was read, from 1.
    pub line: usize,
    /// Its time, where it has one.
    pub at: Option<Timestamp>,
    /// `INFO`, `WARN`, `ERROR` …; empty where it has none.
    pub level: String,
    /// The logger, shortened as the engine writes it.
    pub logger: String,
    /// The message, with continuation lines.
    pub message: String,
}

impl Evidence for EngineLog {
    const KIND: &'static str = "engine-log";

    fn parse(raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        let Parsed { value: file, mut problems } = parse_json::<FileRead>(raw);
        let mut lines = entries::split(&file.text);
        problems.extend(entries::date(&mut lines, file.modified_ms));
        let last_line_at = lines.iter().rev().find_map(|entry| entry.line.at);
        let lines: Vec<LogLine> = lines.into_iter().map(|entry| entry.line).collect();
        let (start, start_seen) = newest_start(&lines);
        let newest_start = lines.get(start..).unwrap_or_default().to_vec();
        let value = Self {
            path: file.path,
            last_line_at,
            bootstrap_failure: bootstrap::last_failure(newest_start.iter().map(|line| line.message.as_str())),
            started: is_up(&newest_start),
            http_bound: http_bound(&newest_start),
            plaintext_on_tls: (0..)
                .zip(&newest_start)
                .filter(|(_, line)| is_plaintext(line))
                .map(|(at, _)| at)
                .collect(),
            newest_start,
            start_seen,
            unreadable: file.error,
        };
        Parsed { value, problems }
    }
}

/// What the node writes first; Elasticsearch 6 writes `initializing ...` before its version.
fn begins(line: &LogLine) -> bool {
    line.message.starts_with("version[") || line.message.starts_with("initializing ...")
}

/// What the node writes when it ends.
fn ends(line: &LogLine) -> bool {
    let node = line.logger.ends_with(".Node");
    let words = ["stopping ...", "stopped", "closing ...", "closed"];
    let fatal = [
        "fatal exception while booting",
        "fatal error in thread",
        "uncaught exception in thread [main]",
        "node validation exception",
    ];
    (node && words.contains(&line.message.as_str())) || fatal.iter().any(|text| line.message.starts_with(text))
}

/// Where the newest start begins, and whether its first line was seen. A start may fail before the node tells its version:
/// then it begins behind the end of the one before.
fn newest_start(lines: &[LogLine]) -> (usize, bool) {
    let marker = lines.iter().rposition(begins).map(|at| {
        let before = at.checked_sub(1).and_then(|before| lines.get(before));
        if before.is_some_and(begins) { at - 1 } else { at }
    });
    let closed = lines.iter().rposition(|line| line.logger.ends_with(".Node") && line.message == "closed");
    let failed_later = |closed: usize| {
        let later = lines.get(closed + 1..).unwrap_or_default();
        later.iter().any(|line| matches!(line.level.as_str(), "ERROR" | "FATAL"))
    };
    match (marker, closed) {
        (marker, Some(closed)) if marker.is_none_or(|marker| marker < closed) && failed_later(closed) => {
            (closed + 1, true)
        }
        (Some(marker), _) => (marker, true),
        (None, _) => (0, false),
    }
}

/// Whether the last of `started` and the ends is `started`.
fn is_up(lines: &[LogLine]) -> bool {
    let started = |line: &LogLine| {
        line.logger.ends_with(".Node") && (line.message == "started" || line.message.starts_with("started {"))
    };
    let last = lines.iter().rev().find(|line| started(line) || ends(line));
    last.is_some_and(started)
}

/// `publish_address {127.0.0.1:9200}, bound_addresses {[::1]:9200}, {127.0.0.1:9200}`
fn http_bound(lines: &[LogLine]) -> Vec<String> {
    let told = lines.iter().rev().find_map(|line| {
        let http = line.logger.contains("HttpServerTransport");
        line.message.split_once("bound_addresses ").filter(|_| http).map(|(_, bound)| bound)
    });
    let inside = |part: &str| part.split_once('}').map(|(address, _)| address.to_owned());
    told.map(|bound| bound.split('{').skip(1).filter_map(inside).collect()).unwrap_or_default()
}

/// Elasticsearch names it; OpenSearch only says that the bytes were no TLS.
fn is_plaintext(line: &LogLine) -> bool {
    let http = line.logger.contains("HttpServerTransport") || line.message.contains("Netty4HttpChannel");
    line.message.contains("received plaintext http traffic on a")
        || (http && line.message.contains("NotSslRecordException: not an SSL/TLS record"))
}

#[cfg(test)]
mod tests;
