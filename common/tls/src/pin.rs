//! The hash of a CA certificate, by which a client that has nothing else knows its controller.

use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, digest};

/// `sha256:` and the hex SHA-256 of a CA certificate's DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin(String);

/// A text that is not a pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a CA pin: give sha256: and 64 hex digits, as `dialtone-controller init` printed it")]
pub struct InvalidPin(String);

impl Pin {
    /// The pin of a certificate.
    pub fn of(der: &[u8]) -> Self {
        Self(format!("sha256:{}", sha256_hex(der)))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Pin {
    type Err = InvalidPin;

    fn from_str(text: &str) -> Result<Self, InvalidPin> {
        let lower = text.trim().to_ascii_lowercase();
        let valid = lower
            .strip_prefix("sha256:")
            .is_some_and(|hex| hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()));
        if valid { Ok(Self(lower)) } else { Err(InvalidPin(text.chars().take(100).collect())) }
    }
}

/// SHA-256 as lower-case hex.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_read_back_in_either_case() {
        let pin = Pin::of(b"abc");
        assert_eq!(pin.to_string(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(pin.to_string().to_uppercase().parse(), Ok(pin));
        assert!("sha256:12".parse::<Pin>().is_err());
        assert!("ba7816bf".parse::<Pin>().is_err());
    }
}
