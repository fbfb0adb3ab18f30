//! The connection to the authority: kept for ever, made again with jitter when it breaks.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use countersign_api::client::{Client, ClientError};
use countersign_api::edge::frame::{BEAT, FromEdge, Hello, PATIENCE, SignedTrust, ToEdge};
use countersign_core::door_work::DoorWork;
use countersign_core::snapshot::SnapshotVersion;
use countersign_core::time::{Clock, Timestamp};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tracing::{debug, error, info, warn};

use super::feed::{Feed, FeedError, Taken};
use super::kept::Kept;
use super::news::News;
use super::queue::ReportQueue;

/// The first pause after a connection broke, and the longest.
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);

/// How long sending may take.
const SENDING: Duration = Duration::from_secs(15);

/// How long the doors may take to enforce what they were told before it is said that they do not.
const ADOPTION: Duration = Duration::from_secs(30);

/// How often it is kept that all still holds.
const KEEP_EVERY: Duration = Duration::from_secs(600);

/// Whether the edge takes its leave of the authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// It stays.
    NotYet,
    /// Its doors are closed, and it counts no more.
    ForGood,
    /// Its doors are another process's from now on, which comes at once: it counts all the while.
    ForASuccessor,
}

/// What a link is made of.
#[derive(Debug)]
pub struct LinkParts {
    /// What is believed, and what the doors go by.
    pub feed: Arc<Mutex<Feed>>,
    /// What is kept on disk.
    pub kept: Arc<Kept>,
    /// What the doors enforce; `None` until they are open.
    pub applied: watch::Receiver<Option<SnapshotVersion>>,
    /// What happened at the doors.
    pub reports: ReportQueue,
    /// What the doors do; `None` until they are open.
    pub work: watch::Receiver<Option<DoorWork>>,
    /// Who hears of devices for which the authority has something.
    pub news: News,
    /// How the authority is reached: replaced when the edge has another certificate.
    pub clients: watch::Receiver<Client>,
    /// Set when the doors are closed, and the edge takes its leave.
    pub leaving: watch::Receiver<Farewell>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// The link of an edge to its authority.
#[derive(Debug)]
pub struct Link(LinkParts);

/// How a connection ended.
enum End {
    /// It broke, or the authority ended it; made again.
    Broken,
    /// The edge has taken its leave.
    Left,
}

/// Whether the authority goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    More,
    NoMore,
}

/// A message that is believed and to be kept and adopted.
struct Adoption {
    taken: Taken,
    signed: SignedTrust,
}

impl Link {
    /// A link of these parts.
    #[must_use]
    pub const fn new(parts: LinkParts) -> Self {
        Self(parts)
    }

    /// Keeps the connection until the edge leaves.
    pub async fn run(mut self) {
        let (mut pause, mut leaving) = (SHORTEST, self.0.leaving.clone());
        loop {
            self.look();
            // Whoever takes its leave while the connection is broken says so over one more.
            let is_last = *self.0.leaving.borrow() == Farewell::ForGood;
            let client = self.0.clients.borrow_and_update().clone();
            match client.open_edge_stream().await {
                Ok(io) => {
                    info!("attached to the authority");
                    pause = SHORTEST;
                    let ended = self.converse(TokioIo::new(io)).await;
                    self.0.news.end();
                    match ended {
                        Ok(End::Left) => return,
                        Ok(End::Broken) => warn!("connection to the authority is over"),
                        Err(error) => warn!(%error, "connection to the authority broke"),
                    }
                }
                Err(error) => say_why(&error),
            }
            let jittered = pause.mul_f64(jitter());
            tokio::select! {
                () = sleep_until(Instant::now() + jittered) => {}
                // The connection of a successor is not to be replaced by ours.
                farewell = until_left(&mut leaving) => if is_last || farewell != Some(Farewell::ForGood) {
                    return;
                },
            }
            pause = (pause * 2).min(LONGEST);
        }
    }

    fn look(&self) {
        self.0.feed.lock().look(self.0.clock.now());
    }

