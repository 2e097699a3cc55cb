//! A network namespace of the calling thread's own: its kernel settings, firewall and loopback are nobody else's.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tests_node::Running;

/// Whoever keeps the namespace open until the thread is in it. Threads and programs that it starts from then on are in it, too.
#[derive(Debug)]
pub(crate) struct Network {
    _keeper: Running,
}

impl Network {
    /// Moves the calling thread, which stays there.
    pub(crate) fn enter() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "ip link set lo up && echo ready && exec cat"]);
        let keeper = kept(&mut command);
        let namespace = File::open(format!("/proc/{}/ns/net", keeper.pid().as_raw_nonzero())).unwrap();
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        Self { _keeper: keeper }
    }
}

/// A process that keeps a namespace open, once it has said that it is ready.
pub(crate) fn kept(command: &mut Command) -> Running {
    let mut keeper = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut line = String::new();
    BufReader::new(keeper.child().stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n", "no namespace could be made: this needs root");
    keeper
}
