//! What the controller itself reads of the cloud its nodes are in, kept raw like what agents send.

use std::sync::Arc;
use std::time::Duration;

use common_evidence::Evidence;
use common_evidence::cloud::AwsNetwork;
use common_model::text::printable_line;
use common_model::{Body, Class, Envelope, Failure, FailureReason, Incarnation, Kind, NodeName};
use controller_cloud::CloudError;
use controller_correlate::target::outside_addresses;
use tracing::warn;

use crate::clock::now;
use crate::core::{Core, blocking};
use crate::question::Nodes;

/// How long a diagnosis waits for it where a connection got no answer.
pub(crate) const LIMIT: Duration = Duration::from_secs(6);
/// How long where every connection got one.
pub(crate) const SPARE: Duration = Duration::from_millis(500);

/// Reads what is in front of the node that is asked about, if it is one node, and a cloud is configured. That it cannot be read is
/// kept, too.
pub(crate) async fn read(core: &Arc<Core>, nodes: &Nodes) {
    let (Some(aws), [node]) = (&core.aws, nodes.concerned.as_slice()) else { return };
    let Some(addresses) = nodes.outlines.get(node).map(outside_addresses).filter(|held| !held.is_empty()) else {
        return;
    };
    let body = match aws.network_of(&addresses).await {
        Ok(answers) => serde_json::to_vec(&answers).map_err(|error| CloudError::Signing(error.to_string())),
        Err(error) => Err(error),
    };
    let body = match body {
        Ok(raw) => Body::Raw(raw),
        Err(error) => {
            let message = printable_line(&error.to_string());
            warn!(%node, %message, "the cloud could not be asked what is in front of a node");
            Body::Failed(Failure { reason: reason(&error), message })
        }
    };
    let envelope = envelope(node, body);
    let (core, node) = (Arc::clone(core), node.clone());
    let kept = blocking(move || core.evidence.keep_own(&node, envelope)).await;
    if let Err(status) = kept {
        warn!(reason = status.message(), "what the cloud says cannot be kept");
    }
}

fn reason(error: &CloudError) -> FailureReason {
    match error {
        CloudError::NoCredentials(_) | CloudError::CredentialsFile { .. } => FailureReason::Missing,
        CloudError::Denied { .. } | CloudError::Unauthenticated { .. } => FailureReason::Denied,
        CloudError::NoAnswer { .. } => FailureReason::Timeout,
        _ => FailureReason::Other,
    }
}

fn envelope(about: &NodeName, body: Body) -> Envelope {
    #[expect(clippy::expect_used, reason = "constants, which a test parses")]
    let (node, kind) =
        ("controller".parse::<NodeName>().expect("a name"), AwsNetwork::KIND.parse::<Kind>().expect("a kind"));
    let (incarnation, seq, schema) = (Incarnation(0), 0, 1);
    let (class, subject, taken_at) = (Class::State, about.to_string(), now());
    Envelope { node, incarnation, seq, kind, class, schema, subject, taken_at, body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_speaks_in_its_own_name() {
        let envelope = envelope(&"es-1".parse().unwrap(), Body::Gone);
        assert_eq!((envelope.node.as_str(), envelope.subject.as_str()), ("controller", "es-1"));
    }
}
