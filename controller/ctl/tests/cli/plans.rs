//! Plans, from the operator's side.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use common_plan::{Policy, Record, Stage};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::fake::{Fake, incident, key_file, plan, record};
use super::{Home, PATIENCE, Ran};

const WHY: &str = "vm.max_map_count is too low";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_once_and_its_lines_are_a_policy() {
    let fake = Fake::start(WHY).await;
    let home = fake.home();
    let first = home.run(&["key"]).await;
    assert_eq!((first.code, first.err.as_str()), (0, ""), "{first:?}");
    assert_eq!(std::fs::metadata(key_file(home.path())).unwrap().permissions().mode() & 0o777, 0o600);
    let (_, snippet) = first.out.split_once("approvers:\n").unwrap();
    let policy = Policy::parse(&format!("approvers:\n{snippet}")).unwrap();
    assert_eq!(policy.approvers[0].name, "alice");

    let again = home.run(&["key", "-o", "json"]).await.json();
    assert_eq!(again["public"], policy.approvers[0].key.to_string());
    assert_eq!(again["made"], false);

    std::fs::set_permissions(key_file(home.path()), std::fs::Permissions::from_mode(0o644)).unwrap();
    for arguments in [vec!["key"], vec!["approve", &fake.id(), "--yes"]] {
        let ran = home.run(&arguments).await;
        assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{ran:?}");
        assert!(ran.err.contains("not for its owner alone") && ran.err.contains("chmod 600"), "{ran:?}");
    }
    assert!(fake.approvals().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn approving_signs_the_exact_bytes_and_follows_to_the_end() {
    let fake = Fake::start(WHY).await;
    let home = fake.approver().await;
    let ran = home.run(&["approve", &fake.id(), "--yes"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.starts_with("✓ verified — Set vm.max_map_count from 65530 to 262144 on es-1"), "{ran:?}");
    for shown in ["sysctl -w vm.max_map_count=262144", WHY, "live, on trial — node es-1"] {
        assert!(ran.err.contains(shown), "{shown} in {ran:?}");
    }
    let approvals = fake.approvals();
    let public = home.run(&["key", "-o", "json"]).await.json()["public"].clone();
    assert_eq!(approvals.len(), 1);
    assert_eq!(Value::from(approvals[0].key.to_string()), public);
    assert!(approvals[0].holds_for(&fake.world.lock().unwrap().plan));

    let again = home.run(&["approve", &fake.id(), "--yes"]).await;
    assert_eq!((again.code, again.out.as_str()), (2, ""), "{again:?}");
    assert!(again.err.contains("has ended: ✓ verified"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_plan_ended_is_the_exit_code_and_the_first_words() {
    for (stage, words) in [
        (Stage::RolledBack, "✗ rolled back — es-1 is as it was before: it timed\\u{1b}[2J out"),
        (Stage::Refused, "✗ refused — by es-1; nothing was changed there: it timed\\u{1b}[2J out"),
        (Stage::Failed, "✗ failed — on es-1: it timed\\u{1b}[2J out"),
        (Stage::Expired, "✗ expired — nothing was changed on es-1: it timed\\u{1b}[2J out"),
    ] {
        let fake = Fake::start(WHY).await;
        fake.change(|world| world.ending = Some((stage, "it timed\u{1b}[2J out".to_owned())));
        let ran = fake.approver().await.run(&["approve", &fake.id(), "--yes"]).await;
        assert_eq!((ran.code, ran.out.trim_end()), (1, words), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_approvals_is_done_and_says_who_is_missing() {
    let fake = Fake::start(WHY).await;
    fake.change(|world| world.record.needed = 2);
    let home = fake.approver().await;
    let ran = home.run(&["approve", &fake.id(), "--yes", "-o", "json"]).await;
    assert_eq!((ran.code, &ran.json()["record"]["stage"]), (0, &"proposed".into()), "{ran:?}");
    let again = home.run(&["approve", &fake.id(), "--yes"]).await;
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.err.contains("you have approved it already; nothing was sent"), "{again:?}");
    assert!(again.out.contains("approved by alice; one more person has to"), "{again:?}");
    assert_eq!(fake.approvals().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_shows_one_plan_gets_no_signature_for_another() {
    let fake = Fake::start(WHY).await;
    let home = fake.approver().await;
    let other = plan("something else");
    let mut renamed = record(&other);
    renamed.id = fake.id().parse().unwrap();
    for told in [record(&other), renamed] {
        fake.change(|world| world.lie = Some((other.encode().unwrap(), told)));
        for arguments in [vec!["approve", &fake.id(), "--yes"], vec!["plan", &fake.id()]] {
            let ran = home.run(&arguments).await;
            assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{ran:?}");
            assert!(ran.err.contains("nothing was signed") && ran.err.contains("approve nothing"), "{ran:?}");
        }
    }
    assert!(fake.approvals().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_or_a_key_nothing_is_sent() {
    let fake = Fake::start(WHY).await;
    let home = fake.approver().await;
    let ran = home.run(&["approve", &fake.id()]).await;
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    assert!(ran.err.contains("no terminal"), "{ran:?}");
    std::fs::remove_file(key_file(home.path())).unwrap();
    let ran = home.run(&["approve", &fake.id(), "--yes"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{ran:?}");
    assert!(ran.err.contains("dialtone key makes one"), "{ran:?}");
    assert!(fake.approvals().is_empty());
}

/// The program on a terminal of its own, which has 24 rows of 80.
struct Pty {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    said: Vec<u8>,
    /// What was looked through for cues.
    past: usize,
}

impl Pty {
    fn start(home: &Home, arguments: &str) -> Self {
        let command = format!("stty rows 24 cols 80; '{}' {arguments}", env!("CARGO_BIN_EXE_dialtone"));
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &command, "/dev/null"]).env_clear().env("HOME", home.path()).env("LANG", "C.UTF-8");
        terminal.env("PATH", std::env::var_os("PATH").unwrap()).env("SHELL", "/bin/sh").env("TERM", "xterm");
        let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output, said: Vec::new(), past: 0 }
    }

    /// Waits until this was sent to the terminal in one piece, after the cue before it.
    async fn until(&mut self, cue: &str) {
        let wanted = async {
            loop {
                let rest = &self.said[self.past..];
                if let Some(at) = rest.windows(cue.len()).position(|part| part == cue.as_bytes()) {
                    self.past += at + cue.len();
                    return;
                }
                let mut part = [0; 4096];
                let read = self.output.read(&mut part).await.unwrap();
                assert!(read > 0, "{cue:?} in {}", String::from_utf8_lossy(&self.said));
                self.said.extend_from_slice(&part[..read]);
            }
        };
        tokio::time::timeout(PATIENCE, wanted).await.unwrap();
    }

    async fn write(&mut self, text: &str) {
        self.input.write_all(text.as_bytes()).await.unwrap();
    }

    /// The exit code, and all that was shown.
    async fn end(mut self) -> (i32, String) {
        tokio::time::timeout(PATIENCE, self.output.read_to_end(&mut self.said)).await.unwrap().unwrap();
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        (status.code().unwrap(), String::from_utf8_lossy(&self.said).into_owned())
    }
}

/// `approve`, each answer given once it is asked for.
async fn converse(home: &Home, id: &str, answers: &[&str]) -> (i32, String) {
    let mut pty = Pty::start(home, &format!("approve {id}"));
    for answer in answers {
        pty.until("d = details: ").await;
        pty.write(answer).await;
    }
    pty.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_only_a_written_yes_signs() {
    let fake = Fake::start(WHY).await;
    let home = fake.approver().await;
    // An empty line is no answer; the end of input, as Ctrl-D makes it, is a no.
    for answers in [vec!["\n", "n\n"], vec!["\u{4}"], vec!["d\n", "nonsense\n", "no\n"]] {
        let (code, said) = converse(&home, &fake.id(), &answers).await;
        assert_eq!(code, 3, "{said}");
        assert!(said.contains("not approved; nothing was sent"), "{said}");
        assert_eq!(said.contains("SHA-256"), answers[0] == "d\n", "{said}");
    }
    assert!(fake.approvals().is_empty());
    let (code, said) = converse(&home, &fake.id(), &["y\n"]).await;
    assert!(code == 0 && said.contains("verified"), "{code} {said}");
    assert_eq!(fake.approvals().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_approves_follows_and_gives_the_terminal_back() {
    let fake = Fake::start(WHY).await;
    let home = fake.approver().await;
    let mut pty = Pty::start(&home, "console --color never");
    // These cues replace text that has no character of theirs in its place, so that they are sent whole.
    pty.until("nobody").await;
    pty.write("\t\r").await;
    pty.until("Approve").await;
    pty.write("y").await;
    fake.ended().await;
    pty.write("nq").await;
    let (code, shown) = pty.end().await;
    assert_eq!(code, 0, "{shown}");
    let approvals = fake.approvals();
    assert!(approvals.len() == 1 && approvals[0].holds_for(&fake.world.lock().unwrap().plan));
    // The other screen was left for good.
    let (entered, left) = (shown.rfind("\u{1b}[?1049h").unwrap(), shown.rfind("\u{1b}[?1049l").unwrap());
    assert!(entered < left, "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_ends_an_incident_with_words() {
    let fake = Fake::start(WHY).await;
    fake.change(|world| world.incidents = vec![incident(7, WHY)]);
    let home = fake.approver().await;
    let mut pty = Pty::start(&home, "console --color never");
    pty.until("1 incident").await;
    pty.write("\r").await;
    pty.until("✗ incident").await;
    pty.write("eits client was told\u{7f}\u{7f}\u{7f}\u{7f}now uses https\r").await;
    fake.until(|world| !world.ended.is_empty()).await;
    pty.write("qq").await;
    assert_eq!(pty.end().await.0, 0);
    assert_eq!(fake.world.lock().unwrap().ended, [("its client was now uses https".to_owned(), false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn incidents_are_listed_shown_and_ended() {
    let fake = Fake::start(WHY).await;
    let home = fake.home();
    let none = home.run(&["incidents"]).await;
    assert!(none.code == 0 && none.out.contains("No incident is open"), "{none:?}");
    fake.change(|world| world.incidents = vec![incident(7, "\u{1b}]0;x\u{7} is down")]);
    let list = home.run(&["incidents", "-o", "json"]).await.json();
    assert_eq!((&list[0]["id"], &list[0]["state"]), (&"7".into(), &"open".into()), "{list}");
    for arguments in [vec!["incidents"], vec!["incidents", "-o", "yaml"], vec!["incident", "7"], vec!["incident", "#7"]]
    {
        let ran = home.run(&arguments).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.out.contains("http://es-1:9200") && !ran.out.contains(['\u{1b}', '\u{7}']), "{ran:?}");
    }
    assert_eq!(home.run(&["incident", "8"]).await.code, 2);
    assert_eq!(home.run(&["incident", "x"]).await.code, 2);
    // Words and the wish to end it go together.
    for arguments in [vec!["incident", "7", "--close"], vec!["incident", "7", "--because", "x"]] {
        assert_eq!(home.run(&arguments).await.code, 2);
    }
    let ended = home.run(&["incident", "7", "--close", "--because", "told to use https", "-o", "json"]).await;
    assert_eq!((ended.code, &ended.json()["closed"]["because"]), (0, &"told to use https".into()), "{ended:?}");
    assert_eq!(home.run(&["incidents", "-o", "json"]).await.json(), serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_named_by_how_its_id_begins() {
    let fake = Fake::start(WHY).await;
    let home = fake.approver().await;
    let ran = home.run(&["plan", &fake.id()[..5], "-o", "json"]).await;
    assert_eq!((ran.code, &ran.json()["record"]["id"]), (0, &fake.id().into()), "{ran:?}");
    let other = if fake.id().starts_with("0000") { "1111" } else { "0000" };
    let none = home.run(&["approve", other, "--yes"]).await;
    assert!(none.code == 2 && none.err.contains("no plan whose id begins with"), "{none:?}");
    assert!(fake.approvals().is_empty());
    assert_eq!(home.run(&["approve", &fake.id()[..4], "--yes"]).await.code, 0);
    assert_eq!(fake.approvals().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_wants_a_terminal() {
    let fake = Fake::start(WHY).await;
    let ran = fake.approver().await.run(&["console"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    assert!(ran.err.contains("needs a terminal"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_are_listed_shown_rejected_and_taken_back() {
    let fake = Fake::start("\u{1b}[31mhostile").await;
    fake.change(|world| world.record.title = "\u{1b}]0;x\u{7}".to_owned());
    let home = fake.home();
    let list = home.run(&["plans", "-o", "json"]).await;
    let records: Vec<Record> = serde_json::from_value(list.json()).unwrap();
    assert_eq!(records.iter().map(|record| record.id.to_string()).collect::<Vec<_>>(), [fake.id()]);
    for arguments in [vec!["plans"], vec!["plans", "-o", "yaml"], vec!["plan", &fake.id()]] {
        let ran = home.run(&arguments).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.out.contains(&fake.id()) && !ran.out.contains(['\u{1b}', '\u{7}']), "{ran:?}");
    }
    let missing = home.run(&["plan", "0000000000000000"]).await;
    assert_eq!(missing.code, 2, "{missing:?}");
    let wrong = home.run(&["plan", "../x"]).await;
    assert!(wrong.code == 2 && wrong.err.contains("16 hex digits"), "{wrong:?}");

    let limited = home.run(&["plan", &fake.id(), "--for", "2h"]).await;
    assert!(limited.code == 0 && limited.out.contains("for 7200 s"), "{limited:?}");
    assert!(limited.out.contains("dialtone approve ") && !limited.out.contains(&fake.id()), "{limited:?}");
    let back = home.run(&["revert", &fake.id()]).await;
    assert!(back.code == 0 && back.out.contains("dialtone approve "), "{back:?}");
    let no = home.run(&["reject", &fake.id(), "--because", "not now"]).await;
    assert_eq!((no.code, no.out.as_str()), (0, "✗ rejected — nothing was changed on es-1: not now\n"), "{no:?}");
    assert_eq!(fake.world.lock().unwrap().rejections, ["not now"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_is_exported_as_it_is_and_checked_against_a_copy() {
    let fake = Fake::start(WHY).await;
    let home = fake.home();
    let lines = fake.world.lock().unwrap().audit.join("\n") + "\n";
    assert_eq!(home.run(&["audit", "export"]).await.out, lines);
    let copy = home.path().join("audit.jsonl");
    let copy = copy.to_str().unwrap();
    let ran = home.run(&["audit", "export", "-O", copy]).await;
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{ran:?}");
    assert_eq!(std::fs::read_to_string(copy).unwrap(), lines);

    let whole = home.run(&["audit", "verify", copy, "-o", "json"]).await;
    assert_eq!((whole.code, &whole.json()["entries"]), (0, &3.into()), "{whole:?}");
    fake.change(|world| drop(world.audit.pop()));
    let short = home.run(&["audit", "verify", copy]).await;
    assert_eq!((short.code, short.out.as_str()), (1, ""), "{short:?}");
    assert!(short.err.contains("broken at entry 3"), "{short:?}");
    fake.change(|world| world.audit[0] = world.audit[0].replace("login", "nothing"));
    for arguments in [["audit", "verify"], ["audit", "export"]] {
        let broken = home.run(&arguments).await;
        assert_eq!(broken.code, 1, "{broken:?}");
        assert!(broken.err.contains("broken at entry 2"), "{broken:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_controller_there_are_no_plans() {
    let ran: Ran = Home::new().run(&["plans"]).await;
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.err.contains("no controller is configured"), "{ran:?}");
}
