//! Alerts: what somebody must see to, raised once for each cause, told to whoever wants to know, and resolved when
//! the cause is gone.
//!
//! Every authority looks for causes and writes them down; that a cause has one open alert is the database's to
//! see to, so that of several authorities one raises it. Whoever is to be told is told by whichever authority
//! takes the delivery, at least once, for it is forgotten only after it has arrived.

mod causes;
mod ending;
mod kind;
mod spikes;
mod tell;
mod unusual;
mod verify;

use std::time::Duration;

use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_core::ids::{AlertId, SilenceId, Tenant};
use countersign_core::time::Timestamp;
pub use countersign_store::{AlertFilter, AlertRow, AlertsOnly, DeliveryRow, News, Severity, SilenceRow};
use countersign_store::{StoreError, Writing};
use parking_lot::Mutex;
use thiserror::Error;

use self::causes::Cause;
use crate::authority::Authority;
use crate::authorized::{Authorized, Forbidden, Operate, View};

pub use kind::{AlertKind, UnknownAlertKind};
pub(crate) use spikes::Spikes;
pub use unusual::{Observed, UnusualAccess};
pub use verify::AuditVerified;

pub(crate) use tell::{TAKEN, pause};

/// How often causes are looked for.
const PERIOD: Duration = Duration::from_secs(10);

/// For how long nobody must have seen a cause that one authority alone sees, before it is taken to be gone.
const QUIET: Duration = Duration::from_secs(600);

/// For how long resolved alerts are kept.
const KEPT: Duration = Duration::from_secs(90 * 86_400);

/// The longest window in which nobody is told.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(30 * 86_400);

/// What an authority remembers about alerts.
#[derive(Debug, Default)]
pub(crate) struct AlertWatch {
    looked_at: Mutex<Option<Timestamp>>,
    targets: Mutex<Vec<AlertTarget>>,
    pub(crate) spikes: Spikes,
    pub(crate) whereabouts: unusual::Whereabouts,
    ending: ending::Ending,
    /// What recomputing the audit showed last.
    pub(crate) verified: Mutex<Option<AuditVerified>>,
}

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertTarget {
    /// What the configuration calls them.
    pub name: String,
    /// Of nothing that is less grave.
    pub from: Severity,
}

/// An alert was not acknowledged, or a window not made or ended.
#[derive(Debug, Error)]
pub enum AlertError {
    /// The caller may not.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// There is no such alert.
    #[error("there is no alert {0}")]
    Unknown(AlertId),
    /// There is no such window.
    #[error("there is no silence {0}")]
    UnknownSilence(SilenceId),
    /// It is resolved.
    #[error("the alert {0} is resolved")]
    Resolved(AlertId),
    /// Somebody sees to it.
    #[error("the alert {0} is acknowledged")]
    Acknowledged(AlertId),
    /// The store failed.
    #[error("cannot use the store")]
    Store(#[from] StoreError),
}

/// A window in which nobody is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedSilence {
    /// Of this kind alone.
    pub kind: Option<AlertKind>,
    /// About this alone.
    pub subject: Option<String>,
    /// Why, for people.
    pub reason: String,
    /// For how long, at most [`LONGEST_SILENCE`].
    pub lasts: Duration,
}

impl Authority {
    /// Says who is told of alerts from now on.
    pub fn tell_alerts_to(&self, targets: Vec<AlertTarget>) {
        *self.alerts.targets.lock() = targets;
    }

    /// Says what access by devices is unusual from now on.
    pub fn observe_access(&self, wanted: UnusualAccess) {
        self.alerts.whereabouts.want(wanted);
    }

    /// Looks for causes, when it is time to.
    pub(crate) async fn look_for_alerts(&self, now: Timestamp) -> Result<(), StoreError> {
        let is_due = self.alerts.looked_at.lock().is_none_or(|last| now < last || now.since(last) >= PERIOD);
        if !is_due {
            return Ok(());
        }
        let causes = self.causes(now).await?;
        let targets = self.alerts.targets.lock().clone();
        self.store
            .write(move |w| Box::pin(async move { bring_up_to_date(w, &causes, &targets, now).await }))
            .await?;
        *self.alerts.looked_at.lock() = Some(now);
        Ok(())
    }

