//! Steps and plans of whole scenes: what is known of a node, to what an operator can approve.

use common_evidence::collectors::actuator::Actuator;
use common_evidence::collectors::policy::NodePolicy;
use common_evidence::collectors::rules_files::RulesFiles;
use common_model::{Diagnosis, Symptom, Timestamp};
use common_plan::{
    Digest, FirewallAllow, FirewallRevoke, LimitValue, Opening, Plan, RulesFile, Step, SysctlFile, SysctlSet,
    UnitLimit, Verb,
};
use controller_correlate::testing::{AT, Node, STARTED, picture, probe};
use controller_correlate::{NodePicture, Picture};
use serde_json::json;

use crate::plan::{self, Means, Proposal, Terms};
use crate::with_remedies;

const POLICY: &str = "
epoch: 7
approvers:
- {name: alice, key: 'ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='}
allow:
  sysctl-set: {keys: {vm.max_map_count: 65530..1048576}}
  unit-limit: {units: [elasticsearch.service], limits: {nofile: 65535}}
  firewall-allow: {ports: [9200], sources: [10.0.0.0/8]}
  service: {units: [elasticsearch.service]}
";

pub(crate) fn carrying(node: Node, policy: &str) -> Node {
    let report = json!({
        "session": "0123456789abcdef0123456789abcdef", "booted_at": AT.plus_millis(-3_600_000), "highest_epoch": 7, "entries": [],
    });
    let file = |path: &str, text: String| json!([{"path": path, "text": text}]);
    node.json::<Actuator>("", &file("/var/lib/dialtone-actuator/report.json", report.to_string()))
        .json::<NodePolicy>("", &file("/etc/dialtone/policy.yaml", policy.to_owned()))
}

fn failing(node: Node, check: &str) -> Node {
    let at = AT.plus_millis(-480_000);
    node.starting(at.plus_millis(-5000))
        .stderr(at.plus_millis(-200), "ERROR: [1] bootstrap checks failed. You must address the points described in the following [1] lines before starting Elasticsearch.")
        .stderr(at.plus_millis(-100), &format!("bootstrap check failure [1] of [1]: {check}"))
        .failed(at, 78)
}

const MAP_COUNT: &str = "max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]";

fn low() -> Node {
    failing(Node::new().sysctl("vm.max_map_count", "65530"), MAP_COUNT)
}

fn judged(node: Node, symptom: Symptom) -> (Diagnosis, Picture) {
    let picture = picture(node, vec![probe(symptom)]);
    let diagnosis = controller_diagnose::diagnose(&picture);
    (with_remedies(diagnosis, &picture), picture)
}

fn proposals(node: Node, symptom: Symptom) -> Vec<Proposal> {
    let (diagnosis, picture) = judged(node, symptom);
    plan::proposals(&diagnosis, &picture, &Means::default(), AT)
}

/// The one plan.
fn planned(node: Node, symptom: Symptom) -> Plan {
    let mut proposals = proposals(carrying(node, POLICY), symptom);
    assert_eq!(proposals.len(), 1, "{proposals:#?}");
    let plan = proposals.remove(0).plan.unwrap().0;
    assert_eq!(plan.encode().unwrap().decode().unwrap(), plan);
    plan
}

#[test]
fn the_kernel_setting_is_raised_where_it_wins_and_the_engine_started() {
    let plan =
        planned(low().sysctl_files(&[("/etc/sysctl.d/90-es.conf", "vm.max_map_count = 65530\n")]), Symptom::Refused);
    let Step::SysctlSet(SysctlSet { from, to, persist, start, .. }) = &plan.step else { panic!("{plan:?}") };
    assert_eq!((*from, *to), (65530, 262_144));
    let file = SysctlFile { name: Some("90-es.conf".parse().unwrap()), from: Some("65530".to_owned()) };
    assert_eq!(*persist, Some(file));
    assert_eq!(start.as_ref().unwrap().as_str(), "elasticsearch.service");
    assert_eq!((plan.on_node().unwrap().epoch, plan.expires_at), (7, AT.plus_millis(900_000)));
    assert_eq!(plan.on_node().unwrap().expires_boot_ms, u64::try_from(3_600_000 + 900_000).unwrap());
    assert_eq!(plan.goal.cause.as_str(), "bootstrap-check");
    assert!(plan.why.evidence.iter().any(|line| line.contains("65530")), "{:?}", plan.why);
}

