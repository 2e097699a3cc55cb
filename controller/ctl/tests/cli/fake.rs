//! A controller that serves plans as a test wants them, over the same mutual TLS as a real one; and one that lies.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common_model::incident::{Closing, Happening, IncidentVerdict, What};
use common_model::inventory::NodeSummary;
use common_model::{Certainty, Change, Incident, IncidentId, Symptom, Timestamp};
use common_plan::audit::{AuditEntry, link};
use common_plan::{
    Approval, Approved, CarriedOutBy, Goal, OnNode, Plan, PlanBytes, Record, SCHEMA, Stage, Step, Sysctl, SysctlSet,
    Transition, Why,
};
use common_tls::ca::Ca;
use common_tls::keys::NewKey;
use common_tls::server::{ServerTls, accept};
use common_tls::{Credentials, Identity, Role};
use proto::v1;
use proto::v1::incidents_server::{Incidents, IncidentsServer};
use proto::v1::operator_server::{Operator, OperatorServer};
use proto::v1::plans_server::{Plans, PlansServer};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::Iter;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::{Home, PATIENCE};

/// What the controller has, and what was asked of it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: PlanBytes,
    pub(crate) record: Record,
    /// Sent instead of the plan that is asked for.
    pub(crate) lie: Option<(PlanBytes, Record)>,
    /// How a plan ends once enough have approved it, and why; none: that is left to the test.
    pub(crate) ending: Option<(Stage, String)>,
    /// Signatures that came.
    pub(crate) approvals: Vec<Approval>,
    /// Reasons that were given.
    pub(crate) rejections: Vec<String>,
    pub(crate) audit: Vec<String>,
    pub(crate) incidents: Vec<Incident>,
    /// Words incidents were ended with.
    pub(crate) ended: Vec<(String, bool)>,
    pub(crate) nodes: Vec<NodeSummary>,
    pub(crate) changes: Vec<Change>,
}

/// It runs as long as the test's runtime.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) world: Arc<Mutex<World>>,
    /// Told of every step of the plan's life.
    steps: watch::Sender<()>,
    address: String,
    operator: Credentials,
}

pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(since.as_millis().try_into().unwrap())
}

/// Raises `vm.max_map_count` on es-1.
pub(crate) fn plan(sentence: &str) -> Plan {
    Plan {
        schema: SCHEMA.to_owned(),
        node: "es-1".parse().unwrap(),
        by: CarriedOutBy::Node(OnNode {
            session: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            epoch: 0,
            expires_boot_ms: 1_000_000,
            confirm_within_s: 120,
        }),
        made_at: now(),
        expires_at: now().plus_millis(900_000),
        step: Step::SysctlSet(SysctlSet {
            key: Sysctl::MaxMapCount,
            from: 65_530,
            to: 262_144,
            persist: None,
            start: None,
        }),
        why: Why { sentence: sentence.to_owned(), evidence: vec!["/proc/sys/vm/max_map_count: 65530".to_owned()] },
        goal: Goal { endpoint: "http://es-1:9200".to_owned(), cause: "bootstrap-check".parse().unwrap() },
        risk: "None known.".to_owned(),
        undo: "The old value.".to_owned(),
    }
}

pub(crate) fn record(plan: &Plan) -> Record {
    let proposed = Transition { stage: Stage::Proposed, at: plan.made_at, who: "controller".to_owned(), because: None };
    Record {
        id: plan.encode().unwrap().id(),
        node: plan.node.clone(),
        action: plan.step.action(),
        title: "Raise vm.max_map_count".to_owned(),
        goal: plan.goal.clone(),
        made_at: plan.made_at,
        expires_at: plan.expires_at,
        needed: 1,
        approvals: Vec::new(),
        could_approve: Vec::new(),
        stage: Stage::Proposed,
        history: vec![proposed],
        link: None,
        reverted_by: None,
        rollout: None,
        until: None,
        follow_up: None,
    }
}

fn audit_log() -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (seq, event) in (1..).zip(["login", "plan-proposed", "plan-approved"]) {
        let entry = AuditEntry {
            seq,
            at: Timestamp(0),
            actor: "operator alice".to_owned(),
            event: event.to_owned(),
            plan: None,
            detail: "\u{9b}2J".to_owned(),
            previous: link(lines.last().map(String::as_str)),
        };
        lines.push(serde_json::to_string(&entry).unwrap());
    }
    lines
}

