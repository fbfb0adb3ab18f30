//! The life of a certificate: its state machine, the two-thirds rule and the revocation reasons.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::IdError;
use crate::time::Timestamp;

/// Where an issued certificate stands.
///
/// Invariant, tested: of one device at most one is active and at most one pending activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateState {
    /// Issued by a renewal; the device has not used or confirmed it yet.
    PendingActivation,
    /// The one the device uses.
    Active,
    /// Replaced by a newer one that the device has confirmed; open sessions may outlast it.
    Superseded,
    /// Never to be trusted again, and its key proves nothing.
    Revoked,
    /// Past its end.
    Expired,
}

/// What can happen to a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateEvent {
    /// The device has confirmed it, or used it for the first time.
    Activate,
    /// A newer one was confirmed.
    Supersede,
    /// It was revoked.
    Revoke,
    /// Its end has passed.
    Expire,
}

/// An event that the present state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a certificate that is {state} cannot go through {event:?}")]
pub struct IllegalCertificateEvent {
    /// The state it has and keeps.
    pub state: CertificateState,
    /// What was tried.
    pub event: CertificateEvent,
}

impl CertificateState {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::PendingActivation, Self::Active, Self::Superseded, Self::Revoked, Self::Expired];

    /// The state after `event`.
    ///
    /// # Errors
    /// Fails closed: revoked and expired are final.
    pub const fn apply(self, event: CertificateEvent) -> Result<Self, IllegalCertificateEvent> {
        use CertificateEvent as E;
        match (self, event) {
            (Self::PendingActivation, E::Activate) => Ok(Self::Active),
            (Self::Active, E::Supersede) => Ok(Self::Superseded),
            (Self::PendingActivation | Self::Active | Self::Superseded, E::Revoke) => Ok(Self::Revoked),
            (Self::PendingActivation | Self::Active | Self::Superseded, E::Expire) => Ok(Self::Expired),
            (state, event) => Err(IllegalCertificateEvent { state, event }),
        }
    }

    /// Whether the device could authenticate with it, its dates allowing.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::PendingActivation | Self::Active)
    }

    /// The API's spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PendingActivation => "pending_activation",
            Self::Active => "active",
            Self::Superseded => "superseded",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for CertificateState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CertificateState {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| IdError::new("certificate state", "one of the five states", text))
    }
}

/// From when until when a certificate counts: issuance (not the backdated notBefore) to notAfter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lifetime {
    /// When it was issued.
    pub issued_at: Timestamp,
    /// The last moment at which it is valid (RFC 5280 section 4.1.2.5: inclusive).
    pub expires_at: Timestamp,
}

impl Lifetime {
    /// `issued_at + (expires_at - issued_at) · 2/3`: from here on it should be renewed.
    #[must_use]
    pub fn renewal_due_at(self) -> Timestamp {
        let whole = self.expires_at.since(self.issued_at);
        self.issued_at + whole.saturating_mul(2) / 3
    }

    /// Whether it should be renewed by now; also true once it has expired.
    #[must_use]
    pub fn renewal_due(self, now: Timestamp) -> bool {
        now >= self.renewal_due_at()
    }

    /// When one of many that fall due together is to be renewed: within the first tenth of what is left of the life
    /// by then, at its own share of that in thousandths.
    #[must_use]
    pub fn renewal_turn(self, share: u16) -> Timestamp {
        let due = self.renewal_due_at();
        due + self.expires_at.since(due) * u32::from(share.min(1000)) / 10_000
    }

    /// Whether its end has passed.
    #[must_use]
    pub fn is_expired(self, now: Timestamp) -> bool {
        now > self.expires_at
    }
}

/// Whether the expiry written as `text` has passed. Fails closed: what cannot be read has expired.
#[must_use]
pub fn expiry_has_passed(text: &str, now: Timestamp) -> bool {
    Timestamp::parse(text).map_or(true, |expires_at| now > expires_at)
}

