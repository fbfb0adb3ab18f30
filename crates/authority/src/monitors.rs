//! Monitors: certificates elsewhere that are watched, at a server or in a file. What is seen of them, and
//! what is said about it: that the end is near, that another key is there, that nobody answers.
//!
//! How a certificate is looked at is the caller's business: [`Authority::monitors_to_look_at`] says which are
//! due, [`Authority::saw`] takes what was there. All state is in the store, so that of several authorities
//! one looks, nothing is said twice, and a start goes on where the last one ended.

mod sighting;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_core::certificate::Lifetime;
use countersign_core::ids::{MonitorName, SpkiSha256};
use countersign_core::time::Timestamp;
pub use countersign_store::SeenCertificate;
use countersign_store::{AcceptedPin, MonitorRow, StoreError};
use parking_lot::Mutex;
use thiserror::Error;

use crate::authority::Authority;
use crate::authorized::{Administer, Authorized, Forbidden, View};
use crate::expiry::{ExpiryStep, expiry_entry};

pub use sighting::Unreachable;

/// For how long what was seen is kept when nobody looks any more.
pub(crate) const KEPT: Duration = Duration::from_secs(90 * 86_400);

/// How soon it is looked again when it could not be.
const AGAIN: Duration = Duration::from_secs(300);

/// A certificate that is to be watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// What people call it.
    pub name: MonitorName,
    /// Where it is.
    pub place: WatchPlace,
    /// The key that it must have.
    pub pin: Option<SpkiSha256>,
    /// How often it is looked at.
    pub interval: Duration,
}

/// Where a watched certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchPlace {
    /// Shown by a TLS server.
    Server {
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
        /// Whom it is asked for.
        server_name: String,
    },
    /// In a file of the machine that the authority runs on.
    File(PathBuf),
}

impl WatchPlace {
    /// `host:port`; `None` for a file.
    #[must_use]
    pub fn address(&self) -> Option<String> {
        match self {
            Self::Server { host, port, .. } if host.contains(':') => Some(format!("[{host}]:{port}")),
            Self::Server { host, port, .. } => Some(format!("{host}:{port}")),
            Self::File(_) => None,
        }
    }
}

impl fmt::Display for WatchPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { host, server_name, .. } => {
                f.write_str(&self.address().unwrap_or_default())?;
                if host == server_name { Ok(()) } else { write!(f, " as {server_name}") }
            }
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// What is watched, and when it is due here; that it is really due, the store says.
#[derive(Debug, Default)]
pub(crate) struct Monitors {
    watches: Mutex<Vec<Watch>>,
    due: Mutex<BTreeMap<MonitorName, Timestamp>>,
}

impl Monitors {
    pub(crate) fn new(watches: Vec<Watch>) -> Self {
        Self { watches: Mutex::new(watches), due: Mutex::default() }
    }

    fn all(&self) -> Vec<Watch> {
        self.watches.lock().clone()
    }

    fn by_name(&self, name: &MonitorName) -> Option<Watch> {
        self.watches.lock().iter().find(|watch| watch.name == *name).cloned()
    }

    /// Those that have changed are looked at anew.
    fn watch(&self, watches: Vec<Watch>) {
        let mut known = self.watches.lock();
        self.due.lock().retain(|name, _due| {
            let same = |all: &[Watch]| all.iter().find(|watch| watch.name == *name).cloned();
            same(&known) == same(&watches)
        });
        *known = watches;
    }

    /// Those to ask the store about. A clock that was set back makes them so.
    fn perhaps_due(&self, now: Timestamp) -> Vec<Watch> {
        let all = self.all();
        let due = self.due.lock();
        let is_due = |watch: &&Watch| {
            due.get(&watch.name).is_none_or(|due| now >= *due || now + watch.interval < *due)
        };
        all.into_iter().filter(|watch| is_due(&watch)).collect()
    }

    fn next(&self, name: &MonitorName, at: Timestamp) {
        self.due.lock().insert(name.clone(), at);
    }
}

/// How a watched certificate is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorState {
    /// Nobody has looked yet.
    Waiting,
    /// As it should be.
    Ok,
    /// It ends within 30 days.
    Expiring,
    /// It is over.
    Expired,
    /// It is another one than it should be.
    Changed,
    /// It cannot be looked at.
    Unreachable,
}

impl MonitorState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Waiting, Self::Ok, Self::Expiring, Self::Expired, Self::Changed, Self::Unreachable];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Ok => "ok",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::Changed => "changed",
            Self::Unreachable => "unreachable",
        }
    }
}

