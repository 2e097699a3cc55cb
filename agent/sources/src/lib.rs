//! Every read of the host, and nothing else: this crate writes nothing and interprets nothing.
//!
//! What is read, how often, and what is hidden before it goes anywhere is declared in `common/evidence/src/collectors/`, one
//! folder per kind of evidence. Here is one function per sort of source, each under a cap of bytes and time.
//!
//! | module | reads |
//! |---|---|
//! | `file`, `links` | files, their ends, directories of files; which links on the way are followed |
//! | `command` | what programs of the allow-list print |
//! | `sockets`, `owners`, `interfaces` | netlink, and who holds a socket |
//! | `proc`, `processes`, `sysctls`, `host` | `/proc` and `/sys` |
//! | `engines`, `units`, `packages` | the facts engines are found in |
//! | `journal` | the journal, up to now and followed |
//! | `watch` | nothing: it waits for the kernel to say that something changed |

mod clock;
mod command;
mod engines;
mod failure;
mod file;
mod host;
mod interfaces;
mod journal;
mod links;
mod names;
mod netlink;
mod owners;
mod packages;
mod proc;
mod processes;
mod reader;
mod root;
mod sockets;
mod sysctls;
mod units;
mod watch;

pub use journal::{JournalEntry, JournalLines, Start, recent};
pub use reader::{Fingerprint, Reader, Reading};
pub use watch::{Directories, Kernel};