    /// Alerts, latest first; of those that are bound to a tenant, that tenant's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn alerts(
        &self,
        by: &Authorized<View>,
        mut filter: AlertFilter,
    ) -> Result<Vec<AlertRow>, StoreError> {
        if let Some(own) = by.scope() {
            filter.tenant = Some(self.tenant(own).await?.slug);
        }
        self.store.read(move |r| Box::pin(async move { r.alerts(&filter).await })).await
    }

    /// Notes that somebody sees to an alert.
    ///
    /// # Errors
    /// See [`AlertError`]; of two at once one wins.
    pub async fn acknowledge_alert(
        &self,
        by: &Authorized<Operate>,
        id: AlertId,
    ) -> Result<AlertRow, AlertError> {
        let own = match by.scope() {
            Some(own) => Some(self.tenant(own).await?.slug),
            None => None,
        };
        let (now, actor) = (self.now(), by.actor());
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let alert = w.alert(id).await?.ok_or(AlertError::Unknown(id))?;
                    if own.is_some() && own != alert.tenant {
                        return Err(Forbidden::OtherTenant.into());
                    }
                    if alert.resolved_at.is_some() {
                        return Err(AlertError::Resolved(id));
                    }
                    let who = actor.to_string();
                    if !w.acknowledge_alert(id, &who, now).await? {
                        return Err(AlertError::Acknowledged(id));
                    }
                    let entry =
                        AuditEntry::new(alert.tenant.clone(), now, AuditEvent::AlertAcknowledged, actor);
                    let entry = entry.detail("alert", id).detail("kind", &alert.kind);
                    w.append_audit(&entry.detail("subject", &alert.subject)).await?;
                    Ok(AlertRow { acknowledged: Some((now, who)), ..alert })
                })
            })
            .await
    }

    /// The windows that have not ended. Not for whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`AlertError`].
    pub async fn silences(&self, by: &Authorized<View>) -> Result<Vec<SilenceRow>, AlertError> {
        by.covers_all()?;
        let now = self.now();
        Ok(self.store.read(move |r| Box::pin(async move { r.silences(now).await })).await?)
    }

    /// Makes a window in which nobody is told: alerts are raised and resolved all the same, and those that are
    /// still open at its end are told then. Not for whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`AlertError`].
    pub async fn silence_alerts(
        &self,
        by: &Authorized<Operate>,
        wanted: WantedSilence,
    ) -> Result<SilenceRow, AlertError> {
        by.covers_all()?;
        let (now, actor) = (self.now(), by.actor());
        let row = SilenceRow {
            id: SilenceId::random(),
            kind: wanted.kind.map(|kind| kind.to_string()).unwrap_or_default(),
            subject: wanted.subject.unwrap_or_default(),
            reason: wanted.reason,
            created_by: actor.to_string(),
            created_at: now,
            ends_at: now + wanted.lasts.min(LONGEST_SILENCE),
        };
        let entry = AuditEntry::new(None, now, AuditEvent::AlertsSilenced, actor)
            .detail("silence", row.id)
            .detail("kind", &row.kind)
            .detail("subject", &row.subject)
            .detail("reason", &row.reason)
            .detail("endsAt", row.ends_at);
        let stored = row.clone();
        self.store
            .write(move |w| {
                Box::pin(async move {
                    w.insert_silence(&stored).await?;
                    Ok::<_, AlertError>(w.append_audit(&entry).await?)
                })
            })
            .await?;
        Ok(row)
    }

    /// Ends a window. Not for whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`AlertError`].
    pub async fn end_silence(&self, by: &Authorized<Operate>, id: SilenceId) -> Result<(), AlertError> {
        by.covers_all()?;
        let entry = AuditEntry::new(None, self.now(), AuditEvent::AlertSilenceEnded, by.actor());
        let entry = entry.detail("silence", id);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    if !w.delete_silence(id).await? {
                        return Err(AlertError::UnknownSilence(id));
                    }
                    Ok(w.append_audit(&entry).await?)
                })
            })
            .await
    }

    /// Raises an alert about nothing, so that somebody sees whether it arrives. It resolves by itself. Not for
    /// whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`AlertError`].
    pub async fn test_alerts(&self, by: &Authorized<Operate>) -> Result<AlertRow, AlertError> {
        by.covers_all()?;
        let (now, actor) = (self.now(), by.actor());
        let summary = format!("{actor} tries whether alerts arrive");
        let subject = AlertId::random().to_string();
        let cause =
            Cause { kind: AlertKind::Test, subject, tenant: None, severity: Severity::Critical, summary };
        let (row, targets) = (cause.row(now), self.alerts.targets.lock().clone());
        let raised = row.clone();
        self.store
            .write(move |w| {
                Box::pin(async move {
                    w.raise_alert(&raised).await?;
                    tell_all(w, &raised, News::Raised, (&targets, now)).await
                })
            })
            .await?;
        Ok(row)
    }
}

