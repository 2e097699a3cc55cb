//! What a rollout has to do now, and how it stands once that was tried.

use common_model::Timestamp;
use common_plan::rollout::{Calls, Health, Moment, Phase, Rollout, RolloutStage, Turn};

/// What there is to do. Every one can be done again after a kill at any moment: plans act at most once by themselves, and calls
/// to the cluster set what they set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Todo {
    /// Nothing: it has ended.
    Nothing,
    /// See whether all plans are approved, or one is no more to be.
    AwaitApproval,
    /// See whether this node would start again, and how the cluster is.
    Check(usize),
    /// Hold shard allocation to primaries.
    Hold(usize),
    /// Flush.
    Flush(usize),
    /// Hand this node its plan, if that was not done, and see how it fares.
    Restart(usize),
    /// See whether the cluster has this node again.
    Rejoin(usize),
    /// Put allocation back.
    Release(usize),
    /// See whether the cluster is no worse than before this node's turn.
    Recover(usize),
    /// Put allocation back, since it stops.
    PutBack,
}

/// How something went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done; what was seen, in words.
    Done(String),
    /// The node would start and the cluster is well: its health and how it calls the node's run, unless it is not asked.
    Checked {
        /// What was seen.
        said: String,
        /// The cluster's health.
        health: Option<Health>,
        /// The node's run.
        run: Option<String>,
    },
    /// Not yet, for this reason. Every phase has its patience.
    NotYet(String),
    /// It went wrong.
    Wrong(String),
    /// Not approved in time.
    Expired,
    /// Somebody has rejected a plan of it.
    Rejected(String),
}

/// How long a phase may say "not yet", in milliseconds; none: as long as it takes. Plans have an end of their own. Allocation has
/// to be put back, however long the cluster cannot be reached.
fn patience_ms(phase: Phase) -> Option<i64> {
    match phase {
        Phase::Checks | Phase::Holds => Some(2 * 60_000),
        Phase::Flushes => Some(30_000),
        Phase::Rejoins => Some(10 * 60_000),
        Phase::Recovers => Some(30 * 60_000),
        _ => None,
    }
}

/// What is to be done now.
pub fn todo(rollout: &Rollout) -> Todo {
    match rollout.stage {
        RolloutStage::Proposed => Todo::AwaitApproval,
        RolloutStage::Stopping => Todo::PutBack,
        RolloutStage::Running => {
            let turn = rollout.turns.iter().position(|turn| turn.phase != Phase::Done);
            let Some((at, turn)) = turn.and_then(|at| Some((at, rollout.turns.get(at)?))) else { return Todo::Nothing };
            match turn.phase {
                Phase::Waits | Phase::Checks => Todo::Check(at),
                Phase::Holds => Todo::Hold(at),
                Phase::Flushes => Todo::Flush(at),
                Phase::Restarts => Todo::Restart(at),
                Phase::Rejoins => Todo::Rejoin(at),
                Phase::Releases => Todo::Release(at),
                Phase::Recovers => Todo::Recover(at),
                Phase::Done | Phase::Failed | Phase::Untouched => Todo::Nothing,
            }
        }
        RolloutStage::Done | RolloutStage::Stopped | RolloutStage::Rejected | RolloutStage::Expired => Todo::Nothing,
    }
}

/// The rollout once `todo` was tried; none where nothing is to be stored.
pub fn after(rollout: &Rollout, calls: Calls, todo: Todo, outcome: Outcome, now: Timestamp) -> Option<Rollout> {
    let mut next = rollout.clone();
    match (todo, outcome) {
        (Todo::Nothing, _) => return None,
        (Todo::AwaitApproval, outcome) => approved(&mut next, outcome, now),
        (Todo::PutBack, Outcome::Done(said)) => {
            next.held = false;
            next.tell(None, &said, now);
            next.end(now);
        }
        (Todo::PutBack, Outcome::NotYet(said) | Outcome::Wrong(said)) => {
            let said = format!("allocation is not put back yet, tried again: {said}");
            if next.history.last().is_none_or(|last| last.what != said) {
                next.tell(None, &said, now);
            }
        }
        (Todo::PutBack, _) => {}
        (
            Todo::Check(at)
            | Todo::Hold(at)
            | Todo::Flush(at)
            | Todo::Restart(at)
            | Todo::Rejoin(at)
            | Todo::Release(at)
            | Todo::Recover(at),
            outcome,
        ) => turned(&mut next, calls, at, outcome, now),
    }
    (next != *rollout).then_some(next)
}

