//! Certificates that end while connections stand.

use common_tls::DialError;
use common_tls::keys::NewKey;
use futures::FutureExt;
use proto::v1;
use proto::v1::agent_client::AgentClient;
use tonic::Request;

use crate::support::{FakeAgent, Lab, event, node, now};

#[tokio::test]
async fn a_stream_outlives_its_certificate_only_if_it_was_renewed() {
    let lab = Lab::start_with(|config| config.certificate_seconds = 5).await;
    let credentials = lab.credentials(&node("es-1")).await;
    let channel = lab.channel_with(credentials.clone()).await;
    let mut renewing = FakeAgent::connect(channel.clone()).await;
    let mut forgetful = FakeAgent::connect(lab.channel(&node("es-2")).await).await;

    let mut client = AgentClient::new(channel);
    let (mut seq, mut last) = (0, credentials.not_after());
    let mut forgotten = std::pin::pin!(forgetful.next());
    let ended = loop {
        seq += 1;
        assert_eq!(renewing.deliver(vec![event("es-1", seq)]).await.unwrap(), seq);
        let key = NewKey::generate().unwrap();
        let request = v1::RenewRequest { csr_der: key.csr_der().to_vec() };
        let renewed = client.renew_node(Request::new(request)).await.unwrap().into_inner();
        let renewed = key.with_certificate(&renewed.chain_pem, &renewed.ca_pem).unwrap();
        assert_eq!(renewed.identity().unwrap(), node("es-1"));
        assert!(renewed.not_after() >= last);
        last = renewed.not_after();
        if let Some(ended) = forgotten.as_mut().now_or_never() {
            break ended.unwrap_err();
        }
    };
    assert_eq!(DialError::of_status(&ended), Some(DialError::Expired), "{ended:?}");
    // The certificate that was not renewed was made later, so that of the stream that was is over, too.
    assert!(credentials.not_after() <= now() && credentials.not_after() < last);
    assert_eq!(renewing.deliver(vec![event("es-1", seq + 1)]).await.unwrap(), seq + 1);

    // The controller's own certificate has ended too since the start; the port still answers.
    let mut late = FakeAgent::connect(lab.channel(&node("es-3")).await).await;
    assert_eq!(late.deliver(vec![event("es-3", 1)]).await.unwrap(), 1);
}