#[test]
fn a_setting_that_lasts_already_is_only_made_live() {
    let Step::SysctlSet(set) = planned(low(), Symptom::Refused).step else { panic!("no sysctl") };
    assert_eq!((set.persist, set.to), (None, 262_144));
    let packaged = low().sysctl_files(&[("/usr/lib/sysctl.d/elasticsearch.conf", "vm.max_map_count=1\n")]);
    let Step::SysctlSet(set) = planned(packaged, Symptom::Refused).step else { panic!("no sysctl") };
    assert_eq!(set.persist.unwrap().path(), "/etc/sysctl.d/zz-dialtone.conf");
}

#[test]
fn a_limit_becomes_a_drop_in() {
    let check = "max file descriptors [4096] for elasticsearch process is too low, increase to at least [65535]";
    let plan = planned(failing(Node::new(), check), Symptom::Refused);
    let Step::UnitLimit(limit) = plan.step else { panic!("no limit") };
    assert!(plan.undo.contains(&limit.path()), "{}", plan.undo);
    assert_eq!(limit.limits.into_values().collect::<Vec<_>>(), [LimitValue::At(65_535)]);
    assert!(limit.from.is_none() && limit.start.is_some());
}

#[test]
fn a_stopped_engine_is_started() {
    let plan = planned(Node::new().stopped(AT.plus_millis(-480_000)), Symptom::Refused);
    let Step::Service(service) = plan.step else { panic!("no service") };
    assert_eq!((service.verb, service.from.as_str()), (Verb::Start, "inactive"));
}

