//! From a token to a certificate.

use common_tls::keys::NewKey;
use common_tls::{DialError, Identity, Role};
use proto::v1;
use tonic::{Code, Request};

use crate::support::{FakeAgent, Lab, event, node};

#[tokio::test]
async fn a_token_makes_a_node_and_works_once() {
    let lab = Lab::start().await;
    let token = lab.join_token("").await;
    let credentials = lab.join(&token, "es-1").await.unwrap();
    assert_eq!(credentials.identity().unwrap(), node("es-1"));
    let mut agent = FakeAgent::connect(lab.channel_with(credentials).await).await;
    assert_eq!(agent.deliver(vec![event("es-1", 1)]).await.unwrap(), 1);

    let refused = lab.join(&token, "es-2").await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("tokens work once"), "{}", refused.message());
    assert!(lab.join("wrong", "es-2").await.is_err());
}

#[tokio::test]
async fn a_name_that_is_not_one_is_refused_before_the_token_is_used() {
    let lab = Lab::start().await;
    let token = lab.join_token("").await;
    assert_eq!(lab.join(&token, "../ES").await.unwrap_err().code(), Code::InvalidArgument);
    lab.join(&token, "es-1").await.unwrap();
}

#[tokio::test]
async fn a_token_for_a_name_replaces_the_node_and_cuts_the_old_one_off() {
    let lab = Lab::start().await;
    let first = lab.join(&lab.join_token("").await, "es-1").await.unwrap();
    let mut agent = FakeAgent::connect(lab.channel_with(first).await).await;

    let refused = lab.join(&lab.join_token("").await, "es-1").await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert!(refused.message().contains("--node es-1"), "{}", refused.message());
    assert_eq!(agent.deliver(vec![event("es-1", 1)]).await.unwrap(), 1);

    let second = lab.join(&lab.join_token("es-1").await, "es-1").await.unwrap();
    let ended = agent.next().await.unwrap_err();
    assert_eq!(DialError::of_status(&ended), Some(DialError::Revoked), "{ended:?}");
    FakeAgent::connect(lab.channel_with(second).await).await;
}

#[tokio::test]
async fn a_login_token_makes_an_operator_of_the_role_it_was_made_for() {
    let lab = Lab::start().await;
    let request = v1::AddOperatorRequest { operator: "bob".to_owned(), role: "approver".to_owned() };
    let added = lab.operator(Role::Admin).await.add_operator(Request::new(request)).await.unwrap().into_inner();
    let key = NewKey::generate().unwrap();
    let login = || v1::LoginRequest { token: added.token.clone(), csr_der: key.csr_der().to_vec() };
    let reply = lab.enrollment().await.login(Request::new(login())).await.unwrap().into_inner();
    assert_eq!((reply.operator.as_str(), reply.role.as_str()), ("bob", "approver"));
    assert!(lab.enrollment().await.login(Request::new(login())).await.is_err());
    let certificate = reply.certificate.unwrap();
    let credentials = key.with_certificate(&certificate.chain_pem, &certificate.ca_pem).unwrap();
    let bob = "bob".parse().unwrap();
    assert_eq!(credentials.identity().unwrap(), Identity::Operator { name: bob, role: Role::Approver });
}

#[tokio::test]
async fn an_address_that_keeps_guessing_is_made_to_wait() {
    let lab = Lab::start().await;
    let mut codes = Vec::new();
    for n in 0..25 {
        codes.push(lab.join(&format!("guess-{n}"), "es-1").await.unwrap_err().code());
    }
    assert_eq!(codes[0], Code::PermissionDenied);
    assert_eq!(codes[24], Code::ResourceExhausted);
}
