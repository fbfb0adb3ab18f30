//! What a tenant may choose about its certificates.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::IdError;

/// Whether a device needs a certificate to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    /// Not needed.
    Off,
    /// Not needed; what would be blocked is recorded.
    #[default]
    Observe,
    /// Needed: without one the answer is 403 `MTLS_REQUIRED`.
    Enforce,
}

/// What happens when an expired certificate asks for a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum ExpiredCertPolicy {
    /// A new one, against proof of possession, within the recovery window.
    #[default]
    AutoReissue,
    /// Quarantine until an admin decides.
    Quarantine,
}

macro_rules! spelled {
    ($name:ident, $what:literal, $($variant:ident => $text:literal),+) => {
        impl $name {
            /// The wire spelling.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(IdError::new($what, concat!("one of:", $(" ", $text),+), text)),
                }
            }
        }
    };
}

spelled!(Enforcement, "enforcement", Off => "off", Observe => "observe", Enforce => "enforce");
spelled!(ExpiredCertPolicy, "expired-certificate policy",
    AutoReissue => "auto_reissue", Quarantine => "quarantine");

/// Whether something that weakens security is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Permission {
    /// It is not.
    #[default]
    Refused,
    /// It is, because someone said so.
    Allowed,
}

impl From<bool> for Permission {
    fn from(allowed: bool) -> Self {
        if allowed { Self::Allowed } else { Self::Refused }
    }
}

impl From<Permission> for bool {
    fn from(permission: Permission) -> Self {
        permission == Permission::Allowed
    }
}

/// A number of days between 1 and 365.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Days(u16);

impl Days {
    /// # Errors
    /// Refuses what is not between 1 and 365.
    pub fn new(days: i64) -> Result<Self, IdError> {
        match u16::try_from(days) {
            Ok(days @ 1..=365) => Ok(Self(days)),
            _ => Err(IdError::new("number of days", "1 to 365", &days.to_string())),
        }
    }

    /// The number.
    #[must_use]
    pub const fn count(self) -> u16 {
        self.0
    }

    /// As a length of time.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64 * 86_400)
    }
}

/// How long sessions of a replaced certificate may go on: 0 to 720 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OverlapHours(u16);

impl OverlapHours {
    /// # Errors
    /// Refuses what is not between 0 and 720.
    pub fn new(hours: i64) -> Result<Self, IdError> {
        match u16::try_from(hours) {
            Ok(hours @ 0..=720) => Ok(Self(hours)),
            _ => Err(IdError::new("number of hours", "0 to 720", &hours.to_string())),
        }
    }

    /// The number.
    #[must_use]
    pub const fn count(self) -> u16 {
        self.0
    }

    /// As a length of time.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64 * 3600)
    }
}

/// A tenant's certificate settings, the seeds' org-level mTLS settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MtlsSettings {
    /// How long a device certificate lives.
    pub cert_lifetime_days: Days,
    /// What happens to an expired one.
    pub expired_cert_policy: ExpiredCertPolicy,
    /// Whether one is needed.
    pub enforcement: Enforcement,
    /// Whether the server may make the key of a device that sends no CSR.
    pub allow_server_generated_keys: Permission,
    /// Whether the seed's renewal by bearer token alone is accepted.
    pub allow_bearer_only_renewal: Permission,
    /// How long open sessions of a superseded certificate may go on.
    pub renewal_overlap_hours: OverlapHours,
    /// How long after expiry `auto_reissue` still works; `None`: as long as a certificate lives.
    pub recovery_window_days: Option<Days>,
}

impl MtlsSettings {
    /// How long after expiry `auto_reissue` still works.
    #[must_use]
    pub fn recovery_window(&self) -> Duration {
        self.recovery_window_days.unwrap_or(self.cert_lifetime_days).duration()
    }
}

impl Default for MtlsSettings {
    fn default() -> Self {
        Self {
            cert_lifetime_days: Days(90),
            expired_cert_policy: ExpiredCertPolicy::default(),
            enforcement: Enforcement::default(),
            allow_server_generated_keys: Permission::Refused,
            allow_bearer_only_renewal: Permission::Refused,
            renewal_overlap_hours: OverlapHours(24),
            recovery_window_days: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_hours_keep_their_bounds() {
        assert!(Days::new(1).is_ok() && Days::new(365).is_ok());
        for bad in [i64::MIN, -1, 0, 366, 65_537 + 10, i64::MAX] {
            assert!(Days::new(bad).is_err(), "{bad}");
        }
        assert!(OverlapHours::new(0).is_ok() && OverlapHours::new(721).is_err());
    }

    #[test]
    fn the_recovery_window_follows_the_lifetime_until_set() {
        let mut settings = MtlsSettings { cert_lifetime_days: Days(30), ..MtlsSettings::default() };
        assert_eq!(settings.recovery_window(), Duration::from_secs(30 * 86_400));
        settings.recovery_window_days = Some(Days(7));
        assert_eq!(settings.recovery_window(), Duration::from_secs(7 * 86_400));
    }
}
