//! Wires an edge together, and ends it in order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use countersign_api::client::Client;
use countersign_core::snapshot::SnapshotVersion;
use countersign_core::time::{Clock, SystemClock};
use countersign_edge::attach::{Farewell, Feed, Kept, Link, LinkParts, News, Relay, ReportQueue};
use countersign_edge::mqtt::{Holdings, Hub, Listeners};
use countersign_edge::{EdgeReport, LocalControlPlane};
use countersign_server::AdminOnDoor;
use countersign_supervisor::{Sockets, Supervisor};
use countersign_tls::ServerCredentials;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::enrolment::{Renewal, equip};
use super::equipment::Equipment;
use super::hold::Hold;
use super::messages::Messages;
use super::reports;
use super::tokens::AskedFor;
use crate::config::{DoorCertificate, Resolved};
use crate::doors::{self, Doors, Given, from_files};
use crate::letters::{self, FromAuthority};
use crate::metrics::{self, Measure, tell_work};
use crate::ports::EdgePorts;
use crate::serve::reload::{self, ReadAgain, Reloading};
use crate::serve::{Leaving, Succession, files, give_life_signs, say_goodbye, stop_signals};

/// How long connections may last after a hand-over: whoever comes meanwhile waits for the successor, which
/// waits for this process.
const HANDING_OVER: Duration = Duration::from_secs(5);

/// How long taking leave of the authority may take.
const FAREWELL: Duration = Duration::from_secs(3);

/// Runs until SIGTERM or SIGINT, then drains and takes its leave. After SIGUSR2 it hands its sockets to a
/// successor and ends. `sockets` were handed to this process.
/// SIGHUP makes it read its configuration again.
pub(crate) async fn run(
    config: Resolved,
    supervisor: Supervisor,
    sockets: Sockets,
    read_again: Arc<ReadAgain>,
) -> anyhow::Result<()> {
    let (config, supervisor) = (Arc::new(config), Arc::new(supervisor));
    let stop = stop_signals()?;
    let told_to_reload = reload::listen()?;
    files::make_private_directory(&config.data_dir)?;
    let succession = Succession::prepare(&config.data_dir)?;
    let hold = Hold::take(&config.data_dir, &supervisor).await?;
    let equipment = equip(&config).await?;
    let feed = Arc::new(Mutex::new(Feed::new(
        (equipment.trust_key()?, equipment.name().clone(), equipment.trust_domain()?),
        SnapshotVersion::default(),
        (config.edge.stale_after, config.edge.when_stale),
        SystemClock.now(),
    )));
    let kept = Arc::new(Kept::new(&config.data_dir.join("trust")).context("open what this edge keeps")?);
    recall(&feed, &kept)?;

    let server = config.edge.authority.clone();
    let server = server.context("name the authority: --authority https://HOST:PORT")?;
    let tls = equipment.client_tls()?;
    let relay = Relay::new(server.authority().clone(), &tls);
    let (clients, reached_by) = watch::channel(Client::new(server, &tls));
    let (adopted, applied) = watch::channel(None);
    let (leaving, leave) = watch::channel(Farewell::NotYet);
    let (working, work) = watch::channel(None);
    let (reports, news) = (ReportQueue::default(), News::default());
    let link = Link::new(LinkParts {
        feed: Arc::clone(&feed),
        kept,
        applied,
        reports: reports.clone(),
        work,
        news: news.clone(),
        clients: reached_by.clone(),
        leaving: leave,
        clock: Arc::new(SystemClock),
    });
    let taking_leave = TakingLeave { leaving, link: tokio::spawn(link.run()) };
    tokio::spawn(give_life_signs(Arc::clone(&supervisor)));

    let mut snapshots = feed.lock().snapshots();
    tokio::select! {
        told = first_word(&feed, &mut snapshots) => told?,
        () = stop.first.cancelled() => {
            taking_leave.of_the_authority(Farewell::ForGood).await;
            return Ok(());
        }
    }
    let credentials = Arc::new(ServerCredentials::new(credential(&config, &equipment)?));
    let given =
        given((&feed, &equipment, &credentials), reports::relay(reports), (&relay, &reached_by, &news))?;
    let doors = doors::open(&config, &given, sockets)?;
    letters::start(&config, (&doors, &given), FromAuthority::new(news, reached_by))?;
    // With its doors, whoever reports is gone.
    drop(given);
    follow(&doors, adopted)?;
    let mut tasks = JoinSet::new();
    let measure = Arc::new(Measure::new(doors.meters(), snapshots, None));
    tasks.spawn(tell_work(Arc::clone(&measure), working));
    if let Some(address) = config.metrics {
        tasks.spawn(metrics::listen(address, measure));
    }
    tasks.spawn(Reloading::of(Resolved::clone(&config), &doors, read_again, None)?.run(told_to_reload));
    let renewal = Renewal { config: Arc::clone(&config), equipment, clients, relay, credentials, feed };
    tasks.spawn(renewal.run());
    announce(&config, &doors)?;
    supervisor.ready();
    let every_socket = || doors.sockets().context("pass the doors' sockets on");
    let why = succession.until_leaving(&stop.first, every_socket).await;
    say_goodbye(why, &supervisor);
    drop(tasks);
    end((doors, config.drain), why, stop.second).await?;
    let farewell = match why {
        Leaving::Stopped => Farewell::ForGood,
        Leaving::HandedOver(..) => Farewell::ForASuccessor,
    };
    taking_leave.of_the_authority(farewell).await;
    drop(hold);
    tracing::info!("stopped");
    Ok(())
}

