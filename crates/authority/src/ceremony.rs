//! Ceremony: a CA gets its key here and its certificate where the root is. It waits in between, trusted by
//! nobody.

use std::collections::BTreeSet;

use countersign_ca::upstream::signing_request;
use countersign_ca::{CaCertificate, CaCertificateError, Profile, Purpose};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::CaName;
use countersign_core::time::Timestamp;
use countersign_store::{CaRequestRow, IssuerRole, IssuerRow, IssuerState, Origin, Reading, StoreError};
use thiserror::Error;

use crate::authority::Authority;
use crate::issuers::kind_of;
use crate::keys::on_a_thread;
use crate::plan::{DistinguishedName, Outcome, PlannedCa};
use crate::repair::crash_point;

/// What was to be done was not.
#[derive(Debug, Error)]
pub enum CeremonyError {
    /// The name is taken.
    #[error("there is a CA {0} already, or was one")]
    Exists(CaName),
    /// It waits already, and is to be something else.
    #[error("a CA {0} waits for its certificate already, with another {1}")]
    Differs(CaName, &'static str),
    /// Nothing of this name waits.
    #[error("no CA {0} waits for its certificate")]
    Unknown(CaName),
    /// Nothing with this key waits.
    #[error("no CA waits for this certificate: its key is none that was made here for one")]
    NotAsked,
    /// Nobody on record signed it.
    #[error("no CA of this installation that signs CAs has signed the certificate of {0}")]
    NoParent(CaName),
    /// It is not what was asked for.
    #[error("the certificate is refused")]
    Certificate(#[from] CaCertificateError),
    /// The key or the request could not be made, or was damaged.
    #[error("cannot make the CA's request")]
    Make(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store failed.
    #[error("cannot use the store")]
    Store(#[from] StoreError),
}

/// A CA that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenIn {
    /// Its name.
    pub name: CaName,
    /// What it is for.
    pub role: IssuerRole,
    /// Who signed it; `None` when it signed itself.
    pub parent: Option<CaName>,
    /// How far it is: active when nobody else of its role is, else prepared for a rotation.
    pub state: IssuerState,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

/// A CA that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingCa {
    /// Whether its key was made just now.
    pub outcome: Outcome,
    /// Its signing request, DER.
    pub csr: Vec<u8>,
}

fn make(error: impl std::error::Error + Send + Sync + 'static) -> CeremonyError {
    CeremonyError::Make(Box::new(error))
}

impl Authority {
    /// Makes the key of a CA whose certificate is to be signed elsewhere, in the token if there is one, and
    /// its signing request. One that waits already is given again.
    ///
    /// # Errors
    /// See [`CeremonyError`].
    pub async fn request_ca(&self, planned: &PlannedCa) -> Result<PendingCa, CeremonyError> {
        self.catch_up().await?;
        let waiting = self.store.read(|r| Box::pin(async move { r.ca_requests().await })).await?;
        if let Some(row) = waiting.into_iter().find(|row| row.name == planned.name) {
            return match differs(&row, planned) {
                Some(what) => Err(CeremonyError::Differs(row.name, what)),
                None => Ok(PendingCa { outcome: Outcome::Exists, csr: row.csr }),
            };
        }
        if self.issuers().by_name(&planned.name).is_ok() {
            return Err(CeremonyError::Exists(planned.name.clone()));
        }
        let key = self.registry.make_key(planned.algorithm, &planned.name).await.map_err(make)?;
        let key_id = key.signer.public_key().sha256().into();
        let (signer, profile) = (key.signer, planned.profile());
        let csr = on_a_thread(move || signing_request(signer.as_ref(), &profile)).await.map_err(make)?;
        let row = CaRequestRow {
            key_id,
            name: planned.name.clone(),
            role: planned.role,
            environment: planned.environment.clone(),
            subject: planned.subject.to_string(),
            purposes: words_of(&planned.purposes),
            path_length: planned.path_length,
            key: key.kept,
            csr: csr.clone(),
            created_at: self.now(),
        };
        let entry = AuditEntry::new(None, row.created_at, AuditEvent::CaRequested, Actor::Operator)
            .detail("name", &row.name)
            .detail("issuer", row.key_id)
            .detail("role", row.role);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    if is_taken(w, &row.name).await? {
                        return Err(CeremonyError::Exists(row.name));
                    }
                    w.insert_ca_request(&row).await?;
                    Ok(w.append_audit(&entry).await?)
                })
            })
            .await?;
        Ok(PendingCa { outcome: Outcome::Made, csr })
    }

    /// Gives up a CA that waits; a key in a token stays there.
    ///
    /// # Errors
    /// [`CeremonyError::Unknown`], or the store failed.
    pub async fn withdraw_ca_request(&self, name: &CaName) -> Result<(), CeremonyError> {
        let (name, now) = (name.clone(), self.now());
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let waiting = w.ca_requests().await?.into_iter().find(|row| row.name == name);
                    let Some(row) = waiting else { return Err(CeremonyError::Unknown(name)) };
                    w.delete_ca_request(row.key_id).await?;
                    let entry = AuditEntry::new(None, now, AuditEvent::CaRequestWithdrawn, Actor::Operator)
                        .detail("name", &row.name)
                        .detail("issuer", row.key_id);
                    Ok(w.append_audit(&entry).await?)
                })
            })
            .await
    }

    /// Takes in a certificate that was signed elsewhere for a CA that waits.
    ///
    /// # Errors
    /// See [`CeremonyError`]. Fails closed: it must be of a key that waits, signed by a CA on record, valid
    /// now, and pass every lint of what was asked for.
    pub async fn take_in_signed(&self, certificate_der: &[u8]) -> Result<TakenIn, CeremonyError> {
        self.catch_up().await?;
        let now = self.now();
        let public = countersign_ca::PublicKey::from_certificate_der(certificate_der);
        let key_id = public.map_err(CaCertificateError::Key)?.sha256().into();
        let waiting = self.store.read(|r| Box::pin(async move { r.ca_requests().await })).await?;
        let request = waiting.into_iter().find(|row| row.key_id == key_id).ok_or(CeremonyError::NotAsked)?;
        let certificate = CaCertificate::read(certificate_der, kind_of(request.role))?;
        certificate.check_valid(now)?;
        let (parent, above) = self.signer_of(&certificate, &request.name)?;
        above.check_valid(now)?;
        certificate.check_profile(&profile_of(&request)?, &above, now)?;
        let row = IssuerRow {
            key_id,
            name: request.name,
            role: request.role,
            parent: Some(above.key_id()),
            environment: request.environment,
            state: IssuerState::Prepared,
            origin: Origin::Made,
            certificate: certificate_der.to_vec(),
            key: request.key,
            created_at: now,
        };
        let parent = Some(parent);
        let taken = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    if !w.delete_ca_request(row.key_id).await? {
                        return Err(CeremonyError::NotAsked);
                    }
                    let row = IssuerRow { state: state_for(w, &row).await?, ..row };
                    w.insert_issuer(&row).await?;
                    w.issuer_trust_changed(row.key_id).await?;
                    w.append_audit(&taken_entry(AuditEvent::CaSignedElsewhere, &row, now)).await?;
                    crash_point("take_in_signed");
                    let (name, role, state) = (row.name, row.role, row.state);
                    Ok(TakenIn { name, role, parent, state, not_after: certificate.not_after() })
                })
            })
            .await?;
        self.publish_changes().await?;
        Ok(taken)
    }

    /// The CA on record that signed a certificate.
    fn signer_of(
        &self,
        certificate: &CaCertificate,
        name: &CaName,
    ) -> Result<(CaName, CaCertificate), CeremonyError> {
        let issuers = self.issuers();
        let mut refused = None;
        let signs_cas = |role| matches!(role, IssuerRole::Root | IssuerRole::Intermediate);
        for ca in issuers.all().filter(|ca| signs_cas(ca.role()) && ca.state() != IssuerState::Retired) {
            let above = CaCertificate::read(ca.certificate_der(), kind_of(ca.role()))?;
            match certificate.check_signed_by(&above) {
                Ok(()) => return Ok((ca.name().clone(), above)),
                Err(CaCertificateError::OtherIssuer) => {}
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.map_or_else(|| CeremonyError::NoParent(name.clone()), CeremonyError::Certificate))
    }
}