/// Raises what is new, tells what is to be told, and resolves what is gone.
async fn bring_up_to_date(
    w: &mut Writing<'_>,
    causes: &[Cause],
    targets: &[AlertTarget],
    now: Timestamp,
) -> Result<(), StoreError> {
    for cause in causes {
        w.raise_alert(&cause.row(now)).await?;
    }
    let silences = w.silences(now).await?;
    for alert in w.open_alerts().await? {
        let is_silenced = silences.iter().any(|silence| covers(silence, &alert));
        if alert.told_at.is_none() && !is_silenced {
            tell_all(w, &alert, News::Raised, (targets, now)).await?;
        }
        if is_gone(&alert, causes, now) && w.resolve_alert(alert.id, now).await? {
            tracing::info!(kind = %alert.kind, subject = %alert.subject, "alert resolved");
            if alert.told_at.is_some() && !is_silenced {
                queue(w, &alert, News::Resolved, (targets, now)).await?;
            }
        }
    }
    w.prune_alerts(now - KEPT).await.map(drop)
}

async fn tell_all(
    w: &mut Writing<'_>,
    alert: &AlertRow,
    news: News,
    (targets, now): (&[AlertTarget], Timestamp),
) -> Result<(), StoreError> {
    if !w.begin_to_tell(alert.id, now).await? {
        return Ok(());
    }
    tracing::warn!(kind = %alert.kind, subject = %alert.subject, summary = %alert.summary, "alert raised");
    queue(w, alert, news, (targets, now)).await
}

async fn queue(
    w: &mut Writing<'_>,
    alert: &AlertRow,
    news: News,
    (targets, now): (&[AlertTarget], Timestamp),
) -> Result<(), StoreError> {
    for target in targets.iter().filter(|target| alert.severity >= target.from) {
        let row =
            DeliveryRow { alert: alert.id, target: target.name.clone(), news, due_at: now, attempts: 0 };
        w.queue_delivery(&row).await?;
    }
    Ok(())
}

fn covers(silence: &SilenceRow, alert: &AlertRow) -> bool {
    (silence.kind.is_empty() || silence.kind == alert.kind)
        && (silence.subject.is_empty() || silence.subject == alert.subject)
}

/// Whether the cause of an open alert is gone. Fails closed: what another version raised stays until that
/// version says otherwise.
fn is_gone(alert: &AlertRow, causes: &[Cause], now: Timestamp) -> bool {
    let is_there =
        causes.iter().any(|cause| cause.kind.as_str() == alert.kind && cause.subject == alert.subject);
    match alert.kind.parse::<AlertKind>() {
        Ok(kind) if kind.is_seen_by_one() => !is_there && now.since(alert.seen_at) >= QUIET,
        Ok(_) => !is_there,
        Err(_unknown) => false,
    }
}

/// Whose alert it is to an unbound eye.
pub(crate) fn about_tenant(tenant: Option<&Tenant>) -> String {
    tenant.map(|tenant| format!(" of {tenant}")).unwrap_or_default()
}
