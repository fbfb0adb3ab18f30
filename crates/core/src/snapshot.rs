//! What an edge knows: one immutable [`TrustSnapshot`] per epoch, and the verdict it gives on a
//! certificate.
//!
//! Maps and sets share structure between epochs, so that one revocation among 100,000 costs the change
//! and not a copy.

mod bytes;
pub mod changes;
mod edits;
mod fallen;
mod packed;
pub mod wire;

use std::time::Duration;

use imbl::{HashMap, HashSet, Vector};

pub use self::fallen::{BarredDevices, DeniedCertificates};
pub use self::packed::{Packed, PackedSet};
use crate::guest::ForeignTrust;
use crate::identity::{Identity, TrustDomain};
use crate::ids::{CertificateRef, DeviceName, IssuerKeyId, SerialNumber, SpkiSha256, Tenant};
use crate::settings::Enforcement;
use crate::time::Timestamp;

/// How long a session may last that a provisioning token opened: then it is to be shown again.
pub const TOKEN_SESSION: Duration = Duration::from_secs(86_400);

/// Which snapshot this is. Ordered: an edge refuses one that is lower than any it has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SnapshotVersion {
    /// Raised when a backup is restored.
    pub generation: u64,
    /// Raised by every change of trust.
    pub epoch: u64,
}

/// A CA whose signature makes a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedIssuer {
    /// Its key.
    pub key_id: IssuerKeyId,
    /// Its certificate, DER.
    pub certificate: std::sync::Arc<[u8]>,
    /// Which tenants it may name; `None`: all. Name constraints cannot say this, so it is said here.
    pub tenants: Option<HashSet<Tenant>>,
}

/// Why a whole device is refused, whatever it presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bar {
    /// It waits for an admin's decision.
    Quarantined,
    /// It was decommissioned.
    Decommissioned,
}

/// What an edge must know about a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantTrust {
    /// Its mode.
    pub enforcement: Enforcement,
    /// Whether its devices are served at all.
    pub service: TenantService,
}

/// Whether a tenant's devices are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantService {
    /// They are.
    Running,
    /// The tenant is suspended: they are not.
    Suspended,
}

/// What an issuer may have signed that is not on record: a backup was restored, and what was issued
/// between it and the restoration is known only by the certificates themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnprovedPeriod {
    /// The first notBefore that it is about.
    pub from: Timestamp,
    /// The last one.
    pub until: Timestamp,
}

impl UnprovedPeriod {
    /// How long after its notBefore a device's certificate may have been issued: backdating is minutes.
    pub const DEVICE_BACKDATING: Duration = Duration::from_secs(900);

    /// When the last certificate may have been issued whose notBefore lies in it, and by at most as much
    /// before its issuance.
    #[must_use]
    pub fn last_issuance(self, backdating: Duration) -> Timestamp {
        self.until + backdating
    }
}

/// A rule as its author wrote it; doors compile it once per change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSource {
    /// What people call it; unique.
    pub name: String,
    /// Cloudflare's rule language.
    pub expression: String,
    /// What happens on a match.
    pub action: RuleAction,
}

/// A named list as its author wrote it, which rules ask with `in $name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleList {
    /// Its name, unique: lower-case letters, digits and `_`.
    pub name: String,
    /// What its items are.
    pub kind: ListKind,
    /// The items.
    pub items: Vec<String>,
}

/// What the items of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// Addresses, networks, and ranges of addresses.
    Ip,
    /// Host names; `*.example.com` stands for every name below.
    Hostname,
    /// Strings.
    Text,
    /// Numbers, and ranges of them.
    Integer,
}

/// What a rule does when it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleAction {
    /// Refuse with this answer; ends the evaluation.
    Block(BlockResponse),
    /// Write it down and go on.
    Log,
    /// Let it pass the remaining rules; ends the evaluation.
    Skip,
}

/// The answer of a blocking rule; by default 403 with the standard error body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockResponse {
    /// HTTP status, 400 to 599.
    pub status: u16,
    /// Body and its media type instead of the standard error body.
    pub body: Option<(String, String)>,
}

/// A certificate that a CA elsewhere signed for a device of ours. It need not say whose it is: the
/// authority, which asked for it, does, and doors believe it about this one certificate alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The device's tenant.
    pub tenant: Tenant,
    /// The device.
    pub device: DeviceName,
    /// Its public key.
    pub spki: SpkiSha256,
    /// SHA-256 of the certificate as it was recorded: another with the same serial number is refused.
    pub certificate: [u8; 32],
    /// The last moment at which it counts, whatever it says itself.
    pub not_after: Timestamp,
}

