//! Who answers: the configured controller, or one in this process.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use common_tls::credentials::CredentialsError;
use common_tls::dial::{self, ClientIdentity};
use common_tls::keys::NewKey;
use common_tls::{Credentials, Identity};
use proto::v1;
use proto::v1::incidents_client::IncidentsClient;
use proto::v1::operator_client::OperatorClient;
use proto::v1::plans_client::PlansClient;
use proto::v1::rollouts_client::RolloutsClient;
use tonic::Status;
use tonic::transport::Channel;

use crate::cli::Global;
use crate::config::Location;
use crate::embedded::Embedded;
use crate::exit::Failure;
use crate::progress::{Progress, note};
use crate::terminal::now;

/// The most bytes one answer may have.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// A controller that answers.
pub(crate) struct Session {
    /// Its API.
    pub(crate) client: OperatorClient<Channel>,
    /// Its API for plans and the audit log.
    pub(crate) plans: PlansClient<Channel>,
    /// Its API for rolling restarts.
    pub(crate) rollouts: RolloutsClient<Channel>,
    /// Its API for incidents.
    pub(crate) incidents: IncidentsClient<Channel>,
    address: String,
    operator: Option<String>,
    embedded: Option<Embedded>,
}

impl Session {
    /// The controller named on the command line or in the configuration, or else one started here.
    pub(crate) async fn open(global: &Global, progress: &Progress) -> Result<Self, Failure> {
        let location = Location::find(global.config.as_deref()).map_err(Failure::usage)?;
        match configured(global, &location)? {
            Some(address) => Self::dial(address, &location, progress).await,
            None => {
                let (embedded, channel) = Embedded::start(progress).await.map_err(Failure::controller)?;
                Ok(Self::new(channel, "in this process".to_owned(), Some(embedded)))
            }
        }
    }

    /// The same, where one started here would be of no use.
    pub(crate) async fn open_remote(global: &Global, progress: &Progress) -> Result<Self, Failure> {
        let location = Location::find(global.config.as_deref()).map_err(Failure::usage)?;
        match configured(global, &location)? {
            Some(address) => Self::dial(address, &location, progress).await,
            None => Err(Failure::controller(anyhow::anyhow!("no controller is configured"))
                .with_hint("dialtone login HOST:PORT --token TOKEN --ca-pin sha256:…, or --controller HOST:PORT")),
        }
    }

    fn new(channel: Channel, address: String, embedded: Option<Embedded>) -> Self {
        let client = OperatorClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES);
        let plans = PlansClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES);
        let rollouts = RolloutsClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES);
        let incidents = IncidentsClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        Self { client, plans, rollouts, incidents, address, operator: None, embedded }
    }

    /// True when the controller and the agent are in this process.
    pub(crate) fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// The same controller, for another task.
    pub(crate) fn another(&self) -> Self {
        Self {
            client: self.client.clone(),
            plans: self.plans.clone(),
            rollouts: self.rollouts.clone(),
            incidents: self.incidents.clone(),
            address: self.address.clone(),
            operator: self.operator.clone(),
            embedded: None,
        }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// As whom it is called.
    pub(crate) fn operator(&self) -> Option<&str> {
        self.operator.as_deref()
    }

    /// What a failed call means.
    pub(crate) fn failure(&self, status: &Status) -> Failure {
        Failure::call(&self.address, status)
    }

    /// Stops what was started here.
    pub(crate) async fn close(self) {
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }

    async fn dial(address: String, location: &Location, progress: &Progress) -> Result<Self, Failure> {
        progress.say(&format!("connecting to {address}"));
        let directory = location.credentials(&address);
        let credentials = Credentials::load(&directory).map_err(|error| no_credentials(&address, error))?;
        let (ended, now) = (credentials.not_after(), now());
        if ended <= now {
            return Err(Failure::expired(&address, ended, now));
        }
        let renew_at = credentials.renew_at();
        let operator = match credentials.identity() {
            Ok(Identity::Operator { name, .. }) => Some(name.to_string()),
            _ => None,
        };
        let identity = Arc::new(ClientIdentity::new(credentials).map_err(Failure::controller)?);
        let channel = dial::channel(&address, Arc::clone(&identity)).await;
        let channel = channel.map_err(|error| Failure::dial(&address, error))?;
        let mut session = Self { operator, ..Self::new(channel, address, None) };
        if now >= renew_at {
            session.renew(&identity, &directory).await;
        }
        Ok(session)
    }

    /// Gets a new certificate at half of the old one's life. The old one is still good when that fails.
    async fn renew(&mut self, identity: &ClientIdentity, directory: &Path) {
        if let Err(error) = self.try_renew(identity, directory).await {
            let until = identity.credentials().not_after();
            note(&format!("the operator's certificate could not be renewed and is good until {until}: {error:#}"));
        }
    }

    async fn try_renew(&mut self, identity: &ClientIdentity, directory: &Path) -> anyhow::Result<()> {
        let key = NewKey::generate()?;
        let request = v1::RenewRequest { csr_der: key.csr_der().to_vec() };
        let reply = self.client.renew_operator(request).await.context("the controller refused")?.into_inner();
        let renewed = key.with_certificate(&reply.chain_pem, &reply.ca_pem)?;
        renewed.save(directory)?;
        identity.replace(renewed)?;
        Ok(())
    }
}

/// The controller named on the command line or in the configuration.
pub(crate) fn configured(global: &Global, location: &Location) -> Result<Option<String>, Failure> {
    match &global.controller {
        Some(address) => Ok(Some(address.clone())),
        None => Ok(location.read().map_err(Failure::usage)?.controller),
    }
}

fn no_credentials(address: &str, error: CredentialsError) -> Failure {
    let missing = matches!(error, CredentialsError::Missing(_));
    let failure = Failure::controller(anyhow::Error::new(error).context(format!("controller {address}")));
    match missing {
        true => failure.with_hint(format!("dialtone login {address} --token TOKEN --ca-pin sha256:…")),
        false => failure,
    }
}
