//! The lists of a CA whose key is offline: asked for here, signed where the key is, taken in here.

use std::time::Duration;

use countersign_ca::{
    CaCertificate, CaCertificateError, CrlContents, CrlEntry, CrlError, Issuer, SignedCrl, SignedCrlError,
};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::crl_scope::CrlScope;
use countersign_core::ids::{CaName, IssuerKeyId};
use countersign_core::time::Timestamp;
use countersign_store::{CrlName, CrlRow, KeptKey, StoreError, Writing};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::ahead::every_scope;
use crate::authority::Authority;
use crate::issuers::{Ca, NoIssuer, kind_of};

/// Clocks of machines that are never online go wrong.
const CLOCKS: Duration = Duration::from_secs(86_400);

const NOT_OURS: &str =
    "no list of ours is published at the place in it; is this the configuration of the server?";

/// What the lists of a CA are to say; carried to where its key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CrlRequest {
    /// The CA's name.
    pub ca: CaName,
    /// Its key, by name.
    pub issuer: IssuerKeyId,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// Every list.
    pub lists: Vec<RequestedCrl>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestedCrl {
    /// Its number, taken for it.
    pub number: u64,
    /// Where it will be, if certificates name that place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution_point: Option<String>,
    /// What is revoked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<RequestedEntry>,
}

/// A certificate that is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestedEntry {
    /// Its serial number, lower-case hex.
    pub serial: String,
    /// Since when.
    pub revoked_at: Timestamp,
    /// Why.
    pub reason: String,
}

