//! Plans that the controller carries out itself, with credentials of its own that reach no node.
//!
//! The life of such a plan is the same as of one for a node. That it is begun is audited and durable before anything is done, and
//! what is done carries the plan's id where it is done. A controller that was killed and started again therefore finds plans that
//! were begun, looks for what it may have done already, and never does it twice: each step's `act` is asked again until it has said
//! how it stands.

mod config_edit;
mod security_group;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common_model::Timestamp;
use common_plan::{Carrier, ConfigEdit, Plan, PlanId, SecurityGroupAllow, Stage, Step};
use controller_remedy::lifecycle::{Carried, CarriedTo, Event};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Status;
use tracing::{error, info, warn};

use crate::clock::now;
use crate::core::{Core, blocking};
use crate::faults;
use crate::plans::{Kept, shown};
use crate::rollouts;

/// How often plans are looked through where nothing else says that one has moved.
const TICK: Duration = Duration::from_secs(1);
/// How long after its end a plan that was begun is tried to be brought to one.
const GIVE_UP_MS: i64 = 60 * 60 * 1000;
/// Until what could not be done is tried again: at first, and at most where it fails for long.
const AGAIN: Duration = Duration::from_secs(5);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);

/// A plan at work.
pub(crate) struct Work {
    /// Which.
    pub(crate) id: PlanId,
    /// What.
    pub(crate) plan: Plan,
    /// Operators.
    pub(crate) approved_by: Vec<String>,
    /// Whether it may still be begun. Where it may not, what was done already is found and nothing is done.
    pub(crate) may_begin: bool,
    /// When it was first known to be done.
    pub(crate) applied_at: Option<Timestamp>,
    /// What was last said of it, and since when.
    pub(crate) said: Option<(String, Timestamp)>,
}

impl Work {
    /// For how long this has been what is said of it, in milliseconds; none where something else is.
    pub(crate) fn has_said_ms(&self, because: &str, now: Timestamp) -> Option<i64> {
        let (said, since) = self.said.as_ref()?;
        (*said == shown(because)).then(|| now.millis_since(*since))
    }
}

/// How a step stands after it was acted on or looked at.
pub(crate) enum Outcome {
    /// It stands so.
    Is(Carried),
    /// It waits, for this, and is looked at again after as long.
    Waits(String, Duration),
    /// It could not be told or done for now, and is tried again: after as long, where somebody has asked for that.
    Failing(String, Option<Duration>),
}

impl Outcome {
    /// It stands so.
    pub(crate) fn is(to: CarriedTo, because: impl Into<String>) -> Self {
        Self::Is(Carried { to, because: because.into(), link: None })
    }

    /// It could not be told or done for now.
    pub(crate) fn failing(why: impl Into<String>) -> Self {
        Self::Failing(why.into(), None)
    }
}

/// A step of the controller's own.
enum Own<'a> {
    ConfigEdit(&'a ConfigEdit),
    SecurityGroupAllow(&'a SecurityGroupAllow),
}

/// The plan's step, unless it is one for a node.
fn own(step: &Step) -> Option<Own<'_>> {
    match step {
        Step::ConfigEdit(step) => Some(Own::ConfigEdit(step)),
        Step::SecurityGroupAllow(step) => Some(Own::SecurityGroupAllow(step)),
        Step::SysctlSet(_)
        | Step::FirewallAllow(_)
        | Step::FirewallRevoke(_)
        | Step::UnitLimit(_)
        | Step::Service(_)
        | Step::ConfigInstall(_) => None,
    }
}

/// Does what the plan says, or finds that an earlier life of the controller has.
async fn act(core: &Arc<Core>, work: &Work) -> Outcome {
    match own(&work.plan.step) {
        Some(Own::ConfigEdit(step)) => config_edit::act(core, work, step).await,
        Some(Own::SecurityGroupAllow(step)) => security_group::act(core, work, step).await,
        None => not_ours(),
    }
}

/// Looks how it fares that was done.
async fn follow(core: &Arc<Core>, work: &Work) -> Outcome {
    match own(&work.plan.step) {
        Some(Own::ConfigEdit(step)) => config_edit::follow(core, work, step).await,
        Some(Own::SecurityGroupAllow(step)) => security_group::follow(core, work, step).await,
        None => not_ours(),
    }
}

fn not_ours() -> Outcome {
    Outcome::is(CarriedTo::Refused, "it is for a node to carry out")
}

/// Looks after the plans of the controller's own that have not ended. Each is worked on by one task at a time.
pub(crate) async fn keep(core: Arc<Core>) {
    let mut changes = core.plans.changes();
    let mut tasks: JoinSet<Duration> = JoinSet::new();
    let mut running: BTreeMap<tokio::task::Id, PlanId> = BTreeMap::new();
    let mut not_before: BTreeMap<PlanId, Instant> = BTreeMap::new();
    loop {
        let open = blocking({
            let core = Arc::clone(&core);
            move || open(&core)
        });
        match open.await {
            Ok(open) => {
                not_before.retain(|id, _| open.iter().any(|kept| kept.life.record.id == *id));
                for kept in open {
                    let id = kept.life.record.id.clone();
                    let waits = not_before.get(&id).is_some_and(|at| Instant::now() < *at);
                    if waits || running.values().any(|other| *other == id) {
                        continue;
                    }
                    let task = tasks.spawn(carry_on(Arc::clone(&core), kept));
                    running.insert(task.id(), id);
                }
            }
            Err(status) => error!(reason = status.message(), "plans of the controller's own are not carried on"),
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            // The sender lives as long as the core.
            _ = changes.changed() => {}
            Some(ended) = tasks.join_next_with_id() => {
                let (task, again) = match ended {
                    Ok((task, again)) => (task, again),
                    Err(failed) => {
                        error!(%failed, "a task failed that carries out a plan");
                        (failed.id(), AGAIN)
                    }
                };
                if let Some(id) = running.remove(&task) {
                    not_before.insert(id, Instant::now() + again);
                }
            }
            () = core.stopping.cancelled() => return,
        }
    }
}