/// What of a CA that waits is not as it is asked for now.
fn differs(row: &CaRequestRow, planned: &PlannedCa) -> Option<&'static str> {
    let algorithm = countersign_ca::VerifiedCsr::from_der(&row.csr).map(|csr| csr.public_key().algorithm());
    let same = [
        ("role", row.role == planned.role),
        ("subject", row.subject == planned.subject.to_string()),
        ("environment", row.environment == planned.environment),
        ("purposes", row.purposes == words_of(&planned.purposes)),
        ("path length", row.path_length == planned.path_length),
        ("key algorithm", algorithm.is_ok_and(|algorithm| algorithm == planned.algorithm)),
    ];
    same.into_iter().find(|(_what, same)| !same).map(|(what, _different)| what)
}

const PURPOSES: [(Purpose, &str); 2] =
    [(Purpose::ServerAuth, "serverAuth"), (Purpose::ClientAuth, "clientAuth")];

fn words_of(purposes: &BTreeSet<Purpose>) -> String {
    let known = PURPOSES.iter().filter(|(purpose, _)| purposes.contains(purpose));
    known.map(|(_, word)| *word).collect::<Vec<_>>().join(" ")
}

/// What the certificate of a CA that waits is to be.
fn profile_of(row: &CaRequestRow) -> Result<Profile, CeremonyError> {
    let subject: DistinguishedName = row.subject.parse().map_err(make)?;
    let has = |word: &str| row.purposes.split(' ').any(|one| one == word);
    Ok(match row.role {
        IssuerRole::Root => Profile::Root { subject },
        IssuerRole::Device => Profile::IssuingDevice { subject },
        IssuerRole::Service => Profile::IssuingService { subject },
        IssuerRole::Intermediate => Profile::Intermediate {
            subject,
            purposes: PURPOSES.iter().filter(|(_, word)| has(word)).map(|(purpose, _)| *purpose).collect(),
            path_length: row.path_length,
        },
    })
}

