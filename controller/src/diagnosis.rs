//! One question: resolve, ask the agents concerned, probe, build the picture, judge.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use common_model::{Diagnosis, Endpoint, EvidenceId, NodeName, Probe, Symptom};
use common_probe::{Limits, ProbeReport, Resolved, probe_endpoint};
use common_tls::server::PeerInfo;
use common_tls::{Identity, Role};
use controller_correlate::{FoundBy, Picture, Resolution, Target};
use controller_remedy::plan::{Proposal, add_reason, proposals};
use futures::future::{join, join_all};
use futures::stream::{FuturesUnordered, StreamExt};
use proto::v1;
use proto::v1::diagnose_question::Message;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Status, Streaming};
use tracing::{error, info};

use crate::access::unusable;
use crate::clock::now;
use crate::cloud;
use crate::core::{Core, blocking, chain};
use crate::question::{self, Nodes};

/// For the request itself.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// For the caller's own probes.
const CALLER_TIMEOUT: Duration = Duration::from_secs(15);
/// For agents, when probes take as long anyway.
const REFRESH_LIMIT: Duration = Duration::from_secs(10);
/// For agents that have just connected: what they have not read yet cannot even be quoted as old.
const FIRST_READ_LIMIT: Duration = Duration::from_secs(3);
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);
/// The most probes a caller may hand in.
const MAX_CALLER_PROBES: usize = 1024;
/// The most of a client's output that is looked at, in characters.
const MAX_CLIENT_ERROR: usize = 64 * 1024;

const CONTROLLER: &str = "controller";
const HERE: &str = "here";

type Replies = mpsc::Sender<Result<v1::DiagnoseReply, Status>>;

/// Answers one call.
pub(crate) async fn run(
    core: Arc<Core>,
    peer: PeerInfo,
    mut questions: Streaming<v1::DiagnoseQuestion>,
    replies: Replies,
) {
    let entry = core.live.enter(&peer.peer.serial);
    let answered = tokio::select! {
        answered = answer(&core, &peer, &mut questions, &replies) => answered,
        () = entry.cut.cancelled() => {
            Err(unusable(&peer, &core.revoked).unwrap_or_else(|| Status::cancelled("the call was cut")))
        }
        () = core.stopping.cancelled() => Err(Status::unavailable("the controller is stopping")),
        () = replies.closed() => return,
    };
    if let Err(status) = answered {
        // The caller may be gone; then nobody needs the reason.
        drop(replies.try_send(Err(status)));
    }
}

async fn answer(
    core: &Arc<Core>,
    peer: &PeerInfo,
    questions: &mut Streaming<v1::DiagnoseQuestion>,
    replies: &Replies,
) -> Result<(), Status> {
    let first = timeout(REQUEST_TIMEOUT, questions.message()).await;
    let first = first.map_err(|_| Status::deadline_exceeded("no request came"))??.and_then(|first| first.message);
    let Some(Message::Request(request)) = first else {
        return Err(Status::invalid_argument("the first message has to be the request"));
    };
    let started = Instant::now();
    let from_controller = vantages(&request)?;
    let asked = asked(core, &request, peer.remote.ip().to_canonical()).await?;
    let proposer = proposer(&peer.peer.identity);

    let caller = caller_probes(questions, request.caller_probes);
    let looking = look(core, &asked, &request, from_controller, replies);
    let (caller, (reports, late)) = join(caller, looking).await;
    let caller = caller?;

    let client_error = Some(request.client_error.chars().take(MAX_CLIENT_ERROR).collect::<String>());
    let client_error = client_error.filter(|text| !text.trim().is_empty());
    let alone = asked.len() == 1;
    for (asked, report) in asked.into_iter().zip(reports) {
        let mine = caller.iter().filter(|probe| asked.is_about(probe, alone)).cloned().collect();
        let judged = judge(core, asked, report, mine, client_error.clone(), &late, started).await?;
        let (ours, expected) = (is_ours(core, &judged.1), is_expected(&judged.1));
        let diagnosis = with_plans(core, judged, proposer.clone()).await?;
        // What a client said may be of another time and place than what is seen here.
        if ours && client_error.is_none() {
            tell_of_incident(core, &diagnosis, expected, asker(&peer.peer.identity)).await;
        }
        let diagnosis_json = serde_json::to_vec(&diagnosis).map_err(|error| Status::internal(error.to_string()))?;
        send(replies, v1::diagnose_reply::Message::DiagnosisJson(diagnosis_json)).await?;
    }
    Ok(())
}

