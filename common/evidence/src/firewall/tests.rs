//! Connections through rulesets that the real tools printed.

use super::*;
use crate::Evidence;
use crate::collectors::firewalld::Firewalld;
use crate::collectors::interfaces::{InterfaceAddress, Interfaces};
use crate::collectors::iptables::Iptables;
use crate::collectors::nftables::Nftables;
use crate::collectors::ufw::Ufw;

macro_rules! fixture {
    ($path:literal) => {
        include_bytes!(concat!("../collectors/", $path)).as_slice()
    };
}

fn parsed<T: Evidence>(raw: &[u8], subject: &str) -> T {
    let parsed = T::parse(raw, subject, 1);
    assert_eq!(parsed.problems, Vec::<String>::new());
    parsed.value
}

fn addresses(held: &[(&str, &str, u8)]) -> Interfaces {
    let addresses = held.iter().map(|(interface, address, prefix)| InterfaceAddress {
        interface: (*interface).to_owned(),
        address: address.parse().unwrap(),
        prefix: *prefix,
        up: true,
    });
    Interfaces { addresses: addresses.collect() }
}

fn interfaces() -> Interfaces {
    addresses(&[
        ("lo", "127.0.0.1", 8),
        ("eth0", "10.0.0.5", 24),
        ("eth0", "fd00::5", 64),
        ("docker0", "172.17.0.1", 16),
    ])
}

pub(super) fn ufw(name: &str) -> Firewalls {
    let (nft, ip, ip6, files) = match name {
        "default-deny" => (
            fixture!("ufw/fixtures/default-deny.nft.json"),
            fixture!("ufw/fixtures/default-deny.iptables.txt"),
            fixture!("ufw/fixtures/default-deny.ip6tables.txt"),
            fixture!("ufw/fixtures/default-deny.json"),
        ),
        "default-reject" => (
            fixture!("ufw/fixtures/default-reject.nft.json"),
            fixture!("ufw/fixtures/default-reject.iptables.txt"),
            fixture!("ufw/fixtures/default-reject.ip6tables.txt"),
            fixture!("ufw/fixtures/default-reject.json"),
        ),
        _ => (
            fixture!("ufw/fixtures/mixed.nft.json"),
            fixture!("ufw/fixtures/mixed.iptables.txt"),
            fixture!("ufw/fixtures/mixed.ip6tables.txt"),
            fixture!("ufw/fixtures/mixed.json"),
        ),
    };
    Firewalls::from_reads(Reads {
        nftables: Some(&parsed::<Nftables>(nft, "")),
        iptables: Some(&parsed::<Iptables>(ip, "ip")),
        ip6tables: Some(&parsed::<Iptables>(ip6, "ip6")),
        ufw: Some(&parsed::<Ufw>(files, "")),
        interfaces: Some(&interfaces()),
        ..Reads::default()
    })
}

pub(super) fn firewalld(nft: &[u8], files: &[u8]) -> Firewalls {
    Firewalls::from_reads(Reads {
        nftables: Some(&parsed::<Nftables>(nft, "")),
        firewalld: Some(&parsed::<Firewalld>(files, "")),
        interfaces: Some(&interfaces()),
        ..Reads::default()
    })
}

pub(super) fn firewalld_mixed() -> Firewalls {
    firewalld(fixture!("firewalld/fixtures/mixed.nft.json"), fixture!("firewalld/fixtures/mixed.json"))
}

pub(super) fn iptables(nft: &[u8], saved: &[u8]) -> Firewalls {
    Firewalls::from_reads(Reads {
        nftables: Some(&parsed::<Nftables>(nft, "")),
        iptables: Some(&parsed::<Iptables>(saved, "ip")),
        interfaces: Some(&interfaces()),
        ..Reads::default()
    })
}

pub(super) fn docker() -> Firewalls {
    iptables(fixture!("iptables/fixtures/docker.nft.json"), fixture!("iptables/fixtures/docker.txt"))
}

pub(super) fn nftables(raw: &[u8]) -> Firewalls {
    let nftables = parsed::<Nftables>(raw, "");
    Firewalls::from_reads(Reads { nftables: Some(&nftables), interfaces: Some(&interfaces()), ..Reads::default() })
}

pub(super) fn packet(source: &str, port: u16) -> Packet {
    let source: IpAddr = source.parse().unwrap();
    let destination = if source.is_ipv4() { "10.0.0.5" } else { "fd00::5" };
    Packet { source, destination: destination.parse().unwrap(), port, interface: None }
}

