//! The remedy loop, as far as it is the controller's: proposed, approved, handed over, proven from outside, and all of it written
//! down. The node's side is played by the test: its evidence, its agent, and what its actuator reports.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common_evidence::collectors::actuator::Actuator;
use common_evidence::collectors::policy::NodePolicy;
use common_model::{Diagnosis, Timestamp};
use common_plan::{Approval, ApprovalKey, Entry, Plan, PlanBytes, PlanId, Record, Stage, State};
use common_tls::Role;
use controller_correlate::testing::{AT, Node, engine};
use controller_store::{Batch, Order, Store, StoreError, Stored};
use proto::v1;
use proto::v1::agent_client::AgentClient;
use proto::v1::agent_message::Message as Up;
use proto::v1::diagnose_question::Message as Question;
use proto::v1::diagnose_reply::Message as Reply;
use proto::v1::plans_client::PlansClient;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::support::{Attended, FakeAgent, Lab, SOON, node, now, operator};

/// A node whose engine does not start for want of memory maps, and its people.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(crate) agent: Attended,
    /// Where clients were told to go; nothing listens there.
    pub(crate) port: u16,
    pub(crate) alice: ApprovalKey,
    pub(crate) bob: ApprovalKey,
}

pub(crate) fn key() -> ApprovalKey {
    let document = ring::signature::Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
    ApprovalKey::from_pkcs8(document.as_ref()).unwrap()
}

impl Scene {
    pub(crate) async fn start() -> Self {
        Self::in_lab(Lab::start().await, 1).await
    }