/// Why a certificate was revoked: RFC 5280 section 5.3.1 without the two reasons that can be
/// undone (certificateHold, removeFromCRL), since a revocation here is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RevocationReason {
    /// No reason given; written in CRLs by leaving the reason out.
    Unspecified,
    /// The private key is known or suspected to be in other hands.
    KeyCompromise,
    /// The issuer's key is.
    CaCompromise,
    /// The device belongs to someone else now.
    AffiliationChanged,
    /// A newer certificate took its place.
    Superseded,
    /// The device was decommissioned.
    CessationOfOperation,
    /// The device was denied.
    PrivilegeWithdrawn,
}

impl RevocationReason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
    ];

    /// The CRLReason number (RFC 5280 section 5.3.1).
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::CaCompromise => 2,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::PrivilegeWithdrawn => 9,
        }
    }

    /// The RFC's spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "caCompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
        }
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RevocationReason {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        const RULE: &str = "unspecified, keyCompromise, caCompromise, affiliationChanged, superseded, \
                            cessationOfOperation or privilegeWithdrawn";
        Self::ALL
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| IdError::new("revocation reason", RULE, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;
    use std::time::Duration;

    const EVENTS: [CertificateEvent; 4] = [
        CertificateEvent::Activate,
        CertificateEvent::Supersede,
        CertificateEvent::Revoke,
        CertificateEvent::Expire,
    ];
    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_ninety_day_certificate_is_renewed_from_day_sixty_on() {
        let issued_at = Timestamp::parse("2026-02-11T00:00:00Z").unwrap();
        let lifetime = Lifetime { issued_at, expires_at: issued_at + DAY * 90 };
        assert!(!lifetime.renewal_due(issued_at + DAY * 60 - Duration::from_millis(1)));
        assert!(lifetime.renewal_due(issued_at + DAY * 60));
        assert!(!lifetime.is_expired(issued_at + DAY * 90));
        assert!(lifetime.is_expired(issued_at + DAY * 90 + Duration::from_millis(1)));
    }

    #[test]
    fn fails_closed_on_an_expiry_that_cannot_be_read() {
        let now = Timestamp::from_secs(0);
        for text in ["", "soon", "9999-99-99", "4000000000"] {
            assert!(expiry_has_passed(text, now), "{text}");
        }
        assert!(!expiry_has_passed("2026-05-12T00:00:00Z", now));
    }

    proptest! {
        #[test]
        fn final_states_are_final(
            events in prop::collection::vec(select(EVENTS.to_vec()), 0..20),
        ) {
            let mut state = CertificateState::PendingActivation;
            for event in events {
                let before = state;
                state = state.apply(event).unwrap_or(state);
                if matches!(before, CertificateState::Revoked | CertificateState::Expired) {
                    prop_assert_eq!(before, state);
                }
                // What has left use never returns to it.
                prop_assert!(before.is_usable() || !state.is_usable());
            }
        }

        #[test]
        fn renewal_is_due_within_the_life_and_before_expiry(start in 0_i64..4_000_000_000, days in 1_u32..=365) {
            let issued_at = Timestamp::from_secs(start);
            let lifetime = Lifetime { issued_at, expires_at: issued_at + DAY * days };
            let due = lifetime.renewal_due_at();
            prop_assert!(issued_at < due && due < lifetime.expires_at);
            prop_assert_eq!(due.since(issued_at) * 3, DAY * days * 2);
            prop_assert!(lifetime.renewal_due(lifetime.expires_at));
        }

        #[test]
        fn a_lifetime_turned_round_is_due_and_expired(start in 1_i64..4_000_000_000) {
            let lifetime = Lifetime {
                issued_at: Timestamp::from_secs(start), expires_at: Timestamp::from_secs(start - 1) };
            prop_assert!(lifetime.renewal_due(Timestamp::from_secs(start)));
            prop_assert!(lifetime.is_expired(Timestamp::from_secs(start)));
        }
    }
}
