//! `/etc/dialtone/policy.yaml`: what the administrator of a node allows. As shipped it allows nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use common_model::Network;
use common_yml::Key;
use serde::{Deserialize, Serialize};

use crate::approval::PublicKey;
use crate::names::{ConfigFile, UnitName};
use crate::step::{Action, FirewallAllow, Limit, LimitValue, Step, Sysctl};

/// The file. A setting that is not known is an error, and with an error nothing is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Raised by the administrator to void every plan made before; never taken back.
    #[serde(default)]
    pub epoch: u64,
    /// The most plans carried out within an hour.
    #[serde(default = "three")]
    pub plans_per_hour: u32,
    /// The most seconds from the making of a plan to its expiry. A rolling restart takes long: its last node's approval has to be
    /// good until its turn comes.
    #[serde(default = "four_hours")]
    pub plans_valid_s: u32,
    /// Whose signature counts here.
    #[serde(default)]
    pub approvers: Vec<Approver>,
    /// What is allowed at all.
    #[serde(default)]
    pub allow: Allowed,
}

fn three() -> u32 {
    3
}

fn four_hours() -> u32 {
    4 * 3600
}

impl Default for Policy {
    /// What an empty file says.
    fn default() -> Self {
        let (plans_per_hour, plans_valid_s) = (three(), four_hours());
        Self { epoch: 0, plans_per_hour, plans_valid_s, approvers: Vec::new(), allow: Allowed::default() }
    }
}

/// A person and a key of theirs. Several keys of one person count once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// The person.
    pub name: String,
    /// `ed25519:…`, as `dialtone key` prints it.
    pub key: PublicKey,
}

/// Per action; one that is absent is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Allowed {
    /// `sysctl-set`
    pub sysctl_set: Option<AllowedSysctls>,
    /// `firewall-allow`
    pub firewall_allow: Option<AllowedFirewall>,
    /// `unit-limit`
    pub unit_limit: Option<AllowedLimits>,
    /// `service`
    pub service: Option<AllowedServices>,
    /// `config-install`
    pub config_install: Option<AllowedInstalls>,
}

fn one() -> u8 {
    1
}

/// Kernel settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedSysctls {
    /// Persons who have to approve.
    #[serde(default = "one")]
    pub approvals: u8,
    /// Which, and the values each may get.
    pub keys: BTreeMap<Sysctl, Range>,
}

/// Openings of the firewall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedFirewall {
    /// Persons who have to approve.
    #[serde(default = "one")]
    pub approvals: u8,
    /// Ports.
    pub ports: Vec<Range>,
    /// Networks that clients may be in; a plan's source has to lie within one.
    pub sources: Vec<Network>,
}

/// Limits of units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedLimits {
    /// Persons who have to approve.
    #[serde(default = "one")]
    pub approvals: u8,
    /// Whose.
    pub units: Vec<UnitName>,
    /// Which, and the values each may get.
    pub limits: BTreeMap<Limit, Range>,
}

/// Starts and restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedServices {
    /// Persons who have to approve.
    #[serde(default = "one")]
    pub approvals: u8,
    /// Which.
    pub units: Vec<UnitName>,
}

/// Edits of the engines' files. Restarting the engine is a part of it and needs no right of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedInstalls {
    /// Persons who have to approve.
    #[serde(default = "one")]
    pub approvals: u8,
    /// Which.
    pub files: Vec<ConfigFile>,
    /// The settings that may be edited.
    pub keys: Vec<Key>,
    /// The units that may be restarted for it.
    pub units: Vec<UnitName>,
}

/// Numbers from the first to the last: `262144..1048576`, `9200`, `65535..infinity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "NumberOrText", into = "String")]
pub struct Range {
    first: u64,
    last: LimitValue,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

/// A policy that cannot be read; nothing is allowed until it can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPolicy(String);

impl Range {
    /// Whether `value` lies in it.
    pub fn contains(self, value: u64) -> bool {
        self.contains_value(LimitValue::At(value))
    }

    fn contains_value(self, value: LimitValue) -> bool {
        LimitValue::At(self.first) <= value && value <= self.last
    }
}

impl FromStr for Range {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        let number = |text: &str| {
            text.trim().parse::<u64>().map_err(|_| InvalidPolicy(format!("{text:?} is not a number or FIRST..LAST")))
        };
        let Some((first, last)) = text.split_once("..") else {
            let value = number(text)?;
            return Ok(Self { first: value, last: LimitValue::At(value) });
        };
        let last = match last.trim() {
            "infinity" => LimitValue::Infinity,
            last => LimitValue::At(number(last)?),
        };
        let first = number(first)?;
        if LimitValue::At(first) > last {
            return Err(InvalidPolicy(format!("{text:?} ends before it begins")));
        }
        Ok(Self { first, last })
    }
}

impl TryFrom<NumberOrText> for Range {
    type Error = InvalidPolicy;

