//! Ymls whole, broken and hostile.

use super::*;

fn fatal(text: &str) -> (usize, Option<String>, String) {
    let problem = EngineConfig::from_text("/etc/elasticsearch/elasticsearch.yml", text).fatal.unwrap();
    (problem.line, problem.key, problem.message)
}

fn values(text: &str, key: &str) -> Vec<String> {
    EngineConfig::from_text("x", text).get(key).unwrap().values.clone()
}

#[test]
fn a_fault_is_shown_where_it_was_made() {
    let cases = [
        (
            "cluster.name: a\nnetwork.host:0.0.0.0\nhttp.port: 9200\n",
            2,
            Some("network.host"),
            "no space after the colon",
        ),
        (
            "cluster.name: a\n\n# http\n http.port: 9200\n",
            4,
            Some("http.port"),
            "indented as if it were part of cluster.name",
        ),
        ("network.host: a\nhttp.port: 1\nnetwork.host: b\n", 3, Some("network.host"), "already set in line 1"),
        ("cluster.name: a\nnetwork.host:\nhttp.port: 9200\n", 2, Some("network.host"), "has no value"),
        ("network:\n\thost: 0.0.0.0\n", 2, None, "tab"),
        ("cluster.name: \"a\nnode.name: b\n", 1, Some("cluster.name"), "quote that is not closed"),
        (
            "cluster.name: a\ndiscovery.seed_hosts: [\"a\", \"b\"\nhttp.port: 1\n",
            2,
            Some("discovery.seed_hosts"),
            "bracket that is not closed",
        ),
        ("cluster.name: a\nnetwork.host = 0.0.0.0\n", 2, None, "neither"),
        ("cluster.name: a\nnetwork.host=0.0.0.0\n", 2, Some("network.host"), "followed by ="),
        ("cluster.name: a\nnetwork.host: *\n", 2, Some("network.host"), "needs quotes"),
        ("cluster.name: a\nnetwork.host: [::1]\n", 2, Some("network.host"), ""),
        ("cluster.name: a\nnetwork.host: ::\n", 2, Some("network.host"), "mapping values"),
        ("cluster.name: a\n---\nnetwork.host: b\n", 2, None, "second YAML document"),
        ("network.host:0.0.0.0\n", 1, Some("network.host"), "no space after the colon"),
    ];
    for (text, line, key, message) in cases {
        let found = fatal(text);
        assert_eq!((found.0, found.1.as_deref()), (line, key), "{text:?}: {found:?}");
        assert!(found.2.contains(message), "{text:?}: {found:?}");
    }
}

#[test]
fn settings_keep_their_place_however_they_are_written() {
    let text = "\u{feff}# x\r\nnetwork:\r\n  host: _site_   # here\r\n  bind_host: [a, \"b\"]\r\nhttp.port: '9200'\r\ndiscovery.seed_hosts:\r\n  - c\r\n  - d:9300\r\n";
    let config = EngineConfig::from_text("x", text);
    assert_eq!(config.fatal, None);
    let seen: Vec<(&str, String, usize, usize)> =
        config.settings.iter().map(|s| (s.key.as_str(), s.values.join("|"), s.line, s.column)).collect();
    assert_eq!(
        seen,
        [
            ("network.host", "_site_".to_owned(), 3, 3),
            ("network.bind_host", "a|b".to_owned(), 4, 3),
            ("http.port", "9200".to_owned(), 5, 1),
            ("discovery.seed_hosts", "c|d:9300".to_owned(), 6, 1),
        ]
    );
}

#[test]
fn values_are_split_and_kept_as_the_engines_do() {
    assert_eq!(values("network.host: a, b ,c", "network.host"), ["a", "b", "c"]);
    assert_eq!(values("network.host.0: a\nnetwork.host.1: b", "network.host"), ["a", "b"]);
    assert_eq!(values("http.port: 9200-9205,9300", "http.port"), ["9200-9205,9300"]);
    assert_eq!(values("network.host: \"\"", "network.host"), Vec::<String>::new());
    assert_eq!(values("xpack.security.enabled: no", "xpack.security.enabled"), ["false"]);
    let config = EngineConfig::from_text("x", "network.host: ${HOST:_site_}\nnode.name: a");
    assert_eq!(config.get("network.host").unwrap().placeholder(), Some("HOST"));
    assert_eq!(config.get("node.name").unwrap().placeholder(), None);
}

#[test]
fn the_last_of_two_wins_but_not_before_7_0() {
    let config = EngineConfig::from_text("x", "network.host: a\nnetwork:\n  host: b\n");
    assert_eq!(config.fatal, None);
    assert_eq!(config.get("network.host").unwrap().values, ["b"]);
    assert_eq!(config.set_twice().unwrap().line, 3);
}

#[test]
fn a_number_too_long_to_be_one_is_a_value() {
    let config = EngineConfig::from_text("x", "cluster.name: 41212450412470617030\n");
    assert_eq!(config.fatal, None);
    assert_eq!(config.get("cluster.name").unwrap().values, ["41212450412470617030"]);
}

#[test]
fn a_cut_or_unreadable_file_is_not_judged() {
    let cut = r#"{"path":"/e.yml","text":"a: \"b","cut":true,"size":900000}"#;
    let parsed = EngineConfig::parse(cut.as_bytes(), "", 1);
    assert_eq!(parsed.value.fatal, None);
    assert_eq!(parsed.problems.len(), 1);
    let denied = EngineConfig::parse(br#"{"path":"/e.yml","error":"permission denied"}"#, "", 1).value;
    assert_eq!(denied.unreadable.as_deref(), Some("permission denied"));
    assert!(!EngineConfig::parse(b"\xff{", "", 1).problems.is_empty());
}

#[test]
fn binary_is_a_fault_and_never_a_setting() {
    for bytes in
        [&b"\x7fELF\x02\x01\x01\0\0\0"[..], b"\0\0\0\0", b"cluster.name: a\0b\n", b"\xff\xfe\x00n", b"\x1f\x8b\x08\0\0"]
    {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let file = FileRead { path: "/e.yml".to_owned(), size: bytes.len() as u64, text, ..FileRead::default() };
        let raw = (COLLECTOR.redact)(serde_json::to_vec(&file).unwrap());
        let config = EngineConfig::parse(&raw, "", 1).value;
        assert!(config.fatal.is_some(), "{bytes:?}: {config:?}");
    }
}
