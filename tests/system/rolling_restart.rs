//! A real cluster of three is restarted node by node: with its controller killed in the middle of it, and with a second node that
//! does not come up again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use system_tests::lab::engine::Scheme;
use system_tests::lab::{Engine, Host, Output, SysctlGuard, client, until};

use crate::fleet::{fleet, unwrapped};
use crate::remedy::console::Console;

const CLUSTER: &str = "rolling";
const NAMES: [&str; 3] = ["roll-1", "roll-2", "roll-3"];
const ENGINE: Engine = Engine::Elasticsearch;
pub(crate) const POLICY: &str = "/etc/dialtone/policy.yaml";
/// What no evidence tells of: an option that this Java does not have.
const BROKEN: &str = "/etc/elasticsearch/jvm.options.d/broken.options";
/// Far more than a restart, and what follows it, takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

/// Three nodes in production mode, joined to the fleet.
struct Cluster {
    hosts: Vec<Host>,
    // In production mode the check of this is enforced, and other tests need it low.
    _map_count: SysctlGuard,
}

/// The cluster, green; nobody else's for as long as this is held.
fn cluster() -> MutexGuard<'static, Cluster> {
    static CLUSTER: OnceLock<Mutex<Cluster>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| Mutex::new(Cluster::boot().unwrap()));
    let cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
    cluster.wait_green();
    cluster
}

impl Cluster {
    fn boot() -> Result<Self> {
        let map_count = SysctlGuard::set("vm.max_map_count", "262144")?;
        let hosts = NAMES.iter().map(|name| Host::boot(name)).collect::<Result<Vec<_>>>()?;
        let seeds: Vec<String> = hosts.iter().map(|host| host.ip().to_string()).collect();
        let key: Value = json(&dialtone(&["key", "-o", "json"]));
        let approver = serde_json::to_string(&key["approver"])?;
        for host in &hosts {
            ENGINE.install(host)?;
            // How full the machine's disk is shall not matter.
            let yml = format!(
                "cluster.name: {CLUSTER}\nnode.name: {}\nnetwork.host: 0.0.0.0\ndiscovery.seed_hosts: [{}]\n\
                 cluster.initial_master_nodes: [{}]\npath.data: /var/lib/elasticsearch\npath.logs: /var/log/elasticsearch\n\
                 cluster.routing.allocation.disk.threshold_enabled: false\n",
                host.name(),
                seeds.join(", "),
                NAMES.join(", ")
            );
            ENGINE.set_yml(host, &yml)?;
            ENGINE.begin_start(host)?;
        }
        for host in &hosts {
            ENGINE.wait_http(host, 9200, Scheme::Http)?;
            fleet().join(host)?;
            let allow = "{service: {units: [elasticsearch.service]}}";
            host.write(POLICY, format!("plans_per_hour: 1000\napprovers: [{approver}]\nallow: {allow}\n"))?;
        }
        let cluster = Self { hosts, _map_count: map_count };
        cluster.wait_green();
        // A copy of each shard is on another node: what has to come back after every restart.
        let index = format!("http://{}:9200/books", cluster.hosts[0].ip());
        let settings = r#"{"settings":{"number_of_shards":3,"number_of_replicas":1}}"#;
        let made = client()?.run(&[
            "curl",
            "-fsS",
            "-XPUT",
            "-H",
            "content-type: application/json",
            "-d",
            settings,
            &index,
        ])?;
        ensure!(made.success(), "{made:?}");
        Ok(cluster)
    }

    fn get(&self, path: &str) -> Option<Value> {
        self.hosts.iter().find_map(|host| {
            let (status, body) = client().unwrap().get(&format!("http://{}:9200{path}", host.ip())).unwrap()?;
            (status == 200).then(|| serde_json::from_str(&body).unwrap())
        })
    }

    fn is_green(&self) -> bool {
        let health = self.get("/_cluster/health").unwrap_or_default();
        health["status"] == "green" && health["number_of_nodes"] == 3
    }

    fn wait_green(&self) {
        let green = until("a green cluster of three", LIMIT, || Ok(self.is_green().then_some(())));
        green.unwrap_or_else(|error| panic!("{error:#}: {:?}", self.get("/_cluster/health")));
    }

