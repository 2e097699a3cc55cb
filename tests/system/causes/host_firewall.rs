//! ④ The host's own firewall, whoever keeps it, and the path when the host's is clean.

use system_tests::lab::{Engine, client};

use crate::fleet::{Node, fleet, node};

/// Diagnoses, checks the contract's detail, does what the remedy says and sees the engine answer.
fn blocked(node: &Node, symptom: &str, owner: &str, action: &str) {
    let seen = fleet().diagnose_until(&node.endpoint(), "host-firewall");
    seen.assert_certain("host-firewall", symptom);
    let detail = seen.detail();
    assert_eq!((&detail["owner"], &detail["action"]), (&owner.into(), &action.into()), "{detail:#}");
    assert_eq!(detail["port"], 9200);
    let commands = seen.commands();
    assert!(commands.contains(&client().unwrap().ip().to_string()) || commands.contains("10.77.0.0/24"), "{commands}");
    assert!(!commands.contains("0.0.0.0/0"), "{commands}");
    node.carry_out(seen.remedy("firewall-allow"));
    fleet().diagnose_until(&node.endpoint(), "healthy");
}

#[test]
fn nftables_drop_reject_and_reset() {
    let node = node(Engine::Elasticsearch);
    for (verdict, symptom, action) in [
        ("drop", "timeout", "drop"),
        ("reject", "refused", "reject"),
        ("reject with tcp reset", "refused", "reject"),
        ("reject with icmpx admin-prohibited", "unreachable", "reject"),
    ] {
        node.nft(&format!(
            "table inet f {{ chain input {{ type filter hook input priority 0; tcp dport 9200 {verdict}; }}; }}"
        ))
        .unwrap();
        blocked(&node, symptom, "nftables", action);
        node.check(&["nft", "flush", "ruleset"]).unwrap();
    }
}

#[test]
fn iptables_drop_and_reject() {
    let node = node(Engine::OpenSearch);
    for (target, symptom, action) in [
        (&["DROP"][..], "timeout", "drop"),
        (&["REJECT"], "refused", "reject"),
        (&["REJECT", "--reject-with", "tcp-reset"], "refused", "reject"),
        (&["REJECT", "--reject-with", "icmp-host-prohibited"], "unreachable", "reject"),
    ] {
        let rule = ["iptables", "-A", "INPUT", "-p", "tcp", "--dport", "9200", "-j"];
        node.sudo(&[&rule, target].concat());
        blocked(&node, symptom, "iptables", action);
        node.check(&["iptables", "-F"]).unwrap();
    }
}

#[test]
fn ufw_by_its_default_and_by_a_rule() {
    let node = node(Engine::Elasticsearch);
    node.sudo(&["ufw", "--force", "enable"]);
    blocked(&node, "timeout", "ufw", "drop");
    node.check(&["ufw", "--force", "reset"]).unwrap();
    node.check(&["ufw", "default", "allow"]).unwrap();
    node.check(&["ufw", "--force", "enable"]).unwrap();
    fleet().diagnose_until(&node.endpoint(), "healthy");
    node.sudo(&["ufw", "reject", "9200/tcp"]);
    blocked(&node, "refused", "ufw", "reject");
    node.check(&["ufw", "--force", "reset"]).unwrap();
    node.check(&["ufw", "default", "deny"]).unwrap();
}

#[test]
fn firewalld_without_the_port() {
    let node = node(Engine::OpenSearch);
    node.sudo(&["systemctl", "start", "firewalld"]);
    blocked(&node, "unreachable", "firewalld", "reject");
}

#[test]
fn a_drop_outside_the_host_is_not_blamed_on_it() {
    let node = node(Engine::Elasticsearch);
    let cut = node.cut_path(9200).unwrap();
    let seen = fleet().diagnose_until(&node.endpoint(), "path-firewall");
    assert_eq!(seen.json["symptom"], "timeout");
    drop(cut);
    fleet().diagnose_until(&node.endpoint(), "healthy");
}

#[test]
fn a_firewall_that_lets_the_client_in_is_not_blamed() {
    let node = node(Engine::Elasticsearch);
    node.nft(
        "table inet f { chain input { type filter hook input priority 0; policy drop; ct state established accept; \
              iif lo accept; ip saddr 10.77.0.0/24 accept; ip saddr 10.99.0.0/16 tcp dport 9200 drop; }; }",
    )
    .unwrap();
    node.check(&["systemctl", "stop", "elasticsearch"]).unwrap();
    let seen = fleet().diagnose_until(&node.endpoint(), "not-running");
    assert!(seen.blockers().is_empty(), "{:#}", seen.json);
}
