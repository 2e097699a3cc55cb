//! I21: every program that the agent, the actuator, its guard, the controller and `dialtone` execute, and what these execute in turn,
//! while other invariants are tried and while an edit goes through a repository: a list of names, and no shell.

use std::collections::BTreeSet;
use std::process::Stdio;

use super::{Invariant, i19_secrets};
use crate::executed::Pairs;
use crate::machine::Machine;
use crate::programs;
use crate::run::{Run, Trial};

pub(super) const INVARIANT: Invariant = Invariant {
    id: "I21",
    promise: "no shell: what is executed is on a list of programs",
    trials: 7,
    few: 2,
    prove: |run: &Run| run.each(0..run.trials, 1, listed),
};

/// What is tried meanwhile, with how many trials; none: an edit of a whole loop's.
const TRIED: [Option<(&str, &str)>; 7] = [
    None,
    Some(("I1", "12")),
    Some(("I13", "12")),
    Some(("I3", "30")),
    Some(("I2", "10")),
    Some(("I12", "20")),
    Some(("I5", "36")),
];

/// Who may execute what.
const LIST: &[(&str, &[&str])] = &[
    (
        "dialtone-agent",
        &[
            "dpkg-query",
            "ip6tables-legacy-save",
            "ip6tables-save",
            "iptables-legacy-save",
            "iptables-save",
            "journalctl",
            "nft",
            "rpm",
            "systemctl",
        ],
    ),
    // Its guard is the same program.
    ("dialtone-actuator", &["dialtone-actuator", "nft"]),
    ("dialtone-controller", &["git"]),
    // What the agent in it reads where there is no controller.
    ("dialtone", &["dpkg-query", "journalctl", "nft", "rpm", "systemctl"]),
    // A repository by https is reached through git-remote-https, one by file:// through these, which git has a shell begin: the path
    // is from controller.yaml, and quoted.
    ("git", &["git", "git-receive-pack", "git-upload-pack", "sh", "dash"]),
    ("sh", &["git-receive-pack", "git-upload-pack", "git"]),
    ("dash", &["git-receive-pack", "git-upload-pack", "git"]),
];

fn listed(trial: &mut Trial<'_>) {
    let tried = TRIED[usize::try_from(trial.number).unwrap() % TRIED.len()];
    let pairs = match tried {
        None => i19_secrets::loop_of(trial),
        Some((id, trials)) => while_trying(id, trials, trial),
    };
    let listed = |(who, what): &&(String, String)| {
        LIST.iter().any(|(listed, programs)| listed == who && programs.contains(&what.as_str()))
    };
    let others: BTreeSet<_> = pairs.iter().filter(|pair| !listed(pair)).collect();
    assert!(others.is_empty(), "executed, and on no list: {others:?}");
    assert!(!pairs.is_empty(), "nothing was seen");
    for (who, what) in pairs {
        trial.count(&format!("{who} executes {what}"));
    }
}

/// Tries an invariant by the program that this is, on a machine where every execve(2) is seen.
fn while_trying(id: &str, trials: &str, trial: &mut Trial<'_>) -> Pairs {
    let machine = Machine::new(|_| {});
    let mut prove = machine.command(programs::prove());
    prove.args([id, "--trials", trials, "--seed", &trial.rng.u32(..).to_string()]);
    let output = prove.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    machine.executed().pairs()
}
