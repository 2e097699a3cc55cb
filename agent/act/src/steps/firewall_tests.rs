//! Openings in each owner's firewall on a host in a directory: what they need, what they do, and that undoing leaves what was
//! there, however far they came.

use std::fs;
use std::os::unix::fs::symlink;

use common_plan::{FirewallAllow, FirewallRevoke, Opening, Place, RulesFile, rules_file};
use tempfile::TempDir;

use super::*;

const NFT: &str = "table inet filter {\n\tchain input {\n\t\ttcp dport 22 accept\n\t\ttcp dport 9200 drop\n\t}\n}\n";
const SAVED: &str =
    "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 9200 -j DROP\nCOMMIT\n";
const UFW: &str = "*filter\n:ufw-user-input - [0:0]\n### RULES ###\n\n### tuple ### allow any 22 0.0.0.0/0 any 0.0.0.0/0 in\n\
                   -A ufw-user-input -p tcp --dport 22 -j ACCEPT\n-A ufw-user-input -p udp --dport 22 -j ACCEPT\n\n\
                   ### tuple ### deny tcp 9200 0.0.0.0/0 any 0.0.0.0/0 in\n-A ufw-user-input -p tcp --dport 9200 -j DROP\n\n\
                   ### END RULES ###\nCOMMIT\n";
/// What the stand-ins keep as the kernel's rules.
const LIVE: [&str; 3] = ["/usr/sbin/chain", "/usr/sbin/rules", "/usr/bin/runtime"];
const KEPT: [&str; 4] = ["/etc/nftables.conf", "/etc/iptables/rules.v4", "/etc/ufw/user.rules", "/usr/bin/permanent"];

struct Host {
    _root: TempDir,
    places: Places,
}

impl Host {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        let host = Self { places: Places::below(root.path().to_owned()), _root: root };
        host.write("/usr/sbin/chain", "tcp dport 22 accept # handle 4\ntcp dport 9200 drop # handle 5\n");
        let rules = "-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 9200 -j DROP\n\
                     -A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT\n-A ufw-user-input -p udp -m udp --dport 22 -j ACCEPT\n\
                     -A ufw-user-input -p tcp -m tcp --dport 9200 -j DROP\n";
        host.write("/usr/sbin/rules", rules);
        host.write("/usr/bin/runtime", "rule family=\"ipv4\" port port=\"9200\" protocol=\"tcp\" drop\n");
        host.write("/usr/bin/permanent", "");
        host.write("/usr/bin/state", "active\n");
        host.write("/run/dialtone-actuator/session", "");
        for (path, content) in KEPT.into_iter().zip([NFT, SAVED, UFW]) {
            host.write(path, content);
        }
        for (place, tool) in [
            ("/usr/sbin/nft", "nft"),
            ("/usr/sbin/iptables-nft", "iptables-nft"),
            ("/usr/bin/firewall-cmd", "firewall-cmd"),
            ("/usr/bin/firewall-offline-cmd", "firewall-cmd"),
            ("/usr/bin/systemctl", "systemctl"),
        ] {
            let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools").join(tool);
            symlink(stand_in, host.places.at(place)).unwrap();
        }
        host
    }

    fn write(&self, path: &str, content: &str) {
        fs::create_dir_all(self.places.at(path).parent().unwrap()).unwrap();
        fs::write(self.places.at(path), content).unwrap();
    }

    fn all(&self, paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| fs::read_to_string(self.places.at(path)).unwrap()).collect()
    }

    fn live(&self) -> Vec<String> {
        // nft gives a new handle to every rule, and its own does not matter.
        let rule = |line: &str| line.split(" # handle").next().unwrap_or_default().to_owned() + "\n";
        self.all(&LIVE).iter().map(|text| text.lines().map(rule).collect()).collect()
    }

    fn state(&self) -> Vec<String> {
        [self.live(), self.all(&KEPT)].concat()
    }

    fn observe(&self, step: &Step) -> Result<Before, Refusal> {
        observe(step, &id(), &self.places)
    }

    /// Carries a step out to the end.
    fn carry_out(&self, step: &Step) {
        let before = self.observe(step).unwrap();
        apply(step, &before, &id(), &self.places).unwrap();
        persist(step, &before, &id(), &self.places).unwrap();
    }
}

fn id() -> PlanId {
    "0123456789abcdef".parse().unwrap()
}

