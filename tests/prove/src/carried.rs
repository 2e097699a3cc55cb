//! Plans that the real controller carries out itself, to a real git remote, a real Gitea and a real server of the EC2 API, and dies
//! meanwhile.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use common_plan::{
    CarriedOutBy, ConfigEdit, Digest, Goal, Plan, PlanBytes, PlanId, SCHEMA, SecurityGroupAllow, Step, Why,
};
use common_tls::Role;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests_node::{Running, is_stopped, new_key, until};
use tests_remote::{Gitea, Instance, Moto, REGION};
use tokio::runtime::Runtime;

use crate::authority::Authority;
use crate::operator::Operator;

/// What the plans are for; the controller looks there from outside.
const ENDPOINT: &str = "http://127.0.0.1:9200";
const NODE: &str = "es-1";
const PATH: &str = "es.yml";
const BEFORE: &str = "# ours\ncluster.name: es\nhttp.port: 9201 # why\n";
/// The plan whose rule a plan takes back.
const EARLIER: &str = "0123456789abcdef";
/// Somebody else's rule of the same group.
const OTHERS: &str = "192.0.2.7/32";

/// What a plan asks of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errand {
    /// A branch of a plain git remote.
    Branch,
    /// A pull request on Gitea.
    PullRequest,
    /// A rule of a security group.
    Opening,
    /// That such a rule goes.
    Revoking,
}

/// What a lane keeps from trial to trial: servers take seconds to start.
pub(crate) struct Servers {
    runtime: Runtime,
    gitea: Option<Gitea>,
    moto: Option<Moto>,
    repositories: usize,
}

impl Servers {
    /// None yet: each is started by the first that needs it.
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { runtime, gitea: None, moto: None, repositories: 0 }
    }
}

/// A controller with one approved plan of its own.
pub(crate) struct Scene<'s> {
    controller: Option<Running>,
    authority: Authority,
    alice: Operator,
    plan: PlanBytes,
    target: Target<'s>,
    _directory: TempDir,
}

enum Target<'s> {
    Branch { remote: TempDir },
    PullRequest { gitea: &'s Gitea, runtime: &'s Runtime, repository: String },
    Group { moto: &'s Moto, instance: Instance, takes_back: bool },
}

impl<'s> Scene<'s> {
    pub(crate) fn new(errand: Errand, servers: &'s mut Servers) -> Self {
        let directory = TempDir::new().unwrap();
        let authority = Authority::init();
        let (target, configuration) = Target::new(errand, servers, directory.path());
        authority.configure(&configuration);
        let plan = plan(target.step()).encode().unwrap();
        authority.keep_approved(&plan, &[new_key().approve(&plan).unwrap()]);
        let alice = Operator::login(&authority, Role::Approver);
        Self { controller: None, authority, alice, plan, target, _directory: directory }
    }

    fn id(&self) -> PlanId {
        self.plan.id()
    }

    /// Starts the controller, which stops at a point if there is one.
    pub(crate) fn run(&mut self, stop_at: Option<&str>) {
        self.kill();
        self.controller = Some(self.authority.run_stopping(stop_at));
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.controller = None;
    }

    pub(crate) fn until_stopped(&self, point: &str) {
        let pid = self.controller.as_ref().unwrap().pid();
        until(&format!("the controller stops at {point}"), || is_stopped(pid));
    }

    /// Waits until the running controller says that the plan is at one of these stages; which, and why.
    pub(crate) fn until_stage(&self, stages: &[&str]) -> (String, String) {
        let mut last = Value::Null;
        let id = self.id().to_string();
        let known = |last: &Value| stages.iter().any(|stage| last["stage"] == *stage);
        until(&format!("the plan is {stages:?}"), || {
            let shown = self.alice.output(&["plan", &id, "-o", "json"]);
            // It may not listen yet.
            last =
                serde_json::from_slice::<Value>(&shown.stdout).map(|shown| shown["record"].clone()).unwrap_or_default();
            known(&last)
        });
        let because =
            last["history"].as_array().and_then(|steps| steps.last()?["because"].as_str()).unwrap_or_default();
        (last["stage"].as_str().unwrap().to_owned(), because.to_owned())
    }

