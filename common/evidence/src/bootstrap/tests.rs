//! Bootstrap checks as the engines print them.

use super::*;

fn ids(text: &str) -> Vec<String> {
    last_failure(text.lines())
        .map(|failure| failure.checks.into_iter().map(|check| check.check).collect())
        .unwrap_or_default()
}

/// What Elasticsearch 7.17 and OpenSearch 2.19 write to standard error.
static ES_7: &str = include_str!("../../tests/data/bootstrap-es-7.17.txt");
static OS_2: &str = include_str!("../../tests/data/bootstrap-os-2.19.txt");

#[test]
fn reads_a_real_failure_of_elasticsearch() {
    let failure = last_failure(ES_7.lines()).unwrap();
    let first = &failure.checks[0];
    assert_eq!(
        (first.check.as_str(), first.actual.as_deref(), first.required.as_deref()),
        ("file-descriptors", Some("20000"), Some("65535"))
    );
    assert_eq!(ids(ES_7), ["file-descriptors", "max-map-count", "serial-gc", "discovery-configured"]);
    assert_eq!(
        failure.checks[1].message,
        "max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]"
    );
}

#[test]
fn reads_a_real_failure_of_opensearch() {
    assert_eq!(ids(OS_2), ["file-descriptors", "max-map-count", "discovery-configured"]);
}

#[test]
fn every_check_has_its_id_and_values() {
    let cases = [
        (
            "initial heap size [268435456] not equal to maximum heap size [536870912]; this can cause resize pauses",
            "heap-size",
            Some("268435456"),
            Some("536870912"),
        ),
        (
            "max file descriptors [4096] for elasticsearch process is too low, increase to at least [65535]",
            "file-descriptors",
            Some("4096"),
            Some("65535"),
        ),
        ("memory locking requested for opensearch process but memory is not locked", "memory-lock", None, None),
        (
            "max number of threads [1024] for user [elasticsearch] is too low, increase to at least [4096]",
            "max-threads",
            Some("1024"),
            Some("4096"),
        ),
        (
            "max size virtual memory [1073741824] for user [es] is too low, increase to [unlimited]",
            "max-virtual-memory",
            Some("1073741824"),
            Some("unlimited"),
        ),
        (
            "max file size [1024] for user [es] is too low, increase to [unlimited]",
            "max-file-size",
            Some("1024"),
            Some("unlimited"),
        ),
        (
            "max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]; for more information see [https://www.elastic.co/guide/x]",
            "max-map-count",
            Some("65530"),
            Some("262144"),
        ),
        (
            "JVM is using the client VM [Java HotSpot(TM) Client VM] but should be using a server VM for the best performance",
            "client-jvm",
            Some("Java HotSpot(TM) Client VM"),
            None,
        ),
        (
            "system call filters failed to install; check the logs and fix your configuration",
            "system-call-filter",
            None,
            None,
        ),
        (
            "OnError [kill -9 %p] requires forking but is prevented by system call filters",
            "on-error",
            Some("kill -9 %p"),
            None,
        ),
        (
            "OnOutOfMemoryError [kill] requires forking but is prevented by system call filters",
            "on-out-of-memory-error",
            Some("kill"),
            None,
        ),
        ("Java version [9-ea] is an early-access build, only use release builds", "early-access", Some("9-ea"), None),
        (
            "JVM version [1.8.0_20] can cause data corruption when used with G1GC; upgrade to at least Java 8u40",
            "g1gc",
            Some("1.8.0_20"),
            Some("Java 8u40"),
        ),
        ("The current JVM version 11.0.3 is not recommended for use: x", "java-version", Some("11.0.3"), None),
        ("granting the all permission effectively disables security", "all-permission", None, None),
        ("discovery type [zen] is unsuitable for production use", "discovery-configured", Some("zen"), None),
        ("Little-endian native byte order is required to run Elasticsearch", "byte-order", None, Some("little-endian")),
        ("Multiple data paths are not allowed for search nodes", "data-paths", None, None),
        (
            "Transport SSL must be enabled if security is enabled. Please set [xpack.security.transport.ssl.enabled] to [true] or disable security by setting [xpack.security.enabled] to [false]",
            "transport-tls",
            None,
            None,
        ),
        (
            "HTTPS is required in order to use the token service; please enable HTTPS using the [xpack.security.http.ssl.enabled] setting",
            "https-tokens",
            None,
            None,
        ),
        (
            "The default value for [xpack.security.enabled] has changed in the current version.  Security features were",
            "security-implicit",
            None,
            None,
        ),
        (
            "a PKI realm is enabled but cannot be used as neither HTTP or Transport have SSL and client authentication enabled",
            "other",
            None,
            None,
        ),
    ];
    for (message, id, actual, required) in cases {
        let check = FailedCheck::of(message);
        assert_eq!(
            (check.check.as_str(), check.actual.as_deref(), check.required.as_deref()),
            (id, actual, required),
            "{message}"
        );
        assert!(!check.message.contains("for more information"));
    }
}

