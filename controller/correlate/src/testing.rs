//! Pictures for tests, made of raw evidence as an agent would send it. Only with the feature `testing`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use common_evidence::cloud::{AwsAnswers, AwsNetwork};
use common_evidence::collectors::engine_config::EngineConfig;
use common_evidence::collectors::engine_log::EngineLog;
use common_evidence::collectors::engines::Engines;
use common_evidence::collectors::host::Host;
use common_evidence::collectors::interfaces::{InterfaceAddress, Interfaces};
use common_evidence::collectors::journal::JournalLine;
use common_evidence::collectors::nftables::Nftables;
use common_evidence::collectors::processes::{Process, Processes};
use common_evidence::collectors::sockets::{Listener, Owner, Sockets};
use common_evidence::collectors::sysctl::Sysctls;
use common_evidence::collectors::sysctl_files::PersistedSysctls;
use common_evidence::collectors::unit::Unit;
use common_evidence::engine::EngineRef;
use common_evidence::source::FileRead;
use common_evidence::{Evidence, class_of};
use common_model::probe::{HttpAnswer, HttpSeen, Product, TlsSeen};
use common_model::{Body, Envelope, EvidenceId, Failure, FailureReason, Incarnation, Kind, Probe, Symptom, Timestamp};
use serde::Serialize;

use crate::picture::{AgentState, NodePicture, Picture, Resolution};

/// The instant of every picture made here: 2026-01-31T14:10:00Z.
pub const AT: Timestamp = Timestamp(1_769_868_600_000);
/// When its engine was started: an hour before [`AT`].
pub const STARTED: Timestamp = Timestamp(AT.0 - 3_600_000);
/// The node's address.
pub const ADDRESS: &str = "10.0.0.5";
/// Where the controller probes from.
pub const VANTAGE: &str = "10.0.0.1";
/// The yml's path.
pub const YML: &str = "/etc/elasticsearch/elasticsearch.yml";
/// The engine log's path.
pub const LOG: &str = "/var/log/elasticsearch/es.log";
/// The engine's process id and user id.
pub const PID: u32 = 4242;
const UID: u32 = 113;

/// A node `es-1` with a healthy Elasticsearch 7.17 from the Debian package, to be made worse.
pub struct Node {
    picture: NodePicture,
    seq: u64,
}

impl Default for Node {
    fn default() -> Self {
        Self::new()
    }
}

impl Node {
    /// The healthy node, bound to everything on 9200 and 9300, without any firewall rule.
    pub fn new() -> Self {
        Self::bare()
            .engines(vec![engine()])
            .unit("active", "running", "success", 0)
            .process(STARTED)
            .listening(&["[::]:9200", "[::]:9300"])
            .yml("cluster.name: es\nnetwork.host: 0.0.0.0\ndiscovery.type: single-node\n", AT.plus_millis(-86_400_000))
            .nft(serde_json::json!({"nftables": [{"metainfo": {"version": "1.0.6", "json_schema_version": 1}}]}))
            .sysctl("vm.max_map_count", "262144")
            .sysctl_files(&[("/usr/lib/sysctl.d/elasticsearch.conf", "vm.max_map_count=262144\n")])
    }

    /// A node with an address and an agent, on which no engine has been looked for.
    pub fn bare() -> Self {
        let agent =
            AgentState { online: true, last_seen: Some(AT), confirmed_at: Some(AT), clock_offset_ms: 0, late: false };
        let name = "es-1".parse().unwrap_or_else(|_| unreachable!("a valid name"));
        let node = Self {
            picture: NodePicture { name, agent, evidence: Vec::new(), changes: Vec::new(), cloud: None },
            seq: 0,
        };
        let held = |interface: &str, address: &str, prefix| InterfaceAddress {
            interface: interface.to_owned(),
            address: ip(address),
            prefix,
            up: true,
        };
        let addresses = vec![held("eth0", ADDRESS, 24), held("lo", "127.0.0.1", 8), held("lo", "::1", 128)];
        let host = Host {
            hostname: "es-1".to_owned(),
            boot_id: "b1".to_owned(),
            booted_at_ms: AT.0 - 864_000_000,
            ..Host::default()
        };
        node.json::<Interfaces>("", &Interfaces { addresses }).json::<Host>("", &host)
    }

    /// The evidence so far, oldest first.
    pub fn evidence(&self) -> &[Envelope] {
        &self.picture.evidence
    }

    /// What [`Picture::nodes`] holds.
    pub fn build(self) -> NodePicture {
        self.picture
    }

