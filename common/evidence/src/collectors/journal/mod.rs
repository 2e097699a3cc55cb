//! Journal lines that concern the engines: their units, sudo, package managers, the kernel's OOM killer.

use common_model::{Class, Timestamp};
use serde_json::{Map, Value};

use crate::source::{Collector, Source};
use crate::{Evidence, Parsed, parse_json};

/// What an agent follows and sends; one envelope per line, the subject is the unit or the command that wrote it.
pub static COLLECTOR: Collector = Collector {
    kind: JournalLine::KIND,
    schema: 1,
    class: Class::Event,
    sources: |engines| {
        let mut matches: Vec<String> = Vec::new();
        for unit in engines.iter().filter_map(|engine| engine.unit.as_ref()) {
            for field in ["_SYSTEMD_UNIT", "UNIT", "OBJECT_SYSTEMD_UNIT"] {
                matches.extend([format!("{field}={unit}"), "+".to_owned()]);
            }
        }
        matches.extend(["_COMM=sudo".to_owned(), "+".to_owned()]);
        // The OOM killer tells whom it killed at this priority.
        matches.extend(["_TRANSPORT=kernel".to_owned(), "PRIORITY=3".to_owned()]);
        vec![(String::new(), Source::Journal { matches })]
    },
    triggers: |_| vec![],
    redact: crate::redact::journal_json,
};

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalLine {
    /// When it was written.
    pub at: Timestamp,
    /// The unit it is about: `UNIT` of systemd's own lines, else `_SYSTEMD_UNIT`, which the writer cannot forge.
    pub unit: Option<String>,
    /// Which run of the unit it is of, as systemd or journald tell; none before systemd 232.
    pub invocation: Option<String>,
    /// True when systemd itself (pid 1) wrote it.
    pub from_systemd: bool,
    /// `_COMM` of the writer; `kernel` for the kernel's own lines.
    pub command: String,
    /// `_PID` of the writer.
    pub pid: Option<u32>,
    /// syslog priority, 0 to 7.
    pub priority: Option<u8>,
    /// systemd's message id, for its own lines.
    pub message_id: Option<String>,
    /// The message.
    pub message: String,
    /// What the line tells, where it is one of those we know.
    pub tells: Option<Tells>,
}

/// Lines whose meaning rules rely on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tells {
    /// systemd begins to start the unit.
    Starting,
    /// The unit is up.
    Started,
    /// systemd begins to stop the unit.
    Stopping,
    /// The unit was stopped and ended well.
    Stopped,
    /// The unit failed, with systemd's result (`exit-code`, `timeout`, `oom-kill` …).
    Failed(String),
    /// The main process ended, with code (`exited`, `killed`) and status (`78`, `9/KILL`).
    MainExited {
        /// `exited`, `killed` or `dumped`.
        code: String,
        /// Exit status or signal number.
        status: i32,
    },
    /// Somebody ran a command by sudo.
    Sudo {
        /// Who.
        user: String,
        /// The whole command line.
        command: String,
    },
}

impl Evidence for JournalLine {
    const KIND: &'static str = "journal";

    fn parse(raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        let Parsed { value: fields, mut problems } = parse_json::<Map<String, Value>>(raw);
        let fields = Fields(fields);
        let pid = fields.number("_PID");
        let kernel = fields.is("_TRANSPORT", "kernel");
        // Only the kernel's word for the sender counts: any user may write `UNIT=` and a message id.
        let from_systemd = pid == Some(1) && !kernel;
        let unit = if from_systemd { fields.text("UNIT") } else { fields.text("_SYSTEMD_UNIT") };
        let invocation = fields.text(if from_systemd { "INVOCATION_ID" } else { "_SYSTEMD_INVOCATION_ID" });
        let mut line = JournalLine {
            at: Timestamp(fields.number::<i64>("__REALTIME_TIMESTAMP").unwrap_or(0) / 1000),
            unit,
            invocation: invocation.filter(|id| !id.is_empty()),
            from_systemd,
            command: if kernel { "kernel".to_owned() } else { fields.text("_COMM").unwrap_or_default() },
            pid,
            priority: fields.number("PRIORITY"),
            message_id: fields.text("MESSAGE_ID").filter(|_| from_systemd),
            message: fields.text("MESSAGE").unwrap_or_default(),
            tells: None,
        };
        if problems.is_empty() && line.at == Timestamp(0) {
            problems.push("the line has no time".to_owned());
        }
        line.tells = if from_systemd { systemd_tells(&fields, &line) } else { sudo_tells(&fields, &line) };
        Parsed { value: line, problems }
    }
}

