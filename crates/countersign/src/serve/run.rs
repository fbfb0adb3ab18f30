//! Wires everything together, says when it is ready, and ends it in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use countersign_authority::import_ca::CaImport;
use countersign_authority::plan::IssuerRole;
use countersign_authority::refusals::RefusalReport;
use countersign_authority::{Authority, AuthorityConfig, IssuerMode, OpenWith};
use countersign_core::time::{Clock, SystemClock};
use countersign_server::{AllowedHosts, ControlPlane, admin_router, serve_admin};
use countersign_store::{Store, StoreError};
use countersign_supervisor::{Sockets, Supervisor};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::reload::{self, ReadAgain, Reloading};
use super::rule_bench::Bench;
use super::successor::{Leaving, NamedSockets, Succession};
use super::{door, files, monitors, mosquitto, reports};
use crate::alerts;
use crate::audit_streams;
use crate::banner::{Banner, Door, Setup, door_host};
use crate::cli::output;
use crate::cloudflare;
use crate::config::{Issuer, Resolved};
use crate::doors::{self, Doors};
use crate::metrics::{self, Measure, WorkRecorder};
use crate::oidc;
use crate::own_ca::{self, ImportedAs};
use crate::ports::Ports;
use crate::retention;

/// How many refusals may wait to be written down.
const REFUSALS_WAITING: usize = 4096;

/// How many life signs are given in the time after which the process is taken for dead.
const LIFE_SIGNS: u32 = 3;

/// How often is looked whether a predecessor has let go of an embedded database.
const LOOK: Duration = Duration::from_millis(20);

/// How long it may take, its drain included.
const PREDECESSOR_PATIENCE: Duration = Duration::from_secs(600);

/// How long the end waits for what the doors did last to be on record.
const LAST_WORK: Duration = Duration::from_secs(2);

/// Runs until SIGTERM or SIGINT, then drains; a second signal ends it at once. After SIGUSR2 it hands its
/// sockets to a successor and ends. `supervisor` hears when it serves, that it lives, and when it ends;
/// `sockets` were handed to this process. SIGHUP makes it read its configuration again.
pub(crate) async fn run(
    config: Resolved,
    supervisor: Supervisor,
    mut sockets: Sockets,
    read_again: Arc<ReadAgain>,
) -> anyhow::Result<()> {
    let supervisor = Arc::new(supervisor);
    let stop = stop_signals()?;
    let told_to_reload = reload::listen()?;
    files::make_private_directory(&config.data_dir)?;
    let succession = Succession::prepare(&config.data_dir)?;
    if let Some(database) = config.database.path() {
        files::close_database(database)?;
    }
    let authority = open_authority(&config, &supervisor).await?;
    let (refusals, refused) = mpsc::channel(REFUSALS_WAITING);
    let mut tasks = background(&authority, &config).await?;
    tasks.spawn(give_life_signs(Arc::clone(&supervisor)));
    let recording = Recording::start(&authority, refused);
    authority.refresh_crls().await.context("sign the first revocation lists")?;

    let (admin, admin_again) = listen_for_admins(config.admin.listen, &mut sockets)
        .with_context(|| format!("listen for admins on {}", config.admin.listen))?;
    let admin_address = admin.local_addr().context("learn the admin listener's port")?;

    let control_plane = ControlPlane::new(Arc::clone(&authority), refusals.clone())
        .pinging_every(config.http_door.limits.websocket_ping)
        .trying_rules_with(Arc::new(Bench));
    let reports = reports::relay(Arc::clone(&authority), refusals);
    let opened = door::open(&config, &authority, control_plane.clone(), (reports, sockets)).await?;
    let measure = Measure::new(opened.meters(), authority.snapshots(), Some(Arc::clone(&authority)));
    let measure = Arc::new(measure);
    let work = Arc::new(WorkRecorder::new(Arc::clone(&measure), Arc::clone(&authority)));
    tasks.spawn(Arc::clone(&work).run());
    control_plane.set_measured(Arc::<Measure>::clone(&measure));
    if let Some(address) = config.metrics {
        tasks.spawn(metrics::listen(address, measure));
    }
    let reloading = Reloading::of(config.clone(), &opened, read_again, Some(Arc::clone(&authority)))?;
    let shown = match opened.http() {
        Some(address) => {
            Door::Open { host: door_host(address, &config.public_names).await, port: address.port() }
        }
        None => Door::Taken(config.http_door.listen),
    };
    if let Some(url) = shown.url() {
        control_plane.set_door_url(url);
    }

    let hosts = AllowedHosts::new(config.admin.allowed_hosts.iter().map(|host| host.in_url()));
    let router = admin_router(control_plane, hosts);
    let ending = CancellationToken::new();
    let admin_stop = ending.clone();
    let served = tokio::spawn(serve_admin(admin, router, async move { admin_stop.cancelled().await }));

    reload::warn_of_doubts(&authority);
    tasks.spawn(reloading.run(told_to_reload));
    let listening = Listening { admin: admin_address, http: shown, doors: &opened };
    announce(&config, &authority, listening)?;
    supervisor.ready();
    let leaving = succession.until_leaving(&stop.first, || every_socket(&opened, &admin_again)).await;
    drop(admin_again);
    ending.cancel();
    say_goodbye(leaving, &supervisor);
    authority.close_channels();
    authority.close_edges();
    tokio::select! {
        drained = drain(opened, served, (leaving, config.drain)) => drained?,
        () = stop.second.cancelled() => anyhow::bail!("ended at once by a second signal"),
    }
    drop(tasks);
    recording.end().await?;
    if timeout(LAST_WORK, work.record()).await.is_err() {
        tracing::warn!("what the doors did last is not recorded");
    }
    authority.close().await.context("close the store")?;
    tracing::info!("stopped");
    Ok(())
}

