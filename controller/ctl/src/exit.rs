//! How the program ends, and what it says when it could not do what was asked.

use std::process::ExitCode;

use common_model::Timestamp;
use common_tls::DialError;
use tonic::{Code, Status};

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Reachable, or done.
    Done = 0,
    /// A cause was found.
    Cause = 1,
    /// A mistake in what was given.
    Usage = 2,
    /// The evidence does not decide.
    Undetermined = 3,
    /// The controller cannot be used, or a permission is missing.
    Controller = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do what was asked: what failed and where, then what to do.
#[derive(Debug)]
pub struct Failure {
    pub(crate) exit: Exit,
    pub(crate) error: anyhow::Error,
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// What was given cannot be used.
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Usage, error: error.into(), hint: None }
    }

    /// The controller, or this machine, does not let us.
    pub(crate) fn controller(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Controller, error: error.into(), hint: None }
    }

    /// What was looked for is not as it should be; it is known why.
    pub(crate) fn found(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Cause, error: error.into(), hint: None }
    }

    /// The user did not want to wait.
    pub(crate) fn interrupted() -> Self {
        Self { exit: Exit::Undetermined, error: anyhow::anyhow!("interrupted"), hint: None }
    }

    /// Adds what to do.
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The controller at `address` could not be reached.
    pub(crate) fn dial(address: &str, error: DialError) -> Self {
        let exit = if matches!(error, DialError::Address(_)) { Exit::Usage } else { Exit::Controller };
        let hint = match error {
            DialError::Revoked | DialError::Expired | DialError::UnknownCa => Some(login_again(address)),
            _ => None,
        };
        Self { exit, error: anyhow::Error::new(error).context(at(address)), hint }
    }

    /// The certificate for the controller at `address` has ended by the clock here.
    pub(crate) fn expired(address: &str, ended: Timestamp, now: Timestamp) -> Self {
        let times = anyhow::anyhow!("it ended at {ended}, and the clock here says {now}");
        Self {
            error: times.context(DialError::Expired).context(at(address)),
            ..Self::dial(address, DialError::Expired)
        }
    }

    /// The controller at `address` answered a call with an error, or the connection broke.
    pub(crate) fn call(address: &str, status: &Status) -> Self {
        if let Some(error) = DialError::of_status(status) {
            return Self::dial(address, error);
        }
        let what = match status.code() {
            Code::Unavailable | Code::Unknown | Code::Cancelled => "the connection broke",
            Code::DeadlineExceeded => "no answer in time",
            Code::Unimplemented => "this controller is older and cannot do that",
            Code::PermissionDenied => "not permitted",
            Code::Unauthenticated => "not accepted",
            _ => "the controller refused",
        };
        let error = anyhow::anyhow!("{what}: {}", status.message()).context(at(address));
        match status.code() {
            Code::InvalidArgument | Code::NotFound | Code::AlreadyExists | Code::OutOfRange => Self::usage(error),
            Code::Unauthenticated => Self::controller(error).with_hint(login_again(address)),
            _ => Self::controller(error),
        }
    }
}

fn at(address: &str) -> String {
    format!("controller {address}")
}

fn login_again(address: &str) -> String {
    format!(
        "on the controller: sudo dialtone-controller operator add NAME --role ROLE\n\
         then here: dialtone login {address} --token TOKEN --ca-pin sha256:…"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_certificate_says_how_to_log_in() {
        let failure = Failure::dial("c:7443", DialError::Expired);
        assert_eq!(failure.exit, Exit::Controller);
        assert!(failure.hint.unwrap().contains("dialtone login c:7443 --token"));
    }

    #[test]
    fn an_ended_certificate_is_told_with_both_times() {
        let (ended, now) = (Timestamp(1_800_000_000_000), Timestamp(1_800_086_400_000));
        let failure = Failure::expired("c:7443", ended, now);
        let said = format!("{:#}", failure.error);
        assert!(said.starts_with("controller c:7443: this certificate has expired"), "{said}");
        assert!(said.contains(&ended.to_string()) && said.contains(&now.to_string()), "{said}");
        assert!(failure.hint.is_some() && failure.exit == Exit::Controller);
    }

    #[test]
    fn what_the_caller_got_wrong_is_a_usage_error() {
        let failure = Failure::call("c:7443", &Status::not_found("no node es-9"));
        assert_eq!(
            (failure.exit, failure.error.root_cause().to_string().as_str()),
            (Exit::Usage, "the controller refused: no node es-9")
        );
        assert_eq!(Failure::dial("a b", DialError::Address("a b".into())).exit, Exit::Usage);
        assert_eq!(Failure::call("c:7443", &Status::permission_denied("needs admin")).exit, Exit::Controller);
        let full = Failure::call("c:7443", &Status::resource_exhausted("no space left for the store"));
        assert_eq!(full.exit, Exit::Controller);
        assert_eq!(
            format!("{:#}", full.error),
            "controller c:7443: the controller refused: no space left for the store"
        );
    }
}
