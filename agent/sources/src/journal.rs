//! The journal, followed through `journalctl`.

use std::time::Duration;

use common_evidence::source::Program;
use common_model::{Failure, FailureReason};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout};

use crate::command;
use crate::failure::{of_io, other};

/// Lines of the past at most.
const PAST_LINES: &str = "2000";
/// A longer line is passed over and said to be missing.
const LINE_CAP: usize = 256 * 1024;
/// journalctl may look through many files for the next line that matches, but not for longer than this.
const SILENCE: Duration = Duration::from_secs(30);
/// The fields that are used, beside those journalctl always gives (cursor, times, boot).
const FIELDS: &str = "MESSAGE,MESSAGE_ID,PRIORITY,_COMM,_PID,_UID,_SYSTEMD_UNIT,UNIT,OBJECT_SYSTEMD_UNIT,SYSLOG_IDENTIFIER,\
                      _SYSTEMD_INVOCATION_ID,INVOCATION_ID,UNIT_RESULT,EXIT_CODE,EXIT_STATUS,JOB_RESULT,JOB_TYPE,CODE_FUNC";

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With the last 2000 lines.
    Recent,
    /// Behind the line with this cursor.
    After(String),
}

/// One line of `journalctl -o json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// The line as it was printed; not redacted. For a line that was too long: why there is none.
    pub line: Result<Vec<u8>, Failure>,
    /// Where it stands in the journal; none for a line that was too long.
    pub cursor: Option<String>,
    /// `UNIT` of systemd's own lines, else `_SYSTEMD_UNIT`.
    pub unit: Option<String>,
    /// `_COMM` of the writer.
    pub command: String,
    /// True when systemd itself (process 1) wrote it.
    pub from_systemd: bool,
}

/// A running `journalctl`. Ends with it when dropped.
#[derive(Debug)]
pub struct JournalLines {
    child: Child,
    output: BufReader<ChildStdout>,
    complaints: Option<ChildStderr>,
    /// The line it begins behind, which is printed again.
    behind: Option<String>,
    follows: bool,
}

impl JournalLines {
    /// The lines that match, up to now: what journald has written, without the delay that [`JournalLines::following`] has.
    ///
    /// # Errors
    /// When journalctl cannot be started; that it cannot read the journal shows at [`JournalLines::next`].
    pub fn up_to_now(matches: &[String], from: &Start) -> Result<Self, Failure> {
        let past = match from {
            Start::Recent => vec![format!("--lines={PAST_LINES}")],
            Start::After(_) => Vec::new(),
        };
        Self::start(past, matches, from, false)
    }

    /// The lines of this boot that match, and then every one as it is written. Those may come 250 ms late: so long journald
    /// collects lines before it tells who waits for them (`POST_CHANGE_TIMER_INTERVAL_USEC` in its source).
    ///
    /// # Errors
    /// When journalctl cannot be started; that it cannot read the journal shows at [`JournalLines::next`].
    pub fn following(matches: &[String], from: &Start) -> Result<Self, Failure> {
        let past = match from {
            Start::Recent => format!("--lines={PAST_LINES}"),
            Start::After(_) => "--no-tail".to_owned(),
        };
        Self::start(vec!["--follow".to_owned(), past], matches, from, true)
    }

    fn start(mut args: Vec<String>, matches: &[String], from: &Start, follows: bool) -> Result<Self, Failure> {
        args.extend(["--output=json", "--all", "--quiet"].map(str::to_owned));
        args.push(format!("--output-fields={FIELDS}"));
        let behind = match from {
            Start::Recent => None,
            Start::After(cursor) => Some(cursor.clone()),
        };
        // Not --after-cursor: it passes over one line more when the line of the cursor is none of those that match.
        args.extend(behind.as_ref().map(|cursor| format!("--cursor={cursor}")));
        args.extend(matches.iter().cloned());
        let mut child = command::spawn(Program::Journalctl, &args)?;
        let stdout = child.stdout.take().ok_or_else(|| other("journalctl has no output".to_owned()))?;
        let complaints = child.stderr.take();
        Ok(Self { child, output: BufReader::with_capacity(64 * 1024, stdout), complaints, behind, follows })
    }

    /// The next line; none at the end of those there are up to now. Those to come are waited for without limit.
    ///
    /// # Errors
    /// When journalctl has failed, with what it said, or says nothing for 30 seconds while there should be something to say.
    pub async fn next(&mut self) -> Result<Option<JournalEntry>, Failure> {
        if self.follows {
            return self.new_line().await;
        }
        let line = tokio::time::timeout(SILENCE, self.new_line()).await;
        line.unwrap_or_else(|_| {
            Err(Failure {
                reason: FailureReason::Timeout,
                message: format!("journalctl printed nothing for {SILENCE:?}"),
            })
        })
    }

    async fn new_line(&mut self) -> Result<Option<JournalEntry>, Failure> {
        let line = self.line().await?;
        match (&line, self.behind.take()) {
            (Some(entry), Some(behind)) if entry.cursor.as_ref() == Some(&behind) => self.line().await,
            _ => Ok(line),
        }
    }

