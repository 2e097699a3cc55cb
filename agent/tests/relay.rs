//! The agent's part of the remedy loop: an agent and a controller over real mTLS, and an actuator played by the test.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent::agent::DEFAULT_SPOOL_QUOTA;
use agent::{Agent, AgentConfig};
use common_model::{NodeName, Timestamp};
use common_plan::wire::{Doubt, Reply, Request};
use common_plan::{CarriedOutBy, Entry, Goal, OnNode, Plan, PlanBytes, SCHEMA, State, Step, Sysctl, SysctlSet, Why};
use common_tls::Identity;
use controller::{Config, Controller, init};
use controller_store::{Batch, SledStore, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::time::timeout;

/// For anything that should come about at once.
const SOON: Duration = Duration::from_secs(20);

fn now() -> Timestamp {
    Timestamp(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap())
}

fn plan(endpoint: String, cause: &str) -> Plan {
    Plan {
        schema: SCHEMA.to_owned(),
        node: "es-1".parse().unwrap(),
        by: CarriedOutBy::Node(OnNode {
            session: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            epoch: 0,
            expires_boot_ms: 900_000,
            confirm_within_s: 60,
        }),
        made_at: now(),
        expires_at: now().plus_millis(900_000),
        step: Step::SysctlSet(SysctlSet { key: Sysctl::Somaxconn, from: 128, to: 4096, persist: None, start: None }),
        why: Why { sentence: "too low".to_owned(), evidence: Vec::new() },
        goal: Goal { endpoint, cause: cause.parse().unwrap() },
        risk: String::new(),
        undo: String::new(),
    }
}

/// A controller that has one approved plan for `es-1`, the agent of that node, and the socket its actuator would have.
struct Scene {
    bytes: PlanBytes,
    store: Arc<dyn Store>,
    socket: PathBuf,
    _agent: Agent,
    _controller: Controller,
    _directory: TempDir,
}

impl Scene {
    async fn start(plan: &Plan, stage: &str, actuator: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state_dir = directory.path().join("controller");
        let config = Config { listen: "127.0.0.1:0".to_owned(), state_dir, ..Config::default() };
        init::create_ca(&config).unwrap();
        let store: Arc<dyn Store> = Arc::new(SledStore::open(&config.store_dir()).unwrap().0);
        let bytes = plan.encode().unwrap();
        store.commit("plans", &kept(plan, stage, &bytes)).unwrap();
        let controller = Controller::start_over(config, Arc::clone(&store)).await.unwrap();
        let socket = directory.path().join("socket");
        actuator(&socket);
        let node: NodeName = "es-1".parse().unwrap();
        let agent = Agent::start(AgentConfig {
            credentials: controller.issue(&Identity::Node(node.clone())).await.unwrap(),
            node,
            state_dir: directory.path().join("agent"),
            controller: controller.local_addr().to_string(),
            credentials_dir: None,
            spool_quota: DEFAULT_SPOOL_QUOTA,
            actuator: Some(socket.clone()),
        });
        let agent = agent.await.unwrap();
        Self { bytes, store, socket, _agent: agent, _controller: controller, _directory: directory }
    }

    fn record(&self) -> Value {
        let stored = self.store.get("plans", &format!("plan/{}", self.bytes.id())).unwrap().unwrap();
        serde_json::from_slice::<Value>(&stored.value).unwrap()["life"]["record"].clone()
    }
}

/// What the controller keeps of a plan that a person has approved and that has come this far.
fn kept(plan: &Plan, stage: &str, bytes: &PlanBytes) -> Batch {
    let id = bytes.id();
    let approval = json!({"key": "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "signature": "AAAA"});
    let record = json!({
        "id": id, "node": plan.node, "action": plan.step.action(), "title": "Raise it", "goal": plan.goal, "made_at": plan.made_at,
        "expires_at": plan.expires_at, "needed": 1, "stage": stage, "history": [], "reverted_by": null,
        "approvals": [{"operator": "alice", "at": plan.made_at, "approval": approval}],
    });
    let kept = json!({"bytes": bytes, "life": {"record": record, "proven": null}});
    Batch::default().put(format!("plan/{id}"), kept.to_string()).put(format!("open/{id}"), Vec::new())
}

/// The actuator's side of a connection.
struct Actuator(BufReader<UnixStream>);

impl Actuator {
    async fn accept(listener: &UnixListener) -> Self {
        let (stream, _) = timeout(SOON, listener.accept()).await.expect("nothing was handed over").unwrap();
        Self(BufReader::new(stream))
    }

    async fn hear(&mut self) -> Request {
        let mut line = String::new();
        timeout(SOON, self.0.read_line(&mut line)).await.expect("the agent says nothing").unwrap();
        serde_json::from_str(&line).unwrap()
    }

    async fn say(&mut self, reply: &Reply) {
        self.0.write_all(format!("{}\n", serde_json::to_string(reply).unwrap()).as_bytes()).await.unwrap();
    }
}

/// Plays an actuator that applies an approved plan, or has applied one that was handed over before; what it is told then.
async fn told(plan: &Plan, stage: &str, left_ms: u64) -> (Scene, Request) {
    let mut listener = None;
    let scene = Scene::start(plan, stage, |socket| listener = Some(UnixListener::bind(socket).unwrap())).await;
    let listener = listener.unwrap();
    let mut actuator = Actuator::accept(&listener).await;
    assert_eq!(actuator.hear().await, Request::Pending {});
    if stage == "approved" {
        actuator.say(&Reply::Idle {}).await;
        actuator = Actuator::accept(&listener).await;
        let Request::Act { plan, approvals } = actuator.hear().await else { panic!("no plan") };
        assert_eq!((&plan, approvals.len()), (&scene.bytes, 1));
    }
    let applied = Reply::Applied { plan: scene.bytes.id(), nonce: "a nonce".to_owned(), left_ms };
    actuator.say(&applied).await;
    let request = actuator.hear().await;
    let entry = Entry {
        plan: scene.bytes.id(),
        action: None,
        state: State::Persisted,
        at: now(),
        because: None,
        approvers: Vec::new(),
        until: None,
    };
    actuator.say(&Reply::Done { entry }).await;
    (scene, request)
}

/// An engine that answers.
async fn engine() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let body =
                r#"{"name":"a","cluster_name":"es","version":{"number":"7.17.28"},"tagline":"You Know, for Search"}"#;
            let head = format!(
                "HTTP/1.1 200 OK\r\nX-elastic-product: Elasticsearch\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            if stream.read(&mut request).await.is_ok() {
                stream.write_all(format!("{head}{body}").as_bytes()).await.ok();
            }
        }
    });
    endpoint
}

