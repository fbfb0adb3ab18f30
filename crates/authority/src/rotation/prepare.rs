//! Prepare: the new CA, made like the old one, trusted everywhere and signing nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use countersign_ca::{CertificateFacts, DistinguishedName, Issuer, NameAttribute, Profile};
use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_core::ids::{CaName, IssuerKeyId, RotationId};
use countersign_core::rotation::RotationStep;
use countersign_core::time::Timestamp;
use countersign_store::{
    IssuerRole, IssuerRow, IssuerState, KeptKey, Origin, RotationRow, StoreError, Writing,
};

use crate::authority::Authority;
use crate::authorized::{Authorized, Own};
use crate::issuers::{Ca, Issuers, kind_of};
use crate::keys::MadeKey;
use crate::publish::Applied;
use crate::rotation::refused::{Refused, RotationError};

const ROOT: &str = "it is a root, which everybody pins; make a second root and move the fleet's trust";
const NOT_ACTIVE: &str = "it is not active";
const NO_PARENT: &str = "the CA that signed it is not on record";
const OTHER_ROLE: &str = "the CA that is to take its place is of another role";
const OTHER_ENVIRONMENT: &str = "the CA that is to take its place is of another environment";
const NOT_PREPARED: &str = "the CA that is to take its place is not one that waits, prepared, for a rotation";
const IN_TOKEN: &str = "its key is in a token, and a new one would not be";

/// How long a common name may be (RFC 5280 appendix A).
const COMMON_NAME: usize = 64;

impl Authority {
    /// Begins a rotation: makes a CA like this one, of the same parent, with a fresh key and the next free
    /// name, unless one that is prepared already is to take its place. Every edge trusts it from then on.
    ///
    /// # Errors
    /// See [`RotationError`].
    pub async fn prepare_rotation(
        &self,
        by: &Authorized<Own>,
        name: &CaName,
        to: Option<&CaName>,
    ) -> Result<(CaName, Applied), RotationError> {
        by.covers_all()?;
        self.catch_up().await?;
        let issuers = self.issuers();
        let old = rotatable(&issuers, name)?;
        let prepared = match to {
            Some(to) => self.rotate_to(by, old, successor(&issuers, old, to)?).await,
            None => self.rotate_to_new(by, (&issuers, old)).await,
        }?;
        Ok((prepared, self.publish_changes().await?))
    }

    /// Begins it with a CA that is there: signed where the root is, or brought along.
    async fn rotate_to(
        &self,
        by: &Authorized<Own>,
        old: &Arc<Ca>,
        new: &Arc<Ca>,
    ) -> Result<CaName, RotationError> {
        let now = self.now();
        let entry = entry_of(old, (new.name(), new.key_id(), new.role()), (now, by));
        let (old, new) = (Arc::clone(old), Arc::clone(new));
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let is_prepared =
                        |row: &IssuerRow| row.key_id == new.key_id() && row.state == IssuerState::Prepared;
                    if !w.issuers().await?.iter().any(is_prepared) {
                        return Err(Refused::Raced.into());
                    }
                    record(w, &old, (new.key_id(), now), entry).await?;
                    Ok(new.name().clone())
                })
            })
            .await
    }

    async fn rotate_to_new(
        &self,
        by: &Authorized<Own>,
        (issuers, old): (&Issuers, &Arc<Ca>),
    ) -> Result<CaName, RotationError> {
        let now = self.now();
        let name = old.name();
        if matches!(old.kept_key(), KeptKey::Pkcs11(_)) && !self.registry.keys.are_made_in_token() {
            return Err(Refused::NotPossible(name.clone(), IN_TOKEN).into());
        }
        let parent = parent_for(issuers, old)?;
        let facts = CertificateFacts::of(old.certificate_der()).map_err(make)?;
        let profile = profile_of(old, &facts)?;
        let name = next_name(issuers, old.name())?;
        let key = self.registry.make_key(facts.key.algorithm(), &name).await.map_err(make)?;
        let public = key.signer.public_key();
        let issued = self.issue_for_service(parent, profile, public, life_of(old, &facts)).await;
        let issued = issued.map_err(make)?;
        let made = new_row(name, old, parent, (issued.der(), key), now);
        let reference = issued.reference().clone();
        let recorded = match made {
            Ok(row) => {
                let entry = entry_of(old, (&row.name, row.key_id, row.role), (now, by));
                let (old, finished) = (Arc::clone(old), reference.clone());
                self.store
                    .write(move |w| {
                        Box::pin(async move {
                            if !w.finish_intent(&finished).await? {
                                return Err(StoreError::raced("issuance intent", &finished.serial).into());
                            }
                            w.insert_issuer(&row).await?;
                            record(w, &old, (row.key_id, now), entry).await?;
                            Ok(row.name)
                        })
                    })
                    .await
            }
            Err(error) => Err(error),
        };
        if recorded.is_err() {
            self.abandon(&reference).await?;
        }
        recorded
    }
}

