//! Carrying plans to their nodes, learning how they fared, and looking from outside whether they worked.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use common_evidence::collectors::actuator::Actuator;
use common_evidence::collectors::unit::Unit;
use common_model::{Diagnosis, NodeName, Timestamp};
use common_plan::{Carrier, Plan, PlanId, Record, Stage};
use controller_remedy::lifecycle::Event;
use controller_remedy::plan::is_met;
use proto::v1;
use tokio::time::{Instant, sleep_until};
use tonic::Status;
use tracing::{error, info, warn};

use crate::clock::now;
use crate::core::{Core, blocking};
use crate::diagnosis;
use crate::plans::{Kept, PlanError, reported, shown};
use crate::rollouts;

/// How often plans are looked through for what waits, has come in, or has expired.
const TICK: Duration = Duration::from_secs(1);
/// Between two looks from outside.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Of the time a node has left, what is kept for the answer to travel.
const MARGIN: Duration = Duration::from_secs(2);
/// How long one look waits for the node to read its sources again.
const REFRESH_MS: u32 = 5_000;

/// Looks after the plans that have not ended.
pub(crate) async fn keep(core: Arc<Core>) {
    let mut failing = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = core.stopping.cancelled() => return,
        }
        let ticked = blocking({
            let core = Arc::clone(&core);
            move || tick(&core)
        })
        .await;
        if let (Err(status), false) = (&ticked, failing) {
            error!(reason = status.message(), "plans are not carried on");
        }
        failing = ticked.is_err();
    }
}

fn tick(core: &Core) -> Result<(), PlanError> {
    for kept in core.plans.current()? {
        let record = &kept.life.record;
        let unknown_until = take_report(core, record)?;
        core.plans.happened(&record.id, &Event::Tick { unknown_until }, now())?;
        dispatch(core, &record.id)?;
    }
    Ok(())
}

/// Takes in what the actuator of a node has reported about its plans of which something is still to be heard.
pub(crate) fn take_reports(core: &Core, node: &NodeName) -> Result<(), PlanError> {
    for kept in core.plans.current()?.iter().filter(|kept| kept.life.record.node == *node) {
        take_report(core, &kept.life.record)?;
    }
    Ok(())
}

/// Takes in what a node reports about a plan; where its report does not know the plan, up to when the report is complete.
pub(crate) fn take_report(core: &Core, record: &Record) -> Result<Option<Timestamp>, PlanError> {
    let with_node = matches!(record.stage, Stage::Dispatched | Stage::Applied) || record.is_open_for_now();
    if !with_node || record.action.carrier() == Carrier::Controller {
        return Ok(None);
    }
    let node = core.present(&record.node)?;
    let Some(report) = node.one::<Actuator>("").known().and_then(|cited| cited.value.report.clone()) else {
        return Ok(None);
    };
    match report.entries.into_iter().find(|entry| entry.plan == record.id) {
        Some(entry) => {
            core.plans.happened(&record.id, &reported(entry), now())?;
            Ok(None)
        }
        None => Ok(node.agent.confirmed_at),
    }
}

/// Hands an approved plan to its node, unless a rollout says when its turn is. Plans of the controller's own are taken up by
/// [`crate::carry`].
pub(crate) fn dispatch(core: &Core, id: &PlanId) -> Result<Kept, PlanError> {
    let kept = core.plans.get(id)?;
    if kept.life.record.rollout.is_some() { Ok(kept) } else { hand_over(core, id) }
}

/// Hands an approved plan to its node, if the node's agent is there. What is handed over has been written down first.
pub(crate) fn hand_over(core: &Core, id: &PlanId) -> Result<Kept, PlanError> {
    let kept = core.plans.get(id)?;
    let record = &kept.life.record;
    if record.action.carrier() == Carrier::Controller {
        return Ok(kept);
    }
    let agent = core.live.agent(&record.node);
    let (Stage::Approved, Some(agent)) = (record.stage, agent) else { return Ok(kept) };
    if let Some(unit) = kept.bytes.decode()?.step.starts() {
        let run = core
            .present(&record.node)?
            .one::<Unit>(unit.as_str())
            .known()
            .and_then(|unit| unit.value.invocation.clone());
        core.plans.about_to_start(id, run)?;
    }
    let kept = core.plans.happened(id, &Event::Dispatched, now())?;
    if agent.act(act(&kept)) {
        info!(node = %kept.life.record.node, plan = %id, "handed a plan to the node");
        return Ok(kept);
    }
    warn!(node = %kept.life.record.node, plan = %id, "the agent's stream takes nothing more; tried again");
    core.plans.happened(id, &Event::NotSent, now())
}

