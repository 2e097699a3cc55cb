//! What the console asks of the controller: tasks that go on until they are aborted, and tell what they hear as events.

use std::time::Duration;

use common_model::{Change, IncidentId};
use common_plan::{Approval, PlanId, RolloutId};
use proto::v1;
use tokio::sync::mpsc::Sender;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tonic::{Code, Status};

use super::model::{Event, Sent, Subject};
use crate::commands::diagnose::{Asked, ask};
use crate::commands::incidents;
use crate::commands::inventory::{all, summaries};
use crate::commands::reach::reach;
use crate::exit::Failure;
use crate::plan::Fetched;
use crate::progress::Progress;
use crate::rollout::FetchedRollout;
use crate::session::Session;
use crate::terminal::now;

/// Between two looks at what the controller knows.
const REFRESH: Duration = Duration::from_secs(2);
/// Between two probes of every engine.
const PROBE: Duration = Duration::from_secs(20);
/// Before a broken stream of a plan is asked for again.
const RETRY: Duration = Duration::from_secs(2);
/// Changes shown: these many, of the last day.
const MAX_CHANGES: u32 = 200;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Tells incidents, plans and rollouts whenever one of them changes.
pub(super) async fn keep_board(mut session: Session, events: Sender<Event>) {
    let mut next = every(RETRY);
    loop {
        next.tick().await;
        match session.incidents.watch(v1::WatchIncidentsRequest {}).await {
            Ok(stream) => {
                let mut stream = stream.into_inner();
                while let Ok(Some(board)) = stream.message().await {
                    tell(&events, read_board(&board).unwrap_or_else(|failure| Event::Lost(said(&failure)))).await;
                }
            }
            Err(status) => tell(&events, Event::Lost(said(&session.failure(&status)))).await,
        }
    }
}

fn read_board(board: &v1::Board) -> Result<Event, Failure> {
    Ok(Event::Board(all(&board.incidents_json)?, all(&board.plans_json)?, all(&board.rollouts_json)?))
}

/// Gets an incident with its last diagnosis.
pub(super) async fn fetch(mut session: Session, id: IncidentId, events: Sender<Event>) {
    let report = incidents::get(&mut session, id).await.map(Box::new).map_err(|failure| said(&failure));
    tell(&events, Event::Incident(id, report)).await;
}

/// Has an endpoint diagnosed by the controller. What comes of it is on the board.
pub(super) async fn look(session: Session, endpoint: String, events: Sender<Event>) {
    let request = v1::DiagnoseRequest { endpoints: vec![endpoint.clone()], ..v1::DiagnoseRequest::default() };
    let asked = Asked { request, probe: None };
    let told = match ask(session.client.clone(), &Progress::silent(), asked).await {
        Ok(_) => format!("{endpoint} was looked at again"),
        Err(status) => said(&session.failure(&status)),
    };
    tell(&events, Event::Told(told)).await;
}

/// Ends an incident.
pub(super) async fn end(mut session: Session, id: IncidentId, because: String, events: Sender<Event>) {
    let request = v1::CloseIncidentRequest { incident_id: id.to_string(), because, anyway: false };
    let told = match session.incidents.close(request).await {
        Ok(_) => format!("incident {id} was ended"),
        // One line: what the controller says counts most.
        Err(status) => format!("not ended: {}", status.message()),
    };
    tell(&events, Event::Told(told)).await;
}

/// Asks for the other lists again and again.
pub(super) async fn keep_lists(mut session: Session, events: Sender<Event>) {
    let mut next = every(REFRESH);
    loop {
        next.tick().await;
        // One that is not to be had does not keep the others from being shown.
        let lists = [nodes(&mut session).await, changes(&mut session).await];
        for list in lists {
            tell(&events, list.unwrap_or_else(|failure| Event::Lost(said(&failure)))).await;
        }
    }
}

async fn nodes(session: &mut Session) -> Result<Event, Failure> {
    summaries(session).await.map(Event::Nodes)
}

async fn changes(session: &mut Session) -> Result<Event, Failure> {
    let since_ms = now().plus_millis(-DAY_MS).0;
    let request = v1::ListChangesRequest { node: String::new(), since_ms, limit: MAX_CHANGES };
    let reply = session.client.list_changes(request).await;
    let reply = reply.map_err(|status| session.failure(&status))?.into_inner();
    let mut changes: Vec<Change> = all(&reply.changes_json)?;
    changes.sort_by_key(|change| std::cmp::Reverse(change.at));
    Ok(Event::Changes(changes))
}

/// Probes every engine again and again. Of a controller that does not answer [`keep_lists`] tells.
pub(super) async fn keep_probing(session: Session, events: Sender<Event>) {
    let mut next = every(PROBE);
    loop {
        next.tick().await;
        if let Ok(reached) = reach(&session, &Progress::silent(), None).await {
            tell(&events, Event::Reached(reached)).await;
        }
    }
}

