//! Why a controller could not be reached, told apart so that callers can act on it and people can fix it.

use std::error::Error;
use std::io;

use common_model::Timestamp;
use rustls::{AlertDescription, CertificateError};
use rustls_pki_types::UnixTime;
use tonic::Status;

use crate::credentials::Credentials;
use crate::verifier::PinMismatch;

/// The header of a refusal by which a controller says more than a gRPC code can; its value is one of the words below.
pub const REASON_HEADER: &str = "dialtone-reason";
/// The caller's certificate has been revoked.
pub const REASON_REVOKED: &str = "revoked";
/// The caller's certificate ended while the connection stood.
pub const REASON_EXPIRED: &str = "expired";

/// Why a controller could not be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The address is not HOST:PORT.
    #[error("{0:?} is not an address of a controller: give HOST or HOST:PORT")]
    Address(String),
    /// The name has no address.
    #[error("the name {host:?} does not resolve on this machine: {message}; see what `getent ahosts {host}` says")]
    Unresolved {
        /// The name.
        host: String,
        /// What the resolver said.
        message: String,
    },
    /// Nothing listens there.
    #[error("{0} refused the connection: is dialtone-controller running there, and is this its port?")]
    Refused(String),
    /// No answer.
    #[error("{0} did not answer in time: does a firewall drop the packets?")]
    TimedOut(String),
    /// No way to the host.
    #[error("{address} cannot be reached: {message}")]
    Unreachable {
        /// Which.
        address: String,
        /// What the system said.
        message: String,
    },
    /// The CA is not the pinned one.
    #[error(
        "the controller's CA is {presented}, but the pin says {expected}: wrong controller, or somebody in between"
    )]
    PinMismatch {
        /// The pin given.
        expected: String,
        /// The CA presented.
        presented: String,
    },
    /// Our certificate has been revoked.
    #[error("this certificate has been revoked: join or log in again with a new token")]
    Revoked,
    /// Our certificate has ended.
    #[error("this certificate has expired: join or log in again with a new token")]
    Expired,
    /// The controller's certificate begins later than the clock here says it is.
    #[error(
        "the clocks differ: the clock of this machine says {now}, but the controller's certificate is good from \
         {valid_from} on. This clock is behind, or the controller's is ahead: compare `date -u` on both and set the \
         wrong one"
    )]
    ClockBehind {
        /// By the clock here.
        now: Timestamp,
        /// Begin of the certificate's validity, by the controller's clock.
        valid_from: Timestamp,
    },
    /// The controller's certificate ended before the time that the clock here says it is.
    #[error(
        "the clocks differ: the clock of this machine says {now}, but the controller's certificate was good until \
         {valid_until}. This clock is ahead, or the controller's is behind: compare `date -u` on both and set the wrong \
         one"
    )]
    ClockAhead {
        /// By the clock here.
        now: Timestamp,
        /// End of the certificate's validity, by the controller's clock.
        valid_until: Timestamp,
    },
    /// The controller says that our certificate is not good now, and by the clock here it has not ended.
    #[error(
        "the clocks differ: the controller says that this certificate is not good now, but it is good from {valid_from} \
         until {valid_until} and the clock of this machine says {now}. Compare `date -u` on both and set the wrong one"
    )]
    ClockDisputed {
        /// By the clock here.
        now: Timestamp,
        /// Begin of our certificate's validity, by the controller's clock when it was issued.
        valid_from: Timestamp,
        /// End of our certificate's validity.
        valid_until: Timestamp,
    },
    /// The controller does not trust our CA.
    #[error("the controller does not know the CA of this certificate: it was issued by another controller")]
    UnknownCa,
    /// We do not trust the controller's certificate.
    #[error("the controller's certificate is not valid here: {0}")]
    ControllerCertificate(String),
    /// Something else answers there.
    #[error("{0} is not a Dialtone controller: {1}")]
    NotAController(String, String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl DialError {
    /// What a failed call says about the connection; none when the controller itself answered, and the status is its word.
    pub fn of_status(status: &Status) -> Option<Self> {
        match status.metadata().get(REASON_HEADER).and_then(|value| value.to_str().ok()) {
            Some(REASON_REVOKED) => return Some(Self::Revoked),
            Some(REASON_EXPIRED) => return Some(Self::Expired),
            _ => {}
        }
        status.source().and_then(Self::find)
    }

    pub(crate) fn of_transport(error: &tonic::transport::Error) -> Self {
        Self::find(error).unwrap_or_else(|| Self::Other(chain(error)))
    }

    /// The first dial error among an error and its sources.
    fn find(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found.clone());
            }
            next = error.source();
        }
        None
    }

    /// The same, knowing the certificate that was shown. In TLS one alert says both "ended" and "not begun", by the
    /// controller's clock; it is an end only where the clock here agrees.
    pub fn given(self, shown: &Credentials, now: Timestamp) -> Self {
        let (valid_from, valid_until) = (shown.not_before(), shown.not_after());
        match self {
            Self::Expired if now < valid_until => Self::ClockDisputed { now, valid_from, valid_until },
            other => other,
        }
    }

    pub(crate) fn of_connect(address: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused(address.to_owned()),
            io::ErrorKind::TimedOut => Self::TimedOut(address.to_owned()),
            _ => Self::Unreachable { address: address.to_owned(), message: error.to_string() },
        }
    }

    pub(crate) fn of_handshake(address: &str, error: &io::Error) -> Self {
        let Some(tls) = rustls_error(error) else {
            return Self::NotAController(address.to_owned(), format!("it ended the TLS handshake ({error})"));
        };
        match tls {
            rustls::Error::AlertReceived(AlertDescription::CertificateExpired) => Self::Expired,
            rustls::Error::AlertReceived(AlertDescription::CertificateRevoked) => Self::Revoked,
            rustls::Error::AlertReceived(AlertDescription::UnknownCA | AlertDescription::DecryptError) => {
                Self::UnknownCa
            }
            rustls::Error::InvalidCertificate(CertificateError::Other(other)) => match other.0.downcast_ref() {
                Some(PinMismatch { expected, presented }) => {
                    Self::PinMismatch { expected: expected.clone(), presented: presented.clone() }
                }
                None => Self::ControllerCertificate(other.0.to_string()),
            },
            rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { time, not_before }) => {
                Self::ClockBehind { now: millis(*time), valid_from: millis(*not_before) }
            }
            rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => {
                Self::ClockAhead { now: millis(*time), valid_until: millis(*not_after) }
            }
            rustls::Error::InvalidCertificate(reason) => Self::ControllerCertificate(reason.to_string()),
            other => Self::NotAController(address.to_owned(), other.to_string()),
        }
    }
}

/// The rustls error inside an I/O error.
pub(crate) fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// A moment as TLS gives it.
pub(crate) fn millis(time: UnixTime) -> Timestamp {
    Timestamp(i64::try_from(time.as_secs().saturating_mul(1000)).unwrap_or(i64::MAX))
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}
