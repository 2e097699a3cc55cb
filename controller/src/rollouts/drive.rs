//! Doing what a rollout says is to be done, and telling it how that went. Remembers nothing: killed at any moment, what is stored
//! says what to do next, and all of it can be done again.

use std::sync::Arc;
use std::time::Duration;

use common_model::NodeName;
use common_model::preflight::Answer;
use common_model::text::printable_line;
use common_plan::rollout::{Calls, Health, Turn};
use common_plan::{PlanId, Record, Stage, Step};
use controller_diagnose::preflight;
use controller_remedy::lifecycle::{Event, word};
use controller_remedy::rollout::{Outcome, Todo, edited, todo};
use futures::future::join_all;
use tonic::Status;
use tracing::{error, info};

use super::cluster::{self, Cluster, Found};
use super::store::{KeptRollout, RolloutError};
use crate::clock::now;
use crate::core::{Core, blocking, chain};
use crate::dispatch;
use crate::engine_api::{ApiError, ClusterNode, EngineApi, Nodes};

/// How often is looked what is to be done.
const TICK: Duration = Duration::from_millis(500);
/// How long an agent has to read its sources again before its node is judged.
const REFRESH: Duration = Duration::from_secs(10);
/// How long an agent may be away when its node's turn has come.
const AGENT_PATIENCE_MS: i64 = 120_000;
/// A plan that was handed over and is in no report of its node's actuator, which is this much newer, never arrived.
const LOST_MS: i64 = 15_000;

/// Looks after the rollouts that have not ended.
pub(crate) async fn keep(core: Arc<Core>) {
    let mut failing = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = core.stopping.cancelled() => return,
        }
        let ticked = tokio::select! {
            ticked = tick(&core) => ticked,
            () = core.stopping.cancelled() => return,
        };
        if let (Err(status), false) = (&ticked, failing) {
            error!(reason = status.message(), "rollouts are not carried on");
        }
        failing = ticked.is_err();
    }
}

async fn tick(core: &Arc<Core>) -> Result<(), Status> {
    let open = blocking({
        let core = Arc::clone(core);
        move || core.rollouts.open()
    })
    .await?;
    // One whose cluster answers slowly does not keep the others.
    join_all(open.into_iter().map(|kept| advance(core, kept))).await.into_iter().collect()
}

/// Does what can be done without waiting.
async fn advance(core: &Arc<Core>, mut kept: KeptRollout) -> Result<(), Status> {
    loop {
        let doing = todo(&kept.rollout);
        let outcome = attempt(core, &kept, doing).await?;
        let tried = blocking({
            let core = Arc::clone(core);
            move || core.rollouts.tried(&kept, doing, outcome, now())
        })
        .await?;
        match tried {
            // The same as before but for what was said: it waits.
            Some(next) if todo(&next.rollout) != doing => kept = next,
            _ => return Ok(()),
        }
        if kept.rollout.stage.is_final() {
            info!(rollout = %kept.rollout.id, stage = ?kept.rollout.stage, "ended");
            return void_the_rest(core, kept).await;
        }
    }
}

/// The plans of nodes that were not reached are of no use any more.
pub(crate) async fn void_the_rest(core: &Arc<Core>, kept: KeptRollout) -> Result<(), Status> {
    let core = Arc::clone(core);
    blocking(move || {
        for turn in &kept.rollout.turns {
            let event = Event::Withdrawn { because: format!("rollout {} has ended", kept.rollout.id) };
            core.plans.happened(&turn.plan, &event, now())?;
        }
        Ok::<_, crate::plans::PlanError>(())
    })
    .await
}

