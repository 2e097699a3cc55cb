//! The certificate authority: one P-256 key that signs short-lived certificates.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use common_model::Timestamp;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use ring::rand::{SecureRandom, SystemRandom};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};
use time::OffsetDateTime;

use crate::credentials::{CredentialsError, make_private_directory, read_key};
use crate::files::write_atomic;
use crate::identity::{Identity, Peer};
use crate::pem;
use crate::pin::{Pin, hex};
use crate::{CONTROLLER_NAME, ENROLL_NAME};

const CERTIFICATE_FILE: &str = "ca.crt";
const KEY_FILE: &str = "ca.key";
const CA_VALIDITY: Duration = Duration::from_secs(10 * 365 * 86_400);
/// Clocks of nodes may be this far behind.
pub(crate) const BACKDATED: Duration = Duration::from_secs(300);

/// A CA certificate with its key.
pub struct Ca {
    certificate_pem: String,
    certificate_der: CertificateDer<'static>,
    key_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate that was just signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Leaf, then CA; PEM.
    pub chain_pem: String,
    /// Serial number, lower-case hex, as [`Peer::serial`] gives it.
    pub serial: String,
    /// End of validity.
    pub not_after: Timestamp,
}

/// Why the CA could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The signing request is broken, or its self-signature is wrong.
    #[error("the certificate signing request is not valid")]
    Request(#[source] rcgen::Error),
    /// The signing request's key is not P-256.
    #[error("the certificate signing request's key is not an ECDSA P-256 key")]
    KeyKind,
    /// A name that cannot stand in a certificate.
    #[error("{0:?} is neither a host name nor an address")]
    Name(String),
    /// The encoder or the random number generator failed.
    #[error("signing failed")]
    Signing,
    /// Encoding failed.
    #[error("signing failed")]
    Encoding(#[from] rcgen::Error),
    /// A time outside the calendar.
    #[error("the validity is outside the calendar")]
    Time,
    /// The files.
    #[error(transparent)]
    Files(#[from] CredentialsError),
    /// The CA's files hold no usable certificate.
    #[error("the CA certificate cannot be used")]
    Pem,
}

impl Ca {
    /// Makes a CA, valid for ten years.
    pub fn create(now: Timestamp) -> Result<Self, CaError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = parameters(now, CA_VALIDITY)?.0;
        params.distinguished_name.push(DnType::CommonName, "Dialtone CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        Self::from_pem(certificate.pem(), key.serialize_pem())
    }

    fn from_pem(certificate_pem: String, key_pem: String) -> Result<Self, CaError> {
        let certificate_der = pem::certificates(&certificate_pem).map_err(|_| CaError::Pem)?.swap_remove(0);
        let issuer = Issuer::from_ca_cert_der(&certificate_der, KeyPair::from_pem(&key_pem)?)?;
        Ok(Self { certificate_pem, certificate_der, key_pem, issuer })
    }

    /// True when the directory holds a CA, usable or not.
    pub fn exists(directory: &Path) -> bool {
        directory.join(CERTIFICATE_FILE).exists() || directory.join(KEY_FILE).exists()
    }

    /// Reads `ca.crt` and `ca.key`. Refuses a key that others can read.
    pub fn load(directory: &Path) -> Result<Self, CaError> {
        let path = directory.join(CERTIFICATE_FILE);
        let certificate = std::fs::read_to_string(&path).map_err(|source| CredentialsError::Io(path, source))?;
        Self::from_pem(certificate, read_key(&directory.join(KEY_FILE))?)
    }

    /// Writes `ca.crt` and `ca.key` (0600).
    pub fn save(&self, directory: &Path) -> Result<(), CaError> {
        let (key, certificate) = (directory.join(KEY_FILE), directory.join(CERTIFICATE_FILE));
        make_private_directory(directory).map_err(|source| CredentialsError::Io(directory.to_owned(), source))?;
        write_atomic(&key, self.key_pem.as_bytes(), 0o600).map_err(|source| CredentialsError::Io(key, source))?;
        write_atomic(&certificate, self.certificate_pem.as_bytes(), 0o644)
            .map_err(|source| CredentialsError::Io(certificate, source))?;
        Ok(())
    }

    /// The CA's certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// What clients pin.
    pub fn pin(&self) -> Pin {
        Pin::of(&self.certificate_der)
    }

    /// Certifies a node's or an operator's key. Of the request only the public key is used: a request may ask for
    /// anything, being a CA included.
    pub fn issue_client(
        &self,
        csr_der: &[u8],
        identity: &Identity,
        validity: Duration,
        now: Timestamp,
    ) -> Result<Issued, CaError> {
        let mut leaf = leaf(validity, now, ExtendedKeyUsagePurpose::ClientAuth)?;
        let name = match identity {
            Identity::Node(name) => name.as_str(),
            Identity::Operator { name, .. } => name.as_str(),
        };
        // X.520 limits a common name to 64 characters; the identity is the URI.
        leaf.params.distinguished_name.push(DnType::CommonName, name.chars().take(64).collect::<String>());
        let uri = identity.uri();
        leaf.params.subject_alt_names =
            vec![SanType::URI(Ia5String::try_from(uri.as_str()).map_err(|_| CaError::Name(uri.clone()))?)];
        self.sign(csr_der, leaf)
    }

    /// Certifies the controller's key for serving under [`CONTROLLER_NAME`], [`ENROLL_NAME`] and these names and addresses.
    pub fn issue_controller(
        &self,
        csr_der: &[u8],
        names: &[String],
        validity: Duration,
        now: Timestamp,
    ) -> Result<Issued, CaError> {
        let mut leaf = leaf(validity, now, ExtendedKeyUsagePurpose::ServerAuth)?;
        leaf.params.distinguished_name.push(DnType::CommonName, "Dialtone controller");
        leaf.params.subject_alt_names = [CONTROLLER_NAME, ENROLL_NAME]
            .into_iter()
            .chain(names.iter().map(String::as_str))
            .map(alternative_name)
            .collect::<Result<_, _>>()?;
        self.sign(csr_der, leaf)
    }

    fn sign(&self, csr_der: &[u8], leaf: Leaf) -> Result<Issued, CaError> {
        let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr_der))
            .map_err(CaError::Request)?;
        if request.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
            return Err(CaError::KeyKind);
        }
        let certificate = leaf.params.signed_by(&request.public_key, &self.issuer)?;
        Ok(Issued {
            chain_pem: format!("{}{}", certificate.pem(), self.certificate_pem),
            serial: leaf.serial,
            not_after: leaf.not_after,
        })
    }
}