    /// The id the next piece of evidence of a kind gets.
    pub fn last_id<T: Evidence>(&self) -> Option<EvidenceId> {
        self.picture.evidence.iter().rev().find(|envelope| envelope.kind.as_str() == T::KIND).map(Envelope::id)
    }

    /// The agent was last heard this many milliseconds before [`AT`] and is gone.
    pub fn offline_for(mut self, millis: i64) -> Self {
        let heard = Some(AT.plus_millis(-millis));
        self.picture.agent = AgentState { online: false, last_seen: heard, confirmed_at: heard, ..self.picture.agent };
        self
    }

    /// The agent had not read everything again.
    pub fn late(mut self) -> Self {
        self.picture.agent.late = true;
        self
    }

    /// An entry of the change log.
    pub fn change(mut self, change: common_model::Change) -> Self {
        self.picture.changes.push(change);
        self
    }

    /// Drops all evidence of a kind, as if it had never come.
    pub fn without<T: Evidence>(mut self) -> Self {
        self.picture.evidence.retain(|envelope| envelope.kind.as_str() != T::KIND);
        self
    }

    /// Rewrites the source of all evidence of a kind.
    pub fn rewrite<T: Evidence>(mut self, edit: impl Fn(&str) -> String) -> Self {
        for envelope in self.picture.evidence.iter_mut().filter(|held| held.kind.as_str() == T::KIND) {
            if let Body::Raw(raw) = &mut envelope.body {
                *raw = edit(&String::from_utf8_lossy(raw)).into_bytes();
            }
        }
        self
    }

    /// The agent could not read a source.
    pub fn denied<T: Evidence>(self, subject: &str) -> Self {
        let failure = Failure { reason: FailureReason::Denied, message: format!("{subject}: permission denied") };
        self.body::<T>(subject, AT, Body::Failed(failure))
    }

    /// Evidence whose source is JSON.
    pub fn json<T: Evidence>(self, subject: &str, value: &impl Serialize) -> Self {
        let raw = serde_json::to_vec(value).unwrap_or_default();
        self.body::<T>(subject, AT, Body::Raw(raw))
    }

    fn body<T: Evidence>(mut self, subject: &str, taken_at: Timestamp, body: Body) -> Self {
        let kind: Kind = T::KIND.parse().unwrap_or_else(|_| unreachable!("a valid kind"));
        // Lines of the journal are events; that it cannot be read is a state.
        let class = if matches!(body, Body::Raw(_)) { class_of(&kind) } else { common_model::Class::State };
        if class == common_model::Class::State {
            self.picture.evidence.retain(|held| held.kind != kind || held.subject != subject);
        }
        self.seq += 1;
        self.picture.evidence.push(Envelope {
            node: self.picture.name.clone(),
            incarnation: Incarnation(1),
            seq: self.seq,
            kind,
            class,
            schema: 1,
            subject: subject.to_owned(),
            taken_at,
            body,
        });
        self
    }

    /// What AWS told the controller.
    pub fn aws(self, answers: &AwsAnswers) -> Self {
        self.cloud(AT, Body::Raw(serde_json::to_vec(answers).unwrap_or_default()))
    }

    /// What the controller got of AWS, then.
    pub fn cloud(mut self, taken_at: Timestamp, body: Body) -> Self {
        self.picture.cloud = Some(Envelope {
            node: "controller".parse().unwrap_or_else(|_| unreachable!("a valid name")),
            incarnation: Incarnation(0),
            seq: 1,
            kind: AwsNetwork::KIND.parse().unwrap_or_else(|_| unreachable!("a valid kind")),
            class: common_model::Class::State,
            schema: 1,
            subject: self.picture.name.to_string(),
            taken_at,
            body,
        });
        self
    }

    /// The engines found.
    pub fn engines(self, engines: Vec<EngineRef>) -> Self {
        self.json::<Engines>("", &Engines { engines, problems: Vec::new() })
    }

    /// The state of `elasticsearch.service`, as `systemctl show` prints it; it last started at [`STARTED`].
    pub fn unit(self, active: &str, sub: &str, result: &str, exit: i32) -> Self {
        self.unit_with(active, sub, result, 1, exit, "enabled")
    }

