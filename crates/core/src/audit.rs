//! The audit vocabulary: what is written down, by whom, and the hash that chains it.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::ids::{ApiTokenId, CertificateId, DeviceId, Tenant, UserId};
use crate::time::Timestamp;

/// The hash of an entry and all before it in its chain.
pub type ChainHash = [u8; 32];

/// The hash before the first entry of a chain.
pub const CHAIN_START: ChainHash = [0; 32];

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident => $text:literal),+ $(,)?) => {
        /// What happened. The names are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum AuditEvent { $($(#[$doc])* $variant),+ }

        impl AuditEvent {
            /// Every event.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

events! {
    /// The installation was made: root and issuing CAs exist.
    InstallationCreated => "installation.created",
    /// The installation was restored from a backup.
    InstallationRestored => "installation.restored",
    /// The first owner was made with the setup token.
    SetupCompleted => "setup.completed",
    /// Someone signed in.
    LoginSucceeded => "login.succeeded",
    /// Someone failed to sign in.
    LoginFailed => "login.failed",
    /// Someone signed out.
    LoggedOut => "login.ended",
    /// A person was invited or made.
    UserCreated => "user.created",
    /// A person's role, tenant or standing changed; sessions and API tokens ended.
    UserChanged => "user.changed",
    /// A one-time token with which a person sets a password was made.
    PasswordResetIssued => "user.password_reset_issued",
    /// A person set a password; sessions ended.
    PasswordChanged => "user.password_changed",
    /// A person set up a second factor; other sessions ended.
    SecondFactorSet => "user.second_factor_set",
    /// A person's second factor was removed.
    SecondFactorRemoved => "user.second_factor_removed",
    /// A person got new recovery codes; those from before are worth nothing.
    RecoveryCodesMade => "user.recovery_codes_made",
    /// It was said whether everybody needs a second factor.
    SignInSettingsChanged => "sign_in_settings.changed",
    /// An API token was made.
    ApiTokenCreated => "api_token.created",
    /// An API token was revoked.
    ApiTokenRevoked => "api_token.revoked",
    /// A tenant was made.
    TenantCreated => "tenant.created",
    /// A tenant was suspended: its devices are served nowhere.
    TenantSuspended => "tenant.suspended",
    /// A suspended tenant was taken back.
    TenantResumed => "tenant.resumed",
    /// A site was made.
    SiteCreated => "site.created",
    /// A site was renamed.
    SiteChanged => "site.changed",
    /// A site was deleted.
    SiteDeleted => "site.deleted",
    /// A tenant's certificate settings changed.
    SettingsChanged => "settings.changed",
    /// A tenant's settings for its agents changed.
    AgentSettingsChanged => "agent_settings.changed",
    /// An enrolment key was made.
    EnrollmentKeyCreated => "enrollment_key.created",
    /// An enrolment key was revoked.
    EnrollmentKeyRevoked => "enrollment_key.revoked",
    /// A device enrolled.
    DeviceEnrolled => "device.enrolled",
    /// A known device enrolled again with a key made for it.
    DeviceReenrolled => "device.reenrolled",
    /// A device was quarantined.
    DeviceQuarantined => "device.quarantined",
    /// A quarantined device was approved.
    DeviceApproved => "device.approved",
    /// A device was denied.
    DeviceDenied => "device.denied",
    /// A device was decommissioned.
    DeviceDecommissioned => "device.decommissioned",
    /// A device was moved to another site of its tenant.
    DeviceMoved => "device.moved",
    /// An admin set a device aside or took it back.
    DeviceMaintenance => "device.maintenance",
    /// A device ended its own enrolment; it is decommissioned.
    DeviceUnenrolled => "device.unenrolled",
    /// A device proved its key and got a new bearer token, which waits for its confirmation.
    TokenStaged => "token.staged",
    /// A device confirmed its new bearer token; the old one is worth nothing.
    TokenRotated => "token.rotated",
    /// An admin revoked a device's bearer token.
    TokenRevoked => "token.revoked",
    /// A device got a provisioning token, in the place of the one it had if it had any.
    ProvisioningTokenSet => "token.provisioning_set",
    /// A device's provisioning token was taken away.
    ProvisioningTokenRemoved => "token.provisioning_removed",
    /// A message of a device that was set aside was taken after all.
    MessageReleased => "message.released",
    /// A command was queued for a device.
    CommandQueued => "command.queued",
    /// A device got a command.
    CommandDelivered => "command.delivered",
    /// A device carried a command out.
    CommandCompleted => "command.completed",
    /// A device could not carry a command out.
    CommandFailed => "command.failed",
    /// A command's time passed without a result.
    CommandExpired => "command.expired",
    /// A job was made: a command was queued for each of its devices.
    JobCreated => "job.created",
    /// A job was called off: what its devices have not done ends.
    JobCancelled => "job.cancelled",
    /// The state that a device is to have changed.
    ShadowDesired => "shadow.desired",
    /// A serial was reserved; a certificate is about to be signed.
    CertificateIntended => "certificate.intended",
    /// A certificate was signed and recorded.
    CertificateIssued => "certificate.issued",
    /// A CA elsewhere was asked to revoke a certificate.
    UpstreamRevocationAsked => "certificate.upstream_revocation_asked",
    /// A CA elsewhere has revoked a certificate, or knows none such.
    UpstreamRevoked => "certificate.upstream_revoked",
    /// A signing did not reach its record; its serial is revoked.
    CertificateAbandoned => "certificate.abandoned",
    /// A certificate was confirmed by its device and is the active one.
    CertificateActivated => "certificate.activated",
    /// A certificate was replaced by a confirmed one.
    CertificateSuperseded => "certificate.superseded",
    /// A certificate was revoked.
    CertificateRevoked => "certificate.revoked",
    /// Many certificates were revoked by one call; each has an entry of its own too.
    CertificatesRevoked => "certificates.revoked",
    /// A key is not denied any more; a revoked certificate's proves nothing nevertheless.
    DeniedKeyLifted => "denied_key.lifted",
    /// A host name or hardware serial is not held against new devices any more.
    DeniedTraitLifted => "denied_trait.lifted",
    /// A certificate's end passed.
    CertificateExpired => "certificate.expired",
    /// A certificate's end is near: 30, 14, 7 or 1 days.
    CertificateExpiring => "certificate.expiring",
    /// A renewal by bearer token alone was accepted, because the tenant allows it.
    WeakRenewal => "certificate.weak_renewal",
    /// The server made a device's key, because the tenant allows it.
    ServerGeneratedKey => "certificate.server_generated_key",
    /// A CRL was signed.
    CrlSigned => "crl.signed",
    /// A CA was made.
    CaCreated => "ca.created",
    /// The key of a CA was written to a file and removed from here.
    CaTakenOffline => "ca.taken_offline",
    /// The key of a CA that was offline is here again.
    CaBroughtBack => "ca.brought_back",
    /// A CA got a key, and waits for a certificate that is signed elsewhere.
    CaRequested => "ca.requested",
    /// A CA that waited for its certificate was given up.
    CaRequestWithdrawn => "ca.request_withdrawn",
    /// A CA's certificate, signed elsewhere, was taken in.
    CaSignedElsewhere => "ca.signed_elsewhere",
    /// A CA was brought along, with its key or without.
    CaImported => "ca.imported",
    /// A revocation list that was signed elsewhere was taken in.
    CrlImported => "crl.imported",
    /// A certificate for a service was issued.
    ServiceCertificateIssued => "service.certificate_issued",
    /// A service's certificate was revoked.
    ServiceCertificateRevoked => "service.certificate_revoked",
    /// A service's certificate and its key were brought along.
    ServiceCertificateImported => "service.certificate_imported",
    /// An imported certificate was deleted with its key, or the key of one from here.
    ServiceCertificateRemoved => "service.certificate_removed",
    /// A CA was made that is to take another's place.
    CaRotationPrepared => "ca.rotation_prepared",
    /// It was said which devices get certificates of the new CA first.
    CaRotationCanary => "ca.rotation_canary",
    /// The new CA signs for all; the old one is trusted still.
    CaRotationActivated => "ca.rotation_activated",
    /// The old CA is trusted no more.
    CaRotationRetired => "ca.rotation_retired",
    /// A rotation went a step back.
    CaRotationRolledBack => "ca.rotation_rolled_back",
    /// An edge was added: whoever has its token can enrol as it.
    EdgeAdded => "edge.added",
    /// An edge enrolled: it got a certificate.
    EdgeEnrolled => "edge.enrolled",
    /// An edge got another certificate.
    EdgeRenewed => "edge.renewed",
    /// An edge attached itself: its doors count from now on.
    EdgeAttached => "edge.attached",
    /// An edge took its leave: its doors are closed.
    EdgeLeft => "edge.left",
    /// An edge was revoked, with its certificates.
    EdgeRevoked => "edge.revoked",
    /// The key was made that signs what edges are told.
    SnapshotKeyCreated => "snapshot_key.created",
    /// A certificate for the doors themselves was issued.
    DoorCertificateIssued => "door.certificate_issued",
    /// A CA certified a responder that answers OCSP requests for it.
    OcspResponderCertified => "ocsp.responder_certified",
    /// The configuration was read again and is in force; `needs_restart` names what is not yet.
    ConfigurationReloaded => "configuration.reloaded",
    /// A configuration that was to be read again is wrong; the old one stays in force.
    ConfigurationRefused => "configuration.refused",
    /// The configuration was read again, and the doors have other rules.
    RulesChanged => "rules.changed",
    /// A door or the control plane refused somebody.
    Refused => "access.refused",
    /// A door let somebody through whom `enforce` would refuse.
    WouldRefuse => "access.would_refuse",
    /// How many refusals of one kind a minute had.
    RefusalsCounted => "access.counted",
    /// A watched certificate was replaced by another one.
    MonitorChanged => "monitor.changed",
    /// A watched certificate has another key than the pinned one.
    MonitorPinMismatch => "monitor.pin_mismatch",
    /// A watched certificate could not be looked at.
    MonitorUnreachable => "monitor.unreachable",
    /// A watched certificate can be looked at again.
    MonitorReachable => "monitor.reachable",
    /// Somebody accepted the key that a watched certificate has now as the pinned one.
    MonitorAccepted => "monitor.accepted",
    /// Somebody sees to an alert.
    AlertAcknowledged => "alert.acknowledged",
    /// Nobody is told of alerts for a while.
    AlertsSilenced => "alert.silenced",
    /// Everybody is told of alerts again.
    AlertSilenceEnded => "alert.silence_ended",
    /// Doors may trust a CA of somebody else's, where a route asks for it.
    TrustAdded => "trust.added",
    /// Doors trust a CA of somebody else's no more.
    TrustRemoved => "trust.removed",
    /// Every sealed key was sealed anew.
    KeysResealed => "keys.resealed",
    /// The key that signs anchors was made.
    AnchorKeyCreated => "audit.anchor_key_created",
    /// The ends of all chains were signed.
    AuditAnchored => "audit.anchored",
    /// Old entries were removed, up to an end that an anchor vouches for.
    AuditCut => "audit.cut",
    /// Somebody took a copy of audit entries.
    AuditExported => "audit.exported",
    /// Somebody reported an access to data; nothing that this platform saw itself.
    AccessReported => "audit.reported",
}

impl fmt::Display for AuditEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The platform itself: sweeps, start-up repair.
    System,
    /// Whoever runs commands on the machine.
    Operator,
    /// A signed-in person.
    User(UserId),
    /// A program with a person's API token.
    ApiToken {
        /// Whose token.
        user: UserId,
        /// Which one.
        token: ApiTokenId,
    },
    /// A device.
    Device(DeviceId),
    /// Nobody known: a peer at a network address.
    Peer(std::net::IpAddr),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Operator => f.write_str("operator"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::ApiToken { user, token } => write!(f, "user:{user}/token:{token}"),
            Self::Device(id) => write!(f, "device:{id}"),
            Self::Peer(address) => write!(f, "peer:{address}"),
        }
    }
}

