//! Identities, the certificate authority, keys on disk, and the TLS of both ends. The only crate that names rustls.
//!
//! | to | use |
//! |---|---|
//! | make a key and ask for a certificate | [`keys::NewKey`] |
//! | keep key, chain and CA in a directory | [`Credentials`] |
//! | sign | [`ca::Ca`] |
//! | connect to a controller | [`dial::channel`], [`dial::enroll_channel`] |
//! | accept connections | [`server`] |
//! | see what a foreign TLS server shows | [`observe`] |
//! | speak with a foreign TLS server that a given CA vouches for | [`trusted`] |

pub mod ca;
pub mod credentials;
pub mod dial;
pub mod failure;
pub mod files;
pub mod identity;
pub mod keys;
pub mod observe;
pub mod server;
pub mod trusted;

mod connector;

mod pem;
mod pin;
mod verifier;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use credentials::Credentials;
pub use failure::DialError;
pub use identity::{Identity, OperatorName, Peer, Role};
pub use pem::InvalidPem;
pub use pin::{InvalidPin, Pin};

/// Every controller's certificate carries this name, whatever addresses it is reached by; clients verify this one.
pub const CONTROLLER_NAME: &str = "controller.dialtone.internal";

/// The server name by which a client without a certificate asks for the enrollment service.
pub const ENROLL_NAME: &str = "enroll.dialtone.internal";

/// The protocol both ends must agree on.
const ALPN_H2: &[u8] = b"h2";

/// Makes ring what libraries use that build their own TLS connections, such as HTTP clients. May be called again.
pub fn use_ring() {
    // Fails where it has been done before, and then there is nothing left to do.
    drop(rustls::crypto::ring::default_provider().install_default());
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
