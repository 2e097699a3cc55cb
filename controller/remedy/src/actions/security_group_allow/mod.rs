//! Letting the client, and nobody else, through a security group of the node.

use std::net::IpAddr;

use common_model::Network;
use common_model::diagnosis::{Remedy, RemedyKind};
use common_plan::{GroupId, InterfaceId, Region};

use super::Action;
use crate::ask::Ask;

/// The entry.
pub(super) static ACTION: Action = Action { id: "security-group-allow", causes: &["cloud-firewall"], propose };

fn propose(ask: &Ask<'_>) -> Vec<Remedy> {
    opened(ask).map(|opened| opened.remedy(ask)).into_iter().collect()
}

/// How the client can be let in.
pub(crate) struct Opened {
    /// Where the group is.
    pub(crate) region: Region,
    /// The group that gets the rule.
    pub(crate) group: GroupId,
    /// The node's interface.
    pub(crate) interface: InterfaceId,
    /// Who is let in.
    pub(crate) client: Network,
    /// To this port.
    pub(crate) port: u16,
}

/// None where it is not a group that keeps the client out, or one that no plan may widen.
pub(crate) fn opened(ask: &Ask<'_>) -> Option<Opened> {
    let detail = &ask.verdict.detail;
    let groups: Vec<GroupId> =
        detail.get("groups")?.as_array()?.iter().filter_map(|group| group.get("id")?.as_str()?.parse().ok()).collect();
    let (source, destination): (IpAddr, IpAddr) = (ask.parsed("source")?, ask.parsed("destination")?);
    let port = ask.number("port")?;
    Some(Opened {
        region: ask.parsed("region")?,
        group: best(ask, groups, port)?,
        interface: ask.parsed("interface")?,
        client: ask.client_network(source, destination),
        port,
    })
}

/// The group that is about this port already; else the first: AWS lists them in the order in which they were given.
fn best(ask: &Ask<'_>, groups: Vec<GroupId>, port: u16) -> Option<GroupId> {
    let aws = ask.node?.aws();
    let names_port = |id: &&GroupId| {
        let group = aws.known().and_then(|aws| aws.value.group(id));
        group.is_some_and(|group| {
            group
                .permissions
                .iter()
                .any(|permission| permission.ports.is_some_and(|(first, last)| (first..=last).contains(&port)))
        })
    };
    groups.iter().find(names_port).or(groups.first()).cloned()
}

impl Opened {
    /// What people read.
    pub(crate) fn title(&self, ask: &Ask<'_>) -> String {
        format!("Let {} reach port {}{} through security group {}", self.client, self.port, ask.on_node(), self.group)
    }

    fn remedy(&self, ask: &Ask<'_>) -> Remedy {
        let Opened { region, group, client, port, .. } = self;
        let cidr = format!("{}/{}", client.address(), client.prefix());
        let permission = if client.address().is_ipv4() {
            format!("--protocol tcp --port {port} --cidr {cidr}")
        } else {
            format!("--ip-permissions 'IpProtocol=tcp,FromPort={port},ToPort={port},Ipv6Ranges=[{{CidrIpv6={cidr}}}]'")
        };
        let call = |verb: &str| {
            format!("aws ec2 {verb}-security-group-ingress --region {region} --group-id {group} {permission}")
        };
        Remedy {
            commands: vec![call("authorize")],
            risk: format!(
                "{client} then reaches port {port} of everything else that is in {group}, too; whoever reaches an engine that asks for \
                 no password can read and delete all data."
            ),
            undo: call("revoke"),
            ..ACTION.remedy(RemedyKind::Approve, self.title(ask))
        }
    }
}

#[cfg(test)]
mod tests {
    use common_model::{Symptom, Timestamp};
    use common_plan::Step;
    use controller_correlate::Picture;
    use controller_correlate::testing::{AT, ip, probe};
    use controller_diagnose::causes::FIRES;

    use crate::plan::{Means, proposals};
    use crate::tests::{mended, told};

    fn fires() -> Picture {
        FIRES.iter().find(|(cause, _)| cause.id == "cloud-firewall").unwrap().1()
    }

    fn from(source: &str) -> Picture {
        let mut picture = fires();
        picture.probes = vec![common_model::Probe { source: Some(ip(source)), ..probe(Symptom::Timeout) }];
        picture
    }

    #[test]
    fn the_client_is_let_in_and_nobody_else() {
        let expected = |cidr: &str| {
            format!(
                "aws ec2 authorize-security-group-ingress --region eu-central-1 --group-id sg-0a0a0a0a --protocol tcp --port 9200 --cidr {cidr}"
            )
        };
        for (source, network, cidr) in
            [("10.0.0.1", "10.0.0.0/24", "10.0.0.0/24"), ("10.9.0.7", "10.9.0.7", "10.9.0.7/32")]
        {
            let remedies = mended(&from(source));
            let title = format!("Let {network} reach port 9200 on es-1 through security group sg-0a0a0a0a");
            assert_eq!(told(&remedies), [(title.as_str(), vec![expected(cidr).as_str()])]);
            assert_eq!(remedies[0].undo, expected(cidr).replace("authorize", "revoke"));
        }
    }

    #[test]
    fn the_plan_is_the_controllers_and_does_what_the_remedy_says() {
        let picture = from("10.9.0.7");
        let diagnosis = crate::with_remedies(controller_diagnose::diagnose(&picture), &picture);
        let now = Timestamp(AT.0 + 1000);
        let plans = proposals(&diagnosis, &picture, &Means::default(), now);
        let (plan, needed) = plans[0].plan.clone().unwrap();
        let Step::SecurityGroupAllow(step) = &plan.step else { panic!("{plan:?}") };
        assert_eq!(
            (step.group.as_str(), step.source.to_string(), step.port),
            ("sg-0a0a0a0a", "10.9.0.7".to_owned(), 9200)
        );
        assert_eq!((needed, plan.on_node(), plan.goal.cause.as_str()), (1, None, "cloud-firewall"));
        assert!(plan.encode().is_ok());
    }

    #[test]
    fn an_acl_is_for_a_person() {
        let mut picture = from("10.9.0.7");
        for node in picture.nodes.values_mut() {
            let mut cloud = node.cloud.take().unwrap();
            let common_model::Body::Raw(raw) = &mut cloud.body else { panic!("{cloud:?}") };
            let text = String::from_utf8(raw.clone()).unwrap();
            let denies = text.replacen("<ruleAction>allow", "<ruleAction>deny", 1);
            *raw = denies.into_bytes();
            node.cloud = Some(cloud);
        }
        let remedies = mended(&picture);
        assert_eq!(remedies[0].action, "by-hand", "{remedies:#?}");
        assert_eq!(
            remedies[0].commands,
            [
                "aws ec2 create-network-acl-entry --region eu-central-1 --network-acl-id acl-0e0e0e0e --ingress --rule-number 99 \
              --protocol tcp --port-range From=9200,To=9200 --cidr-block 10.9.0.7/32 --rule-action allow"
            ]
        );
    }
}
