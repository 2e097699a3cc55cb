//! What a client was told: scheme, host and port.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The port the engines answer HTTP on unless told otherwise.
pub const DEFAULT_HTTP_PORT: u16 = 9200;

/// Whether the client speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        })
    }
}

/// A client's target. Parsed from `http://es-1:9200`, `es-1:9200`, `es-1`, `[::1]:9200`; user information and path are dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The scheme, if the client was given one.
    pub scheme: Option<Scheme>,
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// A text that is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// No host in it.
    #[error("there is no host name or address in {0:?}")]
    NoHost(String),
    /// A scheme other than http and https.
    #[error("unknown scheme {0:?}: give http://HOST:PORT, https://HOST:PORT, HOST:PORT or HOST")]
    Scheme(String),
    /// The port is not a number from 1 to 65535.
    #[error("{0:?} is not a port: give a number from 1 to 65535")]
    Port(String),
    /// A character that cannot be in a host name.
    #[error("{0:?} is not a host name or address")]
    Host(String),
}

impl Endpoint {
    /// The host as an address, when it is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// True when the host means the machine it is used on: `localhost`, 127.0.0.0/8 or `::1`.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.address().is_some_and(|address| address.is_loopback())
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let text = text.trim();
        let (scheme, rest) = match text.split_once("://") {
            None => (None, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some(Scheme::Http), rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some(Scheme::Https), rest),
            Some((scheme, _)) => return Err(InvalidEndpoint::Scheme(cut(scheme))),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = split_port(authority)?;
        if host.is_empty() {
            return Err(InvalidEndpoint::NoHost(cut(text)));
        }
        let host = host.to_ascii_lowercase();
        let valid = host.parse::<IpAddr>().is_ok()
            || (host.len() <= 253 && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')));
        if !valid {
            return Err(InvalidEndpoint::Host(cut(&host)));
        }
        Ok(Endpoint { scheme, host, port })
    }
}

fn split_port(authority: &str) -> Result<(&str, u16), InvalidEndpoint> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(|| InvalidEndpoint::Host(cut(authority)))?;
        let port = after.strip_prefix(':').map_or(Ok(DEFAULT_HTTP_PORT), parse_port)?;
        return Ok((host, port));
    }
    match authority.rsplit_once(':') {
        // A bare IPv6 address has colons of its own.
        Some((host, _)) if host.contains(':') => Ok((authority, DEFAULT_HTTP_PORT)),
        Some((host, port)) => Ok((host, parse_port(port)?)),
        None => Ok((authority, DEFAULT_HTTP_PORT)),
    }
}

fn parse_port(text: &str) -> Result<u16, InvalidEndpoint> {
    match text.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(InvalidEndpoint::Port(cut(text))),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{scheme}://")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<Endpoint>().map_or_else(|e| format!("error: {e}"), |e| e.to_string())
    }

    #[test]
    fn reads_what_people_paste() {
        assert_eq!(shown("http://es-1:9200"), "http://es-1:9200");
        assert_eq!(shown("HTTPS://ES-1/_cluster/health?x"), "https://es-1:9200");
        assert_eq!(shown("es-1"), "es-1:9200");
        assert_eq!(shown("https://user:secret@es-1:9201/"), "https://es-1:9201");
        assert_eq!(shown("[::1]:9200"), "[::1]:9200");
        assert_eq!(shown("::1"), "[::1]:9200");
    }

    #[test]
    fn says_what_is_wrong() {
        assert!(shown("http://").starts_with("error: there is no host"));
        assert!(shown("es-1:99999").contains("not a port"));
        assert!(shown("ftp://es-1").contains("unknown scheme"));
        assert!(shown("es 1").contains("not a host name"));
        assert!(shown("es\u{1b}[2J").contains(r"\u{1b}"));
    }
}