/// One entry, before it is chained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Whose chain it belongs to; `None`: the platform's own.
    pub tenant: Option<Tenant>,
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: AuditEvent,
    /// Who.
    pub actor: Actor,
    /// About which device.
    pub device: Option<DeviceId>,
    /// About which certificate.
    pub certificate: Option<CertificateId>,
    /// Further facts; never a secret.
    pub details: BTreeMap<String, String>,
}

impl AuditEntry {
    /// An entry without device, certificate and details.
    #[must_use]
    pub const fn new(tenant: Option<Tenant>, at: Timestamp, event: AuditEvent, actor: Actor) -> Self {
        Self { tenant, at, event, actor, device: None, certificate: None, details: BTreeMap::new() }
    }

    /// The same entry about a device.
    #[must_use]
    pub const fn device(mut self, device: DeviceId) -> Self {
        self.device = Some(device);
        self
    }

    /// The same entry about a certificate.
    #[must_use]
    pub const fn certificate(mut self, certificate: CertificateId) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// The same entry with one more fact.
    #[must_use]
    pub fn detail(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.details.insert(name.to_owned(), value.to_string());
        self
    }
}

/// An entry as its chain holds it, in the texts that are hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainedEntry<'a> {
    /// The tenant's slug; empty for the platform's own chain.
    pub chain: &'a str,
    /// Its number in the chain, from 1.
    pub sequence: u64,
    /// Milliseconds since the epoch.
    pub at_millis: i64,
    /// The event's stable name.
    pub event: &'a str,
    /// The actor's text.
    pub actor: &'a str,
    /// The device id, or empty.
    pub device: &'a str,
    /// The certificate id, or empty.
    pub certificate: &'a str,
    /// The details as JSON with sorted keys.
    pub details: &'a str,
}