/// A tenant and a name within it: what an identity says besides the trust domain.
pub type DeviceKey = (Tenant, DeviceName);

/// Everything a door needs to admit or refuse, immutable.
#[derive(Clone, Debug)]
pub struct TrustSnapshot {
    /// Which one it is.
    pub version: SnapshotVersion,
    /// When the authority made it.
    pub made_at: Timestamp,
    /// The installation whose identities count.
    pub trust_domain: TrustDomain,
    /// The CAs that make devices, and no others.
    pub device_issuers: Vector<TrustedIssuer>,
    /// The CAs that make services, and no others: guests where a route admits them, never devices.
    pub service_issuers: Vector<TrustedIssuer>,
    /// The CAs of others whose certificates make guests where a route admits them.
    pub foreign_trusts: Vector<ForeignTrust>,
    /// Certificates of devices that CAs elsewhere signed, each by its issuer and serial number.
    pub bindings: HashMap<CertificateRef, Binding>,
    /// Revoked certificates that have not expired.
    pub denied: DeniedCertificates,
    /// Keys that prove nothing ever again: those of revoked certificates and of denied devices.
    pub denied_keys: PackedSet<SpkiSha256>,
    /// Devices that are quarantined or decommissioned.
    pub barred: BarredDevices,
    /// Replaced certificates, and until when sessions opened with them may go on.
    pub superseded: HashMap<CertificateRef, Timestamp>,
    /// Of which issuers certificates are denied unless they are proved; empty, or nearly so, everywhere
    /// but where a backup was restored.
    pub unproved: HashMap<IssuerKeyId, Vector<UnprovedPeriod>>,
    /// The certificates of such a period that are on record.
    pub proved: HashSet<CertificateRef>,
    /// Certificates whose first use is still to be reported to the authority.
    pub pending: HashSet<CertificateRef>,
    /// The tenants.
    pub tenants: HashMap<Tenant, TenantTrust>,
    /// The rules, in order.
    pub rules: std::sync::Arc<[RuleSource]>,
    /// The lists that rules ask.
    pub lists: std::sync::Arc<[RuleList]>,
}

/// What a verified certificate says: made by the relying side from a chain whose signatures, key
/// usages and profile were found right; its dates and status are still to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateClaim {
    /// Under what it is on record.
    pub reference: CertificateRef,
    /// Whom it names.
    pub identity: Identity,
    /// Its public key.
    pub spki: SpkiSha256,
    /// First valid moment.
    pub not_before: Timestamp,
    /// Last valid moment.
    pub not_after: Timestamp,
}

impl CertificateClaim {
    /// What a device's provisioning token says, from the moment at which it was shown until that of the end.
    #[must_use]
    pub fn of_token(identity: Identity, token: SerialNumber, from: Timestamp, until: Timestamp) -> Self {
        Self {
            reference: CertificateRef { issuer: IssuerKeyId::OF_TOKENS, serial: token },
            identity,
            // There is no key to deny.
            spki: SpkiSha256::from([0; 32]),
            not_before: from,
            not_after: until,
        }
    }

    /// Whether it is a token's, and there is no certificate.
    #[must_use]
    pub fn is_of_token(&self) -> bool {
        self.reference.issuer == IssuerKeyId::OF_TOKENS
    }

    /// Whether its end has passed.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now > self.not_after
    }
}

/// The verdict on a claim at one moment under one snapshot; the gravest finding counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Good.
    Valid,
    /// Good, and to be reported: this is its first use.
    Pending,
    /// Replaced; sessions opened before may go on until the moment given in the snapshot.
    Superseded,
    /// Past its end.
    Expired,
    /// Before its beginning.
    NotYetValid,
    /// Revoked, or its key is denied.
    Revoked,
    /// Its device is quarantined.
    Quarantined,
    /// Its device is decommissioned.
    Decommissioned,
    /// Its tenant is suspended.
    TenantSuspended,
    /// Issued after the backup that the installation was restored from, and not on record since.
    Unproved,
    /// Signed by an issuer this snapshot does not know (any more), or one that may not name this
    /// tenant, or about a tenant or trust domain that does not exist here.
    Foreign,
}

