//! The bootstrap checks that can be judged from outside the engine. They are enforced once the transport side is not loopback
//! only, unless the node is alone by `discovery.type: single-node` (`BootstrapChecks.enforceLimits`).

use common_evidence::collectors::sysctl::Sysctls;
use common_model::preflight::{Answer, Check, Question};

use super::{Ask, check};

/// `BootstrapChecks.MaxMapCountCheck`.
const MAP_COUNT: u64 = 1 << 18;
/// What a limit of locked memory would have to be at the least for a heap to fit: no engine runs with less.
const LEAST_HEAP: u64 = 64 << 20;
/// Any of these satisfies `DiscoveryConfiguredCheck`.
const DISCOVERY: [&str; 7] = [
    "discovery.seed_hosts",
    "discovery.seed_providers",
    "cluster.initial_master_nodes",
    "cluster.initial_cluster_manager_nodes",
    "discovery.zen.ping.unicast.hosts",
    "discovery.zen.hosts_provider",
    "discovery.zen.minimum_master_nodes",
];

pub(super) fn checks(ask: &Ask<'_>) -> Vec<Check> {
    let transport = &ask.settings.transport;
    let single = ask.settings.discovery_type.shown().as_deref() == Some("single-node");
    let loopback = [transport.bind.is_loopback_only(), transport.publish.is_loopback_only()];
    let mode = |passes, sentence: &str| {
        check("bootstrap-check", Question::Start, passes, sentence, transport.bind.origin.to_string())
    };
    if single {
        return vec![mode(Answer::Yes, "bootstrap checks only warn: discovery.type is single-node")];
    }
    if loopback == [Some(true), Some(true)] {
        return vec![mode(Answer::Yes, "bootstrap checks only warn: the transport side is bound to loopback")];
    }
    let judged = vec![map_count(ask), discovery(ask), memory_lock(ask)].into_iter().flatten();
    let judged: Vec<Check> = judged.chain(limits(ask)).collect();
    if loopback.contains(&Some(false)) {
        return judged;
    }
    // Whether they count is not known; those that pass pass anyway.
    let softened = |check: Check| Check { passes: check.passes.min(Answer::Unknown), ..check };
    judged.into_iter().map(softened).collect()
}

fn map_count(ask: &Ask<'_>) -> Option<Check> {
    if ask.get("node.store.allow_mmap").is_some_and(|set| set.shown().as_deref() == Some("false")) {
        return None;
    }
    let about =
        |passes, sentence: String, source: &str| check("max-map-count", Question::Start, passes, sentence, source);
    let sysctls = ask.node.one::<Sysctls>("");
    let value = sysctls.known().and_then(|cited| cited.value.values.get("vm.max_map_count")?.parse::<u64>().ok());
    Some(match value {
        Some(value) if value < MAP_COUNT => about(
            Answer::No,
            format!("vm.max_map_count is {value} and must be at least {MAP_COUNT}"),
            "/proc/sys/vm/max_map_count",
        ),
        Some(value) => about(Answer::Yes, format!("vm.max_map_count is {value}"), "/proc/sys/vm/max_map_count"),
        None => about(Answer::Unknown, "vm.max_map_count is not known".to_owned(), "sysctl vm.max_map_count"),
    })
}

fn discovery(ask: &Ask<'_>) -> Option<Check> {
    if ask.is_elasticsearch() && ask.version().is_some_and(|version| version < (7, 0)) {
        return None;
    }
    let about = |passes, sentence: String, source: String| {
        check("discovery-configured", Question::Start, passes, sentence, source)
    };
    Some(match (DISCOVERY.iter().find_map(|key| ask.get(key)), ask.config) {
        (Some(set), _) => about(Answer::Yes, format!("{} is set", set.setting), set.origin.to_string()),
        (None, Some(config)) if config.unreadable.is_none() && !config.cut => about(
            Answer::No,
            "none of discovery.seed_hosts, discovery.seed_providers and cluster.initial_master_nodes is set".to_owned(),
            ask.yml(),
        ),
        (None, _) => about(Answer::Unknown, format!("{} is not known", ask.yml()), ask.yml()),
    })
}

fn memory_lock(ask: &Ask<'_>) -> Option<Check> {
    let lock = ask.get("bootstrap.memory_lock").filter(|set| set.shown().as_deref() == Some("true"))?;
    let about =
        |passes, sentence: String| check("memory-lock", Question::Start, passes, sentence, lock.origin.to_string());
    Some(match limit(ask, "LimitMEMLOCK") {
        Some(Limit::Infinity) => about(Answer::Yes, "memory is to be locked, and LimitMEMLOCK is infinity".to_owned()),
        Some(Limit::At(bytes)) if bytes < LEAST_HEAP => {
            about(Answer::No, format!("memory is to be locked, and LimitMEMLOCK is only {bytes} bytes"))
        }
        Some(Limit::At(bytes)) => about(
            Answer::Unknown,
            format!("memory is to be locked; whether the heap fits LimitMEMLOCK={bytes} is not known"),
        ),
        None => about(Answer::Unknown, "memory is to be locked, and LimitMEMLOCK is not known".to_owned()),
    })
}

/// The unit's limits: what the engine is started with, whatever the process that runs has.
fn limits(ask: &Ask<'_>) -> Vec<Check> {
    const LEAST: [(&str, &str, Limit); 4] = [
        ("LimitNOFILE", "file-descriptors", Limit::At(65_535)),
        ("LimitNPROC", "max-threads", Limit::At(4096)),
        ("LimitAS", "max-virtual-memory", Limit::Infinity),
        ("LimitFSIZE", "max-file-size", Limit::Infinity),
    ];
    let unit = ask.engine.unit_name().unwrap_or("the engine's unit");
    let shown = |directive: &str| format!("systemctl show -p {directive} {unit}");
    LEAST
        .into_iter()
        .map(|(directive, id, least)| match limit(ask, directive) {
            Some(limit) if limit < least => {
                let said = format!("{directive} of {unit} is {} and must be at least {}", limit.shown(), least.shown());
                check(id, Question::Start, Answer::No, said, shown(directive))
            }
            Some(limit) => {
                check(id, Question::Start, Answer::Yes, format!("{directive} is {}", limit.shown()), shown(directive))
            }
            None => check(
                id,
                Question::Start,
                Answer::Unknown,
                format!("{directive} of {unit} is not known"),
                shown(directive),
            ),
        })
        .collect()
}

/// A limit as `systemctl show` prints it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Limit {
    At(u64),
    Infinity,
}

impl Limit {
    fn shown(self) -> String {
        match self {
            Limit::At(number) => number.to_string(),
            Limit::Infinity => "infinity".to_owned(),
        }
    }
}

fn limit(ask: &Ask<'_>, directive: &str) -> Option<Limit> {
    let unit = &ask.engine.unit.known()?.value;
    let (_, value) = unit.limits.iter().find(|(name, _)| name == directive)?;
    match value.as_str() {
        "infinity" => Some(Limit::Infinity),
        number => number.parse().ok().map(Limit::At),
    }
}