fn on(interface: &str, source: &str, port: u16) -> Packet {
    Packet { interface: Some(interface.to_owned()), ..packet(source, port) }
}

/// The fate on one line: block, owner, rule and place.
fn fate(firewalls: &Firewalls, packet: &Packet) -> String {
    match decide(firewalls, packet) {
        Fate::Passes => "passes".to_owned(),
        Fate::Unclear(text) => format!("unclear: {text}"),
        Fate::Blocked(Decision { block, owner, rule, place, .. }) => {
            format!("{block:?} by {}: {} ({place})", owner.slug(), rule.as_deref().unwrap_or("policy"))
        }
    }
}

#[test]
fn ufw_denies_by_default_in_both_families() {
    let ufw = ufw("default-deny");
    assert_eq!(fate(&ufw, &packet("10.1.1.1", 9200)), "Drop by ufw: deny (incoming) (ip filter INPUT)");
    assert_eq!(fate(&ufw, &packet("fd00::9", 9200)), "Drop by ufw: deny (incoming) (ip6 filter INPUT)");
    assert_eq!(fate(&ufw, &packet("10.1.1.1", 22)), "passes");
    assert_eq!(fate(&ufw, &packet("10.0.0.5", 9200)), "passes", "the node itself comes in by lo");
}

#[test]
fn ufw_lets_in_what_its_rules_allow_in_both_families() {
    let ufw = ufw("mixed");
    assert_eq!(fate(&ufw, &packet("10.9.1.1", 9200)), "passes");
    assert_eq!(fate(&ufw, &packet("fd00::9", 9200)), "passes", "TCP has no routing header");
}

#[test]
fn ufw_rejects_by_default_when_told_to() {
    let ufw = ufw("default-reject");
    assert_eq!(fate(&ufw, &packet("10.1.1.1", 9999)), "Refuse by ufw: reject (incoming) (ip filter ufw-reject-input)");
}

#[test]
fn ufw_rules_are_named_as_their_user_gave_them() {
    let ufw = ufw("mixed");
    let rejected = "Refuse by ufw: 9200:9300/tcp REJECT IN 10.66.0.0/16 (ip filter ufw-user-input)";
    assert_eq!(fate(&ufw, &packet("10.66.1.1", 9200)), rejected);
    assert_eq!(fate(&ufw, &packet("10.65.1.1", 9200)), "passes");
    let denied = "Drop by ufw: Anywhere DENY IN 10.77.0.1 (log-all) (ip filter ufw-user-input)";
    assert_eq!(fate(&ufw, &packet("10.77.0.1", 9999)), denied);
    assert_eq!(fate(&ufw, &packet("10.77.0.1", 9200)), "passes", "allowed by an earlier rule");
    let Fate::Blocked(decision) = decide(&ufw, &packet("10.66.1.1", 9200)) else { panic!("passes") };
    assert_eq!((decision.handle, decision.shown_by.as_str()), (Some(3), "ufw status numbered"));
}

#[test]
fn a_rate_limit_is_not_decided() {
    let ufw = ufw("mixed");
    assert!(
        fate(&ufw, &packet("10.1.1.1", 9300))
            .starts_with("unclear: ip filter ufw-user-input: -A ufw-user-input -p tcp")
    );
    let server = nftables(fixture!("nftables/fixtures/server.json"));
    let limit = "unclear: inet filter input: tcp dport 5601 limit rate 10/second accept";
    assert_eq!(fate(&server, &packet("10.1.1.1", 5601)), limit);
}

#[test]
fn firewalld_refuses_what_its_default_zone_does_not_open() {
    let default =
        firewalld(fixture!("firewalld/fixtures/default.nft.json"), fixture!("firewalld/fixtures/default.json"));
    let blocked = "Prohibit by firewalld: zone public, target default (inet firewalld filter_IN_public)";
    assert_eq!(fate(&default, &packet("10.0.0.9", 9200)), blocked);
    assert_eq!(fate(&default, &packet("10.0.0.9", 22)), "passes");
    let open =
        firewalld(fixture!("firewalld/fixtures/runtime-service.nft.json"), fixture!("firewalld/fixtures/default.json"));
    assert_eq!(fate(&open, &packet("10.0.0.9", 9200)), "passes", "opened at run time, which the files do not tell");
    assert_eq!(fate(&open, &packet("fd00::9", 9200)), "passes", "on the same link, so the way back leads there");
    assert!(fate(&open, &packet("fd66::9", 9200)).contains("fib saddr . mark . iif oif missing drop"));
}