/// The CA that is to take another's place, if it can.
fn successor<'i>(issuers: &'i Issuers, old: &Ca, to: &CaName) -> Result<&'i Arc<Ca>, RotationError> {
    let new = issuers.by_name(to)?;
    let refused = |why| Err(Refused::NotPossible(old.name().clone(), why).into());
    if let Some(known) = issuers.rotations().iter().find(|rotation| rotation.is_about(new.key_id())) {
        return Err(Refused::GoesOn(to.clone(), known.row.step).into());
    }
    if new.role() != old.role() {
        return refused(OTHER_ROLE);
    }
    if new.environment() != old.environment() {
        return refused(OTHER_ENVIRONMENT);
    }
    if new.state() != IssuerState::Prepared {
        return refused(NOT_PREPARED);
    }
    new.issuer()?;
    Ok(new)
}

fn new_row(
    name: CaName,
    old: &Ca,
    parent: &Ca,
    (certificate, key): (&[u8], MadeKey),
    now: Timestamp,
) -> Result<IssuerRow, RotationError> {
    let issuer = Issuer::open(certificate, key.signer, kind_of(old.role())).map_err(make)?;
    Ok(IssuerRow {
        key_id: issuer.key_id(),
        name,
        role: old.role(),
        parent: Some(parent.key_id()),
        environment: old.environment().cloned(),
        state: IssuerState::Prepared,
        origin: Origin::Made,
        certificate: certificate.to_vec(),
        key: key.kept,
        created_at: now,
    })
}

fn make(error: impl std::error::Error + Send + Sync + 'static) -> RotationError {
    RotationError::Make(Box::new(error))
}

/// The CA, if it is one that can be rotated now.
fn rotatable<'i>(issuers: &'i Issuers, name: &CaName) -> Result<&'i Arc<Ca>, RotationError> {
    let ca = issuers.by_name(name)?;
    let refused = |why| Err(Refused::NotPossible(name.clone(), why).into());
    if let Some(known) = issuers.rotations().iter().find(|rotation| rotation.is_about(ca.key_id())) {
        return Err(Refused::GoesOn(name.clone(), known.row.step).into());
    }
    match (ca.role(), ca.state()) {
        (IssuerRole::Root, _) => refused(ROOT),
        (_, IssuerState::Prepared | IssuerState::Retiring | IssuerState::Retired) => refused(NOT_ACTIVE),
        (IssuerRole::Device | IssuerRole::Service | IssuerRole::Intermediate, IssuerState::Active) => Ok(ca),
    }
}

/// Who signs the new CA: who signed the old one, or the one that took that one's place.
fn parent_for<'i>(issuers: &'i Issuers, old: &Ca) -> Result<&'i Arc<Ca>, RotationError> {
    let refused = || Refused::NotPossible(old.name().clone(), NO_PARENT);
    let mut parent = old.parent().and_then(|parent| issuers.by_key(parent)).ok_or_else(refused)?;
    let successor = issuers.rotations().iter().find(|rotation| rotation.row.old == parent.key_id());
    if let Some(rotation) = successor
        && rotation.row.step == RotationStep::Active
    {
        parent = issuers.by_key(rotation.row.new).ok_or_else(refused)?;
    }
    parent.issuer()?;
    Ok(parent)
}

fn profile_of(old: &Ca, facts: &CertificateFacts) -> Result<Profile, RotationError> {
    let subject = next_subject(&facts.subject)?;
    Ok(match old.role() {
        IssuerRole::Root => return Err(Refused::NotPossible(old.name().clone(), ROOT).into()),
        IssuerRole::Device => Profile::IssuingDevice { subject },
        IssuerRole::Service => Profile::IssuingService { subject },
        IssuerRole::Intermediate => Profile::Intermediate {
            subject,
            purposes: facts.purposes.iter().copied().collect::<BTreeSet<_>>(),
            path_length: facts.path_length,
        },
    })
}

