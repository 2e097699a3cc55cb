//! What one test process owns: a directory, a network namespace with the
//! bridge, the addresses in use, and the child that takes it all down.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, anyhow, bail};

use super::{cache, command};

const TEARDOWN: &str = include_str!("teardown.sh");

/// The first three octets of every address of the lab.
pub(crate) const SUBNET: &str = "10.77.0";
/// The IPv6 prefix of every address of the lab, a /64.
pub(crate) const SUBNET6: &str = "fd77:77::";
/// The last part of the address that clients and controllers stand at.
pub(crate) const CLIENT: u8 = 1;
/// The last parts of the addresses that hosts get.
const HOSTS: std::ops::RangeInclusive<u8> = 11..=250;

/// The state of this process's lab.
pub(crate) struct Run {
    /// Holds `hosts/NAME`, one directory a host; `sysctl/KEY`, the values to go
    /// back to; and `netns`, the namespace's name.
    pub(crate) directory: PathBuf,
    /// The network namespace of the bridge, which is where clients stand.
    pub(crate) netns: String,
    addresses: Mutex<Addresses>,
    /// Ends, and takes everything down, when this process does.
    _watcher: Child,
    /// Held while this process lives; free means the run is dead.
    _alive: File,
}

#[derive(Default)]
struct Addresses {
    used: BTreeSet<u8>,
    last: u8,
}

static RUN: OnceLock<Result<Run, String>> = OnceLock::new();

/// The run of this process, begun at first use.
pub(crate) fn current() -> Result<&'static Run> {
    RUN.get_or_init(|| Run::begin().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!("the lab cannot be set up: {error}"))
}

impl Run {
    fn begin() -> Result<Self> {
        if fs::metadata("/proc/self")?.uid() != 0 {
            bail!("system tests make namespaces and boot hosts: run them as root");
        }
        let runs = cache::root().join("runs");
        let _starting = cache::lock("runs")?;
        fs::create_dir_all(&runs)?;
        end_dead_runs(&runs)?;

        let netns = format!("dialtone-{}", process::id());
        let directory = runs.join(&netns);
        let alive = File::create(runs.join(format!("{netns}.alive")))?;
        alive.lock()?;
        fs::create_dir_all(directory.join("hosts"))?;
        fs::create_dir_all(directory.join("sysctl"))?;
        fs::write(directory.join("netns"), &netns)?;
        let watcher = watch(&directory)?;
        fs::write(directory.join("nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files\n")?;
        fs::write(directory.join("client-hosts"), "127.0.0.1 localhost\n::1 localhost\n")?;
        make_bridge(&netns)?;
        Ok(Self { directory, netns, addresses: Mutex::default(), _watcher: watcher, _alive: alive })
    }

    /// Takes an address that no host of this run has. The least recently used
    /// is given, so that nobody mistakes a new host for one that is gone.
    pub(crate) fn take_address(&self) -> Result<u8> {
        let mut addresses = self.addresses();
        let first = (*HOSTS.start()).max(addresses.last.saturating_add(1));
        let octet = (first..=*HOSTS.end())
            .chain(HOSTS)
            .find(|octet| !addresses.used.contains(octet))
            .context("every address of the lab is in use")?;
        addresses.used.insert(octet);
        addresses.last = octet;
        Ok(octet)
    }

    pub(crate) fn give_back_address(&self, octet: u8) {
        self.addresses().used.remove(&octet);
    }

    /// Lets the client resolve a host's name.
    pub(crate) fn name_host(&self, octet: u8, name: &str) -> Result<()> {
        let _one_at_a_time = self.addresses();
        let path = self.directory.join("client-hosts");
        let old = fs::read_to_string(&path)?;
        let others = old.lines().filter(|line| !line.ends_with(&format!(" {name}")));
        let line = format!("{SUBNET}.{octet} {name}");
        let lines: Vec<&str> = others.chain([line.as_str()]).collect();
        // Written in place: clients have this very file mounted.
        fs::write(&path, lines.join("\n") + "\n")?;
        Ok(())
    }

    fn addresses(&self) -> std::sync::MutexGuard<'_, Addresses> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_bridge(netns: &str) -> Result<()> {
    command::check("ip", ["netns", "add", netns])?;
    let script = format!(
        "link set lo up\n\
         link add br0 type bridge\n\
         addr add {SUBNET}.{CLIENT}/24 dev br0\n\
         addr add {SUBNET6}{CLIENT}/64 dev br0 nodad\n\
         link set br0 up\n"
    );
    ip_batch(netns, &script)
}

/// Runs `ip` commands, one a line, in a network namespace.
pub(crate) fn ip_batch(netns: &str, script: &str) -> Result<()> {
    let mut ip = Command::new("ip");
    ip.args(["-n", netns, "-batch", "-"]);
    command::output_with_input(&mut ip, script.as_bytes())?
        .ok()
        .with_context(|| format!("in namespace {netns}: {script}"))?;
    Ok(())
}

fn watch(directory: &Path) -> Result<Child> {
    teardown_command("watch", directory)
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .context("cannot start the teardown watcher")
}

fn end_dead_runs(runs: &Path) -> Result<()> {
    for entry in fs::read_dir(runs)?.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "alive") {
            continue;
        }
        let Ok(file) = File::open(&path) else {
            continue;
        };
        if file.try_lock().is_ok() {
            teardown("run", &path.with_extension(""))?;
        }
    }
    Ok(())
}

fn teardown_command(what: &str, directory: &Path) -> Command {
    let mut command = Command::new("bash");
    command
        .args(["-c", TEARDOWN, "teardown", what])
        .arg(directory)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Takes down one host (`host`) or a whole run (`run`) by its directory.
pub(crate) fn teardown(what: &str, directory: &Path) -> Result<()> {
    teardown_command(what, directory).status()?;
    if directory.exists() {
        bail!("could not take down {}", directory.display());
    }
    Ok(())
}
