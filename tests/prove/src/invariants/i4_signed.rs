//! I4: every bit of many plans flipped, and everything else that is wrong with a plan, against the function by which an actuator
//! decides. That each of its checks is needed is shown by taking it out: see `mutants`.

use common_model::{NodeName, Timestamp};
use common_plan::{
    Action, Approval, ApprovalKey, CarriedOutBy, Goal, Node, OnNode, Plan, PlanBytes, Policy, Refusal, SCHEMA,
    SessionId, Step, Sysctl, SysctlFile, SysctlSet, Why, authorize,
};
use tests_node::new_key;

use super::Invariant;
use crate::mutants;
use crate::run::{Run, Trial};

pub(super) const INVARIANT: Invariant = Invariant {
    id: "I4",
    promise: "only what is signed by who the node trusts acts, byte for byte",
    trials: 1000,
    few: 2,
    prove: |run: &Run| {
        run.each(0..run.trials, 2, signed);
        mutants::try_all(run);
    },
};

/// A node, and a plan that it carries out.
struct World {
    name: NodeName,
    session: SessionId,
    policy: Policy,
    alice: [ApprovalKey; 2],
    bob: ApprovalKey,
    plan: Plan,
}

impl World {
    fn new(trial: &mut Trial<'_>) -> Self {
        let (alice, bob) = ([new_key(), new_key()], new_key());
        let epoch = trial.rng.u64(1..1000);
        let key = trial.pick(&Sysctl::ALL);
        let text = format!(
            "epoch: {epoch}\napprovers:\n- {{name: alice, key: '{}'}}\n- {{name: alice, key: '{}'}}\n- {{name: bob, key: '{}'}}\n\
             allow: {{sysctl-set: {{approvals: 2, keys: {{{key}: 1..1000000}}}}}}\n",
            alice[0].public().unwrap(),
            alice[1].public().unwrap(),
            bob.public().unwrap()
        );
        let name: NodeName = format!("es-{}", trial.rng.u16(..)).parse().unwrap();
        let session: SessionId = format!("{:032x}", trial.rng.u128(..)).parse().unwrap();
        let words =
            |trial: &mut Trial<'_>| -> String { (0..trial.rng.u8(..10)).map(|_| trial.rng.alphanumeric()).collect() };
        let file =
            SysctlFile { name: Some("60-x.conf".parse().unwrap()), from: trial.rng.bool().then(|| words(trial)) };
        let plan = Plan {
            schema: SCHEMA.to_owned(),
            by: CarriedOutBy::Node(OnNode {
                session: session.clone(),
                epoch,
                expires_boot_ms: trial.rng.u64(1001..1 << 40),
                confirm_within_s: trial.rng.u32(10..=900),
            }),
            node: name.clone(),
            made_at: Timestamp(trial.rng.i64(0..1000)),
            expires_at: Timestamp(trial.rng.i64(1001..14_400_000)),
            step: Step::SysctlSet(SysctlSet {
                key,
                from: trial.rng.u64(1_000_001..),
                to: trial.rng.u64(1..=1_000_000),
                persist: Some(file),
                start: None,
            }),
            why: Why { sentence: words(trial), evidence: vec![words(trial)] },
            goal: Goal { endpoint: format!("http://{name}:9200"), cause: "bootstrap-check".parse().unwrap() },
            risk: words(trial),
            undo: words(trial),
        };
        Self { name, session, policy: Policy::parse(&text).unwrap(), alice, bob, plan }
    }

    fn node(&self) -> Node<'_> {
        Node {
            name: &self.name,
            session: &self.session,
            highest_epoch: self.policy.epoch,
            policy: &self.policy,
            now: Timestamp(1000),
            boot_ms: 1000,
            in_ledger: false,
            last_hour: 0,
        }
    }

    fn sign(&self, bytes: &PlanBytes) -> Vec<Approval> {
        [&self.alice[0], &self.bob].map(|key| key.approve(bytes).unwrap()).to_vec()
    }

    fn ask(&self, plan: &Plan) -> &'static str {
        let bytes = plan.encode().unwrap();
        code(authorize(&bytes, &self.sign(&bytes), &self.node()))
    }

    fn ask_text(&self, text: String) -> &'static str {
        let bytes = PlanBytes::new(text.into_bytes()).unwrap();
        code(authorize(&bytes, &self.sign(&bytes), &self.node()))
    }
}

fn code(result: Result<common_plan::Authorized, Refusal>) -> &'static str {
    result.map_or_else(|refusal| refusal.code(), |_| "authorized")
}

