//! What a step does, as the commands an administrator would give and the files they would edit. Made from the step alone:
//! whoever signs sees what was decoded, not what somebody wrote about it.

use common_model::Network;
use common_plan::{
    ConfigEdit, ConfigInstall, FirewallAllow, FirewallRevoke, Opening, Place, Plan, SecurityGroupAllow, Service, Step,
    SysctlSet, UnitLimit, Verb,
};
use common_yml::Edit;

use crate::render::time::span;

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// A command that has the same effect.
    Command(String),
    /// A condition or a remark.
    Remark(String),
    /// A line that a file gets.
    Added(String),
    /// A line that a file loses.
    Removed(String),
}

/// The plan in one sentence.
pub(crate) fn headline(plan: &Plan) -> String {
    let node = &plan.node;
    match &plan.step {
        Step::SysctlSet(step) if step.from == step.to => {
            format!("Keep {} at {} on {node} for the next boot{}", step.key, step.to, starting(&plan.step))
        }
        Step::SysctlSet(step) => {
            format!("Set {} from {} to {} on {node}{}", step.key, step.from, step.to, starting(&plan.step))
        }
        Step::FirewallAllow(step) => {
            let limit = step.for_s.map(|seconds| format!(" for {}", span(i64::from(seconds)))).unwrap_or_default();
            format!("Let {} reach port {}/tcp on {node}{limit}", step.source, step.port)
        }
        Step::FirewallRevoke(step) => {
            let FirewallAllow { source, port, .. } = &step.made;
            format!("Do not let {source} reach port {port}/tcp on {node} any more, as plan {} did", step.plan)
        }
        Step::UnitLimit(step) if step.limits.is_empty() => {
            format!("Take away the limits of {} on {node} that an earlier plan gave it", step.unit)
        }
        Step::UnitLimit(step) => {
            let limits: Vec<String> =
                step.limits.iter().map(|(limit, value)| format!("{}={value}", limit.directive())).collect();
            format!("Set {} for {} on {node}{}", limits.join(", "), step.unit, starting(&plan.step))
        }
        Step::SecurityGroupAllow(SecurityGroupAllow { source, port, group, takes_back: None, .. }) => {
            format!("Let {source} reach port {port}/tcp on {node} through security group {group}")
        }
        Step::SecurityGroupAllow(SecurityGroupAllow { source, port, group, takes_back: Some(plan), .. }) => {
            format!(
                "Take back what plan {plan} did: security group {group} no longer lets {source} reach port {port}/tcp"
            )
        }
        Step::Service(step) => match step.verb {
            Verb::Start if step.enable => format!("Start {} on {node}, and have it start at boot", step.unit),
            Verb::Start => format!("Start {} on {node}", step.unit),
            Verb::Restart => format!("Restart {} on {node}", step.unit),
        },
        Step::ConfigEdit(step) => {
            let keys: Vec<&str> = step.edits.iter().map(|edit| edit.key().as_str()).collect();
            format!("Propose to change {} for {node} in repository {}", keys.join(", "), step.repository)
        }
        Step::ConfigInstall(step) => {
            let keys: Vec<&str> = step.edits.iter().map(|edit| edit.key().as_str()).collect();
            format!("Edit {} in {} on {node} and restart {}", keys.join(", "), step.file, step.unit)
        }
    }
}

fn starting(step: &Step) -> String {
    step.starts().map(|unit| format!(" and start {unit}")).unwrap_or_default()
}

/// All that a step does, in order.
pub(crate) fn effect(step: &Step) -> Vec<Line> {
    match step {
        Step::SysctlSet(step) => sysctl_set(step),
        Step::FirewallAllow(step) => firewall_allow(step),
        Step::FirewallRevoke(step) => firewall_revoke(step),
        Step::UnitLimit(step) => unit_limit(step),
        Step::Service(step) => service(step),
        Step::ConfigEdit(step) => config_edit(step),
        Step::ConfigInstall(step) => config_install(step),
        Step::SecurityGroupAllow(step) => security_group_allow(step),
    }
}

fn sysctl_set(step: &SysctlSet) -> Vec<Line> {
    let mut lines = Vec::new();
    if step.from != step.to {
        lines.push(Line::Command(format!("sysctl -w {}={}", step.key, step.to)));
    }
    lines.push(Line::Remark(format!("only if it is {} at that moment", step.from)));
    lines.extend(step.start.iter().map(|unit| Line::Command(format!("systemctl start {unit}"))));
    if let Some(file) = &step.persist {
        lines.push(Line::Command(file.path()));
        lines.push(Line::Remark("for the next boot, once it has proven itself".to_owned()));
        lines.extend(file.from.iter().map(|value| Line::Removed(format!("{} = {value}", step.key))));
        lines.push(Line::Added(format!("{} = {}", step.key, step.to)));
    }
    lines
}