    pub(crate) async fn in_lab(lab: Lab, approvals: u8) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let agent = FakeAgent::connect(lab.channel(&node("es-1")).await).await.attend();
        let mut scene = Self { lab, agent, port, alice: key(), bob: key() };
        let policy = format!(
            "epoch: 3\napprovers:\n- {{name: alice, key: '{}'}}\n- {{name: bob, key: '{}'}}\nallow:\n  sysctl-set: \
             {{approvals: {approvals}, keys: {{vm.max_map_count: 65530..1048576}}}}\n  service: {{units: [elasticsearch.service]}}\n",
            scene.alice.public().unwrap(),
            scene.bob.public().unwrap()
        );
        let failed_at = AT.plus_millis(-480_000);
        let evidence = Node::bare()
            .engines(vec![engine()])
            .yml(&format!("cluster.name: es\nnetwork.host: 0.0.0.0\nhttp.port: {port}\n"), AT.plus_millis(-86_400_000))
            .nft(json!({"nftables": [{"metainfo": {"version": "1.0.6", "json_schema_version": 1}}]}))
            .sysctl("vm.max_map_count", "65530")
            .sysctl_files(&[("/usr/lib/sysctl.d/elasticsearch.conf", "vm.max_map_count=262144\n")])
            .listening(&[])
            .starting(failed_at.plus_millis(-5000))
            .stderr(failed_at.plus_millis(-200), "ERROR: [1] bootstrap checks failed. You must address the points described in the following [1] lines before starting Elasticsearch.")
            .stderr(failed_at.plus_millis(-100), "bootstrap check failure [1] of [1]: max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]")
            .failed(failed_at, 78)
            .json::<NodePolicy>("", &json!([{"path": "/etc/dialtone/policy.yaml", "text": policy}]));
        scene.agent.tell(evidence.evidence()).await;
        scene.report(&[]).await;
        scene
    }

    /// What the actuator writes.
    async fn report(&mut self, entries: &[Entry]) {
        let report = json!({
            "session": "0123456789abcdef0123456789abcdef", "booted_at": now().plus_millis(-3_600_000), "highest_epoch": 3,
            "entries": entries,
        });
        let file = json!([{"path": "/var/lib/dialtone-actuator/report.json", "text": report.to_string()}]);
        let evidence = Node::bare().json::<Actuator>("", &file);
        let envelope = evidence.evidence().last().unwrap().clone();
        self.agent.tell(&[envelope]).await;
    }

    pub(crate) async fn entry(&mut self, plan: &PlanId, state: State) {
        self.entry_until(plan, state, None).await;
    }

    async fn entry_until(&mut self, plan: &PlanId, state: State, until: Option<Timestamp>) {
        let entry = Entry {
            plan: plan.clone(),
            action: None,
            state,
            at: now(),
            because: Some("as the \u{1b}[2Jnode says".to_owned()),
            approvers: vec!["alice".to_owned()],
            until,
        };
        self.report(&[entry]).await;
    }

    pub(crate) async fn diagnose(&self, role: Role) -> Diagnosis {
        self.ask(&format!("127.0.0.1:{}", self.port), role).await
    }

    pub(crate) async fn ask(&self, endpoint: &str, role: Role) -> Diagnosis {
        let request = v1::DiagnoseRequest {
            endpoints: vec![endpoint.to_owned()],
            refresh_ms: 5_000,
            ..v1::DiagnoseRequest::default()
        };
        let question = v1::DiagnoseQuestion { message: Some(Question::Request(request)) };
        let mut client = self.lab.operator(role).await;
        let mut replies = client.diagnose(tokio_stream::iter([question])).await.unwrap().into_inner();
        while let Some(reply) = timeout(SOON, replies.message()).await.unwrap().unwrap() {
            if let Reply::DiagnosisJson(json) = reply.message.unwrap() {
                return serde_json::from_slice(&json).unwrap();
            }
        }
        panic!("no answer");
    }

    /// The plan that the diagnosis names.
    pub(crate) async fn propose(&self) -> PlanId {
        let diagnosis = self.diagnose(Role::Operator).await;
        assert_eq!(diagnosis.verdict.cause.as_str(), "bootstrap-check", "{:#?}", diagnosis.verdict);
        let named = diagnosis.remedies.iter().find_map(|remedy| remedy.plan_id.clone());
        named.unwrap_or_else(|| panic!("no plan: {:#?}", diagnosis.remedies)).parse().unwrap()
    }

    pub(crate) async fn plans(&self, name: &str, role: Role) -> PlansClient<Channel> {
        PlansClient::new(self.lab.channel(&operator(name, role)).await)
    }

    pub(crate) async fn get(&self, id: &PlanId) -> (PlanBytes, Record) {
        let request = v1::PlanRequest { plan_id: id.to_string() };
        of_reply(self.plans("viewer", Role::Viewer).await.get(request).await.unwrap().into_inner())
    }

    pub(crate) async fn sign(&self, id: &PlanId, key: &ApprovalKey) -> Approval {
        key.approve(&self.get(id).await.0).unwrap()
    }

    pub(crate) async fn approve_with(
        &self,
        name: &str,
        role: Role,
        id: &PlanId,
        approval: Approval,
    ) -> Result<Record, Status> {
        let approval = v1::Approval { key: approval.key.to_string(), signature: approval.signature };
        let request = v1::ApproveRequest { plan_id: id.to_string(), approval: Some(approval) };
        let reply = self.plans(name, role).await.approve(request).await?;
        Ok(of_reply(reply.into_inner()).1)
    }

    pub(crate) async fn approve(&self, id: &PlanId) -> Result<Record, Status> {
        self.approve_with("alice", Role::Approver, id, self.sign(id, &self.alice).await).await
    }

    /// Follows a plan until it is at a stage.
    pub(crate) async fn until(&self, id: &PlanId, stage: Stage) -> Record {
        let request = v1::PlanRequest { plan_id: id.to_string() };
        let mut replies = self.plans("viewer", Role::Viewer).await.watch(request).await.unwrap().into_inner();
        loop {
            let reply = timeout(SOON, replies.message()).await.expect("no step").unwrap();
            let (_, record) = of_reply(reply.unwrap_or_else(|| panic!("it ended before it was {stage:?}")));
            if record.stage == stage {
                return record;
            }
        }
    }

    /// The plan that came down the agent's stream.
    pub(crate) async fn handed(&mut self) -> v1::Act {
        timeout(SOON, self.agent.acts.recv()).await.expect("nothing was handed over").unwrap()
    }

    /// Asks as the agent of a node does, over a connection of its own.
    pub(crate) async fn prove(&self, who: &str, id: &PlanId, left_ms: u64) -> Result<v1::ProveReply, Status> {
        let request = v1::ProveRequest { plan_id: id.to_string(), left_ms };
        AgentClient::new(self.lab.channel(&node(who)).await).prove(request).await.map(tonic::Response::into_inner)
    }

    /// Every event in the audit log, which has to be one whole chain.
    pub(crate) async fn audited(&self) -> Vec<String> {
        let request = v1::ReadAuditRequest { from: 1 };
        let mut stream = self.plans("viewer", Role::Viewer).await.read_audit(request).await.unwrap().into_inner();
        let mut lines = Vec::new();
        while let Some(line) = timeout(SOON, stream.message()).await.unwrap().unwrap() {
            lines.push(line.line);
        }
        common_plan::audit::verify(lines.iter().map(String::as_str)).unwrap();
        let event = |line: &String| serde_json::from_str::<common_plan::audit::AuditEntry>(line).unwrap().event;
        lines.iter().map(event).collect()
    }
}

