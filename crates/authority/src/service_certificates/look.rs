//! Looking at certificates of services.

use countersign_ca::certificate_pem;
use countersign_core::ids::{CaName, CertificateId, SerialNumber, ServiceLabel};
use countersign_core::time::Timestamp;
pub use countersign_store::{
    Origin, RecordedService, ServiceCertificateCursor, ServiceCertificateRow, ServiceKey, ServiceState,
};
use countersign_store::{ServiceCertificateFilter, StoreError};

use super::ServiceCertificate;
use crate::authority::Authority;
use crate::authorized::{Authorized, View};
use crate::devices::LookError;
use crate::issuers::Issuers;

/// Which certificates of services are wanted.
#[derive(Clone, Debug, Default)]
pub struct ServiceQuery {
    /// Of this CA only.
    pub ca: Option<CaName>,
    /// With this label only.
    pub label: Option<ServiceLabel>,
    /// With this serial number only, whoever signed it.
    pub serial: Option<SerialNumber>,
    /// Only those that stand there.
    pub state: Option<ServiceState>,
    /// Only those whose key is there.
    pub key: Option<ServiceKey>,
    /// Only those that end before this.
    pub expires_before: Option<Timestamp>,
    /// Where the page begins.
    pub after: Option<ServiceCertificateCursor>,
    /// How many.
    pub limit: u32,
}

/// A certificate of a service, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundService {
    /// What is on record.
    pub recorded: RecordedService,
    /// The CA that signed it, if that is one of ours.
    pub ca: Option<CaName>,
}

/// One page of them, newest first.
#[derive(Clone, Debug)]
pub struct ServicePage {
    /// The certificates.
    pub certificates: Vec<FoundService>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<ServiceCertificateCursor>,
}

/// One of them, whole.
#[derive(Clone, Debug)]
pub struct ServiceDetail {
    /// The certificate.
    pub found: FoundService,
    /// Itself, PEM.
    pub pem: String,
    /// The CAs above it, PEM, its issuer first, as far as they are known.
    pub chain: String,
}

impl Authority {
    /// One page of the certificates of services, newest first. Not for whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`LookError`]; unknown is the CA.
    pub async fn list_services(
        &self,
        by: &Authorized<View>,
        query: ServiceQuery,
    ) -> Result<ServicePage, LookError> {
        by.covers_all()?;
        let issuers = self.issuers();
        let issuer = match &query.ca {
            Some(name) => Some(issuers.by_name(name).map_err(|_none| LookError::Unknown)?.key_id()),
            None => None,
        };
        let filter = ServiceCertificateFilter {
            issuer,
            label: query.label,
            serial: query.serial,
            state: query.state,
            key: query.key,
            ends_after: None,
            ends_before: query.expires_before,
            after: query.after,
            limit: query.limit,
        };
        let page = self
            .store
            .read(move |r| Box::pin(async move { r.service_certificate_page(&filter).await }))
            .await?;
        let certificates = page.certificates.into_iter().map(|one| found(&issuers, one)).collect();
        Ok(ServicePage { certificates, next: page.next })
    }

    /// A service's certificate. Not for whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn service(
        &self,
        by: &Authorized<View>,
        id: CertificateId,
    ) -> Result<ServiceDetail, LookError> {
        by.covers_all()?;
        let recorded = self.recorded_service(id).await?.ok_or(LookError::Unknown)?;
        Ok(detail(&self.issuers(), recorded))
    }

    /// The same of one that was issued a moment ago.
    #[must_use]
    pub fn issued_service(&self, issued: ServiceCertificate) -> ServiceDetail {
        let recorded = RecordedService { row: issued.row, key: ServiceKey::Elsewhere, chain: None };
        detail(&self.issuers(), recorded)
    }

    pub(crate) async fn recorded_service(
        &self,
        id: CertificateId,
    ) -> Result<Option<RecordedService>, StoreError> {
        self.store.read(move |r| Box::pin(async move { r.service_certificate(id).await })).await
    }
}

fn found(issuers: &Issuers, recorded: RecordedService) -> FoundService {
    let ca = issuers.by_key(recorded.row.reference.issuer).map(|ca| ca.name().clone());
    FoundService { recorded, ca }
}

pub(super) fn detail(issuers: &Issuers, recorded: RecordedService) -> ServiceDetail {
    let chain = match (&recorded.chain, recorded.row.origin) {
        (Some(chain), Origin::Imported) => chain.clone(),
        (None, Origin::Imported) => String::new(),
        (_, Origin::Made) => issuers.chain_pem(recorded.row.reference.issuer),
    };
    let pem = certificate_pem(&recorded.row.der);
    ServiceDetail { found: found(issuers, recorded), pem, chain }
}
