//! What a drop-in of the unit mends: limits, the time a start may take, the user, the directory for temporary files, the order at
//! boot. limits.conf does nothing for a systemd service.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use common_model::diagnosis::{Remedy, RemedyKind};
use common_model::probe::Product;

use super::Action;
use crate::ask::Ask;
use crate::drop_in::{DropIn, drop_in};

/// The entry.
pub(super) static ACTION: Action = Action {
    id: "unit-limit",
    causes: &["bootstrap-check", "tmp-noexec", "start-timeout", "ran-as-root", "bind-address-not-local"],
    propose,
};

/// Seconds that the unit of Elasticsearch 8.7 and later gives a start; the ones before give 75, which a large node exceeds.
const START_SECONDS: u32 = 900;

/// The directive and the least value that satisfy a check; none for no limit at all.
fn directive(check: &str) -> Option<(&'static str, Option<u64>)> {
    Some(match check {
        "file-descriptors" => ("LimitNOFILE", Some(65_535)),
        "max-threads" => ("LimitNPROC", Some(4096)),
        "memory-lock" => ("LimitMEMLOCK", None),
        "max-virtual-memory" => ("LimitAS", None),
        "max-file-size" => ("LimitFSIZE", None),
        _ => return None,
    })
}

fn propose(ask: &Ask<'_>) -> Vec<Remedy> {
    let remedy = match ask.verdict.cause.as_str() {
        "bootstrap-check" => return checks(ask),
        "tmp-noexec" => temporary_directory(ask),
        "start-timeout" => patience(ask),
        "ran-as-root" => user(ask),
        _ => network(ask),
    };
    remedy.into_iter().collect()
}

/// The failed checks by id, with the value each wants.
pub(super) fn failed<'a>(ask: &'a Ask<'_>) -> Vec<(&'a str, Option<u64>)> {
    let checks = ask.verdict.detail.get("checks").and_then(|checks| checks.as_array());
    let wanted = |check: &serde_json::Value| check["required"].as_str().and_then(|text| text.parse().ok());
    checks.into_iter().flatten().filter_map(|check| Some((check["check"].as_str()?, wanted(check)))).collect()
}

/// Both fail together when the JVM's native code cannot be loaded, mostly from a noexec /tmp; a limit would not help.
pub(super) fn lacks_native_code(failed: &[(&str, Option<u64>)]) -> bool {
    ["memory-lock", "system-call-filter"].iter().all(|pair| failed.iter().any(|(check, _)| check == pair))
}

fn checks(ask: &Ask<'_>) -> Vec<Remedy> {
    let mut failed = failed(ask);
    let mut remedies = Vec::new();
    if lacks_native_code(&failed) {
        remedies.extend(temporary_directory(ask));
        failed.retain(|(check, _)| !matches!(*check, "memory-lock" | "system-call-filter"));
    }
    remedies.extend(limits(ask, &failed));
    remedies.extend(seccomp(ask, &failed));
    remedies
}

fn limits(ask: &Ask<'_>, failed: &[(&str, Option<u64>)]) -> Option<Remedy> {
    let unit = ask.engine.as_ref()?.unit.known().map(|unit| &unit.value);
    let (mut lines, mut enough) = (Vec::new(), Vec::new());
    for (check, required) in failed {
        let Some((directive, least)) = directive(check) else { continue };
        let least = least.map(|least| required.unwrap_or(least).max(least));
        let present = unit.and_then(|unit| unit.limits.iter().find(|(name, _)| name == directive));
        match present.filter(|(_, value)| satisfies(value, least)) {
            Some((_, value)) => enough.push(format!("{directive}={value}")),
            None => lines.push(format!(
                "{directive}={}",
                least.map_or_else(|| "infinity".to_owned(), |least| least.to_string())
            )),
        }
    }
    let unit = ask.unit()?;
    if lines.is_empty() && !enough.is_empty() {
        let title = format!("Start {unit}{} again: by now it has {}", ask.on_node(), enough.join(", "));
        return Some(Remedy {
            commands: ask.restart(),
            risk: "If the check fails again, something between systemd and the engine lowers the limit: a ulimit in a script of its start, or the container it is in.".to_owned(),
            undo: format!("sudo systemctl stop {unit}"),
            ..ACTION.remedy(RemedyKind::Approve, title)
        });
    }
    let title = format!("Raise limits of {unit}{}: {}", ask.on_node(), lines.join(", "));
    let DropIn { commands, undo } = (!lines.is_empty()).then(|| drop_in(ask, "limits", "[Service]", &lines))??;
    Some(Remedy {
        commands,
        risk: "None known: the engine may use more, it does not have to.".to_owned(),
        undo,
        ..ACTION.remedy(RemedyKind::Approve, title)
    })
}

fn satisfies(value: &str, least: Option<u64>) -> bool {
    value == "infinity" || value.parse::<u64>().ok().zip(least).is_some_and(|(value, least)| value >= least)
}

