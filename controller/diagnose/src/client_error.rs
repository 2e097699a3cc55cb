//! What a client's own message says it got. The words of the errno decide, not the library's wrapper around them.

use common_model::Symptom;

/// Wordings by what they mean, the more telling first.
const WORDINGS: &[(&str, Symptom)] = &[
    ("wrong version number", Symptom::TlsFailure),
    ("wrong_version_number", Symptom::TlsFailure),
    ("certificate", Symptom::TlsFailure),
    ("unrecognized ssl message", Symptom::TlsFailure),
    ("unsupported or unrecognized ssl", Symptom::TlsFailure),
    ("pkix path", Symptom::TlsFailure),
    ("http response to https client", Symptom::TlsFailure),
    ("permission denied", Symptom::Denied),
    ("could not resolve", Symptom::Unresolved),
    ("name or service not known", Symptom::Unresolved),
    ("no such host", Symptom::Unresolved),
    ("enotfound", Symptom::Unresolved),
    ("unknownhostexception", Symptom::Unresolved),
    ("temporary failure in name resolution", Symptom::Unresolved),
    ("no route to host", Symptom::Unreachable),
    ("ehostunreach", Symptom::Unreachable),
    ("network is unreachable", Symptom::Unreachable),
    ("enetunreach", Symptom::Unreachable),
    ("connection refused", Symptom::Refused),
    ("econnrefused", Symptom::Refused),
    ("empty reply from server", Symptom::Eof),
    ("remote end closed connection without response", Symptom::Eof),
    ("socket hang up", Symptom::Eof),
    ("other side closed", Symptom::Eof),
    ("unexpected end of file from server", Symptom::Eof),
    ("unexpected end of stream", Symptom::Eof),
    ("connection is closed", Symptom::Eof),
    ("connection reset", Symptom::Reset),
    ("econnreset", Symptom::Reset),
    ("timed out", Symptom::Timeout),
    ("timeout", Symptom::Timeout),
    ("etimedout", Symptom::Timeout),
    ("security_exception", Symptom::HttpError),
    ("missing authentication credentials", Symptom::HttpError),
    ("401 unauthorized", Symptom::HttpError),
    ("503 service unavailable", Symptom::HttpError),
];

/// The symptom in a client's message; none when it has no word we know.
pub(crate) fn symptom(message: &str) -> Option<Symptom> {
    let message = message.to_lowercase();
    WORDINGS.iter().find(|(wording, _)| message.contains(wording)).map(|(_, symptom)| *symptom)
}

/// Whether the client was asked for credentials.
pub(crate) fn wants_credentials(message: &str) -> bool {
    let message = message.to_lowercase();
    ["missing authentication credentials", "401 unauthorized", "unable to authenticate user", "security_exception"]
        .iter()
        .any(|wording| message.contains(wording))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errno_counts_not_its_wrapper() {
        assert_eq!(
            symptom("curl: (7) Failed to connect to es-1 port 9200: Connection refused"),
            Some(Symptom::Refused)
        );
        assert_eq!(
            symptom("curl: (7) Failed to connect to es-1 port 9200: No route to host"),
            Some(Symptom::Unreachable)
        );
        assert_eq!(symptom("curl: (52) Empty reply from server"), Some(Symptom::Eof));
        assert_eq!(symptom("No alive nodes found in your cluster"), None);
    }
}
