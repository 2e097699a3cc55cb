//! What can go wrong with a cloud's API: what failed, where, and what to do.

use std::path::PathBuf;

/// Why something was not read from, or not done in, the cloud.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// No credentials anywhere.
    #[error(
        "there are no AWS credentials: set cloud.aws.credentials_file in /etc/dialtone/controller.yaml, or give the controller's \
         machine an instance profile ({0})"
    )]
    NoCredentials(String),
    /// The file of credentials cannot be used.
    #[error("the AWS credentials in {} cannot be used: {because}", path.display())]
    CredentialsFile {
        /// As configured.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        because: String,
    },
    /// The endpoint is no URL.
    #[error("cloud.aws.endpoint in /etc/dialtone/controller.yaml cannot be used: {0}")]
    Endpoint(String),
    /// No connection, or no answer in time. Whether the call was carried out is not known.
    #[error("no answer from {endpoint} to {action}: {because}")]
    NoAnswer {
        /// Where.
        endpoint: String,
        /// The call.
        action: &'static str,
        /// What the network said.
        because: String,
    },
    /// The credentials lack a right.
    #[error(
        "AWS does not let the controller's credentials call {action} in {region}: allow ec2:{action} in their IAM policy ({said})"
    )]
    Denied {
        /// The call.
        action: &'static str,
        /// Where.
        region: String,
        /// In AWS' words.
        said: String,
    },
    /// The credentials are unknown, expired, or do not sign as they should.
    #[error("AWS does not accept the controller's credentials for {action} in {region}: renew them ({said})")]
    Unauthenticated {
        /// The call.
        action: &'static str,
        /// Where.
        region: String,
        /// In AWS' words.
        said: String,
    },
    /// This host's clock is off.
    #[error(
        "AWS takes the controller's calls for expired: its clock is {off_s} s off from AWS'; set it right (timedatectl)"
    )]
    Clock {
        /// Seconds this host's clock is ahead; negative: behind.
        off_s: i64,
    },
    /// Too many calls.
    #[error("AWS throttles {action} in {region}: wait a minute and ask again ({said})")]
    Throttled {
        /// The call.
        action: &'static str,
        /// Where.
        region: String,
        /// In AWS' words.
        said: String,
    },
    /// Refused for another reason; nothing was changed.
    #[error("AWS refuses {action} in {region}: {code}: {said}")]
    Refused {
        /// The call.
        action: &'static str,
        /// Where.
        region: String,
        /// AWS' word for it.
        code: String,
        /// In AWS' words.
        said: String,
    },
    /// An answer that is none of EC2's.
    #[error("{endpoint} answers {action} with something else than EC2 does (HTTP {status}): {because}")]
    Garbled {
        /// Where.
        endpoint: String,
        /// The call.
        action: &'static str,
        /// HTTP status.
        status: u16,
        /// What is wrong with it.
        because: String,
    },
    /// Several interfaces have the node's address.
    #[error("{0}: set cloud.aws.vpc in /etc/dialtone/controller.yaml to the VPC the nodes are in")]
    Ambiguous(String),
    /// The call cannot be signed.
    #[error("a call of the EC2 API cannot be signed: {0}")]
    Signing(String),
}

impl CloudError {
    /// Whether the call may have been carried out nevertheless.
    pub fn is_undecided(&self) -> bool {
        matches!(self, CloudError::NoAnswer { .. } | CloudError::Garbled { .. })
    }

    /// AWS' word for a refusal, where it gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            CloudError::Refused { code, .. } => Some(code),
            _ => None,
        }
    }
}