/// Tells a plan or rollout, and every step of its life until it has ended.
pub(super) async fn watch(mut session: Session, subject: Subject, events: Sender<Event>) {
    let mut next = every(RETRY);
    loop {
        next.tick().await;
        let told = match &subject {
            Subject::Plan(id) => watch_plan(&mut session, id, &subject, &events).await,
            Subject::Rollout(id) => watch_rollout(&mut session, id, &subject, &events).await,
        };
        match told {
            Ok(Ended::Itself) => return,
            Ok(Ended::Connection) => {}
            Err(status) => {
                let why = said(&session.failure(&status));
                tell(&events, Event::Sent(subject.clone(), Err(why))).await;
            }
        }
    }
}

/// Why nothing more is told.
enum Ended {
    Itself,
    Connection,
}

async fn watch_plan(
    session: &mut Session,
    id: &PlanId,
    subject: &Subject,
    events: &Sender<Event>,
) -> Result<Ended, Status> {
    let request = v1::PlanRequest { plan_id: id.to_string() };
    let mut stream = session.plans.watch(request).await?.into_inner();
    while let Ok(Some(reply)) = stream.message().await {
        let plan = Fetched::check(id, reply).map(Box::new).map(Sent::Plan);
        if tell_sent(subject, plan.map_err(Into::into), events).await {
            return Ok(Ended::Itself);
        }
    }
    Ok(Ended::Connection)
}

async fn watch_rollout(
    session: &mut Session,
    id: &RolloutId,
    subject: &Subject,
    events: &Sender<Event>,
) -> Result<Ended, Status> {
    let request = v1::RolloutRequest { rollout_id: id.to_string() };
    let mut stream = session.rollouts.watch(request).await?.into_inner();
    while let Ok(Some(reply)) = stream.message().await {
        let rollout = FetchedRollout::check(Some(id), reply).map(Box::new).map(Sent::Rollout);
        if tell_sent(subject, rollout.map_err(Into::into), events).await {
            return Ok(Ended::Itself);
        }
    }
    Ok(Ended::Connection)
}

/// Whether it has ended.
async fn tell_sent(subject: &Subject, sent: anyhow::Result<Sent>, events: &Sender<Event>) -> bool {
    let ended = sent.as_ref().is_ok_and(Sent::has_ended);
    tell(events, Event::Sent(subject.clone(), sent.map_err(|error| chain(&error)))).await;
    ended
}

/// What was signed, plan by plan.
pub(super) enum Signed {
    Plan(PlanId, Approval),
    Rollout(RolloutId, Vec<(PlanId, Approval)>),
}

/// Sends signatures.
pub(super) async fn send(
    mut session: Session,
    subject: Subject,
    signed: Result<Signed, String>,
    events: Sender<Event>,
) {
    let wire = |Approval { key, signature }| v1::Approval { key: key.to_string(), signature };
    let sent = match signed {
        Ok(Signed::Plan(id, approval)) => {
            let request = v1::ApproveRequest { plan_id: id.to_string(), approval: Some(wire(approval)) };
            session.plans.approve(request).await.map(drop).map_err(|status| refused(&session, &status))
        }
        Ok(Signed::Rollout(id, approvals)) => {
            let approvals = approvals
                .into_iter()
                .map(|(plan, approval)| v1::PlanApproval { plan_id: plan.to_string(), approval: Some(wire(approval)) });
            let request = v1::ApproveRolloutRequest { rollout_id: id.to_string(), approvals: approvals.collect() };
            session.rollouts.approve(request).await.map(drop).map_err(|status| refused(&session, &status))
        }
        Err(why) => Err(why),
    };
    tell(&events, Event::Signed(subject, sent)).await;
}

/// Says no for everybody. What comes of it is told by whoever watches.
pub(super) async fn reject(mut session: Session, subject: Subject, because: String, events: Sender<Event>) {
    let done = match &subject {
        Subject::Plan(id) => {
            let request = v1::RejectRequest { plan_id: id.to_string(), because };
            session.plans.reject(request).await.map(drop)
        }
        Subject::Rollout(id) => {
            let request = v1::RejectRolloutRequest { rollout_id: id.to_string(), because };
            session.rollouts.reject(request).await.map(drop)
        }
    };
    let told = match done {
        Ok(()) => format!("your no to {subject} was taken"),
        Err(status) => format!("your no was not taken: {}", refused(&session, &status)),
    };
    tell(&events, Event::Told(told)).await;
}

/// Why the controller did not do it. There is one line for it: what it says itself counts most.
fn refused(session: &Session, status: &Status) -> String {
    match status.code() {
        Code::FailedPrecondition | Code::PermissionDenied | Code::Aborted => status.message().to_owned(),
        _ => said(&session.failure(status)),
    }
}

/// The receiver is gone only when the console has ended, and this task with it.
async fn tell(events: &Sender<Event>, event: Event) {
    events.send(event).await.ok();
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

fn said(failure: &Failure) -> String {
    chain(&failure.error)
}

fn chain(error: &anyhow::Error) -> String {
    format!("{error:#}")
}
