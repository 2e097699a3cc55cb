//! The closed set of things an actuator can do. Every parameter has a type of its own: no step holds a command, a path that is
//! free to choose, or text that a program would interpret.

use std::collections::BTreeMap;
use std::fmt;

use common_model::Network;
use common_yml::Edit;
use serde::{Deserialize, Serialize};

use crate::config_install::ConfigInstall;
use crate::names::{Branch, Digest, GroupId, InterfaceId, Label, Region, RepoPath, UnitName};
use crate::plan::PlanId;

/// What one plan does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// Sets a kernel setting, now and for the next boot.
    SysctlSet(SysctlSet),
    /// Lets a network reach a port.
    FirewallAllow(FirewallAllow),
    /// Takes away the rules that an earlier plan made.
    FirewallRevoke(FirewallRevoke),
    /// Raises resource limits of a unit.
    UnitLimit(UnitLimit),
    /// Starts or restarts a unit.
    Service(Service),
    /// Asks for an edit of the engine's yml in the repository it comes from.
    ConfigEdit(ConfigEdit),
    /// Puts approved edits into an engine's file and restarts the engine.
    ConfigInstall(ConfigInstall),
    /// Lets a network through a security group of the cloud.
    SecurityGroupAllow(SecurityGroupAllow),
}

/// The sort of a step, as policies name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// [`Step::SysctlSet`]
    SysctlSet,
    /// [`Step::FirewallAllow`]
    FirewallAllow,
    /// [`Step::FirewallRevoke`]
    FirewallRevoke,
    /// [`Step::UnitLimit`]
    UnitLimit,
    /// [`Step::Service`]
    Service,
    /// [`Step::ConfigEdit`]
    ConfigEdit,
    /// [`Step::ConfigInstall`]
    ConfigInstall,
    /// [`Step::SecurityGroupAllow`]
    SecurityGroupAllow,
}

impl Step {
    /// Its sort.
    pub fn action(&self) -> Action {
        match self {
            Step::SysctlSet(_) => Action::SysctlSet,
            Step::FirewallAllow(_) => Action::FirewallAllow,
            Step::FirewallRevoke(_) => Action::FirewallRevoke,
            Step::UnitLimit(_) => Action::UnitLimit,
            Step::Service(_) => Action::Service,
            Step::ConfigEdit(_) => Action::ConfigEdit,
            Step::ConfigInstall(_) => Action::ConfigInstall,
            Step::SecurityGroupAllow(_) => Action::SecurityGroupAllow,
        }
    }

    /// Seconds after which the node takes it back by itself; none: it stays.
    pub fn for_s(&self) -> Option<u32> {
        match self {
            Step::FirewallAllow(step) => step.for_s,
            _ => None,
        }
    }

    /// The unit it starts or restarts, if it does.
    pub fn starts(&self) -> Option<&UnitName> {
        match self {
            Step::SysctlSet(step) => step.start.as_ref(),
            Step::UnitLimit(step) => step.start.as_ref(),
            Step::Service(step) => Some(&step.unit),
            Step::ConfigInstall(step) => Some(&step.unit),
            Step::FirewallAllow(_) | Step::FirewallRevoke(_) | Step::ConfigEdit(_) | Step::SecurityGroupAllow(_) => {
                None
            }
        }
    }

    /// The unit it restarts, if it does: one that ran before, too.
    pub fn restarts(&self) -> Option<&UnitName> {
        match self {
            Step::Service(Service { unit, verb: Verb::Restart, .. }) => Some(unit),
            Step::ConfigInstall(step) => Some(&step.unit),
            Step::Service(_)
            | Step::SysctlSet(_)
            | Step::UnitLimit(_)
            | Step::FirewallAllow(_)
            | Step::FirewallRevoke(_)
            | Step::ConfigEdit(_)
            | Step::SecurityGroupAllow(_) => None,
        }
    }
}

/// Who carries out a sort of step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// The actuator on the node.
    Node,
    /// The controller.
    Controller,
}

