//! What was written before somebody asked is in the queue when the answer comes.

use std::sync::{Arc, Mutex};

use agent_sources::Reader;
use agent_spool::Spool;
use tokio::task::JoinHandle;

use super::*;
use crate::survey::{self, Survey};
use crate::uplink::RefreshRequest;

/// A journal whose follower never comes round to telling anything.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Written>>);

#[derive(Default)]
struct Written {
    /// The match that finds it, and its text; the cursor is the index.
    lines: Vec<(String, String)>,
    broken: Option<Failure>,
}

impl Fake {
    fn write(&self, found_by: &str, text: &str) {
        self.0.lock().unwrap().lines.push((found_by.to_owned(), text.to_owned()));
    }

    fn breaks(&self, with: Option<Failure>) {
        self.0.lock().unwrap().broken = with;
    }
}

impl Journal for Fake {
    fn up_to_now(&self, matches: &[String], from: &Start) -> Lines {
        let written = self.0.lock().unwrap();
        if let Some(failure) = &written.broken {
            return stream::iter([Err(failure.clone())]).boxed();
        }
        let behind = match from {
            Start::Recent => None,
            Start::After(cursor) => cursor.parse::<usize>().ok(),
        };
        let lines = written.lines.iter().enumerate();
        let lines = lines.filter(|(index, _)| behind.is_none_or(|behind| *index > behind));
        let lines = lines.filter(|(_, (found_by, _))| matches.contains(found_by));
        let entries: Vec<_> = lines.map(|(index, (_, text))| Ok(entry(Some(index), "", text, false))).collect();
        stream::iter(entries).boxed()
    }

    fn following(&self, _: &[String], _: &Start) -> Lines {
        stream::pending().boxed()
    }
}

fn entry(cursor: Option<usize>, unit: &str, text: &str, from_systemd: bool) -> JournalEntry {
    JournalEntry {
        line: Ok(format!("{{\"MESSAGE\":\"{text}\"}}").into_bytes()),
        cursor: cursor.map(|index| index.to_string()),
        unit: Some(unit.to_owned()),
        command: String::new(),
        from_systemd,
    }
}

fn engine(unit: &str) -> EngineRef {
    EngineRef { unit: Some(unit.to_owned()), ..EngineRef::default() }
}

/// The task, running, and everything around it.
struct Bench {
    journal: Fake,
    handle: Handle,
    engines: watch::Sender<Option<Vec<EngineRef>>>,
    queue: Queue,
    units: Option<mpsc::Receiver<Cause>>,
    task: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Bench {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let queue = Queue::new(Spool::open(&directory.path().join("spool"), 0).unwrap().0);
        let (engines, found) = watch::channel(None);
        let (units_sender, units) = mpsc::channel(16);
        let (handle, asked) = handle(Duration::from_secs(60));
        let journal = Fake::default();
        let task = tokio::spawn(run(Wiring {
            node: "es-1".parse().unwrap(),
            queue: queue.clone(),
            engines: found,
            units: units_sender,
            asked,
            place_file: directory.path().join("journal.json"),
            journal: Box::new(journal.clone()),
        }));
        Self { journal, handle, engines, queue, units: Some(units), task, _directory: directory }
    }

    fn find(&self, units: &[&str]) {
        self.engines.send_replace(Some(units.iter().map(|unit| engine(unit)).collect()));
    }

