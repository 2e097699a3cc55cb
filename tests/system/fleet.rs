//! One fleet serves all tests of a run. Its nodes are lent in turn; a test breaks its node in the real way and hands it back
//! healthy, or the node is thrown away.

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use system_tests::fleet as installed;
use system_tests::lab::engine::Scheme;
use system_tests::lab::{Engine, Host};

/// How long the agent and the controller may take to see what a test did. Far more than they need.
const SEEN: Duration = Duration::from_secs(30);

/// The file with the controller's credentials for clusters; none are in it.
pub(crate) const ENGINE_API: &str = "/etc/dialtone/engine-api.yaml";

/// The fleet, and questions that wait for what a test did to be seen.
pub(crate) struct Fleet(installed::Fleet);

/// The fleet of this run.
pub(crate) fn fleet() -> &'static Fleet {
    static FLEET: OnceLock<Fleet> = OnceLock::new();
    FLEET.get_or_init(|| Fleet::set_up("controller", "prove_seconds", 20).unwrap())
}

impl Deref for Fleet {
    type Target = installed::Fleet;

    fn deref(&self) -> &installed::Fleet {
        &self.0
    }
}

impl Fleet {
    /// A fleet whose controller waits long for its agents: what an answer rests on is tested, not how fast a busy machine gives
    /// it. Of plans, one time is made as short as tests need it.
    pub(crate) fn set_up(controller: &str, term: &str, seconds: u32) -> Result<Self> {
        Self::set_up_with(controller, (term, seconds), &[])
    }

    /// The same with these Debian packages on the controller's host.
    pub(crate) fn set_up_with(controller: &str, (term, seconds): (&str, u32), packages: &[&str]) -> Result<Self> {
        let fleet = installed::Fleet::set_up_with(controller, packages)?;
        let settings = format!(
            "s/^refresh_ms: .*/refresh_ms: 10000/; s/^  {term}: .*/  {term}: {seconds}/; \
             s|^  credentials: null|  credentials: {ENGINE_API}|"
        );
        fleet.controller.write(ENGINE_API, "clusters: {}\n")?;
        fleet.controller.check(&["chown", "root:dialtone-controller", ENGINE_API])?;
        fleet.controller.check(&["chmod", "640", ENGINE_API])?;
        fleet.controller.check(&["sed", "--in-place", &settings, "/etc/dialtone/controller.yaml"])?;
        fleet.controller.check(&["systemctl", "restart", "dialtone-controller"])?;
        Ok(Self(fleet))
    }

    /// Diagnoses an endpoint from outside.
    pub(crate) fn diagnose(&self, endpoint: &str) -> Result<Seen> {
        let output = self.dialtone(&["diagnose", "-o", "json", endpoint])?;
        let json = serde_json::from_str(&output.stdout).with_context(|| format!("no JSON: {output:?}"))?;
        Ok(Seen { json, exit: output.code.unwrap_or(-1) })
    }

    /// Diagnoses again and again until the verdict names this cause; the last answer is in the failure.
    pub(crate) fn diagnose_until(&self, endpoint: &str, cause: &str) -> Seen {
        let seen = self.diagnose_when(endpoint, |seen| seen.cause() == cause);
        assert_eq!(seen.cause(), cause, "{:#}", seen.json);
        seen
    }

    /// Diagnoses again and again until the answer is as wanted, or has had its time; the last answer.
    pub(crate) fn diagnose_when(&self, endpoint: &str, wanted: impl Fn(&Seen) -> bool) -> Seen {
        let begun = Instant::now();
        loop {
            let seen = self.diagnose(endpoint).unwrap();
            if wanted(&seen) || begun.elapsed() > SEEN {
                return seen;
            }
            thread::yield_now();
        }
    }
}

/// Text as it was before it was broken into lines.
pub(crate) fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A node with an engine that answers and an agent that has joined; nobody else's until this is dropped.
pub(crate) struct Node {
    slot: MutexGuard<'static, Option<Host>>,
    pub(crate) engine: Engine,
}

/// Borrows the healthy node of an engine.
pub(crate) fn node(engine: Engine) -> Node {
    static ELASTICSEARCH: Mutex<Option<Host>> = Mutex::new(None);
    static ELASTICSEARCH8: Mutex<Option<Host>> = Mutex::new(None);
    static OPENSEARCH: Mutex<Option<Host>> = Mutex::new(None);
    let (slot, name) = match engine {
        Engine::Elasticsearch => (&ELASTICSEARCH, "fleet-es"),
        Engine::Elasticsearch8 => (&ELASTICSEARCH8, "fleet-es8"),
        Engine::OpenSearch => (&OPENSEARCH, "fleet-os"),
    };
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if slot.is_none() {
        *slot = Some(boot(name, engine).unwrap());
    }
    let node = Node { slot, engine };
    fleet().diagnose_until(&node.endpoint(), "healthy");
    node
}

fn boot(name: &str, engine: Engine) -> Result<Host> {
    let host = Host::boot(name)?;
    host.check(&["useradd", "--create-home", "anna"])?;
    host.write("/etc/sudoers.d/anna", "anna ALL=(ALL) NOPASSWD: ALL\n")?;
    engine.run_healthy(&host)?;
    fleet().join(&host)?;
    Ok(host)
}

