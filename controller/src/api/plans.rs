//! What operators call about plans.

use std::sync::Arc;

use common_plan::{Approval, Carrier, PlanId, Stage};
use common_tls::OperatorName;
use controller_remedy::lifecycle::{Event, word};
use proto::v1;
use proto::v1::plans_server::Plans;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tracing::info;

use crate::access::unusable;
use crate::api::{operator_of, peer_of};
use crate::audit::Note;
use crate::clock::now;
use crate::core::{Core, blocking};
use crate::dispatch::dispatch;
use crate::plans::{Kept, PlanError, shown};

/// The service.
pub(crate) struct PlansApi(pub(crate) Arc<Core>);

#[tonic::async_trait]
impl Plans for PlansApi {
    type WatchStream = ReceiverStream<Result<v1::PlanReply, Status>>;
    type ReadAuditStream = ReceiverStream<Result<v1::AuditLine, Status>>;

    async fn list(&self, request: Request<v1::ListPlansRequest>) -> Result<Response<v1::ListPlansReply>, Status> {
        let (core, v1::ListPlansRequest { ended, prefix }) = (Arc::clone(&self.0), request.into_inner());
        let records_json = blocking(move || {
            let plans = match (prefix.as_str(), ended) {
                ("", true) => core.plans.all(),
                ("", false) => core.plans.current(),
                (prefix, _) => core.plans.beginning_with(prefix),
            };
            plans?.iter().map(|kept| record_json(&core, kept)).collect::<Result<_, Status>>()
        });
        Ok(Response::new(v1::ListPlansReply { records_json: records_json.await? }))
    }

    async fn get(&self, request: Request<v1::PlanRequest>) -> Result<Response<v1::PlanReply>, Status> {
        let id = parse(&request.into_inner().plan_id)?;
        let kept = self.get_plan(id).await?;
        self.answer(kept).await.map(Response::new)
    }