#[tokio::test]
async fn what_is_seen_to_work_is_confirmed() {
    let (scene, request) = told(&plan(engine().await, "bootstrap-check"), "approved", 30_000).await;
    assert_eq!(request, Request::Confirm { plan: scene.bytes.id(), nonce: "a nonce".to_owned() });
    assert_eq!(scene.record()["stage"], "applied");
}

#[tokio::test]
async fn an_agent_that_was_started_again_goes_on_with_the_plan_that_waits() {
    let (scene, request) = told(&plan(engine().await, "bootstrap-check"), "dispatched", 30_000).await;
    assert_eq!(request, Request::Confirm { plan: scene.bytes.id(), nonce: "a nonce".to_owned() });
    assert_eq!(scene.record()["stage"], "applied");
}

#[tokio::test]
async fn what_is_not_seen_to_work_is_undone() {
    let (scene, request) = told(&plan("es-1.invalid:9200".to_owned(), "name-unresolved"), "approved", 4_000).await;
    assert_eq!(request, Request::Revert { plan: scene.bytes.id(), doubt: Doubt::NotSeen });
    let last = scene.record()["history"].as_array().unwrap().last().unwrap().clone();
    assert!(last["because"].as_str().unwrap().starts_with("not proven from outside"), "{last}");
}

#[tokio::test]
async fn without_an_actuator_the_plan_fails_and_says_why() {
    let scene = Scene::start(&plan("es-1.invalid:9200".to_owned(), "name-unresolved"), "approved", |_| {}).await;
    assert!(!scene.socket.exists());
    let failed = async {
        while scene.record()["stage"] != "failed" {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, failed).await.expect("it did not fail");
    let record = scene.record().to_string();
    assert!(record.contains("the actuator cannot be reached"), "{record}");
}