/// Tells the service manager that the process makes progress: that its tasks still get their turn. A
/// database that is away is none of this: starting anew would not bring it back, and would cut what
/// still works.
pub(crate) async fn give_life_signs(supervisor: Arc<Supervisor>) {
    let Some(limit) = supervisor.watchdog() else { return };
    let mut ticks = tokio::time::interval(limit / LIFE_SIGNS);
    loop {
        ticks.tick().await;
        supervisor.alive();
    }
}

/// The admin listener, and its socket once more.
fn listen_for_admins(
    address: SocketAddr,
    sockets: &mut Sockets,
) -> io::Result<(TcpListener, std::net::TcpListener)> {
    let socket = match sockets.take(doors::ADMIN, address).pop() {
        Some(socket) => socket,
        None => std::net::TcpListener::bind(address)?,
    };
    socket.set_nonblocking(true)?;
    let again = socket.try_clone()?;
    Ok((TcpListener::from_std(socket)?, again))
}

/// Lets what is under way come to its end, for so long.
async fn drain(
    doors: Doors,
    admin: JoinHandle<io::Result<()>>,
    (leaving, patience): (Leaving, Duration),
) -> anyhow::Result<()> {
    match leaving {
        Leaving::Stopped => doors.drain(patience).await,
        Leaving::HandedOver(_, turn) => doors.hand_over(turn, patience).await,
    }
    match timeout(patience, admin).await {
        Ok(ended) => ended.context("serve admins")?.context("serve admins"),
        Err(_late) => {
            tracing::warn!("admin requests cut off at the end of the drain");
            Ok(())
        }
    }
}

/// Every listening socket of this process once more.
fn every_socket(doors: &Doors, admin: &std::net::TcpListener) -> anyhow::Result<NamedSockets> {
    let mut all = doors.sockets().context("pass the doors' sockets on")?;
    let admin = admin.try_clone().context("pass the admin socket on")?;
    all.push((doors::ADMIN.to_owned(), admin.into()));
    Ok(all)
}

pub(crate) fn say_goodbye(leaving: Leaving, supervisor: &Supervisor) {
    match leaving {
        Leaving::Stopped => {
            tracing::info!("draining");
            supervisor.stopping();
        }
        Leaving::HandedOver(successor, turn) => {
            tracing::info!(successor, ?turn, "handed over");
            supervisor.main_process(successor);
        }
    }
}

/// Opens the database; one that a predecessor holds alone when it has let go of it.
async fn open_store(config: &Resolved, supervisor: &Supervisor) -> anyhow::Result<Store> {
    let opening = async {
        let mut ticks = tokio::time::interval(LOOK);
        let mut is_told = false;
        loop {
            ticks.tick().await;
            match Store::open(&config.database).await {
                Err(StoreError::Locked(_)) if is_told || supervisor.waiting() => is_told = true,
                opened => return opened,
            }
        }
    };
    let opened = timeout(PREDECESSOR_PATIENCE, opening).await;
    opened.context("wait for the predecessor")?.context("open the database")
}

async fn open_authority(config: &Resolved, supervisor: &Supervisor) -> anyhow::Result<Arc<Authority>> {
    let store = open_store(config, supervisor).await?;
    store.migrate().await.context("bring the database up to date")?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let upstream = match config.issuer {
        Issuer::Cloudflare => Some(cloudflare::api(&config.cloudflare).context("prepare Cloudflare's API")?),
        Issuer::Embedded | Issuer::None => None,
    };
    let device_ca = device_ca(config, &store).await?;
    let monitors = config.monitors.clone();
    let messages_kept = Some(config.ingest.kept);
    let device_ca = device_ca.as_ref();
    let oidc =
        config.oidc.as_ref().map(oidc::provider).transpose().context("prepare the identity provider")?;
    let console_url = config.admin.console_url.clone();
    let console_url = console_url.or_else(|| config.oidc.as_ref().map(|oidc| oidc.console_url.clone()));
    let with =
        OpenWith { upstream, device_ca, monitors, messages_kept, oidc, console_url, ..OpenWith::default() };
    Authority::open_with(store, clock, authority_config(config), with).await.context("open the authority")
}

