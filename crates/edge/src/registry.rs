//! The live connections of a door, by device and by certificate, and how they end when what they
//! were opened with falls.
//!
//! A certificate is judged once for all its connections. A connection remembers the standing it was
//! last judged by: one that was opened in a bad standing (to renew, or to be told why it is refused)
//! is left to its requests, which are judged one by one; one whose standing gets worse is cut.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use countersign_core::guest::GuestClaim;
use countersign_core::ids::CertificateRef;
use countersign_core::snapshot::{CertificateClaim, DeviceKey, Standing, TrustSnapshot};
use countersign_core::time::{Clock, Timestamp};
use countersign_tls::Peer;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::guests::GuestSessions;
use crate::trust::Current;

/// How far a connection has been told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Ending {
    /// After the responses under way; an upgraded one goes on.
    Retire = 1,
    /// At once.
    Kill = 2,
}

/// One open connection.
#[derive(Debug, Default)]
pub(crate) struct Live {
    id: u64,
    ending: AtomicU8,
    told: Notify,
    requests: AtomicUsize,
    turns: AtomicUsize,
    deciding: AtomicUsize,
    first_use_told: AtomicBool,
    /// As which guests it was received.
    guests: Mutex<Vec<Arc<GuestClaim>>>,
    has_streams: AtomicBool,
    is_closed: AtomicBool,
}

impl Live {
    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    fn end(&self, ending: Ending) {
        self.ending.fetch_max(ending as u8, Ordering::SeqCst);
        self.told.notify_waiters();
    }

    /// Ends the connection after the responses under way.
    pub(crate) fn retire(&self) {
        self.end(Ending::Retire);
    }

    /// Says that the connection holds several requests at a time and can be told to end between them.
    pub(crate) fn is_of_streams(&self) {
        self.has_streams.store(true, Ordering::SeqCst);
    }

    /// Cuts the connection at once.
    pub(crate) fn kill(&self) {
        self.end(Ending::Kill);
    }

    pub(crate) fn is_told(&self, ending: Ending) -> bool {
        self.ending.load(Ordering::SeqCst) >= ending as u8
    }

    /// Waits until the connection is told to end at least like this.
    pub(crate) async fn told(&self, ending: Ending) {
        wait_until(&self.told, || self.is_told(ending)).await;
    }

    /// Counts a request until the guard is dropped.
    pub(crate) fn request(live: &Arc<Registration>, kind: RequestKind) -> RequestGuard {
        live.requests.fetch_add(1, Ordering::SeqCst);
        if kind == RequestKind::Deciding {
            live.deciding.fetch_add(1, Ordering::SeqCst);
        }
        RequestGuard { live: Arc::clone(live), kind }
    }

    /// Notes that a request began or ended.
    pub(crate) fn turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// How often a request began or ended: a number that stands still while nobody asks for anything.
    pub(crate) fn turns(&self) -> usize {
        self.turns.load(Ordering::Relaxed)
    }

    /// Whether a request is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.requests.load(Ordering::SeqCst) > 0
    }

    /// Whether a request is under way whose answer may be about the very fall of this connection.
    fn is_deciding(&self) -> bool {
        self.deciding.load(Ordering::SeqCst) > 0
    }

    /// True once: for the request that reports the first use.
    pub(crate) fn claim_first_use(&self) -> bool {
        !self.first_use_told.swap(true, Ordering::SeqCst)
    }
}

/// What a request may do to the connection it came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// Nothing.
    Plain,
    /// It enrols, renews, confirms or ends an enrolment: its answer may be the very reason why the connection falls, so
    /// it is let out before the connection is cut.
    Deciding,
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct RequestGuard {
    live: Arc<Registration>,
    kind: RequestKind,
}

