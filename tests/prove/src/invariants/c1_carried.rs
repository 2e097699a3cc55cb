//! C1: kill the controller while it carries out a plan of its own, at a point or at any instant, once or twice, start it again, and
//! count what is there: branches, pull requests, rules.

use std::time::Duration;

use super::Invariant;
use crate::carried::{Errand, Scene, Servers};
use crate::chain::answer;
use crate::run::{Run, Trial};

pub(super) const INVARIANT: Invariant = Invariant {
    id: "C1",
    promise: "what the controller carries out itself is done once, wherever it is killed, and its end tells the truth",
    trials: 500,
    few: 24,
    prove: |run: &Run| run.each_with(0..run.trials, 2, Servers::new, once),
};

/// What is asked for, and where the controller stops to be killed before that is written down. Each is passed on the way there.
const POINTS: [(Errand, &str); 24] = [
    (Errand::Branch, "audited"),
    (Errand::Branch, "begun"),
    (Errand::Branch, "pushing"),
    (Errand::Branch, "pushed"),
    (Errand::Branch, "told"),
    (Errand::Branch, "audited:2"),
    (Errand::Branch, "recorded"),
    (Errand::PullRequest, "pushing"),
    (Errand::PullRequest, "pushed"),
    (Errand::PullRequest, "opened"),
    (Errand::PullRequest, "told"),
    (Errand::PullRequest, "recorded"),
    (Errand::Opening, "begun"),
    (Errand::Opening, "acting"),
    (Errand::Opening, "called"),
    (Errand::Opening, "told"),
    (Errand::Opening, "recorded"),
    (Errand::Opening, "told:2"),
    (Errand::Opening, "recorded:2"),
    (Errand::Revoking, "audited"),
    (Errand::Revoking, "acting"),
    (Errand::Revoking, "revoked"),
    (Errand::Revoking, "told"),
    (Errand::Revoking, "recorded"),
];

/// Where it stops once a person has merged what was asked for.
const MERGED: [&str; 3] = ["told", "audited", "recorded"];

const ENDED: [&str; 6] = ["verified", "rejected", "refused", "expired", "rolled-back", "failed"];

fn once(servers: &mut Servers, trial: &mut Trial<'_>) {
    let (errand, point) = POINTS[usize::try_from(trial.number).unwrap() % POINTS.len()];
    let answers = trial.rng.u8(..4) > 0;
    let _engine = answers.then(answer);
    let mut scene = Scene::new(errand, servers);
    // The first round goes through all points in order, and then every other trial is killed wherever it is.
    if usize::try_from(trial.number).unwrap() < POINTS.len() || trial.rng.bool() {
        scene.run(Some(point));
        scene.until_stopped(point);
    } else {
        scene.run(None);
        std::thread::sleep(Duration::from_millis(trial.rng.u64(..2500)));
    }
    // Somebody takes the rule away that was made and not written down yet: it must not come back.
    let is_revoked = matches!(point, "called" | "told") && trial.rng.u8(..3) == 0 && scene.revoke_by_hand();
    if trial.rng.u8(..3) == 0 {
        scene.run(None);
        std::thread::sleep(Duration::from_millis(trial.rng.u64(..1500)));
    }
    scene.run(None);
    if matches!(errand, Errand::Branch | Errand::PullRequest) {
        let (stage, because) = scene.until_stage(&["applied", "verified", "rejected", "refused", "expired", "failed"]);
        assert_eq!(stage, "applied", "{because}");
        merged(&mut scene, trial);
    }
    let (stage, because) = scene.until_stage(&ENDED);
    trial.count(&format!("{errand:?}: {stage}{}", if is_revoked { ", revoked by hand" } else { "" }));
    assert!(!is_revoked || stage != "verified", "told {stage}: {because}, and somebody has revoked it");
    scene.check(&stage, &because);
}

/// A person merges it, while the controller is there or not, and it may be killed as it sees that.
fn merged(scene: &mut Scene<'_>, trial: &mut Trial<'_>) {
    let (dies, delete_branch) = (trial.rng.bool(), trial.rng.bool());
    if dies || trial.rng.bool() {
        scene.kill();
    }
    scene.merge(delete_branch);
    if dies {
        let point = trial.pick(&MERGED);
        scene.run(Some(point));
        scene.until_stopped(point);
    }
    scene.run(None);
}
