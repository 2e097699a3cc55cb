//! What operators call about rolling restarts.

use std::sync::Arc;

use common_plan::{Approval, PlanId, RolloutId};
use controller_remedy::lifecycle::{Event, Impossible};
use proto::v1;
use proto::v1::rollouts_server::Rollouts;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tracing::info;

use super::operator_of;
use super::plans::reply as plan_reply;
use crate::access::unusable;
use crate::api::peer_of;
use crate::clock::now;
use crate::core::{Core, blocking};
use crate::plans::{PlanError, shown};
use crate::rollouts::{KeptRollout, propose};

/// The service.
pub(crate) struct RolloutsApi(pub(crate) Arc<Core>);

#[tonic::async_trait]
impl Rollouts for RolloutsApi {
    type WatchStream = ReceiverStream<Result<v1::RolloutReply, Status>>;

    async fn propose(&self, request: Request<v1::ProposeRolloutRequest>) -> Result<Response<v1::RolloutReply>, Status> {
        let operator = operator_of(&request)?;
        let v1::ProposeRolloutRequest { cluster, why } = request.into_inner();
        let kept = propose(&self.0, cluster, shown(&why), format!("operator {operator}")).await?;
        self.answer(kept).await
    }

    async fn list(&self, request: Request<v1::ListRolloutsRequest>) -> Result<Response<v1::ListRolloutsReply>, Status> {
        let (core, ended) = (Arc::clone(&self.0), request.into_inner().ended);
        let kept = blocking(move || if ended { core.rollouts.all() } else { core.rollouts.open() }).await?;
        let rollouts_json = kept.iter().map(json).collect::<Result<_, Status>>()?;
        Ok(Response::new(v1::ListRolloutsReply { rollouts_json }))
    }

    async fn get(&self, request: Request<v1::RolloutRequest>) -> Result<Response<v1::RolloutReply>, Status> {
        let id = parse(&request.into_inner().rollout_id)?;
        let kept = self.kept(id).await?;
        self.answer(kept).await
    }