/// As long as the old one's whole life; the parent's end cuts it.
fn life_of(old: &Ca, facts: &CertificateFacts) -> Duration {
    let begun = match old.origin() {
        Origin::Made => old.created_at(),
        Origin::Imported => facts.not_before,
    };
    facts.not_after.since(begun)
}

/// A text with the next number behind it: `device`, `device-2`, `device-3`.
fn numbered(text: &str, mark: char) -> (String, u32) {
    let split = text.rsplit_once(mark).and_then(|(stem, number)| Some((stem, number.parse::<u32>().ok()?)));
    match split {
        Some((stem, number)) if (2..u32::MAX).contains(&number) => (stem.to_owned(), number + 1),
        Some(_) | None => (text.to_owned(), 2),
    }
}

/// The first such name that no CA has or had.
fn next_name(issuers: &Issuers, old: &CaName) -> Result<CaName, RotationError> {
    let (stem, first) = numbered(old.as_str(), '-');
    (first..=u32::MAX)
        .take(1001)
        .filter_map(|number| format!("{}-{number}", cut(&stem, 57)).parse::<CaName>().ok())
        .find(|name| issuers.by_name(name).is_err())
        .ok_or_else(|| Refused::NotPossible(old.clone(), "there is no free name for the new one").into())
}

/// The old subject with the next number in its common name: two CAs of one name confuse people, and
/// verifiers that look for a CRL by name.
fn next_subject(old: &str) -> Result<DistinguishedName, RotationError> {
    let old: DistinguishedName = old.parse().map_err(make)?;
    let mut attributes = old.attributes().to_vec();
    match attributes.iter_mut().rev().find(|(attribute, _text)| *attribute == NameAttribute::CommonName) {
        Some((_common_name, text)) => {
            let (stem, number) = numbered(text, ' ');
            let number = format!(" {number}");
            *text = format!("{}{number}", cut(&stem, COMMON_NAME - number.len()));
        }
        None => attributes.push((NameAttribute::CommonName, "CA 2".to_owned())),
    }
    DistinguishedName::new(attributes).map_err(make)
}

fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

fn entry_of(
    old: &Ca,
    (name, issuer, role): (&CaName, IssuerKeyId, IssuerRole),
    (now, by): (Timestamp, &Authorized<Own>),
) -> AuditEntry {
    AuditEntry::new(None, now, AuditEvent::CaRotationPrepared, by.actor())
        .detail("old", old.name())
        .detail("oldIssuer", old.key_id())
        .detail("new", name)
        .detail("newIssuer", issuer)
        .detail("role", role)
}

/// Records the rotation to a new CA that is on record, within a transaction, if the old CA is still to be
/// rotated.
async fn record(
    w: &mut Writing<'_>,
    old: &Ca,
    (new, now): (IssuerKeyId, Timestamp),
    entry: AuditEntry,
) -> Result<(), RotationError> {
    let known = w.rotation_of(old.key_id()).await?.filter(|row| row.step.is_open());
    if let Some(row) = known {
        return Err(Refused::GoesOn(old.name().clone(), row.step).into());
    }
    let is_active = |row: &IssuerRow| row.key_id == old.key_id() && row.state == IssuerState::Active;
    if !w.issuers().await?.iter().any(is_active) {
        return Err(Refused::Raced.into());
    }
    let version = w.issuer_trust_changed(new).await?;
    let row = RotationRow {
        id: RotationId::random(),
        old: old.key_id(),
        new,
        step: RotationStep::Prepared,
        canary: None,
        prepared_at: now,
        prepared_epoch: version.epoch,
        activated_at: None,
        ended_at: None,
        renewal: None,
    };
    w.insert_rotation(&row).await?;
    w.append_audit(&entry.detail("rotation", row.id).detail("epoch", version.epoch)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_up() {
        for (old, stem, number) in [("device", "device", 2), ("device-2", "device", 3), ("a-1", "a-1", 2)] {
            assert_eq!(numbered(old, '-'), (stem.to_owned(), number));
        }
        let subject = |old: &str| next_subject(old).unwrap().to_string();
        assert_eq!(subject("CN=example device CA,O=Example"), "CN=example device CA 2,O=Example");
        assert_eq!(subject("CN=example device CA 2"), "CN=example device CA 3");
        assert_eq!(subject("O=Example"), "CN=CA 2,O=Example");
        let long = format!("CN={}", "x".repeat(64));
        assert_eq!(subject(&long), format!("CN={} 2", "x".repeat(62)));
        assert!(next_subject("").is_err());
    }
}
