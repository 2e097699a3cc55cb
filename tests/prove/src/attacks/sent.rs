//! Plans sent down the agents' streams. The ones that an operator's signature holds for show that a signature is not enough.

use common_plan::{
    CarriedOutBy, FirewallAllow, Limit, LimitValue, OnNode, Opening, Plan, PlanBytes, Step, SysctlFile, UnitLimit,
};
use tests_node::until;

use super::{Attack, Node, Signed, VALUES, World, policy};
use crate::run::Trial;
use crate::scripted::{Answer, act};

/// Answers to agents play no part in these.
const fn attack(name: &'static str, run: fn(&World, &Node, &Trial<'_>)) -> Attack {
    Attack { name, answer: Answer::Keep, run }
}

pub(super) const REPLAYED: Attack =
    attack("a plan that was carried out, again", |world, node, _| world.refused(node, &node.kept, "repeated"));
pub(super) const REPLAYED_AFTER_UNDOING: Attack =
    attack("a plan that was undone, again", |world, node, _| world.refused(node, &node.undone, "repeated"));
pub(super) const RETARGETED: Attack = attack("a plan for another node", |world, node, _| {
    let mut plan = node.plan("for another");
    plan.node = "es-999".parse().unwrap();
    world.refused(node, &world.signed(&plan), "other-node");
});
pub(super) const MASS_SENT: Attack = attack("the plans of all nodes to every node", |world, node, _| {
    for other in &world.nodes {
        let code = if other.place == node.place { "repeated" } else { "other-node" };
        world.refused(node, &other.kept, code);
        world.refused(node, &other.undone, code);
    }
});
pub(super) const OLD_EPOCH: Attack = attack("a plan from before the epoch was raised", |world, node, _| {
    world.refused(node, &world.signed(&bound(node, "old epoch", |on_node| on_node.epoch = 6)), "epoch");
});
pub(super) const OLD_POLICY: Attack =
    attack("an old policy file put back, with a plan of its epoch", |world, node, _| {
        let file = "etc/dialtone/policy.yaml";
        node.host.write(file, &policy(6, &world.operator, &world.second));
        world.refused(node, &world.signed(&bound(node, "old policy", |on_node| on_node.epoch = 6)), "epoch");
        node.host.write(file, &policy(7, &world.operator, &world.second));
    });
pub(super) const OWN_KEY: Attack = attack("a plan signed by a key of the controller's own", |world, node, _| {
    let mut signed = world.signed(&node.plan("own key"));
    signed.approvals = vec![world.own.approve(&signed.bytes).unwrap()];
    world.refused(node, &signed, "unsigned");
});
pub(super) const FALSE_OPERATOR: Attack =
    attack("an operator's name and key over another's signature", |world, node, _| {
        let mut signed = world.signed(&node.plan("false operator"));
        signed.approvals[0].signature = world.own.approve(&signed.bytes).unwrap().signature;
        world.refused(node, &signed, "unsigned");
    });
pub(super) const SIGNED_TWICE: Attack =
    attack("one signature counted twice where two persons are needed", |world, node, _| {
        let mut signed = world.signed(&limit(node, "twice"));
        signed.approvals = vec![signed.approvals[0].clone(); 2];
        world.refused(node, &signed, "too-few");
    });
pub(super) const TWO_KEYS: Attack = attack("two keys of one person where two persons are needed", |world, node, _| {
    let mut signed = world.signed(&limit(node, "two keys"));
    signed.approvals.push(world.second.approve(&signed.bytes).unwrap());
    world.refused(node, &signed, "too-few");
});
pub(super) const CHANGED: Attack = attack("a plan changed after it was signed", |world, node, _| {
    let signed = world.signed(&node.plan("changed"));
    let changed = text(&signed).replacen(&VALUES[2].to_string(), "300001", 1);
    world.refused(node, &Signed { bytes: PlanBytes::new(changed.into_bytes()).unwrap(), ..signed }, "unsigned");
});
pub(super) const REORDERED: Attack = attack("a signed plan with its fields in another order", |world, node, _| {
    let signed = world.signed(&node.plan("reordered"));
    let bytes = PlanBytes::new(reordered(&text(&signed)).into_bytes()).unwrap();
    world.refused(node, &Signed { bytes, ..signed }, "unsigned");
});
pub(super) const REORDERED_AND_SIGNED: Attack =
    attack("a plan signed with its fields in another order", |world, node, _| {
        signed_but_invalid(world, node, "reordered and signed", reordered);
    });
