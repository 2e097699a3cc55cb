//! `security-group-allow`: one ingress rule, made once, revoked unless it is proven.
//!
//! AWS keeps a rule by group, port and network, and refuses a second one; the plan's id is its description. That a rule is about to be
//! made is audited and durable first. Whoever comes after that, in this life of the controller or the next, only looks for it: what
//! is not there is never made again, so that a rule that somebody has revoked by hand stays revoked.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use common_plan::SecurityGroupAllow;
use controller_cloud::{Aws, CloudError, Opening, Rule};
use controller_remedy::lifecycle::CarriedTo;
use tokio::time::Instant;

use super::{Outcome, Work};
use crate::clock::now;
use crate::core::{Core, blocking};
use crate::dispatch::look;
use crate::faults;

/// A call that was cut off may still arrive for as long.
const IN_FLIGHT_MS: i64 = 20_000;
/// Between two looks for it.
const AGAIN: Duration = Duration::from_secs(2);

/// Makes the rule, or finds it made; for a plan that takes one back, revokes it.
pub(crate) async fn act(core: &Arc<Core>, work: &Work, step: &SecurityGroupAllow) -> Outcome {
    let aws = match aws(core, step) {
        Ok(aws) => aws,
        Err(because) => return Outcome::is(CarriedTo::Refused, because),
    };
    let acted = match &step.takes_back {
        Some(_) => take_back(core, work, step, aws).await,
        None => make(core, work, step, aws).await,
    };
    acted.unwrap_or_else(|error| Outcome::failing(error.to_string()))
}

/// Looks from outside whether the rule helps; revokes it where it does not in time.
pub(crate) async fn follow(core: &Arc<Core>, work: &Work, step: &SecurityGroupAllow) -> Outcome {
    let aws = match aws(core, step) {
        Ok(aws) => aws,
        Err(because) => {
            let note = SecurityGroupAllow::note(&work.id);
            let left = format!("the rule \"{note}\" of {} may be left, and was not proven: {because}", step.group);
            return Outcome::is(CarriedTo::Failed, left);
        }
    };
    let window_ms = i64::from(step.confirm_within_s) * 1000;
    let left_ms = work.applied_at.map_or(0, |at| window_ms - now().millis_since(at));
    let followed = match u64::try_from(left_ms) {
        Ok(left_ms @ 1..) => prove(core, work, step, aws, Duration::from_millis(left_ms)).await,
        _ => undo(work, step, aws).await,
    };
    followed.unwrap_or_else(|error| Outcome::failing(error.to_string()))
}

fn aws<'c>(core: &'c Core, step: &SecurityGroupAllow) -> Result<&'c Aws, String> {
    let aws = core.aws.as_ref().ok_or("cloud.aws is no longer in /etc/dialtone/controller.yaml")?;
    if *aws.region() != step.region {
        return Err(format!(
            "cloud.aws.region in /etc/dialtone/controller.yaml is {}, not {}",
            aws.region(),
            step.region
        ));
    }
    Ok(aws)
}

async fn make(core: &Arc<Core>, work: &Work, step: &SecurityGroupAllow, aws: &Aws) -> Result<Outcome, CloudError> {
    let note = SecurityGroupAllow::note(&work.id);
    let SecurityGroupAllow { group, interface, source, port, .. } = step;
    let rules = aws.rules(group).await?;
    if let Some(rule) = own(&rules, step, &note) {
        return Ok(made(rule));
    }
    let begun = match blocking({
        let (core, id) = (Arc::clone(core), work.id.clone());
        move || core.plans.acted_at(&id)
    })
    .await
    {
        Ok(begun) => begun,
        Err(status) => return Ok(Outcome::failing(status.message())),
    };
    if let Some(begun) = begun {
        let since = now().millis_since(begun);
        return Ok(match since < IN_FLIGHT_MS {
            true => Outcome::Waits("whether the rule was made is not known yet".to_owned(), AGAIN),
            false => Outcome::is(
                CarriedTo::Failed,
                format!(
                    "{group} has no such rule: the call was cut off, or somebody has revoked it; it is not made again"
                ),
            ),
        });
    }
    if !work.may_begin {
        return Ok(Outcome::is(CarriedTo::Expired, "it could not be begun in time"));
    }
    if let Some(rule) = rules.iter().find(|rule| rule.is(*source, *port)) {
        let because = format!(
            "{group} lets {source} reach port {port} already, by {} \"{}\"",
            rule.id.as_str(),
            rule.description
        );
        return Ok(Outcome::is(CarriedTo::Refused, because));
    }
    if !aws.is_attached(group, interface).await? {
        return Ok(Outcome::is(CarriedTo::Refused, format!("{group} is no longer in force at {interface}")));
    }
    let intent = format!("lets {source} reach port {port} through {group}");
    let acting = blocking({
        let (core, id) = (Arc::clone(core), work.id.clone());
        move || core.plans.acting(&id, &intent, now())
    });
    if let Err(status) = acting.await {
        return Ok(Outcome::failing(status.message()));
    }
    faults::point("acting");
    let opening = Opening { group: group.clone(), source: *source, port: *port, note: note.clone() };
    let allowed = aws.allow(&opening).await;
    faults::point("called");
    match allowed {
        Ok(()) => match own(&aws.rules(group).await?, step, &note) {
            Some(rule) => Ok(made(rule)),
            // It takes a moment until a rule shows.
            None => Ok(Outcome::Waits("AWS has made the rule and does not show it yet".to_owned(), AGAIN)),
        },
        Err(error) if error.is_undecided() => Ok(Outcome::failing(error.to_string())),
        Err(error) => Ok(Outcome::is(CarriedTo::Refused, error.to_string())),
    }
}

