//! What an edge elsewhere says that devices said: an authority has seen neither the device nor its key, and
//! judges what can be judged without.

use std::collections::HashSet;

use countersign_core::access::{Refusal, refusal_of};
use countersign_core::identity::Identity;
use countersign_core::ids::{CertificateRef, IssuerKeyId};
use countersign_core::snapshot::{CertificateClaim, Standing, TOKEN_SESSION};
use countersign_core::time::Timestamp;
use countersign_store::{Reading, StoreError};

use crate::authority::Authority;

/// Who an edge says that a message is of: a device, and what it showed.
pub type Sender = (Identity, CertificateRef);

impl Authority {
    /// Why the session of each of these may not go on that an edge says it has; `None`: it may. What is said with a
    /// certificate is a use of it: the edge may not have known yet that it was the first.
    ///
    /// Fails closed: a certificate, or a token, that is not on record as that device's is nobody's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn judge_senders(&self, senders: Vec<Sender>) -> Result<Vec<Option<Refusal>>, StoreError> {
        let now = self.now();
        let claims = self.store.read(move |r| {
            Box::pin(async move {
                let mut claims = Vec::with_capacity(senders.len());
                for sender in senders {
                    claims.push(claim_on_record(r, sender, now).await?);
                }
                Ok::<_, StoreError>(claims)
            })
        });
        let (claims, snapshot) = (claims.await?, self.snapshot());
        let (mut verdicts, mut used) = (Vec::with_capacity(claims.len()), HashSet::new());
        for claim in claims {
            let Some(claim) = claim else {
                verdicts.push(Some(Refusal::Untrusted));
                continue;
            };
            let standing = snapshot.standing(&claim, now);
            if standing == Standing::Pending && used.insert(claim.reference.clone()) {
                self.first_use(claim.reference.clone()).await?;
            }
            verdicts.push((!snapshot.session_may_go_on(&claim, now)).then(|| refusal_of(standing)));
        }
        Ok(verdicts)
    }
}

/// What was shown, by what is on record of it.
async fn claim_on_record(
    r: &mut Reading<'_>,
    (identity, reference): Sender,
    now: Timestamp,
) -> Result<Option<CertificateClaim>, StoreError> {
    if reference.issuer == IssuerKeyId::OF_TOKENS {
        let Some(device) = r.device_by_identity(&identity).await? else { return Ok(None) };
        let token =
            r.provisioning_token_of(device.id).await?.filter(|token| token.serial == reference.serial);
        return Ok(token.map(|token| {
            let from = token.set_at.min(now);
            CertificateClaim::of_token(identity, token.serial, from, now + TOKEN_SESSION)
        }));
    }
    let row = r.certificate_by_reference(&reference).await?;
    let row = row.filter(|row| row.tenant == *identity.tenant() && row.device_name == *identity.device());
    Ok(row.map(|row| CertificateClaim {
        reference,
        identity,
        spki: row.spki,
        // What is on record is valid from its issuance on, and nothing that is to be proved.
        not_before: row.lifetime.issued_at.min(now),
        not_after: row.lifetime.expires_at,
    }))
}