pub(super) const FIELD_TWICE: Attack = attack("a signed plan with a field twice", |world, node, _| {
    signed_but_invalid(world, node, "field twice", |text| text.replacen('{', "{\"node\":\"es-1\",", 1));
});
pub(super) const FIELD_UNKNOWN: Attack = attack("a signed plan with a field nobody knows", |world, node, _| {
    signed_but_invalid(world, node, "unknown field", |text| text.replacen('{', "{\"command\":\"reboot\",", 1));
});
pub(super) const TRAILING: Attack = attack("bytes after a signed plan", |world, node, _| {
    let signed = world.signed(&node.plan("trailing"));
    let bytes = PlanBytes::new(format!("{} ", text(&signed)).into_bytes()).unwrap();
    world.refused(node, &Signed { bytes, ..signed }, "unsigned");
});
pub(super) const TRAILING_AND_SIGNED: Attack = attack("a plan signed with bytes after it", |world, node, _| {
    signed_but_invalid(world, node, "trailing and signed", |text| format!("{text}{text}"));
});
pub(super) const EXPIRED: Attack = attack("a signed plan that has expired", |world, node, _| {
    let mut plan = node.plan("expired");
    plan.expires_at = agent_act::clock::now().plus_millis(-1000);
    world.refused(node, &world.signed(&plan), "expired");
});
pub(super) const CLOCK_SET_BACK: Attack =
    attack("a signed plan that has expired, with the wall clock set back by a day", |world, node, _| {
        let mut plan = bound(node, "set back", |on_node| on_node.expires_boot_ms = agent_act::clock::boot_ms() - 1000);
        plan.expires_at = agent_act::clock::now().plus_millis(86_400_000 - 1000);
        world.refused(node, &world.signed(&plan), "expired");
    });
pub(super) const OTHER_BOOT: Attack = attack("a signed plan of another boot", |world, node, _| {
    let plan = bound(node, "other boot", |on_node| on_node.session = "f".repeat(32).parse().unwrap());
    world.refused(node, &world.signed(&plan), "other-boot");
});
pub(super) const UNKNOWN_ACTION: Attack = attack("a signed plan with an action nobody knows", |world, node, _| {
    signed_but_invalid(world, node, "unknown action", |text| text.replacen("\"sysctl-set\"", "\"shell\"", 1));
});
pub(super) const BEYOND_BOUNDS: Attack = attack("a signed plan beyond the policy's bounds", |world, node, _| {
    let mut plan = node.plan("beyond bounds");
    plan.step = super::setting(VALUES[1], 1_048_577);
    world.refused(node, &world.signed(&plan), "policy");
});
pub(super) const EVERYONE: Attack = attack("a signed plan that opens a port to everyone", |world, node, _| {
    let mut plan = node.plan("everyone");
    let source = "10.0.0.0/8".parse().unwrap();
    let opening = Opening::Ufw { before: None };
    plan.step = Step::FirewallAllow(FirewallAllow { source, port: 9200, openings: vec![opening], for_s: None });
    let text = text(&world.signed(&plan)).replacen("10.0.0.0/8", "0.0.0.0/0", 1);
    world.refused(node, &world.signed_text(text.into_bytes()), "invalid");
});
pub(super) const PATHS: Attack =
    attack("signed plans with paths, options and wildcards for names", |world, node, _| {
        let mut plan = node.plan("paths");
        if let Step::SysctlSet(step) = &mut plan.step {
            step.persist = Some(SysctlFile { name: Some("99-name.conf".parse().unwrap()), from: None });
            step.start = Some("name.service".parse().unwrap());
        }
        let text = text(&world.signed(&plan));
        for (name, trick) in [
            ("99-name.conf", "../dialtone/policy.yaml"),
            ("99-name.conf", "/etc/passwd"),
            ("99-name.conf", "-w"),
            ("name.service", "../../tmp/x.service"),
            ("name.service", "--root=/tmp.service"),
            ("name.service", "*.service"),
        ] {
            world.refused(node, &world.signed_text(text.replacen(name, trick, 1).into_bytes()), "invalid");
        }
    });