/// Who may propose plans. Others see those that are there.
fn proposer(who: &Identity) -> Option<String> {
    match who {
        Identity::Operator { role, .. } if *role >= Role::Operator => Some(asker(who)),
        Identity::Operator { .. } | Identity::Node(_) => None,
    }
}

/// A member as people are told of it, whatever the role of the moment.
fn asker(who: &Identity) -> String {
    match who {
        Identity::Operator { name, .. } => format!("operator {name}"),
        Identity::Node(_) => who.to_string(),
    }
}

async fn asked(core: &Arc<Core>, request: &v1::DiagnoseRequest, from: IpAddr) -> Result<Vec<Asked>, Status> {
    let endpoints = blocking({
        let (core, texts) = (Arc::clone(core), request.endpoints.clone());
        move || question::endpoints(&core, &texts)
    })
    .await?;
    let asked = join_all(endpoints.into_iter().map(|endpoint| Asked::new(core, endpoint, from))).await;
    asked.into_iter().collect()
}

/// Judges one endpoint by what the controller sees and its nodes say now, for the controller itself.
pub(crate) async fn once(core: &Arc<Core>, request: v1::DiagnoseRequest, from: IpAddr) -> Result<Diagnosis, Status> {
    Ok(judged(core, request, from).await?.0)
}

/// The same, with what the verdict rests on.
pub(crate) async fn judged(
    core: &Arc<Core>,
    request: v1::DiagnoseRequest,
    from: IpAddr,
) -> Result<(Diagnosis, Picture), Status> {
    let started = Instant::now();
    let asked = asked(core, &request, from).await?;
    // Nobody listens to the progress.
    let (replies, _) = mpsc::channel(1);
    let (mut reports, late) = look(core, &asked, &request, true, &replies).await;
    let first = asked.into_iter().next().ok_or_else(|| Status::invalid_argument("no endpoint"))?;
    let report = if reports.is_empty() { None } else { reports.swap_remove(0) };
    judge(core, first, report, Vec::new(), None, &late, started).await
}

/// Whether the endpoint is the same here as at the caller's: what only the caller's own machine can reach cannot be looked at from
/// here, unless this is that machine.
pub(crate) fn is_ours(core: &Core, picture: &Picture) -> bool {
    let is_here = |node| core.live.agent(node).is_some_and(|agent| agent.remote.is_loopback());
    !picture.endpoint.is_loopback() || picture.here.as_ref().is_some_and(is_here)
}

/// Whether somebody counts on the endpoint: it is one of a known node.
pub(crate) fn is_expected(picture: &Picture) -> bool {
    Target::of(picture).found().is_some_and(|found| found.by != FoundBy::OnlyNode)
}

/// Takes a diagnosis that somebody asked for into the incident it is about. What does not succeed is the next look's to do.
async fn tell_of_incident(core: &Arc<Core>, diagnosis: &Diagnosis, expected: bool, who: String) {
    let told = blocking({
        let (core, diagnosis) = (Arc::clone(core), diagnosis.clone());
        move || core.incidents.seen(&diagnosis, expected, &who, None, now())
    });
    if let Err(status) = told.await {
        error!(reason = status.message(), "an incident is not carried on");
    }
}

/// Names the plan that carries out each remedy, making it where there is none and the caller may.
pub(crate) async fn with_plans(
    core: &Arc<Core>,
    (mut diagnosis, picture): (Diagnosis, Picture),
    proposer: Option<String>,
) -> Result<Diagnosis, Status> {
    // What cannot be looked at from here cannot be proven.
    if !is_ours(core, &picture) {
        return Ok(diagnosis);
    }
    let core = Arc::clone(core);
    blocking(move || {
        let means = core.means();
        for Proposal { remedy, plan } in proposals(&diagnosis, &picture, &means, now()) {
            let Some(remedy) = diagnosis.remedies.get_mut(remedy) else { continue };
            let made = plan.and_then(|(plan, needed)| {
                let made = core.plans.propose(&plan, needed, &remedy.title, proposer.as_deref(), now());
                made.map_err(|error| chain(&error))
            });
            match made {
                Ok(id) => remedy.plan_id = id.map(String::from),
                Err(why) if proposer.is_some() => add_reason(remedy, &why),
                Err(_) => {}
            }
        }
        Ok::<_, Status>(diagnosis)
    })
    .await
}