/// What is known of a watched certificate.
#[derive(Clone, Debug)]
pub struct MonitorStatus {
    /// What was asked for.
    pub watch: Watch,
    /// How it is doing; of several things that are wrong the gravest: unreachable, changed, over, near its
    /// end.
    pub state: MonitorState,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Why it cannot be looked at.
    pub problem: Option<String>,
    /// The key that it must have, configured or accepted.
    pub pin: Option<SpkiSha256>,
    /// When somebody last accepted a key, if that counts.
    pub accepted_at: Option<Timestamp>,
    /// When somebody last looked.
    pub looked_at: Option<Timestamp>,
    /// What was seen last.
    pub seen: Option<SeenCertificate>,
}

impl MonitorStatus {
    fn of(watch: &Watch, row: Option<&MonitorRow>, now: Timestamp) -> Self {
        let accepted = row.and_then(|row| sighting::accepted(watch, row));
        let (state, since) = row.map_or((MonitorState::Waiting, None), |row| state_of(row, now));
        Self {
            watch: watch.clone(),
            state,
            since,
            problem: row.and_then(|row| row.unreachable.as_ref()).map(|(_at, problem)| problem.clone()),
            pin: accepted.map(|accepted| accepted.pin).or(watch.pin),
            accepted_at: accepted.map(|accepted| accepted.at),
            looked_at: row.map(|row| row.looked_at),
            seen: row.and_then(|row| row.seen.clone()),
        }
    }
}

fn state_of(row: &MonitorRow, now: Timestamp) -> (MonitorState, Option<Timestamp>) {
    if let Some((at, _problem)) = &row.unreachable {
        return (MonitorState::Unreachable, Some(*at));
    }
    let Some(seen) = &row.seen else { return (MonitorState::Waiting, None) };
    if let Some(at) = row.changed_at {
        return (MonitorState::Changed, Some(at));
    }
    let lifetime = lifetime(seen);
    match ExpiryStep::of(lifetime, now) {
        None => (MonitorState::Ok, Some(seen.first_seen_at)),
        Some(ExpiryStep::Over) => (MonitorState::Expired, Some(seen.not_after)),
        Some(ExpiryStep::Day | ExpiryStep::Week | ExpiryStep::Fortnight | ExpiryStep::Month) => {
            (MonitorState::Expiring, ExpiryStep::near_since(lifetime, now))
        }
    }
}

const fn lifetime(seen: &SeenCertificate) -> Lifetime {
    Lifetime { issued_at: seen.not_before, expires_at: seen.not_after }
}

/// A key was not accepted, or nothing can be shown.
#[derive(Debug, Error)]
pub enum MonitorError {
    /// The caller may not, or is bound to one tenant.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// Nothing of this name is watched here.
    #[error("no monitor is called {0}")]
    Unknown(MonitorName),
    /// No certificate was seen yet.
    #[error("no certificate of {0} was seen yet")]
    Unseen(MonitorName),
    /// The key there is another one than the caller looked at.
    #[error("the key of {name} is {seen} by now")]
    Another {
        /// Of which monitor.
        name: MonitorName,
        /// What is there.
        seen: SpkiSha256,
    },
    /// The key there is the pinned one.
    #[error("the key of {0} is the pinned one")]
    Pinned(MonitorName),
    /// The store failed.
    #[error("cannot use the store")]
    Store(#[from] StoreError),
}

impl Authority {
    /// Watches these from now on, and no others. What was seen of them is kept, by name and place.
    pub fn watch(&self, watches: Vec<Watch>) {
        self.monitors.watch(watches);
    }

