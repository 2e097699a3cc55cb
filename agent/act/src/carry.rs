//! Carrying a plan out: written down, guarded, done, confirmed, made to last; or undone. Every function here can be killed at any
//! point; what is on disk then says what is left to do.

use std::io;

use common_plan::{Approval, Authorized, Entry, Node, Plan, PlanBytes, PlanId, Refusal, State, Step, Verb, authorize};

use crate::faults::point;
use crate::ledger::{Journal, Ledger};
use crate::places::Places;
use crate::steps::Before;
use crate::{clock, guard, own, steps, tell};

/// How an act went that was not refused.
#[derive(Debug)]
pub enum Outcome {
    /// Live, and it waits for a confirmation.
    Applied(Pending),
    /// It has ended.
    Ended(Entry),
}

/// A plan that is live and waits for its confirmation.
#[derive(Debug)]
pub struct Pending {
    /// Which.
    pub plan: PlanId,
    /// What the confirmation has to name.
    pub nonce: String,
    /// Milliseconds it may take.
    pub left_ms: u64,
}

impl Pending {
    fn of(journal: &Journal) -> Option<Self> {
        let nonce = journal.nonce.clone().filter(|_| journal.entry.state == State::Applied)?;
        let left_ms = journal.deadline_boot_ms.saturating_sub(clock::boot_ms());
        Some(Self { plan: journal.entry.plan.clone(), nonce, left_ms })
    }
}

/// Carries a plan out as far as it goes without a confirmation.
///
/// # Errors
/// A refusal: nothing was changed. It stands in the node's journal, which nobody but root on the node can empty.
pub fn act(places: &Places, bytes: &PlanBytes, approvals: &[Approval]) -> Result<Outcome, Refusal> {
    let carried = carry_out(places, bytes, approvals);
    carried.inspect_err(|refusal| tell(&format!("refused plan {} ({}): {refusal}", bytes.id(), refusal.code())))
}

fn carry_out(places: &Places, bytes: &PlanBytes, approvals: &[Approval]) -> Result<Outcome, Refusal> {
    let ledger = Ledger::lock(places).map_err(impossible)?;
    let authorized = judge(&ledger, bytes, approvals).inspect_err(|refusal| note(&ledger, bytes, refusal))?;
    if ledger.unfinished().map_err(impossible)?.is_some() {
        return Err(Refusal::Busy);
    }
    let mut journal = ledger.begin(bytes, &authorized).map_err(impossible)?;
    point("begun");
    match start(&ledger, &mut journal, &authorized.plan) {
        Ok(before) => live(&ledger, &mut journal, &authorized.plan, &before),
        Err(refusal) => {
            ledger.transition(&mut journal, State::Refused, Some(refusal.to_string())).map_err(impossible)?;
            Err(refusal)
        }
    }
}

fn impossible(error: impl std::fmt::Display) -> Refusal {
    Refusal::Impossible(format!("the actuator's own files: {error}"))
}

/// Everything that is known before the precondition is read.
fn judge(ledger: &Ledger<'_>, bytes: &PlanBytes, approvals: &[Approval]) -> Result<Authorized, Refusal> {
    let places = ledger.places();
    let policy = own::policy(places)?;
    let node = Node {
        name: &own::name(places)?,
        session: &own::session(places).map_err(impossible)?,
        highest_epoch: ledger.raise_epoch(policy.epoch).map_err(impossible)?,
        policy: &policy,
        now: clock::now(),
        boot_ms: clock::boot_ms(),
        in_ledger: ledger.knows(&bytes.id()),
        last_hour: ledger.last_hour(clock::now()).map_err(impossible)?,
    };
    authorize(bytes, approvals, &node)
}

/// Tells the agent of a refusal. Where that cannot be written the answer on the socket still says it.
fn note(ledger: &Ledger<'_>, bytes: &PlanBytes, refusal: &Refusal) {
    let entry = Entry {
        plan: bytes.id(),
        action: bytes.decode().ok().map(|plan| plan.step.action()),
        state: State::Refused,
        at: clock::now(),
        because: Some(refusal.to_string()),
        approvers: Vec::new(),
        until: None,
    };
    if let Err(error) = ledger.refuse(entry) {
        tell(&format!("cannot write down a refusal: {error}"));
    }
}

/// Up to the moment before the act: nothing is changed yet, and whatever is wrong refuses. What is asked last is what may have
/// changed while this process was kept waiting: the node's state, and the time.
fn start(ledger: &Ledger<'_>, journal: &mut Journal, plan: &Plan) -> Result<Before, Refusal> {
    let (places, id) = (ledger.places(), journal.entry.plan.clone());
    let before = steps::observe(&plan.step, &id, places)?;
    ledger.keep_before(&id, &before).map_err(impossible)?;
    point("before-image");
    guard::arm(places, &id).map_err(Refusal::Impossible)?;
    ledger.transition(journal, State::Armed, None).map_err(impossible)?;
    point("armed");
    point("before-act");
    if steps::observe(&plan.step, &id, places)? != before {
        return Err(Refusal::Changed("it was changed by somebody else a moment ago".to_owned()));
    }
    if plan.is_expired(clock::now(), clock::boot_ms()) {
        return Err(Refusal::Expired(plan.expires_at));
    }
    Ok(before)
}

