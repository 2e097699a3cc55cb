//! What captured rulesets do to connections: `firewall_fate DIRECTORY`, with `SOURCE DESTINATION PORT [INTERFACE]` lines on
//! standard input; each is answered by one line: the fate, and for a blocked one, between tabs, the place, the rule, the commands
//! that open it and those that take them back.
//!
//! Reads whichever of these files the directory has: `nft.json` (`nft -j -a list ruleset`), `iptables.txt`, `ip6tables.txt`,
//! `legacy.txt`, `legacy6.txt` (the save programs), `ufw.json`, `firewalld.json` and `interfaces.json` (as the agent sends them).

#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)]

use std::path::Path;
use std::process::ExitCode;

use common_evidence::Evidence;
use common_evidence::collectors::firewalld::Firewalld;
use common_evidence::collectors::interfaces::Interfaces;
use common_evidence::collectors::iptables::Iptables;
use common_evidence::collectors::nftables::Nftables;
use common_evidence::collectors::ufw::Ufw;
use common_evidence::firewall::{self, Fate, Firewalls, Network, Packet, Reads};

fn read<T: Evidence>(directory: &Path, file: &str, subject: &str) -> Option<T> {
    let raw = std::fs::read(directory.join(file)).ok()?;
    Some(T::parse(&raw, subject, 1).value)
}

fn packet(line: &str) -> Option<Packet> {
    let mut words = line.split_whitespace();
    let source = words.next()?.parse().ok()?;
    let destination = words.next()?.parse().ok()?;
    let port = words.next()?.parse().ok()?;
    Some(Packet { source, destination, port, interface: words.next().map(str::to_owned) })
}

fn answer(firewalls: &Firewalls, packet: &Packet) -> String {
    match firewall::decide(firewalls, packet) {
        Fate::Passes => "Passes".to_owned(),
        Fate::Unclear(text) => format!("Unclear {text}"),
        Fate::Blocked(decision) => {
            let opening = firewall::opening(firewalls, &decision, packet, Network::host(packet.source));
            let rule = decision.rule.as_deref().unwrap_or("policy");
            let (owner, place) = (decision.owner.slug(), &decision.place);
            let commands = [opening.commands, opening.undo].map(|commands| commands.join(" && "));
            format!("{:?} {owner}\t{place}\t{rule}\t{}", decision.block, commands.join("\t"))
        }
    }
}

fn main() -> ExitCode {
    let Some(directory) = std::env::args().nth(1) else {
        eprintln!("usage: firewall_fate DIRECTORY < LINES");
        return ExitCode::from(2);
    };
    let directory = Path::new(&directory);
    let nftables = read::<Nftables>(directory, "nft.json", "");
    let iptables = read::<Iptables>(directory, "iptables.txt", "ip");
    let ip6tables = read::<Iptables>(directory, "ip6tables.txt", "ip6");
    let legacy = read::<Iptables>(directory, "legacy.txt", "legacy");
    let legacy6 = read::<Iptables>(directory, "legacy6.txt", "legacy6");
    let ufw = read::<Ufw>(directory, "ufw.json", "");
    let firewalld = read::<Firewalld>(directory, "firewalld.json", "");
    let interfaces = read::<Interfaces>(directory, "interfaces.json", "");
    let firewalls = Firewalls::from_reads(Reads {
        nftables: nftables.as_ref(),
        iptables: iptables.as_ref(),
        ip6tables: ip6tables.as_ref(),
        legacy: legacy.as_ref(),
        legacy6: legacy6.as_ref(),
        legacy_tables: None,
        ufw: ufw.as_ref(),
        firewalld: firewalld.as_ref(),
        interfaces: interfaces.as_ref(),
        ..Reads::default()
    });
    for line in std::io::stdin().lines().map_while(Result::ok) {
        match packet(&line) {
            Some(packet) => println!("{}", answer(&firewalls, &packet)),
            None => eprintln!("not SOURCE DESTINATION PORT [INTERFACE]: {line:?}"),
        }
    }
    ExitCode::SUCCESS
}
