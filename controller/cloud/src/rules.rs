//! Rules of a security group: looked at, added and taken away one at a time.

use common_evidence::cloud::AwsAnswers;
use common_model::Network;
use common_plan::{GroupId, InterfaceId};
use roxmltree::{Document, Node};

use crate::answer::find;
use crate::aws::{Aws, Parameters, filtered};
use crate::error::CloudError;

/// An ingress rule to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The group.
    pub group: GroupId,
    /// Who is let in.
    pub source: Network,
    /// The TCP port.
    pub port: u16,
    /// Its description, by which it is found again.
    pub note: String,
}

/// Names a rule for good, `sgr-` and hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleId(String);

impl RuleId {
    /// As AWS writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An ingress rule for TCP from a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which.
    pub id: RuleId,
    /// Who is let in.
    pub source: Network,
    /// First and last port.
    pub ports: (u16, u16),
    /// What people wrote about it; foreign text.
    pub description: String,
}

impl Rule {
    /// Whether it lets in exactly this.
    pub fn is(&self, source: Network, port: u16) -> bool {
        self.source == source && self.ports == (port, port)
    }
}

impl Aws {
    /// The group's ingress rules for TCP from networks.
    pub async fn rules(&self, group: &GroupId) -> Result<Vec<Rule>, CloudError> {
        let filters = filtered(&[("group-id", vec![group.to_string()])]);
        let text = self.call("DescribeSecurityGroupRules", filters).await?;
        // That it is XML was seen when it came.
        let document = Document::parse(&text);
        let nodes = document.iter().flat_map(|document| document.descendants());
        Ok(nodes.filter(|node| node.tag_name().name() == "item").filter_map(|item| rule(item, group)).collect())
    }

    /// Whether the group is in force at this interface now.
    pub async fn is_attached(&self, group: &GroupId, interface: &InterfaceId) -> Result<bool, CloudError> {
        let filters = filtered(&[("network-interface-id", vec![interface.to_string()])]);
        let text = self.call("DescribeNetworkInterfaces", filters).await?;
        let found = AwsAnswers::interfaces(&text).value;
        Ok(found.iter().any(|held| held.id == *interface && held.groups.contains(group)))
    }

    /// Adds a rule. Sent once, whatever becomes of it: an error that [`CloudError::is_undecided`] leaves open whether it is there.
    pub async fn allow(&self, opening: &Opening) -> Result<(), CloudError> {
        let (ranges, cidr) = match opening.source.address().is_ipv4() {
            true => ("IpRanges", "CidrIp"),
            false => ("Ipv6Ranges", "CidrIpv6"),
        };
        let permission = |name: &str| format!("IpPermissions.1.{name}");
        let source = format!("{}/{}", opening.source.address(), opening.source.prefix());
        let parameters: Parameters = vec![
            ("GroupId".to_owned(), opening.group.to_string()),
            (permission("IpProtocol"), "tcp".to_owned()),
            (permission("FromPort"), opening.port.to_string()),
            (permission("ToPort"), opening.port.to_string()),
            (permission(&format!("{ranges}.1.{cidr}")), source),
            (permission(&format!("{ranges}.1.Description")), opening.note.clone()),
        ];
        self.call("AuthorizeSecurityGroupIngress", parameters).await.map(drop)
    }

    /// Takes a rule away. One that is gone already is no error.
    pub async fn revoke(&self, group: &GroupId, rule: &RuleId) -> Result<(), CloudError> {
        let parameters =
            vec![("GroupId".to_owned(), group.to_string()), ("SecurityGroupRuleId.1".to_owned(), rule.0.clone())];
        match self.call("RevokeSecurityGroupIngress", parameters).await {
            Err(error)
                if matches!(
                    error.code(),
                    Some("InvalidPermission.NotFound" | "InvalidSecurityGroupRuleId.NotFound")
                ) =>
            {
                Ok(())
            }
            other => other.map(drop),
        }
    }
}

fn rule(item: Node<'_, '_>, group: &GroupId) -> Option<Rule> {
    let own = find(item, "groupId") == Some(group.as_str()) && find(item, "isEgress") == Some("false");
    let id = find(item, "securityGroupRuleId").filter(|id| is_rule_id(id))?;
    let port = |name| find(item, name)?.parse().ok();
    (own && find(item, "ipProtocol") == Some("tcp")).then_some(())?;
    Some(Rule {
        id: RuleId(id.to_owned()),
        source: find(item, "cidrIpv4").or_else(|| find(item, "cidrIpv6"))?.parse().ok()?,
        ports: (port("fromPort")?, port("toPort")?),
        description: find(item, "description").unwrap_or_default().to_owned(),
    })
}

fn is_rule_id(text: &str) -> bool {
    text.strip_prefix("sgr-").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|c| c.is_ascii_hexdigit()))
}
