//! What host and port values mean.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::ResolvedSetting;

/// Whether an address value is reachable from this machine only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loopback {
    /// Only from here.
    Yes,
    /// From elsewhere too.
    No,
    /// It depends on what a name resolves to.
    Unknown,
}

impl Loopback {
    /// What one value of a host setting means to `NetworkService`. Values are case-sensitive there.
    pub fn of(value: &str) -> Self {
        let value = value.trim();
        let special = ['_', '#'].iter().find_map(|mark| value.strip_prefix(*mark)?.strip_suffix(*mark));
        if let Some(name) = special {
            let name = name.strip_suffix(":ipv4").or_else(|| name.strip_suffix(":ipv6")).unwrap_or(name);
            return if matches!(name, "local" | "lo") { Loopback::Yes } else { Loopback::No };
        }
        if value.is_empty() || value == "localhost" {
            return Loopback::Yes;
        }
        if value == "0" {
            return Loopback::No;
        }
        let address = value.split_once('%').map_or(value, |(address, _)| address);
        match address.parse::<IpAddr>() {
            Ok(address) if address.to_canonical().is_loopback() => Loopback::Yes,
            Ok(_) => Loopback::No,
            Err(_) => Loopback::Unknown,
        }
    }
}

impl ResolvedSetting {
    /// For a host setting: whether only this machine can connect. None when a name or variable decides.
    pub fn is_loopback_only(&self) -> Option<bool> {
        if !self.origin.is_known() {
            return None;
        }
        let kinds: Vec<Loopback> = self.values.iter().map(|value| Loopback::of(value)).collect();
        if kinds.contains(&Loopback::No) {
            return Some(false);
        }
        (!kinds.contains(&Loopback::Unknown)).then_some(true)
    }

    /// For a port setting: the ports tried, in order. Empty when a variable decides or the text is no port.
    pub fn ports(&self) -> Vec<RangeInclusive<u16>> {
        if !self.origin.is_known() {
            return Vec::new();
        }
        let text = self.values.join(",");
        text.split(',').map(|part| port_range(part.trim())).collect::<Option<_>>().unwrap_or_default()
    }

    /// The values as one text, for people; none for a default that has no value of its own.
    pub fn shown(&self) -> Option<String> {
        match self.values.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            several => Some(format!("[{}]", several.join(", "))),
        }
    }
}

fn port_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    (from <= to).then_some(from..=to)
}

#[cfg(test)]
mod tests {
    use super::super::Origin;
    use super::*;

    fn host(values: &[&str]) -> ResolvedSetting {
        ResolvedSetting {
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            setting: "network.host".to_owned(),
            origin: Origin::Argument,
        }
    }

    #[test]
    fn every_spelling_of_loopback() {
        for value in [
            "",
            "_local_",
            "_local:ipv4_",
            "_lo_",
            "#lo#",
            "_lo:ipv6_",
            "localhost",
            "127.0.0.1",
            "127.1.2.3",
            "::1",
            "::ffff:127.0.0.1",
        ] {
            assert_eq!(host(&[value]).is_loopback_only(), Some(true), "{value}");
        }
        for value in ["0.0.0.0", "0", "::", "_site_", "_global_", "_eth0_", "_eth0:ipv4_", "10.0.0.5", "fe80::1%eth0"] {
            assert_eq!(host(&[value]).is_loopback_only(), Some(false), "{value}");
        }
        for value in ["es-1", "[::1]", "127.0.0.1:9200", "“127.0.0.1”"] {
            assert_eq!(host(&[value]).is_loopback_only(), None, "{value}");
        }
        assert_eq!(host(&["_local_", "_site_"]).is_loopback_only(), Some(false));
        assert_eq!(host(&["es-1", "_site_"]).is_loopback_only(), Some(false));
        assert_eq!(host(&["es-1", "_local_"]).is_loopback_only(), None);
        assert_eq!(host(&[]).is_loopback_only(), Some(true));
    }

    #[test]
    fn ports_are_ranges_and_lists() {
        assert_eq!(host(&["9200"]).ports(), [9200..=9200]);
        assert_eq!(host(&["9200-9205,9300"]).ports(), [9200..=9205, 9300..=9300]);
        for wrong in ["92000", "abc", "9300-9200", "", "9200-", "-1"] {
            assert!(host(&[wrong]).ports().is_empty(), "{wrong}");
        }
        let unknown = ResolvedSetting { origin: Origin::Environment("PORT".to_owned()), ..host(&["${PORT}"]) };
        assert!(unknown.ports().is_empty());
        assert_eq!(unknown.is_loopback_only(), None);
    }
}
