//! Who may call what: one table, checked before any service sees a request. What is not listed is refused.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use common_tls::failure::{REASON_EXPIRED, REASON_HEADER, REASON_REVOKED};
use common_tls::server::{AnonymousInfo, PeerInfo};
use common_tls::{Identity, Role};
use futures::future::{Either, Ready, ready};
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::audit::refusals::{Refusal, Refusals};
use crate::clock::now;

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// Clients without a certificate, on their own connections.
    Enrolling,
    /// Nodes.
    Node,
    /// Operators of at least this role.
    Operator(Role),
}

/// Every method of every service.
pub const TABLE: &[(&str, Allowed)] = &[
    ("/dialtone.v1.Enrollment/Join", Allowed::Enrolling),
    ("/dialtone.v1.Enrollment/Login", Allowed::Enrolling),
    ("/dialtone.v1.Agent/Connect", Allowed::Node),
    ("/dialtone.v1.Agent/RenewNode", Allowed::Node),
    ("/dialtone.v1.Agent/Prove", Allowed::Node),
    ("/dialtone.v1.Operator/Diagnose", Allowed::Operator(Role::Viewer)),
    ("/dialtone.v1.Operator/ListNodes", Allowed::Operator(Role::Viewer)),
    ("/dialtone.v1.Operator/GetNode", Allowed::Operator(Role::Viewer)),
    ("/dialtone.v1.Operator/ListChanges", Allowed::Operator(Role::Viewer)),
    ("/dialtone.v1.Operator/Preflight", Allowed::Operator(Role::Viewer)),
    ("/dialtone.v1.Operator/RenewOperator", Allowed::Operator(Role::Viewer)),
    ("/dialtone.v1.Plans/List", Allowed::Operator(Role::Viewer)),
    ("/dialtone.v1.Plans/Get", Allowed::Operator(Role::Viewer)),
    ("/dialtone.v1.Plans/Watch", Allowed::Operator(Role::Viewer)),
    ("/dialtone.v1.Plans/ReadAudit", Allowed::Operator(Role::Viewer)),
    ("/dialtone.v1.Plans/Revert", Allowed::Operator(Role::Operator)),
    ("/dialtone.v1.Plans/Limit", Allowed::Operator(Role::Operator)),
    ("/dialtone.v1.Plans/Approve", Allowed::Operator(Role::Approver)),
    ("/dialtone.v1.Plans/Reject", Allowed::Operator(Role::Approver)),
    ("/dialtone.v1.Rollouts/List", Allowed::Operator(Role::Viewer)),
    ("/dialtone.v1.Rollouts/Get", Allowed::Operator(Role::Viewer)),
    ("/dialtone.v1.Rollouts/Watch", Allowed::Operator(Role::Viewer)),
    ("/dialtone.v1.Rollouts/Propose", Allowed::Operator(Role::Operator)),
    ("/dialtone.v1.Rollouts/Approve", Allowed::Operator(Role::Approver)),
    ("/dialtone.v1.Rollouts/Reject", Allowed::Operator(Role::Approver)),
    ("/dialtone.v1.Incidents/List", Allowed::Operator(Role::Viewer)),
    ("/dialtone.v1.Incidents/Get", Allowed::Operator(Role::Viewer)),
    ("/dialtone.v1.Incidents/Watch", Allowed::Operator(Role::Viewer)),
    ("/dialtone.v1.Incidents/Close", Allowed::Operator(Role::Operator)),
    ("/dialtone.v1.Operator/CreateJoinToken", Allowed::Operator(Role::Admin)),
    ("/dialtone.v1.Operator/AddOperator", Allowed::Operator(Role::Admin)),
    ("/dialtone.v1.Operator/Revoke", Allowed::Operator(Role::Admin)),
];

/// The serial numbers of revoked certificates.
#[derive(Debug, Default)]
pub struct Revoked(RwLock<BTreeSet<String>>);

impl Revoked {
    /// Starts with these.
    pub fn new(serials: BTreeSet<String>) -> Self {
        Self(RwLock::new(serials))
    }

    /// From now on, these too.
    pub fn add(&self, serials: impl IntoIterator<Item = String>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).extend(serials);
    }

    /// Whether this one is among them.
    pub fn contains(&self, serial: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(serial)
    }
}

