//! What people are told, word for word where it matters most.

use common_evidence::collectors::host::Host;
use common_evidence::engine::EngineRef;
use common_model::probe::HttpAnswer;
use common_model::{Probe, Symptom};
use controller_correlate::testing::{Node, PID, STARTED, engine, foreign, http, picture, probe};

use super::*;
use crate::tests::{checked, failed, mended, refused, told};

const START: &str = "sudo systemctl restart elasticsearch.service";

fn first(node: Node) -> Remedy {
    refused(node).remove(0)
}

#[test]
fn every_check_has_a_remedy_of_its_own_and_none_switches_it_off() {
    let checks = [
        "JVM is using the client VM [Client VM] but should be using a server VM for the best performance",
        "JVM is using the serial collector but should not be for the best performance; either it's the default for the VM [x] or -XX:+UseSerialGC was explicitly specified",
        "OnError [kill -9 %p] requires forking but is prevented by system call filters; upgrade to at least Java 8u92 and use ExitOnOutOfMemoryError",
        "granting the all permission effectively disables security",
        "Little-endian native byte order is required to run Elasticsearch",
        "Multiple data paths are not allowed for search nodes",
        "Transport SSL must be enabled if security is enabled. Please set [xpack.security.transport.ssl.enabled] to [true] or disable security by setting [xpack.security.enabled] to [false]",
        "HTTPS is required in order to use the token service; please enable HTTPS using the [xpack.security.http.ssl.enabled] setting or disable the token service",
        "The default value for [xpack.security.enabled] has changed in the current version.",
        "a check that nobody knows",
    ];
    let remedies = refused(checked(Node::new(), &checks));
    assert_eq!(remedies.len(), checks.len(), "{remedies:#?}");
    for remedy in &remedies {
        assert_eq!((remedy.kind, remedy.diff.as_deref()), (RemedyKind::Manual, None), "{remedy:#?}");
        assert!(!remedy.title.contains("false") && !remedy.title.contains("disable"), "{}", remedy.title);
    }
    assert_eq!(
        remedies[1].commands,
        [
            "sudo grep -rns -E -e 'Use[A-Za-z0-9]+GC' /etc/elasticsearch/jvm.options /etc/elasticsearch/jvm.options.d /etc/default/elasticsearch /etc/sysconfig/elasticsearch"
        ]
    );
    assert!(
        remedies[6].title.starts_with("Set xpack.security.transport.ssl.enabled: true in "),
        "{}",
        remedies[6].title
    );
}

#[test]
fn a_limit_of_an_engine_without_a_unit_is_that_of_what_starts_it() {
    let log = "[2026-01-31T14:01:59,000][ERROR][o.e.b.Elasticsearch      ] [es-1] node validation exception\n\
        [1] bootstrap checks failed. You must address the points described in the following [1] lines before starting Elasticsearch.\n\
        bootstrap check failure [1] of [1]: max file descriptors [4096] for elasticsearch process is too low, increase to at least [65535]\n";
    let unitless = EngineRef { unit: None, ..engine() };
    let remedy = first(Node::new().engines(vec![unitless]).no_process().listening(&[]).log(log));
    assert!(remedy.title.starts_with("Raise the limit of what starts the engine on es-1, to 65535: "), "{remedy:#?}");
    assert_eq!(remedy.commands, ["sudo grep -rns elasticsearch /etc/security/limits.conf /etc/security/limits.d"]);
}

#[test]
fn a_packaged_directory_is_given_back_and_any_other_is_shown() {
    let denied = |path: &str| {
        let message = format!("java.nio.file.AccessDeniedException: {path}");
        first(failed(Node::new(), &[&message], 1)).commands
    };
    assert_eq!(
        denied("/var/lib/elasticsearch/nodes/0"),
        ["sudo namei -l /var/lib/elasticsearch/nodes/0", "sudo chown -R elasticsearch: /var/lib/elasticsearch", START]
    );
    for path in ["/etc", "/srv/data", "/var/lib/elasticsearch-other", "/var/lib/elasticsearch/../dpkg"] {
        assert!(denied(path).iter().all(|command| !command.contains("chown")), "{path}: {:?}", denied(path));
    }
    let read_only = first(failed(Node::new(), &["java.io.IOException: /srv/data: Read-only file system"], 1));
    assert_eq!(read_only.commands[0], "findmnt --target /srv/data");
}

