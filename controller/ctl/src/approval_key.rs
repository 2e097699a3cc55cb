//! The key an operator approves plans with: one file, PKCS#8, for its owner alone. It is made here and never leaves.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use common_plan::{ApprovalKey, InvalidKey};
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use tempfile::NamedTempFile;

use crate::config::make_private;

/// A PKCS#8 document of an Ed25519 key has less than 100 bytes.
const MAX_BYTES: u64 = 4096;

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// None was made yet.
    #[error("there is no {}", .0.display())]
    Missing(PathBuf),
    /// Others can read or change it: what it signs may not be its owner's.
    #[error("{} is not for its owner alone (mode {mode:03o}); whoever could read it can approve as you", .path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Somebody else's.
    #[error("{} belongs to user {owner}, not to you", .path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Whose.
        owner: u32,
    },
    /// It is there and no key.
    #[error("{} cannot be used", .0.display())]
    Invalid(PathBuf, #[source] InvalidKey),
    /// The system said no.
    #[error("cannot access {}", .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// No randomness to make one from.
    #[error("the system gave no randomness for a key")]
    Random,
}

/// Reads the key at `path`; refuses one that others can get at.
pub(crate) fn load(path: &Path) -> Result<ApprovalKey, KeyError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => KeyError::Missing(path.to_owned()),
        _ => KeyError::Io(path.to_owned(), error),
    };
    let file = File::open(path).map_err(failed)?;
    // Of the open file: what the path names may change.
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode });
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(KeyError::Foreign { path: path.to_owned(), owner: metadata.uid() });
    }
    let mut document = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut document).map_err(failed)?;
    ApprovalKey::from_pkcs8(&document).map_err(|error| KeyError::Invalid(path.to_owned(), error))
}

/// Reads the key at `path`, made first where there is none; says whether it was. Never replaces a file.
pub(crate) fn load_or_make(path: &Path) -> Result<(ApprovalKey, bool), KeyError> {
    match load(path) {
        Ok(key) => Ok((key, false)),
        Err(KeyError::Missing(_)) => {
            let made = make(path)?;
            Ok((load(path)?, made))
        }
        Err(error) => Err(error),
    }
}

/// Writes a new key whole or not at all; false where somebody else was faster.
fn make(path: &Path) -> Result<bool, KeyError> {
    let failed = |error| KeyError::Io(path.to_owned(), error);
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Random)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    make_private(directory).map_err(failed)?;
    // Made with mode 0600.
    let mut file = NamedTempFile::with_prefix_in(".approval.key.", directory).map_err(failed)?;
    file.write_all(document.as_ref()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => File::open(directory).and_then(|directory| directory.sync_all()).map(|()| true).map_err(failed),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(error.error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("dialtone/approval.key");
        assert!(matches!(load(&path), Err(KeyError::Missing(_))));
        let (key, made) = load_or_make(&path).unwrap();
        assert!(made);
        let (again, made) = load_or_make(&path).unwrap();
        assert!(!made);
        assert_eq!(key.public(), again.public());
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        // Nothing is left lying around.
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_that_others_can_reach_is_refused_and_kept() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("approval.key");
        load_or_make(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = load_or_make(&path).unwrap_err();
            assert!(matches!(error, KeyError::Exposed { mode: seen, .. } if seen == mode), "{error}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(!load_or_make(&path).unwrap().1);
    }

    #[test]
    fn what_is_no_key_is_neither_used_nor_replaced() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("approval.key");
        make(&path).unwrap();
        std::fs::write(&path, "not a key").unwrap();
        assert!(matches!(load_or_make(&path), Err(KeyError::Invalid(..))));
        assert_eq!(std::fs::read(&path).unwrap(), b"not a key");
    }
}
