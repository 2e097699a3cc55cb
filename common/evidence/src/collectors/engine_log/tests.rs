//! Logs of real engines.

use serde_json::json;

use super::*;

/// A whole run of Elasticsearch 7.17 in development mode: started, then stopped.
static ES_7: &str = include_str!("../../../tests/data/run-es-7.17.log");
/// OpenSearch 2.19 with TLS, while clients without TLS tried it.
static OS_2: &str = include_str!("../../../tests/data/run-os-2.19.log");

/// 2026-11-20T23:57:40.987Z, when the last line of [`ES_7`] was written in UTC.
const ES_7_ENDED: i64 = 1_795_219_060_987;

fn parse(text: &str, modified_ms: i64) -> Parsed<EngineLog> {
    let file = json!({"path": "/var/log/elasticsearch/x.log", "text": text, "modified_ms": modified_ms});
    EngineLog::parse(file.to_string().as_bytes(), "", 1)
}

fn until(text: &str, marker: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let end = lines.iter().position(|line| line.contains(marker)).unwrap();
    lines[..=end].join("\n")
}

#[test]
fn a_run_that_ended_is_not_started() {
    let parsed = parse(ES_7, ES_7_ENDED);
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    let log = parsed.value;
    assert!(log.start_seen && !log.started);
    assert!(log.newest_start[0].message.starts_with("version[7.17.28]"));
    assert_eq!(log.http_bound, ["[::1]:19200", "127.0.0.1:19200"]);
    assert_eq!(log.bootstrap_failure, None, "warnings of development mode");
    assert_eq!(log.last_line_at.unwrap().to_string(), "2026-11-20T23:57:40.987Z");
    assert_eq!(log.newest_start[0].level, "INFO");
}

#[test]
fn a_run_goes_on_until_it_ends() {
    let log = parse(&until(ES_7, "] started"), 0).value;
    assert!(log.started);
}

#[test]
fn the_zone_is_told_by_the_files_own_time() {
    let hour = 3_600_000;
    let local_is_ahead = parse(ES_7, ES_7_ENDED - 5 * hour - hour / 2).value;
    assert_eq!(local_is_ahead.last_line_at.unwrap().to_string(), "2026-11-20T18:27:40.987Z");
    let behind = parse(ES_7, ES_7_ENDED + 8 * hour + 300).value;
    assert_eq!(behind.last_line_at.unwrap().to_string(), "2026-11-21T07:57:40.987Z");
    let touched = parse(ES_7, ES_7_ENDED + 7 * 60 * 1000);
    assert_eq!(touched.value.last_line_at, None);
    assert_eq!(touched.problems.len(), 1);
}

#[test]
fn opensearch_and_plain_http_on_its_tls_port() {
    let log = parse(OS_2, 0).value;
    assert!(log.started && log.start_seen);
    assert_eq!(log.http_bound, ["[::1]:19201", "127.0.0.1:19201"]);
    let first = &log.newest_start[log.plaintext_on_tls[0]];
    assert!(first.logger.ends_with("SecureNetty4HttpServerTransport"), "{first:?}");
    let transport = log.newest_start.iter().position(|line| line.logger.ends_with("SecureNetty4Transport")).unwrap();
    assert!(!log.plaintext_on_tls.contains(&transport));
}

#[test]
fn elasticsearch_names_plain_http() {
    let line = "[2026-11-20T23:53:49,511][WARN ][o.e.x.s.t.n.SecurityNetty4HttpServerTransport] [n] received plaintext http traffic on an https channel, closing connection Netty4HttpChannel{localAddress=/10.0.0.1:9200, remoteAddress=/10.0.0.2:4}";
    assert_eq!(parse(line, 0).value.plaintext_on_tls, [0]);
}