#[test]
fn the_version_that_the_data_needs_is_installed() {
    let on = |os: &str, message: &str| {
        let host = Host { os: os.to_owned(), ..Host::default() };
        first(failed(Node::new(), &[message], 1).json::<Host>("", &host)).commands[0].clone()
    };
    let down = "cannot downgrade a node from version [8.11.0] to version [7.17.28]";
    let through =
        "cannot upgrade a node from version [6.8.0] directly to version [8.1.0], upgrade to version [7.17.0] first.";
    assert_eq!(on("Ubuntu 24.04 LTS", down), "sudo apt-get install --allow-downgrades elasticsearch=8.11.0");
    assert_eq!(on("Rocky Linux 9", through), "sudo yum install elasticsearch-7.17.0");
    assert_eq!(on("Something Linux", down), START);
}

#[test]
fn who_holds_the_port_is_named() {
    let taken = "BindHttpException[Failed to bind to 10.0.0.5:9300]; nested: BindException[Address already in use];";
    let held = failed(Node::new(), &[taken], 1).listeners(vec![foreign("0.0.0.0:9300", "nginx", "nginx.service")]);
    let remedies = refused(held);
    let by_hand: Vec<Remedy> = remedies.into_iter().filter(|remedy| remedy.action == ACTION.id).collect();
    assert_eq!(
        told(&by_hand)[0],
        (
            "Free port 9300 on es-1, which nginx holds, then start the engine",
            vec!["sudo ss -ltnp 'sport = :9300'", START]
        )
    );
}

#[test]
fn a_stopped_process_goes_on_and_a_busy_one_is_asked_first() {
    let silence = || Probe { connected: true, http: Some(http(HttpAnswer::Silence)), ..probe(Symptom::Timeout) };
    let of = |state: &str| mended(&picture(Node::new().process_with(STARTED, &[], state), vec![silence()])).remove(0);
    let stopped = of("T");
    assert_eq!(stopped.commands, ["sudo systemctl kill --signal=CONT elasticsearch.service"]);
    assert_eq!(stopped.undo, "sudo systemctl kill --signal=STOP elasticsearch.service");
    let jstack = format!("sudo -u elasticsearch /usr/share/elasticsearch/jdk/bin/jstack {PID} | tee threads-{PID}.txt");
    assert_eq!(of("S").commands, [jstack.as_str(), START]);
}

#[test]
fn a_secure_setting_is_kept_before_it_is_taken_out() {
    let message = "java.lang.IllegalArgumentException: unknown secure setting [s3.client.old.key] please check";
    let remedy = first(failed(Node::new(), &[message], 1));
    assert_eq!(
        remedy.commands,
        [
            "sudo cp -p /etc/elasticsearch/elasticsearch.keystore /etc/elasticsearch/elasticsearch.keystore.before",
            "sudo /usr/share/elasticsearch/bin/elasticsearch-keystore remove s3.client.old.key",
            START,
        ]
    );
}

#[test]
fn an_address_set_on_the_command_line_is_looked_for_there() {
    let argued =
        Node::new().process_with(STARTED, &["http.host=127.0.0.1"], "S").listening(&["127.0.0.1:9200", "[::]:9300"]);
    let remedy = first(argued);
    assert_eq!(remedy.title, "Add 10.0.0.5 to http.host on its command line on es-1, then restart");
    assert_eq!(remedy.commands, ["systemctl cat elasticsearch.service"]);
}

#[test]
fn a_firewall_met_by_an_unknown_client_is_never_opened_for_everybody() {
    let drop = serde_json::json!({"nftables": [
        {"table": {"family": "inet", "name": "filter", "handle": 1}},
        {"chain": {"family": "inet", "table": "filter", "name": "input", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
    ]});
    let mut reported = picture(Node::new().nft(drop), Vec::new());
    reported.client_error = Some("connect: Connection timed out".to_owned());
    let remedies = mended(&reported);
    assert_eq!(
        told(&remedies),
        [("Let the client's address reach port 9200 on es-1", vec!["sudo nft -a list ruleset"])]
    );
}