    fn try_from(value: NumberOrText) -> Result<Self, InvalidPolicy> {
        match value {
            NumberOrText::Number(number) => Ok(Self { first: number, last: LimitValue::At(number) }),
            NumberOrText::Text(text) => text.parse(),
        }
    }
}

impl From<Range> for String {
    fn from(range: Range) -> String {
        range.to_string()
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.last == LimitValue::At(self.first) {
            return self.first.fmt(f);
        }
        write!(f, "{}..{}", self.first, self.last)
    }
}

impl Policy {
    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, InvalidPolicy> {
        // Only comments: as shipped.
        let read = serde_yaml::from_str::<Option<Policy>>(text);
        let policy = read.map_err(|error| InvalidPolicy(error.to_string()))?.unwrap_or_default();
        let approvals = [
            policy.allow.sysctl_set.as_ref().map(|allowed| allowed.approvals),
            policy.allow.firewall_allow.as_ref().map(|allowed| allowed.approvals),
            policy.allow.unit_limit.as_ref().map(|allowed| allowed.approvals),
            policy.allow.service.as_ref().map(|allowed| allowed.approvals),
            policy.allow.config_install.as_ref().map(|allowed| allowed.approvals),
        ];
        if approvals.contains(&Some(0)) {
            return Err(InvalidPolicy("approvals: 0 would let anybody act; give 1 or more".to_owned()));
        }
        Ok(policy)
    }

    /// How many persons have to approve a step, if it is within what is allowed; else what is not.
    pub fn permits(&self, step: &Step) -> Result<u8, String> {
        let approvals = match step {
            Step::SysctlSet(set) => {
                let allowed = self.allow.sysctl_set.as_ref().ok_or_else(|| absent(Action::SysctlSet))?;
                let range = allowed.keys.get(&set.key).ok_or_else(|| format!("{} is not among its keys", set.key))?;
                within(*range, LimitValue::At(set.to), set.key.name())?;
                allowed.approvals
            }
            Step::FirewallAllow(allow) => {
                let allowed = self.allow.firewall_allow.as_ref().ok_or_else(|| absent(Action::FirewallAllow))?;
                opens(allowed, allow)?;
                allowed.approvals
            }
            // Who may let somebody in may take that away again.
            Step::FirewallRevoke(revoke) => {
                let allowed = self.allow.firewall_allow.as_ref().ok_or_else(|| absent(Action::FirewallAllow))?;
                opens(allowed, &revoke.made)?;
                allowed.approvals
            }
            Step::UnitLimit(limit) => {
                let allowed = self.allow.unit_limit.as_ref().ok_or_else(|| absent(Action::UnitLimit))?;
                one_of(&allowed.units, &limit.unit)?;
                for (name, value) in &limit.limits {
                    let range = allowed.limits.get(name);
                    let range = range.ok_or_else(|| format!("{} is not among its limits", name.directive()))?;
                    within(*range, *value, name.directive())?;
                }
                allowed.approvals
            }
            Step::Service(_) => 1,
            Step::ConfigInstall(install) => {
                let allowed = self.allow.config_install.as_ref().ok_or_else(|| absent(Action::ConfigInstall))?;
                if !allowed.files.contains(&install.file) {
                    return Err(format!("{} is not among its files", install.file));
                }
                if let Some(key) = install.keys().find(|key| !allowed.keys.contains(key)) {
                    return Err(format!("{key} is not among its keys"));
                }
                one_of(&allowed.units, &install.unit)?;
                return Ok(allowed.approvals);
            }
            Step::ConfigEdit(_) | Step::SecurityGroupAllow(_) => return Err("no node carries it out".to_owned()),
        };
        // Starting is its own right, also as a part of something else.
        let Some(unit) = step.starts() else { return Ok(approvals) };
        let service = self.allow.service.as_ref().ok_or_else(|| absent(Action::Service))?;
        one_of(&service.units, unit)?;
        Ok(approvals.max(service.approvals))
    }
}

fn absent(action: Action) -> String {
    format!("{action} is not allowed")
}

fn within(range: Range, value: LimitValue, what: &str) -> Result<(), String> {
    if range.contains_value(value) { Ok(()) } else { Err(format!("{what} {value} is not within {range}")) }
}

fn one_of(units: &[UnitName], unit: &UnitName) -> Result<(), String> {
    if units.contains(unit) { Ok(()) } else { Err(format!("{unit} is not among its units")) }
}

fn opens(allowed: &AllowedFirewall, allow: &FirewallAllow) -> Result<(), String> {
    if !allowed.ports.iter().any(|range| range.contains(u64::from(allow.port))) {
        return Err(format!("port {} is not among its ports", allow.port));
    }
    let source = allow.source;
    let inside = |network: &Network| network.contains(source.address()) && network.prefix() <= source.prefix();
    // Everyone is never a source, whatever the file says.
    if !allowed.sources.iter().filter(|network| network.prefix() > 0).any(inside) {
        return Err(format!("{source} is not within its sources"));
    }
    Ok(())
}
