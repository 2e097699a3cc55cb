//! The audit log as a whole: who was turned away is in it, and what is in it comes out of the machine.

use std::path::Path;

use common_plan::audit::AuditEntry;
use common_tls::Role;
use common_tls::ca::Ca;
use common_tls::dial::{ClientIdentity, channel, enroll_channel};
use common_tls::keys::NewKey;
use proto::v1;
use proto::v1::agent_client::AgentClient;
use proto::v1::enrollment_client::EnrollmentClient;
use proto::v1::plans_client::PlansClient;
use tonic::Code;

use crate::support::{Lab, SOON, now, operator};

/// Waits until the exported log has an entry like this; all entries.
async fn until(path: &Path, wanted: impl Fn(&AuditEntry) -> bool) -> Vec<AuditEntry> {
    let found = async {
        loop {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let whole = &text[..text.rfind('\n').map_or(0, |at| at + 1)];
            common_plan::audit::verify(whole.lines()).unwrap();
            let entries: Vec<AuditEntry> = whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            if entries.iter().any(&wanted) {
                return entries;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, found).await.expect("it was not written down")
}

#[tokio::test]
async fn who_was_turned_away_is_written_down_and_leaves_the_machine() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("audit.jsonl");
    let lab = Lab::start_with(|config| config.audit.file = Some(log.clone())).await;
    // A viewer who would approve.
    let mut viewer = PlansClient::new(lab.channel(&operator("vera", Role::Viewer)).await);
    let approve = v1::ApproveRequest { plan_id: "0123456789abcdef".to_owned(), approval: None };
    for _ in 0..50 {
        assert_eq!(viewer.approve(approve.clone()).await.unwrap_err().code(), Code::PermissionDenied);
    }
    let entries =
        until(&log, |entry| entry.actor == "operator vera (viewer)" && entry.detail.contains("Plans/Approve")).await;
    assert!(entries.iter().filter(|entry| entry.actor == "operator vera (viewer)").count() < 3, "{entries:#?}");
    // A call without a certificate.
    let newcomer = enroll_channel(&lab.address(), lab.pin.clone()).await.unwrap();
    AgentClient::new(newcomer.clone()).renew_node(v1::RenewRequest::default()).await.unwrap_err();
    until(&log, |entry| entry.actor == "nobody" && entry.detail.contains("Agent/RenewNode")).await;
    // A certificate of another CA.
    let (other, key) = (Ca::create(now()).unwrap(), NewKey::generate().unwrap());
    let hour = std::time::Duration::from_secs(3600);
    let issued = other.issue_client(key.csr_der(), &operator("mallory", Role::Admin), hour, now()).unwrap();
    let forged = key.with_certificate(&issued.chain_pem, lab.controller.ca_pem()).unwrap();
    let identity = std::sync::Arc::new(ClientIdentity::new(forged).unwrap());
    // The client may learn only with its first call that it was turned away.
    if let Ok(channel) = channel(&lab.address(), identity).await {
        PlansClient::new(channel).approve(approve).await.unwrap_err();
    }
    until(&log, |entry| entry.actor == "nobody" && entry.detail.starts_with("a connection: ")).await;
    // A token that is none, one that is made, and its use.
    let login = v1::LoginRequest { token: "x".to_owned(), csr_der: Vec::new() };
    EnrollmentClient::new(newcomer).login(login).await.unwrap_err();
    until(&log, |entry| entry.event == "login-refused").await;
    let token = lab.join_token("es-7").await;
    until(&log, |entry| entry.event == "join-token-made" && !entry.detail.contains(&token)).await;
    lab.join(&token, "es-7").await.unwrap();
    let before = until(&log, |entry| entry.event == "joined" && entry.actor == "node es-7").await;
    // It goes on after a restart.
    let lab = lab.restart().await;
    lab.join_token("es-8").await;
    let after = until(&log, |entry| entry.detail.contains("es-8")).await;
    assert_eq!(&after[..before.len()], &before);
}
