//! One TCP connect, and the classes its failure can have.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use common_model::Symptom;
use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A connect that did not succeed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) symptom: Symptom,
    pub(crate) errno: Option<String>,
    /// None when nothing came back in time.
    pub(crate) rtt: Option<Duration>,
    pub(crate) words: String,
}

/// Connects, and says how long it took.
pub(crate) async fn connect(address: SocketAddr, limit: Duration) -> Result<(TcpStream, Duration), Failed> {
    let start = Instant::now();
    match timeout(limit, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok((stream, start.elapsed())),
        Ok(Err(error)) => {
            let failure = IoFailure::of(&error);
            let timed_out = failure.symptom == Symptom::Timeout;
            let rtt = (!timed_out).then(|| start.elapsed());
            Err(Failed { symptom: failure.symptom, errno: failure.errno, rtt, words: failure.words })
        }
        Err(_) => Err(Failed {
            symptom: Symptom::Timeout,
            errno: None,
            rtt: None,
            words: format!("no answer to the SYN within {} ms", limit.as_millis()),
        }),
    }
}

/// The address packets to `address` leave from. Connecting a datagram socket asks the routing table and sends nothing.
pub fn source_of(address: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(address).ok()?;
    socket.local_addr().ok().map(|local| local.ip())
}

/// An I/O error of a connection, by class and by name.
#[derive(Debug)]
pub(crate) struct IoFailure {
    pub(crate) symptom: Symptom,
    pub(crate) errno: Option<String>,
    pub(crate) words: String,
}

impl IoFailure {
    pub(crate) fn of(error: &io::Error) -> Self {
        let Some(errno) = Errno::from_io_error(error) else {
            return Self { symptom: Symptom::None, errno: None, words: error.to_string() };
        };
        let name = name(errno).map_or_else(|| format!("errno {}", errno.raw_os_error()), str::to_owned);
        Self { symptom: symptom(errno), words: words(errno), errno: Some(name) }
    }
}

/// The class of an errno of connect(2), read or write. Measured answers: a local `blackhole` route gives EINVAL, `prohibit`
/// EACCES, an ICMP protocol-unreachable ENOPROTOOPT; EADDRNOTAVAIL is an exhausted port range or a family without address.
/// What is left is a shortage on this machine: nothing was sent.
fn symptom(errno: Errno) -> Symptom {
    match errno {
        Errno::CONNREFUSED => Symptom::Refused,
        Errno::TIMEDOUT => Symptom::Timeout,
        Errno::CONNRESET | Errno::PIPE | Errno::CONNABORTED => Symptom::Reset,
        Errno::ACCESS | Errno::PERM => Symptom::Denied,
        Errno::HOSTUNREACH
        | Errno::NETUNREACH
        | Errno::NETDOWN
        | Errno::HOSTDOWN
        | Errno::INVAL
        | Errno::NOPROTOOPT
        | Errno::ADDRNOTAVAIL
        | Errno::AFNOSUPPORT => Symptom::Unreachable,
        _ => Symptom::None,
    }
}

fn name(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::CONNREFUSED => "ECONNREFUSED",
        Errno::TIMEDOUT => "ETIMEDOUT",
        Errno::CONNRESET => "ECONNRESET",
        Errno::CONNABORTED => "ECONNABORTED",
        Errno::PIPE => "EPIPE",
        Errno::ACCESS => "EACCES",
        Errno::PERM => "EPERM",
        Errno::HOSTUNREACH => "EHOSTUNREACH",
        Errno::NETUNREACH => "ENETUNREACH",
        Errno::NETDOWN => "ENETDOWN",
        Errno::HOSTDOWN => "EHOSTDOWN",
        Errno::INVAL => "EINVAL",
        Errno::NOPROTOOPT => "ENOPROTOOPT",
        Errno::ADDRNOTAVAIL => "EADDRNOTAVAIL",
        Errno::ADDRINUSE => "EADDRINUSE",
        Errno::AFNOSUPPORT => "EAFNOSUPPORT",
        Errno::MFILE => "EMFILE",
        Errno::NFILE => "ENFILE",
        Errno::NOBUFS => "ENOBUFS",
        Errno::NOMEM => "ENOMEM",
        Errno::AGAIN => "EAGAIN",
        _ => return None,
    })
}

fn words(errno: Errno) -> String {
    let text = io::Error::from(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_errno_keeps_its_class_and_its_name() {
        let cases = [
            (Errno::CONNREFUSED, Symptom::Refused, "ECONNREFUSED"),
            (Errno::TIMEDOUT, Symptom::Timeout, "ETIMEDOUT"),
            (Errno::HOSTUNREACH, Symptom::Unreachable, "EHOSTUNREACH"),
            (Errno::NETUNREACH, Symptom::Unreachable, "ENETUNREACH"),
            (Errno::CONNRESET, Symptom::Reset, "ECONNRESET"),
            (Errno::ACCESS, Symptom::Denied, "EACCES"),
            (Errno::PERM, Symptom::Denied, "EPERM"),
            (Errno::ADDRNOTAVAIL, Symptom::Unreachable, "EADDRNOTAVAIL"),
            (Errno::MFILE, Symptom::None, "EMFILE"),
        ];
        for (errno, symptom, name) in cases {
            let failure = IoFailure::of(&io::Error::from(errno));
            assert_eq!((failure.symptom, failure.errno.as_deref()), (symptom, Some(name)));
        }
        let refused = IoFailure::of(&io::Error::from(Errno::CONNREFUSED));
        assert_eq!(refused.words, "connection refused");
    }

    #[test]
    fn packets_to_loopback_leave_from_loopback() {
        assert_eq!(source_of(([127, 0, 0, 1], 9200).into()), Some([127, 0, 0, 1].into()));
    }
}
