//! A GET of `/` over an open connection: HTTP/1.1, no credentials, nothing followed.

use std::io;

use common_model::Symptom;
use common_model::probe::HttpSeen;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use crate::answer::{self, Ending};
use crate::connect::IoFailure;

/// At most this much of an answer is read.
const MAX_ANSWER_BYTES: usize = 16 * 1024;

/// What a GET gave, and the error that ended the reading, if one did.
pub(crate) struct Got {
    pub(crate) seen: HttpSeen,
    pub(crate) error: Option<io::Error>,
}

/// Sends a GET for `authority` and reads until the answer is complete, the peer closes, or it is `deadline`.
pub(crate) async fn get<S>(stream: &mut S, authority: &str, over_tls: bool, deadline: Instant) -> Got
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut bytes = Vec::new();
    let result = timeout_at(deadline, exchange(stream, authority, &mut bytes)).await;
    let (ending, error) = match result {
        Ok(Ok(())) => (Ending::Closed, None),
        Ok(Err(error)) if IoFailure::of(&error).symptom == Symptom::Reset => (Ending::Reset, Some(error)),
        Ok(Err(error)) => (Ending::Closed, Some(error)),
        Err(_) => (Ending::Silence, None),
    };
    Got { seen: answer::read(&bytes, ending, over_tls), error }
}

async fn exchange<S>(stream: &mut S, authority: &str, bytes: &mut Vec<u8>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let version = env!("CARGO_PKG_VERSION");
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: dialtone/{version}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    );
    let written = async {
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await
    }
    .await;
    let mut chunk = [0; 4096];
    while bytes.len() < MAX_ANSWER_BYTES && !complete(bytes) {
        match stream.read(&mut chunk).await {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(chunk.get(..n).unwrap_or_default()),
            Err(error) => return Err(error),
        }
    }
    // A peer may answer and close before it has read the request: what it said counts for more than that.
    if bytes.is_empty() { written } else { Ok(()) }
}

/// True once head and announced body are there, for servers that keep the connection open regardless.
fn complete(bytes: &[u8]) -> bool {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(bytes.get(..head).unwrap_or_default()).to_ascii_lowercase();
    let announced = text.split("\r\n").filter_map(|line| line.strip_prefix("content-length:")).next();
    let length = announced.and_then(|value| value.trim().parse::<usize>().ok());
    length.is_some_and(|length| bytes.len() >= length.saturating_add(head + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announced_body_completes_the_answer() {
        assert!(complete(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"));
        assert!(!complete(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}"));
        assert!(!complete(b"HTTP/1.1 200 OK\r\n\r\n{}"));
        assert!(!complete(b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n{}"));
    }
}