    /// [`Node::unit`] with `ExecMainCode` (1 exited, 2 killed) and `UnitFileState`.
    pub fn unit_with(self, active: &str, sub: &str, result: &str, code: i32, status: i32, file_state: &str) -> Self {
        let running = active == "active" || active == "activating";
        let (start, at) = (STARTED.0 / 1000, AT.0 / 1000);
        let main = if running { PID } else { 0 };
        let (code, exited) = if running { (0, 0) } else { (code, at - 480) };
        let text = format!(
            "Id=elasticsearch.service\nLoadState=loaded\nActiveState={active}\nSubState={sub}\nUnitFileState={file_state}\n\
             Result={result}\nExecMainPID={PID}\nMainPID={main}\nExecMainCode={code}\nExecMainStatus={status}\n\
             ExecMainStartTimestamp=@{start}\nExecMainExitTimestamp=@{exited}\nActiveEnterTimestamp=@{start}\n\
             ActiveExitTimestamp=@{exited}\nInactiveEnterTimestamp=@{exited}\nInactiveExitTimestamp=@{start}\n\
             StateChangeTimestamp=@{exited}\nNRestarts=0\nFragmentPath=/usr/lib/systemd/system/elasticsearch.service\n\
             DropInPaths=\nNeedDaemonReload=no\nUser=elasticsearch\nGroup=elasticsearch\nType=notify\n\
             TimeoutStartUSec=1min 15s\nLimitNOFILE=65535\nLimitNPROC=4096\nLimitMEMLOCK=8388608\nLimitAS=infinity\nLimitFSIZE=infinity\n"
        );
        self.body::<Unit>("elasticsearch.service", AT, Body::Raw(text.into_bytes()))
    }

    /// The engine's one process, started then.
    pub fn process(self, started: Timestamp) -> Self {
        self.process_with(started, &[], "S")
    }

    /// The engine's one process with `-E` arguments and a state letter.
    pub fn process_with(self, started: Timestamp, arguments: &[&str], state: &str) -> Self {
        let mut command: Vec<String> =
            ["/usr/share/elasticsearch/jdk/bin/java", "-Des.path.conf=/etc/elasticsearch"].map(str::to_owned).to_vec();
        command.push("org.elasticsearch.bootstrap.Elasticsearch".to_owned());
        command.extend(arguments.iter().map(|argument| format!("-E{argument}")));
        let process = Process {
            pid: PID,
            parent: 1,
            uid: UID,
            command,
            started_at_ms: started.0,
            limits: BTreeMap::new(),
            state: state.to_owned(),
        };
        self.json::<Processes>("elasticsearch", &Processes { processes: vec![process] })
    }

    /// No process of the engine.
    pub fn no_process(self) -> Self {
        self.json::<Processes>("elasticsearch", &Processes::default())
    }

    /// The engine's listeners, and none besides; `[::]:9200` is a dual-stack wildcard.
    pub fn listening(self, sockets: &[&str]) -> Self {
        let owner = Owner { pid: PID, command: "java".to_owned(), unit: Some("elasticsearch.service".to_owned()) };
        let sockets: Vec<Listener> = sockets.iter().map(|socket| listener(socket, UID, Some(owner.clone()))).collect();
        self.listeners(sockets)
    }

    /// Exactly these listeners.
    pub fn listeners(self, listeners: Vec<Listener>) -> Self {
        self.json::<Sockets>("", &Sockets { listeners })
    }

    /// The engine's yml, last written then.
    pub fn yml(self, text: &str, modified: Timestamp) -> Self {
        let file = FileRead { modified_ms: modified.0, ..file(YML, text) };
        self.json::<EngineConfig>(YML, &file)
    }

    /// The end of the engine's log.
    pub fn log(self, text: &str) -> Self {
        let file = FileRead { modified_ms: AT.0 - 481_000, ..file(LOG, text) };
        self.json::<EngineLog>(LOG, &file)
    }

    /// A live kernel setting.
    pub fn sysctl(self, name: &str, value: &str) -> Self {
        let values = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        self.json::<Sysctls>("", &Sysctls { values })
    }

    /// The files that persist kernel settings.
    pub fn sysctl_files(self, files: &[(&str, &str)]) -> Self {
        let files: Vec<FileRead> = files.iter().map(|(path, text)| file(path, text)).collect();
        self.json::<PersistedSysctls>("", &files)
    }

    /// The nftables ruleset, as `nft -j -a list ruleset` prints it.
    pub fn nft(self, ruleset: serde_json::Value) -> Self {
        self.json::<Nftables>("", &ruleset)
    }

    /// A line of systemd about the unit.
    pub fn systemd(self, at: Timestamp, message_id: &str, message: &str, extra: serde_json::Value) -> Self {
        let mut line = serde_json::json!({
            "__REALTIME_TIMESTAMP": (at.0 * 1000).to_string(), "_PID": "1", "_COMM": "systemd", "SYSLOG_IDENTIFIER": "systemd",
            "_UID": "0", "_SYSTEMD_UNIT": "init.scope", "PRIORITY": "6", "UNIT": "elasticsearch.service",
            "MESSAGE_ID": message_id, "MESSAGE": message,
        });
        if let (Some(line), Some(extra)) = (line.as_object_mut(), extra.as_object()) {
            line.extend(extra.clone());
        }
        self.journal("elasticsearch.service", at, &line)
    }

