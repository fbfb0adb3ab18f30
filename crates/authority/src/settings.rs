//! A tenant's certificate settings.

use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_core::settings::{
    Days, Enforcement, ExpiredCertPolicy, MtlsSettings, OverlapHours, Permission,
};
use countersign_store::StoreError;
use thiserror::Error;

use crate::authority::Authority;
use crate::authorized::{Administer, Authorized};
use crate::tenants::TenantError;

/// What a change names; everything else stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct SettingsChange {
    /// How long a device certificate lives.
    pub cert_lifetime_days: Option<Days>,
    /// What happens to an expired one.
    pub expired_cert_policy: Option<ExpiredCertPolicy>,
    /// Whether one is needed.
    pub enforcement: Option<Enforcement>,
    /// Whether the server may make device keys.
    pub allow_server_generated_keys: Option<Permission>,
    /// Whether renewal by bearer token alone is accepted.
    pub allow_bearer_only_renewal: Option<Permission>,
    /// How long sessions of a superseded certificate may go on.
    pub renewal_overlap_hours: Option<OverlapHours>,
    /// How long after expiry `auto_reissue` works; the inner `None`: as long as a certificate lives.
    pub recovery_window_days: Option<Option<Days>>,
}

/// Which settings somebody has seen: another text whenever one of them is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsTag(String);

impl SettingsTag {
    /// The tag of these settings.
    #[must_use]
    pub fn of(settings: &MtlsSettings) -> Self {
        Self(texts(settings).map(|(_, text)| text).join("."))
    }

    /// A tag that somebody brings back; any text, since it is only compared.
    #[must_use]
    pub fn seen(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// When a change is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// In any case.
    None,
    /// Only while the settings are those of one of these tags.
    Unchanged(Vec<SettingsTag>),
}

impl Precondition {
    fn holds(&self, settings: &MtlsSettings) -> bool {
        match self {
            Self::None => true,
            Self::Unchanged(seen) => seen.contains(&SettingsTag::of(settings)),
        }
    }
}

/// Settings were not changed.
#[derive(Debug, Error)]
pub enum ChangeSettingsError {
    /// The tenant was not found, or may not be decided about.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// Somebody else changed them meanwhile.
    #[error("the settings are not those that were seen")]
    Changed,
    /// The store failed.
    #[error("cannot change the settings")]
    Store(#[from] StoreError),
}

impl SettingsChange {
    fn applied_to(self, old: MtlsSettings) -> MtlsSettings {
        MtlsSettings {
            cert_lifetime_days: self.cert_lifetime_days.unwrap_or(old.cert_lifetime_days),
            expired_cert_policy: self.expired_cert_policy.unwrap_or(old.expired_cert_policy),
            enforcement: self.enforcement.unwrap_or(old.enforcement),
            allow_server_generated_keys: self
                .allow_server_generated_keys
                .unwrap_or(old.allow_server_generated_keys),
            allow_bearer_only_renewal: self
                .allow_bearer_only_renewal
                .unwrap_or(old.allow_bearer_only_renewal),
            renewal_overlap_hours: self.renewal_overlap_hours.unwrap_or(old.renewal_overlap_hours),
            recovery_window_days: self.recovery_window_days.unwrap_or(old.recovery_window_days),
        }
    }
}

impl Authority {
    /// Changes what `change` names, and tells the doors.
    ///
    /// # Errors
    /// See [`ChangeSettingsError`].
    pub async fn change_settings(
        &self,
        by: &Authorized<Administer>,
        slug_or_id: &str,
        change: SettingsChange,
        only_if: Precondition,
    ) -> Result<MtlsSettings, ChangeSettingsError> {
        let tenant = self.find_tenant(by, slug_or_id).await?;
        let (id, now, actor) = (tenant.id, self.now(), by.actor());
        let settings = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let row = w.tenant_by_id(id).await?.ok_or(TenantError::Unknown)?;
                    if !only_if.holds(&row.settings) {
                        return Err(ChangeSettingsError::Changed);
                    }
                    let settings = change.applied_to(row.settings);
                    if settings != row.settings {
                        w.update_settings(id, &settings).await?;
                        w.tenant_trust_changed(id).await?;
                        let entry = AuditEntry::new(Some(row.slug), now, AuditEvent::SettingsChanged, actor);
                        w.append_audit(&with_differences(entry, row.settings, settings)).await?;
                    }
                    Ok(settings)
                })
            })
            .await?;
        self.publish_changes().await?;
        Ok(settings)
    }
}

/// Every setting by its wire name; a recovery window of none follows the lifetime.
fn texts(settings: &MtlsSettings) -> [(&'static str, String); 7] {
    let recovery_window = match settings.recovery_window_days {
        Some(days) => days.count().to_string(),
        None => "lifetime".to_owned(),
    };
    [
        ("certLifetimeDays", settings.cert_lifetime_days.count().to_string()),
        ("expiredCertPolicy", settings.expired_cert_policy.to_string()),
        ("enforcement", settings.enforcement.to_string()),
        ("allowServerGeneratedKeys", bool::from(settings.allow_server_generated_keys).to_string()),
        ("allowBearerOnlyRenewal", bool::from(settings.allow_bearer_only_renewal).to_string()),
        ("renewalOverlapHours", settings.renewal_overlap_hours.count().to_string()),
        ("recoveryWindowDays", recovery_window),
    ]
}

fn with_differences(entry: AuditEntry, old: MtlsSettings, new: MtlsSettings) -> AuditEntry {
    texts(&old)
        .into_iter()
        .zip(texts(&new))
        .filter(|(before, after)| before != after)
        .fold(entry, |entry, ((name, before), (_, after))| entry.detail(name, format!("{before} -> {after}")))
}

impl From<TenantError> for crate::enrollment_keys::CreateKeyError {
    fn from(error: TenantError) -> Self {
        match error {
            TenantError::Unknown => Self::UnknownTenant,
            TenantError::Forbidden(forbidden) => Self::Forbidden(forbidden),
            TenantError::Store(error) => Self::Store(error),
        }
    }
}
