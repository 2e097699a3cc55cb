//! One host: an overlay of the base image, booted in its own namespaces.

use std::fs::{self, File};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::command::{self, Output, TIMEOUT};
use super::run::{self, CLIENT, Run, SUBNET, SUBNET6};
use super::{client, image, nspawn, wait};

const BOOT_LIMIT: Duration = Duration::from_secs(60);

/// A running host. Dropping it switches it off and removes every trace.
pub struct Host {
    name: String,
    /// Unique on this machine: the name of its network namespace, too.
    machine: String,
    octet: u8,
    directory: PathBuf,
    run: &'static Run,
    power: Mutex<Option<Power>>,
}

struct Power {
    nspawn: Child,
    /// The host's process 1, as this machine numbers it.
    leader: u32,
}

impl Host {
    /// Boots a host and waits until its systemd says it is running (about a
    /// second; the very first one of a machine makes the base image).
    ///
    /// `name` is its host name: lower case letters, digits and dashes.
    ///
    /// # Errors
    /// When not root, when `name` is taken, or when the boot fails.
    pub fn boot(name: &str) -> Result<Self> {
        Self::boot_with(name, &[])
    }

    /// The same, of an image that has these Debian packages, too. Each set of packages is an image of its own: for what
    /// only one subject needs.
    ///
    /// # Errors
    /// As [`Host::boot`].
    pub fn boot_with(name: &str, packages: &[&str]) -> Result<Self> {
        let run = run::current()?;
        let image = image::prepare(packages)?;
        let directory = run.directory.join("hosts").join(name);
        fs::create_dir(&directory).with_context(|| format!("a host named {name}"))?;
        let host = Self {
            name: name.to_owned(),
            machine: format!("{}-{name}", run.netns),
            octet: run.take_address()?,
            directory,
            run,
            power: Mutex::new(None),
        };
        host.make(&image).and_then(|()| host.power_on()).with_context(|| format!("booting {name}"))?;
        Ok(host)
    }

