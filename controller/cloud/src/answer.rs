//! An answer of the EC2 Query API: what was asked for, or an error in its words.

use common_model::Timestamp;
use common_model::text::printable_line;
use roxmltree::{Document, Node};

use crate::error::CloudError;

/// A clock that differs by more makes AWS take a signature for expired.
const MAX_SKEW_S: i64 = 300;
/// Characters kept of what AWS says.
const MAX_SAID: usize = 300;

/// An answer as it came.
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// The `Date` header.
    pub(crate) date: Option<String>,
    /// The body.
    pub(crate) text: String,
    /// By this host's clock.
    pub(crate) at: Timestamp,
}

/// Where and what was asked.
pub(crate) struct Call<'a> {
    /// The action.
    pub(crate) action: &'static str,
    /// The region.
    pub(crate) region: &'a str,
    /// The endpoint.
    pub(crate) endpoint: &'a str,
}

/// The body of an answer that is none but what was asked for.
pub(crate) fn accept(answer: Answer, call: &Call<'_>) -> Result<String, CloudError> {
    let Call { action, region, endpoint } = *call;
    let garbled = |because: String| CloudError::Garbled {
        endpoint: endpoint.to_owned(),
        action,
        status: answer.status,
        because: shown(&because),
    };
    let document = Document::parse(&answer.text).map_err(|error| garbled(format!("it is not XML: {error}")))?;
    let root = document.root_element();
    if answer.status == 200 && root.tag_name().name() == format!("{action}Response") {
        return Ok(answer.text);
    }
    let Some(code) = find(root, "Code") else { return Err(garbled(format!("<{}>", root.tag_name().name()))) };
    let (region, code) = (region.to_owned(), shown(code));
    let said = shown(find(root, "Message").unwrap_or_default());
    let skew = skew_s(&answer).filter(|skew| skew.abs() > MAX_SKEW_S);
    // The codes of EC2's API reference, "Common client errors".
    Err(match (code.as_str(), skew) {
        ("RequestExpired" | "SignatureDoesNotMatch" | "AuthFailure" | "InvalidSignatureException", Some(off_s)) => {
            CloudError::Clock { off_s }
        }
        ("UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException", _) => {
            CloudError::Denied { action, region, said }
        }
        (
            "AuthFailure"
            | "SignatureDoesNotMatch"
            | "InvalidClientTokenId"
            | "RequestExpired"
            | "ExpiredToken"
            | "InvalidSignatureException"
            | "MissingAuthenticationToken"
            | "PendingVerification"
            | "OptInRequired",
            _,
        ) => CloudError::Unauthenticated { action, region, said },
        ("RequestLimitExceeded" | "Throttling" | "ThrottlingException", _) => {
            CloudError::Throttled { action, region, said }
        }
        // It was not refused; it failed, and how far it got nobody knows.
        _ if answer.status >= 500 => garbled(format!("{code}: {said}")),
        _ => CloudError::Refused { action, region, code, said },
    })
}

/// Text of an answer, fit to be shown.
fn shown(text: &str) -> String {
    printable_line(text).chars().take(MAX_SAID).collect()
}

/// Seconds this host's clock is ahead of whoever answered.
fn skew_s(answer: &Answer) -> Option<i64> {
    let there = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(answer.date.as_deref()?).ok()?;
    Some(answer.at.0 / 1000 - there.as_second())
}

/// The text of the first element of this name, wherever it is.
pub(crate) fn find<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.descendants().find(|node| node.is_element() && node.tag_name().name() == name)?.text().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Call<'_> = Call { action: "DescribeNetworkAcls", region: "eu-central-1", endpoint: "https://ec2.test" };

    fn refused(status: u16, code: &str, date: Option<&str>) -> CloudError {
        let text = format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>no \u{202e}way</Message></Error></Errors></Response>"
        );
        // 2026-01-31T14:10:00Z
        let answer = Answer { status, date: date.map(str::to_owned), text, at: Timestamp(1_769_868_600_000) };
        accept(answer, &CALL).unwrap_err()
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let said = |code: &str| refused(400, code, None).to_string();
        assert!(said("UnauthorizedOperation").contains("allow ec2:DescribeNetworkAcls in their IAM policy"));
        assert!(said("AuthFailure").contains("renew them"));
        assert!(said("RequestLimitExceeded").contains("wait a minute"));
        assert!(said("InvalidGroup.NotFound").contains("InvalidGroup.NotFound: no"));
        assert!(!said("X").contains('\u{202e}'));
    }

    #[test]
    fn a_clock_that_is_off_is_told_from_bad_credentials() {
        let hour_behind = Some("Sat, 31 Jan 2026 13:10:00 GMT");
        assert!(matches!(refused(400, "RequestExpired", hour_behind), CloudError::Clock { off_s: 3600 }));
        let same = Some("Sat, 31 Jan 2026 14:10:01 GMT");
        assert!(matches!(refused(400, "RequestExpired", same), CloudError::Unauthenticated { .. }));
    }

    #[test]
    fn what_may_have_been_done_is_told_from_what_was_not() {
        assert!(refused(503, "Unavailable", None).is_undecided());
        assert!(!refused(400, "InvalidPermission.Duplicate", None).is_undecided());
        let html = Answer { status: 200, date: None, text: "<html></html>".to_owned(), at: Timestamp(0) };
        assert!(accept(html, &CALL).unwrap_err().is_undecided());
    }
}
