//! I20: a node that was taken over, and a repository, full of text that would act on a terminal; then every command that shows any of
//! it, for people and for programs, and the console.

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use common_model::{Body, Envelope, NodeName};
use common_tls::Role;
use controller_correlate::testing::{AT, Node, STARTED};
use fastrand::Rng;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;
use tests_node::Running;

use super::Invariant;
use crate::authority::Authority;
use crate::hostile;
use crate::liar::Liar;
use crate::operator::{Operator, questions};
use crate::programs;
use crate::run::{Run, Trial};
use crate::whole::repository;

pub(super) const INVARIANT: Invariant = Invariant {
    id: "I20",
    promise: "nothing that a node or a repository says acts on a terminal",
    trials: 100,
    few: 2,
    prove: |run: &Run| run.each(0..run.trials, 2, nothing_acts),
};

/// The node's; nothing listens there.
const ENDPOINT: &str = "http://10.0.0.5:9200";
/// Of each of two sorts that a node's journal has.
const LINES: i64 = 40;
/// What is pressed in the console, from list to list and into what stands first there.
const KEYS: &[&str] =
    &["\r", " ", "j", "d", BACK, "\t", "\r", "d", " ", " ", BACK, "\t", "\r", "j", BACK, "\t", "j", "j", "?"];
/// The arrow to the left: back to the lists, and nothing there.
const BACK: &str = "\u{1b}[D";

fn nothing_acts(trial: &mut Trial<'_>) {
    assert!(Command::new("ip").args(["address", "replace", "10.0.0.5/32", "dev", "lo"]).status().unwrap().success());
    let authority = Authority::init();
    let percent = trial.pick(&[2, 2, 5, 20, 80]);
    let mut planted = 0;
    let bare = authority.directory().join("repository");
    let (yml, more) =
        hostile::spoil(b"cluster.name: es\nnetwork.host: 0.0.0.0\nhttp.port: 9201\n", percent, &mut trial.rng);
    planted += more;
    repository(&bare, &String::from_utf8_lossy(&yml));
    authority.configure(&format!(
        "incidents: {{watch: ['{ENDPOINT}'], probe_every_s: 1, judge_every_s: 1}}\n\
         repositories:\n- {{name: config, forge: git, url: 'file://{}', nodes: [es-1], path: '{{node}}/elasticsearch.yml'}}\n",
        bare.display()
    ));
    let controller = authority.run();
    let node: NodeName = "es-1".parse().unwrap();
    let mut liar = Liar::connect(&authority, &node, &mut trial.rng);
    let scene = scene(&mut trial.rng);
    // Twice, so that there are changes.
    for percent in [0, percent] {
        liar.tell(scene.evidence().iter().map(|held| spoilt(held, percent, &mut planted, &mut trial.rng)).collect());
    }
    let alice = Operator::login(&authority, Role::Admin);
    let first = alice.output(&["diagnose", ENDPOINT, "-o", "json"]);
    let plan = String::from_utf8_lossy(&first.stdout).split("\"plan_id\": \"").nth(1).map(|rest| rest[..16].to_owned());
    let mut shown = 0;
    let propose = vec!["rollout", "propose", "es"];
    for asked in std::iter::once(propose).chain(questions(ENDPOINT, plan.as_deref())) {
        for format in ["text", "json", "yaml"] {
            let asked = [&asked[..], &["-o", format, "--color", "never"]].concat();
            let output = alice.output(&asked);
            for said in [&output.stdout, &output.stderr] {
                hostile::check(&asked.join(" "), said);
                shown += said.windows(4).filter(|window| window == b"\\u{1" || window == b"\\u{2").count() as u64;
            }
        }
    }
    hostile::check_screen("console", &console(&alice));
    drop((liar, controller));
    hostile::check("the controller's log", &fs::read(authority.log()).unwrap());
    assert!(shown > 0, "nothing of it was shown: nothing was tried");
    trial.add("hostile texts planted", planted);
    trial.add("times that what they would do was shown instead", shown);
    trial.count(if plan.is_some() { "nodes with a plan" } else { "nodes without a plan" });
}

