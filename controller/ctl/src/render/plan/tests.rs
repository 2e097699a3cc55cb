//! Pages as they are read.

use common_model::Network;
use common_plan::{
    CarriedOutBy, Digest, FirewallAllow, Label, Limit, LimitValue, Opening, Place, RulesFile, Service, Step, Sysctl,
    SysctlSet, UnitLimit, Verb,
};

use super::*;
use crate::plan::tests::{NOW, fetched, plan, transition as step_of_life};
use crate::terminal::tests::terminal;

fn text(fetched: &Fetched, detail: Detail) -> String {
    page(fetched, &terminal(80), detail).to_text()
}

fn does(step: Step) -> String {
    let plan = Plan { step, ..plan() };
    assert!(plan.encode().is_ok(), "{plan:?}");
    let text = page(&fetched(plan), &terminal(120), Detail::Usual).to_text();
    let (_, does) = text.split_once("DOES").unwrap();
    does.split_once("\nWHY").unwrap().0.lines().map(|line| format!("{}\n", line.trim_start())).collect()
}

#[test]
fn a_proposal_is_one_screen() {
    let text = text(&fetched(plan()), Detail::Usual);
    assert_eq!(text, include_str!("proposed.txt"));
    assert!(text.lines().count() <= 22, "{text}");
}

#[test]
fn the_life_of_a_plan_is_told_in_order() {
    let mut ended = fetched(plan());
    ended.record.stage = Stage::RolledBack;
    ended.record.history.extend([
        step_of_life(Stage::Approved, NOW.plus_millis(-50_000), "operator alice", None),
        step_of_life(Stage::Applied, NOW.plus_millis(-49_000), "node es-1", None),
        step_of_life(Stage::RolledBack, NOW, "node es-1", Some("http://es-1:9200 still times out")),
    ]);
    let text = text(&ended, Detail::Usual);
    let told = "✗ rolled back — Set vm.max_map_count from 65530 to 262144 on es-1 and start\n  elasticsearch.service \
                [09cfd0aaced3d8f6]\n\n  07:59:00 UTC  proposed — controller\n  07:59:10 UTC  approved — operator \
                alice\n  07:59:11 UTC  live, on trial — node es-1\n  08:00:00 UTC  rolled back — node es-1: \
                http://es-1:9200 still times out\n\nDOES       sysctl";
    assert!(text.starts_with(told), "{text}");
}

#[test]
fn details_hold_every_byte_that_is_signed() {
    let fetched = fetched(plan());
    let text = text(&fetched, Detail::Everything);
    let (_, signed) = text.split_once("SIGNED").unwrap();
    let squeezed = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    assert_eq!(squeezed(signed), squeezed(std::str::from_utf8(fetched.bytes.as_slice()).unwrap()));
    assert!(text.contains(fetched.bytes.digest().as_str()));
}

