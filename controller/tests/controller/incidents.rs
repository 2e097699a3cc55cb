//! Incidents over a running controller: they begin with a look, live through a restart, show everybody the same, and end when the
//! endpoint answers or a person says so.

use common_model::incident::{Incident, What};
use common_plan::{Record, Stage, State};
use common_tls::Role;
use controller::Config;
use proto::v1;
use proto::v1::incidents_client::IncidentsClient;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::plans::{Scene, come_up};
use crate::support::{FakeAgent, Lab, SOON, closed_port, node, operator};

async fn incidents(lab: &Lab, name: &str, role: Role) -> IncidentsClient<Channel> {
    IncidentsClient::new(lab.channel(&operator(name, role)).await)
}

async fn list(lab: &Lab, ended: bool) -> Vec<Incident> {
    let request = v1::ListIncidentsRequest { ended };
    let reply = incidents(lab, "viewer", Role::Viewer).await.list(request).await.unwrap().into_inner();
    reply.incidents_json.iter().map(|json| serde_json::from_slice(json).unwrap()).collect()
}

async fn close(lab: &Lab, role: Role, because: &str, anyway: bool) -> Result<Incident, Status> {
    let request = v1::CloseIncidentRequest { incident_id: "1".to_owned(), because: because.to_owned(), anyway };
    let reply = incidents(lab, "oscar", role).await.close(request).await?.into_inner();
    Ok(serde_json::from_slice(&reply.incident_json).unwrap())
}

/// What one operator is shown, live.
struct Board(Streaming<v1::Board>);

impl Board {
    async fn of(lab: &Lab, name: &str) -> Self {
        let stream = incidents(lab, name, Role::Viewer).await.watch(v1::WatchIncidentsRequest {}).await;
        Self(stream.unwrap().into_inner())
    }

    /// Waits until what is shown is as wanted.
    async fn until(&mut self, wanted: impl Fn(&[Incident], &[Record]) -> bool) -> (Vec<Incident>, Vec<Record>) {
        let found = async {
            loop {
                let board = self.0.message().await.unwrap().expect("it ended");
                let incidents: Vec<Incident> =
                    board.incidents_json.iter().map(|json| serde_json::from_slice(json).unwrap()).collect();
                let plans: Vec<Record> =
                    board.plans_json.iter().map(|json| serde_json::from_slice(json).unwrap()).collect();
                if wanted(&incidents, &plans) {
                    return (incidents, plans);
                }
            }
        };
        timeout(SOON, found).await.expect("it was not shown")
    }
}

async fn watchful() -> Lab {
    Lab::start_with(|config| config.incidents.probe_every_s = 1).await
}

#[tokio::test]
async fn it_is_opened_shown_to_everybody_and_closed_with_who_approved_what() {
    let mut scene = Scene::in_lab(watchful().await, 1).await;
    let (mut alices, mut bobs) = (Board::of(&scene.lab, "alice").await, Board::of(&scene.lab, "bob").await);
    alices.until(|incidents, _| incidents.is_empty()).await;
    scene.diagnose(Role::Viewer).await;
    // Nobody who may propose has asked: the controller proposes by itself.
    let (opened, plans) = bobs.until(|incidents, plans| incidents.len() == 1 && plans.len() == 1).await;
    assert_eq!(opened[0].verdict.cause.as_str(), "bootstrap-check");
    assert_eq!(opened[0].endpoint, format!("http://127.0.0.1:{}", scene.port));
    assert!(opened[0].path.len() > 4 && opened[0].is_open());
    let id = plans[0].id.clone();

    scene.approve(&id).await.unwrap();
    bobs.until(|_, plans| plans.iter().any(|plan| plan.approvals.iter().any(|given| given.operator == "alice"))).await;
    scene.handed().await;
    scene.entry(&id, State::Applied).await;
    scene.until(&id, Stage::Applied).await;
    come_up(scene.port).await;
    // It answers, and what made it answer may still be undone.
    alices.until(|incidents, _| incidents[0].is_open() && incidents[0].answers_since.is_some()).await;
    assert!(scene.prove("es-1", &id, 20_000).await.unwrap().keep);
    scene.entry(&id, State::Persisted).await;
    let (closed, _) = alices.until(|incidents, _| incidents.iter().all(|incident| !incident.is_open())).await;
    let [incident] = closed.as_slice() else { panic!("{closed:#?}") };
    assert_eq!(incident.closed.as_ref().unwrap().who, "controller");
    let plan = &incident.plans[0];
    assert_eq!((plan.id.as_str(), plan.stage.as_str()), (id.as_str(), "verified"));
    assert_eq!(plan.approved_by.iter().map(|by| by.operator.as_str()).collect::<Vec<_>>(), ["alice"]);
    assert!(list(&scene.lab, false).await.is_empty());
    assert_eq!(list(&scene.lab, true).await, closed);
    let events = scene.audited().await;
    let of_incident: Vec<_> = events.iter().filter(|event| event.starts_with("incident-")).collect();
    assert_eq!(of_incident, ["incident-opened", "incident-closed"]);
}

