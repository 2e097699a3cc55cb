//! The checks, by how their messages begin.

use super::FailedCheck;

/// Where in a message a value stands.
#[derive(Clone, Copy)]
enum At {
    /// It has none.
    None,
    /// In the pair of brackets of this number, from 0.
    Bracket(usize),
    /// In the last pair of brackets.
    Last,
    /// It is always this.
    Fixed(&'static str),
    /// Between these texts.
    Between(&'static str, &'static str),
}

/// Beginning of the message, id, value found, value wanted.
static CHECKS: &[(&str, &str, At, At)] = &[
    ("initial heap size [", "heap-size", At::Bracket(0), At::Bracket(1)),
    ("max file descriptors [", "file-descriptors", At::Bracket(0), At::Last),
    ("memory locking requested for ", "memory-lock", At::None, At::None),
    ("max number of threads [", "max-threads", At::Bracket(0), At::Last),
    ("max size virtual memory [", "max-virtual-memory", At::Bracket(0), At::Last),
    ("max file size [", "max-file-size", At::Bracket(0), At::Last),
    ("max virtual memory areas vm.max_map_count [", "max-map-count", At::Bracket(0), At::Last),
    ("JVM is using the client VM [", "client-jvm", At::Bracket(0), At::None),
    ("JVM is using the serial collector", "serial-gc", At::None, At::None),
    ("system call filters failed to install", "system-call-filter", At::None, At::None),
    ("OnError [", "on-error", At::Bracket(0), At::None),
    ("OnOutOfMemoryError [", "on-out-of-memory-error", At::Bracket(0), At::None),
    ("Java version [", "early-access", At::Bracket(0), At::None),
    ("JVM version [", "g1gc", At::Bracket(0), At::Fixed("Java 8u40")),
    ("The current JVM version ", "java-version", At::Between("JVM version ", " is not"), At::None),
    ("granting the all permission", "all-permission", At::None, At::None),
    ("the default discovery settings are unsuitable", "discovery-configured", At::None, At::Last),
    ("discovery type [", "discovery-configured", At::Bracket(0), At::None),
    ("Little-endian native byte order is required", "byte-order", At::None, At::Fixed("little-endian")),
    ("Multiple data paths are not allowed", "data-paths", At::None, At::None),
    ("Transport SSL must be enabled", "transport-tls", At::None, At::None),
    ("HTTPS is required in order to use the ", "https-tokens", At::None, At::None),
    ("The default value for [xpack.security.enabled] has changed", "security-implicit", At::None, At::None),
];

/// True when the text is the message of a check we know, with nothing in front of it.
pub(super) fn is_known(text: &str) -> bool {
    CHECKS.iter().any(|(begins, ..)| text.trim_start().starts_with(begins))
}

/// Reads a check's message.
pub(super) fn recognise(message: &str) -> FailedCheck {
    let message = message.split("; for more information see [").next().unwrap_or(message).trim();
    let known = CHECKS.iter().find(|(begins, ..)| message.starts_with(begins));
    let (check, actual, required) =
        known.map_or(("other", At::None, At::None), |(_, id, actual, required)| (id, *actual, *required));
    FailedCheck {
        check: check.to_owned(),
        actual: value(message, actual),
        required: value(message, required),
        message: message.to_owned(),
    }
}

fn value(message: &str, at: At) -> Option<String> {
    let mut brackets = message.split('[').skip(1).filter_map(|text| text.split_once(']').map(|(inside, _)| inside));
    let text = match at {
        At::None => None,
        At::Bracket(n) => brackets.nth(n),
        At::Last => brackets.last(),
        At::Fixed(text) => Some(text),
        At::Between(before, after) => {
            message.split_once(before).and_then(|(_, rest)| rest.split_once(after)).map(|(text, _)| text)
        }
    };
    text.map(str::to_owned)
}