#[test]
fn words_of_others_cannot_push_what_is_done_off_the_screen() {
    let mut long = plan();
    long.why.sentence = "x ".repeat(1000);
    long.why.evidence = vec!["y".repeat(800); 64];
    long.risk = "\u{1b}[8m".repeat(200);
    long.undo = "z ".repeat(1000);
    let text = text(&fetched(long), Detail::Usual);
    assert!(text.lines().count() <= 36, "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn a_signature_over_something_else_does_not_count() {
    use common_plan::{Approval, Approved};
    let mut forged = fetched(plan());
    let key = "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".parse().unwrap();
    let approval = Approval { key, signature: "AAAA".to_owned() };
    forged.record.approvals.push(Approved { operator: "mallory".to_owned(), at: NOW, approval });
    assert_eq!(forged.persons().missing(), 1);
    let text = text(&forged, Detail::Usual);
    assert!(text.contains("by mallory, just now — the signature is not one for this plan"), "{text}");
    assert!(text.contains("\n           one person has to; nobody who could is known"), "{text}");
}

#[test]
fn a_sysctl_says_what_it_must_be_and_what_it_gets() {
    let step = Step::SysctlSet(SysctlSet { key: Sysctl::Somaxconn, from: 128, to: 4096, persist: None, start: None });
    assert_eq!(does(step), "sysctl -w net.core.somaxconn=4096\nonly if it is 128 at that moment\n");
}

#[test]
fn a_firewall_is_opened_where_the_plan_says() {
    let label = |text: &str| text.parse::<Label>().unwrap();
    let openings = vec![
        Opening::Ufw {
            before: Some(Place { number: 3, rule: "deny tcp 9200 0.0.0.0/0 any 10.0.0.0/8 in".to_owned() }),
        },
        Opening::Firewalld { zone: Some(label("public")), policy: None, priority: Some(-1) },
        Opening::Nftables {
            family: label("inet"),
            table: label("filter"),
            chain: label("input"),
            before: Some(Place { number: 7, rule: "tcp dport 9200 drop".to_owned() }),
            reply: false,
            file: Some(RulesFile::Nftables),
        },
        Opening::Iptables {
            legacy: false,
            table: label("filter"),
            chain: label("OUTPUT"),
            before: None,
            reply: true,
            file: None,
        },
    ];
    let source: Network = "10.0.0.0/24".parse().unwrap();
    let step = Step::FirewallAllow(FirewallAllow { source, port: 9200, openings, for_s: None });
    assert_eq!(
        does(step),
        "ufw insert 3 allow from 10.0.0.0/24 to any port 9200 proto tcp\n\
         before rule 3, only if ufw has it as: deny tcp 9200 0.0.0.0/0 any 10.0.0.0/8 in\n\
         in /etc/ufw/user.rules, too, once it has proven itself\n\
         firewall-cmd --zone=public --add-rich-rule='rule priority=\"-1\" family=\"ipv4\" source address=\"10.0.0.0/24\"\n\
         port port=\"9200\" protocol=\"tcp\" accept'\n\
         with --permanent, too, once it has proven itself\n\
         nft insert rule inet filter input handle 7 ip saddr 10.0.0.0/24 tcp dport 9200 accept\n\
         before rule 7, only if that is: tcp dport 9200 drop\n\
         in /etc/nftables.conf, too, once it has proven itself\n\
         iptables -t filter -A OUTPUT -d 10.0.0.0/24 -p tcp --sport 9200 -j ACCEPT\n\
         lost at the next boot or reload: no file keeps it\n"
    );
}

#[test]
fn what_is_open_for_a_limited_time_says_until_when_and_that_it_was_closed() {
    let opening = Opening::Firewalld { zone: Some("public".parse().unwrap()), policy: None, priority: None };
    let source: Network = "10.0.0.0/24".parse().unwrap();
    let allow = FirewallAllow { source, port: 9200, openings: vec![opening], for_s: Some(7200) };
    let mut opened = fetched(Plan { step: Step::FirewallAllow(allow), ..plan() });
    assert!(text(&opened, Detail::Usual).contains("closed again after 2 h 0 min"));
    opened.record.stage = Stage::Verified;
    opened.record.until = Some(NOW.plus_millis(7_100_000));
    opened.record.history.push(step_of_life(Stage::Verified, NOW, "node es-1", None));
    let open = text(&opened, Detail::Usual);
    assert!(open.contains("OPEN       until 09:58:20 UTC (in 1 h 58 min); then es-1 closes it by itself"), "{open}");
    let mut page = Page::new(&terminal(200));
    outcome(&opened, &mut page, &terminal(200));
    assert!(page.to_text().contains("for 2 h 0 min; open until 09:58:20 UTC"), "{}", page.to_text());
    let listed = list(std::slice::from_ref(&opened.record), false, &terminal(120));
    assert!(listed.contains("… open until 09:58:20 UTC"), "{listed}");

    opened.record.until = Some(NOW.plus_millis(-60_000));
    let untold = text(&opened, Detail::Usual);
    let listed = list(std::slice::from_ref(&opened.record), false, &terminal(120));
    assert!(listed.contains("… time over, closing not told"), "{listed}");
    assert!(untold.contains("its time was over at 07:59:00 UTC") && untold.contains("has not told"), "{untold}");

    opened.record.stage = Stage::Ended;
    opened.record.history.push(step_of_life(Stage::Ended, NOW, "node es-1", Some("its time was over")));
    let closed = text(&opened, Detail::Usual);
    assert!(closed.starts_with("✓ closed again — Let 10.0.0.0/24 reach port 9200/tcp") && !closed.contains("OPEN"));
    assert!(closed.contains("closed again — node es-1: its time was over"), "{closed}");
}

#[test]
fn limits_are_the_lines_of_a_file() {
    let step = Step::UnitLimit(UnitLimit {
        unit: "es.service".parse().unwrap(),
        limits: [(Limit::Nofile, LimitValue::At(65_535)), (Limit::Memlock, LimitValue::Infinity)].into(),
        from: None,
        start: Some("es.service".parse().unwrap()),
    });
    assert_eq!(
        does(step),
        "/etc/systemd/system/es.service.d/60-dialtone.conf\na new file; nothing is done if there is one\n\
         +# Written by Dialtone.\n+[Service]\n+LimitNOFILE=65535\n+LimitMEMLOCK=infinity\n\
         systemctl daemon-reload\nsystemctl start es.service\n"
    );
}

#[test]
fn limits_are_taken_away_with_their_file() {
    let from = Some(Digest::of(b"x"));
    let unit = "es.service".parse().unwrap();
    assert_eq!(
        does(Step::UnitLimit(UnitLimit { unit, limits: [].into(), from, start: None })),
        format!(
            "rm /etc/systemd/system/es.service.d/60-dialtone.conf\nonly if its SHA-256 is {}\nsystemctl daemon-reload\n\
             es.service keeps the limits it runs with until its next start\n",
            Digest::of(b"x")
        )
    );
}

#[test]
fn a_unit_is_started_from_the_state_it_was_seen_in() {
    let of = |verb, from: &str, enable| {
        let (unit, from) = ("es.service".parse().unwrap(), from.parse().unwrap());
        does(Step::Service(Service { unit, verb, from, enable }))
    };
    let restart = of(Verb::Restart, "active", false);
    assert_eq!(restart, "systemctl restart es.service\nonly if it is active at that moment\n");
    let start = of(Verb::Start, "inactive", true);
    assert_eq!(
        start,
        "systemctl start es.service\nonly if it is inactive and disabled at that moment\nsystemctl enable es.service\nonce it \
         was seen to run\n"
    );
}

#[test]
fn the_list_says_what_is_missing() {
    let mut two = fetched(plan()).record;
    two.needed = 2;
    assert_eq!(
        list(&[two], false, &terminal(100)),
        "PLAN              STATE               NODE  WHAT\n\
         09cfd0aaced3d8f6  ? 0 of 2 approvals  es-1  Raise vm.max_map_count to 262144 on es-1\n  nobody has approved it yet; 2 \
         persons have to; nobody who could is known\n"
    );
    assert!(list(&[], false, &terminal(80)).contains("--all"));
}

/// Asks for an edit of the yml of es-1.
pub(crate) fn edit_of_the_yml() -> Plan {
    let step = r#"{"action":"config-edit","repository":"es-config","branch":"main","path":"prod/es-1/elasticsearch.yml",
        "from":"FROM","edits":[{"edit":"set","key":"network.host","from":"127.0.0.1","to":["_local_","10.0.0.5"]},
        {"edit":"rename","key":"http.prot","to":"http.port"}],"to":"TO"}"#;
    let step = step.replace("FROM", &"0".repeat(64)).replace("TO", &"1".repeat(64));
    Plan { by: CarriedOutBy::Controller {}, step: serde_json::from_str(&step).unwrap(), ..plan() }
}