    /// The texts of the lines in the queue.
    async fn queued(&self) -> Vec<String> {
        let lines = self.queue.queued().await;
        let lines = lines.into_iter().filter(|envelope| envelope.kind == "journal");
        let texts = lines.filter_map(|envelope| match envelope.body? {
            v1::envelope::Body::Raw(raw) => {
                let line: serde_json::Value = serde_json::from_slice(&raw).unwrap();
                Some(line["MESSAGE"].as_str().unwrap().to_owned())
            }
            v1::envelope::Body::Failed(_) | v1::envelope::Body::Gone(_) => None,
        });
        texts.collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn lines_written_before_a_question_are_queued_once_when_it_is_answered() {
    let bench = Bench::start();
    bench.find(&["es.service"]);
    let mut written = Vec::new();
    for n in 0..5 {
        let text = format!("line {n}");
        bench.journal.write("_SYSTEMD_UNIT=es.service", &text);
        bench.journal.write("_SYSTEMD_UNIT=other.service", "not ours");
        written.push(text);
        bench.handle.up_to_now().await.unwrap();
        assert_eq!(bench.queued().await, written);
    }
}

#[tokio::test]
async fn a_refresh_ends_after_the_lines_written_before_it_are_queued() {
    let mut bench = Bench::start();
    let (wish, wishes) = mpsc::channel(1);
    let survey = Survey::new(survey::Wiring {
        node: "es-1".parse().unwrap(),
        reader: Reader::default(),
        journal: bench.handle.clone(),
        queue: bench.queue.clone(),
        wishes,
        units: bench.units.take().unwrap(),
        engines: bench.engines.clone(),
        confirmed: watch::Sender::new(0),
        pulse: watch::Sender::new(0),
    });
    let survey = tokio::spawn(survey.run());
    for n in 0..3 {
        // Wanted on every host, also on one without engines, as this may be.
        bench.journal.write("_COMM=sudo", &format!("line {n}"));
        let (done, refreshed) = oneshot::channel();
        wish.send(RefreshRequest::Changes(done)).await.unwrap();
        refreshed.await.unwrap();
        assert_eq!(bench.queued().await.len(), n + 1);
    }
    survey.abort();
}

#[tokio::test]
async fn an_engine_that_is_found_later_is_told_from_its_past_and_no_line_twice() {
    let bench = Bench::start();
    bench.find(&["a.service"]);
    bench.journal.write("_SYSTEMD_UNIT=b.service", "b long ago");
    bench.journal.write("_SYSTEMD_UNIT=a.service", "a");
    bench.handle.up_to_now().await.unwrap();
    assert_eq!(bench.queued().await, ["a"]);
    bench.journal.write("_SYSTEMD_UNIT=b.service", "b lately");
    bench.find(&["a.service", "b.service"]);
    bench.handle.up_to_now().await.unwrap();
    assert_eq!(bench.queued().await, ["a", "b long ago", "b lately"]);
    bench.journal.write("_SYSTEMD_UNIT=a.service", "a again");
    bench.handle.up_to_now().await.unwrap();
    assert_eq!(bench.queued().await, ["a", "b long ago", "b lately", "a again"]);
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_says_why_until_it_can() {
    let bench = Bench::start();
    bench.find(&["es.service"]);
    bench.journal.write("_SYSTEMD_UNIT=es.service", "kept back");
    let denied = Failure { reason: FailureReason::Denied, message: "insufficient permissions".to_owned() };
    bench.journal.breaks(Some(denied.clone()));
    assert_eq!(bench.handle.up_to_now().await, Err(denied));
    bench.journal.breaks(None);
    assert_eq!(bench.handle.up_to_now().await, Ok(()));
    assert_eq!(bench.queued().await, ["kept back"]);
}

#[tokio::test]
async fn a_journal_that_takes_too_long_is_not_waited_for() {
    let (handle, _asked) = handle(Duration::ZERO);
    assert_eq!(handle.up_to_now().await.map_err(|failure| failure.reason), Err(FailureReason::Timeout));
}

#[test]
fn groups_join_to_what_the_collector_declared() {
    let engines = [engine("es.service")];
    let joined = matches(&groups(&engines));
    assert!(joined.contains(&"_SYSTEMD_UNIT=es.service".to_owned()), "{joined:?}");
    assert!(!joined.starts_with(&["+".to_owned()]) && !joined.ends_with(&["+".to_owned()]), "{joined:?}");
    assert!(!joined.windows(2).any(|pair| pair[0] == "+" && pair[1] == "+"), "{joined:?}");
    assert!(groups(&[]).is_subset(&groups(&engines)));
}

#[test]
fn lines_by_systemd_about_an_engine_are_told_at_once() {
    let line = |unit: &str, from_systemd| entry(None, unit, "", from_systemd);
    let engines = [engine("es.service")];
    assert_eq!(cause(&[], &engines), None);
    assert_eq!(cause(&[line("es.service", false), line("ssh.service", true)], &engines), Some(Cause::Chatter));
    assert_eq!(cause(&[line("es.service", true)], &engines), Some(Cause::Unit));
}
