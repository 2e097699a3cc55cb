//! Bootstrap checks that nothing but a person can make pass, and the others where what would mend them cannot be told.

use common_model::diagnosis::Remedy;
use serde_json::Value;

use super::{HEAP_SIZES, Told, jvm_lines, place, yml};
use crate::actions::{config_edit, jvm_heap, sysctl_set, unit_limit};
use crate::ask::{Ask, shown};

/// Of each failed check that no other action mends, what to do.
pub(super) fn told(ask: &Ask<'_>) -> Vec<Told> {
    let failed = unit_limit::failed(ask);
    let by_unit = ask.unit().is_some();
    let native = by_unit && unit_limit::lacks_native_code(&failed);
    let checks = ask.verdict.detail.get("checks").and_then(Value::as_array);
    let mut told: Vec<Told> = Vec::new();
    for check in checks.into_iter().flatten() {
        let id = check["check"].as_str().unwrap_or_default();
        let is_mended = match id {
            "memory-lock" | "file-descriptors" | "max-threads" | "max-virtual-memory" | "max-file-size" => by_unit,
            "system-call-filter" => native || unit_limit::forbids_seccomp(ask),
            "heap-size" => mended(jvm_heap::ACTION.propose, ask),
            "max-map-count" => mended(sysctl_set::ACTION.propose, ask),
            "discovery-configured" => mended(config_edit::ACTION.propose, ask),
            _ => false,
        };
        if !is_mended {
            let next = one(ask, id, check);
            if told.iter().all(|held| held.title != next.title) {
                told.push(next);
            }
        }
    }
    told
}

