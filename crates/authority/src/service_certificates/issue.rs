//! Issue: a service gets a certificate for the key of a signing request.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use countersign_ca::{CsrError, PrepareError, PublicKey, ServiceNames, VerifiedCsr};
use countersign_core::ids::CaName;
use countersign_store::{IssuerState, ServiceState, StoreError};
use thiserror::Error;

use super::wanted::{FreeLabel, ServiceProfile};
use super::{ServiceCertificate, ServiceRequest};
use crate::authority::Authority;
use crate::authorized::{Administer, Authorized, Forbidden};
use crate::issue::IssuanceError;
use crate::issuers::{Ca, Issuers, NoIssuer};
use crate::present::key_is_denied;

/// What an admin asks for.
#[derive(Clone, Debug)]
pub struct WantedService {
    /// Who is to sign; when absent, the active service CA.
    pub ca: Option<CaName>,
    /// What it is for.
    pub profile: ServiceProfile,
    /// Whom it names.
    pub names: ServiceNames,
    /// What people call it; those in use that are called so are superseded.
    pub label: Option<FreeLabel>,
    /// For how long, cut at its issuer's end; a year when absent.
    pub lifetime: Option<Duration>,
}

/// No certificate was issued.
#[derive(Debug, Error)]
pub enum ServiceIssueError {
    /// There is no such certificate that could be renewed.
    #[error("unknown certificate")]
    Unknown,
    /// Not for this person.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// The signing request cannot be used.
    #[error("cannot use the signing request")]
    Csr(#[from] CsrError),
    /// The key is denied, or that of a revoked certificate.
    #[error("the key is denied")]
    KeyDenied,
    /// This one gets no successor.
    #[error("not renewed")]
    NotRenewed(#[from] NotRenewed),
    /// Nobody is there to sign.
    #[error("nobody can sign it")]
    Ca(#[from] NoSigner),
    /// The profile or a lint refused it.
    #[error("refused")]
    Refused(#[source] PrepareError),
    /// Something failed on our side.
    #[error("cannot issue the certificate")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
}

/// Why a certificate gets no successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotRenewed {
    /// Its own CA renews it.
    #[error("it was imported: the CA that signed it renews it")]
    Imported,
    /// It is one of the platform's own.
    #[error("doors and OCSP responders renew their own certificates")]
    Own,
    /// It was revoked; what it stood for has to be decided anew.
    #[error("it is revoked: issue another one")]
    Revoked,
}

/// Why a CA does not sign.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoSigner {
    /// It is not there, or its key is not.
    #[error(transparent)]
    Missing(#[from] NoIssuer),
    /// It signs nothing new, in its state.
    #[error("the CA {0} is {1} and signs nothing new")]
    Idle(CaName, IssuerState),
}

impl From<IssuanceError> for ServiceIssueError {
    fn from(error: IssuanceError) -> Self {
        match error {
            IssuanceError::NoIssuer(missing) => Self::Ca(missing.into()),
            IssuanceError::Prepare(refused) => Self::Refused(refused),
            other @ (IssuanceError::Sign(_)
            | IssuanceError::Serial(_)
            | IssuanceError::Upstream(_)
            | IssuanceError::Misissued(_)
            | IssuanceError::Store(_)) => Self::Internal(Box::new(other)),
        }
    }
}

impl From<StoreError> for ServiceIssueError {
    fn from(error: StoreError) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl Authority {
    /// Issues a certificate for the key of a signing request, of which nothing else is used. Not for
    /// whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`ServiceIssueError`]; then nothing was handed out.
    pub async fn issue_service(
        &self,
        by: &Authorized<Administer>,
        wanted: WantedService,
        csr_pem: &str,
    ) -> Result<ServiceCertificate, ServiceIssueError> {
        by.covers_all()?;
        let key = self.accepted_key(csr_pem).await?;
        let issuers = self.issuers();
        let ca = match &wanted.ca {
            Some(name) => issuers.by_name(name),
            None => issuers.active_service(),
        };
        let ca = signs(ca.map_err(NoSigner::from)?)?;
        let profile = wanted.profile.with(wanted.names);
        let lifetime = wanted.lifetime.unwrap_or_else(|| profile.default_lifetime());
        let label = wanted.label.map(Into::into);
        let request = ServiceRequest { ca: ca.name().clone(), profile, lifetime, label };
        self.sign_service((&issuers, ca), &request, &key, (by, None)).await
    }

    /// The key of a signing request whose sender has it, unless it proves nothing any more.
    pub(super) async fn accepted_key(&self, csr_pem: &str) -> Result<PublicKey, ServiceIssueError> {
        let key = VerifiedCsr::from_pem(csr_pem)?.public_key().clone();
        let spki = key.sha256();
        let denied = self.store.read(move |r| Box::pin(async move { key_is_denied(r, spki).await })).await?;
        if denied { Err(ServiceIssueError::KeyDenied) } else { Ok(key) }
    }

    pub(super) async fn sign_service(
        &self,
        (issuers, ca): (&Issuers, &Arc<Ca>),
        request: &ServiceRequest,
        key: &PublicKey,
        (by, renews): (&Authorized<Administer>, Option<&countersign_store::ServiceCertificateRow>),
    ) -> Result<ServiceCertificate, ServiceIssueError> {
        debug_assert!(renews.is_none_or(|row| row.state != ServiceState::Revoked));
        let issued = self.issue_and_record((issuers, ca), request, key, (by.actor(), renews)).await?;
        crate::repair::crash_point("service");
        Ok(issued)
    }
}

/// The CA, if it signs new certificates. Fails closed: one that is about to go, or not there yet, signs
/// nothing.
fn signs(ca: &Arc<Ca>) -> Result<&Arc<Ca>, NoSigner> {
    match ca.state() {
        IssuerState::Active => Ok(ca),
        idle @ (IssuerState::Prepared | IssuerState::Retiring | IssuerState::Retired) => {
            Err(NoSigner::Idle(ca.name().clone(), idle))
        }
    }
}