/// Whether a CA has or had the name, or one with it waits.
pub(crate) async fn is_taken(r: &mut Reading<'_>, name: &CaName) -> Result<bool, StoreError> {
    let waits = r.ca_requests().await?.iter().any(|row| row.name == *name);
    Ok(waits || r.issuers().await?.iter().any(|row| row.name == *name))
}

/// Active, unless another of its role and environment is: then it waits for a rotation.
pub(crate) async fn state_for(r: &mut Reading<'_>, row: &IssuerRow) -> Result<IssuerState, StoreError> {
    let is_alone = matches!(row.role, IssuerRole::Device | IssuerRole::Service);
    let other = r.issuers().await?.into_iter().any(|other| {
        other.role == row.role && other.environment == row.environment && other.state == IssuerState::Active
    });
    Ok(if is_alone && other { IssuerState::Prepared } else { IssuerState::Active })
}

/// The entry about a CA that was taken in.
pub(crate) fn taken_entry(event: AuditEvent, row: &IssuerRow, now: Timestamp) -> AuditEntry {
    let parent = row.parent.map(|parent| parent.to_string()).unwrap_or_default();
    AuditEntry::new(None, now, event, Actor::Operator)
        .detail("name", &row.name)
        .detail("issuer", row.key_id)
        .detail("role", row.role)
        .detail("parent", parent)
        .detail("state", row.state)
        .detail("custody", row.key.custody())
}
