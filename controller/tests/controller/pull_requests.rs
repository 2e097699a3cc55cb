//! Edits of an engine's yml that are asked for in the repository it comes from: against real git remotes and a real Gitea.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common_evidence::collectors::actuator::Actuator;
use common_evidence::collectors::engine_config::EngineConfig;
use common_evidence::collectors::interfaces::Interfaces;
use common_evidence::collectors::policy::NodePolicy;
use common_model::diagnosis::Remedy;
use common_plan::{Approval, ApprovalKey, Digest, PlanBytes, PlanId, Record, Rollout, Stage, Step};
use common_tls::Role;
use controller_correlate::testing::{Node, STARTED};
use controller_forge::{Author, Kind, RepositoryConfig};
use proto::v1;
use proto::v1::diagnose_question::Message as Question;
use proto::v1::diagnose_reply::Message as Reply;
use proto::v1::plans_client::PlansClient;
use proto::v1::rollouts_client::RolloutsClient;
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tests_remote::Gitea;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::plans::key;
use crate::support::{Attended, FakeAgent, Lab, SOON, node, operator};

pub(crate) const PATH: &str = "es/es-1/elasticsearch.yml";
/// A comment that a forge must make nothing of.
const HOSTILE: &str = "``` @ops #1 <img src=x> [x](http://evil.example) ${{ secrets.TOKEN }} http://evil.example";

/// A node whose engine listens on another port than clients were told.
pub(crate) fn yml(port: u16) -> String {
    format!("# Ansible managed\r\ncluster.name: es\r\nnetwork.host: 0.0.0.0\r\nhttp:\r\n  port: {port} # {HOSTILE}\r\n")
}