    async fn line(&mut self) -> Result<Option<JournalEntry>, Failure> {
        let mut line = Vec::new();
        let mut too_long = false;
        loop {
            let chunk = self.output.fill_buf().await.map_err(|error| of_io("journalctl", &error))?;
            if chunk.is_empty() {
                return self.ended().await.map(|()| None);
            }
            let newline = chunk.iter().position(|byte| *byte == b'\n');
            let part = newline.unwrap_or(chunk.len());
            if line.len() + part > LINE_CAP {
                too_long = true;
                line.clear();
            } else if !too_long {
                line.extend_from_slice(&chunk[..part]);
            }
            let used = newline.map_or(part, |newline| newline + 1);
            self.output.consume(used);
            if newline.is_some() {
                return Ok(Some(if too_long { left_out() } else { entry(line) }));
            }
        }
    }

    async fn ended(&mut self) -> Result<(), Failure> {
        let mut text = String::new();
        if let Some(complaints) = self.complaints.take() {
            let mut complaints = complaints.take(2048);
            tokio::time::timeout(Duration::from_secs(1), complaints.read_to_string(&mut text)).await.ok();
        }
        let status = self.child.wait().await.map_err(|error| of_io("journalctl", &error))?;
        if status.success() && !self.follows {
            return Ok(());
        }
        let denied = text.contains("insufficient permissions") || text.contains("Permission denied");
        let reason = if denied { FailureReason::Denied } else { FailureReason::Other };
        Err(Failure { reason, message: format!("journalctl ended with {status}: {}", text.trim()) })
    }
}

/// The last 2000 lines that match.
///
/// # Errors
/// When journalctl fails.
pub async fn recent(matches: &[String]) -> Result<Vec<JournalEntry>, Failure> {
    let mut lines = JournalLines::up_to_now(matches, &Start::Recent)?;
    let mut entries = Vec::new();
    while let Some(entry) = lines.next().await? {
        entries.push(entry);
    }
    Ok(entries)
}

fn left_out() -> JournalEntry {
    let line = Err(other(format!("a line of the journal longer than {LINE_CAP} bytes was left out")));
    JournalEntry { line, cursor: None, unit: None, command: String::new(), from_systemd: false }
}

/// What is needed of a line; a field may be text, null, or an array of bytes or of values.
#[derive(Deserialize)]
struct Fields {
    #[serde(rename = "__CURSOR")]
    cursor: Option<String>,
    #[serde(rename = "_COMM", default)]
    command: Value,
    #[serde(rename = "_PID", default)]
    pid: Value,
    #[serde(rename = "_SYSTEMD_UNIT", default)]
    writer_unit: Value,
    #[serde(rename = "UNIT", default)]
    about_unit: Value,
}

fn entry(line: Vec<u8>) -> JournalEntry {
    let Ok(fields) = serde_json::from_slice::<Fields>(&line) else {
        return JournalEntry { line: Ok(line), cursor: None, unit: None, command: String::new(), from_systemd: false };
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    // Anybody may write a field called UNIT; only the kernel writes _PID.
    let from_systemd = fields.pid.as_str() == Some("1");
    let about = if from_systemd { text(&fields.about_unit) } else { None };
    JournalEntry {
        line: Ok(line),
        cursor: fields.cursor,
        unit: about.or_else(|| text(&fields.writer_unit)),
        command: text(&fields.command).unwrap_or_default(),
        from_systemd,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_systemd_can_speak_about_another_unit() {
        let own = entry(
            br#"{"__CURSOR":"s=1","_PID":"1","_COMM":"systemd","UNIT":"es.service","_SYSTEMD_UNIT":"init.scope"}"#
                .to_vec(),
        );
        assert_eq!(
            (own.unit.as_deref(), own.from_systemd, own.cursor.as_deref()),
            (Some("es.service"), true, Some("s=1"))
        );
        let forged = entry(
            br#"{"__CURSOR":"s=2","_PID":"77","_COMM":"x","UNIT":"es.service","_SYSTEMD_UNIT":"x.service"}"#.to_vec(),
        );
        assert_eq!((forged.unit.as_deref(), forged.from_systemd), (Some("x.service"), false));
        let odd = entry(br#"{"__CURSOR":"s=3","_COMM":[1,2],"MESSAGE":null}"#.to_vec());
        assert_eq!((odd.unit, odd.command.as_str()), (None, ""));
        assert_eq!(entry(b"not json".to_vec()).cursor, None);
    }

    #[tokio::test]
    async fn following_without_a_journal_ends_or_waits_but_never_hangs_the_reader() {
        let matches = vec!["_SYSTEMD_UNIT=dialtone-test-no-such.service".to_owned()];
        let Ok(mut lines) = JournalLines::following(&matches, &Start::Recent) else { return };
        match tokio::time::timeout(Duration::from_millis(300), lines.next()).await {
            Err(_) => {}
            Ok(Err(failure)) => assert!(failure.message.contains("journalctl"), "{}", failure.message),
            Ok(Ok(entry)) => panic!("nothing can match, got {entry:?}"),
        }
    }
}