#[test]
fn an_edit_says_what_changes_where_and_that_no_node_has_it_yet() {
    let mut asked = fetched(edit_of_the_yml());
    let proposed = text(&asked, Detail::Usual);
    let head = "? waits for approval — Propose to change network.host, http.prot for es-1 in repository";
    let does = "\nDOES       es-config: prod/es-1/elasticsearch.yml on branch main\n             by a pull request; a plain git remote \
                gets a branch to be merged\n             -network.host: 127.0.0.1\n             +network.host: \
                [\"_local_\", \"10.0.0.5\"]\n             -http.prot: …\n             +http.port: …\n";
    assert!(proposed.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(head), "{proposed}");
    assert!(proposed.contains(does), "{proposed}");
    assert!(proposed.contains("nothing changes on any node before it is merged"), "{proposed}");

    asked.record.link = Some("https://git.example/ops/es-config/pulls/7".to_owned());
    for (stage, because, said) in [
        (Stage::Applied, "the pull request is open", "… waits for the merge — "),
        (Stage::Verified, "it is as approved", "✓ merged — "),
    ] {
        asked.record.stage = stage;
        asked.record.history.push(step_of_life(stage, NOW, "controller", Some(because)));
        let text = text(&asked, Detail::Usual);
        assert!(text.starts_with(said) && text.contains("https://git.example/ops/es-config/pulls/7"), "{text}");
    }
    let mut page = Page::new(&terminal(200));
    outcome(&asked, &mut page, &terminal(200));
    assert!(
        page.to_text().contains("✓ merged — as approved; no node has it before it is rolled out"),
        "{}",
        page.to_text()
    );
}
