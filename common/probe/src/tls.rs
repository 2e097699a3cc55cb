//! A TLS hello, and how its failures are classed.

use std::io;

use common_model::Symptom;
use common_model::probe::TlsSeen;
use common_tls::observe;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::connect::IoFailure;

/// A handshake that was not completed.
pub(crate) struct Refused {
    pub(crate) seen: TlsSeen,
    pub(crate) symptom: Symptom,
    pub(crate) errno: Option<String>,
    pub(crate) words: String,
}

/// The handshake with `host` as the server's name, given up at `deadline`.
pub(crate) async fn hello(
    stream: TcpStream,
    host: &str,
    deadline: Instant,
) -> Result<(TlsSeen, impl AsyncRead + AsyncWrite + Unpin + use<>), Refused> {
    let Ok(observed) = timeout_at(deadline, observe::handshake(stream, host)).await else {
        let words = "the server did not answer".to_owned();
        let seen = TlsSeen { error: Some(words.clone()), ..observe::describe_chain(&[]) };
        return Err(Refused { seen, symptom: Symptom::Timeout, errno: None, words });
    };
    match observed.stream {
        Some(stream) => Ok((observed.seen, stream)),
        None => {
            let (symptom, errno) = observed.error.as_ref().map_or((Symptom::TlsFailure, None), class);
            let words = observed.seen.error.clone().unwrap_or_default();
            Err(Refused { seen: observed.seen, symptom, errno, words })
        }
    }
}

/// What a TLS error met while reading says, if it is one. In TLS 1.3 a server refuses the client, or its missing
/// certificate, only after the client's side of the handshake is complete.
pub(crate) fn refusal(error: &io::Error) -> Option<String> {
    let by_tls = error.kind() == io::ErrorKind::InvalidData && error.get_ref().is_some();
    by_tls.then(|| observe::describe_error(error))
}

fn class(error: &io::Error) -> (Symptom, Option<String>) {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return (Symptom::Eof, None);
    }
    let failure = IoFailure::of(error);
    match failure.symptom {
        Symptom::None => (Symptom::TlsFailure, None),
        symptom => (symptom, failure.errno),
    }
}
