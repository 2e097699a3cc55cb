//! The main job, as far as it is the controller's: who is asked, what is probed, what comes back.

use common_model::{Diagnosis, Symptom};
use common_tls::Role;
use proto::v1;
use proto::v1::agent_message::Message as Up;
use proto::v1::controller_message::Message as Down;
use proto::v1::diagnose_question::Message as Question;
use proto::v1::diagnose_reply::Message as Reply;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::support::{FakeAgent, Lab, SOON, closed_port, event, node, now};

/// Asks, and gives the progress lines and the diagnoses.
async fn ask(lab: &Lab, questions: Vec<Question>) -> Result<(Vec<String>, Vec<Diagnosis>), Status> {
    let questions = questions.into_iter().map(|message| v1::DiagnoseQuestion { message: Some(message) });
    let questions: Vec<_> = questions.collect();
    let mut replies = lab.operator(Role::Viewer).await.diagnose(tokio_stream::iter(questions)).await?.into_inner();
    let (mut progress, mut diagnoses) = (Vec::new(), Vec::new());
    while let Some(reply) = timeout(SOON, replies.message()).await.expect("no answer")? {
        match reply.message.unwrap() {
            Reply::Progress(line) => progress.push(line),
            Reply::DiagnosisJson(json) => diagnoses.push(serde_json::from_slice(&json).unwrap()),
        }
    }
    Ok((progress, diagnoses))
}

fn request(endpoints: &[&str]) -> v1::DiagnoseRequest {
    v1::DiagnoseRequest {
        endpoints: endpoints.iter().map(|text| (*text).to_owned()).collect(),
        ..v1::DiagnoseRequest::default()
    }
}

#[tokio::test]
async fn agents_look_again_while_the_controller_probes() {
    let lab = Lab::start().await;
    let mut agent = FakeAgent::connect(lab.channel(&node("es-1")).await).await;
    let port = closed_port().await;
    let answering = async {
        let Down::Refresh(v1::Refresh { request }) = agent.next().await.unwrap() else { panic!("no refresh") };
        agent.deliver(vec![event("es-1", 1)]).await.unwrap();
        agent.say(Up::Refreshed(v1::Refreshed { request, sent_seq: 1, clock_ms: now().0 })).await;
        agent
    };
    let question =
        Question::Request(v1::DiagnoseRequest { refresh_ms: 5_000, ..request(&[&format!("127.0.0.1:{port}")]) });
    let (answer, _agent) = tokio::join!(ask(&lab, vec![question]), answering);
    let (progress, diagnoses) = answer.unwrap();
    assert!(progress.iter().any(|line| line.contains("es-1 reads its sources again")), "{progress:?}");
    assert_eq!(diagnoses.len(), 1);
    let diagnosis = &diagnoses[0];
    assert!(!diagnosis.missing.iter().any(|missing| missing.evidence.contains("at this moment")), "{diagnosis:#?}");
    assert_eq!((diagnosis.symptom, diagnosis.endpoint.port), (Symptom::Refused, port));
    assert_eq!(diagnosis.probes.iter().map(|probe| probe.vantage.as_str()).collect::<Vec<_>>(), ["controller"]);
    assert!(diagnosis.elapsed_ms < 5_000, "{}", diagnosis.elapsed_ms);
}

#[tokio::test]
async fn an_agent_that_does_not_answer_is_not_waited_for_and_said_to_be_late() {
    let lab = Lab::start().await;
    let _silent = FakeAgent::connect(lab.channel(&node("es-1")).await).await;
    let question = Question::Request(request(&[&format!("127.0.0.1:{}", closed_port().await)]));
    let (_, diagnoses) = ask(&lab, vec![question]).await.unwrap();
    let missing: Vec<&str> = diagnoses[0].missing.iter().map(|missing| missing.evidence.as_str()).collect();
    assert!(missing.iter().any(|missing| missing.contains("es-1 reads at this moment")), "{missing:?}");
}

#[tokio::test]
async fn the_callers_probes_count_as_made_from_here() {
    let lab = Lab::start().await;
    let port = closed_port().await;
    let question = Question::Request(request(&[&format!("127.0.0.1:{port}")]));
    let (_, diagnoses) = ask(&lab, vec![question]).await.unwrap();
    // A probe that claims to be the controller's.
    let probe = serde_json::to_vec(&diagnoses[0].probes[0]).unwrap();
    let questions = vec![
        Question::Request(v1::DiagnoseRequest {
            from: vec!["here".to_owned()],
            caller_probes: true,
            ..request(&[&format!("127.0.0.1:{port}")])
        }),
        Question::Probes(v1::CallerProbes { probes_json: vec![probe] }),
    ];
    let (_, diagnoses) = ask(&lab, questions).await.unwrap();
    let probes: Vec<_> = diagnoses[0].probes.iter().map(|probe| (probe.vantage.as_str(), probe.id.as_str())).collect();
    assert_eq!(probes, [("here", "probe/here/0")]);
}

#[tokio::test]
async fn a_question_that_makes_no_sense_says_why() {
    let lab = Lab::start().await;
    let refused = |question| async { ask(&lab, vec![question]).await.unwrap_err() };
    let bad_scheme = refused(Question::Request(request(&["ftp://es-1"]))).await;
    assert!(bad_scheme.code() == Code::InvalidArgument && bad_scheme.message().contains("ftp"), "{bad_scheme:?}");
    let nothing_known = refused(Question::Request(request(&[]))).await;
    assert!(nothing_known.message().contains("name an endpoint"), "{nothing_known:?}");
    let vantage = v1::DiagnoseRequest { from: vec!["moon".to_owned()], ..request(&["es-1"]) };
    assert!(refused(Question::Request(vantage)).await.message().contains("no vantage"));
}
