//! Killing whoever has a plan in hand, at a point of the code.

use std::time::Duration;

use common_plan::PlanBytes;
use common_plan::wire::{Doubt, Reply, Request};
use rustix::process::{Pid, Signal, kill_process};

use crate::{Host, is_stopped, until};

/// Who is killed once somebody has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// `dialtone-actuator serve`.
    Actuator,
    /// `dialtone-actuator guard`.
    Guard,
    /// Both at once.
    Both,
}

impl Victim {
    /// All.
    pub const ALL: [Victim; 3] = [Victim::Actuator, Victim::Guard, Victim::Both];
}

/// What is asked for after the act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// That it lasts.
    Confirm,
    /// That it is undone.
    Revert,
}

impl Then {
    /// Both.
    pub const ALL: [Then; 2] = [Then::Confirm, Then::Revert];
}

/// When they are killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Once somebody has come to this point of the code, where they stop.
    At(&'static str),
    /// This long after the plan was handed in, wherever they are.
    After(Duration),
}

/// Starts an actuator, asks it for a plan and for what comes after, kills the victims when it is time, and lets the others go on
/// until they have done what they can. No actuator is left. True when there was something left to be stopped.
pub fn strike(host: &Host, plan: &PlanBytes, when: When, victim: Victim, then: Then) -> bool {
    let mut actuator = host.serve(if let When::At(point) = when { Some(point) } else { None });
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let Some(Reply::Applied { nonce, .. }) = host.ask(&host.act(plan)) else { return };
            host.ask(&match then {
                Then::Confirm => Request::Confirm { plan: plan.id(), nonce },
                Then::Revert => Request::Revert { plan: plan.id(), doubt: Doubt::NotSeen },
            });
        });
        let mut stopped = false;
        match when {
            When::At(_) => until("somebody stops, or it is over", || {
                stopped = is_stopped(actuator.pid()) || host.guards().into_iter().any(is_stopped);
                stopped || asking.is_finished()
            }),
            When::After(time) => {
                std::thread::sleep(time);
                stopped = !asking.is_finished();
            }
        }
        if victim != Victim::Actuator {
            host.kill_guards();
        }
        if victim != Victim::Guard {
            actuator.kill();
        }
        until("the asking ends", || {
            host.guards().into_iter().for_each(resume);
            if victim == Victim::Guard {
                resume(actuator.pid());
            }
            asking.is_finished()
        });
        if victim == Victim::Guard {
            until("the actuator has seen to it", || {
                resume(actuator.pid());
                host.entry(plan).is_none_or(|entry| entry.state.is_final())
            });
        }
        stopped
    })
}

/// Lets a process go on, as often as it stops; one that has just gone needs nothing.
pub fn resume(pid: Pid) {
    kill_process(pid, Signal::CONT).unwrap_or_default();
}
