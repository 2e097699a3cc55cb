//! What a person has to do where no exact edit or command can be made from the evidence: what to look at, and what to change.
//!
//! The last resort of every cause, so that no verdict leaves anybody without a next step.

mod checks;
mod data;
mod jvm;
mod reach;
mod settings;
mod start;
#[cfg(test)]
mod tests;
mod words;

use common_model::diagnosis::{Remedy, RemedyKind};

use super::{Action, for_cause};
use crate::ask::Ask;

/// What a person is told.
#[derive(Default)]
struct Told {
    /// The one thing to do.
    title: String,
    /// What shows where to do it, and what is left to be done.
    commands: Vec<String>,
    risk: String,
    undo: String,
}

/// What a person is told of one cause.
type Tell = fn(&Ask<'_>) -> Told;

/// Every cause that may need a person, with what it is told.
const TABLE: &[(&str, Tell)] = &[
    ("host-unreachable", reach::host),
    ("host-firewall", reach::host_firewall),
    ("cloud-firewall", reach::cloud),
    ("path-firewall", reach::path),
    ("not-installed", reach::install),
    ("tmp-noexec", jvm::temporary_directory),
    ("config-syntax", settings::syntax),
    ("unknown-setting", settings::unknown_setting),
    ("setting-missing", settings::setting_missing),
    ("bind-address-not-local", settings::bind_address),
    ("port-taken", settings::port_taken),
    ("file-missing", settings::file_missing),
    ("data-path-locked", data::data_path_locked),
    ("path-permission", data::path_permission),
    ("disk-full", data::disk_full),
    ("data-incompatible", data::data_incompatible),
    ("plugin-incompatible", data::plugin),
    ("keystore-locked", data::keystore),
    ("java-missing", jvm::java_missing),
    ("jvm-option-invalid", jvm::jvm_option),
    ("heap-exceeds-memory", jvm::heap),
    ("jvm-crashed", jvm::jvm_crashed),
    ("out-of-memory", jvm::out_of_memory),
    ("start-timeout", start::patience),
    ("ran-as-root", start::root),
    ("not-running", start::start),
    ("still-starting", reach::wait),
    ("process-hung", reach::hung),
    ("accept-queue-full", reach::crowded),
    ("bound-to-loopback", reach::bind),
    ("bound-to-other-address", reach::bind),
    ("port-differs", reach::port),
    ("protocol-mismatch", reach::protocol),
];

/// The entry.
pub(super) static ACTION: Action = Action { id: "by-hand", causes: &CAUSES, propose };

/// The table's causes, and the checks, which have a table of their own.
const CAUSES: [&str; TABLE.len() + 1] = {
    let mut causes = ["bootstrap-check"; TABLE.len() + 1];
    let mut at = 0;
    while at < TABLE.len() {
        causes[at] = TABLE[at].0;
        at += 1;
    }
    causes
};

fn propose(ask: &Ask<'_>) -> Vec<Remedy> {
    let cause = ask.verdict.cause.as_str();
    if cause == "bootstrap-check" {
        return checks::told(ask).into_iter().map(remedy).collect();
    }
    let others = for_cause(cause).filter(|action| action.id != ACTION.id);
    if others.into_iter().any(|action| !(action.propose)(ask).is_empty()) {
        return Vec::new();
    }
    let entry = TABLE.iter().find(|(entry, _)| *entry == cause);
    entry.map(|(_, told)| remedy(told(ask))).into_iter().collect()
}

fn remedy(told: Told) -> Remedy {
    let Told { title, commands, risk, undo } = told;
    Remedy { commands, risk, undo, ..ACTION.remedy(RemedyKind::Manual, title) }
}

/// What to search for to find the heap's sizes.
const HEAP_SIZES: &str = "-e '-Xm[sx]'";

/// A search for lines in the files that give the JVM its options, which are not part of the evidence.
fn jvm_lines(ask: &Ask<'_>, search: &str) -> Vec<String> {
    let slug = ask.product().slug();
    let config = ask.config_dir().unwrap_or_else(|| format!("/etc/{slug}"));
    vec![format!(
        "sudo grep -rns {search} {config}/jvm.options {config}/jvm.options.d /etc/default/{slug} /etc/sysconfig/{slug}"
    )]
}

/// Where the yml is, for titles.
fn yml(ask: &Ask<'_>) -> String {
    ask.yml().unwrap_or_else(|| format!("{}.yml", ask.product().slug()))
}

/// Where the yml sets a key, for titles: its file and line.
fn place(ask: &Ask<'_>, key: &str) -> Option<String> {
    let config = ask.config()?;
    Some(format!("{}:{}", config.path, config.get(key)?.line))
}
