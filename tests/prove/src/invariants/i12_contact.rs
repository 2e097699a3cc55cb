//! I12: the controller is not reached any more, from any step of a plan on: what was not confirmed is undone in time.

use std::time::Duration;

use agent_act::clock;
use agent_act::ledger::peek;
use agent_act::places::Places;
use common_model::NodeName;
use common_plan::State;
use tests_node::{CONF, CONF_BEFORE, Host, Kernel, is_stopped, new_key, resume, until};

use super::Invariant;
use crate::agent::Agent;
use crate::authority::Authority;
use crate::run::{Run, Trial};
use crate::scripted::{Answer, Scripted, act};
use crate::{firewall, programs};

pub(super) const INVARIANT: Invariant = Invariant {
    id: "I12",
    promise: "what is not confirmed because contact is lost is undone within two seconds of the deadline",
    trials: 500,
    few: 12,
    prove: |run: &Run| run.each_with(0..run.trials, 20, Line::open, cut_off),
};

/// Later than that after the deadline is a failure.
const LATE_MS: u64 = 2000;

/// A node and a controller, and what is between them.
struct Line {
    _agent: Agent,
    scripted: Scripted,
    node: NodeName,
    host: Host,
    _authority: Authority,
}

/// When contact is lost.
#[derive(Debug, Clone, Copy)]
enum Lost {
    /// The plan has come to this point of the actuator.
    At(&'static str),
    /// The controller was asked whether it worked.
    Asked,
    /// The controller is just saying yes; it may be heard or not.
    Answering,
}

const MOMENTS: [Lost; 10] = [
    Lost::At("begun"),
    Lost::At("before-image"),
    Lost::At("guard-starts"),
    Lost::At("guard-armed"),
    Lost::At("armed"),
    Lost::At("before-act"),
    Lost::At("acted"),
    Lost::At("applied"),
    Lost::Asked,
    Lost::Answering,
];

impl Line {
    fn open() -> Self {
        let host = Host::named("es-1", programs::actuator(), Kernel::Namespace, new_key(), "plans_per_hour: 100000\n");
        let node: NodeName = "es-1".parse().unwrap();
        let authority = Authority::init();
        let scripted = Scripted::start(&authority);
        let agent = Agent::start(&host, &node, &authority);
        scripted.await_agent(&node);
        Self { _agent: agent, scripted, node, host, _authority: authority }
    }
}

fn cut_off(line: &mut Line, trial: &mut Trial<'_>) {
    let lost = MOMENTS[usize::try_from(trial.number).unwrap() % MOMENTS.len()];
    let host = &line.host;
    contact(true);
    host.set_live(Kernel::Namespace.values().0);
    host.write(CONF, CONF_BEFORE);
    line.scripted.answer(if matches!(lost, Lost::Answering) { Answer::Keep } else { Answer::Nothing });
    let actuator = host.serve(if let Lost::At(point) = lost { Some(point) } else { None });
    let mut plan = host.plan(10);
    plan.risk = format!("trial {} {:x}", trial.number, trial.rng.u64(..));
    let plan = plan.encode().unwrap();
    let approval = host.key().approve(&plan).unwrap();
    // The agent may still be on its way back from the last loss: sent again until it is known.
    until("the plan is begun", || {
        line.scripted.send(&line.node, act(plan.as_slice(), std::slice::from_ref(&approval)));
        std::thread::sleep(Duration::from_millis(300));
        host.path("var/lib/dialtone-actuator/plans").join(plan.id().as_str()).exists()
    });
    match lost {
        Lost::At(_) => {
            until("somebody stops", || is_stopped(actuator.pid()) || host.guards().into_iter().any(is_stopped))
        }
        Lost::Asked | Lost::Answering => until("the controller is asked", || line.scripted.was_asked(&plan.id())),
    }
    if matches!(lost, Lost::Answering) {
        std::thread::sleep(Duration::from_micros(trial.rng.u64(..30_000)));
    }
    contact(false);
    let deadline = peek(&Places::below(host.root().to_owned()), &plan.id()).unwrap().deadline_boot_ms;
    until("it has ended", || {
        resume(actuator.pid());
        host.guards().into_iter().for_each(resume);
        host.entry(&plan).is_some_and(|entry| entry.state.is_final())
    });
    let late = clock::boot_ms().saturating_sub(deadline);
    contact(true);
    let entry = host.entry(&plan).unwrap();
    let new = entry.state == State::Persisted;
    assert!(!new || matches!(lost, Lost::Answering), "{lost:?}: it lasts");
    assert!(if new { host.is_new() } else { host.is_old() }, "{lost:?}: told {entry:?}, live {}", host.live());
    assert!(late <= LATE_MS || !trial.is_strict(), "{lost:?}: {late} ms after the deadline");
    trial.count(&format!("{lost:?}: {:?}", entry.state));
    trial.sample("milliseconds after the deadline, 0 where before it", late);
}

/// Takes every packet to and from the controller away, or lets them through again.
fn contact(through: bool) {
    let none = "table inet cut {\n}\ndelete table inet cut\n";
    let cut = "table inet cut {\nchain input {\ntype filter hook input priority -200\ntcp dport 7443 drop\ntcp sport 7443 drop\n}\n}\n";
    firewall::set(&if through { none.to_owned() } else { format!("{none}{cut}") });
}
