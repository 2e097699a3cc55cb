//! The node's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use common_model::Timestamp;

/// Now, by the node's clock.
pub(crate) fn now() -> Timestamp {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    Timestamp(i64::try_from(millis).unwrap_or(i64::MAX))
}