impl RequestGuard {
    /// The connection that it came over.
    pub(crate) fn live(&self) -> &Registration {
        &self.live
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.live.turn();
        self.live.requests.fetch_sub(1, Ordering::SeqCst);
        if self.kind == RequestKind::Deciding {
            self.live.deciding.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// What a connection was opened with.
type Key = (DeviceKey, CertificateRef);

#[derive(Debug)]
struct Member {
    live: Arc<Live>,
    standing: Standing,
}

#[derive(Debug)]
struct Certified {
    claim: CertificateClaim,
    /// Up to when time alone does not change the standing.
    steady_until: Timestamp,
    members: Vec<Member>,
}

#[derive(Debug, Default)]
struct Sessions {
    anonymous: HashMap<u64, Arc<Live>>,
    devices: HashMap<DeviceKey, Vec<Certified>>,
    is_retiring: bool,
}

/// The live connections of a door.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    resting: AtomicUsize,
    sessions: Mutex<Sessions>,
    guests: GuestSessions,
    is_leaving: AtomicBool,
    next: AtomicU64,
    gone: Notify,
}

/// What a walk did.
#[derive(Debug, Default)]
pub(crate) struct Fallen {
    /// Cut at once.
    pub(crate) cut: Vec<Arc<Live>>,
    /// To be cut once the answer under way is out, or when patience ends.
    pub(crate) answering: Vec<Arc<Live>>,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Puts the other side of a handshake on the list, by the standing it has now.
    pub(crate) fn register_peer(
        self: &Arc<Self>,
        peer: &Peer,
        current: &Current,
        clock: &dyn Clock,
    ) -> Arc<Registration> {
        self.register(peer.claim(), |claim| current.load().snapshot.standing(claim, clock.now()))
    }

    /// Puts a connection on the list. `judge` is called while no walk can run, so that a change of
    /// snapshot is seen either by it or by the walk.
    pub(crate) fn register(
        self: &Arc<Self>,
        claim: Option<&CertificateClaim>,
        judge: impl FnOnce(&CertificateClaim) -> Standing,
    ) -> Arc<Registration> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let live = Arc::new(Live { id, ..Live::default() });
        let mut sessions = self.sessions.lock();
        if sessions.is_retiring {
            live.end(Ending::Retire);
        }
        let key = claim.map(key_of);
        match claim {
            None => {
                sessions.anonymous.insert(id, Arc::clone(&live));
            }
            Some(claim) => {
                let member = Member { live: Arc::clone(&live), standing: judge(claim) };
                sessions.insert(claim, member);
            }
        }
        drop(sessions);
        Arc::new(Registration {
            live,
            key: key.map_or_else(OnceLock::new, OnceLock::from),
            registry: Arc::clone(self),
        })
    }

    /// How many connections of this device are open.
    pub(crate) fn count(&self, device: &DeviceKey) -> usize {
        let sessions = self.sessions.lock();
        sessions.devices.get(device).map_or(0, |all| all.iter().map(|one| one.members.len()).sum())
    }

    /// How many connections have been put on the list so far.
    pub(crate) fn registered(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// How many are open.
    pub(crate) fn open(&self) -> u64 {
        let sessions = self.sessions.lock();
        let devices: usize = sessions.devices.values().flatten().map(|one| one.members.len()).sum();
        u64::try_from(sessions.anonymous.len() + devices).unwrap_or(u64::MAX)
    }

    /// How many connections are silent and hold no buffers.
    pub(crate) fn resting(&self) -> usize {
        self.resting.load(Ordering::Relaxed)
    }

    /// Judges every certificate again, under a new snapshot.
    pub(crate) fn walk(&self, snapshot: &TrustSnapshot, now: Timestamp) -> Fallen {
        self.judge_where(snapshot, now, |_certified| true)
    }

    /// Judges again only what time alone may have changed.
    pub(crate) fn sweep(&self, snapshot: &TrustSnapshot, now: Timestamp) -> Fallen {
        self.judge_where(snapshot, now, |certified| now > certified.steady_until)
    }

    fn judge_where(
        &self,
        snapshot: &TrustSnapshot,
        now: Timestamp,
        due: impl Fn(&Certified) -> bool,
    ) -> Fallen {
        let mut fallen = Fallen::default();
        let mut sessions = self.sessions.lock();
        let all = sessions.devices.values_mut().flatten();
        all.filter(|one| due(one)).for_each(|one| one.judge(snapshot, now, &mut fallen));
        drop(sessions);
        for live in self.guests.take_fallen(snapshot, now) {
            fallen.add(&live);
        }
        fallen
    }

    /// Lets every connection, and every later one, end after the responses under way.
    pub(crate) fn retire_all(&self) {
        self.sessions.lock().is_retiring = true;
        self.each(|live| live.end(Ending::Retire));
    }

    /// Lets every connection end after its next response: another process answers those who come back.
    pub(crate) fn leave(&self) {
        self.is_leaving.store(true, Ordering::SeqCst);
        // One on which nothing was asked yet could not tell which requests it still takes.
        self.each(|live| {
            if live.has_streams.load(Ordering::SeqCst) && live.turns() > 0 {
                live.retire();
            }
        });
    }

    /// Cuts every connection.
    pub(crate) fn kill_all(&self) {
        self.each(Live::kill);
    }

    fn each(&self, act: impl Fn(&Live)) {
        let sessions = self.sessions.lock();
        let devices = sessions.devices.values().flatten().flat_map(|one| &one.members);
        sessions.anonymous.values().chain(devices.map(|member| &member.live)).for_each(|live| act(live));
    }

    /// Waits until no connection is open.
    pub(crate) async fn wait_until_empty(&self) {
        wait_until(&self.gone, || {
            let sessions = self.sessions.lock();
            sessions.anonymous.is_empty() && sessions.devices.is_empty()
        })
        .await;
    }

    /// Waits until these are closed.
    pub(crate) async fn wait_until_closed(&self, lives: &[Arc<Live>]) {
        for live in lives {
            wait_until(&self.gone, || live.is_closed.load(Ordering::SeqCst)).await;
        }
    }

    fn remove(&self, live: &Live, key: Option<&Key>) {
        let mut sessions = self.sessions.lock();
        match key {
            None => {
                sessions.anonymous.remove(&live.id);
            }
            Some((device, certificate)) => sessions.remove(live.id, device, certificate),
        }
        drop(sessions);
        self.guests.forget(live.id);
        live.is_closed.store(true, Ordering::SeqCst);
        self.gone.notify_waiters();
    }
}

impl Sessions {
    fn insert(&mut self, claim: &CertificateClaim, member: Member) {
        let (device, certificate) = key_of(claim);
        let all = self.devices.entry(device).or_default();
        match all.iter_mut().find(|one| one.claim.reference == certificate) {
            Some(one) => {
                // Judged just now: the others of this certificate are to be looked at, too.
                if one.members.iter().any(|other| other.standing != member.standing) {
                    one.steady_until = claim.not_before.min(one.steady_until);
                }
                one.members.push(member);
            }
            None => {
                // One as a rule, and room for four would be half a kilobyte more for each device.
                all.reserve_exact(1);
                all.push(Certified {
                    claim: claim.clone(),
                    // The first sweep works it out.
                    steady_until: claim.not_before,
                    members: vec![member],
                });
            }
        }
    }

    fn remove(&mut self, id: u64, device: &DeviceKey, certificate: &CertificateRef) {
        let Some(all) = self.devices.get_mut(device) else { return };
        for one in all.iter_mut().filter(|one| one.claim.reference == *certificate) {
            one.members.retain(|member| member.live.id != id);
        }
        all.retain(|one| !one.members.is_empty());
        if all.is_empty() {
            self.devices.remove(device);
        }
    }
}

impl Certified {
    fn judge(&mut self, snapshot: &TrustSnapshot, now: Timestamp, fallen: &mut Fallen) {
        let standing = snapshot.standing(&self.claim, now);
        let may_go_on = snapshot.session_may_go_on(&self.claim, now);
        self.steady_until = steady_until(&self.claim, standing, snapshot);
        for member in &mut self.members {
            let before = std::mem::replace(&mut member.standing, standing);
            if may_go_on {
                if standing == Standing::Superseded && before != standing {
                    member.live.end(Ending::Retire);
                }
            } else if before != standing || standing == Standing::Superseded {
                fallen.add(&member.live);
            }
        }
    }
}

impl Fallen {
    fn add(&mut self, live: &Arc<Live>) {
        if live.is_deciding() {
            live.end(Ending::Retire);
            self.answering.push(Arc::clone(live));
        } else {
            live.kill();
            self.cut.push(Arc::clone(live));
        }
    }
}

fn steady_until(claim: &CertificateClaim, standing: Standing, snapshot: &TrustSnapshot) -> Timestamp {
    match standing {
        Standing::NotYetValid => claim.not_before,
        Standing::Superseded => {
            let overlap = snapshot.superseded.get(&claim.reference).copied();
            overlap.map_or(claim.not_after, |until| until.min(claim.not_after))
        }
        Standing::Valid
        | Standing::Pending
        | Standing::Expired
        | Standing::Revoked
        | Standing::Quarantined
        | Standing::Decommissioned
        | Standing::TenantSuspended
        | Standing::Unproved
        | Standing::Foreign => claim.not_after,
    }
}

fn key_of(claim: &CertificateClaim) -> Key {
    let device = (claim.identity.tenant().clone(), claim.identity.device().clone());
    (device, claim.reference.clone())
}

async fn wait_until(notify: &Notify, is_so: impl Fn() -> bool) {
    loop {
        let mut notified = std::pin::pin!(notify.notified());
        notified.as_mut().enable();
        if is_so() {
            return;
        }
        notified.await;
    }
}

/// A connection's entry on the list; it leaves the list when the last clone is dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    live: Arc<Live>,
    key: OnceLock<Key>,
    registry: Arc<Registry>,
}

impl std::ops::Deref for Registration {
    type Target = Live;
    fn deref(&self) -> &Live {
        &self.live
    }
}

impl Registration {
    /// Puts a connection that was nobody's under the device that showed its token over it. `judge` is called
    /// while no walk can run, as when it was put on the list.
    pub(crate) fn identify(&self, claim: &CertificateClaim, judge: impl FnOnce() -> Standing) {
        if self.key.set(key_of(claim)).is_err() {
            return;
        }
        let mut sessions = self.registry.sessions.lock();
        sessions.anonymous.remove(&self.live.id);
        sessions.insert(claim, Member { live: Arc::clone(&self.live), standing: judge() });
    }

    /// Notes that a guest was admitted over this connection, which ends when the guest falls: at once, if
    /// it has fallen by now. `may_go_on` is called while no walk can run.
    pub(crate) fn receive(&self, guest: &Arc<GuestClaim>, may_go_on: impl FnOnce() -> bool) {
        let mut known = self.live.guests.lock();
        if known.iter().any(|one| Arc::ptr_eq(one, guest)) {
            return;
        }
        known.push(Arc::clone(guest));
        drop(known);
        if !self.registry.guests.note(&self.live, guest, may_go_on) {
            self.live.kill();
        }
    }

    /// Counts the connection as resting until this is dropped.
    pub(crate) fn resting(&self) -> Resting<'_> {
        self.registry.resting.fetch_add(1, Ordering::Relaxed);
        Resting(&self.registry)
    }

    /// Whether another process answers those who come back.
    pub(crate) fn is_leaving(&self) -> bool {
        self.registry.is_leaving.load(Ordering::Relaxed)
    }
}

/// A connection that rests.
#[derive(Debug)]
pub(crate) struct Resting<'a>(&'a Registry);

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        self.0.resting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.remove(&self.live, self.key.get());
    }
}

#[cfg(test)]
mod tests;
