//! The life of a device, as a state machine.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::ids::IdError;

/// Where a device stands. The spelling is that of the seed's `device_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceStatus {
    /// Enrolled, not heard of since.
    Pending,
    /// Heartbeats arrive.
    Online,
    /// Heartbeats have stopped, or the device was approved and has not come back yet.
    Offline,
    /// Set aside by an admin; heartbeats do not change it.
    Maintenance,
    /// Refused everywhere until an admin approves or denies it.
    Quarantined,
    /// Final.
    Decommissioned,
}

/// What can happen to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceEvent {
    /// A heartbeat was admitted.
    Seen,
    /// Heartbeats have stopped.
    Missed,
    /// An admin sets it aside.
    EnterMaintenance,
    /// An admin takes it back.
    LeaveMaintenance,
    /// Expiry under policy, an admin, a revocation that leaves no usable certificate, or a new
    /// device that awaits approval.
    Quarantine,
    /// An admin lets it back in.
    Approve,
    /// An admin refuses it for good, key included.
    Deny,
    /// An admin retires it.
    Decommission,
}

/// An event that the present status does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a device that is {status} cannot go through {event:?}")]
pub struct IllegalDeviceEvent {
    /// The status it has and keeps.
    pub status: DeviceStatus,
    /// What was tried.
    pub event: DeviceEvent,
}

impl DeviceStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Online,
        Self::Offline,
        Self::Maintenance,
        Self::Quarantined,
        Self::Decommissioned,
    ];

    /// The status after `event`.
    ///
    /// # Errors
    /// Fails closed: decommissioned is final, and nothing but an approval, a denial or a
    /// decommission leads out of quarantine; heartbeats never do.
    pub const fn apply(self, event: DeviceEvent) -> Result<Self, IllegalDeviceEvent> {
        use DeviceEvent as E;
        let illegal = Err(IllegalDeviceEvent { status: self, event });
        match (self, event) {
            (Self::Decommissioned, _) => illegal,
            (_, E::Deny | E::Decommission) => Ok(Self::Decommissioned),
            (Self::Quarantined, E::Approve) => Ok(Self::Offline),
            (Self::Quarantined, _) => illegal,
            (_, E::Approve) => illegal,
            (_, E::Quarantine) => Ok(Self::Quarantined),
            (Self::Maintenance, E::Seen | E::Missed) => Ok(Self::Maintenance),
            (_, E::Seen) => Ok(Self::Online),
            (Self::Online | Self::Offline, E::Missed) => Ok(Self::Offline),
            (Self::Pending, E::Missed) => Ok(Self::Pending),
            (_, E::EnterMaintenance) => Ok(Self::Maintenance),
            (Self::Maintenance, E::LeaveMaintenance) => Ok(Self::Offline),
            (_, E::LeaveMaintenance) => illegal,
        }
    }

    /// Whether a device with this status may be served at all.
    #[must_use]
    pub const fn is_barred(self) -> bool {
        matches!(self, Self::Quarantined | Self::Decommissioned)
    }

    /// The seed's spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Maintenance => "maintenance",
            Self::Quarantined => "quarantined",
            Self::Decommissioned => "decommissioned",
        }
    }
}

impl fmt::Display for DeviceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DeviceStatus {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| IdError::new("device status", "one of the six statuses", text))
    }
}

/// Why a device is in quarantine: one of the platform's own reasons, or an admin's words. 1 to 255
/// printable characters, as wide as the seed's column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QuarantineReason(String);

impl QuarantineReason {
    /// Its certificate expired under the policy `quarantine`, or too long ago to be re-issued.
    pub const EXPIRED: &'static str = "mtls_cert_expired";
    /// A revocation left it without a usable certificate.
    pub const REVOKED: &'static str = "mtls_cert_revoked";
    /// It enrolled with a key whose devices need approval.
    pub const AWAITING_APPROVAL: &'static str = "awaiting_approval";
    /// Its host name or hardware serial is that of a device that was denied.
    pub const RESEMBLES_DENIED: &'static str = "resembles_denied_device";
    /// It was restored from a backup, and whether it was revoked since is not known.
    pub const RESTORED: &'static str = "restored_from_backup";
    /// It was approved and did not come back in time.
    pub const APPROVAL_UNUSED: &'static str = "approval_unused";

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// One of the platform's own reasons, by its constant.
    #[must_use]
    pub fn known(reason: &'static str) -> Self {
        Self(reason.to_owned())
    }
}

impl FromStr for QuarantineReason {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let trimmed = text.trim();
        if (1..=255).contains(&trimmed.chars().count()) && !trimmed.chars().any(char::is_control) {
            Ok(Self(trimmed.to_owned()))
        } else {
            Err(IdError::new("quarantine reason", "1 to 255 printable characters", text))
        }
    }
}

impl fmt::Display for QuarantineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for QuarantineReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for QuarantineReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;

    const EVENTS: [DeviceEvent; 8] = [
        DeviceEvent::Seen,
        DeviceEvent::Missed,
        DeviceEvent::EnterMaintenance,
        DeviceEvent::LeaveMaintenance,
        DeviceEvent::Quarantine,
        DeviceEvent::Approve,
        DeviceEvent::Deny,
        DeviceEvent::Decommission,
    ];

    #[test]
    fn every_status_reads_back() {
        for status in DeviceStatus::ALL {
            assert_eq!(status.as_str().parse::<DeviceStatus>().unwrap(), status);
        }
        assert!("ONLINE".parse::<DeviceStatus>().is_err());
    }

    proptest! {
        #[test]
        fn no_history_leads_out_of_decommissioned(
            events in prop::collection::vec(select(EVENTS.to_vec()), 0..40),
        ) {
            let mut status = DeviceStatus::Pending;
            let mut was_final = false;
            for event in events {
                status = status.apply(event).unwrap_or(status);
                prop_assert!(!was_final || status == DeviceStatus::Decommissioned);
                was_final |= status == DeviceStatus::Decommissioned;
            }
        }

        #[test]
        fn only_a_decision_leads_out_of_quarantine(
            events in prop::collection::vec(select(EVENTS.to_vec()), 1..40),
        ) {
            let mut status = DeviceStatus::Quarantined;
            for event in events {
                let next = status.apply(event).unwrap_or(status);
                if status == DeviceStatus::Quarantined && next != status {
                    prop_assert!(matches!(
                        event, DeviceEvent::Approve | DeviceEvent::Deny | DeviceEvent::Decommission));
                }
                status = next;
            }
        }

        #[test]
        fn approve_works_on_quarantined_devices_alone(status in select(DeviceStatus::ALL.to_vec())) {
            prop_assert_eq!(
                status.apply(DeviceEvent::Approve).is_ok(), status == DeviceStatus::Quarantined);
        }
    }
}
