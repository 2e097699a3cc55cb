//! Answers as the API gives them, and what they let through.

use std::net::IpAddr;

use serde_json::json;

use super::*;

const HEAD: &str = r#"<?xml version="1.0" encoding="utf-8"?>"#;
const NS: &str = r#"xmlns="http://ec2.amazonaws.com/doc/2016-11-15""#;

fn interface(id: &str, address: &str, groups: &[&str]) -> String {
    let groups: String = groups.iter().map(|group| format!("<item><groupId>{group}</groupId></item>")).collect();
    format!(
        "<item><networkInterfaceId>{id}</networkInterfaceId><attachment><instanceId>i-0123456789abcdef0</instanceId></attachment>\
         <subnetId>subnet-1</subnetId><groupSet>{groups}</groupSet><ipv6AddressesSet/><privateIpAddressesSet><item>\
         <privateIpAddress>{address}</privateIpAddress></item></privateIpAddressesSet></item>"
    )
}

fn interfaces(items: &[String]) -> String {
    format!(
        "{HEAD}<DescribeNetworkInterfacesResponse {NS}><networkInterfaceSet>{}</networkInterfaceSet></DescribeNetworkInterfacesResponse>",
        items.concat()
    )
}

fn groups(permissions: &str) -> String {
    format!(
        "{HEAD}<DescribeSecurityGroupsResponse {NS}><securityGroupInfo><item><groupId>sg-0a0a0a0a</groupId><groupName>es</groupName>\
         <ipPermissions>{permissions}</ipPermissions></item></securityGroupInfo></DescribeSecurityGroupsResponse>"
    )
}

fn permission(protocol: &str, ports: &str, source: &str) -> String {
    format!("<item><ipProtocol>{protocol}</ipProtocol>{ports}{source}</item>")
}

fn cidr(network: &str) -> String {
    format!("<ipRanges><item><cidrIp>{network}</cidrIp></item></ipRanges>")
}

fn acls(entries: &[(u32, bool, &str, &str, &str)]) -> String {
    let entries: String = entries
        .iter()
        .map(|(number, egress, action, network, ports)| {
            format!(
                "<item><ruleNumber>{number}</ruleNumber><egress>{egress}</egress><ruleAction>{action}</ruleAction>\
                 <protocol>6</protocol><cidrBlock>{network}</cidrBlock>{ports}</item>"
            )
        })
        .collect();
    format!(
        "{HEAD}<DescribeNetworkAclsResponse {NS}><networkAclSet><item><networkAclId>acl-1</networkAclId><associationSet><item>\
         <subnetId>subnet-1</subnetId></item></associationSet><entrySet>{entries}</entrySet></item></networkAclSet></DescribeNetworkAclsResponse>"
    )
}

fn open_acl() -> String {
    acls(&[(100, false, "allow", "0.0.0.0/0", ""), (100, true, "allow", "0.0.0.0/0", "")])
}

fn read(groups: &str, acls: &str, members: Option<&str>) -> Parsed<AwsNetwork> {
    let own = interfaces(&[interface("eni-0b0b0b0b", "10.0.0.5", &["sg-0a0a0a0a"])]);
    let raw = json!({"region": "eu-central-1", "interfaces": own, "groups": groups, "acls": acls, "members": members});
    AwsNetwork::parse(raw.to_string().as_bytes(), "es-1", 1)
}

fn fate_from(source: &str, parsed: &Parsed<AwsNetwork>) -> Fate {
    assert_eq!(parsed.problems, Vec::<String>::new());
    let destination: IpAddr = "10.0.0.5".parse().unwrap();
    let flow = Flow { source: source.parse().unwrap(), destination, port: 9200, within_subnet: false };
    parsed.value.fate(parsed.value.interface(destination).unwrap(), &flow)
}

fn fate(groups: &str, acls: &str) -> Fate {
    fate_from("10.9.0.7", &read(groups, acls, None))
}

fn blocked_by_group() -> Fate {
    Fate::Blocked(Block::Groups(vec!["sg-0a0a0a0a".parse().unwrap()]))
}

const PORT: &str = "<fromPort>9200</fromPort><toPort>9300</toPort>";

