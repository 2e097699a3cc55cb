//! Against moto, a real server of the EC2 API, which `tests/prepare` installs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::io::Write;
use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{OnceLock, mpsc};

use common_evidence::Evidence;
use common_evidence::cloud::{AwsNetwork, Block, Fate, Flow};
use controller_cloud::{Aws, AwsConfig, CloudError, Opening};
use tests_remote::{Instance, Moto, value};

const ADDRESS: &str = "10.0.0.5";

/// One emulator for all tests; each has a VPC of its own.
fn emulator() -> &'static Moto {
    static EMULATOR: OnceLock<Moto> = OnceLock::new();
    EMULATOR.get_or_init(|| {
        // It dies with the thread that started it: one that lasts as long as the tests.
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            tell.send(Moto::start()).unwrap();
            loop {
                std::thread::park();
            }
        });
        told.recv().unwrap()
    })
}

fn call(action: &str, parameters: &[(&str, &str)]) -> String {
    emulator().call(action, parameters)
}

struct Account {
    aws: Aws,
    config: AwsConfig,
    vpc: String,
    group: String,
    subnet: String,
    directory: tempfile::TempDir,
}

impl Account {
    /// An instance at [`ADDRESS`] in a group that lets nothing in.
    fn new() -> Self {
        let Instance { vpc, subnet, group, .. } = emulator().instance(ADDRESS);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials");
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        file.write_all(b"[default]\naws_access_key_id = AKIATEST\naws_secret_access_key = secret\n").unwrap();
        let config = AwsConfig {
            region: "eu-central-1".parse().unwrap(),
            endpoint: Some(emulator().endpoint()),
            credentials_file: Some(path),
            profile: None,
            vpc: Some(vpc.clone()),
        };
        Self { aws: Aws::new(config.clone()).unwrap(), config, vpc, group, subnet, directory }
    }

    async fn network(&self) -> AwsNetwork {
        let answers = self.aws.network_of(&[address()]).await.unwrap();
        let parsed = AwsNetwork::parse(&serde_json::to_vec(&answers).unwrap(), "es-1", 1);
        assert_eq!(parsed.problems, Vec::<String>::new());
        parsed.value
    }

    async fn fate(&self, source: &str) -> Fate {
        let network = self.network().await;
        let flow = Flow { source: source.parse().unwrap(), destination: address(), port: 9200, within_subnet: false };
        network.fate(network.interface(address()).unwrap(), &flow)
    }

    fn opening(&self, note: &str) -> Opening {
        let group = self.group.parse().unwrap();
        Opening { group, source: "10.9.0.0/24".parse().unwrap(), port: 9200, note: note.to_owned() }
    }

    fn allow(&self, parameters: &[(&str, &str)]) {
        let fixed = [("GroupId", self.group.as_str()), ("IpPermissions.1.IpProtocol", "tcp")];
        let ports = [("IpPermissions.1.FromPort", "9200"), ("IpPermissions.1.ToPort", "9200")];
        call("AuthorizeSecurityGroupIngress", &[&fixed, &ports, parameters].concat());
    }
}

fn address() -> IpAddr {
    ADDRESS.parse().unwrap()
}

#[tokio::test]
async fn a_group_without_rules_keeps_everybody_out_until_a_rule_lets_one_in() {
    let account = Account::new();
    let group: common_plan::GroupId = account.group.parse().unwrap();
    let network = account.network().await;
    let interface = network.interface(address()).unwrap().clone();
    assert_eq!((&interface.groups, interface.subnet.as_str()), (&vec![group.clone()], account.subnet.as_str()));
    assert!(interface.instance.is_some_and(|id| id.starts_with("i-")));
    assert_eq!(account.fate("10.9.0.7").await, Fate::Blocked(Block::Groups(vec![group.clone()])));

    assert!(account.aws.is_attached(&group, &interface.id).await.unwrap());
    assert!(!account.aws.is_attached(&"sg-00000000".parse().unwrap(), &interface.id).await.unwrap());
    let opening = account.opening("dialtone plan 1");
    account.aws.allow(&opening).await.unwrap();
    assert_eq!(account.fate("10.9.0.7").await, Fate::Passes);
    assert_ne!(account.fate("10.8.0.7").await, Fate::Passes);

    // AWS itself refuses the same twice, whatever its description.
    let twice = account.aws.allow(&account.opening("dialtone plan 2")).await.unwrap_err();
    assert_eq!(twice.code(), Some("InvalidPermission.Duplicate"), "{twice}");
    assert!(!twice.is_undecided());

    account.allow(&[("IpPermissions.1.IpRanges.1.CidrIp", "192.0.2.0/24")]);
    let rules = account.aws.rules(&group).await.unwrap();
    let own = rules.iter().find(|rule| rule.description == "dialtone plan 1").unwrap();
    assert!(own.is(opening.source, 9200) && rules.len() == 2, "{rules:?}");
    account.aws.revoke(&group, &own.id).await.unwrap();
    account.aws.revoke(&group, &own.id).await.unwrap();
    let left = account.aws.rules(&group).await.unwrap();
    assert_eq!((left.len(), left[0].source.to_string()), (1, "192.0.2.0/24".to_owned()));
}