/// The act itself. What fails half way is undone at once.
fn live(ledger: &Ledger<'_>, journal: &mut Journal, plan: &Plan, before: &Before) -> Result<Outcome, Refusal> {
    let acted = steps::apply(&plan.step, before, &journal.entry.plan, ledger.places());
    point("acted");
    let recorded = acted.and_then(|()| {
        let nonce = own::random_hex().map_err(|error| error.to_string())?;
        journal.nonce = Some(nonce);
        ledger.transition(journal, State::Applied, None).map_err(|error| error.to_string())?;
        Pending::of(journal).ok_or_else(|| "what was just written down is not there".to_owned())
    });
    match recorded {
        Ok(pending) => {
            point("applied");
            Ok(Outcome::Applied(pending))
        }
        Err(why) => {
            undo(ledger, journal, &why).map_err(impossible)?;
            Ok(Outcome::Ended(journal.entry.clone()))
        }
    }
}

/// The plan that waits for its confirmation, if one does.
pub fn pending(places: &Places) -> io::Result<Option<Pending>> {
    Ok(Ledger::lock(places)?.unfinished()?.as_ref().and_then(Pending::of))
}

/// Makes a plan last that the controller has seen to work.
pub fn confirm(places: &Places, id: &PlanId, nonce: &str) -> io::Result<Entry> {
    let ledger = Ledger::lock(places)?;
    let mut journal = ledger.journal(id)?;
    if journal.entry.state != State::Applied || journal.nonce.as_deref() != Some(nonce) {
        return Ok(journal.entry);
    }
    if clock::boot_ms() > journal.deadline_boot_ms {
        undo(&ledger, &mut journal, "the confirmation came too late")?;
        return Ok(journal.entry);
    }
    ledger.transition(&mut journal, State::Confirmed, None)?;
    point("confirmed");
    let (plan, before) = ledger.before(id)?;
    let made_to_last = steps::persist(&plan.step, &before, id, places);
    point("persisting");
    match made_to_last {
        Ok(note) => ledger.transition(&mut journal, State::Persisted, note.map(str::to_owned))?,
        Err(why) => undo(&ledger, &mut journal, &format!("it could not be made to last: {why}"))?,
    }
    disarm(places, &journal);
    Ok(journal.entry)
}

/// Undoes a plan, unless it has ended.
pub fn revert(places: &Places, id: &PlanId, why: &str) -> io::Result<Entry> {
    let ledger = Ledger::lock(places)?;
    let mut journal = ledger.journal(id)?;
    undo(&ledger, &mut journal, why)?;
    disarm(places, &journal);
    Ok(journal.entry)
}

/// After a boot, or after the actuator was killed: nothing is carried on, everything that was not finished is undone.
pub fn recover(places: &Places) -> io::Result<()> {
    let ledger = Ledger::lock(places)?;
    own::session(places)?;
    ledger.tidy(clock::now())?;
    for mut journal in ledger.journals()? {
        let undone = undo(&ledger, &mut journal, "the actuator, or the node, was stopped before it had ended");
        let undone = undone.and_then(|()| match guard::is_alive(places, &journal.entry.plan) {
            _ if journal.end().is_none() => Ok(()),
            Ok(true) => Ok(()),
            _ => finish(&ledger, &mut journal, "its guard was gone, by a boot or because somebody stopped it"),
        });
        if let Err(error) = undone {
            tell(&format!("cannot undo plan {}: {error}", journal.entry.plan));
        }
    }
    match own::policy(places) {
        Ok(policy) => ledger.raise_epoch(policy.epoch).map(|_| ())?,
        Err(refusal) => tell(&refusal.to_string()),
    }
    ledger.report()
}

/// Takes back what was confirmed for a limited time.
pub fn end(places: &Places, id: &PlanId, why: &str) -> io::Result<()> {
    let ledger = Ledger::lock(places)?;
    finish(&ledger, &mut ledger.journal(id)?, why)
}

/// Does nothing to a plan that is not for a limited time, or not there any more.
fn finish(ledger: &Ledger<'_>, journal: &mut Journal, why: &str) -> io::Result<()> {
    if journal.end().is_none() {
        return Ok(());
    }
    let (state, because) = match take_back(ledger, &journal.entry.plan) {
        Ok(_) => (State::Reverted, why.to_owned()),
        Err(left) => (State::Conflict, format!("{why}; {left}")),
    };
    ledger.transition(journal, state, Some(because))
}

/// A guard has nothing left to do once its plan has ended, unless that is for a limited time.
fn disarm(places: &Places, journal: &Journal) {
    if journal.end().is_none() {
        guard::disarm(places, &journal.entry.plan);
    }
}

/// The one way back. Does nothing to a plan that has ended.
fn undo(ledger: &Ledger<'_>, journal: &mut Journal, why: &str) -> io::Result<()> {
    let (state, because) = match journal.entry.state {
        State::Prepared => (State::Failed, format!("{why}; nothing had been changed")),
        State::Armed | State::Applied | State::Confirmed => {
            point("undoing");
            match take_back(ledger, &journal.entry.plan) {
                Ok(true) => (State::Reverted, why.to_owned()),
                Ok(false) => (State::Failed, format!("{why}; a restart cannot be undone")),
                Err(left) => (State::Conflict, format!("{why}; {left}")),
            }
        }
        _ => return Ok(()),
    };
    point("undone");
    ledger.transition(journal, state, Some(because))
}

/// Whether the node is as it was; the error is what is left.
fn take_back(ledger: &Ledger<'_>, id: &PlanId) -> Result<bool, String> {
    let known = ledger.before(id);
    let (plan, before) = known.map_err(|error| format!("what was there before cannot be read: {error}"))?;
    steps::undo(&plan.step, &before, id, ledger.places())?;
    Ok(!matches!(plan.step, Step::Service(service) if service.verb == Verb::Restart))
}
