//! What a node must and must not carry out. Each check is shown to matter on its own.

use common_model::{CauseId, NodeName, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::step::{Step, Sysctl, SysctlSet};
use crate::{ApprovalKey, CarriedOutBy, ConfigInstall, Digest, Goal, OnNode, SCHEMA, Why};

/// Keys made once; a PKCS#8 document of Ed25519 is the 32 bytes of the seed after a fixed head (RFC 8410).
fn key(seed: u8) -> ApprovalKey {
    let head = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let document = [head.as_slice(), [seed; 32].as_slice()].concat();
    ring::signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(&document).map(ApprovalKey::of).unwrap()
}

struct World {
    name: NodeName,
    session: SessionId,
    policy: Policy,
}

impl World {
    fn new() -> Self {
        let text = format!(
            "epoch: 7\napprovers:\n- {{name: alice, key: '{}'}}\n- {{name: alice, key: '{}'}}\n- {{name: bob, key: '{}'}}\n\
             allow:\n  sysctl-set:\n    keys: {{vm.max_map_count: 262144..1048576}}\n",
            key(1).public().unwrap(),
            key(2).public().unwrap(),
            key(3).public().unwrap()
        );
        Self {
            name: "es-1".parse().unwrap(),
            session: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            policy: Policy::parse(&text).unwrap(),
        }
    }

    fn node(&self) -> Node<'_> {
        Node {
            name: &self.name,
            session: &self.session,
            highest_epoch: 7,
            policy: &self.policy,
            now: Timestamp(1_000_000),
            boot_ms: 500_000,
            in_ledger: false,
            last_hour: 0,
        }
    }

    fn plan(&self) -> Plan {
        let cause: CauseId = "bootstrap-check".parse().unwrap();
        Plan {
            schema: SCHEMA.to_owned(),
            node: self.name.clone(),
            by: CarriedOutBy::Node(OnNode {
                session: self.session.clone(),
                epoch: 7,
                expires_boot_ms: 1_000_000,
                confirm_within_s: 120,
            }),
            made_at: Timestamp(900_000),
            expires_at: Timestamp(1_500_000),
            step: Step::SysctlSet(SysctlSet {
                key: Sysctl::MaxMapCount,
                from: 65530,
                to: 262_144,
                persist: None,
                start: None,
            }),
            why: Why { sentence: "too low".to_owned(), evidence: Vec::new() },
            goal: Goal { endpoint: "http://es-1:9200".to_owned(), cause },
            risk: String::new(),
            undo: String::new(),
        }
    }
}

fn ask(world: &World, plan: &Plan, keys: &[u8], change: impl FnOnce(&mut Node<'_>)) -> Result<Authorized, Refusal> {
    let bytes = plan.encode().unwrap();
    let approvals: Vec<Approval> = keys.iter().map(|seed| key(*seed).approve(&bytes).unwrap()).collect();
    let mut node = world.node();
    change(&mut node);
    authorize(&bytes, &approvals, &node)
}

fn code(result: Result<Authorized, Refusal>) -> &'static str {
    result.map_or_else(|refusal| refusal.code(), |_| "authorized")
}

#[test]
fn a_plan_within_the_policy_and_signed_by_who_it_trusts_is_carried_out() {
    let world = World::new();
    let authorized = ask(&world, &world.plan(), &[1], |_| {}).unwrap();
    assert_eq!((authorized.plan, authorized.approvers), (world.plan(), vec!["alice".to_owned()]));
}