fn signed(trial: &mut Trial<'_>) {
    let world = World::new(trial);
    let bytes = world.plan.encode().unwrap();
    let approvals = world.sign(&bytes);
    let authorized = authorize(&bytes, &approvals, &world.node());
    assert_eq!(authorized.map(|authorized| authorized.plan), Ok(world.plan.clone()));
    let mut refused = 0;
    for bit in 0..bytes.as_slice().len() * 8 {
        let mut flipped = bytes.as_slice().to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let flipped = PlanBytes::new(flipped).unwrap();
        // One signature at a time: a second one beside it could only be refused, too.
        let result = authorize(&flipped, &approvals[bit % 2..][..1], &world.node());
        assert_eq!(result, Err(Refusal::Unsigned), "bit {bit} of {:?}", world.plan);
        refused += 1;
    }
    trial.sample("bits of a plan, each flipped", refused);
    altered_signatures(&world, &bytes);
    misdirected(&world);
    ill_formed(&world);
    trial.count("plans, each also in 30 other ways wrong");
}

fn altered_signatures(world: &World, bytes: &PlanBytes) {
    let refuses = |approvals: &[Approval], expected: &str| {
        assert_eq!(code(authorize(bytes, approvals, &world.node())), expected);
    };
    let [alice, second] = [0, 1].map(|key| world.alice[key].approve(bytes).unwrap());
    refuses(&[], "unsigned");
    refuses(&[new_key().approve(bytes).unwrap()], "unsigned");
    // One person: the same signature twice, and two keys of theirs.
    refuses(std::slice::from_ref(&alice), "too-few");
    refuses(&[alice.clone(), alice.clone()], "too-few");
    refuses(&[alice.clone(), second], "too-few");
    // Another's key on it, and another's signature below it.
    let bob = world.bob.approve(bytes).unwrap();
    refuses(&[alice.clone(), Approval { key: bob.key.clone(), signature: alice.signature.clone() }], "too-few");
    refuses(&[Approval { key: alice.key.clone(), signature: bob.signature.clone() }], "unsigned");
    refuses(&[Approval { signature: String::new(), ..alice.clone() }], "unsigned");
    // More than are looked at: those in front are all that count.
    let crowd: Vec<_> = std::iter::repeat_n(new_key().approve(bytes).unwrap(), 100).chain([alice, bob]).collect();
    refuses(&crowd, "unsigned");
}

fn misdirected(world: &World) {
    let with = |change: &dyn Fn(&mut Plan, &mut OnNode)| {
        let mut plan = world.plan.clone();
        let CarriedOutBy::Node(mut on_node) = plan.by.clone() else { panic!("not for a node") };
        change(&mut plan, &mut on_node);
        plan.by = CarriedOutBy::Node(on_node);
        world.ask(&plan)
    };
    assert_eq!(with(&|plan, _| plan.node = "another".parse().unwrap()), "other-node");
    assert_eq!(with(&|_, on_node| on_node.epoch -= 1), "epoch");
    assert_eq!(with(&|_, on_node| on_node.epoch += 1), "epoch");
    assert_eq!(with(&|_, on_node| on_node.session = "f".repeat(32).parse().unwrap()), "other-boot");
    assert_eq!(with(&|_, on_node| on_node.expires_boot_ms = 999), "expired");
    assert_eq!(with(&|plan, _| plan.expires_at = Timestamp(999)), "expired");
    // An approval that is good for longer than the node wants.
    assert_eq!(with(&|plan, _| plan.expires_at = plan.made_at.plus_millis(14_401_000)), "policy");
    let beyond = |to| {
        with(&move |plan, _| {
            if let Step::SysctlSet(step) = &mut plan.step {
                step.to = to;
            }
        })
    };
    assert_eq!((beyond(0), beyond(1_000_001)), ("policy", "policy"));
    let bytes = world.plan.encode().unwrap();
    let as_node = |node: Node<'_>| code(authorize(&bytes, &world.sign(&bytes), &node));
    assert_eq!(as_node(Node { in_ledger: true, ..world.node() }), "repeated");
    assert_eq!(as_node(Node { last_hour: 3, ..world.node() }), "rate");
    // The file was put back.
    assert_eq!(as_node(Node { highest_epoch: world.policy.epoch + 1, ..world.node() }), "epoch");
    let none = Policy { allow: Default::default(), ..world.policy.clone() };
    assert_eq!(as_node(Node { policy: &none, ..world.node() }), "policy");
}

/// The same fields, the first one last.
fn reordered(text: &str) -> String {
    let (first, rest) = text[1..].split_once(',').unwrap();
    format!("{{{},{first}}}", rest.strip_suffix('}').unwrap())
}

/// Signed all the same.
fn ill_formed(world: &World) {
    let text = String::from_utf8(world.plan.encode().unwrap().as_slice().to_vec()).unwrap();
    let action = format!("\"{}\"", Action::SysctlSet);
    for ill in [
        format!("{text} "),
        reordered(&text),
        format!("{text}{text}"),
        text.replacen('{', "{\"command\":\"reboot\",", 1),
        text.replacen('{', &format!("{{\"schema\":\"{SCHEMA}\","), 1),
        text.replacen(&action, "\"shell\"", 1),
        text.replacen("60-x.conf", "../../etc/passwd", 1),
        text.replacen(SCHEMA, "dialtone.plan/2", 1),
    ] {
        assert_eq!(world.ask_text(ill.clone()), "invalid", "{ill}");
    }
}
