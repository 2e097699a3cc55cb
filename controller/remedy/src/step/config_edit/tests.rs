//! From a verdict and the file in a repository to the plan.

use common_model::Symptom;
use common_plan::{Plan, Step};
use controller_correlate::testing::{AT, Node, STARTED, picture, probe};

use super::*;
use crate::plan::{self, Proposal, wanted_files};
use crate::with_remedies;

const LOCAL: &str =
    "# Ansible managed\ncluster.name: es\nnetwork.host: 127.0.0.1 # why\nxpack.security.enabled: true\n";

fn file(text: &str) -> RepositoryFile {
    RepositoryFile {
        repository: "config".parse().unwrap(),
        branch: "main".parse().unwrap(),
        path: "es/es-1/elasticsearch.yml".parse().unwrap(),
        text: text.to_owned(),
        allow_without_password: false,
    }
}

fn proposals(yml: &str, file: Result<RepositoryFile, String>) -> Vec<Proposal> {
    let node = Node::new().yml(yml, STARTED.plus_millis(-60_000)).listening(&["127.0.0.1:9200"]);
    let picture = picture(node, vec![probe(Symptom::Refused)]);
    let diagnosis = with_remedies(controller_diagnose::diagnose(&picture), &picture);
    assert_eq!(diagnosis.verdict.cause.as_str(), "bound-to-loopback", "{diagnosis:#?}");
    let wanted = wanted_files(&diagnosis, &picture).into_iter().next().unwrap();
    assert_eq!((wanted.node.as_str(), wanted.cluster.as_deref()), ("es-1", Some("es")));
    let means = Means { files: [(wanted.node, file)].into(), ..Means::default() };
    plan::proposals(&diagnosis, &picture, &means, AT)
}

fn planned(yml: &str, in_repository: &str) -> (Plan, ConfigEdit) {
    let plan = proposals(yml, Ok(file(in_repository))).remove(0).plan.unwrap().0;
    assert_eq!(plan.encode().unwrap().decode().unwrap(), plan);
    let Step::ConfigEdit(step) = plan.step.clone() else { panic!("{plan:?}") };
    (plan, step)
}

fn refused(yml: &str, in_repository: &str) -> String {
    proposals(yml, Ok(file(in_repository))).remove(0).plan.unwrap_err()
}

#[test]
fn the_edit_is_made_in_the_file_of_the_repository() {
    let nested = "cluster.name: es\nnetwork:\n  host: 127.0.0.1\nxpack.security.enabled: true\n";
    let (plan, step) = planned(LOCAL, nested);
    assert!(plan.on_node().is_none());
    let after = common_yml::apply(nested, &step.edits).unwrap();
    assert_eq!(after, nested.replace("127.0.0.1", "[\"_local_\", \"10.0.0.5\"]"));
    assert_eq!((step.from, step.to), (Digest::of(nested.as_bytes()), Digest::of(after.as_bytes())));
    assert!(plan.risk.contains("is not what the node has, in comments or form only"), "{}", plan.risk);
    assert!(plan.risk.contains("Ansible manages the file"), "{}", plan.risk);
}

#[test]
fn what_else_a_roll_out_brings_is_said() {
    assert!(!planned(LOCAL, LOCAL).0.risk.contains("is not what the node has"));
    let moved = format!("{LOCAL}path.data: /new\n");
    let risk = planned(LOCAL, &moved).0.risk;
    assert!(risk.contains("es/es-1/elasticsearch.yml in config is not what the node has in path.data:"), "{risk}");
}

#[test]
fn what_stands_in_the_way_is_named() {
    let done = LOCAL.replace("127.0.0.1", "[\"_local_\", \"10.0.0.5\"]");
    assert!(refused(LOCAL, &done).contains("was not rolled out to es-1"));
    assert!(refused(LOCAL, "{{ jinja }}\n").contains("es/es-1/elasticsearch.yml in config: the engine does not take"));
    let open = LOCAL.replace("xpack.security.enabled: true\n", "");
    assert!(refused(&open, &open).contains("allow_without_password"));
    let allowed = RepositoryFile { allow_without_password: true, ..file(&open) };
    assert!(proposals(&open, Ok(allowed))[0].plan.is_ok());
    assert_eq!(proposals(LOCAL, Err("no repository".to_owned()))[0].plan, Err("no repository".to_owned()));
}

#[test]
fn security_is_never_switched_off() {
    let key = |text: &str| text.parse().unwrap();
    let off = Edit::Set { key: key("xpack.security.enabled"), from: None, to: Setting::One("False".to_owned()) };
    assert!(step(&file(LOCAL), &[off], "es-1").unwrap_err().contains("switch security off"));
    let on = Edit::Set { key: key("xpack.security.enabled"), from: None, to: Setting::One("true".to_owned()) };
    assert!(step(&file("a: 1\n"), &[on], "es-1").is_ok());
}