impl Action {
    /// Who carries it out.
    pub fn carrier(self) -> Carrier {
        match self {
            Action::SysctlSet
            | Action::FirewallAllow
            | Action::FirewallRevoke
            | Action::UnitLimit
            | Action::Service
            | Action::ConfigInstall => Carrier::Node,
            Action::ConfigEdit | Action::SecurityGroupAllow => Carrier::Controller,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::SysctlSet => "sysctl-set",
            Action::FirewallAllow => "firewall-allow",
            Action::FirewallRevoke => "firewall-revoke",
            Action::UnitLimit => "unit-limit",
            Action::Service => "service",
            Action::ConfigEdit => "config-edit",
            Action::ConfigInstall => "config-install",
            Action::SecurityGroupAllow => "security-group-allow",
        })
    }
}

/// [`Step::SysctlSet`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SysctlSet {
    /// Which.
    pub key: Sysctl,
    /// The live value it must have, else nothing is done.
    pub from: u64,
    /// The value it gets.
    pub to: u64,
    /// The file that makes it last; none when the present files do already.
    pub persist: Option<SysctlFile>,
    /// A unit that failed for want of it, started once the value is live.
    pub start: Option<UnitName>,
}

/// The kernel settings a plan may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Sysctl {
    /// Memory maps of one process.
    #[serde(rename = "vm.max_map_count")]
    MaxMapCount,
    /// Connections waiting to be accepted.
    #[serde(rename = "net.core.somaxconn")]
    Somaxconn,
    /// Whether a full accept queue answers with a reset.
    #[serde(rename = "net.ipv4.tcp_abort_on_overflow")]
    AbortOnOverflow,
    /// Retransmissions before a connection is given up.
    #[serde(rename = "net.ipv4.tcp_retries2")]
    Retries2,
}

impl Sysctl {
    /// All of them.
    pub const ALL: [Sysctl; 4] = [Sysctl::MaxMapCount, Sysctl::Somaxconn, Sysctl::AbortOnOverflow, Sysctl::Retries2];

    /// The dotted name.
    pub fn name(self) -> &'static str {
        match self {
            Sysctl::MaxMapCount => "vm.max_map_count",
            Sysctl::Somaxconn => "net.core.somaxconn",
            Sysctl::AbortOnOverflow => "net.ipv4.tcp_abort_on_overflow",
            Sysctl::Retries2 => "net.ipv4.tcp_retries2",
        }
    }

    /// The file below `/proc/sys`.
    pub fn proc_path(self) -> &'static str {
        match self {
            Sysctl::MaxMapCount => "/proc/sys/vm/max_map_count",
            Sysctl::Somaxconn => "/proc/sys/net/core/somaxconn",
            Sysctl::AbortOnOverflow => "/proc/sys/net/ipv4/tcp_abort_on_overflow",
            Sysctl::Retries2 => "/proc/sys/net/ipv4/tcp_retries2",
        }
    }
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a kernel setting is kept for the next boot. Whatever stands there of other keys stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SysctlFile {
    /// A file of `/etc/sysctl.d`, by its name; none: `/etc/sysctl.conf`.
    pub name: Option<Label>,
    /// The value the file's last line about the key has, as it stands there; none: the file, or the line, is not there.
    pub from: Option<String>,
}

impl SysctlFile {
    /// Absolute path.
    pub fn path(&self) -> String {
        match &self.name {
            Some(name) => format!("/etc/sysctl.d/{name}"),
            None => "/etc/sysctl.conf".to_owned(),
        }
    }
}

/// [`Step::FirewallAllow`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirewallAllow {
    /// Who is let in. Never everyone.
    pub source: Network,
    /// The TCP port.
    pub port: u16,
    /// Where it takes effect, in the order in which a packet meets what blocks it; at least one.
    pub openings: Vec<Opening>,
    /// Seconds after which it ends by itself; none: it stays.
    pub for_s: Option<u32>,
}

/// [`Step::FirewallRevoke`]: the rules of that plan, found by its mark, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirewallRevoke {
    /// The plan that made them.
    pub plan: PlanId,
    /// What it made. Should this not be confirmed, that is made again.
    pub made: FirewallAllow,
}