#[tokio::test]
async fn members_of_a_group_that_is_let_in_are_known_by_their_addresses() {
    let account = Account::new();
    let clients = [("VpcId", account.vpc.as_str()), ("GroupName", "clients"), ("GroupDescription", "clients")];
    let clients = value(&call("CreateSecurityGroup", &clients), "groupId");
    let member =
        [("SubnetId", account.subnet.as_str()), ("SecurityGroupId.1", &clients), ("PrivateIpAddress", "10.0.0.9")];
    call("CreateNetworkInterface", &member);
    account.allow(&[("IpPermissions.1.Groups.1.GroupId", &clients)]);
    assert_eq!(account.fate("10.0.0.9").await, Fate::Passes);
    assert!(matches!(account.fate("10.0.0.10").await, Fate::Blocked(Block::Groups(_))));
}

#[tokio::test]
async fn an_acl_that_denies_comes_before_the_groups() {
    let account = Account::new();
    account.allow(&[("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0")]);
    assert_eq!(account.fate("10.9.0.7").await, Fate::Passes);
    let of_subnet = [("Filter.1.Name", "association.subnet-id"), ("Filter.1.Value.1", account.subnet.as_str())];
    let acl = value(&call("DescribeNetworkAcls", &of_subnet), "networkAclId");
    let deny = [
        ("NetworkAclId", acl.as_str()),
        ("RuleNumber", "90"),
        ("Protocol", "6"),
        ("RuleAction", "deny"),
        ("Egress", "false"),
        ("CidrBlock", "10.9.0.0/16"),
        ("PortRange.From", "9200"),
        ("PortRange.To", "9200"),
    ];
    call("CreateNetworkAclEntry", &deny);
    assert_eq!(account.fate("10.9.0.7").await, Fate::Blocked(Block::Acl { id: acl, entry: Some(90), answers: false }));
    assert_eq!(account.fate("10.8.0.7").await, Fate::Passes);
}

#[tokio::test]
async fn an_address_that_two_vpcs_have_is_nobodys_until_one_is_named() {
    let (one, _other) = (Account::new(), Account::new());
    let anywhere = Aws::new(AwsConfig { vpc: None, ..one.config.clone() }).unwrap();
    let error = anywhere.network_of(&[address()]).await.unwrap_err();
    assert!(matches!(error, CloudError::Ambiguous(_)) && error.to_string().contains("cloud.aws.vpc"), "{error}");
    assert!(one.aws.network_of(&[address()]).await.is_ok());
}

#[tokio::test]
async fn what_is_not_there_is_told_from_what_could_not_be_asked() {
    let account = Account::new();
    let unknown = account.aws.network_of(&["10.0.0.77".parse().unwrap()]).await.unwrap();
    assert!(AwsNetwork::parse(&serde_json::to_vec(&unknown).unwrap(), "", 1).value.interfaces.is_empty());
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = Aws::new(AwsConfig { endpoint: Some(format!("http://{dead}")), ..account.config.clone() }).unwrap();
    let error = nobody.network_of(&[address()]).await.unwrap_err();
    assert!(error.is_undecided() && error.to_string().contains("refused"), "{error}");
    let missing = account.directory.path().join("none");
    let nothing = Aws::new(AwsConfig { credentials_file: Some(missing), ..account.config.clone() }).unwrap();
    assert!(matches!(nothing.network_of(&[address()]).await, Err(CloudError::CredentialsFile { .. })));
}