fn mended(propose: fn(&Ask<'_>) -> Vec<Remedy>, ask: &Ask<'_>) -> bool {
    !propose(ask).is_empty()
}

fn one(ask: &Ask<'_>, id: &str, check: &Value) -> Told {
    let (on, yml) = (ask.on_node(), yml(ask));
    let text = |key: &str| check[key].as_str().map(shown);
    let told = |title: String, commands: Vec<String>, risk: &str| Told {
        title,
        commands,
        risk: risk.to_owned(),
        ..Told::default()
    };
    match id {
        "heap-size" => told(
            format!("Set -Xms and -Xmx to one size{on}, where the JVM's options set them"),
            jvm_lines(ask, HEAP_SIZES),
            "The engine takes the whole heap when it starts: the host needs that much free.",
        ),
        "memory-lock" | "file-descriptors" | "max-threads" | "max-virtual-memory" | "max-file-size" => told(
            format!(
                "Raise the limit of what starts the engine{on}, to {}: {}",
                text("required").unwrap_or_else(|| "unlimited".to_owned()),
                text("message").unwrap_or_default()
            ),
            vec![format!("sudo grep -rns {} /etc/security/limits.conf /etc/security/limits.d", ask.user())],
            "For a systemd service limits.conf does nothing: there it is a Limit of the unit.",
        ),
        "max-map-count" => told(
            format!("Raise vm.max_map_count{on}, now and in the file that sets it at boot"),
            vec![
                "grep -rns vm.max_map_count /etc/sysctl.d /run/sysctl.d /usr/lib/sysctl.d /etc/sysctl.conf".to_owned(),
            ],
            "None known: the setting only allows more memory maps; it holds for the whole host.",
        ),
        "client-jvm" | "early-access" | "g1gc" | "java-version" => told(
            format!(
                "Start the engine{on} with another Java than {}: its own is used where no JAVA_HOME is set",
                text("actual").unwrap_or_else(|| "this one".to_owned())
            ),
            jvm_lines(ask, "JAVA_HOME"),
            "Elasticsearch brings no Java before 7.0: there it is the host's that has to be another.",
        ),
        "serial-gc" => told(
            format!("Take -XX:+UseSerialGC out of the JVM's options{on}, or put -XX:+UseG1GC in where none is chosen"),
            jvm_lines(ask, "-E -e 'Use[A-Za-z0-9]+GC'"),
            "Two collectors in the options keep the JVM from starting. With none, Java takes the serial one on a host with one processor or less than 2 GB.",
        ),
        "on-error" | "on-out-of-memory-error" => told(
            format!(
                "Take -XX:OnError and -XX:OnOutOfMemoryError out of the JVM's options{on}; -XX:+ExitOnOutOfMemoryError does without a program"
            ),
            jvm_lines(ask, "-E -e 'On(OutOfMemory)?Error'"),
            "What the program did has to be done by whatever watches the unit.",
        ),
        "system-call-filter" => told(
            format!(
                "Find what keeps {}{on} from installing its system call filter: the kernel, a container or the unit",
                ask.who()
            ),
            ask.unit()
                .map(|unit| {
                    format!("systemctl show -p SystemCallFilter -p RestrictAddressFamilies -p NoNewPrivileges {unit}")
                })
                .into_iter()
                .chain(["grep -s CONFIG_SECCOMP /boot/config-$(uname -r)".to_owned()])
                .collect(),
            "The filter is what stops the engine's process from starting programs: turning it off only hides this.",
        ),
        "all-permission" => told(
            format!("Take the grant of java.security.AllPermission out of the policy file{on} that has it"),
            ask.config_dir()
                .map(|config| {
                    format!(
                        "sudo grep -rns --include='*.policy' AllPermission {config} /usr/share/{}",
                        ask.product().slug()
                    )
                })
                .into_iter()
                .collect(),
            "What was granted everything may need some single permissions instead.",
        ),
        "discovery-configured" => match place(ask, "discovery.type").filter(|_| !check["actual"].is_null()) {
            Some(place) => told(
                format!("Take discovery.type out of {place}{on}, and name other nodes in discovery.seed_hosts"),
                ask.restart(),
                "This version knows one way to find its cluster only.",
            ),
            None => told(
                format!(
                    "Name other nodes of its cluster in discovery.seed_hosts of {yml}{on}; or, for a node that is alone, set discovery.type: single-node"
                ),
                ask.yml()
                    .map(|yml| format!("sudo grep -nE 'discovery|initial_(master|cluster)' {yml}"))
                    .into_iter()
                    .collect(),
                "With single-node it never joins another, and the bootstrap checks only warn.",
            ),
        },
        "byte-order" => told(
            format!("Run this node on a little-endian machine, or install the version it had{on}"),
            vec!["lscpu".to_owned()],
            "Data that a later version wrote cannot be read by an earlier one.",
        ),
        "data-paths" => told(
            format!("Leave one path in path.data, in {}{on}", place(ask, "path.data").unwrap_or(yml)),
            Vec::new(),
            "Keep what is below the other paths until the node is up and its cluster is green.",
        ),
        "transport-tls" => told(
            format!(
                "Set xpack.security.transport.ssl.enabled: true in {yml}{on}, with a key and certificate from the cluster's CA"
            ),
            ask.yml().map(|yml| format!("sudo grep -n ssl {yml}")).into_iter().collect(),
            "Every node of the cluster needs it: one without cannot join. Without it what the nodes say to each other, passwords too, can be read on the way.",
        ),
        "https-tokens" => told(
            format!(
                "Set xpack.security.http.ssl.enabled: true in {yml}{on}, with a key and certificate that the clients trust"
            ),
            ask.program("certutil").map(|certutil| format!("sudo {certutil} http")).into_iter().collect(),
            "Clients that were told http have to be told https.",
        ),
        "security-implicit" => told(
            format!(
                "Set xpack.security.enabled: true in {yml}{on}, with TLS between the nodes and passwords for the users"
            ),
            Vec::new(),
            "From then on nobody gets in without a password: every client needs one. The node was open to everybody who reached it before.",
        ),
        _ => told(
            format!("Do what the check asks for{on}: {}", text("message").unwrap_or_default()),
            ask.restart(),
            "This check is not one that is known here.",
        ),
    }
}