/// Decides one call. `peer` is none on connections without a client certificate.
fn decide(path: &str, peer: Option<&PeerInfo>, revoked: &Revoked) -> Result<(), Status> {
    let allowed = TABLE.iter().find(|(listed, _)| *listed == path).map(|(_, allowed)| *allowed);
    let Some(allowed) = allowed else {
        return Err(Status::unimplemented("there is no such method"));
    };
    let peer = match (allowed, peer) {
        (Allowed::Enrolling, None) => return Ok(()),
        (Allowed::Enrolling, Some(_)) => {
            return Err(Status::permission_denied("enrolling is for those without a certificate"));
        }
        (_, None) => return Err(Status::unauthenticated("this needs a client certificate")),
        (_, Some(peer)) => peer,
    };
    if let Some(refused) = unusable(peer, revoked) {
        return Err(refused);
    }
    match (allowed, &peer.peer.identity) {
        (Allowed::Node, Identity::Node(_)) => Ok(()),
        (Allowed::Operator(least), Identity::Operator { role, .. }) if *role >= least => Ok(()),
        (Allowed::Operator(least), who @ Identity::Operator { .. }) => {
            Err(Status::permission_denied(format!("{who} may not do this: it needs the role {least}")))
        }
        (_, who) => Err(Status::permission_denied(format!("{who} may not do this"))),
    }
}

/// Why a certificate that was good when the connection was made is so no more.
pub(crate) fn unusable(peer: &PeerInfo, revoked: &Revoked) -> Option<Status> {
    let (reason, message) = if revoked.contains(&peer.peer.serial) {
        (REASON_REVOKED, "this certificate has been revoked: join or log in again with a new token")
    } else if peer.valid_until() < now() {
        (REASON_EXPIRED, "the certificate of this connection has expired: connect again with a renewed one")
    } else {
        return None;
    };
    let mut status = Status::unauthenticated(message);
    if let Ok(reason) = reason.parse() {
        status.metadata_mut().insert(REASON_HEADER, reason);
    }
    Some(status)
}

/// Puts the table before a router.
#[derive(Clone)]
pub(crate) struct AccessLayer {
    pub(crate) revoked: Arc<Revoked>,
    /// Where it is told who was refused.
    pub(crate) refusals: Refusals,
}

impl<S> Layer<S> for AccessLayer {
    type Service = Access<S>;

    fn layer(&self, inner: S) -> Access<S> {
        Access { gate: self.clone(), inner }
    }
}

/// A router behind the table.
#[derive(Clone)]
pub(crate) struct Access<S> {
    gate: AccessLayer,
    inner: S,
}

/// What is written down of a refusal. A method that does not exist is not named: whoever calls it chose its name.
fn refusal<B>(request: &Request<B>, refused: &Status) -> Refusal {
    let known = TABLE.iter().find(|(path, _)| *path == request.uri().path());
    let method = known.map_or("a method that does not exist", |(path, _)| path.trim_start_matches("/dialtone.v1."));
    let peer = request.extensions().get::<PeerInfo>();
    let newcomer = request.extensions().get::<AnonymousInfo>();
    let from = peer.map(|peer| peer.remote.ip()).or(newcomer.map(|newcomer| newcomer.remote.ip()));
    Refusal {
        who: peer.map_or_else(|| "nobody".to_owned(), |peer| peer.peer.identity.to_string()),
        from: from.map_or_else(|| "an unknown address".to_owned(), |from| from.to_string()),
        what: format!("{method}: {}", refused.message()),
    }
}

impl<S, B> Service<Request<B>> for Access<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response<Body>, S::Error>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let peer = request.extensions().get::<PeerInfo>();
        match decide(request.uri().path(), peer, &self.gate.revoked) {
            Ok(()) => Either::Right(self.inner.call(request)),
            Err(refused) => {
                self.gate.refusals.tell(refusal(&request, &refused));
                Either::Left(ready(Ok(refused.into_http())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn the_table_lists_every_method_there_is_and_no_other() {
        let descriptor = FileDescriptorSet::decode(proto::DESCRIPTOR).unwrap();
        let mut methods = Vec::new();
        for file in &descriptor.file {
            for service in &file.service {
                for method in &service.method {
                    methods.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
        methods.sort();
        let mut listed: Vec<String> = TABLE.iter().map(|(path, _)| (*path).to_owned()).collect();
        listed.sort();
        assert_eq!(listed, methods);
    }

    #[test]
    fn only_enrollment_is_open_to_those_without_a_certificate() {
        for (path, allowed) in TABLE {
            let open = decide(path, None, &Revoked::default()).is_ok();
            assert_eq!(open, path.starts_with("/dialtone.v1.Enrollment/"), "{path}");
            assert_eq!(open, *allowed == Allowed::Enrolling, "{path}");
        }
        assert!(
            decide("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", None, &Revoked::default()).is_err()
        );
    }
}