/// No list was asked for, or none taken in.
#[derive(Debug, Error)]
pub enum CrlCeremonyError {
    /// There is no such CA.
    #[error("cannot use the CA")]
    Ca(#[from] NoIssuer),
    /// Its lists are signed here.
    #[error("the key of the CA {0} is not offline: a running server signs its revocation lists")]
    Here(CaName),
    /// This is not the configuration under which its lists are published.
    #[error(
        "revocation lists of the CA {0} are at the installation's public address, and this configuration has none: \
         name the configuration of the server"
    )]
    NoAddress(CaName),
    /// No CA whose key is offline signed it.
    #[error("no CA of this installation whose key is offline has signed the revocation list")]
    NobodysList,
    /// It is not as it should be.
    #[error("the revocation list is refused")]
    Refused(#[from] SignedCrlError),
    /// It is not what was asked for.
    #[error("the revocation list with the number {0} is refused: {1}")]
    Unwanted(u64, &'static str),
    /// The CA's own certificate cannot be read.
    #[error("cannot read the certificate of the CA")]
    Certificate(#[from] CaCertificateError),
    /// The store failed.
    #[error("cannot use the store")]
    Store(#[from] StoreError),
}

/// What is wrong with a request for lists.
#[derive(Debug, Error)]
pub enum BadCrlRequest {
    /// Something in it is no value.
    #[error("the request has {what} {value:?}")]
    Value {
        /// What it is to be.
        what: &'static str,
        /// What it is.
        value: String,
    },
    /// It was made for another CA.
    #[error("the request is for the key {0}, which is another CA's")]
    OtherCa(IssuerKeyId),
    /// It asks for nothing.
    #[error("the request asks for no list")]
    Empty,
    /// The list was not signed.
    #[error("cannot sign a list")]
    Sign(#[from] CrlError),
}

/// A list that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenCrl {
    /// Whose it is.
    pub ca: CaName,
    /// Its number.
    pub number: u64,
    /// Until when it lasts.
    pub until: Timestamp,
}

impl CrlRequest {
    /// Signs what is asked for, for so long; at most to the CA's own end. In the order of the request.
    ///
    /// # Errors
    /// See [`BadCrlRequest`].
    pub fn sign(
        &self,
        issuer: &Issuer,
        now: Timestamp,
        life: Duration,
    ) -> Result<Vec<Vec<u8>>, BadCrlRequest> {
        if self.issuer != issuer.key_id() {
            return Err(BadCrlRequest::OtherCa(self.issuer));
        }
        if self.lists.is_empty() {
            return Err(BadCrlRequest::Empty);
        }
        let next_update = (now + life).min(issuer.not_after()).floor_to_second();
        let sign = |list: &RequestedCrl| {
            let contents = CrlContents {
                number: list.number,
                this_update: now.floor_to_second(),
                next_update,
                entries: list.revoked.iter().map(RequestedEntry::entry).collect::<Result<_, _>>()?,
                distribution_point: list.distribution_point.clone(),
            };
            Ok(issuer.sign_crl(&contents)?)
        };
        self.lists.iter().map(sign).collect()
    }

    /// The highest number in it.
    #[must_use]
    pub fn highest_number(&self) -> u64 {
        self.lists.iter().map(|list| list.number).max().unwrap_or_default()
    }
}

impl RequestedEntry {
    fn entry(&self) -> Result<CrlEntry, BadCrlRequest> {
        let bad = |what, value: &str| BadCrlRequest::Value { what, value: value.to_owned() };
        Ok(CrlEntry {
            serial: self.serial.parse().map_err(|_invalid| bad("the serial number", &self.serial))?,
            revoked_at: self.revoked_at,
            reason: self.reason.parse().map_err(|_invalid| bad("the reason", &self.reason))?,
        })
    }
}

impl Authority {
    /// What the lists of a CA whose key is offline are to say now, each with a fresh number.
    ///
    /// # Errors
    /// See [`CrlCeremonyError`].
    pub async fn crl_request(&self, name: &CaName) -> Result<CrlRequest, CrlCeremonyError> {
        self.catch_up().await?;
        let issuers = self.issuers();
        let ca = issuers.by_name(name)?;
        if *ca.kept_key() != KeptKey::Offline {
            return Err(CrlCeremonyError::Here(name.clone()));
        }
        if self.lacks_public_address(ca).await? {
            return Err(CrlCeremonyError::NoAddress(name.clone()));
        }
        let drafts = self.draft_crls(ca.key_id(), &every_scope(self.lists())).await?;
        let entry = |entry: CrlEntry| RequestedEntry {
            serial: entry.serial.to_string(),
            revoked_at: entry.revoked_at,
            reason: entry.reason.to_string(),
        };
        let lists = drafts.into_iter().map(|draft| RequestedCrl {
            number: draft.contents.number,
            distribution_point: draft.contents.distribution_point,
            revoked: draft.contents.entries.into_iter().map(entry).collect(),
        });
        Ok(CrlRequest { ca: name.clone(), issuer: ca.key_id(), asked_at: self.now(), lists: lists.collect() })
    }

    /// Takes in a list that was signed elsewhere; from then on it is the one that is published. The one that
    /// is published already changes nothing.
    ///
    /// # Errors
    /// See [`CrlCeremonyError`]. Fails closed: it must be signed by a CA whose key is offline, with a number
    /// that was taken for it and is higher than the one on record, and not be over.
    pub async fn take_in_crl(&self, der: &[u8]) -> Result<TakenCrl, CrlCeremonyError> {
        self.catch_up().await?;
        let (issuers, now) = (self.issuers(), self.now());
        let mut refused = CrlCeremonyError::NobodysList;
        for ca in issuers.all().filter(|ca| *ca.kept_key() == KeptKey::Offline) {
            let certificate = CaCertificate::read(ca.certificate_der(), kind_of(ca.role()))?;
            match SignedCrl::read(der, &certificate) {
                Ok(list) => return self.take_in(ca, &list, now).await,
                Err(SignedCrlError::Signature(_)) => {}
                Err(error) => refused = error.into(),
            }
        }
        Err(refused)
    }

    async fn take_in(&self, ca: &Ca, list: &SignedCrl, now: Timestamp) -> Result<TakenCrl, CrlCeremonyError> {
        let contents = list.contents().clone();
        let unwanted = |why| Err(CrlCeremonyError::Unwanted(contents.number, why));
        let scope = every_scope(self.lists()).into_iter().find(|scope| {
            let place = CrlName { issuer: ca.key_id(), scope: *scope };
            let url = if *scope == CrlScope::Whole { None } else { self.crl_url(place) };
            url == contents.distribution_point
        });
        let Some(scope) = scope else { return unwanted(NOT_OURS) };
        if contents.this_update > now + CLOCKS {
            return unwanted("it was made in the future; set the clock where it was signed");
        }
        if contents.next_update <= now {
            return unwanted("it is over");
        }
        let row = CrlRow {
            issuer: ca.key_id(),
            scope,
            number: contents.number,
            this_update: contents.this_update,
            next_update: contents.next_update,
            der: list.der().to_vec(),
        };
        let entry = AuditEntry::new(None, now, AuditEvent::CrlImported, Actor::Operator)
            .detail("issuer", ca.key_id())
            .detail("number", contents.number)
            .detail("until", contents.next_update)
            .detail("entries", contents.entries.len());
        let taken = TakenCrl { ca: ca.name().clone(), number: contents.number, until: contents.next_update };
        let (keeping, place) = (self.lists(), CrlName { issuer: row.issuer, scope });
        self.store
            .write(move |w| {
                Box::pin(async move {
                    if w.latest_crl(place).await?.is_some_and(|known| known == row) {
                        return Ok(());
                    }
                    let marks = w.crl_marks(Some(row.issuer)).await?;
                    let is_whole = is_complete(w, &row, &contents, now).await?;
                    save(w, &row).await?;
                    // What was revoked since it was asked for still waits for the next one.
                    for mark in marks.iter().filter(|mark| is_whole && keeping.answering(mark).scope == scope)
                    {
                        w.clear_crl_mark(mark).await?;
                    }
                    Ok::<_, CrlCeremonyError>(w.append_audit(&entry).await?)
                })
            })
            .await?;
        Ok(taken)
    }
}

/// Whether a list has everything that is revoked now.
async fn is_complete(
    w: &mut Writing<'_>,
    row: &CrlRow,
    contents: &CrlContents,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let revoked = w.crl_entries(CrlName { issuer: row.issuer, scope: row.scope }, now).await?;
    let has = |serial| contents.entries.iter().any(|entry| entry.serial == serial);
    Ok(revoked.into_iter().all(|one| has(one.reference.serial)))
}

async fn save(w: &mut Writing<'_>, row: &CrlRow) -> Result<(), CrlCeremonyError> {
    let unwanted = |why| Err(CrlCeremonyError::Unwanted(row.number, why));
    // Numbers are taken here: one that was not would make all that come after it too low.
    if w.next_crl_numbers(row.issuer, 1).await? <= row.number {
        return unwanted("its number was not taken here; sign what `countersign ca crl-request` wrote");
    }
    if w.save_crl(row).await? { Ok(()) } else { unwanted("a later one is on record") }
}
