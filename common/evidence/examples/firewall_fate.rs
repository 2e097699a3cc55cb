//! What captured rulesets do to a connection: `firewall_fate DIRECTORY SOURCE DESTINATION PORT [INTERFACE]`.
//!
//! Reads whichever of these files the directory has: `nft.json` (`nft -j -a list ruleset`), `iptables.txt`, `ip6tables.txt`,
//! `legacy.txt` (the save programs), `ufw.json`, `firewalld.json` and `interfaces.json` (as the agent sends them).

use std::path::Path;
use std::process::ExitCode;

use common_evidence::collectors::{firewalld::Firewalld, interfaces::Interfaces, iptables::Iptables, nftables::Nftables, ufw::Ufw};
use common_evidence::firewall::{self, Fate, Firewalls, Network, Packet, Reads};
use common_evidence::Evidence;

fn read<T: Evidence>(directory: &Path, file: &str, subject: &str) -> Option<T> {
    let raw = std::fs::read(directory.join(file)).ok()?;
    Some(T::parse(&raw, subject, 1).value)
}

#[allow(clippy::print_stdout, clippy::print_stderr)]
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let packet = match args.as_slice() {
        [_, source, destination, port, rest @ ..] => source.parse().ok().zip(destination.parse().ok()).zip(port.parse().ok()).map(
            |((source, destination), port)| Packet { source, destination, port, interface: rest.first().cloned() },
        ),
        _ => None,
    };
    let (Some(directory), Some(packet)) = (args.first().map(Path::new), packet) else {
        eprintln!("usage: firewall_fate DIRECTORY SOURCE DESTINATION PORT [INTERFACE]");
        return ExitCode::from(2);
    };
    let nftables = read::<Nftables>(directory, "nft.json", "");
    let iptables = read::<Iptables>(directory, "iptables.txt", "ip");
    let ip6tables = read::<Iptables>(directory, "ip6tables.txt", "ip6");
    let legacy = read::<Iptables>(directory, "legacy.txt", "legacy");
    let ufw = read::<Ufw>(directory, "ufw.json", "");
    let firewalld = read::<Firewalld>(directory, "firewalld.json", "");
    let interfaces = read::<Interfaces>(directory, "interfaces.json", "");
    let firewalls = Firewalls::from_reads(Reads {
        nftables: nftables.as_ref(),
        iptables: iptables.as_ref(),
        ip6tables: ip6tables.as_ref(),
        legacy: legacy.as_ref(),
        ufw: ufw.as_ref(),
        firewalld: firewalld.as_ref(),
        interfaces: interfaces.as_ref(),
        ..Reads::default()
    });
    let fate = firewall::decide(&firewalls, &packet);
    println!("{fate:#?}");
    if let Fate::Blocked(decision) = &fate {
        println!("{:#?}", firewall::opening(&firewalls, decision, &packet, Network::host(packet.source)));
    }
    for line in firewall::rules_for_port(&firewalls, packet.port) {
        println!("{}: {}", line.place, line.text);
    }
    ExitCode::SUCCESS
}
