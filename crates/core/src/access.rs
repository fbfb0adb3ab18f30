//! Who may reach what: the contract's table as one pure function, used by every door and by the
//! control plane behind them.

use std::fmt;

use crate::settings::Enforcement;
use crate::snapshot::Standing;

/// What kind of place a request wants to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// `enroll`: the enrolment key decides.
    Enroll,
    /// `renew-cert` and `challenge`: possession of the device's key decides.
    Renew,
    /// `confirm`: possession of the new key decides.
    Confirm,
    /// `rotate-token` and the end of an enrolment: the tenant's mode decides as for [`Self::Agent`],
    /// but another device's certificate is refused in every mode.
    Credentials,
    /// Every other agent route: the tenant's mode decides.
    Agent,
    /// An upstream of the operator's: its route says whether an identity is required.
    Upstream,
}

/// Whose certificate it is, from the point of view of the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// The device the request is about; at an upstream, any device.
    Own,
    /// Another device.
    Other,
}

/// What the peer showed in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shown {
    /// No certificate.
    Nothing,
    /// One that none of our device CAs vouches for: proves nothing, so it counts as none.
    Untrusted,
    /// A device certificate.
    Device(Holder, Standing),
    /// That of a service or of somebody whom a CA elsewhere vouches for, where such are admitted. It
    /// makes nobody a device: everywhere but at an upstream it counts as none.
    Guest(Standing),
    /// A good one, of a device or a guest whom this place does not admit.
    Outsider,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Go on.
    Granted,
    /// Go on, and record that `enforce` would have refused with this.
    GrantedUnderObservation(Refusal),
    /// Go on only with a proof of possession in the request itself.
    ProofNeeded,
    /// Stop.
    Refused(Refusal),
}

/// Why a request, packet or connection was refused; each with a stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// A certificate is required and none was shown.
    MtlsRequired,
    /// The certificate shown is not from a device CA of ours, nor from one whose guests are admitted.
    Untrusted,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// It was revoked.
    Revoked,
    /// It was replaced.
    Superseded,
    /// The device is quarantined.
    Quarantined,
    /// The device is decommissioned.
    Decommissioned,
    /// The tenant is suspended.
    TenantSuspended,
    /// It was issued after the backup that the installation was restored from, and not proved since.
    Unproved,
    /// It belongs to another device than the one the request is about.
    WrongDevice,
    /// It is good, and its holder is not among those whom the route admits.
    NotAdmittedHere,
}

impl Refusal {
    /// Every refusal.
    pub const ALL: [Self; 12] = [
        Self::MtlsRequired,
        Self::Untrusted,
        Self::Expired,
        Self::NotYetValid,
        Self::Revoked,
        Self::Superseded,
        Self::Quarantined,
        Self::Decommissioned,
        Self::TenantSuspended,
        Self::Unproved,
        Self::WrongDevice,
        Self::NotAdmittedHere,
    ];

    /// The stable code. Another device's certificate is `UNAUTHORIZED`, like any other mismatch of
    /// credentials: an answer never says which part was wrong.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::MtlsRequired => "MTLS_REQUIRED",
            Self::Untrusted => "CERTIFICATE_UNTRUSTED",
            Self::Expired => "CERTIFICATE_EXPIRED",
            Self::NotYetValid => "CERTIFICATE_NOT_YET_VALID",
            Self::Revoked => "CERTIFICATE_REVOKED",
            Self::Superseded => "CERTIFICATE_SUPERSEDED",
            Self::Quarantined => "DEVICE_QUARANTINED",
            Self::Decommissioned => "DEVICE_DECOMMISSIONED",
            Self::TenantSuspended => "TENANT_SUSPENDED",
            Self::Unproved => "CERTIFICATE_UNPROVED",
            Self::WrongDevice => "UNAUTHORIZED",
            Self::NotAdmittedHere => "NOT_ADMITTED_HERE",
        }
    }

    /// One sentence for the client, without the full stop.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::MtlsRequired => "Mutual TLS authentication required",
            Self::Untrusted => "The client certificate is not from a CA that is trusted here",
            Self::Expired => "The client certificate has expired",
            Self::NotYetValid => "The client certificate is not valid yet; check the device's clock",
            Self::Revoked => "The client certificate was revoked",
            Self::Superseded => "The client certificate was replaced by a newer one",
            Self::Quarantined => "Device quarantined",
            Self::Decommissioned => "Device decommissioned",
            Self::TenantSuspended => "Tenant suspended",
            Self::Unproved => "The client certificate is not on record since a backup was restored; renew it",
            Self::WrongDevice => "Unauthorized",
            Self::NotAdmittedHere => "The holder of the client certificate is not admitted here",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// Decides by the contract's table.
