//! Cas: what there is to know of the CAs of the installation.

use countersign_ca::{CertificateFacts, certificate_pem};
use countersign_core::ids::{CaName, Environment, IssuerKeyId};
use countersign_core::time::Timestamp;
pub use countersign_store::{IssuerRole, IssuerState, KeptKey, Origin};

use crate::authority::Authority;
use crate::issuers::{Ca, NoIssuer};

/// A CA, without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaFacts {
    /// Its key, by name.
    pub key_id: IssuerKeyId,
    /// Its name.
    pub name: CaName,
    /// What it is for.
    pub role: IssuerRole,
    /// Who signed it, if that is on record and another.
    pub parent: Option<IssuerKeyId>,
    /// For which environment it signs; `None`: the default one.
    pub environment: Option<Environment>,
    /// How far it is in its life.
    pub state: IssuerState,
    /// Where it came from.
    pub origin: Origin,
    /// Where its key is kept.
    pub key: KeyPlace,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// When its certificate ends; `None`: that cannot be read.
    pub expires_at: Option<Timestamp>,
    /// Since when it is here.
    pub created_at: Timestamp,
}

/// Where a CA's key is, and whether this process can sign with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPlace {
    /// `sealed`, `pkcs11` or `offline`.
    pub custody: &'static str,
    /// The PKCS #11 URI of a key in a token.
    pub location: Option<String>,
    /// Whether it can be used here and now.
    pub at_hand: KeyAtHand,
}

/// Whether a CA's key can be used by this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAtHand {
    /// It can.
    Yes,
    /// It is elsewhere, or could not be opened.
    No,
}

impl CaFacts {
    /// Its certificate, PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        certificate_pem(&self.certificate)
    }
}

fn facts(ca: &Ca) -> CaFacts {
    let location = match ca.kept_key() {
        KeptKey::Pkcs11(uri) => Some(uri.clone()),
        KeptKey::Sealed(_) | KeptKey::Offline => None,
    };
    let at_hand = if ca.issuer().is_ok() { KeyAtHand::Yes } else { KeyAtHand::No };
    CaFacts {
        key_id: ca.key_id(),
        name: ca.name().clone(),
        role: ca.role(),
        parent: ca.parent(),
        environment: ca.environment().cloned(),
        state: ca.state(),
        origin: ca.origin(),
        key: KeyPlace { custody: ca.kept_key().custody(), location, at_hand },
        certificate: ca.certificate_der().to_vec(),
        expires_at: CertificateFacts::of(ca.certificate_der()).ok().map(|facts| facts.not_after),
        created_at: ca.created_at(),
    }
}

impl Authority {
    /// Every CA, after the one that signed it.
    #[must_use]
    pub fn cas(&self) -> Vec<CaFacts> {
        self.issuers().all().map(|ca| facts(ca)).collect()
    }

    /// A CA and those above it, itself first.
    ///
    /// # Errors
    /// [`NoIssuer::Unknown`].
    pub fn ca_chain(&self, name: &CaName) -> Result<Vec<CaFacts>, NoIssuer> {
        let issuers = self.issuers();
        let ca = issuers.by_name(name)?;
        Ok(issuers.chain(ca.key_id()).into_iter().map(|above| facts(above)).collect())
    }
}
