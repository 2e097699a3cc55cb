//! `dialtone-agent join`: from a token to credentials and configuration on disk.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::Path;

use agent_sources::Reader;
use anyhow::{Context, bail};
use common_model::NodeName;
use common_tls::files::write_atomic;

use crate::cli::JoinArgs;
use crate::config::{ConfigError, ConfigFile};
use crate::enroll;

/// Joins, and leaves everything where `run` finds it.
pub(crate) async fn join(config_path: &Path, args: JoinArgs) -> anyhow::Result<()> {
    let node = match args.name {
        Some(name) => name,
        None => host_name()?,
    };
    let known = match ConfigFile::load(config_path) {
        Ok(config) => Some(config),
        Err(ConfigError::Missing(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let config = match &known {
        Some(known) => ConfigFile { controller: args.controller.clone(), node: Some(node.clone()), ..known.clone() },
        None => ConfigFile::new(args.controller.clone(), node.clone()),
    };
    // Before the token is used up: a place that cannot be written would cost it.
    check_writable(config_path, &config)?;
    let credentials = enroll::join(&args.controller, &args.token, args.ca_pin, &node).await?;
    let directory = config.credentials_dir();
    credentials.save(&directory)?;
    give_to_owner(&config.state_dir).with_context(|| format!("cannot hand over {}", config.state_dir.display()))?;
    if known.as_ref() != Some(&config) {
        let text = serde_yaml::to_string(&config)?;
        write_atomic(config_path, text.as_bytes(), 0o644)
            .with_context(|| format!("cannot write {}", config_path.display()))?;
    }
    let mut out = io::stdout().lock();
    writeln!(out, "Joined {} as {node}.", args.controller)?;
    writeln!(out, "Start the agent: systemctl enable --now dialtone-agent")?;
    Ok(())
}

fn host_name() -> anyhow::Result<NodeName> {
    let name = Reader::default().host_name().map_err(|failure| anyhow::anyhow!(failure.message))?;
    name.to_ascii_lowercase().parse().context("the host name cannot be the node's name; give one with --name")
}

fn check_writable(config_path: &Path, config: &ConfigFile) -> anyhow::Result<()> {
    let Some(directory) = config_path.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
        bail!("{} is no place for a configuration; give --config /DIRECTORY/FILE", config_path.display());
    };
    // The package makes both; the state is nobody else's business.
    for (directory, mode) in [(directory, 0o755), (config.state_dir.as_path(), 0o700)] {
        DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(directory)
            .and_then(|()| tempfile_in(directory))
            .with_context(|| format!("cannot write to {}: run this as root", directory.display()))?;
    }
    Ok(())
}

/// Writes a file and removes it again.
fn tempfile_in(directory: &Path) -> io::Result<()> {
    let path = directory.join(format!(".dialtone-join-{}", std::process::id()));
    fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
    fs::remove_file(path)
}

/// Gives everything in a directory to the owner of the directory: root joins, the agent's own user runs.
fn give_to_owner(directory: &Path) -> io::Result<()> {
    let owner = fs::metadata(directory)?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        // The entry itself is looked at, not what a link names: a link is left alone.
        if metadata.is_symlink() {
            continue;
        }
        if (metadata.uid(), metadata.gid()) != (owner.uid(), owner.gid()) {
            chown(entry.path(), Some(owner.uid()), Some(owner.gid()))?;
        }
        if metadata.is_dir() {
            give_to_owner(&entry.path())?;
        }
    }
    Ok(())
}
