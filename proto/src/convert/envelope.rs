//! [`Envelope`] to and from the wire.

use common_model::envelope::MAX_BODY_BYTES;
use common_model::id::InvalidId;
use common_model::{Body, Class, Envelope, Failure, FailureReason, Incarnation, Timestamp};

use crate::v1;

/// The longest subject in bytes; a path or a unit's name.
const MAX_SUBJECT_BYTES: usize = 4096;

/// Why a message is not an envelope.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEnvelope {
    /// The node's name is not one.
    #[error("the envelope's node name is not valid")]
    Node(#[source] InvalidId),
    /// The kind is not one.
    #[error("the envelope's kind is not valid")]
    Kind(#[source] InvalidId),
    /// Neither state nor event.
    #[error("the envelope says neither that it is a state nor that it is an event")]
    Class,
    /// Sequence numbers begin at 1.
    #[error("the envelope has no sequence number")]
    Sequence,
    /// The subject is too long.
    #[error("the envelope's subject has {0} bytes, more than {MAX_SUBJECT_BYTES}")]
    Subject(usize),
    /// Neither bytes, nor a failure, nor gone.
    #[error("the envelope has no body")]
    Body,
    /// The body is too large.
    #[error("the envelope's body has {0} bytes, more than {MAX_BODY_BYTES}")]
    Size(usize),
}

impl TryFrom<v1::Envelope> for Envelope {
    type Error = InvalidEnvelope;

    fn try_from(message: v1::Envelope) -> Result<Self, InvalidEnvelope> {
        let class = class_of(message.class())?;
        let v1::Envelope { node, incarnation, seq, kind, class: _, schema, subject, taken_at_ms, body } = message;
        if seq == 0 {
            return Err(InvalidEnvelope::Sequence);
        }
        if subject.len() > MAX_SUBJECT_BYTES {
            return Err(InvalidEnvelope::Subject(subject.len()));
        }
        Ok(Envelope {
            node: node.try_into().map_err(InvalidEnvelope::Node)?,
            incarnation: Incarnation(incarnation),
            seq,
            kind: kind.try_into().map_err(InvalidEnvelope::Kind)?,
            class,
            schema,
            subject,
            taken_at: Timestamp(taken_at_ms),
            body: body.ok_or(InvalidEnvelope::Body)?.try_into()?,
        })
    }
}

fn class_of(class: v1::EvidenceClass) -> Result<Class, InvalidEnvelope> {
    match class {
        v1::EvidenceClass::State => Ok(Class::State),
        v1::EvidenceClass::Event => Ok(Class::Event),
        v1::EvidenceClass::Unspecified => Err(InvalidEnvelope::Class),
    }
}

impl TryFrom<v1::envelope::Body> for Body {
    type Error = InvalidEnvelope;

    fn try_from(body: v1::envelope::Body) -> Result<Self, InvalidEnvelope> {
        match body {
            v1::envelope::Body::Raw(raw) if raw.len() > MAX_BODY_BYTES => Err(InvalidEnvelope::Size(raw.len())),
            v1::envelope::Body::Raw(raw) => Ok(Body::Raw(raw)),
            v1::envelope::Body::Failed(failure) => {
                Ok(Body::Failed(Failure { reason: reason_of(failure.reason()), message: failure.message }))
            }
            v1::envelope::Body::Gone(v1::Gone {}) => Ok(Body::Gone),
        }
    }
}

/// A reason that a newer peer knows and we do not is [`FailureReason::Other`].
fn reason_of(reason: v1::FailureReason) -> FailureReason {
    match reason {
        v1::FailureReason::Denied => FailureReason::Denied,
        v1::FailureReason::Missing => FailureReason::Missing,
        v1::FailureReason::Timeout => FailureReason::Timeout,
        v1::FailureReason::Other | v1::FailureReason::Unspecified => FailureReason::Other,
    }
}

impl From<Envelope> for v1::Envelope {
    fn from(envelope: Envelope) -> Self {
        let Envelope { node, incarnation, seq, kind, class, schema, subject, taken_at, body } = envelope;
        v1::Envelope {
            node: node.into(),
            incarnation: incarnation.0,
            seq,
            kind: kind.into(),
            class: match class {
                Class::State => v1::EvidenceClass::State,
                Class::Event => v1::EvidenceClass::Event,
            }
            .into(),
            schema,
            subject,
            taken_at_ms: taken_at.0,
            body: Some(body.into()),
        }
    }
}

impl From<Body> for v1::envelope::Body {
    fn from(body: Body) -> Self {
        match body {
            Body::Raw(raw) => v1::envelope::Body::Raw(raw),
            Body::Gone => v1::envelope::Body::Gone(v1::Gone {}),
            Body::Failed(Failure { reason, message }) => {
                let reason = match reason {
                    FailureReason::Denied => v1::FailureReason::Denied,
                    FailureReason::Missing => v1::FailureReason::Missing,
                    FailureReason::Timeout => v1::FailureReason::Timeout,
                    FailureReason::Other => v1::FailureReason::Other,
                };
                v1::envelope::Body::Failed(v1::Failure { reason: reason.into(), message })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn envelope(body: Body) -> Envelope {
        Envelope {
            node: "es-1".parse().unwrap(),
            incarnation: Incarnation(u64::MAX),
            seq: 7,
            kind: "a-kind-of-tomorrow".parse().unwrap(),
            class: Class::Event,
            schema: 9,
            subject: "/etc/elasticsearch/elasticsearch.yml".to_owned(),
            taken_at: Timestamp(-1),
            body,
        }
    }

    #[test]
    fn every_body_survives_the_wire() {
        let failed = Failure { reason: FailureReason::Denied, message: "no".to_owned() };
        for body in [Body::Raw(vec![0, 255]), Body::Gone, Body::Failed(failed)] {
            let bytes = v1::Envelope::from(envelope(body.clone())).encode_to_vec();
            let back = Envelope::try_from(v1::Envelope::decode(bytes.as_slice()).unwrap()).unwrap();
            assert_eq!(back, envelope(body));
        }
    }

    #[test]
    fn what_a_peer_may_not_send_is_refused_by_name() {
        let good = v1::Envelope::from(envelope(Body::Gone));
        let refused = |message: v1::Envelope| Envelope::try_from(message).unwrap_err().to_string();
        assert!(refused(v1::Envelope { node: "../x".into(), ..good.clone() }).contains("node name"));
        assert!(refused(v1::Envelope { seq: 0, ..good.clone() }).contains("sequence"));
        assert!(refused(v1::Envelope { class: 99, ..good.clone() }).contains("neither"));
        assert!(refused(v1::Envelope { body: None, ..good.clone() }).contains("no body"));
        let large = v1::envelope::Body::Raw(vec![0; MAX_BODY_BYTES + 1]);
        assert!(refused(v1::Envelope { body: Some(large), ..good }).contains("1048577"));
    }

    #[test]
    fn a_failure_reason_of_tomorrow_is_other() {
        let failed = v1::envelope::Body::Failed(v1::Failure { reason: 99, message: String::new() });
        let body = Body::try_from(failed).unwrap();
        assert!(matches!(body, Body::Failed(Failure { reason: FailureReason::Other, .. })));
    }
}