    async fn converse(
        &mut self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> io::Result<End> {
        let (reader, mut writer) = tokio::io::split(io);
        let known = self.0.feed.lock().told().filter(|_told| !self.0.kept.wants_whole());
        if known.is_none() {
            self.0.kept.expects_whole();
        }
        send(&FromEdge::Hello(Hello { known, hears_news: true }), &mut writer).await?;
        if let Some((number, reports)) = self.0.reports.unanswered() {
            send(&FromEdge::Reports(number, reports), &mut writer).await?;
        }
        let (sender, mut heard) = mpsc::channel(4);
        let _reading = AbortOnDrop(tokio::spawn(hear(reader, sender)));
        let (adopt, adopting) = mpsc::channel(256);
        // The last of them speaks for all before it, so that nothing waits for its turn to be said.
        let (say, mut adopted) = watch::channel(0);
        let _adopting = AbortOnDrop(tokio::spawn(self.adopter().run(adopting, say)));
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silence = Instant::now() + PATIENCE;
        let mut leaving = self.0.leaving.clone();
        let mut is_heard = false;
        let mut told_work = None;
        loop {
            let to_say = tokio::select! {
                frame = heard.recv() => {
                    silence = Instant::now() + PATIENCE;
                    if !std::mem::replace(&mut is_heard, true) {
                        // Whoever answers knows that news are wanted here.
                        self.0.news.begin();
                    }
                    if self.was_told(frame, &adopt).await == Told::NoMore {
                        return Ok(End::Broken);
                    }
                    continue;
                }
                Ok(()) = adopted.changed() => FromEdge::Applied(*adopted.borrow_and_update()),
                (number, reports) = self.0.reports.next() => FromEdge::Reports(number, reports),
                _tick = beat.tick() => {
                    self.look();
                    FromEdge::Beat(self.new_work(&mut told_work))
                }
                _farewell = until_left(&mut leaving) => {
                    return self.take_leave(&mut heard, &mut writer).await.map(|()| End::Left);
                }
                () = sleep_until(silence) => return Err(io::ErrorKind::TimedOut.into()),
            };
            send(&to_say, &mut writer).await?;
        }
    }

    /// What the doors did that was not told over this connection.
    fn new_work(&self, told: &mut Option<DoorWork>) -> Option<DoorWork> {
        let work = self.0.work.borrow().clone().filter(|work| told.as_ref() != Some(work))?;
        let before = told.replace(work.clone()).map(|told| told.handshakes).unwrap_or_default();
        Some(work.beyond(&before))
    }

    /// Tells what is still to be told, and that the edge leaves, if it does.
    async fn take_leave(
        &self,
        heard: &mut mpsc::Receiver<ToEdge>,
        writer: &mut (impl AsyncWrite + Unpin + Send),
    ) -> io::Result<()> {
        loop {
            if let Some((number, reports)) = self.0.reports.take() {
                send(&FromEdge::Reports(number, reports), writer).await?;
            } else if self.0.reports.unanswered().is_none() {
                break;
            }
            match timeout(PATIENCE, heard.recv()).await {
                Ok(Some(ToEdge::Taken(number))) => self.0.reports.taken(number),
                Ok(Some(_other)) => {}
                Ok(None) | Err(_) => return Ok(()),
            }
        }
        if *self.0.leaving.borrow() == Farewell::ForGood {
            send(&FromEdge::Leave, writer).await?;
            // Until the authority has written it down and hangs up.
            drop(timeout(PATIENCE, async { while heard.recv().await.is_some() {} }).await);
        }
        Ok(())
    }

    fn adopter(&self) -> Adopter {
        Adopter {
            kept: Arc::clone(&self.0.kept),
            applied: self.0.applied.clone(),
            clock: Arc::clone(&self.0.clock),
            kept_at: self.0.clock.now(),
        }
    }

    async fn was_told(&self, frame: Option<ToEdge>, adopt: &mpsc::Sender<Adoption>) -> Told {
        match frame {
            None => Told::NoMore,
            Some(ToEdge::Beat) => Told::More,
            Some(ToEdge::News(devices)) => {
                self.0.news.tell(devices);
                Told::More
            }
            Some(ToEdge::Taken(number)) => {
                self.0.reports.taken(number);
                Told::More
            }
            Some(ToEdge::End(why)) => {
                warn!(why, "the authority says no more");
                Told::NoMore
            }
            Some(ToEdge::Trust(signed)) => {
                let Ok(taken) = self.believe(&signed) else { return Told::NoMore };
                let is_adopting = adopt.send(Adoption { taken, signed }).await.is_ok();
                // A whole snapshot is asked for with a new connection.
                if is_adopting && !self.0.kept.wants_whole() { Told::More } else { Told::NoMore }
            }
        }
    }

    fn believe(&self, signed: &SignedTrust) -> Result<Taken, FeedError> {
        let taken = self.0.feed.lock().take(signed, self.0.clock.now());
        match &taken {
            Ok(taken) if taken.is_news => {
                debug!(epoch = taken.version.epoch, is_whole = taken.is_whole, "trust taken");
            }
            Ok(_) => {}
            Err(error) => error!(%error, "what came as trust is refused"),
        }
        taken
    }
}

/// Keeps what is believed, waits until the doors enforce it, and says so: in this order for each, so that
/// what counts as applied is enforced after a restart too.
struct Adopter {
    kept: Arc<Kept>,
    applied: watch::Receiver<Option<SnapshotVersion>>,
    clock: Arc<dyn Clock>,
    kept_at: Timestamp,
}

impl Adopter {
    async fn run(mut self, mut adopting: mpsc::Receiver<Adoption>, say: watch::Sender<u64>) {
        while let Some(Adoption { taken, signed }) = adopting.recv().await {
            if !self.keep(&taken, signed).await {
                // Not enforced after a restart: not applied.
                continue;
            }
            let enforced = self.applied.wait_for(|at| at.is_some_and(|at| at >= taken.version));
            match timeout(ADOPTION, enforced).await {
                Ok(Ok(_enforced)) => {}
                // The doors are closed: nothing is enforced, and the edge is about to take its leave.
                Ok(Err(_closed)) => continue,
                Err(_elapsed) => {
                    error!(epoch = taken.version.epoch, "doors slow to enforce what they were told");
                    continue;
                }
            }
            if say.send(taken.position).is_err() {
                return;
            }
        }
    }

