//! A running controller: opened, listening, and stopped again.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common_tls::ca::{Ca, CaError};
use common_tls::dial::UnusableCredentials;
use common_tls::server::{Incoming, RefusedClient, ServerTls, accept};
use common_tls::{Credentials, Identity};
use controller_cloud::{Aws, CloudError};
use controller_store::{SledStore, Store, StoreError};
use proto::v1::agent_server::AgentServer;
use proto::v1::enrollment_server::EnrollmentServer;
use proto::v1::incidents_server::IncidentsServer;
use proto::v1::operator_server::OperatorServer;
use proto::v1::plans_server::PlansServer;
use proto::v1::rollouts_server::RolloutsServer;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Server;
use tracing::{error, info, warn};

use crate::access::{AccessLayer, Revoked};
use crate::api::agent::AgentApi;
use crate::api::enrollment::EnrollmentApi;
use crate::api::incidents::IncidentsApi;
use crate::api::operator::OperatorApi;
use crate::api::plans::PlansApi;
use crate::api::rollouts::RolloutsApi;
use crate::audit::Audit;
use crate::audit::export::{self, Sink};
use crate::audit::refusals::{self, Refusal, Refusals};
use crate::authority::{Authority, AuthorityError};
use crate::clock::now;
use crate::config::Config;
use crate::core::{Core, blocking, chain};
use crate::evidence_log::EvidenceLog;
use crate::incidents::Incidents;
use crate::live::Live;
use crate::plans::Plans;
use crate::registry::{Registry, RegistryError};
use crate::repositories::Repositories;
use crate::rollouts::{self, Rollouts};
use crate::{carry, dispatch, watch};

const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Calls under way at once on one connection.
const MAX_CALLS: u32 = 32;
/// The most bytes of a request's headers.
const MAX_HEADERS: u32 = 16 * 1024;
/// How long a connection without a certificate may stand.
const NEWCOMER_AGE: Duration = Duration::from_secs(60);
/// How long calls under way may take once the controller is told to stop.
const DRAIN: Duration = Duration::from_secs(5);
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);
/// The longest sleep before the own certificate is looked at again; clocks jump.
const RENEWAL_CHECK: Duration = Duration::from_secs(60);

/// Why a controller does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no CA.
    #[error("there is no CA in {}: run dialtone-controller init first", .0.display())]
    NoCa(PathBuf),
    /// The CA cannot be used.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The own certificate cannot be made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The own certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] UnusableCredentials),
    /// The cloud cannot be asked.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// The port cannot be had.
    #[error("cannot listen on {0}")]
    Listen(String, #[source] io::Error),
}

/// A running controller. Dropped without [`Controller::shutdown`], it stops at once.
pub struct Controller {
    core: Arc<Core>,
    store: Arc<dyn Store>,
    local_addr: SocketAddr,
    tasks: JoinSet<()>,
}