async fn attempt(core: &Arc<Core>, kept: &KeptRollout, doing: Todo) -> Result<Outcome, Status> {
    let turn = |at: usize| kept.rollout.turns.get(at).cloned().ok_or_else(|| Status::internal("no such turn"));
    match doing {
        Todo::Nothing => Ok(Outcome::NotYet(String::new())),
        Todo::AwaitApproval => {
            let (core, kept) = (Arc::clone(core), kept.clone());
            blocking(move || approved(&core, &kept)).await
        }
        Todo::Check(at) => check(core, kept, turn(at)?).await,
        Todo::Restart(at) => {
            let (core, turn) = (Arc::clone(core), turn(at)?);
            blocking(move || restart(&core, &turn)).await
        }
        Todo::Hold(at) => {
            let (_, api) = ask(core, kept, Some(turn(at)?)).await?;
            Ok(called(api.hold().await, "only primaries are allocated"))
        }
        Todo::Flush(at) => {
            let (_, api) = ask(core, kept, Some(turn(at)?)).await?;
            Ok(match api.flush(kept.order.calls).await {
                Ok(()) => Outcome::Done("flushed".to_owned()),
                Err(error) => Outcome::Wrong(chain(&error)),
            })
        }
        Todo::Rejoin(at) => rejoin(core, kept, turn(at)?).await,
        Todo::Release(at) => {
            let (_, api) = ask(core, kept, Some(turn(at)?)).await?;
            Ok(called(api.release().await, "allocation is put back"))
        }
        Todo::Recover(at) => recover(core, kept, turn(at)?).await,
        Todo::PutBack => {
            let (_, api) = ask(core, kept, None).await?;
            Ok(called(api.release().await, "allocation is put back"))
        }
    }
}

fn called(result: Result<(), ApiError>, done: &str) -> Outcome {
    match result {
        Ok(()) => Outcome::Done(done.to_owned()),
        // Also where it would say the same again: a person can change that while it is tried.
        Err(error) => Outcome::NotYet(chain(&error)),
    }
}

/// What is known of the cluster's nodes, and its API; the node of this turn is asked last.
async fn ask(core: &Arc<Core>, kept: &KeptRollout, turn: Option<Turn>) -> Result<(Vec<Found>, EngineApi), Status> {
    let (core, rollout) = (Arc::clone(core), kept.rollout.clone());
    blocking(move || {
        let found = Cluster::of(&core, &rollout)?.members(&core)?;
        let api = cluster::api(&core, &rollout.cluster, &found, turn.as_ref().map(|turn| &turn.node));
        Ok::<_, Status>((found, api))
    })
    .await
}

/// Whether all plans are approved. Blocking.
fn approved(core: &Core, kept: &KeptRollout) -> Result<Outcome, Status> {
    let mut by: Vec<String> = Vec::new();
    let mut waiting = false;
    for turn in &kept.rollout.turns {
        let record = core.plans.get(&turn.plan)?.life.record;
        match record.stage {
            Stage::Approved => by.extend(record.approvals.iter().map(|given| given.operator.clone())),
            Stage::Proposed => waiting = true,
            Stage::Expired => return Ok(Outcome::Expired),
            stage => {
                let last = record.history.last().map(|last| last.who.clone()).unwrap_or_default();
                return Ok(Outcome::Rejected(format!("the plan for {} is {} by {last}", turn.node, word(stage))));
            }
        }
    }
    if waiting {
        return Ok(Outcome::NotYet("waits for approval".to_owned()));
    }
    by.sort();
    by.dedup();
    Ok(Outcome::Done(format!("approved by {}", by.join(", "))))
}

