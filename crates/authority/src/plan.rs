//! Plan: a tree of CAs and certificates that is to exist. What is missing is made, what exists is left
//! alone, and what exists differently is refused.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_ca::{CertificateFacts, IssueError, Issuer, KeyError, SigningKey, random_serial};
pub use countersign_ca::{DistinguishedName, KeyAlgorithm, Profile, Purpose, ServerPurposes, ServiceNames};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::{CaName, Environment, ServiceLabel, SpkiSha256};
use countersign_core::time::Timestamp;
pub use countersign_store::IssuerRole;
use countersign_store::{IssuerRow, IssuerState, KeptKey, Origin, StoreError};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::authority::Authority;
use crate::issue::IssuanceError;
use crate::issuers::{Ca, NoIssuer, kind_of};
pub use crate::keys::MakeKeyError;
use crate::keys::{MadeKey, on_a_thread};
use crate::service_certificates::issue::ServiceIssueError;
use crate::service_certificates::{ServiceCertificate, ServiceRequest};

/// A CA that is to exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedCa {
    /// Its name.
    pub name: CaName,
    /// What it is for.
    pub role: IssuerRole,
    /// Who signs it; `None` for a root.
    pub parent: Option<CaName>,
    /// Its subject.
    pub subject: DistinguishedName,
    /// The kind of key it gets.
    pub algorithm: KeyAlgorithm,
    /// How long it lives, cut at its parent's end.
    pub lifetime: Duration,
    /// What an intermediate's certificates may be for; empty: anything.
    pub purposes: BTreeSet<Purpose>,
    /// How many CAs may follow below an intermediate.
    pub path_length: Option<u8>,
    /// For which environment it signs.
    pub environment: Option<Environment>,
}

/// A certificate with a key of its own that is to exist.
#[derive(Clone, Debug)]
pub struct PlannedCertificate {
    /// What people call it.
    pub label: ServiceLabel,
    /// Who signs it.
    pub ca: CaName,
    /// What it is for, and whom it names.
    pub profile: Profile,
    /// The kind of key it gets.
    pub algorithm: KeyAlgorithm,
    /// How long it lives, cut at its issuer's end.
    pub lifetime: Duration,
}

/// All of it. Parents come before what they sign.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The CAs.
    pub cas: Vec<PlannedCa>,
    /// The certificates.
    pub certificates: Vec<PlannedCertificate>,
}

/// Whether something had to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was there.
    Exists,
    /// It is there now.
    Made,
}

/// A certificate that was made, with its key.
#[derive(Debug)]
pub struct Credential {
    /// The certificate and the CAs above it.
    pub certificate: ServiceCertificate,
    /// Its key, PKCS #8 in PEM: here and nowhere else.
    pub key: Zeroizing<String>,
}

