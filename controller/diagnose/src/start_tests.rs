//! A start that failed after another did: the words of the first are never the reason of the second.

use common_evidence::collectors::unit::Unit;
use common_model::{Certainty, Timestamp};
use controller_correlate::testing::Node;

use super::pictures::{FAILED_AT, failing, refused};

const UNKNOWN: &str = "java.lang.IllegalArgumentException: unknown setting [http.prot] did you mean [http.port]?";
const OPTION: &str = "Unrecognized VM option 'UseFoo'";
/// When the second start was begun.
const AGAIN: Timestamp = Timestamp(FAILED_AT.0 + 60_300);

fn told(node: Node) -> (String, Certainty) {
    let verdict = crate::diagnose(&refused(node)).verdict;
    (verdict.cause.as_str().to_owned(), verdict.certainty)
}

fn certain(cause: &str) -> (String, Certainty) {
    (cause.to_owned(), Certainty::Certain)
}

fn first() -> Node {
    failing(&[UNKNOWN], 1).lines_of_run("one")
}

/// The unit as systemd tells it after the second start, in whole seconds.
fn second(node: Node, active: &str, sub: &str) -> Node {
    let (start, exit) = (AGAIN.0 / 1000, AGAIN.0 / 1000 + 2);
    node.unit(active, sub, "exit-code", 1).rewrite::<Unit>(|text| {
        let kept = text.lines().filter(|line| !line.starts_with("ExecMainStart") && !line.starts_with("ExecMainExit"));
        let kept: Vec<&str> = kept.collect();
        format!("{}\nExecMainStartTimestamp=@{start}\nExecMainExitTimestamp=@{exit}\n", kept.join("\n"))
    })
}

#[test]
fn a_unit_that_failed_again_before_its_lines_were_read_has_no_reason_yet() {
    assert_eq!(told(first().unit_of_run("one")), certain("unknown-setting"));
    let (cause, _) = told(second(first(), "failed", "failed").unit_of_run("two"));
    assert_eq!(cause, "undetermined");
}

#[test]
fn before_systemd_names_runs_their_times_tell_them_apart() {
    let (cause, _) = told(second(failing(&[UNKNOWN], 1), "failed", "failed"));
    assert_eq!(cause, "undetermined");
}

#[test]
fn a_unit_still_said_to_be_starting_has_not_failed_as_it_did_before() {
    let begun = second(first(), "activating", "start").unit_of_run("two").no_process();
    assert_eq!(told(begun).0, "still-starting");
}

#[test]
fn the_second_reason_is_told_once_it_was_read() {
    let wrote = first().starting(AGAIN).stderr(AGAIN.plus_millis(900), OPTION);
    let both = wrote.failed(AGAIN.plus_millis(2_000), 1).lines_of_run("two");
    assert_eq!(told(second(both, "failed", "failed").unit_of_run("two")), certain("jvm-option-invalid"));
}

#[test]
fn the_log_of_the_first_is_not_that_of_a_second_begun_within_a_second() {
    // When the log of these pictures was last written.
    let written = FAILED_AT.plus_millis(-1_000);
    let entry = |at: Timestamp| {
        let time = at.to_string().trim_end_matches('Z').replace('.', ",");
        format!(
            "[{time}][ERROR][o.e.b.Elasticsearch      ] [n] fatal exception while booting Elasticsearch\n{UNKNOWN}\n"
        )
    };
    let failed = |begun: Timestamp| {
        let node = Node::new().starting(begun).failed(written.plus_millis(2_000), 1).log(&entry(written));
        told(node.lines_of_run("two").unit_of_run("two"))
    };
    assert_eq!(failed(written.plus_millis(-3_000)), certain("unknown-setting"));
    assert_eq!(failed(written.plus_millis(400)).0, "undetermined");
}

#[test]
fn while_it_is_started_once_more_the_failure_before_is_likely() {
    let again = first().unit_of_run("two").rewrite::<Unit>(|text| {
        let text =
            text.replace("ActiveState=failed", "ActiveState=activating").replace("SubState=failed", "SubState=start");
        text.replace("NRestarts=0", "NRestarts=1")
    });
    assert_eq!(told(again), ("unknown-setting".to_owned(), Certainty::Likely));
}

#[test]
fn what_an_agent_sent_before_it_was_asked_is_not_certain() {
    assert_eq!(told(first().unit_of_run("one").late()), ("unknown-setting".to_owned(), Certainty::Likely));
}

#[test]
fn a_line_that_names_no_run_is_of_the_one_it_was_written_in() {
    let begun = first().starting(AGAIN).lines_of_run("two").stderr(AGAIN.plus_millis(900), OPTION);
    let both = begun.failed(AGAIN.plus_millis(2_000), 1);
    assert_eq!(told(second(both, "failed", "failed").unit_of_run("two")), certain("jvm-option-invalid"));
}