    fn master(&self) -> String {
        self.get("/_cat/master?format=json").unwrap()[0]["node"].as_str().unwrap().to_owned()
    }

    /// What somebody, or a rollout, has set shard allocation to.
    fn allocation(&self) -> Value {
        self.get("/_cluster/settings?flat_settings=true").unwrap()["persistent"]["cluster.routing.allocation.enable"]
            .clone()
    }

    fn host(&self, name: &str) -> &Host {
        self.hosts.iter().find(|host| host.name() == name).unwrap()
    }

    /// How often systemd has started the engine on each node.
    fn starts(&self) -> BTreeMap<String, usize> {
        let starts = |host: &Host| ENGINE.journal(host).unwrap().matches("Starting elasticsearch.service").count();
        self.hosts.iter().map(|host| (host.name().to_owned(), starts(host))).collect()
    }
}

pub(crate) fn dialtone(arguments: &[&str]) -> Output {
    fleet().dialtone(arguments).unwrap()
}

pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn propose() -> (String, Vec<String>) {
    propose_in(CLUSTER)
}

/// Proposes a rolling restart of a cluster as soon as every node's policy is known: its id, and its nodes in order.
pub(crate) fn propose_in(cluster: &str) -> (String, Vec<String>) {
    let proposed = until("a proposed rollout", Duration::from_secs(60), || {
        let output = dialtone(&["rollout", "propose", cluster, "--because", "a test", "-o", "json"]);
        Ok(output.success().then_some(output))
    });
    let proposed = json(&proposed.unwrap_or_else(|_| panic!("{:?}", dialtone(&["rollout", "propose", cluster]))));
    let turns = proposed["rollout"]["turns"].as_array().unwrap();
    let nodes = turns.iter().map(|turn| turn["node"].as_str().unwrap().to_owned()).collect();
    (proposed["rollout"]["id"].as_str().unwrap().to_owned(), nodes)
}

/// How it stands; none while the controller does not answer.
fn look(id: &str) -> Option<Value> {
    let output = dialtone(&["rollout", id, "-o", "json"]);
    output.success().then(|| json(&output)["rollout"].clone())
}

/// Waits until a rollout is as wanted.
pub(crate) fn wait(id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let seen = until(what, LIMIT, || Ok(look(id).filter(&wanted)));
    seen.unwrap_or_else(|error| panic!("{error:#}: {:#}", look(id).unwrap_or_default()))
}

pub(crate) fn has_ended(rollout: &Value) -> bool {
    ["done", "stopped", "rejected", "expired"].iter().any(|stage| rollout["stage"] == *stage)
}

pub(crate) fn phases(rollout: &Value) -> Vec<&str> {
    rollout["turns"].as_array().unwrap().iter().map(|turn| turn["phase"].as_str().unwrap()).collect()
}

