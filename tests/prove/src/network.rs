//! A network namespace of the calling thread's own: its kernel settings, firewall and loopback are nobody else's.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Whoever keeps the namespace open until the thread is in it. Threads and programs that it starts from then on are in it, too.
#[derive(Debug)]
pub(crate) struct Network {
    keeper: Child,
}

impl Network {
    /// Moves the calling thread, which stays there.
    pub(crate) fn enter() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "ip link set lo up && echo ready && exec cat"]);
        let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare (needs root)");
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "no network namespace could be made: this needs root");
        let namespace = File::open(format!("/proc/{}/ns/net", keeper.id())).unwrap();
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        Self { keeper }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.keeper.kill().unwrap();
        self.keeper.wait().unwrap();
    }
}
