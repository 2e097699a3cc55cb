//! Everything tried with one address, in order: connect, the protocol of the scheme, then the other one.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use common_model::probe::{HttpAnswer, HttpSeen, TlsSeen};
use common_model::{Endpoint, EvidenceId, Probe, Scheme, Symptom};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::answer::is_transport_port;
use crate::connect::{self, Failed, IoFailure};
use crate::http::{self, Got};
use crate::tls;
use crate::{Limits, now};

/// Probes one address. Never longer than `limits.address`.
pub(crate) async fn attempt(
    endpoint: &Endpoint,
    address: IpAddr,
    vantage: &str,
    id: EvidenceId,
    limits: &Limits,
) -> Probe {
    let target = Target {
        authority: Endpoint { scheme: None, ..endpoint.clone() }.to_string(),
        host: &endpoint.host,
        socket: SocketAddr::new(address, endpoint.port),
        limits,
        end: Instant::now() + limits.address,
    };
    let mut source = connect::source_of(target.socket);
    let (connected, rtt, seen) = match target.connect().await {
        Err(failed) => (false, failed.rtt, Seen::unconnected(failed)),
        Ok((stream, rtt)) => {
            source = stream.local_addr().map(|local| local.ip()).ok().or(source);
            let seen = match endpoint.scheme {
                Some(Scheme::Https) => target.https(stream).await,
                Some(Scheme::Http) | None => target.http(stream).await,
            };
            (true, Some(rtt), seen)
        }
    };
    Probe {
        id,
        vantage: vantage.to_owned(),
        address: Some(address),
        source,
        port: endpoint.port,
        outcome: seen.outcome,
        errno: seen.errno,
        rtt_ms: rtt.map(milliseconds),
        connected,
        tls: seen.tls,
        http: seen.http,
        taken_at: now(),
        message: format!("{}: {}", target.socket, seen.words.join("; ")),
    }
}

struct Target<'a> {
    /// What goes into the Host header.
    authority: String,
    host: &'a str,
    socket: SocketAddr,
    limits: &'a Limits,
    end: Instant,
}

/// What was seen of an address, in the terms of [`Probe`].
struct Seen {
    outcome: Symptom,
    errno: Option<String>,
    tls: Option<TlsSeen>,
    http: Option<HttpSeen>,
    words: Vec<String>,
}

impl Seen {
    fn unconnected(failed: Failed) -> Self {
        Self { outcome: failed.symptom, errno: failed.errno, tls: None, http: None, words: vec![failed.words] }
    }
}

impl Target<'_> {
    /// Plain HTTP first. A 400 from something other than an engine may be a proxy that wants TLS.
    async fn http(&self, mut stream: TcpStream) -> Seen {
        let got = http::get(&mut stream, &self.authority, false, self.deadline()).await;
        drop(stream);
        let mut seen = self.plain(got);
        let Some(plain) = &seen.http else { return seen };
        let settled = match plain.answer {
            HttpAnswer::Http => plain.product.is_some() || plain.status != Some(400),
            HttpAnswer::NotHttp => is_transport_port(plain),
            HttpAnswer::Empty | HttpAnswer::Reset | HttpAnswer::Silence => false,
        };
        if settled {
            return seen;
        }
        let Ok((stream, _)) = self.connect().await else { return seen };
        let over_tls = self.tls(stream).await;
        seen.words.extend(over_tls.words);
        seen.tls = over_tls.tls;
        if let Some(http) = over_tls.http.filter(|http| http.answer == HttpAnswer::Http) {
            seen.http = Some(http);
        }
        seen
    }

    /// TLS first.
    async fn https(&self, stream: TcpStream) -> Seen {
        let mut seen = self.tls(stream).await;
        if seen.tls.as_ref().is_some_and(|tls| tls.established) {
            return seen;
        }
        let Ok((mut stream, _)) = self.connect().await else { return seen };
        let plain = self.plain(http::get(&mut stream, &self.authority, false, self.deadline()).await);
        seen.words.extend(plain.words);
        seen.http = plain.http;
        seen
    }

    fn plain(&self, got: Got) -> Seen {
        let errno = got.error.as_ref().and_then(|error| IoFailure::of(error).errno);
        let words = vec![format!("plain GET: {}", in_words(&got.seen))];
        Seen { outcome: outcome(&got.seen), errno, tls: None, http: Some(got.seen), words }
    }

    /// A TLS hello, and a GET inside when it succeeds.
    async fn tls(&self, stream: TcpStream) -> Seen {
        let (mut seen, mut stream) = match tls::hello(stream, self.host, self.deadline()).await {
            Ok(established) => established,
            Err(refused) => {
                let words = vec![format!("TLS hello: {}", refused.words)];
                return Seen {
                    outcome: refused.symptom,
                    errno: refused.errno,
                    tls: Some(refused.seen),
                    http: None,
                    words,
                };
            }
        };
        let got = http::get(&mut stream, &self.authority, true, self.deadline()).await;
        if let Some(alert) = got.error.as_ref().and_then(tls::refusal) {
            let words = vec![format!("TLS hello: {alert}")];
            seen.established = false;
            seen.error = Some(alert);
            return Seen { outcome: Symptom::TlsFailure, errno: None, tls: Some(seen), http: None, words };
        }
        let errno = got.error.as_ref().and_then(|error| IoFailure::of(error).errno);
        let version = seen.version.as_deref().unwrap_or("TLS");
        let words = vec![format!("TLS hello: {version}"), format!("GET over TLS: {}", in_words(&got.seen))];
        Seen { outcome: outcome(&got.seen), errno, tls: Some(seen), http: Some(got.seen), words }
    }

    async fn connect(&self) -> Result<(TcpStream, Duration), Failed> {
        let left = self.end.saturating_duration_since(Instant::now());
        connect::connect(self.socket, self.limits.connect.min(left)).await
    }

    fn deadline(&self) -> Instant {
        (Instant::now() + self.limits.answer).min(self.end)
    }
}

/// The class of an answer; see the crate's page.
fn outcome(seen: &HttpSeen) -> Symptom {
    match (seen.answer, seen.status, seen.product) {
        (HttpAnswer::Http, Some(200..=299 | 401 | 403), Some(_)) => Symptom::Ok,
        (HttpAnswer::Http | HttpAnswer::NotHttp, ..) => Symptom::HttpError,
        (HttpAnswer::Empty, ..) => Symptom::Eof,
        (HttpAnswer::Reset, ..) => Symptom::Reset,
        (HttpAnswer::Silence, ..) => Symptom::Timeout,
    }
}

fn in_words(seen: &HttpSeen) -> String {
    match seen.answer {
        HttpAnswer::Empty => "closed without a byte".to_owned(),
        HttpAnswer::Reset => "reset".to_owned(),
        HttpAnswer::Silence => "no answer".to_owned(),
        HttpAnswer::NotHttp => "bytes that are not HTTP".to_owned(),
        HttpAnswer::Http => {
            let who = seen.product.map_or("not an engine", |product| product.title());
            let version = seen.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
            format!("status {} from {who}{version}", seen.status.unwrap_or_default())
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
