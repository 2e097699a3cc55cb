//! Turning what the system said into the failures an envelope carries.

use std::io::{self, ErrorKind};

use common_model::{Failure, FailureReason};

/// The failure of an operating system call on `what`.
pub(crate) fn of_io(what: &str, error: &io::Error) -> Failure {
    let reason = match error.kind() {
        ErrorKind::PermissionDenied => FailureReason::Denied,
        ErrorKind::NotFound | ErrorKind::NotADirectory => FailureReason::Missing,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => FailureReason::Timeout,
        _ => FailureReason::Other,
    };
    Failure { reason, message: format!("{what}: {error}") }
}

/// A failure that no system call reported.
pub(crate) fn other(message: String) -> Failure {
    Failure { reason: FailureReason::Other, message }
}

/// The JSON of a body that this crate made itself.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| other(format!("cannot be written as JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_said_is_told_with_what_was_read() {
        let told = |kind| of_io("/etc/elasticsearch/elasticsearch.yml", &io::Error::from(kind));
        let denied = told(ErrorKind::PermissionDenied);
        assert_eq!(denied.reason, FailureReason::Denied);
        assert_eq!(denied.message, "/etc/elasticsearch/elasticsearch.yml: permission denied");
        assert_eq!(told(ErrorKind::NotFound).reason, FailureReason::Missing);
        assert_eq!(told(ErrorKind::IsADirectory).reason, FailureReason::Other);
    }
}
