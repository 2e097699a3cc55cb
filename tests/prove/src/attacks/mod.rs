//! What somebody who has taken over a controller tries, on nodes that carried out a plan and undid another one before.

mod confirming;
mod forged;
mod sent;
mod shown;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use agent_act::clock;
use common_model::NodeName;
use common_plan::wire::{Doubt, Reply, Request};
use common_plan::{Approval, ApprovalKey, Plan, PlanBytes, State, Step, Sysctl, SysctlSet};
use common_tls::Role;
use tests_node::{Host, Kernel, Running, new_key, until};

use crate::agent::Agent;
use crate::authority::Authority;
use crate::operator::Operator;
use crate::programs;
use crate::run::{Run, Trial};
use crate::scripted::{Answer, Scripted, act};

/// Something that is tried on one node. It panics unless the node has refused and told of it.
pub(crate) struct Attack {
    name: &'static str,
    /// Whether agents are told that what they ask about has worked.
    answer: Answer,
    run: fn(&World, &Node, &Trial<'_>),
}

/// All of them. The last one puts the real controller in the place of the false one.
pub(crate) const ALL: &[Attack] = &[
    sent::REPLAYED,
    sent::REPLAYED_AFTER_UNDOING,
    sent::RETARGETED,
    sent::MASS_SENT,
    sent::OLD_EPOCH,
    sent::OLD_POLICY,
    sent::OWN_KEY,
    sent::FALSE_OPERATOR,
    sent::SIGNED_TWICE,
    sent::TWO_KEYS,
    sent::CHANGED,
    sent::REORDERED,
    sent::REORDERED_AND_SIGNED,
    sent::FIELD_TWICE,
    sent::FIELD_UNKNOWN,
    sent::TRAILING,
    sent::TRAILING_AND_SIGNED,
    sent::EXPIRED,
    sent::CLOCK_SET_BACK,
    sent::OTHER_BOOT,
    sent::UNKNOWN_ACTION,
    sent::BEYOND_BOUNDS,
    sent::EVERYONE,
    sent::PATHS,
    sent::POLICY_PUSHED,
    sent::OVERSIZE,
    sent::MANY_APPROVALS,
    sent::FLOOD,
    confirming::WITHHELD,
    confirming::WRONG_NONCE,
    confirming::TOO_LATE,
    confirming::OTHERS_NONCE,
    confirming::REVERT_FLOOD,
    forged::AGENT,
    shown::SWAPPED,
    forged::DATABASE,
];

/// A plan and who approved it.
#[derive(Clone)]
pub(crate) struct Signed {
    bytes: PlanBytes,
    approvals: Vec<Approval>,
}

/// A node with its real agent and actuator.
pub(crate) struct Node {
    _agent: Agent,
    _actuator: Running,
    name: NodeName,
    /// Which of them it is.
    place: usize,
    /// Carried out, and it lasts.
    kept: Signed,
    /// Carried out, and undone.
    undone: Signed,
    host: Host,
}

/// Everything that was taken over, and the operator's key, which was not.
pub(crate) struct World {
    nodes: Vec<Node>,
    scripted: Option<Scripted>,
    real: Option<Running>,
    /// What the operator signs with; attacks use it only for what an operator did sign once, for something else.
    operator: ApprovalKey,
    /// The operator's second key.
    second: ApprovalKey,
    /// Made by whoever took the controller over.
    own: ApprovalKey,
    alice: Operator,
    authority: Authority,
}

const JOURNAL: &str = "actuator.log";
/// Of `vm.max_map_count`: before anything, after the plan that lasts, and what attacks try to make of it.
const VALUES: [u64; 3] = [65_530, 262_144, 300_000];

impl World {
    /// A controller with this many nodes, each of which has carried out two plans; then somebody takes it over.
    pub(crate) fn taken_over(nodes: usize) -> Self {
        let authority = Authority::init();
        let scripted = Scripted::start(&authority);
        let alice = Operator::login(&authority, Role::Approver);
        let second = new_key();
        let made = |place| Node::join(place, &alice, &second, &authority, &scripted);
        let nodes = std::thread::scope(|scope| {
            let made = &made;
            let making: Vec<_> = (0..nodes).map(|place| scope.spawn(move || made(place))).collect();
            making.into_iter().map(|node| node.join().unwrap()).collect()
        });
        let operator = alice.key();
        Self { nodes, scripted: Some(scripted), real: None, operator, second, own: new_key(), alice, authority }
    }

    fn scripted(&self) -> &Scripted {
        self.scripted.as_ref().expect("the real controller runs")
    }

    /// Tries an attack on every node at once. The trials are numbered from `first`.
    pub(crate) fn try_on_every_node(&mut self, attack: &Attack, run: &Run, first: u64) {
        if attack.name == forged::DATABASE.name {
            forged::start_the_real_one(self);
        } else {
            self.scripted().answer(attack.answer);
        }
        let world = &*self;
        std::thread::scope(|scope| {
            let chosen =
                world.nodes.iter().zip(first..).filter(|(_, number)| run.only.is_none_or(|only| only == *number));
            for (node, number) in chosen {
                scope.spawn(move || run.try_one(number, |trial| world.try_on(attack, node, trial)));
            }
        });
    }