/// Whether the controller itself has to probe.
fn vantages(request: &v1::DiagnoseRequest) -> Result<bool, Status> {
    let unknown = request.from.iter().find(|from| *from != CONTROLLER && *from != HERE);
    match unknown {
        Some(other) => Err(Status::invalid_argument(format!(
            "{:?} is no vantage: probes are made from \"controller\" and from \"here\"",
            other.chars().take(80).collect::<String>()
        ))),
        None => Ok(request.from.is_empty() || request.from.iter().any(|from| from == CONTROLLER)),
    }
}

/// One endpoint with the nodes it may be about.
struct Asked {
    endpoint: Endpoint,
    addresses: Vec<IpAddr>,
    nodes: Nodes,
}

impl Asked {
    async fn new(core: &Arc<Core>, endpoint: Endpoint, caller: IpAddr) -> Result<Self, Status> {
        let addresses = resolve(&endpoint).await;
        let (core, key) = (Arc::clone(core), (endpoint.clone(), addresses.clone()));
        let nodes = blocking(move || question::nodes(&core, &key.0, &key.1, caller)).await?;
        Ok(Self { endpoint, addresses, nodes })
    }

    /// Where the endpoint is the only one asked about, its name may have another address at the caller than here.
    fn is_about(&self, probe: &Probe, alone: bool) -> bool {
        let address = alone || probe.address.is_none_or(|address| self.addresses.contains(&address));
        probe.port == self.endpoint.port && address
    }
}

