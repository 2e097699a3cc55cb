//! Tokens for certificates: the one service that is reached without a certificate.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use common_model::text::printable_line;
use common_model::{NodeName, Timestamp};
use common_tls::Identity;
use common_tls::server::AnonymousInfo;
use proto::v1;
use proto::v1::enrollment_server::Enrollment;
use tonic::{Request, Response, Status};
use tracing::{info, warn};

use crate::api::certificate_reply;
use crate::authority::member_name;
use crate::clock::now;
use crate::core::{Core, blocking};

/// Failures of one address within a minute, after which it has to wait.
const MAX_FAILURES: u32 = 20;
const WINDOW_MS: i64 = 60_000;
/// Addresses remembered; more forget them all.
const MAX_ADDRESSES: usize = 10_000;

/// The service.
pub(crate) struct EnrollmentApi {
    core: Arc<Core>,
    failures: Failures,
}

impl EnrollmentApi {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core, failures: Failures::default() }
    }

    fn admit<T>(&self, request: &Request<T>) -> Result<IpAddr, Status> {
        let info = request.extensions().get::<AnonymousInfo>();
        let from = info.ok_or_else(|| Status::internal("no connection"))?.remote.ip();
        if self.failures.too_many(from, now()) {
            return Err(Status::resource_exhausted("too many failed attempts from this address: wait a minute"));
        }
        Ok(from)
    }

    async fn admitted<T>(&self, from: IpAddr, event: &'static str, reply: Result<T, Status>) -> Result<T, Status> {
        if let Err(refused) = &reply {
            self.failures.note(from, now());
            warn!(%from, reason = %printable_line(refused.message()), "refused to enroll");
            self.core.note("nobody", event, format!("from {from}: {}", refused.message())).await;
        }
        reply
    }

    /// Takes a node in. A node that takes over a name replaces the one that had it: its certificates are revoked.
    async fn join(&self, token: String, node: NodeName, csr_der: Vec<u8>) -> Result<v1::JoinReply, Status> {
        let (core, identity) = (Arc::clone(&self.core), Identity::Node(node.clone()));
        let (issued, before) = blocking(move || {
            core.registry.take_join_token(&token, &node, now())?;
            let who = member_name(&identity);
            let before = match core.registry.member(&who)? {
                Some(_) => core.registry.revoke(&who, now())?,
                None => Vec::new(),
            };
            let issued = core.authority.certify(&csr_der, &identity)?;
            Ok::<_, Status>(((issued, node), before))
        })
        .await?;
        let (issued, node) = issued;
        self.core.revoked.add(before.iter().cloned());
        self.core.live.cut(&before);
        Ok(v1::JoinReply { node: node.into(), certificate: Some(certificate_reply(issued, &self.core)) })
    }

    async fn login(&self, token: String, csr_der: Vec<u8>) -> Result<v1::LoginReply, Status> {
        let core = Arc::clone(&self.core);
        let (name, role, issued) = blocking(move || {
            let (name, role) = core.registry.take_login_token(&token, now())?;
            let issued = core.authority.certify(&csr_der, &Identity::Operator { name: name.clone(), role })?;
            Ok::<_, Status>((name, role, issued))
        })
        .await?;
        Ok(v1::LoginReply {
            operator: name.to_string(),
            role: role.to_string(),
            certificate: Some(certificate_reply(issued, &self.core)),
        })
    }
}

#[tonic::async_trait]
impl Enrollment for EnrollmentApi {
    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::JoinReply>, Status> {
        let from = self.admit(&request)?;
        let v1::JoinRequest { token, node, csr_der } = request.into_inner();
        let node: NodeName = node
            .parse()
            .map_err(|error| Status::invalid_argument(format!("{error}; join with --name NAME, in lower case")))?;
        let reply = EnrollmentApi::join(self, token, node, csr_der).await;
        let reply = self.admitted(from, "join-refused", reply).await?;
        info!(%from, node = %reply.node, "a node joined");
        self.core.note(format!("node {}", reply.node), "joined", format!("from {from}")).await;
        Ok(Response::new(reply))
    }

    async fn login(&self, request: Request<v1::LoginRequest>) -> Result<Response<v1::LoginReply>, Status> {
        let from = self.admit(&request)?;
        let v1::LoginRequest { token, csr_der } = request.into_inner();
        let reply = EnrollmentApi::login(self, token, csr_der).await;
        let reply = self.admitted(from, "login-refused", reply).await?;
        let who = format!("operator {}", reply.operator);
        self.core.note(who, "login", format!("as {} from {from}", reply.role)).await;
        info!(%from, operator = %reply.operator, role = %reply.role, "an operator logged in");
        Ok(Response::new(reply))
    }
}

/// Failed attempts by address: since when, and how many.
#[derive(Default)]
struct Failures(Mutex<HashMap<IpAddr, (Timestamp, u32)>>);

impl Failures {
    fn too_many(&self, from: IpAddr, at: Timestamp) -> bool {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(&from).is_some_and(|(since, count)| at.millis_since(*since) < WINDOW_MS && *count >= MAX_FAILURES)
    }

    fn note(&self, from: IpAddr, at: Timestamp) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= MAX_ADDRESSES {
            failures.clear();
        }
        let entry = failures.entry(from).or_insert((at, 0));
        if at.millis_since(entry.0) >= WINDOW_MS {
            *entry = (at, 0);
        }
        entry.1 += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_keeps_failing_has_to_wait_a_minute() {
        let (failures, from) = (Failures::default(), IpAddr::from([10, 0, 0, 1]));
        for _ in 0..MAX_FAILURES {
            assert!(!failures.too_many(from, Timestamp(0)));
            failures.note(from, Timestamp(0));
        }
        assert!(failures.too_many(from, Timestamp(59_999)));
        assert!(!failures.too_many(IpAddr::from([10, 0, 0, 2]), Timestamp(0)));
        assert!(!failures.too_many(from, Timestamp(60_000)));
    }
}