    async fn keep(&mut self, taken: &Taken, signed: SignedTrust) -> bool {
        let now = self.clock.now();
        if !taken.is_news && now.since(self.kept_at) < KEEP_EVERY {
            return true;
        }
        let (kept, is_whole, version) = (Arc::clone(&self.kept), taken.is_whole, taken.version);
        let written = tokio::task::spawn_blocking(move || {
            if is_whole { kept.replace(&signed, version) } else { kept.append(&signed, version) }
        });
        match written.await {
            Ok(Ok(())) => {
                self.kept_at = now;
                true
            }
            Ok(Err(error)) => {
                let reason = std::error::Error::source(&error);
                error!(%error, reason, "what is told of trust is not kept");
                false
            }
            Err(error) => {
                error!(%error, "what is told of trust is not kept");
                false
            }
        }
    }
}

/// Waits until the edge is to leave; `None`: whoever says so is gone.
async fn until_left(leaving: &mut watch::Receiver<Farewell>) -> Option<Farewell> {
    leaving.wait_for(|leaving| *leaving != Farewell::NotYet).await.ok().map(|farewell| *farewell)
}

/// Reads frames by itself: reading one cannot be broken off without losing the next.
async fn hear(mut reader: impl AsyncRead + Unpin + Send, sender: mpsc::Sender<ToEdge>) {
    loop {
        let frame = match ToEdge::receive(&mut reader).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return,
            Err(error) => {
                debug!(%error, "frame of the authority not read");
                return;
            }
        };
        if sender.send(frame).await.is_err() {
            return;
        }
    }
}

async fn send(frame: &FromEdge, writer: &mut (impl AsyncWrite + Unpin + Send)) -> io::Result<()> {
    timeout(SENDING, frame.send(writer)).await?
}

fn say_why(error: &ClientError) {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let reason = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    warn!(%error, reason, "authority not reached");
}

/// Between a half and one and a half: edges that lost their authority together do not come back together.
fn jitter() -> f64 {
    let [random, ..] = *uuid::Uuid::new_v4().as_bytes();
    0.5 + f64::from(random) / 256.0
}

/// A task that ends with its owner.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