impl Controller {
    /// Opens the store, makes the controller's certificate and listens. The CA has to be there.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        if !Ca::exists(&config.ca_dir()) {
            return Err(StartError::NoCa(config.ca_dir()));
        }
        let store = open_store(&config)?;
        Self::start_over(config, store).await
    }

    /// Does the same over a store that is open already.
    pub async fn start_over(config: Config, store: Arc<dyn Store>) -> Result<Self, StartError> {
        let ca = Ca::load(&config.ca_dir())?;
        let audit = Arc::new(Audit::new(Arc::clone(&store)));
        let registry = Registry::new(Arc::clone(&store));
        let core = Arc::new(Core {
            authority: Authority::new(ca, config.clone(), registry.clone()),
            evidence: EvidenceLog::new(Arc::clone(&store)),
            plans: Plans::new(Arc::clone(&store), Arc::clone(&audit)),
            repositories: Repositories::new(&config),
            rollouts: Rollouts::new(Arc::clone(&store), Arc::clone(&audit)),
            incidents: Incidents::new(Arc::clone(&store), Arc::clone(&audit))?,
            audit,
            aws: config.cloud.aws.clone().map(Aws::new).transpose()?,
            live: Arc::new(Live::default()),
            revoked: Arc::new(Revoked::new(registry.revoked(now())?)),
            stopping: CancellationToken::new(),
            registry,
            config,
        });
        let own = core.authority.own_credentials()?;
        let tls = Arc::new(ServerTls::new(&own)?);
        let listener = listen(&core.config.listen).await?;
        let local_addr =
            listener.local_addr().map_err(|source| StartError::Listen(core.config.listen.clone(), source))?;
        let mut tasks = JoinSet::new();
        let (told, heard) = Refusals::new();
        serve(&core, accept(listener, Arc::clone(&tls)), &told, &mut tasks);
        tasks.spawn(refusals::keep(Arc::clone(&core), heard));
        for sink in Sink::of(&core.config.audit) {
            tasks.spawn(export::keep(Arc::clone(&core), Arc::clone(&store), sink));
        }
        tasks.spawn(keep_certificate(Arc::clone(&core), tls, own));
        tasks.spawn(sweep(Arc::clone(&core)));
        tasks.spawn(dispatch::keep(Arc::clone(&core)));
        tasks.spawn(rollouts::keep(Arc::clone(&core)));
        tasks.spawn(watch::keep(Arc::clone(&core)));
        tasks.spawn(carry::keep(Arc::clone(&core)));
        tasks.spawn({
            let core = Arc::clone(&core);
            async move { core.stopping.run_until_cancelled(core.repositories.try_out()).await.unwrap_or_default() }
        });
        info!(%local_addr, "listening");
        Ok(Self { core, store, local_addr, tasks })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The CA's certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        self.core.authority.ca_pem()
    }

    /// A key and certificate for an agent or operator in the same process.
    pub async fn issue(&self, identity: &Identity) -> Result<Credentials, Status> {
        let (core, identity) = (Arc::clone(&self.core), identity.clone());
        blocking(move || core.authority.credentials(&identity)).await
    }

    /// True when the store answers; the watchdog's question.
    pub async fn is_alive(&self) -> bool {
        let store = Arc::clone(&self.store);
        let read = tokio::task::spawn_blocking(move || store.get("registry", "alive").is_ok());
        read.await.unwrap_or(false)
    }

    /// Tells agents and callers to go, waits a few seconds for calls under way, and closes the store.
    pub async fn shutdown(mut self) {
        self.core.stopping.cancel();
        let drained = tokio::time::timeout(DRAIN, async { while self.tasks.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            warn!("some calls did not end in time");
            self.tasks.shutdown().await;
        }
        info!("stopped");
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.core.stopping.cancel();
    }
}

fn open_store(config: &Config) -> Result<Arc<dyn Store>, StoreError> {
    let (store, report) = SledStore::open(&config.store_dir())?;
    for snapshot in &report.removed_snapshots {
        warn!(path = %snapshot.display(), "removed a half-written snapshot of the store");
    }
    if report.full {
        error!(
            store = %config.store_dir().display(),
            "the disk is full: what is stored is served; evidence, tokens and revocations are refused once what little is left \
             is used up. Free some: the controller goes on by itself"
        );
    }
    if let Some(quarantined) = &report.quarantined {
        error!(
            path = %quarantined.display(),
            "the store was damaged and has been moved away; an empty one was begun. Agents send their state again; tokens, \
             revocations and the change log are lost"
        );
    }
    Ok(Arc::new(store))
}

/// Binds the address. `[::]` means every address, IPv4 included, also on a host without IPv6.
async fn listen(address: &str) -> Result<TcpListener, StartError> {
    let failed = |source| StartError::Listen(address.to_owned(), source);
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(source) => match address.parse::<SocketAddr>() {
            Ok(SocketAddr::V6(v6)) if v6.ip().is_unspecified() && no_ipv6(&source) => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, v6.port())).await.map_err(failed)
            }
            _ => Err(failed(source)),
        },
    }
}