    /// A person merges what was asked for, and may delete its branch.
    pub(crate) fn merge(&self, delete_branch: bool) {
        let branch = format!("dialtone/{}", self.id());
        match &self.target {
            Target::Branch { remote } => {
                git(remote.path(), &["update-ref", "refs/heads/main", &format!("refs/heads/{branch}")]);
                if delete_branch {
                    git(remote.path(), &["update-ref", "-d", &format!("refs/heads/{branch}")]);
                }
            }
            Target::PullRequest { gitea, runtime, repository } => {
                let merge = json!({"Do": "merge", "delete_branch_after_merge": delete_branch});
                let path = format!("/repos/ops/{repository}/pulls/1/merge");
                runtime.block_on(gitea.api(reqwest::Method::POST, &path, merge));
            }
            Target::Group { .. } => panic!("a rule is not merged"),
        }
    }

    /// Somebody takes away at the cloud's console what the controller, which is killed, has made there; whether there was something.
    pub(crate) fn revoke_by_hand(&mut self) -> bool {
        self.kill();
        let Target::Group { moto, instance, takes_back: false } = &self.target else { return false };
        let note = SecurityGroupAllow::note(&self.id());
        if !moto.rules(&instance.group).iter().any(|(_, described)| *described == note) {
            return false;
        }
        let rule = [
            ("GroupId", instance.group.as_str()),
            ("IpPermissions.1.IpProtocol", "tcp"),
            ("IpPermissions.1.FromPort", "9200"),
            ("IpPermissions.1.ToPort", "9200"),
            ("IpPermissions.1.IpRanges.1.CidrIp", SOURCE),
            ("IpPermissions.1.IpRanges.1.Description", note.as_str()),
        ];
        moto.call("RevokeSecurityGroupIngress", &rule);
        true
    }

    /// Panics unless exactly what the plan's stage says is there, once; and unless the audit log is whole.
    pub(crate) fn check(mut self, stage: &str, because: &str) {
        let verified = self.alice.output(&["audit", "verify"]);
        assert!(verified.status.success(), "dialtone audit verify: {verified:?}");
        self.kill();
        let told = format!("told {stage}: {because}");
        let note = SecurityGroupAllow::note(&self.id());
        match &self.target {
            Target::Branch { remote } => {
                let branches = git(remote.path(), &["for-each-ref", "--format=%(refname:short)"]);
                let own = branches.lines().filter(|branch| branch.starts_with("dialtone/")).count();
                assert!(own <= 1, "{told}, branches {branches}");
                let commits = git(remote.path(), &["rev-list", "--count", "main"]);
                assert_eq!((stage, commits.trim()), ("verified", "2"), "{told}");
            }
            Target::PullRequest { gitea, runtime, repository } => {
                let path = format!("/repos/ops/{repository}/pulls?state=all");
                let all = runtime.block_on(gitea.api(reqwest::Method::GET, &path, Value::Null));
                assert_eq!(all.as_array().map(Vec::len), Some(1), "{told}, pull requests {all}");
                assert_eq!((stage, &all[0]["merged"]), ("verified", &json!(true)), "{told}");
            }
            Target::Group { moto, instance, takes_back } => {
                let rules = moto.rules(&instance.group);
                let others = rules.iter().filter(|(network, _)| network == OTHERS).count();
                assert_eq!(others, 1, "{told}, rules {rules:?}");
                let note = if *takes_back { SecurityGroupAllow::note(&EARLIER.parse().unwrap()) } else { note };
                let own = rules.iter().filter(|(_, described)| *described == note).count();
                let is_there = matches!((takes_back, stage), (false, "verified"));
                assert_eq!(own, usize::from(is_there), "{told}, rules {rules:?}");
                assert!(!takes_back || stage == "verified", "{told}");
            }
        }
        let acts = self.authority.audited(&self.id()).iter().filter(|event| *event == "plan-acts").count();
        assert!(acts <= 1, "{told}, and {acts} times that something is about to be done");
    }
}