struct Leaf {
    params: CertificateParams,
    serial: String,
    not_after: Timestamp,
}

fn leaf(validity: Duration, now: Timestamp, usage: ExtendedKeyUsagePurpose) -> Result<Leaf, CaError> {
    let (mut params, not_after) = parameters(now, validity)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    let serial = serial_number()?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(Leaf { params, serial: hex(&serial), not_after })
}

/// Parameters with a validity from a little before `now`; and its end, in whole seconds as certificates have it.
fn parameters(now: Timestamp, validity: Duration) -> Result<(CertificateParams, Timestamp), CaError> {
    let mut params = CertificateParams::default();
    let begin = OffsetDateTime::from_unix_timestamp(now.0.div_euclid(1000)).map_err(|_| CaError::Time)?;
    params.not_before = begin.checked_sub(BACKDATED.try_into().map_err(|_| CaError::Time)?).ok_or(CaError::Time)?;
    params.not_after = begin.checked_add(validity.try_into().map_err(|_| CaError::Time)?).ok_or(CaError::Time)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    let not_after = Timestamp(params.not_after.unix_timestamp().saturating_mul(1000));
    Ok((params, not_after))
}

/// 16 random bytes; the first is between 0x40 and 0x7f, so that DER encodes them as they are.
fn serial_number() -> Result<[u8; 16], CaError> {
    let mut serial = [0; 16];
    SystemRandom::new().fill(&mut serial).map_err(|_| CaError::Signing)?;
    serial[0] = serial[0] & 0x3f | 0x40;
    Ok(serial)
}

