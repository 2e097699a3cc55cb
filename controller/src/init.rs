//! `dialtone-controller init`: the CA, the configuration, and whose they are.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use common_tls::Pin;
use common_tls::ca::{Ca, CaError};
use common_tls::files::write_atomic;

use crate::clock::now;
use crate::config::Config;

/// The user the controller runs as, where its package is installed.
const USER: &str = "dialtone-controller";

/// Why there is nothing to begin with.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// It has been done before.
    #[error(
        "{} already holds the CA {pin}; nothing was changed. To start anew, stop the controller and move that directory away: every node and operator must then join again",
        .directory.display()
    )]
    Exists {
        /// The CA's directory.
        directory: PathBuf,
        /// Its pin.
        pin: Pin,
    },
    /// The CA cannot be made, or the one there cannot be read.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// The configuration could not be written as YAML.
    #[error("the configuration cannot be written")]
    Yaml(#[from] serde_yaml::Error),
    /// The system said no.
    #[error("cannot write {}", .0.display())]
    Io(PathBuf, #[source] io::Error),
}

/// Makes the CA of a state directory; an error with its pin when there is one.
pub fn create_ca(config: &Config) -> Result<Pin, InitError> {
    let directory = config.ca_dir();
    if Ca::exists(&directory) {
        let pin = Ca::load(&directory)?.pin();
        return Err(InitError::Exists { directory, pin });
    }
    let at = now();
    let ca = Ca::create(at)?;
    // Says now, and not at the first start, that a name cannot stand in a certificate.
    let key = common_tls::keys::NewKey::generate().map_err(|_| CaError::Signing)?;
    ca.issue_controller(key.csr_der(), &config.names, config.validity(), at)?;
    ca.save(&directory)?;
    Ok(ca.pin())
}

/// Makes the CA, writes the configuration where there is none, and gives the state to the service's user when run as root.
pub fn init(config: &Config, config_path: &Path) -> Result<Pin, InitError> {
    let pin = create_ca(config)?;
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| InitError::Io(path, source)
    };
    if !config_path.exists() {
        if let Some(parent) = config_path.parent() {
            fs::create_dir_all(parent).map_err(at(parent))?;
        }
        write_atomic(config_path, serde_yaml::to_string(config)?.as_bytes(), 0o644).map_err(at(config_path))?;
    }
    give_to_service(&config.state_dir).map_err(at(&config.state_dir))?;
    Ok(pin)
}

/// As root: gives the state directory to the service's user, or, where there is none, to whoever owns the directory. What
/// root writes there could not be read by the service otherwise.
pub fn give_to_service(state_dir: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let metadata = fs::metadata(state_dir)?;
    let (uid, gid) = match service_user(&fs::read_to_string("/etc/passwd").unwrap_or_default()) {
        Some(ids) => {
            fs::set_permissions(state_dir, fs::Permissions::from_mode(0o700))?;
            ids
        }
        None => (metadata.uid(), metadata.gid()),
    };
    give(state_dir, uid, gid)
}

fn give(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), uid, gid)?;
        }
    }
    Ok(())
}

/// User and group id of [`USER`] in the text of `/etc/passwd`.
fn service_user(passwd: &str) -> Option<(u32, u32)> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(USER))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(directory: &Path) -> Config {
        Config { state_dir: directory.join("state"), names: vec!["controller.example".to_owned()], ..Config::default() }
    }

    #[test]
    fn a_second_init_changes_nothing_and_says_the_pin() {
        let directory = tempfile::tempdir().unwrap();
        let (config, path) = (config(directory.path()), directory.path().join("etc/controller.yaml"));
        let pin = init(&config, &path).unwrap();
        assert_eq!(Config::load(&path).unwrap(), config);
        let error = init(&config, &path).unwrap_err();
        assert!(error.to_string().contains(&pin.to_string()), "{error}");
        assert_eq!(Ca::load(&config.ca_dir()).unwrap().pin(), pin);
    }

    #[test]
    fn a_configuration_that_is_there_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("controller.yaml");
        fs::write(&path, "# mine\n").unwrap();
        init(&config(directory.path()), &path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "# mine\n");
    }

    #[test]
    fn a_name_that_cannot_stand_in_a_certificate_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { names: vec!["a b".to_owned()], ..config(directory.path()) };
        assert!(create_ca(&config).unwrap_err().to_string().contains("\"a b\""));
        assert!(!Ca::exists(&config.ca_dir()));
    }

    #[test]
    fn the_service_user_is_found_by_its_whole_name() {
        let passwd = "dialtone-controller2:x:7:7::/:/bin/sh\ndialtone-controller:x:990:991::/x:/usr/sbin/nologin\n";
        assert_eq!(service_user(passwd), Some((990, 991)));
        assert_eq!(service_user("root:x:0:0::/root:/bin/sh\n"), None);
    }
}
