//! Between controller and actuator. The agent only carries: whether a plan is carried out the actuator decides, whether it
//! worked the controller sees from outside, and a plan whose agent dies midway is undone by the actuator itself.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common_model::text::printable_line;
use common_plan::wire::{Doubt, MAX_LINE, Reply, Request};
use common_plan::{Approval, PlanBytes, PlanId};
use common_tls::dial::{self, ClientIdentity};
use proto::v1;
use proto::v1::agent_client::AgentClient;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};
use tonic::Code;

/// Where the actuator listens.
pub const SOCKET: &str = "/run/dialtone-actuator/socket";

/// For the actuator to take a plan.
const TAKE_LIMIT: Duration = Duration::from_secs(5);
/// For the actuator to apply it; starting an engine takes its time.
const ACT_LIMIT: Duration = Duration::from_secs(15 * 60);
/// For the actuator to make it last, or to undo it.
const END_LIMIT: Duration = Duration::from_secs(60);
/// Of a node's time to prove itself, what is kept to tell the actuator.
const MARGIN: Duration = Duration::from_millis(500);
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// What carrying needs.
pub(crate) struct Relay {
    /// The actuator's socket; none where plans are not carried out.
    pub(crate) socket: Option<PathBuf>,
    /// `HOST:PORT`.
    pub(crate) controller: String,
    /// Our certificate.
    pub(crate) identity: Arc<ClientIdentity>,
}

/// A plan that the actuator has in hand.
pub(crate) struct Handed {
    id: PlanId,
    actuator: Actuator,
}

impl Relay {
    /// Gives a plan to the actuator. Fails only where it has certainly not been given.
    pub(crate) async fn hand(&self, act: v1::Act) -> Result<Handed, String> {
        let plan = PlanBytes::new(act.plan).map_err(|error| error.to_string())?;
        let id = plan.id();
        let approvals = act.approvals.into_iter().map(approval).collect::<Option<Vec<_>>>();
        let approvals = approvals.ok_or("an approval cannot be read")?;
        let socket = self.socket.as_ref().ok_or("this agent carries out no plans")?;
        let mut actuator = Actuator::reach(socket).await.map_err(|error| {
            format!("the actuator cannot be reached ({error}): systemctl enable --now dialtone-actuator.socket")
        })?;
        let taken = timeout(TAKE_LIMIT, actuator.say(&Request::Act { plan, approvals })).await;
        match taken {
            Ok(Ok(())) => Ok(Handed { id, actuator }),
            // A line that was not written whole is no request.
            Ok(Err(error)) => Err(format!("the actuator does not listen: {error}")),
            Err(_) => Err("the actuator does not listen".to_owned()),
        }
    }

    /// Goes on with a plan that waits for its confirmation because an earlier life of this agent ended midway.
    pub(crate) async fn resume(self) {
        let Some(socket) = &self.socket else { return };
        // Where there is no actuator, no plan waits.
        let Ok(mut actuator) = Actuator::reach(socket).await else { return };
        let pending = async {
            actuator.say(&Request::Pending {}).await?;
            actuator.hear(END_LIMIT).await
        };
        match pending.await {
            Ok(Reply::Applied { plan, nonce, left_ms }) => {
                tracing::info!(%plan, "goes on with a plan that waits for its confirmation");
                told(&plan, self.conclude(&plan, nonce, left_ms, &mut actuator).await);
            }
            Ok(Reply::Idle {}) => {}
            Ok(reply) => tracing::warn!("whether a plan waits: {}", ended(&reply)),
            Err(error) => tracing::warn!("whether a plan waits cannot be learned: {error}"),
        }
    }

    /// Follows a plan to its end. Whatever fails here, the actuator undoes what is not confirmed.
    pub(crate) async fn follow(self, handed: Handed) {
        let Handed { id, mut actuator } = handed;
        told(&id, self.carry(&id, &mut actuator).await);
    }

    async fn carry(&self, id: &PlanId, actuator: &mut Actuator) -> io::Result<String> {
        match actuator.hear(ACT_LIMIT).await? {
            Reply::Applied { nonce, left_ms, .. } => self.conclude(id, nonce, left_ms, actuator).await,
            reply => Ok(ended(&reply)),
        }
    }

