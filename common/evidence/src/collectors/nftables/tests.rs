//! Rulesets as nft prints them.

use super::*;

/// The rules of `nft list ruleset -a` by handle, without counters' values.
fn listed(text: &str) -> Vec<(u64, String)> {
    let rules = text.lines().filter_map(|line| line.trim().rsplit_once(" # handle "));
    rules
        .filter(|(rule, _)| !rule.ends_with('{'))
        .map(|(rule, handle)| (handle.parse().unwrap(), rule.replace(" packets 0 bytes 0", "")))
        .collect()
}

fn check(json: &[u8], text: &str) {
    let parsed = Nftables::parse(json, "", 1);
    assert_eq!(parsed.problems, Vec::<String>::new());
    let chains = parsed.value.tables.iter().flat_map(|table| &table.chains);
    let rules: Vec<_> =
        chains.flat_map(|chain| &chain.rules).map(|rule| (rule.handle.unwrap(), rule.text.clone())).collect();
    assert_eq!(rules, listed(text));
}

#[test]
fn rules_read_as_nft_prints_them() {
    check(include_bytes!("fixtures/server.json"), include_str!("fixtures/server.txt"));
    check(include_bytes!("fixtures/statements.json"), include_str!("fixtures/statements.txt"));
}

#[test]
fn a_cut_listing_keeps_what_came_before() {
    let raw = include_bytes!("fixtures/statements.json");
    let whole = Nftables::parse(raw, "", 1).value;
    let half = Nftables::parse(&raw[..raw.len() / 2], "", 1);
    assert!(half.value.cut.is_some());
    assert_eq!(half.value.tables[0].chains.len(), whole.tables[0].chains.len());
    for end in (0..raw.len()).step_by(97) {
        assert!(Nftables::parse(&raw[..end], "", 1).value.cut.is_some());
    }
}

#[test]
fn lines_are_without_counters_and_time() {
    let lines = Nftables::parse(include_bytes!("fixtures/server.json"), "", 1).value.lines();
    let has = |place: &str, text: &str| lines.iter().any(|line| line.place == place && line.text == text);
    assert!(has("inet filter set banned", "10.9.9.9"));
    assert!(has("inet filter set clients", "10.0.0.20-10.0.0.29"));
    assert!(has("inet filter input", "type filter hook input priority 0; policy drop;"));
    assert!(has("inet filter input", "tcp dport vmap { 22 : accept, 9200 : jump es, 9300-9400 : drop }"));
    let made_by_iptables = Nftables::parse(include_bytes!("../iptables/fixtures/docker.nft.json"), "", 1).value;
    assert_eq!(made_by_iptables.lines(), Vec::new());
}

#[test]
fn what_is_left_of_a_timeout_does_not_make_a_change() {
    let raw = br#"{"elem": {"val": "1.2.3.4", "timeout": 3600, "expires": 3599}}, {"elem": {"expires": 7}}"#;
    let steady = r#"{"elem": {"val": "1.2.3.4", "timeout": 3600, "expires": 0}}, {"elem": {"expires": 0}}"#;
    assert_eq!(String::from_utf8(without_countdowns(raw.to_vec())).unwrap(), steady);
    assert_eq!(without_countdowns(b"{\"nftables\": []}".to_vec()), b"{\"nftables\": []}");
}
