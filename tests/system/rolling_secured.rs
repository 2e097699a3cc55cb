//! A rolling restart of an OpenSearch that wants TLS and credentials: refused before anything is touched while the controller has
//! none, or the wrong ones; done with the right ones, which are in no log, audit entry, answer or evidence.

use std::time::Duration;

use system_tests::lab::engine::{Scheme, Users, secure};
use system_tests::lab::tls::{Authority, Leaf};
use system_tests::lab::{Engine, Host, Output, client, until};

use crate::fleet::{ENGINE_API, fleet, unwrapped};
use crate::rolling_restart::{LIMIT, POLICY, dialtone, has_ended, json, phases, propose_in, wait};

const CLUSTER: &str = "secured";
const ENGINE: Engine = Engine::OpenSearch;
/// Of the demonstration user that may do everything.
const USER: &str = "admin";
const PASSWORD: &str = "admin";
const WRONG: &str = "canary-of-a-wrong-password";
/// What nobody may repeat: it, and what is sent for the two (RFC 7617).
const SECRETS: [&str; 3] = [WRONG, "YWRtaW46Y2FuYXJ5LW9mLWEtd3JvbmctcGFzc3dvcmQ=", "YWRtaW46YWRtaW4="];
const CA: &str = "/etc/dialtone/secured-ca.pem";

/// One node, joined to the fleet, that serves HTTPS and knows its users.
fn secured(authority: &Authority) -> Host {
    let host = Host::boot("secured").unwrap();
    ENGINE.install(&host).unwrap();
    let issued = authority.issue(&Leaf::of(host.name(), host.ip().into())).unwrap();
    let yml = secure(&host, authority.certificate(), &issued, Users::Demonstration).unwrap();
    ENGINE.set_yml(&host, &yml.replace("cluster.name: lab\n", &format!("cluster.name: {CLUSTER}\n"))).unwrap();
    ENGINE.start(&host).unwrap().ok().unwrap();
    fleet().join(&host).unwrap();
    let key = json(&dialtone(&["key", "-o", "json"]));
    let allow = "{service: {units: [opensearch.service]}}";
    host.write(POLICY, format!("plans_per_hour: 1000\napprovers: [{}]\nallow: {allow}\n", key["approver"])).unwrap();
    ENGINE.wait_http(&host, 9200, Scheme::Https).unwrap();
    let knows_users = || Ok((status(&host) == Some(401)).then_some(()));
    until("the users", Duration::from_secs(60), knows_users).unwrap();
    host
}

fn status(host: &Host) -> Option<u16> {
    client().unwrap().get(&format!("https://{}:9200/", host.ip())).unwrap().map(|(status, _)| status)
}

fn starts(host: &Host) -> usize {
    ENGINE.journal(host).unwrap().matches("Starting opensearch.service").count()
}

/// Writes the controller's credentials for the cluster, with this mode.
fn known_as(entry: &str, mode: &str) {
    let controller = &fleet().controller;
    controller.write(ENGINE_API, format!("clusters: {{{CLUSTER}: {entry}}}\n")).unwrap();
    controller.check(&["chmod", mode, ENGINE_API]).unwrap();
}

/// Proposes until that is refused with these words.
fn refused(because: &str) -> Output {
    let said = until(because, LIMIT, || {
        let said = dialtone(&["rollout", "propose", CLUSTER, "--because", "a test"]);
        assert_ne!(said.code, Some(0), "{said:?}");
        Ok(unwrapped(&said.stderr).contains(because).then_some(said))
    });
    said.unwrap_or_else(|error| panic!("{error}: {:?}", dialtone(&["rollout", "propose", CLUSTER])))
}

#[test]
fn a_cluster_with_tls_and_users_is_restarted_by_who_may_and_nobody_learns_the_password() {
    let authority = Authority::new("lab authority").unwrap();
    let host = secured(&authority);
    let controller = &fleet().controller;
    controller.write(CA, authority.certificate()).unwrap();
    let before = starts(&host);

    let wrong = format!("{{username: {USER}, password: {WRONG}, ca: {CA}}}");
    let mut said = vec![refused("whom to trust is not said: give ca")];
    for (entry, mode, because) in [
        (format!("{{ca: {CA}}}"), "640", "the cluster's API wants credentials: name a file"),
        (wrong.clone(), "640", "wants credentials other than those it was given"),
        (wrong.clone(), "644", "everybody may read"),
        (format!("{{username: {USER}, passwort: {WRONG}}}"), "640", "is not valid"),
    ] {
        known_as(&entry, mode);
        said.push(refused(because));
    }
    assert_eq!(starts(&host), before);

    known_as(&format!("{{username: {USER}, password: {PASSWORD}, ca: {CA}}}"), "640");
    let (id, order) = propose_in(CLUSTER);
    assert_eq!(order, ["secured"]);
    // Changed since it was proposed: told, and nothing is touched until it is mended.
    known_as(&wrong, "640");
    std::thread::scope(|scope| {
        let approving = scope.spawn(|| dialtone(&["approve", &id, "--yes"]));
        wait(&id, "the refusal", |rollout| {
            rollout["turns"][0]["said"].as_str().is_some_and(|said| said.contains("wants credentials other than"))
        });
        assert_eq!(starts(&host), before);
        known_as(&format!("{{username: {USER}, password: {PASSWORD}, ca: {CA}}}"), "640");
        said.push(approving.join().unwrap());
    });
    let ended = wait(&id, "the end of the rollout", has_ended);
    assert_eq!((ended["stage"].as_str(), phases(&ended)), (Some("done"), vec!["done"]), "{ended:#}");
    assert_eq!(starts(&host), before + 1);

    said.push(dialtone(&["audit", "export"]));
    said.push(dialtone(&["rollout", &id, "-o", "json"]));
    said.push(controller.run(&["journalctl", "--no-pager", "--unit", "dialtone-controller"]).unwrap());
    for secret in SECRETS {
        let is_in = |said: &Output| said.stdout.contains(secret) || said.stderr.contains(secret);
        assert!(!said.iter().any(is_in), "{secret}: {said:?}");
        let state = "/var/lib/dialtone-controller";
        let kept = controller.run(&["grep", "--recursive", "--text", "--files-with-matches", "--", secret, state]);
        assert_eq!(kept.unwrap().stdout, "");
    }
    known_as("{}", "640");
}
