//! The kinds of causes that somebody must see to.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// What kind of cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertKind {
    /// A CA ends within 30 days, or has.
    CaExpiring,
    /// A watched certificate ends soon, or has.
    CertificateExpiring,
    /// A watched certificate is another one than it should be.
    CertificateChanged,
    /// A watched certificate cannot be looked at.
    CertificateUnreachable,
    /// The certificate of a service, issued here, ends within a week.
    ServiceExpiring,
    /// Devices have not renewed certificates that end within a week.
    RenewalOverdue,
    /// Devices wait for a decision.
    Quarantine,
    /// An edge cannot be reached.
    EdgeSilent,
    /// A revocation list is over, or its key is needed.
    CrlDue,
    /// The audit is not as it was written.
    AuditBroken,
    /// A copy of the audit does not arrive.
    AuditLate,
    /// A code is refused far more often than before.
    RefusedSpike,
    /// Many enrolments with keys that do not work.
    EnrollmentAbuse,
    /// A device is heard of from a network that it was not in before.
    DeviceNewNetwork,
    /// A device is heard of from two networks at once.
    DeviceTwoPlaces,
    /// Nothing: somebody tries whether alerts arrive.
    Test,
}

impl AlertKind {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::CaExpiring,
        Self::CertificateExpiring,
        Self::CertificateChanged,
        Self::CertificateUnreachable,
        Self::ServiceExpiring,
        Self::RenewalOverdue,
        Self::Quarantine,
        Self::EdgeSilent,
        Self::CrlDue,
        Self::AuditBroken,
        Self::AuditLate,
        Self::RefusedSpike,
        Self::EnrollmentAbuse,
        Self::DeviceNewNetwork,
        Self::DeviceTwoPlaces,
        Self::Test,
    ];

    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CaExpiring => "ca_expiring",
            Self::CertificateExpiring => "certificate_expiring",
            Self::CertificateChanged => "certificate_changed",
            Self::CertificateUnreachable => "certificate_unreachable",
            Self::ServiceExpiring => "service_expiring",
            Self::RenewalOverdue => "renewal_overdue",
            Self::Quarantine => "quarantine",
            Self::EdgeSilent => "edge_silent",
            Self::CrlDue => "crl_due",
            Self::AuditBroken => "audit_broken",
            Self::AuditLate => "audit_late",
            Self::RefusedSpike => "refused_spike",
            Self::EnrollmentAbuse => "enrollment_abuse",
            Self::DeviceNewNetwork => "device_new_network",
            Self::DeviceTwoPlaces => "device_two_places",
            Self::Test => "test",
        }
    }

    /// Whether not every authority sees the cause at once: then its alert ends when none has seen it for a while.
    /// Any other cause is in the database, where every authority sees that it is gone.
    pub(super) const fn is_seen_by_one(self) -> bool {
        match self {
            Self::ServiceExpiring
            | Self::RenewalOverdue
            | Self::RefusedSpike
            | Self::EnrollmentAbuse
            | Self::CrlDue
            | Self::AuditBroken
            | Self::DeviceTwoPlaces
            | Self::Test => true,
            Self::CaExpiring
            | Self::DeviceNewNetwork
            | Self::CertificateExpiring
            | Self::CertificateChanged
            | Self::CertificateUnreachable
            | Self::Quarantine
            | Self::EdgeSilent
            | Self::AuditLate => false,
        }
    }
}

impl fmt::Display for AlertKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no [`AlertKind`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a kind of alert: {0:?}")]
pub struct UnknownAlertKind(String);

impl FromStr for AlertKind {
    type Err = UnknownAlertKind;

    fn from_str(text: &str) -> Result<Self, UnknownAlertKind> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        known.ok_or_else(|| UnknownAlertKind(text.chars().take(80).collect()))
    }
}