/// Would the node start again, and is the cluster well enough to do without it for a moment?
async fn check(core: &Arc<Core>, kept: &KeptRollout, turn: Turn) -> Result<Outcome, Status> {
    let Some(agent) = core.live.agent(&turn.node) else {
        return Ok(Outcome::NotYet(format!("the agent on {} is not heard from", turn.node)));
    };
    if !agent.refresh(REFRESH).await {
        return Ok(Outcome::NotYet(format!("the agent on {} has not read its sources again yet", turn.node)));
    }
    let (found, api) = ask(core, kept, Some(turn.clone())).await?;
    let Some(own) = found.iter().find(|found| found.node.name == turn.node) else {
        return Ok(Outcome::Wrong(format!("{} has no engine of this cluster any more", turn.node)));
    };
    let edits = blocking({
        let (core, plan) = (Arc::clone(core), turn.plan.clone());
        move || core.plans.get(&plan)?.bytes.decode().map_err(crate::plans::PlanError::from)
    });
    let edits = match edits.await?.step {
        Step::ConfigInstall(install) => install.edits,
        _ => Vec::new(),
    };
    let judged = preflight(&own.node, &edited(&own.engine, &edits), None, now());
    if judged.starts == Answer::No {
        return Ok(Outcome::Wrong(judged.sentence));
    }
    let would = match judged.starts {
        Answer::Yes => "it would start again".to_owned(),
        _ => judged.sentence,
    };
    if kept.order.calls == Calls::Nothing {
        return Ok(Outcome::Checked { said: would, health: None, run: None });
    }
    let seen = async { Ok::<_, ApiError>((api.health().await?, api.nodes().await?, api.allocation().await?)) };
    let (seen, nodes, allocation) = match seen.await {
        Ok(seen) => seen,
        Err(error) => return Ok(Outcome::NotYet(chain(&error))),
    };
    if let Some(value) = allocation {
        return Ok(Outcome::Wrong(format!("somebody has set shard allocation to {value}: put it back first")));
    }
    // Of any of them: to restart one while another is away may cost the cluster its majority.
    let mut turns = kept.rollout.turns.iter();
    if let Some(away) = turns.find(|turn| member_of(&nodes, &found, &turn.node).is_none()) {
        return Ok(Outcome::Wrong(format!("the cluster does not have {} right now", away.node)));
    }
    if seen.health.status == common_plan::rollout::Status::Red {
        return Ok(Outcome::Wrong("the cluster is red: a primary is missing".to_owned()));
    }
    if seen.moving > 0 {
        return Ok(Outcome::NotYet(format!("{} shards are on their way", seen.moving)));
    }
    let said = format!("{}; {would}", seen.health);
    let run = member_of(&nodes, &found, &turn.node).map(|member| member.run.clone());
    Ok(Outcome::Checked { said, health: Some(seen.health), run })
}

/// What the cluster has right now on a node.
fn member_of<'a>(nodes: &'a Nodes, found: &[Found], node: &NodeName) -> Option<&'a ClusterNode> {
    let own = found.iter().find(|found| found.node.name == *node)?;
    nodes.members.iter().find(|member| own.is(member))
}

/// Hands the node its plan where that was not done, and looks how it fares. Blocking.
fn restart(core: &Core, turn: &Turn) -> Result<Outcome, Status> {
    let kept = core.plans.get(&turn.plan)?;
    let record = &kept.life.record;
    let last = record.history.last();
    let because = last.and_then(|last| last.because.clone()).unwrap_or_default();
    Ok(match record.stage {
        Stage::Approved if now().millis_since(turn.since) > AGENT_PATIENCE_MS => {
            Outcome::Wrong(format!("the agent on {} was not there to take the plan; nothing was restarted", turn.node))
        }
        Stage::Approved => match dispatch::hand_over(core, &turn.plan)?.life.record.stage {
            Stage::Approved => Outcome::NotYet(format!("waits for the agent on {}", turn.node)),
            _ => Outcome::NotYet("handed to the node".to_owned()),
        },
        Stage::Dispatched => {
            let handed_at = last.map_or(record.made_at, |last| last.at);
            // Killed between writing it down and handing it over. A plan that is handed over twice acts once.
            if dispatch::take_report(core, record)?.is_some_and(|until| until.millis_since(handed_at) > LOST_MS) {
                core.plans.happened(&turn.plan, &Event::NotSent, now())?;
                return Ok(Outcome::NotYet("handed over again: the node does not know it".to_owned()));
            }
            Outcome::NotYet("the node carries it out".to_owned())
        }
        Stage::Applied => Outcome::NotYet("restarted; it is not up yet".to_owned()),
        Stage::Verified => Outcome::Done("restarted, and it answers".to_owned()),
        Stage::RolledBack => Outcome::Wrong(format!(
            "the node has undone its plan {}: {}",
            record.id,
            printable_line(&not_proven(record).unwrap_or(because))
        )),
        stage
        @ (Stage::Proposed | Stage::Rejected | Stage::Refused | Stage::Expired | Stage::Ended | Stage::Failed) => {
            let because = printable_line(&because);
            Outcome::Wrong(format!(
                "its plan {} is {}{}{because}",
                record.id,
                word(stage),
                if because.is_empty() { "" } else { ": " }
            ))
        }
    })
}

