//! Rules as ufw writes them.

use super::*;

fn ufw(raw: &[u8]) -> Ufw {
    let parsed = Ufw::parse(raw, "", 1);
    assert_eq!(parsed.problems, Vec::<String>::new());
    parsed.value
}

/// `ufw status numbered`, its columns collapsed and comments dropped.
fn status(text: &str) -> Vec<(usize, String)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix('[')?.split_once(']'));
    lines
        .map(|(number, rule)| {
            let rule = rule.split('#').next().unwrap_or_default();
            (number.trim().parse().unwrap(), rule.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect()
}

#[test]
fn shows_rules_as_ufw_does() {
    for (raw, shown) in [
        (include_bytes!("fixtures/mixed.json").as_slice(), include_str!("fixtures/mixed.numbered.txt")),
        (
            include_bytes!("fixtures/default-reject.json").as_slice(),
            include_str!("fixtures/default-reject.numbered.txt"),
        ),
    ] {
        let rules: Vec<_> = ufw(raw).rules.into_iter().map(|rule| (rule.number, rule.text)).collect();
        assert_eq!(rules, status(shown));
    }
}

#[test]
fn tells_state_and_default() {
    let deny = ufw(include_bytes!("fixtures/default-deny.json"));
    assert_eq!((deny.enabled, deny.default_incoming.as_deref()), (Some(true), Some("deny")));
    let reject = ufw(include_bytes!("fixtures/default-reject.json"));
    assert_eq!(reject.default_incoming.as_deref(), Some("reject"));
    assert_eq!(ufw(b"[]"), Ufw::default(), "not installed");
    let lines: Vec<String> = deny.lines().into_iter().map(|line| line.text).collect();
    assert_eq!(
        lines,
        [
            "Status: active",
            "Default: deny (incoming)",
            "22/tcp ALLOW IN Anywhere",
            "22/tcp (v6) ALLOW IN Anywhere (v6)"
        ]
    );
}

#[test]
fn every_notation_is_shown() {
    let shown = |notation: &str| Tuple::parse(notation).map(|tuple| tuple.shown());
    let is = |text: &str| Some(text.to_owned());
    assert_eq!(shown("deny tcp any 0.0.0.0/0 any 1.2.3.4 in"), is("Anywhere DENY IN 1.2.3.4/tcp"));
    assert_eq!(shown("deny tcp any 0.0.0.0/0 any 0.0.0.0/0 in"), is("Anywhere/tcp DENY IN Anywhere/tcp"));
    assert_eq!(shown("allow tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 WWW%20Full - in"), is("WWW Full ALLOW IN Anywhere"));
    assert_eq!(shown("reject tcp any ::/0 25 fd00::1 out_eth0"), is("Anywhere (v6) REJECT OUT fd00::1 25/tcp on eth0"));
    assert_eq!(shown("allow tcp"), None);
}

#[test]
fn the_rules_of_a_profile_have_one_number() {
    let text = "### tuple ### allow udp 137,138 0.0.0.0/0 any 0.0.0.0/0 Samba - in\n\
                -A ufw-user-input -p udp -m multiport --dports 137,138 -j ACCEPT\n\n\
                ### tuple ### allow tcp 139,445 0.0.0.0/0 any 0.0.0.0/0 Samba - in\n\
                -A ufw-user-input -p tcp -m multiport --dports 139,445 -j ACCEPT\n\n\
                ### tuple ### deny tcp 9200 0.0.0.0/0 any 0.0.0.0/0 in\n\
                -A ufw-user-input -p tcp --dport 9200 -j DROP\n";
    let mut ufw = Ufw::default();
    take_rules(&mut ufw, text);
    let numbers: Vec<_> = ufw.rules.iter().map(|rule| (rule.number, rule.text.as_str())).collect();
    assert_eq!(numbers, [(1, "Samba ALLOW IN Anywhere"), (2, "9200/tcp DENY IN Anywhere")]);
    let (chain, steps) =
        iptables::appended("-A ufw-user-input -p tcp -m multiport --dports 139,445 -j ACCEPT").unwrap();
    assert_eq!(ufw.rule_behind(&chain, &steps).map(|rule| rule.number), Some(1));
}