/// The link, and what ends it.
struct TakingLeave {
    leaving: watch::Sender<Farewell>,
    link: JoinHandle<()>,
}

impl TakingLeave {
    async fn of_the_authority(mut self, farewell: Farewell) {
        self.leaving.send_replace(farewell);
        if tokio::time::timeout(FAREWELL, &mut self.link).await.is_err() {
            tracing::warn!("could not take leave of the authority: this edge counts as silent there");
            self.link.abort();
        }
    }
}

async fn end(
    (doors, patience): (Doors, Duration),
    why: Leaving,
    at_once: CancellationToken,
) -> anyhow::Result<()> {
    let ended = async {
        match why {
            Leaving::Stopped => doors.drain(patience).await,
            Leaving::HandedOver(_, turn) => doors.hand_over(turn, patience.min(HANDING_OVER)).await,
        }
    };
    tokio::select! {
        () = ended => Ok(()),
        () = at_once.cancelled() => bail!("ended at once by a second signal"),
    }
}

/// Goes by what was kept: without the authority, if it is away.
///
/// Fails closed: messages that do not lead to what was seen are not gone by.
fn recall(feed: &Mutex<Feed>, kept: &Kept) -> anyhow::Result<()> {
    let seen = kept.seen().context("read which version this edge has seen")?;
    let messages = kept.messages().context("read what this edge keeps")?;
    let mut feed = feed.lock();
    let now = SystemClock.now();
    let mut reached = None;
    for message in &messages {
        let taken = feed.take(message, now).context("believe what this edge keeps")?;
        reached = Some(taken.version);
    }
    if reached.is_none_or(|reached| reached < seen) {
        if reached.is_some() || seen != SnapshotVersion::default() {
            let at = reached.unwrap_or_default();
            tracing::error!(
                kept_epoch = at.epoch,
                kept_generation = at.generation,
                seen_epoch = seen.epoch,
                seen_generation = seen.generation,
                "what is kept is older than what was seen, refused"
            );
        }
        feed.forget(seen);
    }
    Ok(())
}

/// Waits until anything is known: doors that know nothing admit nobody, and their rules are missing.
async fn first_word(
    feed: &Mutex<Feed>,
    snapshots: &mut watch::Receiver<Arc<countersign_core::snapshot::TrustSnapshot>>,
) -> anyhow::Result<()> {
    while feed.lock().told().is_none() {
        snapshots.changed().await.context("hear from the authority")?;
    }
    Ok(())
}

fn credential(config: &Resolved, equipment: &Equipment) -> anyhow::Result<countersign_tls::ServerCredential> {
    match &config.http_door.certificate {
        DoorCertificate::Files { chain, key } => from_files(chain, key),
        DoorCertificate::Issued => equipment.door_credential()?.context(
            "find a certificate for the doors: add the edge with --door-name, or name http_door.certificate",
        ),
    }
}

/// What the doors are connected to.
fn given(
    (feed, equipment, credentials): (&Mutex<Feed>, &Equipment, &Arc<ServerCredentials>),
    reports: mpsc::Sender<EdgeReport>,
    (relay, clients, news): (&Relay, &watch::Receiver<Client>, &News),
) -> anyhow::Result<Given> {
    Ok(Given {
        credentials: Arc::clone(credentials),
        snapshots: feed.lock().snapshots(),
        reports,
        control_plane: LocalControlPlane { service: relay.service(), runtime: Handle::current() },
        admin: AdminOnDoor::Hidden,
        messages: Arc::new(Messages::new(clients.clone(), news)),
        hub: Hub::new(),
        holdings: Holdings::new(),
        listeners: Listeners::new(),
        tokens: Arc::new(AskedFor::new(clients.clone(), equipment.trust_domain()?)),
        roots: equipment.root().to_owned(),
    })
}

/// Says what the doors enforce.
fn follow(doors: &Doors, adopted: watch::Sender<Option<SnapshotVersion>>) -> anyhow::Result<()> {
    let mut applied = doors.applied().context("open a door: all addresses are other programs'")?;
    tokio::spawn(async move {
        loop {
            let at = *applied.borrow_and_update();
            adopted.send_replace(Some(at));
            if applied.changed().await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn announce(config: &Resolved, doors: &Doors) -> anyhow::Result<()> {
    if let Some(path) = &config.ports_file {
        let http_door = doors.http().map(|address| address.port());
        let tcp_doors = doors.tcp().into_iter().map(|(name, address)| (name, address.port())).collect();
        let mqtt_door = doors.mqtt().map(|address| address.port());
        let mqtt_tokens = doors.mqtt_tokens().map(|address| address.port());
        EdgePorts { http_door, tcp_doors, mqtt_door, mqtt_tokens }.write(path)?;
    }
    if let Some(address) = doors.http() {
        crate::cli::output::print(&format!("Countersign edge is ready.\n\n  device door  {address}\n"))?;
    }
    Ok(())
}