impl TrustSnapshot {
    /// Whether there is no issuer whose certificates count: nobody is admitted.
    #[must_use]
    pub fn trusts_nobody(&self) -> bool {
        self.device_issuers.is_empty() && self.service_issuers.is_empty() && self.foreign_trusts.is_empty()
    }

    /// A snapshot that admits nobody: where every edge starts.
    #[must_use]
    pub fn empty(trust_domain: TrustDomain, now: Timestamp) -> Self {
        Self {
            version: SnapshotVersion::default(),
            made_at: now,
            trust_domain,
            device_issuers: Vector::new(),
            service_issuers: Vector::new(),
            foreign_trusts: Vector::new(),
            bindings: HashMap::new(),
            denied: DeniedCertificates::default(),
            denied_keys: PackedSet::default(),
            barred: BarredDevices::default(),
            superseded: HashMap::new(),
            pending: HashSet::new(),
            unproved: HashMap::new(),
            proved: HashSet::new(),
            tenants: HashMap::new(),
            rules: std::sync::Arc::from([]),
            lists: std::sync::Arc::from([]),
        }
    }

    /// Packs what fell, if much of it is new: for whoever is done with changing it.
    pub fn settle(&mut self) {
        self.denied.settle();
        self.denied_keys.settle();
        self.barred.settle();
    }

    /// The verdict on `claim` at `now`.
    ///
    /// Fails closed: an unknown issuer, tenant or trust domain is [`Standing::Foreign`].
    #[must_use]
    pub fn standing(&self, claim: &CertificateClaim, now: Timestamp) -> Standing {
        let tenant = claim.identity.tenant();
        if !(self.may_name(&claim.reference.issuer, tenant) || self.is_bound(claim))
            || claim.identity.trust_domain() != &self.trust_domain
        {
            return Standing::Foreign;
        }
        let Some(trust) = self.tenants.get(tenant) else { return Standing::Foreign };
        if self.denied.contains(&claim.reference) || self.denied_keys.contains(&claim.spki) {
            return Standing::Revoked;
        }
        match self.barred.get(&(tenant.clone(), claim.identity.device().clone())) {
            Some(Bar::Decommissioned) => return Standing::Decommissioned,
            Some(Bar::Quarantined) => return Standing::Quarantined,
            None => {}
        }
        if trust.service == TenantService::Suspended {
            return Standing::TenantSuspended;
        }
        if self.is_unproved(&claim.reference, claim.not_before) {
            return Standing::Unproved;
        }
        if now > claim.not_after {
            Standing::Expired
        } else if now < claim.not_before {
            Standing::NotYetValid
        } else if self.superseded.contains_key(&claim.reference) {
            Standing::Superseded
        } else if self.pending.contains(&claim.reference) {
            Standing::Pending
        } else {
            Standing::Valid
        }
    }

    /// Whether a session that was opened in good standing may go on at `now`: a superseded
    /// certificate keeps its open sessions until its overlap ends, any other fall ends them.
    #[must_use]
    pub fn session_may_go_on(&self, claim: &CertificateClaim, now: Timestamp) -> bool {
        self.goes_on(self.standing(claim, now), &claim.reference, now)
    }

    /// Whether a session may go on whose certificate has come to this standing.
    pub(crate) fn goes_on(&self, standing: Standing, reference: &CertificateRef, now: Timestamp) -> bool {
        match standing {
            Standing::Valid | Standing::Pending => true,
            Standing::Superseded => self.superseded.get(reference).is_some_and(|until| now <= *until),
            Standing::Expired
            | Standing::NotYetValid
            | Standing::Revoked
            | Standing::Quarantined
            | Standing::Decommissioned
            | Standing::TenantSuspended
            | Standing::Unproved
            | Standing::Foreign => false,
        }
    }

    /// Whether doors deny a certificate that this issuer signs at this moment, and dates back by at most
    /// so much, unless they are told that it is on record.
    #[must_use]
    pub fn denies_unless_told(
        &self,
        issuer: &IssuerKeyId,
        issued_at: Timestamp,
        backdating: Duration,
    ) -> bool {
        self.unproved.get(issuer).is_some_and(|periods| {
            periods.iter().any(|period| (period.from..=period.last_issuance(backdating)).contains(&issued_at))
        })
    }

