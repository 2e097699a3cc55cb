//! Files as the tools and people write them.

use proptest::prelude::*;

use super::*;
use crate::step::Place;

const MARK: &str = "dialtone-0123456789abcdef";

fn rule_to(source: &str) -> Rule {
    Rule { source: source.parse().unwrap(), port: 9200, mark: MARK.to_owned() }
}

fn before(rule: &str) -> Option<Place> {
    Some(Place { number: 7, rule: rule.to_owned() })
}

fn nft(before: Option<Place>) -> Opening {
    let [family, table, chain] = ["inet", "filter", "input"].map(|label| label.parse().unwrap());
    Opening::Nftables { family, table, chain, before, reply: false, file: Some(RulesFile::Nftables) }
}

fn iptables(chain: &str, before: Option<Place>) -> Opening {
    let (table, chain) = ("filter".parse().unwrap(), chain.parse().unwrap());
    Opening::Iptables { legacy: false, table, chain, before, reply: false, file: Some(RulesFile::Persistent) }
}

/// Puts the rule in, sees that it comes out again without a trace, and gives what was added where.
fn kept(content: &str, opening: &Opening, source: &str) -> Option<(usize, String)> {
    let rule = rule_to(source);
    let new = insert(content, opening, &rule)?;
    assert_eq!(insert(&new, opening, &rule).as_ref(), Some(&new), "twice is once");
    let file = opening.file(rule.source).unwrap();
    assert_eq!(remove(&new, file, MARK), content, "{new}");
    assert_eq!(remove(content, file, MARK), content);
    let line = new.lines().position(|line| line.contains(MARK) || line.contains(&ufw::hex(MARK)))?;
    let added = new.lines().filter(|line| !content.lines().any(|old| old == *line)).collect::<Vec<_>>();
    Some((line + 1, added.join("\n").trim().to_owned()))
}

const NFT: &str = r#"#!/usr/sbin/nft -f
flush ruleset
define office = { 10.9.0.0/16 }
table inet filter {
	set blocked { type ipv4_addr; flags interval; elements = { 10.66.0.0/16,
		10.67.0.0/16 }
	}
	chain input { # { not a block
		type filter hook input priority 0; policy drop;
		iif lo accept
		ct state {established,related} accept comment "a } ; # b"
		tcp dport { 22,
			443 } accept
		ip saddr @blocked counter drop # the office
		tcp dport 9200 drop; tcp dport 9300 drop
	}
	chain output { type filter hook output priority 0; policy accept; }
}
"#;

#[test]
fn a_rule_of_nftables_is_kept_where_it_took_effect() {
    let text = format!("ip saddr 10.1.1.1 tcp dport 9200 accept comment \"{MARK}\"");
    assert_eq!(kept(NFT, &nft(None), "10.1.1.1"), Some((16, text.clone())));
    let set = "ip saddr @blocked counter packets 5 bytes 300 drop";
    assert_eq!(kept(NFT, &nft(before(set)), "10.1.1.1"), Some((14, text.clone())));
    let first = kept(NFT, &nft(before("iif \"lo\" accept")), "fd00::/64").unwrap();
    assert_eq!(first, (10, format!("ip6 saddr fd00::/64 tcp dport 9200 accept comment \"{MARK}\"")));
    assert_eq!(kept(NFT, &nft(before("tcp dport { 22, 443 } accept")), "10.1.1.1").unwrap().0, 12);
    let second = kept(NFT, &nft(before("tcp dport 9300 drop")), "10.1.1.1").unwrap();
    assert_eq!(second, (15, format!("tcp dport 9200 drop; {text}; tcp dport 9300 drop")));
    let line = "table inet filter { chain input { type filter hook input priority 0; policy drop; }; }";
    assert!(kept(line, &nft(None), "10.1.1.1").unwrap().1.contains(&format!("policy drop; {text}; }}")));
}

#[test]
fn a_place_that_is_not_in_the_file_is_not_guessed() {
    for (content, opening) in [
        (NFT, nft(before("tcp dport 9400 drop"))),
        ("table inet filter {\n\tchain other {\n\t}\n}\n", nft(None)),
        ("add table inet filter\nadd chain inet filter input\n", nft(None)),
        ("include \"/etc/nftables.d/*\"\n", nft(None)),
        (&format!("{NFT}{NFT}"), nft(None)),
        ("table inet filter { chain input { accept } }", nft(None)),
        (SAVED, iptables("INPUT", before("-A INPUT -p udp -j DROP"))),
        (SAVED, iptables("OTHER", None)),
        ("*nat\n:INPUT ACCEPT [0:0]\nCOMMIT\n", iptables("INPUT", None)),
        (UFW, Opening::Ufw { before: before("deny tcp 1 0.0.0.0/0 any 0.0.0.0/0 in") }),
    ] {
        assert_eq!(insert(content, &opening, &rule_to("10.1.1.1")), None, "{content}");
    }
}

