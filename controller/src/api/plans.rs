//! What operators call about plans.

use std::sync::Arc;

use proto::v1;
use proto::v1::plans_server::Plans;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::core::Core;

/// The service.
pub(crate) struct PlansApi(pub(crate) Arc<Core>);

#[tonic::async_trait]
impl Plans for PlansApi {
    type WatchStream = ReceiverStream<Result<v1::PlanReply, Status>>;
    type ReadAuditStream = ReceiverStream<Result<v1::AuditLine, Status>>;

    async fn list(&self, _: Request<v1::ListPlansRequest>) -> Result<Response<v1::ListPlansReply>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn get(&self, _: Request<v1::PlanRequest>) -> Result<Response<v1::PlanReply>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn watch(&self, _: Request<v1::PlanRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn approve(&self, _: Request<v1::ApproveRequest>) -> Result<Response<v1::PlanReply>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn reject(&self, _: Request<v1::RejectRequest>) -> Result<Response<v1::PlanReply>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn revert(&self, _: Request<v1::PlanRequest>) -> Result<Response<v1::PlanReply>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn read_audit(&self, _: Request<v1::ReadAuditRequest>) -> Result<Response<Self::ReadAuditStream>, Status> {
        Err(Status::unimplemented("not yet"))
    }
}
