//! A node in a directory of its own, with the real actuator on it.
#![allow(clippy::unwrap_used, reason = "a node that cannot be made ends the test")]

mod strike;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common_model::Timestamp;
use common_plan::wire::{Reply, Request};
use common_plan::{
    ApprovalKey, CarriedOutBy, Entry, Goal, OnNode, Plan, PlanBytes, Report, SCHEMA, Step, Sysctl, SysctlFile,
    SysctlSet, Why,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use strike::{Then, Victim, When, resume, strike};

/// The file that makes a setting last, and what it holds before any plan.
pub const CONF: &str = "etc/sysctl.d/60-elasticsearch.conf";
/// What [`CONF`] holds before any plan.
pub const CONF_BEFORE: &str = "vm.swappiness = 1\n";

/// What plays the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// A file of the directory in the place of `vm.max_map_count`.
    File,
    /// The real `net.ipv4.tcp_retries2` of the network namespace that the calling thread is in.
    Namespace,
}

impl Kernel {
    /// The setting that plans change.
    pub fn key(self) -> Sysctl {
        match self {
            Kernel::File => Sysctl::MaxMapCount,
            Kernel::Namespace => Sysctl::Retries2,
        }
    }

    /// Its value before, and what plans make of it.
    pub fn values(self) -> (u64, u64) {
        match self {
            Kernel::File => (65_530, 262_144),
            Kernel::Namespace => (15, 8),
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(since.as_millis()).unwrap())
}

/// A key of an operator.
pub fn new_key() -> ApprovalKey {
    let document = ring::signature::Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
    ApprovalKey::from_pkcs8(document.as_ref()).unwrap()
}

/// A node whose policy trusts `alice`.
pub struct Host {
    root: TempDir,
    name: String,
    actuator: PathBuf,
    kernel: Kernel,
    key: ApprovalKey,
}

impl Host {
    /// The node `es-1`, with this program as its actuator. Its policy allows two plans within an hour.
    pub fn new(actuator: impl Into<PathBuf>, kernel: Kernel) -> Self {
        Self::named("es-1", actuator, kernel, new_key(), "plans_per_hour: 2\n")
    }

    /// A node of this name whose policy has these lines at its top, and trusts this key as alice's.
    pub fn named(name: &str, actuator: impl Into<PathBuf>, kernel: Kernel, key: ApprovalKey, policy: &str) -> Self {
        // In memory where there is such a place: thousands of nodes are made, and none has to outlive a power cut.
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        let host = Self { root: root.unwrap(), name: name.to_owned(), actuator: actuator.into(), kernel, key };
        host.write("etc/dialtone/agent.yaml", &format!("controller: c\nnode: {name}\n"));
        let (old, new) = kernel.values();
        host.write(
            "etc/dialtone/policy.yaml",
            &format!(
                "epoch: 7\nplans_valid_s: 1000000\n{policy}approvers:\n- {{name: alice, key: '{}'}}\nallow:\n  sysctl-set:\n    keys: {{{}: {}..{}}}\n  \
                 firewall-allow: {{ports: [9200], sources: [10.0.0.0/8]}}\n",
                host.key.public().unwrap(),
                kernel.key(),
                old.min(new),
                old.max(1_048_576)
            ),
        );
        match kernel {
            Kernel::File => host.write("proc/sys/vm/max_map_count", &format!("{old}\n")),
            Kernel::Namespace => {
                let path = kernel.key().proc_path();
                host.link(path.trim_start_matches('/'), path);
                fs::write(path, format!("{old}\n")).unwrap();
            }
        }
        host.write(CONF, CONF_BEFORE);
        host.recover();
        host
    }