fn dropping() -> serde_json::Value {
    json!({"nftables": [
        {"table": {"family": "inet", "name": "filter", "handle": 1}},
        {"chain": {"family": "inet", "table": "filter", "name": "input", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
    ]})
}

#[test]
fn the_client_is_let_in_where_it_is_blocked() {
    let plan = planned(Node::new().nft(dropping()), Symptom::Timeout);
    let Step::FirewallAllow(FirewallAllow { source, port, openings, for_s }) = plan.step else { panic!("no opening") };
    assert_eq!((source.to_string().as_str(), port, for_s), ("10.0.0.0/24", 9200, None));
    assert!(matches!(&openings[..], [Opening::Nftables { before: None, reply: false, .. }]), "{openings:?}");
}

#[test]
fn without_an_actuator_there_is_nothing_to_say() {
    assert_eq!(proposals(low(), Symptom::Refused), []);
}

fn refused(node: Node) -> String {
    let mut proposals = proposals(node, Symptom::Refused);
    assert_eq!(proposals.len(), 1, "{proposals:#?}");
    proposals.remove(0).plan.unwrap_err()
}

#[test]
fn what_the_policy_does_not_allow_is_named() {
    assert!(refused(carrying(low(), "# as shipped\n")).contains("sysctl-set is not allowed"));
    assert!(refused(carrying(low(), "epoch: [")).contains("cannot be used"));
    let narrow = POLICY.replace("65530..1048576", "1..100");
    assert!(refused(carrying(low(), &narrow)).contains("vm.max_map_count 262144 is not within 1..100"));
    let two = POLICY.replace("{keys:", "{approvals: 2, keys:");
    assert!(refused(carrying(low(), &two)).contains("lists 1 approvers"));
    let put_back = POLICY.replace("epoch: 7", "epoch: 6");
    assert!(refused(carrying(low(), &put_back)).contains("older epoch"));
}

#[test]
fn a_node_whose_clock_is_off_gets_no_plan() {
    let (diagnosis, mut picture) = judged(carrying(low(), POLICY), Symptom::Refused);
    for (offset, planned) in [(30_000, true), (-30_000, true), (30_001, false), (-86_400_000, false)] {
        for node in picture.nodes.values_mut() {
            node.agent.clock_offset_ms = offset;
        }
        let proposals = plan::proposals(&diagnosis, &picture, &Means::default(), AT);
        assert_eq!(proposals[0].plan.is_ok(), planned, "{offset}");
    }
}

fn inverse(plan: &Plan, node: &NodePicture, now: Timestamp) -> Result<(Plan, u8), String> {
    plan::inverse(&plan.encode().unwrap().id(), plan, node, &Terms::default(), now)
}

#[test]
fn what_was_opened_is_closed_again_by_its_plan_and_nothing_else() {
    let plan = planned(Node::new().nft(dropping()), Symptom::Timeout);
    let node = carrying(Node::new(), POLICY).build();
    let (back, _) = inverse(&plan, &node, Timestamp(AT.0 + 1)).unwrap();
    let Step::FirewallRevoke(FirewallRevoke { plan: of, made }) = &back.step else { panic!("{back:?}") };
    assert_eq!((of, Step::FirewallAllow(made.clone())), (&plan.encode().unwrap().id(), plan.step));
    // It has worked when the node was seen, whether or not it can be reached from there.
    let blocked = judged(Node::new().nft(dropping()), Symptom::Timeout).0;
    assert_eq!(blocked.verdict.cause.as_str(), "host-firewall");
    assert!(plan::is_met(&back, &blocked));
    let narrow = carrying(Node::new(), &POLICY.replace("[10.0.0.0/8]", "[10.9.0.0/16]")).build();
    assert!(inverse(&Plan { step: Step::FirewallAllow(made.clone()), ..back.clone() }, &narrow, AT).is_err());
}

#[test]
fn an_opening_can_be_asked_for_a_limited_time_and_nothing_else_can() {
    let plan = planned(Node::new().nft(dropping()), Symptom::Timeout);
    let node = carrying(Node::new(), POLICY).build();
    let (limited, _) = plan::limited(&plan, 7200, &node, &Terms::default(), AT).unwrap();
    let Step::FirewallAllow(FirewallAllow { source, for_s, .. }) = &limited.step else { panic!("{limited:?}") };
    assert_eq!((source.to_string().as_str(), *for_s), ("10.0.0.0/24", Some(7200)));
    assert!(limited.risk.contains("Shut again by the node when the time is over"), "{}", limited.risk);
    assert!(plan::limited(&plan, 1, &node, &Terms::default(), AT).is_err());
    let start = planned(Node::new().stopped(STARTED), Symptom::Refused);
    assert!(
        plan::limited(&start, 7200, &node, &Terms::default(), AT)
            .unwrap_err()
            .contains("service is not done for a limited time")
    );
}

/// An opening that a file keeps says so, and one that none keeps, too.
#[test]
fn an_approver_is_told_whether_an_opening_lasts() {
    let script = "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority 0; policy drop;\n\t}\n}\n";
    let link = "/etc/systemd/system/sysinit.target.wants/nftables.service";
    let files = json!([{"path": "/etc/nftables.conf", "text": script}, {"path": link, "text": ""}]);
    let kept = planned(Node::new().nft(dropping()).json::<RulesFiles>("", &files), Symptom::Timeout);
    assert!(kept.risk.contains("keeps it in /etc/nftables.conf"), "{}", kept.risk);
    let Step::FirewallAllow(FirewallAllow { openings, .. }) = kept.step else { panic!("no opening") };
    assert!(matches!(&openings[..], [Opening::Nftables { file: Some(RulesFile::Nftables), .. }]), "{openings:?}");
    let lost = planned(Node::new().nft(dropping()), Symptom::Timeout);
    assert!(lost.risk.contains("Lost at the next boot or reload"), "{}", lost.risk);
}

#[test]
fn what_was_set_is_set_back_and_what_cannot_be_is_told() {
    let files = [("/etc/sysctl.d/90-es.conf", "vm.max_map_count = 65530\n")];
    let plan = planned(low().sysctl_files(&files), Symptom::Refused);
    let node = carrying(low(), POLICY).build();
    let (back, needed) = inverse(&plan, &node, Timestamp(AT.0 + 1)).unwrap();
    let Step::SysctlSet(set) = &back.step else { panic!("{back:?}") };
    assert_eq!((set.from, set.to, needed), (262_144, 65530, 1));
    assert_eq!(set.persist.as_ref().unwrap().from.as_deref(), Some("262144"));
    let start = planned(Node::new().stopped(STARTED), Symptom::Refused);
    let told = inverse(&start, &node, AT).unwrap_err();
    assert!(told.contains("no plan stops a unit") && told.contains("systemctl stop"), "{told}");
}

#[test]
fn limits_that_were_raised_are_taken_away_again_with_exactly_their_file() {
    let check = "max file descriptors [4096] for elasticsearch process is too low, increase to at least [65535]";
    let plan = planned(failing(Node::new(), check), Symptom::Refused);
    let Step::UnitLimit(raised) = plan.step.clone() else { panic!("{plan:?}") };
    let node = carrying(Node::new(), POLICY).build();
    let (back, _) = inverse(&plan, &node, Timestamp(AT.0 + 1)).unwrap();
    let Step::UnitLimit(gone) = back.step.clone() else { panic!("{back:?}") };
    let content = "# Written by Dialtone.\n[Service]\nLimitNOFILE=65535\n";
    assert_eq!(gone.from, Some(Digest::of(content.as_bytes())));
    assert!(gone.limits.is_empty() && gone.start.is_none() && gone.unit == raised.unit, "{gone:?}");
    assert_eq!(back.encode().unwrap().decode().unwrap(), back);
    assert!(plan::is_met(&back, &judged(Node::new(), Symptom::Ok).0));
    // What takes away is not taken back, nor what replaced something that is not known.
    assert!(inverse(&back, &node, AT).unwrap_err().contains("not taken back by a plan"));
    let replaced = Step::UnitLimit(UnitLimit { from: gone.from, ..raised });
    assert!(inverse(&Plan { step: replaced, ..plan }, &node, AT).unwrap_err().contains("by hand"));
    for wrong in [
        UnitLimit { from: None, ..gone_of(&back) },
        UnitLimit { start: Some("es.service".parse().unwrap()), ..gone_of(&back) },
    ] {
        assert!(Plan { step: Step::UnitLimit(wrong), ..back.clone() }.encode().is_err());
    }
}

fn gone_of(plan: &Plan) -> UnitLimit {
    match &plan.step {
        Step::UnitLimit(step) => step.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plan_that_starts_an_engine_has_worked_once_it_runs_and_not_while_it_starts_or_fails_another_way() {
    let down = || Node::new().stopped(AT.plus_millis(-480_000));
    let plan = planned(down(), Symptom::Refused);
    assert!(plan.step.starts().is_some());
    let met = |node: Node, symptom: Symptom| plan::is_met(&plan, &judged(node, symptom).0);
    assert!(met(Node::new(), Symptom::Ok));
    assert!(!met(down(), Symptom::Refused));
    let starting = controller_diagnose::causes::FIRES.iter().find(|(cause, _)| cause.id == "still-starting");
    assert!(!plan::is_met(&plan, &controller_diagnose::diagnose(&starting.unwrap().1())));
    assert!(!met(low(), Symptom::Refused));
    let loopback = Node::new().yml("cluster.name: es\n", STARTED.plus_millis(-1000)).listening(&["[::1]:9200"]);
    assert!(met(loopback, Symptom::Refused));
}
