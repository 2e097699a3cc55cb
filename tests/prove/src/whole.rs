//! The whole of it on one [`Machine`]: a node that lies there, its real agent, a real controller with a repository, and an operator.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common_tls::{Identity, Role};
use serde_json::Value;
use tests_node::{Running, until};

use crate::authority::{ADDRESS, Authority};
use crate::machine::Machine;
use crate::operator::Operator;
use crate::programs;

/// What clients were told; the engine listens on another port.
pub(crate) const ENDPOINT: &str = "http://10.99.0.1:9200";
/// Where the file of the node lies in the repository.
const FILE: &str = "es-1/elasticsearch.yml";

/// The engine and the agent, in a process namespace of their own so that they see no other machine's: `$1` is what stands in the
/// engine's environment, `$2` the agent, `$3` its configuration, and what follows the engine's arguments.
const START: &str = r#"
secret=$1 agent=$2 config=$3
shift 3
ELASTIC_PASSWORD="$secret" /usr/share/elasticsearch/jdk/bin/java "$@" &
# Once this is the agent, what it executes is the agent's doing.
until [ "$(cat /proc/$!/comm)" = java ]; do :; done
exec "$agent" run --config "$config"
"#;

/// Who runs there; ended when it goes out of scope.
pub(crate) struct Whole {
    _controller: Running,
    _agent: Running,
    pub(crate) machine: Machine,
    alice: Operator,
    authority: Authority,
}

impl Whole {
    /// Starts it, in the calling thread's network. The repository has this file for the node. The engine gets these arguments, and
    /// the first of them as a password in its environment.
    pub(crate) fn start(machine: Machine, yml: &str, engine: &[String]) -> Self {
        assert!(
            Command::new("ip").args(["address", "replace", "10.99.0.1/24", "dev", "lo"]).status().unwrap().success()
        );
        let authority = Authority::init();
        repository(&authority.directory().join("repository"), yml);
        authority.configure(&format!(
            "incidents: {{watch: ['{ENDPOINT}'], probe_every_s: 1, judge_every_s: 1}}\n\
             audit: {{file: {own}/audit.jsonl}}\nrepository_poll_seconds: 1\n\
             repositories:\n- {{name: config, forge: git, url: 'file://{own}/repository', nodes: [es-1], path: '{{node}}/elasticsearch.yml'}}\n",
            own = authority.directory().display()
        ));
        let controller = authority.run_on(&machine);
        let state = authority.directory().join("agent");
        authority.issue(&Identity::Node("es-1".parse().unwrap())).save(&state.join("credentials")).unwrap();
        let config = authority.directory().join("agent.yaml");
        fs::write(&config, format!("controller: {ADDRESS}\nnode: es-1\nstate_dir: {}\n", state.display())).unwrap();
        let log = File::create(authority.directory().join("agent.log")).unwrap();
        let mut agent = machine.command("/usr/bin/unshare");
        agent.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", START, "sh", &engine[0]]);
        agent.arg(programs::agent()).arg(config).args(&engine[1..]);
        let agent = Running::start(agent.stdout(log.try_clone().unwrap()).stderr(log));
        let alice = Operator::login(&authority, Role::Admin);
        Self { _controller: controller, _agent: agent, machine, alice, authority }
    }

    /// All that is kept of controller, agent and operator.
    pub(crate) fn directory(&self) -> &Path {
        self.authority.directory()
    }

    /// What the repository and the controller's copy of it are kept in.
    pub(crate) fn repositories(&self) -> [PathBuf; 2] {
        [self.directory().join("repository"), self.directory().join("state/repositories")]
    }

    /// `dialtone`, as alice runs it.
    pub(crate) fn dialtone(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = self.alice.at_home(self.machine.command(programs::dialtone()));
        command.args(arguments);
        command
    }

    /// What it gave, however it ended.
    pub(crate) fn output(&self, arguments: &[impl AsRef<OsStr>]) -> Output {
        self.dialtone(arguments).output().unwrap()
    }

    /// What it said on both of its ends.
    pub(crate) fn said(&self, arguments: &[impl AsRef<OsStr>]) -> Vec<u8> {
        let output = self.output(arguments);
        [output.stdout, output.stderr].concat()
    }

    /// Diagnoses until an edit is proposed that is a plan; its id.
    pub(crate) fn planned_edit(&self) -> String {
        let mut last = Vec::new();
        let mut plan = None;
        until("an edit is proposed", || {
            last = self.output(&["diagnose", ENDPOINT, "-o", "json"]).stdout;
            let diagnosis: Value = serde_json::from_slice(&last).unwrap_or_default();
            let remedies = diagnosis["remedies"].as_array().cloned().unwrap_or_default();
            plan = remedies.iter().find_map(|remedy| Some(remedy["plan_id"].as_str()?.to_owned()));
            plan.is_some()
        });
        plan.unwrap()
    }

    /// Approves a plan, merges what it pushes, and waits until it has ended; what the command said.
    pub(crate) fn carry_out(&self, plan: &str) -> Vec<u8> {
        let mut approving = self.dialtone(&["approve", plan, "--yes"]);
        let approving = approving.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let branch = format!("refs/heads/dialtone/{plan}");
        until("the branch is pushed", || {
            git(&self.repositories()[0], &["rev-parse", "--quiet", "--verify", &branch]).is_some()
        });
        git(&self.repositories()[0], &["update-ref", "refs/heads/main", &branch]).unwrap();
        let output = approving.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        [output.stdout, output.stderr].concat()
    }

    /// What the message of a plan's commit says.
    pub(crate) fn message(&self, plan: &str) -> Vec<u8> {
        let branch = format!("refs/heads/dialtone/{plan}");
        git(&self.repositories()[0], &["log", "-1", "--format=%an%n%B", &branch]).unwrap()
    }
}

/// A bare repository with the node's file in it.
pub(crate) fn repository(bare: &Path, yml: &str) {
    let work = bare.with_extension("work");
    fs::create_dir_all(work.join(FILE).parent().unwrap()).unwrap();
    fs::write(work.join(FILE), yml).unwrap();
    let done = |arguments: &[&str]| git(&work, arguments).unwrap_or_else(|| panic!("git {arguments:?}"));
    done(&["init", "--quiet", "--initial-branch=main"]);
    done(&["add", "--all"]);
    done(&["commit", "--quiet", "--message=First"]);
    done(&["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    fs::remove_dir_all(work).unwrap();
}

/// What git printed; none where it failed.
fn git(directory: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let mut command = Command::new("git");
    command.current_dir(directory).args(["-c", "user.name=ops", "-c", "user.email=ops@example.org"]).args(arguments);
    let output = command.env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
    output.status.success().then_some(output.stdout)
}
