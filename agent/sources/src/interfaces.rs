//! Addresses of the interfaces, by rtnetlink(7).

use std::collections::BTreeMap;
use std::net::IpAddr;

use common_evidence::collectors::interfaces::{InterfaceAddress, Interfaces};
use common_model::Failure;

use crate::failure::{json, of_io};
use crate::netlink::{attribute, dump, u32_at};

// From linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h and linux/if.h.
const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const IFLA_IFNAME: u16 = 3;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFF_UP: u32 = 1;
/// Lengths of `struct ifinfomsg` and `struct ifaddrmsg`.
const LINK_LEN: usize = 16;
const ADDRESS_LEN: usize = 8;

/// The body of `Source::Interfaces`.
pub(crate) fn body() -> Result<Vec<u8>, Failure> {
    let failed = |error| of_io("rtnetlink", &error);
    let links: BTreeMap<u32, (String, bool)> =
        dump(None, RTM_GETLINK, &[0; LINK_LEN]).map_err(failed)?.iter().filter_map(|answer| link(answer)).collect();
    let answers = dump(None, RTM_GETADDR, &[0; ADDRESS_LEN]).map_err(failed)?;
    let mut addresses: Vec<InterfaceAddress> = answers
        .iter()
        .filter_map(|answer| {
            let (index, address, prefix) = address(answer)?;
            let (interface, up) = links.get(&index)?.clone();
            Some(InterfaceAddress { interface, address, prefix, up })
        })
        .collect();
    addresses.sort_by(|a, b| (&a.interface, a.address).cmp(&(&b.interface, b.address)));
    json(&Interfaces { addresses })
}

/// `struct ifinfomsg`: family, padding, type, index, flags, change.
fn link(answer: &[u8]) -> Option<(u32, (String, bool))> {
    let name = attribute(answer.get(LINK_LEN..)?, IFLA_IFNAME)?;
    let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
    Some((u32_at(answer, 4)?, (name, u32_at(answer, 8)? & IFF_UP != 0)))
}

/// `struct ifaddrmsg`: family, prefix length, flags, scope, index. On point-to-point links IFA_ADDRESS is the other end's.
fn address(answer: &[u8]) -> Option<(u32, IpAddr, u8)> {
    let attributes = answer.get(ADDRESS_LEN..)?;
    let bytes = attribute(attributes, IFA_LOCAL).or_else(|| attribute(attributes, IFA_ADDRESS))?;
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
        _ => return None,
    };
    Some((u32_at(answer, 4)?, address, *answer.get(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there() {
        let interfaces: Interfaces = serde_json::from_slice(&body().unwrap()).unwrap();
        let loopback = interfaces.holder("127.0.0.1".parse().unwrap()).unwrap();
        assert_eq!((loopback.interface.as_str(), loopback.prefix, loopback.up), ("lo", 8, true));
    }
}
