//! No verdict is left without a remedy, no remedy does harm, and nothing that a node says is ever run.

use common_model::diagnosis::{Remedy, RemedyKind};
use common_model::{Body, Symptom, Timestamp};
use controller_correlate::Picture;
use controller_correlate::testing::{AT, Node, picture, probe};
use controller_diagnose::causes::FIRES;

use crate::with_remedies;

/// When the starts of these tests failed.
pub(crate) const FAILED_AT: Timestamp = Timestamp(AT.0 - 480_000);

/// A node whose last start wrote these lines and ended with this exit status.
pub(crate) fn failed(node: Node, lines: &[&str], exit: i32) -> Node {
    let begun = node.starting(FAILED_AT.plus_millis(-6000));
    let wrote = lines.iter().fold(begun, |node, line| node.stderr(FAILED_AT.plus_millis(-100), line));
    wrote.failed(FAILED_AT, exit)
}

/// A node whose last start failed these bootstrap checks.
pub(crate) fn checked(node: Node, checks: &[&str]) -> Node {
    let numbered = checks.iter().enumerate();
    let lines: Vec<String> = numbered
        .map(|(at, check)| format!("bootstrap check failure [{}] of [{}]: {check}", at + 1, checks.len()))
        .collect();
    failed(node, &lines.iter().map(String::as_str).collect::<Vec<_>>(), 78)
}

/// The remedies where the node's port refuses.
pub(crate) fn refused(node: Node) -> Vec<Remedy> {
    mended(&picture(node, vec![probe(Symptom::Refused)]))
}

pub(crate) fn mended(picture: &Picture) -> Vec<Remedy> {
    with_remedies(controller_diagnose::diagnose(picture), picture).remedies
}

/// Titles and commands, for tests of the exact text.
pub(crate) fn told(remedies: &[Remedy]) -> Vec<(&str, Vec<&str>)> {
    remedies
        .iter()
        .map(|remedy| (remedy.title.as_str(), remedy.commands.iter().map(String::as_str).collect()))
        .collect()
}

/// The lines of a remedy's diff that change something.
pub(crate) fn changed(remedy: &Remedy) -> Vec<&str> {
    let diff = remedy.diff.as_deref().unwrap_or_default();
    let is_change = |line: &&str| line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---");
    diff.lines().filter(is_change).collect()
}

/// What is pasted: commands, and what undoes them.
fn pasted(remedy: &Remedy) -> impl Iterator<Item = &String> {
    remedy.commands.iter().chain([&remedy.undo])
}

#[test]
fn every_cause_has_a_remedy() {
    for (cause, fires) in FIRES {
        let remedies = mended(&fires());
        let has_none = matches!(cause.id, "healthy" | "undetermined");
        assert_eq!(remedies.is_empty(), has_none, "{}", cause.id);
        for remedy in remedies {
            assert!(!remedy.title.is_empty() && !remedy.risk.is_empty(), "{}: {remedy:?}", cause.id);
            let is_by_hand = remedy.kind == RemedyKind::Manual;
            assert!(is_by_hand || !remedy.commands.is_empty() || remedy.diff.is_some(), "{}: {remedy:?}", cause.id);
        }
    }
}

#[test]
fn no_remedy_does_harm() {
    const HARM: [&str; 12] = [
        "chmod",
        "rm -rf",
        "setenforce",
        "security.enabled: false",
        "security.disabled",
        "ssl.enabled: false",
        "system_call_filter",
        ": 0.0.0.0",
        "\"0.0.0.0",
        "0.0.0.0/0",
        "::/0",
        "node.lock",
    ];
    for (cause, fires) in FIRES {
        for remedy in mended(&fires()) {
            let done: Vec<&str> = pasted(&remedy).map(String::as_str).chain(changed(&remedy)).collect();
            let added = done.iter().filter(|line| !line.starts_with('-'));
            for line in added {
                assert!(HARM.iter().all(|harm| !line.contains(harm)), "{}: {line}", cause.id);
            }
        }
    }
}

/// The parts of a command that a shell reads as more than text: all but what single quotes hold.
fn unquoted(command: &str) -> String {
    command.replace(r"'\''", "").split('\'').step_by(2).collect()
}

#[test]
fn nothing_that_a_node_says_is_ever_run() {
    // Each is text of the node that some remedy has in a command.
    const WORDS: [(&str, &str); 9] = [
        ("/etc/elasticsearch", "/etc/e s$(reboot)"),
        ("/usr/share/elasticsearch", "/usr/share/e;reboot;"),
        ("/var/log/elasticsearch", "/var/log/`reboot`"),
        ("elasticsearch.service", "e;reboot.service"),
        ("http.prot]", "http.prot';reboot]"),
        ("/srv/data", "/srv/data;reboot"),
        ("Plugin [foo]", "Plugin [foo;reboot]"),
        ("UseConcMarkSweepGC", "Use;reboot;GC"),
        ("[8.11.0]", "[8.11.0;reboot]"),
    ];
    let hostile = |text: &str| WORDS.iter().fold(text.to_owned(), |text, (plain, bad)| text.replace(plain, bad));
    let mut held = 0;
    for (cause, fires) in FIRES {
        let mut picture = fires();
        for envelope in picture.nodes.values_mut().flat_map(|node| &mut node.evidence) {
            envelope.subject = hostile(&envelope.subject);
            if let Body::Raw(raw) = &mut envelope.body {
                *raw = hostile(&String::from_utf8_lossy(raw)).into_bytes();
            }
        }
        for remedy in mended(&picture) {
            for command in pasted(&remedy) {
                held += usize::from(command.contains("reboot"));
                assert!(!unquoted(command).contains("reboot"), "{}: {command}", cause.id);
            }
        }
    }
    assert!(held > 3, "the test reaches no command");
}