    /// Its host name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address on the bridge.
    #[must_use]
    pub fn ip(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, self.octet)
    }

    /// Its IPv6 address on the bridge.
    #[must_use]
    pub fn ip6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0x77, 0, 0, 0, 0, 0, u16::from(self.octet))
    }

    /// The name of its network namespace, as `ip netns` lists it.
    #[must_use]
    pub fn netns(&self) -> &str {
        &self.machine
    }

    /// A command that will run as root in the host. The process started is the
    /// program itself.
    ///
    /// # Errors
    /// When the host is switched off.
    pub fn command(&self, program: &str) -> Result<Command> {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.leader()?.to_string(), "-a", "env", "-i"])
            .args(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
            .args(["HOME=/root", "LANG=C.UTF-8", program]);
        Ok(command)
    }

    /// Runs a command in the host to its end, as root.
    ///
    /// # Errors
    /// When it cannot be started; how it ended is in the output.
    pub fn run(&self, argv: &[&str]) -> Result<Output> {
        self.run_with_input(argv, &[])
    }

    /// Runs a command that must succeed and gives its standard output.
    ///
    /// # Errors
    /// When it does not, with everything it said.
    pub fn check(&self, argv: &[&str]) -> Result<String> {
        self.run(argv)?.ok().with_context(|| format!("{}: {argv:?}", self.name))
    }

    /// Runs a command in the host to its end, feeding it `input`.
    ///
    /// # Errors
    /// When it cannot be started; how it ended is in the output.
    pub fn run_with_input(&self, argv: &[&str], input: &[u8]) -> Result<Output> {
        let mut command = self.command("timeout")?;
        command.args(TIMEOUT).args(argv);
        command::output_with_input(&mut command, input)
    }

    /// Has `nft` carry out a script.
    ///
    /// # Errors
    /// When it does not like it.
    pub fn nft(&self, script: &str) -> Result<()> {
        self.run_with_input(&["nft", "--file", "-"], format!("{script}\n").as_bytes())?
            .ok()
            .with_context(|| format!("{}: {script}", self.name))?;
        Ok(())
    }

    /// Writes a file of the host in place, making its directory if need be. A
    /// new file belongs to root and is readable by all.
    ///
    /// # Errors
    /// When the host refuses the write.
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        const SCRIPT: &str = "mkdir -p -- \"$(dirname -- \"$0\")\" && cat > \"$0\"";
        self.run_with_input(&["sh", "-c", SCRIPT, path], bytes.as_ref())?
            .ok()
            .with_context(|| format!("writing {path} on {}", self.name))?;
        Ok(())
    }

    /// The content of a text file of the host.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, path: &str) -> Result<String> {
        self.check(&["cat", "--", path])
    }

    /// Copies a file of this machine into the host.
    ///
    /// # Errors
    /// When either side refuses.
    pub fn copy_in(&self, from: &Path, to: &str) -> Result<()> {
        let mut copy = self.command("cp")?;
        // Opened on this side, where the path means something.
        copy.args(["/dev/stdin", to]).stdin(File::open(from)?);
        if !copy.status()?.success() {
            bail!("copying {} to {to} on {}", from.display(), self.name);
        }
        Ok(())
    }

    /// Installs a Debian package as an administrator would, by `dpkg -i`.
    ///
    /// # Errors
    /// When dpkg does, with what it said.
    pub fn install_deb(&self, package: &Path) -> Result<()> {
        let file = package.file_name().context("no such package")?;
        let inside = format!("/var/cache/apt/archives/{}", file.to_string_lossy());
        self.copy_in(package, &inside)?;
        self.check(&["dpkg", "--force-unsafe-io", "--install", &inside])?;
        self.check(&["rm", "--", &inside])?;
        Ok(())
    }

    /// Pulls the plug: every process ends at once and the network goes dark.
    /// The disk is kept.
    ///
    /// # Errors
    /// When the host does not go down.
    pub fn power_off(&self) -> Result<()> {
        let Some(mut power) = self.power().take() else {
            return Ok(());
        };
        run::ip_batch(&self.machine, "link set host0 down\n")?;
        for group in nspawn::cgroups(&self.machine) {
            let kill = group.join("payload/cgroup.kill");
            if kill.exists() {
                fs::write(kill, "1")?;
            }
        }
        wait::until("the host going down", BOOT_LIMIT, || Ok(power.nspawn.try_wait()?))?;
        Ok(())
    }

    /// Empties the ruleset of a host that is switched off. A real kernel forgets it by itself; here it belongs to the network
    /// namespace, which outlives the host.
    ///
    /// # Errors
    /// When nft fails.
    pub fn forget_rules(&self) -> Result<()> {
        command::check("ip", ["netns", "exec", &self.machine, "nft", "flush", "ruleset"]).map(drop)
    }

    /// Boots a host that was switched off.
    ///
    /// # Errors
    /// When it is on already, or does not come up.
    pub fn power_on(&self) -> Result<()> {
        let mut power = self.power();
        if power.is_some() {
            bail!("{} is on already", self.name);
        }
        run::ip_batch(&self.machine, "link set host0 up\n")?;
        let nspawn =
            nspawn::start(&self.machine, &self.name, &self.merged(), &File::create(self.directory.join("console"))?)?;
        let pid = nspawn.id();
        let entered = power.insert(Power { nspawn, leader: 0 });
        entered.leader = wait::until("process 1 of the host", BOOT_LIMIT, || match entered.nspawn.try_wait()? {
            Some(status) => bail!("nspawn ended: {status}\n{}", self.console()),
            // It is a moment older than its way into the host's network.
            None => Ok(nspawn::leader_of(pid).filter(|leader| self.is_inside(*leader).unwrap_or(false))),
        })?;
        drop(power);
        wait::until("the host running", BOOT_LIMIT, || self.is_running()).with_context(|| self.console())
    }

    /// Drops packets for a TCP port of this host between the client and the
    /// host, where neither can see it, until the value returned is dropped.
    ///
    /// # Errors
    /// When the rule cannot be made.
    pub fn cut_path(&self, port: u16) -> Result<PathCut> {
        let cut = PathCut { table: format!("cut_{}_{port}", self.octet) };
        let table = &cut.table;
        let device = self.bridge_port();
        let rules = format!(
            "add table bridge {table}\n\
             add chain bridge {table} path {{ type filter hook output priority 0; }}\n\
             add rule bridge {table} path oifname {device} tcp dport {port} drop\n"
        );
        let mut nft = client()?.command("nft");
        command::output_with_input(nft.args(["-f", "-"]), rules.as_bytes())?.ok()?;
        Ok(cut)
    }

    /// Drops every packet between this host and another, also of connections that stand, until the value returned is dropped.
    ///
    /// # Errors
    /// When the rules cannot be made.
    pub fn cut_from(&self, other: &Host) -> Result<PathCut> {
        let cut = PathCut { table: format!("cut_{}_from_{}", self.octet, other.octet) };
        let (table, here, there) = (&cut.table, self.bridge_port(), other.bridge_port());
        let rules = format!(
            "add table bridge {table}\n\
             add chain bridge {table} path {{ type filter hook forward priority 0; }}\n\
             add rule bridge {table} path iifname {here} oifname {there} drop\n\
             add rule bridge {table} path iifname {there} oifname {here} drop\n"
        );
        let mut nft = client()?.command("nft");
        command::output_with_input(nft.args(["-f", "-"]), rules.as_bytes())?.ok()?;
        Ok(cut)
    }

    fn make(&self, image: &Path) -> Result<()> {
        fs::write(self.directory.join("machine"), &self.machine)?;
        let (upper, work) = (self.directory.join("upper"), self.directory.join("work"));
        let merged = self.merged();
        for directory in [&upper, &work, &merged] {
            fs::create_dir(directory)?;
        }
        fs::create_dir(upper.join("etc"))?;
        fs::write(upper.join("etc/hostname"), format!("{}\n", self.name))?;
        fs::write(upper.join("etc/hosts"), self.hosts_file())?;
        let options = format!("lowerdir={},upperdir={},workdir={}", image.display(), upper.display(), work.display());
        let mount = ["-t", "overlay", "-o", &options, "overlay"].map(Path::new);
        command::check("mount", mount.into_iter().chain([merged.as_path()]))?;
        self.make_network()?;
        nspawn::make_cgroups(&self.machine, &self.directory.join("cgroups"))
    }

    /// An engine starts 40 s later on a host that cannot resolve its own name.
    fn hosts_file(&self) -> String {
        format!(
            "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n\
             {} {}\n{SUBNET}.{CLIENT} controller\n",
            self.ip(),
            self.name
        )
    }

    fn make_network(&self) -> Result<()> {
        let Self { machine, octet, .. } = self;
        let outside = self.bridge_port();
        command::check("ip", ["netns", "add", machine])?;
        let pair = format!(
            "link add {outside} type veth peer name host0 netns {machine}\n\
             link set {outside} master br0 up\n\
             neigh flush to {SUBNET}.{octet} dev br0\n"
        );
        run::ip_batch(&self.run.netns, &pair)?;
        let inside = format!(
            "link set lo up\n\
             addr add {SUBNET}.{octet}/24 dev host0\n\
             addr add {SUBNET6}{octet:x}/64 dev host0 nodad\n"
        );
        run::ip_batch(machine, &inside)?;
        self.run.name_host(*octet, &self.name)
    }

    /// The bridge's end of the cable to this host.
    pub(crate) fn bridge_port(&self) -> String {
        format!("host{}", self.octet)
    }

    fn is_running(&self) -> Result<Option<()>> {
        match self.run(&["systemctl", "is-system-running"])?.stdout.trim() {
            "running" => Ok(Some(())),
            "degraded" => bail!("{}", self.check(&["systemctl", "--failed", "--no-pager"])?),
            _ => Ok(None),
        }
    }

    /// The host's process 1, made sure to be this host's: process numbers are
    /// used again, and a command must never land on the machine itself.
    fn leader(&self) -> Result<u32> {
        let power = self.power();
        let leader = power.as_ref().with_context(|| format!("{} is switched off", self.name))?.leader;
        if !self.is_inside(leader)? {
            bail!("{} has gone down\n{}", self.name, self.console());
        }
        Ok(leader)
    }

    /// Whether a process is in this host's network; false when there is no such process.
    fn is_inside(&self, process: u32) -> Result<bool> {
        let own = fs::metadata(Path::new("/run/netns").join(&self.machine))?;
        let inside = fs::metadata(format!("/proc/{process}/ns/net"));
        Ok(inside.is_ok_and(|inside| (inside.dev(), inside.ino()) == (own.dev(), own.ino())))
    }

    fn console(&self) -> String {
        let bytes = fs::read(self.directory.join("console")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn merged(&self) -> PathBuf {
        self.directory.join("merged")
    }

    fn power(&self) -> std::sync::MutexGuard<'_, Option<Power>> {
        self.power.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let result = run::teardown("host", &self.directory);
        if let Some(mut power) = self.power().take() {
            power.nspawn.wait().ok();
        }
        self.run.give_back_address(self.octet);
        // A second panic would hide the first, and the run's own teardown
        // tries again when this process ends.
        if let Err(error) = result
            && !std::thread::panicking()
        {
            panic!("{error:#}");
        }
    }
}

/// A cut of the network that neither end can see; mended when dropped.
pub struct PathCut {
    table: String,
}

impl Drop for PathCut {
    fn drop(&mut self) {
        if let Ok(client) = client() {
            client.run(&["nft", "delete", "table", "bridge", &self.table]).ok();
        }
    }
}
