//! Notices: word of what changes, for pages that show it. They say that something of a kind changed, not what.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_core::ids::{AuthorityId, Tenant};
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
    /// This authority.
    own: AuthorityId,
    chain: Option<Tenant>,
    /// How many entries of the audit are known of.
    known: u64,
    /// How often devices came or fell silent there.
    presence: u64,
    next: Instant,
}

impl Others {
    async fn than(
        (store, own): (&Store, AuthorityId),
        chain: Option<&Tenant>,
    ) -> Result<Option<Self>, StoreError> {
        if store.company() == Company::Alone {
            return Ok(None);
        }
        let (store, chain, next) = (store.clone(), chain.cloned(), Instant::now() + LOOK);
        let mut others = Self { store, own, chain, known: 0, presence: 0, next };
        (others.known, others.presence) = others.look().await?;
        Ok(Some(others))
    }

    async fn look(&self) -> Result<(u64, u64), StoreError> {
        let (chain, own) = (self.chain.clone(), self.own);
        let looking = self.store.read(move |r| {
            Box::pin(async move {
                let length = r.audit_length(chain.as_ref()).await?;
                Ok((length, r.presence_elsewhere(own).await?))
            })
        });
        looking.await
    }

    /// Waits until there is what this authority did not write, and says what that is about. What it wrote and has
    /// not told yet may pass for it.
    async fn wrote(&mut self) -> BTreeSet<Topic> {
        loop {
            sleep_until(self.next).await;
            self.next = Instant::now() + LOOK;
            match self.look().await {
                Ok((length, presence)) if length == self.known && presence == self.presence => {}
                Ok((length, presence)) => {
                    self.presence = presence;
                    let has_written = std::mem::replace(&mut self.known, length) != length;
                    return if has_written { Topic::ALL.into() } else { [Topic::Devices].into() };
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
                topics = elsewhere => return Some(topics),
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
    /// Hears of what changes from now on; a caller bound to a tenant hears of that tenant's changes alone, and of
    /// everybody's presence. What another authority wrote is told within seconds, as everything.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn notices(&self, by: &Authorized<View>) -> Result<Notices, LookError> {
        let tenant = match by.scope() {
            Some(own) => Some(self.tenant(own).await?.slug),
            None => None,
        };
        let (heard, closing) = (self.store.notices(), self.edges.closing.subscribe());
        let others = Others::than((&self.store, self.edges.id), tenant.as_ref()).await?;
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
