//! What there is now that somebody must see to.

use std::collections::BTreeMap;
use std::time::Duration;

use countersign_ca::CertificateFacts;
use countersign_core::ids::{AlertId, Tenant};
use countersign_core::time::Timestamp;
use countersign_store::{AlertRow, IssuerState, Severity, StoreError};

use super::kind::AlertKind;
use super::spikes::Spike;
use crate::audit_streams::StreamStatus;
use crate::authority::Authority;
use crate::crl::due::CrlFault;
use crate::edges::add::EdgeStatus;
use crate::monitors::{MonitorState, MonitorStatus};

/// How long before its end somebody hears of a CA.
const CA_ENDS: Duration = Duration::from_secs(30 * 86_400);

/// Something that somebody must see to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) kind: AlertKind,
    pub(super) subject: String,
    pub(super) tenant: Option<Tenant>,
    pub(super) severity: Severity,
    pub(super) summary: String,
}

impl Cause {
    fn of(kind: AlertKind, subject: &impl ToString, severity: Severity, summary: String) -> Self {
        Self { kind, subject: subject.to_string(), tenant: None, severity, summary }
    }

    /// As an alert that is raised now.
    pub(super) fn row(&self, now: Timestamp) -> AlertRow {
        AlertRow {
            id: AlertId::random(),
            kind: self.kind.to_string(),
            subject: self.subject.clone(),
            tenant: self.tenant.clone(),
            severity: self.severity,
            summary: self.summary.clone(),
            opened_at: now,
            seen_at: now,
            told_at: None,
            resolved_at: None,
            acknowledged: None,
        }
    }
}

impl Authority {
    /// Everything.
    pub(super) async fn causes(&self, now: Timestamp) -> Result<Vec<Cause>, StoreError> {
        let mut causes = self.ending_cas(now);
        causes.extend(self.spikes(now));
        causes.extend(self.unusual_access(now).await?);
        causes.extend(self.ending_certificates(now).await?);
        for one in self.crls_due().await? {
            let severity = match one.fault {
                CrlFault::EndsSoon => Severity::Warning,
                CrlFault::Over | CrlFault::Lacks => Severity::Critical,
            };
            causes.push(Cause::of(AlertKind::CrlDue, &one.ca, severity, one.to_string()));
        }
        for status in self.monitor_statuses(now).await? {
            causes.extend(of_monitor(&status));
        }
        let (edges, quarantined) = self
            .store
            .read(|r| {
                Box::pin(async move { Ok::<_, StoreError>((r.edges().await?, r.count_quarantined().await?)) })
            })
            .await?;
        for edge in edges.into_iter().map(|row| self.listed_edge(row, now)) {
            if edge.status == EdgeStatus::Silent {
                let name = &edge.row.name;
                let said = format!("the edge {name} cannot be reached: it goes by what it heard last");
                causes.push(Cause::of(AlertKind::EdgeSilent, name, Severity::Critical, said));
            }
        }
        causes.extend(quarantined.into_iter().map(|(tenant, count)| of_quarantine(tenant, count)));
        causes.extend(self.broken_audit());
        causes.extend(self.stream_statuses().await?.iter().filter_map(|status| of_stream(status, now)));
        Ok(causes)
    }

    fn ending_cas(&self, now: Timestamp) -> Vec<Cause> {
        let issuers = self.issuers();
        let mut ends = BTreeMap::new();
        for ca in issuers.all().filter(|ca| ca.state() != IssuerState::Retired) {
            if let Ok(facts) = CertificateFacts::of(ca.certificate_der()) {
                ends.insert(ca.name().clone(), facts.not_after);
            }
        }
        let near = ends.into_iter().filter(|(_, end)| *end < now + CA_ENDS);
        let told = near.map(|(name, end)| {
            let (severity, word) =
                if end <= now { (Severity::Critical, "ended") } else { (Severity::Warning, "ends") };
            let said = format!("the CA {name} {word} at {end}: countersign ca rotate {name}");
            Cause::of(AlertKind::CaExpiring, &name, severity, said)
        });
        told.collect()
    }

    fn spikes(&self, now: Timestamp) -> Vec<Cause> {
        let told = self.alerts.spikes.now(now).into_iter().map(|spike| match spike {
            Spike::Refused(code, count) => {
                let said = format!("{code} was refused {count} times in five minutes, far more than before");
                Cause::of(AlertKind::RefusedSpike, &code, Severity::Warning, said)
            }
            Spike::BadKeys(count) => {
                let said = format!("{count} enrolments in five minutes came with keys that do not work");
                Cause::of(AlertKind::EnrollmentAbuse, &"enrollment keys", Severity::Warning, said)
            }
        });
        told.collect()
    }

    fn broken_audit(&self) -> Option<Cause> {
        let fault = self.alerts.verified.lock().clone()?.broken?;
        let said = format!("the audit is not as it was written: {fault}; countersign audit verify");
        Some(Cause::of(AlertKind::AuditBroken, &"audit", Severity::Critical, said))
    }
}

fn of_stream(status: &StreamStatus, now: Timestamp) -> Option<Cause> {
    let (name, failure) = (&status.row.name, status.overdue(now)?);
    let said = format!("the audit has not reached {name} since {}: {}", failure.since, failure.problem);
    Some(Cause::of(AlertKind::AuditLate, name, Severity::Warning, said))
}

fn of_quarantine(tenant: Tenant, count: u64) -> Cause {
    let devices = if count == 1 { "device waits" } else { "devices wait" };
    let summary = format!("{count} {devices} for a decision{}", super::about_tenant(Some(&tenant)));
    let cause = Cause::of(AlertKind::Quarantine, &tenant, Severity::Info, summary);
    Cause { tenant: Some(tenant), ..cause }
}

fn of_monitor(status: &MonitorStatus) -> Option<Cause> {
    let (name, place) = (&status.watch.name, &status.watch.place);
    let until = status.seen.as_ref().map(|seen| seen.not_after.to_string()).unwrap_or_default();
    let (kind, severity, said) = match status.state {
        MonitorState::Waiting | MonitorState::Ok => return None,
        MonitorState::Expiring => (
            AlertKind::CertificateExpiring,
            Severity::Warning,
            format!("the certificate {name} ends at {until}"),
        ),
        MonitorState::Expired => (
            AlertKind::CertificateExpiring,
            Severity::Critical,
            format!("the certificate {name} ended at {until}"),
        ),
        MonitorState::Changed => (
            AlertKind::CertificateChanged,
            Severity::Critical,
            format!("the certificate {name} at {place} is not the one that it should be"),
        ),
        MonitorState::Unreachable => (
            AlertKind::CertificateUnreachable,
            Severity::Warning,
            format!(
                "the certificate {name} at {place} cannot be looked at: {}",
                status.problem.clone().unwrap_or_default()
            ),
        ),
    };
    Some(Cause::of(kind, name, severity, said))
}
