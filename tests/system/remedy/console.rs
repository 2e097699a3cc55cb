//! For each cause that a node can mend itself: broken on a real engine, diagnosed, approved in the console by keys, and seen to be
//! reachable.

use std::time::{Duration, Instant};

use serde_json::Value;
use system_tests::lab::{Engine, SysctlGuard};
use system_tests::product::Laptop;
use system_tests::terminal::{Screen, Terminal, marked};

use super::{STARTS, Trusting, dialtone, json, stage};
use crate::fleet::{Fleet, fleet};

/// For an engine to start, and to be seen from outside, on a busy machine.
const PROVEN: Duration = Duration::from_secs(120);

/// The line that asks for an answer and says how much of the plan or rollout is not read yet.
fn question(screen: &Screen) -> Option<String> {
    screen.contents().lines().find(|line| line.contains("with your key?")).map(str::to_owned)
}

/// An operator's console.
pub(crate) struct Console(Terminal);

impl Console {
    pub(crate) fn open(laptop: &Laptop) -> Self {
        let console = Self(laptop.in_terminal(&["console"]).unwrap());
        console.0.wait_text("INCIDENTS").unwrap();
        console
    }

    /// Marks the open incident of an endpoint in the list, wherever newer ones have moved it, and opens it.
    pub(crate) fn read_incident(&self, endpoint: &str) {
        self.mark(|line| line.contains(endpoint) && !line.contains("ended"));
        self.0.press("\r").unwrap();
        self.0.wait_text("l look again").unwrap();
    }

    /// Goes down the list in use to a line.
    fn mark(&self, wanted: impl Fn(&str) -> bool) {
        let mut last = None;
        loop {
            let another = |screen: &Screen| marked(screen).filter(|line| Some(line) != last.as_ref());
            let line = self.0.wait("another line to be marked", another).unwrap();
            if wanted(&line) {
                return;
            }
            self.0.press("j").unwrap();
            last = Some(line);
        }
    }

    /// Opens what waits for the open incident, a plan or a rollout.
    pub(crate) fn read_plan(&self, id: &str) {
        self.0.wait_text("p its ").unwrap();
        self.0.press("p").unwrap();
        self.0.wait_text(&format!("[{id}]")).unwrap();
    }

    /// Opens a rollout from the list.
    pub(crate) fn pick_rollout(&self, rollout: &str) {
        self.0.press("\t").unwrap();
        let begins = rollout.get(..8).unwrap();
        self.mark(|line| line.contains(begins));
        self.0.press("\r").unwrap();
        self.0.wait_text(&format!("[{rollout}]")).unwrap();
    }

    /// Waits until the open page says this, reading on where it does not fit the screen.
    pub(crate) fn see(&self, words: &str) {
        let reading = |screen: &Screen| {
            let shown = screen.contents().contains(words);
            if !shown {
                self.0.press(" ").unwrap();
            }
            shown.then_some(())
        };
        self.0.wait(words, reading).unwrap();
    }

    /// Begins to say no for everybody; the last key is left to be pressed.
    pub(crate) fn begin_no(&self, because: &str) {
        self.0.press("x").unwrap();
        self.0.wait_text("Reject it for everybody because:").unwrap();
        self.0.press(because).unwrap();
        self.0.wait_text(&format!("{because}_")).unwrap();
    }

    pub(crate) fn press(&self, keys: &str) {
        self.0.press(keys).unwrap();
    }

    /// Waits until the screen is as wanted.
    pub(crate) fn wait<T>(&self, what: &str, wanted: impl FnMut(&Screen) -> Option<T>) -> T {
        self.0.wait_for(what, PROVEN, wanted).unwrap()
    }

    /// Ends the open incident with words.
    pub(crate) fn end_incident(&self, because: &str) {
        self.0.press("e").unwrap();
        self.0.wait_text("End it because:").unwrap();
        self.0.press(because).unwrap();
        self.0.wait_text(because).unwrap();
        self.0.press("\r").unwrap();
        self.see_it_ended();
    }

    /// Waits until the open incident's headline says that it ended.
    pub(crate) fn see_it_ended(&self) {
        let ended = |screen: &Screen| {
            let text = screen.contents();
            (text.contains("✓ incident") && text.contains(" ended ")).then_some(())
        };
        self.0.wait_for("the incident's end", PROVEN, ended).unwrap();
    }

    /// Reads what is open to its end and says yes.
    pub(crate) fn say_yes(&self) {
        self.read_on();
        self.0.press("y").unwrap();
    }