fn no_ipv6(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error();
    errno == Some(Errno::AFNOSUPPORT.raw_os_error()) || errno == Some(Errno::ADDRNOTAVAIL.raw_os_error())
}

/// Two routers that share nothing but the table: who enrols can reach nothing else.
fn serve(core: &Arc<Core>, incoming: Incoming, refusals: &Refusals, tasks: &mut JoinSet<()>) {
    let access = AccessLayer { revoked: Arc::clone(&core.revoked), refusals: refusals.clone() };
    let (mut refused, turned_away) = (incoming.refused, refusals.clone());
    tasks.spawn(async move {
        // It ends with the accepting.
        while let Some(RefusedClient { remote, why }) = refused.recv().await {
            let what = format!("a connection: {why}");
            turned_away.tell(Refusal { who: "nobody".to_owned(), from: remote.ip().to_string(), what });
        }
    });
    let stopping = core.stopping.clone();
    let members = builder()
        .layer(access.clone())
        .add_service(AgentServer::new(AgentApi(Arc::clone(core))))
        .add_service(OperatorServer::new(OperatorApi(Arc::clone(core))))
        .add_service(PlansServer::new(PlansApi(Arc::clone(core))))
        .add_service(RolloutsServer::new(RolloutsApi(Arc::clone(core))))
        .add_service(IncidentsServer::new(IncidentsApi(Arc::clone(core))))
        .serve_with_incoming_shutdown(incoming.authenticated, stopping.clone().cancelled_owned());
    let newcomers = builder()
        .max_connection_age(NEWCOMER_AGE)
        .max_connection_age_grace(DRAIN)
        .layer(access)
        .add_service(EnrollmentServer::new(EnrollmentApi::new(Arc::clone(core))))
        .serve_with_incoming_shutdown(incoming.enrolling, stopping.cancelled_owned());
    tasks.spawn(async move { ended("members", members.await) });
    tasks.spawn(async move { ended("newcomers", newcomers.await) });
}

fn builder() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(Some(MAX_CALLS))
        .http2_max_header_list_size(Some(MAX_HEADERS))
}

fn ended(which: &str, result: Result<(), tonic::transport::Error>) {
    if let Err(error) = result {
        error!(which, error = %chain(&error), "a server ended");
    }
}

/// Forgets tokens and revocations whose time is over, and plans and incidents that ended long ago.
async fn sweep(core: Arc<Core>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP_INTERVAL) => {}
            () = core.stopping.cancelled() => return,
        }
        let swept = blocking({
            let core = Arc::clone(&core);
            move || {
                core.registry.sweep(now())?;
                core.plans.prune(now())?;
                Ok::<_, Status>(core.incidents.prune(now())?)
            }
        });
        if let Err(status) = swept.await {
            warn!(reason = status.message(), "cannot forget what has expired");
        }
    }
}

/// Renews the controller's own certificate at half of its life.
async fn keep_certificate(core: Arc<Core>, tls: Arc<ServerTls>, mut own: Credentials) {
    loop {
        let left = Duration::from_millis(u64::try_from(own.renew_at().millis_since(now())).unwrap_or(0));
        tokio::select! {
            () = tokio::time::sleep(left.clamp(Duration::from_secs(1), RENEWAL_CHECK)) => {}
            () = core.stopping.cancelled() => return,
        }
        if now() < own.renew_at() {
            continue;
        }
        match core.authority.own_credentials().map(|renewed| (tls.replace(&renewed), renewed)) {
            Ok((Ok(()), renewed)) => {
                own = renewed;
                info!(not_after = %own.not_after(), "renewed the controller's certificate");
            }
            Ok((Err(error), _)) => error!(error = %chain(&error), "cannot use the controller's new certificate"),
            Err(error) => error!(error = %chain(&error), "cannot renew the controller's certificate"),
        }
    }
}
