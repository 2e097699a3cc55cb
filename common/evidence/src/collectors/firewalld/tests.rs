//! Zones as firewalld writes them.

use super::*;

fn firewalld(raw: &[u8]) -> Firewalld {
    let parsed = Firewalld::parse(raw, "", 1);
    assert_eq!(parsed.problems, Vec::<String>::new());
    parsed.value
}

#[test]
fn zones_of_the_host_replace_those_shipped() {
    let mixed = firewalld(include_bytes!("fixtures/mixed.json"));
    assert_eq!(mixed.default_zone.as_deref(), Some("public"));
    let public = mixed.zone("public").unwrap();
    assert_eq!((public.target.as_str(), public.local), ("default", true));
    assert_eq!(public.ports, ["9200/tcp"]);
    assert_eq!(public.services, ["ssh", "dhcpv6-client"]);
    assert_eq!(public.rich_rules.iter().map(|rule| rule.priority).collect::<Vec<_>>(), [0, 0, -5]);
    assert_eq!(mixed.zone("drop").unwrap().sources, ["10.70.0.0/16", "ipset:bad"]);
    assert_eq!(mixed.zone("internal").unwrap().interfaces, ["eth0"]);
    assert!(!mixed.zone("dmz").unwrap().local);
    let lines = mixed.lines();
    assert!(lines.iter().any(|line| line.place == "firewalld public" && line.text == "port: 9200/tcp"));
    assert!(!lines.iter().any(|line| line.place == "firewalld dmz"));
}

#[test]
fn not_installed_is_not_a_default_zone() {
    assert_eq!(firewalld(b"[]"), Firewalld::default());
}