async fn resolve(endpoint: &Endpoint) -> Vec<IpAddr> {
    if let Some(address) = endpoint.address() {
        return vec![address];
    }
    let lookup = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port));
    match timeout(RESOLVE_TIMEOUT, lookup).await {
        Ok(Ok(found)) => found.map(|socket| socket.ip()).collect(),
        // The probe resolves again and says why it cannot.
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

/// Asks the agents concerned to look again while the controller probes. Agents have the configured time, or more where they
/// have just connected; where the probes take longer, they have as long. Gives the probes and the nodes whose agents did not
/// make it in time.
async fn look(
    core: &Arc<Core>,
    asked: &[Asked],
    request: &v1::DiagnoseRequest,
    from_controller: bool,
    replies: &Replies,
) -> (Vec<Option<ProbeReport>>, BTreeSet<NodeName>) {
    let wait = if request.refresh_ms == 0 { core.config.refresh_ms } else { request.refresh_ms };
    let wait = Duration::from_millis(u64::from(wait)).min(REFRESH_LIMIT);
    let concerned = asked.iter().flat_map(|asked| asked.nodes.concerned.iter());
    let mut late: BTreeSet<NodeName> = concerned.filter(|node| core.live.agent(node).is_some()).cloned().collect();
    let is_new = |node| core.live.agent(node).is_some_and(|agent| agent.state().confirmed_at.is_none());
    let any_new = late.iter().any(is_new);
    let deadline = Instant::now() + if any_new { wait.max(FIRST_READ_LIMIT) } else { wait };
    let mut probes = std::pin::pin!(join_all(asked.iter().map(|asked| async {
        // "localhost" means the caller's machine, not ours.
        let foreign = asked.endpoint.is_loopback() && request.caller_probes;
        if !from_controller || foreign {
            return None;
        }
        progress(replies, format!("probing {} from the controller", asked.endpoint)).await;
        Some(probe_endpoint(&asked.endpoint, CONTROLLER, &Limits::default()).await)
    })));
    let mut clouds = std::pin::pin!(join_all(asked.iter().map(|asked| cloud::read(core, &asked.nodes))));
    let looking = async {
        let mut refresh = std::pin::pin!(refresh(core, &mut late, replies));
        tokio::select! {
            () = &mut refresh => probes.await,
            reports = &mut probes => {
                // Who is not in time is said to be late.
                drop(timeout_at(deadline, refresh).await);
                reports
            }
        }
    };
    let reports = {
        let mut looking = std::pin::pin!(looking);
        tokio::select! {
            _ = &mut clouds => looking.await,
            reports = &mut looking => {
                // What stops packets is worth a wait where one got no answer; elsewhere it may still be of use to the caller.
                let silent = reports.iter().flatten().flat_map(|report| &report.probes).any(|probe| probe.outcome == Symptom::Timeout);
                // What it was before is then too old to be relied on.
                drop(timeout(if silent { cloud::LIMIT } else { cloud::SPARE }, clouds).await);
                reports
            }
        }
    };
    for node in &late {
        info!(%node, "the agent did not read its sources again in time");
    }
    (reports, late)
}

/// Asks the agents of these nodes, and takes out those that have answered.
async fn refresh(core: &Arc<Core>, late: &mut BTreeSet<NodeName>, replies: &Replies) {
    let agents = late.iter().filter_map(|node| Some((node.clone(), core.live.agent(node)?)));
    let mut asked: FuturesUnordered<_> = agents
        .map(|(node, agent)| async move {
            progress(replies, format!("{node} reads its sources again")).await;
            agent.refresh(REFRESH_LIMIT).await.then_some(node)
        })
        .collect();
    while let Some(answered) = asked.next().await {
        if let Some(node) = answered {
            late.remove(&node);
        }
    }
}

async fn caller_probes(questions: &mut Streaming<v1::DiagnoseQuestion>, expected: bool) -> Result<Vec<Probe>, Status> {
    if !expected {
        return Ok(Vec::new());
    }
    let next = timeout(CALLER_TIMEOUT, questions.message()).await;
    let next = next.map_err(|_| Status::deadline_exceeded("the caller's probes did not come"))??;
    let Some(Message::Probes(v1::CallerProbes { probes_json })) = next.and_then(|next| next.message) else {
        return Err(Status::invalid_argument("the second message has to be the caller's probes"));
    };
    if probes_json.len() > MAX_CALLER_PROBES {
        return Err(Status::invalid_argument(format!("more than {MAX_CALLER_PROBES} probes")));
    }
    let probes = probes_json.iter().enumerate().map(|(n, json)| {
        let probe: Probe = serde_json::from_slice(json)
            .map_err(|error| Status::invalid_argument(format!("probe {n} cannot be read: {error}")))?;
        // Whatever it says, it was made by the caller.
        Ok(Probe { id: EvidenceId::of_probe(HERE, n), vantage: HERE.to_owned(), ..probe })
    });
    probes.collect()
}

async fn judge(
    core: &Arc<Core>,
    asked: Asked,
    report: Option<ProbeReport>,
    caller: Vec<Probe>,
    client_error: Option<String>,
    late: &BTreeSet<NodeName>,
    started: Instant,
) -> Result<(Diagnosis, Picture), Status> {
    let (core, late) = (Arc::clone(core), late.clone());
    let (mut diagnosis, picture) = blocking(move || {
        let Nodes { concerned, outlines: mut nodes, here } = asked.nodes;
        for name in concerned {
            let mut picture = core.picture(&name)?;
            picture.agent.late = late.contains(&name);
            nodes.insert(name, picture);
        }
        let resolution = resolution(report.as_ref(), &caller);
        let mut probes = report.map(|report| report.probes).unwrap_or_default();
        probes.extend(caller);
        let endpoint = asked.endpoint;
        let picture = Picture { at: now(), endpoint, resolution, probes, client_error, here, nodes };
        let diagnosis = controller_diagnose::diagnose(&picture);
        Ok::<_, Status>((controller_remedy::with_remedies(diagnosis, &picture), picture))
    })
    .await?;
    diagnosis.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    info!(endpoint = %diagnosis.endpoint.host, port = diagnosis.endpoint.port, cause = %diagnosis.verdict.cause,
        elapsed_ms = diagnosis.elapsed_ms, "diagnosed");
    Ok((diagnosis, picture))
}

/// What the host resolved to at all vantages together.
fn resolution(report: Option<&ProbeReport>, caller: &[Probe]) -> Resolution {
    let mut addresses = match report.map(|report| &report.resolution) {
        Some(Resolved::Addresses(addresses)) => addresses.clone(),
        Some(Resolved::Failed(_)) | None => Vec::new(),
    };
    for address in caller.iter().filter_map(|probe| probe.address) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if !addresses.is_empty() {
        return Resolution::Addresses(addresses);
    }
    match (report.map(|report| &report.resolution), caller.iter().find(|probe| probe.outcome == Symptom::Unresolved)) {
        (Some(Resolved::Failed(why)), _) => Resolution::Failed(why.clone()),
        (_, Some(probe)) => Resolution::Failed(probe.message.clone()),
        _ => Resolution::NotTried,
    }
}

async fn progress(replies: &Replies, line: String) {
    // Who does not listen misses nothing but this line.
    drop(send(replies, v1::diagnose_reply::Message::Progress(line)).await);
}

async fn send(replies: &Replies, message: v1::diagnose_reply::Message) -> Result<(), Status> {
    let reply = v1::DiagnoseReply { message: Some(message) };
    replies.send(Ok(reply)).await.map_err(|_| Status::cancelled("the caller is gone"))
}
