//! ④ A security group of the cloud keeps clients out: named, opened by an approved plan that the controller carries out itself, proven
//! by a connection that stands, or revoked. The cloud is emulated; its decisions are honoured by the lab's bridge.

use std::thread;
use std::time::Duration;

use serde_json::Value;
use system_tests::fleet::Fleet;
use system_tests::lab::cloud::{Cloud, Front};
use system_tests::lab::{Engine, Host, until};

const CREDENTIALS: &str = "/etc/dialtone/aws";
/// More than the window in which a rule has to be proven.
const PATIENCE: Duration = Duration::from_secs(120);

struct Scene {
    // Dropped in this order: the filter before the host whose port it is on.
    front: Front,
    cloud: Cloud,
    fleet: Fleet,
    node: Host,
}

impl Scene {
    fn new() -> Self {
        let node = Host::boot("cloud-es").unwrap();
        Engine::Elasticsearch.run_healthy(&node).unwrap();
        let fleet = Fleet::set_up("cloud-controller").unwrap();
        fleet.join(&node).unwrap();
        let cloud = Cloud::start().unwrap();
        let controller = &fleet.controller;
        controller
            .write(CREDENTIALS, "[default]\naws_access_key_id = AKIATEST\naws_secret_access_key = not-to-be-seen\n")
            .unwrap();
        controller.check(&["chown", "root:dialtone-controller", CREDENTIALS]).unwrap();
        controller.check(&["chmod", "0640", CREDENTIALS]).unwrap();
        let path = "/etc/dialtone/controller.yaml";
        let text = controller.read(path).unwrap();
        let text: String =
            text.lines().filter(|line| !line.starts_with("cloud:")).map(|line| format!("{line}\n")).collect();
        controller.write(path, text + &cloud.configuration(CREDENTIALS).unwrap()).unwrap();
        controller.check(&["systemctl", "restart", "dialtone-controller"]).unwrap();
        let front = cloud.put_in_front(&node).unwrap();
        fleet.dialtone(&["key"]).unwrap().ok().unwrap();
        Self { front, cloud, fleet, node }
    }

    fn endpoint(&self) -> String {
        format!("http://{}:9200", self.node.ip())
    }

    fn json(&self, arguments: &[&str]) -> Option<Value> {
        let output = self.fleet.dialtone(&[arguments, &["-o", "json"]].concat()).unwrap();
        serde_json::from_str(&output.stdout).ok()
    }

    /// Diagnoses until the cause is this one.
    fn seen(&self, cause: &str) -> Value {
        let mut last = Value::Null;
        let seen = until(cause, PATIENCE, || {
            last = self.json(&["diagnose", &self.endpoint()]).unwrap_or_default();
            Ok((last["verdict"]["cause"] == cause).then(|| last.clone()))
        });
        seen.unwrap_or_else(|error| panic!("{error}: {last:#}"))
    }

    /// The plan that lets the client in.
    fn plan(&self) -> String {
        let seen = self.seen("cloud-firewall");
        assert_eq!(seen["verdict"]["certainty"], "certain", "{seen:#}");
        assert_eq!(seen["symptom"], "timeout");
        assert_eq!(seen["verdict"]["detail"]["groups"][0]["id"], self.front.group.as_str(), "{seen:#}");
        let remedy = &seen["remedies"][0];
        assert_eq!(remedy["action"], "security-group-allow", "{:#}", seen["remedies"]);
        assert!(remedy["commands"][0].as_str().unwrap().contains("--cidr 10.77.0.0/24"), "{remedy:#}");
        remedy["plan_id"].as_str().unwrap_or_else(|| panic!("no plan: {remedy:#}")).to_owned()
    }

    fn stage(&self, plan: &str) -> Option<String> {
        let shown = self.json(&["plan", plan])?;
        shown["record"]["stage"].as_str().or(shown["stage"].as_str()).map(str::to_owned)
    }

