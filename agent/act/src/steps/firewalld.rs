//! One rich rule of firewalld. It has no comment to mark it by, so a rule that is there already, by whomever, refuses the plan.

use common_plan::{FirewallAllow, Label, Refusal};

use super::service::{self, Activity};
use crate::places::Places;
use crate::tools;

const FIREWALL_CMD: &str = "/usr/bin/firewall-cmd";
/// Changes the permanent rules while firewalld does not run: at boot, before there is a bus to ask it on.
const OFFLINE: &str = "/usr/bin/firewall-offline-cmd";

/// The rule, and whose it is.
pub(super) struct RichRule {
    scope: String,
    rule: String,
}

/// Which of firewalld's two sets of rules.
#[derive(Clone, Copy)]
enum Set {
    Runtime,
    Permanent,
}

impl RichRule {
    pub(super) fn new(
        zone: Option<&Label>,
        policy: Option<&Label>,
        priority: Option<i16>,
        step: &FirewallAllow,
    ) -> Self {
        let scope = match (zone, policy) {
            (Some(zone), _) => format!("--zone={zone}"),
            (None, policy) => format!("--policy={}", policy.map_or("", |policy| policy.as_str())),
        };
        let FirewallAllow { source, port, .. } = step;
        let family = if source.address().is_ipv4() { "ipv4" } else { "ipv6" };
        let priority = priority.map(|priority| format!("priority=\"{priority}\" ")).unwrap_or_default();
        // As firewalld itself writes it, so that it is found again.
        let rule = format!(
            "rule {priority}family=\"{family}\" source address=\"{source}\" port port=\"{port}\" protocol=\"tcp\" accept"
        );
        Self { scope, rule }
    }

    pub(super) fn observe(&self, places: &Places) -> Result<(), Refusal> {
        match self.is_open(places).and_then(|live| Ok(live || self.is_kept(places)?)) {
            Ok(false) => Ok(()),
            Ok(true) => Err(Refusal::Changed("its rule is there already".to_owned())),
            Err(error) => Err(Refusal::Impossible(error)),
        }
    }

    pub(super) fn open(&self, places: &Places) -> Result<(), String> {
        self.change(Set::Runtime, "add", places)
    }

    pub(super) fn close(&self, places: &Places) -> Result<(), String> {
        if self.is_open(places)? { self.change(Set::Runtime, "remove", places) } else { Ok(()) }
    }

    pub(super) fn keep(&self, places: &Places) -> Result<(), String> {
        if self.is_kept(places)? { Ok(()) } else { self.change(Set::Permanent, "add", places) }
    }

    pub(super) fn forget(&self, places: &Places) -> Result<(), String> {
        if self.is_kept(places)? { self.change(Set::Permanent, "remove", places) } else { Ok(()) }
    }

    /// What does not run has no rules.
    pub(super) fn is_open(&self, places: &Places) -> Result<bool, String> {
        Ok(runs(places)? && self.is_in(Set::Runtime, places)?)
    }

    pub(super) fn is_kept(&self, places: &Places) -> Result<bool, String> {
        self.is_in(Set::Permanent, places)
    }

    fn is_in(&self, set: Set, places: &Places) -> Result<bool, String> {
        let rules = self.ask(set, "--list-rich-rules", places)?;
        Ok(rules.lines().any(|line| line.trim() == self.rule))
    }

    fn change(&self, set: Set, verb: &str, places: &Places) -> Result<(), String> {
        self.ask(set, &format!("--{verb}-rich-rule={}", self.rule), places).map(|_| ())
    }

    fn ask(&self, set: Set, what: &str, places: &Places) -> Result<String, String> {
        match set {
            Set::Runtime => tools::run(places, FIREWALL_CMD, &[&self.scope, what]),
            Set::Permanent if runs(places)? => tools::run(places, FIREWALL_CMD, &["--permanent", &self.scope, what]),
            Set::Permanent => tools::run(places, OFFLINE, &[&self.scope, what]),
        }
    }
}

fn runs(places: &Places) -> Result<bool, String> {
    let unit = "firewalld.service".parse().map_err(|error| format!("{error}"))?;
    Ok(service::activity(&unit, places)? == Activity::Up)
}
