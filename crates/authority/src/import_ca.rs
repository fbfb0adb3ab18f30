//! Import: a CA that was made elsewhere comes here with its key, and those above it without theirs.

use countersign_ca::{CaCertificate, CaCertificateError, KeyEncryptionKey, SealError, SigningKey};
use countersign_core::audit::AuditEvent;
use countersign_core::ids::{CaName, Environment, IssuerKeyId};
use countersign_core::time::Timestamp;
use countersign_store::{IssuerRole, IssuerRow, IssuerState, KeptKey, Origin, StoreError};
use thiserror::Error;

use crate::authority::Authority;
use crate::ceremony::{TakenIn, is_taken, state_for, taken_entry};
use crate::issuers::kind_of;

/// Longer chains nobody has.
const DEEPEST: usize = 8;

/// A CA that is to be taken in.
#[derive(Debug)]
pub struct CaImport {
    /// What it will be called here.
    pub name: CaName,
    /// What it is for; no root.
    pub role: IssuerRole,
    /// For which environment it signs.
    pub environment: Option<Environment>,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Certificates of CAs above it, DER, in any order, as far as they are not on record.
    pub chain: Vec<Vec<u8>>,
    /// Its key.
    pub key: SigningKey,
}

/// It was not taken in.
#[derive(Debug, Error)]
pub enum ImportCaError {
    /// The name is taken.
    #[error("there is a CA {0} already, or was one, or one waits for its certificate")]
    Exists(CaName),
    /// It is here.
    #[error("the CA {0} has this key already")]
    KeyOnRecord(CaName),
    /// Certificate and key are not of one CA.
    #[error("the certificate is not that of the key")]
    KeyMismatch,
    /// It cannot be such a CA here.
    #[error("the certificate is refused")]
    Certificate(#[from] CaCertificateError),
    /// One above it cannot be what it is to be.
    #[error("the certificate of a CA above it is refused")]
    Above(#[source] CaCertificateError),
    /// The chain does not end in a root.
    #[error(
        "the chain is not complete: the CA that signed {0} is neither among the certificates that were given nor on \
         record"
    )]
    Incomplete(String),
    /// The key could not be sealed.
    #[error("cannot seal the key")]
    Seal(#[from] SealError),
    /// The store failed.
    #[error("cannot use the store")]
    Store(#[from] StoreError),
}

/// A CA and those above it, found to belong together.
struct Chain {
    ca: CaCertificate,
    /// Nearest first, the root last; empty for a CA that signed itself.
    above: Vec<CaCertificate>,
}

impl CaImport {
    /// Its key, by name.
    #[must_use]
    pub fn key_id(&self) -> IssuerKeyId {
        self.key.public_key().sha256().into()
    }

    /// The rows of the CA and of those above it that are not on record yet, a parent before what it signed.
    ///
    /// # Errors
    /// See [`ImportCaError`]. Fails closed: the key must be the certificate's, the certificate that of such
    /// a CA and valid now, and each above must have signed the next, up to a root.
    pub(crate) fn rows(
        &self,
        known: &[IssuerRow],
        kek: &KeyEncryptionKey,
        now: Timestamp,
    ) -> Result<Vec<IssuerRow>, ImportCaError> {
        let Chain { ca, above } = self.read(known, now)?;
        let sealed = kek.seal(&self.key, ca.key_id())?;
        let row = |one: &CaCertificate, name: CaName, role, key| IssuerRow {
            key_id: one.key_id(),
            name,
            role,
            parent: None,
            environment: None,
            state: IssuerState::Active,
            origin: Origin::Imported,
            certificate: one.der().to_vec(),
            key,
            created_at: now,
        };
        let parents: Vec<IssuerKeyId> = above.iter().map(CaCertificate::key_id).collect();
        let own = row(&ca, self.name.clone(), self.role, KeptKey::Sealed(sealed.into()));
        let mut rows = vec![IssuerRow {
            parent: parents.first().copied(),
            environment: self.environment.clone(),
            ..own
        }];
        for (place, one) in above.iter().enumerate() {
            if known.iter().any(|row| row.key_id == one.key_id()) {
                break;
            }
            let role = role_of(one);
            let above = row(one, self.name_above(place, role)?, role, KeptKey::Offline);
            rows.push(IssuerRow { parent: parents.get(place + 1).copied(), ..above });
        }
        rows.reverse();
        Ok(rows)
    }

    fn read(&self, known: &[IssuerRow], now: Timestamp) -> Result<Chain, ImportCaError> {
        let ca = CaCertificate::read(&self.certificate, kind_of(self.role))?;
        if ca.public_key() != self.key.public_key() {
            return Err(ImportCaError::KeyMismatch);
        }
        if let Some(row) = known.iter().find(|row| row.key_id == ca.key_id()) {
            return Err(ImportCaError::KeyOnRecord(row.name.clone()));
        }
        ca.check_valid(now)?;
        let candidates = self.candidates(known)?;
        let mut above: Vec<CaCertificate> = Vec::new();
        let mut below = ca.clone();
        while !below.is_self_issued() {
            let signed = |one: &&CaCertificate| below.names_as_issuer(one);
            let incomplete = || ImportCaError::Incomplete(below.subject_text());
            let next =
                candidates.iter().find(signed).filter(|_| above.len() < DEEPEST).ok_or_else(incomplete)?;
            below.check_signed_by(next).map_err(ImportCaError::Above)?;
            next.check_valid(now).map_err(ImportCaError::Above)?;
            next.check_depth(above.len()).map_err(ImportCaError::Above)?;
            above.push(next.clone());
            below = next.clone();
        }
        below.check_signed_by(&below).map_err(ImportCaError::Above)?;
        Ok(Chain { ca, above })
    }

    /// Everybody who may be above: those on record that sign CAs, and those that were given.
    fn candidates(&self, known: &[IssuerRow]) -> Result<Vec<CaCertificate>, ImportCaError> {
        let signs_cas = |row: &&IssuerRow| {
            matches!(row.role, IssuerRole::Root | IssuerRole::Intermediate)
                && row.state != IssuerState::Retired
        };
        let on_record = known.iter().filter(signs_cas).map(|row| (row.certificate.as_slice(), row.role));
        let given = self.chain.iter().filter(|der| **der != self.certificate);
        let given = given.map(|der| (der.as_slice(), IssuerRole::Intermediate));
        let mut candidates = Vec::new();
        for (der, role) in on_record.chain(given) {
            let read = CaCertificate::read(der, kind_of(role)).map_err(ImportCaError::Above)?;
            let role = role_of(&read);
            candidates.push(CaCertificate::read(der, kind_of(role)).map_err(ImportCaError::Above)?);
        }
        Ok(candidates)
    }

    /// What a CA above is called: `partner-root`, `partner-above-1`.
    fn name_above(&self, place: usize, role: IssuerRole) -> Result<CaName, ImportCaError> {
        let stem: String = self.name.as_str().chars().take(50).collect();
        let name = match role {
            IssuerRole::Root => format!("{stem}-root"),
            IssuerRole::Device | IssuerRole::Service | IssuerRole::Intermediate => {
                format!("{stem}-above-{}", place + 1)
            }
        };
        name.parse().map_err(|_invalid| ImportCaError::Exists(self.name.clone()))
    }
}

fn role_of(certificate: &CaCertificate) -> IssuerRole {
    if certificate.is_self_issued() { IssuerRole::Root } else { IssuerRole::Intermediate }
}

impl Authority {
    /// Takes in a CA with its key, which is sealed into the store, and those above it as certificates alone.
    /// It is active at once when nobody else of its role is; else it waits for a rotation.
    ///
    /// # Errors
    /// See [`ImportCaError`].
    pub async fn import_ca(&self, import: &CaImport) -> Result<TakenIn, ImportCaError> {
        self.catch_up().await?;
        let now = self.now();
        let known = self.store.read(|r| Box::pin(async move { r.issuers().await })).await?;
        let rows = import.rows(&known, &self.registry.keys.kek, now)?;
        let taken = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let mut taken = None;
                    for row in rows {
                        if is_taken(w, &row.name).await? {
                            return Err(ImportCaError::Exists(row.name));
                        }
                        let row = IssuerRow { state: state_for(w, &row).await?, ..row };
                        w.insert_issuer(&row).await?;
                        w.issuer_trust_changed(row.key_id).await?;
                        w.append_audit(&taken_entry(AuditEvent::CaImported, &row, now)).await?;
                        taken = Some(row);
                    }
                    taken.ok_or_else(|| StoreError::raced("ca", "import").into())
                })
            })
            .await?;
        self.publish_changes().await?;
        self.crl.want_now();
        let issuers = self.issuers();
        let parent = taken.parent.and_then(|parent| issuers.by_key(parent)).map(|ca| ca.name().clone());
        let not_after = CaCertificate::read(&taken.certificate, kind_of(taken.role))?.not_after();
        Ok(TakenIn { name: taken.name, role: taken.role, parent, state: taken.state, not_after })
    }
}