#[test]
fn each_check_refuses_by_itself() {
    let world = World::new();
    let plan = world.plan();
    let with = |change: fn(&mut Plan)| {
        let mut plan = world.plan();
        change(&mut plan);
        code(ask(&world, &plan, &[1], |_| {}))
    };
    assert_eq!(code(ask(&world, &plan, &[], |_| {})), "unsigned");
    assert_eq!(code(ask(&world, &plan, &[9], |_| {})), "unsigned");
    assert_eq!(with(|plan| plan.node = "es-2".parse().unwrap()), "other-node");
    // Its step is one of nodes, so that it is no plan at all.
    let mut by_controller = world.plan();
    by_controller.by = CarriedOutBy::Controller {};
    assert!(by_controller.encode().is_err());
    let bytes = PlanBytes::new(serde_json::to_vec(&by_controller).unwrap()).unwrap();
    let approval = key(1).approve(&bytes).unwrap();
    assert_eq!(code(authorize(&bytes, &[approval], &world.node())), "invalid");
    assert_eq!(with(|plan| on_node(plan).epoch = 6), "epoch");
    assert_eq!(with(|plan| on_node(plan).epoch = 8), "epoch");
    assert_eq!(with(|plan| on_node(plan).session = "f".repeat(32).parse().unwrap()), "other-boot");
    assert_eq!(with(|plan| plan.expires_at = Timestamp(999_999)), "expired");
    assert_eq!(with(|plan| on_node(plan).expires_boot_ms = 499_999), "expired");
    assert_eq!(with(|plan| plan.expires_at = plan.made_at.plus_millis(4 * 3_600_000 + 1_000)), "policy");
    assert_eq!(code(ask(&world, &plan, &[1], |node| node.in_ledger = true)), "repeated");
    assert_eq!(code(ask(&world, &plan, &[1], |node| node.last_hour = 3)), "rate");
    assert_eq!(with(|plan| plan.step = set(Sysctl::MaxMapCount, 262_143)), "policy");
    assert_eq!(with(|plan| plan.step = set(Sysctl::Somaxconn, 262_144)), "policy");
}

fn on_node(plan: &mut Plan) -> &mut OnNode {
    match &mut plan.by {
        CarriedOutBy::Node(on_node) => on_node,
        CarriedOutBy::Controller {} => panic!("it is for a node"),
    }
}

fn set(key: Sysctl, to: u64) -> Step {
    Step::SysctlSet(SysctlSet { key, from: 1, to, persist: None, start: None })
}

#[test]
fn a_policy_file_that_was_put_back_allows_nothing() {
    let world = World::new();
    assert_eq!(code(ask(&world, &world.plan(), &[1], |node| node.highest_epoch = 8)), "epoch");
    let mut newest = world.plan();
    on_node(&mut newest).epoch = 8;
    assert_eq!(code(ask(&world, &newest, &[1], |node| node.highest_epoch = 8)), "epoch");
}

#[test]
fn what_starts_a_unit_needs_the_right_to() {
    let mut world = World::new();
    let mut plan = world.plan();
    if let Step::SysctlSet(step) = &mut plan.step {
        step.start = Some("elasticsearch.service".parse().unwrap());
    }
    assert_eq!(code(ask(&world, &plan, &[1], |_| {})), "policy");
    let service = "{approvals: 2, units: [elasticsearch.service]}";
    world.policy.allow.service = serde_yaml::from_str(service).unwrap();
    assert_eq!(code(ask(&world, &plan, &[1], |_| {})), "too-few");
    assert_eq!(code(ask(&world, &plan, &[1, 3], |_| {})), "authorized");
}

#[test]
fn one_person_counts_once() {
    let mut world = World::new();
    if let Some(allowed) = &mut world.policy.allow.sysctl_set {
        allowed.approvals = 2;
    }
    assert_eq!(code(ask(&world, &world.plan(), &[1, 1, 2], |_| {})), "too-few");
    assert_eq!(code(ask(&world, &world.plan(), &[1, 3], |_| {})), "authorized");
}

#[test]
fn a_signature_of_another_plan_is_none() {
    let world = World::new();
    let other = Plan { risk: "other".to_owned(), ..world.plan() }.encode().unwrap();
    let approval = key(1).approve(&other).unwrap();
    let refused = authorize(&world.plan().encode().unwrap(), &[approval], &world.node());
    assert_eq!(refused, Err(Refusal::Unsigned));
}

#[test]
fn no_flipped_bit_is_carried_out() {
    let world = World::new();
    let bytes = world.plan().encode().unwrap();
    let approval = key(1).approve(&bytes).unwrap();
    for at in 0..bytes.as_slice().len() * 8 {
        let mut flipped = bytes.as_slice().to_vec();
        flipped[at / 8] ^= 1 << (at % 8);
        let flipped = PlanBytes::new(flipped).unwrap();
        assert_eq!(authorize(&flipped, std::slice::from_ref(&approval), &world.node()), Err(Refusal::Unsigned));
    }
}

