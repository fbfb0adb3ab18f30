//! How agents are to behave, and what they say they go by.

use countersign_core::agent_settings::{AgentSettings, Interval};
use countersign_core::ids::{DeviceId, TenantId, TrustBundleHash};
use countersign_core::time::Timestamp;

use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::Writing;

/// What a device's agent last said of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentReport {
    /// The version of the settings that it goes by.
    pub config_version: Option<u64>,
    /// The CA certificates that it trusts.
    pub trust_bundle: Option<TrustBundleReport>,
}

/// Which CA certificates an agent trusts, by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustBundleReport {
    /// Their hash.
    pub sha256: TrustBundleHash,
    /// When it first said so.
    pub at: Timestamp,
}

impl FromRow for AgentReport {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let version = row.optional_integer("reported_config_version")?;
        let bundle = row.optional_parsed("reported_trust_bundle")?;
        Ok(Self {
            config_version: version.map(|_some| row.number("reported_config_version")).transpose()?,
            trust_bundle: bundle
                .map(|sha256| {
                    Ok::<_, StoreError>(TrustBundleReport {
                        sha256,
                        at: row.time("reported_trust_bundle_at")?,
                    })
                })
                .transpose()?,
        })
    }
}

impl FromRow for AgentSettings {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let (heartbeat, metrics) = ("heartbeat_interval_seconds", "metrics_interval_seconds");
        let interval = |column, read: fn(i64) -> Result<Interval, _>| {
            let seconds: i64 = row.number(column)?;
            read(seconds).map_err(|_out_of_bounds| row.corrupt(column, &seconds.to_string()))
        };
        Ok(Self {
            heartbeat_interval: interval(heartbeat, Interval::heartbeat)?,
            metrics_interval: interval(metrics, Interval::metrics)?,
            version: row.number("agent_settings_version")?,
        })
    }
}

impl Writing<'_> {
    /// Writes down what a device's agent said of itself; `false` when there is no such device. The
    /// revision stays: this is no decision.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_report(
        &mut self,
        device: DeviceId,
        report: &AgentReport,
    ) -> Result<bool, StoreError> {
        sql(
            "devices",
            "UPDATE devices SET reported_config_version = $2, reported_trust_bundle = $3,
                 reported_trust_bundle_at = $4
             WHERE id = $1",
        )
        .bind(device)
        .bind(report.config_version)
        .bind(report.trust_bundle.map(|bundle| bundle.sha256))
        .bind(report.trust_bundle.map(|bundle| bundle.at))
        .changed(&mut self.connection)
        .await
    }

    /// Replaces how a tenant's agents are to behave; `false` when there is no such tenant.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn update_agent_settings(
        &mut self,
        tenant: TenantId,
        settings: &AgentSettings,
    ) -> Result<bool, StoreError> {
        sql(
            "tenants",
            "UPDATE tenants SET heartbeat_interval_seconds = $2, metrics_interval_seconds = $3,
                 agent_settings_version = $4
             WHERE id = $1",
        )
        .bind(tenant)
        .bind(settings.heartbeat_interval.seconds())
        .bind(settings.metrics_interval.seconds())
        .bind(settings.version)
        .changed(&mut self.connection)
        .await
    }
}