/// Whether the unit is one of OpenSearch 3.0, which forbids the very call with which the engine restricts itself. Later units
/// permit it.
pub(super) fn forbids_seccomp(ask: &Ask<'_>) -> bool {
    let is_three = ask.version().is_some_and(|(major, _)| major >= 3);
    is_three && ask.product() == Product::Opensearch && ask.unit().is_some()
}

fn seccomp(ask: &Ask<'_>, failed: &[(&str, Option<u64>)]) -> Option<Remedy> {
    let fails = failed.iter().any(|(check, _)| *check == "system-call-filter");
    if !fails || !forbids_seccomp(ask) {
        return None;
    }
    let DropIn { commands, undo } = drop_in(ask, "seccomp", "[Service]", &["SystemCallFilter=seccomp".to_owned()])?;
    let title = format!("Let {}{} install its own system call filter: its unit forbids it", ask.unit()?, ask.on_node());
    Some(Remedy {
        commands,
        risk: "None known: seccomp() only takes rights away from the process that calls it.".to_owned(),
        undo,
        ..ACTION.remedy(RemedyKind::Approve, title)
    })
}

/// A directory of the engine's own: the unit's /tmp has the options of the host's.
fn temporary_directory(ask: &Ask<'_>) -> Option<Remedy> {
    let unit = ask.unit()?;
    let directory = format!("/var/cache/{}-tmp", unit.trim_end_matches(".service"));
    let variable = match ask.product() {
        Product::Elasticsearch => "ES_TMPDIR",
        Product::Opensearch => "OPENSEARCH_TMPDIR",
    };
    let drop_in = drop_in(ask, "tmpdir", "[Service]", &[format!("Environment={variable}={directory}")])?;
    let mut commands = vec![
        "findmnt -no TARGET,OPTIONS --target /tmp".to_owned(),
        format!("sudo install -d -o {} -m 0700 {directory}", ask.user()),
    ];
    commands.extend(drop_in.commands);
    let title = format!("Give {unit}{} a temporary directory it may run code from: {directory}", ask.on_node());
    Some(Remedy {
        commands,
        risk: format!(
            "The first command shows whether /tmp is mounted noexec; if it is not, something else keeps native code away. /tmp stays as it is. Where /etc/default or /etc/sysconfig sets {variable}, that wins."
        ),
        undo: format!("{} && sudo rm -r {directory}", drop_in.undo),
        ..ACTION.remedy(RemedyKind::Approve, title)
    })
}

fn patience(ask: &Ask<'_>) -> Option<Remedy> {
    let DropIn { commands, undo } = drop_in(ask, "start", "[Service]", &[format!("TimeoutStartSec={START_SECONDS}")])?;
    let title = format!("Give {}{} {START_SECONDS} s to start", ask.unit()?, ask.on_node());
    Some(Remedy {
        commands,
        risk: "The restart returns when the engine is up, which may take as long. An engine that hangs at its start is now ended later."
            .to_owned(),
        undo,
        ..ACTION.remedy(RemedyKind::Approve, title)
    })
}

/// Only where the unit itself says root: else somebody started the engine by hand.
fn user(ask: &Ask<'_>) -> Option<Remedy> {
    let is_root = matches!(ask.engine.as_ref()?.unit.known()?.value.user.as_str(), "" | "root");
    let user = is_root.then(|| ask.product().slug())?;
    let lines = [format!("User={user}"), format!("Group={user}")];
    let DropIn { commands, undo } = drop_in(ask, "user", "[Service]", &lines)?;
    let title = format!("Run {}{} as {user}, the user its package makes", ask.unit()?, ask.on_node());
    Some(Remedy {
        commands,
        risk: format!("What root wrote below the engine's directories before may have to be given to {user}."),
        undo,
        ..ACTION.remedy(RemedyKind::Approve, title)
    })
}

/// The address is there by now, so it was not when the engine was started, as at a boot.
fn network(ask: &Ask<'_>) -> Option<Remedy> {
    let address = wanted_address(ask.message())?;
    ask.interfaces()?.holder(address).filter(|held| held.up)?;
    let lines = ["Wants=network-online.target".to_owned(), "After=network-online.target".to_owned()];
    let DropIn { commands, undo } = drop_in(ask, "network", "[Unit]", &lines)?;
    let title = format!(
        "Start {} again: {} has {address} by now; and let it wait for the network at boot",
        ask.unit()?,
        ask.node_name()
    );
    Some(Remedy {
        commands,
        risk: "None known: at boot the engine starts a little later.".to_owned(),
        undo,
        ..ACTION.remedy(RemedyKind::Approve, title)
    })
}

/// The address of `Failed to bind to 10.9.9.9:9300` or `…:[9300-9400]`.
pub(super) fn wanted_address(message: &str) -> Option<IpAddr> {
    let (_, rest) = message.split_once("Failed to bind to ")?;
    let host = match rest.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => rest.split(':').next()?,
    };
    host.parse().ok()
}
