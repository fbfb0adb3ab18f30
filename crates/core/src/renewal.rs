//! Whether a device that asks for a new certificate gets one: the seeds' policy as a pure function.

use std::time::Duration;

use crate::certificate::Lifetime;
use crate::device::DeviceStatus;
use crate::settings::{ExpiredCertPolicy, MtlsSettings};
use crate::time::Timestamp;

/// How long an admin's approval waits to be used.
pub const GRANT_LIFE: Duration = Duration::from_secs(24 * 3600);

/// How long a renewed certificate waits to be confirmed.
pub const CONFIRM_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// What is known when a device has proved its key and asks for a certificate.
#[derive(Clone, Copy, Debug)]
pub struct RenewalFacts {
    /// The device's status.
    pub status: DeviceStatus,
    /// The life of the certificate whose key was proved; `None` when the proved key never had one
    /// (the key kept from an enrolment during a CA outage).
    pub current: Option<Lifetime>,
    /// Until when an approval is open, if one is.
    pub grant_until: Option<Timestamp>,
}

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalDecision {
    /// Issue.
    Issue,
    /// Issue, and the approval is used up once the new certificate is confirmed.
    IssueUnderGrant,
    /// Quarantine the device: its certificate expired.
    Quarantine,
    /// Refuse: the device is quarantined already.
    Quarantined,
    /// Refuse: the device is decommissioned.
    Decommissioned,
}

/// Decides; see the state machines of the control-API contract.
#[must_use]
pub fn decide(facts: RenewalFacts, settings: &MtlsSettings, now: Timestamp) -> RenewalDecision {
    match facts.status {
        DeviceStatus::Decommissioned => return RenewalDecision::Decommissioned,
        DeviceStatus::Quarantined => return RenewalDecision::Quarantined,
        DeviceStatus::Pending | DeviceStatus::Online | DeviceStatus::Offline | DeviceStatus::Maintenance => {}
    }
    if facts.grant_until.is_some_and(|until| now <= until) {
        return RenewalDecision::IssueUnderGrant;
    }
    match facts.current {
        Some(current) if current.is_expired(now) => {
            let recoverable = settings.expired_cert_policy == ExpiredCertPolicy::AutoReissue
                && now <= current.expires_at + settings.recovery_window();
            if recoverable { RenewalDecision::Issue } else { RenewalDecision::Quarantine }
        }
        Some(_) | None => RenewalDecision::Issue,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Days;
    use proptest::prelude::*;
    use proptest::sample::select;

    fn settings(policy: ExpiredCertPolicy) -> MtlsSettings {
        MtlsSettings {
            expired_cert_policy: policy,
            recovery_window_days: Some(Days::new(10).unwrap()),
            ..MtlsSettings::default()
        }
    }

    fn expired_at(secs: i64) -> Option<Lifetime> {
        Some(Lifetime { issued_at: Timestamp::from_secs(0), expires_at: Timestamp::from_secs(secs) })
    }

    proptest! {
        #[test]
        fn an_expired_certificate_under_quarantine_policy_never_renews_by_itself(
            status in select(DeviceStatus::ALL.to_vec()), late in 1_i64..10_000_000,
        ) {
            let facts = RenewalFacts { status, current: expired_at(100), grant_until: None };
            let now = Timestamp::from_secs(100 + late);
            let decision = decide(facts, &settings(ExpiredCertPolicy::Quarantine), now);
            prop_assert!(!matches!(decision, RenewalDecision::Issue | RenewalDecision::IssueUnderGrant));
        }

        #[test]
        fn barred_devices_never_renew(
            status in select(vec![DeviceStatus::Quarantined, DeviceStatus::Decommissioned]),
            grant in prop::option::of(0_i64..1000),
        ) {
            let facts = RenewalFacts {
                status, current: None, grant_until: grant.map(Timestamp::from_secs) };
            let decision = decide(facts, &MtlsSettings::default(), Timestamp::from_secs(1));
            prop_assert!(!matches!(decision, RenewalDecision::Issue | RenewalDecision::IssueUnderGrant));
        }

        #[test]
        fn auto_reissue_ends_with_the_recovery_window(late in 1_i64..3_000_000) {
            let facts = RenewalFacts {
                status: DeviceStatus::Offline, current: expired_at(0), grant_until: None };
            let decision = decide(
                facts, &settings(ExpiredCertPolicy::AutoReissue), Timestamp::from_secs(late));
            let expected = if late <= 864_000 { RenewalDecision::Issue } else { RenewalDecision::Quarantine };
            prop_assert_eq!(decision, expected);
        }
    }
}