fn of_reply(reply: v1::PlanReply) -> (PlanBytes, Record) {
    (PlanBytes::new(reply.plan).unwrap(), serde_json::from_slice(&reply.record_json).unwrap())
}

/// An engine comes up on this port.
pub(crate) async fn come_up(port: u16) -> JoinHandle<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let body = r#"{"name":"es-1","cluster_name":"es","version":{"number":"7.17.28"},"tagline":"You Know, for Search"}"#;
            let head = format!(
                "HTTP/1.1 200 OK\r\nX-elastic-product: Elasticsearch\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            if stream.read(&mut request).await.is_ok() {
                stream.write_all(format!("{head}{body}").as_bytes()).await.ok();
            }
        }
    })
}

#[tokio::test]
async fn proposed_approved_carried_out_proven_and_written_down() {
    let mut scene = Scene::start().await;
    let id = scene.propose().await;
    assert_eq!(scene.propose().await, id, "the same fix was proposed twice");
    let (bytes, record) = scene.get(&id).await;
    let plan: Plan = bytes.decode().unwrap();
    assert_eq!((record.stage, record.needed, plan.node.as_str()), (Stage::Proposed, 1, "es-1"));

    let approved = scene.approve(&id).await.unwrap();
    assert_eq!(approved.stage, Stage::Dispatched);
    let act = scene.handed().await;
    assert_eq!(act.plan, bytes.as_slice());
    let approval =
        Approval { key: act.approvals[0].key.parse().unwrap(), signature: act.approvals[0].signature.clone() };
    assert!(approval.holds_for(&bytes));

    scene.entry(&id, State::Applied).await;
    scene.until(&id, Stage::Applied).await;
    come_up(scene.port).await;
    let proof = scene.prove("es-1", &id, 20_000).await.unwrap();
    assert!(proof.keep, "{proof:?}");
    scene.entry(&id, State::Persisted).await;
    let verified = scene.until(&id, Stage::Verified).await;
    assert!(verified.history.iter().all(|step| !step.because.clone().unwrap_or_default().contains('\u{1b}')));
    // What it was for is told of, too, whenever that is seen.
    let events = scene.audited().await.into_iter().filter(|event| !event.starts_with("incident-"));
    let told =
        ["plan-proposed", "plan-approved", "plan-dispatched", "plan-reported", "plan-looked-at", "plan-reported"];
    assert_eq!(events.collect::<Vec<_>>(), told);
}