pub(super) const POLICY_PUSHED: Attack = attack("a policy pushed down the stream", |world, node, _| {
    let bytes = PlanBytes::new(policy(8, &world.own, &world.own).into_bytes()).unwrap();
    let approvals = vec![world.own.approve(&bytes).unwrap()];
    world.refused(node, &Signed { bytes, approvals }, "unsigned");
});
pub(super) const OVERSIZE: Attack = attack("a plan larger than any may be", |world, node, _| {
    let told = "cannot hand over a plan";
    let before = node.agent_log().matches(told).count();
    world.scripted().send(&node.name, act(&vec![b'x'; common_plan::MAX_PLAN_BYTES + 1], &[]));
    until("the agent refuses it", || node.agent_log().matches(told).count() > before);
    assert!(node.agent_log().contains("65536 are allowed"));
});
pub(super) const MANY_APPROVALS: Attack = attack("more approvals than a request may hold", |world, node, _| {
    let mut signed = world.signed(&node.plan("many approvals"));
    signed.approvals = vec![world.own.approve(&signed.bytes).unwrap(); 3000];
    // It hangs up while the agent is still writing, or when it has.
    let told =
        || ["cannot hand over a plan", "refused it (request)"].map(|told| node.agent_log().matches(told).count());
    let before = told();
    world.scripted().send(&node.name, act(signed.bytes.as_slice(), &signed.approvals));
    until("the actuator refuses it", || told() != before);
    // Fewer, with a good one behind those that are looked at.
    let good = world.operator.approve(&signed.bytes).unwrap();
    signed.approvals = vec![signed.approvals[0].clone(); 100].into_iter().chain([good]).collect();
    world.refused(node, &signed, "unsigned");
});
pub(super) const FLOOD: Attack = attack("a flood of plans", |world, node, trial| {
    const PLANS: usize = 500;
    let told = || node.journal().matches("(unsigned)").count() + node.agent_log().matches("cannot hand over").count();
    let before = told();
    for number in 0..PLANS {
        let garbage = format!("{}{number}", "x".repeat(number * 61 % 4000));
        world.scripted().send(&node.name, act(garbage.as_bytes(), &[]));
    }
    // Refused by the actuator, or turned away by the agent where too many came at once.
    until("every one is refused, and told of", || told() >= before + PLANS);
    let refused = node.journal().matches("(unsigned)").count();
    trial.sample("of a flood of 500 plans, reached the actuator", refused as u64);
});

fn signed_but_invalid(world: &World, node: &Node, risk: &str, change: impl FnOnce(&str) -> String) {
    let text = text(&world.signed(&node.plan(risk)));
    world.refused(node, &world.signed_text(change(&text).into_bytes()), "invalid");
}

/// A plan bound to its node in another way.
fn bound(node: &Node, risk: &str, change: impl FnOnce(&mut OnNode)) -> Plan {
    let mut plan = node.plan(risk);
    if let CarriedOutBy::Node(on_node) = &mut plan.by {
        change(on_node);
    }
    plan
}

fn limit(node: &Node, risk: &str) -> Plan {
    let unit = "elasticsearch.service".parse().unwrap();
    let limits = [(Limit::Memlock, LimitValue::Infinity)].into();
    Plan { step: Step::UnitLimit(UnitLimit { unit, limits, from: None, start: None }), ..node.plan(risk) }
}

fn text(signed: &Signed) -> String {
    String::from_utf8(signed.bytes.as_slice().to_vec()).unwrap()
}

/// The first field last.
fn reordered(text: &str) -> String {
    let (first, rest) = text[1..].split_once(',').unwrap();
    format!("{{{},{first}}}", rest.strip_suffix('}').unwrap())
}