impl Fake {
    /// With one plan, proposed for `sentence`.
    pub(crate) async fn start(sentence: &str) -> Self {
        let ca = Ca::create(now()).unwrap();
        let hour = Duration::from_secs(3600);
        let key = NewKey::generate().unwrap();
        let issued = ca.issue_controller(key.csr_der(), &["127.0.0.1".to_owned()], hour, now()).unwrap();
        let own = key.with_certificate(&issued.chain_pem, ca.certificate_pem()).unwrap();
        let key = NewKey::generate().unwrap();
        let alice = Identity::Operator { name: "alice".parse().unwrap(), role: Role::Approver };
        let issued = ca.issue_client(key.csr_der(), &alice, hour, now()).unwrap();
        let operator = key.with_certificate(&issued.chain_pem, ca.certificate_pem()).unwrap();

        let plan = plan(sentence);
        let world = World {
            plan: plan.encode().unwrap(),
            record: record(&plan),
            lie: None,
            ending: Some((Stage::Verified, "http://es-1:9200 answers".to_owned())),
            approvals: Vec::new(),
            rejections: Vec::new(),
            audit: audit_log(),
            incidents: Vec::new(),
            ended: Vec::new(),
            nodes: Vec::new(),
            changes: Vec::new(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let incoming = accept(listener, Arc::new(ServerTls::new(&own).unwrap()));
        let fake = Self { world: Arc::new(Mutex::new(world)), steps: watch::Sender::new(()), address, operator };
        let serving = Server::builder()
            .add_service(PlansServer::new(fake.clone()))
            .add_service(IncidentsServer::new(fake.clone()))
            .add_service(OperatorServer::new(fake.clone()));
        tokio::spawn(serving.serve_with_incoming(incoming.authenticated));
        fake
    }

    /// A home that is logged in as alice, an approver.
    pub(crate) fn home(&self) -> Home {
        let home = Home::new();
        let config = home.path().join(".config/dialtone");
        self.operator.save(&config.join(format!("{}_credentials", self.address.replace(':', "_")))).unwrap();
        std::fs::write(config.join("config.yaml"), format!("controller: {}\n", self.address)).unwrap();
        home
    }

    /// The same, with an approval key.
    pub(crate) async fn approver(&self) -> Home {
        let home = self.home();
        let ran = home.run(&["key"]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        home
    }

    pub(crate) fn id(&self) -> String {
        self.world.lock().unwrap().record.id.to_string()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.lock().unwrap());
    }

    pub(crate) fn approvals(&self) -> Vec<Approval> {
        self.world.lock().unwrap().approvals.clone()
    }

    /// Waits until the plan has ended.
    pub(crate) async fn ended(&self) {
        self.until(|world| world.record.stage.is_final()).await;
    }

    /// Waits until what was asked of it has made this true.
    pub(crate) async fn until(&self, wanted: impl Fn(&World) -> bool) {
        let mut steps = self.steps.subscribe();
        let wanted = steps.wait_for(|()| wanted(&self.world.lock().unwrap()));
        tokio::time::timeout(PATIENCE, wanted).await.unwrap().unwrap();
    }

    fn reply(&self, id: &str) -> Result<v1::PlanReply, Status> {
        let world = self.world.lock().unwrap();
        if id != world.record.id.as_str() {
            return Err(Status::not_found(format!("there is no plan {id}")));
        }
        let (plan, record) = world.lie.as_ref().map_or((&world.plan, &world.record), |(plan, record)| (plan, record));
        Ok(v1::PlanReply { plan: plan.as_slice().to_vec(), record_json: serde_json::to_vec(record).unwrap() })
    }

    /// The next step of the plan's life.
    pub(crate) fn advance(&self, stage: Stage, who: &str, because: Option<String>) {
        let transition = Transition { stage, at: now(), who: who.to_owned(), because };
        self.change(|world| {
            world.record.stage = stage;
            world.record.history.push(transition);
        });
        self.steps.send_replace(());
    }
}

type Replies<T> = Iter<std::vec::IntoIter<Result<T, Status>>>;

#[tonic::async_trait]
impl Plans for Fake {
    type WatchStream = ReceiverStream<Result<v1::PlanReply, Status>>;
    type ReadAuditStream = Replies<v1::AuditLine>;

    async fn list(&self, _: Request<v1::ListPlansRequest>) -> Result<Response<v1::ListPlansReply>, Status> {
        let record = serde_json::to_vec(&self.world.lock().unwrap().record).unwrap();
        Ok(Response::new(v1::ListPlansReply { records_json: vec![record] }))
    }

    async fn get(&self, request: Request<v1::PlanRequest>) -> Result<Response<v1::PlanReply>, Status> {
        self.reply(&request.get_ref().plan_id).map(Response::new)
    }

    async fn watch(&self, request: Request<v1::PlanRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let id = request.into_inner().plan_id;
        // From before the first look, so that no step is missed.
        let (fake, mut steps) = (self.clone(), self.steps.subscribe());
        let (replies, stream) = mpsc::channel(16);
        tokio::spawn(async move {
            loop {
                let ended = fake.world.lock().unwrap().record.stage.is_final();
                replies.send(fake.reply(&id)).await.ok()?;
                if ended {
                    return Some(());
                }
                steps.changed().await.ok()?;
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn approve(&self, request: Request<v1::ApproveRequest>) -> Result<Response<v1::PlanReply>, Status> {
        let v1::ApproveRequest { plan_id, approval } = request.into_inner();
        let sent = approval.unwrap();
        let approval = Approval { key: sent.key.parse().unwrap(), signature: sent.signature };
        let enough = {
            let mut world = self.world.lock().unwrap();
            world.approvals.push(approval.clone());
            let operator = "alice".to_owned();
            world.record.approvals.push(Approved { operator, at: now(), approval });
            world.record.approvals.len() >= usize::from(world.record.needed)
        };
        if enough {
            self.advance(Stage::Approved, "operator alice", None);
            let ending = self.world.lock().unwrap().ending.clone();
            if let Some((ending, because)) = ending {
                self.advance(Stage::Dispatched, "controller", None);
                self.advance(Stage::Applied, "node es-1", None);
                self.advance(ending, "controller", Some(because));
            }
        }
        self.reply(&plan_id).map(Response::new)
    }

    async fn reject(&self, request: Request<v1::RejectRequest>) -> Result<Response<v1::PlanReply>, Status> {
        let v1::RejectRequest { plan_id, because } = request.into_inner();
        self.world.lock().unwrap().rejections.push(because.clone());
        self.advance(Stage::Rejected, "operator alice", Some(because));
        self.reply(&plan_id).map(Response::new)
    }

    async fn revert(&self, _: Request<v1::PlanRequest>) -> Result<Response<v1::PlanReply>, Status> {
        let back = plan("taken back");
        let record_json = serde_json::to_vec(&record(&back)).unwrap();
        Ok(Response::new(v1::PlanReply { plan: back.encode().unwrap().as_slice().to_vec(), record_json }))
    }

    async fn limit(&self, request: Request<v1::LimitRequest>) -> Result<Response<v1::PlanReply>, Status> {
        let limited = plan(&format!("for {} s", request.get_ref().for_s));
        let record_json = serde_json::to_vec(&record(&limited)).unwrap();
        Ok(Response::new(v1::PlanReply { plan: limited.encode().unwrap().as_slice().to_vec(), record_json }))
    }

    async fn read_audit(
        &self,
        request: Request<v1::ReadAuditRequest>,
    ) -> Result<Response<Self::ReadAuditStream>, Status> {
        let from = usize::try_from(request.get_ref().from.saturating_sub(1)).unwrap();
        let lines = self.world.lock().unwrap().audit.clone();
        let lines: Vec<_> = lines.into_iter().skip(from).map(|line| Ok(v1::AuditLine { line })).collect();
        Ok(Response::new(tokio_stream::iter(lines)))
    }
}

#[tonic::async_trait]
impl Incidents for Fake {
    type WatchStream = ReceiverStream<Result<v1::Board, Status>>;

    async fn list(
        &self,
        request: Request<v1::ListIncidentsRequest>,
    ) -> Result<Response<v1::ListIncidentsReply>, Status> {
        let mut incidents = self.world.lock().unwrap().incidents.clone();
        incidents.retain(|incident| incident.is_open() || request.get_ref().ended);
        Ok(Response::new(v1::ListIncidentsReply { incidents_json: json(&incidents) }))
    }

    async fn get(&self, request: Request<v1::IncidentRequest>) -> Result<Response<v1::IncidentReply>, Status> {
        let id: IncidentId = request.get_ref().incident_id.parse().unwrap();
        let world = self.world.lock().unwrap();
        let incident = world.incidents.iter().find(|incident| incident.id == id);
        let incident = incident.ok_or_else(|| Status::not_found(format!("there is no incident {id}")))?;
        let incident_json = serde_json::to_vec(incident).unwrap();
        Ok(Response::new(v1::IncidentReply { incident_json, diagnosis_json: Vec::new() }))
    }

    async fn watch(&self, _: Request<v1::WatchIncidentsRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (fake, mut steps) = (self.clone(), self.steps.subscribe());
        let (boards, stream) = mpsc::channel(16);
        tokio::spawn(async move {
            loop {
                let board = {
                    let world = fake.world.lock().unwrap();
                    let plans_json = json(std::slice::from_ref(&world.record));
                    v1::Board { incidents_json: json(&world.incidents), plans_json, rollouts_json: Vec::new() }
                };
                if boards.send(Ok(board)).await.is_err() || steps.changed().await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn close(&self, request: Request<v1::CloseIncidentRequest>) -> Result<Response<v1::IncidentReply>, Status> {
        let v1::CloseIncidentRequest { incident_id, because, anyway } = request.into_inner();
        self.change(|world| {
            world.ended.push((because.clone(), anyway));
            let closing = Closing { at: now(), who: "operator alice".to_owned(), because };
            world.incidents.iter_mut().for_each(|incident| incident.closed = Some(closing.clone()));
        });
        self.steps.send_replace(());
        Incidents::get(self, Request::new(v1::IncidentRequest { incident_id })).await
    }
}

/// An endpoint of es-1 that refuses, for this reason.
pub(crate) fn incident(id: u64, sentence: &str) -> Incident {
    let opened =
        Happening { at: now(), who: "operator bob".to_owned(), what: What::Opened, sentence: sentence.to_owned() };
    Incident {
        id: IncidentId(id),
        endpoint: "http://es-1:9200".to_owned(),
        also: Vec::new(),
        addresses: Vec::new(),
        opened_at: now(),
        answered_before: None,
        symptom: Symptom::Refused,
        verdict: IncidentVerdict {
            cause: "bootstrap-check".parse().unwrap(),
            certainty: Certainty::Certain,
            node: Some("es-1".parse().unwrap()),
            sentence: sentence.to_owned(),
        },
        path: Vec::new(),
        judged_at: now(),
        answers_since: None,
        history: vec![opened],
        plans: Vec::new(),
        changes: Vec::new(),
        closed: None,
    }
}

/// Nothing but the lists; nothing can be probed.
#[tonic::async_trait]
impl Operator for Fake {
    type DiagnoseStream = Replies<v1::DiagnoseReply>;

    async fn diagnose(
        &self,
        _: Request<Streaming<v1::DiagnoseQuestion>>,
    ) -> Result<Response<Self::DiagnoseStream>, Status> {
        Err(Status::not_found("no engine is known"))
    }

    async fn list_nodes(&self, _: Request<v1::ListNodesRequest>) -> Result<Response<v1::ListNodesReply>, Status> {
        let nodes_json = json(&self.world.lock().unwrap().nodes);
        Ok(Response::new(v1::ListNodesReply { nodes_json }))
    }

    async fn list_changes(&self, _: Request<v1::ListChangesRequest>) -> Result<Response<v1::ListChangesReply>, Status> {
        let changes_json = json(&self.world.lock().unwrap().changes);
        Ok(Response::new(v1::ListChangesReply { changes_json }))
    }

    async fn get_node(&self, _: Request<v1::GetNodeRequest>) -> Result<Response<v1::GetNodeReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn preflight(&self, _: Request<v1::PreflightRequest>) -> Result<Response<v1::PreflightReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn create_join_token(
        &self,
        _: Request<v1::CreateJoinTokenRequest>,
    ) -> Result<Response<v1::TokenReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn add_operator(&self, _: Request<v1::AddOperatorRequest>) -> Result<Response<v1::AddOperatorReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn revoke(&self, _: Request<v1::RevokeRequest>) -> Result<Response<v1::RevokeReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn renew_operator(&self, _: Request<v1::RenewRequest>) -> Result<Response<v1::CertificateReply>, Status> {
        Err(Status::unimplemented(""))
    }
}

fn json<T: serde::Serialize>(items: &[T]) -> Vec<Vec<u8>> {
    items.iter().map(|item| serde_json::to_vec(item).unwrap()).collect()
}

/// The approval key of a home, as its public half.
pub(crate) fn key_file(home: &Path) -> std::path::PathBuf {
    home.join(".config/dialtone/approval.key")
}
