//! What becomes of an edit while it waits to be merged, and its repository does not stay as it is: told in the plan, and picked up
//! again.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common_plan::Stage;
use controller_forge::Kind;
use reqwest::Method;
use serde_json::json;
use tests_remote::Gitea;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::pull_requests::{Checkout, PATH, Scene, because, branches, git, remote, yml};

#[tokio::test]
async fn a_remote_that_is_away_while_a_branch_waits_is_told_once_and_looked_at_again() {
    let (remote, url) = remote();
    let _checkout = Checkout::new(&url, &yml(9201));
    let scene = Scene::start(Kind::Git, &url, None).await;
    let id = scene.approved().await;
    let waits = format!("branch dialtone/{id} is pushed to config: merge it into main");
    scene.until_said(&id, &waits).await;
    let away = remote.path().with_extension("away");
    fs::rename(remote.path(), &away).unwrap();
    scene.until_said(&id, "not known how it stands: git ").await;
    fs::rename(&away, remote.path()).unwrap();
    // It is not left at what is no longer so.
    let record = scene.until_said(&id, &waits).await;
    let stages: Vec<Stage> = record.history.iter().map(|step| step.stage).collect();
    let applied = [Stage::Applied; 3];
    assert_eq!(stages, [&[Stage::Proposed, Stage::Approved, Stage::Dispatched][..], &applied].concat());
    git(remote.path(), &["update-ref", "refs/heads/main", &format!("refs/heads/dialtone/{id}")]);
    scene.until(&id, Stage::Verified).await;
}

#[tokio::test]
async fn a_target_branch_that_goes_or_is_pushed_anew_is_told() {
    let (remote, url) = remote();
    let checkout = Checkout::new(&url, &yml(9201));
    let scene = Scene::start(Kind::Git, &url, None).await;
    let id = scene.approved().await;
    scene.until(&id, Stage::Applied).await;
    let first = git(checkout.path(), &["rev-parse", "HEAD"]);
    git(remote.path(), &["update-ref", "-d", "refs/heads/main"]);
    scene.until_said(&id, "couldn't find remote ref").await;

    // Another history, in which the file is another, too.
    git(checkout.path(), &["checkout", "--quiet", "--orphan", "anew"]);
    checkout.write(PATH, &yml(9333));
    checkout.push("Anew");
    let overtaken = scene.until_said(&id, "has been changed meanwhile").await;
    assert!(because(&overtaken).contains("diagnose again"), "{}", because(&overtaken));

    git(checkout.path(), &["push", "--quiet", "--force", "origin", &format!("{}:refs/heads/main", first.trim())]);
    scene.until_such(&id, |said| said.ends_with("merge it into main")).await;
    git(remote.path(), &["update-ref", "refs/heads/main", &format!("refs/heads/dialtone/{id}")]);
    scene.until(&id, Stage::Verified).await;
}

#[tokio::test]
async fn a_branch_that_is_pushed_again_is_not_given_up() {
    let (remote, url) = remote();
    let _checkout = Checkout::new(&url, &yml(9201));
    let scene = Scene::start(Kind::Git, &url, None).await;
    let id = scene.approved().await;
    scene.until(&id, Stage::Applied).await;
    let branch = format!("refs/heads/dialtone/{id}");
    let pushed = git(remote.path(), &["rev-parse", &branch]);
    git(remote.path(), &["update-ref", "-d", &branch]);
    scene.until_said(&id, "closed without being merged: it ends so unless its branch is pushed again within").await;
    git(remote.path(), &["update-ref", &branch, pushed.trim()]);
    scene.until_said(&id, "merge it into main").await;
    git(remote.path(), &["update-ref", "-d", &branch]);
    scene.until(&id, Stage::Rejected).await;
}

#[tokio::test]
async fn what_was_merged_before_it_was_written_down_is_found_merged() {
    let (remote, url) = remote();
    let checkout = Checkout::new(&url, &yml(9201));
    let scene = Scene::start(Kind::Git, &url, None).await;
    let id = scene.propose().await;
    // As after a death between the push and the note of it, with the branch merged and deleted meanwhile.
    checkout.write(PATH, &yml(9201).replace("port: 9201", &format!("port: {}", scene.port)));
    checkout.push("The same");
    scene.approve(&id).await;
    let found = scene.until(&id, Stage::Verified).await;
    assert!(because(&found).contains("is as approved"), "{}", because(&found));
    assert_eq!(branches(remote.path()), "main\n");
}

/// In front of a forge: passes everything on, or answers that it is too much.
struct Limiter {
    url: String,
    busy: Arc<AtomicBool>,
}

impl Limiter {
    async fn start(forge: &str) -> Self {
        let (behind, busy) = (forge.trim_start_matches("http://").to_owned(), Arc::new(AtomicBool::new(false)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let limits = Arc::clone(&busy);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let is_busy = limits.load(Ordering::SeqCst);
                let behind = behind.clone();
                // Whoever hangs up ends only its own connection.
                tokio::spawn(async move { if is_busy { refuse(client).await } else { pass(client, &behind).await } });
            }
        });
        Self { url, busy }
    }
}

async fn pass(mut client: TcpStream, behind: &str) -> std::io::Result<()> {
    let mut forge = TcpStream::connect(behind).await?;
    copy_bidirectional(&mut client, &mut forge).await.map(drop)
}

async fn refuse(mut client: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let body = r#"{"message": "slow down"}"#;
    let answer = format!(
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 2\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    client.write_all(answer.as_bytes()).await
}

#[tokio::test]
async fn a_pull_request_outlives_a_slip_and_a_forge_that_is_busy() {
    let gitea = Gitea::start().await;
    let _checkout = Checkout::new(&gitea.owners_url(), &yml(9201));
    let limiter = Limiter::start(&gitea.root()).await;
    let url = gitea.url().replace(&gitea.root(), &limiter.url);
    let scene = Scene::start(Kind::Gitea, &url, Some(gitea.token())).await;
    let id = scene.propose().await;

    // Busy before there is anything: nothing is pushed, and it is done once it may be.
    limiter.busy.store(true, Ordering::SeqCst);
    scene.approve(&id).await;
    scene.until_said(&id, "tried again: 127.0.0.1 takes no more requests for 2 s (slow down)").await;
    limiter.busy.store(false, Ordering::SeqCst);
    scene.until_said(&id, "the pull request is open").await;

    limiter.busy.store(true, Ordering::SeqCst);
    scene.until_said(&id, "not known how it stands: 127.0.0.1 takes no more requests for 2 s (slow down)").await;
    limiter.busy.store(false, Ordering::SeqCst);
    scene.until_said(&id, "the pull request is open").await;

    let pull = "/repos/ops/config/pulls/1";
    gitea.api(Method::PATCH, pull, json!({"state": "closed"})).await;
    scene.until_said(&id, "closed without being merged: it ends so unless it is opened again within").await;
    gitea.api(Method::PATCH, pull, json!({"state": "open"})).await;
    scene.until_said(&id, "the pull request is open").await;

    let merge = json!({"Do": "merge", "delete_branch_after_merge": true});
    gitea.api(Method::POST, &format!("{pull}/merge"), merge).await;
    let merged = scene.until(&id, Stage::Verified).await;
    let all = gitea.api(Method::GET, "/repos/ops/config/pulls?state=all", json!(null)).await;
    assert_eq!(all.as_array().unwrap().len(), 1, "{all:#}");
    assert!(merged.history.len() < 16, "{:#?}", merged.history);
}