#[tokio::test]
async fn what_was_opened_for_a_limited_time_is_listed_and_heard_of_until_its_node_has_shut_it() {
    let mut scene = Scene::start().await;
    let id = scene.propose().await;
    scene.approve(&id).await.unwrap();
    scene.handed().await;
    come_up(scene.port).await;
    assert!(scene.prove("es-1", &id, 20_000).await.unwrap().keep);
    let until = Some(now().plus_millis(7_200_000));
    scene.entry_until(&id, State::Persisted, until).await;
    let verified = scene.until(&id, Stage::Verified).await;
    assert_eq!(verified.until, until);
    let listed = async |scene: &Scene| {
        let request = v1::ListPlansRequest::default();
        let reply = scene.plans("viewer", Role::Viewer).await.list(request).await.unwrap();
        reply.into_inner().records_json.len()
    };
    assert_eq!(listed(&scene).await, 1);
    scene.entry_until(&id, State::Reverted, until).await;
    let ended = scene.until(&id, Stage::Ended).await;
    assert_eq!(ended.history.last().unwrap().who, "node es-1");
    assert_eq!(listed(&scene).await, 0);
    assert_eq!(scene.audited().await.iter().filter(|event| *event == "plan-reported").count(), 2);
}

#[tokio::test]
async fn what_is_not_proven_is_to_be_undone() {
    let mut scene = Scene::start().await;
    let id = scene.propose().await;
    scene.approve(&id).await.unwrap();
    scene.handed().await;
    assert_eq!(scene.prove("es-2", &id, 5_000).await.unwrap_err().code(), Code::PermissionDenied);
    let proof = scene.prove("es-1", &id, 3_000).await.unwrap();
    assert!(!proof.keep, "{proof:?}");
    scene.entry(&id, State::Reverted).await;
    let record = scene.until(&id, Stage::RolledBack).await;
    assert!(record.history.iter().any(|step| step.because.as_deref().unwrap_or_default().contains("not proven")));
    // What has ended stays so, and can be proposed anew.
    assert_eq!(scene.prove("es-1", &id, 3_000).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_ne!(scene.propose().await, id);
}

#[tokio::test]
async fn a_node_that_refuses_changes_nothing() {
    let mut scene = Scene::start().await;
    let id = scene.propose().await;
    scene.approve(&id).await.unwrap();
    scene.handed().await;
    scene.entry(&id, State::Refused).await;
    let record = scene.until(&id, Stage::Refused).await;
    let last = record.history.last().unwrap();
    assert_eq!((last.who.as_str(), last.because.as_deref().unwrap().contains("node says")), ("node es-1", true));
}

#[tokio::test]
async fn an_agent_without_an_actuator_says_so() {
    let mut scene = Scene::start().await;
    let id = scene.propose().await;
    scene.approve(&id).await.unwrap();
    scene.handed().await;
    let handed = v1::Handed { plan_id: id.to_string(), failed: "there is no actuator".to_owned() };
    scene.agent.say(Up::Handed(handed)).await;
    scene.until(&id, Stage::Failed).await;
}

#[tokio::test]
async fn a_rejected_plan_is_never_carried_out() {
    let scene = Scene::start().await;
    let id = scene.propose().await;
    let reject = v1::RejectRequest { plan_id: id.to_string(), because: "not now".to_owned() };
    let role = scene.plans("oscar", Role::Operator).await.reject(reject.clone()).await.unwrap_err();
    assert_eq!(role.code(), Code::PermissionDenied);
    scene.plans("bob", Role::Approver).await.reject(reject).await.unwrap();
    assert_eq!(scene.approve(&id).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(scene.get(&id).await.1.stage, Stage::Rejected);
    assert!(scene.audited().await.contains(&"plan-rejected".to_owned()));
}

#[tokio::test]
async fn only_approvers_approve_and_only_these_bytes() {
    let scene = Scene::start().await;
    let id = scene.propose().await;
    let mine = scene.sign(&id, &scene.alice).await;
    for role in [Role::Viewer, Role::Operator] {
        let refused = scene.approve_with("alice", role, &id, mine.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{role}");
    }
    let other = scene.alice.approve(&PlanBytes::new(b"another plan".to_vec()).unwrap()).unwrap();
    let refused = scene.approve_with("alice", Role::Approver, &id, other).await.unwrap_err();
    assert!(refused.message().contains("exactly this plan"), "{refused:?}");
    assert_eq!(scene.get(&id).await.1.stage, Stage::Proposed);
    assert!(scene.audited().await.contains(&"approval-refused".to_owned()));
}

#[tokio::test]
async fn two_persons_have_to_approve_where_the_node_wants_two() {
    let mut scene = Scene::in_lab(Lab::start().await, 2).await;
    let mut admin = scene.lab.operator(Role::Admin).await;
    // Of those whom the node lists, who may approve; dora may, and is not listed.
    for (operator, role) in [("alice", "approver"), ("bob", "admin"), ("dora", "approver")] {
        let request = v1::AddOperatorRequest { operator: operator.to_owned(), role: role.to_owned() };
        admin.add_operator(request).await.unwrap();
    }
    let id = scene.propose().await;
    assert_eq!(scene.get(&id).await.1.could_approve, ["alice", "bob"]);
    assert_eq!(scene.approve(&id).await.unwrap().stage, Stage::Proposed);
    assert_eq!(scene.get(&id).await.1.could_approve, ["bob"]);
    assert_eq!(scene.approve(&id).await.unwrap_err().code(), Code::FailedPrecondition);
    // Another name with the same key is the same person.
    let again = scene.sign(&id, &scene.alice).await;
    assert!(scene.approve_with("bob", Role::Approver, &id, again).await.is_err());
    let second = scene.sign(&id, &scene.bob).await;
    let record = scene.approve_with("bob", Role::Approver, &id, second).await.unwrap();
    assert_eq!(record.stage, Stage::Dispatched);
    assert!(record.could_approve.is_empty());
    assert_eq!(scene.handed().await.approvals.len(), 2);
}

#[tokio::test]
async fn a_plan_waits_for_its_agent() {
    let scene = Scene::start().await;
    let id = scene.propose().await;
    let Scene { lab, agent, port, alice, bob } = scene;
    agent.leave();
    let mut lister = lab.operator(Role::Viewer).await;
    let gone = async {
        loop {
            let nodes = lister.list_nodes(v1::ListNodesRequest {}).await.unwrap().into_inner().nodes_json;
            let nodes: Vec<serde_json::Value> =
                nodes.iter().map(|json| serde_json::from_slice(json).unwrap()).collect();
            if nodes.iter().all(|node| node["online"] == false) {
                return;
            }
        }
    };
    timeout(SOON, gone).await.expect("the agent is still there");
    let other = FakeAgent::connect(lab.channel(&node("es-2")).await).await.attend();
    let mut scene = Scene { lab, agent: other, port, alice, bob };
    assert_eq!(scene.approve(&id).await.unwrap().stage, Stage::Approved);
    scene.agent = FakeAgent::connect(scene.lab.channel(&node("es-1")).await).await.attend();
    scene.handed().await;
    assert_eq!(scene.get(&id).await.1.stage, Stage::Dispatched);
}

#[tokio::test]
async fn what_nobody_approves_in_time_expires() {
    let mut store = None;
    let lab = Lab::start_over(|opened| Arc::clone(store.insert(opened))).await;
    let (scene, store) = (Scene::in_lab(lab, 1).await, store.unwrap());
    let id = scene.propose().await;
    // Its time is over now.
    let key = format!("plan/{id}");
    let stored = store.get("plans", &key).unwrap().unwrap().value;
    let mut kept: serde_json::Value = serde_json::from_slice(&stored).unwrap();
    kept["life"]["record"]["expires_at"] = json!(now().plus_millis(-1));
    store.commit("plans", &Batch::default().put(key, kept.to_string())).unwrap();
    assert_eq!(scene.approve(&id).await.unwrap_err().code(), Code::FailedPrecondition);
    scene.until(&id, Stage::Expired).await;
    assert_ne!(scene.propose().await, id);
}

#[tokio::test]
async fn who_only_looks_proposes_nothing() {
    let scene = Scene::start().await;
    let seen = scene.diagnose(Role::Viewer).await;
    assert!(seen.remedies.iter().all(|remedy| remedy.plan_id.is_none()), "{:#?}", seen.remedies);
    let id = scene.propose().await;
    let seen = scene.diagnose(Role::Viewer).await;
    assert!(seen.remedies.iter().any(|remedy| remedy.plan_id.as_deref() == Some(id.as_str())));
}

#[tokio::test]
async fn a_verified_plan_is_taken_back_by_another() {
    let mut scene = Scene::start().await;
    let id = scene.propose().await;
    let revert = v1::PlanRequest { plan_id: id.to_string() };
    let early = scene.plans("oscar", Role::Operator).await.revert(revert.clone()).await.unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition);
    scene.approve(&id).await.unwrap();
    scene.handed().await;
    come_up(scene.port).await;
    assert!(scene.prove("es-1", &id, 20_000).await.unwrap().keep);
    scene.entry(&id, State::Persisted).await;
    scene.until(&id, Stage::Verified).await;
    let reply = scene.plans("oscar", Role::Operator).await.revert(revert).await.unwrap();
    let (bytes, record) = of_reply(reply.into_inner());
    let common_plan::Step::SysctlSet(back) = bytes.decode().unwrap().step else { panic!("{record:?}") };
    assert_eq!((back.from, back.to, record.stage), (262_144, 65_530, Stage::Proposed));
    assert_eq!(scene.get(&id).await.1.reverted_by, Some(record.id));
}

/// A store whose audit log can be made unwritable.
struct Fragile {
    store: Arc<dyn Store>,
    broken: Arc<AtomicBool>,
}

impl Store for Fragile {
    fn commit(&self, partition: &str, batch: &Batch) -> Result<(), StoreError> {
        if partition == "audit" && self.broken.load(Ordering::SeqCst) {
            return Err(StoreError::DiskFull { path: "/nowhere".into() });
        }
        self.store.commit(partition, batch)
    }

    fn get(&self, partition: &str, key: &str) -> Result<Option<Stored>, StoreError> {
        self.store.get(partition, key)
    }

    fn scan(
        &self,
        partition: &str,
        keys: RangeInclusive<&str>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(String, Stored)>, StoreError> {
        self.store.scan(partition, keys, order, limit)
    }

    fn partitions(&self) -> Result<Vec<String>, StoreError> {
        self.store.partitions()
    }

    fn damaged(&self) -> u64 {
        self.store.damaged()
    }
}

#[tokio::test]
async fn nothing_is_approved_or_handed_over_that_cannot_be_written_down() {
    let broken = Arc::new(AtomicBool::new(false));
    let lab = Lab::start_over(|store| Arc::new(Fragile { store, broken: Arc::clone(&broken) })).await;
    let mut scene = Scene::in_lab(lab, 1).await;
    let id = scene.propose().await;
    broken.store(true, Ordering::SeqCst);
    assert_eq!(scene.approve(&id).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(scene.get(&id).await.1.stage, Stage::Proposed);
    assert!(scene.agent.acts.try_recv().is_err());
    broken.store(false, Ordering::SeqCst);
    assert_eq!(scene.approve(&id).await.unwrap().stage, Stage::Dispatched);
    scene.handed().await;
    // A proof that cannot be written down is none.
    come_up(scene.port).await;
    broken.store(true, Ordering::SeqCst);
    assert_eq!(scene.prove("es-1", &id, 20_000).await.unwrap_err().code(), Code::Unavailable);
    broken.store(false, Ordering::SeqCst);
    assert!(scene.prove("es-1", &id, 20_000).await.unwrap().keep);
    assert!(scene.audited().await.contains(&"plan-dispatched".to_owned()));
}
