//! No parser panics, whatever a node sends, and hiding secrets loses no line.

use common_evidence::collectors::{
    actuator::Actuator, engine_config::EngineConfig, engine_log::EngineLog, engines::Engines, firewalld::Firewalld,
    host::Host, interfaces::Interfaces, iptables::Iptables, journal::JournalLine, nftables::Nftables,
    packages::Packages, policy::NodePolicy, processes::Processes, rules_files::RulesFiles, sockets::Sockets,
    sysctl::Sysctls, sysctl_files::PersistedSysctls, ufw::Ufw, unit::Unit,
};
use common_evidence::{ALL, Evidence, bootstrap, redact, settings};
use common_model::probe::Product;
use proptest::prelude::*;
use serde_json::json;

fn parse<T: Evidence>(raw: &[u8], subject: &str) -> &'static str {
    let parsed = T::parse(raw, subject, 1);
    drop(parsed.problems);
    T::KIND
}

fn parse_all(raw: &[u8], subject: &str) -> Vec<&'static str> {
    let config = EngineConfig::parse(raw, subject, 1).value;
    for product in [Product::Elasticsearch, Product::Opensearch] {
        let resolved = settings::resolve(Some(&config), &[], product, Some("8.14.1"));
        resolved.http.bind.is_loopback_only();
        resolved.http.port.ports();
        settings::log_file(Some(&config), &[], product, subject, Some(subject));
    }
    vec![
        parse::<Actuator>(raw, subject),
        parse::<NodePolicy>(raw, subject),
        parse::<EngineConfig>(raw, subject),
        parse::<EngineLog>(raw, subject),
        parse::<Engines>(raw, subject),
        parse::<Firewalld>(raw, subject),
        parse::<Host>(raw, subject),
        parse::<Interfaces>(raw, subject),
        parse::<Iptables>(raw, subject),
        parse::<JournalLine>(raw, subject),
        parse::<Nftables>(raw, subject),
        parse::<Packages>(raw, subject),
        parse::<Processes>(raw, subject),
        parse::<RulesFiles>(raw, subject),
        parse::<Sockets>(raw, subject),
        parse::<Sysctls>(raw, subject),
        parse::<PersistedSysctls>(raw, subject),
        parse::<Ufw>(raw, subject),
        parse::<Unit>(raw, subject),
    ]
}

/// Text made of the pieces the parsers look for.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        ":",
        ": ",
        " ",
        "\n",
        "\t",
        "\r\n",
        "#",
        "\"",
        "'",
        "[",
        "]",
        "{",
        "}",
        ",",
        "- ",
        "|",
        ">",
        "&a",
        "*a",
        "!t",
        "%",
        "${",
        "}",
        "---",
        "=",
        "-",
        "\\",
        "network.host",
        "a.b",
        "0",
        "::1",
        "\u{feff}",
        "é",
        "\u{0}",
        "[1]: ",
        "bootstrap check failure [",
        "[2026-11-20T23:53:35,521][INFO ][o.e.n.Node] [n] ",
        "bound_addresses {",
        "[2] bootstrap checks failed",
        "COMMAND=",
        " : ",
        "2026-11-20 23:50:11 install ",
        "password=",
        "://a:b@",
        "*",
        "/",
        "ActiveEnterTimestamp=",
        "@9",
        "-----BEGIN X-----",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(raw in prop::collection::vec(any::<u8>(), 0..300), subject in ".{0,20}") {
        parse_all(&raw, &subject);
        for collector in ALL {
            (collector.redact)(raw.clone());
        }
    }

    #[test]
    fn any_text_in_every_envelope(text in pieces(), modified in any::<i64>(), cut in any::<bool>()) {
        let file = json!({"path": text, "text": text, "modified_ms": modified, "cut": cut, "size": 1});
        let line = json!({"MESSAGE": text, "_PID": "1", "_COMM": "sudo", "MESSAGE_ID": text, "__REALTIME_TIMESTAMP": text});
        let several = json!([file, file]);
        for raw in [text.clone().into_bytes(), file.to_string().into_bytes(), line.to_string().into_bytes(), several.to_string().into_bytes()] {
            parse_all(&raw, "x");
            for collector in ALL {
                parse_all(&(collector.redact)(raw.clone()), "x");
            }
        }
        bootstrap::last_failure(text.lines());
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        redact::command(&words);
        prop_assert_eq!(redact::yml(&text).matches('\n').count(), text.matches('\n').count());
    }
}

#[test]
fn every_kind_is_parsed_here() {
    let mut parsed = parse_all(b"", "");
    let mut declared: Vec<&str> = ALL.iter().map(|collector| collector.kind).collect();
    parsed.sort_unstable();
    declared.sort_unstable();
    assert_eq!(parsed, declared);
}
