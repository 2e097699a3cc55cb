//! The lab itself: what it promises to the other tests.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use system_tests::lab::engine::{Scheme, Users, secure};
use system_tests::lab::tls::{Authority, Leaf};
use system_tests::lab::{Connect, Engine, Host, SysctlGuard, client, shared, until};

const LIMIT: Duration = Duration::from_secs(2);

#[test]
fn two_hosts_run_two_engines_that_answer_from_outside() {
    let hosts =
        [(Host::boot("pair-es").unwrap(), Engine::Elasticsearch), (Host::boot("pair-os").unwrap(), Engine::OpenSearch)];
    for (host, engine) in &hosts {
        engine.install(host).unwrap();
        engine.set_yml(host, &engine.healthy_yml()).unwrap();
        engine.begin_start(host).unwrap();
        let state = host.run(&["systemctl", "is-active", engine.name()]).unwrap();
        assert_eq!(state.stdout.trim(), "activating");
    }
    for (host, engine) in &hosts {
        let (status, body) = engine.wait_http(host, 9200, Scheme::Http).unwrap();
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, 200);
        assert_eq!(body["version"]["number"], engine.version());
        assert_eq!(body["cluster_name"], "lab");

        let by_name = format!("http://{}:9200/", host.name());
        assert!(client().unwrap().get(&by_name).unwrap().is_some());
        let owner = host.check(&["dpkg", "-S", &engine.yml_path()]).unwrap();
        assert!(owner.starts_with(engine.name()), "{owner}");
        assert!(host.read(&engine.log_path("lab")).unwrap().contains("started"));

        engine.stop(host).unwrap();
        assert_eq!(connect(host, 9200), Connect::Refused);
    }
}

#[test]
fn a_client_sees_each_packet_level_fault_as_on_a_real_network() {
    let host = shared::node(Engine::Elasticsearch).unwrap();
    assert_eq!(connect(&host, 9200), Connect::Open);
    assert_eq!(connect(&host, 9201), Connect::Refused);
    for (verdict, seen) in [
        ("drop", Connect::TimedOut),
        ("reject", Connect::Refused),
        ("reject with tcp reset", Connect::Refused),
        ("reject with icmpx admin-prohibited", Connect::NoRoute),
    ] {
        let rules = format!(
            "table inet lab {{ chain input {{ type filter hook input priority 0; \
             tcp dport 9200 {verdict}; }}; }}"
        );
        host.nft(&rules).unwrap();
        assert_eq!(connect(&host, 9200), seen, "{verdict}");
        host.nft("flush ruleset").unwrap();
    }
    let cut = host.cut_path(9200).unwrap();
    assert_eq!(connect(&host, 9200), Connect::TimedOut);
    drop(cut);
    assert_eq!(connect(&host, 9200), Connect::Open);
}

#[test]
fn opensearch_serves_tls_to_those_who_trust_its_authority() {
    let host = Host::boot("tls").unwrap();
    let engine = Engine::OpenSearch;
    engine.install(&host).unwrap();
    let authority = Authority::new("lab authority").unwrap();
    let node = authority.issue(&Leaf::of(host.name(), host.ip().into())).unwrap();
    let yml = secure(&host, authority.certificate(), &node, Users::Demonstration).unwrap();
    engine.set_yml(&host, &yml).unwrap();
    engine.start(&host).unwrap().ok().unwrap();
    engine.wait_http(&host, 9200, Scheme::Https).unwrap();
    let url = format!("https://{}:9200/", host.name());
    let unauthorized = || Ok((client()?.get(&url)?.map(|(status, _)| status) == Some(401)).then_some(()));
    until("the users", Duration::from_secs(60), unauthorized).unwrap();

    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(authority.certificate().as_bytes()).unwrap();
    let trust = file.path().to_str().unwrap();
    let curl = ["curl", "--silent", "--show-error", "--noproxy", "*"];
    let ask = |more: &[&str]| client().unwrap().run(&[&curl[..], more].concat()).unwrap();
    assert!(ask(&["--cacert", trust, &url]).success());
    assert_eq!(ask(&[&url]).code, Some(60), "an authority nobody trusts");
    let plain = format!("http://{}:9200/", host.name());
    assert_eq!(ask(&[&plain]).code, Some(52), "an empty reply");
}