    fn until_stage(&self, plan: &str, stage: &str) {
        let mut last = None;
        let reached = until(stage, PATIENCE, || {
            last = self.stage(plan);
            Ok((last.as_deref() == Some(stage)).then_some(()))
        });
        reached
            .unwrap_or_else(|error| panic!("{error}: {last:?} {:#}", self.json(&["plan", plan]).unwrap_or_default()));
    }

    fn rules(&self) -> Vec<(String, String, String)> {
        let rules = self.cloud.rules(&self.front.group).unwrap();
        rules.into_iter().map(|rule| (rule.cidr, rule.port, rule.description)).collect()
    }

    /// Approves, and kills the controller as soon as the rule is there, while packets are still dropped.
    fn approve_and_kill(&self, plan: &str) {
        self.front.hold(true);
        let before = self.rules();
        thread::scope(|scope| {
            // The controller is killed under it, so how it ends says nothing.
            let approving = scope.spawn(|| self.fleet.dialtone(&["approve", plan, "--yes"]).unwrap());
            let made = until("the rule", PATIENCE, || Ok(self.rules().into_iter().find(|rule| !before.contains(rule))));
            self.fleet.controller.check(&["systemctl", "kill", "--signal=KILL", "dialtone-controller"]).unwrap();
            let said = approving.join().unwrap();
            let made = made.unwrap_or_else(|error| panic!("{error}: {said:?}"));
            assert_eq!(made, ("10.77.0.0/24".to_owned(), "9200".to_owned(), format!("dialtone plan {plan}")));
        });
    }

    fn events(&self, plan: &str) -> Vec<String> {
        let log = self.fleet.dialtone(&["audit", "export"]).unwrap().stdout;
        let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let own = entries.filter(|entry| entry["plan"] == plan);
        own.filter_map(|entry| entry["event"].as_str().map(str::to_owned)).collect()
    }
}

#[test]
fn a_group_is_opened_for_the_client_and_what_is_not_proven_is_revoked() {
    let scene = Scene::new();

    // Killed after the rule was made and before it was proven: the next life of the controller finds it, and proves it.
    let plan = scene.plan();
    scene.approve_and_kill(&plan);
    scene.front.hold(false);
    scene.until_stage(&plan, "verified");
    scene.seen("healthy");
    assert_eq!(scene.rules().len(), 1);
    let events = scene.events(&plan);
    assert_eq!(events.iter().filter(|event| *event == "plan-acts").count(), 1, "{events:?}");

    // Taken back by a plan of its own: exactly that rule.
    let others =
        [("GroupId", scene.front.group.as_str()), ("IpProtocol", "tcp"), ("FromPort", "9200"), ("ToPort", "9200")];
    let others = [&others[..], &[("CidrIp", "192.0.2.7/32")]].concat();
    scene.cloud.call("AuthorizeSecurityGroupIngress", &others).unwrap();
    let back = scene.json(&["revert", &plan]).unwrap();
    let back = back["record"]["id"].as_str().or(back["id"].as_str()).unwrap_or_else(|| panic!("{back:#}")).to_owned();
    let approved = scene.fleet.dialtone(&["approve", &back, "--yes"]).unwrap();
    assert_eq!((approved.code, scene.stage(&back).as_deref()), (Some(0), Some("verified")), "{approved:?}");
    assert_eq!(scene.rules().len(), 1);
    assert_eq!(scene.rules()[0].0, "192.0.2.7/32");

    // Never proven, since packets are dropped all the same: revoked by the life after the one that made it.
    let plan = scene.plan();
    scene.approve_and_kill(&plan);
    scene.until_stage(&plan, "rolled-back");
    assert_eq!(scene.rules().len(), 1);
    scene.front.hold(false);
    scene.seen("cloud-firewall");

    let log = scene.fleet.controller.check(&["journalctl", "-u", "dialtone-controller"]).unwrap();
    assert!(!log.contains("not-to-be-seen"));
    assert_eq!(scene.fleet.dialtone(&["audit", "verify"]).unwrap().code, Some(0));
}