    async fn watch(&self, request: Request<v1::PlanRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let peer = peer_of(&request)?;
        let id = parse(&request.into_inner().plan_id)?;
        // From before the first look, so that no step is missed.
        let mut changes = self.0.plans.changes();
        let mut last = self.get_plan(id.clone()).await?;
        let (replies, stream) = mpsc::channel(16);
        let api = Self(Arc::clone(&self.0));
        let entry = self.0.live.enter(&peer.peer.serial);
        tokio::spawn(async move {
            let following = async {
                replies.send(api.answer(last.clone()).await).await.ok()?;
                while !last.life.record.is_over() {
                    changes.changed().await.ok()?;
                    match api.get_plan(id.clone()).await {
                        Ok(kept) if kept == last => {}
                        Ok(kept) => {
                            last = kept;
                            replies.send(api.answer(last.clone()).await).await.ok()?;
                        }
                        Err(status) => return replies.send(Err(status)).await.ok(),
                    }
                }
                Some(())
            };
            let ended = tokio::select! {
                _ = following => return,
                () = entry.cut.cancelled() => unusable(&peer, &api.0.revoked)
                    .unwrap_or_else(|| Status::cancelled("the call was cut")),
                () = api.0.stopping.cancelled() => Status::unavailable("the controller is stopping"),
                () = replies.closed() => return,
            };
            // The caller may be gone; then nobody needs the reason.
            drop(replies.try_send(Err(ended)));
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn approve(&self, request: Request<v1::ApproveRequest>) -> Result<Response<v1::PlanReply>, Status> {
        let operator = operator_of(&request)?;
        let v1::ApproveRequest { plan_id, approval } = request.into_inner();
        let (id, v1::Approval { key, signature }) = (parse(&plan_id)?, approval.unwrap_or_default());
        let key = key.parse().map_err(|error| Status::invalid_argument(format!("{error}")))?;
        let event = Event::Approved { operator: operator.to_string(), approval: Approval { key, signature } };
        let core = Arc::clone(&self.0);
        let kept = blocking(move || {
            hold_to_key(&core, &id, &operator, &event)?;
            let kept = core.plans.happened(&id, &event, now())?;
            info!(plan = %id, %operator, stage = word(kept.life.record.stage), "approved");
            Ok::<_, Status>(dispatch(&core, &id)?)
        })
        .await?;
        self.answer(kept).await.map(Response::new)
    }

    async fn reject(&self, request: Request<v1::RejectRequest>) -> Result<Response<v1::PlanReply>, Status> {
        let operator = operator_of(&request)?;
        let v1::RejectRequest { plan_id, because } = request.into_inner();
        let id = parse(&plan_id)?;
        let event = Event::Rejected { operator: operator.to_string(), because: shown(&because) };
        let core = Arc::clone(&self.0);
        let kept = blocking(move || core.plans.happened(&id, &event, now())).await?;
        self.answer(kept).await.map(Response::new)
    }

    async fn revert(&self, request: Request<v1::PlanRequest>) -> Result<Response<v1::PlanReply>, Status> {
        let operator = operator_of(&request)?;
        let id = parse(&request.into_inner().plan_id)?;
        let core = Arc::clone(&self.0);
        let kept = blocking(move || propose_inverse(&core, &id, operator.as_str())).await?;
        self.answer(kept).await.map(Response::new)
    }

    async fn limit(&self, request: Request<v1::LimitRequest>) -> Result<Response<v1::PlanReply>, Status> {
        let operator = operator_of(&request)?;
        let v1::LimitRequest { plan_id, for_s } = request.into_inner();
        let id = parse(&plan_id)?;
        let core = Arc::clone(&self.0);
        let kept = blocking(move || propose_limited(&core, &id, for_s, operator.as_str())).await?;
        self.answer(kept).await.map(Response::new)
    }

    async fn read_audit(
        &self,
        request: Request<v1::ReadAuditRequest>,
    ) -> Result<Response<Self::ReadAuditStream>, Status> {
        let mut from = request.into_inner().from.max(1);
        let (lines, stream) = mpsc::channel(64);
        let core = Arc::clone(&self.0);
        tokio::spawn(async move {
            loop {
                let page = blocking({
                    let core = Arc::clone(&core);
                    move || core.audit.read(from).map_err(PlanError::from)
                });
                match page.await {
                    Ok(page) if page.is_empty() => return,
                    Ok(page) => {
                        for (seq, line) in page {
                            from = seq + 1;
                            if lines.send(Ok(v1::AuditLine { line })).await.is_err() {
                                return;
                            }
                        }
                    }
                    // Who no longer listens needs no reason.
                    Err(status) => return drop(lines.send(Err(status)).await),
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

impl PlansApi {
    async fn get_plan(&self, id: PlanId) -> Result<Kept, Status> {
        let core = Arc::clone(&self.0);
        blocking(move || core.plans.get(&id)).await
    }

    async fn answer(&self, kept: Kept) -> Result<v1::PlanReply, Status> {
        let core = Arc::clone(&self.0);
        blocking(move || reply(&core, &kept)).await
    }
}

/// A node knows its approvers' keys by its own policy. For what the controller carries out itself, an operator is held to the key
/// seen first; only a signature that holds counts as seen.
fn hold_to_key(core: &Core, id: &PlanId, operator: &OperatorName, event: &Event) -> Result<(), Status> {
    let kept = core.plans.get(id)?;
    match event {
        Event::Approved { approval, .. }
            if kept.life.record.action.carrier() == Carrier::Controller && approval.holds_for(&kept.bytes) =>
        {
            core.registry.hold_to_key(operator, &approval.key).map_err(|refused| {
                let (actor, detail) = (format!("operator {operator}"), refused.to_string());
                let note = Note { actor, event: "approval-refused", plan: Some(id.clone()), detail };
                core.audit.note(&note, now());
                refused.into()
            })
        }
        _ => Ok(()),
    }
}

/// Proposes a plan that takes a verified one back.
fn propose_inverse(core: &Core, id: &PlanId, operator: &str) -> Result<Kept, Status> {
    let kept = core.plans.get(id)?;
    let stage = kept.life.record.stage;
    if stage != Stage::Verified {
        let why = format!("plan {id} is {}: only a verified one can be taken back", word(stage));
        return Err(Status::failed_precondition(why));
    }
    let plan = kept.bytes.decode().map_err(|error| Status::internal(error.to_string()))?;
    let node = core.present(&plan.node)?;
    let inverse = match plan.step.action().carrier() {
        Carrier::Node => controller_remedy::plan::inverse(id, &plan, &node, &core.config.plans, now()),
        Carrier::Controller => core.means().inverse(id, &plan, &node, now()),
    };
    let (inverse, needed) = inverse.map_err(Status::failed_precondition)?;
    let title = format!("Take back: {}", kept.life.record.title);
    let by = core.plans.propose(&inverse, needed, &title, Some(operator), now())?;
    let by = by.ok_or_else(|| Status::internal("the plan that takes it back cannot be written"))?;
    core.plans.reverted_by(id, &by, &format!("operator {operator}"), now())?;
    Ok(core.plans.get(&by)?)
}

/// Proposes what a proposed plan does for a limited time. The other can still be approved.
fn propose_limited(core: &Core, id: &PlanId, for_s: u32, operator: &str) -> Result<Kept, Status> {
    let kept = core.plans.get(id)?;
    let stage = kept.life.record.stage;
    if stage != Stage::Proposed {
        return Err(Status::failed_precondition(format!(
            "plan {id} is {}: only a proposed one is changed",
            word(stage)
        )));
    }
    let plan = kept.bytes.decode().map_err(|error| Status::internal(error.to_string()))?;
    let limited = controller_remedy::plan::limited(&plan, for_s, &core.present(&plan.node)?, &core.config.plans, now());
    let (limited, needed) = limited.map_err(Status::failed_precondition)?;
    let title = format!("{}, for a limited time", kept.life.record.title);
    let new = core.plans.propose(&limited, needed, &title, Some(operator), now())?;
    let new = new.ok_or_else(|| Status::internal("the plan for a limited time cannot be written"))?;
    Ok(core.plans.get(&new)?)
}

fn parse(id: &str) -> Result<PlanId, Status> {
    id.parse().map_err(|_| Status::invalid_argument("the id of a plan is 16 hex digits: `dialtone plans` lists them"))
}

fn record_json(core: &Core, kept: &Kept) -> Result<Vec<u8>, Status> {
    serde_json::to_vec(&core.told(kept)?).map_err(|error| Status::internal(error.to_string()))
}

/// Blocking.
pub(super) fn reply(core: &Core, kept: &Kept) -> Result<v1::PlanReply, Status> {
    Ok(v1::PlanReply { plan: kept.bytes.as_slice().to_vec(), record_json: record_json(core, kept)? })
}
