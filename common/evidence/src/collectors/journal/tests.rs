//! Journal lines as journalctl prints them.

use serde_json::json;

use super::*;

fn parse(value: Value) -> JournalLine {
    JournalLine::parse(value.to_string().as_bytes(), "", 1).value
}

fn systemd(id: &str, mut extra: Value) -> JournalLine {
    let base = json!({"__REALTIME_TIMESTAMP": "1700000000123456", "_PID": "1", "_COMM": "systemd", "UNIT": "elasticsearch.service", "MESSAGE_ID": id, "MESSAGE": "x"});
    for (key, value) in base.as_object().unwrap() {
        extra.as_object_mut().unwrap().entry(key.clone()).or_insert(value.clone());
    }
    parse(extra)
}

#[test]
fn what_systemd_tells_of_a_unit() {
    let line = systemd("7d4958e842da4a758f6c1cdc7b36dcc5", json!({}));
    assert_eq!(
        (line.at, line.unit.as_deref(), line.from_systemd),
        (Timestamp(1_700_000_000_123), Some("elasticsearch.service"), true)
    );
    assert_eq!(line.tells, Some(Tells::Starting));
    assert_eq!(systemd("39f53479d3a045ac8e11786248231fbf", json!({})).tells, Some(Tells::Started));
    assert_eq!(systemd("de5b426a63be47a7b6ac3eaac82e2f6f", json!({})).tells, Some(Tells::Stopping));
    assert_eq!(systemd("9d1aaa27d60140bd96365438aad20286", json!({})).tells, Some(Tells::Stopped));
    let failed = systemd("d9b373ed55a64feb8242e02dbe79a49c", json!({"UNIT_RESULT": "timeout"}));
    assert_eq!(failed.tells, Some(Tells::Failed("timeout".to_owned())));
    let exited = json!({"MESSAGE": "elasticsearch.service: Main process exited, code=exited, status=78/CONFIG", "EXIT_CODE": "exited", "EXIT_STATUS": "78"});
    let expected = Some(Tells::MainExited { code: "exited".to_owned(), status: 78 });
    assert_eq!(systemd("98e322203f7a4ed290d09fe03c09fe15", exited).tells, expected);
    let control = json!({"MESSAGE": "x: Control process exited, code=exited, status=1", "EXIT_CODE": "exited", "EXIT_STATUS": "1"});
    assert_eq!(systemd("98e322203f7a4ed290d09fe03c09fe15", control).tells, None);
    assert_eq!(systemd("ffffffffffffffffffffffffffffffff", json!({"MESSAGE": "Failed with result 'x'"})).tells, None);
}

#[test]
fn older_systemd_has_fewer_ids() {
    let line = |message: &str| {
        parse(json!({"__REALTIME_TIMESTAMP": "1", "_PID": "1", "_COMM": "systemd", "UNIT": "e.service", "MESSAGE": message, "EXIT_CODE": "killed", "EXIT_STATUS": "9"})).tells
    };
    assert_eq!(line("e.service: Failed with result 'exit-code'."), Some(Tells::Failed("exit-code".to_owned())));
    assert_eq!(line("Unit e.service entered failed state."), Some(Tells::Failed("unknown".to_owned())));
    let killed = Some(Tells::MainExited { code: "killed".to_owned(), status: 9 });
    assert_eq!(line("e.service: main process exited, code=killed, status=9/KILL"), killed);
}

#[test]
fn a_user_cannot_speak_for_systemd() {
    let forged = json!({"__REALTIME_TIMESTAMP": "1700000000000000", "_PID": "4242", "_UID": "1000", "_COMM": "systemd", "_SYSTEMD_UNIT": "session-3.scope",
        "UNIT": "elasticsearch.service", "SYSLOG_IDENTIFIER": "systemd", "MESSAGE_ID": "39f53479d3a045ac8e11786248231fbf", "MESSAGE": "Started Elasticsearch."});
    let line = parse(forged);
    assert_eq!((line.tells, line.from_systemd, line.message_id), (None, false, None));
    assert_eq!(line.unit.as_deref(), Some("session-3.scope"));
}

fn sudo(fields: Value) -> Option<Tells> {
    let mut all = json!({"__REALTIME_TIMESTAMP": "1", "_PID": "9", "_COMM": "sudo", "_EXE": "/usr/bin/sudo"});
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    parse(all).tells
}

#[test]
fn who_ran_what_by_sudo() {
    let line = "   alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/usr/bin/sysctl -w vm.max_map_count=65530";
    let expected =
        Tells::Sudo { user: "alice".to_owned(), command: "/usr/bin/sysctl -w vm.max_map_count=65530".to_owned() };
    assert_eq!(sudo(json!({"MESSAGE": line})), Some(expected));
    for refused in [
        "alice : command not allowed ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/vi",
        "alice : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/vi",
        "pam_unix(sudo:session): session opened for user root(uid=0) by alice(uid=1000)",
        "alice : ",
    ] {
        assert_eq!(sudo(json!({ "MESSAGE": refused })), None, "{refused}");
    }
}

#[test]
fn a_program_called_sudo_is_not_believed() {
    let message = "alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/vi";
    assert_eq!(sudo(json!({"MESSAGE": message, "_EXE": "/tmp/sudo"})), None);
    assert_eq!(sudo(json!({"MESSAGE": message, "_EXE": "/home/alice/sudo"})), None);
    assert_eq!(sudo(json!({"MESSAGE": message, "_COMM": "logger"})), None);
}

#[test]
fn messages_come_in_four_shapes() {
    let message = |value: Value| parse(json!({"__REALTIME_TIMESTAMP": "1", "MESSAGE": value})).message;
    assert_eq!(message(json!("text")), "text");
    assert_eq!(message(json!([104, 105, 255])), "hi\u{fffd}");
    assert_eq!(message(json!(["first", "second"])), "first");
    assert_eq!(message(json!([[104, 105], "x"])), "hi");
    assert_eq!(message(json!(null)), "");
}

#[test]
fn kernel_lines_are_the_kernels() {
    let line = parse(
        json!({"__REALTIME_TIMESTAMP": "5000", "_TRANSPORT": "kernel", "PRIORITY": "3", "MESSAGE": "Out of memory: Killed process 812 (java)"}),
    );
    assert_eq!((line.command.as_str(), line.priority, line.from_systemd), ("kernel", Some(3), false));
    let mimic = parse(
        json!({"__REALTIME_TIMESTAMP": "5000", "_TRANSPORT": "syslog", "_COMM": "java", "SYSLOG_IDENTIFIER": "kernel", "MESSAGE": "Out of memory"}),
    );
    assert_eq!(mimic.command, "java");
}

#[test]
fn broken_lines_are_problems() {
    for raw in ["", "{", "[]", "{}", "null"] {
        assert_eq!(JournalLine::parse(raw.as_bytes(), "", 1).problems.len(), 1, "{raw}");
    }
}
