//! The gRPC services. Who may call what has been decided before any of them sees a request.

pub(crate) mod agent;
pub(crate) mod enrollment;
pub(crate) mod incidents;
pub(crate) mod operator;
pub(crate) mod plans;
pub(crate) mod rollouts;

use common_tls::ca::Issued;
use common_tls::server::PeerInfo;
use common_tls::{Identity, OperatorName};
use proto::v1;
use tonic::{Request, Status};

use crate::core::Core;

/// Who calls; the access table has let only authenticated connections through.
fn peer_of<T>(request: &Request<T>) -> Result<PeerInfo, Status> {
    let peer = request.extensions().get::<PeerInfo>();
    peer.cloned().ok_or_else(|| Status::unauthenticated("this needs a client certificate"))
}

/// The operator who calls.
fn operator_of<T>(request: &Request<T>) -> Result<OperatorName, Status> {
    match peer_of(request)?.peer.identity {
        Identity::Operator { name, .. } => Ok(name),
        Identity::Node(_) => Err(Status::permission_denied("this is for operators")),
    }
}

fn certificate_reply(issued: Issued, core: &Core) -> v1::CertificateReply {
    v1::CertificateReply {
        chain_pem: issued.chain_pem,
        ca_pem: core.authority.ca_pem().to_owned(),
        not_after_ms: issued.not_after.0,
    }
}

/// Renews the caller's certificate; its connection may then be used for as long as the new one.
async fn renew(
    core: &std::sync::Arc<Core>,
    request: Request<v1::RenewRequest>,
) -> Result<v1::CertificateReply, Status> {
    let peer = peer_of(&request)?;
    let (csr, identity) = (request.into_inner().csr_der, peer.peer.identity.clone());
    let issued = crate::core::blocking({
        let core = std::sync::Arc::clone(core);
        move || core.authority.renew(&csr, &identity)
    })
    .await?;
    // A revocation that ran meanwhile may have missed the new certificate.
    if let Some(refused) = crate::access::unusable(&peer, &core.revoked) {
        core.revoked.add([issued.serial]);
        return Err(refused);
    }
    peer.extend(issued.not_after);
    Ok(certificate_reply(issued, core))
}
