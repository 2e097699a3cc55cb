//! A controller that does what it is told: with the CA's key of a real one, on its address, over its protocol. It keeps to none
//! of its rules.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common_model::NodeName;
use common_plan::{Approval, PlanBytes, PlanId, Record};
use common_tls::Identity;
use common_tls::server::{PeerInfo, ServerTls, accept};
use proto::v1;
use proto::v1::agent_message::Message as Up;
use proto::v1::agent_server::{Agent, AgentServer};
use proto::v1::controller_message::Message as Down;
use proto::v1::plans_server::{Plans, PlansServer};
use tests_node::until;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use crate::authority::{ADDRESS, Authority};

/// What it answers when an agent asks whether a plan has worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Keep it.
    Keep,
    /// Undo it.
    Undo,
    /// Nothing, for as long as it is asked.
    Nothing,
}

/// It runs until it is dropped.
pub(crate) struct Scripted {
    world: Arc<World>,
    _runtime: Runtime,
}

/// Down to an agent.
type Stream = mpsc::Sender<Result<v1::ControllerMessage, Status>>;

#[derive(Default)]
struct World {
    agents: Mutex<BTreeMap<NodeName, Vec<Stream>>>,
    answer: Mutex<Option<Answer>>,
    asked: Mutex<Vec<String>>,
    shown: Mutex<Option<(PlanBytes, Record)>>,
    signed: Mutex<Vec<v1::Approval>>,
}

impl Scripted {
    /// On the address of the real one, in this thread's namespace.
    pub(crate) fn start(authority: &Authority) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let world = Arc::new(World::default());
        let tls = Arc::new(ServerTls::new(&authority.own()).unwrap());
        let listener = runtime.block_on(TcpListener::bind(ADDRESS)).unwrap();
        let served = Arc::clone(&world);
        runtime.spawn(async move {
            let incoming = accept(listener, tls);
            Server::builder()
                .add_service(AgentServer::new(Served(Arc::clone(&served))))
                .add_service(PlansServer::new(Served(served)))
                .serve_with_incoming(incoming.authenticated)
                .await
        });
        Self { world, _runtime: runtime }
    }

    /// Waits for the agent of a node.
    pub(crate) fn await_agent(&self, node: &NodeName) {
        until("the agent connects", || self.world.agents.lock().unwrap().contains_key(node));
    }

    /// Sends a plan to every agent that says it is this node.
    pub(crate) fn send(&self, node: &NodeName, act: v1::Act) {
        tell(self.streams(node).iter(), &Down::Act(act));
    }

    /// Sends a plan to the agent alone that said so last.
    pub(crate) fn send_to_newest(&self, node: &NodeName, act: v1::Act) {
        tell(self.streams(node).last().into_iter(), &Down::Act(act));
    }

    fn streams(&self, node: &NodeName) -> Vec<Stream> {
        self.world.agents.lock().unwrap().get(node).cloned().unwrap_or_default()
    }

    /// What agents are answered from now on.
    pub(crate) fn answer(&self, answer: Answer) {
        *self.world.answer.lock().unwrap() = Some(answer);
    }

    /// Whether an agent has asked about a plan.
    pub(crate) fn was_asked(&self, plan: &PlanId) -> bool {
        self.world.asked.lock().unwrap().iter().any(|asked| asked == plan.as_str())
    }

    /// What operators are shown, whichever plan they ask for.
    pub(crate) fn show(&self, plan: PlanBytes, record: Record) {
        *self.world.shown.lock().unwrap() = Some((plan, record));
    }

    /// Signatures that operators sent.
    pub(crate) fn signed(&self) -> usize {
        self.world.signed.lock().unwrap().len()
    }
}

fn tell<'a>(streams: impl Iterator<Item = &'a Stream>, message: &Down) {
    for stream in streams {
        let message = v1::ControllerMessage { message: Some(message.clone()) };
        // An agent that has gone meanwhile hears nothing.
        stream.blocking_send(Ok(message)).ok();
    }
}

/// A plan as it is sent.
pub(crate) fn act(bytes: &[u8], approvals: &[Approval]) -> v1::Act {
    let approvals =
        approvals.iter().map(|given| v1::Approval { key: given.key.to_string(), signature: given.signature.clone() });
    v1::Act { plan: bytes.to_vec(), approvals: approvals.collect() }
}

