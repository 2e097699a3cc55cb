//! Why a check fails: what the node has, what persists it, and what changed it.

use common_evidence::bootstrap::FailedCheck;
use common_evidence::collectors::sysctl::Sysctls;
use common_evidence::collectors::sysctl_files::PersistedSysctls;
use common_model::Change;
use common_model::change::Topic;
use controller_correlate::EngineView;

use crate::case::Case;
use crate::cite;
use crate::finding::Step;
use crate::quote;
use crate::start;

const MAP_COUNT: &str = "vm.max_map_count";

/// The links below a failed check.
pub(super) fn steps(case: &Case<'_>, engine: &EngineView, check: &FailedCheck) -> Vec<Step> {
    match check.check.as_str() {
        "max-map-count" => {
            let required = required(check);
            [live(case, required), persisted(case, required)].into_iter().flatten().collect()
        }
        "discovery-configured" => production(engine).into_iter().collect(),
        _ => limit(engine, check).into_iter().collect(),
    }
}

fn required(check: &FailedCheck) -> Option<u64> {
    check.required.as_deref()?.parse().ok()
}

/// The value the kernel has now.
fn live(case: &Case<'_>, required: Option<u64>) -> Option<Step> {
    let reading = case.node()?.one::<Sysctls>("");
    let sysctls = reading.known()?;
    let value = sysctls.value.values.get(MAP_COUNT)?;
    let cites = case.cite(sysctls, &format!("{MAP_COUNT} = {value}"), &format!("sysctl {MAP_COUNT}"));
    let enough = value.parse::<u64>().ok() >= required && required.is_some();
    let sentence = if enough {
        format!("{MAP_COUNT} is {} by now; the engine was not started again since", cite::shown(value))
    } else {
        format!("{MAP_COUNT} is {} in the kernel", cite::shown(value))
    };
    Some(Step::new("sysctl-live", sentence, cites))
}

/// What a boot would set.
fn persisted(case: &Case<'_>, required: Option<u64>) -> Option<Step> {
    let reading = case.node()?.one::<PersistedSysctls>("");
    let files = reading.known()?;
    let show = format!("grep -rn {MAP_COUNT} /etc/sysctl.d /run/sysctl.d /usr/lib/sysctl.d /etc/sysctl.conf");
    let Some(winner) = files.value.winner(MAP_COUNT) else {
        let cites = case.cite(files, &format!("no file sets {MAP_COUNT}"), &show);
        return Some(Step::new(
            "sysctl-not-persisted",
            format!("no file in sysctl.d sets {MAP_COUNT}, so a boot leaves the kernel's default"),
            cites,
        ));
    };
    let place = format!("{}:{}", winner.file, winner.line);
    let cites = case.cite(files, &format!("{MAP_COUNT} = {}", winner.value), &place);
    let enough = winner.value.parse::<u64>().ok() >= required && required.is_some();
    let sentence = if enough {
        format!("{place} sets {}, so it was lowered, or not applied, after the boot", cite::shown(&winner.value))
    } else {
        format!("{place} sets only {}", cite::shown(&winner.value))
    };
    Some(Step::new("sysctl-persisted", sentence, cites))
}

/// The setting that turns the checks on.
fn production(engine: &EngineView) -> Option<Step> {
    let settings = engine.settings();
    let sides = [settings.transport.bind, settings.transport.publish];
    let open = sides.iter().find(|set| set.origin.is_known() && set.is_loopback_only() == Some(false))?;
    let sentence = format!("{}, which turns the checks on", quote::stands(open));
    Some(Step::new("production-mode", sentence, quote::setting(engine, open)))
}

/// The unit's limit behind a check, by systemd's directive.
pub(super) fn directive(check: &str) -> Option<&'static str> {
    Some(match check {
        "file-descriptors" => "LimitNOFILE",
        "max-threads" => "LimitNPROC",
        "memory-lock" => "LimitMEMLOCK",
        "max-virtual-memory" => "LimitAS",
        "max-file-size" => "LimitFSIZE",
        _ => return None,
    })
}

fn limit(engine: &EngineView, check: &FailedCheck) -> Option<Step> {
    let directive = directive(&check.check)?;
    let unit = engine.unit.known()?;
    let (_, value) = unit.value.limits.iter().find(|(name, _)| name == directive)?;
    let source = format!("systemctl show -p {directive} {}", unit.subject);
    let cites = cite::evidence(&engine.node, unit, &format!("{directive}={value}"), &source);
    Some(Step::new("unit-limit", format!("{} has {directive}={}", unit.subject, cite::shown(value)), cites))
}

/// Whether a change made this check fail.
pub(super) fn explains(change: &Change, engine: &EngineView, check: &FailedCheck) -> bool {
    match check.check.as_str() {
        "max-map-count" => lowers(change, required(check)) || change.topic == Topic::Boot,
        "heap-size" | "serial-gc" => false,
        "memory-lock" => start::edited(change, engine, &["bootstrap.memory_lock"]) || limits(change, engine, check),
        "discovery-configured" => start::edited(
            change,
            engine,
            &[
                "discovery.seed_hosts",
                "discovery.seed_providers",
                "cluster.initial_master_nodes",
                "cluster.initial_cluster_manager_nodes",
            ],
        ),
        _ => limits(change, engine, check),
    }
}

fn lowers(change: &Change, required: Option<u64>) -> bool {
    let number = |value: &Option<String>| value.as_deref().and_then(|value| value.parse::<u64>().ok());
    change.topic == Topic::Sysctl
        && change
            .items
            .iter()
            .any(|item| item.key == MAP_COUNT && number(&item.new) < required && number(&item.old) >= required)
}

fn limits(change: &Change, engine: &EngineView, check: &FailedCheck) -> bool {
    let of_unit = change.topic == Topic::Unit && Some(change.subject.as_str()) == engine.unit_name();
    let Some(directive) = directive(&check.check) else { return false };
    of_unit && change.items.iter().any(|item| item.key == directive)
}
