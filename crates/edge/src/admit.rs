//! The one admission decision, taken at every request: what the peer showed, under this snapshot,
//! for this place, now.

use std::sync::Arc;

use countersign_core::access::{Access, Holder, Place, Refusal, Shown, decide};
use countersign_core::guest::GuestClaim;
use countersign_core::settings::Enforcement;
use countersign_core::snapshot::{CertificateClaim, Standing, TrustSnapshot};
use countersign_core::time::Timestamp;
use countersign_tls::{Peer, UntrustedReason};

use crate::audience::{Audience, Seen};

/// Whether the safety floor holds: that a presented identity which fell from good standing is
/// refused whatever the route and the rules say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Floor {
    /// It does.
    Kept,
    /// It does not: a path that its operator marked `renewal`, where whoever is behind it decides.
    Waived,
    /// It does not, where no identity is required: the rules alone decide, as at Cloudflare.
    DangerLeftToRules,
}

/// What a place asks of whoever wants to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// What kind of place it is.
    pub place: Place,
    /// What happens when no identity is shown.
    pub mode: Enforcement,
    /// Whether the safety floor holds there.
    pub floor: Floor,
    /// Whom it admits; `None`: every device, and nobody else.
    pub audience: Option<Arc<Audience>>,
}

impl Requirement {
    /// What the control plane's routes ask at the door: the mode of the tenant, and whose
    /// certificate it is, are for the control plane to judge, which knows whom a request is about.
    #[must_use]
    pub const fn control_plane(place: Place) -> Self {
        Self { place, mode: Enforcement::Off, floor: Floor::Kept, audience: None }
    }

    /// What an operator's upstream asks.
    #[must_use]
    pub const fn upstream(mode: Enforcement, floor: Floor) -> Self {
        Self { place: Place::Upstream, mode, floor, audience: None }
    }

    /// The same for other than just every device.
    #[must_use]
    pub fn admitting(self, audience: Option<Arc<Audience>>) -> Self {
        Self { audience, ..self }
    }

    /// The same with the rules in the place of the floor. The control plane's routes keep it.
    #[must_use]
    pub fn danger_left_to_rules(self) -> Self {
        match (self.place, self.floor) {
            (Place::Upstream, Floor::Kept) => Self { floor: Floor::DangerLeftToRules, ..self },
            _ => self,
        }
    }
}

/// Evidence that a request was let in: only [`admit`] makes one, and only it can be forwarded.
#[derive(Clone, Debug)]
pub struct Admitted {
    peer: Peer,
    standing: Option<Standing>,
    guest: Option<Arc<GuestClaim>>,
    /// What a token says that was shown in the place of a certificate.
    token: Option<CertificateClaim>,
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
        match self.standing {
            Some(Standing::Valid | Standing::Pending) => self.token.as_ref().or(self.peer.claim()),
            _ => None,
        }
    }

    /// The guest, if it is one whom the place admits. It is no device, whatever its certificate says.
    #[must_use]
    pub const fn guest(&self) -> Option<&Arc<GuestClaim>> {
        self.guest.as_ref()
    }

    /// The device's certificate that identity headers may speak of: one in good standing, and behind a
    /// `renewal` path any that a device CA of ours vouches for, whose status whoever is behind it judges.
    #[must_use]
    pub fn certificate(&self) -> Option<&CertificateClaim> {
        match (self.floor, self.standing) {
            (_, None | Some(Standing::Foreign)) => None,
            (Floor::Waived, Some(_)) => self.peer.claim(),
            (Floor::Kept | Floor::DangerLeftToRules, Some(_)) => {
                self.device().filter(|claim| !claim.is_of_token())
            }
        }
    }

    /// Whether identity headers may speak of the certificate that was shown: as [`Self::certificate`] says
    /// of a device's, and of a guest's if the guest is admitted.
    #[must_use]
    pub fn may_be_told(&self) -> bool {
        self.guest.is_some() || self.certificate().is_some()
    }

    /// The certificate of the CA that vouches for what [may be told](Self::may_be_told), DER: one that the
    /// snapshot has, or to which it led. `None` where a CA elsewhere signed for a device.
    #[must_use]
    pub fn issuer_der(&self) -> Option<&[u8]> {
        match &self.guest {
            Some(guest) => Some(&guest.issuer),
            None => self.certificate().and_then(|_claim| self.peer.issuer_der()),
        }
    }

    /// The verdict on the certificate, if a device's or a guest's was shown.
    #[must_use]
    pub const fn standing(&self) -> Option<Standing> {
        self.standing
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
    /// The verdict on the certificate, if a device's was shown, or that of a guest of those whom the place
    /// admits.
    pub standing: Option<Standing>,
    /// Why the certificate that was shown proves nothing to anybody whom the place admits.
    pub untrusted: Option<UntrustedReason>,
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
    let device = peer.shown(snapshot, Holder::Own, now);
    let seen = see(peer, device, requirement, (snapshot, now));
    let standing = standing_of(seen.shown).or(standing_of(device));
    let untrusted = if seen.shown == Shown::Untrusted { seen.untrusted.or(peer.untrusted()) } else { None };
    let observed =
        judge(seen.shown, requirement).map_err(|refusal| Refused { refusal, standing, untrusted })?;
    let (peer, floor) = (peer.clone(), requirement.floor);
    Ok(Admitted { peer, standing, guest: seen.guest, token: None, floor, observed })
}