/// What the controller saw that was not what the plan promised; the node that undoes it only knows that it was not told to keep it.
fn not_proven(record: &Record) -> Option<String> {
    let mut looks = record.history.iter().rev().filter(|step| step.stage == Stage::Applied && step.who == "controller");
    looks.next()?.because.clone()
}

/// Whether the cluster has the node again, in a run of its own.
async fn rejoin(core: &Arc<Core>, kept: &KeptRollout, turn: Turn) -> Result<Outcome, Status> {
    let (found, api) = ask(core, kept, Some(turn.clone())).await?;
    let nodes = match api.nodes().await {
        Ok(nodes) => nodes,
        Err(error) => return Ok(Outcome::NotYet(chain(&error))),
    };
    Ok(match member_of(&nodes, &found, &turn.node) {
        Some(member) if Some(&member.run) != turn.run_before.as_ref() => {
            Outcome::Done(format!("back in the cluster as {}", member.name))
        }
        Some(_) => Outcome::NotYet("the cluster still has the run from before".to_owned()),
        None => Outcome::NotYet("the cluster does not have it yet".to_owned()),
    })
}

/// Whether the cluster is no worse than before this node's turn.
async fn recover(core: &Arc<Core>, kept: &KeptRollout, turn: Turn) -> Result<Outcome, Status> {
    let (_, api) = ask(core, kept, Some(turn.clone())).await?;
    let seen = match api.health().await {
        Ok(seen) => seen,
        Err(error) => return Ok(Outcome::NotYet(chain(&error))),
    };
    let Some(before) = turn.before else { return Ok(Outcome::Done(seen.health.to_string())) };
    Ok(match no_worse(before, seen.health) && seen.moving == 0 {
        true => Outcome::Done(format!("{}, no worse than before", seen.health)),
        false => Outcome::NotYet(format!("{}; before it was {before}", seen.health)),
    })
}

fn no_worse(before: Health, now: Health) -> bool {
    now.status >= before.status && now.nodes >= before.nodes
}

/// Whether the node of a plan is back in its cluster, where the plan belongs to a rollout that asks the cluster; else what is
/// missing. Part of the proof that a restart went well, so that a configuration with which a node starts and does not join is
/// taken back.
pub(crate) async fn is_back(core: &Arc<Core>, plan: &PlanId) -> Result<Option<String>, Status> {
    let kept = blocking({
        let (core, plan) = (Arc::clone(core), plan.clone());
        move || {
            let Some(id) = core.plans.get(&plan)?.life.record.rollout else { return Ok(None) };
            core.rollouts.get(&id).map(Some).or_else(|error| match error {
                RolloutError::Unknown(_) => Ok(None),
                other => Err(Status::from(other)),
            })
        }
    })
    .await?;
    let turn = kept.as_ref().and_then(|kept| kept.rollout.turns.iter().find(|turn| turn.plan == *plan).cloned());
    match (kept, turn) {
        (Some(kept), Some(turn)) if kept.order.calls != Calls::Nothing => match rejoin(core, &kept, turn).await? {
            Outcome::NotYet(why) => Ok(Some(why)),
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use common_plan::rollout::Status::{Green, Red, Yellow};

    use super::*;

    #[test]
    fn a_cluster_is_worse_by_its_colour_or_by_a_node() {
        let health = |status, nodes| Health { status, nodes };
        assert!(no_worse(health(Yellow, 3), health(Green, 3)));
        assert!(no_worse(health(Green, 3), health(Green, 4)));
        assert!(!no_worse(health(Green, 3), health(Yellow, 3)));
        assert!(!no_worse(health(Yellow, 3), health(Red, 3)));
        assert!(!no_worse(health(Green, 3), health(Green, 2)));
    }
}
