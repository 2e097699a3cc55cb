//! Takes every check out of the function that decides, one at a time, and runs the tests of its crate: they have to fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::Run;

/// A check: what stands in `authorize.rs`, and what stands there when it is gone.
const CHECKS: [(&str, &str, &str); 14] = [
    ("somebody has signed", "if approvers.is_empty() {", "if false {"),
    ("the signature holds", "approval.holds_for(bytes).then(|| approver.name.clone())", "Some(approver.name.clone())"),
    ("the key is a trusted one", "find(|approver| approver.key == approval.key)?", "next()?"),
    (
        "a person counts once",
        "approval.holds_for(bytes).then(|| approver.name.clone())",
        "approval.holds_for(bytes).then(|| approver.key.to_string())",
    ),
    ("it is for this node", "if plan.node != *node.name {", "if false {"),
    ("its epoch is the node's", "on_node.epoch != epoch || node.policy.epoch != epoch", "node.policy.epoch != epoch"),
    ("the policy is not an old one", "on_node.epoch != epoch || node.policy.epoch != epoch", "on_node.epoch != epoch"),
    ("it is for this boot", "if on_node.session != *node.session {", "if false {"),
    ("it has not expired by the wall clock", "now > self.expires_at || ", "false || "),
    ("it has not expired by the boot clock", "boot_ms > on_node.expires_boot_ms", "boot_ms == u64::MAX"),
    ("it is new", "if node.in_ledger {", "if false {"),
    ("its approval is not good for too long", "if valid_s > i64::from(node.policy.plans_valid_s) {", "if false {"),
    ("enough persons", "if approvers.len() < usize::from(needed) {", "if false {"),
    ("not too many within an hour", "if node.last_hour >= node.policy.plans_per_hour {", "if false {"),
];

/// Checks of which other functions decide.
const POLICY: (&str, &str, &str) = (
    "the policy allows it",
    "node.policy.permits(&plan.step).map_err(Refusal::Policy)?",
    "node.policy.permits(&plan.step).unwrap_or(1)",
);

/// With few trials, only that each check is still where it is taken out.
pub(crate) fn try_all(run: &Run) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let source = fs::read_to_string(root.join(FILE)).unwrap();
    let checks = CHECKS.iter().chain([&POLICY]);
    for (what, there, _) in checks.clone() {
        assert_eq!(source.matches(there).count(), 1, "{FILE} has not one place where is checked that {what}");
    }
    if run.trials < super::invariants::trials_of("I4") || run.only.is_some() {
        return;
    }
    let copy = Copy::of(&root);
    assert!(copy.passes(&source), "the tests fail with every check in place");
    for (number, (what, there, instead)) in (run.trials..).zip(checks) {
        run.try_one(number, |trial| {
            assert!(!copy.passes(&source.replacen(there, instead, 1)), "no test needs the check that {what}");
            trial.count("checks of the function that decides, each shown to be needed");
        });
    }
}

const FILE: &str = "common/plan/src/authorize.rs";

/// A copy of the tree's sources beside the build, so that nothing of the tree is touched.
struct Copy {
    root: PathBuf,
}

impl Copy {
    fn of(tree: &Path) -> Self {
        let root = std::env::current_exe().unwrap().parent().unwrap().join("mutants");
        fs::create_dir_all(&root).unwrap();
        let files = Command::new("git").args(["ls-files"]).current_dir(tree).output().unwrap();
        assert!(files.status.success(), "git ls-files");
        for file in String::from_utf8(files.stdout).unwrap().lines() {
            let target = root.join(file);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            // Kept where it is the same, so that nothing is built again for its time.
            let content = fs::read(tree.join(file)).unwrap();
            if fs::read(&target).ok().as_ref() != Some(&content) {
                fs::write(target, content).unwrap();
            }
        }
        Self { root }
    }

    /// Whether the crate's tests pass with this source.
    fn passes(&self, source: &str) -> bool {
        fs::write(self.root.join(FILE), source).unwrap();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["test", "--quiet", "--locked", "--offline", "--package", "common-plan", "--lib", "authorize"]);
        let output = cargo.current_dir(&self.root).env("CARGO_TARGET_DIR", self.root.join("target")).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!told.contains("could not compile"), "a check cannot be taken out: {told}");
        output.status.success()
    }
}