/// One rule, in whatever owns the firewall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "owner", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Opening {
    /// A rule of ufw's, as `ufw allow` makes it, or `ufw insert N allow` where a rule that denies stands before: first in the
    /// kernel, in ufw's own file once confirmed.
    Ufw {
        /// The rule it goes before: its number in `ufw status numbered`, and how ufw's file notes it; none: at the end.
        before: Option<Place>,
    },
    /// A rich rule, runtime first and permanent once confirmed.
    Firewalld {
        /// The zone, unless a policy decides.
        zone: Option<Label>,
        /// The policy that decides.
        policy: Option<Label>,
        /// The rule's priority; none: 0.
        priority: Option<i16>,
    },
    /// A rule in a chain of nftables.
    Nftables {
        /// `inet`, `ip` or `ip6`.
        family: Label,
        /// Table.
        table: Label,
        /// Chain.
        chain: Label,
        /// The rule it goes before; none: at the end.
        before: Option<Place>,
        /// The chain sees the answers: source and destination change places.
        reply: bool,
        /// Where it is kept once confirmed; none: it goes with the next reload or boot.
        file: Option<RulesFile>,
    },
    /// A rule in a chain of iptables.
    Iptables {
        /// Of `iptables-legacy`.
        legacy: bool,
        /// Table.
        table: Label,
        /// Chain.
        chain: Label,
        /// The rule it goes before; none: at the end.
        before: Option<Place>,
        /// The chain sees the answers.
        reply: bool,
        /// Where it is kept once confirmed; none: it goes with the next reload or boot.
        file: Option<RulesFile>,
    },
}

impl Opening {
    /// The file that keeps it, where there is one to write. What firewalld keeps it writes itself.
    pub fn file(&self, source: Network) -> Option<RulesFile> {
        match self {
            Opening::Ufw { .. } if source.address().is_ipv4() => Some(RulesFile::Ufw),
            Opening::Ufw { .. } => Some(RulesFile::Ufw6),
            Opening::Firewalld { .. } => None,
            Opening::Nftables { file, .. } | Opening::Iptables { file, .. } => *file,
        }
    }

    /// Whether a reload or a boot takes it away.
    pub fn is_lost_at_boot(&self) -> bool {
        matches!(self, Opening::Nftables { file: None, .. } | Opening::Iptables { file: None, .. })
    }
}

/// A file that a service of the host loads rules from at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RulesFile {
    /// Of `nftables.service` on Debian and Ubuntu.
    #[serde(rename = "/etc/nftables.conf")]
    Nftables,
    /// Of `nftables.service` on RHEL.
    #[serde(rename = "/etc/sysconfig/nftables.conf")]
    NftablesSysconfig,
    /// Of `netfilter-persistent.service`.
    #[serde(rename = "/etc/iptables/rules.v4")]
    Persistent,
    /// Of `netfilter-persistent.service`.
    #[serde(rename = "/etc/iptables/rules.v6")]
    Persistent6,
    /// Of `iptables.service` on RHEL.
    #[serde(rename = "/etc/sysconfig/iptables")]
    Sysconfig,
    /// Of `ip6tables.service` on RHEL.
    #[serde(rename = "/etc/sysconfig/ip6tables")]
    Sysconfig6,
    /// ufw's own.
    #[serde(rename = "/etc/ufw/user.rules")]
    Ufw,
    /// ufw's own, of IPv6.
    #[serde(rename = "/etc/ufw/user6.rules")]
    Ufw6,
}

impl RulesFile {
    /// Absolute path.
    pub fn path(self) -> &'static str {
        match self {
            RulesFile::Nftables => "/etc/nftables.conf",
            RulesFile::NftablesSysconfig => "/etc/sysconfig/nftables.conf",
            RulesFile::Persistent => "/etc/iptables/rules.v4",
            RulesFile::Persistent6 => "/etc/iptables/rules.v6",
            RulesFile::Sysconfig => "/etc/sysconfig/iptables",
            RulesFile::Sysconfig6 => "/etc/sysconfig/ip6tables",
            RulesFile::Ufw => "/etc/ufw/user.rules",
            RulesFile::Ufw6 => "/etc/ufw/user6.rules",
        }
    }

    /// Whether it may keep such an opening: of this tool, and of this family.
    pub fn fits(self, opening: &Opening, source: Network) -> bool {
        let v4 = source.address().is_ipv4();
        match (self, opening) {
            (RulesFile::Nftables | RulesFile::NftablesSysconfig, Opening::Nftables { .. }) => true,
            (RulesFile::Persistent | RulesFile::Sysconfig, Opening::Iptables { .. })
            | (RulesFile::Ufw, Opening::Ufw { .. }) => v4,
            (RulesFile::Persistent6 | RulesFile::Sysconfig6, Opening::Iptables { .. })
            | (RulesFile::Ufw6, Opening::Ufw { .. }) => !v4,
            _ => false,
        }
    }
}