    /// What is `/` to it.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// A file of it, by its path without the first slash.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Writes a file of it.
    pub fn write(&self, path: &str, content: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), content).unwrap();
    }

    /// Gives it something of this machine.
    pub fn link(&self, path: &str, target: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        symlink(target, self.path(path)).unwrap();
    }

    fn command(&self, task: &str) -> Command {
        let mut command = Command::new(&self.actuator);
        command.args([task, "--root"]).arg(self.root.path()).stdin(Stdio::null());
        command
    }

    /// What happens at boot.
    pub fn recover(&self) {
        assert!(self.command("recover").status().unwrap().success());
    }

    /// Starts the actuator, which stops at a point if there is one, and waits until it listens.
    pub fn serve(&self, stop_at: Option<&str>) -> Running {
        self.serve_telling(stop_at, Stdio::null())
    }

    /// As [`Host::serve`]; what it tells the journal goes there.
    pub fn serve_telling(&self, stop_at: Option<&str>, journal: Stdio) -> Running {
        let mut command = self.command("serve");
        command.args(stop_at.into_iter().flat_map(|point| ["--stop-at", point]));
        let actuator = Running::start(command.stderr(journal));
        until("the actuator listens", || self.connect().is_some());
        actuator
    }

    fn connect(&self) -> Option<UnixStream> {
        UnixStream::connect(self.path("run/dialtone-actuator/socket")).ok()
    }

    /// Asks on a connection of its own; none: the actuator went away.
    pub fn ask(&self, request: &Request) -> Option<Reply> {
        let mut line = serde_json::to_vec(request).unwrap();
        line.push(b'\n');
        self.ask_raw(&line)
    }

    /// Sends these bytes on a connection of its own; none: the actuator went away.
    pub fn ask_raw(&self, line: &[u8]) -> Option<Reply> {
        let mut stream = self.connect()?;
        stream.write_all(line).ok()?;
        let mut reply = String::new();
        BufReader::new(stream).read_line(&mut reply).ok()?;
        serde_json::from_str(&reply).ok()
    }

    /// A plan that sets the value and makes it last in a file that has other things in it.
    pub fn plan(&self, confirm_within_s: u32) -> Plan {
        let file = SysctlFile { name: Some("60-elasticsearch.conf".parse().unwrap()), from: None };
        let (from, to) = self.kernel.values();
        let step = SysctlSet { key: self.kernel.key(), from, to, persist: Some(file), start: None };
        self.plan_of(Step::SysctlSet(step), confirm_within_s)
    }

    /// A plan for this node as it is now that nothing but its step can be wrong with.
    pub fn plan_of(&self, step: Step, confirm_within_s: u32) -> Plan {
        Plan {
            schema: SCHEMA.to_owned(),
            by: CarriedOutBy::Node(OnNode {
                session: self.report().session,
                epoch: 7,
                expires_boot_ms: u64::MAX,
                confirm_within_s,
            }),
            node: self.name.parse().unwrap(),
            made_at: now(),
            expires_at: now().plus_millis(3_600_000),
            step,
            why: Why { sentence: "too low".to_owned(), evidence: Vec::new() },
            goal: Goal { endpoint: "http://es-1:9200".to_owned(), cause: "bootstrap-check".parse().unwrap() },
            risk: String::new(),
            undo: String::new(),
        }
    }

    /// The key that its policy trusts.
    pub fn key(&self) -> &ApprovalKey {
        &self.key
    }

    /// Asks for it, signed.
    pub fn act(&self, plan: &PlanBytes) -> Request {
        Request::Act { plan: plan.clone(), approvals: vec![self.key.approve(plan).unwrap()] }
    }

    /// What its actuator tells.
    pub fn report(&self) -> Report {
        serde_json::from_slice(&fs::read(self.path("var/lib/dialtone-actuator/report.json")).unwrap()).unwrap()
    }

    /// What is told of a plan.
    pub fn entry(&self, plan: &PlanBytes) -> Option<Entry> {
        self.report().entries.into_iter().find(|entry| entry.plan == plan.id())
    }

    /// The kernel's value.
    pub fn live(&self) -> u64 {
        let path = self.path(self.kernel.key().proc_path().trim_start_matches('/'));
        fs::read_to_string(path).unwrap().trim().parse().unwrap()
    }

    /// Sets the kernel's value, as somebody else.
    pub fn set_live(&self, value: u64) {
        fs::write(self.path(self.kernel.key().proc_path().trim_start_matches('/')), format!("{value}\n")).unwrap();
    }

    /// The value is the one before, and nothing makes another last.
    pub fn is_old(&self) -> bool {
        self.live() == self.kernel.values().0 && fs::read_to_string(self.path(CONF)).unwrap() == CONF_BEFORE
    }

    /// The value is the plan's, and it lasts.
    pub fn is_new(&self) -> bool {
        let new = self.kernel.values().1;
        let lasting = format!("{CONF_BEFORE}{} = {new}\n", self.kernel.key());
        self.live() == new && fs::read_to_string(self.path(CONF)).unwrap() == lasting
    }

    /// The guards on this host.
    pub fn guards(&self) -> Vec<Pid> {
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
    pub fn kill_guards(&self) -> usize {
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

/// A running program; killed when it goes out of scope.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    /// What is piped from and to it.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// kill -9; nothing where it has ended.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Whether it has ended by itself, or was killed.
    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether a process is stopped, by the state letter after its name in `/proc/PID/stat`.
pub fn is_stopped(pid: Pid) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.as_raw_nonzero().to_string()).join("stat"));
    stat.is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
}

/// Waits for what has to come; a minute without it is a failure, however slow the machine is.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        let waited = begun.elapsed();
        assert!(waited < Duration::from_secs(60), "not seen within a minute: {what}");
        // Many wait at once, and what they wait for needs the processor, too.
        std::thread::sleep((waited / 20).clamp(Duration::from_millis(1), Duration::from_millis(20)));
    }
}
