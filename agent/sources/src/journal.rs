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
/// The fields that are used, beside those journalctl always gives (cursor, times, boot).
const FIELDS: &str = "MESSAGE,MESSAGE_ID,PRIORITY,_COMM,_PID,_UID,_SYSTEMD_UNIT,UNIT,OBJECT_SYSTEMD_UNIT,SYSLOG_IDENTIFIER,\
                      UNIT_RESULT,EXIT_CODE,EXIT_STATUS,JOB_RESULT,JOB_TYPE,CODE_FUNC";

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

/// A running `journalctl --follow`. Ends with it when dropped.
#[derive(Debug)]
pub struct Follower {
    child: Child,
    lines: BufReader<ChildStdout>,
    complaints: Option<ChildStderr>,
}

impl Follower {
    /// Starts following the lines that match.
    ///
    /// # Errors
    /// When journalctl cannot be started; that it cannot read the journal shows at [`Follower::next`].
    pub fn start(matches: &[String], from: &Start) -> Result<Self, Failure> {
        let mut args = ["--output=json", "--all", "--follow", "--quiet"].map(str::to_owned).to_vec();
        args.push(format!("--output-fields={FIELDS}"));
        match from {
            Start::Recent => args.push(format!("--lines={PAST_LINES}")),
            Start::After(cursor) => args.extend(["--no-tail".to_owned(), format!("--after-cursor={cursor}")]),
        }
        match machine_id() {
            // Following means the current boot only, unless journals are merged; then other machines' that were collected
            // here would count, too. Without this, the last lines before a reboot are lost.
            Some(id) => {
                args.push("--merge".to_owned());
                args.extend(of_machine(matches, &id));
            }
            None => args.extend(matches.iter().cloned()),
        }
        let mut child = command::spawn(Program::Journalctl, &args)?;
        let stdout = child.stdout.take().ok_or_else(|| other("journalctl has no output".to_owned()))?;
        let complaints = child.stderr.take();
        Ok(Self { child, lines: BufReader::with_capacity(64 * 1024, stdout), complaints })
    }

    /// Waits for the next line.
    ///
    /// # Errors
    /// When journalctl has ended, with what it said.
    pub async fn next(&mut self) -> Result<JournalEntry, Failure> {
        let mut line = Vec::new();
        let mut too_long = false;
        loop {
            let chunk = self.lines.fill_buf().await.map_err(|error| of_io("journalctl", &error))?;
            if chunk.is_empty() {
                return Err(self.ended().await);
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
            self.lines.consume(used);
            if newline.is_some() {
                return Ok(if too_long { left_out() } else { entry(line) });
            }
        }
    }

    /// True when a whole line is there without waiting.
    pub fn has_more(&self) -> bool {
        self.lines.buffer().contains(&b'\n')
    }

    async fn ended(&mut self) -> Failure {
        let mut text = String::new();
        if let Some(complaints) = self.complaints.take() {
            let mut complaints = complaints.take(2048);
            tokio::time::timeout(Duration::from_secs(1), complaints.read_to_string(&mut text)).await.ok();
        }
        let status = self.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
        let denied = text.contains("insufficient permissions") || text.contains("Permission denied");
        let reason = if denied { FailureReason::Denied } else { FailureReason::Other };
        Failure { reason, message: format!("journalctl ended with {status}: {}", text.trim()) }
    }
}

/// The last 2000 lines that match, for a unit that was not followed before.
///
/// # Errors
/// When journalctl fails.
pub async fn recent(matches: &[String]) -> Result<Vec<JournalEntry>, Failure> {
    let mut args = ["--output=json", "--all", "--quiet"].map(str::to_owned).to_vec();
    args.extend([format!("--lines={PAST_LINES}"), format!("--output-fields={FIELDS}")]);
    args.extend(matches.iter().cloned());
    let output = command::output(Program::Journalctl, &args, Duration::from_secs(10), 8 * 1024 * 1024).await?;
    let lines = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.map(|line| if line.len() > LINE_CAP { left_out() } else { entry(line.to_vec()) }).collect())
}

fn machine_id() -> Option<String> {
    let id = std::fs::read_to_string("/etc/machine-id").ok()?;
    let id = id.trim();
    (id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit())).then(|| id.to_owned())
}

/// Narrows every alternative (`+` stands between them) to the lines of one machine.
fn of_machine(matches: &[String], id: &str) -> Vec<String> {
    let machine = format!("_MACHINE_ID={id}");
    matches
        .split(|part| part == "+")
        .map(|group| [group, std::slice::from_ref(&machine)].concat())
        .collect::<Vec<_>>()
        .join(&"+".to_owned())
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

    #[test]
    fn every_alternative_is_of_this_machine() {
        let matches = ["A=1", "+", "B=2", "C=3"].map(str::to_owned);
        assert_eq!(of_machine(&matches, "0"), ["A=1", "_MACHINE_ID=0", "+", "B=2", "C=3", "_MACHINE_ID=0"]);
    }

    #[tokio::test]
    async fn following_without_a_journal_ends_or_waits_but_never_hangs_the_reader() {
        let matches = vec!["_SYSTEMD_UNIT=dialtone-test-no-such.service".to_owned()];
        let Ok(mut follower) = Follower::start(&matches, &Start::Recent) else { return };
        match tokio::time::timeout(Duration::from_millis(300), follower.next()).await {
            Err(_) => {}
            Ok(Err(failure)) => assert!(failure.message.contains("journalctl"), "{}", failure.message),
            Ok(Ok(entry)) => panic!("nothing can match, got {entry:?}"),
        }
    }
}
