//! The calls to a zone's API, each counted before it is made.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use countersign_core::time::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thiserror::Error;

use super::answer::{CertificateStatus, UploadedCa, UpstreamCertificate, page_of, read_answer};
use super::budget::Budget;
use super::error::UpstreamError;
use super::rules::{PHASE, Ruleset};
use super::transport::{ApiMethod, ApiRequest, ApiResponse, Transport};

/// How many certificates are asked for at once; more is not allowed.
const PAGE: u32 = 50;

/// How many pages are read: a zone has 100 certificates by default.
const PAGES: u32 = 200;

/// A zone at Cloudflare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneId(String);

/// A text that is no zone id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a zone id: 32 hex digits, on the zone's overview page under API")]
pub struct ZoneIdError;

impl FromStr for ZoneId {
    type Err = ZoneIdError;

    fn from_str(text: &str) -> Result<Self, ZoneIdError> {
        let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id { Ok(Self(text.to_ascii_lowercase())) } else { Err(ZoneIdError) }
    }
}

impl fmt::Display for ZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The API of a zone. Calls beyond the budget, and during a block, are refused without being made.
#[derive(Debug)]
pub struct Cloudflare {
    transport: Arc<dyn Transport>,
    zone: ZoneId,
    budget: Mutex<Budget>,
}

impl Cloudflare {
    /// The API of `zone`, as far as `transport` carries to it.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, zone: ZoneId) -> Self {
        Self { transport, zone, budget: Mutex::default() }
    }

    /// The zone.
    #[must_use]
    pub const fn zone(&self) -> &ZoneId {
        &self.zone
    }

    /// Has a certificate signed for the key of a signing request, PEM.
    ///
    /// # Errors
    /// [`UpstreamError`]; mind [`UpstreamError::leaves_doubt`].
    pub async fn issue(
        &self,
        csr_pem: &str,
        validity_days: u32,
        now: Timestamp,
    ) -> Result<UpstreamCertificate, UpstreamError> {
        let path = format!("/zones/{}/client_certificates", self.zone);
        let body = json!({ "csr": csr_pem, "validity_days": validity_days });
        let certificate: UpstreamCertificate = self.ask(ApiMethod::Post, path, Some(&body), now).await?;
        checked(certificate)
    }

    /// How a certificate stands; `None` when it is not known.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn status(&self, id: &str, now: Timestamp) -> Result<Option<CertificateStatus>, UpstreamError> {
        self.about(ApiMethod::Get, id, now).await
    }

    /// Asks for a certificate's revocation, which takes its time there; `None` when it is not known, which
    /// is as good.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn revoke(&self, id: &str, now: Timestamp) -> Result<Option<CertificateStatus>, UpstreamError> {
        self.about(ApiMethod::Delete, id, now).await
    }

    async fn about(
        &self,
        method: ApiMethod,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<CertificateStatus>, UpstreamError> {
        if !is_name(id) {
            return Err(UpstreamError::Malformed("a certificate id is no id".to_owned()));
        }
        let path = format!("/zones/{}/client_certificates/{id}", self.zone);
        match self.ask::<UpstreamCertificate>(method, path, None, now).await {
            Ok(certificate) => Ok(Some(certificate.status)),
            Err(UpstreamError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every certificate of the zone, revoked ones included.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn certificates(&self, now: Timestamp) -> Result<Vec<UpstreamCertificate>, UpstreamError> {
        let mut all = Vec::new();
        for page in 1..=PAGES {
            let path =
                format!("/zones/{}/client_certificates?status=all&page={page}&per_page={PAGE}", self.zone);
            let (certificates, pages) =
                page_of::<UpstreamCertificate>(&self.send(ApiMethod::Get, path, None, now).await?)?;
            for certificate in certificates {
                all.push(checked(certificate)?);
            }
            if page >= pages {
                break;
            }
        }
        Ok(all)
    }

    /// The CA certificates that an account has.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn uploaded_cas(
        &self,
        account: &ZoneId,
        now: Timestamp,
    ) -> Result<Vec<UploadedCa>, UpstreamError> {
        let path = format!("/accounts/{account}/mtls_certificates?per_page={PAGE}");
        page_of(&self.send(ApiMethod::Get, path, None, now).await?).map(|(all, _pages)| all)
    }

    /// Gives an account a CA certificate of ours: what it signs is verified at Cloudflare's edge.
    ///
    /// # Errors
    /// [`UpstreamError`]; a CA of one's own needs an Enterprise plan.
    pub async fn upload_ca(
        &self,
        account: &ZoneId,
        (name, pem): (&str, &str),
        now: Timestamp,
    ) -> Result<UploadedCa, UpstreamError> {
        let path = format!("/accounts/{account}/mtls_certificates");
        let body = json!({ "ca": true, "certificates": pem, "name": name });
        self.ask(ApiMethod::Post, path, Some(&body), now).await
    }

    /// The host names of the zone at which clients are asked for a certificate of an uploaded CA.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn hostnames(&self, ca: &str, now: Timestamp) -> Result<Vec<String>, UpstreamError> {
        let path = format!("{}?mtls_certificate_id={ca}", self.associations());
        if !is_name(ca) {
            return Err(UpstreamError::Malformed("the id of a ca is no id".to_owned()));
        }
        self.ask::<Hostnames>(ApiMethod::Get, path, None, now).await.map(|found| found.hostnames)
    }

    /// Replaces them.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn set_hostnames(
        &self,
        ca: &str,
        hostnames: &[String],
        now: Timestamp,
    ) -> Result<(), UpstreamError> {
        let body = json!({ "hostnames": hostnames, "mtls_certificate_id": ca });
        self.ask::<Hostnames>(ApiMethod::Put, self.associations(), Some(&body), now).await.map(drop)
    }

    fn associations(&self) -> String {
        format!("/zones/{}/certificate_authorities/hostname_associations", self.zone)
    }

    /// The custom rules of the zone's firewall; without any there is no ruleset.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn rules(&self, now: Timestamp) -> Result<Ruleset, UpstreamError> {
        match self.ask(ApiMethod::Get, self.entrypoint(), None, now).await {
            Err(UpstreamError::NotFound(_)) => Ok(Ruleset::default()),
            found => found,
        }
    }

    /// Replaces them, all of them: what is to stay must be among `rules`.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn set_rules(&self, rules: &[Value], now: Timestamp) -> Result<Ruleset, UpstreamError> {
        self.ask(ApiMethod::Put, self.entrypoint(), Some(&json!({ "rules": rules })), now).await
    }

    fn entrypoint(&self) -> String {
        format!("/zones/{}/rulesets/phases/{PHASE}/entrypoint", self.zone)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: ApiMethod,
        path: String,
        body: Option<&Value>,
        now: Timestamp,
    ) -> Result<T, UpstreamError> {
        read_answer(&self.send(method, path, body, now).await?)
    }

    async fn send(
        &self,
        method: ApiMethod,
        path: String,
        body: Option<&Value>,
        now: Timestamp,
    ) -> Result<ApiResponse, UpstreamError> {
        self.budget().take(now).map_err(UpstreamError::Throttled)?;
        let body = body.map(|body| body.to_string().into_bytes());
        let response = self.transport.send(ApiRequest { method, path, body }).await?;
        if response.status == 429 {
            self.budget().stay_away(now, response.retry_after);
        }
        Ok(response)
    }

    fn budget(&self) -> std::sync::MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(serde::Deserialize)]
