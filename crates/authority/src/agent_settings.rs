//! How a tenant's agents are to behave, and what they say they go by.

use countersign_core::agent_settings::{AgentSettings, Interval};
use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_core::ids::TrustBundleHash;
use countersign_store::{AgentReport, StoreError, TrustBundleReport};

use crate::agent::AgentCaller;
use crate::authority::Authority;
use crate::authorized::{Administer, Authorized};
use crate::settings::ChangeSettingsError;
use crate::tenants::TenantError;

/// What a change names; everything else stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct AgentSettingsChange {
    /// The time between heartbeats.
    pub heartbeat_interval: Option<Interval>,
    /// The time between metrics.
    pub metrics_interval: Option<Interval>,
}

/// When a change is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeenVersion {
    /// In any case.
    Any,
    /// Only while the settings are of one of these versions.
    OneOf(Vec<u64>),
}

impl AgentSettingsChange {
    fn applied_to(self, old: AgentSettings) -> AgentSettings {
        let mut new = AgentSettings {
            heartbeat_interval: self.heartbeat_interval.unwrap_or(old.heartbeat_interval),
            metrics_interval: self.metrics_interval.unwrap_or(old.metrics_interval),
            version: old.version,
        };
        if new != old {
            new.version += 1;
        }
        new
    }
}

impl Authority {
    /// Changes what `change` names. Agents hear of it with their next heartbeat.
    ///
    /// # Errors
    /// See [`ChangeSettingsError`].
    pub async fn change_agent_settings(
        &self,
        by: &Authorized<Administer>,
        slug_or_id: &str,
        change: AgentSettingsChange,
        only_if: SeenVersion,
    ) -> Result<AgentSettings, ChangeSettingsError> {
        let tenant = self.find_tenant(by, slug_or_id).await?;
        let (id, now, actor) = (tenant.id, self.now(), by.actor());
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let row = w.tenant_by_id(id).await?.ok_or(TenantError::Unknown)?;
                    let old = row.agent_settings;
                    if let SeenVersion::OneOf(seen) = only_if
                        && !seen.contains(&old.version)
                    {
                        return Err(ChangeSettingsError::Changed);
                    }
                    let new = change.applied_to(old);
                    if new != old {
                        w.update_agent_settings(id, &new).await?;
                        let event = AuditEvent::AgentSettingsChanged;
                        let entry = AuditEntry::new(Some(row.slug), now, event, actor);
                        w.append_audit(&with_differences(entry, old, new)).await?;
                    }
                    Ok(new)
                })
            })
            .await
    }

    /// Writes down what an agent says it goes by, if that is something else than before; what it does
    /// not say stays.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note_report(
        &self,
        agent: &AgentCaller,
        config_version: Option<u64>,
        trust_bundle: Option<TrustBundleHash>,
    ) -> Result<(), StoreError> {
        let (known, id, now) = (agent.device().reported, agent.id(), self.now());
        let mut report = known;
        if config_version.is_some() {
            report.config_version = config_version;
        }
        if let Some(sha256) = trust_bundle
            && known.trust_bundle.is_none_or(|bundle| bundle.sha256 != sha256)
        {
            report.trust_bundle = Some(TrustBundleReport { sha256, at: now });
        }
        if report == known {
            return Ok(());
        }
        self.store
            .write(move |w| Box::pin(async move { w.record_report(id, &report).await.map(|_known| ()) }))
            .await
    }

    /// Whether these are the CA certificates that agents get now.
    #[must_use]
    pub fn is_current_bundle(&self, report: &TrustBundleReport) -> bool {
        report.sha256 == self.issuers().trust_bundle()
    }

    /// The hash of the CA certificates that agents get now, for an agent that uses others.
    #[must_use]
    pub fn news_of_bundle(&self, used: TrustBundleHash) -> Option<TrustBundleHash> {
        let present = self.issuers().trust_bundle();
        (used != present).then_some(present)
    }
}

impl AgentCaller {
    /// How the device's agent is to behave.
    #[must_use]
    pub const fn agent_settings(&self) -> AgentSettings {
        self.tenant().agent_settings
    }

    /// What the device's agent has said it goes by.
    #[must_use]
    pub const fn reported(&self) -> AgentReport {
        self.device().reported
    }
}

fn with_differences(entry: AuditEntry, old: AgentSettings, new: AgentSettings) -> AuditEntry {
    let texts = |settings: AgentSettings| {
        [
            ("heartbeatIntervalSeconds", settings.heartbeat_interval.seconds()),
            ("metricsCollectionIntervalSeconds", settings.metrics_interval.seconds()),
        ]
    };
    texts(old)
        .into_iter()
        .zip(texts(new))
        .filter(|(before, after)| before != after)
        .fold(entry.detail("version", new.version), |entry, ((name, before), (_, after))| {
            entry.detail(name, format!("{before} -> {after}"))
        })
}