///
/// Fails closed: a certificate that fell from good standing is refused in every mode, except where
/// the table lets possession of a key decide (renewal) or asks for nothing (enrolment).
#[must_use]
pub const fn decide(place: Place, shown: Shown, mode: Enforcement) -> Access {
    match place {
        Place::Enroll => Access::Granted,
        Place::Renew => renew(shown),
        Place::Confirm => confirm(shown),
        Place::Credentials => match (shown, by_mode(unless_guest(shown), mode)) {
            (Shown::Device(Holder::Other, Standing::Valid | Standing::Pending), _) => {
                Access::Refused(Refusal::WrongDevice)
            }
            (_, access) => access,
        },
        Place::Agent => by_mode(unless_guest(shown), mode),
        Place::Upstream => by_mode(shown, mode),
    }
}

/// Where a device is asked for, a guest's certificate is one that no device CA of ours vouches for.
const fn unless_guest(shown: Shown) -> Shown {
    match shown {
        Shown::Guest(_) | Shown::Outsider => Shown::Untrusted,
        Shown::Nothing | Shown::Untrusted | Shown::Device(..) => shown,
    }
}

const fn renew(shown: Shown) -> Access {
    match shown {
        Shown::Nothing | Shown::Untrusted | Shown::Guest(_) | Shown::Outsider => Access::ProofNeeded,
        Shown::Device(holder, standing) => match (standing, holder) {
            (Standing::Foreign, _) => Access::ProofNeeded,
            (Standing::Valid | Standing::Pending | Standing::Unproved, Holder::Own) => Access::Granted,
            (Standing::Expired | Standing::Superseded, Holder::Own) => Access::ProofNeeded,
            (standing, _) => Access::Refused(refusal_of(standing)),
        },
    }
}

const fn confirm(shown: Shown) -> Access {
    match shown {
        Shown::Nothing | Shown::Untrusted | Shown::Guest(_) | Shown::Outsider => Access::ProofNeeded,
        Shown::Device(holder, standing) => match (standing, holder) {
            (Standing::Foreign, _) => Access::ProofNeeded,
            (Standing::Valid | Standing::Pending, Holder::Own) => Access::Granted,
            (standing, _) => Access::Refused(refusal_of(standing)),
        },
    }
}

const fn by_mode(shown: Shown, mode: Enforcement) -> Access {
    let missing = match shown {
        Shown::Nothing => Refusal::MtlsRequired,
        Shown::Untrusted | Shown::Device(_, Standing::Foreign) | Shown::Guest(Standing::Foreign) => {
            Refusal::Untrusted
        }
        Shown::Outsider => Refusal::NotAdmittedHere,
        Shown::Guest(Standing::Valid | Standing::Pending) => return Access::Granted,
        Shown::Guest(standing) => return Access::Refused(refusal_of(standing)),
        Shown::Device(holder, standing) => {
            return match (standing, holder, mode) {
                (Standing::Valid | Standing::Pending, Holder::Own, _) => Access::Granted,
                (Standing::Valid | Standing::Pending, Holder::Other, Enforcement::Off) => Access::Granted,
                (standing, ..) => Access::Refused(refusal_of(standing)),
            };
        }
    };
    match mode {
        Enforcement::Off => Access::Granted,
        Enforcement::Observe => Access::GrantedUnderObservation(missing),
        Enforcement::Enforce => Access::Refused(missing),
    }
}

