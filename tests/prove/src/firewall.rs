//! The calling thread's own nftables: a chain that drops what a plan lets in, and the kernel's own word on what was added to it.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdout, Command, Stdio};

use common_plan::{FirewallAllow, Opening, Place, PlanId, Step};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tests_node::Running;

const NFT: &str = "/usr/sbin/nft";
const DROP: &str = "tcp dport 9200 drop";

/// Sets the ruleset, in one transaction.
pub(crate) fn set(ruleset: &str) {
    let mut nft = Command::new(NFT).args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    nft.stdin.take().unwrap().write_all(ruleset.as_bytes()).unwrap();
    assert!(nft.wait().unwrap().success(), "nft took none of {ruleset:?}");
}

/// A table whose only chain has this rule; whatever was there before is gone.
pub(crate) fn table_with(rule: &str) -> String {
    format!("table inet es {{\n}}\ndelete table inet es\ntable inet es {{\nchain input {{\n{rule}\n}}\n}}\n")
}

/// A chain that drops, and the step that opens it for 10.0.0.0/8.
pub(crate) fn closed() -> Step {
    set(&table_with(DROP));
    let listing = list();
    let line = listing.lines().find(|line| line.contains(DROP)).unwrap();
    let (_, handle) = line.rsplit_once(" # handle ").unwrap();
    let before = Place { number: handle.trim().parse().unwrap(), rule: DROP.to_owned() };
    let opening = Opening::Nftables {
        family: "inet".parse().unwrap(),
        table: "es".parse().unwrap(),
        chain: "input".parse().unwrap(),
        before: Some(before),
        reply: false,
        file: None,
    };
    let source = "10.0.0.0/8".parse().unwrap();
    Step::FirewallAllow(FirewallAllow { source, port: 9200, openings: vec![opening], for_s: None })
}

/// Rules of a plan that are there now.
pub(crate) fn rules_of(plan: &PlanId) -> usize {
    list().matches(&mark(plan)).count()
}

/// The chain as nft shows it.
pub(crate) fn list() -> String {
    let listing = Command::new(NFT).args(["--handle", "list", "chain", "inet", "es", "input"]).output().unwrap();
    String::from_utf8(listing.stdout).unwrap()
}

fn mark(plan: &PlanId) -> String {
    format!("dialtone-{plan}")
}

/// Hears of every rule that the kernel takes, in order.
#[derive(Debug)]
pub(crate) struct Monitor {
    _nft: Running,
    lines: BufReader<ChildStdout>,
    signs: u64,
    heard: Vec<String>,
}

impl Monitor {
    /// From now on.
    pub(crate) fn start() -> Self {
        // Before it is started: a table that is made between its look at what there is and its listening it never hears of, and
        // what is in it is left out.
        set("table inet signs {\nchain signs {\n}\n}\n");
        let mut nft = Command::new(NFT);
        let mut nft = Running::start(nft.args(["monitor", "new", "rules"]).stdout(Stdio::piped()));
        let lines = BufReader::new(nft.child().stdout.take().unwrap());
        let mut monitor = Self { _nft: nft, lines, signs: 0, heard: Vec::new() };
        // It says nothing when it has begun to listen, so it is asked until it answers.
        tests_node::until("nft monitor listens", || {
            monitor.sign();
            let patience = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            poll(&mut [PollFd::new(monitor.lines.get_ref(), PollFlags::IN)], Some(&patience)).unwrap() > 0
        });
        monitor
    }

    fn sign(&mut self) -> String {
        self.signs += 1;
        let sign = format!("sign-{}", self.signs);
        set(&format!("add rule inet signs signs accept comment \"{sign}\"\n"));
        sign
    }

    /// Rules of a plan that were added until now, those included that are gone again.
    pub(crate) fn added(&mut self, plan: &PlanId) -> u64 {
        let sign = self.sign();
        while !self.heard.last().is_some_and(|line| line.contains(&format!("\"{sign}\""))) {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "nft monitor ended");
            self.heard.push(line);
        }
        self.heard.iter().filter(|line| line.contains(&mark(plan))).count() as u64
    }
}