#[test]
fn a_group_lets_in_what_its_permissions_name_and_nothing_else() {
    let cases = [
        (permission("tcp", PORT, &cidr("10.9.0.0/24")), true),
        (permission("-1", "", &cidr("0.0.0.0/0")), true),
        (permission("tcp", PORT, &cidr("10.8.0.0/24")), false),
        (permission("udp", PORT, &cidr("0.0.0.0/0")), false),
        (permission("tcp", "<fromPort>22</fromPort><toPort>22</toPort>", &cidr("0.0.0.0/0")), false),
        (permission("icmp", "<fromPort>-1</fromPort><toPort>-1</toPort>", &cidr("0.0.0.0/0")), false),
        (String::new(), false),
    ];
    for (permissions, passes) in cases {
        let expected = if passes { Fate::Passes } else { blocked_by_group() };
        assert_eq!(fate(&groups(&permissions), &open_acl()), expected, "{permissions}");
    }
}

#[test]
fn a_group_as_a_source_means_its_members() {
    let by_group = groups(&permission("tcp", PORT, "<groups><item><groupId>sg-0c0c0c0c</groupId></item></groups>"));
    assert!(matches!(fate(&by_group, &open_acl()), Fate::Unclear(missing) if missing.contains("sg-0c0c0c0c")));
    let members = interfaces(&[interface("eni-0d0d0d0d", "10.9.0.7", &["sg-0c0c0c0c"])]);
    let known = read(&by_group, &open_acl(), Some(&members));
    assert_eq!(fate_from("10.9.0.7", &known), Fate::Passes);
    assert_eq!(fate_from("10.9.0.8", &known), blocked_by_group());
    assert_eq!(AwsAnswers::sources(&by_group), ["sg-0c0c0c0c"]);
}

#[test]
fn a_list_that_was_not_read_leaves_it_open() {
    let list = "<prefixListIds><item><prefixListId>pl-1</prefixListId></item></prefixListIds>";
    assert!(matches!(fate(&groups(&permission("tcp", PORT, list)), &open_acl()), Fate::Unclear(_)));
}

#[test]
fn the_acl_decides_by_its_lowest_number_and_both_ways() {
    let open = groups(&permission("-1", "", &cidr("0.0.0.0/0")));
    let port = "<portRange><from>9200</from><to>9200</to></portRange>";
    let high = "<portRange><from>1024</from><to>65535</to></portRange>";
    let some = "<portRange><from>40000</from><to>41000</to></portRange>";
    let acl = |entry, answers| Fate::Blocked(Block::Acl { id: "acl-1".to_owned(), entry, answers });
    let out = (100, true, "allow", "0.0.0.0/0", high);
    let last = (32_767, false, "deny", "0.0.0.0/0", "");
    let all = (100, false, "allow", "0.0.0.0/0", "");
    let deny = (90, false, "deny", "10.9.0.0/16", port);
    assert_eq!(fate(&open, &acls(&[all, deny, out])), acl(Some(90), false));
    assert_eq!(fate(&open, &acls(&[last, out])), acl(None, false));
    assert_eq!(fate(&open, &acls(&[all, last, out])), Fate::Passes);
    assert_eq!(fate(&open, &acls(&[all, last])), acl(None, true));
    assert!(matches!(fate(&open, &acls(&[all, (100, true, "allow", "0.0.0.0/0", some)])), Fate::Unclear(_)));
}

#[test]
fn an_acl_sees_nothing_of_its_own_subnet() {
    let parsed = read(&groups(&permission("-1", "", &cidr("0.0.0.0/0"))), &acls(&[]), None);
    let flow = |within_subnet| Flow {
        source: "10.0.0.9".parse().unwrap(),
        destination: "10.0.0.5".parse().unwrap(),
        port: 9200,
        within_subnet,
    };
    let fate = |within| parsed.value.fate(&parsed.value.interfaces[0], &flow(within));
    assert_eq!(fate(true), Fate::Passes);
    assert!(matches!(fate(false), Fate::Blocked(Block::Acl { .. })));
}

#[test]
fn what_cannot_be_understood_never_lets_in_nor_keeps_out() {
    let bad = [
        "<html>".to_owned(),
        "<Response><Errors/></Response>".to_owned(),
        groups(&permission("tcp", "<fromPort>x</fromPort>", "")),
        groups(&permission("tcp", PORT, &cidr("10.0.0.0/99"))),
        groups("").replace("</Desc", "<nextToken>more</nextToken></Desc"),
    ];
    for xml in bad {
        let parsed = read(&xml, &open_acl(), None);
        assert_eq!(parsed.problems.len(), 1, "{xml}");
        assert!(parsed.value.groups.is_empty());
    }
    assert_eq!(AwsNetwork::parse(b"{}", "", 1).value, AwsNetwork::default());
}