    /// The watched certificates that are due, each for one authority alone. Whoever gets them looks, and
    /// says what was there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn monitors_to_look_at(&self) -> Result<Vec<Watch>, StoreError> {
        let now = self.now();
        let asked = self.monitors.perhaps_due(now);
        if asked.is_empty() {
            return Ok(asked);
        }
        let taken = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let mut taken = Vec::with_capacity(asked.len());
                    for watch in asked {
                        let place = watch.place.to_string();
                        let known = w.monitor(&watch.name, &place).await?;
                        let row = known.clone().unwrap_or_else(|| sighting::unseen(&watch, now));
                        let due = row.looked_at + pause(&watch, &row);
                        let is_due = known.is_none() || now >= due || now < row.looked_at;
                        if is_due {
                            w.put_monitor(&MonitorRow { looked_at: now, ..row.clone() }).await?;
                        }
                        taken.push((is_due, if is_due { now + pause(&watch, &row) } else { due }, watch));
                    }
                    Ok::<_, StoreError>(taken)
                })
            })
            .await?;
        for (_, due, watch) in &taken {
            self.monitors.next(&watch.name, *due);
        }
        Ok(taken.into_iter().filter(|(is_due, ..)| *is_due).map(|(.., watch)| watch).collect())
    }

    /// Takes what was seen of a watched certificate, leaf first in DER, or why nothing was; says what there
    /// is to say about it, each thing once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn saw(
        &self,
        watch: &Watch,
        shown: Result<Vec<Vec<u8>>, Unreachable>,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let seen = shown.and_then(|chain| sighting::read(&chain, now));
        let noted = watch.clone();
        let row = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let known = w.monitor(&noted.name, &noted.place.to_string()).await?;
                    let known = known.unwrap_or_else(|| sighting::unseen(&noted, now));
                    let (row, mut entries) = sighting::judge(&noted, known, seen, now);
                    if let (Some(certificate), None) = (&row.seen, &row.unreachable)
                        && let Some(step) = ExpiryStep::of(lifetime(certificate), now)
                    {
                        let subject = format!("monitor:{}", noted.name);
                        let key = format!("{}:{}", certificate.mark.spki, certificate.mark.serial);
                        let times = (certificate.not_after, now);
                        if w.note_expiry((&subject, &key), step, times).await? {
                            let entry = expiry_entry(step, certificate.not_after, now);
                            entries.push(sighting::about(&noted, entry, certificate));
                        }
                    }
                    w.put_monitor(&row).await?;
                    for entry in entries {
                        log(&noted, &entry);
                        w.append_audit(&entry).await?;
                    }
                    Ok::<_, StoreError>(row)
                })
            })
            .await?;
        self.monitors.next(&watch.name, now + pause(watch, &row));
        Ok(())
    }

    /// How every certificate that is watched here is doing.
    ///
    /// # Errors
    /// See [`MonitorError`].
    pub async fn monitors(&self, by: &Authorized<View>) -> Result<Vec<MonitorStatus>, MonitorError> {
        by.covers_all()?;
        Ok(self.monitor_statuses(self.now()).await?)
    }

    pub(crate) async fn monitor_statuses(&self, now: Timestamp) -> Result<Vec<MonitorStatus>, StoreError> {
        let watches = self.monitors.all();
        let rows = self
            .store
            .read(move |r| {
                Box::pin(async move {
                    let mut rows = Vec::with_capacity(watches.len());
                    for watch in watches {
                        let row = r.monitor(&watch.name, &watch.place.to_string()).await?;
                        rows.push((watch, row));
                    }
                    Ok::<_, StoreError>(rows)
                })
            })
            .await?;
        Ok(rows.iter().map(|(watch, row)| MonitorStatus::of(watch, row.as_ref(), now)).collect())
    }

    /// Accepts the key that a watched certificate has now: it is the pin from then on. With `looked_at`,
    /// only if that is the key.
    ///
    /// # Errors
    /// See [`MonitorError`].
    pub async fn accept_monitor(
        &self,
        by: &Authorized<Administer>,
        name: &MonitorName,
        looked_at: Option<SpkiSha256>,
    ) -> Result<MonitorStatus, MonitorError> {
        by.covers_all()?;
        let known = self.monitors.by_name(name);
        let watch = known.ok_or_else(|| MonitorError::Unknown(name.clone()))?;
        let (now, actor) = (self.now(), by.actor());
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let name = watch.name.clone();
                    let row = w.monitor(&name, &watch.place.to_string()).await?;
                    let Some((row, seen)) = row.and_then(|row| Some((row.clone(), row.seen?))) else {
                        return Err(MonitorError::Unseen(name));
                    };
                    let pin = seen.mark.spki;
                    if looked_at.is_some_and(|looked_at| looked_at != pin) {
                        return Err(MonitorError::Another { name, seen: pin });
                    }
                    let before = sighting::accepted(&watch, &row).map(|accepted| accepted.pin).or(watch.pin);
                    if before == Some(pin) {
                        return Err(MonitorError::Pinned(name));
                    }
                    let entry = AuditEntry::new(None, now, AuditEvent::MonitorAccepted, actor);
                    let mut entry = sighting::about(&watch, entry, &seen);
                    if let Some(before) = before {
                        entry = entry.detail("pin", before);
                    }
                    let row = MonitorRow {
                        accepted: Some(AcceptedPin { pin, instead_of: watch.pin, at: now }),
                        expected: Some(seen.mark),
                        changed_at: None,
                        ..row
                    };
                    w.put_monitor(&row).await?;
                    w.append_audit(&entry).await?;
                    Ok(MonitorStatus::of(&watch, Some(&row), now))
                })
            })
            .await
    }
}

/// How long it is waited until the next look.
fn pause(watch: &Watch, row: &MonitorRow) -> Duration {
    if row.unreachable.is_some() { watch.interval.min(AGAIN) } else { watch.interval }
}

fn log(watch: &Watch, entry: &AuditEntry) {
    let (monitor, place, event) = (&watch.name, &watch.place, entry.event);
    if event == AuditEvent::MonitorReachable {
        tracing::info!(%monitor, %place, "watched certificate can be looked at again");
    } else {
        tracing::warn!(%monitor, %place, %event, "watched certificate needs somebody");
    }
}
