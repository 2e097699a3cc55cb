//! `dialtone diagnose`: one call per endpoint, probing from here while the controller does its part.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use common_model::{Certainty, Diagnosis, Endpoint};
use common_probe::{Limits, probe_endpoint};
use futures::future::try_join_all;
use proto::v1;
use proto::v1::diagnose_question::Message as Question;
use proto::v1::diagnose_reply::Message as Reply;
use proto::v1::operator_client::OperatorClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::inventory::one;
use crate::cli::Diagnose;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::progress::Progress;
use crate::render;
use crate::render::diagnosis::is_healthy;
use crate::session::Session;

/// The vantage this program is.
pub(super) const HERE: &str = "here";
/// What a newcomer most likely means, where no engine is found and none is named.
const DEFAULT_ENDPOINT: &str = "http://localhost:9200";
/// The most of a client's output that is read.
const MAX_CLIENT_ERROR: u64 = 64 * 1024;
/// Between two rounds of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// Diagnoses once, or until everything is reachable.
pub(crate) async fn diagnose(
    session: &mut Session,
    output: &Output,
    progress: &Progress,
    arguments: Diagnose,
) -> Result<Exit, Failure> {
    let client_error = arguments.client_error.as_deref().map(read_client_error).transpose().map_err(Failure::usage)?;
    let endpoints = match arguments.endpoint.is_empty() {
        true => known_endpoints(session, progress).await?,
        false => arguments.endpoint.clone(),
    };
    let questions = questions(session, &endpoints, &arguments.from, &client_error.unwrap_or_default())?;
    let mut shown = None;
    loop {
        let diagnoses = ask_all(session, progress, &questions).await?;
        progress.clear();
        let state = state(&diagnoses);
        if !arguments.watch || shown.as_ref() != Some(&state) {
            print(output, &diagnoses, arguments.verbose)?;
            shown = Some(state);
        }
        let exit = exit(&diagnoses);
        if !arguments.watch || exit == Exit::Done {
            return Ok(exit);
        }
        progress.say("watching: it is asked again every 2 s, and said when something changes");
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

/// Waits until the agent of this process has read everything once. A controller that was there before knows its nodes.
pub(super) async fn settle(session: &Session, progress: &Progress) -> Result<(), Failure> {
    if !session.is_embedded() {
        return Ok(());
    }
    // A question about this machine, probed by nobody, has its agent read everything again.
    let endpoints = vec!["localhost".to_owned()];
    let request = v1::DiagnoseRequest { endpoints, from: vec![HERE.to_owned()], ..v1::DiagnoseRequest::default() };
    let asked = ask(session.client.clone(), progress, Asked { request, probe: None }).await;
    asked.map(drop).map_err(|status| session.failure(&status))
}

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) request: v1::DiagnoseRequest,
    /// What to probe from here, if anything.
    pub(crate) probe: Option<Endpoint>,
}

/// The engines that are known, or where an engine most likely is.
async fn known_endpoints(session: &Session, progress: &Progress) -> Result<Vec<String>, Failure> {
    settle(session, progress).await?;
    // Probed by nobody: only to learn what there is to probe.
    let request = v1::DiagnoseRequest { from: vec![HERE.to_owned()], ..v1::DiagnoseRequest::default() };
    match ask(session.client.clone(), progress, Asked { request, probe: None }).await {
        Ok(diagnoses) => diagnoses.iter().map(|json| one(json).map(|known| endpoint(&known).to_string())).collect(),
        Err(status) if status.code() == Code::NotFound && session.is_embedded() => {
            Ok(vec![DEFAULT_ENDPOINT.to_owned()])
        }
        Err(status) => Err(session.failure(&status)),
    }
}

/// What a diagnosis is about.
pub(super) fn endpoint(diagnosis: &Diagnosis) -> Endpoint {
    let seen = &diagnosis.endpoint;
    Endpoint { scheme: seen.scheme, host: seen.host.clone(), port: seen.port }
}

