//! Secrets that must not get through.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::collectors::{
    engine_config, engine_log, engines, firewalld, journal, nftables, policy, processes, rules_files, ufw,
};
use crate::source::Collector;

fn redacted(collector: &Collector, body: &Value) -> String {
    let raw = (collector.redact)(body.to_string().into_bytes());
    String::from_utf8(raw).unwrap()
}

/// The forms in which a secret may turn up.
fn forms(secret: &str) -> Vec<String> {
    let mut url = String::new();
    for byte in secret.bytes() {
        if byte.is_ascii_alphanumeric() {
            url.push(char::from(byte));
        } else {
            write!(url, "%{byte:02X}").unwrap();
        }
    }
    vec![secret.to_owned(), base64(secret.as_bytes()), base64(format!("elastic:{secret}").as_bytes()), url, hex(secret)]
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |out, byte| format!("{out}{byte:02x}"))
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().chain([0, 0].iter()).take(3).fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        for place in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            out.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

/// Files in which `@` marks the secret.
static YML: &[&str] = &[
    "xpack.security.http.ssl.keystore.password: @\n",
    "xpack:\n  security:\n    authc:\n      realms:\n        ldap.a:\n          bind_dn: \"cn=x\"\n          bind_password: '@'\n",
    "unknown.key: @\nnetwork.host: 0.0.0.0\n",
    "unknown.key:\n  - a\n  - \"@\"\n",
    "unknown.key: |\n  line\n  @\n\n  x: @\nnetwork.host: a\n",
    "unknown.key: >-\n    @\n",
    "unknown.key: \"a\n  @\n  b\"\n",
    "unknown.key: [a,\n  @, b]\n",
    "unknown.key: {a: b, c: @}\n",
    "network: {host: a, password: @}\n",
    "cluster.remote: {a: {credentials: @}}\n",
    "discovery.seed_hosts: [a, {password: @}]\n",
    "discovery.seed_hosts: [a,\n  {password: @}]\n",
    "discovery.seed_hosts:\n  - password: @\n",
    "unknown.key: a\n  @\n",
    "unknown.key: a\n  b.c=@\n",
    "unknown.key: a\n  b: @\n",
    "cluster.name: a\n  s3.client.default.key_id: @\n",
    "#unknown.key: @\n",
    "network.host: a # password @\n",
    "# the password is @\n",
    "discovery.seed_hosts: [\"http://elastic:@@es-1:9200\"]\n",
    "unknown.key:@\n",
    "unknown.key=@\n",
    "password=@\n",
    "@\n",
    "network.host: [a\nunknown.key: @\n",
    "network.host: \"a\nunknown.key: @\n",
    "unknown.key: \"never closed @\n@\nnetwork.host: @\n",
    "\u{feff}unknown.key: @\r\n",
    "\tunknown.key:\t@\n",
    "plugins.security.ssl.http.pemkey_password: @\n",
    "xpack.security.http.ssl.key: \"-----BEGIN PRIVATE KEY-----\\n@\\n-----END PRIVATE KEY-----\"\n",
    "xpack.security.http.ssl.key: |\n  -----BEGIN PRIVATE KEY-----\n  @\n",
];

/// Lines of a log.
static LOG: &[&str] = &[
    "password=@ x",
    "setting xpack.foo.secret: @",
    "{\"level\":\"INFO\",\"message\":\"got \\\"api_key\\\": \\\"@\\\" from x\"}",
    "{\"token\": \"@\"}",
    "Authorization: ApiKey @",
    "headers={Authorization=[Basic @], Host=[a]}",
    "using Bearer @ for x",
    "connecting to https://elastic:@@es-1:9200/_bulk",
    "JVM arguments [-Xms1g, -Djavax.net.ssl.keyStorePassword=@, -Xmx1g]",
    "-----BEGIN RSA PRIVATE KEY-----\n@\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----\n@",
    "curl -u elastic:@ https://x",
    "curl --user elastic:@ https://x",
    "tool --admin-password @ --x",
    "The generated password for the elastic built-in superuser is : @",
    "Password for the elastic user (reset with `bin/elasticsearch-reset-password -u elastic`):\n  @",
    " in 'reader', line 4, column 11:\n     xpack.x.secure_password: @ ",
];

/// What makes a log a log.
const ENTRY: &str = "[2026-11-20T23:53:35,521][INFO ][o.e.n.Node               ] [h7] starting ...\n";

/// Words of an engine's command line, split at `|`.
static WORDS: &[&str] = &[
    "-Ediscovery.ec2.secret_key=@",
    "-E|unknown.key=@",
    "-Djavax.net.ssl.trustStorePassword=@",
    "-Dmy.own=@",
    "-Des.http.auth_token=@",
    "--password|@",
    "-u|elastic:@",
    "-Ediscovery.seed_hosts=http://a:@@b",
];

