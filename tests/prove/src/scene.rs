//! A node with one plan, and what counts how often the plan really acts.

use std::path::Path;

use common_plan::wire::{Reply, Request};
use common_plan::{Entry, Plan, PlanBytes, State};
use tests_node::{CONF, CONF_BEFORE, Host, Kernel};

use crate::firewall::{self, Monitor};
use crate::programs;
use crate::writes::Writes;

/// What the plan changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// A kernel setting of this thread's namespace, and a file of `sysctl.d`.
    Setting,
    /// A rule in this thread's nftables.
    Rule,
}

/// A node and a plan for it.
pub(crate) struct Scene {
    pub(crate) host: Host,
    pub(crate) plan: PlanBytes,
    counter: Counter,
}

enum Counter {
    Setting(Writes),
    Rule(Monitor),
}

impl Scene {
    /// A node with nothing done to it. The plan is as `adapt` makes it.
    pub(crate) fn new(change: Change, confirm_within_s: u32, adapt: impl FnOnce(&mut Plan)) -> Self {
        let host = Host::new(programs::actuator(), Kernel::Namespace);
        let mut plan = match change {
            Change::Setting => host.plan(confirm_within_s),
            Change::Rule => {
                host.link("usr/sbin/nft", "/usr/sbin/nft");
                host.plan_of(firewall::closed(), confirm_within_s)
            }
        };
        let counter = match change {
            Change::Setting => Counter::Setting(Writes::of(Path::new(Kernel::Namespace.key().proc_path()))),
            Change::Rule => Counter::Rule(Monitor::start()),
        };
        adapt(&mut plan);
        Self { plan: plan.encode().unwrap(), host, counter }
    }

    /// How it stands by the actuator's report.
    pub(crate) fn entry(&self) -> Option<Entry> {
        self.host.entry(&self.plan)
    }

    /// The node is as it was before.
    pub(crate) fn is_old(&self) -> bool {
        self.host.is_old() && firewall_rules(self) == 0
    }

    /// The node is as the plan makes it, for good.
    pub(crate) fn is_new(&self) -> bool {
        match self.counter {
            Counter::Setting(_) => self.host.is_new(),
            Counter::Rule(_) => firewall_rules(self) == 1,
        }
    }

    /// The node is as the plan makes it, for good or not.
    pub(crate) fn is_live(&self) -> bool {
        match self.counter {
            Counter::Setting(_) => self.host.live() == Kernel::Namespace.values().1,
            Counter::Rule(_) => firewall_rules(self) > 0,
        }
    }

    /// How often something was written: a setting is written once to change it and once to change it back.
    pub(crate) fn writes(&mut self) -> u64 {
        match &mut self.counter {
            Counter::Setting(writes) => writes.count(),
            Counter::Rule(monitor) => monitor.added(&self.plan.id()),
        }
    }

    /// Asks for the plan.
    pub(crate) fn act(&self) -> Option<Reply> {
        self.host.ask(&self.host.act(&self.plan))
    }

    /// Confirms it.
    pub(crate) fn confirm(&self, nonce: String) -> Option<Reply> {
        self.host.ask(&Request::Confirm { plan: self.plan.id(), nonce })
    }

    /// Panics unless the node is whole: old or new, as it says, and the plan acted at most once.
    pub(crate) fn check(&mut self) -> State {
        let entry = self.entry().expect("nobody knows what became of the plan");
        assert!(entry.state.is_final(), "what became of the plan is left open: {entry:?}");
        let new = entry.state == State::Persisted;
        let file = std::fs::read_to_string(self.host.path(CONF)).unwrap();
        let as_told = if new { self.is_new() } else { self.is_old() };
        assert!(as_told, "told {entry:?}, live {}, file changed: {}", self.host.live(), file != CONF_BEFORE);
        assert!(
            new || matches!(entry.state, State::Refused | State::Failed | State::Reverted),
            "neither old nor new: {entry:?}"
        );
        let writes = self.writes();
        let acted = match self.counter {
            // There and back, or not at all.
            Counter::Setting(_) if !new => {
                assert!(writes == 0 || writes == 2, "{writes} writes, told {entry:?}");
                writes / 2
            }
            _ => writes,
        };
        assert!(acted <= 1, "acted {acted} times, told {entry:?}");
        assert!(acted == 1 || !new, "told that it lasts, and never acted: {entry:?}");
        entry.state
    }
}

fn firewall_rules(scene: &Scene) -> usize {
    match scene.counter {
        Counter::Setting(_) => 0,
        Counter::Rule(_) => firewall::rules_of(&scene.plan.id()),
    }
}
