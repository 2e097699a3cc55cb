//! A host in a directory of its own, with the real actuator on it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common_model::Timestamp;
use common_plan::wire::{Reply, Request};
use common_plan::{
    ApprovalKey, CarriedOutBy, Entry, Goal, OnNode, Plan, PlanBytes, Report, SCHEMA, Step, Sysctl, SysctlFile,
    SysctlSet, Why,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// What the kernel has before, and what plans make of it.
pub(crate) const OLD: u64 = 65530;
pub(crate) const NEW: u64 = 262_144;
const CONF: &str = "etc/sysctl.d/60-elasticsearch.conf";
const CONF_BEFORE: &str = "vm.swappiness = 1\n";

pub(crate) struct Host {
    root: TempDir,
    key: ApprovalKey,
}

impl Host {
    /// A node `es-1` whose policy trusts one key and allows one setting.
    pub(crate) fn new() -> Self {
        let random = ring::rand::SystemRandom::new();
        let document = ring::signature::Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let host = Self { root: TempDir::new().unwrap(), key: ApprovalKey::from_pkcs8(document.as_ref()).unwrap() };
        host.write("etc/dialtone/agent.yaml", "controller: c\nnode: es-1\n");
        host.write(
            "etc/dialtone/policy.yaml",
            &format!(
                "epoch: 7\nplans_per_hour: 2\napprovers:\n- {{name: alice, key: '{}'}}\nallow:\n  sysctl-set:\n    keys: {{vm.max_map_count: 65530..1048576}}\n",
                host.key.public().unwrap()
            ),
        );
        host.write("proc/sys/vm/max_map_count", &format!("{OLD}\n"));
        host.write(CONF, CONF_BEFORE);
        host.recover();
        host
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), content).unwrap();
    }

    fn command(&self, task: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dialtone-actuator"));
        command.args([task, "--root"]).arg(self.root.path()).stdin(Stdio::null());
        command
    }

    /// What happens at boot.
    pub(crate) fn recover(&self) {
        assert!(self.command("recover").status().unwrap().success());
    }

    /// Starts the actuator, which stops at a point if there is one, and waits until it listens.
    pub(crate) fn serve(&self, stop_at: Option<&str>) -> Actuator {
        let mut command = self.command("serve");
        let child = command.args(stop_at.into_iter().flat_map(|point| ["--stop-at", point])).spawn().unwrap();
        let actuator = Actuator { child };
        until("the actuator listens", || self.connect().is_some());
        actuator
    }

    fn connect(&self) -> Option<UnixStream> {
        UnixStream::connect(self.path("run/dialtone-actuator/socket")).ok()
    }

    /// Asks on a connection of its own; none: the actuator went away.
    pub(crate) fn ask(&self, request: &Request) -> Option<Reply> {
        let mut stream = self.connect()?;
        let mut line = serde_json::to_vec(request).unwrap();
        line.push(b'\n');
        stream.write_all(&line).ok()?;
        let mut reply = String::new();
        BufReader::new(stream).read_line(&mut reply).ok()?;
        serde_json::from_str(&reply).ok()
    }

    /// A plan that sets the value and makes it last in a file that has other things in it.
    pub(crate) fn plan(&self, confirm_within_s: u32) -> Plan {
        let report = self.report();
        let file = SysctlFile { name: Some("60-elasticsearch.conf".parse().unwrap()), from: None };
        Plan {
            schema: SCHEMA.to_owned(),
            node: "es-1".parse().unwrap(),
            by: CarriedOutBy::Node(OnNode {
                session: report.session,
                epoch: 7,
                expires_boot_ms: u64::MAX,
                confirm_within_s,
            }),
            made_at: Timestamp(0),
            expires_at: Timestamp(9_000_000_000_000),
            step: Step::SysctlSet(SysctlSet {
                key: Sysctl::MaxMapCount,
                from: OLD,
                to: NEW,
                persist: Some(file),
                start: None,
            }),
            why: Why { sentence: "too low".to_owned(), evidence: Vec::new() },
            goal: Goal { endpoint: "http://es-1:9200".to_owned(), cause: "bootstrap-check".parse().unwrap() },
            risk: String::new(),
            undo: String::new(),
        }
    }

    /// Asks for it, signed.
    pub(crate) fn act(&self, plan: &PlanBytes) -> Request {
        Request::Act { plan: plan.clone(), approvals: vec![self.key.approve(plan).unwrap()] }
    }

    pub(crate) fn report(&self) -> Report {
        serde_json::from_slice(&fs::read(self.path("var/lib/dialtone-actuator/report.json")).unwrap()).unwrap()
    }

    /// What is told of a plan.
    pub(crate) fn entry(&self, plan: &PlanBytes) -> Option<Entry> {
        self.report().entries.into_iter().find(|entry| entry.plan == plan.id())
    }

    pub(crate) fn live(&self) -> u64 {
        fs::read_to_string(self.path("proc/sys/vm/max_map_count")).unwrap().trim().parse().unwrap()
    }

    pub(crate) fn is_old(&self) -> bool {
        self.live() == OLD && fs::read_to_string(self.path(CONF)).unwrap() == CONF_BEFORE
    }

    pub(crate) fn is_new(&self) -> bool {
        let lasting = format!("{CONF_BEFORE}vm.max_map_count = {NEW}\n");
        self.live() == NEW && fs::read_to_string(self.path(CONF)).unwrap() == lasting
    }

    /// The guards on this host.
    pub(crate) fn guards(&self) -> Vec<Pid> {
        let root = self.root.path().to_str().unwrap();
        let ids =
            fs::read_dir("/proc").unwrap().filter_map(|name| name.ok()?.file_name().to_str()?.parse::<i32>().ok());
        let is_guard = |pid: &i32| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.contains("\0guard\0") && line.contains(root)
        };
        ids.filter(is_guard).filter_map(Pid::from_raw).collect()
    }

    /// Kills the guards; how many there were.
    pub(crate) fn kill_guards(&self) -> usize {
        let guards = self.guards();
        for guard in &guards {
            kill_process(*guard, Signal::KILL).ok();
        }
        guards.len()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill_guards();
    }
}

pub(crate) struct Actuator {
    child: Child,
}

impl Actuator {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Actuator {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether a process is stopped, by the state letter after its name in `/proc/PID/stat`.
pub(crate) fn is_stopped(pid: Pid) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.as_raw_nonzero().to_string()).join("stat"));
    stat.is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
}

/// Waits for what has to come; a minute without it is a failure, however slow the machine is.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(60), "not seen within a minute: {what}");
        std::thread::yield_now();
    }
}
