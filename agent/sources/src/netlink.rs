//! Asking the kernel over netlink, as far as listening sockets and interfaces need it (netlink(7)).

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
const HEADER_LEN: usize = 16;
/// The kernel fills at most 32 KiB of a dump's buffer.
const BUFFER_LEN: usize = 64 * 1024;
/// The kernel answers at once; this only keeps a bug from blocking a thread for good.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Opens a netlink socket. `groups` is a mask of the multicast groups to hear.
pub(crate) fn open(protocol: Option<Protocol>, groups: u32, flags: SocketFlags) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags | SocketFlags::CLOEXEC, protocol)?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// Asks for everything of a kind and gives the payload of each answer. A dump that the kernel says was changed under way is
/// asked for again.
pub(crate) fn dump(protocol: Option<Protocol>, kind: u16, request: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let socket = open(protocol, 0, SocketFlags::empty())?;
    set_socket_timeout(&socket, Timeout::Recv, Some(TIMEOUT))?;
    for _ in 0..3 {
        send(&socket, &message(kind, request), SendFlags::empty())?;
        if let Some(answers) = receive(&socket)? {
            return Ok(answers);
        }
    }
    Err(io::Error::other("changed each time it was read"))
}

fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut message = ((HEADER_LEN + payload.len()) as u32).to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    // Sequence number and port: one request at a time on a socket of its own needs neither.
    message.extend([0; 8]);
    message.extend(payload);
    message
}

/// None when the dump was interrupted.
fn receive(socket: &OwnedFd) -> io::Result<Option<Vec<Vec<u8>>>> {
    let mut buffer = vec![0; BUFFER_LEN];
    let mut answers = Vec::new();
    let mut interrupted = false;
    loop {
        let (len, _) = recv(socket, &mut buffer[..], RecvFlags::empty())?;
        let mut rest = &buffer[..len];
        while let Some((kind, flags, payload, after)) = next_message(rest) {
            rest = after;
            interrupted |= flags & NLM_F_DUMP_INTR != 0;
            match kind {
                NLMSG_DONE => return Ok((!interrupted).then_some(answers)),
                NLMSG_ERROR => {
                    let code = u32_at(payload, 0).unwrap_or_default().cast_signed();
                    return Err(io::Error::from_raw_os_error(code.wrapping_neg()));
                }
                _ => answers.push(payload.to_vec()),
            }
        }
    }
}

type Message<'a> = (u16, u16, &'a [u8], &'a [u8]);

fn next_message(bytes: &[u8]) -> Option<Message<'_>> {
    let len = u32_at(bytes, 0)? as usize;
    let payload = bytes.get(HEADER_LEN..len)?;
    Some((u16_at(bytes, 4)?, u16_at(bytes, 6)?, payload, bytes.get(align(len)..).unwrap_or_default()))
}

/// The attribute of this type in the bytes behind a message's fixed part.
pub(crate) fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let len = usize::from(u16_at(bytes, 0)?);
        let value = bytes.get(4..len)?;
        if u16_at(bytes, 2)? == wanted {
            return Some(value);
        }
        bytes = bytes.get(align(len)..)?;
    }
}

fn align(len: usize) -> usize {
    len.next_multiple_of(4)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_and_nonsense_ends_the_search() {
        let bytes = [5, 0, 1, 0, 9, 0, 0, 0, 8, 0, 3, 0, 1, 2, 3, 4];
        assert_eq!(attribute(&bytes, 1), Some(&[9][..]));
        assert_eq!(attribute(&bytes, 3), Some(&[1, 2, 3, 4][..]));
        assert_eq!(attribute(&bytes, 2), None);
        for bad in [&[][..], &[0; 8], &[200, 0, 1, 0, 9], &[3, 0, 1, 0]] {
            assert_eq!(attribute(bad, 1), None, "{bad:?}");
        }
    }
}
