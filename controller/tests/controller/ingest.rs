//! Evidence: what is acknowledged is kept, once, and only from the node it is about.

use common_model::inventory::NodeSummary;
use common_model::{Body, Change, Class, Envelope, Timestamp};
use common_tls::Role;
use proto::v1;
use proto::v1::agent_message::Message as Up;
use tonic::{Code, Request};

use crate::support::{FakeAgent, Lab, event, node, now};

async fn summary(lab: &Lab) -> NodeSummary {
    let request = Request::new(v1::ListNodesRequest {});
    let nodes = lab.operator(Role::Viewer).await.list_nodes(request).await.unwrap().into_inner().nodes_json;
    assert_eq!(nodes.len(), 1);
    serde_json::from_slice(&nodes[0]).unwrap()
}

async fn evidence(lab: &Lab) -> usize {
    let request = Request::new(v1::GetNodeRequest { node: "es-1".to_owned() });
    lab.operator(Role::Viewer).await.get_node(request).await.unwrap().into_inner().citations_json.len()
}

#[tokio::test]
async fn what_was_acknowledged_is_there_once_after_a_restart() {
    let lab = Lab::start().await;
    let credentials = lab.credentials(&node("es-1")).await;
    let mut agent = FakeAgent::connect(lab.channel_with(credentials.clone()).await).await;
    assert_eq!(agent.acked_seq, 0);
    let batch = vec![event("es-1", 1), event("es-1", 2), event("es-1", 3)];
    assert_eq!(agent.deliver(batch.clone()).await.unwrap(), 3);
    assert_eq!(agent.deliver(batch).await.unwrap(), 3);
    assert_eq!(evidence(&lab).await, 3);
    let online = summary(&lab).await;
    assert!(online.online);
    assert_eq!(online.agent_version.as_deref(), Some("1.2.3"));
    drop(agent);

    let lab = lab.restart().await;
    assert_eq!(evidence(&lab).await, 3);
    let offline = summary(&lab).await;
    assert!(!offline.online && offline.last_seen.is_some());
    let agent = FakeAgent::connect(lab.channel_with(credentials).await).await;
    assert_eq!(agent.acked_seq, 3);
}

#[tokio::test]
async fn a_node_cannot_speak_for_another() {
    let lab = Lab::start().await;
    let mut agent = FakeAgent::connect(lab.channel(&node("es-1")).await).await;
    let refused = agent.deliver(vec![event("es-1", 1), event("es-2", 2)]).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(evidence(&lab).await, 0);
}

#[tokio::test]
async fn an_envelope_that_cannot_be_understood_does_not_hold_up_the_others() {
    let lab = Lab::start().await;
    let mut agent = FakeAgent::connect(lab.channel(&node("es-1")).await).await;
    let mut broken: v1::Envelope = event("es-1", 1).into();
    broken.kind = "Not A Kind".to_owned();
    agent.say(Up::Batch(v1::EvidenceBatch { envelopes: vec![broken, event("es-1", 2).into()] })).await;
    let acked = agent.next().await.unwrap();
    assert_eq!(acked, v1::controller_message::Message::Ack(v1::Ack { seq: 2 }));
    assert_eq!(evidence(&lab).await, 1);
}

#[tokio::test]
async fn the_first_message_has_to_be_a_hello() {
    let lab = Lab::start().await;
    let channel = lab.channel(&node("es-1")).await;
    let batch = v1::AgentMessage { message: Some(Up::Batch(v1::EvidenceBatch { envelopes: vec![] })) };
    let mut client = v1::agent_client::AgentClient::new(channel);
    let mut down = client.connect(tokio_stream::iter([batch])).await.unwrap().into_inner();
    assert_eq!(down.message().await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_second_stream_of_a_node_takes_over() {
    let lab = Lab::start().await;
    let channel = lab.channel(&node("es-1")).await;
    let mut first = FakeAgent::connect(channel.clone()).await;
    let mut second = FakeAgent::connect(channel).await;
    assert_eq!(first.next().await.unwrap_err().code(), Code::Aborted);
    assert_eq!(second.deliver(vec![event("es-1", 1)]).await.unwrap(), 1);
    assert!(summary(&lab).await.online);
}

/// A reading of the kernel settings.
fn settings(node: &str, seq: u64, map_count: u32, taken_at: Timestamp) -> Envelope {
    Envelope {
        kind: "sysctl".parse().unwrap(),
        class: Class::State,
        taken_at,
        body: Body::Raw(format!("{{\"vm.max_map_count\":\"{map_count}\"}}").into_bytes()),
        ..event(node, seq)
    }
}

async fn changes(lab: &Lab, since_ms: i64) -> Vec<Change> {
    let request = v1::ListChangesRequest { node: String::new(), since_ms, limit: 0 };
    let reply = lab.operator(Role::Viewer).await.list_changes(Request::new(request)).await.unwrap().into_inner();
    reply.changes_json.iter().map(|json| serde_json::from_slice(json).unwrap()).collect()
}

#[tokio::test]
async fn a_change_between_two_states_is_logged() {
    let lab = Lab::start().await;
    let mut agent = FakeAgent::connect(lab.channel(&node("es-1")).await).await;
    agent.deliver(vec![settings("es-1", 1, 262_144, now())]).await.unwrap();
    agent.deliver(vec![settings("es-1", 2, 65_530, now())]).await.unwrap();
    let changes = changes(&lab, 0).await;
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(changes[0].what.contains("65530"), "{changes:?}");
    assert!(changes[0].at <= now());
}

#[tokio::test]
async fn clocks_that_are_a_day_off_do_not_change_what_came_first() {
    const DAY_MS: i64 = 86_400_000;
    let lab = Lab::start().await;
    let begun = now();
    // In truth one after the other, a minute apart; by their clocks in the opposite order.
    for (name, ahead_ms, minute) in [("es-ahead", DAY_MS, 1), ("es-right", 0, 2), ("es-behind", -DAY_MS, 3)] {
        let mut agent = FakeAgent::connect_ahead(lab.channel(&node(name)).await, ahead_ms).await;
        let at = begun.plus_millis(ahead_ms + minute * 60_000);
        let batch = vec![settings(name, 1, 262_144, at), settings(name, 2, 65_530, at)];
        agent.deliver(batch).await.unwrap();
    }
    let order = |changes: Vec<Change>| changes.into_iter().map(|change| change.node.to_string()).collect::<Vec<_>>();
    assert_eq!(order(changes(&lab, 0).await), ["es-ahead", "es-right", "es-behind"]);
    assert_eq!(order(changes(&lab, begun.plus_millis(90_000).0).await), ["es-right", "es-behind"]);

    let request = Request::new(v1::ListNodesRequest {});
    let nodes = lab.operator(Role::Viewer).await.list_nodes(request).await.unwrap().into_inner().nodes_json;
    let ahead: NodeSummary = serde_json::from_slice(&nodes[0]).unwrap();
    let (off, slowest) = (ahead.clock_offset_ms.unwrap(), now().millis_since(begun));
    assert!((DAY_MS - slowest..=DAY_MS).contains(&off), "{off} is what was measured of {}", ahead.name);
}
