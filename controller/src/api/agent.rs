//! What agents call.

use std::sync::Arc;

use proto::v1;
use proto::v1::agent_server::Agent;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::api::{peer_of, renew};
use crate::authority::node_of;
use crate::core::Core;
use crate::dispatch;
use crate::ingest;

/// Messages down that may wait for a slow agent.
const DOWN: usize = 64;

/// The service.
pub(crate) struct AgentApi(pub(crate) Arc<Core>);

#[tonic::async_trait]
impl Agent for AgentApi {
    type ConnectStream = ReceiverStream<Result<v1::ControllerMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<v1::AgentMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let peer = peer_of(&request)?;
        let node = node_of(&peer.peer.identity).cloned();
        let node = node.ok_or_else(|| Status::permission_denied("only nodes send evidence"))?;
        let (down, stream) = mpsc::channel(DOWN);
        tokio::spawn(ingest::run(Arc::clone(&self.0), peer, node, request.into_inner(), down));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn renew_node(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::CertificateReply>, Status> {
        renew(&self.0, request).await.map(Response::new)
    }

    async fn prove(&self, request: Request<v1::ProveRequest>) -> Result<Response<v1::ProveReply>, Status> {
        let peer = peer_of(&request)?;
        let node = node_of(&peer.peer.identity).cloned();
        let node = node.ok_or_else(|| Status::permission_denied("only nodes ask for proof"))?;
        let entry = self.0.live.enter(&peer.peer.serial);
        tokio::select! {
            proven = dispatch::prove(&self.0, node, peer.remote.ip().to_canonical(), request.into_inner()) => proven.map(Response::new),
            () = entry.cut.cancelled() => Err(Status::cancelled("the call was cut")),
        }
    }
}