impl ChainedEntry<'_> {
    /// The chain's hash after this entry: SHA-256 over the hash before it and every field, each
    /// preceded by its length as eight big-endian bytes.
    #[must_use]
    pub fn hash(&self, previous: &ChainHash) -> ChainHash {
        let mut hasher = Sha256::new();
        hasher.update(b"countersign-audit-v1");
        hasher.update(previous);
        let (sequence, at) = (self.sequence.to_be_bytes(), self.at_millis.to_be_bytes());
        let fields: [&[u8]; 8] = [
            self.chain.as_bytes(),
            &sequence,
            &at,
            self.event.as_bytes(),
            self.actor.as_bytes(),
            self.device.as_bytes(),
            self.certificate.as_bytes(),
            self.details.as_bytes(),
        ];
        for field in fields {
            hasher.update((field.len() as u64).to_be_bytes());
            hasher.update(field);
        }
        hasher.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_names_are_unique() {
        let names: std::collections::BTreeSet<_> =
            AuditEvent::ALL.iter().map(|event| event.as_str()).collect();
        assert_eq!(names.len(), AuditEvent::ALL.len());
    }

    #[test]
    fn moving_text_between_fields_changes_the_hash() {
        let entry = ChainedEntry {
            chain: "acme",
            sequence: 1,
            at_millis: 0,
            event: "a",
            actor: "bc",
            device: "",
            certificate: "",
            details: "{}",
        };
        let moved = ChainedEntry { event: "ab", actor: "c", ..entry.clone() };
        assert_ne!(entry.hash(&CHAIN_START), moved.hash(&CHAIN_START));
        assert_ne!(entry.hash(&CHAIN_START), entry.hash(&[1; 32]));
    }
}