/// The plans to be worked on.
fn open(core: &Core) -> Result<Vec<Kept>, Status> {
    let mut open = core.plans.open()?;
    open.retain(|kept| {
        let record = &kept.life.record;
        record.action.carrier() == Carrier::Controller && record.stage != Stage::Proposed
    });
    Ok(open)
}

/// Brings one plan on by a step; how long it then has nothing to do.
async fn carry_on(core: Arc<Core>, kept: Kept) -> Duration {
    let id = kept.life.record.id.clone();
    match carried_on(&core, kept).await {
        Ok(again) => again,
        Err(status) => {
            error!(plan = %id, reason = status.message(), "a plan of the controller's own is not carried on");
            AGAIN
        }
    }
}

async fn carried_on(core: &Arc<Core>, kept: Kept) -> Result<Duration, Status> {
    let id = kept.life.record.id.clone();
    let plan = kept.bytes.decode().map_err(|error| Status::internal(error.to_string()))?;
    let stage = match kept.life.record.stage {
        // Audited and durable before anything is done.
        Stage::Approved => {
            let stage = happened(core, &id, Event::Dispatched).await?;
            faults::point("begun");
            stage
        }
        stage => stage,
    };
    let record = &kept.life.record;
    let may_begin = now() <= plan.expires_at;
    let approved_by = record.approvals.iter().filter(|given| given.approval.holds_for(&kept.bytes));
    let mut applied = record.history.iter().filter(|transition| transition.stage == Stage::Applied);
    let said = record.history.last().and_then(|last| Some((last.because.clone()?, last.at)));
    let work = Work {
        id,
        plan,
        may_begin,
        approved_by: approved_by.map(|given| given.operator.clone()).collect(),
        applied_at: applied.next().map(|transition| transition.at),
        said,
    };
    let outcome = match stage {
        // Whoever wrote into the store could have added some that are none.
        Stage::Dispatched if work.approved_by.len() < usize::from(record.needed.max(1)) => {
            Outcome::is(CarriedTo::Refused, "the signatures kept with it do not hold")
        }
        Stage::Dispatched => act(core, &work).await,
        Stage::Applied => follow(core, &work).await,
        _ => return Ok(Duration::ZERO),
    };
    match outcome {
        Outcome::Is(carried) => {
            let is_merged = carried.to == CarriedTo::Verified && matches!(work.plan.step, Step::ConfigEdit(_));
            let because = match is_merged {
                true => format!("{}; {}", carried.because, rolled_out(core, &work).await),
                false => carried.because,
            };
            let carried = Carried { because: shown(&because), ..carried };
            info!(plan = %work.id, to = ?carried.to, because = %carried.because, "carried on");
            faults::point("told");
            happened(core, &work.id, Event::Carried(carried)).await?;
            faults::point("recorded");
            Ok(Duration::ZERO)
        }
        Outcome::Waits(because, again) => {
            happened(core, &work.id, Event::Carried(unchanged(stage, &because))).await?;
            Ok(again)
        }
        Outcome::Failing(why, again) => {
            let given_up = now() > work.plan.expires_at.plus_millis(GIVE_UP_MS);
            warn!(plan = %work.id, why = %shown(&why), given_up, "a plan of the controller's own is not done");
            let carried = match stage {
                Stage::Dispatched if given_up => {
                    Carried { to: CarriedTo::Failed, because: shown(&format!("given up: {why}")), link: None }
                }
                Stage::Dispatched => unchanged(stage, &format!("tried again: {why}")),
                _ => unchanged(stage, &format!("not known how it stands: {why}")),
            };
            let failing_ms = work.has_said_ms(&carried.because, now());
            happened(core, &work.id, Event::Carried(carried)).await?;
            Ok(again.unwrap_or_else(|| until_again(failing_ms)))
        }
    }
}

/// Proposes the rollout of what was merged, before the plan ends: whoever is killed in between does it again. In words, what there
/// is to do next.
async fn rolled_out(core: &Arc<Core>, work: &Work) -> String {
    let node = &work.plan.node;
    match rollouts::propose_merged(core, work.id.clone(), node.clone()).await {
        Ok(kept) => format!("to have it rolled out: dialtone approve {}", kept.rollout.id),
        Err(status) => {
            format!("no rollout is proposed: {}. Later: dialtone rollout propose {node}", status.message())
        }
    }
}

/// It is as far as it was, in these words.
fn unchanged(stage: Stage, because: &str) -> Carried {
    let to = if stage == Stage::Dispatched { CarriedTo::Begun } else { CarriedTo::Applied };
    Carried { to, because: shown(because), link: None }
}

/// The longer it has failed, the longer it is left alone: what is down for an hour is asked some 70 times, not 720.
fn until_again(failing_ms: Option<i64>) -> Duration {
    let failing = Duration::from_millis(failing_ms.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0));
    (failing / 4).clamp(AGAIN, AGAIN_AT_MOST)
}

async fn happened(core: &Arc<Core>, id: &PlanId, event: Event) -> Result<Stage, Status> {
    let (core, id) = (Arc::clone(core), id.clone());
    let kept = blocking(move || core.plans.happened(&id, &event, now())).await?;
    Ok(kept.life.record.stage)
}
