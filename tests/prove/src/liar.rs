//! A node that was taken over, as far as the controller sees it: it has the node's certificate, and says what it likes.

use std::sync::Arc;

use common_model::{Envelope, Incarnation, NodeName};
use common_tls::Identity;
use common_tls::dial::{ClientIdentity, channel};
use fastrand::Rng;
use proto::v1;
use proto::v1::agent_client::AgentClient;
use proto::v1::agent_message::Message as Up;
use proto::v1::controller_message::Message as Down;
use tests_node::until;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::authority::{ADDRESS, Authority};
use crate::hostile;

/// On the stream until it is dropped.
pub(crate) struct Liar {
    up: mpsc::Sender<v1::AgentMessage>,
    seq: u64,
    runtime: Runtime,
}

impl Liar {
    /// Connects to the real controller, which may still be starting.
    pub(crate) fn connect(authority: &Authority, node: &NodeName, rng: &mut Rng) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let identity = Arc::new(ClientIdentity::new(authority.issue(&Identity::Node(node.clone()))).unwrap());
        let (up, messages) = mpsc::channel(64);
        let mut connected = None;
        until("the controller answers", || {
            connected = runtime.block_on(channel(ADDRESS, Arc::clone(&identity))).ok();
            connected.is_some()
        });
        let hello = v1::Hello {
            agent_version: hostile::text(rng),
            incarnation: 7,
            boot_id: hostile::text(rng),
            clock_ms: agent_act::clock::now().0,
        };
        up.blocking_send(message(Up::Hello(hello))).unwrap();
        let mut client = AgentClient::new(connected.unwrap());
        let mut down = runtime.block_on(client.connect(ReceiverStream::new(messages))).unwrap().into_inner();
        let answers = up.clone();
        runtime.spawn(async move {
            while let Ok(Some(told)) = down.message().await {
                if let Some(Down::Refresh(v1::Refresh { request })) = told.message {
                    let clock_ms = agent_act::clock::now().0;
                    let refreshed = Up::Refreshed(v1::Refreshed { request, sent_seq: 0, clock_ms });
                    answers.send(message(refreshed)).await.ok();
                }
            }
        });
        Self { up, seq: 0, runtime }
    }

    /// Says it.
    pub(crate) fn tell(&mut self, evidence: Vec<Envelope>) {
        let mut envelopes = Vec::new();
        for envelope in evidence {
            self.seq += 1;
            envelopes.push(Envelope { incarnation: Incarnation(7), seq: self.seq, ..envelope }.into());
        }
        let clock_ms = agent_act::clock::now().0;
        let beat = v1::Heartbeat { clock_ms, sent_seq: self.seq, dropped: 0 };
        for said in [Up::Batch(v1::EvidenceBatch { envelopes }), Up::Heartbeat(beat)] {
            self.runtime.block_on(self.up.send(message(said))).unwrap();
        }
    }
}

fn message(message: Up) -> v1::AgentMessage {
    v1::AgentMessage { message: Some(message) }
}