    async fn watch(&self, request: Request<v1::RolloutRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let peer = peer_of(&request)?;
        let id = parse(&request.into_inner().rollout_id)?;
        // From before the first look, so that no step is missed.
        let (mut changes, mut plan_changes) = (self.0.rollouts.changes(), self.0.plans.changes());
        let mut last = full(&self.0, self.kept(id.clone()).await?).await?;
        let (replies, stream) = mpsc::channel(16);
        let core = Arc::clone(&self.0);
        let entry = self.0.live.enter(&peer.peer.serial);
        tokio::spawn(async move {
            let following = async {
                replies.send(Ok(last.1.clone())).await.ok()?;
                while !last.0.rollout.stage.is_final() {
                    tokio::select! {
                        changed = changes.changed() => changed.ok()?,
                        changed = plan_changes.changed() => changed.ok()?,
                    }
                    let again = {
                        let (core, id) = (Arc::clone(&core), id.clone());
                        blocking(move || core.rollouts.get(&id)).await
                    };
                    let again = match again {
                        Ok(kept) => full(&core, kept).await,
                        Err(status) => Err(status),
                    };
                    match again {
                        Ok(now) if now == last => {}
                        Ok(now) => {
                            replies.send(Ok(now.1.clone())).await.ok()?;
                            last = now;
                        }
                        Err(status) => return replies.send(Err(status)).await.ok(),
                    }
                }
                Some(())
            };
            let ended = tokio::select! {
                _ = following => return,
                () = entry.cut.cancelled() => unusable(&peer, &core.revoked)
                    .unwrap_or_else(|| Status::cancelled("the call was cut")),
                () = core.stopping.cancelled() => Status::unavailable("the controller is stopping"),
                () = replies.closed() => return,
            };
            // The caller may be gone; then nobody needs the reason.
            drop(replies.try_send(Err(ended)));
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn approve(&self, request: Request<v1::ApproveRolloutRequest>) -> Result<Response<v1::RolloutReply>, Status> {
        let operator = operator_of(&request)?;
        let v1::ApproveRolloutRequest { rollout_id, approvals } = request.into_inner();
        let id = parse(&rollout_id)?;
        let approvals = approvals.into_iter().map(read).collect::<Result<Vec<_>, Status>>()?;
        let core = Arc::clone(&self.0);
        let kept = blocking(move || {
            let kept = core.rollouts.get(&id)?;
            let missing = kept.rollout.turns.iter().find(|turn| !approvals.iter().any(|(plan, _)| *plan == turn.plan));
            if let Some(missing) = missing {
                return Err(Status::invalid_argument(format!("the plan for {} is not signed", missing.node)));
            }
            for turn in &kept.rollout.turns {
                let given = approvals.iter().filter(|(plan, _)| *plan == turn.plan);
                for (plan, approval) in given {
                    let event = Event::Approved { operator: operator.to_string(), approval: approval.clone() };
                    match core.plans.happened(plan, &event, now()) {
                        // The call was made twice, or the first was cut short.
                        Ok(_) | Err(PlanError::Impossible(Impossible::Twice(_))) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            info!(rollout = %id, %operator, "approved");
            Ok(core.rollouts.get(&id)?)
        })
        .await?;
        self.answer(kept).await
    }

    async fn reject(&self, request: Request<v1::RejectRolloutRequest>) -> Result<Response<v1::RolloutReply>, Status> {
        let operator = operator_of(&request)?;
        let v1::RejectRolloutRequest { rollout_id, because } = request.into_inner();
        let id = parse(&rollout_id)?;
        let core = Arc::clone(&self.0);
        let kept =
            blocking(move || core.rollouts.reject(&id, &format!("operator {operator}"), &because, now())).await?;
        if kept.rollout.stage.is_final() {
            crate::rollouts::void_the_rest(&self.0, kept.clone()).await?;
        }
        self.answer(kept).await
    }
}

impl RolloutsApi {
    async fn kept(&self, id: RolloutId) -> Result<KeptRollout, Status> {
        let core = Arc::clone(&self.0);
        blocking(move || core.rollouts.get(&id)).await
    }

    async fn answer(&self, kept: KeptRollout) -> Result<Response<v1::RolloutReply>, Status> {
        full(&self.0, kept).await.map(|(_, reply)| Response::new(reply))
    }
}

/// With its plans.
async fn full(core: &Arc<Core>, kept: KeptRollout) -> Result<(KeptRollout, v1::RolloutReply), Status> {
    let core = Arc::clone(core);
    blocking(move || {
        let plans = kept.rollout.turns.iter().map(|turn| plan_reply(&core, &core.plans.get(&turn.plan)?));
        let reply = v1::RolloutReply {
            order: kept.order.encode().map_err(|error| Status::internal(error.to_string()))?,
            rollout_json: json(&kept)?,
            plans: plans.collect::<Result<_, Status>>()?,
        };
        Ok::<_, Status>((kept, reply))
    })
    .await
}

fn json(kept: &KeptRollout) -> Result<Vec<u8>, Status> {
    serde_json::to_vec(&kept.rollout).map_err(|error| Status::internal(error.to_string()))
}

fn read(given: v1::PlanApproval) -> Result<(PlanId, Approval), Status> {
    let invalid = |error: &dyn std::fmt::Display| Status::invalid_argument(error.to_string());
    let v1::Approval { key, signature } = given.approval.unwrap_or_default();
    let plan = given.plan_id.parse().map_err(|error| invalid(&error))?;
    let key = key.parse().map_err(|error| invalid(&error))?;
    Ok((plan, Approval { key, signature }))
}

fn parse(id: &str) -> Result<RolloutId, Status> {
    id.parse().map_err(|_| {
        Status::invalid_argument("the id of a rollout is r and 16 hex digits: `dialtone rollouts` lists them")
    })
}
