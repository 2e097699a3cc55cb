//! For each cause that a node can mend itself: broken on a real engine, diagnosed, approved in the console by keys, and seen to be
//! reachable.

use std::time::Duration;

use system_tests::lab::{Engine, SysctlGuard};
use system_tests::product::Laptop;
use system_tests::terminal::{Screen, Terminal, marked};

use super::{STARTS, Trusting, stage};
use crate::fleet::fleet;

/// For an engine to start, and to be seen from outside, on a busy machine.
const PROVEN: Duration = Duration::from_secs(120);

/// The line that asks for an answer and says how much of the plan is not read yet.
fn question(screen: &Screen) -> Option<String> {
    screen.contents().lines().find(|line| line.contains("Approve this plan with your key?")).map(str::to_owned)
}

/// An operator's console.
struct Console(Terminal);

impl Console {
    fn open(laptop: &Laptop) -> Self {
        let console = Self(laptop.in_terminal(&["console"]).unwrap());
        console.0.wait_text("PLANS").unwrap();
        console
    }

    /// Marks a plan in the list, wherever the newest ones have moved it, and opens it.
    fn read(&self, plan: &str) {
        let mut last = None;
        loop {
            let line = self
                .0
                .wait("another line to be marked", |screen| marked(screen).filter(|line| Some(line) != last.as_ref()));
            let line = line.unwrap();
            if line.contains(plan) {
                break;
            }
            self.0.press("j").unwrap();
            last = Some(line);
        }
        self.0.press("\r").unwrap();
        self.0.wait_text(&format!("[{plan}]")).unwrap();
    }

    /// Reads the open plan to its end and says yes.
    fn say_yes(&self) {
        let mut asked = self.0.wait("the question", question).unwrap();
        while asked.contains("more lines") {
            self.0.press(" ").unwrap();
            let next = |screen: &Screen| question(screen).filter(|line| *line != asked);
            asked = self.0.wait("the next page", next).unwrap();
        }
        self.0.press("y").unwrap();
    }

    /// Follows the open plan until its headline says this.
    fn follow(&self, outcome: &str) {
        let headline = format!("{outcome} — ");
        self.0.wait_for(outcome, PROVEN, |screen| screen.contents().contains(&headline).then_some(())).unwrap();
    }

    fn quit(self) {
        self.0.press("qq").unwrap();
        assert!(self.0.ended().unwrap());
    }
}

/// Approves in the console what is proposed for a broken node, and sees the engine answer.
fn mends(trusting: &Trusting, cause: &str, action: &str) {
    let plan = trusting.plan(cause, action);
    let console = Console::open(fleet().laptop());
    console.read(&plan);
    console.say_yes();
    console.follow("verified");
    console.quit();
    assert_eq!(stage(&plan), "verified");
    trusting.node.wait_answer(9200);
    fleet().diagnose_until(&trusting.node.endpoint(), "healthy");
}

#[test]
fn a_stopped_engine_is_started() {
    let trusting = Trusting::new(Engine::OpenSearch, &format!("{{{STARTS}}}"));
    trusting.node.check(&["systemctl", "stop", "opensearch"]).unwrap();
    mends(&trusting, "not-running", "service");
}

/// Enforces its bootstrap checks, and fails them.
fn fails_its_checks(trusting: &Trusting) {
    let (node, engine) = (&trusting.node, trusting.node.engine);
    let single = "discovery.type: single-node";
    let production = engine.healthy_yml().replace(single, "cluster.initial_master_nodes: [\"node-1\"]");
    engine.set_yml(node, &production).unwrap();
    assert!(!node.run(&["systemctl", "restart", engine.name()]).unwrap().success());
    engine.wait_failed(node).unwrap();
}

#[test]
fn a_kernel_setting_is_raised_in_the_file_that_wins_and_the_engine_started() {
    let allow = format!("{{sysctl-set: {{keys: {{vm.max_map_count: 262144..1048576}}}}, {STARTS}}}");
    let trusting = Trusting::new(Engine::Elasticsearch, &allow);
    let node = &trusting.node;
    let _max_map_count = SysctlGuard::set("vm.max_map_count", "65530").unwrap();
    let file = "/etc/sysctl.d/90-search.conf";
    node.write(file, "# ours\nvm.swappiness = 1\nvm.max_map_count=65530\n").unwrap();
    fails_its_checks(&trusting);
    mends(&trusting, "bootstrap-check", "sysctl-set");
    assert_eq!(node.read("/proc/sys/vm/max_map_count").unwrap().trim(), "262144");
    assert_eq!(node.read(file).unwrap(), "# ours\nvm.swappiness = 1\nvm.max_map_count = 262144\n");
    node.check(&["rm", file]).unwrap();
}

#[test]
fn a_limit_of_the_unit_is_raised_and_the_engine_started() {
    let limits = "unit-limit: {units: [elasticsearch.service], limits: {nofile: 65535..1048576}}";
    let trusting = Trusting::new(Engine::Elasticsearch8, &format!("{{{limits}, {STARTS}}}"));
    let node = &trusting.node;
    let _max_map_count = SysctlGuard::set("vm.max_map_count", "262144").unwrap();
    node.engine.drop_in(node, "50-low", "[Service]\nLimitNOFILE=4096\n").unwrap();
    fails_its_checks(&trusting);
    mends(&trusting, "bootstrap-check", "unit-limit");
    let drop_ins = "/etc/systemd/system/elasticsearch.service.d";
    let written = node.read(&format!("{drop_ins}/60-dialtone.conf")).unwrap();
    assert!(written.ends_with("[Service]\nLimitNOFILE=65535\n"), "{written}");
    assert!(
        !node
            .run(&["test", "-e", "/run/systemd/system/elasticsearch.service.d/61-dialtone-trial.conf"])
            .unwrap()
            .success()
    );
    node.check(&["rm", "-r", drop_ins]).unwrap();
    node.check(&["systemctl", "daemon-reload"]).unwrap();
}

#[test]
fn a_firewall_is_opened_where_it_drops() {
    let trusting = Trusting::new(Engine::OpenSearch, "{firewall-allow: {ports: [9200], sources: [10.77.0.0/24]}}");
    let drops = "table inet f { chain input { type filter hook input priority 0; tcp dport 9200 drop; }; }";
    trusting.node.nft(drops).unwrap();
    mends(&trusting, "host-firewall", "firewall-allow");
    let rules = trusting.node.check(&["nft", "list", "table", "inet", "f"]).unwrap();
    assert!(
        rules.contains("ip saddr 10.77.0.0/24 tcp dport 9200 accept") && rules.contains("tcp dport 9200 drop"),
        "{rules}"
    );
}
