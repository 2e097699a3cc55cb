//! This machine with other files on top of its own, in a mount namespace of its own: what runs there reads those files where a
//! host has them, all that it writes lies in one directory, and every program that is executed there is seen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tests_node::Running;

use crate::executed::Executed;
use crate::network::kept;

/// What makes it, below `$1`. Whatever is bound is this machine's own, and no part of what is watched.
const MAKE: &str = r#"
set -e
mount -t overlay overlay -o "lowerdir=$1/planted:/,upperdir=$1/written,workdir=$1/work" "$1/root"
for place in dev dev/shm proc sys; do mount --bind "/$place" "$1/root/$place"; done
exec chroot "$1/root" sh -c 'echo ready; exec cat'
"#;

/// It is there until it is dropped; end what runs there first.
pub(crate) struct Machine {
    keeper: Running,
    /// Where others see its `/`.
    root: PathBuf,
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
        let keeper = kept(&mut keeper);
        let root = Path::new("/proc").join(keeper.pid().as_raw_nonzero().to_string()).join("root");
        let executed = Executed::on(&root);
        Self { keeper, root, executed, directory }
    }

    /// A program that will run there, in the network of the thread that starts it.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--root", "--target"]).arg(self.keeper.pid().as_raw_nonzero().to_string()).arg("--");
        command.arg(program.as_ref()).stdin(Stdio::null());
        command
    }

    /// A file there, by its absolute path, to change it as somebody on that host would.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
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
