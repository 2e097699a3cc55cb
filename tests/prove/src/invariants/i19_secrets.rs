//! I19: secrets of a trial's own in every place of a node where one can stand, and in its repository; then all that people do with
//! Dialtone, and the search for each of them in every byte that any of its programs has written or said.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tests_node::until;

use super::Invariant;
use crate::executed::Pairs;
use crate::firewall;
use crate::machine::Machine;
use crate::operator::questions;
use crate::run::{Run, Trial};
use crate::secrets::{Found, Planted, files, plants};
use crate::whole::{ENDPOINT, Whole};

pub(super) const INVARIANT: Invariant = Invariant {
    id: "I19",
    promise: "no secret leaves the node",
    trials: 20,
    few: 1,
    prove: |run: &Run| run.each(0..run.trials, 2, none_leaves),
};

fn none_leaves(trial: &mut Trial<'_>) {
    loop_of(trial);
}

/// The whole loop once; what was executed meanwhile.
pub(super) fn loop_of(trial: &mut Trial<'_>) -> Pairs {
    let mut planted = Planted::new(trial.rng.fork());
    let machine = Machine::new(|below| plants::plant(below, &mut planted));
    let engine = plants::engine(&mut planted);
    firewall::set(&planted.fill("the kernel's rules", plants::RULESET));
    // The words of the repository's file are in no evidence.
    let yml = planted.fill("the repository", &plants::YML.replace('¤', "x"));
    let whole = Whole::start(machine, &yml, &engine);
    let plan = whole.planned_edit();
    let mut said =
        vec![("approve".to_owned(), whole.carry_out(&plan)), ("the commit".to_owned(), whole.message(&plan))];
    edit_on_the_node(&whole, &mut planted);
    for asked in questions(ENDPOINT, Some(plan.as_str())) {
        for format in ["text", "json", "yaml"] {
            let asked = [&asked[..], &["-o", format]].concat();
            said.push((asked.join(" "), whole.said(&asked)));
        }
    }
    let begun = Instant::now();
    let found = loop {
        let found = search(&whole, &planted, &said);
        let missing = planted.missing(&found);
        if missing.is_empty() {
            break found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody has read what stands in {missing:?}");
    };
    assert!(found.secrets.is_empty(), "left the node: {:#?}", found.secrets);
    // The search finds them where they are.
    let there = files(&whole.machine.planted());
    let there = planted.search(there.iter().map(|(path, body)| (path.as_path(), body.as_slice())));
    assert!(there.secrets.len() > planted.secrets() / 2, "the search finds too little: {}", there.secrets.len());
    trial.count("nodes");
    trial.sample("secrets on a node and in its repository", planted.secrets() as u64);
    trial
        .sample("places on a node of which something else was found, so that they were read", found.words.len() as u64);
    whole.machine.executed().pairs()
}

/// Somebody changes a secret and another setting: the change is told.
fn edit_on_the_node(whole: &Whole, planted: &mut Planted) {
    let path = whole.machine.at("/etc/elasticsearch/elasticsearch.yml");
    let text = planted.fill("an edit of the yml", "http.port: 9201\nnode.name: ¤\nbootstrap.password: §\n");
    fs::write(path, text).unwrap();
    until("the change is told", || {
        let told = whole.output(&["timeline", "es-1", "-o", "json"]).stdout;
        String::from_utf8_lossy(&told).contains("bootstrap.password")
    });
}

/// In all that was written anywhere and said, but for the repository and the controller's copy of it.
fn search(whole: &Whole, planted: &Planted, said: &[(String, Vec<u8>)]) -> Found {
    let written = [files(&whole.machine.written()), files(whole.directory())].concat();
    let is_repository = |path: &Path| whole.repositories().iter().any(|repository| path.starts_with(repository));
    // The edit is the test's own, and on the node.
    let is_planted = |path: &Path| path.ends_with("written/etc/elasticsearch/elasticsearch.yml");
    let written = written.iter().filter(|(path, _)| !is_repository(path) && !is_planted(path));
    let written = written.map(|(path, body)| (path.as_path(), body.as_slice()));
    planted.search(written.chain(said.iter().map(|(asked, body)| (Path::new(asked), body.as_slice()))))
}