/// Command lines given to sudo.
static SUDO: &[&str] = &[
    "ENV=PGPASSWORD=@ ; COMMAND=/usr/bin/systemctl restart elasticsearch",
    "COMMAND=/usr/bin/curl -u elastic:@ https://localhost:9200",
    "COMMAND=/usr/bin/curl -H Authorization: ApiKey @ https://localhost:9200",
    "COMMAND=/usr/bin/sed -i s/a/@/ /etc/elasticsearch/elasticsearch.yml",
    "COMMAND=/bin/bash -c echo @ > /etc/x",
    "COMMAND=/usr/share/elasticsearch/bin/elasticsearch-users useradd a -p @",
    "COMMAND=/usr/bin/apt-get install http://a:@@host/x.deb",
];

fn file(text: &str) -> Value {
    json!({"path": "/f", "text": text, "size": text.len()})
}

fn everything(secret: &str) -> Vec<(String, String)> {
    let mut outputs = Vec::new();
    let fill =
        |template: &str| template.replace("@@", "\u{1}").replace('@', secret).replace('\u{1}', &format!("{secret}@"));
    for template in YML {
        outputs.push(((*template).to_owned(), redacted(&engine_config::COLLECTOR, &file(&fill(template)))));
    }
    for template in LOG {
        let line = fill(template);
        let log = format!("{ENTRY}{line}");
        outputs.push(((*template).to_owned(), redacted(&engine_log::COLLECTOR, &file(&log))));
        let entry = json!({"MESSAGE": line, "_CMDLINE": line, "ANYTHING": line, "COMMAND": line});
        outputs.push(((*template).to_owned(), redacted(&journal::COLLECTOR, &entry)));
        let bytes: Vec<u8> = line.clone().into_bytes();
        outputs.push(((*template).to_owned(), redacted(&journal::COLLECTOR, &json!({ "MESSAGE": bytes }))));
    }
    let record = format!(
        "NotSslRecordException: not an SSL/TLS record: {}",
        hex(&format!("GET / HTTP/1.1\nAuthorization: Basic {secret}"))
    );
    outputs.push((record.clone(), redacted(&engine_log::COLLECTOR, &file(&format!("{ENTRY}{record}")))));
    for template in WORDS {
        let words: Vec<String> = fill(template).split('|').map(str::to_owned).collect();
        let body = json!({"processes": [{"pid": 1, "command": words}]});
        outputs.push(((*template).to_owned(), redacted(&processes::COLLECTOR, &body)));
    }
    let in_rules = LOG.iter().filter(|line| !line.contains(":\n"));
    for template in in_rules.chain(&["-A INPUT -m comment --comment \"password=@\" -j DROP"]) {
        let text = fill(template);
        let files = json!([{"path": "/f", "text": text}]);
        for collector in [&ufw::COLLECTOR, &firewalld::COLLECTOR, &rules_files::COLLECTOR, &policy::COLLECTOR] {
            outputs.push(((*template).to_owned(), redacted(collector, &files)));
        }
        outputs.push((
            (*template).to_owned(),
            redacted(&nftables::COLLECTOR, &json!({"nftables": [{"rule": {"comment": text}}]})),
        ));
    }
    let argument = json!({"engines": [{"name": "e", "arguments": [format!("s3.client.default.x={secret}")]}]});
    outputs.push(("arguments".to_owned(), redacted(&engines::COLLECTOR, &argument)));
    for template in SUDO {
        let message = format!("alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; {}", fill(template));
        outputs.push((
            (*template).to_owned(),
            redacted(&journal::COLLECTOR, &json!({"_COMM": "sudo", "MESSAGE": message})),
        ));
    }
    outputs
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_secret_survives_in_any_form(secret in "[A-Z][a-zA-Z0-9!$%^&*+~._-]{6,18}[0-9]") {
        for form in forms(&secret) {
            for (place, output) in everything(&form) {
                for seen in forms(&secret) {
                    prop_assert!(!output.contains(&seen), "{place:?} with {form:?} gave {output}");
                }
            }
        }
    }

    #[test]
    fn nothing_panics_and_no_line_is_lost(text in "(?s).{0,400}") {
        prop_assert_eq!(yml(&text).matches('\n').count(), text.matches('\n').count());
        super::text(&text);
        for collector in crate::ALL {
            (collector.redact)(text.clone().into_bytes());
        }
    }
}

#[test]
fn what_is_public_stays_as_it_was() {
    let text = "# ======== Elasticsearch Configuration ========\n# managed by puppet\ncluster.name: prod # x\nnetwork:\n  host: [ \"0.0.0.0\", _local_ ]\n#http.port: 9200\ndiscovery.seed_hosts: [\n  \"a\",\n  ${B}\n]\nxpack.security.http.ssl:\n  enabled: true\n  keystore.path: certs/http.p12\n\npath.data:\n  - /a\n  - /b\nnetwork.bind_host: {a: b}\n";
    assert_eq!(yml(text), text);
}

#[test]
fn a_hidden_value_leaves_its_key_and_its_line() {
    let text = "a.b: x\nnetwork.host: y\nc:\n  d: |\n    1\n    2\n  e: [f,\n    g]\nhttp.port: 1\n";
    let hidden = "a.b: [redacted]\nnetwork.host: y\nc:\n  d: |\n    [redacted]\n    [redacted]\n  e: [redacted]\n    # [redacted]\nhttp.port: 1\n";
    assert_eq!(yml(text), hidden);
}