#[test]
fn warnings_of_development_mode_are_no_failure() {
    let log = "[2026-11-20T23:53:49,511][WARN ][o.e.b.BootstrapChecks    ] [h7] max file descriptors [20000] for elasticsearch process is too low, increase to at least [65535]\n[2026-11-20T23:53:49,511][WARN ][o.e.b.BootstrapChecks    ] [h7] max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]";
    assert_eq!(last_failure(log.lines()), None);
    assert_eq!(last_failure("max virtual memory areas vm.max_map_count [1] is too low".lines()), None);
}

#[test]
fn every_way_it_is_written() {
    let log = "[2026-11-20T23:53:49,511][ERROR][o.e.b.Elasticsearch      ] [n1] node validation exception\n[1] bootstrap checks failed. You must address the points described in the following [1] lines before starting Elasticsearch. For more information see [https://x]\nbootstrap check failure [1] of [1]: max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]; for more information see [https://x]";
    assert_eq!(ids(log), ["max-map-count"]);
    let json = r#"{"@timestamp":"2026-01-01T00:00:00.000Z","log.level":"ERROR","message":"node validation exception\n[1] bootstrap checks failed. You must\nbootstrap check failure [1] of [1]: max file descriptors [4096] for elasticsearch process is too low, increase to at least [65535]"}"#;
    assert_eq!(ids(json), ["file-descriptors"]);
    let journal = "Nov 20 23:53:49 es-1 opensearch[812]: ERROR: [2] bootstrap checks failed\nNov 20 23:53:49 es-1 opensearch[812]: [1]: max file descriptors [4096] for opensearch process is too low, increase to at least [65535]\nNov 20 23:53:49 es-1 opensearch[812]: something else\nNov 20 23:53:49 es-1 opensearch[812]: [2]: memory locking requested for opensearch process but memory is not locked";
    assert_eq!(ids(journal), ["file-descriptors", "memory-lock"]);
    let five = "ERROR: bootstrap checks failed\nmax file descriptors [4096] for elasticsearch process is too low, increase to at least [65536]\nmax number of threads [1024] for user [es] likely too low, increase to at least [2048]\n";
    assert_eq!(ids(five), ["file-descriptors", "max-threads"]);
    let launcher = "bootstrap check failure [1] of [2]: memory locking requested for elasticsearch process but memory is not locked\nbootstrap check failure [2] of [2]: granting the all permission effectively disables security\nERROR: [2] bootstrap checks failed. You must address";
    assert_eq!(ids(launcher), ["memory-lock", "all-permission"]);
}

#[test]
fn the_last_failure_counts() {
    let second = "ERROR: [1] bootstrap checks failed\n[1]: memory locking requested for opensearch process but memory is not locked\n";
    assert_eq!(ids(&format!("{OS_2}{second}")), ["memory-lock"]);
    let other = "ERROR: [1] bootstrap checks failed\n[1]: granting the all permission effectively disables security\n";
    assert_eq!(ids(&format!("{second}{other}")), ["all-permission"]);
    assert_eq!(last_failure("ERROR: [3] bootstrap checks failed".lines()), Some(BootstrapFailure::default()));
}

#[test]
fn broken_lines_are_not_fatal() {
    for text in [
        "bootstrap check failure [",
        "bootstrap check failure [1] of",
        "[",
        "[]: ",
        "[1",
        "{\"message\":1}",
        "] bootstrap checks failed",
    ] {
        assert_eq!(ids(text), Vec::<String>::new(), "{text}");
    }
}
