//! From what was read to what is queued.

use common_evidence::{Collector, redact};
use common_model::envelope::MAX_BODY_BYTES;
use common_model::{Body, Class, Envelope, Failure, FailureReason, Incarnation, NodeName, Timestamp};
use proto::v1;

/// What is kept of a message that says why something could not be read.
const MAX_MESSAGE_CHARS: usize = 1000;

/// Hides what must not leave the node. From here on, the bytes may be written and sent. What a redaction that fails was
/// given is not sent. Takes its time with what is large.
pub(crate) fn redacted(collector: &Collector, read: Result<Vec<u8>, Failure>) -> Body {
    let redact = collector.redact;
    let redacted = read.and_then(|raw| {
        std::panic::catch_unwind(|| redact(raw)).map_err(|_| {
            let message = "secrets in it could not be told from the rest; it is not sent".to_owned();
            Failure { reason: FailureReason::Other, message }
        })
    });
    match redacted {
        Ok(raw) if raw.len() > MAX_BODY_BYTES => Body::Failed(Failure {
            reason: FailureReason::Other,
            message: format!("{} bytes: more than the {MAX_BODY_BYTES} that are sent", raw.len()),
        }),
        Ok(raw) => Body::Raw(raw),
        Err(Failure { reason, message }) => {
            let message = redact::text(&message).chars().take(MAX_MESSAGE_CHARS).collect();
            Body::Failed(Failure { reason, message })
        }
    }
}

/// A piece of evidence for the queue. Incarnation and number are filled in when it is sent.
pub(crate) fn envelope(
    node: &NodeName,
    collector: &Collector,
    class: Class,
    subject: String,
    taken_at: Timestamp,
    body: Body,
) -> Result<(Class, v1::Envelope), common_model::id::InvalidId> {
    let envelope = Envelope {
        node: node.clone(),
        incarnation: Incarnation(0),
        seq: 0,
        kind: collector.kind.parse()?,
        class,
        schema: collector.schema,
        subject,
        taken_at,
        body,
    };
    Ok((class, envelope.into()))
}

#[cfg(test)]
mod tests {
    use common_evidence::collectors::nftables::COLLECTOR;

    use super::*;

    #[test]
    fn what_a_program_complains_is_redacted_too() {
        let complaint = "nft ended with 1: line 3: password=hunter2 is no chain";
        let failure = Failure { reason: FailureReason::Other, message: complaint.to_owned() };
        let Body::Failed(failure) = redacted(&COLLECTOR, Err(failure)) else { panic!("not a failure") };
        assert_eq!(failure.message, "nft ended with 1: line 3: password=[redacted] is no chain");
    }
}