/// Fields of an entry as `journalctl -o json` writes them: text, bytes where it is not UTF-8, a list where a field stands
/// several times, null where it is too long.
struct Fields(Map<String, Value>);

impl Fields {
    fn text(&self, name: &str) -> Option<String> {
        text_of(self.0.get(name)?)
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.text(name).is_some_and(|text| text == value)
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(items) => {
            let byte = |item: &Value| item.as_u64().and_then(|number| u8::try_from(number).ok());
            match items.iter().map(byte).collect::<Option<Vec<u8>>>() {
                Some(bytes) if !bytes.is_empty() => Some(String::from_utf8_lossy(&bytes).into_owned()),
                _ => items.iter().find_map(text_of_single),
            }
        }
        _ => None,
    }
}

/// One value of a field that stands several times; nesting ends here.
fn text_of_single(value: &Value) -> Option<String> {
    match value {
        Value::Array(items) if items.iter().any(Value::is_array) => None,
        other => text_of(other),
    }
}

/// Message ids of systemd's catalogue; versions before 239 have none for a process's end, and before 236 none for a failure.
fn systemd_tells(fields: &Fields, line: &JournalLine) -> Option<Tells> {
    match line.message_id.as_deref() {
        Some("7d4958e842da4a758f6c1cdc7b36dcc5") => return Some(Tells::Starting),
        Some("39f53479d3a045ac8e11786248231fbf") => return Some(Tells::Started),
        Some("de5b426a63be47a7b6ac3eaac82e2f6f") => return Some(Tells::Stopping),
        Some("9d1aaa27d60140bd96365438aad20286") => return Some(Tells::Stopped),
        Some("d9b373ed55a64feb8242e02dbe79a49c") => {
            return Some(Tells::Failed(fields.text("UNIT_RESULT").unwrap_or_else(|| quoted_result(&line.message))));
        }
        Some("98e322203f7a4ed290d09fe03c09fe15") | None => {}
        Some(_) => return None,
    }
    if line.message.contains("ain process exited") {
        let code = fields.text("EXIT_CODE")?;
        return Some(Tells::MainExited { code, status: fields.number("EXIT_STATUS")? });
    }
    let failed = line.message.contains("Failed with result '") || line.message.ends_with("entered failed state.");
    (failed && line.message_id.is_none()).then(|| Tells::Failed(quoted_result(&line.message)))
}

/// `exit-code` of `Failed with result 'exit-code'.`
fn quoted_result(message: &str) -> String {
    message.split('\'').nth(1).unwrap_or("unknown").to_owned()
}

/// `alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/systemctl stop x`; with words before the first `=` the command
/// was refused. The program's path is asked for, since a process may give itself any name.
fn sudo_tells(fields: &Fields, line: &JournalLine) -> Option<Tells> {
    let installed = |path: &str| ["/usr/", "/bin/", "/sbin/", "/opt/"].iter().any(|dir| path.starts_with(dir));
    if line.command != "sudo" || !fields.text("_EXE").is_none_or(|path| installed(&path)) {
        return None;
    }
    let (user, rest) = line.message.trim_start().split_once(" : ")?;
    let (key, _) = rest.split_once('=')?;
    let runs = key.chars().all(|c| c.is_ascii_uppercase());
    let (_, command) = rest.split_once("COMMAND=").filter(|_| runs && !key.is_empty())?;
    Some(Tells::Sudo { user: user.trim().to_owned(), command: command.trim_end().to_owned() })
}

#[cfg(test)]
mod tests;