fn questions(
    session: &Session,
    endpoints: &[String],
    from: &[String],
    client_error: &str,
) -> Result<Vec<Asked>, Failure> {
    // In one process both vantages are this machine, and one probe says all.
    let from = if from.is_empty() && session.is_embedded() { vec![HERE.to_owned()] } else { from.to_vec() };
    let here = from.is_empty() || from.iter().any(|vantage| vantage == HERE);
    let asked = endpoints.iter().map(|text| {
        let endpoint: Endpoint = text.parse().map_err(Failure::usage)?;
        let request = v1::DiagnoseRequest {
            endpoints: vec![text.clone()],
            from: from.clone(),
            caller_probes: here,
            client_error: client_error.to_owned(),
            ..v1::DiagnoseRequest::default()
        };
        Ok(Asked { request, probe: here.then_some(endpoint) })
    });
    asked.collect()
}

fn read_client_error(file: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().take(MAX_CLIENT_ERROR).read_to_end(&mut bytes).context("cannot read standard input")?;
    } else {
        let cannot = || format!("cannot read {}", file.display());
        let opened = std::fs::File::open(file).with_context(cannot)?;
        opened.take(MAX_CLIENT_ERROR).read_to_end(&mut bytes).with_context(cannot)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn ask_all(session: &Session, progress: &Progress, questions: &[Asked]) -> Result<Vec<Diagnosis>, Failure> {
    let asked = questions.iter().map(|asked| ask(session.client.clone(), progress, asked.clone()));
    let diagnoses = try_join_all(asked).await.map_err(|status| session.failure(&status))?;
    diagnoses.concat().iter().map(|json| one(json)).collect()
}

/// Sends the request, probes while the controller works, and collects the diagnoses, each as JSON.
pub(crate) async fn ask(
    mut client: OperatorClient<Channel>,
    progress: &Progress,
    asked: Asked,
) -> Result<Vec<Vec<u8>>, Status> {
    let (questions, stream) = mpsc::channel(2);
    let first = v1::DiagnoseQuestion { message: Some(Question::Request(asked.request)) };
    let probing = async move {
        // The receiver is gone only when the call has failed, and that says why.
        questions.send(first).await.ok();
        if let Some(endpoint) = asked.probe {
            progress.say(&format!("probing {endpoint} from here"));
            let report = probe_endpoint(&endpoint, HERE, &Limits::default()).await;
            let probes_json = report.probes.iter().filter_map(|probe| serde_json::to_vec(probe).ok()).collect();
            let probes = v1::CallerProbes { probes_json };
            questions.send(v1::DiagnoseQuestion { message: Some(Question::Probes(probes)) }).await.ok();
        }
    };
    let answering = async {
        let mut replies = client.diagnose(ReceiverStream::new(stream)).await?.into_inner();
        let mut diagnoses = Vec::new();
        while let Some(reply) = replies.message().await? {
            match reply.message {
                Some(Reply::Progress(line)) => progress.say(&line),
                Some(Reply::DiagnosisJson(json)) => diagnoses.push(json),
                // A newer controller may say more than we understand.
                None => {}
            }
        }
        Ok(diagnoses)
    };
    let (answered, ()) = tokio::join!(answering, probing);
    answered
}

fn print(output: &Output, diagnoses: &[Diagnosis], verbose: bool) -> Result<(), Failure> {
    let text = |terminal: &crate::terminal::Terminal| {
        let pages: Vec<String> =
            diagnoses.iter().map(|diagnosis| render::diagnosis::diagnosis(diagnosis, terminal, verbose)).collect();
        let all_short = pages.iter().all(|page| page.lines().count() <= 2);
        pages.join(if all_short { "" } else { "\n" })
    };
    match diagnoses {
        [one] => output.print(one, text),
        several => output.print(&several, text),
    }
}

/// What `--watch` looks at: what people would see change.
fn state(diagnoses: &[Diagnosis]) -> Vec<(String, String, String)> {
    let seen = |diagnosis: &Diagnosis| {
        let verdict = &diagnosis.verdict;
        (
            format!("{:?} {}", diagnosis.symptom, diagnosis.endpoint.port),
            verdict.cause.to_string(),
            verdict.sentence.clone(),
        )
    };
    diagnoses.iter().map(seen).collect()
}

fn exit(diagnoses: &[Diagnosis]) -> Exit {
    let undetermined = |diagnosis: &Diagnosis| diagnosis.verdict.certainty == Certainty::Undetermined;
    if diagnoses.is_empty() {
        Exit::Undetermined
    } else if diagnoses.iter().all(is_healthy) {
        Exit::Done
    } else if diagnoses.iter().any(|diagnosis| !is_healthy(diagnosis) && !undetermined(diagnosis)) {
        Exit::Cause
    } else {
        Exit::Undetermined
    }
}