#[tokio::test]
async fn the_same_outage_is_one_incident_also_after_a_restart() {
    let scene = Scene::in_lab(watchful().await, 1).await;
    scene.diagnose(Role::Viewer).await;
    scene.diagnose(Role::Operator).await;
    let before = list(&scene.lab, true).await;
    assert_eq!(before.len(), 1);
    let port = scene.port;
    let lab = scene.lab.restart().await;
    let _agent = FakeAgent::connect(lab.channel(&node("es-1")).await).await.attend();
    let after = list(&lab, false).await;
    assert_eq!((after[0].id, after[0].opened_at), (before[0].id, before[0].opened_at));
    come_up(port).await;
    Board::of(&lab, "bob").await.until(|incidents, _| incidents.iter().all(|incident| !incident.is_open())).await;
    let reply =
        incidents(&lab, "bob", Role::Viewer).await.get(v1::IncidentRequest { incident_id: "#1".to_owned() }).await;
    let reply = reply.unwrap().into_inner();
    let incident: Incident = serde_json::from_slice(&reply.incident_json).unwrap();
    assert_eq!(incident.history.last().unwrap().what, What::Closed);
    // The diagnosis that is kept is of what was wrong.
    let diagnosis: common_model::Diagnosis = serde_json::from_slice(&reply.diagnosis_json).unwrap();
    assert_ne!(diagnosis.verdict.cause.as_str(), "healthy");
}

#[tokio::test]
async fn an_endpoint_that_comes_and_goes_is_one_incident() {
    let scene = Scene::in_lab(watchful().await, 1).await;
    scene.diagnose(Role::Operator).await;
    let mut board = Board::of(&scene.lab, "bob").await;
    let engine = come_up(scene.port).await;
    board.until(|incidents, _| incidents.iter().all(|incident| !incident.is_open())).await;
    engine.abort();
    let gone = engine.await;
    assert!(gone.is_err_and(|error| error.is_cancelled()));
    scene.diagnose(Role::Operator).await;
    let all = list(&scene.lab, true).await;
    assert_eq!(all.len(), 1);
    assert!(all[0].is_open());
    let audit = scene.audited().await;
    assert!(audit.iter().any(|line| line.contains("incident-reopened")), "{audit:#?}");
}

#[tokio::test]
async fn a_person_ends_one_with_words_and_not_while_nothing_answers() {
    let scene = Scene::in_lab(watchful().await, 1).await;
    scene.diagnose(Role::Viewer).await;
    let lab = &scene.lab;
    assert_eq!(close(lab, Role::Viewer, "gone", true).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(close(lab, Role::Operator, " ", true).await.unwrap_err().code(), Code::InvalidArgument);
    let refused = close(lab, Role::Operator, "gone", false).await.unwrap_err();
    assert!(refused.code() == Code::FailedPrecondition && refused.message().contains("--anyway"), "{refused:?}");
    let closed = close(lab, Role::Operator, "the host is\u{1b}[2J gone", true).await.unwrap().closed.unwrap();
    assert_eq!(closed.who, "operator oscar");
    assert!(closed.because.starts_with("the host is\\u{1b}[2J gone (although"), "{closed:?}");
    assert_eq!(close(lab, Role::Operator, "again", true).await.unwrap_err().code(), Code::FailedPrecondition);
    assert!(scene.audited().await.contains(&"incident-closed".to_owned()));
}

#[tokio::test]
async fn what_is_mended_at_the_client_is_closed_once_the_right_endpoint_answers() {
    let port = closed_port().await;
    come_up(port).await;
    let wrong = format!("https://127.0.0.1:{port}");
    let watch = |config: &mut Config| config.incidents.watch = vec![wrong.clone()];
    let lab = Lab::start_with(watch).await;
    let (open, _) = Board::of(&lab, "bob").await.until(|incidents, _| incidents.len() == 1).await;
    assert_eq!((open[0].endpoint.as_str(), open[0].verdict.cause.as_str()), (wrong.as_str(), "plain-http-only"));
    let closed = close(&lab, Role::Operator, "the client was told http", false).await.unwrap().closed.unwrap();
    let seen = format!("the controller sees http://127.0.0.1:{port} answer");
    assert!(closed.because.contains(&seen), "{closed:?}");
}

#[tokio::test]
async fn an_endpoint_that_is_watched_needs_nobody_to_ask() {
    let port = closed_port().await;
    let watch = |config: &mut Config| {
        config.incidents.probe_every_s = 1;
        config.incidents.watch = vec![format!("http://127.0.0.1:{port}")];
    };
    let lab = Lab::start_with(watch).await;
    let mut board = Board::of(&lab, "bob").await;
    let (open, _) = board.until(|incidents, _| incidents.len() == 1).await;
    assert_eq!(open[0].history[0].who, "controller");
    come_up(port).await;
    board.until(|incidents, _| incidents.iter().all(|incident| !incident.is_open())).await;
}