fn approved(next: &mut Rollout, outcome: Outcome, now: Timestamp) {
    match outcome {
        Outcome::Done(said) => {
            next.stage = RolloutStage::Running;
            next.tell(None, &said, now);
            next.enter(0, Phase::Checks, now);
        }
        Outcome::Expired => {
            next.stage = RolloutStage::Expired;
            next.tell(None, "not approved in time; nothing was done", now);
            next.leave_untouched(now);
        }
        Outcome::Rejected(who) => {
            next.stage = RolloutStage::Rejected;
            next.tell(None, &who, now);
            next.leave_untouched(now);
        }
        Outcome::Checked { .. } | Outcome::NotYet(_) | Outcome::Wrong(_) => {}
    }
}

fn turned(next: &mut Rollout, calls: Calls, at: usize, outcome: Outcome, now: Timestamp) {
    let Some(turn) = next.turns.get_mut(at) else { return };
    let phase = turn.phase;
    // A flush that does not go well costs time, nothing else.
    let outcome = match outcome {
        Outcome::Wrong(said) if phase == Phase::Flushes => {
            Outcome::Done(format!("not flushed, which only costs time: {said}"))
        }
        Outcome::NotYet(said) => match patience_ms(phase) {
            Some(patience) if now.millis_since(turn.since) > patience => {
                let why = format!("{said}; given up after {} min", (patience / 60_000).max(1));
                if phase == Phase::Flushes { Outcome::Done(why) } else { Outcome::Wrong(why) }
            }
            _ => {
                turn.said = Some(said);
                return;
            }
        },
        other => other,
    };
    match outcome {
        Outcome::Checked { said, health, run } => {
            (turn.before, turn.run_before) = (health, run);
            next.done_with(at, &said, now);
            if calls == Calls::Nothing {
                next.enter(at, Phase::Restarts, now);
            } else {
                // Written down before the cluster is asked: whoever is killed in between knows what to put back.
                next.held = true;
                next.enter(at, Phase::Holds, now);
            }
        }
        Outcome::Done(said) => {
            if phase == Phase::Releases {
                next.held = false;
            }
            next.done_with(at, &said, now);
            let following = following(phase, calls);
            // Asked to stop, it does so as soon as a node's restart is over and allocation put back.
            if next.stop.is_some() && following > Phase::Releases {
                next.end_turn(at, Phase::Done, now);
                next.halt(now);
            } else if following == Phase::Done {
                next.end_turn(at, Phase::Done, now);
                if at + 1 < next.turns.len() {
                    next.enter(at + 1, Phase::Checks, now);
                } else {
                    next.stage = RolloutStage::Done;
                }
            } else {
                next.enter(at, following, now);
            }
        }
        Outcome::Wrong(said) => {
            next.end_turn(at, Phase::Failed, now);
            if let Some(turn) = next.turns.get_mut(at) {
                turn.said = Some(said.clone());
            }
            let node = next.turns.get(at).map(|turn| turn.node.clone());
            next.history.push(Moment { at: now, who: "controller".to_owned(), node: node.clone(), what: said.clone() });
            let at = node.map(|node| format!("{node}: ")).unwrap_or_default();
            next.stop.get_or_insert(format!("{at}{said}"));
            next.halt(now);
        }
        Outcome::NotYet(_) | Outcome::Expired | Outcome::Rejected(_) => {}
    }
}