/// A node whose engine cannot be reached, for one of several reasons.
fn scene(rng: &mut Rng) -> Node {
    let before = STARTED.plus_millis(-60_000);
    let rule = |comment: &str| {
        let drop = json!([{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 9200}}, {"drop": null}]);
        json!({"nftables": [
            {"metainfo": {"version": "1.0.6", "json_schema_version": 1}},
            {"table": {"family": "inet", "name": "filter", "handle": 1}},
            {"chain": {"family": "inet", "table": "filter", "name": "input", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}},
            {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 2, "comment": comment, "expr": drop}},
        ]})
    };
    let port = "# kept by hand\ncluster.name: es\nnetwork.host: 0.0.0.0\nhttp.port: 9201 # ours\n";
    let log = "[2026-01-31T14:00:00,000][INFO ][o.e.n.Node               ] [es-1] version[7.17.28], pid[4242], starting ...\n\
               [2026-01-31T14:00:01,000][ERROR][o.e.b.Bootstrap          ] [es-1] node validation exception\n\
               [1] bootstrap checks failed. You must address the points described in the following [1] lines before starting Elasticsearch.\n\
               bootstrap check failure [1] of [1]: max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]\n";
    let unknown = "java.lang.IllegalArgumentException: unknown setting [netwrk.host] did you mean [network.host]?";
    let node = match rng.u8(..5) {
        0 | 1 => Node::new().yml(port, before).listening(&["[::]:9201", "[::]:9300"]),
        2 => Node::new().nft(rule("not from outside")),
        3 => Node::new().log(log).sysctl("vm.max_map_count", "65530").failed(AT.plus_millis(-480_000), 78),
        _ => Node::new()
            .yml("netwrk.host: 0.0.0.0\n", before)
            .stderr(AT.plus_millis(-481_000), unknown)
            .failed(AT.plus_millis(-480_000), 1),
    };
    let busy = (0..LINES).fold(node, |node, line| {
        let at = AT.plus_millis(-490_000 + line);
        node.sudo(at, "dave", "/usr/bin/apt-get install ufw")
            .stderr(at, "WARNING: An illegal reflective access operation has occurred")
    });
    busy.sudo(AT.plus_millis(-500_000), "carol", "/usr/bin/systemctl restart elasticsearch")
        .denied::<common_evidence::collectors::ufw::Ufw>("/etc/ufw/user.rules")
}

fn spoilt(held: &Envelope, percent: u8, planted: &mut u64, rng: &mut Rng) -> Envelope {
    let mut spoilt = held.clone();
    let mut more = 0;
    match &mut spoilt.body {
        Body::Raw(raw) => (*raw, more) = hostile::spoil(raw, percent, rng),
        Body::Failed(failure) if percent > 0 => {
            failure.message = hostile::text(rng);
            more = 1;
        }
        Body::Failed(_) | Body::Gone => {}
    }
    *planted += more;
    spoilt
}

/// All that the console sends to a terminal of 80 columns and 24 lines while keys are pressed.
fn console(alice: &Operator) -> Vec<u8> {
    let mut terminal = Command::new("script");
    let dialtone = programs::dialtone();
    let shown = format!("stty rows 24 cols 80; exec '{}' console --color never", dialtone.display());
    terminal.args(["-qec", &shown, "/dev/null"]);
    let mut terminal = alice.at_home(terminal);
    terminal.env("SHELL", "/bin/sh").env("TERM", "xterm");
    let mut terminal = Running::start(terminal.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let (mut input, mut output) = (terminal.child().stdin.take().unwrap(), terminal.child().stdout.take().unwrap());
    let mut sent = Vec::new();
    // What is on its way when a key is pressed comes after it, and is looked at all the same.
    let mut more = |patience_ms: i64| {
        let mut ready = [PollFd::new(&output, PollFlags::IN)];
        let patience = Timespec { tv_sec: patience_ms / 1000, tv_nsec: patience_ms % 1000 * 1_000_000 };
        let mut part = [0; 65536];
        let read = if poll(&mut ready, Some(&patience)).unwrap() > 0 { output.read(&mut part).unwrap() } else { 0 };
        sent.extend_from_slice(&part[..read]);
        read > 0
    };
    assert!(more(60_000), "the console shows nothing");
    for key in KEYS {
        while more(150) {}
        input.write_all(key.as_bytes()).unwrap();
    }
    while more(150) {}
    sent
}
