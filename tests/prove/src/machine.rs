//! This machine with other files on top of its own, in a mount namespace of its own: what runs there reads those files where a
//! host has them, all that it writes lies in one directory, and every program that is executed there is seen.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::executed::Executed;

/// What makes it, below `$1`. Whatever is bound is this machine's own, and no part of what is watched.
const MAKE: &str = r#"
set -e
mount -t overlay overlay -o "lowerdir=$1/planted:/,upperdir=$1/written,workdir=$1/work" "$1/root"
for place in dev dev/shm proc sys; do mount --bind "/$place" "$1/root/$place"; done
exec chroot "$1/root" sh -c 'echo ready; exec cat'
"#;

/// It is there until it is dropped; end what runs there first.
pub(crate) struct Machine {
    keeper: Child,
    executed: Executed,
    directory: TempDir,
}

impl Machine {
    /// With the files that `plant` writes below the directory it is given.
    pub(crate) fn new(plant: impl FnOnce(&Path)) -> Self {
        let directory = TempDir::new_in("/dev/shm").unwrap();
        for name in ["planted", "written", "work", "root"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        plant(&directory.path().join("planted"));
        let mut keeper = Command::new("unshare");
        keeper.args(["--mount", "sh", "-c", MAKE, "sh"]).arg(directory.path());
        let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "no overlay could be mounted: this needs root");
        let executed = Executed::on(Path::new(&format!("/proc/{}/root", keeper.id())));
        Self { keeper, executed, directory }
    }

    /// A program that will run there, in the network of the thread that starts it.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--root", "--target"]).arg(self.keeper.id().to_string()).arg("--");
        command.arg(program.as_ref()).stdin(Stdio::null());
        command
    }

    /// A file there, by its absolute path, to change it as somebody on that host would.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        Path::new("/proc").join(self.keeper.id().to_string()).join("root").join(path.trim_start_matches('/'))
    }

    /// The directory of all that was planted.
    pub(crate) fn planted(&self) -> PathBuf {
        self.directory.path().join("planted")
    }

    /// The directory of all that was written there, outside `/dev`.
    pub(crate) fn written(&self) -> PathBuf {
        self.directory.path().join("written")
    }

    /// Programs that were executed there by programs of ours, or by what those started.
    pub(crate) fn executed(&self) -> &Executed {
        &self.executed
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.keeper.kill().unwrap();
        self.keeper.wait().unwrap();
    }
}