fn own<'r>(rules: &'r [Rule], step: &SecurityGroupAllow, note: &str) -> Option<&'r Rule> {
    rules.iter().find(|rule| rule.is(step.source, step.port) && rule.description == note)
}

fn made(rule: &Rule) -> Outcome {
    Outcome::is(CarriedTo::Applied, format!("the rule is there: {}", rule.id.as_str()))
}

async fn prove(
    core: &Arc<Core>,
    work: &Work,
    step: &SecurityGroupAllow,
    aws: &Aws,
    left: Duration,
) -> Result<Outcome, CloudError> {
    let deadline = Instant::now() + left;
    let node = core.live.agent(&work.plan.node).map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |agent| agent.remote);
    let (keep, because) = match look(core, (&work.id, &work.plan, None), node, deadline).await {
        Ok(looked) => looked,
        Err(status) => return Ok(Outcome::failing(status.message())),
    };
    if !keep {
        let undone = undo(work, step, aws).await;
        let why = format!("not proven from outside: {because}");
        return Ok(match undone {
            Ok(Outcome::Is(carried)) => Outcome::is(carried.to, format!("{why}; {}", carried.because)),
            Ok(other) => other,
            // Said now, since the look will not be made again.
            Err(error) => Outcome::is(CarriedTo::Applied, format!("{why}; it is to be revoked, and {error}")),
        });
    }
    let note = SecurityGroupAllow::note(&work.id);
    Ok(match own(&aws.rules(&step.group).await?, step, &note) {
        Some(_) => Outcome::is(CarriedTo::Verified, format!("proven from outside: {because}")),
        None => {
            Outcome::is(CarriedTo::Failed, format!("somebody has revoked the rule meanwhile; from outside: {because}"))
        }
    })
}

/// Revokes the rule of this plan.
async fn undo(work: &Work, step: &SecurityGroupAllow, aws: &Aws) -> Result<Outcome, CloudError> {
    let note = SecurityGroupAllow::note(&work.id);
    Ok(match revoked(step, &note, aws).await? {
        Revoked::Gone(rule) => Outcome::is(CarriedTo::Undone, format!("{rule} is revoked")),
        Revoked::WasNotThere => Outcome::is(CarriedTo::Undone, "the rule was gone already"),
        Revoked::Remains => remains(),
    })
}

async fn take_back(core: &Arc<Core>, work: &Work, step: &SecurityGroupAllow, aws: &Aws) -> Result<Outcome, CloudError> {
    let Some(plan) = &step.takes_back else { return Ok(Outcome::is(CarriedTo::Refused, "it takes back no plan")) };
    let note = SecurityGroupAllow::note(plan);
    let acted = blocking({
        let (core, id) = (Arc::clone(core), work.id.clone());
        move || core.plans.acted_at(&id)
    });
    let acted = match acted.await {
        Ok(acted) => acted,
        Err(status) => return Ok(Outcome::failing(status.message())),
    };
    if acted.is_none() {
        if !work.may_begin {
            return Ok(Outcome::is(CarriedTo::Expired, "it could not be begun in time"));
        }
        if own(&aws.rules(&step.group).await?, step, &note).is_none() {
            let because = format!("{} has no rule \"{note}\" any more: there is nothing to take back", step.group);
            return Ok(Outcome::is(CarriedTo::Refused, because));
        }
        let intent = format!("revokes the rule \"{note}\" of {}", step.group);
        let acting = blocking({
            let (core, id) = (Arc::clone(core), work.id.clone());
            move || core.plans.acting(&id, &intent, now())
        });
        if let Err(status) = acting.await {
            return Ok(Outcome::failing(status.message()));
        }
        faults::point("acting");
    }
    Ok(match revoked(step, &note, aws).await? {
        Revoked::Gone(rule) => Outcome::is(CarriedTo::Verified, format!("{rule} is revoked")),
        Revoked::WasNotThere => Outcome::is(CarriedTo::Verified, "the rule is gone"),
        Revoked::Remains => remains(),
    })
}

fn remains() -> Outcome {
    Outcome::Waits("AWS has revoked the rule and shows it still".to_owned(), AGAIN)
}

/// What became of a rule that was to go.
enum Revoked {
    /// It is gone.
    Gone(String),
    /// There was none.
    WasNotThere,
    /// AWS says that it is revoked, and shows it still.
    Remains,
}

/// Revokes the one rule with this description, by its own id. Asked as often as it takes: a rule that was revoked stays so.
async fn revoked(step: &SecurityGroupAllow, note: &str, aws: &Aws) -> Result<Revoked, CloudError> {
    let Some(rule) = own(&aws.rules(&step.group).await?, step, note).cloned() else { return Ok(Revoked::WasNotThere) };
    aws.revoke(&step.group, &rule.id).await?;
    faults::point("revoked");
    let remains = own(&aws.rules(&step.group).await?, step, note).is_some();
    Ok(if remains { Revoked::Remains } else { Revoked::Gone(rule.id.as_str().to_owned()) })
}