fn firewall_allow(step: &FirewallAllow) -> Vec<Line> {
    let mut lines = Vec::new();
    for opening in &step.openings {
        lines.push(Line::Command(opening_command(step, opening)));
        match opening {
            Opening::Nftables { before: Some(Place { number, rule }), .. } => {
                lines.push(Line::Remark(format!("before rule {number}, only if that is: {rule}")));
            }
            Opening::Iptables { before: Some(Place { number, rule }), .. } => {
                lines.push(Line::Remark(format!("before rule {number}, only if that is: {rule}")));
            }
            Opening::Firewalld { .. } => {
                let permanent = "with --permanent, too, once it has proven itself".to_owned();
                lines.extend(step.for_s.is_none().then_some(Line::Remark(permanent)));
            }
            Opening::Ufw { before: Some(Place { number, rule }) } => {
                lines.push(Line::Remark(format!("before rule {number}, only if ufw has it as: {rule}")));
            }
            Opening::Ufw { .. } | Opening::Nftables { .. } | Opening::Iptables { .. } => {}
        }
        let file = opening.file(step.source).filter(|_| step.for_s.is_none());
        lines.extend(file.map(|file| Line::Remark(format!("in {}, too, once it has proven itself", file.path()))));
        if opening.is_lost_at_boot() && step.for_s.is_none() {
            lines.push(Line::Remark("lost at the next boot or reload: no file keeps it".to_owned()));
        }
    }
    if let Some(seconds) = step.for_s {
        lines.push(Line::Remark(format!("closed again after {}", span(i64::from(seconds)))));
    }
    lines
}

fn firewall_revoke(step: &FirewallRevoke) -> Vec<Line> {
    let made = &step.made;
    let mut lines = Vec::new();
    for opening in &made.openings {
        lines.push(Line::Remark("takes away, wherever it is by now:".to_owned()));
        lines.push(Line::Removed(opening_command(made, opening)));
        let kept = opening.file(made.source).map(|file| format!("and out of {}", file.path()));
        lines.extend(kept.map(|text| Line::Remark(format!("{text}, once it has proven itself"))));
    }
    lines
}

fn config_install(step: &ConfigInstall) -> Vec<Line> {
    let mut lines = vec![
        Line::Command(step.file.to_string()),
        Line::Remark(
            "only if it is, byte for byte, the file the edits were made for; nothing else in it changes".to_owned(),
        ),
    ];
    for edit in &step.edits {
        match edit {
            Edit::Set { key, from, to } => {
                lines.extend(from.iter().map(|from| Line::Removed(format!("{key}: {from}"))));
                lines.push(Line::Added(format!("{key}: {to}")));
            }
            Edit::Unset { key, from } => lines.push(Line::Removed(format!("{key}: {from}"))),
            Edit::Rename { key, to } => {
                lines.extend([Line::Removed(format!("{key}: …")), Line::Added(format!("{to}: …"))]);
            }
        }
    }
    lines.push(Line::Command(format!("systemctl restart {}", step.unit)));
    lines.push(Line::Remark(format!("only if it is {} at that moment", step.state)));
    lines
}

fn opening_command(step: &FirewallAllow, opening: &Opening) -> String {
    let FirewallAllow { source, port, .. } = step;
    match opening {
        Opening::Ufw { before } => {
            let place = before.as_ref().map(|place| format!("insert {} ", place.number)).unwrap_or_default();
            format!("ufw {place}allow from {source} to any port {port} proto tcp")
        }
        Opening::Firewalld { zone, policy, priority } => {
            let scope = match (zone, policy) {
                (Some(zone), _) => format!("--zone={zone}"),
                (None, Some(policy)) => format!("--policy={policy}"),
                (None, None) => String::new(),
            };
            let priority = priority.map(|priority| format!("priority=\"{priority}\" ")).unwrap_or_default();
            let family = if is_v4(source) { "ipv4" } else { "ipv6" };
            format!(
                "firewall-cmd {scope} --add-rich-rule='rule {priority}family=\"{family}\" source address=\"{source}\" \
                 port port=\"{port}\" protocol=\"tcp\" accept'"
            )
        }
        Opening::Nftables { family, table, chain, before, reply, .. } => {
            let place = match before {
                Some(place) => format!("insert rule {family} {table} {chain} handle {}", place.number),
                None => format!("add rule {family} {table} {chain}"),
            };
            let ip = if is_v4(source) { "ip" } else { "ip6" };
            let rule = match reply {
                false => format!("{ip} saddr {source} tcp dport {port} accept"),
                true => format!("{ip} daddr {source} tcp sport {port} accept"),
            };
            format!("nft {place} {rule}")
        }
        Opening::Iptables { legacy, table, chain, before, reply, .. } => {
            let program = if is_v4(source) { "iptables" } else { "ip6tables" };
            let legacy = if *legacy { "-legacy" } else { "" };
            let place = match before {
                Some(place) => format!("-I {chain} {}", place.number),
                None => format!("-A {chain}"),
            };
            let rule = match reply {
                false => format!("-s {source} -p tcp --dport {port} -j ACCEPT"),
                true => format!("-d {source} -p tcp --sport {port} -j ACCEPT"),
            };
            format!("{program}{legacy} -t {table} {place} {rule}")
        }
    }
}

