//! From nothing to an answer: packages, `init`, tokens, `join`, units, `login`, `diagnose`, and back to nothing.

use std::time::Duration;

use serde_json::{Value, json};
use system_tests::lab::{Engine, Host, until};
use system_tests::packages;

use system_tests::product::{self, Laptop};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_fleet_is_installed_asked_and_removed() {
    let controller = Host::boot("inst-ctl").unwrap();
    let node = Host::boot("inst-es").unwrap();
    let engine = Engine::Elasticsearch;
    engine.install(&node).unwrap();
    engine.start(&node).unwrap().ok().unwrap();

    let pin = install_controller(&controller);
    join_node(&controller, &node, &pin);
    let laptop = Laptop::new().unwrap();
    log_in(&laptop, &controller, &pin);

    until("the engine's loopback listener", LIMIT, || {
        Ok(node.check(&["ss", "-ltnH"])?.contains(":9200").then_some(()))
    })
    .unwrap();
    let asked = laptop.dialtone(&["diagnose", &format!("http://{}:9200", node.ip()), "-o", "json"]).unwrap();
    assert_eq!(asked.code, Some(1), "{asked:?}");
    let answer: Value = serde_json::from_str(&asked.stdout).unwrap();
    assert_eq!(answer["schema"], "dialtone.diagnosis/1");
    assert_eq!(answer["symptom"], "refused", "{answer:#}");
    assert_eq!(answer["verdict"]["cause"], "bound-to-loopback", "{answer:#}");
    assert_eq!(answer["verdict"]["certainty"], "certain", "{answer:#}");
    assert_eq!(answer["verdict"]["node"], "inst-es");
    assert_eq!(answer["verdict"]["detail"]["source"], "default");

    agent_reads_everything(&laptop);
    upgrade_goes_on(&node, &laptop);
    service_is_confined(&controller, "dialtone-controller");
    service_is_confined(&node, "dialtone-agent");
    leaves_nothing(&node, "dialtone-agent", "agent.yaml");
    leaves_nothing(&controller, "dialtone-controller", "controller.yaml");
}

/// Installs and starts a controller; its pin.
fn install_controller(host: &Host) -> String {
    host.install_deb(&packages::deb("dialtone-controller").unwrap()).unwrap();
    host.install_deb(&packages::deb("dialtone").unwrap()).unwrap();
    host.check(&["dialtone", "--version"]).unwrap();
    assert_waits(host, "dialtone-controller");
    let pin = product::start_controller(host, &host.ip().to_string()).unwrap();
    assert_eq!(state(host, "dialtone-controller"), "active");
    assert!(pin.starts_with("sha256:"), "{pin}");
    pin
}

fn join_node(controller: &Host, node: &Host, pin: &str) {
    node.install_deb(&packages::deb("dialtone-agent").unwrap()).unwrap();
    assert_waits(node, "dialtone-agent");
    let joined = product::join(controller, node, pin, &["--ttl", "5m"]).unwrap();
    assert_eq!(state(node, "dialtone-agent"), "active");
    let again: Vec<&str> = joined.iter().map(String::as_str).collect();
    assert!(!node.run(&again).unwrap().success(), "a join token is good once");
}

/// A unit that is started before it has anything to do says so, and does not fail in a loop.
fn assert_waits(host: &Host, unit: &str) {
    host.check(&["systemctl", "start", unit]).unwrap();
    assert_eq!(state(host, unit), "inactive");
    assert_eq!(property(host, unit, "ConditionResult"), "no");
}

fn log_in(laptop: &Laptop, controller: &Host, pin: &str) {
    let logged_in = laptop.login(controller, pin, "alice", "viewer").unwrap();
    let again: Vec<&str> = logged_in.iter().map(String::as_str).collect();
    let again = laptop.dialtone(&again).unwrap();
    assert_eq!(again.code, Some(4), "a login token is good once: {again:?}");
    let forbidden = laptop.dialtone(&["token", "create"]).unwrap();
    assert_eq!(forbidden.code, Some(4), "a viewer makes no tokens: {forbidden:?}");
}

fn nodes(laptop: &Laptop) -> Value {
    serde_json::from_str(&laptop.dialtone(&["nodes", "-o", "json"]).unwrap().ok().unwrap()).unwrap()
}

/// The capabilities of the unit are enough for every read on a host that has all of the firewalls.
fn agent_reads_everything(laptop: &Laptop) {
    let node = &nodes(laptop)[0];
    assert_eq!((&node["name"], &node["online"]), (&json!("inst-es"), &json!(true)));
    assert_eq!(node["gaps"], json!([]), "{node:#}");
    assert_eq!(node["engines"][0]["state"], "active", "{node:#}");
}

/// Installing over a running agent restarts it with the identity it has.
fn upgrade_goes_on(host: &Host, laptop: &Laptop) {
    let before = property(host, "dialtone-agent", "MainPID");
    host.install_deb(&packages::deb("dialtone-agent").unwrap()).unwrap();
    assert_eq!(state(host, "dialtone-agent"), "active");
    assert_ne!(property(host, "dialtone-agent", "MainPID"), before);
    until("the agent's return", LIMIT, || Ok((nodes(laptop)[0]["online"] == true).then_some(()))).unwrap();
}

fn service_is_confined(host: &Host, unit: &str) {
    assert_eq!(property(host, unit, "NRestarts"), "0");
    assert_eq!(property(host, unit, "User"), unit);
    let pid = property(host, unit, "MainPID");
    let status = host.read(&format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
    host.check(&["systemd-analyze", "verify", "--man=no", &format!("{unit}.service")]).unwrap();
    let state_dir = host.check(&["stat", "--format=%U %a", &format!("/var/lib/{unit}")]).unwrap();
    assert_eq!(state_dir.trim(), format!("{unit} 700"));
    let foreign = host.check(&[
        "find",
        &format!("/var/lib/{unit}"),
        "(",
        "!",
        "-user",
        unit,
        "-o",
        "-name",
        "*key*",
        "-perm",
        "/077",
        ")",
    ]);
    assert_eq!(foreign.unwrap(), "");
}

fn leaves_nothing(host: &Host, package: &str, config: &str) {
    host.check(&["dpkg", "--purge", package]).unwrap();
    assert_eq!(property(host, package, "LoadState"), "not-found");
    for path in [format!("/var/lib/{package}"), format!("/etc/dialtone/{config}"), format!("/usr/bin/{package}")] {
        assert!(!host.run(&["test", "-e", &path]).unwrap().success(), "{path} is still there");
    }
}

fn state(host: &Host, unit: &str) -> String {
    property(host, unit, "ActiveState")
}

fn property(host: &Host, unit: &str, name: &str) -> String {
    host.check(&["systemctl", "show", unit, "--value", "--property", name]).unwrap().trim().to_owned()
}
