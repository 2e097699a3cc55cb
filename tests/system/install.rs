//! From nothing to an answer: packages, `init`, tokens, `join`, units, `login`, `diagnose`, and back to nothing.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use system_tests::lab::{Client, Engine, Host, Output, client, until};
use system_tests::packages;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_fleet_is_installed_asked_and_removed() {
    let controller = Host::boot("inst-ctl").unwrap();
    let node = Host::boot("inst-es").unwrap();
    let engine = Engine::Elasticsearch;
    engine.install(&node).unwrap();
    engine.start(&node).unwrap().ok().unwrap();
    let address = format!("{}:7443", controller.ip());

    let pin = install_controller(&controller);
    join_node(&controller, &node, &address, &pin);
    let laptop = Laptop::new();
    laptop.login(&controller, &address, &pin);

    until("the engine's loopback listener", LIMIT, || {
        Ok(node.check(&["ss", "-ltnH"])?.contains(":9200").then_some(()))
    })
    .unwrap();
    let asked = laptop.dialtone(&["diagnose", &format!("http://{}:9200", node.ip()), "-o", "json"]);
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
    let made = json_of(host, &["dialtone-controller", "init", "--san", &host.ip().to_string(), "-o", "json"]);
    host.check(&["systemctl", "enable", "--now", "dialtone-controller"]).unwrap();
    assert_eq!(state(host, "dialtone-controller"), "active");
    let pin = made["ca_pin"].as_str().unwrap().to_owned();
    assert!(pin.starts_with("sha256:"), "{made}");
    pin
}

fn join_node(controller: &Host, node: &Host, address: &str, pin: &str) {
    node.install_deb(&packages::deb("dialtone-agent").unwrap()).unwrap();
    assert_waits(node, "dialtone-agent");
    let made = json_of(controller, &["dialtone-controller", "token", "create", "--ttl", "5m", "-o", "json"]);
    assert!(made["expires_at"].is_string(), "{made}");
    let join = ["dialtone-agent", "join", address, "--token", made["token"].as_str().unwrap(), "--ca-pin", pin];
    node.check(&join).unwrap();
    node.check(&["systemctl", "enable", "--now", "dialtone-agent"]).unwrap();
    assert_eq!(state(node, "dialtone-agent"), "active");
    assert!(!node.run(&join).unwrap().success(), "a join token is good once");
}

/// A unit that is started before it has anything to do says so, and does not fail in a loop.
fn assert_waits(host: &Host, unit: &str) {
    host.check(&["systemctl", "start", unit]).unwrap();
    assert_eq!(state(host, unit), "inactive");
    assert_eq!(property(host, unit, "ConditionResult"), "no");
}

/// Somebody's own machine: the command out of its package, and a home directory.
struct Laptop {
    home: tempfile::TempDir,
    client: Client,
}

impl Laptop {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let package = packages::deb("dialtone").unwrap();
        let status = Command::new("dpkg-deb").arg("--extract").args([&package, &home.path().join("root")]).status();
        assert!(status.unwrap().success());
        Self { home, client: client().unwrap() }
    }

    fn dialtone(&self, arguments: &[&str]) -> Output {
        let program = self.home.path().join("root/usr/bin/dialtone");
        let mut command = self.client.command("env");
        command.arg(home(self.home.path())).arg("XDG_CONFIG_HOME=").arg(program).args(arguments);
        let output = command.stdin(Stdio::null()).output().unwrap();
        Output {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn nodes(&self) -> Value {
        serde_json::from_str(&self.dialtone(&["nodes", "-o", "json"]).ok().unwrap()).unwrap()
    }

    fn login(&self, controller: &Host, address: &str, pin: &str) {
        let add = ["dialtone-controller", "operator", "add", "alice", "--role", "viewer", "-o", "json"];
        let added = json_of(controller, &add);
        assert_eq!((&added["operator"], &added["role"]), (&json!("alice"), &json!("viewer")));
        let token = added["token"].as_str().unwrap();
        self.dialtone(&["login", address, "--token", token, "--ca-pin", pin]).ok().unwrap();
        let again = self.dialtone(&["login", address, "--token", token, "--ca-pin", pin]);
        assert_eq!(again.code, Some(4), "a login token is good once: {again:?}");
        let forbidden = self.dialtone(&["token", "create"]);
        assert_eq!(forbidden.code, Some(4), "a viewer makes no tokens: {forbidden:?}");
    }
}

fn home(path: &Path) -> String {
    format!("HOME={}", path.display())
}

/// The capabilities of the unit are enough for every read on a host that has all of the firewalls.
fn agent_reads_everything(laptop: &Laptop) {
    let node = &laptop.nodes()[0];
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
    until("the agent's return", LIMIT, || Ok((laptop.nodes()[0]["online"] == true).then_some(()))).unwrap();
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

fn json_of(host: &Host, command: &[&str]) -> Value {
    serde_json::from_str(&host.check(command).unwrap()).unwrap()
}