    /// Whether it may have been issued after the backup that was restored. Fails closed: what is not on
    /// record was.
    pub(crate) fn is_unproved(&self, reference: &CertificateRef, not_before: Timestamp) -> bool {
        self.unproved.get(&reference.issuer).is_some_and(|periods| {
            periods.iter().any(|period| (period.from..=period.until).contains(&not_before))
                && !self.proved.contains(reference)
        })
    }

    /// Whether devices of this tenant may show nothing but certificates.
    ///
    /// Fails closed: so it is where the tenant is unknown.
    #[must_use]
    pub fn asks_for_certificates(&self, tenant: &Tenant) -> bool {
        self.tenants.get(tenant).is_none_or(|trust| trust.enforcement == Enforcement::Enforce)
    }

    /// Whether the authority says itself that this certificate is this device's.
    fn is_bound(&self, claim: &CertificateClaim) -> bool {
        self.bindings.get(&claim.reference).is_some_and(|bound| {
            bound.tenant == *claim.identity.tenant()
                && bound.device == *claim.identity.device()
                && bound.spki == claim.spki
        })
    }

    fn may_name(&self, issuer: &IssuerKeyId, tenant: &Tenant) -> bool {
        if *issuer == IssuerKeyId::OF_TOKENS {
            return !self.asks_for_certificates(tenant);
        }
        self.device_issuers.iter().any(|trusted| {
            trusted.key_id == *issuer
                && trusted.tenants.as_ref().is_none_or(|tenants| tenants.contains(tenant))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn claim() -> CertificateClaim {
        CertificateClaim {
            reference: CertificateRef { issuer: IssuerKeyId::from([1; 32]), serial: "01aa".parse().unwrap() },
            identity: Identity::from_uri("spiffe://countersign.internal/tenant/acme/device/d1").unwrap(),
            spki: SpkiSha256::from([2; 32]),
            not_before: Timestamp::from_secs(0),
            not_after: Timestamp::from_secs(7200),
        }
    }

    fn snapshot() -> TrustSnapshot {
        let mut snapshot = TrustSnapshot::empty(TrustDomain::default(), Timestamp::from_secs(0));
        snapshot.device_issuers.push_back(TrustedIssuer {
            key_id: IssuerKeyId::from([1; 32]),
            certificate: std::sync::Arc::from([]),
            tenants: None,
        });
        snapshot.tenants.insert(
            "acme".parse().unwrap(),
            TenantTrust { enforcement: Enforcement::Enforce, service: TenantService::Running },
        );
        snapshot
    }

    #[test]
    fn fails_closed_when_nothing_is_known() {
        let empty = TrustSnapshot::empty(TrustDomain::default(), Timestamp::from_secs(0));
        assert_eq!(empty.standing(&claim(), Timestamp::from_secs(1)), Standing::Foreign);
    }

    #[test]
    fn a_token_counts_where_certificates_are_not_asked_for() {
        let device = claim();
        let token = CertificateClaim::of_token(
            device.identity,
            "07".parse().unwrap(),
            device.not_before,
            device.not_after,
        );
        let (mut snapshot, now) = (snapshot(), Timestamp::from_secs(1));
        assert_eq!(snapshot.standing(&token, now), Standing::Foreign, "enforced");
        let acme: Tenant = "acme".parse().unwrap();
        let trust = |enforcement| TenantTrust { enforcement, service: TenantService::Running };
        snapshot.tenants.insert(acme.clone(), trust(Enforcement::Observe));
        assert_eq!(snapshot.standing(&token, now), Standing::Valid);
        assert_eq!(snapshot.standing(&token, now + 2 * HOUR), Standing::Expired);
        snapshot.denied.insert(token.reference.clone());
        assert_eq!(snapshot.standing(&token, now), Standing::Revoked);
        snapshot.barred.insert((acme, "d1".parse().unwrap()), Bar::Quarantined);
        snapshot.denied.remove(&token.reference);
        assert_eq!(snapshot.standing(&token, now), Standing::Quarantined);
        snapshot.tenants.clear();
        assert_eq!(snapshot.standing(&token, now), Standing::Foreign);
    }

    #[test]
    fn dates_are_judged_every_time() {
        let snapshot = snapshot();
        assert_eq!(snapshot.standing(&claim(), Timestamp::from_secs(7200)), Standing::Valid);
        assert_eq!(snapshot.standing(&claim(), Timestamp::from_secs(7201)), Standing::Expired);
        assert_eq!(snapshot.standing(&claim(), Timestamp::from_secs(-1)), Standing::NotYetValid);
    }

    #[test]
    fn an_issuer_bound_to_one_tenant_cannot_name_another() {
        let mut snapshot = snapshot();
        let mut issuer = snapshot.device_issuers.pop_back().unwrap();
        issuer.tenants = Some(HashSet::unit("other".parse().unwrap()));
        snapshot.device_issuers.push_back(issuer);
        assert_eq!(snapshot.standing(&claim(), Timestamp::from_secs(1)), Standing::Foreign);
    }

    #[test]
    fn a_binding_vouches_for_one_device_and_one_key_and_no_other() {
        let mut snapshot = snapshot();
        snapshot.device_issuers = Vector::new();
        let good = claim();
        let bound = Binding {
            tenant: "acme".parse().unwrap(),
            device: "d1".parse().unwrap(),
            spki: good.spki,
            certificate: [3; 32],
            not_after: good.not_after,
        };
        snapshot.bindings.insert(good.reference.clone(), bound);
        let now = Timestamp::from_secs(1);
        assert_eq!(snapshot.standing(&good, now), Standing::Valid);
        let other_key = CertificateClaim { spki: SpkiSha256::from([9; 32]), ..good.clone() };
        let other_device = CertificateClaim {
            identity: Identity::from_uri("spiffe://countersign.internal/tenant/acme/device/d2").unwrap(),
            ..good.clone()
        };
        let reference = CertificateRef { serial: "02".parse().unwrap(), ..good.reference.clone() };
        let other_serial = CertificateClaim { reference, ..good.clone() };
        for other in [other_key, other_device, other_serial] {
            assert_eq!(snapshot.standing(&other, now), Standing::Foreign);
        }
        snapshot.denied.insert(good.reference.clone());
        assert_eq!(snapshot.standing(&good, now), Standing::Revoked);
    }

    #[test]
    fn revocation_outweighs_quarantine_and_expiry() {
        let mut snapshot = snapshot();
        let late = Timestamp::from_secs(9999);
        snapshot.barred.insert(("acme".parse().unwrap(), "d1".parse().unwrap()), Bar::Quarantined);
        assert_eq!(snapshot.standing(&claim(), late), Standing::Quarantined);
        snapshot.denied_keys.insert(claim().spki);
        assert_eq!(snapshot.standing(&claim(), late), Standing::Revoked);
    }

    #[test]
    fn what_was_issued_after_the_backup_is_denied_until_it_is_on_record() {
        let mut snapshot = snapshot();
        let good = claim();
        let period = |from, until| UnprovedPeriod {
            from: Timestamp::from_secs(from),
            until: Timestamp::from_secs(until),
        };
        let deny = |snapshot: &mut TrustSnapshot, issuer: u8, period| {
            snapshot.unproved.insert(IssuerKeyId::from([issuer; 32]), Vector::unit(period));
        };
        let now = Timestamp::from_secs(9);
        deny(&mut snapshot, 9, period(0, 5));
        assert_eq!(snapshot.standing(&good, now), Standing::Valid, "another issuer's");
        for before_or_after in [period(-5, -1), period(1, 5)] {
            deny(&mut snapshot, 1, before_or_after);
            assert_eq!(snapshot.standing(&good, now), Standing::Valid);
        }
        for within in [period(0, 5), period(-5, 0)] {
            deny(&mut snapshot, 1, within);
            assert_eq!(snapshot.standing(&good, now), Standing::Unproved);
            assert!(!snapshot.session_may_go_on(&good, now));
        }
        snapshot.proved.insert(good.reference.clone());
        assert_eq!(snapshot.standing(&good, now), Standing::Valid);
        snapshot.denied.insert(good.reference.clone());
        assert_eq!(snapshot.standing(&good, now), Standing::Revoked);
    }

    #[test]
    fn a_superseded_certificate_keeps_its_sessions_until_the_overlap_ends() {
        let mut snapshot = snapshot();
        let start = Timestamp::from_secs(0);
        snapshot.superseded.insert(claim().reference, start + HOUR);
        assert_eq!(snapshot.standing(&claim(), start), Standing::Superseded);
        assert!(snapshot.session_may_go_on(&claim(), start + HOUR));
        assert!(!snapshot.session_may_go_on(&claim(), start + HOUR + Duration::from_millis(1)));
        snapshot.denied.insert(claim().reference);
        assert!(!snapshot.session_may_go_on(&claim(), start));
    }
}