#[test]
fn firewalld_zones_are_chosen_by_source_then_interface() {
    let mixed = firewalld_mixed();
    let in_zone = |zone: &str, target: &str| format!("zone {zone}, target {target} (inet firewalld filter_IN_{zone})");
    let dropped = format!("Drop by firewalld: {}", in_zone("drop", "DROP"));
    assert_eq!(fate(&mixed, &packet("10.70.0.9", 9200)), dropped);
    assert_eq!(fate(&mixed, &packet("10.73.0.9", 9200)), dropped, "by a set of sources");
    assert_eq!(
        fate(&mixed, &packet("10.72.0.9", 9200)),
        format!("Prohibit by firewalld: {}", in_zone("block", "%%REJECT%%"))
    );
    assert_eq!(fate(&mixed, &packet("10.71.0.9", 9200)), "passes", "trusted");
    assert_eq!(
        fate(&mixed, &packet("10.0.0.9", 9200)),
        format!("Prohibit by firewalld: {}", in_zone("internal", "default"))
    );
    assert_eq!(fate(&mixed, &on("eth1", "10.0.0.9", 9200)), "passes", "public opens the port");
}

#[test]
fn firewalld_rich_rules_are_named_as_firewall_cmd_does() {
    let mixed = firewalld_mixed();
    let dropped = r#"Drop by firewalld: rule family="ipv4" source address="10.66.0.0/16" port port="9200" protocol="tcp" drop (inet firewalld filter_IN_public_deny)"#;
    assert_eq!(fate(&mixed, &on("eth1", "10.66.0.9", 9200)), dropped);
    assert!(fate(&mixed, &on("eth1", "10.67.0.9", 9200)).starts_with("Refuse by firewalld: rule family=\"ipv4\""));
    assert!(fate(&mixed, &on("eth1", "10.68.0.9", 9200)).contains(r#"priority="-5" family="ipv4" source address="10.68.0.0/16" log prefix="x" level="info" limit value="3/m" drop"#));
    let rich = firewalld(fixture!("firewalld/fixtures/rich.nft.json"), fixture!("firewalld/fixtures/mixed.json"));
    assert!(
        fate(&rich, &packet("10.66.0.9", 9200)).contains("ip saddr 10.66.0.0/16 tcp dport 9200 drop"),
        "at run time only"
    );
    assert_eq!(fate(&rich, &packet("10.66.0.10", 9200)), "passes", "by a rule of priority -1");
}

#[test]
fn firewalld_with_its_iptables_backend_leaves_ipsets_open() {
    let saved = parsed::<Iptables>(fixture!("firewalld/fixtures/iptables-backend.txt"), "ip");
    let nftables = parsed::<Nftables>(br#"{"nftables": []}"#, "");
    let firewalls =
        Firewalls::from_reads(Reads { nftables: Some(&nftables), iptables: Some(&saved), ..Reads::default() });
    let set = "unclear: ip filter INPUT_ZONES: -A INPUT_ZONES -m set --match-set bad src -g IN_drop";
    assert_eq!(fate(&firewalls, &on("eth1", "10.66.0.9", 9201)), set);
    let dropped = "Drop by firewalld: zone drop, target DROP (ip filter (legacy) IN_drop)";
    assert_eq!(
        fate(&firewalls, &on("eth1", "10.70.0.9", 9200)).replace("IN_drop (legacy)", "(legacy) IN_drop"),
        dropped
    );
}

#[test]
fn nftables_sets_maps_and_rejects() {
    let server = nftables(fixture!("nftables/fixtures/server.json"));
    let es = |rule: &str| format!("{rule} (inet filter es)");
    assert_eq!(fate(&server, &packet("10.9.1.1", 9200)), "passes", "in @clients");
    let banned = es("Drop by nftables: ip saddr @banned drop comment \"banned for a while\"");
    assert_eq!(fate(&server, &packet("10.9.9.9", 9200)), banned);
    let reset = es("Refuse by nftables: meta l4proto tcp ip saddr 10.66.0.0/16 reject with tcp reset");
    assert_eq!(fate(&server, &packet("10.66.0.1", 9200)), reset);
    let prohibited = es("Prohibit by nftables: ip saddr 10.67.0.0/16 reject with icmpx admin-prohibited");
    assert_eq!(fate(&server, &packet("10.67.0.1", 9200)), prohibited);
    let unreachable = es("Refuse by nftables: ip saddr 10.68.0.0/16 reject with icmp port-unreachable");
    assert_eq!(fate(&server, &packet("10.68.0.1", 9200)), unreachable);
    assert_eq!(fate(&server, &packet("10.1.0.1", 9200)), "Drop by nftables: policy (inet filter input)");
    assert!(fate(&server, &packet("10.9.1.1", 9300)).starts_with("Drop by nftables: tcp dport vmap"));
    assert_eq!(fate(&server, &on("wg7", "10.1.0.1", 9201)), "passes", "by the interface's name");
    assert_eq!(fate(&server, &on("eth0", "10.1.0.1", 9201)), "Drop by nftables: policy (inet filter input)");
}

#[test]
fn iptables_rejects_and_policies() {
    let docker = docker();
    let input = |text: &str| format!("{text} (ip filter INPUT)");
    let reset = input("Refuse by iptables: -A INPUT -p tcp -m tcp --dport 9300 -j REJECT --reject-with tcp-reset");
    assert_eq!(fate(&docker, &packet("10.1.1.1", 9300)), reset);
    assert_eq!(fate(&docker, &packet("10.9.1.1", 9300)), "passes");
    let prohibited =
        input("Prohibit by iptables: -A INPUT -p tcp -m tcp --dport 9301 -j REJECT --reject-with icmp-host-prohibited");
    assert_eq!(fate(&docker, &packet("10.1.1.1", 9301)), prohibited);
    let plain =
        input("Refuse by iptables: -A INPUT -p tcp -m tcp --dport 9302 -j REJECT --reject-with icmp-port-unreachable");
    assert_eq!(fate(&docker, &packet("10.1.1.1", 9302)), plain);
    let quoted = input(
        r#"Drop by iptables: -A INPUT -p tcp -m tcp --dport 9303 -m comment --comment "es \"transport\"" -j DROP"#,
    );
    assert_eq!(fate(&docker, &packet("10.1.1.1", 9303)), quoted);
    let policy = iptables(fixture!("iptables/fixtures/policy.nft.json"), fixture!("iptables/fixtures/policy.txt"));
    assert_eq!(fate(&policy, &packet("10.9.1.1", 9200)), "passes");
    assert_eq!(fate(&policy, &packet("10.8.1.1", 9200)), "Drop by iptables: policy (ip filter INPUT)");
    assert_eq!(fate(&policy, &packet("fd00::9", 9200)), "passes", "nothing filters IPv6 here");
}

#[test]
fn published_ports_go_round_the_input_chain() {
    let docker = docker();
    assert_eq!(fate(&docker, &packet("10.1.1.1", 9200)), "passes");
    let container = Some(("172.17.0.2".parse().unwrap(), 9200));
    assert_eq!(forwarded_to(&docker, &packet("10.1.1.1", 9200)), container);
    assert_eq!(forwarded_to(&docker, &packet("10.1.1.1", 9300)), None);
    let dropped = "Drop by iptables: -A DOCKER-USER -s 10.66.0.0/16 -j DROP (ip filter DOCKER-USER)";
    assert_eq!(fate(&docker, &packet("10.66.1.1", 9200)), dropped);
}

#[test]
fn nothing_passes_for_certain_past_what_was_not_read() {
    let nothing = Firewalls::from_reads(Reads::default());
    assert_eq!(fate(&nothing, &packet("10.0.0.9", 9200)), "unclear: the nftables ruleset was not read");
    let raw = fixture!("nftables/fixtures/server.json");
    let cut = Nftables::parse(&raw[..raw.len() - 900], "", 1);
    assert_eq!(cut.problems.len(), 1);
    let firewalls = Firewalls::from_reads(Reads { nftables: Some(&cut.value), ..Reads::default() });
    assert!(fate(&firewalls, &on("eth0", "10.0.0.9", 22)).starts_with("unclear: "));
    let empty = parsed::<Nftables>(br#"{"nftables": [{"metainfo": {"version": "1.0.6"}}]}"#, "");
    let names = br#"[{"path":"/proc/net/ip_tables_names","text":"filter\n","size":0,"cut":false,"modified_ms":0,"owner":"root:root","mode":"0440","error":null}]"#;
    let names = parsed::<Iptables>(names, "legacy-tables");
    let reads = Reads { nftables: Some(&empty), legacy_tables: Some(&names), ..Reads::default() };
    assert!(fate(&Firewalls::from_reads(reads), &packet("10.0.0.9", 9200)).contains("iptables-legacy"));
    assert_eq!(
        fate(&Firewalls::from_reads(Reads { legacy_tables: None, ..reads }), &packet("10.0.0.9", 9200)),
        "passes"
    );
}

#[test]
fn legacy_tables_stand_beside_those_of_nftables() {
    let saved = b"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n[0:0] -A INPUT -p tcp -m tcp --dport 9200 -j DROP\nCOMMIT\n";
    let server = parsed::<Nftables>(fixture!("nftables/fixtures/server.json"), "");
    let legacy = parsed::<Iptables>(saved, "legacy");
    let firewalls = Firewalls::from_reads(Reads { nftables: Some(&server), legacy: Some(&legacy), ..Reads::default() });
    let dropped = "Drop by iptables: -A INPUT -p tcp -m tcp --dport 9200 -j DROP (ip filter INPUT (legacy))";
    assert_eq!(fate(&firewalls, &on("eth0", "10.9.1.1", 9200)), dropped);
    assert!(
        fate(&firewalls, &on("eth0", "10.66.1.1", 9200)).starts_with("Refuse by nftables"),
        "asked first or not, it is blocked"
    );
}

#[test]
fn what_follows_the_handshake_must_pass_too() {
    let filter = |rules: &str| {
        let saved = format!("*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rules}COMMIT\n");
        iptables(br#"{"nftables": []}"#, saved.as_bytes())
    };
    let only_new = filter("-A INPUT -p tcp -m tcp --dport 9200 -m conntrack --ctstate NEW -j ACCEPT\n");
    let Fate::Blocked(decision) = decide(&only_new, &packet("10.0.0.9", 9200)) else { panic!("passes") };
    assert!(decision.site.established && !decision.site.reply);
    let silent =
        filter("-A INPUT -p tcp -j ACCEPT\n-A OUTPUT -p tcp -m tcp --sport 9200 -j REJECT --reject-with tcp-reset\n");
    let Fate::Blocked(decision) = decide(&silent, &packet("10.0.0.9", 9200)) else { panic!("passes") };
    assert!(decision.site.reply);
    assert_eq!(decision.block, Block::Drop, "the client hears nothing of it");
}

#[test]
fn hostile_rulesets_end() {
    let mut objects = vec![r#"{"table": {"family": "inet", "name": "t"}}"#.to_owned()];
    for level in 0..40 {
        let base =
            if level == 0 { r#", "type": "filter", "hook": "input", "prio": 0, "policy": "accept""# } else { "" };
        objects.push(format!(r#"{{"chain": {{"family": "inet", "table": "t", "name": "c{level}"{base}}}}}"#));
        for _ in 0..4 {
            let jump = format!(r#"{{"jump": {{"target": "c{}"}}}}"#, (level + 1) % 40);
            objects.push(format!(
                r#"{{"rule": {{"family": "inet", "table": "t", "chain": "c{level}", "expr": [{jump}]}}}}"#
            ));
        }
    }
    let raw = format!(r#"{{"nftables": [{}]}}"#, objects.join(","));
    assert!(fate(&nftables(raw.as_bytes()), &packet("10.0.0.9", 9200)).starts_with("unclear: "));
}

#[test]
fn the_rules_of_a_port_are_quoted() {
    let texts = |firewalls: &Firewalls, port| {
        rules_for_port(firewalls, port).into_iter().map(|line| line.text).collect::<Vec<_>>()
    };
    let server = nftables(fixture!("nftables/fixtures/server.json"));
    assert_eq!(
        texts(&server, 9200),
        ["policy drop", "tcp dport vmap { 22 : accept, 9200 : jump es, 9300-9400 : drop }"]
    );
    assert_eq!(texts(&server, 80), ["policy drop"]);
    assert_eq!(
        texts(&docker(), 9301),
        ["-A INPUT -p tcp -m tcp --dport 9301 -j REJECT --reject-with icmp-host-prohibited"]
    );
}
