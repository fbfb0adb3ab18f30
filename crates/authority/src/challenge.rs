//! Challenges: what a device signs to prove its key, once, within five minutes.

use std::time::Duration;

use countersign_ca::{KeyError, PublicKey, random_bytes};
use countersign_core::ids::{ChallengeId, DeviceId};
use countersign_core::proof::{ProofMessage, ProofSubject};
use countersign_core::time::Timestamp;
use countersign_store::ChallengeRow;
use countersign_store::StoreError;
use thiserror::Error;

use crate::agent::AgentCaller;
use crate::authority::Authority;
use crate::limits::{Limited, TooMany};

/// How long a challenge is good.
const CHALLENGE_LIFE: Duration = Duration::from_secs(300);

/// How many a device may have open at once; the oldest makes room for the next.
const MAX_OPEN: u32 = 8;

/// A challenge, to be signed as [`ProofMessage`] says.
#[derive(Clone, Debug)]
pub struct Challenge {
    /// Which.
    pub id: ChallengeId,
    /// 64 hex digits.
    pub nonce: String,
    /// One use, until then.
    pub expires_at: Timestamp,
}

/// No challenge was given.
#[derive(Debug, Error)]
pub enum ChallengeError {
    /// The device is quarantined.
    #[error("the device is quarantined")]
    Quarantined,
    /// Too many were asked for.
    #[error("too many challenges")]
    TooMany(TooMany),
    /// No nonce could be made.
    #[error("cannot make a nonce")]
    Nonce(#[from] KeyError),
    /// The store failed.
    #[error("cannot keep the challenge")]
    Store(#[from] StoreError),
}

/// A proof of possession does not hold.
#[derive(Debug, Error)]
pub(crate) enum ProofError {
    /// The challenge is unknown, used, over, or another device's; or the signature is wrong.
    #[error("the proof of possession does not hold")]
    Refused,
    /// The key on record cannot be read.
    #[error("cannot read the device's key")]
    Key(#[from] KeyError),
    /// The store failed.
    #[error("cannot look up the challenge")]
    Store(#[from] StoreError),
}

impl Authority {
    /// Gives a device a challenge.
    ///
    /// # Errors
    /// See [`ChallengeError`].
    pub async fn challenge(&self, agent: &AgentCaller) -> Result<Challenge, ChallengeError> {
        let now = self.now();
        if agent.is_quarantined() {
            return Err(ChallengeError::Quarantined);
        }
        self.limits.take(Limited::Challenge(agent.id()), now).map_err(ChallengeError::TooMany)?;
        let row = ChallengeRow {
            id: ChallengeId::random(),
            device: agent.id(),
            nonce: hex::encode(random_bytes::<32>()?),
            // What is signed is text in whole seconds.
            expires_at: (now + CHALLENGE_LIFE).floor_to_second(),
        };
        let challenge = Challenge { id: row.id, nonce: row.nonce.clone(), expires_at: row.expires_at };
        self.store
            .write(move |w| Box::pin(async move { w.insert_challenge(&row, now, MAX_OPEN).await }))
            .await?;
        Ok(challenge)
    }

    /// Checks a signature over a challenge, which is used up by it either way.
    pub(crate) async fn check_proof(
        &self,
        device: DeviceId,
        subject: ProofSubject,
        challenge: ChallengeId,
        signature: &[u8],
        key: &PublicKey,
    ) -> Result<(), ProofError> {
        let now = self.now();
        let taken = self
            .store
            .write(move |w| Box::pin(async move { w.take_challenge(challenge, device, now).await }))
            .await
            .map_err(ProofError::Store)?
            .ok_or(ProofError::Refused)?;
        let message = ProofMessage {
            subject,
            trust_domain: &self.config.trust_domain,
            device,
            challenge,
            nonce: &taken.nonce,
            expires_at: taken.expires_at,
        };
        key.verify(&message.signing_bytes(), signature).map_err(|_mismatch| ProofError::Refused)
    }
}
