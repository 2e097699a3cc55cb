//! `status` and `collect`: what the agent can read here, and exactly what of it would leave the node.

use std::io::{self, IsTerminal, Write};

use agent_sources::{Reader, Reading, recent};
use anyhow::bail;
use common_evidence::collectors::engines::{self, Engines};
use common_evidence::collectors::journal;
use common_evidence::engine::EngineRef;
use common_evidence::{ALL, Collector, Evidence, Source};
use common_model::text::{printable, printable_line};
use common_model::{Body, Class, Failure, FailureReason};
use common_tls::Credentials;

use crate::config::ConfigFile;
use crate::draft;

/// One read, redacted.
struct Read {
    collector: &'static Collector,
    subject: String,
    body: Body,
}

/// Shows who this node is to the controller, and a line for each read.
pub(crate) async fn status(config: anyhow::Result<ConfigFile>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match config.and_then(|config| Ok((Credentials::load(&config.credentials_dir())?, config))) {
        Ok((credentials, config)) => {
            let identity =
                credentials.identity().map_or_else(|error| error.to_string(), |identity| identity.to_string());
            writeln!(
                out,
                "{identity}, certificate until {}, controller {}\n",
                credentials.not_after(),
                printable_line(&config.controller)
            )?;
        }
        Err(error) => {
            writeln!(out, "not joined, or not readable by this user: {}\n", printable_line(&format!("{error:#}")))?
        }
    }
    let rows = rows(&read_all(|_| true).await);
    let subject_width = rows.iter().map(|(_, subject, _)| subject.chars().count()).max().unwrap_or(0).clamp(7, 60);
    writeln!(out, "{:<14} {:<subject_width$} RESULT", "KIND", "SUBJECT")?;
    for (kind, subject, result) in rows {
        writeln!(out, "{kind:<14} {subject:<subject_width$} {result}")?;
    }
    Ok(())
}

/// Kind, subject and result of each read; the lines of the journal are one row.
fn rows(reads: &[Read]) -> Vec<(&'static str, String, String)> {
    let (events, states): (Vec<&Read>, Vec<&Read>) =
        reads.iter().partition(|read| read.collector.class == Class::Event);
    let lines = events.iter().filter(|read| matches!(read.body, Body::Raw(_))).count();
    let failed = events.iter().filter(|read| matches!(read.body, Body::Failed(_)));
    let mut rows: Vec<_> = states.iter().chain(failed).map(|read| row(read)).collect();
    rows.push((journal::COLLECTOR.kind, String::new(), format!("{lines} lines of the past")));
    rows
}

fn row(read: &Read) -> (&'static str, String, String) {
    let result = match &read.body {
        Body::Raw(raw) => format!("{} bytes", raw.len()),
        Body::Failed(Failure { reason, message }) => format!("{}: {}", word(*reason), printable_line(message)),
        Body::Gone => "gone".to_owned(),
    };
    (read.collector.kind, printable_line(&read.subject), result)
}

/// Prints the redacted bytes of these kinds: to a terminal with control characters made visible, else exactly.
pub(crate) async fn collect(kinds: &[String]) -> anyhow::Result<()> {
    if let Some(unknown) = kinds.iter().find(|kind| !ALL.iter().any(|collector| collector.kind == kind.as_str())) {
        let known: Vec<&str> = ALL.iter().map(|collector| collector.kind).collect();
        bail!("there is no kind {unknown:?}; there are {}", known.join(", "));
    }
    let reads = read_all(|kind| kinds.iter().any(|wanted| wanted == kind)).await;
    let mut out = io::stdout().lock();
    let mut failed = 0;
    for read in &reads {
        match &read.body {
            Body::Raw(raw) if out.is_terminal() => writeln!(out, "{}", printable(&String::from_utf8_lossy(raw)))?,
            Body::Raw(raw) => {
                out.write_all(raw)?;
                out.write_all(b"\n")?;
            }
            Body::Failed(Failure { message, .. }) => {
                failed += 1;
                let mut err = io::stderr().lock();
                writeln!(
                    err,
                    "{} {}: {}",
                    read.collector.kind,
                    printable_line(&read.subject),
                    printable_line(message)
                )?;
            }
            Body::Gone => {}
        }
    }
    if !reads.is_empty() && failed == reads.len() {
        bail!("nothing could be read");
    }
    Ok(())
}

async fn read_all(wanted: impl Fn(&str) -> bool) -> Vec<Read> {
    let reader = Reader::default();
    let engines = find_engines(&reader).await;
    let mut reads = Vec::new();
    for collector in ALL.iter().filter(|collector| wanted(collector.kind)) {
        for (subject, source) in (collector.sources)(&engines) {
            match source {
                Source::Journal { matches } => reads.extend(read_journal(collector, &matches).await),
                source => {
                    let read = read(&reader, &source).await;
                    reads.push(Read { collector, subject, body: draft::redacted(collector, read) });
                }
            }
        }
    }
    reads
}

async fn find_engines(reader: &Reader) -> Vec<EngineRef> {
    match read(reader, &Source::Engines).await {
        Ok(raw) => Engines::parse(&raw, "", engines::COLLECTOR.schema).value.engines,
        Err(_) => Vec::new(),
    }
}

async fn read(reader: &Reader, source: &Source) -> Result<Vec<u8>, Failure> {
    match reader.read(source, None).await {
        Reading::Read { body, .. } => body,
        Reading::Unchanged => Ok(Vec::new()),
    }
}

async fn read_journal(collector: &'static Collector, matches: &[String]) -> Vec<Read> {
    let lines = match recent(matches).await {
        Ok(entries) => entries.into_iter().map(|entry| (entry.unit.unwrap_or(entry.command), entry.line)).collect(),
        Err(failure) => vec![(String::new(), Err(failure))],
    };
    let mut reads = Vec::new();
    for (subject, line) in lines {
        reads.push(Read { collector, subject, body: draft::redacted(collector, line) });
    }
    reads
}

fn word(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::Denied => "denied",
        FailureReason::Missing => "missing",
        FailureReason::Timeout => "timeout",
        FailureReason::Other => "failed",
    }
}