struct Served(Arc<World>);

#[tonic::async_trait]
impl Agent for Served {
    type ConnectStream = ReceiverStream<Result<v1::ControllerMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<v1::AgentMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let peer = request.extensions().get::<PeerInfo>().map(|peer| peer.peer.identity.clone());
        let Some(Identity::Node(node)) = peer else { return Err(Status::permission_denied("no node")) };
        let (down, stream) = mpsc::channel(64);
        let (world, mut up) = (Arc::clone(&self.0), request.into_inner());
        tokio::spawn(async move {
            let welcome = v1::Welcome { acked_seq: 0, clock_ms: agent_act::clock::now().0 };
            let welcome = v1::ControllerMessage { message: Some(Down::Welcome(welcome)) };
            down.send(Ok(welcome)).await.ok()?;
            world.agents.lock().unwrap().entry(node).or_default().push(down.clone());
            while let Ok(Some(message)) = up.message().await {
                match message.message? {
                    Up::Batch(batch) => {
                        let Some(seq) = batch.envelopes.last().map(|envelope| envelope.seq) else { continue };
                        let ack = v1::ControllerMessage { message: Some(Down::Ack(v1::Ack { seq })) };
                        down.send(Ok(ack)).await.ok()?;
                    }
                    Up::Handed(_) | Up::Hello(_) | Up::Heartbeat(_) | Up::Refreshed(_) => {}
                }
            }
            Some(())
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn renew_node(&self, _: Request<v1::RenewRequest>) -> Result<Response<v1::CertificateReply>, Status> {
        Err(Status::unavailable("not now"))
    }

    async fn prove(&self, request: Request<v1::ProveRequest>) -> Result<Response<v1::ProveReply>, Status> {
        self.0.asked.lock().unwrap().push(request.into_inner().plan_id);
        let answer = *self.0.answer.lock().unwrap();
        let keep = match answer {
            Some(Answer::Keep) => true,
            Some(Answer::Undo) | None => false,
            Some(Answer::Nothing) => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                false
            }
        };
        Ok(Response::new(v1::ProveReply { keep, because: "so it was told".to_owned() }))
    }
}

type Nothing<T> = tokio_stream::Empty<Result<T, Status>>;

#[tonic::async_trait]
impl Plans for Served {
    type WatchStream = Nothing<v1::PlanReply>;
    type ReadAuditStream = Nothing<v1::AuditLine>;

    async fn list(&self, _: Request<v1::ListPlansRequest>) -> Result<Response<v1::ListPlansReply>, Status> {
        let shown = self.0.shown.lock().unwrap();
        let records = shown.iter().map(|(_, record)| serde_json::to_vec(record).unwrap());
        Ok(Response::new(v1::ListPlansReply { records_json: records.collect() }))
    }

    async fn get(&self, _: Request<v1::PlanRequest>) -> Result<Response<v1::PlanReply>, Status> {
        self.reply()
    }

    async fn watch(&self, _: Request<v1::PlanRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }

    async fn approve(&self, request: Request<v1::ApproveRequest>) -> Result<Response<v1::PlanReply>, Status> {
        self.0.signed.lock().unwrap().extend(request.into_inner().approval);
        self.reply()
    }

    async fn reject(&self, _: Request<v1::RejectRequest>) -> Result<Response<v1::PlanReply>, Status> {
        self.reply()
    }

    async fn revert(&self, _: Request<v1::PlanRequest>) -> Result<Response<v1::PlanReply>, Status> {
        self.reply()
    }

    async fn read_audit(&self, _: Request<v1::ReadAuditRequest>) -> Result<Response<Self::ReadAuditStream>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }
}

impl Served {
    fn reply(&self) -> Result<Response<v1::PlanReply>, Status> {
        let shown = self.0.shown.lock().unwrap();
        let (plan, record) = shown.as_ref().ok_or_else(|| Status::not_found("there is none"))?;
        let record_json = serde_json::to_vec(record).unwrap();
        Ok(Response::new(v1::PlanReply { plan: plan.as_slice().to_vec(), record_json }))
    }
}
