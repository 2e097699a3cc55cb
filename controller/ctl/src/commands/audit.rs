//! `dialtone audit`: the log as the controller keeps it, checked here.

use std::path::Path;

use anyhow::Context;
use common_model::text::printable_line;
use common_plan::{Digest, audit};
use common_tls::files::write_atomic;
use proto::v1;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::output::{Output, write};
use crate::progress::Progress;
use crate::render::{Page, Style};
use crate::session::Session;

/// What `audit verify` prints to programs.
#[derive(Debug, Serialize)]
struct Verified {
    entries: u64,
    /// SHA-256 of the last entry.
    last: Digest,
    /// Entries of the copy it was compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    copied: Option<u64>,
}

/// Checks the chain; with a copy, also that the log begins as that does.
pub(crate) async fn verify(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    copy: Option<&Path>,
) -> Result<Exit, Failure> {
    let copy = copy.map(read_copy).transpose().map_err(Failure::usage)?;
    let lines = read_log(session, progress).await?;
    let (entries, last) = verify_lines(&lines).map_err(Failure::found)?;
    let copied = copy.map(|copy| compare(&lines, &copy)).transpose().map_err(Failure::found)?;
    progress.clear();
    let verified = Verified { entries, last, copied };
    output.print(&verified, |terminal| {
        let mut page = Page::new(terminal);
        let count = if entries == 1 { "entry".to_owned() } else { "entries".to_owned() };
        page.cut(0, &format!("✓ {entries} {count}, one chain"), Style::Good);
        page.whole(2, &format!("the last: {}", verified.last), Style::Plain);
        match copied {
            Some(copied) => page.cut(2, &format!("the first {copied} are those of the copy"), Style::Plain),
            None => {
                let text = "A chain written anew from its beginning would hold, too: only a copy kept elsewhere shows that. \
                            dialtone audit export -O FILE, and later dialtone audit verify FILE";
                page.flow(2, &[page.span(&format!("  {text}"), Style::Dim)]);
            }
        }
        page.to_text()
    })?;
    Ok(Exit::Done)
}

/// Writes the log as it is, and says if its chain is broken.
pub(crate) async fn export(session: &mut Session, progress: &Progress, to: Option<&Path>) -> Result<Exit, Failure> {
    let lines = read_log(session, progress).await?;
    progress.clear();
    match to {
        Some(file) => {
            let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            let written = write_atomic(file, text.as_bytes(), 0o600);
            written.with_context(|| format!("cannot write {}", file.display())).map_err(Failure::usage)?;
        }
        None => {
            use std::io::IsTerminal;
            // To a file or a program byte for byte; on a terminal nothing that acts on it.
            let on_terminal = std::io::stdout().is_terminal();
            let shown = |line: &String| if on_terminal { printable_line(line) } else { line.clone() };
            let text: String = lines.iter().flat_map(|line| [shown(line), "\n".to_owned()]).collect();
            write(&text)?;
        }
    }
    verify_lines(&lines).map_err(Failure::found)?;
    Ok(Exit::Done)
}

async fn read_log(session: &mut Session, progress: &Progress) -> Result<Vec<String>, Failure> {
    progress.say("reading the audit log");
    let stream = session.plans.read_audit(v1::ReadAuditRequest { from: 1 }).await;
    let mut stream = stream.map_err(|status| session.failure(&status))?.into_inner();
    let mut lines = Vec::new();
    while let Some(entry) = stream.message().await.map_err(|status| session.failure(&status))? {
        lines.push(entry.line);
    }
    Ok(lines)
}

fn read_copy(file: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Checks the chain, and that each entry is one line: else a copy could not be compared.
fn verify_lines(lines: &[String]) -> Result<(u64, Digest), audit::Broken> {
    let verified = audit::verify(lines.iter().map(String::as_str))?;
    match (1..).zip(lines).find(|(_, line)| line.contains(['\n', '\r'])) {
        Some((seq, _)) => Err(audit::Broken { seq, why: "it is more than one line".to_owned() }),
        None => Ok(verified),
    }
}

/// That a log begins with the lines of a copy; gives how many these are.
fn compare(lines: &[String], copy: &[String]) -> Result<u64, audit::Broken> {
    let why = "it is not the one in the copy: the log was written anew".to_owned();
    let differs = lines.iter().zip(copy).position(|(line, copied)| line != copied);
    let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    match differs {
        Some(position) => Err(audit::Broken { seq: count(position) + 1, why }),
        None if copy.len() > lines.len() => {
            let why = "the copy has it and the log has not: entries were removed".to_owned();
            Err(audit::Broken { seq: count(lines.len()) + 1, why })
        }
        None => Ok(count(copy.len())),
    }
}

#[cfg(test)]
mod tests {
    use common_model::Timestamp;
    use common_plan::audit::{AuditEntry, link};

    use super::*;

    fn chain(details: &[&str]) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for (seq, detail) in (1..).zip(details) {
            let entry = AuditEntry {
                seq,
                at: Timestamp(0),
                actor: "operator alice".to_owned(),
                event: "login".to_owned(),
                plan: None,
                detail: (*detail).to_owned(),
                previous: link(lines.last().map(String::as_str)),
            };
            lines.push(serde_json::to_string(&entry).unwrap());
        }
        lines
    }

    #[test]
    fn a_log_that_was_written_anew_differs_from_its_copy() {
        let log = chain(&["a", "b", "c"]);
        assert_eq!(compare(&log, &log[..2]), Ok(2));
        let anew = chain(&["a", "x", "c"]);
        assert!(verify_lines(&anew).is_ok());
        assert_eq!(compare(&anew, &log[..2]).unwrap_err().seq, 2);
        assert_eq!(compare(&log[..1], &log).unwrap_err().seq, 2);
    }

    #[test]
    fn an_entry_of_two_lines_is_none() {
        let log = [chain(&["a"])[0].replacen(',', ",\n", 1)];
        assert!(audit::verify(log.iter().map(String::as_str)).is_ok());
        assert_eq!(verify_lines(&log).unwrap_err().seq, 1);
    }
}
