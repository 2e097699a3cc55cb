//! Where settings come from and which one counts.

use common_model::probe::Product;

use super::*;
use crate::collectors::engine_config::EngineConfig;

fn with(yml: &str, arguments: &[&str], version: &str) -> Resolved {
    let config = EngineConfig::from_text("/e.yml", yml);
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let product = if version.starts_with("os") { Product::Opensearch } else { Product::Elasticsearch };
    resolve(Some(&config), &arguments, product, Some(version.trim_start_matches("os")))
}

fn decided(setting: &ResolvedSetting) -> (String, &str, String) {
    (setting.values.join("|"), setting.setting.as_str(), setting.origin.to_string())
}

fn told(value: &str, setting: &'static str, origin: &str) -> (String, &'static str, String) {
    (value.to_owned(), setting, origin.to_owned())
}

#[test]
fn http_host_beats_network_host_on_its_own_side_only() {
    let resolved = with("network.host: 127.0.0.1\nhttp.host: 0.0.0.0\nnetwork.publish_host: 10.0.0.5", &[], "8.14.0");
    assert_eq!(decided(&resolved.http.bind), told("0.0.0.0", "http.host", "/e.yml:2"));
    assert_eq!(decided(&resolved.http.publish), told("0.0.0.0", "http.host", "/e.yml:2"));
    assert_eq!(decided(&resolved.transport.bind), told("127.0.0.1", "network.host", "/e.yml:1"));
    assert_eq!(decided(&resolved.transport.publish), told("10.0.0.5", "network.publish_host", "/e.yml:3"));
}

#[test]
fn bind_host_beats_host_everywhere() {
    let resolved = with("network.host: 0.0.0.0\nnetwork:\n  bind_host: _local_", &[], "7.17.0");
    assert_eq!(decided(&resolved.http.bind), told("_local_", "network.bind_host", "/e.yml:3"));
    assert_eq!(resolved.http.bind.is_loopback_only(), Some(true));
    let resolved = with("transport.profiles.default.bind_host: 10.0.0.1\ntransport.host: 10.0.0.2", &[], "7.17.0");
    assert_eq!(decided(&resolved.transport.bind), told("10.0.0.1", "transport.profiles.default.bind_host", "/e.yml:1"));
    assert_eq!(decided(&resolved.transport.publish), told("10.0.0.2", "transport.host", "/e.yml:2"));
}

#[test]
fn nothing_set_is_the_default() {
    let resolved = with("network.host: \"\"\n", &[], "8.1.0");
    assert_eq!(decided(&resolved.http.bind), told("", "network.host", "default"));
    assert_eq!(resolved.http.bind.is_loopback_only(), Some(true));
    assert_eq!(resolved.http.port.ports(), [9200..=9300]);
    assert_eq!(resolved.transport.port.ports(), [9300..=9400]);
    assert_eq!(with("", &[], "8.2.0").transport.port.ports(), [9300..=9399]);
    assert_eq!(with("", &[], "os2.19.1").transport.port.ports(), [9300..=9400]);
    assert_eq!(resolved.cluster_name.values, ["elasticsearch"]);
}

#[test]
fn arguments_beat_the_file_and_force_beats_both() {
    let resolved =
        with("http.port: 9200\nforce.network.host: 10.1.1.1\n", &["http.port=9201", "network.host=a,b"], "7.17.0");
    assert_eq!(decided(&resolved.http.port), told("9201", "http.port", "argument"));
    assert_eq!(decided(&resolved.http.bind), told("10.1.1.1", "network.host", "/e.yml:2"));
    let resolved = with("", &["network.host=a, b"], "7.17.0");
    assert_eq!(resolved.http.bind.values, ["a", "b"]);
}

#[test]
fn a_variable_is_not_a_value() {
    let resolved = with("network.host: ${HOST}\nhttp.port: ${PORT:9200}", &[], "7.17.0");
    assert_eq!(decided(&resolved.http.bind), told("${HOST}", "network.host", "environment"));
    assert_eq!(resolved.http.bind.is_loopback_only(), None);
    assert!(resolved.http.port.ports().is_empty());
}

#[test]
fn a_file_that_was_not_read_has_no_defaults() {
    let arguments = ["http.port=9201".to_owned()];
    let resolved = resolve(None, &arguments, Product::Elasticsearch, Some("8.0.0"));
    assert_eq!(resolved.http.port.ports(), [9201..=9201]);
    assert_eq!(resolved.http.bind.is_loopback_only(), None);
    assert_eq!(resolved.tls(), None);
    let unreadable = EngineConfig { unreadable: Some("denied".to_owned()), ..EngineConfig::default() };
    assert_eq!(resolve(Some(&unreadable), &[], Product::Elasticsearch, None).http.bind.is_loopback_only(), None);
}

#[test]
fn the_old_transport_port_counts_where_the_engine_knows_it() {
    assert_eq!(with("transport.tcp.port: 9305", &[], "7.17.0").transport.port.ports(), [9305..=9305]);
    assert_eq!(
        with("transport.tcp.port: 9305\ntransport.port: 9306", &[], "os1.3.0").transport.port.ports(),
        [9306..=9306]
    );
    assert_eq!(with("transport.tcp.port: 9305", &[], "8.0.0").transport.port.ports(), [9300..=9400]);
}

#[test]
fn tls_needs_security() {
    let tls = |yml: &str, version: &str| with(yml, &[], version).tls();
    assert_eq!(tls("xpack.security.http.ssl:\n  enabled: true", "8.14.0"), Some(true));
    assert_eq!(tls("xpack.security.http.ssl.enabled: true\nxpack.security.enabled: false", "8.14.0"), Some(false));
    assert_eq!(tls("xpack.security.http.ssl.enabled: true", "7.17.0"), Some(false));
    assert_eq!(tls("xpack.security.http.ssl.enabled: true\nxpack.security.enabled: true", "7.17.0"), Some(true));
    assert_eq!(tls("", "8.14.0"), Some(false));
    assert_eq!(tls("plugins.security.ssl.http.enabled: true", "os2.19.1"), Some(true));
    assert_eq!(
        tls("plugins.security.ssl.http.enabled: true\nplugins.security.disabled: true", "os2.19.1"),
        Some(false)
    );
    assert_eq!(tls("xpack.security.http.ssl.enabled: ${TLS}", "8.14.0"), None);
    assert_eq!(with("http.enabled: false", &[], "6.8.23").http_enabled.on, Some(false));
}