#[test]
fn signed_nonsense_is_refused_as_such() {
    let world = World::new();
    let plan = String::from_utf8(world.plan().encode().unwrap().as_slice().to_vec()).unwrap();
    let schema = format!("{{\"schema\":\"{SCHEMA}\",");
    let variants = [
        String::new(),
        "{}".to_owned(),
        format!("{plan} {plan}"),
        plan.replacen('{', "{\"command\":\"reboot\",", 1),
        plan.replacen(&schema, &format!("{schema}\"schema\":\"{SCHEMA}\","), 1),
        plan.replace("sysctl-set", "shell"),
        plan.replace("vm.max_map_count", "kernel.core_pattern"),
        plan.replace("\"confirm_within_s\":120", "\"confirm_within_s\":4000000"),
    ];
    for text in variants {
        let bytes = PlanBytes::new(text.clone().into_bytes()).unwrap();
        let approval = key(1).approve(&bytes).unwrap();
        assert_eq!(code(authorize(&bytes, &[approval], &world.node())), "invalid", "{text}");
    }
}

#[test]
fn nobody_opens_a_port_to_everyone() {
    let world = World::new();
    let open = r#"{"action":"firewall-allow","source":"0.0.0.0/0","port":9200,"openings":[{"owner":"ufw","before":null}],"for_s":null}"#;
    let plan = Plan { step: serde_json::from_str(open).unwrap(), ..world.plan() };
    assert!(matches!(plan.encode(), Err(InvalidPlan::Rule(_))));
    // Nor a network wider than any the policy names, nor one beside it.
    let policy =
        Policy::parse("allow: {firewall-allow: {ports: [9200..9400], sources: [10.0.0.0/8, '0.0.0.0/0']}}").unwrap();
    let permits = |source: &str, port: &str| {
        policy.permits(&serde_json::from_str(&open.replace("0.0.0.0/0", source).replace("9200", port)).unwrap())
    };
    assert_eq!(permits("10.1.2.0/24", "9200"), Ok(1));
    for (source, port) in [("0.0.0.0/0", "9200"), ("10.0.0.0/7", "9200"), ("11.0.0.1", "9200"), ("10.1.2.3", "22")] {
        assert!(permits(source, port).is_err(), "{source} {port}");
    }
}

#[test]
fn as_shipped_and_with_any_mistake_in_it_a_policy_allows_nothing() {
    let step = World::new().plan().step;
    assert!(Policy::parse("# nothing yet\n").unwrap().permits(&step).is_err());
    for wrong in
        ["allow: {sysctl-sets: {}}", "approvers: alice", "allow: {sysctl-set: {approvals: 0, keys: {}}}", "\u{0}"]
    {
        assert!(Policy::parse(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic_and_are_never_carried_out(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let bytes = PlanBytes::new(bytes).unwrap();
        let approval = key(1).approve(&bytes).unwrap();
        prop_assert!(authorize(&bytes, &[approval], &World::new().node()).is_err());
    }
}

#[test]
fn only_files_keys_and_units_that_are_listed_are_edited_and_some_keys_never() {
    let install = |key: &str, file: &str, unit: &str| {
        let edit = format!(r#"{{"edit":"set","key":"{key}","from":null,"to":"x"}}"#);
        Step::ConfigInstall(ConfigInstall {
            file: file.parse().unwrap(),
            edits: vec![serde_json::from_str(&edit).unwrap()],
            from: Digest::of(b"old"),
            to: Digest::of(b"new"),
            unit: unit.parse().unwrap(),
            state: "active".parse().unwrap(),
        })
    };
    let (yml, other) = ("/etc/elasticsearch/elasticsearch.yml", "/etc/opensearch/opensearch.yml");
    let mut world = World::new();
    let ask = |world: &World, step: Step| code(ask(world, &Plan { step, ..world.plan() }, &[1], |_| {}));
    assert_eq!(ask(&world, install("http.host", yml, "elasticsearch.service")), "policy");
    let allowed =
        "{files: [/etc/elasticsearch/elasticsearch.yml], keys: [http.host, path.data], units: [elasticsearch.service]}";
    world.policy.allow.config_install = serde_yaml::from_str(allowed).unwrap();
    assert_eq!(ask(&world, install("http.host", yml, "elasticsearch.service")), "authorized");
    assert_eq!(ask(&world, install("network.host", yml, "elasticsearch.service")), "policy");
    assert_eq!(ask(&world, install("http.host", other, "elasticsearch.service")), "policy");
    assert_eq!(ask(&world, install("http.host", yml, "ssh.service")), "policy");
    // No plan at all, whatever the policy says.
    let never = Plan { step: install("path.data", yml, "elasticsearch.service"), ..world.plan() };
    assert!(never.encode().is_err());
}