fn is_v4(source: &Network) -> bool {
    source.address().is_ipv4()
}

fn unit_limit(step: &UnitLimit) -> Vec<Line> {
    let Some(content) = step.content() else {
        let digest = step.from.as_ref().map(ToString::to_string).unwrap_or_default();
        return vec![
            Line::Command(format!("rm {}", step.path())),
            Line::Remark(format!("only if its SHA-256 is {digest}")),
            Line::Command("systemctl daemon-reload".to_owned()),
            Line::Remark(format!("{} keeps the limits it runs with until its next start", step.unit)),
        ];
    };
    let mut lines = vec![Line::Command(step.path())];
    lines.push(Line::Remark(match &step.from {
        None => "a new file; nothing is done if there is one".to_owned(),
        Some(digest) => format!("replaces the file whose SHA-256 is {digest}; nothing is done if it is another"),
    }));
    lines.extend(content.lines().map(|line| Line::Added(line.to_owned())));
    lines.push(Line::Command("systemctl daemon-reload".to_owned()));
    lines.extend(step.start.iter().map(|unit| Line::Command(format!("systemctl start {unit}"))));
    lines
}

/// The controller calls the API itself; these are the same calls.
fn security_group_allow(step: &SecurityGroupAllow) -> Vec<Line> {
    let SecurityGroupAllow { region, group, interface, source, port, takes_back, .. } = step;
    let cidr = format!("{}/{}", source.address(), source.prefix());
    let verb = if takes_back.is_some() { "revoke" } else { "authorize" };
    let mut lines = vec![Line::Command(if is_v4(source) {
        format!(
            "aws ec2 {verb}-security-group-ingress --region {region} --group-id {group} --protocol tcp --port {port} --cidr {cidr}"
        )
    } else {
        format!(
            "aws ec2 {verb}-security-group-ingress --region {region} --group-id {group} --ip-permissions \
             IpProtocol=tcp,FromPort={port},ToPort={port},Ipv6Ranges=[{{CidrIpv6={cidr}}}]"
        )
    })];
    lines.push(Line::Remark(match takes_back {
        None => format!("only if {group} is in force at {interface} at that moment and has no such rule"),
        Some(plan) => format!("only the rule whose description is \"{}\"", SecurityGroupAllow::note(plan)),
    }));
    lines
}

fn service(step: &Service) -> Vec<Line> {
    let verb = match step.verb {
        Verb::Start => "start",
        Verb::Restart => "restart",
    };
    let mut lines = vec![Line::Command(format!("systemctl {verb} {}", step.unit))];
    if step.enable {
        lines.push(Line::Remark(format!("only if it is {} and disabled at that moment", step.from)));
        lines.push(Line::Command(format!("systemctl enable {}", step.unit)));
        lines.push(Line::Remark("once it was seen to run".to_owned()));
    } else {
        lines.push(Line::Remark(format!("only if it is {} at that moment", step.from)));
    }
    lines
}

/// What the file loses and gets, as the edits say it.
fn config_edit(step: &ConfigEdit) -> Vec<Line> {
    let mut lines = vec![Line::Command(format!("{}: {} on branch {}", step.repository, step.path, step.branch))];
    lines.push(Line::Remark("by a pull request; a plain git remote gets a branch to be merged".to_owned()));
    for edit in &step.edits {
        match edit {
            Edit::Set { key, from, to } => {
                lines.extend(from.iter().map(|from| Line::Removed(format!("{key}: {from}"))));
                lines.push(Line::Added(format!("{key}: {to}")));
            }
            Edit::Unset { key, from } => {
                lines.push(Line::Removed(format!("{key}: {from}")));
                lines.push(Line::Added(format!("#{key}: {from}")));
            }
            Edit::Rename { key, to } => {
                lines.push(Line::Removed(format!("{key}: …")));
                lines.push(Line::Added(format!("{to}: …")));
            }
        }
    }
    lines.push(Line::Remark("only if the file there is still the one this was made from".to_owned()));
    lines.push(Line::Remark("nothing changes on any node before it is merged and rolled out".to_owned()));
    lines
}