/// What comes after a phase that went well.
fn following(phase: Phase, calls: Calls) -> Phase {
    match phase {
        Phase::Waits | Phase::Checks => Phase::Holds,
        Phase::Holds => Phase::Flushes,
        Phase::Flushes => Phase::Restarts,
        Phase::Restarts if calls == Calls::Nothing => Phase::Done,
        Phase::Restarts => Phase::Rejoins,
        Phase::Rejoins => Phase::Releases,
        Phase::Releases => Phase::Recovers,
        Phase::Recovers | Phase::Done | Phase::Failed | Phase::Untouched => Phase::Done,
    }
}

/// A person wants it to end. Before a restart it stops at once; a node in the middle of one is brought to its end first.
pub fn ask_to_stop(rollout: &Rollout, who: &str, because: &str, now: Timestamp) -> Option<Rollout> {
    let mut next = rollout.clone();
    let why = if because.is_empty() { who.to_owned() } else { format!("{who}: {because}") };
    match rollout.stage {
        RolloutStage::Proposed => {
            next.stage = RolloutStage::Rejected;
            next.moment(
                who,
                None,
                &format!("rejected{}", if because.is_empty() { String::new() } else { format!(": {because}") }),
                now,
            );
            next.leave_untouched(now);
        }
        RolloutStage::Running if rollout.stop.is_none() => {
            next.stop = Some(format!("stopped by {why}"));
            next.moment(
                who,
                None,
                &format!("asked to stop{}", if because.is_empty() { String::new() } else { format!(": {because}") }),
                now,
            );
            let touched = next
                .turns
                .iter()
                .any(|turn| matches!(turn.phase, Phase::Restarts | Phase::Rejoins | Phase::Releases | Phase::Recovers));
            if !touched {
                next.halt(now);
            }
        }
        _ => return None,
    }
    Some(next)
}

/// Changing a rollout; every one leaves it in a state that [`todo`] can go on from.
trait Going {
    fn moment(&mut self, who: &str, node: Option<usize>, what: &str, now: Timestamp);
    fn tell(&mut self, node: Option<usize>, what: &str, now: Timestamp);
    fn enter(&mut self, at: usize, phase: Phase, now: Timestamp);
    fn done_with(&mut self, at: usize, said: &str, now: Timestamp);
    fn end_turn(&mut self, at: usize, phase: Phase, now: Timestamp);
    fn halt(&mut self, now: Timestamp);
    fn end(&mut self, now: Timestamp);
    fn leave_untouched(&mut self, now: Timestamp);
}

impl Going for Rollout {
    fn moment(&mut self, who: &str, node: Option<usize>, what: &str, now: Timestamp) {
        let node = node.and_then(|at| self.turns.get(at)).map(|turn| turn.node.clone());
        self.history.push(Moment { at: now, who: who.to_owned(), node, what: what.to_owned() });
    }

    fn tell(&mut self, node: Option<usize>, what: &str, now: Timestamp) {
        self.moment("controller", node, what, now);
    }

    fn enter(&mut self, at: usize, phase: Phase, now: Timestamp) {
        if let Some(turn) = self.turns.get_mut(at) {
            (turn.phase, turn.since) = (phase, now);
        }
    }

    fn done_with(&mut self, at: usize, said: &str, now: Timestamp) {
        if let Some(turn) = self.turns.get_mut(at) {
            turn.said = Some(said.to_owned());
        }
        self.tell(Some(at), said, now);
    }

    fn end_turn(&mut self, at: usize, phase: Phase, now: Timestamp) {
        self.enter(at, phase, now);
    }

    /// It goes no further: allocation first, where it is held.
    fn halt(&mut self, now: Timestamp) {
        if self.held {
            self.stage = RolloutStage::Stopping;
        } else {
            self.end(now);
        }
    }

    fn end(&mut self, now: Timestamp) {
        self.stage = RolloutStage::Stopped;
        self.leave_untouched(now);
    }

    fn leave_untouched(&mut self, now: Timestamp) {
        let untouched =
            |turn: &&mut Turn| matches!(turn.phase, Phase::Waits | Phase::Checks | Phase::Holds | Phase::Flushes);
        for turn in self.turns.iter_mut().filter(untouched) {
            (turn.phase, turn.since) = (Phase::Untouched, now);
        }
    }
}
