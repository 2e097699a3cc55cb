//! The real agent of a node in a directory: it sees the directory's `/run/dialtone-actuator` and
//! `/var/lib/dialtone-actuator` as its own, in a mount namespace of its own, and the rest of this machine, of which it writes nothing.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::process::{Command, Stdio};

use common_model::NodeName;
use common_tls::Identity;
use tests_node::{Host, Running};

use crate::authority::{ADDRESS, Authority};
use crate::programs;

/// What makes the namespace: `$1` is the node's root, `$2` the agent, `$3` the user it runs as.
const ENTER: &str = r#"
set -e
mount -t tmpfs tmpfs /run
ln -s "$1/run/dialtone-actuator" /run/dialtone-actuator
mount -t tmpfs tmpfs /var/lib
mkdir /var/lib/dialtone-actuator
mount --bind "$1/var/lib/dialtone-actuator" /var/lib/dialtone-actuator
exec setpriv --reuid="$3" --regid="$3" --clear-groups "$2" run --config "$4"
"#;

/// A running agent; killed when it goes out of scope.
#[derive(Debug)]
pub(crate) struct Agent(#[expect(dead_code, reason = "it is there to be killed")] Running);

impl Agent {
    /// The agent of a node, which trusts this authority.
    pub(crate) fn start(host: &Host, name: &NodeName, authority: &Authority) -> Self {
        Self::start_as(host, name, authority, 0, "agent")
    }

    /// The same as another user, with a state of its own below this name.
    pub(crate) fn start_as(host: &Host, name: &NodeName, authority: &Authority, user: u32, own: &str) -> Self {
        let state = host.path(own);
        let credentials = state.join("credentials");
        if !credentials.exists() {
            authority.issue(&Identity::Node(name.clone())).save(&credentials).unwrap();
            give(&state, user);
        }
        let config = host.path(&format!("{own}.yaml"));
        fs::write(&config, format!("controller: {ADDRESS}\nnode: {name}\nstate_dir: {}\n", state.display())).unwrap();
        let log = File::options().append(true).create(true).open(host.path(&format!("{own}.log"))).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", ENTER, "sh"]).arg(host.root()).arg(programs::agent());
        command.arg(user.to_string()).arg(config);
        Self(Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log)))
    }
}

fn give(path: &std::path::Path, user: u32) {
    chown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path(), user));
    }
}