fn alternative_name(text: &str) -> Result<SanType, CaError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let host_name = (1..=253).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
    match Ia5String::try_from(text) {
        Ok(name) if host_name => Ok(SanType::DnsName(name)),
        _ => Err(CaError::Name(text.chars().take(80).collect())),
    }
}

/// The identity in a chain just issued, for tests and logs.
impl Issued {
    /// Reads the leaf back.
    pub fn peer(&self) -> Option<Peer> {
        let leaf = pem::certificates(&self.chain_pem).ok()?.swap_remove(0);
        Peer::from_der(&leaf).ok()
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;
    use crate::keys::NewKey;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn node() -> Identity {
        Identity::Node("es-1".parse().unwrap())
    }

    #[test]
    fn a_request_to_be_a_ca_gives_an_ordinary_certificate() {
        let ca = Ca::create(NOW).unwrap();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut wish = CertificateParams::new(vec!["controller.dialtone.internal".to_owned()]).unwrap();
        wish.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        wish.distinguished_name.push(DnType::CommonName, "root");
        let csr = wish.serialize_request(&key).unwrap();

        let issued = ca.issue_client(csr.der(), &node(), DAY, NOW).unwrap();
        let leaf = pem::certificates(&issued.chain_pem).unwrap().swap_remove(0);
        let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
        assert!(!leaf.is_ca());
        assert_eq!(leaf.subject().to_string(), "CN=es-1");
        let usage = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth);
        let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
        assert_eq!(names.len(), 1);
        assert_eq!(leaf.validity().not_before.timestamp(), NOW.0 / 1000 - 300);
        assert_eq!(leaf.validity().not_after.timestamp() * 1000, issued.not_after.0);
    }

    #[test]
    fn the_serial_is_the_one_a_peer_shows() {
        let ca = Ca::create(NOW).unwrap();
        let issued = ca.issue_client(NewKey::generate().unwrap().csr_der(), &node(), DAY, NOW).unwrap();
        let peer = issued.peer().unwrap();
        assert_eq!((peer.identity, peer.serial, peer.not_after), (node(), issued.serial, issued.not_after));
    }

    #[test]
    fn a_ca_survives_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let ca = Ca::create(NOW).unwrap();
        assert!(!Ca::exists(directory.path()));
        ca.save(directory.path()).unwrap();
        assert!(Ca::exists(directory.path()));
        assert_eq!(Ca::load(directory.path()).unwrap().pin(), ca.pin());
    }

    #[test]
    fn a_broken_request_is_an_error() {
        let ca = Ca::create(NOW).unwrap();
        let mut csr = NewKey::generate().unwrap().csr_der().to_vec();
        let last = csr.len() - 1;
        csr[last] ^= 1;
        assert!(matches!(ca.issue_client(&csr, &node(), DAY, NOW), Err(CaError::Request(_))));
        assert!(matches!(ca.issue_client(b"no", &node(), DAY, NOW), Err(CaError::Request(_))));
    }

    #[test]
    fn a_controller_name_is_a_host_name_or_an_address() {
        let ca = Ca::create(NOW).unwrap();
        let key = NewKey::generate().unwrap();
        let names = ["controller.example".to_owned(), "10.0.0.5".to_owned(), "::1".to_owned()];
        assert!(ca.issue_controller(key.csr_der(), &names, DAY, NOW).is_ok());
        let error = ca.issue_controller(key.csr_der(), &["a b".to_owned()], DAY, NOW).unwrap_err();
        assert!(error.to_string().contains("\"a b\""));
    }
}