    /// A line the engine wrote to its standard error.
    pub fn stderr(self, at: Timestamp, message: &str) -> Self {
        let line = serde_json::json!({
            "__REALTIME_TIMESTAMP": (at.0 * 1000).to_string(), "_PID": PID.to_string(), "_COMM": "java", "PRIORITY": "6",
            "_SYSTEMD_UNIT": "elasticsearch.service", "SYSLOG_IDENTIFIER": "systemd-entrypoint", "MESSAGE": message,
        });
        self.journal("elasticsearch.service", at, &line)
    }

    /// sudo's line about a command that somebody ran.
    pub fn sudo(self, at: Timestamp, user: &str, command: &str) -> Self {
        let message = format!("{user:>8} : TTY=pts/0 ; PWD=/home/{user} ; USER=root ; COMMAND={command}");
        let line = serde_json::json!({
            "__REALTIME_TIMESTAMP": (at.0 * 1000).to_string(), "_PID": "900", "_COMM": "sudo", "_UID": "1000", "PRIORITY": "5",
            "_SYSTEMD_UNIT": "session-1.scope", "SYSLOG_IDENTIFIER": "sudo", "MESSAGE": message,
        });
        self.journal("sudo", at, &line)
    }

    fn journal(self, subject: &str, at: Timestamp, line: &serde_json::Value) -> Self {
        let raw = serde_json::to_vec(line).unwrap_or_default();
        self.body::<JournalLine>(subject, at, Body::Raw(raw))
    }

    /// The unit was started at `at`: systemd's line.
    pub fn starting(self, at: Timestamp) -> Self {
        self.systemd(
            at,
            "7d4958e842da4a758f6c1cdc7b36dcc5",
            "Starting elasticsearch.service - Elasticsearch...",
            serde_json::json!({"JOB_TYPE": "start"}),
        )
    }

    /// The unit, as it was last read, is in this run of it.
    pub fn unit_of_run(self, id: &str) -> Self {
        self.rewrite::<Unit>(|text| format!("{text}InvocationID={id}\n"))
    }