fn act(kept: &Kept) -> v1::Act {
    let approvals =
        kept.life.record.approvals.iter().map(|given| v1::Approval {
            key: given.approval.key.to_string(),
            signature: given.approval.signature.clone(),
        });
    v1::Act { plan: kept.bytes.as_slice().to_vec(), approvals: approvals.collect() }
}

/// What an agent says of handing a plan to its actuator.
pub(crate) fn handed(core: &Core, node: &NodeName, message: v1::Handed) -> Result<(), Status> {
    if message.failed.is_empty() {
        return Ok(());
    }
    let id = own(core, node, &message.plan_id)?.life.record.id;
    core.plans.happened(&id, &Event::NotHanded { because: shown(&message.failed) }, now())?;
    Ok(())
}

/// The plan of this id, if it is for this node.
fn own(core: &Core, node: &NodeName, id: &str) -> Result<Kept, Status> {
    let id: PlanId = id.parse().map_err(|_| Status::invalid_argument("no id of a plan"))?;
    let kept = core.plans.get(&id)?;
    if kept.life.record.node == *node {
        Ok(kept)
    } else {
        Err(Status::permission_denied(format!("plan {id} is not for {node}")))
    }
}

/// Looks from outside until the plan's goal is met or its node's time is nearly over. That the caller was reached over a
/// connection made after the act is half of the proof already.
pub(crate) async fn prove(
    core: &Arc<Core>,
    node: NodeName,
    from: IpAddr,
    request: v1::ProveRequest,
) -> Result<v1::ProveReply, Status> {
    let begun = Instant::now();
    let kept = blocking({
        let (core, id) = (Arc::clone(core), request.plan_id);
        move || own(&core, &node, &id)
    })
    .await?;
    let record = kept.life.record;
    if !matches!(record.stage, Stage::Dispatched | Stage::Applied) {
        let stage = controller_remedy::lifecycle::word(record.stage);
        return Err(Status::failed_precondition(format!("plan {} is {stage}", record.id)));
    }
    let plan = kept.bytes.decode().map_err(|error| Status::internal(error.to_string()))?;
    let on_node = plan.on_node().ok_or_else(|| Status::failed_precondition("it is not for a node to carry out"))?;
    let window = Duration::from_secs(u64::from(on_node.confirm_within_s));
    let left = Duration::from_millis(request.left_ms).min(window).saturating_sub(MARGIN);
    let run_before = kept.run_before;
    let (keep, because) = look(core, (&record.id, &plan, run_before.as_deref()), from, begun + left).await?;
    info!(plan = %record.id, keep, %because, "looked at a plan from outside");
    let core = Arc::clone(core);
    let event = Event::Looked { keep, because: because.clone() };
    let kept = blocking(move || core.plans.happened(&record.id, &event, now())).await?;
    Ok(v1::ProveReply { keep: kept.life.proven == Some(true), because })
}

