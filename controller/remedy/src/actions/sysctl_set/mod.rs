//! Setting a kernel setting, now and for the next boot.

use common_evidence::collectors::sysctl::Sysctls;
use common_evidence::collectors::sysctl_files::PersistedSysctls;
use common_model::diagnosis::{Remedy, RemedyKind};

use super::Action;
use crate::ask::Ask;
use crate::shell;

/// The entry.
pub(super) static ACTION: Action = Action { id: "sysctl-set", causes: &["bootstrap-check"], propose };

const MAP_COUNT: &str = "vm.max_map_count";
/// `BootstrapChecks.MaxMapCountCheck` wants at least this, in every version.
const REQUIRED: u64 = 262_144;
const OWN_FILE: &str = "/etc/sysctl.d/60-dialtone.conf";
const LAST_FILE: &str = "/etc/sysctl.d/zz-dialtone.conf";

fn propose(ask: &Ask<'_>) -> Vec<Remedy> {
    let checks = ask.verdict.detail.get("checks").and_then(|checks| checks.as_array());
    let wanted = checks.into_iter().flatten().find(|check| check["check"] == "max-map-count");
    let required =
        wanted.map(|check| check["required"].as_str().and_then(|text| text.parse().ok()).unwrap_or(REQUIRED));
    required.and_then(|required| remedy(ask, required)).into_iter().collect()
}

fn remedy(ask: &Ask<'_>, required: u64) -> Option<Remedy> {
    let node = ask.node?;
    let live =
        node.one::<Sysctls>("").known().and_then(|sysctls| sysctls.value.values.get(MAP_COUNT)?.parse::<u64>().ok());
    // A value that is high enough by now is never lowered.
    let raise = live.is_none_or(|live| live < required).then(|| format!("sudo sysctl -w {MAP_COUNT}={required}"));
    let persist = persist(node.one::<PersistedSysctls>("").known().map(|files| &files.value), required)?;
    let old = live.map_or_else(|| "the value before".to_owned(), |live| live.to_string());
    let (title, undo) = match (&raise, &persist) {
        (None, None) => {
            (format!("Start {}{} again: {MAP_COUNT} is {old} by now", ask.who(), ask.on_node()), String::new())
        }
        _ => (
            format!("Raise {MAP_COUNT} to {required}{}, now and for the next boot", ask.on_node()),
            format!("sudo sysctl -w {MAP_COUNT}={old}, and take the line out of the file again"),
        ),
    };
    Some(Remedy {
        commands: raise.into_iter().chain(persist).chain(ask.restart()).collect(),
        risk: "None known: the setting only allows more memory maps; it holds for the whole host.".to_owned(),
        undo,
        ..ACTION.remedy(RemedyKind::Approve, title)
    })
}

/// What makes it last: the file that wins at boot is corrected, or one is written that wins. Nothing when it lasts already.
fn persist(files: Option<&PersistedSysctls>, required: u64) -> Option<Option<String>> {
    let winner = files.and_then(|files| files.winner(MAP_COUNT));
    let Some(winner) = winner else {
        return Some(Some(write_own(OWN_FILE, required)));
    };
    if winner.value.parse::<u64>().is_ok_and(|value| value >= required) {
        return Some(None);
    }
    if winner.file.starts_with("/etc/") {
        let file = shell::word(&winner.file)?;
        return Some(Some(format!("sudo sed -i '{}s/=.*/= {required}/' {file}", winner.line)));
    }
    // Files of packages are not edited; one in /etc with a later name wins over them.
    let name = winner.file.rsplit('/').next().unwrap_or_default();
    let own = OWN_FILE.rsplit('/').next().unwrap_or_default();
    Some(Some(write_own(if own > name { OWN_FILE } else { LAST_FILE }, required)))
}

fn write_own(file: &str, required: u64) -> String {
    format!("echo '{MAP_COUNT} = {required}' | sudo tee {file}")
}

#[cfg(test)]
mod tests {
    use common_evidence::collectors::sysctl_files::PersistedSysctl;

    use controller_correlate::testing::Node;

    use super::*;
    use crate::tests::{checked, refused, told};

    const LOW: &str = "max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]";
    const START: &str = "sudo systemctl restart elasticsearch.service";

    #[test]
    fn a_value_repaired_since_only_wants_a_start() {
        let remedies = refused(checked(Node::new(), &[LOW]));
        let title = "Start elasticsearch.service on es-1 again: vm.max_map_count is 262144 by now";
        assert_eq!(told(&remedies), [(title, vec![START])]);
        let remedies = refused(checked(Node::new().sysctl(MAP_COUNT, "65530").sysctl_files(&[]), &[LOW]));
        let write = "echo 'vm.max_map_count = 262144' | sudo tee /etc/sysctl.d/60-dialtone.conf";
        let title = "Raise vm.max_map_count to 262144 on es-1, now and for the next boot";
        assert_eq!(told(&remedies), [(title, vec!["sudo sysctl -w vm.max_map_count=262144", write, START])]);
    }

    fn files(file: &str, value: &str) -> PersistedSysctls {
        let entry =
            PersistedSysctl { key: MAP_COUNT.to_owned(), value: value.to_owned(), file: file.to_owned(), line: 3 };
        PersistedSysctls { entries: vec![entry], ..PersistedSysctls::default() }
    }

    #[test]
    fn the_file_that_wins_is_the_one_corrected() {
        let command = |files: &PersistedSysctls| persist(Some(files), REQUIRED).flatten();
        let edited = command(&files("/etc/sysctl.d/90-es.conf", "65530")).unwrap();
        assert_eq!(edited, "sudo sed -i '3s/=.*/= 262144/' /etc/sysctl.d/90-es.conf");
        let packaged = command(&files("/usr/lib/sysctl.d/elasticsearch.conf", "65530")).unwrap();
        assert!(packaged.ends_with("sudo tee /etc/sysctl.d/zz-dialtone.conf"), "{packaged}");
        assert_eq!(command(&files("/etc/sysctl.conf", "1048576")), None);
        assert!(persist(None, REQUIRED).flatten().unwrap().contains("60-dialtone.conf"));
        assert_eq!(persist(Some(&files("/etc/sysctl.d/a\nb.conf", "1")), REQUIRED), None);
    }
}
