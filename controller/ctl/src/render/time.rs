//! Times as people say them.

use common_model::Timestamp;

use crate::terminal::Terminal;

/// `02:41:07 CET (12 min ago)`, with the date unless it is today's.
pub(crate) fn local_and_ago(time: Timestamp, terminal: &Terminal) -> String {
    format!("{} ({})", local(time, terminal), ago(time, terminal.now))
}

/// `02:41:07 CET`, with the date unless it is today's.
pub(crate) fn local(time: Timestamp, terminal: &Terminal) -> String {
    let zoned = |time: Timestamp| {
        jiff::Timestamp::from_millisecond(time.0).map(|time| time.to_zoned(terminal.zone.clone())).ok()
    };
    match (zoned(time), zoned(terminal.now)) {
        (Some(then), Some(now)) if then.date() == now.date() => then.strftime("%H:%M:%S %Z").to_string(),
        (Some(then), _) => then.strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        (None, _) => time.to_string(),
    }
}

/// `12 min ago`, in the largest unit that fits.
pub(crate) fn ago(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.millis_since(time) / 1000;
    match seconds {
        ..=-2 => format!("in {}", span(-seconds)),
        -1..=1 => "just now".to_owned(),
        _ => format!("{} ago", span(seconds)),
    }
}

/// A number of seconds in the largest unit that fits.
pub(crate) fn span(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    match seconds {
        ..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        HOUR..DAY => format!("{} h {} min", seconds / HOUR, seconds % HOUR / MINUTE),
        DAY.. => format!("{} d {} h", seconds / DAY, seconds % DAY / HOUR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_long_ago_in_the_largest_unit() {
        let now = Timestamp(1_800_000_000_000);
        let said = |seconds: i64| ago(now.plus_millis(-seconds * 1000), now);
        assert_eq!([said(0), said(42), said(720)], ["just now", "42 s ago", "12 min ago"]);
        assert_eq!([said(7_500), said(190_000), said(-30)], ["2 h 5 min ago", "2 d 4 h ago", "in 30 s"]);
    }
}
