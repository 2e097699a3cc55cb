//! A private key, its certificate and the CA to trust: in memory, and in a directory.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use common_model::Timestamp;
use rcgen::{KeyPair, PublicKeyData};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::ca::BACKDATED;
use crate::files::{rename_synced, write_atomic, write_synced};
use crate::identity::{Identity, InvalidIdentity, Peer};
use crate::pem::{self, InvalidPem};

const CA_FILE: &str = "ca.crt";
const CERTIFICATE_FILE: &str = "cert.crt";
const KEY_FILE: &str = "key.pem";
const NEW_KEY_FILE: &str = "key.pem.new";

/// A key that matches its certificate, and the CA to trust. Never shown by `Debug`.
#[derive(Clone)]
pub struct Credentials {
    ca_pem: String,
    chain_pem: String,
    key_pem: String,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// Texts that do not make credentials.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCredentials {
    /// Broken PEM.
    #[error(transparent)]
    Pem(#[from] InvalidPem),
    /// The certificate is not X.509.
    #[error("the certificate is not X.509")]
    Certificate,
    /// The key is of an unknown sort.
    #[error("the private key cannot be used")]
    Key,
    /// The certificate was issued for another key.
    #[error("the certificate is for another key")]
    Mismatch,
}

/// Credentials that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// There are none.
    #[error("there is no {0}: join or log in first")]
    Missing(PathBuf),
    /// The system said no.
    #[error("cannot access {0}")]
    Io(PathBuf, #[source] io::Error),
    /// Others can read the key.
    #[error("{path} is readable by others (mode {mode:04o}); run: chmod 0600 {path}", path = path.display())]
    Exposed {
        /// The key.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The files do not make credentials.
    #[error("the credentials in {0} cannot be used")]
    Invalid(PathBuf, #[source] InvalidCredentials),
}

impl Credentials {
    /// Checks that the texts are what they should be and belong together.
    ///
    /// `chain_pem` is the leaf first, then the issuing CA.
    pub fn new(ca_pem: String, chain_pem: String, key_pem: String) -> Result<Self, InvalidCredentials> {
        pem::certificates(&ca_pem)?;
        let leaf = pem::certificates(&chain_pem)?.swap_remove(0);
        let (_, certificate) = X509Certificate::from_der(&leaf).map_err(|_| InvalidCredentials::Certificate)?;
        let key = KeyPair::from_pem(&key_pem).map_err(|_| InvalidCredentials::Key)?;
        if certificate.public_key().subject_public_key.as_ref() != key.der_bytes() {
            return Err(InvalidCredentials::Mismatch);
        }
        let millis = |time: x509_parser::time::ASN1Time| Timestamp(time.timestamp().saturating_mul(1000));
        let (not_before, not_after) =
            (millis(certificate.validity().not_before), millis(certificate.validity().not_after));
        Ok(Self { ca_pem, chain_pem, key_pem, not_before, not_after })
    }

    /// Reads them from a directory. Refuses a key that others can read.
    pub fn load(directory: &Path) -> Result<Self, CredentialsError> {
        let ca_pem = read(&directory.join(CA_FILE))?;
        let chain_pem = read(&directory.join(CERTIFICATE_FILE))?;
        let key_path = directory.join(KEY_FILE);
        match Self::new(ca_pem.clone(), chain_pem.clone(), read_key(&key_path)?) {
            Ok(credentials) => Ok(credentials),
            // `save` was cut off between its two renames: the new key is there under its temporary name.
            Err(InvalidCredentials::Mismatch) => {
                let new_key = directory.join(NEW_KEY_FILE);
                let invalid = |source| CredentialsError::Invalid(directory.to_owned(), source);
                let key = read_key(&new_key).map_err(|_| invalid(InvalidCredentials::Mismatch))?;
                let credentials = Self::new(ca_pem, chain_pem, key).map_err(invalid)?;
                rename_synced(&new_key, &key_path).map_err(|source| CredentialsError::Io(key_path, source))?;
                Ok(credentials)
            }
            Err(source) => Err(CredentialsError::Invalid(directory.to_owned(), source)),
        }
    }

    /// Writes them to a directory, which is made with mode 0700 if it is not there. Cut off at any point, what is there
    /// afterwards is either the old credentials or the new.
    pub fn save(&self, directory: &Path) -> Result<(), CredentialsError> {
        let at = |path: PathBuf| move |source| CredentialsError::Io(path, source);
        make_private_directory(directory).map_err(at(directory.to_owned()))?;
        let (ca, chain) = (directory.join(CA_FILE), directory.join(CERTIFICATE_FILE));
        let (key, new_key) = (directory.join(KEY_FILE), directory.join(NEW_KEY_FILE));
        write_synced(&new_key, self.key_pem.as_bytes(), 0o600).map_err(at(new_key.clone()))?;
        write_atomic(&ca, self.ca_pem.as_bytes(), 0o644).map_err(at(ca))?;
        write_atomic(&chain, self.chain_pem.as_bytes(), 0o644).map_err(at(chain))?;
        rename_synced(&new_key, &key).map_err(at(key))
    }

    /// The CA's certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Begin of the certificate's validity, a little before it was issued.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// End of the certificate's validity.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// When to renew: half-way from when it was issued, which is later than the begin of its validity, to its end.
    pub fn renew_at(&self) -> Timestamp {
        let backdated = i64::try_from(BACKDATED.as_millis()).unwrap_or(0);
        let issued_at = self.not_before.plus_millis(backdated).min(self.not_after);
        Timestamp(issued_at.0.midpoint(self.not_after.0))
    }

    /// Who they speak for; an error for a controller's.
    pub fn identity(&self) -> Result<Identity, InvalidIdentity> {
        let leaf = pem::certificates(&self.chain_pem).map_err(|_| InvalidIdentity::Certificate)?.swap_remove(0);
        Peer::from_der(&leaf).map(|peer| peer.identity)
    }

    pub(crate) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, InvalidPem> {
        pem::certificates(&self.chain_pem)
    }

    pub(crate) fn ca(&self) -> Result<Vec<CertificateDer<'static>>, InvalidPem> {
        pem::certificates(&self.ca_pem)
    }

    pub(crate) fn key(&self) -> Result<PrivateKeyDer<'static>, InvalidPem> {
        pem::key(&self.key_pem)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<String, CredentialsError> {
    fs::read_to_string(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => CredentialsError::Missing(path.to_owned()),
        _ => CredentialsError::Io(path.to_owned(), source),
    })
}

/// Reads a private key, refusing one that group or others can read.
pub(crate) fn read_key(path: &Path) -> Result<String, CredentialsError> {
    let text = read(path)?;
    let metadata = fs::metadata(path).map_err(|source| CredentialsError::Io(path.to_owned(), source))?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(CredentialsError::Exposed { path: path.to_owned(), mode });
    }
    Ok(text)
}

pub(crate) fn make_private_directory(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;
    use crate::ca::Ca;
    use crate::keys::NewKey;

    fn issued(ca: &Ca, now: Timestamp) -> Credentials {
        let key = NewKey::generate().unwrap();
        let node = Identity::Node("es-1".parse().unwrap());
        let issued = ca.issue_client(key.csr_der(), &node, Duration::from_secs(600), now).unwrap();
        key.with_certificate(&issued.chain_pem, ca.certificate_pem()).unwrap()
    }

    #[test]
    fn an_exposed_key_is_refused_with_the_command_that_helps() {
        let directory = tempfile::tempdir().unwrap();
        let now = Timestamp(1_800_000_000_000);
        issued(&Ca::create(now).unwrap(), now).save(directory.path()).unwrap();
        let key = directory.path().join(KEY_FILE);
        assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        let message = Credentials::load(directory.path()).unwrap_err().to_string();
        assert!(message.contains("mode 0640") && message.contains("chmod 0600"), "{message}");
    }

    #[test]
    fn a_save_cut_off_between_its_renames_is_completed() {
        let directory = tempfile::tempdir().unwrap();
        let now = Timestamp(1_800_000_000_000);
        let ca = Ca::create(now).unwrap();
        issued(&ca, now).save(directory.path()).unwrap();
        let old_key = fs::read(directory.path().join(KEY_FILE)).unwrap();
        issued(&ca, now.plus_millis(60_000)).save(directory.path()).unwrap();
        // As after a crash before the last rename: new certificate, old key, new key under its temporary name.
        fs::rename(directory.path().join(KEY_FILE), directory.path().join(NEW_KEY_FILE)).unwrap();
        write_synced(&directory.path().join(KEY_FILE), &old_key, 0o600).unwrap();

        let loaded = Credentials::load(directory.path()).unwrap();
        assert_eq!(loaded.not_after(), now.plus_millis(660_000));
        assert!(!directory.path().join(NEW_KEY_FILE).exists());
    }

    #[test]
    fn even_a_short_certificate_is_renewed_half_way_from_now() {
        let now = Timestamp(1_800_000_000_000);
        assert_eq!(issued(&Ca::create(now).unwrap(), now).renew_at(), now.plus_millis(300_000));
    }

    #[test]
    fn missing_files_say_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let message = Credentials::load(directory.path()).unwrap_err().to_string();
        assert!(message.contains("ca.crt") && message.contains("join or log in first"), "{message}");
    }
}