#[test]
fn what_is_hidden_leaves_a_file_that_can_be_edited() {
    use common_yml::{Edit, Setting, apply};

    let set = Edit::Set {
        key: "http.port".parse().unwrap(),
        from: Some(Setting::One("9201".to_owned())),
        to: Setting::One("9200".to_owned()),
    };
    let mut tried = 0;
    for template in YML {
        let file = format!("http.port: 9201\n{}", template.replace('@', "hunter2"));
        if apply(&file, std::slice::from_ref(&set)).is_ok() {
            let shown = yml(&file);
            assert!(apply(&shown, std::slice::from_ref(&set)).is_ok(), "{shown}");
            tried += 1;
        }
    }
    assert!(tried > YML.len() / 2, "{tried}");
}

#[test]
fn rules_keep_their_form() {
    let line = "-A INPUT -s 10.0.0.0/8 -m comment --comment \"ldap password=@ x\" -j DROP";
    assert_eq!(rules(line), line.replace('@', HIDDEN));
    assert_eq!(rules("-A INPUT --comment token=@ -j DROP"), "-A INPUT --comment token=[redacted] -j DROP");
    assert_eq!(
        rules("define password = \"@ x\"\n#!/usr/sbin/nft -f"),
        "define password = \"[redacted]\"\n#!/usr/sbin/nft -f"
    );
    let tuple = "### tuple ### deny tcp 9200 0.0.0.0/0 any 0.0.0.0/0 in comment=";
    assert_eq!(rules(&format!("{tuple}{}", hex("secret=@"))), format!("{tuple}{}", hex("secret=[redacted]")));
    assert_eq!(rules(&format!("{tuple}{}", hex("for kibana"))), format!("{tuple}{}", hex("for kibana")));
    assert_eq!(rules("# the password is @\n-A x"), "# [redacted]\n-A x");
    assert_eq!(commented("epoch: 1\n  # the token is @\n# x\n"), "epoch: 1\n# [redacted]\n# x\n");
    assert_eq!(markup("<a x=\"secret=@\">password: @</a>"), "<a x=\"secret=[redacted]\">password: [redacted]</a>");
}

#[test]
fn the_file_is_judged_before_it_is_redacted() {
    use crate::Evidence;
    use crate::collectors::engine_config::EngineConfig;

    let parse = |text: &str| {
        let raw = (engine_config::COLLECTOR.redact)(file(text).to_string().into_bytes());
        EngineConfig::parse(&raw, "", 1).value
    };
    let broken = parse("network.host: a\nmy.password: \"never closed\nhttp.port: 1\n");
    assert_eq!(broken.fatal.unwrap().line, 2);
    let sound = parse("my.password: \"a\n  b\"\nnetwork.host: a\n");
    assert_eq!(sound.fatal, None);
    assert_eq!(sound.get("network.host").unwrap().line, 3);
}

#[test]
fn bytes_that_are_no_utf8_are_the_fault() {
    use crate::Evidence;
    use crate::collectors::engine_config::EngineConfig;

    let body = json!({"path": "/f", "text": "a: b\ncluster.name: caf\u{fffd}\n", "size": 23});
    let raw = (engine_config::COLLECTOR.redact)(body.to_string().into_bytes());
    assert_eq!(EngineConfig::parse(&raw, "", 1).value.fatal.unwrap().line, 2);
}

#[test]
fn a_link_in_place_of_a_log_gives_nothing_away() {
    let shadow = "root:$6$hunter2:19000:0:99999:7:::\nalice:$6$x:1";
    let output = redacted(&engine_log::COLLECTOR, &file(shadow));
    assert!(output.contains(r"[redacted]\n[redacted]") && !output.contains("$6"), "{output}");
    let log = redacted(&engine_log::COLLECTOR, &file(&format!("\tat x\n{ENTRY}\tat y\n")));
    assert!(log.contains("starting ...") && log.contains("at y") && !log.contains("at x"), "{log}");
}

#[test]
fn a_link_among_the_sysctl_files_gives_nothing_away() {
    let shadow = "root:$6$hunter2:19000:0:99999:7:::\n# x\nvm.max_map_count = 262144\nalice\n";
    let output = redacted(
        &crate::collectors::sysctl_files::COLLECTOR,
        &json!([{"path": "/etc/sysctl.d/x.conf", "text": shadow}]),
    );
    assert!(!output.contains("hunter2") && !output.contains("alice"), "{output}");
    assert!(output.contains("vm.max_map_count = 262144"));
}

#[test]
fn what_is_not_understood_is_not_let_through() {
    for collector in [&engine_config::COLLECTOR, &engine_log::COLLECTOR, &journal::COLLECTOR, &processes::COLLECTOR] {
        assert_eq!((collector.redact)(b"password: hunter2".to_vec()), HIDDEN.as_bytes());
    }
}