    /// Reads what is open to its end.
    pub(crate) fn read_on(&self) {
        let mut asked = self.0.wait("the question", question).unwrap();
        while asked.contains(" more line") {
            self.0.press(" ").unwrap();
            let next = |screen: &Screen| question(screen).filter(|line| *line != asked);
            asked = self.0.wait("the next page", next).unwrap();
        }
    }

    /// Follows what is open until its headline says this.
    pub(crate) fn follow(&self, outcome: &str) {
        let headline = format!("{outcome} — ");
        self.0.wait_for(outcome, PROVEN, |screen| screen.contents().contains(&headline).then_some(())).unwrap();
    }

    /// Goes back from what is open to what is below it.
    pub(crate) fn back(&self) {
        self.0.press("q").unwrap();
    }

    /// Leaves the open incident, and the console.
    pub(crate) fn quit(self) {
        self.0.press("qq").unwrap();
        assert!(self.0.ended().unwrap());
    }
}

/// The newest incident of an endpoint.
pub(crate) fn last_incident(fleet: &Fleet, endpoint: &str) -> Value {
    let incidents: Value = json(&fleet.dialtone(&["incidents", "--all", "-o", "json"]).unwrap());
    let of_it = incidents.as_array().unwrap().iter().filter(|incident| incident["endpoint"] == endpoint);
    let newest = of_it.max_by_key(|incident| incident["id"].as_str().and_then(|id| id.parse::<u64>().ok()));
    newest.cloned().unwrap_or_else(|| panic!("none for {endpoint}: {incidents:#}"))
}

/// Approves in the console what is proposed for a broken node, and sees the engine answer; prints how long that took.
#[allow(clippy::print_stdout, reason = "a figure for people")]
fn mends(trusting: &Trusting, cause: &str, action: &str) -> String {
    let (endpoint, plan) = (trusting.node.endpoint(), trusting.plan(cause, action));
    let console = Console::open(fleet().laptop());
    console.read_incident(&endpoint);
    console.read_plan(&plan);
    console.say_yes();
    let begun = Instant::now();
    console.follow("verified");
    println!("{action}: {:.1} s from approval to proven", begun.elapsed().as_secs_f64());
    console.back();
    console.see_it_ended();
    console.quit();
    assert_eq!(stage(&plan), "verified");
    let incident = last_incident(fleet(), &endpoint);
    assert_eq!(incident["closed"]["who"], "controller", "{incident:#}");
    let of_it = |done: &&Value| done["id"] == plan.as_str();
    let done = incident["plans"].as_array().unwrap().iter().find(of_it).unwrap_or_else(|| panic!("{incident:#}"));
    assert_eq!((&done["stage"], &done["approved_by"][0]["operator"]), (&"verified".into(), &"alice".into()));
    trusting.node.wait_answer(9200);
    fleet().diagnose_until(&trusting.node.endpoint(), "healthy");
    plan
}

#[test]
fn a_stopped_engine_is_started() {
    let trusting = Trusting::new(Engine::OpenSearch, &format!("{{{STARTS}}}"));
    trusting.node.check(&["systemctl", "stop", "opensearch"]).unwrap();
    assert_eq!(trusting.at_boot(), "disabled");
    mends(&trusting, "not-running", "service");
    assert_eq!(trusting.at_boot(), "enabled");
}

/// Enforces its bootstrap checks, and fails them.
pub(super) fn fails_its_checks(trusting: &Trusting) {
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
    let plan = mends(&trusting, "bootstrap-check", "unit-limit");
    let drop_ins = "/etc/systemd/system/elasticsearch.service.d";
    let written = node.read(&format!("{drop_ins}/60-dialtone.conf")).unwrap();
    assert!(written.ends_with("[Service]\nLimitNOFILE=65535\n"), "{written}");
    assert!(
        !node
            .run(&["test", "-e", "/run/systemd/system/elasticsearch.service.d/61-dialtone-trial.conf"])
            .unwrap()
            .success()
    );

    // Taken back by a plan of its own, under which the engine runs on.
    let shown = |property: &str| {
        node.check(&["systemctl", "show", "--property", property, "--value", "elasticsearch"]).unwrap()
    };
    let (raised, process) = (shown("LimitNOFILE"), shown("MainPID"));
    let back = json(&dialtone(&["revert", &plan, "-o", "json"]));
    let back = back["record"]["id"].as_str().or(back["id"].as_str()).unwrap_or_else(|| panic!("{back:#}")).to_owned();
    let approved = dialtone(&["approve", &back, "--yes"]);
    assert_eq!((approved.code, stage(&back).as_str()), (Some(0), "verified"), "{approved:?}");
    assert_eq!((raised.trim(), shown("LimitNOFILE").trim(), shown("MainPID")), ("65535", "4096", process));
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
