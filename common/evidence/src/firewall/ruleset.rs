//! The shape that nftables and iptables rulesets share.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use super::Block;

/// Whose packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Both.
    Inet,
    /// Frames as they come in by one device.
    Netdev,
    /// Bridged frames.
    Bridge,
    /// ARP.
    Arp,
}

impl Family {
    /// From nft's word for it.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "ip" => Self::Ip,
            "ip6" => Self::Ip6,
            "inet" => Self::Inet,
            "netdev" => Self::Netdev,
            "bridge" => Self::Bridge,
            "arp" => Self::Arp,
            _ => return None,
        })
    }

    /// nft's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Inet => "inet",
            Self::Netdev => "netdev",
            Self::Bridge => "bridge",
            Self::Arp => "arp",
        }
    }

    /// Whether tables of this family see packets to `address`.
    pub fn sees(self, address: IpAddr) -> bool {
        match self {
            Self::Ip => address.is_ipv4(),
            Self::Ip6 => address.is_ipv6(),
            Self::Inet | Self::Netdev | Self::Bridge => true,
            Self::Arp => false,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Who prints the table, and so which command changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// nft.
    Nft,
    /// iptables or ip6tables.
    Iptables,
    /// iptables-legacy or ip6tables-legacy, whose tables nft does not see.
    IptablesLegacy,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Whose packets it sees.
    pub family: Family,
    /// Its name.
    pub name: String,
    /// Grows with the time of creation; 0 where unknown.
    pub handle: u64,
    /// Who prints it.
    pub tool: Tool,
    /// Switched off as a whole.
    pub dormant: bool,
    /// In the order in which they are listed.
    pub chains: Vec<Chain>,
    /// Named sets and maps.
    pub sets: BTreeMap<String, Vec<Element>>,
}

impl Table {
    /// The chain of this name.
    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name == name)
    }

    /// True for a table in the nft listing that iptables-nft made: its names, and the counter that iptables puts in every rule.
    /// iptables-save tells such a table better than nft, which shows most matches as opaque.
    pub fn is_made_by_iptables(&self) -> bool {
        const TABLES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];
        const CHAINS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];
        matches!(self.family, Family::Ip | Family::Ip6)
            && TABLES.contains(&self.name.as_str())
            && self.sets.is_empty()
            && self.chains.iter().all(|chain| {
                (chain.base.is_none() || CHAINS.contains(&chain.name.as_str()))
                    && chain.rules.iter().all(|rule| rule.counted)
            })
    }
}

/// One chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Grows with the time of creation; 0 where unknown.
    pub handle: u64,
    /// Where packets enter it, unless it is only jumped to.
    pub base: Option<Base>,
    /// In order.
    pub rules: Vec<Rule>,
}

/// How a base chain is hooked in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Chains of type `nat` see only the first packet of a connection, and stop at the first translation.
    pub nat: bool,
    /// The hook.
    pub hook: Hook,
    /// Lower runs first.
    pub priority: i32,
    /// What becomes of packets that reach the end: dropped, else let through.
    pub drops: bool,
    /// Devices, for the ingress hook.
    pub devices: Vec<String>,
}

/// The points of a packet's way where chains hook in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// On a device, before anything else.
    Ingress,
    /// Before routing.
    Prerouting,
    /// To this host.
    Input,
    /// Through this host.
    Forward,
    /// From this host.
    Output,
    /// After routing.
    Postrouting,
}

impl Hook {
    /// From nft's word, in any case (iptables names its base chains so).
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "ingress" => Self::Ingress,
            "prerouting" => Self::Prerouting,
            "input" => Self::Input,
            "forward" => Self::Forward,
            "output" => Self::Output,
            "postrouting" => Self::Postrouting,
            _ => return None,
        })
    }

    /// nft's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        }
    }
}

/// One rule: its steps are taken in order until a condition does not hold or a verdict is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// In order.
    pub steps: Vec<Step>,
    /// As its own tool prints it, without counters' values and handle.
    pub text: String,
    /// nft's handle.
    pub handle: Option<u64>,
    /// Whether it counts its packets.
    pub counted: bool,
}