    /// Has what is live looked at from outside, and tells the actuator to keep it or to undo it.
    async fn conclude(&self, id: &PlanId, nonce: String, left_ms: u64, actuator: &mut Actuator) -> io::Result<String> {
        let deadline = Instant::now() + Duration::from_millis(left_ms).saturating_sub(MARGIN);
        let request = match tokio::time::timeout_at(deadline, self.prove(id, deadline)).await {
            Ok(Ok(v1::ProveReply { keep: true, because })) => {
                tracing::info!(plan = %id, "proven from outside: {}", printable_line(&because));
                Request::Confirm { plan: id.clone(), nonce }
            }
            Ok(Ok(v1::ProveReply { keep: false, because })) => {
                tracing::warn!(plan = %id, "not proven from outside: {}", printable_line(&because));
                Request::Revert { plan: id.clone(), doubt: Doubt::NotSeen }
            }
            Ok(Err(why)) => {
                tracing::warn!(plan = %id, "cannot be proven: {}", printable_line(&why));
                Request::Revert { plan: id.clone(), doubt: Doubt::NotSeen }
            }
            Err(_) => Request::Revert { plan: id.clone(), doubt: Doubt::NotReached },
        };
        actuator.say(&request).await?;
        Ok(ended(&actuator.hear(END_LIMIT).await?))
    }

    /// Asks over a connection made now: one that stood before the change shows nothing. Tries again for as long as it is let.
    async fn prove(&self, id: &PlanId, deadline: Instant) -> Result<v1::ProveReply, String> {
        let mut retry = FIRST_RETRY;
        loop {
            let why = match self.ask(id, deadline).await {
                Ok(reply) => return Ok(reply),
                Err(Failure::Final(why)) => return Err(why),
                Err(Failure::Passing(why)) => why,
            };
            tracing::info!(plan = %id, "the controller is not reached: {}", printable_line(&why));
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(LAST_RETRY);
        }
    }

    async fn ask(&self, id: &PlanId, deadline: Instant) -> Result<v1::ProveReply, Failure> {
        let channel = dial::channel(&self.controller, Arc::clone(&self.identity)).await;
        let channel = channel.map_err(|error| Failure::Passing(error.to_string()))?;
        let left = deadline.saturating_duration_since(Instant::now()).as_millis();
        let request = v1::ProveRequest { plan_id: id.to_string(), left_ms: u64::try_from(left).unwrap_or(u64::MAX) };
        match AgentClient::new(channel).prove(request).await {
            Ok(reply) => Ok(reply.into_inner()),
            Err(status) => Err(match status.code() {
                Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded => {
                    Failure::Passing(status.message().to_owned())
                }
                _ => Failure::Final(status.message().to_owned()),
            }),
        }
    }
}

/// Why the controller has not looked.
enum Failure {
    /// May be over by itself.
    Passing(String),
    /// It will not.
    Final(String),
}

fn approval(approval: v1::Approval) -> Option<Approval> {
    Some(Approval { key: approval.key.parse().ok()?, signature: approval.signature })
}

/// A line for the log on how following a plan went.
fn told(id: &PlanId, how: io::Result<String>) {
    match how {
        Ok(how) => tracing::info!(plan = %id, "{how}"),
        Err(error) => tracing::warn!(plan = %id, "{error}; the actuator undoes what is not confirmed"),
    }
}

fn ended(reply: &Reply) -> String {
    match reply {
        Reply::Refused { code, because } => {
            format!("the actuator refused it ({}): {}", printable_line(code), printable_line(because))
        }
        Reply::Done { entry } => format!(
            "it ended {:?}{}",
            entry.state,
            entry.because.as_deref().map(|why| format!(": {}", printable_line(why))).unwrap_or_default()
        ),
        Reply::Idle {} => "the actuator says that no plan waits".to_owned(),
        Reply::Applied { .. } => "the actuator says that it is applied, once more".to_owned(),
    }
}

/// The connection to the actuator.
struct Actuator(BufReader<UnixStream>);

impl Actuator {
    async fn reach(socket: &Path) -> io::Result<Self> {
        let connecting = timeout(TAKE_LIMIT, UnixStream::connect(socket));
        let stream = connecting.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut)).flatten()?;
        Ok(Self(BufReader::new(stream)))
    }

    async fn say(&mut self, request: &Request) -> io::Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.0.write_all(&line).await
    }

    async fn hear(&mut self, limit: Duration) -> io::Result<Reply> {
        let mut line = Vec::new();
        let cap = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        let mut reader = (&mut self.0).take(cap);
        timeout(limit, reader.read_until(b'\n', &mut line))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if line.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the actuator has hung up"));
        }
        Ok(serde_json::from_slice(&line)?)
    }
}