#[test]
fn failed_checks_belong_to_the_start_they_ended() {
    let failure = "[2026-11-21T08:00:00,000][INFO ][o.e.n.Node               ] [n] version[8.14.1], pid[1]\n[2026-11-21T08:00:09,000][ERROR][o.e.b.Elasticsearch      ] [n] node validation exception\n[1] bootstrap checks failed. You must address the points described in the following [1] lines before starting Elasticsearch.\nbootstrap check failure [1] of [1]: max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]\n[2026-11-21T08:00:09,001][INFO ][o.e.n.Node               ] [n] stopping ...\n";
    let log = parse(&format!("{ES_7}{failure}"), 0).value;
    assert_eq!(log.bootstrap_failure.unwrap().checks[0].check, "max-map-count");
    assert!(!log.started);
    let recovered = parse(&format!("{failure}{ES_7}"), 0).value;
    assert_eq!(recovered.bootstrap_failure, None);
}

#[test]
fn a_start_that_fails_before_its_version_is_the_newest() {
    let failure = "[2026-11-21T08:00:00,000][ERROR][o.e.b.Elasticsearch      ] [n] fatal exception while booting Elasticsearch\njava.lang.RuntimeException: can not run elasticsearch as root\n";
    let log = parse(&format!("{ES_7}{failure}"), 0).value;
    assert_eq!(log.newest_start.len(), 1);
    assert!(log.newest_start[0].message.contains("as root"));
    let crashed = format!("{}\n{failure}", until(ES_7, "] started"));
    assert!(!parse(&crashed, 0).value.started);
}

#[test]
fn a_tail_without_a_start_says_so() {
    let log = parse("[2026-11-20T23:53:49,511][INFO ][o.e.c.m.MetadataService] [n] [logs] create_mapping", 0).value;
    assert!(!log.start_seen && !log.started);
    assert_eq!(log.newest_start.len(), 1);
}

#[test]
fn json_logs_are_read_alike() {
    let seven = r#"{"type": "server", "timestamp": "2026-11-20T23:53:35,521+01:00", "level": "INFO", "component": "o.e.n.Node", "cluster.name": "c", "node.name": "n", "message": "version[7.10.2], pid[1]" }
{"type": "server", "timestamp": "2026-11-20T23:53:36,000+01:00", "level": "INFO", "component": "o.e.h.AbstractHttpServerTransport", "message": "publish_address {10.0.0.1:9200}, bound_addresses {[::]:9200}" }
{"type": "server", "timestamp": "2026-11-20T23:53:37,000+01:00", "level": "INFO", "component": "o.e.n.Node", "message": "started" }"#;
    let log = parse(seven, 0).value;
    assert!(log.started && log.start_seen);
    assert_eq!(log.http_bound, ["[::]:9200"]);
    assert_eq!(log.newest_start[0].at.unwrap().to_string(), "2026-11-20T22:53:35.521Z");
    let ecs = r#"{"@timestamp":"2026-11-20T23:53:35.521Z","log.level":"INFO","message":"version[8.14.1]","log.logger":"org.elasticsearch.node.Node"}
{"@timestamp":"2026-11-20T23:53:39.521Z","log.level":"ERROR","message":"node validation exception\n[1] bootstrap checks failed. You must\nbootstrap check failure [1] of [1]: memory locking requested for elasticsearch process but memory is not locked","log.logger":"org.elasticsearch.bootstrap.Elasticsearch","error.stack_trace":"java.lang.X\n\tat y"}"#;
    let log = parse(ecs, 0).value;
    assert_eq!(log.newest_start[0].logger, "o.e.n.Node");
    assert_eq!(log.bootstrap_failure.unwrap().checks[0].check, "memory-lock");
    assert!(log.newest_start[1].message.contains("java.lang.X"));
}

#[test]
fn broken_logs_give_what_they_hold() {
    for text in [
        "",
        "[",
        "[2026-99-99T00:00:00,000][INFO ][x] [n] m",
        "{\"message\":",
        "\u{0}\n\n\tat x",
        "[2026-11-20T23:53:35,521][INFO ]",
    ] {
        let log = parse(text, i64::MIN).value;
        assert!(!log.started && log.newest_start.len() <= 1, "{text}");
    }
    let unreadable = EngineLog::parse(br#"{"path":"/l","error":"denied"}"#, "", 1).value;
    assert_eq!(unreadable.unreadable.as_deref(), Some("denied"));
}
