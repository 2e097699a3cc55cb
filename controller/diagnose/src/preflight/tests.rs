//! Each check where it fires, where it does not, and where it cannot tell.

use common_evidence::collectors::engine_config::EngineConfig;
use common_evidence::collectors::interfaces::Interfaces;
use common_evidence::collectors::sockets::Sockets;
use common_evidence::collectors::sysctl::Sysctls;
use common_evidence::collectors::unit::Unit;
use common_model::preflight::{Answer, Preflight};
use controller_correlate::EngineView;
use controller_correlate::testing::{AT, Node, VANTAGE, foreign};

fn judge(node: Node) -> Preflight {
    let node = node.build();
    let engine = EngineView::all(&node).unwrap().remove(0);
    super::preflight(&node, &engine, VANTAGE.parse().ok(), AT)
}

/// Of a cluster, in production mode.
fn in_production(more: &str) -> Node {
    let yml = format!("cluster.name: es\nnetwork.host: 0.0.0.0\n{more}");
    Node::new().yml(&yml, AT.plus_millis(-86_400_000))
}

const SEEDS: &str = "discovery.seed_hosts: [es-2]\n";

fn passes(preflight: &Preflight, id: &str) -> Answer {
    let all = preflight.checks.iter().filter(|check| check.id == id).map(|check| check.passes);
    all.max().unwrap_or_else(|| panic!("no check {id}: {preflight:#?}"))
}

#[test]
fn nothing_speaks_against_a_healthy_node() {
    let fine = judge(Node::new());
    assert_eq!((fine.starts, fine.reachable), (Answer::Yes, Answer::Yes), "{fine:#?}");
    assert_eq!(fine.listens, ["*:9200"]);
    let told = &fine.not_looked_at;
    assert!(told.len() == 1 && told[0].contains("heap"), "{told:?}");
}

#[test]
fn a_yml_that_cannot_be_read_stops_the_start_and_one_that_is_not_known_is_not_healthy() {
    let broken = judge(Node::new().yml("network.host:0.0.0.0\n http.port: 1\n", AT));
    assert_eq!(
        (passes(&broken, "config-syntax"), broken.starts, broken.reachable),
        (Answer::No, Answer::No, Answer::No)
    );
    let unknown = judge(Node::new().without::<EngineConfig>());
    assert_eq!((passes(&unknown, "config-syntax"), unknown.starts), (Answer::Unknown, Answer::Unknown));
}

#[test]
fn an_address_that_the_machine_does_not_have_cannot_be_bound() {
    for (value, expected) in [
        ("10.0.0.5", Answer::Yes),
        ("10.99.99.99", Answer::No),
        ("_eth0_", Answer::Yes),
        ("_eth7_", Answer::No),
        ("_site_", Answer::Yes),
        ("es-1.example", Answer::Unknown),
        ("[0.0.0.0, 10.0.0.5]", Answer::No),
        ("${HOST}", Answer::Unknown),
    ] {
        let judged = judge(Node::new().yml(&format!("network.host: {value}\ndiscovery.type: single-node\n"), AT));
        assert_eq!(passes(&judged, "bind-address-not-local"), expected, "{value}");
    }
    let unknown = judge(Node::new().without::<Interfaces>().yml("network.host: 10.0.0.5\n", AT));
    assert_eq!(passes(&unknown, "bind-address-not-local"), Answer::Unknown);
}

#[test]
fn a_port_that_another_process_holds_stops_the_start_where_it_is_the_only_one() {
    let taken = |port: &str| {
        let yml = format!("network.host: 0.0.0.0\ndiscovery.type: single-node\n{port}");
        judge(Node::new().yml(&yml, AT).listeners(vec![foreign("0.0.0.0:9200", "nginx", "nginx.service")]))
    };
    let only = taken("http.port: 9200\n");
    assert_eq!((passes(&only, "port-taken"), only.starts), (Answer::No, Answer::No));
    assert!(only.sentence.contains("nginx"), "{}", only.sentence);
    let range = taken("");
    assert_eq!((range.starts, range.listens.as_slice()), (Answer::Yes, ["*:9201".to_owned()].as_slice()));
    assert_eq!(passes(&judge(Node::new().without::<Sockets>()), "port-taken"), Answer::Unknown);
    let both = judge(in_production(&format!("{SEEDS}http.port: 9300\ntransport.port: 9300\n")));
    assert_eq!(passes(&both, "port-taken"), Answer::No);
}

#[test]
fn bootstrap_checks_count_in_production_only() {
    let low = |node: Node| node.sysctl("vm.max_map_count", "65530");
    let enforced = judge(low(in_production(SEEDS)));
    assert_eq!((passes(&enforced, "max-map-count"), enforced.starts), (Answer::No, Answer::No));
    assert_eq!(judge(low(Node::new())).starts, Answer::Yes);
    assert_eq!(judge(low(Node::new().yml("cluster.name: es\n", AT))).starts, Answer::Yes);
    let unknown = judge(in_production(SEEDS).without::<Sysctls>());
    assert_eq!(passes(&unknown, "max-map-count"), Answer::Unknown);
    assert_eq!(passes(&judge(in_production("")), "discovery-configured"), Answer::No);
    assert_eq!(passes(&judge(in_production(SEEDS)), "discovery-configured"), Answer::Yes);
}

#[test]
fn limits_are_those_of_the_unit() {
    let with = |change: (&str, &str), more: &str| {
        judge(in_production(&format!("{SEEDS}{more}")).rewrite::<Unit>(|unit| unit.replace(change.0, change.1)))
    };
    let same = ("", "");
    assert_eq!(with(same, "").starts, Answer::Yes);
    assert_eq!(passes(&with(("NOFILE=65535", "NOFILE=4096"), ""), "file-descriptors"), Answer::No);
    assert_eq!(passes(&with(("LimitAS=infinity", "LimitAS=1"), ""), "max-virtual-memory"), Answer::No);
    assert_eq!(passes(&with(("LimitNOFILE=65535\n", ""), ""), "file-descriptors"), Answer::Unknown);
    let locked = "bootstrap.memory_lock: true\n";
    assert_eq!(passes(&with(same, locked), "memory-lock"), Answer::No);
    assert_eq!(passes(&with(("MEMLOCK=8388608", "MEMLOCK=infinity"), locked), "memory-lock"), Answer::Yes);
    assert_eq!(passes(&with(("LimitMEMLOCK=8388608\n", ""), locked), "memory-lock"), Answer::Unknown);
}

#[test]
fn settings_that_exclude_each_other_stop_the_start() {
    let both = judge(Node::new().yml("discovery.type: single-node\ncluster.initial_master_nodes: [es-1]\n", AT));
    assert_eq!(both.starts, Answer::No, "{both:#?}");
}

#[test]
fn loopback_and_firewall_keep_others_out() {
    let loopback = judge(Node::new().yml("cluster.name: es\n", AT));
    assert_eq!((loopback.starts, loopback.reachable), (Answer::Yes, Answer::No));
    let dropping = crate::causes::host_firewall::fixture::dropping();
    let stopped = judge(dropping);
    assert_eq!((stopped.starts, stopped.reachable), (Answer::Yes, Answer::No), "{stopped:#?}");
    assert_eq!(passes(&judge(Node::new()), "host-firewall"), Answer::Yes);
}

#[test]
fn what_a_node_says_is_made_printable() {
    let hostile = judge(Node::new().yml("network.host: \"\\e[2Jx\"\n", AT));
    let text = serde_json::to_string(&hostile).unwrap();
    assert!(!text.contains("\\u001b"), "{text}");
}
