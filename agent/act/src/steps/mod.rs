//! The steps, each in four parts: [`observe`] the node and refuse what is not as the plan says, [`apply`] what is live only,
//! [`persist`] what lasts, and [`undo`] both, as often as it takes, but never over somebody else's change.

mod config_install;
mod firewall;
mod firewalld;
mod iptables;
mod nftables;
mod service;
mod sysctl;
mod sysctl_file;
mod ufw;
mod unit_limit;

use std::path::Path;

use common_plan::{Opening, PlanId, Refusal, Step};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::places::Places;
use firewall::Rules;

/// What was there before, as far as the plan itself does not say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Before {
    /// The file that makes it last, where there is one; none: it was not there.
    pub file: Option<String>,
    /// The state of the unit that is started, where one is.
    pub unit: Option<service::Activity>,
    /// Where the rules are that are taken away, in the order of the openings.
    #[serde(default)]
    pub rules: Vec<firewall::Presence>,
    /// systemd's id of the unit's run, where the undoing has to know whether it was restarted.
    #[serde(default)]
    pub run: Option<String>,
}

/// Reads what the plan depends on. What is not as the plan says refuses it.
pub fn observe(step: &Step, id: &PlanId, places: &Places) -> Result<Before, Refusal> {
    let file = match step {
        Step::SysctlSet(step) => sysctl::observe(step, places)?,
        Step::UnitLimit(step) => unit_limit::observe(step, places)?,
        Step::Service(step) => service::observe(step, places).map(|()| None)?,
        Step::ConfigInstall(step) => Some(config_install::observe(step, places)?),
        Step::FirewallAllow(step) => Rules::new(step, id, places).observe().map(|()| None)?,
        Step::FirewallRevoke(_) => None,
        Step::ConfigEdit(_) | Step::SecurityGroupAllow(_) => return Err(Refusal::NotForNodes),
    };
    let rules = match step {
        Step::FirewallRevoke(step) => Rules::made(step, places).present()?,
        _ => Vec::new(),
    };
    let unit = step.starts().map(|unit| service::activity(unit, places)).transpose().map_err(Refusal::Impossible)?;
    let run = match step {
        Step::ConfigInstall(step) => Some(service::run(&step.unit, places).map_err(Refusal::Impossible)?),
        _ => None,
    };
    Ok(Before { file, unit, rules, run })
}

/// Makes it so until the next boot.
pub fn apply(step: &Step, before: &Before, id: &PlanId, places: &Places) -> Result<(), String> {
    match step {
        Step::SysctlSet(step) => sysctl::apply(step, places)?,
        Step::UnitLimit(step) => unit_limit::apply(step, before.file.as_deref(), places)?,
        Step::FirewallAllow(step) => Rules::new(step, id, places).open()?,
        Step::FirewallRevoke(step) => Rules::made(step, places).close()?,
        Step::Service(step) => return service::act(step, places),
        Step::ConfigInstall(step) => return config_install::apply(step, before.file.as_deref(), places),
        // Never observed, so never applied.
        Step::ConfigEdit(_) | Step::SecurityGroupAllow(_) => return Err(Refusal::NotForNodes.to_string()),
    }
    match (step.starts(), before.unit) {
        (Some(unit), Some(service::Activity::Down)) => service::start(unit, places),
        _ => Ok(()),
    }
}

/// Makes it last; what there is to say of that, if anything.
pub fn persist(step: &Step, before: &Before, id: &PlanId, places: &Places) -> Result<Option<&'static str>, String> {
    match step {
        Step::SysctlSet(step) => sysctl::persist(step, before.file.as_deref(), places).map(|()| None),
        Step::UnitLimit(step) => unit_limit::persist(step, before.file.as_deref(), places).map(|()| None),
        Step::FirewallAllow(step) => {
            Rules::new(step, id, places).keep()?;
            if step.for_s.is_some() {
                return Ok(Some("a reload of the firewall or a boot ends it earlier"));
            }
            let lost = step.openings.iter().any(Opening::is_lost_at_boot);
            Ok(lost.then_some("until the firewall is loaded again or the node boots: put it in its file, too"))
        }
        Step::FirewallRevoke(step) => Rules::made(step, places).forget().map(|()| None),
        Step::ConfigInstall(_) => Ok(None),
        Step::Service(step) => service::persist(step, places).map(|()| None),
        Step::ConfigEdit(_) | Step::SecurityGroupAllow(_) => Ok(None),
    }
}

/// Makes it as it was, whatever of [`apply`] and [`persist`] was done. The error is what is left.
pub fn undo(step: &Step, before: &Before, id: &PlanId, places: &Places) -> Result<(), String> {
    // First, so that the unit never runs without what it needs.
    let stopped = match (step.starts(), before.unit) {
        (Some(unit), Some(service::Activity::Down)) => service::stop(unit, places),
        _ => Ok(()),
    };
    let undone = match step {
        Step::SysctlSet(step) => sysctl::undo(step, before.file.as_deref(), places),
        Step::UnitLimit(step) => unit_limit::undo(step, before.file.as_deref(), places),
        Step::FirewallAllow(step) => {
            let rules = Rules::new(step, id, places);
            // From the kernel first: what ufw has there is known by its file.
            both(rules.close(), rules.forget())
        }
        Step::FirewallRevoke(step) => Rules::made(step, places).put_back(&before.rules),
        Step::ConfigInstall(step) => config_install::undo(step, before, id, places),
        Step::Service(step) => service::undo(step, places),
        Step::ConfigEdit(_) | Step::SecurityGroupAllow(_) => Ok(()),
    };
    both(undone, stopped)
}

/// Everything that is left, where something is.
fn both(one: Result<(), String>, other: Result<(), String>) -> Result<(), String> {
    let left: Vec<String> = [one, other].into_iter().filter_map(Result::err).collect();
    if left.is_empty() { Ok(()) } else { Err(left.join("; ")) }
}

/// Reads a file of the host as text.
fn read(path: &str, places: &Places) -> Result<Option<String>, String> {
    files::read_text(&places.at(path)).map_err(|error| format!("{path}: {error}"))
}

/// Puts a file in place of what was there before, and of nothing else.
fn replace(path: &str, before: Option<&str>, after: Option<&str>, places: &Places) -> Result<(), String> {
    if exchange(path, before, after, places)? {
        Ok(())
    } else {
        Err(format!("{path} was changed by somebody else since"))
    }
}

/// Brings back what a file was before, provided it is what we made of it. Done twice, it does nothing the second time.
fn bring_back(path: &str, before: Option<&str>, after: Option<&str>, places: &Places) -> Result<(), String> {
    if read(path, places)?.as_deref() == before || exchange(path, after, before, places)? {
        Ok(())
    } else {
        Err(format!("{path} was changed by somebody else since and stays as it is"))
    }
}

fn exchange(path: &str, from: Option<&str>, to: Option<&str>, places: &Places) -> Result<bool, String> {
    let target = places.at(path);
    let folder = target.parent().unwrap_or(Path::new("/"));
    let made = if to.is_some() { files::make_dir(folder, 0o755) } else { Ok(()) };
    let exchanged = made.and_then(|()| files::exchange(&target, from.map(str::as_bytes), to.map(str::as_bytes), 0o644));
    exchanged.map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod firewall_tests;
#[cfg(test)]
mod tests;