    fn try_on(&self, attack: &Attack, node: &Node, trial: &Trial<'_>) {
        let before = node.digest();
        (attack.run)(self, node, trial);
        assert_eq!(node.digest(), before, "{}: something changed on {}", attack.name, node.name);
        trial.count(&format!("nodes: {}", attack.name));
    }

    /// Sends a plan, and waits for the node to tell that it has refused it, and why.
    fn refused(&self, node: &Node, signed: &Signed, code: &str) {
        let told = node.tells(signed, code);
        self.scripted().send(&node.name, act(signed.bytes.as_slice(), &signed.approvals));
        until(&format!("it is refused ({code})"), || node.tells(signed, code) > told);
    }

    /// What the operator signed, or would.
    fn signed(&self, plan: &Plan) -> Signed {
        self.signed_text(plan.encode().unwrap().as_slice().to_vec())
    }

    fn signed_text(&self, text: Vec<u8>) -> Signed {
        let bytes = PlanBytes::new(text).unwrap();
        Signed { approvals: vec![self.operator.approve(&bytes).unwrap()], bytes }
    }
}

impl Node {
    fn join(place: usize, alice: &Operator, second: &ApprovalKey, authority: &Authority, scripted: &Scripted) -> Self {
        let name: NodeName = format!("es-{}", place + 1).parse().unwrap();
        let host = Host::named(name.as_str(), programs::actuator(), Kernel::File, alice.key(), "");
        host.write("etc/dialtone/policy.yaml", &policy(7, &alice.key(), second));
        let journal = File::options().append(true).create(true).open(host.path(JOURNAL)).unwrap();
        let actuator = host.serve_telling(None, journal.into());
        let agent = Agent::start(&host, &name, authority);
        scripted.await_agent(&name);
        let node_plan = |from, to, risk: &str| {
            let mut plan = host.plan_of(setting(from, to), 20);
            plan.risk = risk.to_owned();
            plan.encode().unwrap()
        };
        let carried_out = |bytes: PlanBytes, confirmed: bool, state: State| {
            let approvals = vec![alice.key().approve(&bytes).unwrap()];
            let request = host.act(&bytes);
            let Some(Reply::Applied { nonce, .. }) = host.ask(&request) else { panic!("not applied") };
            let plan = bytes.id();
            host.ask(&if confirmed {
                Request::Confirm { plan, nonce }
            } else {
                Request::Revert { plan, doubt: Doubt::NotSeen }
            });
            assert_eq!(host.entry(&bytes).map(|entry| entry.state), Some(state));
            Signed { bytes, approvals }
        };
        let kept = carried_out(node_plan(VALUES[0], VALUES[1], "kept"), true, State::Persisted);
        let undone = carried_out(node_plan(VALUES[1], VALUES[2], "undone"), false, State::Reverted);
        Self { _agent: agent, _actuator: actuator, name, place, kept, undone, host }
    }

    /// A plan that the operator might sign for this node as it is; the only one with this text in it.
    fn plan(&self, risk: &str) -> Plan {
        let mut plan = self.host.plan_of(setting(VALUES[1], VALUES[2]), 10);
        plan.expires_at = clock::now().plus_millis(900_000);
        plan.risk = risk.to_owned();
        plan
    }

    /// How often its actuator has told that it refused this plan for this reason.
    fn tells(&self, signed: &Signed, code: &str) -> usize {
        self.journal().matches(&format!("refused plan {} ({code})", signed.bytes.id())).count()
    }

    fn journal(&self) -> String {
        fs::read_to_string(self.host.path(JOURNAL)).unwrap()
    }

    fn agent_log(&self) -> String {
        fs::read_to_string(self.host.path("agent.log")).unwrap()
    }

    /// Every file that is not Dialtone's own, and its policy and name.
    fn digest(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        ["etc", "proc", "run/systemd"].into_iter().for_each(|folder| read(&self.host.path(folder), &mut files));
        files
    }
}

fn read(path: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| read(&entry.unwrap().path(), files));
    } else if let Ok(content) = fs::read(path) {
        files.insert(path.to_owned(), content);
    }
}

fn setting(from: u64, to: u64) -> Step {
    Step::SysctlSet(SysctlSet { key: Sysctl::MaxMapCount, from, to, persist: None, start: None })
}

/// Allows one person to change a setting and to open a port, and two to change limits.
fn policy(epoch: u64, operator: &ApprovalKey, second: &ApprovalKey) -> String {
    let [operator, second] = [operator, second].map(|key| key.public().unwrap());
    format!(
        "epoch: {epoch}\nplans_valid_s: 1000000\nplans_per_hour: 100000\napprovers:\n- {{name: alice, key: '{operator}'}}\n- {{name: alice, key: '{second}'}}\n\
         allow:\n  sysctl-set: {{keys: {{vm.max_map_count: 65530..1048576}}}}\n  \
         firewall-allow: {{ports: [9200], sources: [10.0.0.0/8]}}\n  \
         unit-limit: {{approvals: 2, units: [elasticsearch.service], limits: {{memlock: 0..infinity}}}}\n"
    )
}