/// The device CA that the environment names. Once there is an installation its files may be gone.
async fn device_ca(config: &Resolved, store: &Store) -> anyhow::Result<Option<CaImport>> {
    let Some(files) = &config.device_ca else { return Ok(None) };
    let name = "device".parse().context("name the device CA")?;
    let wanted = ImportedAs { name, role: IssuerRole::Device, environment: None };
    let import = own_ca::read(files, None, None, wanted).context("read the device CA of the environment");
    let known = store.read(|r| Box::pin(async move { r.installation().await })).await;
    let is_new = known.context("look for the installation")?.is_none();
    match import {
        Err(error) if is_new => Err(error),
        import => Ok(import.ok()),
    }
}

/// How the configuration wants the authority to run.
pub(crate) fn authority_config(config: &Resolved) -> AuthorityConfig {
    AuthorityConfig {
        trust_domain: config.trust_domain.clone(),
        key_encryption_key: config.key_encryption_key.clone(),
        token: config.token.clone(),
        issuer: match config.issuer {
            Issuer::Embedded => IssuerMode::Embedded,
            Issuer::Cloudflare => IssuerMode::Cloudflare,
            Issuer::None => IssuerMode::None,
        },
        public_base_url: config.public_base_url.as_ref().map(|url| url.uri().to_string()),
        rules: config.rules.clone(),
        lists: config.lists.clone(),
        session_life: config.admin.session,
    }
}

/// The task that writes refusals down.
struct Recording {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Recording {
    fn start(authority: &Arc<Authority>, refused: mpsc::Receiver<RefusalReport>) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(Arc::clone(authority).record_refusals(refused, stopped));
        Self { stop, task }
    }

    /// Lets it write down what has come, counts included.
    async fn end(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task.await.context("record the last refusals")
    }
}

async fn background(authority: &Arc<Authority>, config: &Resolved) -> anyhow::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    if let Some(settings) = &config.mosquitto {
        let broker = mosquitto::Broker::of(settings, &authority.root_pem())?;
        tasks.spawn(mosquitto::drive(Arc::clone(authority), broker));
    }
    tasks.spawn(Arc::clone(authority).sweep_regularly());
    tasks.spawn(Arc::clone(authority).keep_upstream());
    tasks.spawn(monitors::watch(Arc::clone(authority)));
    authority.observe_access(config.unusual_access);
    authority.tell_alerts_to(alerts::whom(&config.alert_to));
    for target in &config.alert_to {
        tasks.spawn(alerts::tell(Arc::clone(authority), target.clone()));
    }
    authority.stream_audit_to(audit_streams::wanted(&config.audit_to)).await?;
    let host = config.public_names.first().map(ToString::to_string).unwrap_or_default();
    for place in &config.audit_to {
        tasks.spawn(audit_streams::Sender::new(place, &host)?.send(Arc::clone(authority)));
    }
    if let Some(kept) = &config.audit_kept {
        tasks.spawn(retention::keep(Arc::clone(authority), kept.clone()));
    }
    tasks.spawn(Arc::clone(authority).gather_presence());
    tasks.spawn(Arc::clone(authority).follow_changes());
    tasks.spawn(Arc::clone(authority).publish_crls());
    tasks.spawn(Arc::clone(authority).verify_audit_regularly());
    tasks.spawn(Arc::clone(authority).anchor_regularly(config.audit_anchor_interval));
    Ok(tasks)
}

/// Where everything is.
struct Listening<'a> {
    admin: SocketAddr,
    http: Door,
    doors: &'a Doors,
}

fn announce(config: &Resolved, authority: &Authority, listening: Listening<'_>) -> anyhow::Result<()> {
    let Listening { admin, http: door, doors } = listening;
    let token_file = config.data_dir.join("setup-token");
    let setup = match authority.take_setup_token() {
        Some(token) => {
            files::write_private(&token_file, token.as_bytes())?;
            Setup::Open(token)
        }
        None => {
            files::remove_if_there(&token_file)?;
            Setup::Done
        }
    };
    if let Some(path) = &config.ports_file {
        let http_door = match &door {
            Door::Open { port, .. } => Some(*port),
            Door::Taken(_) => None,
        };
        let tcp_doors = doors.tcp().into_iter().map(|(name, address)| (name, address.port())).collect();
        let mqtt_door = doors.mqtt().map(|address| address.port());
        let mqtt_tokens = doors.mqtt_tokens().map(|address| address.port());
        Ports { admin: admin.port(), http_door, tcp_doors, mqtt_door, mqtt_tokens }.write(path)?;
    }
    let banner = Banner { admin, door, root_fingerprint: authority.root_fingerprint(), setup };
    output::print(&banner.to_string()).context("print where everything is")
}

/// The signals that end the process.
pub(crate) struct Stop {
    /// Cancelled by the first SIGTERM or SIGINT.
    pub(crate) first: CancellationToken,
    /// Cancelled by the next.
    pub(crate) second: CancellationToken,
}

/// Listens for the signals that end the process.
pub(crate) fn stop_signals() -> anyhow::Result<Stop> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let stop = Stop { first: CancellationToken::new(), second: CancellationToken::new() };
    let tokens = [stop.first.clone(), stop.second.clone()];
    tokio::spawn(async move {
        for token in tokens {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            token.cancel();
        }
    });
    Ok(stop)
}
