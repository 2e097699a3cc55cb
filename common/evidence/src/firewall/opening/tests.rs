//! The commands that open a port, for each owner of a firewall.

use common_plan::Place;

use super::*;
use crate::firewall::Decision;
use crate::firewall::tests::{docker, firewalld_mixed, nftables, packet, ufw};

fn blocked(firewalls: &Firewalls, packet: &Packet) -> Decision {
    match decide(firewalls, packet) {
        Fate::Blocked(decision) => decision,
        fate => panic!("{fate:?}"),
    }
}

fn open(firewalls: &Firewalls, packet: &Packet, client: &str) -> Opening {
    opening(firewalls, &blocked(firewalls, packet), packet, client.parse().unwrap())
}

#[test]
fn ufw_allows_at_the_end_past_its_default_and_before_a_rule_that_denies() {
    let past_default = open(&ufw("default-deny"), &packet("10.1.1.1", 9200), "10.1.1.1");
    assert_eq!(past_default.commands, ["ufw allow from 10.1.1.1 to any port 9200 proto tcp"]);
    assert_eq!(past_default.undo, ["ufw delete allow from 10.1.1.1 to any port 9200 proto tcp"]);
    let past_rule = open(&ufw("mixed"), &packet("10.66.1.1", 9200), "10.66.1.0/24");
    assert_eq!(past_rule.commands, ["ufw insert 3 allow from 10.66.1.0/24 to any port 9200 proto tcp"]);
    let note = "reject tcp 9200:9300 0.0.0.0/0 any 10.66.0.0/16 in";
    assert_eq!(
        (past_default.typed, past_rule.typed),
        (
            vec![Typed::Ufw { before: None }],
            vec![Typed::Ufw { before: Some(Place { number: 3, rule: note.to_owned() }) }]
        )
    );
    let v6 = open(&ufw("default-deny"), &packet("fd00::9", 9200), "fd00::9");
    assert_eq!(v6.commands, ["ufw allow from fd00::9 to any port 9200 proto tcp"]);
}

#[test]
fn nobody_is_ever_opened_to_everyone() {
    let everyone = open(&ufw("default-deny"), &packet("10.1.1.1", 9200), "0.0.0.0/0");
    assert_eq!(everyone.commands, ["ufw allow from 10.1.1.1 to any port 9200 proto tcp"]);
    let somebody_else = open(&ufw("default-deny"), &packet("10.1.1.1", 9200), "10.2.0.0/16");
    assert_eq!(somebody_else.commands, everyone.commands);
}

#[test]
fn firewalld_opens_at_once_and_for_good() {
    let mixed = firewalld_mixed();
    let zone = open(&mixed, &packet("10.0.0.9", 9200), "10.0.0.0/24");
    let rule = r#"'rule family="ipv4" source address="10.0.0.0/24" port port="9200" protocol="tcp" accept'"#;
    assert_eq!(zone.commands, [format!("firewall-cmd --zone=internal --add-rich-rule={rule}")]);
    assert_eq!(zone.persist, [format!("firewall-cmd --permanent --zone=internal --add-rich-rule={rule}")]);
    assert_eq!(zone.undo.len(), 2);
    let zone_only = |priority| Typed::Firewalld { zone: Some("internal".parse().unwrap()), policy: None, priority };
    assert_eq!(zone.typed, [zone_only(None)]);
    let on_eth1 = |source: &str| Packet { interface: Some("eth1".to_owned()), ..packet(source, 9200) };
    assert!(open(&mixed, &on_eth1("10.66.0.9"), "10.66.0.9").commands[0].contains(r#"rule priority="-1" family"#));
    assert!(open(&mixed, &on_eth1("10.68.0.9"), "10.68.0.9").commands[0].contains(r#"rule priority="-6" family"#));
}

#[test]
fn nftables_inserts_before_the_rule_that_blocks() {
    let server = nftables(include_bytes!("../../collectors/nftables/fixtures/server.json"));
    let rule = open(&server, &packet("10.66.0.1", 9200), "10.66.0.1");
    assert_eq!(rule.commands, ["nft insert rule inet filter es handle 7 ip saddr 10.66.0.1 tcp dport 9200 accept"]);
    assert!(rule.persist[0].contains("/etc/nftables.conf"));
    let Typed::Nftables { chain, before: Some(before), reply: false, .. } = &rule.typed[0] else { panic!("{rule:?}") };
    assert_eq!((chain.as_str(), before.number), ("es", 7));
    assert!(rule.undo[0].starts_with("nft delete rule inet filter es handle"));
    let policy = open(&server, &packet("10.1.0.1", 9200), "10.1.0.0/24");
    assert_eq!(policy.commands, ["nft add rule inet filter input ip saddr 10.1.0.0/24 tcp dport 9200 accept"]);
    assert!(matches!(&policy.typed[..], [Typed::Nftables { before: None, .. }]), "{policy:?}");
}

#[test]
fn iptables_inserts_before_the_rule_that_blocks() {
    let input = open(&docker(), &packet("10.1.1.1", 9303), "10.1.1.1");
    assert_eq!(input.commands, ["iptables -I INPUT 5 -s 10.1.1.1 -p tcp -m tcp --dport 9303 -j ACCEPT"]);
    assert_eq!(input.undo, ["iptables -D INPUT -s 10.1.1.1 -p tcp -m tcp --dport 9303 -j ACCEPT"]);
    let Typed::Iptables { chain, before: Some(before), legacy: false, .. } = &input.typed[0] else {
        panic!("{input:?}")
    };
    assert_eq!((chain.as_str(), before.number), ("INPUT", 5));
    let forwarded = open(&docker(), &packet("10.66.1.1", 9200), "10.66.1.1");
    assert_eq!(forwarded.commands, ["iptables -I DOCKER-USER 1 -s 10.66.1.1 -p tcp -m tcp --dport 9200 -j ACCEPT"]);
}

#[test]
fn every_layer_that_blocks_is_opened() {
    let raw = br#"{"nftables": [
        {"table": {"family": "inet", "name": "one", "handle": 1}},
        {"chain": {"family": "inet", "table": "one", "name": "in", "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
        {"table": {"family": "inet", "name": "two; reboot", "handle": 2}},
        {"chain": {"family": "inet", "table": "two; reboot", "name": "in", "type": "filter", "hook": "input", "prio": 1, "policy": "drop"}},
        {"chain": {"family": "inet", "table": "two; reboot", "name": "out", "type": "filter", "hook": "output", "prio": 1, "policy": "drop"}}]}"#;
    let opening = open(&nftables(raw), &packet("10.1.1.1", 9200), "10.1.1.1");
    assert_eq!(
        opening.commands,
        [
            "nft add rule inet one in ip saddr 10.1.1.1 tcp dport 9200 accept",
            "nft add rule inet 'two; reboot' in ip saddr 10.1.1.1 tcp dport 9200 accept",
            "nft add rule inet 'two; reboot' out ip daddr 10.1.1.1 tcp sport 9200 accept",
        ]
    );
    assert_eq!(opening.undo.len(), 3);
    // A plan holds no name that a shell could misread, and so none of the others either.
    assert!(opening.typed.is_empty());
}