/// One step of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Go on only if this holds.
    If(Condition),
    /// Change what later rules see.
    Do(Effect),
    /// Decide.
    Then(Verdict),
    /// Decide by a map from values to verdicts; go on when nothing in it matches.
    Lookup {
        /// What is looked up.
        keys: Vec<Key>,
        /// In what.
        elements: Elements,
    },
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// These values together are (or, negated, are not) among the elements.
    Match {
        /// Compared together, as one concatenated value.
        keys: Vec<Key>,
        /// Turns the answer around.
        negated: bool,
        /// What they are compared with.
        elements: Elements,
    },
    /// It depends on something that evidence does not tell: a rate, the time of day, an ipset.
    CannotTell,
}

/// The elements a value is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elements {
    /// Written in the rule.
    Here(Vec<Element>),
    /// A named set or map of the same table.
    Named(String),
}

/// One element of a set or map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// One for each key.
    pub parts: Vec<Pattern>,
    /// The verdict, in verdict maps.
    pub verdict: Option<Verdict>,
    /// As nft prints it.
    pub text: String,
}

impl Element {
    /// An element of one part, outside maps.
    pub fn of(pattern: Pattern) -> Self {
        Self { parts: vec![pattern], verdict: None, text: String::new() }
    }
}

/// What a value is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// Everything.
    Any,
    /// First and last address.
    Addresses(IpAddr, IpAddr),
    /// First and last number.
    Numbers(u64, u64),
    /// Exactly this name.
    Name(String),
    /// Names that begin so.
    NamePrefix(String),
    /// Not understood.
    Opaque,
}

/// A property of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Source address.
    Source,
    /// Destination address.
    Destination,
    /// Source port.
    SourcePort,
    /// Destination port.
    DestinationPort,
    /// IP protocol number.
    Protocol,
    /// 4 or 6.
    Version,
    /// Name of the interface it came in by; empty where there is none.
    InInterface,
    /// Name of the interface it leaves by; empty where there is none.
    OutInterface,
    /// The packet's mark under a mask.
    Mark(u32),
    /// The connection's mark under a mask.
    ConnectionMark(u32),
    /// `new`, `established`, `related`, `invalid` or `untracked`.
    State,
    /// `dnat`, `confirmed`, `seen-reply` …; matches when any is among them.
    Status,
    /// `original` or `reply`.
    Direction,
    /// TCP flags under a mask.
    TcpFlags(u8),
    /// `local`, `unicast`, `broadcast`, `multicast` …, of the source.
    SourceType,
    /// The same of the destination.
    DestinationType,
    /// `host`, `broadcast`, `multicast`.
    PacketType,
    /// 1 when the way back to the source leads over the interface it came in by.
    ReversePath,
    /// Something else.
    Other,
}

/// A change to what later rules see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The packet's mark becomes (mark and not `mask`) xor `value`; none when the new mark cannot be told.
    Mark(Option<Remark>),
    /// The same for the connection's mark.
    ConnectionMark(Option<Remark>),
    /// The connection is not tracked.
    NoTrack,
}

/// New mark = (old and not `mask`) xor `value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remark {
    /// Bits that are cleared first.
    pub mask: u32,
    /// Bits that are then turned.
    pub value: u32,
}

/// What a rule decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Past this base chain; later ones are still asked.
    Accept,
    /// Blocked for good, without a word.
    Drop,
    /// Blocked for good, answered by a TCP reset.
    Reset,
    /// Blocked for good, answered by an ICMP error; how a client takes it.
    Unreachable(Block),
    /// On to this chain, and back when it decides nothing.
    Jump(String),
    /// On to this chain, and not back.
    Goto(String),
    /// Back to where the chain was jumped to from.
    Return,
    /// On with the next rule.
    Continue,
    /// To another address or port.
    Translate {
        /// New destination; none keeps it.
        address: Option<IpAddr>,
        /// New port; none keeps it.
        port: Option<u16>,
    },
    /// To this host itself, at this port.
    Redirect(Option<u16>),
    /// Something evidence does not tell: a queue to a program, a proxy, a target that is not known.
    Other,
}
