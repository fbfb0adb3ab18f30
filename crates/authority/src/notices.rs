//! Notices: word of what changes, for pages that show it. They say that something of a kind changed, not what.

use std::collections::BTreeSet;

use countersign_core::ids::Tenant;
use countersign_store::{Notice, NoticedGroup};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use crate::authority::Authority;
use crate::authorized::{Authorized, View};
use crate::devices::LookError;

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
}

impl Notices {
    /// Waits for the next change and says what it is about; everything when some were missed. `None`: this
    /// authority ends.
    pub async fn next(&mut self) -> Option<BTreeSet<Topic>> {
        loop {
            let heard = tokio::select! {
                heard = self.heard.recv() => heard,
                _closing = self.closing.wait_for(|closing| *closing) => return None,
            };
            let topics: BTreeSet<Topic> = match heard {
                Ok(group) => group.iter().filter(|notice| self.concerns(notice)).flat_map(topics).collect(),
                Err(RecvError::Lagged(_)) => Topic::ALL.into(),
                Err(RecvError::Closed) => return None,
            };
            if !topics.is_empty() {
                return Some(topics);
            }
        }
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
    /// Hears of what changes from now on through this process; a caller bound to a tenant hears of that
    /// tenant's changes alone.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn notices(&self, by: &Authorized<View>) -> Result<Notices, LookError> {
        let tenant = match by.scope() {
            Some(own) => Some(self.tenant(own).await?.slug),
            None => None,
        };
        Ok(Notices { heard: self.store.notices(), closing: self.edges.closing.subscribe(), tenant })
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