    /// Every journal line so far that names no run is of this one.
    pub fn lines_of_run(self, id: &str) -> Self {
        let fields = ["_SYSTEMD_INVOCATION_ID", "INVOCATION_ID"].map(|name| format!(r#""{name}":"{id}""#)).join(",");
        self.rewrite::<JournalLine>(|line| match line.contains("INVOCATION_ID") {
            true => line.to_owned(),
            false => line.replacen('{', &format!("{{{fields},"), 1),
        })
    }

    /// The unit failed at `at` with an exit status: systemd's two lines, the unit's state, and neither process nor socket.
    pub fn failed(self, at: Timestamp, exit: i32) -> Self {
        let exited = serde_json::json!({"EXIT_CODE": "exited", "EXIT_STATUS": exit.to_string()});
        let text = format!("elasticsearch.service: Main process exited, code=exited, status={exit}");
        let result = serde_json::json!({"UNIT_RESULT": "exit-code"});
        self.unit("failed", "failed", "exit-code", exit)
            .no_process()
            .listening(&[])
            .systemd(at, "98e322203f7a4ed290d09fe03c09fe15", &text, exited)
            .systemd(
                at,
                "d9b373ed55a64feb8242e02dbe79a49c",
                "elasticsearch.service: Failed with result 'exit-code'.",
                result,
            )
    }

    /// The unit was stopped at `at` and ended well.
    pub fn stopped(self, at: Timestamp) -> Self {
        self.unit("inactive", "dead", "success", 143)
            .no_process()
            .listening(&[])
            .systemd(
                at.plus_millis(-900),
                "de5b426a63be47a7b6ac3eaac82e2f6f",
                "Stopping elasticsearch.service - Elasticsearch...",
                serde_json::json!({"JOB_TYPE": "stop"}),
            )
            .systemd(
                at,
                "9d1aaa27d60140bd96365438aad20286",
                "Stopped elasticsearch.service - Elasticsearch.",
                serde_json::json!({"JOB_TYPE": "stop", "JOB_RESULT": "done"}),
            )
    }
}

/// The engine of [`Node::new`].
pub fn engine() -> EngineRef {
    EngineRef {
        name: "elasticsearch".to_owned(),
        product: Some(Product::Elasticsearch),
        unit: Some("elasticsearch.service".to_owned()),
        package: Some("elasticsearch".to_owned()),
        version: Some("7.17.28".to_owned()),
        config_dir: "/etc/elasticsearch".to_owned(),
        home: Some("/usr/share/elasticsearch".to_owned()),
        log_file: Some(LOG.to_owned()),
        pids: vec![PID],
        found_by: vec!["unit".to_owned()],
        ..EngineRef::default()
    }
}

/// A listening socket `ADDRESS:PORT`.
pub fn listener(socket: &str, uid: u32, owner: Option<Owner>) -> Listener {
    let (address, port) = socket.rsplit_once(':').unwrap_or_default();
    let address = ip(address.trim_matches(['[', ']']));
    Listener {
        address,
        port: port.parse().unwrap_or_default(),
        v6_only: address.is_ipv6().then_some(false),
        backlog_full: false,
        backlog_limit: 4096,
        uid,
        inode: 1,
        owner,
    }
}

/// A socket of another program.
pub fn foreign(socket: &str, command: &str, unit: &str) -> Listener {
    listener(socket, 0, Some(Owner { pid: 77, command: command.to_owned(), unit: Some(unit.to_owned()) }))
}

/// A picture of `http://10.0.0.5:9200` and this node, with these probes.
pub fn picture(node: Node, probes: Vec<Probe>) -> Picture {
    asking("http://10.0.0.5:9200", node, probes)
}

/// A picture of any endpoint; a host name resolves to [`ADDRESS`].
pub fn asking(endpoint: &str, node: Node, probes: Vec<Probe>) -> Picture {
    let endpoint: common_model::Endpoint = endpoint.parse().unwrap_or_else(|error| unreachable!("{error}"));
    let node = node.build();
    let resolution = Resolution::Addresses(vec![endpoint.address().unwrap_or_else(|| ip(ADDRESS))]);
    Picture {
        at: AT,
        endpoint,
        resolution,
        probes,
        client_error: None,
        here: None,
        nodes: BTreeMap::from([(node.name.clone(), node)]),
    }
}

/// A probe by the controller that ended so.
pub fn probe(outcome: Symptom) -> Probe {
    let (errno, message) = match outcome {
        Symptom::Refused => (Some("ECONNREFUSED"), "connection refused"),
        Symptom::Timeout => (Some("ETIMEDOUT"), "no answer in 3 s"),
        Symptom::Unreachable => (Some("EHOSTUNREACH"), "no route to host"),
        _ => (None, "connected"),
    };
    Probe {
        id: EvidenceId::of_probe("controller", 1),
        vantage: "controller".to_owned(),
        address: Some(ip(ADDRESS)),
        source: Some(ip(VANTAGE)),
        port: 9200,
        outcome,
        errno: errno.map(str::to_owned),
        rtt_ms: Some(0.4),
        connected: errno.is_none(),
        tls: None,
        http: None,
        taken_at: AT,
        message: message.to_owned(),
    }
}

/// A probe that got the engine's banner, or another status.
pub fn answered(status: u16) -> Probe {
    let outcome = if status < 400 { Symptom::Ok } else { Symptom::HttpError };
    let seen = HttpSeen { status: Some(status), product: Some(Product::Elasticsearch), ..http(HttpAnswer::Http) };
    Probe { http: Some(seen), ..probe(outcome) }
}

/// What a GET showed.
pub fn http(answer: HttpAnswer) -> HttpSeen {
    HttpSeen {
        over_tls: false,
        status: None,
        answer,
        product: None,
        version: None,
        cluster_name: None,
        node_name: None,
        excerpt: String::new(),
    }
}

/// A completed handshake.
pub fn tls() -> TlsSeen {
    TlsSeen {
        established: true,
        version: Some("TLSv1.3".to_owned()),
        subject: Some("CN=es-1".to_owned()),
        issuer: Some("CN=Elasticsearch security auto-configuration HTTP CA".to_owned()),
        names: vec!["es-1".to_owned(), ADDRESS.to_owned()],
        fingerprint_sha256: Some("ab".repeat(32)),
        ca_fingerprint_sha256: Some("cd".repeat(32)),
        not_after: Some(AT.plus_millis(86_400_000 * 365)),
        error: None,
    }
}

fn file(path: &str, text: &str) -> FileRead {
    FileRead {
        path: path.to_owned(),
        text: text.to_owned(),
        size: text.len() as u64,
        cut: false,
        modified_ms: STARTED.0 - 86_400_000,
        owner: "root:elasticsearch".to_owned(),
        mode: "0660".to_owned(),
        error: None,
    }
}

/// An address literal of a test.
pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|error| unreachable!("{text}: {error}"))
}
