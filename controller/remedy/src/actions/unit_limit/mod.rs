//! Raising a resource limit of the unit by a drop-in. limits.conf does nothing for a systemd service.

use common_model::diagnosis::{Remedy, RemedyKind};

use super::Action;
use crate::ask::Ask;

/// The entry.
pub(super) static ACTION: Action = Action { id: "unit-limit", causes: &["bootstrap-check"], propose };

/// Directive and value that satisfy a check.
fn directive(check: &str) -> Option<&'static str> {
    Some(match check {
        "file-descriptors" => "LimitNOFILE=65535",
        "memory-lock" => "LimitMEMLOCK=infinity",
        "max-threads" => "LimitNPROC=4096",
        "max-virtual-memory" => "LimitAS=infinity",
        "max-file-size" => "LimitFSIZE=infinity",
        _ => return None,
    })
}

fn propose(ask: &Ask<'_>) -> Vec<Remedy> {
    let checks = ask.verdict.detail.get("checks").and_then(|checks| checks.as_array());
    let failed: Vec<&str> = checks.into_iter().flatten().filter_map(|check| check["check"].as_str()).collect();
    // Both fail together when the JVM's native code cannot be loaded, usually from a noexec /tmp; a limit would not help.
    if failed.contains(&"memory-lock") && failed.contains(&"system-call-filter") {
        return Vec::new();
    }
    let directives: Vec<&str> = failed.iter().filter_map(|check| directive(check)).collect();
    match ask.unit() {
        Some(unit) if !directives.is_empty() => vec![remedy(ask, unit, &directives)],
        _ => Vec::new(),
    }
}

fn remedy(ask: &Ask<'_>, unit: &str, directives: &[&str]) -> Remedy {
    let file = format!("/etc/systemd/system/{unit}.d/60-dialtone.conf");
    let text = format!("[Service]\\n{}\\n", directives.join("\\n"));
    Remedy {
        plan_id: None,
        action: ACTION.id.to_owned(),
        title: format!("Raise limits of {unit}{}: {}", ask.on_node(), directives.join(", ")),
        kind: RemedyKind::Approve,
        commands: vec![
            format!("sudo mkdir -p /etc/systemd/system/{unit}.d"),
            format!("printf '{text}' | sudo tee {file}"),
            "sudo systemctl daemon-reload".to_owned(),
            format!("sudo systemctl restart {unit}"),
        ],
        diff: None,
        risk: "None known: the engine may use more, it does not have to.".to_owned(),
        undo: format!("sudo rm {file} && sudo systemctl daemon-reload"),
    }
}
