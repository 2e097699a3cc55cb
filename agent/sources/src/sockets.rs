//! All listening TCP sockets, by sock_diag(7).

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use common_evidence::collectors::sockets::{Listener, Sockets};
use common_model::Failure;
use rustix::net::netlink::SOCK_DIAG;

use crate::failure::{json, of_io};
use crate::netlink::{attribute, dump, u32_at};
use crate::owners::Owners;
use crate::root::Root;

// From linux/inet_diag.h and net/tcp_states.h.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_SKV6ONLY: u16 = 11;
const IPPROTO_TCP: u8 = 6;
const TCP_LISTEN: u32 = 10;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// Length of `struct inet_diag_msg`.
const MESSAGE_LEN: usize = 72;

/// The body of `Source::Sockets`.
pub(crate) fn body(root: &Root, owners: &mut Owners) -> Result<Vec<u8>, Failure> {
    let mut listeners = Vec::new();
    for family in [AF_INET, AF_INET6] {
        listeners.extend(list(family).map_err(|error| of_io("sock_diag", &error))?);
    }
    let inodes = listeners.iter().map(|listener| listener.inode).collect();
    let owners = owners.of(root, inodes);
    for listener in &mut listeners {
        listener.owner = owners.get(&listener.inode).cloned();
    }
    listeners.sort_by_key(|listener| (listener.port, listener.address, listener.inode));
    json(&Sockets { listeners: one_of_each(listeners) })
}

fn list(family: u8) -> io::Result<Vec<Listener>> {
    // struct inet_diag_req_v2: family, protocol, extensions, padding, states, then 48 bytes of socket id that match all.
    let mut request = vec![family, IPPROTO_TCP, 0, 0];
    request.extend((1u32 << TCP_LISTEN).to_ne_bytes());
    request.resize(56, 0);
    let answers = match dump(Some(SOCK_DIAG), SOCK_DIAG_BY_FAMILY, &request) {
        // A kernel without IPv6.
        Err(error) if family == AF_INET6 && error.kind() == io::ErrorKind::NotFound => Vec::new(),
        answers => answers?,
    };
    Ok(answers.iter().filter_map(|answer| listener(answer)).collect())
}

/// `struct inet_diag_msg`: family, state, timer, retransmits, then the socket id (ports in network order, source,
/// destination, interface, cookie), expiry, receive and send queue, uid, inode; then attributes.
fn listener(answer: &[u8]) -> Option<Listener> {
    let port = u16::from_be_bytes(answer.get(4..6)?.try_into().ok()?);
    let source: [u8; 16] = answer.get(8..24)?.try_into().ok()?;
    let (address, v6_only) = match *answer.first()? {
        AF_INET => (IpAddr::V4(Ipv4Addr::new(source[0], source[1], source[2], source[3])), None),
        AF_INET6 => {
            let only = attribute(answer.get(MESSAGE_LEN..)?, INET_DIAG_SKV6ONLY).and_then(|value| value.first());
            (IpAddr::V6(Ipv6Addr::from(source)), only.map(|flag| *flag != 0))
        }
        _ => return None,
    };
    // For a listener the kernel puts the accept queue's length and its limit in the two queues.
    let (waiting, limit) = (u32_at(answer, 56)?, u32_at(answer, 60)?);
    Some(Listener {
        address,
        port,
        v6_only,
        backlog_full: waiting > limit,
        backlog_limit: limit,
        uid: u32_at(answer, 64)?,
        inode: u32_at(answer, 68)?,
        owner: None,
    })
}

/// A socket that opens while the kernel lists them can come twice.
fn one_of_each(listeners: Vec<Listener>) -> Vec<Listener> {
    let mut seen = BTreeMap::new();
    listeners
        .into_iter()
        .filter(|listener| seen.insert((listener.inode, listener.address, listener.port), ()).is_none())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn read() -> Sockets {
        let root = Root::new("/".into());
        serde_json::from_slice(&body(&root, &mut Owners::default()).unwrap()).unwrap()
    }

    #[test]
    fn a_socket_of_this_process_is_listed_with_its_owner() {
        let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
        let sockets = read();
        let port = v4.local_addr().unwrap().port();
        let found = sockets.listeners.iter().find(|listener| listener.port == port).unwrap();
        assert_eq!(found.address, "127.0.0.1".parse::<IpAddr>().unwrap());
        assert_eq!((found.v6_only, found.backlog_full), (None, false));
        assert!(found.backlog_limit > 0);
        assert_eq!(found.owner.as_ref().unwrap().pid, std::process::id());
    }

    #[test]
    fn an_ipv6_socket_says_whether_it_leaves_ipv4_alone() {
        let Ok(v6) = TcpListener::bind("[::]:0") else { return };
        let sockets = read();
        let port = v6.local_addr().unwrap().port();
        let found = sockets.listeners.iter().find(|listener| listener.port == port).unwrap();
        let wanted = rustix::net::sockopt::ipv6_v6only(&v6).unwrap();
        assert_eq!((found.address, found.v6_only), ("::".parse().unwrap(), Some(wanted)));
    }

    #[test]
    fn a_full_accept_queue_is_seen() {
        let socket =
            rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        rustix::net::listen(&socket, 0).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let _waiting = std::net::TcpStream::connect(address).unwrap();
        let sockets = read();
        let found = sockets.listeners.iter().find(|found| found.port == address.port()).unwrap();
        assert_eq!((found.backlog_full, found.backlog_limit), (true, 0));
    }

    #[test]
    fn short_answers_are_passed_over() {
        for len in 0..MESSAGE_LEN {
            let mut answer = vec![0; len];
            if let Some(first) = answer.first_mut() {
                *first = AF_INET6;
            }
            assert_eq!(listener(&answer), None);
        }
    }
}
