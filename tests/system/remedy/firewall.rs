//! Letting the client in by an approved plan, in whatever owns the firewall: it lasts past a reload, ends with its inverse, and
//! goes where it takes effect.

use std::time::Instant;

use serde_json::Value;
use system_tests::lab::{Engine, persistent};

use super::{Trusting, dialtone, json, proposed, proposed_for, stage};
use crate::fleet::{Seen, fleet};

const OPEN: &str = "{firewall-allow: {ports: [9200], sources: [10.77.0.0/24]}}";

/// Approves a plan and sees it proven; prints how long that took.
#[allow(clippy::print_stdout, reason = "a figure for people")]
fn verified(plan: &str, what: &str) {
    let begun = Instant::now();
    let approved = dialtone(&["approve", plan, "--yes"]);
    println!("{what}: {:.1} s from approval to proven", begun.elapsed().as_secs_f64());
    assert_eq!(approved.code, Some(0), "{approved:?}");
    assert_eq!(stage(plan), "verified");
}

/// Waits for the plan that lets the client in, has it carried out, and sees the engine answer.
fn opened(trusting: &Trusting, owner: &str) -> (Seen, String) {
    let (seen, plan) = proposed(fleet(), &trusting.node, "host-firewall", "firewall-allow");
    assert_eq!(seen.detail()["owner"], owner, "{:#}", seen.json);
    verified(&plan, owner);
    fleet().diagnose_until(&trusting.node.endpoint(), "healthy");
    (seen, plan)
}

/// Loads the owner's rules anew and sees that the client is let in all the same; then takes the plan back.
fn lasts(trusting: &Trusting, plan: &str, reload: &[&str]) {
    trusting.node.check(reload).unwrap();
    fleet().diagnose_until(&trusting.node.endpoint(), "healthy");
    taken_back(trusting, plan);
    trusting.node.check(reload).unwrap();
    fleet().diagnose_until(&trusting.node.endpoint(), "host-firewall");
}

fn taken_back(trusting: &Trusting, plan: &str) {
    let inverse: Value = json(&dialtone(&["revert", plan, "-o", "json"]));
    let inverse = inverse["record"]["id"].as_str().unwrap_or_else(|| panic!("{inverse:#}"));
    verified(inverse, "taking it back");
    fleet().diagnose_until(&trusting.node.endpoint(), "host-firewall");
}

#[test]
fn nftables_is_opened_before_the_rule_that_drops_and_keeps_it_in_its_file() {
    let trusting = Trusting::new(Engine::Elasticsearch, OPEN);
    let node = &trusting.node;
    let shipped = node.read("/etc/nftables.conf").unwrap();
    // An accept in another table does not beat the drop.
    let script = "#!/usr/sbin/nft -f\nflush ruleset\n\ntable inet early {\n\tchain input {\n\t\t\
                  type filter hook input priority -10; policy accept;\n\t\ttcp dport 9200 accept\n\t}\n}\n\
                  table inet filter {\n\tchain input {\n\t\ttype filter hook input priority 0; policy accept;\n\t\t\
                  ct state established,related accept\n\t\ttcp dport 9200 counter drop # closed\n\t}\n}\n";
    node.write("/etc/nftables.conf", script).unwrap();
    node.check(&["systemctl", "enable", "nftables"]).unwrap();
    node.check(&["systemctl", "restart", "nftables"]).unwrap();
    let (seen, plan) = opened(&trusting, "nftables");
    let risk = seen.remedy("firewall-allow")["risk"].to_string();
    assert!(risk.contains("keeps it in /etc/nftables.conf"), "{risk}");
    let chain = node.check(&["nft", "list", "chain", "inet", "filter", "input"]).unwrap();
    assert!(chain.contains(&format!("dialtone-{plan}")), "{chain}");
    lasts(&trusting, &plan, &["systemctl", "restart", "nftables"]);
    assert_eq!(node.read("/etc/nftables.conf").unwrap(), script);
    node.check(&["systemctl", "disable", "--now", "nftables"]).unwrap();
    node.write("/etc/nftables.conf", shipped).unwrap();
}

#[test]
fn a_table_that_no_file_holds_is_opened_until_the_next_boot_and_the_plan_says_so() {
    let trusting = Trusting::new(Engine::OpenSearch, OPEN);
    trusting
        .node
        .nft("table inet f { chain input { type filter hook input priority 0; tcp dport 9200 drop; }; }")
        .unwrap();
    let (seen, plan) = opened(&trusting, "nftables");
    let risk = seen.remedy("firewall-allow")["risk"].to_string();
    assert!(risk.contains("Lost at the next boot or reload"), "{risk}");
    let shown = dialtone(&["plan", &plan]).stdout;
    assert!(shown.contains("lost at the next boot or reload"), "{shown}");
}

