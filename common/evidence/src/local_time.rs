//! Logs that give local time without its zone. The file was modified when its last line was written, which tells the zone.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Zones differ from UTC by multiples of this.
const QUARTER_HOUR_MS: i64 = 15 * 60 * 1000;
/// The widest zones are 14 hours ahead and 12 behind.
const WIDEST_MS: i64 = 14 * 60 * 60 * 1000;
/// A file whose time is further from its last line's than this was changed by something else.
const SLACK_MS: i64 = 60 * 1000;

/// Milliseconds the log's clock is ahead of UTC, from its last line and the file's modification time. None when they fit no zone.
pub(crate) fn offset_ms(last: DateTime, modified_ms: i64) -> Option<i64> {
    let ahead = as_utc_ms(last)?.checked_sub(modified_ms)?;
    let offset = ahead.checked_add(QUARTER_HOUR_MS / 2)?.div_euclid(QUARTER_HOUR_MS) * QUARTER_HOUR_MS;
    (offset.abs() <= WIDEST_MS && (ahead - offset).abs() <= SLACK_MS).then_some(offset)
}

/// The time read as if it were UTC, milliseconds since 1970.
pub(crate) fn as_utc_ms(local: DateTime) -> Option<i64> {
    Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_a_zones_or_none() {
        let last: DateTime = "2026-11-20T12:00:00".parse().unwrap();
        let utc = as_utc_ms(last).unwrap();
        let hours = |hours: f64| (hours * 3_600_000.0) as i64;
        for zone in [0.0, 1.0, 5.75, 14.0, -8.0, -12.0] {
            assert_eq!(offset_ms(last, utc - hours(zone) + 900), Some(hours(zone)), "{zone}");
        }
        assert_eq!(offset_ms(last, utc - hours(15.0)), None);
        assert_eq!(offset_ms(last, utc + 5 * 60_000), None);
        assert_eq!(offset_ms(last, i64::MIN), None);
    }
}