#[test]
fn a_cluster_is_restarted_node_by_node_whatever_becomes_of_its_controller() {
    let cluster = cluster();
    let (master, before) = (cluster.master(), cluster.starts());
    let (id, order) = propose();
    assert_eq!((order.len(), order.last()), (3, Some(&master)), "the elected master comes last");
    thread::scope(|scope| {
        let approving = scope.spawn(|| dialtone(&["approve", &id, "--yes"]));
        // The first is done, and the second is on its way.
        wait(&id, "the second node's restart", |rollout| {
            ["restarts", "rejoins"].iter().any(|phase| phases(rollout)[1] == *phase)
        });
        assert_eq!(cluster.allocation(), "primaries");
        fleet().controller.check(&["systemctl", "kill", "--signal=KILL", "dialtone-controller"]).unwrap();
        let told = approving.join().unwrap();
        assert_eq!(told.code, Some(4), "{told:?}");
        assert!(told.stderr.contains("--follow"), "{told:?}");
    });
    let ended = wait(&id, "the end of the rollout", has_ended);
    assert_eq!((ended["stage"].as_str(), phases(&ended)), (Some("done"), vec!["done"; 3]), "{ended:#}");
    assert!(cluster.is_green(), "{ended:#}");
    assert_eq!(cluster.allocation(), Value::Null);
    // Each exactly once.
    let after: BTreeMap<String, usize> = before.into_iter().map(|(name, starts)| (name, starts + 1)).collect();
    assert_eq!(cluster.starts(), after);
    let verified = dialtone(&["audit", "verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let log = dialtone(&["audit", "export"]).stdout;
    for event in ["rollout-proposed", "rollout-moved"] {
        assert!(log.lines().any(|line| line.contains(event) && line.contains(&id)), "{event}: {log}");
    }
}

#[test]
fn it_stops_at_the_node_that_does_not_come_up_and_says_where_it_stands() {
    let cluster = cluster();
    let (id, order) = propose();
    let before = cluster.starts();
    let second = cluster.host(&order[1]);
    second.write(BROKEN, "-XX:+NoSuchOptionOfAnyJava\n").unwrap();
    let console = Console::open(fleet().laptop());
    console.pick_rollout(&id);
    console.say_yes();
    wait(&id, "the approval", |rollout| rollout["stage"] != "proposed");
    let told = dialtone(&["rollout", &id, "--follow"]);
    let ended = wait(&id, "the end of the rollout", has_ended);
    console.follow("stopped");
    console.see("not touched");
    second.check(&["rm", BROKEN]).unwrap();
    assert_eq!(
        (ended["stage"].as_str(), phases(&ended)),
        (Some("stopped"), vec!["done", "failed", "untouched"]),
        "{ended:#}"
    );
    assert!(ended["stop"].as_str().unwrap().contains(&order[1]), "{ended:#}");
    assert_eq!(ended["held"], false, "{ended:#}");
    assert_eq!(cluster.allocation(), Value::Null);
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(told.stdout.contains("not touched"), "{told:?}");
    let starts = cluster.starts();
    assert_eq!(starts[&order[0]], before[&order[0]] + 1);
    assert_eq!(starts[&order[2]], before[&order[2]]);
    // What is left of it cannot be carried out any more.
    let plan = ended["turns"][2]["plan"].as_str().unwrap();
    assert_eq!(json(&dialtone(&["plan", plan, "-o", "json"]))["record"]["stage"], "rejected");
    // preflight tells of the failed start and does not call it health.
    let judged = until("the failed start is known", LIMIT, || {
        let output = dialtone(&["preflight", &order[1], "-o", "json"]);
        Ok((output.code == Some(3)).then_some(output))
    });
    assert_eq!(json(&judged.unwrap())["starts"], "unknown");
    ENGINE.start(second).unwrap().ok().context("the second node is repaired").unwrap();
    cluster.wait_green();
    let healthy = dialtone(&["preflight", &order[1], "-o", "json"]);
    assert_eq!(healthy.code, Some(0), "{healthy:?}");
}

#[test]
fn nothing_is_begun_while_the_cluster_is_without_one_of_its_nodes() {
    let cluster = cluster();
    let (id, order) = propose();
    let before = cluster.starts();
    let away = cluster.host(&order[2]);
    ENGINE.stop(away).unwrap();
    dialtone(&["approve", &id, "--yes"]);
    let ended = wait(&id, "the end of the rollout", has_ended);
    assert_eq!((ended["stage"].as_str(), phases(&ended)[1..].to_vec()), (Some("stopped"), vec!["untouched"; 2]));
    let why = format!("the cluster does not have {} right now", order[2]);
    assert!(ended["stop"].as_str().unwrap().contains(&why), "{ended:#}");

    let said = dialtone(&["rollout", "propose", CLUSTER, "--because", "a test"]);
    let why = format!("{0} is not in the cluster right now: dialtone diagnose {0}", order[2]);
    assert!(said.code != Some(0) && unwrapped(&said.stderr).contains(&why), "{said:?}");
    let judged = dialtone(&["preflight", &order[2]]);
    assert!(unwrapped(&judged.stdout).contains("elasticsearch.service is inactive"), "{judged:?}");
    assert_eq!((cluster.starts(), cluster.allocation()), (before, Value::Null));
    ENGINE.start(away).unwrap().ok().unwrap();
}
