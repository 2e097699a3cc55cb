//! One healthy node of each engine, lent to many tests in turn.
//!
//! Booting and starting cost seconds, so tests that only look, or only add
//! firewall rules, share a node. A test that changes anything else boots a host
//! of its own, or calls [`Lease::spoil`] so that the next test gets a new one.

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::Result;

use super::engine::Scheme;
use super::{Engine, Host};

static ELASTICSEARCH: Mutex<Option<Host>> = Mutex::new(None);
static ELASTICSEARCH_8: Mutex<Option<Host>> = Mutex::new(None);
static OPENSEARCH: Mutex<Option<Host>> = Mutex::new(None);

/// A healthy node, nobody else's until this is dropped.
pub struct Lease {
    slot: MutexGuard<'static, Option<Host>>,
    spoilt: bool,
}

/// Borrows the healthy node of an engine; waits while another test has it.
///
/// # Errors
/// When it cannot be booted or does not answer.
pub fn node(engine: Engine) -> Result<Lease> {
    let (slot, name) = match engine {
        Engine::Elasticsearch => (&ELASTICSEARCH, "shared-es"),
        Engine::Elasticsearch8 => (&ELASTICSEARCH_8, "shared-es8"),
        Engine::OpenSearch => (&OPENSEARCH, "shared-os"),
    };
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(host) = slot.as_ref() {
        engine.wait_http(host, 9200, Scheme::Http)?;
    } else {
        let host = Host::boot(name)?;
        engine.run_healthy(&host)?;
        *slot = Some(host);
    }
    Ok(Lease { slot, spoilt: false })
}

impl Lease {
    /// Says that this test left the node other than it was.
    pub fn spoil(&mut self) {
        self.spoilt = true;
    }
}

impl Deref for Lease {
    type Target = Host;

    #[expect(clippy::expect_used, reason = "a lease is only made of a filled slot")]
    fn deref(&self) -> &Host {
        self.slot.as_ref().expect("a lease is only made of a filled slot")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let clean = !self.spoilt
            && !thread::panicking()
            && self.run(&["nft", "flush", "ruleset"]).is_ok_and(|output| output.success());
        if !clean {
            *self.slot = None;
        }
    }
}