pub(crate) fn git(directory: &Path, args: &[&str]) -> String {
    let identity = ["-c", "user.name=ops", "-c", "user.email=ops@example.org", "-c", "init.defaultBranch=main"];
    let mut command = Command::new("git");
    command.current_dir(directory).args(identity).args(args).env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = command.env("GIT_TERMINAL_PROMPT", "0").output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a person has checked out.
pub(crate) struct Checkout(TempDir);

impl Checkout {
    /// With a first commit, pushed.
    pub(crate) fn new(url: &str, yml: &str) -> Self {
        let checkout = Self(tempfile::tempdir().unwrap());
        git(checkout.path(), &["init", "--quiet"]);
        git(checkout.path(), &["remote", "add", "origin", url]);
        checkout.write("README.md", "Configuration.\n");
        checkout.write(PATH, yml);
        checkout.push("First");
        checkout
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn push(&self, message: &str) {
        git(self.path(), &["add", "--all"]);
        git(self.path(), &["commit", "--quiet", "-m", message]);
        git(self.path(), &["push", "--quiet", "origin", "HEAD:refs/heads/main"]);
    }

    pub(crate) fn fetch(&self, branch: &str) {
        git(
            self.path(),
            &["fetch", "--quiet", "origin", &format!("+refs/heads/{branch}:refs/remotes/origin/{branch}")],
        );
    }

    pub(crate) fn show(&self, what: &str) -> String {
        git(self.path(), &["show", what])
    }
}

pub(crate) struct Scene {
    lab: Lab,
    _agent: Attended,
    pub(crate) port: u16,
    alice: ApprovalKey,
    /// The token's file.
    _secrets: TempDir,
}

impl Scene {
    pub(crate) async fn start(forge: Kind, url: &str, token: Option<&str>) -> Self {
        let secrets = tempfile::tempdir().unwrap();
        let token_file: Option<PathBuf> = token.map(|token| {
            let path = secrets.path().join("token");
            fs::write(&path, format!("{token}\n")).unwrap();
            path
        });
        let repository = RepositoryConfig {
            name: "config".parse().unwrap(),
            forge,
            url: url.to_owned(),
            api: None,
            branch: "main".parse().unwrap(),
            nodes: vec!["es-1".parse().unwrap()],
            clusters: Vec::new(),
            path: "es/{node}/elasticsearch.yml".to_owned(),
            token_file,
            author: Author::default(),
            allow_without_password: false,
        };
        repository.check().unwrap();
        let lab = Lab::start_with(|config| {
            config.repositories = vec![repository];
            config.repository_poll_seconds = 1;
        })
        .await;
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let agent = attend(&lab).await;
        Self { lab, _agent: agent, port, alice: key(), _secrets: secrets }
    }

    pub(crate) async fn restart(mut self) -> Self {
        self.lab = self.lab.restart().await;
        self
    }

    async fn remedy(&self) -> Remedy {
        let request = v1::DiagnoseRequest {
            endpoints: vec![format!("127.0.0.1:{}", self.port)],
            refresh_ms: 5_000,
            ..v1::DiagnoseRequest::default()
        };
        let question = v1::DiagnoseQuestion { message: Some(Question::Request(request)) };
        let mut client = self.lab.operator(Role::Operator).await;
        let mut replies = client.diagnose(tokio_stream::iter([question])).await.unwrap().into_inner();
        while let Some(reply) = timeout(SOON, replies.message()).await.unwrap().unwrap() {
            if let Reply::DiagnosisJson(json) = reply.message.unwrap() {
                let diagnosis: common_model::Diagnosis = serde_json::from_slice(&json).unwrap();
                assert_eq!(diagnosis.verdict.cause.as_str(), "port-differs", "{:#?}", diagnosis.verdict);
                let edit = diagnosis.remedies.iter().find(|remedy| remedy.action == "config-edit");
                return edit.unwrap_or_else(|| panic!("{:#?}", diagnosis.remedies)).clone();
            }
        }
        panic!("no answer");
    }

    pub(crate) async fn propose(&self) -> PlanId {
        let remedy = self.remedy().await;
        remedy.plan_id.clone().unwrap_or_else(|| panic!("no plan: {remedy:#?}")).parse().unwrap()
    }

    async fn plans(&self, name: &str, role: Role) -> PlansClient<Channel> {
        PlansClient::new(self.lab.channel(&operator(name, role)).await)
    }

    async fn get(&self, id: &PlanId) -> (PlanBytes, Record) {
        let request = v1::PlanRequest { plan_id: id.to_string() };
        let reply = self.plans("viewer", Role::Viewer).await.get(request).await.unwrap().into_inner();
        (PlanBytes::new(reply.plan).unwrap(), serde_json::from_slice(&reply.record_json).unwrap())
    }

    async fn approve_with(&self, id: &PlanId, key: &ApprovalKey) -> Result<(), Status> {
        let Approval { key, signature } = key.approve(&self.get(id).await.0).unwrap();
        let approval = v1::Approval { key: key.to_string(), signature };
        let request = v1::ApproveRequest { plan_id: id.to_string(), approval: Some(approval) };
        self.plans("alice", Role::Approver).await.approve(request).await.map(drop)
    }

    /// Alice approves it.
    pub(crate) async fn approve(&self, id: &PlanId) {
        self.approve_with(id, &self.alice).await.unwrap();
    }

    /// Proposed, and approved by alice.
    pub(crate) async fn approved(&self) -> PlanId {
        let id = self.propose().await;
        self.approve(&id).await;
        id
    }

    /// Follows a plan until it is at a stage.
    pub(crate) async fn until(&self, id: &PlanId, stage: Stage) -> Record {
        let request = v1::PlanRequest { plan_id: id.to_string() };
        let mut replies = self.plans("viewer", Role::Viewer).await.watch(request).await.unwrap().into_inner();
        loop {
            let reply = timeout(SOON, replies.message()).await.expect("no step").unwrap();
            let reply = reply.unwrap_or_else(|| panic!("it ended before it was {stage:?}"));
            let record: Record = serde_json::from_slice(&reply.record_json).unwrap();
            if record.stage == stage {
                return record;
            }
            assert!(!record.stage.is_final(), "{:#?}", record.history);
        }
    }

    /// Follows a plan until this is said of it.
    pub(crate) async fn until_said(&self, id: &PlanId, said: &str) -> Record {
        self.until_such(id, |because| because.contains(said)).await
    }

    /// Follows a plan until what is said of it is such.
    pub(crate) async fn until_such(&self, id: &PlanId, is_such: impl Fn(&str) -> bool) -> Record {
        let request = v1::PlanRequest { plan_id: id.to_string() };
        let mut replies = self.plans("viewer", Role::Viewer).await.watch(request).await.unwrap().into_inner();
        loop {
            let reply = timeout(SOON * 2, replies.message()).await.expect("no step").unwrap();
            let reply = reply.unwrap_or_else(|| panic!("it ended before"));
            let record: Record = serde_json::from_slice(&reply.record_json).unwrap();
            if is_such(because(&record)) {
                return record;
            }
            assert!(!record.stage.is_final(), "that was not said: {:#?}", record.history);
        }
    }

    async fn digest(&self, id: &PlanId) -> Digest {
        match self.get(id).await.0.decode().unwrap().step {
            Step::ConfigEdit(step) => step.to,
            other => panic!("{other:?}"),
        }
    }
}

/// The node's side.
async fn attend(lab: &Lab) -> Attended {
    let mut agent = FakeAgent::connect(lab.channel(&node("es-1")).await).await.attend();
    let node = Node::new().yml(&yml(9201), STARTED.plus_millis(-60_000)).listening(&["[::]:9201", "[::]:9300"]);
    agent.tell(node.evidence()).await;
    agent
}

pub(crate) fn because(record: &Record) -> &str {
    record.history.last().unwrap().because.as_deref().unwrap_or_default()
}

/// A bare repository on this disk.
pub(crate) fn remote() -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    git(directory.path(), &["init", "--quiet", "--bare"]);
    let url = format!("file://{}", directory.path().display());
    (directory, url)
}

pub(crate) fn branches(remote: &Path) -> String {
    git(remote, &["for-each-ref", "--format=%(refname:short)"])
}

#[tokio::test]
async fn a_plain_remote_gets_a_branch_with_the_one_change_and_the_plan_ends_with_its_merge() {
    let (remote, url) = remote();
    let checkout = Checkout::new(&url, &yml(9201));
    let scene = Scene::start(Kind::Git, &url, None).await;
    let id = scene.approved().await;
    let asked = scene.until(&id, Stage::Applied).await;
    assert!(because(&asked).contains(&format!("branch dialtone/{id} is pushed to config")), "{}", because(&asked));
    assert_eq!(scene.propose().await, id, "what waits for its merge was proposed again");

    let branch = format!("dialtone/{id}");
    assert_eq!(branches(remote.path()), format!("{branch}\nmain\n"));
    checkout.fetch(&branch);
    let changed = git(checkout.path(), &["diff", "--stat", "--format=", "main", &format!("origin/{branch}")]);
    assert!(changed.contains(PATH) && changed.contains("1 file changed, 1 insertion(+), 1 deletion(-)"), "{changed}");
    let pushed = checkout.show(&format!("origin/{branch}:{PATH}"));
    assert_eq!(pushed, yml(9201).replace("port: 9201", &format!("port: {}", scene.port)));
    assert_eq!(Digest::of(pushed.as_bytes()), scene.digest(&id).await);
    let message = git(checkout.path(), &["log", "-1", "--format=%an <%ae>%n%B", &format!("origin/{branch}")]);
    let head = format!(
        "Dialtone <dialtone@localhost>\nEdit {PATH} for es-1\n\nProposed by Dialtone, plan {id}, approved by alice."
    );
    assert!(message.starts_with(&head), "{message}");

    git(checkout.path(), &["merge", "--quiet", "--no-edit", &format!("origin/{branch}")]);
    git(checkout.path(), &["push", "--quiet", "origin", "HEAD:refs/heads/main"]);
    let merged = scene.until(&id, Stage::Verified).await;
    let stages: Vec<Stage> = merged.history.iter().map(|step| step.stage).collect();
    assert_eq!(stages, [Stage::Proposed, Stage::Approved, Stage::Dispatched, Stage::Applied, Stage::Verified]);
    let said = scene.remedy().await.risk;
    assert!(said.contains("was not rolled out to es-1"), "{said}");
}

#[tokio::test]
async fn what_was_merged_is_proposed_for_the_node_whose_file_lacks_it() {
    let (remote, url) = remote();
    let yml = format!("{}discovery.type: single-node\r\n", yml(9201));
    let checkout = Checkout::new(&url, &yml);
    let mut scene = Scene::start(Kind::Git, &url, None).await;
    let policy = format!(
        "approvers: [{{name: alice, key: '{}'}}]\nallow:\n  service: {{units: [elasticsearch.service]}}\n  config-install: \
         {{files: [/etc/elasticsearch/elasticsearch.yml], keys: [http.port], units: [elasticsearch.service]}}\n",
        scene.alice.public().unwrap()
    );
    let report =
        json!({"session": "0".repeat(32), "booted_at": STARTED, "highest_epoch": 0, "entries": []}).to_string();
    let file = |path: &str, text: &str| json!([{"path": path, "text": text}]);
    let config = json!({
        "path": "/etc/elasticsearch/elasticsearch.yml", "text": yml, "modified_ms": 1, "digest": Digest::of(yml.as_bytes()),
    });
    // Its API cannot be reached from anywhere.
    let addresses = json!({"addresses": [{"interface": "lo", "address": "127.0.0.1", "prefix": 8, "up": true}]});
    let node = Node::bare()
        .json::<Interfaces>("", &addresses)
        .json::<EngineConfig>("/etc/elasticsearch/elasticsearch.yml", &config)
        .json::<Actuator>("", &file("/var/lib/dialtone-actuator/report.json", &report))
        .json::<NodePolicy>("", &file("/etc/dialtone/policy.yaml", &policy));
    scene._agent.tell(node.evidence()).await;

    let id = scene.approved().await;
    scene.until(&id, Stage::Applied).await;
    // One that is alone, too, and that nobody gave another name.
    let mut other = FakeAgent::connect(scene.lab.channel(&crate::support::node("es-2")).await).await.attend();
    other.tell(node.evidence()).await;
    let branch = format!("dialtone/{id}");
    git(remote.path(), &["update-ref", "refs/heads/main", &format!("refs/heads/{branch}")]);
    let told = because(&scene.until(&id, Stage::Verified).await).to_owned();
    checkout.fetch("main");
    let merged = checkout.show(&format!("origin/main:{PATH}"));

    let mut rollouts = RolloutsClient::new(scene.lab.channel(&operator("viewer", Role::Viewer)).await);
    let proposed = timeout(SOON, async {
        loop {
            let reply = rollouts.list(v1::ListRolloutsRequest { ended: false }).await.unwrap().into_inner();
            if let Some(rollout) = reply.rollouts_json.first() {
                break serde_json::from_slice::<Rollout>(rollout).unwrap();
            }
            tokio::task::yield_now().await;
        }
    });
    let proposed = proposed.await.expect("no rollout");
    assert!(told.ends_with(&format!("to have it rolled out: dialtone approve {}", proposed.id)), "{told}");
    assert_eq!(proposed.turns.len(), 1, "{:#?}", proposed.turns);
    let plan = scene.get(&proposed.turns[0].plan).await.0.decode().unwrap();
    let Step::ConfigInstall(install) = &plan.step else { panic!("{plan:#?}") };
    assert_eq!((&install.from, &install.to), (&Digest::of(yml.as_bytes()), &Digest::of(merged.as_bytes())));
    assert_eq!(plan.goal.cause.as_str(), "port-differs");
    assert!(plan.why.sentence.contains(&format!("by plan {id}")), "{}", plan.why.sentence);
    // From the plan that had it merged people find the rollout.
    let followed = timeout(SOON, async {
        loop {
            if let Some(by) = scene.get(&id).await.1.follow_up {
                break by;
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(followed.await.expect("nothing follows"), proposed.id);
}

#[tokio::test]
async fn a_branch_that_is_thrown_away_or_merged_differently_ends_the_plan_so() {
    let (remote, url) = remote();
    let checkout = Checkout::new(&url, &yml(9201));
    let scene = Scene::start(Kind::Git, &url, None).await;
    let id = scene.approved().await;
    scene.until(&id, Stage::Applied).await;
    git(remote.path(), &["update-ref", "-d", &format!("refs/heads/dialtone/{id}")]);
    assert_eq!(because(&scene.until(&id, Stage::Rejected).await), "closed without being merged");

    let id = scene.approved().await;
    scene.until(&id, Stage::Applied).await;
    checkout.write(PATH, &yml(9999));
    checkout.push("Another port");
    git(remote.path(), &["update-ref", "-d", &format!("refs/heads/dialtone/{id}")]);
    let failed = scene.until(&id, Stage::Failed).await;
    assert!(because(&failed).contains("is not what was approved"), "{}", because(&failed));
}

#[tokio::test]
async fn a_file_that_was_changed_after_the_plan_was_made_is_left() {
    let (remote, url) = remote();
    let checkout = Checkout::new(&url, &yml(9201));
    let scene = Scene::start(Kind::Git, &url, None).await;
    let id = scene.propose().await;
    checkout.write(PATH, &format!("{}node.name: es-1\r\n", yml(9201)));
    checkout.push("Name it");
    scene.approve(&id).await;
    let refused = scene.until(&id, Stage::Refused).await;
    assert!(because(&refused).contains("has been changed since"), "{}", because(&refused));
    assert_eq!(branches(remote.path()), "main\n");
    // A new plan is made from the file as it is now, and says what else it brings.
    let risk = scene.get(&scene.propose().await).await.0.decode().unwrap().risk;
    assert!(risk.contains("is not what the node has in node.name"), "{risk}");
}

#[tokio::test]
async fn a_branch_of_somebody_else_by_the_plans_name_is_not_taken_for_ours() {
    let (_remote, url) = remote();
    let checkout = Checkout::new(&url, &yml(9201));
    let scene = Scene::start(Kind::Git, &url, None).await;
    let id = scene.propose().await;
    git(checkout.path(), &["push", "--quiet", "origin", &format!("HEAD:refs/heads/dialtone/{id}")]);
    scene.approve(&id).await;
    let failed = scene.until(&id, Stage::Failed).await;
    assert!(because(&failed).contains("with something else"), "{}", because(&failed));
}

#[tokio::test]
async fn a_remote_that_cannot_be_reached_is_named_and_reached_later() {
    let (remote, url) = remote();
    let checkout = Checkout::new(&url, &yml(9201));
    let scene = Scene::start(Kind::Git, &url, None).await;
    let id = scene.propose().await;
    let away = remote.path().with_extension("away");
    fs::rename(remote.path(), &away).unwrap();
    scene.approve(&id).await;
    let request = v1::PlanRequest { plan_id: id.to_string() };
    let mut replies = scene.plans("viewer", Role::Viewer).await.watch(request).await.unwrap().into_inner();
    loop {
        let reply = timeout(SOON, replies.message()).await.unwrap().unwrap().unwrap();
        let record: Record = serde_json::from_slice(&reply.record_json).unwrap();
        if because(&record).starts_with("tried again: git ") {
            break;
        }
    }
    fs::rename(&away, remote.path()).unwrap();
    // Over a restart, too: what was begun is taken up again.
    let scene = scene.restart().await;
    scene.until(&id, Stage::Applied).await;
    checkout.fetch(&format!("dialtone/{id}"));
}

#[tokio::test]
async fn an_operator_is_held_to_the_key_that_was_seen_first() {
    let (_remote, url) = remote();
    let checkout = Checkout::new(&url, &yml(9201));
    let scene = Scene::start(Kind::Git, &url, None).await;
    scene.approved().await;
    checkout.write(PATH, &format!("{}# more\r\n", yml(9201)));
    checkout.push("More");
    let refused = scene.approve_with(&scene.propose().await, &key()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("dialtone operator add alice"), "{}", refused.message());
}

#[tokio::test]
async fn what_is_not_configured_is_named() {
    let (_remote, url) = remote();
    let _checkout = Checkout::new(&url, &yml(9201));
    let mut scene = Scene::start(Kind::Git, &url, None).await;
    scene.lab = Lab::start_with(|config| {
        let entry =
            r#"{"name": "config", "forge": "git", "nodes": ["es-2"], "path": "x.yml", "url": "file:///nowhere"}"#;
        config.repositories = vec![serde_json::from_str(entry).unwrap()];
    })
    .await;
    scene._agent = attend(&scene.lab).await;
    let remedy = scene.remedy().await;
    assert_eq!(remedy.plan_id, None);
    assert!(remedy.diff.is_some());
    let said = "No plan can be approved for it: /etc/dialtone/controller.yaml on the controller has no entry of repositories: for node es-1";
    assert!(remedy.risk.contains(said), "{}", remedy.risk);
}

#[tokio::test]
async fn gitea_gets_a_pull_request_that_says_why_and_the_plan_ends_with_its_merge() {
    let gitea = Gitea::start().await;
    let checkout = Checkout::new(&gitea.owners_url(), &yml(9201));
    let scene = Scene::start(Kind::Gitea, &gitea.url(), Some(gitea.token())).await;
    let id = scene.approved().await;
    let asked = scene.until(&id, Stage::Applied).await;
    let link = asked.link.as_deref().unwrap();

    let open = gitea.api(Method::GET, "/repos/ops/config/pulls?state=all", json!(null)).await;
    assert_eq!(open.as_array().unwrap().len(), 1, "{open:#}");
    let request = &open[0];
    assert_eq!((request["html_url"].as_str().unwrap(), request["state"].as_str().unwrap()), (link, "open"));
    assert_eq!(request["title"], format!("Edit {PATH} for es-1"));
    assert_eq!((&request["base"]["ref"], &request["head"]["ref"]), (&json!("main"), &json!(format!("dialtone/{id}"))));
    let files = gitea.api(Method::GET, "/repos/ops/config/pulls/1/files", json!(null)).await;
    assert_eq!(files.as_array().unwrap().len(), 1, "{files:#}");

    // What the node said is there to read, and nothing is made of it.
    let body = request["body"].as_str().unwrap();
    assert!(body.contains("evil.example") && body.contains("approved by `alice`"), "{body}");
    let context = json!({"Text": body, "Mode": "gfm", "Context": "ops/config", "Wiki": false});
    let html = gitea.text(Method::POST, "/markdown", context).await;
    assert!(html.contains("evil.example"), "{html}");
    for active in ["<a ", "<img", "href=", "class=\"mention", "<script"] {
        assert!(!html.contains(active), "{active} in {html}");
    }
    assert_eq!(html.matches("<pre").count(), 1, "{html}");

    gitea.api(Method::POST, "/repos/ops/config/pulls/1/merge", json!({"Do": "squash"})).await;
    scene.until(&id, Stage::Verified).await;
    checkout.fetch("main");
    let merged = checkout.show(&format!("origin/main:{PATH}"));
    assert_eq!(Digest::of(merged.as_bytes()), scene.digest(&id).await);
}

#[tokio::test]
async fn a_pull_request_that_gitea_closes_unmerged_or_merges_with_more_ends_the_plan_so() {
    let gitea = Gitea::start().await;
    let checkout = Checkout::new(&gitea.owners_url(), &yml(9201));
    let scene = Scene::start(Kind::Gitea, &gitea.url(), Some(gitea.token())).await;
    let id = scene.approved().await;
    scene.until(&id, Stage::Applied).await;
    gitea.api(Method::PATCH, "/repos/ops/config/pulls/1", json!({"state": "closed"})).await;
    scene.until(&id, Stage::Rejected).await;

    let id = scene.approved().await;
    scene.until(&id, Stage::Applied).await;
    let branch = format!("dialtone/{id}");
    checkout.fetch(&branch);
    git(checkout.path(), &["checkout", "--quiet", "--detach", &format!("origin/{branch}")]);
    checkout.write(PATH, &yml(9999));
    git(checkout.path(), &["commit", "--quiet", "--all", "-m", "Another port"]);
    git(checkout.path(), &["push", "--quiet", "origin", &format!("HEAD:refs/heads/{branch}")]);
    gitea.api(Method::POST, "/repos/ops/config/pulls/2/merge", json!({"Do": "merge"})).await;
    let failed = scene.until(&id, Stage::Failed).await;
    assert!(because(&failed).contains("merged, but"), "{}", because(&failed));
}