/// Why a certificate in this standing is refused; in good standing it can only be another device's.
#[must_use]
pub const fn refusal_of(standing: Standing) -> Refusal {
    match standing {
        Standing::Valid | Standing::Pending => Refusal::WrongDevice,
        Standing::Superseded => Refusal::Superseded,
        Standing::Expired => Refusal::Expired,
        Standing::NotYetValid => Refusal::NotYetValid,
        Standing::Revoked => Refusal::Revoked,
        Standing::Quarantined => Refusal::Quarantined,
        Standing::Decommissioned => Refusal::Decommissioned,
        Standing::TenantSuspended => Refusal::TenantSuspended,
        Standing::Unproved => Refusal::Unproved,
        Standing::Foreign => Refusal::Untrusted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODES: [Enforcement; 3] = [Enforcement::Off, Enforcement::Observe, Enforcement::Enforce];
    const FALLEN: [Standing; 5] = [
        Standing::Revoked,
        Standing::Quarantined,
        Standing::Decommissioned,
        Standing::TenantSuspended,
        Standing::NotYetValid,
    ];

    #[test]
    fn what_fell_from_good_standing_is_refused_in_every_mode() {
        for mode in MODES {
            for standing in FALLEN {
                for place in [Place::Renew, Place::Confirm, Place::Credentials, Place::Agent, Place::Upstream]
                {
                    for holder in [Holder::Own, Holder::Other] {
                        let access = decide(place, Shown::Device(holder, standing), mode);
                        assert_eq!(access, Access::Refused(refusal_of(standing)));
                    }
                }
            }
            for place in [Place::Credentials, Place::Agent, Place::Upstream, Place::Confirm] {
                let expired = decide(place, Shown::Device(Holder::Own, Standing::Expired), mode);
                assert_eq!(expired, Access::Refused(Refusal::Expired));
            }
        }
    }

    #[test]
    fn an_unproved_certificate_is_good_for_its_own_renewal_alone() {
        let own = Shown::Device(Holder::Own, Standing::Unproved);
        for mode in MODES {
            assert_eq!(decide(Place::Renew, own, mode), Access::Granted);
            let other = Shown::Device(Holder::Other, Standing::Unproved);
            assert_eq!(decide(Place::Renew, other, mode), Access::Refused(Refusal::Unproved));
            for place in [Place::Confirm, Place::Credentials, Place::Agent, Place::Upstream] {
                assert_eq!(decide(place, own, mode), Access::Refused(Refusal::Unproved));
            }
        }
    }

    #[test]
    fn a_guest_is_admitted_to_upstreams_alone_and_only_in_good_standing() {
        for mode in MODES {
            let good = Shown::Guest(Standing::Valid);
            assert_eq!(decide(Place::Upstream, good, mode), Access::Granted);
            for standing in FALLEN.into_iter().chain([Standing::Expired, Standing::Unproved]) {
                let access = decide(Place::Upstream, Shown::Guest(standing), mode);
                assert_eq!(access, Access::Refused(refusal_of(standing)));
            }
            for guest in [good, Shown::Guest(Standing::Revoked), Shown::Outsider] {
                for place in [Place::Enroll, Place::Renew, Place::Confirm, Place::Credentials, Place::Agent] {
                    assert_eq!(decide(place, guest, mode), decide(place, Shown::Untrusted, mode));
                }
            }
        }
    }

    #[test]
    fn the_mode_decides_about_whom_the_route_does_not_admit() {
        let outsider = |mode| decide(Place::Upstream, Shown::Outsider, mode);
        let refusal = Refusal::NotAdmittedHere;
        assert_eq!(outsider(Enforcement::Off), Access::Granted);
        assert_eq!(outsider(Enforcement::Observe), Access::GrantedUnderObservation(refusal));
        assert_eq!(outsider(Enforcement::Enforce), Access::Refused(refusal));
    }

    #[test]
    fn another_devices_certificate_never_changes_credentials() {
        for mode in MODES {
            for place in [Place::Renew, Place::Confirm, Place::Credentials] {
                let access = decide(place, Shown::Device(Holder::Other, Standing::Valid), mode);
                assert_eq!(access, Access::Refused(Refusal::WrongDevice));
            }
        }
    }

    #[test]
    fn the_mode_decides_about_no_certificate() {
        for place in [Place::Agent, Place::Credentials] {
            let none = |mode| decide(place, Shown::Nothing, mode);
            assert_eq!(none(Enforcement::Off), Access::Granted);
            assert_eq!(none(Enforcement::Observe), Access::GrantedUnderObservation(Refusal::MtlsRequired));
            assert_eq!(none(Enforcement::Enforce), Access::Refused(Refusal::MtlsRequired));
        }
    }

    #[test]
    fn codes_are_unique() {
        let codes: std::collections::BTreeSet<_> = Refusal::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(codes.len(), Refusal::ALL.len());
    }
}