/// A plan was not carried out, or not to its end. To be tried again: what was made stays.
#[derive(Debug, Error)]
pub enum PlanError {
    /// What exists is not what the plan says.
    #[error("the plan contradicts what exists: {}", .0.join("; "))]
    Contradicts(Vec<String>),
    /// Nobody is there to sign.
    #[error("cannot sign")]
    NoIssuer(#[from] NoIssuer),
    /// A CA's certificate was not issued.
    #[error("cannot issue a certificate")]
    Issue(#[from] IssuanceError),
    /// A service's certificate was not issued.
    #[error("cannot issue the certificate of a service")]
    Service(#[from] ServiceIssueError),
    /// A CA could not be made.
    #[error("cannot make a CA")]
    Ca(#[from] IssueError),
    /// No key could be made.
    #[error("cannot make a key")]
    Key(#[from] KeyError),
    /// No key could be made for a CA.
    #[error("cannot give a CA its key")]
    CaKey(#[from] MakeKeyError),
    /// The store failed.
    #[error("cannot use the store")]
    Store(#[from] StoreError),
}

impl PlannedCa {
    pub(crate) fn profile(&self) -> Profile {
        let subject = self.subject.clone();
        match self.role {
            IssuerRole::Root => Profile::Root { subject },
            IssuerRole::Device => Profile::IssuingDevice { subject },
            IssuerRole::Service => Profile::IssuingService { subject },
            IssuerRole::Intermediate => Profile::Intermediate {
                subject,
                purposes: self.purposes.clone(),
                path_length: self.path_length,
            },
        }
    }

    pub(crate) fn row(
        &self,
        issuer: &Issuer,
        (parent, key): (Option<countersign_core::ids::IssuerKeyId>, KeptKey),
        now: Timestamp,
    ) -> IssuerRow {
        IssuerRow {
            key_id: issuer.key_id(),
            name: self.name.clone(),
            role: self.role,
            parent,
            environment: self.environment.clone(),
            state: IssuerState::Active,
            origin: Origin::Made,
            certificate: issuer.certificate_der().to_vec(),
            key,
            created_at: now,
        }
    }
}

impl Plan {
    /// The CAs with which an installation of this plan begins: its first root, the ones that make devices
    /// and services in the default environment, and those above them.
    #[must_use]
    pub fn founding(&self) -> Vec<PlannedCa> {
        let first = |role| self.cas.iter().find(|ca| ca.role == role && ca.environment.is_none());
        let roles = [IssuerRole::Root, IssuerRole::Device, IssuerRole::Service];
        let mut wanted: BTreeSet<&CaName> = BTreeSet::new();
        for ca in roles.into_iter().filter_map(first) {
            let mut next = Some(ca);
            // What is wanted already has those above it among what is wanted.
            while let Some(ca) = next.filter(|ca| wanted.insert(&ca.name)) {
                next = self.cas.iter().find(|above| Some(&above.name) == ca.parent.as_ref());
            }
        }
        self.cas.iter().filter(|ca| wanted.contains(&ca.name)).cloned().collect()
    }
}

impl Authority {
    /// Compares a plan with what exists.
    ///
    /// # Errors
    /// [`PlanError::Contradicts`] with everything that exists differently.
    pub async fn check_plan(&self, plan: &Plan) -> Result<(), PlanError> {
        let issuers = self.issuers();
        let mut wrong = Vec::new();
        for planned in &plan.cas {
            let makes_leaves = matches!(planned.role, IssuerRole::Device | IssuerRole::Service);
            if let Ok(ca) = issuers.by_name(&planned.name) {
                let parent = ca.parent().and_then(|parent| issuers.by_key(parent));
                wrong.extend(ca_differs(planned, ca, parent.map(|parent| parent.name()))?);
            } else if makes_leaves
                && let Ok(active) = issuers.active(planned.role, planned.environment.as_ref())
            {
                let (name, role, active) = (&planned.name, planned.role, active.name());
                wrong.push(format!("the CA {name} cannot be the {role} CA: that is {active}"));
            }
        }
        for planned in &plan.certificates {
            let Some(row) = self.service_certificate_in_use(&planned.label).await? else { continue };
            let issuer = issuers.by_key(row.reference.issuer).map(|ca| ca.name());
            let request = request_of(planned);
            let (subject, names) = (planned.profile.subject_text(), request.profile.alternatives());
            let label = &planned.label;
            let mut differs = |what: &str, there: &str, planned: &str| {
                if there != planned {
                    wrong.push(format!("the certificate {label} has {what} {there:?}, not {planned:?}"));
                }
            };
            differs("the issuer", issuer.map_or("", CaName::as_str), planned.ca.as_str());
            differs("the profile", &row.profile, planned.profile.as_str());
            differs("the subject", &row.subject, &subject);
            differs("the names", &row.names.to_string(), &names.to_string());
        }
        if wrong.is_empty() { Ok(()) } else { Err(PlanError::Contradicts(wrong)) }
    }

    /// Makes a planned CA unless it exists, with a key in the token if there is one, else sealed into the
    /// store.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub async fn apply_ca(&self, planned: &PlannedCa) -> Result<Outcome, PlanError> {
        let issuers = self.issuers();
        if issuers.by_name(&planned.name).is_ok() {
            return Ok(Outcome::Exists);
        }
        let now = self.now();
        let MadeKey { signer, kept } = self.registry.make_key(planned.algorithm, &planned.name).await?;
        let (row, intent) = match &planned.parent {
            None => {
                let life = (now, planned.lifetime);
                let serial = random_serial(self.node)?;
                let subject = planned.subject.clone();
                let root = on_a_thread(move || Issuer::create_root(subject, signer, serial, life)).await?;
                (planned.row(&root, (None, kept), now), None)
            }
            Some(parent) => {
                let parent = issuers.by_name(parent)?;
                let profile = planned.profile();
                let issued =
                    self.issue_for_service(parent, profile, signer.public_key(), planned.lifetime).await?;
                let issuer = Issuer::open(issued.der(), signer, kind_of(planned.role))?;
                let row = planned.row(&issuer, (Some(parent.key_id()), kept), now);
                (row, Some(issued.reference().clone()))
            }
        };
        let entry = created_entry(&row, now);
        let finished = intent.clone();
        let recorded = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    if let Some(reference) = &finished
                        && !w.finish_intent(reference).await?
                    {
                        return Err(StoreError::raced("issuance intent", &reference.serial));
                    }
                    w.insert_issuer(&row).await?;
                    w.issuer_trust_changed(row.key_id).await?;
                    w.append_audit(&entry).await
                })
            })
            .await;
        if let Err(error) = recorded {
            if let Some(reference) = &intent {
                self.abandon(reference).await?;
            }
            return Err(error.into());
        }
        self.publish_changes().await?;
        Ok(Outcome::Made)
    }

    /// Makes a planned certificate with a fresh key, unless the one in use is that of the key `at_hand`.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub async fn apply_certificate(
        &self,
        planned: &PlannedCertificate,
        at_hand: Option<SpkiSha256>,
    ) -> Result<Option<Credential>, PlanError> {
        let in_use = self.service_certificate_in_use(&planned.label).await?;
        if in_use.is_some_and(|row| Some(row.spki) == at_hand) {
            return Ok(None);
        }
        let key = SigningKey::generate(planned.algorithm)?;
        let request = request_of(planned);
        let certificate = self.issue_service_certificate(&request, key.public_key(), Actor::Operator).await?;
        Ok(Some(Credential { certificate, key: key.pkcs8_pem() }))
    }
}

fn request_of(planned: &PlannedCertificate) -> ServiceRequest {
    ServiceRequest {
        ca: planned.ca.clone(),
        profile: planned.profile.clone(),
        lifetime: planned.lifetime,
        label: Some(planned.label.clone()),
    }
}

/// What of a CA is not as planned. How long it has to live is: time has gone by.
fn ca_differs(planned: &PlannedCa, ca: &Ca, parent: Option<&CaName>) -> Result<Vec<String>, KeyError> {
    let facts = CertificateFacts::of(ca.certificate_der())?;
    let word = |text: Option<&CaName>| text.map_or_else(|| "none".to_owned(), ToString::to_string);
    let environment =
        |one: Option<&Environment>| one.map_or_else(|| "default".to_owned(), ToString::to_string);
    let profile = planned.profile();
    let mut compared = vec![
        ("role", ca.role().to_string(), planned.role.to_string()),
        ("parent", word(parent), word(planned.parent.as_ref())),
        ("subject", facts.subject, profile.subject_text()),
        ("environment", environment(ca.environment()), environment(planned.environment.as_ref())),
        ("key algorithm", facts.key.algorithm().to_string(), planned.algorithm.to_string()),
    ];
    if planned.role == IssuerRole::Intermediate {
        let purposes: Vec<_> = planned.purposes.iter().copied().collect();
        compared.push(("purposes", format!("{:?}", facts.purposes), format!("{purposes:?}")));
        let length =
            |length: Option<u8>| length.map_or_else(|| "any".to_owned(), |length| length.to_string());
        compared.push(("path length", length(facts.path_length), length(planned.path_length)));
    }
    let name = &planned.name;
    Ok(compared
        .into_iter()
        .filter(|(_what, there, planned)| there != planned)
        .map(|(what, there, planned)| format!("the CA {name} has {what} {there:?}, not {planned:?}"))
        .collect())
}

fn created_entry(row: &IssuerRow, now: Timestamp) -> AuditEntry {
    let parent = row.parent.map(|parent| parent.to_string()).unwrap_or_default();
    AuditEntry::new(None, now, AuditEvent::CaCreated, Actor::Operator)
        .detail("name", &row.name)
        .detail("issuer", row.key_id)
        .detail("role", row.role)
        .detail("parent", parent)
        .detail("state", row.state)
}