#[test]
fn ufw_is_opened_past_its_default_and_before_a_rule_that_denies() {
    let trusting = Trusting::new(Engine::Elasticsearch, OPEN);
    let node = &trusting.node;
    node.sudo(&["ufw", "--force", "enable"]);
    let (_, plan) = opened(&trusting, "ufw");
    let status = node.check(&["ufw", "status"]).unwrap();
    assert!(status.contains(&format!("dialtone-{plan}")), "{status}");
    // ufw forgets the mark in the kernel when it writes its rules anew, and keeps it in its own file.
    node.check(&["ufw", "insert", "1", "allow", "8080/tcp"]).unwrap();
    lasts(&trusting, &plan, &["ufw", "reload"]);
    assert!(!node.check(&["ufw", "status"]).unwrap().contains("dialtone"));

    node.sudo(&["ufw", "allow", "22/tcp"]);
    node.sudo(&["ufw", "reject", "from", "10.77.0.0/16", "to", "any", "port", "9200", "proto", "tcp"]);
    let (_, plan) = opened(&trusting, "ufw");
    lasts(&trusting, &plan, &["ufw", "reload"]);
    node.check(&["ufw", "--force", "reset"]).unwrap();
}

#[test]
fn firewalld_is_opened_in_its_zone_at_once_and_for_good() {
    let trusting = Trusting::new(Engine::OpenSearch, OPEN);
    let node = &trusting.node;
    node.sudo(&["systemctl", "start", "firewalld"]);
    let (_, plan) = opened(&trusting, "firewalld");
    lasts(&trusting, &plan, &["firewall-cmd", "--reload"]);
    // Before a rich rule of the zone that denies.
    let deny = "--add-rich-rule=rule family=\"ipv4\" port port=\"9200\" protocol=\"tcp\" drop";
    node.check(&["firewall-cmd", "--permanent", deny]).unwrap();
    node.check(&["firewall-cmd", "--reload"]).unwrap();
    let (_, plan) = opened(&trusting, "firewalld");
    lasts(&trusting, &plan, &["firewall-cmd", "--reload"]);
}

#[test]
fn iptables_is_opened_before_the_rule_that_drops_and_keeps_it_in_its_file() {
    let trusting = Trusting::new(Engine::Elasticsearch, OPEN);
    let node = &trusting.node;
    persistent::install(node).unwrap();
    let rule = ["iptables", "-A", "INPUT", "-p", "tcp", "--dport"];
    node.sudo(&[&rule[..], &["9300:9400", "-j", "DROP"]].concat());
    node.sudo(&[&rule[..], &["9200", "-j", "DROP"]].concat());
    node.sudo(&["netfilter-persistent", "save"]);
    let (_, plan) = opened(&trusting, "iptables");
    lasts(&trusting, &plan, &["netfilter-persistent", "reload"]);
    persistent::remove(node).unwrap();
}

#[test]
fn clients_with_ipv6_are_let_in_and_nobody_else() {
    let six = "{firewall-allow: {ports: [9200], sources: ['fd77:77::/64']}}";
    let trusting = Trusting::new(Engine::Elasticsearch, six);
    let node = &trusting.node;
    let endpoint = format!("http://[{}]:9200", node.ip6());
    let opened = |owner: &str| {
        let (seen, plan) = proposed_for(fleet(), &endpoint, "host-firewall", "firewall-allow");
        assert_eq!(seen.detail()["owner"], owner, "{:#}", seen.json);
        verified(&plan, &format!("{owner}, IPv6"));
        fleet().diagnose_until(&endpoint, "healthy");
        plan
    };
    node.nft("table inet f { chain input { type filter hook input priority 0; tcp dport 9200 drop; }; }").unwrap();
    let plan = opened("nftables");
    let rules = node.check(&["nft", "list", "table", "inet", "f"]).unwrap();
    assert!(rules.contains("ip6 saddr fd77:77::/64 tcp dport 9200 accept") && rules.contains(&plan), "{rules}");
    // By its other address it is as it was.
    fleet().diagnose_until(&node.endpoint(), "host-firewall");
    node.check(&["nft", "flush", "ruleset"]).unwrap();

    node.sudo(&["ufw", "--force", "enable"]);
    let plan = opened("ufw");
    node.check(&["ufw", "reload"]).unwrap();
    fleet().diagnose_until(&endpoint, "healthy");
    let [six, four] = ["/etc/ufw/user6.rules", "/etc/ufw/user.rules"].map(|file| node.read(file).unwrap());
    assert!(six.contains("fd77:77::/64") && !four.contains("9200"), "{six}");
    let inverse: Value = json(&dialtone(&["revert", &plan, "-o", "json"]));
    verified(inverse["record"]["id"].as_str().unwrap(), "taking it back");
    fleet().diagnose_until(&endpoint, "host-firewall");
    assert_eq!(node.read("/etc/ufw/user6.rules").unwrap().matches("fd77").count(), 0);
    node.check(&["ufw", "--force", "reset"]).unwrap();
}

#[test]
fn a_rule_that_moved_after_the_plan_was_made_refuses_it() {
    let trusting = Trusting::new(Engine::OpenSearch, OPEN);
    let node = &trusting.node;
    node.sudo(&["iptables", "-A", "INPUT", "-p", "tcp", "--dport", "9200", "-j", "DROP"]);
    let (_, plan) = proposed(fleet(), &trusting.node, "host-firewall", "firewall-allow");
    node.sudo(&["iptables", "-I", "INPUT", "1", "-i", "lo", "-j", "ACCEPT"]);
    let refused = dialtone(&["approve", &plan, "--yes"]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert_eq!(stage(&plan), "refused", "{refused:?}");
    assert!(!node.check(&["iptables", "-S"]).unwrap().contains("dialtone"));
}
