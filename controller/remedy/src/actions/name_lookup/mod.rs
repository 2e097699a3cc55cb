//! A name that has an address: that of the node it seems to mean, or one from the resolver.

use common_model::Endpoint;
use common_model::diagnosis::{Remedy, RemedyKind};

use super::Action;
use crate::ask::Ask;
use crate::shell;

/// The entry.
pub(super) static ACTION: Action = Action { id: "name-lookup", causes: &["name-unresolved"], propose };

fn propose(ask: &Ask<'_>) -> Vec<Remedy> {
    by_address(ask).into_iter().chain(by_resolver(ask)).collect()
}

/// The address of the node that goes by this name, where an agent speaks for one.
fn by_address(ask: &Ask<'_>) -> Option<Remedy> {
    let (node, address) = (ask.node?, ask.addresses.iter().find(|address| !address.is_loopback())?);
    let url = Endpoint { host: address.to_string(), ..ask.picture.endpoint.clone() }.to_string();
    let title = format!("Tell the client the address of {} instead: {url}", node.name);
    let risk = "A certificate of the engine that names only its host name does not fit the address.".to_owned();
    Some(remedy(title, RemedyKind::Client, Vec::new(), risk, "tell the client the name again"))
}

fn by_resolver(ask: &Ask<'_>) -> Option<Remedy> {
    let host = shell::word(&ask.picture.endpoint.host)?;
    let look = format!("getent ahosts {host}");
    let (title, commands) = match ask.verdict.detail.get("answered").and_then(serde_json::Value::as_bool) {
        Some(false) => (
            "Give the client's machine a name server that answers".to_owned(),
            vec!["cat /etc/resolv.conf".to_owned(), look],
        ),
        _ => (format!("Correct the name, or enter {host} into DNS or the client's /etc/hosts"), vec![look]),
    };
    let risk = "The commands only look; the last one prints an address once it is mended.".to_owned();
    Some(remedy(title, RemedyKind::Manual, commands, risk, "take the entry out again"))
}

fn remedy(title: String, kind: RemedyKind, commands: Vec<String>, risk: String, undo: &str) -> Remedy {
    Remedy { commands, risk, undo: undo.to_owned(), ..ACTION.remedy(kind, title) }
}

#[cfg(test)]
mod tests {
    use common_model::{Diagnosis, Probe, Symptom};
    use controller_correlate::testing::{Node, asking, probe};
    use controller_correlate::{Picture, Resolution};

    fn asked(url: &str, says: &str) -> Diagnosis {
        let unresolved = Probe { address: None, source: None, message: says.to_owned(), ..probe(Symptom::Unresolved) };
        let picture =
            Picture { resolution: Resolution::Failed(says.to_owned()), ..asking(url, Node::new(), vec![unresolved]) };
        crate::with_remedies(controller_diagnose::diagnose(&picture), &picture)
    }

    #[test]
    fn an_unknown_name_is_to_be_corrected_and_a_silent_resolver_mended() {
        let unknown = asked("http://es-9.example.org:9200", "Name or service not known");
        assert_eq!(unknown.remedies.len(), 1, "{:#?}", unknown.remedies);
        assert!(unknown.remedies[0].title.starts_with("Correct the name"), "{:#?}", unknown.remedies);
        assert_eq!(unknown.remedies[0].commands, ["getent ahosts es-9.example.org"]);
        let silent = asked("http://es-9.example.org:9200", "Temporary failure in name resolution");
        assert!(silent.remedies[0].title.contains("a name server that answers"), "{:#?}", silent.remedies);
        assert_eq!(silent.remedies[0].commands[0], "cat /etc/resolv.conf");
    }

    #[test]
    fn a_node_known_by_that_name_has_an_address_to_use() {
        let known = asked("http://es-1:9200", "Name or service not known");
        assert_eq!(
            known.remedies[0].title, "Tell the client the address of es-1 instead: http://10.0.0.5:9200",
            "{:#?}",
            known.remedies
        );
    }
}