impl<'s> Target<'s> {
    /// With what the controller's configuration says of it.
    fn new(errand: Errand, servers: &'s mut Servers, directory: &Path) -> (Self, String) {
        servers.repositories += 1;
        let Servers { runtime, gitea, moto, repositories } = servers;
        let entry = |forge: &str, url: &str, token: &str| {
            format!(
                "repository_poll_seconds: 1\nrepositories:\n- {{name: config, forge: {forge}, url: '{url}', nodes: [{NODE}], path: {PATH}{token}}}\n"
            )
        };
        match errand {
            Errand::Branch => {
                let remote = TempDir::new().unwrap();
                git(remote.path(), &["init", "--quiet", "--bare", "--initial-branch=main"]);
                let url = format!("file://{}", remote.path().display());
                push_first(directory, &url);
                (Self::Branch { remote }, entry("git", &url, ""))
            }
            Errand::PullRequest => {
                let gitea = &*gitea.get_or_insert_with(|| runtime.block_on(Gitea::start()));
                let repository = format!("config-{repositories}");
                runtime.block_on(gitea.new_repository(&repository));
                push_first(directory, &gitea.owners_url_of(&repository));
                let token = directory.join("token");
                fs::write(&token, gitea.token()).unwrap();
                let token = format!(", token_file: {}", token.display());
                let configuration = entry("gitea", &gitea.url_of(&repository), &token);
                (Self::PullRequest { gitea, runtime, repository }, configuration)
            }
            Errand::Opening | Errand::Revoking => {
                let moto = &*moto.get_or_insert_with(Moto::start);
                let (instance, takes_back) = (moto.instance("10.0.0.5"), errand == Errand::Revoking);
                let allow = |network: &str, note: &str| {
                    let rule = [
                        ("GroupId", instance.group.as_str()),
                        ("IpPermissions.1.IpProtocol", "tcp"),
                        ("IpPermissions.1.FromPort", "9200"),
                        ("IpPermissions.1.ToPort", "9200"),
                        ("IpPermissions.1.IpRanges.1.CidrIp", network),
                        ("IpPermissions.1.IpRanges.1.Description", note),
                    ];
                    moto.call("AuthorizeSecurityGroupIngress", &rule);
                };
                allow(OTHERS, "somebody else's");
                if takes_back {
                    allow(SOURCE, &SecurityGroupAllow::note(&EARLIER.parse().unwrap()));
                }
                let credentials = directory.join("aws");
                fs::write(&credentials, "[default]\naws_access_key_id = AKIATEST\naws_secret_access_key = secret\n")
                    .unwrap();
                fs::set_permissions(&credentials, Permissions::from_mode(0o600)).unwrap();
                let (endpoint, file) = (moto.endpoint(), credentials.display());
                let configuration =
                    format!("cloud: {{aws: {{region: {REGION}, endpoint: '{endpoint}', credentials_file: {file}}}}}\n");
                (Self::Group { moto, instance, takes_back }, configuration)
            }
        }
    }

    fn step(&self) -> Step {
        match self {
            Target::Branch { .. } | Target::PullRequest { .. } => {
                let edit = r#"{"edit":"set","key":"http.port","from":"9201","to":"9200"}"#;
                let edits = vec![serde_json::from_str(edit).unwrap()];
                let after = BEFORE.replace("9201", "9200");
                Step::ConfigEdit(ConfigEdit {
                    repository: "config".parse().unwrap(),
                    branch: "main".parse().unwrap(),
                    path: PATH.parse().unwrap(),
                    from: Digest::of(BEFORE.as_bytes()),
                    edits,
                    to: Digest::of(after.as_bytes()),
                })
            }
            Target::Group { instance, takes_back, .. } => Step::SecurityGroupAllow(SecurityGroupAllow {
                region: REGION.parse().unwrap(),
                group: instance.group.parse().unwrap(),
                interface: instance.interface.parse().unwrap(),
                source: SOURCE.parse().unwrap(),
                port: 9200,
                confirm_within_s: 10,
                takes_back: takes_back.then(|| EARLIER.parse().unwrap()),
            }),
        }
    }
}

/// Who is let in: the controller, which looks from there.
const SOURCE: &str = "127.0.0.0/8";

fn plan(step: Step) -> Plan {
    let now = agent_act::clock::now();
    Plan {
        schema: SCHEMA.to_owned(),
        by: CarriedOutBy::Controller {},
        node: NODE.parse().unwrap(),
        made_at: now,
        expires_at: now.plus_millis(900_000),
        step,
        why: Why { sentence: "nothing lets clients in".to_owned(), evidence: Vec::new() },
        goal: Goal { endpoint: ENDPOINT.to_owned(), cause: "cloud-firewall".parse().unwrap() },
        risk: String::new(),
        undo: String::new(),
    }
}

/// The file before any edit, on `main`.
fn push_first(directory: &Path, url: &str) {
    let checkout = directory.join("checkout");
    fs::create_dir(&checkout).unwrap();
    fs::write(checkout.join(PATH), BEFORE).unwrap();
    git(&checkout, &["init", "--quiet", "--initial-branch=main"]);
    git(&checkout, &["add", PATH]);
    git(&checkout, &["commit", "--quiet", "-m", "First"]);
    git(&checkout, &["push", "--quiet", url, "main"]);
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let identity = ["-c", "user.name=ops", "-c", "user.email=ops@example.org"];
    let mut command = Command::new("git");
    command.current_dir(directory).args(identity).args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = command.env("GIT_TERMINAL_PROMPT", "0").output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
