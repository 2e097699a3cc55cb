//! ⑥ Plain HTTP to a port that speaks TLS.

use system_tests::lab::engine::{Scheme, Users, secure};
use system_tests::lab::tls::{Authority, Leaf};
use system_tests::lab::{Engine, Host};

use crate::fleet::fleet;
use crate::remedy::console::{Console, last_incident};

#[test]
fn plain_http_to_an_opensearch_with_tls_is_named_with_the_certificate_on_the_wire() {
    let host = Host::boot("secure").unwrap();
    let engine = Engine::OpenSearch;
    engine.install(&host).unwrap();
    let authority = Authority::new("lab authority").unwrap();
    let issued = authority.issue(&Leaf::of(host.name(), host.ip().into())).unwrap();
    let yml = secure(&host, authority.certificate(), &issued, Users::Demonstration).unwrap();
    engine.set_yml(&host, &yml).unwrap();
    engine.start(&host).unwrap().ok().unwrap();
    engine.wait_http(&host, 9200, Scheme::Https).unwrap();
    let endpoint = format!("http://{}:9200", host.ip());

    // The wire alone decides, agent or not.
    let seen = fleet().diagnose_until(&endpoint, "https-required");
    seen.assert_certain("https-required", "eof");
    let tls = &seen.detail()["tls"];
    assert!(tls["issuer"].as_str().is_some_and(|issuer| issuer.contains("lab authority")), "{tls:#}");
    assert_eq!(tls["fingerprint_sha256"].as_str().map(str::len), Some(64), "{tls:#}");
    let secure = format!("https://{}:9200", host.ip());
    assert!(seen.json["remedies"].to_string().contains(&secure), "{:#}", seen.json["remedies"]);

    fleet().join(&host).unwrap();
    fleet().diagnose_until(&endpoint, "https-required");
    fleet().diagnose_until(&secure, "healthy");

    // It is mended at the client, which nobody sees from here: a person ends it, and the controller looks at the right address.
    let console = Console::open(fleet().laptop());
    console.read_incident(&endpoint);
    console.end_incident("the client has https now");
    console.quit();
    let incident = last_incident(fleet(), &endpoint);
    assert_eq!(incident["closed"]["who"], "operator alice", "{incident:#}");
    assert!(incident["closed"]["because"].to_string().contains(&secure), "{incident:#}");
}
