//! Every method against every sort of caller.

use common_tls::dial::enroll_channel;
use common_tls::{DialError, Identity, Role};
use controller::access::{Allowed, TABLE};
use http::uri::PathAndQuery;
use proto::v1;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::support::{FakeAgent, Lab, event, node, operator};

/// Calls a method with an empty message, and waits for the first answer: some go on for as long as their caller.
async fn call(channel: &Channel, path: &'static str) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let stream = client.server_streaming(Request::new(()), PathAndQuery::from_static(path), codec).await?;
    stream.into_inner().message().await.map(|_| ())
}

/// Whether the table refused, and not the service, which says no to an empty token.
fn is_refusal(answer: &Result<(), Status>) -> bool {
    answer.as_ref().is_err_and(|status| {
        let code = matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated | Code::Unimplemented);
        code && !status.message().contains("this token is not known")
    })
}

fn may(allowed: Allowed, caller: Option<&Identity>) -> bool {
    match (allowed, caller) {
        (Allowed::Enrolling, None) | (Allowed::Node, Some(Identity::Node(_))) => true,
        (Allowed::Operator(least), Some(Identity::Operator { role, .. })) => *role >= least,
        _ => false,
    }
}

#[tokio::test]
async fn each_caller_reaches_what_the_table_says_and_nothing_else() {
    let lab = Lab::start().await;
    let mut callers: Vec<Option<Identity>> = vec![None, Some(node("es-1"))];
    callers.extend(Role::ALL.map(|role| Some(operator(role.as_str(), role))));
    for caller in callers {
        let channel = match &caller {
            Some(identity) => lab.channel(identity).await,
            None => enroll_channel(&lab.address(), lab.pin.clone()).await.unwrap(),
        };
        for (path, allowed) in TABLE {
            let answer = call(&channel, path).await;
            assert_eq!(
                is_refusal(&answer),
                !may(*allowed, caller.as_ref()),
                "{caller:?} calling {path} got {answer:?}"
            );
        }
        let unknown = call(&channel, "/grpc.health.v1.Health/Check").await.unwrap_err();
        assert_eq!(unknown.code(), Code::Unimplemented, "{caller:?}");
    }
}

#[tokio::test]
async fn a_revoked_node_is_cut_at_once_and_stays_out() {
    let lab = Lab::start().await;
    let channel = lab.channel(&node("es-1")).await;
    let mut agent = FakeAgent::connect(channel.clone()).await;
    assert_eq!(agent.deliver(vec![event("es-1", 1)]).await.unwrap(), 1);

    let who = Some(v1::revoke_request::Who::Node("es-1".to_owned()));
    let mut admin = lab.operator(Role::Admin).await;
    let reply = admin.revoke(Request::new(v1::RevokeRequest { who })).await.unwrap().into_inner();
    assert_eq!((reply.certificates, reply.streams_cut), (1, 1));
    let ended = agent.next().await.unwrap_err();
    assert_eq!(DialError::of_status(&ended), Some(DialError::Revoked), "{ended:?}");

    // The connection still stands; nothing can be done over it.
    let refused = call(&channel, "/dialtone.v1.Agent/RenewNode").await.unwrap_err();
    assert_eq!(DialError::of_status(&refused), Some(DialError::Revoked), "{refused:?}");
    let nodes = admin.list_nodes(Request::new(v1::ListNodesRequest {})).await.unwrap().into_inner().nodes_json;
    assert!(nodes.is_empty());

    // Nor after a restart, which reads the revocations back.
    let credentials = lab.credentials(&node("es-2")).await;
    let who = Some(v1::revoke_request::Who::Node("es-2".to_owned()));
    admin.revoke(Request::new(v1::RevokeRequest { who })).await.unwrap();
    let lab = lab.restart().await;
    let refused = call(&lab.channel_with(credentials).await, "/dialtone.v1.Agent/RenewNode").await.unwrap_err();
    assert_eq!(DialError::of_status(&refused), Some(DialError::Revoked), "{refused:?}");
}
