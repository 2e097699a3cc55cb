//! Engines write local time without its zone. The file was modified when its last line was written, which tells the zone.

use common_model::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::entries::Undated;

/// Zones differ from UTC by multiples of this.
const QUARTER_HOUR_MS: i64 = 15 * 60 * 1000;
/// The widest zones are 14 hours ahead and 12 behind.
const WIDEST_MS: i64 = 14 * 60 * 60 * 1000;
/// A file whose time is further from its last line's than this was changed by something else.
const SLACK_MS: i64 = 60 * 1000;

/// Dates every entry of the plain form; returns why it could not.
pub(super) fn date(entries: &mut [Undated], modified_ms: i64) -> Option<String> {
    let last = entries.iter().rev().find_map(|entry| entry.local)?;
    let Some(offset) = offset(as_utc(last)?, modified_ms) else {
        return Some("the times in the log cannot be told: the file's own time fits no time zone".to_owned());
    };
    for entry in entries {
        let utc = entry.local.and_then(as_utc);
        entry.line.at = entry.line.at.or(utc.map(|ms| Timestamp(ms.saturating_sub(offset))));
    }
    None
}

fn offset(last_ms: i64, modified_ms: i64) -> Option<i64> {
    let ahead = last_ms.checked_sub(modified_ms)?;
    let offset = ahead.checked_add(QUARTER_HOUR_MS / 2)?.div_euclid(QUARTER_HOUR_MS) * QUARTER_HOUR_MS;
    (offset.abs() <= WIDEST_MS && (ahead - offset).abs() <= SLACK_MS).then_some(offset)
}

fn as_utc(local: DateTime) -> Option<i64> {
    Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}
