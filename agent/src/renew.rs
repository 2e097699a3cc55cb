//! A new certificate at half the old one's life, over the connection that stands.

use std::convert::Infallible;
use std::time::Duration;

use common_model::Timestamp;
use common_model::text::printable_line;
use common_tls::Credentials;
use common_tls::keys::NewKey;
use proto::v1;
use proto::v1::agent_client::AgentClient;
use tonic::transport::Channel;

use crate::clock::ControllerClock;
use crate::uplink::{Uplink, jittered};

const RETRY: Duration = Duration::from_secs(30);
/// Short certificates are renewed often, but not in a busy loop.
const SHORTEST: Duration = Duration::from_millis(500);

/// Renews for as long as the connection stands. A failure is logged and tried again: the old certificate is good meanwhile.
pub(crate) async fn run(uplink: &Uplink, channel: Channel, clock: &ControllerClock) -> Infallible {
    loop {
        wait_until(clock, renew_at(&uplink.identity.credentials())).await;
        match renew(uplink, &channel).await {
            Ok(()) => {
                tracing::info!("the certificate was renewed");
                keep(uplink, clock).await;
            }
            Err(error) => {
                tracing::warn!("renewing the certificate failed: {}", printable_line(&format!("{error:#}")));
                tokio::time::sleep(jittered(RETRY)).await;
            }
        }
    }
}

/// Half-way through the validity, up to a fifth of that half earlier or later.
fn renew_at(credentials: &Credentials) -> Timestamp {
    let half = u64::try_from(credentials.not_after().millis_since(credentials.renew_at())).unwrap_or(0);
    let jittered = i64::try_from(jittered(Duration::from_millis(half)).as_millis()).unwrap_or(0);
    credentials.not_after().plus_millis(-jittered)
}

/// Should the machine sleep meanwhile, the connection does not outlive that, and the next one begins anew.
async fn wait_until(clock: &ControllerClock, at: Timestamp) {
    let left = u64::try_from(at.millis_since(clock.now())).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(left).max(SHORTEST)).await;
}

async fn renew(uplink: &Uplink, channel: &Channel) -> anyhow::Result<()> {
    let key = NewKey::generate()?;
    let request = v1::RenewRequest { csr_der: key.csr_der().to_vec() };
    let reply = AgentClient::new(channel.clone()).renew_node(request).await?.into_inner();
    Ok(uplink.identity.replace(key.with_certificate(&reply.chain_pem, &reply.ca_pem)?)?)
}

/// Writes the certificate in use to its directory. Where that fails, as on a full disk, it is tried again until the next one is
/// due: a restart would come back with the old one, which ends sooner.
async fn keep(uplink: &Uplink, clock: &ControllerClock) {
    let Some(directory) = &uplink.credentials_dir else { return };
    let credentials = uplink.identity.credentials();
    let mut told = false;
    while clock.now() < credentials.renew_at() {
        let (saved, directory) = (credentials.clone(), directory.clone());
        match tokio::task::spawn_blocking(move || saved.save(&directory)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) if !told => tracing::error!(
                "the renewed certificate is in use but cannot be kept, so a restart would come back with one that ends \
                 sooner: {}",
                printable_line(&format!("{:#}", anyhow::Error::new(error)))
            ),
            Ok(Err(_)) => {}
            Err(error) => tracing::error!(%error, "keeping the certificate ended"),
        }
        told = true;
        tokio::time::sleep(jittered(RETRY)).await;
    }
}
