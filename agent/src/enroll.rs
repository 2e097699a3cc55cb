//! Joining: a token and a signing request for the first certificate.

use common_model::NodeName;
use common_tls::dial::enroll_channel;
use common_tls::keys::NewKey;
use common_tls::{Credentials, DialError, Identity, Pin};
use proto::v1;
use proto::v1::enrollment_client::EnrollmentClient;

/// Why a node could not join. The token is used up only by success and by [`JoinError::Credentials`].
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The controller cannot be reached.
    #[error("{0}")]
    Dial(DialError),
    /// It refused.
    #[error("the controller refused: {0}")]
    Refused(String),
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] common_tls::keys::KeyError),
    /// What it sent is no certificate for this key and node.
    #[error("the controller's answer is not a certificate for {node}: {message}")]
    Credentials {
        /// The node.
        node: NodeName,
        /// Why not.
        message: String,
    },
}

/// Makes a key, has it certified for `node`, and gives the credentials to keep.
pub async fn join(controller: &str, token: &str, pin: Pin, node: &NodeName) -> Result<Credentials, JoinError> {
    let channel = enroll_channel(controller, pin).await.map_err(JoinError::Dial)?;
    let key = NewKey::generate()?;
    let request = v1::JoinRequest { token: token.to_owned(), node: node.to_string(), csr_der: key.csr_der().to_vec() };
    let reply = EnrollmentClient::new(channel).join(request).await.map_err(|status| {
        DialError::of_status(&status).map_or_else(|| JoinError::Refused(status.message().to_owned()), JoinError::Dial)
    })?;
    let wrong = |message: String| JoinError::Credentials { node: node.clone(), message };
    let certificate = reply.into_inner().certificate.ok_or_else(|| wrong("it holds none".to_owned()))?;
    let credentials =
        key.with_certificate(&certificate.chain_pem, &certificate.ca_pem).map_err(|error| wrong(error.to_string()))?;
    match credentials.identity() {
        Ok(Identity::Node(name)) if name == *node => Ok(credentials),
        Ok(other) => Err(wrong(format!("it is for {}", other.uri()))),
        Err(error) => Err(wrong(error.to_string())),
    }
}
