//! Notices: word of what changes, for pages that show it. They say that something of a kind changed, not what.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_core::ids::Tenant;
use countersign_store::{Company, Notice, NoticedGroup, Store, StoreError};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::authority::Authority;
use crate::authorized::{Authorized, View};
use crate::devices::LookError;

/// How often it is looked whether another authority wrote something, as long as a page is open. To be told by the
/// database would cost every commit of every authority (`NOTIFY` lets them commit one at a time), open pages or not.
const LOOK: Duration = Duration::from_secs(2);

/// What a page may be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Devices and their statuses.
    Devices,
    /// Certificates of devices.
    Certificates,
    /// Enrolment keys.
    EnrollmentKeys,
    /// Commands to devices.
    Commands,
    /// CAs and lists.
    Cas,
    /// Edges.
    Edges,
    /// People, tenants, sites, API tokens and settings.
    Administration,
    /// Refusals.
    Refusals,
    /// Anything in the audit.
    Audit,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 9] = [
        Self::Devices,
        Self::Certificates,
        Self::EnrollmentKeys,
        Self::Commands,
        Self::Cas,
        Self::Edges,
        Self::Administration,
        Self::Refusals,
        Self::Audit,
    ];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Certificates => "certificates",
            Self::EnrollmentKeys => "keys",
            Self::Commands => "commands",
            Self::Cas => "cas",
            Self::Edges => "edges",
            Self::Administration => "administration",
            Self::Refusals => "refusals",
            Self::Audit => "audit",
        }
    }

    /// What an event of the audit is about besides the audit.
    fn of(event: &str) -> Self {
        match event.split('.').next().unwrap_or_default() {
            "device" | "token" | "message" | "presence" | "denied_key" | "denied_trait" => Self::Devices,
            "certificate" | "certificates" => Self::Certificates,
            "enrollment_key" => Self::EnrollmentKeys,
            "command" | "job" | "shadow" => Self::Commands,
            "ca" | "crl" | "trust" | "keys" | "service" | "ocsp" | "door" => Self::Cas,
            "edge" | "snapshot_key" | "rules" | "configuration" => Self::Edges,
            "access" => Self::Refusals,
            _ => Self::Administration,
        }
    }
}

/// Hears what changes.
#[derive(Debug)]
pub struct Notices {
    heard: Receiver<NoticedGroup>,
    closing: watch::Receiver<bool>,
    /// The only tenant whose changes count; `None`: everybody's.
    tenant: Option<Tenant>,
    /// `None`: nobody else writes.
    others: Option<Others>,
}

/// The other authorities on the database.
#[derive(Debug)]
struct Others {
    store: Store,
    chain: Option<Tenant>,
    /// How many entries of the audit are known of.
    known: u64,
    next: Instant,
}

impl Others {
    async fn on(store: &Store, chain: Option<&Tenant>) -> Result<Option<Self>, StoreError> {
        if store.company() == Company::Alone {
            return Ok(None);
        }
        let (store, chain, next) = (store.clone(), chain.cloned(), Instant::now() + LOOK);
        let mut others = Self { store, chain, known: 0, next };
        others.known = others.length().await?;
        Ok(Some(others))
    }

    async fn length(&self) -> Result<u64, StoreError> {
        let chain = self.chain.clone();
        self.store.read(|r| Box::pin(async move { r.audit_length(chain.as_ref()).await })).await
    }

    /// Waits until there is what this authority did not write. What it wrote and has not told yet may pass for it.
    async fn wrote(&mut self) {
        loop {
            sleep_until(self.next).await;
            self.next = Instant::now() + LOOK;
            match self.length().await {
                Ok(length) if length == self.known => {}
                Ok(length) => {
                    self.known = length;
                    return;
                }
                Err(error) => tracing::debug!(%error, "not known whether another authority wrote something"),
            }
        }
    }
}

impl Notices {
    /// Waits for the next change and says what it is about; everything when some were missed. `None`: this
    /// authority ends.
    pub async fn next(&mut self) -> Option<BTreeSet<Topic>> {
        loop {
            let elsewhere = async {
                match &mut self.others {
                    Some(others) => others.wrote().await,
                    None => std::future::pending().await,
                }
            };
            let heard = tokio::select! {
                heard = self.heard.recv() => heard,
                () = elsewhere => return Some(Topic::ALL.into()),
                _closing = self.closing.wait_for(|closing| *closing) => return None,
            };
            let topics = match heard {
                Ok(group) => self.own(&group),
                Err(RecvError::Lagged(_)) => Topic::ALL.into(),
                Err(RecvError::Closed) => return None,
            };
            if !topics.is_empty() {
                return Some(topics);
            }
        }
    }

    /// What this authority wrote that counts.
    fn own(&mut self, group: &NoticedGroup) -> BTreeSet<Topic> {
        let (mut about, mut written) = (BTreeSet::new(), 0);
        for (notice, count) in group.iter().filter(|(notice, _count)| self.concerns(notice)) {
            about.extend(topics(notice));
            written += count;
        }
        if let Some(others) = &mut self.others {
            others.known += written;
        }
        about
    }

    fn concerns(&self, notice: &Notice) -> bool {
        let is_own = self.tenant.as_ref().is_none_or(|tenant| tenant.as_str() == notice.chain);
        is_own || notice.event == Notice::PRESENCE
    }
}

fn topics(notice: &Notice) -> Vec<Topic> {
    let about = Topic::of(notice.event);
    if notice.event == Notice::PRESENCE { vec![about] } else { vec![about, Topic::Audit] }
}

impl Authority {
    /// Hears of what changes from now on; a caller bound to a tenant hears of that tenant's changes alone. What
    /// another authority changed is told within seconds, as everything.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn notices(&self, by: &Authorized<View>) -> Result<Notices, LookError> {
        let tenant = match by.scope() {
            Some(own) => Some(self.tenant(own).await?.slug),
            None => None,
        };
        let (heard, closing) = (self.store.notices(), self.edges.closing.subscribe());
        let others = Others::on(&self.store, tenant.as_ref()).await?;
        Ok(Notices { heard, closing, tenant, others })
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::audit::AuditEvent;

    use super::*;

    #[test]
    fn every_event_is_about_something() {
        assert_eq!(Topic::of(AuditEvent::DeviceEnrolled.as_str()), Topic::Devices);
        assert_eq!(Topic::of(AuditEvent::Refused.as_str()), Topic::Refusals);
        assert_eq!(Topic::of(AuditEvent::SettingsChanged.as_str()), Topic::Administration);
        let about = |topic| AuditEvent::ALL.iter().any(|event| Topic::of(event.as_str()) == topic);
        for topic in Topic::ALL.into_iter().filter(|topic| *topic != Topic::Audit) {
            assert!(about(topic), "{topic:?}");
        }
    }
}
