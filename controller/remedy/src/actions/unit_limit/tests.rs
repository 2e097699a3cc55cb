//! Drop-ins, word for word.

use common_evidence::collectors::unit::Unit;
use common_evidence::engine::EngineRef;
use controller_correlate::testing::{Node, engine, ip};

use super::*;
use crate::tests::{checked, failed, refused, told};

const FILES: &str = "max file descriptors [4096] for elasticsearch process is too low, increase to at least [65535]";
const LOCK: &str = "memory locking requested for elasticsearch process but memory is not locked";
const FILTER: &str = "system call filters failed to install; check the logs and fix your configuration or disable system call filters at your own risk";
const DIRECTORY: &str = "sudo mkdir -p /etc/systemd/system/elasticsearch.service.d";
const RELOAD: &str = "sudo systemctl daemon-reload";
const RESTART: &str = "sudo systemctl restart elasticsearch.service";
const LAST_RESTART: &str =
    "sudo systemctl restart elasticsearch.service   # comes up once all 2 failed checks are mended";

#[test]
fn only_limits_that_are_too_low_are_raised() {
    // The unit of the picture has LimitNOFILE=65535 and a LimitMEMLOCK of 8 MiB.
    let remedies = refused(checked(Node::new(), &[FILES, LOCK]));
    let file = "/etc/systemd/system/elasticsearch.service.d/60-dialtone-limits.conf";
    let write = format!("printf '%s\\n' '[Service]' LimitMEMLOCK=infinity | sudo tee {file}");
    let commands = vec![DIRECTORY, write.as_str(), RELOAD, LAST_RESTART];
    let title = "Raise limits of elasticsearch.service on es-1: LimitMEMLOCK=infinity";
    assert_eq!(told(&remedies), [(title, commands)]);
    assert_eq!(remedies[0].undo, format!("sudo rm {file} && sudo systemctl daemon-reload"));
}

#[test]
fn a_limit_that_suffices_by_now_only_wants_a_start() {
    let remedies = refused(checked(Node::new(), &[FILES]));
    let title = "Start elasticsearch.service on es-1 again: by now it has LimitNOFILE=65535";
    assert_eq!(told(&remedies), [(title, vec![RESTART])]);
}

#[test]
fn lock_and_filter_together_are_a_temporary_directory_that_runs_nothing() {
    let remedies = refused(checked(Node::new(), &[LOCK, FILTER]));
    let directory = "/var/cache/elasticsearch-tmp";
    let install = format!("sudo install -d -o elasticsearch -m 0700 {directory}");
    let write = format!(
        "printf '%s\\n' '[Service]' Environment=ES_TMPDIR={directory} | sudo tee /etc/systemd/system/elasticsearch.service.d/60-dialtone-tmpdir.conf"
    );
    let look = "findmnt -no TARGET,OPTIONS --target /tmp";
    let title = format!("Give elasticsearch.service on es-1 a temporary directory it may run code from: {directory}");
    let commands = vec![look, install.as_str(), DIRECTORY, write.as_str(), RELOAD, LAST_RESTART];
    assert_eq!(told(&remedies), [(title.as_str(), commands)]);
}

#[test]
fn the_filter_alone_is_the_unit_of_one_engine_and_a_search_for_others() {
    let remedies = refused(checked(Node::new(), &[FILTER]));
    assert_eq!((remedies.len(), remedies[0].action.as_str()), (1, "by-hand"), "{remedies:#?}");
    let opensearch = EngineRef { product: Some(Product::Opensearch), version: Some("3.0.0".to_owned()), ..engine() };
    let remedies = refused(checked(Node::new(), &[FILTER]).engines(vec![opensearch]));
    assert!(remedies[0].commands[1].contains("SystemCallFilter=seccomp"), "{remedies:#?}");
}

#[test]
fn an_address_that_came_late_is_waited_for() {
    let late = "BindTransportException[Failed to bind to 10.0.0.5:9300]; nested: BindException[Cannot assign requested address];";
    let remedies = refused(failed(Node::new(), &[late], 1));
    let told = told(&remedies);
    assert_eq!(
        told[0].0,
        "Start elasticsearch.service again: es-1 has 10.0.0.5 by now; and let it wait for the network at boot"
    );
    assert!(
        told[0].1[1]
            .starts_with("printf '%s\\n' '[Unit]' Wants=network-online.target After=network-online.target | sudo tee ")
    );
}

#[test]
fn a_unit_of_root_gets_the_user_of_its_package() {
    let root = failed(Node::new(), &["java.lang.RuntimeException: can not run elasticsearch as root"], 1)
        .rewrite::<Unit>(|text| text.replace("User=elasticsearch\n", "User=\n"));
    let remedies = refused(root);
    assert!(
        remedies[0].commands[1].starts_with("printf '%s\\n' '[Service]' User=elasticsearch Group=elasticsearch | "),
        "{remedies:#?}"
    );
}

#[test]
fn addresses_are_read_as_the_engines_write_them() {
    let of = |text: &str| wanted_address(&format!("BindException[Failed to bind to {text}"));
    assert_eq!(of("10.9.9.9:9300]; nested: x"), Some(ip("10.9.9.9")));
    assert_eq!(of("10.9.9.9:[9300-9400]]; nested: x"), Some(ip("10.9.9.9")));
    assert_eq!(of("[::1]:9300]; nested: x"), Some(ip("::1")));
    for other in ["[9300-9400]]; nested", "es.example:9300]", "$(reboot):9300]"] {
        assert_eq!(of(other), None, "{other}");
    }
}
