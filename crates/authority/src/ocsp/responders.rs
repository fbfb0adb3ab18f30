//! The responders, one for each CA that is asked about.

use std::collections::HashMap;
use std::sync::Arc;

use countersign_ca::ocsp::{AskedCertificate, AskedIssuer, OcspResponder};
use countersign_ca::{DistinguishedName, KeyAlgorithm, Profile, SigningKey};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::Lifetime;
use countersign_core::ids::IssuerKeyId;
use countersign_core::time::Timestamp;
use parking_lot::RwLock;
use tokio::sync::Mutex;

use super::OcspError;
use crate::authority::Authority;
use crate::issuers::{Ca, Issuers};
use crate::service_certificates::made_row;

/// What the responders' certificates are called on record.
const LABEL: &str = "ocsp";

#[derive(Default)]
pub(super) struct Responders {
    /// How questions name the CAs; a key is never that of another CA.
    names: RwLock<HashMap<IssuerKeyId, Arc<AskedIssuer>>>,
    certified: RwLock<HashMap<IssuerKeyId, Certified>>,
    /// Held while a responder is certified, so that one is enough.
    certifying: Mutex<()>,
}

#[derive(Clone)]
struct Certified {
    responder: Arc<OcspResponder>,
    lifetime: Lifetime,
}

impl Responders {
    /// The CA that all questions are about.
    pub(super) fn meant(&self, issuers: &Issuers, asked: &[AskedCertificate]) -> Option<Arc<Ca>> {
        let is_meant = |ca: &Ca| {
            let names = self.names_of(ca);
            names.is_some_and(|names| asked.iter().all(|asked| names.is_meant_by(asked)))
        };
        issuers.all().find(|ca| is_meant(ca)).cloned()
    }

    fn names_of(&self, ca: &Ca) -> Option<Arc<AskedIssuer>> {
        if let Some(names) = self.names.read().get(&ca.key_id()) {
            return Some(Arc::clone(names));
        }
        let names = Arc::new(AskedIssuer::of(ca.certificate_der()).ok()?);
        self.names.write().insert(ca.key_id(), Arc::clone(&names));
        Some(names)
    }

    /// The responder of a CA, certified now if there is none or it is due for renewal.
    pub(super) async fn of(
        &self,
        authority: &Authority,
        ca: &Ca,
        now: Timestamp,
    ) -> Result<Arc<OcspResponder>, OcspError> {
        if let Some(fresh) = self.fresh(ca, now) {
            return Ok(fresh);
        }
        let _one_at_a_time = self.certifying.lock().await;
        if let Some(fresh) = self.fresh(ca, now) {
            return Ok(fresh);
        }
        match authority.certify_responder(ca).await {
            Ok(certified) => {
                let responder = Arc::clone(&certified.responder);
                self.certified.write().insert(ca.key_id(), certified);
                Ok(responder)
            }
            Err(error) => self.still_good(ca, now).ok_or(error),
        }
    }

    fn fresh(&self, ca: &Ca, now: Timestamp) -> Option<Arc<OcspResponder>> {
        let certified = self.certified.read();
        let certified = certified.get(&ca.key_id())?;
        (!certified.lifetime.renewal_due(now)).then(|| Arc::clone(&certified.responder))
    }

    /// The old one while it lasts, when there is no new one.
    fn still_good(&self, ca: &Ca, now: Timestamp) -> Option<Arc<OcspResponder>> {
        let certified = self.certified.read();
        let certified = certified.get(&ca.key_id())?;
        (now < certified.lifetime.expires_at).then(|| Arc::clone(&certified.responder))
    }
}

impl Authority {
    /// Certifies a responder for a CA. Fails closed: without the CA's key nobody answers for it.
    async fn certify_responder(&self, ca: &Ca) -> Result<Certified, OcspError> {
        if ca.issuer().is_err() {
            return Err(OcspError::NotOurs);
        }
        let key = SigningKey::generate(KeyAlgorithm::P256)?;
        let name = format!("{} OCSP responder", ca.name());
        let profile = Profile::Ocsp { subject: DistinguishedName::of_common_name(&name)? };
        let life = profile.default_lifetime();
        let issued = self.issue_for_service(ca, profile.clone(), key.public_key(), life).await?;
        let reference = issued.reference().clone();
        let entry = AuditEntry::new(None, self.now(), AuditEvent::OcspResponderCertified, Actor::System)
            .detail("serial", &reference.serial)
            .detail("issuer", reference.issuer)
            .detail("expiresAt", issued.lifetime().expires_at)
            .detail("spkiSha256", issued.spki());
        let row = made_row(&profile, LABEL.parse().ok(), &issued);
        self.record_own_certificate(row, entry).await?;
        let responder = Arc::new(OcspResponder::new(issued.der(), key)?);
        Ok(Certified { responder, lifetime: issued.lifetime() })
    }
}