/// A rule that has to be where it was seen, else nothing is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// nftables: the rule's handle; iptables and ufw: its number, from 1.
    pub number: u64,
    /// The rule as its own tool shows it, or as ufw's file notes it; never handed to any program.
    pub rule: String,
}

/// [`Step::SecurityGroupAllow`]: one ingress rule of one security group of AWS, found again by its plan's id in its description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityGroupAllow {
    /// Where the group is.
    pub region: Region,
    /// The group.
    pub group: GroupId,
    /// The node's interface, at which the group has to be in force, else nothing is done.
    pub interface: InterfaceId,
    /// Who is let in. Never everyone.
    pub source: Network,
    /// The TCP port.
    pub port: u16,
    /// A rule that is not proven within this many seconds is revoked.
    pub confirm_within_s: u32,
    /// The plan whose rule, which is this one, is taken away again; none: the rule is made.
    pub takes_back: Option<PlanId>,
}

impl SecurityGroupAllow {
    /// The description of the rule that a plan makes.
    pub fn note(plan: &PlanId) -> String {
        format!("dialtone plan {plan}")
    }
}

/// [`Step::UnitLimit`]: the drop-in `/etc/systemd/system/UNIT.d/60-dialtone.conf`, written or taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitLimit {
    /// Whose.
    pub unit: UnitName,
    /// The limits it gets; none: the drop-in is taken away, and what the unit says without it holds from its next start on.
    pub limits: BTreeMap<Limit, LimitValue>,
    /// What the drop-in holds now; none: it is not there.
    pub from: Option<Digest>,
    /// Start the unit, which failed for want of it.
    pub start: Option<UnitName>,
}

/// Directives a drop-in may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// `LimitNOFILE`
    Nofile,
    /// `LimitMEMLOCK`
    Memlock,
    /// `LimitNPROC`
    Nproc,
    /// `LimitAS`
    As,
    /// `LimitFSIZE`
    Fsize,
}

impl Limit {
    /// The directive of systemd.exec(5).
    pub fn directive(self) -> &'static str {
        match self {
            Limit::Nofile => "LimitNOFILE",
            Limit::Memlock => "LimitMEMLOCK",
            Limit::Nproc => "LimitNPROC",
            Limit::As => "LimitAS",
            Limit::Fsize => "LimitFSIZE",
        }
    }
}

/// A number, or `infinity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitValue {
    /// This many.
    At(u64),
    /// No limit.
    Infinity,
}

impl fmt::Display for LimitValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitValue::At(number) => number.fmt(f),
            LimitValue::Infinity => f.write_str("infinity"),
        }
    }
}

impl UnitLimit {
    /// The drop-in's path.
    pub fn path(&self) -> String {
        format!("/etc/systemd/system/{}.d/60-dialtone.conf", self.unit)
    }

    /// The drop-in's content; none: there is to be none.
    pub fn content(&self) -> Option<String> {
        let lines = self.limits.iter().map(|(limit, value)| format!("{}={value}\n", limit.directive()));
        let content = std::iter::once("# Written by Dialtone.\n[Service]\n".to_owned()).chain(lines).collect();
        (!self.limits.is_empty()).then_some(content)
    }
}

/// [`Step::Service`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Which.
    pub unit: UnitName,
    /// What.
    pub verb: Verb,
    /// The `ActiveState` it must have, else nothing is done: `inactive`, `failed` or `active`.
    pub from: Label,
    /// Once it is started and confirmed, have it start at boot, too; its `UnitFileState` must be `disabled`, else nothing is done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub enable: bool,
}

/// What can be done to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// `systemctl start`
    Start,
    /// `systemctl restart`
    Restart,
}

/// [`Step::ConfigEdit`]. It is made from the file in the repository, not from the one on the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigEdit {
    /// The repository, by its name in the controller's configuration.
    pub repository: Label,
    /// The branch the edit is to be merged into.
    pub branch: Branch,
    /// The file.
    pub path: RepoPath,
    /// What the file holds there now, else nothing is done.
    pub from: Digest,
    /// What is changed.
    pub edits: Vec<Edit>,
    /// What the file then holds.
    pub to: Digest,
}
