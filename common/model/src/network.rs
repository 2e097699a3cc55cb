//! An address with a prefix length.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A network such as `10.0.0.0/24`; bits past the prefix are zero. As text and in JSON: `ADDRESS/PREFIX`, or the address of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// The network of `address` with this many leading bits; more than the family has means all of them.
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        let prefix = prefix.min(bits(address));
        let address = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
        };
        Self { address, prefix }
    }

    /// One address alone.
    pub fn host(address: IpAddr) -> Self {
        Self::new(address, bits(address))
    }

    /// Whether `address` is in it. Addresses of the other family are not.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && Self::new(address, self.prefix) == *self
    }

    /// The first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Length of the prefix in bits.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The first and the last address.
    pub fn bounds(&self) -> (IpAddr, IpAddr) {
        let last = match self.address {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(
                v4.to_bits() | u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0),
            )),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(
                v6.to_bits() | u128::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0),
            )),
        };
        (self.address, last)
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == bits(self.address) {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

/// A text that is not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address or ADDRESS/PREFIX")]
pub struct InvalidNetwork;

impl TryFrom<String> for Network {
    type Error = InvalidNetwork;

    fn try_from(text: String) -> Result<Self, InvalidNetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        network.to_string()
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    /// Reads `10.0.0.1`, `10.0.0.0/24`, `10.0.0.0/255.255.255.0` and their IPv6 forms.
    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let Some((address, mask)) = text.split_once('/') else {
            return text.parse().map(Self::host).map_err(|_| InvalidNetwork);
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork)?;
        let prefix = match mask.parse::<u8>() {
            Ok(prefix) if prefix <= bits(address) => prefix,
            Ok(_) => return Err(InvalidNetwork),
            Err(_) => prefix_of_mask(mask.parse().map_err(|_| InvalidNetwork)?).ok_or(InvalidNetwork)?,
        };
        Ok(Self::new(address, prefix))
    }
}

fn prefix_of_mask(mask: IpAddr) -> Option<u8> {
    let (ones, zeros) = match mask {
        IpAddr::V4(v4) => (v4.to_bits().leading_ones(), v4.to_bits().trailing_zeros()),
        IpAddr::V6(v6) => (v6.to_bits().leading_ones(), v6.to_bits().trailing_zeros()),
    };
    (ones + zeros == u32::from(bits(mask))).then(|| u8::try_from(ones).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn contains_its_own_addresses_only() {
        assert!(network("10.1.0.0/16").contains("10.1.255.255".parse().unwrap()));
        assert!(!network("10.1.0.0/16").contains("10.2.0.0".parse().unwrap()));
        assert!(network("0.0.0.0/0").contains("1.2.3.4".parse().unwrap()));
        assert!(!network("0.0.0.0/0").contains("::1".parse().unwrap()));
        assert!(network("fd00::/8").contains("fdff::1".parse().unwrap()));
    }

    #[test]
    fn reads_and_shows_every_spelling() {
        assert_eq!(network("10.1.2.3/255.255.0.0").to_string(), "10.1.0.0/16");
        assert_eq!(network("10.1.2.3").to_string(), "10.1.2.3");
        assert_eq!(network("10.1.2.0/24").bounds().1.to_string(), "10.1.2.255");
        assert_eq!(network("::/0").bounds().1.to_string(), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        assert!("10.1.2.3/33".parse::<Network>().is_err());
        assert!("10.1.2.3/255.0.255.0".parse::<Network>().is_err());
    }
}