const SAVED: &str = "# Generated\n*nat\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 9200 -j DROP\nCOMMIT\n*filter\n:INPUT DROP [0:0]\n\
                     :es - [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 9200 -j DROP\n-A es -j RETURN\nCOMMIT\n# Completed\n";

#[test]
fn a_rule_of_iptables_is_kept_where_it_took_effect() {
    let text = format!("-s 10.1.1.0/24 -p tcp -m tcp --dport 9200 -m comment --comment {MARK} -j ACCEPT");
    let drop = iptables("INPUT", before("-A INPUT -p tcp -m tcp --dport 9200 -j DROP"));
    assert_eq!(kept(SAVED, &drop, "10.1.1.0/24"), Some((10, format!("-A INPUT {text}"))));
    assert_eq!(kept(SAVED, &iptables("es", None), "10.1.1.0/24"), Some((12, format!("-A es {text}"))));
}

const UFW: &str = "*filter\n:ufw-user-input - [0:0]\n### RULES ###\n\n### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n\
                   -A ufw-user-input -p tcp --dport 22 -j ACCEPT\n\n### tuple ### deny any 9200 0.0.0.0/0 any 10.0.0.0/8 in comment=6170\n\
                   -A ufw-user-input -p tcp --dport 9200 -s 10.0.0.0/8 -j DROP\n-A ufw-user-input -p udp --dport 9200 -s 10.0.0.0/8 -j DROP\n\n\
                   ### END RULES ###\n\n### LOGGING ###\nCOMMIT\n";

#[test]
fn ufw_is_told_in_its_own_words() {
    let note = format!("### tuple ### allow tcp 9200 0.0.0.0/0 any 10.1.1.1 in comment={}", ufw::hex(MARK));
    let loaded = format!("-A ufw-user-input -p tcp --dport 9200 -s 10.1.1.1 -m comment --comment {MARK} -j ACCEPT");
    let text = format!("{note}\n{loaded}");
    let deny = before("deny any 9200 0.0.0.0/0 any 10.0.0.0/8 in comment=6170");
    assert_eq!(kept(UFW, &Opening::Ufw { before: deny }, "10.1.1.1"), Some((8, text.clone())));
    assert_eq!(kept(UFW, &Opening::Ufw { before: None }, "10.1.1.1"), Some((12, text)));
    let v6 = kept(UFW, &Opening::Ufw { before: None }, "fd00::/64").unwrap().1;
    assert!(v6.contains("tcp 9200 ::/0 any fd00::/64 in") && v6.contains("-A ufw6-user-input"), "{v6}");
}

#[test]
fn what_somebody_else_has_allowed_stays_theirs() {
    let open = Opening::Ufw { before: None };
    let theirs =
        UFW.replace("allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in", "allow tcp 9200 0.0.0.0/0 any 10.1.1.1 in comment=61");
    assert_eq!(insert(&theirs, &open, &rule_to("10.1.1.1")), None);
    // ufw writes what is loaded anew, without the mark, and keeps the note.
    let new = insert(UFW, &open, &rule_to("10.1.1.1")).unwrap();
    assert_eq!(remove(&new.replace(&format!(" -m comment --comment {MARK}"), ""), RulesFile::Ufw, MARK), UFW);
}

proptest! {
    /// Whatever stands in a script, nothing panics, and what is put in comes out again.
    #[test]
    fn any_script_comes_back(lines in prop::collection::vec("[a-z{};#\"\\\\ \t\n]{0,20}", 0..12), rule in "[a-z ]{1,8}") {
        let content = format!("table inet filter {{\nchain input {{\n{}\n}}\n}}\n", lines.join("\n"));
        let rule_of = rule_to("10.1.1.1");
        for before in [None, before(&rule)] {
            let opening = nft(before);
            if let Some(new) = insert(&content, &opening, &rule_of) {
                prop_assert_eq!(remove(&new, RulesFile::Nftables, MARK), content.clone());
            }
        }
    }
}
