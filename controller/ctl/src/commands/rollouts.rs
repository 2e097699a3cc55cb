//! `dialtone rollouts`, `rollout`, and what `approve` and `reject` do with a rollout's id.

use common_plan::rollout::{Rollout, RolloutId, RolloutStage};
use common_plan::{ApprovalKey, Record, Stage};
use proto::v1;

use super::approve::{Answer, ask};
use super::inventory::all as read_all;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::progress::Progress;
use crate::render::rollout::Extent;
use crate::render::{self, Page, Style};
use crate::rollout::{FetchedRollout, UntrueRollout};
use crate::session::Session;
use crate::terminal::Terminal;

/// Proposes one and shows it.
pub(crate) async fn propose(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    cluster: String,
    why: String,
) -> Result<Exit, Failure> {
    progress.say("the agents read their sources again, and the cluster is asked");
    let reply = session.rollouts.propose(v1::ProposeRolloutRequest { cluster, why }).await;
    let fetched = read(session, None, reply)?;
    progress.clear();
    output.print(&fetched, |terminal| {
        let mut page = render::rollout::page(&fetched, terminal, Extent::Screen);
        page.blank();
        page.whole(0, &format!("dialtone approve {}", fetched.rollout.id), Style::Command);
        page.to_text()
    })?;
    Ok(Exit::Done)
}

/// Lists them.
pub(crate) async fn list(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    all: bool,
) -> Result<Exit, Failure> {
    let reply = session.rollouts.list(v1::ListRolloutsRequest { ended: all }).await;
    let reply = reply.map_err(|status| session.failure(&status))?.into_inner();
    let rollouts: Vec<Rollout> = read_all(&reply.rollouts_json)?;
    let plans = session.plans.list(v1::ListPlansRequest { ended: false, prefix: String::new() }).await;
    let plans: Vec<Record> = read_all(&plans.map_err(|status| session.failure(&status))?.into_inner().records_json)?;
    progress.clear();
    output.print(&rollouts, |terminal| render::rollout::list(&rollouts, &plans, all, terminal))?;
    Ok(Exit::Done)
}

/// Shows one; `following` it until it has ended, where that is asked for.
pub(crate) async fn show(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    id: &RolloutId,
    following: bool,
) -> Result<Exit, Failure> {
    let fetched = get(session, id).await?;
    if following {
        let terminal = output.terminal_of_stderr();
        return follow(session, output, progress, fetched, &terminal).await;
    }
    progress.clear();
    output.print(&fetched, |terminal| render::rollout::page(&fetched, terminal, Extent::Whole).to_text())?;
    Ok(Exit::Done)
}

/// Approves every plan of one, once its reader has said so, and follows it.
pub(crate) async fn approve(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    key: &ApprovalKey,
    id: &RolloutId,
    yes: bool,
) -> Result<Exit, Failure> {
    let terminal = output.terminal_of_stderr();
    let fetched = get(session, id).await?;
    let mine = key.public().map_err(Failure::controller)?;
    let signed = |plan: &crate::plan::Fetched| plan.valid_approvals().any(|approved| approved.approval.key == mine);
    if fetched.rollout.stage.is_final() {
        let error = anyhow::anyhow!("rollout {id} has ended: dialtone rollout {id} says how");
        return Err(Failure::usage(error));
    }
    let waits = fetched.rollout.stage == RolloutStage::Proposed;
    if !waits || fetched.plans.iter().all(|plan| signed(plan) || plan.record.stage != Stage::Proposed) {
        progress.print("it is approved, or you have approved it already; nothing was sent\n");
        return follow(session, output, progress, fetched, &terminal).await;
    }
    progress.print(&render::rollout::page(&fetched, &terminal, Extent::Screen).to_text());
    if !yes {
        let details = render::rollout::page(&fetched, &terminal, Extent::Signed).to_text();
        let question = format!("Approve the restart of {} nodes with your key?", fetched.plans.len());
        match ask(question, details).await? {
            Answer::Yes => {}
            Answer::No => {
                progress.print("not approved; nothing was sent. dialtone reject says no for everybody.\n");
                return Ok(Exit::Undetermined);
            }
        }
    }
    let mut approvals = Vec::new();
    for plan in &fetched.plans {
        let signed = key.approve(&plan.bytes).map_err(Failure::controller)?;
        let approval = v1::Approval { key: signed.key.to_string(), signature: signed.signature };
        approvals.push(v1::PlanApproval { plan_id: plan.id().to_string(), approval: Some(approval) });
    }
    let request = v1::ApproveRolloutRequest { rollout_id: id.to_string(), approvals };
    let reply = session.rollouts.approve(request).await;
    let fetched = read(session, Some(id), reply)?;
    follow(session, output, progress, fetched, &terminal).await
}

