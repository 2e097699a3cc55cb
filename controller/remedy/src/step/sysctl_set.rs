//! `vm.max_map_count`, live and in the file that wins at boot.

use common_evidence::collectors::sysctl::Sysctls;
use common_evidence::collectors::sysctl_files::PersistedSysctls;
use common_plan::{Label, Service, Step, Sysctl, SysctlFile, SysctlSet, Verb};

use super::{active_state, to_start};
use crate::ask::Ask;

/// `BootstrapChecks.MaxMapCountCheck` wants at least this, in every version.
const REQUIRED: u64 = 262_144;
const OWN_FILE: &str = "60-dialtone.conf";
const LAST_FILE: &str = "zz-dialtone.conf";
const DIRECTORY: &str = "/etc/sysctl.d/";

/// None where the live value is not known, since a plan has to name it, or where the file that wins is none a plan may write.
pub(super) fn step(ask: &Ask<'_>) -> Option<Step> {
    let key = Sysctl::MaxMapCount;
    let checks = ask.verdict.detail.get("checks")?.as_array()?;
    let check = checks.iter().find(|check| check["check"] == "max-map-count")?;
    let required = check["required"].as_str().and_then(|text| text.parse().ok()).unwrap_or(REQUIRED);
    let node = ask.node?;
    let sysctls = node.one::<Sysctls>("");
    let from = sysctls.known()?.value.values.get(key.name())?.parse::<u64>().ok()?;
    let files = node.one::<PersistedSysctls>("");
    // Without the files nobody can tell which one wins.
    let persist = persist(&files.known()?.value, key.name(), required)?;
    if from >= required && persist.is_none() {
        let (unit, from) = (to_start(ask)?, active_state(ask)?);
        return Some(Step::Service(Service { unit, verb: Verb::Start, from, enable: false }));
    }
    // A value that is high enough by now is never lowered.
    let to = required.max(from);
    Some(Step::SysctlSet(SysctlSet { key, from, to, persist, start: to_start(ask) }))
}

/// The file to write; none when the present ones do already.
fn persist(files: &PersistedSysctls, key: &str, required: u64) -> Option<Option<SysctlFile>> {
    let Some(winner) = files.winner(key) else {
        return Some(Some(in_directory(files, key, OWN_FILE)?));
    };
    if winner.value.parse::<u64>().is_ok_and(|value| value >= required) {
        return Some(None);
    }
    if winner.file == "/etc/sysctl.conf" {
        return Some(Some(SysctlFile { name: None, from: Some(winner.value.clone()) }));
    }
    if let Some(name) = winner.file.strip_prefix(DIRECTORY) {
        return Some(Some(in_directory(files, key, name)?));
    }
    // Files of packages are not edited; one in /etc with a later name wins over them.
    let name = winner.file.rsplit('/').next().unwrap_or_default();
    Some(Some(in_directory(files, key, if OWN_FILE > name { OWN_FILE } else { LAST_FILE })?))
}

fn in_directory(files: &PersistedSysctls, key: &str, name: &str) -> Option<SysctlFile> {
    let label: Label = name.parse().ok()?;
    let path = format!("{DIRECTORY}{name}");
    let last = files.entries.iter().rev().find(|entry| entry.file == path && entry.key == key);
    Some(SysctlFile { name: Some(label), from: last.map(|entry| entry.value.clone()) })
}
