//! Answers about single certificates (OCSP): for everyone who is not one of our doors.
//!
//! Each CA whose key is at hand certifies a responder, with a key that lives in this process alone, when
//! somebody first asks about its certificates; from then on the responder is renewed by itself. Answers
//! without a nonce are kept, and forgotten when what they say is no longer so.

mod kept;
mod responders;

use std::sync::Arc;
use std::time::Duration;

use countersign_ca::ocsp::{
    AskedCertificate, CertificateStatus, OcspAnswer, OcspFailure, OcspPeriod, OcspRequest,
    OcspResponderError, OcspResponseError,
};
use countersign_ca::{KeyError, NameError};
use countersign_core::ids::{CertificateRef, IssuerKeyId};
use countersign_core::time::Timestamp;
use countersign_store::{RecordedStanding, StoreError};
use thiserror::Error;

use self::kept::{Kept, KeptAnswers};
use self::responders::Responders;
use crate::authority::Authority;
use crate::enrol::Chain;
use crate::issue::IssuanceError;
use crate::issuers::Issuers;

/// How long an answer can be relied on: an hour. A kept one is given out for the first half of that.
const ANSWER_LIFE: Duration = Duration::from_secs(3600);

/// An answer to an OCSP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspReply {
    /// OCSPResponse, DER.
    pub der: Arc<[u8]>,
    /// From when until when it holds; `None` for one that is good for this request alone.
    pub period: Option<OcspPeriod>,
}

/// What answering needs.
#[derive(Default)]
pub(crate) struct Ocsp {
    responders: Responders,
    kept: KeptAnswers,
}

/// Why there is no answer about a certificate.
#[derive(Debug, Error)]
enum OcspError {
    /// About a CA that is not ours, or whose key is elsewhere.
    #[error("no responder for that CA")]
    NotOurs,
    /// The CA did not certify its responder.
    #[error("cannot certify the OCSP responder")]
    Certify(#[from] IssuanceError),
    /// The responder has no name.
    #[error("cannot name the OCSP responder")]
    Name(#[from] NameError),
    /// The responder has no key.
    #[error("cannot make the OCSP responder's key")]
    Key(#[from] KeyError),
    /// The responder was not accepted.
    #[error("cannot use the OCSP responder")]
    Responder(#[from] OcspResponderError),
    /// The answer was not signed.
    #[error("cannot sign the OCSP response")]
    Respond(#[from] OcspResponseError),
    /// The store failed.
    #[error("cannot look up what was asked")]
    Store(#[from] StoreError),
}

impl Authority {
    /// Answers an OCSP request, whatever it holds: what cannot be answered gets one of the protocol's
    /// own failures.
    ///
    /// Fails closed: a number that was not issued is never `good`.
    pub async fn answer_ocsp(&self, request: &[u8]) -> OcspReply {
        let request = match OcspRequest::from_der(request) {
            Ok(request) => request,
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "malformed ocsp request");
                return OcspReply::failure(OcspFailure::MalformedRequest);
            }
        };
        match self.answer(&request).await {
            Ok(reply) => reply,
            Err(OcspError::NotOurs) => OcspReply::failure(OcspFailure::Unauthorized),
            Err(error) => {
                tracing::error!(error = %Chain(&error), "cannot answer an ocsp request");
                OcspReply::failure(OcspFailure::TryLater)
            }
        }
    }

    async fn answer(&self, request: &OcspRequest) -> Result<OcspReply, OcspError> {
        let now = self.now();
        let question = kept::question(request);
        if let Some(kept) = question.as_ref().and_then(|question| self.kept_answer(question, now)) {
            return Ok(kept);
        }
        let issuers = self.issuers();
        let ca = self.ocsp.responders.meant(&issuers, request.asked()).ok_or(OcspError::NotOurs)?;
        let responder = self.ocsp.responders.of(self, &ca, now).await?;
        let mut answers = Vec::with_capacity(request.asked().len());
        for asked in request.asked() {
            let status = self.status_of(&issuers, ca.key_id(), asked).await?;
            answers.push(OcspAnswer { asked, status });
        }
        let this_update = now.floor_to_second();
        let period = OcspPeriod { this_update, next_update: this_update + ANSWER_LIFE };
        let der: Arc<[u8]> = responder.respond(&answers, period, request.nonce())?.into();
        let Some(question) = question else { return Ok(OcspReply { der, period: None }) };
        let reply = OcspReply { der, period: Some(period) };
        if let Some(about) = kept::worth_keeping(ca.key_id(), &answers) {
            self.ocsp.kept.keep(question, Kept { reply: reply.clone(), about });
        }
        Ok(reply)
    }

    /// An answer that was given before, still holds, and will for a while.
    fn kept_answer(&self, question: &[u8], now: Timestamp) -> Option<OcspReply> {
        let kept = self.ocsp.kept.find(question)?;
        let period = kept.reply.period?;
        let is_fresh = now < period.this_update + ANSWER_LIFE / 2;
        let was_good = kept.about.good.as_ref();
        let is_denied = was_good.is_some_and(|reference| self.publisher.current().denied.contains(reference));
        (is_fresh && !is_denied).then_some(kept.reply)
    }

    async fn status_of(
        &self,
        issuers: &Issuers,
        issuer: IssuerKeyId,
        asked: &AskedCertificate,
    ) -> Result<CertificateStatus, OcspError> {
        let Some(serial) = asked.serial() else { return Ok(CertificateStatus::Unknown) };
        let reference = CertificateRef { issuer, serial };
        let wanted = reference.clone();
        let standing =
            self.store.read(move |r| Box::pin(async move { r.recorded_standing(&wanted).await })).await?;
        Ok(match standing {
            RecordedStanding::Issued => CertificateStatus::Good,
            RecordedStanding::Revoked { at, reason } => CertificateStatus::Revoked { at, reason },
            // CAs are on record in a place of their own.
            RecordedStanding::Unknown if issuers.has_signed_a_ca(&reference) => CertificateStatus::Good,
            RecordedStanding::Unknown => CertificateStatus::Unknown,
        })
    }
}

impl OcspReply {
    fn failure(failure: OcspFailure) -> Self {
        Self { der: Arc::from(failure.der()), period: None }
    }
}
