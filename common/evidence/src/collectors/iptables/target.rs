//! The target of an iptables rule.

use super::options::number;
use crate::firewall::Block;
use crate::firewall::ruleset::{Effect, Remark, Step, Verdict};

/// A target and its options.
#[derive(Default)]
pub(super) struct Target {
    /// After `-j` or `-g`.
    pub name: Option<String>,
    /// `-g`.
    pub goto: bool,
    reject_with: Option<String>,
    to: Option<String>,
    xmark: Option<String>,
    no_track: bool,
    set_untold: bool,
}

impl Target {
    /// Takes an option in when it is a target's.
    pub(super) fn takes(&mut self, word: &str, value: &str) -> bool {
        match word {
            "--reject-with" => self.reject_with = Some(value.to_owned()),
            "--to-destination" | "--to-ports" => self.to = Some(value.to_owned()),
            "--set-xmark" | "--set-mark" => self.xmark = Some(value.to_owned()),
            "--notrack" => self.no_track = true,
            "--save-mark" | "--restore-mark" | "--and-mark" | "--or-mark" | "--xor-mark" => self.set_untold = true,
            "--set" | "--name" | "--rsource" | "--rdest" => {}
            _ => return self.name.is_some() && belongs_to_target(word),
        }
        true
    }
}

/// Options of targets that decide nothing about a packet.
fn belongs_to_target(word: &str) -> bool {
    const PREFIXES: [&str; 12] = [
        "--log-",
        "--nflog-",
        "--clamp",
        "--set-",
        "--checksum",
        "--helper",
        "--zone",
        "--timeout",
        "--type",
        "--random",
        "--persistent",
        "--add-set",
    ];
    PREFIXES.iter().any(|prefix| word.starts_with(prefix))
        || matches!(word, "--exist" | "--del-set" | "--map-set" | "--nfmask" | "--ctmask")
}

/// The steps a target stands for. `is_chain` tells chains of the table from targets of the kernel.
pub(super) fn steps(target: &Target, is_chain: &dyn Fn(&str) -> bool) -> Vec<Step> {
    const HARMLESS: [&str; 18] = [
        "LOG",
        "NFLOG",
        "ULOG",
        "TCPMSS",
        "CHECKSUM",
        "TRACE",
        "CLASSIFY",
        "DSCP",
        "TOS",
        "TTL",
        "HL",
        "AUDIT",
        "SET",
        "TCPOPTSTRIP",
        "SECMARK",
        "CONNSECMARK",
        "RATEEST",
        "IDLETIMER",
    ];
    let Some(name) = target.name.as_deref() else { return Vec::new() };
    let verdict = match name {
        "ACCEPT" => Verdict::Accept,
        "DROP" => Verdict::Drop,
        "REJECT" => reject(target.reject_with.as_deref()),
        "RETURN" => Verdict::Return,
        // Source translation ends its chain as an accept does.
        "MASQUERADE" | "SNAT" => Verdict::Accept,
        "DNAT" => translation(target.to.as_deref().unwrap_or_default()),
        "REDIRECT" => match target.to.as_deref().map(str::parse) {
            None => Verdict::Redirect(None),
            Some(Ok(port)) => Verdict::Redirect(Some(port)),
            Some(Err(_)) => Verdict::Other,
        },
        "MARK" => return vec![Step::Do(Effect::Mark(remark(target)))],
        // The connection's mark may be put on the packet, and the packet's on the connection.
        "CONNMARK" => return vec![Step::Do(Effect::Mark(None)), Step::Do(Effect::ConnectionMark(None))],
        "NOTRACK" => return vec![Step::Do(Effect::NoTrack)],
        "CT" if target.no_track => return vec![Step::Do(Effect::NoTrack)],
        "CT" => return Vec::new(),
        _ if HARMLESS.contains(&name) => return Vec::new(),
        _ if is_chain(name) && target.goto => Verdict::Goto(name.to_owned()),
        _ if is_chain(name) => Verdict::Jump(name.to_owned()),
        _ => Verdict::Other,
    };
    vec![Step::Then(verdict)]
}

/// Without an option REJECT answers port-unreachable, which clients take for a closed port.
fn reject(with: Option<&str>) -> Verdict {
    match with {
        Some("tcp-reset" | "tcp-rst") => Verdict::Reset,
        None | Some("icmp-port-unreachable" | "port-unreach" | "icmp6-port-unreachable") => {
            Verdict::Unreachable(Block::Refuse)
        }
        Some(_) => Verdict::Unreachable(Block::Prohibit),
    }
}

/// `10.0.0.2`, `10.0.0.2:9200`, `:9200`, `[fd00::2]:9200`. Ranges are not followed.
fn translation(to: &str) -> Verdict {
    if let Ok(address) = to.parse() {
        return Verdict::Translate { address: Some(address), port: None };
    }
    let Some((address, port)) = to.rsplit_once(':') else { return Verdict::Other };
    let address = address.trim_start_matches('[').trim_end_matches(']');
    match (address.is_empty(), address.parse(), port.parse()) {
        (true, _, Ok(port)) => Verdict::Translate { address: None, port: Some(port) },
        (false, Ok(address), Ok(port)) => Verdict::Translate { address: Some(address), port: Some(port) },
        _ => Verdict::Other,
    }
}

fn remark(target: &Target) -> Option<Remark> {
    let xmark = target.xmark.as_deref().filter(|_| !target.set_untold)?;
    let (value, mask) = xmark.split_once('/').unwrap_or((xmark, "0xffffffff"));
    Some(Remark { mask: number(mask)?, value: number(value)? })
}
