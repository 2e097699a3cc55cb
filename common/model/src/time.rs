//! Points in time, always handed in, never read from a clock here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z. As text and in JSON: RFC 3339 in UTC with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(pub i64);

/// A text that is not an RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an RFC 3339 time such as 2026-01-31T12:00:00Z")]
pub struct InvalidTimestamp(String);

impl Timestamp {
    /// Milliseconds from `earlier` to `self`; negative when `earlier` is later.
    pub fn millis_since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This time, `millis` later.
    pub fn plus_millis(self, millis: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(millis))
    }
}

/// Clocks that are further apart, in milliseconds, are worth a word: more than messages take, less than people's acts are
/// apart.
const CLOCKS_AGREE_MS: i64 = 5_000;

/// How one clock stands to another that it is ahead of by this many milliseconds, for sentences: `26 h ahead of`,
/// `40 s behind`. None where they agree well enough.
pub fn clock_difference(ahead_ms: i64) -> Option<String> {
    let apart = to_the_minute(ahead_ms.saturating_abs());
    let side = if ahead_ms > 0 { "ahead of" } else { "behind" };
    (apart > CLOCKS_AGREE_MS).then(|| format!("{} {side}", span(apart)))
}

/// A difference is only known as well as messages are fast: a day less a moment is a day.
fn to_the_minute(apart: i64) -> i64 {
    const MINUTE_MS: i64 = 60_000;
    if apart < 10 * MINUTE_MS { apart } else { apart.saturating_add(MINUTE_MS / 2) / MINUTE_MS * MINUTE_MS }
}

/// A length of time in the largest unit that says enough.
pub fn span(millis: i64) -> String {
    let seconds = millis.max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "@{}ms", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        text.parse::<jiff::Timestamp>()
            .map(|time| Timestamp(time.as_millisecond()))
            .map_err(|_| InvalidTimestamp(text.chars().take(40).collect()))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTimestamp;

    fn try_from(text: String) -> Result<Self, InvalidTimestamp> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> String {
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_as_rfc3339() {
        let time = Timestamp(1_700_000_000_123);
        assert_eq!(time.to_string(), "2023-11-14T22:13:20.123Z");
        assert_eq!(time.to_string().parse(), Ok(time));
    }

    #[test]
    fn clocks_are_told_apart_once_that_matters() {
        assert_eq!([clock_difference(0), clock_difference(4_999), clock_difference(-5_000)], [None, None, None]);
        let said = |ahead_ms| clock_difference(ahead_ms).unwrap();
        assert_eq!(said(86_400_000), "24 h ahead of");
        assert_eq!([said(-40_000), said(i64::MIN)], ["40 s behind", "106751991167 days behind"]);
    }
}
