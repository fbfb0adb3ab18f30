//! The one admission decision, taken at every request: what the peer showed, under this snapshot,
//! for this place, now.

use countersign_core::access::{Access, Holder, Place, Refusal, Shown, decide};
use countersign_core::settings::Enforcement;
use countersign_core::snapshot::{CertificateClaim, Standing, TrustSnapshot};
use countersign_core::time::Timestamp;
use countersign_tls::Peer;

/// Whether the safety floor holds: that a presented identity which fell from good standing is
/// refused whatever the route and the rules say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Floor {
    /// It does.
    Kept,
    /// It does not: a path that its operator marked `renewal`, where whoever is behind it decides.
    Waived,
}

/// What a place asks of whoever wants to reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// What kind of place it is.
    pub place: Place,
    /// What happens when no identity is shown.
    pub mode: Enforcement,
    /// Whether the safety floor holds there.
    pub floor: Floor,
}

impl Requirement {
    /// What the control plane's routes ask at the door: the mode of the tenant, and whose
    /// certificate it is, are for the control plane to judge, which knows whom a request is about.
    #[must_use]
    pub const fn control_plane(place: Place) -> Self {
        Self { place, mode: Enforcement::Off, floor: Floor::Kept }
    }

    /// What an operator's upstream asks.
    #[must_use]
    pub const fn upstream(mode: Enforcement, floor: Floor) -> Self {
        Self { place: Place::Upstream, mode, floor }
    }
}

/// Evidence that a request was let in: only [`admit`] makes one, and only it can be forwarded.
#[derive(Clone, Debug)]
pub struct Admitted {
    peer: Peer,
    shown: Shown,
    floor: Floor,
    observed: Option<Refusal>,
}

impl Admitted {
    /// The other side of the handshake.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The device, if one is in good standing.
    #[must_use]
    pub fn device(&self) -> Option<&CertificateClaim> {
        match self.standing() {
            Some(Standing::Valid | Standing::Pending) => self.peer.claim(),
            _ => None,
        }
    }

    /// The certificate that identity headers may speak of: that of a device in good standing, and
    /// behind a `renewal` path any that a device CA of ours vouches for, whose status whoever is
    /// behind it judges.
    #[must_use]
    pub fn certificate(&self) -> Option<&CertificateClaim> {
        match (self.floor, self.standing()) {
            (_, None | Some(Standing::Foreign)) => None,
            (Floor::Waived, Some(_)) => self.peer.claim(),
            (Floor::Kept, Some(_)) => self.device(),
        }
    }

    /// The verdict on the certificate, if a device's was shown.
    #[must_use]
    pub const fn standing(&self) -> Option<Standing> {
        standing_of(self.shown)
    }

    /// What `enforce` would have refused with, where the mode is `observe`.
    #[must_use]
    pub const fn observed(&self) -> Option<Refusal> {
        self.observed
    }
}

/// A request that was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The verdict on the certificate, if a device's was shown.
    pub standing: Option<Standing>,
}

/// Decides whether `peer` may reach a place with this `requirement`.
///
/// Fails closed: see [`decide`]; a waived floor lets through what would be refused, and nothing that
/// was refused counts as a device.
///
/// # Errors
/// The refusal, by the contract's table.
pub fn admit(
    peer: &Peer,
    snapshot: &TrustSnapshot,
    requirement: &Requirement,
    now: Timestamp,
) -> Result<Admitted, Refused> {
    let shown = peer.shown(snapshot, Holder::Own, now);
    let observed = judge(shown, requirement)?;
    Ok(Admitted { peer: peer.clone(), shown, floor: requirement.floor, observed })
}

fn judge(shown: Shown, requirement: &Requirement) -> Result<Option<Refusal>, Refused> {
    match decide(requirement.place, shown, requirement.mode) {
        Access::Granted | Access::ProofNeeded => Ok(None),
        Access::GrantedUnderObservation(refusal) => Ok(Some(refusal)),
        Access::Refused(refusal) => match requirement.floor {
            Floor::Waived => Ok(None),
            Floor::Kept => Err(Refused { refusal, standing: standing_of(shown) }),
        },
    }
}

const fn standing_of(shown: Shown) -> Option<Standing> {
    match shown {
        Shown::Device(_, standing) => Some(standing),
        Shown::Nothing | Shown::Untrusted => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: [Standing; 8] = [
        Standing::Superseded,
        Standing::Expired,
        Standing::NotYetValid,
        Standing::Revoked,
        Standing::Quarantined,
        Standing::Decommissioned,
        Standing::TenantSuspended,
        Standing::Unproved,
    ];

    fn device(standing: Standing) -> Shown {
        Shown::Device(Holder::Own, standing)
    }

    #[test]
    fn fails_closed_on_every_fallen_standing_in_every_mode() {
        for mode in [Enforcement::Off, Enforcement::Observe, Enforcement::Enforce] {
            for standing in BAD {
                let refused = judge(device(standing), &Requirement::upstream(mode, Floor::Kept));
                assert_eq!(refused.unwrap_err().standing, Some(standing));
            }
        }
    }

    #[test]
    fn a_waived_floor_lets_everyone_through() {
        let waived = Requirement::upstream(Enforcement::Enforce, Floor::Waived);
        for shown in BAD.map(device).into_iter().chain([Shown::Nothing, Shown::Untrusted]) {
            assert_eq!(judge(shown, &waived), Ok(None));
        }
    }

    #[test]
    fn the_control_planes_routes_leave_the_mode_to_it() {
        let agent = Requirement::control_plane(Place::Agent);
        assert_eq!(judge(Shown::Nothing, &agent), Ok(None));
        assert_eq!(judge(Shown::Untrusted, &agent), Ok(None));
        assert!(judge(device(Standing::Revoked), &agent).is_err());
        let renew = Requirement::control_plane(Place::Renew);
        assert_eq!(judge(device(Standing::Expired), &renew), Ok(None));
        assert!(judge(device(Standing::Quarantined), &renew).is_err());
    }

    #[test]
    fn observation_says_what_enforcement_would_refuse() {
        let observe = Requirement::upstream(Enforcement::Observe, Floor::Kept);
        assert_eq!(judge(Shown::Nothing, &observe), Ok(Some(Refusal::MtlsRequired)));
    }
}