fn place(number: u64, rule: &str) -> Option<Place> {
    Some(Place { number, rule: rule.to_owned() })
}

fn nft(before: Option<Place>) -> Opening {
    let [family, table, chain] = ["inet", "filter", "input"].map(|label| label.parse().unwrap());
    Opening::Nftables { family, table, chain, before, reply: false, file: Some(RulesFile::Nftables) }
}

fn iptables(before: Option<Place>) -> Opening {
    let (table, chain) = ("filter".parse().unwrap(), "INPUT".parse().unwrap());
    Opening::Iptables { legacy: false, table, chain, before, reply: false, file: Some(RulesFile::Persistent) }
}

fn firewalld() -> Opening {
    Opening::Firewalld { zone: Some("public".parse().unwrap()), policy: None, priority: Some(-1) }
}

const DENY: &str = "deny tcp 9200 0.0.0.0/0 any 0.0.0.0/0 in";

/// One for each owner, with the place that it has in the kernel and the one it has in its file.
fn openings() -> [(Opening, &'static str); 7] {
    [
        (nft(place(5, "tcp dport 9200 drop")), "22 accept\nOURS\ntcp dport 9200"),
        (nft(None), "9200 drop\nOURS\n"),
        (iptables(place(2, "-A INPUT -p tcp -m tcp --dport 9200 -j DROP")), "-i lo -j ACCEPT\nOURS\n-A INPUT -p tcp"),
        (iptables(None), "9200 -j DROP\nOURS\n"),
        (Opening::Ufw { before: place(2, DENY) }, "--dport 22 -j ACCEPT\nOURS\n-A ufw-user-input -p tcp"),
        (Opening::Ufw { before: None }, "9200 -j DROP\nOURS\n"),
        (firewalld(), "drop\nOURS\n"),
    ]
}

fn allow(openings: Vec<Opening>) -> Step {
    Step::FirewallAllow(FirewallAllow { source: "10.1.1.0/24".parse().unwrap(), port: 9200, openings, for_s: None })
}

fn revoke(step: &Step) -> Step {
    let Step::FirewallAllow(made) = step else { panic!("{step:?}") };
    Step::FirewallRevoke(FirewallRevoke { plan: id(), made: made.clone() })
}

fn everything() -> Step {
    allow(vec![
        nft(place(5, "tcp dport 9200 drop")),
        iptables(place(2, "-A INPUT -p tcp -m tcp --dport 9200 -j DROP")),
        Opening::Ufw { before: place(2, DENY) },
        firewalld(),
    ])
}

/// However far a step came, undoing it brings back what was there, and undoing it again changes nothing.
#[test]
fn undoing_brings_back_what_was_there_from_wherever_it_stopped() {
    for step in openings().into_iter().map(|(opening, _)| allow(vec![opening])).chain([everything()]) {
        for stage in 0..3 {
            for backwards in [false, true] {
                let host = Host::new();
                let step = if backwards {
                    host.carry_out(&step);
                    revoke(&step)
                } else {
                    step.clone()
                };
                let old = host.state();
                let before = host.observe(&step).unwrap();
                if stage > 0 {
                    apply(&step, &before, &id(), &host.places).unwrap();
                    assert_ne!(host.state(), old);
                    assert_eq!(host.all(&KEPT), old[3..], "nothing lasts before it is confirmed");
                }
                if stage > 1 {
                    persist(&step, &before, &id(), &host.places).unwrap();
                    assert_ne!(host.all(&KEPT), old[3..]);
                }
                for _ in 0..2 {
                    undo(&step, &before, &id(), &host.places).unwrap();
                    assert_eq!(host.state(), old, "{step:?} stopped after {stage}");
                }
            }
        }
    }
}

#[test]
fn the_client_is_let_in_where_it_takes_effect_and_shut_out_again_to_the_letter() {
    for (opening, around) in openings() {
        let (host, step) = (Host::new(), allow(vec![opening]));
        let old = host.state();
        host.carry_out(&step);
        let own = |line: &str| {
            line.contains("10.1.1.0/24") && (line.contains(&rules_file::mark(&id())) || line.starts_with("rule"))
        };
        let marked = |text: &String| {
            text.lines()
                .map(|line| if own(line) { "OURS\n".to_owned() } else { format!("{line}\n") })
                .collect::<String>()
        };
        let live: Vec<String> = host.live().iter().map(marked).collect();
        assert!(live.iter().any(|text| text.contains(around)), "{step:?}: {live:#?}");
        host.carry_out(&revoke(&step));
        assert_eq!(host.state(), old);
        assert!(matches!(host.observe(&revoke(&step)), Err(Refusal::Changed(_))), "there is nothing left to take away");
    }
}

#[test]
fn what_is_not_as_the_plan_says_refuses_it_and_changes_nothing() {
    for opening in [
        nft(place(4, "tcp dport 9200 drop")),
        nft(place(5, "tcp dport 9300 drop")),
        iptables(place(1, "-A INPUT -p tcp -m tcp --dport 9200 -j DROP")),
        iptables(place(3, "-A INPUT -p tcp -m tcp --dport 9300 -j DROP")),
        Opening::Ufw { before: place(2, "deny tcp 9300 0.0.0.0/0 any 0.0.0.0/0 in") },
    ] {
        let host = Host::new();
        let old = host.state();
        let refused = host.observe(&allow(vec![opening.clone()]));
        assert!(matches!(refused, Err(Refusal::Changed(_))), "{opening:?}: {refused:?}");
        assert_eq!(host.state(), old);
    }
    for (opening, _) in openings() {
        let (host, step) = (Host::new(), allow(vec![opening]));
        host.carry_out(&step);
        assert!(matches!(host.observe(&step), Err(Refusal::Changed(_))), "it is there already: {step:?}");
    }
}

#[test]
fn a_file_that_does_not_hold_the_place_refuses_the_plan_that_counts_on_it() {
    let host = Host::new();
    for path in KEPT {
        host.write(path, "");
    }
    for (opening, _) in openings().into_iter().filter(|(opening, _)| !matches!(opening, Opening::Firewalld { .. })) {
        assert!(matches!(host.observe(&allow(vec![opening])), Err(Refusal::Changed(_))));
    }
}

#[test]
fn ufw_is_only_opened_while_the_kernel_has_the_rules_of_its_file() {
    let host = Host::new();
    host.write("/usr/sbin/rules", "-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT\n");
    let refused = host.observe(&allow(vec![Opening::Ufw { before: None }])).unwrap_err();
    assert!(refused.to_string().contains("reload it first"), "{refused}");
}

#[test]
fn what_ufw_has_loaded_anew_without_the_mark_is_known_by_its_file() {
    let (host, step) = (Host::new(), allow(vec![Opening::Ufw { before: place(2, DENY) }]));
    let old = host.state();
    host.carry_out(&step);
    let comment = format!(" -m comment --comment {}", rules_file::mark(&id()));
    for path in ["/usr/sbin/rules", "/etc/ufw/user.rules"] {
        let text = fs::read_to_string(host.places.at(path)).unwrap();
        assert!(text.contains(&comment));
        host.write(path, &text.replace(&comment, ""));
    }
    host.carry_out(&revoke(&step));
    assert_eq!(host.state(), old);
}

#[test]
fn firewalld_that_does_not_run_is_put_right_by_its_files() {
    let (host, step) = (Host::new(), allow(vec![firewalld()]));
    let before = host.observe(&step).unwrap();
    persist(&step, &before, &id(), &host.places).unwrap();
    host.write("/usr/bin/state", "inactive\n");
    fs::remove_file(host.places.at("/usr/bin/firewall-cmd")).unwrap();
    undo(&step, &before, &id(), &host.places).unwrap();
    assert_eq!(host.all(&["/usr/bin/permanent"]), [""]);
}

#[test]
fn a_script_that_nft_does_not_take_is_never_put_in_place() {
    let (host, step) = (Host::new(), allow(vec![nft(None)]));
    let before = host.observe(&step).unwrap();
    host.write("/etc/nftables.conf", &format!("include \"x\"\n{NFT}"));
    assert!(persist(&step, &before, &id(), &host.places).is_err());
    assert_eq!(host.all(&["/etc/nftables.conf"]), [format!("include \"x\"\n{NFT}")]);
}

#[test]
fn iptables_legacy_is_left_to_people() {
    let (table, chain) = ("filter".parse().unwrap(), "INPUT".parse().unwrap());
    let legacy = Opening::Iptables { legacy: true, table, chain, before: None, reply: false, file: None };
    let refused = Host::new().observe(&allow(vec![legacy])).unwrap_err();
    assert!(refused.to_string().contains("raw socket"), "{refused}");
}