struct Hostnames {
    #[serde(default)]
    hostnames: Vec<String>,
}

/// An id goes into URLs and into the database.
fn checked(certificate: UpstreamCertificate) -> Result<UpstreamCertificate, UpstreamError> {
    if is_name(&certificate.id) {
        Ok(certificate)
    } else {
        Err(UpstreamError::Malformed("a certificate has no id that can be used".to_owned()))
    }
}

fn is_name(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::transport::Sending;
    use std::task::{Context, Poll, Waker};

    /// Answers everything alike and remembers what it was asked.
    #[derive(Debug)]
    struct Canned(u16, &'static str, Mutex<Vec<ApiRequest>>);

    impl Transport for Canned {
        fn send(&self, request: ApiRequest) -> Sending<'_> {
            self.2.lock().unwrap().push(request);
            let answer = ApiResponse { status: self.0, retry_after: None, body: self.1.as_bytes().to_vec() };
            Box::pin(std::future::ready(Ok(answer)))
        }
    }

    fn at_once<T>(work: impl Future<Output = T>) -> T {
        match std::pin::pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done,
            Poll::Pending => panic!("it waits"),
        }
    }

    fn api(status: u16, body: &'static str) -> (Cloudflare, Arc<Canned>) {
        let canned = Arc::new(Canned(status, body, Mutex::default()));
        let zone = "023e105f4ecef8ad9ca31a8372d0c353".parse().unwrap();
        (Cloudflare::new(canned.clone(), zone), canned)
    }

    const NOW: Timestamp = Timestamp::from_secs(1_770_000_000);

    #[test]
    fn a_certificate_is_asked_for_as_documented() {
        let (api, canned) = api(200, "{\"success\":true,\"result\":{\"id\":\"a1\",\"status\":\"active\"}}");
        assert_eq!(at_once(api.issue("CSR", 90, NOW)).unwrap().id, "a1");
        let asked = canned.2.lock().unwrap().pop().unwrap();
        assert_eq!(asked.method, ApiMethod::Post);
        assert_eq!(asked.path, "/zones/023e105f4ecef8ad9ca31a8372d0c353/client_certificates");
        let body: Value = serde_json::from_slice(&asked.body.unwrap()).unwrap();
        assert_eq!(body, json!({ "csr": "CSR", "validity_days": 90 }));
    }

    #[test]
    fn what_is_not_known_is_as_good_as_revoked() {
        let (api, _) = api(404, "{}");
        assert_eq!(at_once(api.revoke("a1", NOW)).unwrap(), None);
    }

    #[test]
    fn nothing_is_asked_during_a_block() {
        let (api, canned) = api(429, "{}");
        for _call in 0..3 {
            assert!(matches!(at_once(api.revoke("a1", NOW)), Err(UpstreamError::Throttled(_))));
        }
        assert_eq!(canned.2.lock().unwrap().len(), 1);
    }

    #[test]
    fn an_id_that_leads_elsewhere_is_refused() {
        let (api, _) = api(200, "{\"success\":true,\"result\":{\"id\":\"../dns\",\"status\":\"active\"}}");
        assert!(matches!(at_once(api.issue("CSR", 90, NOW)), Err(UpstreamError::Malformed(_))));
        assert!(matches!(at_once(api.revoke("a/b", NOW)), Err(UpstreamError::Malformed(_))));
        assert!("zone".parse::<ZoneId>().is_err());
    }
}