/// Says no: to all of it, or to what is left.
pub(crate) async fn reject(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    id: &RolloutId,
    because: String,
) -> Result<Exit, Failure> {
    let reply = session.rollouts.reject(v1::RejectRolloutRequest { rollout_id: id.to_string(), because }).await;
    let fetched = read(session, Some(id), reply)?;
    progress.clear();
    output.print(&fetched, |terminal| render::rollout::outcome(&fetched.rollout, terminal).to_text())?;
    Ok(Exit::Done)
}

/// Tells everything that happens until it has ended or waits for somebody else, and then how it ended.
async fn follow(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    mut fetched: FetchedRollout,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let id = fetched.rollout.id.clone();
    let goes_on = format!("it goes on without this command; dialtone rollout {id} --follow takes it up again");
    let stream = session.rollouts.watch(v1::RolloutRequest { rollout_id: id.to_string() }).await;
    let mut stream = stream.map_err(|status| session.failure(&status).with_hint(goes_on.as_str()))?.into_inner();
    // It was proposed: that is what was approved.
    let mut told = 1;
    loop {
        for moment in fetched.rollout.history.iter().skip(told) {
            let mut page = Page::new(terminal);
            render::rollout::moment(&mut page, 0, moment, terminal);
            progress.print(&page.to_text());
        }
        told = told.max(fetched.rollout.history.len());
        if fetched.rollout.stage.is_final() || needs_others(&fetched) {
            break;
        }
        progress.say(&render::rollout::waiting(&fetched.rollout));
        let next = stream.message().await;
        let next = next.map_err(|status| session.failure(&status).with_hint(goes_on.as_str()))?;
        let Some(reply) = next else {
            let error = anyhow::anyhow!("the controller stopped telling before it had ended");
            return Err(Failure::controller(error).with_hint(goes_on));
        };
        fetched = FetchedRollout::check(Some(&id), reply).map_err(untrue)?;
    }
    progress.clear();
    output.print(&fetched, |terminal| render::rollout::outcome(&fetched.rollout, terminal).to_text())?;
    Ok(match fetched.rollout.stage {
        RolloutStage::Stopped | RolloutStage::Rejected | RolloutStage::Expired => Exit::Cause,
        RolloutStage::Proposed | RolloutStage::Running | RolloutStage::Stopping | RolloutStage::Done => Exit::Done,
    })
}

/// Whether it waits for another person.
fn needs_others(fetched: &FetchedRollout) -> bool {
    fetched.rollout.stage == RolloutStage::Proposed
        && fetched.plans.iter().any(|plan| plan.record.stage == Stage::Proposed)
}

async fn get(session: &mut Session, id: &RolloutId) -> Result<FetchedRollout, Failure> {
    let reply = session.rollouts.get(v1::RolloutRequest { rollout_id: id.to_string() }).await;
    read(session, Some(id), reply)
}

fn read(
    session: &Session,
    asked: Option<&RolloutId>,
    reply: Result<tonic::Response<v1::RolloutReply>, tonic::Status>,
) -> Result<FetchedRollout, Failure> {
    let reply = reply.map_err(|status| session.failure(&status))?.into_inner();
    FetchedRollout::check(asked, reply).map_err(untrue)
}

/// What an answer means that must not be acted upon.
fn untrue(error: UntrueRollout) -> Failure {
    match error {
        UntrueRollout::Plan(untrue) => super::plans::untrue(untrue),
        UntrueRollout::Words(_) => Failure::controller(error).with_hint("use a dialtone of the controller's version"),
        UntrueRollout::OtherBytes(_) | UntrueRollout::OtherPlans(_) => Failure::controller(error).with_hint(
            "somebody may be misusing the controller: tell whoever looks after it, and approve nothing until then",
        ),
    }
}