/// Diagnoses the plan's endpoint until its goal is met, which is true, or it is the deadline; with what was seen last.
pub(crate) async fn look(
    core: &Arc<Core>,
    (id, plan, run_before): (&PlanId, &Plan, Option<&str>),
    node: IpAddr,
    deadline: Instant,
) -> Result<(bool, String), Status> {
    loop {
        let asked_at = now();
        let request = v1::DiagnoseRequest {
            endpoints: vec![plan.goal.endpoint.clone()],
            refresh_ms: REFRESH_MS,
            ..v1::DiagnoseRequest::default()
        };
        let (seen, is_last) = tokio::select! {
            seen = diagnosis::once(core, request, node) => (Some(seen?), Instant::now() + LOOK_AGAIN >= deadline),
            () = sleep_until(deadline) => (None, true),
            () = core.stopping.cancelled() => return Err(Status::unavailable("the controller is stopping")),
        };
        let Some(seen) = seen else {
            return Ok((false, "the node's time was over before it could be told".to_owned()));
        };
        let answers = seen.verdict.cause.as_str() == "healthy";
        let fresh = is_fresh(core, &plan.node, asked_at);
        let mut missing = None;
        match restarted(core, plan, run_before).await? {
            // What answers may be the engine as it was, unless there is news of the unit.
            Run::AsBefore => missing = Some("it has not been restarted yet".to_owned()),
            Run::Failed(why) if fresh => return Ok((false, why)),
            Run::Failed(why) => missing = Some(why),
            Run::New if !fresh && plan.step.restarts().is_some() => {
                missing = Some("its agent has not told of it yet".to_owned())
            }
            Run::New => {}
        }
        if missing.is_none() && is_met(plan, &seen) && (answers || fresh) {
            missing = rollouts::is_back(core, id).await?;
            if missing.is_none() {
                return Ok((true, said(&seen)));
            }
        }
        if is_last {
            return Ok((false, missing.unwrap_or_else(|| said(&seen))));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The run of the unit that a plan starts or restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Run {
    /// The one from before the plan, which restarts it.
    AsBefore,
    /// Another one, or whether it is does not matter.
    New,
    /// Another one, which has failed; how.
    Failed(String),
}

async fn restarted(core: &Arc<Core>, plan: &Plan, before: Option<&str>) -> Result<Run, Status> {
    let Some(unit) = plan.step.starts().cloned() else { return Ok(Run::New) };
    let restarts = plan.step.restarts().is_some();
    let (core, node, before) = (Arc::clone(core), plan.node.clone(), before.map(str::to_owned));
    blocking(move || {
        let present = core.present(&node)?.one::<Unit>(unit.as_str());
        let state = present.known().map(|cited| &cited.value);
        Ok::<_, PlanError>(run_of(state, before.as_deref(), restarts))
    })
    .await
}

/// By systemd's id of it, which a failed one keeps.
fn run_of(unit: Option<&Unit>, before: Option<&str>, restarts: bool) -> Run {
    let run = unit.and_then(|unit| unit.invocation.as_deref());
    match unit {
        _ if restarts && before.is_none() => Run::New,
        None if restarts => Run::AsBefore,
        _ if run == before && restarts => Run::AsBefore,
        Some(unit) if run.is_some() && run != before && unit.active_state == "failed" => {
            let verb = if restarts { "restarted" } else { "started" };
            Run::Failed(shown(&format!("{} was {verb} and failed ({})", unit.id, unit.result)))
        }
        _ => Run::New,
    }
}

/// Whether what is known of the node is as it was after this moment.
fn is_fresh(core: &Core, node: &NodeName, since: Timestamp) -> bool {
    let confirmed = core.live.agent(node).and_then(|agent| agent.state().confirmed_at);
    confirmed.is_some_and(|confirmed| confirmed >= since)
}

fn said(seen: &Diagnosis) -> String {
    shown(&seen.verdict.sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_run_that_has_failed_ends_the_waiting_and_the_old_one_does_not() {
        let unit = |run: &str, state: &str| Unit {
            id: "es.service".to_owned(),
            invocation: Some(run.to_owned()),
            active_state: state.to_owned(),
            result: "exit-code".to_owned(),
            ..Unit::default()
        };
        let of = |unit: &Unit, restarts: bool| run_of(Some(unit), Some("old"), restarts);
        let failed = |verb: &str| Run::Failed(format!("es.service was {verb} and failed (exit-code)"));
        assert_eq!(of(&unit("new", "failed"), false), failed("started"));
        assert_eq!(of(&unit("new", "failed"), true), failed("restarted"));
        // Why it is started.
        assert_eq!(of(&unit("old", "failed"), false), Run::New);
        assert_eq!(of(&unit("old", "active"), true), Run::AsBefore);
        assert_eq!(of(&unit("new", "active"), true), Run::New);
        assert_eq!(of(&unit("new", "activating"), false), Run::New);
        // One that never ran before, and a unit of which nothing is known.
        assert_eq!(run_of(Some(&unit("new", "failed")), None, false), failed("started"));
        assert_eq!((run_of(None, Some("old"), true), run_of(None, None, false)), (Run::AsBefore, Run::New));
    }
}