#[test]
fn enforced_bootstrap_checks_fail_for_real() {
    let host = Host::boot("checks").unwrap();
    let engine = Engine::Elasticsearch;
    engine.install(&host).unwrap();
    let yml = "cluster.name: lab\nnode.name: node-1\nnetwork.host: 0.0.0.0\n\
               cluster.initial_master_nodes: [\"node-1\"]\n\
               bootstrap.memory_lock: true\n\
               path.data: /var/lib/elasticsearch\npath.logs: /var/log/elasticsearch\n";
    engine.set_yml(&host, yml).unwrap();
    engine.drop_in(&host, "limits", "[Service]\nLimitNOFILE=10000\n").unwrap();
    assert!(!engine.start(&host).unwrap().success());
    engine.wait_failed(&host).unwrap();
    let journal = engine.journal(&host).unwrap();
    assert!(journal.contains("bootstrap checks failed"), "{journal}");
    assert!(journal.contains("max file descriptors [10000]"), "{journal}");
    assert!(journal.contains("status=78"), "{journal}");
}

#[test]
fn elasticsearch_8_gives_the_reason_of_a_failed_start_in_its_log_only() {
    let host = Host::boot("es8").unwrap();
    let engine = Engine::Elasticsearch8;
    engine.run_healthy(&host).unwrap();
    engine.stop(&host).unwrap();
    assert_eq!(connect(&host, 9200), Connect::Refused);

    let yml = engine.healthy_yml() + "bootstrap.memory_lock: true\n";
    let enforced = "cluster.initial_master_nodes: [\"node-1\"]\n";
    engine.set_yml(&host, &yml.replace("discovery.type: single-node\n", enforced)).unwrap();
    assert!(!engine.start(&host).unwrap().success());
    let journal = engine.journal(&host).unwrap();
    assert!(journal.contains("died while starting up, with exit code 78"), "{journal}");
    assert!(!journal.contains("memory locking"), "{journal}");
    let log = host.read(&engine.log_path("lab")).unwrap();
    assert!(log.contains("memory locking requested"), "{log}");
}

#[test]
fn two_nodes_form_a_cluster_with_every_bootstrap_check_enforced() {
    let _mapped = SysctlGuard::set("vm.max_map_count", "262144").unwrap();
    let engine = Engine::OpenSearch;
    let hosts = [Host::boot("node-1").unwrap(), Host::boot("node-2").unwrap()];
    for host in &hosts {
        engine.install(host).unwrap();
        let cluster = format!(
            "cluster.initial_master_nodes: [\"node-1\"]\ndiscovery.seed_hosts: [\"{}\", \"{}\"]\n",
            hosts[0].ip(),
            hosts[1].ip(),
        );
        let yml = engine
            .healthy_yml()
            .replace("node.name: node-1", &format!("node.name: {}", host.name()))
            .replace("discovery.type: single-node\n", &cluster);
        engine.set_yml(host, &yml).unwrap();
        engine.begin_start(host).unwrap();
    }
    engine.wait_http(&hosts[1], 9200, Scheme::Http).unwrap();
    let url = format!("http://{}:9200/_cat/nodes?h=name", hosts[1].ip());
    let both = || {
        let answer = client()?.get(&url)?;
        Ok(answer.filter(|(_, body)| body.contains("node-1") && body.contains("node-2")))
    };
    until("both nodes in one cluster", Duration::from_secs(60), both).unwrap();
}

#[test]
fn a_host_that_is_switched_off_keeps_its_disk() {
    let host = Host::boot("power").unwrap();
    host.write("/root/note", "kept").unwrap();
    host.check(&["sync"]).unwrap();
    host.power_off().unwrap();
    assert!(host.run(&["true"]).is_err());
    assert_ne!(connect(&host, 22), Connect::Refused);
    host.power_on().unwrap();
    assert_eq!(host.read("/root/note").unwrap(), "kept");
    // The client's kernel remembers for a moment that nobody had that address.
    let refuses = || Ok((connect(&host, 22) == Connect::Refused).then_some(()));
    until("a host that refuses again", Duration::from_secs(60), refuses).unwrap();
}

#[test]
fn nothing_is_left_of_a_host_that_was_dropped() {
    let host = Host::boot("gone").unwrap();
    let machine = host.netns().to_owned();
    let background = host.command("sleep").unwrap().arg("1000").spawn();
    let mut background = background.unwrap();
    assert!(Path::new("/run/netns").join(&machine).exists());
    let root = format!("{}/hosts/gone/merged", client().unwrap().netns());
    assert!(mounts().contains(&root));
    drop(host);
    background.wait().unwrap();

    assert!(!Path::new("/run/netns").join(&machine).exists());
    assert!(!mounts().contains(&root));
    assert!(!processes().contains(&machine));
    for directory in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/run/systemd/nspawn/propagate"] {
        assert!(!Path::new(directory).join(&machine).exists(), "{directory}");
    }
}

fn connect(host: &Host, port: u16) -> Connect {
    client().unwrap().connect(host.ip(), port, LIMIT).unwrap()
}

fn mounts() -> String {
    fs::read_to_string("/proc/self/mounts").unwrap()
}

fn processes() -> String {
    let output = Command::new("ps").args(["axww", "-o", "args"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