impl Node {
    /// What a client would be told.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}:9200", self.ip())
    }

    /// Runs a command as the person anna, through sudo.
    pub(crate) fn sudo(&self, argv: &[&str]) {
        let output = self.run(&[&["runuser", "-u", "anna", "--", "sudo"], argv].concat()).unwrap();
        assert!(output.success(), "{argv:?}: {output:?}");
    }

    /// Replaces the yml and restarts the engine.
    pub(crate) fn restart_with(&self, yml: &str) {
        self.engine.set_yml(self, yml).unwrap();
        self.check(&["systemctl", "restart", self.engine.name()]).unwrap();
    }

    /// Does what a remedy says, on the node, as a person would paste it. Its diff, if it has one, is applied first.
    pub(crate) fn carry_out(&self, remedy: &Value) {
        if let Some(diff) = remedy["diff"].as_str() {
            let output = self.run_with_input(&["patch", "--directory=/", "--strip=1"], diff.as_bytes()).unwrap();
            assert!(output.success(), "{diff}\n{output:?}");
        }
        for command in remedy["commands"].as_array().unwrap() {
            let output = self.run(&["sh", "-c", command.as_str().unwrap()]).unwrap();
            assert!(output.success(), "{command}: {output:?}");
        }
    }

    /// Waits until the engine answers on its port.
    pub(crate) fn wait_answer(&self, port: u16) {
        self.engine.wait_http(self, port, Scheme::Http).unwrap();
    }

    fn heal(&self) -> Result<()> {
        self.run(&["ufw", "--force", "disable"])?;
        self.run(&["systemctl", "stop", "firewalld"])?;
        // A remedy that a test had carried out lasts.
        self.check(&["sh", "-c", "rm -f /etc/firewalld/zones/* /etc/firewalld/policies/*"])?;
        self.check(&["nft", "flush", "ruleset"])?;
        self.engine.set_yml(self, &self.engine.healthy_yml())?;
        self.run(&["systemctl", "reset-failed", self.engine.name()])?;
        self.check(&["systemctl", "disable", self.engine.name()])?;
        self.check(&["rm", "-f", "/etc/sysctl.d/60-dialtone.conf"])?;
        // An approved plan's, or a test's own.
        self.check(&["rm", "-rf", &format!("/etc/systemd/system/{}.service.d", self.engine.name())])?;
        self.check(&["systemctl", "daemon-reload"])?;
        self.check(&["systemctl", "restart", self.engine.name()])?;
        self.engine.wait_http(self, 9200, Scheme::Http)?;
        if thread::panicking() {
            bail!("a failed test may leave anything behind");
        }
        Ok(())
    }
}

impl Deref for Node {
    type Target = Host;

    fn deref(&self) -> &Host {
        self.slot.as_ref().expect("a node is only made of a filled slot")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.heal().is_err() {
            *self.slot = None;
        }
    }
}

/// What `dialtone diagnose -o json` printed.
pub(crate) struct Seen {
    pub(crate) json: Value,
    pub(crate) exit: i32,
}

impl Seen {
    pub(crate) fn cause(&self) -> &str {
        self.json["verdict"]["cause"].as_str().unwrap_or_default()
    }

    pub(crate) fn certainty(&self) -> &str {
        self.json["verdict"]["certainty"].as_str().unwrap_or_default()
    }

    pub(crate) fn detail(&self) -> &Value {
        &self.json["verdict"]["detail"]
    }

    /// The remedies' commands, one line each.
    pub(crate) fn commands(&self) -> String {
        let remedies = self.json["remedies"].as_array().cloned().unwrap_or_default();
        let commands = remedies.iter().flat_map(|remedy| remedy["commands"].as_array().cloned().unwrap_or_default());
        commands.filter_map(|command| command.as_str().map(str::to_owned)).collect::<Vec<_>>().join("\n")
    }

    /// The first remedy of this action.
    pub(crate) fn remedy(&self, action: &str) -> &Value {
        let remedies = self.json["remedies"].as_array().map(Vec::as_slice).unwrap_or_default();
        let found = remedies.iter().find(|remedy| remedy["action"] == action);
        found.unwrap_or_else(|| panic!("no remedy {action} in {:#}", self.json["remedies"]))
    }

    /// Asserts a certain verdict with a chain, evidence that exists, and the exit code of a cause.
    pub(crate) fn assert_certain(&self, cause: &str, symptom: &str) {
        assert_eq!((self.cause(), self.certainty()), (cause, "certain"), "{:#}", self.json);
        assert_eq!(self.json["symptom"], symptom, "{:#}", self.json);
        assert_eq!(self.exit, 1);
        let chain = self.json["verdict"]["chain"].as_array().unwrap();
        assert!(!chain.is_empty(), "{:#}", self.json);
        let known: Vec<&Value> = self.json["evidence"].as_array().unwrap().iter().map(|cited| &cited["id"]).collect();
        let cited: Vec<&Value> = chain.iter().flat_map(|link| link["evidence"].as_array().unwrap()).collect();
        assert!(!cited.is_empty() && cited.iter().all(|id| known.contains(id)), "{:#}", self.json);
    }

    /// The causes of further blockers.
    pub(crate) fn blockers(&self) -> Vec<&str> {
        self.json["blockers"].as_array().unwrap().iter().filter_map(|blocker| blocker["cause"].as_str()).collect()
    }
}