/// The same for a device that showed its provisioning token where no certificate is asked for.
///
/// # Errors
/// The refusal. Fails closed: only good standing lets it in.
pub(crate) fn admit_token(
    peer: &Peer,
    claim: &CertificateClaim,
    snapshot: &TrustSnapshot,
    now: Timestamp,
) -> Result<Admitted, Refused> {
    let standing = snapshot.standing(claim, now);
    let requirement = Requirement::upstream(Enforcement::Enforce, Floor::Kept);
    let refused = |refusal| Refused { refusal, standing: Some(standing), untrusted: None };
    judge(Shown::Device(Holder::Own, standing), &requirement).map_err(refused)?;
    Ok(Admitted {
        peer: peer.clone(),
        standing: Some(standing),
        guest: None,
        token: Some(claim.clone()),
        floor: requirement.floor,
        observed: None,
    })
}

/// Whom the place takes the peer for. Only an upstream has an audience: everywhere else devices are asked
/// for, and who is none has shown nothing.
fn see(peer: &Peer, device: Shown, requirement: &Requirement, at: (&TrustSnapshot, Timestamp)) -> Seen {
    match (requirement.place, &requirement.audience) {
        (Place::Upstream, Some(audience)) => audience.see(peer, device, requirement.mode, at),
        (Place::Upstream, None) if device == Shown::Untrusted => {
            Audience::default().see(peer, device, requirement.mode, at)
        }
        (
            Place::Upstream
            | Place::Agent
            | Place::Credentials
            | Place::Enroll
            | Place::Renew
            | Place::Confirm,
            _,
        ) => Seen::no_guest(device),
    }
}

fn judge(shown: Shown, requirement: &Requirement) -> Result<Option<Refusal>, Refusal> {
    match decide(requirement.place, shown, requirement.mode) {
        Access::Granted | Access::ProofNeeded => Ok(None),
        Access::GrantedUnderObservation(refusal) => Ok(Some(refusal)),
        Access::Refused(refusal) => match requirement.floor {
            Floor::Waived => Ok(None),
            Floor::DangerLeftToRules
                if requirement.mode != Enforcement::Enforce && matches!(shown, Shown::Device(..)) =>
            {
                Ok(None)
            }
            Floor::Kept | Floor::DangerLeftToRules => Err(refusal),
        },
    }
}

const fn standing_of(shown: Shown) -> Option<Standing> {
    match shown {
        Shown::Device(_, standing) | Shown::Guest(standing) => Some(standing),
        Shown::Nothing | Shown::Untrusted | Shown::Outsider => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_core::access::refusal_of;

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
                assert_eq!(refused, Err(refusal_of(standing)));
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
    fn rules_take_the_place_of_the_floor_only_where_no_identity_is_required() {
        for standing in BAD {
            let at = |mode| {
                judge(device(standing), &Requirement::upstream(mode, Floor::Kept).danger_left_to_rules())
            };
            assert_eq!(at(Enforcement::Off), Ok(None));
            assert_eq!(at(Enforcement::Observe), Ok(None));
            assert!(at(Enforcement::Enforce).is_err());
        }
        let nobody = Requirement::upstream(Enforcement::Enforce, Floor::DangerLeftToRules);
        assert!(judge(Shown::Nothing, &nobody).is_err());
        let agent = Requirement::control_plane(Place::Agent).danger_left_to_rules();
        assert!(judge(device(Standing::Revoked), &agent).is_err());
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
